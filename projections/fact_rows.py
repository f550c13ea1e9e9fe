"""How do the facts of one event stand in the COPY format? Rows of `trades`, `consents`, `answers` and `parties`."""

from __future__ import annotations

import struct
from typing import Any

from domain.facts import EventFacts
from eventlog.record import ref_hash
from projections.columns import LENGTH, NULL, cut, hash16, numeric, text
from projections.lines import Line, ref_kind

__all__ = ["answer_row", "consent_row", "party_row", "trade_row"]

_NAME = struct.Struct("!hi16s")
_TRADE = struct.Struct("!iqiqi16s")  # happened_at, recorded_at, order_key
_COUNTS = struct.pack("!i?", 1, True)
"""Until another source turns out to have told of the order before."""
_WORD = struct.Struct("!hi16si16siqiq")  # name, evidence, happened_at, recorded_at
_PARTY = struct.Struct("!hi16siqi16s")  # evidence, happened_at, name
_BOOLEAN = struct.Struct("!i?")


def trade_row(
    facts: EventFacts, name: bytes, evidence: bytes | None, times: tuple[int, int], line: Line, country: Any
) -> bytes | None:
    """The row in `trades`, None where there is none. evidence: None where nobody is named. times: happened_at and
    recorded_at in Postgres' count. country: as the content says it."""
    trade = facts.trade
    if trade is None:
        return None
    key = ref_hash(trade.ref) if trade.ref is not None else name
    campaigns = [ref for ref in line.refs if ref_kind(ref) == "campaign"]
    return b"".join(
        (
            _NAME.pack(16, 16, name),
            NULL if evidence is None else LENGTH.pack(16) + evidence,
            _TRADE.pack(8, times[0], 8, times[1], 16, key),
            cut(trade.ref),
            _BOOLEAN.pack(1, trade.refund),
            numeric(trade.amount),
            cut(trade.currency),
            cut(line.name[:-33]),
            cut(line.type),
            cut(line.channel),
            cut(country if isinstance(country, str) else None),
            cut(line.actor),
            cut(min(campaigns, default=None)),
            _COUNTS,
        )
    )


def consent_row(facts: EventFacts, name: bytes, evidence: bytes, times: tuple[int, int], type: str) -> bytes | None:
    """The row in `consents`, None where there is none."""
    word = facts.consent
    if word is None:
        return None
    head = _WORD.pack(8, 16, name, 16, evidence, 8, times[0], 8, times[1])
    return b"".join((head, cut(word.purpose), cut(word.channel), _BOOLEAN.pack(1, word.granted), cut(type)))


def answer_row(
    facts: EventFacts, name: bytes, evidence: bytes, times: tuple[int, int], channel: str | None
) -> bytes | None:
    """The row in `answers`, None where there is none."""
    if facts.answer is None:
        return None
    head = _WORD.pack(6, 16, name, 16, evidence, 8, times[0], 8, times[1])
    return head + cut(facts.answer) + cut(channel)


def party_row(evidence: str, happened: int, name: bytes, role: str) -> bytes:
    """A row in `parties`."""
    return _PARTY.pack(4, 16, hash16(evidence), 8, happened, 16, name) + text(role)
