"""What is known when a rule is to act? The event as the read models have it, its customer, and what it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.automation import WORK_KINDS, Happening, Item, Occasion
from domain.consents import EVERY_CHANNEL
from domain.facts import Facts
from domain.profile import ProfileRules, profile_of
from eventlog.record import Record, decode, ref_hash
from eventlog.sql import load
from projections.customers.reader import CustomerReader, View

__all__ = ["Occasions", "Seen", "customers_of"]

_SQL = load("projections", "occasions.sql")


@dataclass(frozen=True, slots=True)
class Seen:
    """An event that the read models have seen. customer: whose it is. retracted: it was taken back since."""

    record: Record
    happening: Happening
    customer: UUID | None
    retracted: bool


class Occasions:
    """Reads what rules see. For one thread.

    view: gives what is known of a customer. state_kinds: of which kind each state of a ticket is.
    """

    def __init__(
        self,
        view: Callable[[UUID], View | None] = lambda node: None,
        profile_rules: ProfileRules | None = None,
        state_kinds: Mapping[str, str] | None = None,
    ) -> None:
        self._view, self._profile_rules, self._kinds = view, profile_rules, state_kinds or {}

    def seen(self, connection: psycopg.Connection, event: str) -> Seen | None:
        """An event by its name (`SOURCE#HASH`); None while the read models have not seen it."""
        row = connection.execute(_SQL["event"], {"name": UUID(hex=event[-32:])}).fetchone()
        if row is None:
            return None
        value, happened_at, recorded_at, customer, retracted = row
        record = decode(bytes(value))
        head = record.head
        happening = Happening(
            head.name, head.source, head.type, happened_at, recorded_at, head.channel, head.direction, head.actor,
            head.refs, head.public,
        )  # fmt: skip
        return Seen(record, happening, customer, retracted)

    def occasion(self, connection: psycopg.Connection, seen: Seen, customer: bool) -> Occasion:
        """All that a rule sees. customer: also what is known of the customer, which takes longer."""
        items = {one.kind: one for one in self._items(connection, seen.happening)}
        if not customer or seen.customer is None:
            return Occasion(seen.happening, seen.customer, {}, items)
        view = self._view(seen.customer)
        if view is None:
            return Occasion(seen.happening, seen.customer, {}, items)
        return Occasion(seen.happening, view.customer, self._known(view), items, view.standing)

    def _items(self, connection: psycopg.Connection, happening: Happening) -> Iterator[Item]:
        """Of each kind the first that the event names; one that is kept here is named by its id."""
        named: dict[str, list[UUID]] = {}
        for ref in happening.refs:
            kind, _, value = ref.partition(":")
            kind = kind.partition("/")[0]
            if kind in WORK_KINDS and kind not in named:
                named[kind] = [*_own_id(value), UUID(bytes=ref_hash(ref))]
        for kind, items in named.items():
            row = connection.execute(_SQL[kind], {"items": items}).fetchone()
            if row is not None:
                item, native, values = row
                yield Item(kind, item, native, {**values, **self._kind_of(kind, values)})

    def _kind_of(self, kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """What a rule knows as `kind`: of a ticket that of its state, of a task its own."""
        if kind == "ticket":
            return {"kind": self._kinds.get(values.get("state") or "")}
        return {"kind": values.get("task_kind")} if kind == "task" else {}

    def _known(self, view: View) -> dict[str, Any]:
        consents = {
            one.purpose if one.channel == EVERY_CHANNEL else f"{one.purpose}_{one.channel}": one.granted
            for one in view.standing
        }
        profile = {one.field: one.value for one in profile_of(view.claims, self._profile_rules)}
        return {"facts": _facts(view.facts), "profile": profile, "consents": consents}


def _own_id(value: str) -> list[UUID]:
    try:
        return [UUID(hex=value)] if len(value) == 32 else []
    except ValueError:
        return []


def _facts(facts: Facts) -> dict[str, Any]:
    """Facts by the names that rules use; sums of money stand under their currency, and without it if it is one."""
    known: dict[str, Any] = {
        "touchpoints": facts.touchpoints, "first_at": facts.first_at, "last_at": facts.last_at,
        "orders": facts.orders,
    }  # fmt: skip
    for one in facts.sums:
        figures: dict[str, Decimal | None] = {
            "revenue": one.revenue, "refunds": one.refunds, "average": one.average,
        }  # fmt: skip
        known |= {f"{name}_{one.currency.lower()}": figure for name, figure in figures.items()}
        if len(facts.sums) == 1:
            known |= figures
    return known


@contextmanager
def customers_of(dsn: str) -> Iterator[Callable[[UUID], View | None]]:
    """What is known of a customer, by any of her nodes, for a thread that waits for it. The block belongs to that
    thread; what it gives raises Unavailable."""
    with asyncio.Runner() as loop:
        pool = AsyncConnectionPool(
            dsn, min_size=0, max_size=1, timeout=10, open=False, kwargs={"autocommit": True, "connect_timeout": 5}
        )
        loop.run(pool.open())
        try:
            yield lambda node: loop.run(CustomerReader(pool).view(node))
        finally:
            loop.run(pool.close())
