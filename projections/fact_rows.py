"""How do the facts of one event stand in the COPY format? Rows of `trades`, `consents`, `answers` and `parties`."""

from __future__ import annotations

import struct

from domain.facts import EventFacts
from eventlog.record import ref_hash
from projections.columns import cut, hash16, numeric, text

__all__ = ["answer_row", "consent_row", "party_row", "trade_row"]

_TRADE = struct.Struct("!hi16si16siqiqi16s")  # name, evidence, happened_at, recorded_at, order_key
_WORD = struct.Struct("!hi16si16siqiq")  # name, evidence, happened_at, recorded_at
_PARTY = struct.Struct("!hi16siqi16s")  # evidence, happened_at, name
_BOOLEAN = struct.Struct("!i?")


def trade_row(facts: EventFacts, name: bytes, evidence: bytes, times: tuple[int, int], source: str) -> bytes | None:
    """The row in `trades`, None where there is none. `times`: happened_at and recorded_at in Postgres' count."""
    trade = facts.trade
    if trade is None:
        return None
    key = ref_hash(trade.ref) if trade.ref is not None else name
    return b"".join(
        (
            _TRADE.pack(10, 16, name, 16, evidence, 8, times[0], 8, times[1], 16, key),
            cut(trade.ref),
            _BOOLEAN.pack(1, trade.refund),
            numeric(trade.amount),
            cut(trade.currency),
            cut(source),
        )
    )


def consent_row(facts: EventFacts, name: bytes, evidence: bytes, times: tuple[int, int], type: str) -> bytes | None:
    """The row in `consents`, None where there is none."""
    word = facts.consent
    if word is None:
        return None
    head = _WORD.pack(8, 16, name, 16, evidence, 8, times[0], 8, times[1])
    return b"".join((head, cut(word.purpose), cut(word.channel), _BOOLEAN.pack(1, word.granted), cut(type)))


def answer_row(facts: EventFacts, name: bytes, evidence: bytes, times: tuple[int, int]) -> bytes | None:
    """The row in `answers`, None where there is none."""
    if facts.answer is None:
        return None
    return _WORD.pack(5, 16, name, 16, evidence, 8, times[0], 8, times[1]) + cut(facts.answer)


def party_row(evidence: str, happened: int, name: bytes, role: str) -> bytes:
    """A row in `parties`."""
    return _PARTY.pack(4, 16, hash16(evidence), 8, happened, 16, name) + text(role)
