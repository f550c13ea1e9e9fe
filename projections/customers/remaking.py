"""What did an event add that was corrected, as far as was known at a moment? Out of its record, and of the amendment
that counted then.

Reads what the projector reads, by its functions, so that an answer as of then and one as of now cannot differ in what
an event means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from domain.catalogue.registry import Catalogue
from domain.consents import Word
from domain.errors import Misconfigured, Poison, Tampered, UnknownKey
from domain.facts import EventFacts, Trade
from domain.profile import Claim
from eventlog.keyring import Keyring
from eventlog.record import Record, decode, ref_hash
from eventlog.sealing import Opened, keys_of
from projections.customers.reader import Answer
from projections.deriving import Deriver
from projections.directory.extracting import CLAIMING, claim_rows, content_of, open_parts, right_content
from projections.lines import Line

__all__ = ["Remade", "Remaker", "Stored"]

_line: Final = msgspec.json.Decoder(Line)
_public: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class Stored(NamedTuple):
    """An event as the timeline holds it. `evidence`: None where nobody is named."""

    name: UUID
    evidence: UUID | None
    happened_at: datetime
    recorded_at: datetime
    record: bytes


class Remade(NamedTuple):
    """What events that were corrected added."""

    trades: tuple[Trade, ...]
    words: tuple[Word, ...]
    answers: tuple[Answer, ...]
    claims: tuple[Claim, ...]


class Remaker:
    """Makes facts and claims of records. Blocks on the key store, so call it from a worker thread."""

    def __init__(self, keyring: Keyring, catalogue: Catalogue) -> None:
        self._keyring, self._deriver = keyring, Deriver(catalogue)

    def remake(
        self,
        events: Sequence[Stored],
        amendments: Mapping[UUID, Sequence[bytes]],
        evidences: Collection[UUID],
        erased: Collection[UUID],
    ) -> Remade:
        """What these events added to a customer of these evidences. `amendments`: of each those that counted, the
        latest first; `erased`: evidences of which nothing is to be read. Raises Unavailable."""
        trades: list[Trade] = []
        words: list[Word] = []
        answers: list[Answer] = []
        claims: list[Claim] = []
        for one in events:
            line = _line.decode(one.record)
            amendment = _right(amendments[one.name], line.type)
            if one.evidence is not None and one.evidence in evidences:
                facts = self._facts(line, amendment)
                trades += _trades(one, line, facts)
                words += _words(one, one.evidence, line, facts)
                if facts.answer is not None:
                    answers.append(Answer(facts.answer, one.happened_at, one.name))
            if line.type in CLAIMING:
                claims += [
                    claim
                    for claim in self._claims(one, amendment)
                    if claim.evidence in evidences and claim.evidence not in erased
                ]
        return Remade(tuple(trades), tuple(words), tuple(answers), tuple(claims))

    def _facts(self, line: Line, amendment: Record | None) -> EventFacts:
        if amendment is not None:
            public = amendment.head.public
            return self._deriver.facts(line, public.get("version") or 1, public.get("content") or {})
        try:
            return self._deriver.facts(line, line.version, _public.decode(line.public))
        except msgspec.DecodeError:
            return EventFacts()

    def _claims(self, one: Stored, amendment: Record | None) -> Iterable[Claim]:
        record = _decoded(one.record)
        opened = None if record is None else self._open(record)
        if record is None or opened is None:
            return []
        content = content_of(record, opened)
        if amendment is not None:
            right = self._open(amendment)
            content = None if right is None else right_content(amendment, right)
        return [
            Claim(
                UUID(bytes=row.name),
                row.place,
                UUID(bytes=row.evidence),
                row.happened_at,
                row.source,
                msgspec.json.decode(row.fields),
            )
            for row in claim_rows(record, one.happened_at, content)
        ]

    def _open(self, record: Record) -> Opened | None:
        """What is still readable; as the projector's, it passes over what is not."""
        try:
            return open_parts(record, self._keyring.keys(keys_of([record])))
        except (Tampered, UnknownKey, Misconfigured):
            return None


def _right(amendments: Iterable[bytes], type: str) -> Record | None:
    """The latest amendment that says of which type the event is."""
    for value in amendments:
        record = _decoded(value)
        if record is not None and record.head.public.get("type") == type:
            return record
    return None


def _decoded(value: bytes) -> Record | None:
    try:
        return decode(value)
    except Poison:
        return None


def _trades(one: Stored, line: Line, facts: EventFacts) -> list[Trade]:
    trade = facts.trade
    if trade is None:
        return []
    key = UUID(bytes=ref_hash(trade.ref)) if trade.ref is not None else one.name
    return [Trade(one.name, one.happened_at, key, trade.refund, trade.amount, trade.currency, line.name[:-33])]


def _words(one: Stored, evidence: UUID, line: Line, facts: EventFacts) -> list[Word]:
    word = facts.consent
    if word is None:
        return []
    return [Word(one.name, evidence, one.happened_at, word.purpose, word.channel, word.granted, line.type)]
