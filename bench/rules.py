"""Which segments does a benchmark keep up? Typical ones, as a shop would write them, over the generated events.

`TYPICAL` are twenty of all kinds. `many` makes a hundred out of their like, of which thirty depend on time.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TYPICAL", "many"]

TYPICAL: Final = (
    "exists(purchase.made)",
    "exists(purchase.made) and no(contact in last 90d)",
    "count(purchase.made) >= 5",
    "count(purchase.made in last 30d) >= 2",
    'count(purchase.made where content.currency = "GBP" and content.amount > 100 in last 90d) >= 1',
    "fact.revenue(GBP) > 500",
    "fact.orders >= 3 and fact.average(GBP) > 40",
    "no(contact in last 30d)",
    "exists(page.viewed in last 7d) and no(purchase.made in last 30d)",
    'exists(page.viewed where content.page = "/gifts" in last 14d)',
    "exists(cart.updated in last 3d) and no(purchase.made in last 3d)",
    "count(email.opened in last 60d) >= 3",
    "exists(chat.message_received) and not exists(purchase.made)",
    "days since(purchase.made) > 180",
    'exists(purchase.made where product = "PK-110") and no(purchase.made where product = "PK-111")',
    "sequence(cart.updated then purchase.made within 7d in last 30d)",
    "consent.marketing.email granted",
    'exists(call.ended where content.queue = "service" in last 30d) or exists(chat.message_received in last 30d)',
    "fact.touchpoints > 50",
    "count(call.ended) >= 2 and fact.revenue(GBP) < 100",
)
_PRODUCTS: Final = tuple(f"PK-{number}" for number in range(100, 160))
_PAGES: Final = ("/cards", "/cards/birthday", "/paper", "/ink", "/gifts", "/basket", "/delivery", "/contact")


def many() -> tuple[str, ...]:
    """A hundred rules, of which thirty have windows."""
    windowed = [f"count(purchase.made in last {days}d) >= {count}" for days in (7, 30, 90) for count in (1, 2)]
    windowed += [f"no(contact in last {days}d)" for days in (14, 30, 60, 90, 120, 180)]
    windowed += [f'exists(page.viewed where content.page = "{page}" in last 14d)' for page in _PAGES]
    windowed += [
        f"exists(cart.updated in last {days}d) and no(purchase.made in last {days}d)" for days in (1, 3, 7, 14)
    ]
    windowed += [f"count(email.opened in last 60d) >= {count}" for count in (1, 2, 3, 5, 8, 13)]
    lasting = [f'exists(purchase.made where product = "{product}")' for product in _PRODUCTS[:30]]
    lasting += [f"fact.revenue(GBP) > {amount}" for amount in range(50, 1050, 50)]
    lasting += [f"fact.orders >= {orders} and fact.touchpoints > {orders * 4}" for orders in range(1, 11)]
    lasting += [f"count(call.ended) >= {count} and not exists(cart.updated)" for count in range(1, 11)]
    return (*windowed, *lasting)
