"""What did sales come to as it was known at a moment that lies behind us? What was corrected is made anew out of its
record, by what was said of it by then; all else stands in the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import msgspec
import psycopg
from psycopg import sql
from psycopg.sql import Composed

from domain.catalogue.registry import Catalogue
from domain.corrections import Effect, Said, effects
from domain.errors import BadInput, Poison, Problem
from eventlog.record import decode, ref_hash
from eventlog.sql import load
from projections.deriving import Deriver
from projections.figures.extracting import order_lines
from projections.lines import Line, ref_kind

__all__ = ["QUERIES", "Moment", "as_known", "then_query"]

QUERIES: Final = load("projections.figures", "then.sql")
"""`sales` and `events`, which ask with what `as_known` gives."""
_MOST: Final = 50_000
_line: Final = msgspec.json.Decoder(Line)
_public: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_encode: Final = msgspec.json.Encoder(decimal_format="string").encode


class Moment(NamedTuple):
    """By when it had happened, and by when it was recorded."""

    happened_by: datetime
    recorded_by: datetime


class _Stored(NamedTuple):
    name: UUID
    evidence: UUID | None
    happened_at: datetime
    recorded_at: datetime
    record: bytes


def then_query(name: LiteralString) -> Composed:
    """The query of this name over the trades that counted then."""
    return sql.SQL(QUERIES[name]).format(counted=sql.SQL(QUERIES["counted"]))


async def as_known(connection: psycopg.AsyncConnection[Any], catalogue: Catalogue, moment: Moment) -> dict[str, Any]:
    """What the queries as of a moment are asked with beside what is chosen: events that corrections speak of, and
    what they told by then. Raises BadInput where there are too many of them."""
    deriver = Deriver(catalogue)
    types = [one.name for one in catalogue if deriver.tells(one.name)]
    rows = await _rows(connection, "spoken", types=types, most=_MOST + 1)
    spoken = [_Stored(*row) for row in rows]
    if len(spoken) > _MOST:
        trouble = f"cannot be told: more than {_MOST:,} purchases and refunds were corrected since."
        raise BadInput([Problem("recorded_by", trouble, "Ask without a moment, for what holds now.")])
    names = [one.name for one in spoken]
    said = await _rows(connection, "said", names=names, **moment._asdict()) if names else []
    what = effects(names, [Said(*row) for row in said])
    others = list({name for effect in what.values() for name in effect.amendments})
    amendments = dict(await _rows(connection, "amendments", names=others)) if others else {}
    there = [one for one in spoken if one.happened_at <= moment.happened_by and one.recorded_at <= moment.recorded_by]
    trades, lines = _remade(deriver, there, what, amendments)
    return {**moment._asdict(), "spoken": names, "remade": _encode(trades).decode(), "lines": _encode(lines).decode()}


async def _rows(connection: psycopg.AsyncConnection[Any], query: str, **asked: Any) -> list[Any]:
    return await (await connection.cursor(binary=True).execute(QUERIES[query], asked)).fetchall()


def _remade(
    deriver: Deriver, spoken: Iterable[_Stored], what: Mapping[UUID, Effect], amendments: Mapping[UUID, bytes]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Trades, and lines of orders, as rows of names and values."""
    trades: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for one in spoken:
        effect = what[one.name]
        if effect.retracted:
            continue
        line = _line.decode(one.record)
        version, public = _content(line, [amendments[name] for name in effect.amendments if name in amendments])
        trade = deriver.facts(line, version, public).trade
        if trade is None:
            continue
        key = UUID(bytes=ref_hash(trade.ref)) if trade.ref is not None else one.name
        country = public.get("country")
        told = {"name": one.name, "evidence": one.evidence, "happened_at": one.happened_at, "order_key": key}
        trades.append(
            {
                **told,
                **trade._asdict(),
                "source": line.name[:-33],
                "type": line.type,
                "channel": line.channel,
                "country": country if isinstance(country, str) else None,
                "campaign": min((ref for ref in line.refs if ref_kind(ref) == "campaign"), default=None),
                "actor": line.actor,
            }
        )
        lines += [
            {
                "name": one.name,
                "product": product,
                "category": category,
                "quantity": quantity,
                "amount": amount,
            }
            for _, product, category, quantity, amount in order_lines(line.type, public)
        ]
    return trades, lines


def _content(line: Line, amendments: Sequence[bytes]) -> tuple[int, Mapping[str, Any]]:
    """The version and the content that counted: of the latest amendment that says of which type the event is."""
    for value in amendments:
        try:
            public = decode(value).head.public
        except Poison:
            continue
        if public.get("type") == line.type:
            content = public.get("content")
            return public.get("version") or 1, content if isinstance(content, Mapping) else {}
    try:
        return line.version, _public.decode(line.public)
    except msgspec.DecodeError:
        return line.version, {}
