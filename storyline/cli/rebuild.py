"""`storyline rebuild`: make read models anew beside the live ones, give that up, or put back those before."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from domain.errors import BadInput, Problem
from projections.connecting import connected
from projections.rebuild import Rebuild, Report, chosen
from projections.rebuild_rollback import Rollback
from projections.rebuild_state import abort, words_of
from storyline.cli.shared import JsonFlag, console, open_parts, print_json, progress_bar
from storyline.parts import Parts

__all__ = ["rebuild"]


def rebuild(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Read models; `all` or none for all of them.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="log|timeline", help="Out of what; all are made of the log, some of the timeline."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that share the work; 0 for one on each core.")] = 0,
    give_up: Annotated[bool, typer.Option("--abort", help="Give up a rebuild that was cut off.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Put back what was switched out last.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make read models anew beside the live ones, compare them with those, and switch them in. Readers notice
    nothing; stopped at any point, the next start goes on from there."""
    wanted = names or []
    if give_up and rollback:
        raise BadInput([Problem("--rollback", "does not go together with --abort.", "Give one of them.")])
    with open_parts() as parts:
        if give_up:
            _abort(parts, as_json)
        elif rollback:
            _rollback(parts, wanted, as_json)
        else:
            _rebuild(parts, wanted, source, workers or os.cpu_count() or 1, as_json)


def _rebuild(parts: Parts, names: list[str], source: str | None, workers: int, as_json: bool) -> None:
    models, origin = chosen(names, source)
    with progress_bar(f"rebuilding {words_of(models)}", None) as (progress, task):

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        work = Rebuild(
            **_around(parts), models=models, source=origin, workers=workers, batch=parts.settings.batch, told=told
        )
        report = work.run()
    _show(report, as_json)


def _around(parts: Parts) -> dict[str, Any]:
    return {
        "dsn": parts.settings.database_url,
        "log_url": parts.settings.log_url,
        "log": parts.log,
        "park": parts.parking.for_log("projector", parts.log.log_id),
        "reading": parts.reading,
    }


def _show(report: Report, as_json: bool) -> None:
    hashes: dict[str, Any] = {
        table: {"rows": rows, "hash": format(value % 2**64, "016x")} for table, (rows, value) in report.hashes.items()
    }
    if as_json:
        fields = ("events", "seconds", "same", "models", "source")
        print_json({**{field: getattr(report, field) for field in fields}, "hashes": hashes})
        return
    verdict = (
        "The definition had changed, so there was nothing to compare."
        if report.same is None
        else "Row hashes: equal."
    )
    words = words_of(report.models)
    what = "all read models" if words == "all" else words.replace(" ", ", ")
    console.print(
        f"Rebuilt {what} from {report.events:,} events of the {report.source} in {report.seconds:.1f} s and switched "
        f"them in. {verdict}",
        markup=False,
    )
    for table, found in hashes.items():
        console.print(f"  {table}: {found['rows']:,} rows, {found['hash']}", markup=False)


def _abort(parts: Parts, as_json: bool) -> None:
    with connected(parts.settings.database_url) as connection:
        models = abort(connection)
    if as_json:
        print_json({"aborted": models})
        return
    words = f"The rebuild of {', '.join(models)} was" if models else "No rebuild was under way; what one left was"
    console.print(f"{words} given up, and its tables are gone. The live ones are untouched.", markup=False)


def _rollback(parts: Parts, names: list[str], as_json: bool) -> None:
    models = () if not names or "all" in names else _chosen_names(names)
    done = Rollback(**_around(parts), models=models, batch=parts.settings.batch).run()
    if as_json:
        print_json({"models": done.models, "events": done.events, "seconds": done.seconds})
        return
    console.print(
        f"Put back {', '.join(done.models)} as they were before, brought on by {done.events:,} events in "
        f"{done.seconds:.1f} s. What they replace is kept in turn.",
        markup=False,
    )


def _chosen_names(names: list[str]) -> tuple[str, ...]:
    """Read models by name, the timeline among them. Raises BadInput."""
    others = [name for name in names if name != "timeline"]
    found = chosen(others, "timeline")[0] if others else ()
    return (*["timeline" for name in names if name == "timeline"], *found)
