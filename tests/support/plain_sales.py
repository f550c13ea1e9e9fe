"""What do sales come to? A plain, slow, obviously right reading of a set of published events: no sums, no tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.support.plain import Everything, Published, everything, people_in

__all__ = ["BUCKETS", "Sale", "Told", "sales_in", "told"]


class Sale(NamedTuple):
    """A purchase or a refund that counts. order: what makes two of them one. lines: (product, category, quantity,
    amount) each; category by the latest description where the line says none."""

    name: str
    at: datetime
    order: str
    refund: bool
    amount: Decimal
    currency: str
    channel: str
    country: str
    campaign: str
    actor: str
    type: str
    lines: tuple[tuple[str, str, Decimal, Decimal | None], ...]


@dataclass
class Told:
    """What some sales come to."""

    purchases: int = 0
    returns: int = 0
    revenue: Decimal = Decimal(0)
    refunds: Decimal = Decimal(0)
    units: Decimal = Decimal(0)
    orders: set[str] = field(default_factory=set)

    def row(self) -> tuple[Any, ...]:
        return (self.purchases, self.returns, self.revenue, self.refunds, self.units, len(self.orders))


BUCKETS: Mapping[str, Callable[[datetime], Any]] = {
    "all": lambda at: None,
    "day": lambda at: at.date().isoformat(),
    "week": lambda at: at.strftime("%G-W%V"),
    "month": lambda at: at.strftime("%Y-%m"),
    "hour": lambda at: at.hour,
    "weekday": lambda at: at.isoweekday(),
    "weekhour": lambda at: (at.isoweekday(), at.hour),
}


def sales_in(published: Iterable[Published], rules: Mapping[str, Any]) -> list[Sale]:
    """The sales that count among these events, in any order: of each order of a customer those of the source that
    told of it first, and so with its refunds."""
    story = everything(published)
    home = people_in(story, rules).home
    categories = _categories(story)
    found: list[tuple[str, str, Sale]] = []
    for one in story.events.values():
        if one.type in ("purchase.made", "refund.made") and not story.retracted(one.name):
            evidence = one.people()[0][0]
            whose = home(evidence) if evidence else ""
            found.append((whose, str(one.raw["source"]), _sale(one, story.content(one), categories)))
    found.sort(key=lambda each: (each[2].at, each[2].name))
    first: dict[Any, str] = {}
    return [
        sale for whose, source, sale in found if first.setdefault((whose, sale.order, sale.refund), source) == source
    ]


def _categories(story: Everything) -> dict[str, str | None]:
    told = [one for one in story.events.values() if one.type == "product.described" and not story.retracted(one.name)]
    found: dict[str, str | None] = {}
    for one in sorted(told, key=lambda one: (one.at, one.name)):
        products = sorted(ref.partition(":")[2] for ref in one.record.get("refs", []) if ref.startswith("product"))
        content = story.content(one)
        if products and "category" in content:
            found[products[0]] = content["category"]
    return found


def _sale(one: Published, content: Mapping[str, Any], categories: Mapping[str, str | None]) -> Sale:
    refs = sorted(one.record.get("refs", []))
    orders = [ref for ref in refs if ref.startswith("order")] + [ref for ref in refs if ref.startswith("invoice")]
    campaigns = [ref for ref in refs if ref.startswith("campaign")]
    back = one.type == "refund.made"
    amount = Decimal(content["amount"])
    lines = []
    for line in content.get("lines", []):
        quantity = Decimal(line.get("quantity", 1))
        price = Decimal(line["unit_price"]) * quantity if "unit_price" in line else None
        total = Decimal(line["amount"]) if "amount" in line else price
        product = line.get("product") or ""
        category = line.get("category") or categories.get(product) or ""
        sign = -1 if back else 1
        lines.append((product, category, sign * quantity, None if total is None else sign * total))
    record = one.record
    said = (record.get("channel") or "", content.get("country") or "", campaigns[0] if campaigns else "")
    order = orders[0] if orders else one.name
    total = -abs(amount) if back else amount
    actor, money = record.get("actor") or "", (total < 0 or back, total, content["currency"])
    return Sale(one.name, one.at, order, *money, *said, actor, one.type, tuple(lines))


def told(
    sales: Iterable[Sale],
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
    unit: str,
    by: str,
    filters: Mapping[str, str],
) -> dict[tuple[Any, str, str], tuple[Any, ...]]:
    """{(bucket, value, currency): (purchases, returns, revenue, refunds, units, orders)} of a period."""
    found: dict[tuple[Any, str, str], Told] = defaultdict(Told)
    lined = {"product", "category"} & {by, *filters}
    for one in sales:
        if not start <= one.at < end or any(getattr(one, name, value) != value for name, value in filters.items()):
            continue
        bucket = BUCKETS[unit](one.at.astimezone(zone))
        lines = [line for line in one.lines if _fits(line, filters)]
        if not lined:
            _add(found[bucket, getattr(one, by) if by else "", one.currency], one, one.amount, one.lines)
        for value in dict.fromkeys(_value(one, line, by) for line in lines) if lined else ():
            chosen = [line for line in lines if _value(one, line, by) == value]
            amount = sum((line[3] for line in chosen if line[3] is not None), Decimal(0))
            _add(found[bucket, value, one.currency], one, amount, chosen)
    return {key: each.row() for key, each in found.items()}


def _fits(line: tuple[Any, ...], filters: Mapping[str, str]) -> bool:
    return all(line[place] == filters.get(name, line[place]) for place, name in enumerate(("product", "category")))


def _value(one: Sale, line: tuple[Any, ...], by: str) -> str:
    if by in ("product", "category"):
        return str(line[by == "category"])
    return getattr(one, by) if by else ""


def _add(into: Told, one: Sale, amount: Decimal, lines: Iterable[tuple[Any, ...]]) -> None:
    if one.refund:
        into.returns += 1
        into.refunds -= amount
    else:
        into.purchases += 1
        into.revenue += amount
        into.orders.add(one.order)
        into.units += sum((line[2] for line in lines), Decimal(0))
