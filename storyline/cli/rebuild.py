"""`storyline rebuild`: make the read models anew from the log, beside the live ones."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from domain.errors import BadInput, Problem
from projections.rebuild import Rebuild
from projections.registry import MODELS
from storyline.cli.shared import JsonFlag, console, open_parts, print_json, progress_bar

__all__ = ["rebuild"]


def rebuild(
    name: Annotated[str, typer.Argument(help="A read model; all of them are rebuilt, for they go together.")] = "all",
    as_json: JsonFlag = False,
) -> None:
    """Rebuild the read models from the log and switch them in. Readers notice nothing; stopped at any point, the next
    start goes on from there."""
    known = [one.name for one in MODELS]
    if name not in ("all", *known):
        raise BadInput([Problem("NAME", "is no read model.", f"There are: {', '.join(known)}; or leave it out.")])
    with open_parts() as parts, progress_bar("rebuilding", None) as (progress, task):

        def told(applied: int, total: int) -> None:
            progress.update(task, completed=applied, total=total)

        park = parts.parking.for_log("projector", parts.log.log_id)
        settings = parts.settings
        work = Rebuild(
            settings.database_url, settings.log_url, parts.log, park, parts.reading, batch=settings.batch, told=told
        )
        report = work.run()
    hashes: dict[str, Any] = {
        table: {"rows": rows, "hash": format(value % 2**64, "016x")} for table, (rows, value) in report.hashes.items()
    }
    if as_json:
        fields = ("events", "seconds", "same")
        print_json({**{field: getattr(report, field) for field in fields}, "hashes": hashes})
        return
    verdict = (
        "The definition had changed, so there was nothing to compare."
        if report.same is None
        else "Row hashes: equal."
    )
    console.print(
        f"Rebuilt all read models from {report.events:,} events in {report.seconds:.1f} s and switched them in. "
        f"{verdict}"
    )
    for table, found in hashes.items():
        console.print(f"  {table}: {found['rows']:,} rows, {found['hash']}")
