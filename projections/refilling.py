"""How does what follows from events come into a build, out of the timeline instead of the log? By the same functions
as live: each record is derived by `deriving.py` as it counts by now, and the rows go the same ways.

An event that was not there when the filling began, or that something new speaks of, is taken away and brought in
again, whatever was known of it: so a stretch may be filled twice, and what ends up in the tables is what the timeline
says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from domain.catalogue.registry import Catalogue
from domain.errors import Poison
from eventlog.record import Head, Record, decode, ref_hash
from eventlog.sql import load
from projections import settling
from projections.columns import hash16, micros_of
from projections.customers import model as customers
from projections.deriving import RULINGS, Anew, Deriver, Reading
from projections.directory import model as directory
from projections.directory.extracting import CLAIMING, CODE_KINDS, identifier_rows, identifier_terms
from projections.directory.rows import PackedRows, pack_identifier, pack_term
from projections.figures import model as figures
from projections.figures.extracting import naming_types
from projections.identity import apply as identity
from projections.identity import filling
from projections.identity.tables import Tables
from projections.lines import Line, More, ref_kind
from projections.opening import Opener
from projections.packing import MARK_SIZE, copy_in, mark, pack
from projections.registry import NEXT, on_schemas
from projections.rows import Derived, RulingSeen
from projections.stories import quarter_of
from projections.work import model as work

__all__ = ["Refill", "Stored"]

_SQL: Final = load("projections", "refilling.sql")
_FACTS: Final = load("projections.customers", "apply.sql")
_WORK: Final = load("projections.work", "apply.sql")
_STEP: Final = 400
"""Locks of their own for builds that are filled so."""
_MEMORY: Final = 500_000
_TYPES: Final = 4096
_AT_ONCE: Final = 5000
_LAST: Final = 2**128 - 1
_NO_MARK: Final = bytes(MARK_SIZE)
_Cursor = psycopg.Cursor[Any]


class Stored(NamedTuple):
    """An event as the timeline holds it, and what puts it right."""

    name: UUID
    evidence: UUID | None
    happened_at: datetime
    recorded_at: datetime
    log_partition: int
    log_offset: int
    record: bytes
    retracted: bool
    amended_by: UUID | None
    amendment: bytes | None


class _Read(NamedTuple):
    """Events of which more follows, and how those count that do not stand as they are."""

    more: list[More]
    anew: dict[bytes, Anew]


class Refill:
    """Fills the builds of some read models within the caller's transactions, which have put them first in the search
    path. Belongs to one thread; opens the key store where the directory is among them."""

    def __init__(self, models: Collection[str], reading: Reading) -> None:
        self._models = frozenset(models)
        self._opener = Opener(reading.keys) if "directory" in self._models else None
        catalogue = reading.catalogue()
        self._deriver = _Deriver(catalogue, self._opener, self._models)
        self._line = msgspec.json.Decoder(Line)
        self._types = [one.name for one in catalogue if self._telling(one.name)]
        if "figures" in self._models:
            self._types += naming_types(catalogue)
        self._refs = bool(self._models & {"customers", "figures", "directory"})
        self._codes: set[bytes] = set()
        self._told: dict[str, bool] = {}

    def close(self) -> None:
        """Let go of the key store."""
        if self._opener is not None:
            self._opener.close()

    def forget(self) -> None:
        """What was filled last was not committed: nothing of it is known."""
        self._codes.clear()

    def chunk(self, cursor: _Cursor, partition: int, start: int, end: int) -> None:
        """Fill in what follows from single events of a stretch that was never filled."""
        asked = {"partition": partition, "start": start, "end": end, "refs": self._refs, "types": self._types}
        rows = [Stored(*row) for row in cursor.execute(_SQL["chunk"], asked)]
        read = self._read(rows, False)
        derived = self._deriver.follow(read.more, read.anew).derived
        self._copy(cursor, derived)
        if "work" in self._models:
            copy_in(cursor, _WORK["copy_notices"], derived.notices)
            copy_in(cursor, _WORK["copy_steps"], derived.steps)

    def people(self, cursor: _Cursor, place: int, places: int) -> None:
        """Fill in what the evidences in one of so many ranges of ids say of people: one event of each is read. Who is
        who is found out by `place` and `homes`, once all is said and ruled."""
        rows = cursor.execute(_SQL["evidences"], {**_range(place, places), "rulings": list(RULINGS)}).fetchall()
        records = [decode(record) for _, _, record in rows] if self._opener is not None else []
        if "identity" in self._models:
            heads: list[Line | Head] = [one.head for one in records]
            heads = heads or [self._line.decode(record) for _, _, record in rows]
            said = [(one, _tokens_of(head, one), at) for head, (one, at, _) in zip(heads, rows, strict=True)]
            filling.say(cursor, said)
        if self._opener is not None:
            self._names(cursor, self._opener, records)

    def _names(self, cursor: _Cursor, opener: Opener, records: Sequence[Record]) -> None:
        """Fill in the identifiers in these events, which are opened."""
        identified: list[tuple[bytes, bytes]] = []
        terms: list[tuple[bytes, bytes]] = []
        for record, opened in zip(records, opener.open(records), strict=True):
            if opened is not None:
                found = identifier_rows(record, opened, opener.hasher)
                identified += [(_NO_MARK, pack_identifier(one)) for one in found]
                terms += [(_NO_MARK, pack_term(one)) for one in identifier_terms(found)]
        rest = [pack(()) for _ in PackedRows._fields]
        packed = PackedRows(*rest)._replace(identifiers=pack(identified), terms=pack(terms))
        directory.apply(cursor, packed)

    def rulings(self, cursor: _Cursor) -> None:
        """Fill in what stewards ruled."""
        rows = [Stored(*row) for row in cursor.execute(_SQL["rulings"], {"types": list(RULINGS)})]
        identity.keep(cursor, self._ruled(rows))

    def place(self, cursor: _Cursor) -> None:
        """Work out what hangs together, once `people` and `rulings` are filled in."""
        cursor.execute(on_schemas("search_path_of", f"identity{NEXT}"))
        filling.place(cursor.connection, Tables(cursor).rules())

    def homes(self, cursor: _Cursor, place: int, places: int) -> None:
        """Fill in who is who, of one of so many shares of the components."""
        cursor.execute(on_schemas("search_path_of", f"identity{NEXT}"))
        filling.resolve_share(cursor.connection, Tables(cursor).rules(), place, places)

    def placed(self, cursor: _Cursor) -> None:
        """Every component is filled in: forget how, and take over what live remembers of evidences that moved."""
        self._remember(cursor)
        filling.end(cursor.connection)

    def contacts(self, cursor: _Cursor, place: int, places: int) -> None:
        """Fill in the sums of the evidences in one of so many ranges of ids."""
        cursor.execute(_SQL["contacts"], _range(place, places))

    def contacts_again(self, cursor: _Cursor) -> None:
        """Make all sums anew."""
        cursor.execute(_SQL["forget_contacts"])
        self.contacts(cursor, 0, 1)

    def trade_sums(self, cursor: _Cursor) -> None:
        """Sum up what was bought, once it is known which trades count."""
        cursor.execute(_SQL["trade_sums"])

    def trade_sums_again(self, cursor: _Cursor) -> None:
        """Make all these sums anew."""
        cursor.execute(_SQL["forget_trade_sums"])
        self.trade_sums(cursor)

    def items(self, cursor: _Cursor, after: UUID, limit: int) -> UUID | None:
        """Fold the next items; gives the last of them, None where there are none left."""
        found = cursor.execute(_SQL["items"], {"after": after, "limit": limit}).fetchall()
        work.apply(cursor, [], found)
        return found[-1][0] if found else None

    def orders(self, cursor: _Cursor) -> None:
        """Find out which trades count of all orders that several sources tell of."""
        self._count(cursor, [row[0] for row in cursor.execute(_SQL["orders"])])

    def window(self, cursor: _Cursor, start: Mapping[int, int], end: Mapping[int, int]) -> int:
        """Bring in again what came between these positions, and what that speaks of; gives how many events."""
        partitions = [part for part in end if start.get(part, 0) < end[part]]
        asked = {
            "partitions": partitions,
            "starts": [start.get(part, 0) for part in partitions],
            "ends": [end[part] for part in partitions],
        }
        rows = [Stored(*row) for row in cursor.execute(_SQL["window"], asked)] if partitions else []
        if rows:
            self._bring(cursor, rows)
        return len(rows)

    def _bring(self, cursor: _Cursor, rows: Sequence[Stored]) -> None:
        names = [one.name for one in rows]
        orders, times, items = self._take_away(cursor, names)
        read = self._read(rows, True)
        derived = self._deriver.follow(read.more, read.anew).derived
        self._copy(cursor, derived)
        if "customers" in self._models:
            customers.note_trades(cursor, derived)
        evidences: dict[UUID, tuple[str, ...]] = {}
        for one in rows:
            evidences |= _people_of(self._line.decode(one.record))
        if "customers" in self._models and evidences:
            settling.recount_contacts(cursor, evidences)
        moved: set[UUID] = set()
        if "identity" in self._models:
            moved = self._resolve(cursor, rows, evidences)
        if "work" in self._models:
            work.apply(cursor, [derived], items)
        around = {row[0] for row in cursor.execute(_SQL["around"], {"evidences": list(evidences)})} | moved
        if "customers" in self._models:
            orders |= {row[0] for row in cursor.execute(_SQL["orders_named"], {"names": names})}
            orders |= {row[0] for row in cursor.execute(_SQL["orders_of"], {"customers": list(around)})}
            times |= self._count(cursor, list(orders))
            customers.sum_trades(cursor)
        if "figures" in self._models:
            times.update([one.happened_at for one in rows])
            figures.touch(cursor, {quarter_of(at).isoformat() for at in times})
            if {"identity", "customers"} <= self._models:
                figures.touch_buyers(cursor, [one.bytes for one in evidences], around, {one.hex for one in orders})
            else:  # who went from where, and what was taken back, is known to those alone who moved it
                figures.give_up_buyers(cursor)
        if "segments" in self._models:
            cursor.execute(_SQL["wake"], {"customers": list(around)})

    def _take_away(self, cursor: _Cursor, names: list[UUID]) -> tuple[set[UUID], set[datetime], list[work.Item]]:
        """Take away what followed from these events; gives the orders of trades among them, when those happened, and
        items to be folded anew."""
        asked, items = {"names": names}, list[work.Item]()
        orders, times = set[UUID](), set[datetime]()
        if "customers" in self._models:
            for order, at in cursor.execute(_FACTS["forget_trades"], asked).fetchall():
                orders.add(order)
                times.add(at)
            for table in ("consents", "answers"):
                cursor.execute(_FACTS[f"forget_{table}"], asked)
        if "figures" in self._models:
            figures.forget(cursor, names)
        if "directory" in self._models:
            directory.forget(cursor, names)
        if "work" in self._models:
            items = work.forget(cursor, names)
        return orders, times, items

    def _copy(self, cursor: _Cursor, derived: Derived) -> None:
        """Rows that follow from single events, but for those of `work`."""
        if "customers" in self._models:
            customers.apply(cursor, derived._replace(contacts=pack(())))
        if "figures" in self._models:
            figures.apply(cursor, [derived])
        if "directory" in self._models:
            rows = PackedRows(*[getattr(derived, table) for table in PackedRows._fields])
            directory.apply(cursor, rows)

    def _resolve(
        self, cursor: _Cursor, rows: Sequence[Stored], evidences: Mapping[UUID, tuple[str, ...]]
    ) -> set[UUID]:
        """Find out who is who since these events, and what rulings among them say; gives customers that moved."""
        times = settling.earliest(cursor, evidences) if evidences else {}
        shown = {one: (tokens, times.get(one)) for one, tokens in evidences.items()}
        found = identity.Shown(recounted=shown, rulings=self._ruled(rows))
        moved = identity.apply(cursor, found, identity.LOCK + _STEP).moved
        self._remember(cursor)
        return moved

    def _ruled(self, rows: Sequence[Stored]) -> list[tuple[RulingSeen, bool]]:
        """The rulings among these events, and whether each counts."""
        rulings: list[tuple[RulingSeen, bool]] = []
        for one in rows:
            line = self._line.decode(one.record)
            if line.type in RULINGS:
                more = self._more(one, line, False)
                rulings += [(seen, not one.retracted) for seen in self._deriver.follow([more]).rulings]
        return rulings

    def _remember(self, cursor: _Cursor) -> None:
        if "timeline" not in self._models:  # who made it out of the log noted there what is loose
            cursor.execute(_SQL["loose"])

    def _count(self, cursor: _Cursor, orders: list[UUID]) -> set[datetime]:
        """Find out which trades of these orders count; gives when those happened of which that changed."""
        times: set[datetime] = set()
        for first in range(0, len(orders), _AT_ONCE):
            asked = {"orders": orders[first : first + _AT_ONCE]}
            times.update(row[0] for row in cursor.execute(_FACTS["count_trades"], asked))
        return times

    def _read(self, rows: Sequence[Stored], again: bool) -> _Read:
        """What more follows from. again: nothing of it is taken for known."""
        more: list[More] = []
        anew: dict[bytes, Anew] = {}
        directory = "directory" in self._models
        for stored in rows:
            line = self._line.decode(stored.record)
            spoken = stored.retracted or stored.amended_by is not None
            unmet = again and bool(line.tokens or line.parties)
            numbered = bool(line.refs) and directory and self._numbered(line, again)
            if not (spoken or unmet or numbered or self._tells(line)):
                continue
            one = self._more(stored, line, unmet, numbered)
            more.append(one)
            if spoken:
                anew[one.mark] = Anew(one, stored.retracted, stored.amended_by, _amendment(stored.amendment))
        return _Read(more, anew)

    def _more(self, stored: Stored, line: Line, unmet: bool, numbered: bool = False) -> More:
        times = (micros_of(stored.happened_at), micros_of(stored.recorded_at))
        its_mark = mark(stored.name.bytes, stored.log_partition, stored.log_offset)
        return More(its_mark, line, stored.happened_at, times, stored.record, unmet, False, numbered)

    def _numbered(self, line: Line, again: bool) -> bool:
        """Does it name a number that the directory may not know yet?"""
        numbers = {ref_hash(ref) for ref in line.refs if ref_kind(ref) in CODE_KINDS}
        if numbers <= self._codes:
            return again and bool(numbers)
        if len(self._codes) > _MEMORY:
            self.forget()
        self._codes |= numbers
        return True

    def _telling(self, type: str) -> bool:
        """Does more follow from every event of this type?"""
        deriver, models = self._deriver, self._models
        return (
            ("customers" in models and deriver.tells(type))
            or ("figures" in models and deriver.figures(type))
            or ("work" in models and deriver.works(type))
            or ("directory" in models and type in CLAIMING)
        )

    def _tells(self, line: Line) -> bool:
        """Does more follow from it for one of the read models that are filled?"""
        telling = self._told.get(line.type)
        if telling is None:
            telling = self._telling(line.type)
            if len(self._told) < _TYPES:
                self._told[line.type] = telling
        if telling:
            return True
        if not self._models & {"customers", "figures"} or not self._deriver.touches(line.type):
            return False
        return bool(line.refs and self._deriver.refers(line)) or self._deriver.speaks(line)


class _Deriver(Deriver):
    """Derives what is of some read models alone."""

    def __init__(self, catalogue: Catalogue, opener: Opener | None, models: Collection[str]) -> None:
        super().__init__(catalogue, opener)
        self._models = frozenset(models)

    def _fact_rows(self, one: More, said: tuple[int, Any] | None) -> tuple[bytes | None, bytes | None, bytes | None]:
        return super()._fact_rows(one, said) if "customers" in self._models else (None, None, None)

    def _figures_of(self, one: More, said: tuple[int, Any]) -> tuple[Sequence[bytes], ...]:
        return super()._figures_of(one, said) if "figures" in self._models else ((),) * 5

    def _work_of(self, one: More, said: tuple[int, Any] | None) -> tuple[list[bytes], list[bytes]]:
        return super()._work_of(one, said) if "work" in self._models else ([], [])


def _range(place: int, places: int) -> dict[str, UUID]:
    """Ids are hashes, so that ranges of equal width hold about equally many."""
    first, after = place * (_LAST + 1) // places, (place + 1) * (_LAST + 1) // places
    return {"first": UUID(int=first), "last": UUID(int=after - 1)}


def _people_of(line: Line) -> dict[UUID, tuple[str, ...]]:
    """The evidences that an event names, with their tokens."""
    found = {UUID(bytes=hash16(line.evidence)): line.tokens} if line.tokens else {}
    return found | {UUID(bytes=hash16(one.evidence)): one.tokens for one in line.parties if one.tokens}


def _tokens_of(line: Line | Head, evidence: UUID) -> tuple[str, ...]:
    """The tokens of an evidence that an event names."""
    its = evidence.hex
    if line.tokens and line.evidence[-32:] == its:
        return line.tokens
    return next(one.tokens for one in line.parties if one.tokens and one.evidence[-32:] == its)


def _amendment(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return decode(value)
    except Poison:
        return None
