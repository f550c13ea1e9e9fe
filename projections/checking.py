"""Is Postgres ahead of the log, or made of another one than is here? Asked before anything is appended or read.

A log can lose its end: an older backup was restored, an unclean leader was elected, a disk lied. If nobody looked, it
would grow again over the offsets that Postgres remembers, and what is read from there would be wrong without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from domain.errors import LogDamaged
from eventlog.port import Log, Logged
from eventlog.sql import load
from projections.anchors import record_hash, records_at
from projections.connecting import connected

__all__ = ["LogCheck", "OtherLog", "Standing", "check_log", "refuse_damage", "refuse_damaged_log"]

_SQL = load("projections", "checking.sql")
_WAY_OUT = (
    "Restore a log that is as new as the database. Where there is none, `storyline log repair` puts back what the "
    "read models hold; docs/repair.md says how."
)


class Standing(NamedTuple):
    """How a consumer stands in a partition. `behind`: records to come, negative where it is ahead of the log.
    `anchor`: is the last record that it applied still there: `found`, `another record`, `missing`, or `unknown`
    where none was noted. `trouble`: a sentence, None where all is well."""

    consumer: str
    partition: int
    next_offset: int
    behind: int
    anchor: str
    trouble: str | None


class OtherLog(NamedTuple):
    """A log that is not here, of which the read models have applied `records` offsets."""

    log_id: str
    records: int


@dataclass(frozen=True, slots=True)
class LogCheck:
    """What was found. `others` are troubles only while the live tables have nothing of this log. `cut_off`: a repair
    was begun and has not ended; `cut_off_onto`: the other logs onto which one was."""

    log_id: str
    ends: Mapping[int, int]
    standings: tuple[Standing, ...]
    others: tuple[OtherLog, ...]
    cut_off: bool
    cut_off_onto: tuple[str, ...] = ()

    @property
    def of_another_log(self) -> bool:
        """Whether the live tables were made of another log than this one."""
        return bool(self.others) and not any(one.consumer == "live" and one.next_offset for one in self.standings)

    @property
    def troubles(self) -> list[str]:
        """Sentences, none where all is well."""
        found = [one.trouble for one in self.standings if one.trouble]
        if self.of_another_log:
            names = ", ".join(one.log_id for one in self.others)
            found.append(
                f"The read models were made of another log ({names}; {sum(one.records for one in self.others)} "
                f"offsets), and of this one ({self.log_id}) they have nothing: either LOG_URL or DATABASE_URL is "
                "wrong, or the log was made anew and its history is gone."
            )
        if self.cut_off:
            found.append("A repair of this log was cut off: run `storyline log repair` again, it goes on.")
        if self.cut_off_onto:
            found.append(
                f"A repair onto another log ({', '.join(self.cut_off_onto)}) was cut off. Set LOG_URL to that one "
                f"and run the repair again; or, if {self.log_id} is the right one, `storyline log repair "
                "--every-record`."
            )
        return found

    @property
    def damaged(self) -> bool:
        """Whether nobody should go on before it is mended."""
        return bool(self.troubles)

    @property
    def verdict(self) -> str:
        """What is to be done, in a sentence or two."""
        if not self.damaged:
            return "The log holds all that the read models stand for."
        return _WAY_OUT


def check_log(connection: psycopg.Connection, log: Log, *, live_only: bool = False) -> LogCheck:
    """Compare the positions with the log: a few look-ups, however long it is. `live_only`: leave out rebuilds.

    Raises Unavailable if the log does not answer, psycopg's errors if Postgres does not.
    """
    rows = connection.execute(_SQL["positions"]).fetchall()
    ends = log.ends()
    mine = [row for row in rows if row[1] == log.log_id and row[0] != "repair"]
    mine = [row for row in mine if row[0] == "live" or not live_only]
    asked = {(row[2], row[4]) for row in mine if row[4] is not None}
    held = records_at(log, ends, asked)
    others: dict[str, int] = {}
    for consumer, log_id, _, next_offset, *_ in rows:
        if consumer == "live" and log_id != log.log_id and next_offset:
            others[log_id] = others.get(log_id, 0) + next_offset
    return LogCheck(
        log.log_id,
        ends,
        tuple(_standing(row, ends, held) for row in mine),
        tuple(OtherLog(*pair) for pair in sorted(others.items())),
        any(row[0] == "repair" and row[1] == log.log_id for row in rows),
        tuple(sorted({row[1] for row in rows if row[0] == "repair" and row[1] != log.log_id})),
    )


def refuse_damaged_log(dsn: str, log: Log) -> None:
    """Raises LogDamaged where Postgres is ahead of the log: who appended to it all the same would make it grow over
    the offsets that Postgres remembers. Unavailable where one of the two does not answer."""
    with connected(dsn) as connection:
        refuse_damage(connection, log)


def refuse_damage(connection: psycopg.Connection, log: Log) -> None:
    """As `refuse_damaged_log`, on a connection that is open."""
    found = check_log(connection, log, live_only=True)
    if found.damaged:
        first, *more = found.troubles
        others = f" And {len(more)} more: `storyline log check` lists all." if more else ""
        raise LogDamaged(f"{first}{others} {found.verdict}")


def _standing(
    row: tuple[Any, ...], ends: Mapping[int, int], held: Mapping[tuple[int, int], Logged | None]
) -> Standing:
    consumer, _, partition, next_offset, anchor_offset, anchor = row
    end = ends.get(partition)
    state = "unknown" if anchor_offset is None else _state(held[partition, anchor_offset], bytes(anchor))
    trouble = None
    if end is None:
        trouble = f"The log has no partition {partition}, of which {consumer} has applied {next_offset} offsets."
    elif next_offset > end:
        trouble = (
            f"Partition {partition} ends at offset {end}, before {next_offset}, up to where {consumer} has applied "
            f"it: its last {next_offset - end} offsets are lost."
        )
    elif state == "another record":
        trouble = (
            f"Partition {partition} holds another record at offset {anchor_offset} than the one that {consumer} "
            "applied: it lost its end and grew again."
        )
    elif state == "missing":
        trouble = (
            f"Partition {partition} no longer holds the record at offset {anchor_offset} that {consumer} applied."
        )
    return Standing(consumer, partition, next_offset, (end or 0) - next_offset, state, trouble)


def _state(held: Logged | None, anchor: bytes) -> str:
    if held is None:
        return "missing"
    return "found" if record_hash(held.value) == anchor else "another record"
