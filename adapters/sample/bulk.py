"""How do benchmarks get very many events? About 300 bytes each, skewed over customers, of several types."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import msgspec

from adapters.sample.chance import Chance

__all__ = ["bulk", "bulk_lines"]

_PAGES = ("/", "/cards", "/cards/birthday", "/paper", "/ink", "/gifts", "/basket", "/delivery", "/contact")
_PRODUCTS = tuple(f"PK-{number:03d}" for number in range(100, 160))
_QUESTIONS = ("Is the blue ink waterproof?", "Where is my parcel?", "Can you engrave the pen by Friday?")
_DAYS = 365

Content = tuple[str, dict[str, Any]]


def bulk(n_events: int, n_customers: int = 50_000, seed: int = 1, skew: float = 1.0) -> Iterator[dict[str, Any]]:
    """`n_events` CloudEvents of about 300 bytes as JSON, in order of time over the year 2025.

    The customer of rank r is met with a weight of 1 / r**skew (Zipf; 0 is even); each has a customer number and an
    e-mail address. About 3 in 10 events have an order or invoice ref. Names (source, id) are distinct.
    """
    chance = Chance(f"bulk {seed}")
    ladder = list(accumulate((rank + 1) ** -skew for rank in range(n_customers)))
    makers: tuple[Callable[[Chance], Content], ...] = (_page, _page, _page, _opened, _chat, _call, _cart)
    for number in range(n_events):
        customer = bisect_left(ladder, chance.fraction() * ladder[-1])
        who = [
            {"kind": "customer_no", "value": f"B-{customer}"},
            {"kind": "email", "value": f"customer{customer}@example.com"},
        ]
        data: dict[str, Any] = {"who": who}
        if chance.once_in(10 / 3):
            kind, content = _purchase(chance)
            data["refs"] = [{"kind": "order" if number % 2 else "invoice", "value": f"{seed}-{number // 2}"}]
        else:
            kind, content = chance.of(makers)(chance)
        data["content"] = content
        yield {
            "specversion": "1.0",
            "source": "sample/bulk",
            "id": f"{seed}-{number}",
            "type": kind,
            "time": _time(number, n_events),
            "data": data,
        }


def bulk_lines(n_events: int, n_customers: int = 50_000, seed: int = 1, skew: float = 1.0) -> Iterator[bytes]:
    """The same events, each as JSON bytes without a line end."""
    encode = msgspec.json.Encoder().encode
    return map(encode, bulk(n_events, n_customers, seed, skew))


def _time(number: int, n_events: int) -> str:
    second = number * _DAYS * 86_400 // max(1, n_events)
    day, rest = divmod(second, 86_400)
    return f"{_DATES[day]}T{rest // 3600:02d}:{rest % 3600 // 60:02d}:{rest % 60:02d}Z"


def _dates() -> tuple[str, ...]:
    months = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return tuple(f"2025-{month:02d}-{day:02d}" for month, days in enumerate(months, 1) for day in range(1, days + 1))


_DATES = _dates()


def _page(chance: Chance) -> Content:
    page = chance.of(_PAGES)
    return "page.viewed", {
        "url": f"https://paperkite.example{page}",
        "page": page,
        "duration_s": chance.between(3, 240),
    }


def _opened(chance: Chance) -> Content:
    number = chance.upto(52)
    return "email.opened", {
        "subject": f"Paper Kite letter {number}",
        "message_id": f"<letter-{number}@paperkite.example>",
    }


def _chat(chance: Chance) -> Content:
    return "chat.message_received", {"text": chance.of(_QUESTIONS)}


def _call(chance: Chance) -> Content:
    content = {"direction": "in", "duration_s": chance.between(20, 900), "queue": "service", "outcome": "resolved"}
    return "call.ended", content


def _cart(chance: Chance) -> Content:
    content = {"amount": f"{chance.between(3, 90)}.50", "currency": "GBP"}
    return "cart.updated", {**content, "lines": [{"product": chance.of(_PRODUCTS), "quantity": chance.between(1, 5)}]}


def _purchase(chance: Chance) -> Content:
    quantity, pence = chance.between(1, 9), chance.between(150, 4900)
    line = {"product": chance.of(_PRODUCTS), "quantity": quantity, "unit_price": f"{pence // 100}.{pence % 100:02d}"}
    total = quantity * pence
    return "purchase.made", {"amount": f"{total // 100}.{total % 100:02d}", "currency": "GBP", "lines": [line]}
