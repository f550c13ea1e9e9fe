"""`storyline log move`: the history goes to another log while everything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from domain.errors import BadInput, Problem
from eventlog.opening import open_log
from projections.moving import Move, Moved, abort
from storyline.cli.shared import JsonFlag, console, open_parts, print_json, progress_bar
from storyline.parts import Parts

__all__ = ["move"]


def move(
    target: Annotated[
        str, typer.Option("--to", help="URL of the new log: empty, or what an earlier copying filled.")
    ] = "",
    positions: Annotated[
        Path, typer.Option("--map", help="File for the map of positions; go on with the same one.")
    ] = Path("log-move.map"),
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Nobody can append to the old log any more (for one on Kafka).")
    ] = False,
    give_up: Annotated[bool, typer.Option("--abort", help="Give up a move before its switch.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Move from the log of LOG_URL to another while everything runs, then switch; see docs/operations.md.

    Publishing is refused (503, come back) from the moment when little is left until the processes run with the new
    LOG_URL. Stopped or killed at any point, the next start goes on from there.
    """
    if give_up == bool(target):
        raise BadInput([Problem("--to", "is needed, or --abort.", "Give one of the two.")])
    with open_parts() as parts:
        if give_up:
            abort(parts.settings.database_url, parts.log)
            console.print("Given up: the old log takes records again. The copied records stay where they are.")
            return
        report = _move(parts, target, positions, quiet)
    if as_json:
        fields = ("to_log_id", "records", "seconds", "refused", "compared")
        print_json({field: getattr(report, field) for field in fields})
        return
    console.print(
        f"Moved {report.records:,} records to {report.to_log_id} in {report.seconds:.1f} s. Row hashes: equal. The "
        f"old log took nothing for {report.refused:.1f} s before the switch, and takes nothing any more.",
        markup=False,
        soft_wrap=True,
    )
    console.print("Now start all processes with LOG_URL set to the new log; until then nothing can be published.")


def _move(parts: Parts, target: str, positions: Path, quiet: bool) -> Moved:
    settings = parts.settings
    target = settings.with_secrets(target)
    new = open_log(target)
    try:
        with progress_bar("moving", None) as (bar, task):
            work = Move(
                settings.database_url,
                parts.log,
                new,
                target,
                positions,
                parts.parking.for_log("projector", new.log_id),
                parts.reading,
                quiet=quiet,
                batch=settings.batch,
                told=lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            )
            return work.run()
    finally:
        new.close()
