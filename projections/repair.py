"""How does a log that lost records get them back? From the timeline, which holds each record byte for byte.

1. Per partition the rows of the timeline are compared with the log, from the newest down in pages, until they agree:
there lies the *floor*, behind which the log lost something. It is written down first. 2. What the log lost is
appended again, verbatim and in order, and the rows are told where it stands now. 3. The live positions go back to the
floors under a higher epoch, so that what was appended to the log in the meantime is read, too; what was read before
is a repeat. All the while the positions are held: no projector moves. Killed anywhere, the next start goes on; a
record that was appended twice is a repeat, and harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from domain.errors import LogDamaged, Misconfigured, Unavailable
from eventlog.port import Entry, Log, Logged, Mendable
from eventlog.sql import load
from projections.anchors import record_hash, records_at
from projections.checking import LogCheck, check_log
from projections.connecting import connected
from projections.moves import lock_switches, move_from, refuse_moved
from projections.registry import MODELS, NEXT, drop_beside

__all__ = ["Loss", "Repair", "RepairReport"]

_SQL = load("projections", "repair.sql")
_PAGE = 1000
"""Rows that are compared at a time."""
_BYTES = 4_000_000
"""Records that are appended together have at most this many, or are one."""
_LAST = (2**63 - 1, UUID(int=2**128 - 1))
_FIRST = (-1, UUID(int=0))


class _Owner(msgspec.Struct):
    owner: str


_owner = msgspec.json.Decoder(_Owner)


class Loss(NamedTuple):
    """What one partition lost. `floor`: everything from this offset on is read again. `rows`: events of the timeline
    whose record the log does not hold where it stood; they are put back. `passed`: offsets between the floor and the
    live position that had no row of their own (repeats, name clashes, dead letters): those are not put back."""

    partition: int
    floor: int
    rows: int
    passed: int


class RepairReport(NamedTuple):
    """What a repair found and did. `put_back`: records appended again. `filled`: records put into holes of the log.
    `emptied`: places in such holes whose record nobody has; an empty record stands there now. `letters`: dead letters
    that wait, whose record may be lost; they hold it, and redriving puts it back."""

    check: LogCheck
    losses: tuple[Loss, ...]
    put_back: int
    filled: int
    emptied: int
    letters: int


class _Row(NamedTuple):
    name: UUID
    offset: int
    sha256: bytes
    size: int


@dataclass
class Repair:
    """A repair of `log` from the timeline at `dsn`.

    every_record: compare all rows, not only from the newest down to where they agree. onto_another: the log was made
    anew, and is to be filled from nothing. `told` is called with (put back, to be put back).
    """

    dsn: str
    log: Log
    every_record: bool = False
    onto_another: bool = False
    told: Callable[[int, int], None] = lambda done, total: None
    _ends: dict[int, int] = field(init=False, default_factory=dict)

    def plan(self) -> RepairReport:
        """What `run` would do; changes nothing. Raises as `run` does."""
        with connected(self.dsn) as connection:
            self._refuse_moves(connection)
            check = check_log(connection, self.log)
            return self._found(connection, check, self._losses(connection, check))

    def run(self) -> RepairReport:
        """Repair. Raises Misconfigured for another log without `onto_another` and while a move has not ended,
        LogDamaged where the beginning of the log is gone, Unavailable if a part does not answer or another repair, a
        move or a rebuild is at work."""
        with connected(self.dsn) as connection, connected(self.dsn) as holder:
            if holder.execute(_SQL["try_lock"]).fetchone() != (True,):
                raise Unavailable("Another repair is at work; wait for it or stop it.")
            self._refuse_moves(connection)
            lock_switches(holder, [model.name for model in MODELS])
            holder.execute(_SQL["patience"])
            with holder.transaction():
                holder.execute(_SQL["hold"])
                filled, emptied = self._fill_holes(connection)
                check = check_log(connection, self.log)
                losses = self._losses(connection, check)
                found = self._found(connection, check, losses)
                if not losses:
                    holder.execute(_SQL["ended"])
                    return found._replace(filled=filled, emptied=emptied)
                floors = {"partitions": [one.partition for one in losses], "floors": [one.floor for one in losses]}
                connection.execute(_SQL["begin"], {"log_id": self.log.log_id, **floors})
                put_back = self._put_back(connection, losses)
                self._start_again(holder, losses)
        return found._replace(put_back=put_back, filled=filled, emptied=emptied)

    def _refuse_moves(self, connection: psycopg.Connection) -> None:
        """Rows and positions say where things stand on the log that counts; what a move fills has to be a copy."""
        refuse_moved(connection, self.log.log_id)
        away = move_from(connection, self.log.log_id)
        if away is not None and away.switched_at is None:
            raise Misconfigured(
                f"A move of this log to {away.to_log_id} was begun and has not ended: give it up by `storyline log "
                "move --abort`, then repair, then move."
            )

    def _found(self, connection: psycopg.Connection, check: LogCheck, losses: Sequence[Loss]) -> RepairReport:
        places = {"partitions": [one.partition for one in losses], "floors": [one.floor for one in losses]}
        log_ids = [self.log.log_id, *[one.log_id for one in check.others if check.of_another_log]]
        [letters] = connection.execute(_SQL["letters"], {**places, "log_ids": log_ids}).fetchone() or (0,)
        return RepairReport(check, tuple(losses), 0, 0, 0, letters)

    def _losses(self, connection: psycopg.Connection, check: LogCheck) -> list[Loss]:
        """What each partition lost; none where nothing is wrong."""
        if check.of_another_log and not self.onto_another:
            raise Misconfigured(
                f"{check.troubles[0]} If the log was made anew, give `--onto-another-log`: then all that the "
                "timeline holds is appended to it."
            )
        if check.cut_off_onto and not self.every_record:
            # Some of the rows say where they stand on that log, and any of them may.
            raise Misconfigured(check.troubles[-1])
        self._ends = dict(check.ends)
        self._check_beginnings()
        live: dict[int, int] = dict(connection.execute(_SQL["live"], {"log_id": self.log.log_id}).fetchall())
        begun: dict[int, int] = dict(connection.execute(_SQL["begun"], {"log_id": self.log.log_id}).fetchall())
        tops = {row[0]: row[1] for row in connection.execute(_SQL["partitions"]).fetchall()}
        wrong = {one.partition for one in check.standings if one.trouble} | begun.keys()
        found = []
        for partition in sorted(tops.keys() | live.keys() | begun.keys() | self._ends.keys()):
            floor, rows, seen = self._compare(connection, partition, begun.get(partition))
            if check.of_another_log:
                floor = 0
            elif floor is None and partition in wrong:
                floor = min(tops.get(partition, -1) + 1, self._ends.get(partition, 0))
            if floor is not None:
                floor = min(floor, begun.get(partition, floor), live.get(partition, 0))
                passed = max(0, live.get(partition, 0) - floor - seen)
                found.append(Loss(partition, floor, rows, passed))
        return found

    def _check_beginnings(self) -> None:
        """A log that lost its beginning cannot be read from its start any more, whatever is appended to it."""
        if isinstance(self.log, Mendable):
            return  # such a log has its holes filled
        firsts = [(partition, 0) for partition, end in self._ends.items() if end]
        for (partition, _), record in records_at(self.log, self._ends, firsts).items():
            if record is None:
                raise LogDamaged(
                    f"Partition {partition} has lost its beginning, which cannot be put back into its place. Make "
                    "a new log, point LOG_URL at it, and run `storyline log repair --onto-another-log`."
                )

    def _compare(
        self, connection: psycopg.Connection, partition: int, begun: int | None
    ) -> tuple[int | None, int, int]:
        """(floor or None, how many rows the log does not hold, how many rows stand at or behind the floor)"""
        place, lost, seen = _LAST, 0, 0
        lowest: int | None = None
        floor: int | None = None
        behind = 0
        while rows := self._page(connection, "page_below", partition, place):
            held = self._held(partition, [row.offset for row in rows])
            whole = True
            for row in rows:
                if held.get(row.offset) == row.sha256:
                    floor = row.offset + 1 if lowest is not None and floor is None else floor
                else:
                    lowest, floor, lost, behind, whole = row.offset, None, lost + 1, seen + 1, False
                seen += 1
            place = (rows[-1].offset, rows[-1].name)
            if whole and not self.every_record and (begun is None or rows[-1].offset < begun):
                break
        if lowest is None:
            return None, 0, 0
        return floor or 0, lost, behind

    def _page(
        self, connection: psycopg.Connection, query: str, partition: int, place: tuple[int, UUID], last: int = 0
    ) -> list[_Row]:
        asked = {"partition": partition, "offset": place[0], "name": place[1], "last": last, "limit": _PAGE}
        return [_Row(*row) for row in connection.execute(_SQL[query], asked).fetchall()]

    def _held(self, partition: int, offsets: Sequence[int]) -> dict[int, bytes]:
        """SHA-256 of the records that the log holds at these offsets."""
        end = self._ends.get(partition, 0)
        left = sorted({offset for offset in offsets if offset < end})
        found: dict[int, bytes] = {}
        most = _PAGE
        while left:
            try:
                records = self.log.read({partition: left[0]}, min(most, left[-1] - left[0] + 1), 5.0)
            except LogDamaged:
                if most == 1:
                    left.pop(0)  # the log has a hole here
                most = 1
                continue
            if not records:
                raise Unavailable("The log does not give records that it has. Try again later.")
            found.update((one.offset, sha256(one.value).digest()) for one in records)
            left = [offset for offset in left if offset > records[-1].offset]
            most = _PAGE
        return found

    def _put_back(self, connection: psycopg.Connection, losses: Sequence[Loss]) -> int:
        """Append what the log lost, in order, and tell the rows where it stands."""
        done, total = 0, sum(one.rows for one in losses)
        tops = {row[0]: row[1] for row in connection.execute(_SQL["partitions"]).fetchall()}
        self.told(done, total)
        for loss in losses:
            place = (loss.floor - 1, _LAST[1]) if loss.floor else _FIRST
            top = tops.get(loss.partition, -1)
            while rows := self._page(connection, "page_above", loss.partition, place, top):
                self._ends = self.log.ends()
                held = self._held(loss.partition, [row.offset for row in rows])
                lost = [row for row in rows if held.get(row.offset) != row.sha256]
                for some in _bounded(lost):
                    self._append(connection, loss.partition, some)
                    done += len(some)
                    self.told(done, total)
                place = (rows[-1].offset, rows[-1].name)
        return done

    def _append(self, connection: psycopg.Connection, partition: int, rows: Sequence[_Row]) -> None:
        found = connection.execute(_SQL["records"], {"names": [row.name for row in rows]}).fetchall()
        records: Mapping[UUID, bytes] = {name: bytes(record) for name, record in found}
        values = [records[row.name] for row in rows]
        places = self.log.append([Entry(_owner.decode(value).owner.encode(), value) for value in values])
        moved: dict[str, Any] = {
            "partition": partition,
            "names": [row.name for row in rows],
            "old": [row.offset for row in rows],
            "partitions": [place.partition for place in places],
            "offsets": [place.offset for place in places],
        }
        connection.execute(_SQL["moved"], moved)

    def _start_again(self, holder: psycopg.Connection, losses: Sequence[Loss]) -> None:
        """Within the transaction that holds them: the live positions go back to the floors, rebuilds begin anew."""
        mine = {"log_id": self.log.log_id}
        losses = [one for one in losses if one.partition in self._ends]
        before = [(one.partition, one.floor - 1) for one in losses if one.floor]
        anchors = {place[0]: record for place, record in records_at(self.log, self.log.ends(), before).items()}
        behind = [anchors.get(one.partition) for one in losses]
        floors = {
            "partitions": [one.partition for one in losses],
            "floors": [one.floor for one in losses],
            "anchor_offsets": [record.offset if record else None for record in behind],
            "anchors": [record_hash(record.value) if record else None for record in behind],
        }
        holder.execute(_SQL["start_again"], {**mine, **floors})
        holder.execute(_SQL["forget_other_logs"], mine)
        holder.execute(_SQL["fence"], mine)
        holder.execute(_SQL["forget_rebuilds"])
        for model in MODELS:
            drop_beside(holder, model, NEXT)
        holder.execute(_SQL["ended"])

    def _fill_holes(self, connection: psycopg.Connection) -> tuple[int, int]:
        """Put records back into their places where the log can have holes and has; gives (records, empty ones)."""
        filled = emptied = 0
        if isinstance(self.log, Mendable):
            for partition, holes in self.log.holes().items():
                for first, end in holes:
                    for some in (range(at, min(at + _PAGE, end)) for at in range(first, end, _PAGE)):
                        hole = {"partition": partition, "first": some[0], "end": some[-1] + 1}
                        rows = connection.execute(_SQL["in_hole"], hole).fetchall()
                        records = {offset: bytes(record) for offset, record in rows}
                        self.log.put_back([_filling(partition, offset, records.get(offset)) for offset in some])
                        filled += len(records)
                        emptied += len(some) - len(records)
        return filled, emptied


def _filling(partition: int, offset: int, record: bytes | None) -> Logged:
    """A record, or an empty one where nobody has it: so the log can be read on, and the place is parked."""
    if record is None:
        return Logged(partition, offset, b"", b"")
    return Logged(partition, offset, _owner.decode(record).owner.encode(), record)


def _bounded(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """The rows in order, as many together as fit into one append."""
    some: list[_Row] = []
    size = 0
    for row in rows:
        if some and size + row.size > _BYTES:
            yield some
            some, size = [], 0
        some.append(row)
        size += row.size
    if some:
        yield some
