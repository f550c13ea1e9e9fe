"""`storyline status`: how is everything, and what is to be done about it?"""

from __future__ import annotations

import time
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import psycopg
import typer
from rich.table import Table

from consumers.inbox_topics import InboxTopics
from domain.errors import LogDamaged, StorylineError, Unavailable
from eventlog.sql import load
from projections.connecting import connected
from projections.positions import Positions
from projections.status import Status, read_status
from storyline.cli.shared import JsonFlag, console, open_parts, print_json
from storyline.exits import exit_code
from storyline.parts import Parts

__all__ = ["status"]

_SQL = load("projections", "status.sql")


def status(
    watch: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Look again every so many seconds, until Ctrl-C.")
    ] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Show members, lag, dead letters and rebuilds, and say what to do. Exit code 0 if all is well, 8 if the log is
    damaged, 5 if something else is to be done."""
    with open_parts() as parts:
        found = _look(parts)
        if watch:
            while True:
                _show(found, as_json)
                began = time.monotonic()
                time.sleep(watch)
                later = _look(parts)
                rate = max(0.0, (later.visible - found.visible) / (time.monotonic() - began))
                found = msgspec.structs.replace(later, rate=round(rate, 1))
    _show(found, as_json)
    if not found.well:
        error: type[StorylineError] = LogDamaged if found.damaged else Unavailable
        raise typer.Exit(exit_code(error("")))


def _look(parts: Parts) -> Status:
    with connected(parts.settings.database_url) as connection:
        waiting = _inbox_lag(parts, connection)
        return read_status(connection, parts.log, parts.settings.lease_seconds, waiting)


def _inbox_lag(parts: Parts, connection: psycopg.Connection) -> int | None:
    """How many messages wait in inbox topics; None where no inbox ever ran."""
    settings, names = parts.settings, parts.channels.topics
    if urlsplit(settings.log_url).scheme != "kafka" or not names:
        return None
    if not connection.execute(_SQL["has_inbox"]).fetchone():
        return None
    days, partitions = settings.retention_days, settings.inbox_partitions
    with InboxTopics.open(settings.log_url, names, days, partitions) as topics:
        cursor = {
            (topic, partition): offset
            for topic in names
            for partition, offset in Positions("inbox", topics.ids[topic]).read(connection).items()
        }
        topics.assign(cursor)
        return sum(topics.lags(cursor).values())


def _show(found: Status, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    console.print(f"Log {found.log_id}", markup=False)
    table = Table("partition", "end", "visible", "lag", "held", "still", box=None)
    for one in found.partitions:
        still = "" if one.still is None else f"{one.still:.0f} s"
        held = "yes" if one.held else "no"
        table.add_row(str(one.partition), f"{one.end:,}", f"{one.next_offset:,}", f"{one.lag:,}", held, still)
    console.print(table)
    for line in _lines(found):
        console.print(line, markup=False, soft_wrap=True)
    console.print("All is well." if found.well else "To be done:", markup=False)
    for trouble in found.troubles:
        console.print(f"- {trouble}", markup=False, soft_wrap=True)


def _lines(found: Status) -> list[str]:
    rate = "" if found.rate is None else f", {found.rate:,.0f}/s become visible"
    behind = "" if found.behind is None else f", the newest visible event is {found.behind:.0f} s old"
    lines = [f"Lag: {found.lag:,} records{behind}{rate}."]
    for member in found.members:
        kind = "projector" if member.consumer == "live" else member.consumer
        held = f"partitions {', '.join(map(str, member.partitions)) or 'none'}"
        if member.consumer == "inbox":  # of several topics, whose partitions have the same numbers
            held = f"partitions held: {len(member.partitions)}"
        lines.append(f"{kind} {member.host}:{member.process}: {held}; seen {member.unseen:.0f} s ago.")
    if found.inbox is not None:
        waiting = "" if found.inbox.lag is None else f", {found.inbox.lag:,} messages wait"
        lines.append(f"Inbox: {found.inbox.held} of {found.inbox.partitions} partitions held{waiting}.")
    letters = sum(one.parked for one in found.dead_letters)
    lines.append(f"Dead letters: {letters:,}.")
    for one in found.rebuilds:
        left = "" if one.left is None else f", {one.left:,.0f} s to go"
        lines.append(f"{one.name}: {one.percent} % ({one.applied:,} of {one.total:,}){left}.")
    lines += [f"Read model {one.name}: version {one.version}." for one in found.read_models]
    return lines
