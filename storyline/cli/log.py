"""`storyline log`: look at the log itself, and move a history to another."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import BadInput, NotFound, Poison, Problem
from eventlog.copying import copy_log
from eventlog.opening import open_log
from eventlog.port import Log, Logged
from eventlog.record import decode
from storyline import logs
from storyline.cli.move import move
from storyline.cli.repair import check, repair
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json, progress_bar
from storyline.settings import Settings

__all__ = ["app"]

app = groups("The log itself: sealed records, as they are stored.")
for _command in (move, check, repair):
    app.command()(_command)


@app.command()
def show(
    position: Annotated[
        str | None, typer.Argument(help="PARTITION:OFFSET; default: where the log begins and ends.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most records.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Show the ends of the log, or records from a position on, byte for byte with --json."""
    with open_parts() as parts:
        log = parts.log
        if position is None:
            _print_ends(log, as_json)
            return
        partition, offset = _position(position, log)
        end = log.ends()[partition]
        if offset >= end:
            raise NotFound(f"Partition {partition} ends before offset {end}; there is no record at {offset} yet.")
        cursor, left = {partition: offset}, min(limit, end - offset)
        while left > 0 and (found := log.read(cursor, left, 5.0)):
            for logged in found:
                _print(logged, as_json)
            left -= len(found)
            cursor = {partition: found[-1].offset + 1}


@app.command()
def tail(
    last: Annotated[int, typer.Option(min=0, help="Begin this many records before the end of each partition.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Show records as they come, until Ctrl-C."""
    with open_parts() as parts:
        log = parts.log
        cursor = {partition: max(0, end - last) for partition, end in log.ends().items()}
        while True:
            for logged in log.read(cursor, 100, 1.0):
                _print(logged, as_json)
                cursor[logged.partition] = logged.offset + 1


@app.command()
def copy(
    source: Annotated[str, typer.Option("--from", help="URL of the log that is read.")],
    target: Annotated[str, typer.Option("--to", help="URL of the log that is appended to.")],
    positions: Annotated[
        Path, typer.Option("--map", help="File for the map of positions; go on with the same one.")
    ] = Path("log-copy.map"),
    as_json: JsonFlag = False,
) -> None:
    """Copy a history from one log to another, verbatim, and write the map of positions."""
    settings = Settings()
    logs.configure(settings.log_format, "warning")
    began = time.monotonic()
    from_log, to_log = open_log(settings.with_secrets(source)), open_log(settings.with_secrets(target))
    try:
        with progress_bar("copying", None) as (bar, task):
            copied = copy_log(
                from_log, to_log, positions, lambda done, total: bar.update(task, completed=done, total=total)
            )
    finally:
        from_log.close()
        to_log.close()
    if as_json:
        print_json({"records": copied, "seconds": round(time.monotonic() - began, 3), "map": str(positions)})
    else:
        console.print(f"Copied {copied:,} records; the map of positions is {positions}.", markup=False)


def _position(text: str, log: Log) -> tuple[int, int]:
    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal() and len(text) < 40):
        raise BadInput([Problem("POSITION", "is not PARTITION:OFFSET.", "Write it like 3:17.")])
    if int(partition) >= log.partitions:
        raise BadInput([Problem("POSITION", "names no partition.", f"There are 0 to {log.partitions - 1}.")])
    return int(partition), int(offset)


def _print_ends(log: Log, as_json: bool) -> None:
    ends = log.ends()
    if as_json:
        print_json({"log_id": log.log_id, "ends": {str(partition): end for partition, end in ends.items()}})
        return
    console.print(f"Log {log.log_id}", markup=False)
    for partition, end in ends.items():
        console.print(f"  partition {partition}: next offset {end:,}")


def _print(logged: Logged, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(logged.value + b"\n")
        sys.stdout.flush()
        return
    place = f"{logged.partition}:{logged.offset}"
    try:
        head = decode(logged.value).head
    except Poison as error:
        console.print(f"{place}  {error.detail}", markup=False, soft_wrap=True)
        return
    console.print(f"{place}  {head.time}  {head.type}  {head.owner}  {head.name}", markup=False, soft_wrap=True)
