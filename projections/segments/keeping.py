"""How do memberships follow a batch? In its transaction: of the customers that it touched, while they are held, every
rule is asked, and what differs is written; so whoever sees the event sees the membership.

The build that serves keeps who entered and left, from where it is announced. Another build, and one that was not
found out as a whole yet, only wakes whom a batch touches: it announces nothing (`filling.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
import structlog
from psycopg.errors import QueryCanceled

from eventlog.sql import load
from projections.contacts import NAME, evidence_of
from projections.rows import Batch, Derived
from projections.segments.compiling import Asked, Facing
from projections.segments.definitions import Defined, Definitions, kept_by
from projections.segments.evaluating import (
    Change,
    Moment,
    Told,
    evaluate,
    evaluate_lists,
    patient,
    record,
    told_at,
)
from projections.segments.needing import EVERYTHING, Shown
from projections.segments.reaching import Thing, mark_off, wake_reached
from projections.work.model import Item

__all__ = ["Keeper", "Met", "evidences_in", "note"]

_SQL: Final = load("projections.segments", "evaluating.sql")
_WAKING: Final = load("projections.segments", "waking.sql")
_logger = structlog.get_logger("storyline.segments")
_Cursor = psycopg.Cursor[Any]
_MOST_EVENTS: Final = 5
"""Most events that a change names as what led to it."""
_MOST_REASONED: Final = 1000
"""Most customers that changed at once of whom that is looked up: where a whole history comes in nobody asks."""


@dataclass(frozen=True, slots=True)
class Met:
    """Whom a batch met. held: all customers that it touched, who are held. fresh: those of them that nobody had to
    do with before. moved: those that evidences went from, or came to. settled: evidences of events that were
    corrected. things: of what, that customers have to do with, it says something. derived: what follows from its
    events. anew: evidences of which more is new than events. homes: who is at home where each evidence is.
    plain: each of its events is new, and counts as it stands."""

    batch: Batch
    held: Sequence[UUID]
    fresh: Collection[UUID]
    moved: Collection[UUID]
    settled: Collection[UUID]
    things: Collection[Thing]
    derived: Derived
    anew: Collection[UUID]
    homes: Mapping[bytes, UUID]
    plain: bool


@dataclass
class Keeper:
    """Keeps the memberships of one build. For one thread. clock: None for the database's."""

    facing: Facing
    suffix: str = ""
    clock: Moment | None = None
    changes: dict[tuple[str, bool], int] = field(default_factory=dict)
    """How many entered (True) and left each segment, for whoever measures."""
    _definitions: Definitions = field(init=False)

    def __post_init__(self) -> None:
        self._definitions = Definitions(self.facing)

    def defined(self, cursor: _Cursor) -> Defined | None:
        """What counts as of now; None where nobody is to be found out about."""
        return self._definitions.now(cursor)

    def evidences_of(self, cursor: _Cursor, items: Collection[Item]) -> set[UUID]:
        """Evidences of whom deals, tickets, tasks and leads are, or were, about."""
        if not items:
            return set()
        asked = {"items": [item for item, _ in items]}
        return {row[0] for row in cursor.execute(_SQL["evidences_of_items"], asked)}

    def mark_off(self, cursor: _Cursor, defined: Defined, things: Collection[Thing]) -> None:
        """Before anybody is held: go before or behind those who say something of products and organisations."""
        if defined.program is not None:
            mark_off(cursor, defined.program.watched, things)

    def keep(self, cursor: _Cursor, defined: Defined, met: Met) -> None:
        """Bring the memberships of those whom a batch met to what the rules say now."""
        if met.things and defined.program is not None:
            wake_reached(cursor, defined.program.watched, met.things)
        if not met.held:
            return
        if self.suffix or kept_by(cursor) is None:
            cursor.execute(_WAKING["wake"], {"customers": list(met.held), "why": "rebuild"})
            return
        now = told_at(cursor, self.clock, met.batch.newest)
        told = _Telling(defined, met)
        gone = self._follow(cursor, met, told)
        held = [one for one in met.held if one not in gone]
        told.add(evaluate_lists(cursor, defined.lists, _listed(met) - gone))
        asked = _asked(defined, met, held, now)
        if asked:
            with patient(cursor):
                told.add(self._evaluate(cursor, defined, asked, now))
        note(cursor, told.found(), now, self.changes)

    def _evaluate(
        self, cursor: _Cursor, defined: Defined, asked: Mapping[UUID, Asked], now: datetime
    ) -> list[Change]:
        try:
            customers, which = list(asked), list(asked.values())
            return evaluate(cursor, self._definitions, defined, customers, now, exact=False, asked=which)
        except (
            QueryCanceled
        ):  # some have a story so long that others would wait for them: they are asked by themselves
            _logger.warning("segments.slow", customers=len(asked))
            cursor.execute(_WAKING["wake"], {"customers": list(asked), "why": "event"})
            return []

    def _follow(self, cursor: _Cursor, met: Met, told: _Telling) -> set[UUID]:
        """Take those out who are nobody any more: one that goes by another id now takes along what they are in."""
        asked = set(met.held) if met.settled else {*met.fresh, *met.moved}
        if not asked:
            return set()
        heirs = {
            customer: (heir, known)
            for customer, heir, known in cursor.execute(_SQL["heirs"], {"customers": list(asked)})
        }
        renamed: dict[UUID, UUID] = {}
        for customer, (heir, known) in heirs.items():
            if heir in met.fresh and not known and heir not in renamed and customer not in met.fresh:
                renamed[heir] = customer
        told.renamed = set(renamed)
        told.winners = {heir for heir, _ in heirs.values() if heir is not None} - set(renamed)
        if renamed:
            moved = {"customers": list(renamed.values()), "heirs": list(renamed)}
            cursor.execute(_SQL["inherit"], moved)
            cursor.execute(_SQL["inherit_changes"], moved)
        if heirs:
            gone = {"customers": list(heirs)}
            left = [Change(*row) for row in cursor.execute(_SQL["forget"], gone).fetchall()]
            cursor.execute(_SQL["forget_subjects"], gone)
            for one in left:
                told.add([one], "correction" if heirs[one.customer][0] is None else "merged")
        return set(heirs)


def _listed(met: Met) -> set[UUID]:
    """Those whose identifiers may be others now, of which lists consist."""
    homes = [met.homes.get(one.bytes) for one in met.anew]
    return {*met.fresh, *met.moved, *[home for home in homes if home is not None]}


def _asked(defined: Defined, met: Met, held: Iterable[UUID], now: datetime) -> dict[UUID, Asked]:
    """Which rules each customer is asked: those that what the batch tells may change. Who is asked none is left
    out."""
    showing = defined.showing if met.plain else 0
    told, shown = defined.topics.told(met.batch, met.derived, met.anew, now, showing)
    topics: dict[UUID, int] = {}
    shows: dict[UUID, Shown] = {}
    for evidence, customer in met.homes.items():
        topics[customer] = topics.get(customer, 0) | told.get(evidence, 0)
        if evidence in shown:
            shows[customer] = shown[evidence].with_(shows.get(customer))
    topics.update(dict.fromkeys([*met.fresh, *met.moved], EVERYTHING))
    found: dict[UUID, Asked] = {}
    for one in held:
        asked = defined.reached_by(topics.get(one, EVERYTHING))
        if asked.rules is None or "1" in asked.rules:
            found[one] = defined.shown_by(shows.get(one), asked)
    return found


def evidences_in(batch: Batch) -> set[bytes]:
    """All that the events of a batch name."""
    return {batch.evidences[place : place + 16] for place in range(0, len(batch.evidences), 16)}


class _Telling:
    """Why did those change whom a batch changed?"""

    def __init__(self, defined: Defined, met: Met) -> None:
        self._defined, self._met = defined, met
        self._found: list[tuple[Change, str | None]] = []
        self.renamed: set[UUID] = set()
        self.winners: set[UUID | None] = set()

    def add(self, changes: Sequence[Change], because: str | None = None) -> None:
        """More of them. because: where it is known already."""
        self._found += [(one, because) for one in changes if (one.segment, one.version) in self._defined.serving]

    def found(self) -> list[Told]:
        """All that is told, of versions that serve."""
        if not self._found:
            return []
        changed = {one.customer for one, _ in self._found}
        corrected = self._homes([one.bytes for one in self._met.settled], changed)
        events = self._events(changed) if len(changed) <= _MOST_REASONED else {}
        told = []
        for one, because in self._found:
            code = because or self._because(one.customer, corrected)
            announce = self._defined.announced.get(one.segment, False)
            told.append(Told(one, code, self._reason(one, events.get(one.customer, ())), announce))
        return told

    def _because(self, customer: UUID, corrected: Mapping[UUID, Any]) -> str:
        if customer in self.winners:
            return "merged"
        if customer in self._met.moved and customer not in self.renamed:
            return "split"
        return "correction" if customer in corrected else "event"

    def _reason(self, one: Change, events: Sequence[str]) -> str:
        reason: dict[str, Any] = {}
        if rule := self._defined.hashes.get((one.segment, one.version)):
            reason["rule"] = rule
        if events:
            reason["events"] = events
        return msgspec.json.encode(reason).decode()

    def _homes(self, evidences: Iterable[bytes], customers: Collection[UUID]) -> dict[UUID, list[bytes]]:
        """The evidences of each of these customers, of these."""
        found: dict[UUID, list[bytes]] = {}
        for evidence in evidences:
            customer = self._met.homes.get(evidence)
            if customer is not None and customer in customers:
                found.setdefault(customer, []).append(evidence)
        return found

    def _events(self, customers: Collection[UUID]) -> dict[UUID, list[str]]:
        """Names of the first few events of the batch about each of these customers."""
        names: dict[bytes, list[str]] = {}
        for row in self._met.batch.first.events.rows():
            evidence = evidence_of(row)
            if evidence is not None:
                names.setdefault(evidence, []).append(row[NAME].hex())
        return {
            customer: [name for evidence in evidences for name in names[evidence]][:_MOST_EVENTS]
            for customer, evidences in self._homes(names, customers).items()
        }


def note(cursor: _Cursor, told: Sequence[Told], at: datetime, counted: dict[tuple[str, bool], int]) -> None:
    """Keep changes, and count them by segment and direction."""
    record(cursor, told, at)
    for one in told:
        place = one.change.segment, one.change.entered
        counted[place] = counted.get(place, 0) + 1
