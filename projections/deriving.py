"""What follows from events that count as they stand? Their rows in the tables beside the timeline's own.

Used where a batch is decoded (`decoding.py`), and once more where events have to be derived anew because another one
took them back or put them right (`settling.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from domain.catalogue import load_catalogue
from domain.catalogue.registry import Catalogue
from domain.facts import INTERESTING, NOTHING, EventFacts, facts_of, is_interesting, money_of, types_with_money
from eventlog.key_access import KeyAccess
from eventlog.record import Record, decode
from projections.columns import hash16
from projections.directory.extracting import OWN, codes_of, directory_rows, right_content, wants_opening
from projections.directory.rows import DirectoryRows, pack_claim, pack_code, pack_identifier, pack_term
from projections.fact_rows import answer_row, consent_row, party_row, trade_row
from projections.figures.extracting import figure_rows, figure_types, mentions, naming_types, speaks
from projections.lines import Line, More
from projections.opening import Opener
from projections.packing import NAME_SIZE, pack
from projections.rows import NOTHING_MORE, Derived, RulingSeen, Sighting
from projections.segments.compiling import Facing
from projections.work.extracting import kinds_of, notice_rows, step_rows

__all__ = ["RULINGS", "Anew", "Deriver", "Follows", "Reading"]

RULINGS: Final = {"identity.merged": True, "identity.split": False}
"""Types by which a steward rules who is who; whether each one merges. They are no evidence."""


def _builtin() -> Catalogue:
    return load_catalogue()


@dataclass(frozen=True, slots=True)
class Reading:
    """What it takes to read records: the keys, and the catalogue (a function that can be sent to another process).
    facing: what of the deployment rules of segments depend on."""

    keys: KeyAccess
    catalogue: Callable[[], Catalogue] = _builtin
    facing: Facing = field(default_factory=Facing)


class Follows(NamedTuple):
    """What follows from some events: rows (without contacts), evidences and rulings that they show."""

    derived: Derived
    sightings: tuple[Sighting, ...]
    rulings: tuple[RulingSeen, ...]


class Anew(NamedTuple):
    """An event whose consequences are made anew: it was taken back, or its content is what `amendment` says."""

    more: More
    retracted: bool
    amended_by: UUID | None
    amendment: Record | None


_Row = tuple[bytes, bytes]
"""(mark, row in COPY format)"""
_AS_THEY_STAND: Final[Mapping[bytes, Anew]] = {}


class Deriver:
    """What follows from single events, by what the catalogue says of their types. With an `opener` also the rows of
    the directory."""

    def __init__(self, catalogue: Catalogue, opener: Opener | None = None) -> None:
        self._catalogue, self._opener = catalogue, opener
        self._untouched = frozenset(one.name for one in catalogue if one.category != "touchpoint")
        self._versions = {one.name: one.version for one in catalogue}
        self._system = frozenset(one.name for one in catalogue if one.category == "system")
        self._money = types_with_money(catalogue)
        self._work = kinds_of(catalogue)
        self._figures = figure_types(catalogue)
        self._naming = naming_types(catalogue)
        self._public = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

    @property
    def unopened(self) -> int:
        """How many events had a key that the key store does not know."""
        return 0 if self._opener is None else self._opener.unknown

    def touches(self, type: str) -> bool:
        """Is it a touchpoint? So is a type that nobody knows any more: what is no contact the catalogue says."""
        return type not in self._untouched

    def tells(self, type: str) -> bool:
        """Does an event of this type add to the facts of its customer?"""
        return type in INTERESTING or type in self._money

    def works(self, type: str) -> bool:
        """Is an event of this type a step of a deal, ticket, task or lead, or does it tell a colleague something?"""
        return type in self._work

    def figures(self, type: str) -> bool:
        """Does an event of this type add to the figures beside the facts of its customer?"""
        return type in self._figures

    def _adds(self, line: Line) -> bool:
        """May rows follow from its content?"""
        type = line.type
        return bool(line.refs) or self.tells(type) or type in self._work or type in self._figures or self.speaks(line)

    def refers(self, line: Line) -> bool:
        """Does a touchpoint answer a campaign, or mention a product, by a ref?"""
        return is_interesting(line.type, line.refs, line.direction) or mentions(line)

    def speaks(self, line: Line) -> bool:
        """Does a touchpoint speak of a product in its content?"""
        return line.type in self._naming and speaks(line)

    def facts(self, line: Line, version: int, public: Any) -> EventFacts:
        """What an event adds, if its public content is `public` of this version."""
        type = line.type
        public = self._raised(type, version, public)
        if not isinstance(public, Mapping):
            return NOTHING
        category = "touchpoint" if self.touches(type) else "record"
        money = money_of(self._catalogue, type, version, public) if type in self._money else None
        return facts_of(type, category, public, line.refs, line.direction, money)

    def _raised(self, type: str, version: int, public: Any) -> Any:
        if version < self._versions.get(type, version):
            known = self._catalogue.get(type)
            return known.raise_to_current(public, version) if known else public
        return public

    def follow(self, more: Sequence[More], anew: Mapping[bytes, Anew] = _AS_THEY_STAND) -> Follows:
        """All that follows from these events, each as it counts: as it stands, unless `anew` says otherwise, by its
        mark. Sightings and rulings are given of those that were taken back, too. Raises Unavailable where the key
        store does not answer."""
        facts: tuple[list[_Row], list[_Row], list[_Row]] = ([], [], [])
        parties: list[_Row] = []
        codes: list[_Row] = []
        work: tuple[list[_Row], list[_Row]] = ([], [])
        figures: tuple[list[_Row], ...] = ([], [], [], [], [])
        sightings: dict[str, Sighting] = {}
        rulings: list[RulingSeen] = []
        for one in more:
            line = one.line
            other = anew.get(one.mark)
            said = self._said(line, other) if other is not None or self._adds(line) else None
            if self.tells(line.type) or (line.tokens and line.refs):
                for place, row in enumerate(self._fact_rows(one, said)):
                    if row is not None:
                        facts[place].append((one.mark, row))
            if said is not None:
                for into, its in zip(figures, self._figures_of(one, said), strict=True):
                    if its:
                        into += [(one.mark, row) for row in its]
            if line.parties:
                parties += party_rows(one)
            if line.type in self._work:
                for rows, found in zip(work, self._work_of(one, said), strict=True):
                    rows += [(one.mark, row) for row in found]
            if one.numbered and line.refs:
                codes += [(one.mark, pack_code(code)) for code in codes_of(line.refs)]
            if line.type in RULINGS:
                rulings.append(_ruling(one))
            _sight(one, sightings)
        identifiers, claims, terms = self._opened(more, anew)
        derived = NOTHING_MORE._replace(
            parties=pack(parties),
            trades=pack(facts[0]),
            consents=pack(facts[1]),
            answers=pack(facts[2]),
            identifiers=pack(identifiers),
            claims=pack(claims),
            terms=pack(terms),
            codes=pack(codes),
            steps=pack(work[0]),
            notices=pack(work[1]),
            lines=pack(figures[0]),
            scores=pack(figures[1]),
            moods=pack(figures[2]),
            mentions=pack(figures[3]),
            things=pack(figures[4]),
        )
        return Follows(derived, tuple(sightings.values()), tuple(rulings))

    def _fact_rows(self, one: More, said: tuple[int, Any] | None) -> tuple[bytes | None, bytes | None, bytes | None]:
        if said is None:
            return None, None, None
        country = said[1].get("country") if isinstance(said[1], Mapping) else None
        return fact_rows(self.facts(one.line, *said), one, country)

    def _figures_of(self, one: More, said: tuple[int, Any]) -> tuple[Sequence[bytes], ...]:
        """Rows of `lines`, `scores`, `moods`, `mentions` and `things`."""
        type = one.line.type
        return figure_rows(one, self._raised(type, *said), self.touches(type))

    def _work_of(self, one: More, said: tuple[int, Any] | None) -> tuple[list[bytes], list[bytes]]:
        """Rows of `steps` and of `notices`."""
        type = one.line.type
        public = None if said is None else self._raised(type, *said)
        if not isinstance(public, Mapping):
            return [], []
        kind = self._work[type]
        steps = step_rows(one, kind, public, type not in self._system) if kind else []
        return steps, notice_rows(one, kind, public)

    def _said(self, line: Line, anew: Anew | None) -> tuple[int, Any] | None:
        """The version and the public content that count; None for what was taken back or cannot be read."""
        if anew is not None and anew.retracted:
            return None
        if anew is not None and anew.amendment is not None:
            public = anew.amendment.head.public
            return public.get("version") or 1, public.get("content") or {}
        try:
            return line.version, self._public.decode(line.public)
        except msgspec.DecodeError:
            return None

    def _opened(self, more: Sequence[More], anew: Mapping[bytes, Anew]) -> tuple[list[_Row], list[_Row], list[_Row]]:
        """Rows of `identifiers`, `claims` and `terms` of those that have to be opened for them."""
        rows: tuple[list[_Row], list[_Row], list[_Row]] = ([], [], [])
        if self._opener is None:
            return rows
        wanted = [(one, decode(one.value)) for one in more if wants_opening(one.line.type, one.unmet)]
        opened = self._opener.open([record for _, record in wanted])
        for (one, record), parts in zip(wanted, opened, strict=True):
            if parts is not None:
                content = self._content_of(anew.get(one.mark))
                found = directory_rows(record, parts, one.happened, self._opener.hasher, content)
                for place, packed in enumerate(_packed(found)):
                    rows[place].extend((one.mark, row) for row in packed)
        return rows

    def _content_of(self, anew: Anew | None) -> Any:
        """The effective content of an event, for the directory."""
        if anew is None or self._opener is None:
            return OWN
        if anew.retracted:
            return None
        if anew.amendment is None:
            return OWN
        opened = self._opener.open([anew.amendment])[0]
        return None if opened is None else right_content(anew.amendment, opened)


def _packed(found: DirectoryRows) -> tuple[list[bytes], list[bytes], list[bytes]]:
    return (
        [pack_identifier(row) for row in found.identifiers],
        [pack_claim(row) for row in found.claims],
        [pack_term(row) for row in found.terms],
    )


def fact_rows(facts: EventFacts, one: More, country: Any) -> tuple[bytes | None, bytes | None, bytes | None]:
    """The rows in `trades`, `consents` and `answers`; what nobody is named in is a trade at most."""
    if facts is NOTHING:
        return None, None, None
    line, name = one.line, one.mark[:NAME_SIZE]
    evidence = hash16(line.evidence) if line.tokens else None
    trade = trade_row(facts, name, evidence, one.times, line, country)
    if evidence is None:
        return trade, None, None
    return (
        trade,
        consent_row(facts, name, evidence, one.times, line.type),
        answer_row(facts, name, evidence, one.times, line.channel),
    )


def party_rows(one: More) -> list[_Row]:
    """The rows in `parties`: one per person and role."""
    name = one.mark[:NAME_SIZE]
    people = dict.fromkeys((party.evidence, party.role) for party in one.line.parties if party.tokens)
    return [(one.mark, party_row(evidence, one.times[0], name, role)) for evidence, role in people]


def _ruling(one: More) -> RulingSeen:
    line = one.line
    sides = (line.tokens, *[party.tokens for party in line.parties])
    return RulingSeen(one.mark, UUID(bytes=one.mark[:NAME_SIZE]), one.happened, RULINGS[line.type], sides)


def _sight(one: More, sightings: dict[str, Sighting]) -> None:
    """Keep of each evidence that an event shows the earliest sighting; a ruling links nobody. What the reader told
    before is not told again."""
    line = one.line
    at = None if line.type in RULINGS else one.happened
    shown = [(line.evidence, line.tokens)] if line.tokens and one.shows else []
    shown += [(party.evidence, party.tokens) for party in line.parties if party.tokens]
    for evidence, tokens in shown:
        before = sightings.get(evidence)
        if before is None or (at is not None and (before.at is None or at < before.at)):
            sightings[evidence] = Sighting(one.mark, UUID(hex=evidence[-32:]), tokens, at)
