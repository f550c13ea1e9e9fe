"""How do money, durations, counts and texts read in the line of a timeline?"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

__all__ = ["duration", "excerpt", "joined", "money_text", "number", "plural"]

_SYMBOLS: Final = {"GBP": "£", "EUR": "€", "USD": "$", "JPY": "¥"}
_NO_CENTS: Final = frozenset({"JPY", "KRW", "VND", "CLP", "ISK", "XAF", "XOF", "XPF", "PYG", "UGX", "RWF"})


def number(value: Decimal | int) -> str:
    """A number without zeros at its end: 3, 2.5."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money_text(amount: Decimal | None, currency: str | None) -> str:
    """£139.12, -€5.00, 1,200 JPY as ¥1,200, 7.50 CHF; "" where the amount is not known."""
    if amount is None:
        return ""
    least = 0 if currency in _NO_CENTS else 2
    shown = f"{abs(amount):,f}"
    whole, _, cents = shown.partition(".")
    cents = cents.rstrip("0").ljust(least, "0")
    shown = f"{whole}.{cents}" if cents else whole
    sign = "-" if amount < 0 else ""
    if currency in _SYMBOLS:
        return f"{sign}{_SYMBOLS[currency]}{shown}"
    return f"{sign}{shown} {currency}" if currency else f"{sign}{shown}"


def duration(seconds: int | None) -> str:
    """42 s, 4 min 10 s, 2 h 5 min; "" where it is not known."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds} s"
    large, large_unit, small, small_unit = (60, "min", 1, "s") if seconds < 3600 else (3600, "h", 60, "min")
    whole, rest = divmod(seconds, large)
    first = f"{whole:,} {large_unit}"
    return f"{first} {rest // small} {small_unit}" if rest // small else first


def plural(count: int | Decimal, one: str, many: str | None = None) -> str:
    """1 item, 3 items."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def excerpt(text: str | None, longest: int = 80) -> str:
    """The text on one line, cut at a word where it is too long."""
    if not text:
        return ""
    flat = " ".join(text[: longest * 8].split())
    if len(flat) <= longest:
        return flat
    cut = flat[: longest - 1]
    head, blank, _ = cut.rpartition(" ")
    return (head if blank and len(head) > longest // 2 else cut).rstrip(" ,;:") + "…"


def joined(*parts: str | None) -> str:
    """The parts that are known, with commas between them."""
    return ", ".join([part for part in parts if part])
