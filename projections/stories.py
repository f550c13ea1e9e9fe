"""What depends on a customer's whole story? It is found out anew of those whom a batch touched, while they are held.

The last step of a batch: of an order that several sources tell of, what counts; which sums of figures are to be made
anew; who is in which segment.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

from eventlog.sql import load
from projections import touching
from projections.columns import NULL, array_of
from projections.contacts import evidence_of
from projections.customers import model as customers
from projections.figures import model as figures
from projections.rows import Batch, Derived
from projections.segments.keeping import Keeper, Met, evidences_in
from projections.segments.reaching import Thing, things_of
from projections.settling import Settled
from projections.work.model import Item

__all__ = ["Touched", "apply", "quarter_of"]

_SQL: Final = load("projections.customers", "apply.sql")
_ORDERS_LOCK: Final = 7053081014
_QUARTER: Final = timedelta(minutes=15)
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
_KEY: Final = 2 + 20 + 4 + 2 * 12 + 4
"""Where the key of its order stands in a packed row of `trades` without an evidence; its ref follows."""
_SIZE: Final = 16
_Cursor = psycopg.Cursor[Any]


@dataclass(frozen=True, slots=True)
class Touched:
    """What a batch touched. derived: what follows from its events, and from settled ones. moved: customers that
    evidences went from, or came to. items: deals, tickets, tasks and leads that were folded anew. anew: evidences of
    whom it was found out anew who they are, and since when they are known. plain: each of its events is new, and
    counts as it stands."""

    batch: Batch
    derived: Sequence[Derived]
    settled: Settled
    moved: Collection[UUID]
    items: Collection[Item]
    anew: Collection[UUID]
    plain: bool


def apply(cursor: _Cursor, touched: Touched, keeper: Keeper) -> None:
    """Find out anew what depends on whole stories. keeper: of this build's memberships."""
    evidences, orders, buyers = _orders(touched.derived)
    if touched.settled.orders:
        evidences |= {one.bytes for one in touched.settled.evidences}
    segments = keeper.defined(cursor)
    anew: set[UUID] = set()
    things: set[Thing] = set()
    wanted = evidences - {b""}
    if segments is not None:
        things = {*things_of([one.things for one in touched.derived]), *touched.settled.things}
        keeper.mark_off(cursor, segments, things)
        about_items = keeper.evidences_of(cursor, touched.items)
        anew = {*about_items, *touched.anew, *touched.settled.evidences}
        wanted |= evidences_in(touched.batch) | {one.bytes for one in anew}
    held = touching.hold(cursor, wanted, touched.moved) if wanted or touched.moved else touching.NOBODY
    if b"" in evidences:
        cursor.execute(_SQL["lock_orders"], {"key": _ORDERS_LOCK})
    keys, shared = _keys(cursor, orders, touched)
    times = _count_trades(cursor, keys, shared, touched)
    customers.sum_trades(cursor)
    figures.touch_buyers(cursor, buyers | {one.bytes for one in touched.settled.evidences}, touched.moved, keys)
    quarters = {quarter_of(at).isoformat() for at in (*touched.settled.times, *times)}
    figures.touch(cursor, quarters.union(touched.batch.quarters))
    if segments is not None:
        met = Met(
            touched.batch, held.customers, held.fresh, touched.moved, touched.settled.evidences, things,
            touched.derived[0], anew, held.homes, touched.plain,
        )  # fmt: skip
        keeper.keep(cursor, segments, met)


def quarter_of(at: datetime) -> datetime:
    """The quarter of an hour (UTC) that a moment lies in."""
    return at - (at - _START) % _QUARTER


def _keys(cursor: _Cursor, orders: set[bytes], touched: Touched) -> tuple[set[str], set[str]]:
    """The keys, in hex, of orders whose trades a batch touched, and of those that several sources tell of whose
    customers others are now; and of those that one tells of several times."""
    keys = {one.hex() for one in orders} | {one.hex for one in touched.settled.orders}
    shared: set[str] = set()
    if touched.moved:
        for order, several in cursor.execute(_SQL["orders_moved"], {"customers": list(touched.moved)}):
            (keys if several else shared).add(order.hex)
    return keys, shared


def _count_trades(cursor: _Cursor, keys: set[str], shared: set[str], touched: Touched) -> list[datetime]:
    """Which trades count of these orders; gives when those happened of which that changed, or of whose order several
    tell. shared: of orders whose trades count as they did, unless somebody else brought another meanwhile."""
    if not keys | shared:
        return []
    changed = [row[0] for row in cursor.execute(_SQL["count_trades"], {"orders": array_of(keys | shared)})]
    return changed + figures.order_times(cursor, array_of(keys), touched.settled.orders)


def _orders(derived: Sequence[Derived]) -> tuple[set[bytes], set[bytes], set[bytes]]:
    """Of the trades that name an order: the evidences (b"" where nobody is named) and the keys of the orders. And the
    evidences of all trades."""
    evidences: set[bytes] = set()
    orders: set[bytes] = set()
    buyers: set[bytes] = set()
    for one in derived:
        for row in one.trades.rows():
            evidence = evidence_of(row) or b""
            buyers.add(evidence)
            key = _KEY + len(evidence)
            if row[key + _SIZE : key + _SIZE + 4] != NULL:
                evidences.add(evidence)
                orders.add(row[key : key + _SIZE])
    return evidences, orders, buyers - {b""}
