"""How is Storyline, and what is to be done about it? What an operator looks at first (story S92)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import psycopg
from msgspec import Struct

from domain.errors import Misconfigured
from eventlog.port import Log
from eventlog.sql import load
from projections.checking import LogCheck, check_log
from projections.moves import move_at_work, move_from, refuse_moved
from projections.rebuild_state import Shown, show
from projections.registry import MODELS, changed, told_of

__all__ = ["Status", "read_status"]

_SQL = load("projections", "status.sql")
_STILL: Final = 60.0
"""Seconds without a movement, while there is something to do, after which something is wrong."""
_LATE: Final = 30.0
"""Seconds that the newest visible event may be old while there are newer ones."""
_MOST_LAG: Final = 100_000
"""Records behind the log from which on another projector is worth a thought."""


class Member(Struct, frozen=True):
    """A process at work: what it holds, and for how many seconds it has not been seen."""

    consumer: str
    member: str
    host: str
    process: int
    unseen: float
    partitions: list[int]


class PartitionStatus(Struct, frozen=True):
    """A partition of the log: where it ends, how far the live tables are, and whether somebody works on it. `still`:
    seconds since the position moved; None where it never did."""

    partition: int
    end: int
    next_offset: int
    lag: int
    held: bool
    still: float | None


class Inbox(Struct, frozen=True):
    """The inbox topics together: partitions, how many somebody works on, seconds since one moved, and how many
    messages wait (None where the broker was not asked)."""

    partitions: int
    held: int
    still: float | None
    lag: int | None = None


class RebuildStatus(Struct, frozen=True):
    """A rebuild or move that is under way, or was cut off: how far it is (of a rebuild about as many events), and for
    how long it has not moved. `left`: seconds that it still takes, None where nobody knows."""

    name: str
    applied: int
    total: int
    percent: float
    still: float
    left: float | None = None


class ReadModelStatus(Struct, frozen=True):
    """A read model: the version that serves (0 for one that is not there), and the release's own; `changed`: its SQL
    is another now, or it is not there."""

    name: str
    version: int
    release: int
    changed: bool


class DeadLetters(Struct, frozen=True):
    """How many dead letters of a kind wait, and for how many seconds the oldest does."""

    consumer: str
    reason: str
    parked: int
    oldest: float


class Status(Struct, frozen=True):
    """How Storyline is. `well`: nothing is to be done. `troubles`: what is wrong, each with what to do. `behind`: age
    in seconds of the newest visible event while there are newer ones, else None. `rate`: records a second that became
    visible, where that was measured."""

    well: bool
    damaged: bool
    troubles: list[str]
    log_id: str
    lag: int
    behind: float | None
    partitions: list[PartitionStatus]
    members: list[Member]
    inbox: Inbox | None
    dead_letters: list[DeadLetters]
    rebuilds: list[RebuildStatus]
    read_models: list[ReadModelStatus]
    rate: float | None = None

    @property
    def visible(self) -> int:
        """Records that the live tables have passed."""
        return sum(one.next_offset for one in self.partitions)


def read_status(
    connection: psycopg.Connection,
    log: Log,
    lease: float = 10.0,
    inbox_lag: int | None = None,
    now: datetime | None = None,
) -> Status:
    """How everything is, by what Postgres and the log know: a few look-ups, however much there is.

    lease: seconds that a member may be unseen. inbox_lag: messages that wait in inbox topics, where that is known.
    `log.read` is used. Raises Unavailable if the log does not answer, psycopg's errors if Postgres does not.
    """
    check = check_log(connection, log)
    ends = check.ends
    positions = connection.execute(_SQL["positions"]).fetchall()
    live = {row[2]: row for row in positions if row[0] == "live" and row[1] == log.log_id}
    partitions = [_partition(partition, end, live.get(partition)) for partition, end in sorted(ends.items())]
    lag = sum(one.lag for one in partitions)
    newest = [row[1] for row in connection.execute(_SQL["newest"], {"partitions": list(ends)}).fetchall()]
    behind = ((now or datetime.now(UTC)) - max(newest)).total_seconds() if newest and lag else None
    found = Status(
        well=True,
        damaged=check.damaged,
        troubles=[],
        log_id=log.log_id,
        lag=lag,
        behind=behind,
        partitions=partitions,
        members=[_member(row) for row in connection.execute(_SQL["members"]).fetchall()],
        inbox=_inbox([row for row in positions if row[0] == "inbox"], inbox_lag),
        dead_letters=[DeadLetters(*row) for row in connection.execute(_SQL["letters"]).fetchall()],
        rebuilds=_rebuilds(positions, sum(ends.values()), show(connection)),
        read_models=_read_models(connection, connection.execute(_SQL["read_models"]).fetchall()),
    )
    trouble, counts = _of_moves(connection, log.log_id)
    if not counts:
        # Whatever the positions say of another log, the way out is not to repair this one.
        return msgspec.structs.replace(found, troubles=[trouble] if trouble else [], well=False, damaged=False)
    troubles = ([trouble] if trouble else []) + _troubles(found, check, lease)
    return msgspec.structs.replace(found, troubles=troubles, well=not troubles)


def _partition(partition: int, end: int, row: Sequence[Any] | None) -> PartitionStatus:
    if row is None:
        return PartitionStatus(partition, end, 0, end, held=False, still=None)
    return PartitionStatus(partition, end, row[3], max(0, end - row[3]), held=row[4] is not None, still=row[5])


def _member(row: Sequence[Any]) -> Member:
    return Member(row[0], str(row[1]), row[2], row[3], row[4], list(row[5]))


def _inbox(rows: Sequence[Sequence[Any]], lag: int | None) -> Inbox | None:
    if not rows:
        return None
    held = sum(row[4] is not None for row in rows)
    return Inbox(len(rows), held, min(row[5] for row in rows), lag)


def _rebuilds(rows: Sequence[Sequence[Any]], total: int, shown: Shown | None) -> list[RebuildStatus]:
    moves = [(offset, seconds) for consumer, _, _, offset, _, seconds in rows if consumer == "move"]
    found = []
    if moves:
        done = sum(offset for offset, _ in moves)
        percent = round(min(100.0, 100 * done / total) if total else 100.0, 1)
        found.append(RebuildStatus("move", done, total, percent, min(seconds for _, seconds in moves)))
    if shown is not None:
        share = min(1.0, shown.share)
        name = f"rebuild {shown.words}"
        found.append(RebuildStatus(name, round(share * total), total, round(100 * share, 1), shown.still, shown.left))
    return found


def _read_models(connection: psycopg.Connection, rows: Sequence[Sequence[Any]]) -> list[ReadModelStatus]:
    noted: Mapping[str, int] = {row[0]: row[1] for row in rows}
    names = changed(connection)
    return [
        ReadModelStatus(model.name, noted.get(model.name, 0), model.version, model.name in names) for model in MODELS
    ]


def _troubles(status: Status, check: LogCheck, lease: float) -> list[str]:
    """What is wrong and what to do, the gravest first."""
    found = [*check.troubles, check.verdict] if check.damaged else []
    found += _of_members(status, lease)
    found += _of_lag(status)
    found += [
        f"{one.parked} dead letters of {one.consumer} wait ({one.reason}), the oldest for {_span(one.oldest)}: see "
        "`storyline dead-letters list`, mend the cause, then redrive or discard them."
        for one in status.dead_letters
    ]
    if names := [one.name for one in status.read_models if one.changed]:
        found.append(told_of(names))
    found += [
        f"The rebuild stands at {one.percent} % and has not moved for {_span(one.still)}: if it is not at work any "
        f"more, run `storyline {one.name}` again, it goes on, or give it up by `storyline rebuild --abort`; until "
        "then its tables take their space."
        for one in status.rebuilds
        if one.still > _STILL and one.name != "move"
    ]
    return found


def _of_moves(connection: psycopg.Connection, log_id: str) -> tuple[str | None, bool]:
    """What is to be done about a move, and whether this log is the one that counts."""
    try:
        refuse_moved(connection, log_id)
    except Misconfigured as trouble:
        return trouble.detail, False
    away = move_from(connection, log_id)
    if away is None:
        return None, True
    closed = away.closed_at is not None
    if move_at_work(connection):
        return "The log is closed until the move that is at work ends; publishers wait." if closed else None, True
    what = "The log is closed, and nothing can be published: a move" if closed else "A move"
    return (
        f"{what} to {away.to_log_id} was cut off. Run the same `storyline log move` again, it goes on, or give it "
        "up by `storyline log move --abort`.",
        True,
    )


def _of_members(status: Status, lease: float) -> list[str]:
    found = [
        f"{_member_name(one)} has not been seen for {_span(one.unseen)}: it is frozen or out of reach. Its "
        "partitions go to the others, where there are any; look at that machine."
        for one in status.members
        if one.unseen > lease
    ]
    working = {one.consumer for one in status.members if one.unseen <= lease}
    if status.lag and "live" not in working and not status.damaged:  # on a damaged log it would not start
        found.append(f"No projector is at work, and {status.lag} records wait for one: start `storyline projector`.")
    left = ", ".join(str(one.partition) for one in status.partitions if one.lag and not one.held)
    if left and "live" in working:
        found.append(
            f"Partitions {left} have records to come, and none of the projectors holds them: that is well for a "
            "moment, while one comes or goes. If it stays so, look at their logs."
        )
    if status.inbox and "inbox" not in working:
        found.append(
            "No inbox is at work, and topics forget after their retention: start `storyline inbox`, or, if no "
            "channel publishes straight to Kafka any more, delete its positions."
        )
    return found


def _member_name(one: Member) -> str:
    kind = "projector" if one.consumer == "live" else one.consumer
    return f"The {kind} on {one.host} (process {one.process})"


def _of_lag(status: Status) -> list[str]:
    found = []
    stuck = [one for one in status.partitions if one.lag and one.held and (one.still or 0) > _STILL]
    if stuck:
        names = ", ".join(str(one.partition) for one in stuck)
        longest = _span(max(one.still or 0 for one in stuck))
        found.append(
            f"Partitions {names} have records to come and have not moved for {longest}: the projector's log says "
            "what it waits for; a lock, a full disk and a database that is busy are usual."
        )
    elif status.behind is not None and status.behind > _LATE and any(one.held for one in status.partitions):
        found.append(
            f"The newest visible event is {_span(status.behind)} old, and {status.lag} records are to come: the "
            "projectors catch up, or there are too few of them."
        )
    elif status.lag > _MOST_LAG and any(one.held for one in status.partitions):
        found.append(f"{status.lag} records are not visible yet: if that grows, add a projector.")
    if status.inbox and (status.inbox.lag or 0) > _MOST_LAG:
        found.append(f"{status.inbox.lag} messages wait in inbox topics: if that grows, add an inbox.")
    return found


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
