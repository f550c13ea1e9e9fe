"""What depends on a customer's whole story? It is found out anew of those whom a batch touched, while they are held.

The last step of a batch: of an order that several sources tell of, what counts; which sums of figures are to be made
anew; who is in which segment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections import touching
from projections.contacts import evidence_of
from projections.figures import model as figures
from projections.packing import MARK_SIZE, NAME_SIZE
from projections.rows import Batch, Derived
from projections.settling import Settled
from projections.work.model import Item

__all__ = ["Touched", "apply", "quarter_of"]

_SQL: Final = load("projections.customers", "apply.sql")
_ORDERS_LOCK: Final = 7053081014
_QUARTER: Final = timedelta(minutes=15)
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
_Cursor = psycopg.Cursor[Any]


@dataclass(frozen=True, slots=True)
class Touched:
    """What a batch touched. derived: what follows from its events, and from settled ones. moved: customers that
    evidences went from, or came to. items: deals, tickets, tasks and leads that were folded anew."""

    batch: Batch
    derived: Sequence[Derived]
    settled: Settled
    moved: Collection[UUID]
    items: Collection[Item]


def apply(cursor: _Cursor, touched: Touched, suffix: str = "") -> None:
    """Find out anew what depends on whole stories. suffix: of the build; what does not serve announces nothing."""
    evidences = {evidence for evidence, _ in _orders(touched.derived) if evidence is not None}
    if touched.settled.orders:
        evidences |= {one.bytes for one in touched.settled.evidences}
    moved = touched.moved
    if evidences or moved:
        touching.hold(cursor, evidences, moved)
    times = _count_trades(cursor, touched)
    quarters = set(touched.batch.quarters) | {quarter_of(at) for at in (*touched.settled.times, *times)}
    figures.touch(cursor, quarters)


def quarter_of(at: datetime) -> datetime:
    """The quarter of an hour (UTC) that a moment lies in."""
    return at - (at - _START) % _QUARTER


def _count_trades(cursor: _Cursor, touched: Touched) -> list[datetime]:
    """Which trades count of orders that a batch touched; gives when those happened of which that changed."""
    found = list(_orders(touched.derived))
    orders = set(touched.settled.orders)
    if any(evidence is None for evidence, _ in found):
        cursor.execute(_SQL["lock_orders"], {"key": _ORDERS_LOCK})
    if found:
        names = f"{{{','.join(name.hex() for _, name in found)}}}"
        orders.update(row[0] for row in cursor.execute(_SQL["orders_of"], {"names": names}))
    if touched.moved:
        asked = {"customers": list(touched.moved)}
        orders.update(row[0] for row in cursor.execute(_SQL["orders_moved"], asked))
    if not orders:
        return []
    return [row[0] for row in cursor.execute(_SQL["count_trades"], {"orders": list(orders)})]


def _orders(derived: Sequence[Derived]) -> Iterator[tuple[bytes | None, bytes]]:
    """(evidence, name) of the trades that name an order."""
    for one in derived:
        marks = one.trades.marks
        for place, row in enumerate(one.trades.rows()):
            evidence = evidence_of(row)
            ref = 26 + (16 if evidence is not None else 0) + 2 * 12 + 20
            if row[ref : ref + 4] != b"\xff\xff\xff\xff":
                yield evidence, marks[place * MARK_SIZE : place * MARK_SIZE + NAME_SIZE]
