"""How is what follows from an event made anew? For the few that do not count as they stand: taken back, put right, or
recorded earlier than what was kept so far.

Whatever the order in which an event and what speaks of it arrive, the last of them finds the others here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from domain.corrections import Effect, Said, effects
from domain.errors import Poison
from eventlog.record import Record, decode
from eventlog.sql import load
from projections.columns import micros_of
from projections.deriving import RULINGS, Anew, Deriver
from projections.directory import model as directory
from projections.figures import model as figures
from projections.lines import Line, More
from projections.packing import mark
from projections.rows import NOTHING_MORE, Derived, RulingSeen
from projections.work import model as work
from projections.work.model import Item

__all__ = ["Settled", "Settler", "earliest", "lock", "loose_among", "loosen", "recount_contacts"]

_SQL: Final = load("projections", "settling.sql")
_FACTS: Final = load("projections.customers", "apply.sql")
_Cursor = psycopg.Cursor[Any]


class _Stored(NamedTuple):
    """An event as the timeline holds it."""

    name: UUID
    happened_at: datetime
    recorded_at: datetime
    log_partition: int
    log_offset: int
    record: bytes


@dataclass(slots=True)
class Settled:
    """What settling left to do. `evidences`: whose earliest time is to be looked up, with their tokens (none of those
    that the events do not name any more); `rulings`: all that were settled, and whether each counts; `items`: deals,
    tickets, tasks and leads whose steps were taken away, to be folded anew; `orders`: of trades that were taken away;
    `times`: when the events happened, now and before; `things`: of what (kind, ref) they told so far."""

    derived: Derived = NOTHING_MORE
    evidences: dict[UUID, tuple[str, ...]] = field(default_factory=dict)
    orders: set[UUID] = field(default_factory=set)
    times: set[datetime] = field(default_factory=set)
    rulings: list[tuple[RulingSeen, bool]] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    things: list[tuple[str, str]] = field(default_factory=list)


class Settler:
    """Settles events within the transaction of a batch, which goes alone."""

    def __init__(self, deriver: Deriver) -> None:
        self._deriver = deriver
        self._line = msgspec.json.Decoder(Line)

    def concerned(self, cursor: _Cursor, names: str, changed: Collection[UUID], correcting: bool) -> set[UUID]:
        """Which events have to be settled? `names`: all of the batch, as Postgres writes an array; `changed`: those
        whose row is another now."""
        found = {row[0] for row in cursor.execute(_SQL["spoken_of"], {"names": names})} | set(changed)
        asked: Any = names if correcting else list(changed)
        if asked:
            found.update(row[0] for row in cursor.execute(_SQL["targets"], {"names": asked}))
        return found

    def settle(self, cursor: _Cursor, names: Collection[UUID], before: Collection[bytes]) -> Settled:
        """Take away what followed from these events so far, and make anew what follows from them now. `before`:
        evidences that they may have been about until now."""
        wanted = {"names": list(names)}
        stored = [_Stored(*row) for row in cursor.execute(_SQL["records"], wanted).fetchall()]
        what = effects(names, [Said(*row) for row in cursor.execute(_SQL["said"], wanted).fetchall()])
        cursor.execute(_SQL["forget_corrected"], wanted)
        former = {row[0] for row in cursor.execute(_SQL["forget_parties"], wanted)}
        former.update(UUID(bytes=evidence) for evidence in before)
        trades = cursor.execute(_FACTS["forget_trades"], wanted).fetchall()
        for table in ("consents", "answers"):
            cursor.execute(_FACTS[f"forget_{table}"], wanted)
        things = cursor.execute(_SQL["things_of"], wanted).fetchall()
        figures.forget(cursor, names)
        directory.forget(cursor, list(names))
        items = work.forget(cursor, names)
        amendments = _amendments(cursor, what)
        events = [self._anew(one, what[one.name], amendments) for one in stored]
        self._note(cursor, events)
        follows = self._deriver.follow([one.more for one in events], {one.more.mark: one for one in events})
        settled = Settled(follows.derived, dict.fromkeys(former, ()), items=items, things=things)
        settled.orders = {order for order, _ in trades}
        settled.times = {one.happened_at for one in stored} | {at for _, at in trades}
        for sighting in follows.sightings:
            settled.evidences[sighting.evidence] = sighting.tokens
        retracted = {one.more.mark for one in events if one.retracted}
        settled.rulings = [(ruling, ruling.mark not in retracted) for ruling in follows.rulings]
        if settled.evidences:
            cursor.execute(_SQL["loosen"], {"evidences": list(settled.evidences)})
        return settled

    def _anew(self, stored: _Stored, effect: Effect, amendments: Mapping[UUID, Record]) -> Anew:
        line = self._line.decode(stored.record)
        times = (micros_of(stored.happened_at), micros_of(stored.recorded_at))
        its_mark = mark(stored.name.bytes, stored.log_partition, stored.log_offset)
        more = More(its_mark, line, stored.happened_at, times, stored.record, True)
        for name in effect.amendments:
            amendment = amendments.get(name)
            # An amendment says of which type it thinks the event is; the content of another type would make no sense.
            if amendment is not None and amendment.head.public.get("type") == line.type:
                return Anew(more, effect.retracted, name, amendment)
        return Anew(more, effect.retracted, None, None)

    def _note(self, cursor: _Cursor, events: list[Anew]) -> None:
        noted = [one for one in events if one.retracted or one.amended_by is not None]
        if noted:
            parameters = {
                "names": [UUID(bytes=one.more.mark[:16]) for one in noted],
                "retracted": [one.retracted for one in noted],
                "amended": [one.amended_by for one in noted],
            }
            cursor.execute(_SQL["put_corrected"], parameters)


def recount_contacts(cursor: _Cursor, evidences: Collection[UUID]) -> None:
    """Make the sums of these evidences anew, over all events that count."""
    asked = {"evidences": list(evidences)}
    cursor.execute(_FACTS["forget_contacts"], asked)
    cursor.execute(_FACTS["recount_contacts"], asked)


def earliest(cursor: _Cursor, evidences: Collection[UUID]) -> dict[UUID, datetime | None]:
    """Since when each of these evidences is known, by the events that count; None where none does."""
    asked = {"evidences": list(evidences), "rulings": list(RULINGS)}
    return dict(cursor.execute(_SQL["earliest"], asked).fetchall())


def loose_among(cursor: _Cursor, evidences: bytes) -> list[UUID]:
    """Which of these evidences (16 bytes each) have to be looked up whenever one comes?"""
    if cursor.execute(_SQL["any_loose"]).fetchone() != (True,):
        return []
    asked = [UUID(bytes=evidences[place : place + 16]) for place in range(0, len(evidences), 16)]
    return [row[0] for row in cursor.execute(_SQL["loose"], {"evidences": asked})]


def loosen(cursor: _Cursor, evidences: Collection[UUID]) -> None:
    """Look these evidences up whenever one comes: what readers remember of them may be too early."""
    cursor.execute(_SQL["loosen"], {"evidences": list(evidences)})


def lock(cursor: _Cursor, key: int, alone: bool) -> None:
    """Go side by side with other batches, or alone, to the end of the transaction."""
    cursor.execute(_SQL["lock_alone" if alone else "lock_shared"], {"key": key})


def _amendments(cursor: _Cursor, what: Mapping[UUID, Effect]) -> dict[UUID, Record]:
    names = {name for effect in what.values() for name in effect.amendments}
    if not names:
        return {}
    found: dict[UUID, Record] = {}
    for row in cursor.execute(_SQL["records"], {"names": list(names)}).fetchall():
        one = _Stored(*row)
        try:
            found[one.name] = decode(one.record)
        except Poison:
            continue
    return found
