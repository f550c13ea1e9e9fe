"""How does one batch come into all read models? They are one family: applied together, in one transaction, because
what is new, what is a repeat and what counts is decided once, for all of them.

The order of steps is the order of locks, so that two projectors do not deadlock: events by name, who is who, sums by
evidence, the items of `work`, the directory, customers whose whole story counts. A batch of ordinary events goes side
by side with those of other
projectors; one that settles corrections or moved repeats goes alone.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections import settling, stories
from projections.contacts import evidence_of, recounted
from projections.customers import model as customers
from projections.deriving import Deriver
from projections.directory import model as directory
from projections.directory.rows import PackedRows
from projections.figures import model as figures
from projections.identity import apply as identity
from projections.packing import NAME_SIZE, copy_in
from projections.rows import Batch, Derived, Sighting
from projections.segments.compiling import Facing
from projections.segments.keeping import Keeper
from projections.settling import Settled, Settler
from projections.stories import Touched
from projections.timeline import model as timeline
from projections.timeline.model import Lost, Outcome
from projections.work import model as work

__all__ = ["Family", "GoAloneError", "Lost", "TimelineAlone"]

_TIMELINE: Final = load("projections.timeline", "apply.sql")
_ALONE: Final = 7053081012
_SUFFIXES: Final = {"": 0, "_next": 100, "_move": 200}
"""Builds beside each other have locks of their own, by this step."""
_Cursor = psycopg.Cursor[Any]


class GoAloneError(Exception):
    """This batch turned out to settle something; the transaction has to be begun again, alone."""


class Family:
    """Applies batches to the read models of one build, whose schemas stand first in the search path."""

    def __init__(self, deriver: Deriver, suffix: str = "", keeper: Keeper | None = None) -> None:
        self._settler = Settler(deriver)
        self._step = _SUFFIXES.get(suffix, 0)
        self.keeper = Keeper(Facing(), suffix) if keeper is None else keeper
        """Of who is in which segment."""
        self.mistaken = False
        """The reader took identifiers of the last batch for known that nothing shows: it has to start afresh."""
        self.spent: dict[str, float] = {}
        """Seconds by part, for whoever measures."""

    def apply(self, cursor: _Cursor, batch: Batch, alone: bool = False) -> list[Lost]:
        """Apply a batch within the caller's transaction; gives the name clashes. Raises GoAloneError where it has to
        be tried again with `alone`."""
        alone = alone or batch.correcting
        with self._timed("timeline"):
            settling.lock(cursor, _ALONE + self._step, alone)
            outcome = timeline.apply(cursor, batch)
        with self._timed("settling"):
            return self._follow(cursor, batch, outcome, alone)

    def _follow(self, cursor: _Cursor, batch: Batch, outcome: Outcome, alone: bool) -> list[Lost]:
        """Apply what follows from a batch beside the timeline's own rows."""
        kept, settled = self._told_apart(cursor, batch, outcome, alone)
        with self._timed("identity"):
            shown = _shown(cursor, batch, kept, settled)
            self.mistaken = any(_unnamed(one, shown, settled) for one in kept.dropped)
            moved, changed = identity.apply(cursor, shown, identity.LOCK + self._step)
        with self._timed("customers"):
            customers.apply(cursor, kept.derived)
            customers.apply(cursor, settled.derived)
            customers.note_trades(cursor, kept.derived)
            customers.note_trades(cursor, settled.derived)
        with self._timed("work"):
            items = work.apply(cursor, [kept.derived, settled.derived], settled.items)
        with self._timed("figures"):
            figures.apply(cursor, [kept.derived, settled.derived])
        if kept.recount or settled.evidences:
            again = {UUID(bytes=one) for one in kept.recount} | settled.evidences.keys()
            settling.recount_contacts(cursor, again)
        with self._timed("directory"):
            directory.apply(cursor, _directory(kept.derived, settled.derived))
        with self._timed("stories"):
            anew = {*changed, *shown.recounted, *(one.evidence for one in shown.sightings if one.at is None)}
            touched = Touched(batch, [kept.derived, settled.derived], settled, moved, items, anew, kept.plain)
            stories.apply(cursor, touched, self.keeper)
        return outcome.lost

    def _told_apart(self, cursor: _Cursor, batch: Batch, outcome: Outcome, alone: bool) -> tuple[_Kept, Settled]:
        """Tell what counts as it stands from what has to be settled, settle that, bring in the parties of both."""
        names = self._settler.concerned(cursor, batch.names, outcome.changed, batch.correcting)
        if names and not alone:
            raise GoAloneError
        settled = self._settler.settle(cursor, names, outcome.evidences) if names else Settled()
        kept = _Kept(batch, outcome, names)
        for derived in (kept.derived, settled.derived):
            copy_in(cursor, _TIMELINE["copy_parties"], derived.parties)
        return kept, settled

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Count the seconds of one part, without those of the parts within it."""
        began, before = time.perf_counter(), sum(self.spent.values())
        try:
            yield
        finally:
            within = sum(self.spent.values()) - before
            self.spent[part] = self.spent.get(part, 0.0) + time.perf_counter() - began - within


class TimelineAlone(Family):
    """Applies batches to the timeline, and to no other read model: those are made of it afterwards. What it notes of
    evidences whose time may be told too early (`loose`) is what a family of all notes."""

    def _follow(self, cursor: _Cursor, batch: Batch, outcome: Outcome, alone: bool) -> list[Lost]:
        _shown(cursor, batch, *self._told_apart(cursor, batch, outcome, alone))
        return outcome.lost


class _Kept:
    """What of a batch's consequences holds: of the events that are new and count as they stand. `dropped`: sightings
    of others, repeats that may name whom nobody names (someone came back after an erasure); `recount`: evidences of
    events that were settled, whose sums are made anew; `plain`: all of it holds."""

    def __init__(self, batch: Batch, outcome: Outcome, settled: Collection[UUID]) -> None:
        self.plain = not settled and not outcome.doubtful
        names = {name.bytes for name in settled}
        # A repeat within the batch makes its first event no less new.
        gone = (outcome.doubtful - outcome.new.names() if outcome.doubtful else set()) | names
        self.derived = batch.derived.without(gone, NAME_SIZE)
        self.sightings = [one for one in batch.sightings if one.mark[:NAME_SIZE] not in gone]
        self.dropped = [one for one in batch.sightings if one.mark[:NAME_SIZE] in gone]
        self.rulings = [(one, True) for one in batch.rulings if one.mark[:NAME_SIZE] not in gone]
        self.recount: set[bytes] = set()
        if gone or outcome.doubtful:
            new, taken = outcome.new.split(names, NAME_SIZE)
            evidences = outcome.evidences | {one for one in map(evidence_of, taken.rows()) if one}
            contacts = recounted(self.derived.contacts, evidences, new)
            self.recount = evidences if names else set()
            if self.recount:
                contacts, _ = contacts.split(self.recount, 16)
            self.derived = self.derived._replace(contacts=contacts)


def _shown(cursor: _Cursor, batch: Batch, kept: _Kept, settled: Settled) -> identity.Shown:
    """What the batch shows of who is who."""
    loose = settling.loose_among(cursor, batch.evidences)
    asked = {*settled.evidences, *(one.evidence for one in kept.dropped), *loose}
    times = settling.earliest(cursor, asked) if asked else {}
    early = [one.evidence for one in kept.dropped if _too_early(one, times)]
    if early:
        settling.loosen(cursor, early)
    sightings = [one for one in kept.sightings if one.evidence not in asked]
    # Of what a repeat names another new event may tell, too: only one sighting of each evidence is carried.
    tokens = {**settled.evidences, **{one.evidence: one.tokens for one in [*kept.dropped, *kept.sightings]}}
    recounted_ = {one: (tokens.get(one, ()), times.get(one)) for one in asked}
    rulings = [*kept.rulings, *settled.rulings]
    return identity.Shown(sightings, recounted_, rulings, lambda evidences: settling.earliest(cursor, evidences))


def _unnamed(dropped: Sighting, shown: identity.Shown, settled: Settled) -> bool:
    """Does no event that counts name this evidence, nor one that was settled?"""
    return shown.recounted[dropped.evidence][1] is None and not settled.evidences.get(dropped.evidence)


def _too_early(dropped: Sighting, times: dict[UUID, datetime | None]) -> bool:
    """Does the reader remember an earlier time of this evidence than the one that counts?"""
    at = times.get(dropped.evidence)
    return dropped.at is not None and (at is None or dropped.at < at)


def _directory(kept: Derived, settled: Derived) -> PackedRows:
    return PackedRows(
        *[getattr(kept, table).with_(getattr(settled, table)) for table in PackedRows._fields],
    )
