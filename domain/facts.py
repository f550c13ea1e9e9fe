"""What does one event add to what is known of a customer, and what do all of them come to?

`facts_of` reads the public part of one event; `fold` adds up what the events of a customer say. Both are pure and
total: a content that makes no sense adds nothing. What counts is written down in `docs/customers.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.catalogue.base import Money
from domain.catalogue.registry import BuiltIn, Catalogue

__all__ = [
    "INTERESTING",
    "NOTHING",
    "Consent",
    "Contact",
    "EventFacts",
    "Facts",
    "Sum",
    "Trade",
    "Traded",
    "average",
    "counted",
    "exact_amount",
    "facts_of",
    "fold",
    "is_interesting",
    "money_of",
    "types_with_money",
    "written",
]


class Traded(NamedTuple):
    """What one event says of money. `ref`: what makes two reports one order, in clear (`order[/namespace]:value`,
    else `invoice…`), None where the event has no such ref and is an order of its own. `amount`: in major units,
    negative if and only if `refund` and not zero."""

    ref: str | None
    refund: bool
    amount: Decimal
    currency: str


class Consent(NamedTuple):
    """One explicit word: a purpose was allowed or taken back, on one channel ("": on every channel)."""

    purpose: str
    channel: str
    granted: bool


class EventFacts(NamedTuple):
    """What one event adds. `answer`: the campaign that it answers, in clear (`campaign[/namespace]:value`)."""

    trade: Traded | None = None
    consent: Consent | None = None
    answer: str | None = None


NOTHING: Final = EventFacts()

_SUBSCRIPTIONS: Final = frozenset(
    {"subscription.started", "subscription.renewed", "subscription.changed", "subscription.cancelled"}
)
_TRADES: Final = frozenset({"purchase.made", "refund.made"}) | _SUBSCRIPTIONS
_CONSENTS: Final = {"consent.given": True, "consent.withdrawn": False}
INTERESTING: Final = _TRADES | _CONSENTS.keys() | {"email.unsubscribed"}
"""The built-in types that add a trade or a consent; see `is_interesting` for the answers to campaigns."""

_NO_ANSWERS: Final = frozenset(
    # A mail program opens by itself, and a bounce is no person's doing; the others turn away from the company.
    {"email.opened", "email.bounced", "email.unsubscribed", "cart.abandoned", "subscription.cancelled"}
)
_CAMPAIGN: Final = ("campaign:", "campaign/")
_ORDER: Final = ("order:", "order/")
_INVOICE: Final = ("invoice:", "invoice/")
_LONGEST_CODE: Final = 100
_MOST_DIGITS: Final = 18
"""Before and after the point. No company turns over more, and Postgres would refuse a batch beyond its limit."""
_FEW: Final = 10**_MOST_DIGITS


def is_interesting(type: str, refs: Sequence[str], direction: str | None) -> bool:
    """May `facts_of` find anything? Cheap, and true of few events. Types of the deployment with money are asked for
    beside it: `types_with_money`."""
    if type in INTERESTING:
        return True
    return bool(refs) and direction == "in" and type not in _NO_ANSWERS and _lowest(refs, _CAMPAIGN) is not None


def types_with_money(catalogue: Catalogue) -> frozenset[str]:
    """The deployment's types that declare money; of their events `money_of` gives it."""
    return frozenset(one.name for one in catalogue if getattr(one, "declares_money", False))


def money_of(catalogue: Catalogue, type: str, version: int, public: Mapping[str, Any]) -> Money | None:
    """The money of an event whose type the deployment made; None for built-in ones, whose fields `facts_of` reads."""
    known = catalogue.get(type)
    if known is None or isinstance(known, BuiltIn):
        return None
    return catalogue.show(type, version, dict(public), None)[2]


def facts_of(
    type: str,
    category: str,
    public: Mapping[str, Any],
    refs: Sequence[str],
    direction: str | None,
    money: Money | None = None,
) -> EventFacts:
    """What an event adds. `public`: its public content; `refs`: in clear, as the record has them; `category`: that of
    its type. `money`: for types of the deployment, from `money_of`; built-in types need none.

    An amended event is asked for with its own type, refs and direction, and the public part of the right content.
    """
    trade = _trade(type, public, refs, money)
    consent = _consent(type, public)
    answer = (
        _lowest(refs, _CAMPAIGN)
        if refs and direction == "in" and category == "touchpoint" and type not in _NO_ANSWERS
        else None
    )
    return EventFacts(trade, consent, answer) if trade or consent or answer else NOTHING


def _lowest(refs: Sequence[str], kind: tuple[str, str]) -> str | None:
    lowest = None
    for ref in refs:
        if ref.startswith(kind) and (lowest is None or ref < lowest):
            lowest = ref
    return lowest


def _trade(type: str, public: Mapping[str, Any], refs: Sequence[str], money: Money | None) -> Traded | None:
    if type in _TRADES:
        amount, currency = exact_amount(public.get("amount")), public.get("currency")
    elif money is not None:
        amount, currency = exact_amount(money.amount), money.currency
    else:
        return None
    if amount is None or not isinstance(currency, str) or not 0 < len(currency) <= _LONGEST_CODE:
        return None
    if type == "refund.made" and amount > 0:
        amount = amount.copy_negate()
    refund = type == "refund.made" or amount < 0
    return Traded(_lowest(refs, _ORDER) or _lowest(refs, _INVOICE), refund, amount, currency)


def exact_amount(value: Any) -> Decimal | None:
    """An exact amount out of JSON, or None for what is none, or is beyond all reason."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        return None
    try:
        amount = Decimal(value)
    except (InvalidOperation, ValueError):
        return None
    if isinstance(value, int) and -_FEW < value < _FEW:
        return amount  # told quickly, as below
    if not amount.is_finite():
        return None
    if not amount:
        return Decimal(0)
    if isinstance(value, str) and len(value) <= _MOST_DIGITS and value.isascii() and "e" not in value.lower():
        return amount  # as nearly all are, told quickly
    exponent = amount.as_tuple().exponent
    return amount if amount.adjusted() < _MOST_DIGITS and int(exponent) >= -_MOST_DIGITS else None


def _consent(type: str, public: Mapping[str, Any]) -> Consent | None:
    if type == "email.unsubscribed":
        return Consent("marketing", "email", False)
    granted = _CONSENTS.get(type)
    if granted is None:
        return None
    purpose, channel = public.get("purpose"), public.get("channel") or ""
    if not isinstance(purpose, str) or not isinstance(channel, str) or not purpose.strip():
        return None
    # Without regard to case: a withdrawal must not miss what it takes back for a capital letter.
    return Consent(purpose.strip().lower()[:_LONGEST_CODE], channel.strip().lower()[:_LONGEST_CODE], granted)


class Contact(NamedTuple):
    """Touchpoints on one channel in one direction ("" where an event says none), the first and the last of them."""

    channel: str
    direction: str
    touchpoints: int
    first_at: datetime
    last_at: datetime


class Trade(NamedTuple):
    """A purchase or a refund, as it is kept. `amount`: negative if refunded; `order_key`: what makes two reports one
    order."""

    name: UUID
    happened_at: datetime
    order_key: UUID
    refund: bool
    amount: Decimal
    currency: str
    source: str


class Sum(NamedTuple):
    """What a customer brought in one currency, in major units. `orders`: with a counted purchase in that currency;
    `refunds` is positive; `average`: revenue per order with two decimals, None without an order."""

    currency: str
    orders: int
    revenue: Decimal
    refunds: Decimal
    average: Decimal | None


class Facts(NamedTuple):
    """What is known of a customer by counting. `orders`: distinct ones over all currencies; `sums`: by currency."""

    contacts: tuple[Contact, ...]
    touchpoints: int
    first_at: datetime | None
    last_at: datetime | None
    orders: int
    sums: tuple[Sum, ...]


_EXACT: Final = Context(prec=400)
_CENT: Final = Decimal("0.01")


def fold(contacts: Iterable[Contact], trades: Iterable[Trade]) -> Facts:
    """What contacts and trades of one customer's evidences come to, in any order."""
    told = _contacts(contacts)
    orders, sums = _sums(trades)
    return Facts(
        told,
        sum(one.touchpoints for one in told),
        min((one.first_at for one in told), default=None),
        max((one.last_at for one in told), default=None),
        orders,
        sums,
    )


def _contacts(contacts: Iterable[Contact]) -> tuple[Contact, ...]:
    found: dict[tuple[str, str], Contact] = {}
    for one in contacts:
        known = found.get((one.channel, one.direction))
        if known is not None:
            count = known.touchpoints + one.touchpoints
            first, last = min(known.first_at, one.first_at), max(known.last_at, one.last_at)
            found[one.channel, one.direction] = Contact(one.channel, one.direction, count, first, last)
        else:
            found[one.channel, one.direction] = one
    return tuple([found[key] for key in sorted(found)])


def counted(trades: Iterable[Trade]) -> list[Trade]:
    """The trades that count: of each order the purchases of the source that told of it first, and likewise its
    refunds. First is the earliest (happened_at, name)."""
    every = sorted(trades, key=lambda one: (one.happened_at, one.name))
    first: dict[tuple[UUID, bool], str] = {}
    return [one for one in every if first.setdefault((one.order_key, one.refund), one.source) == one.source]


def _sums(trades: Iterable[Trade]) -> tuple[int, tuple[Sum, ...]]:
    bought: dict[str, Decimal] = {}
    returned: dict[str, Decimal] = {}
    keys: dict[str, set[UUID]] = {}
    for one in counted(trades):
        kept = returned if one.refund else bought
        kept[one.currency] = _EXACT.add(kept.get(one.currency, Decimal(0)), one.amount)
        if not one.refund:
            keys.setdefault(one.currency, set()).add(one.order_key)
    sums = [
        _sum(currency, len(keys.get(currency, ())), bought.get(currency), returned.get(currency))
        for currency in sorted(bought.keys() | returned.keys())
    ]
    return len(set().union(*keys.values())), tuple(sums)


def _sum(currency: str, orders: int, revenue: Decimal | None, refunds: Decimal | None) -> Sum:
    bought, returned = revenue or Decimal(0), (refunds or Decimal(0)).copy_abs()
    return Sum(currency, orders, bought, returned, average(bought, orders))


def average(revenue: Decimal, orders: int) -> Decimal | None:
    """Revenue per order, rounded half to even at the cent; None without an order."""
    if not orders:
        return None
    return _EXACT.divide(revenue, Decimal(orders)).quantize(_CENT, rounding=ROUND_HALF_EVEN, context=_EXACT)


def written(amount: Decimal) -> str:
    """An exact amount as people write it: with at least two decimals, never with an exponent."""
    exponent = amount.as_tuple().exponent
    exact = amount.quantize(_CENT, context=_EXACT) if isinstance(exponent, int) and exponent > -2 else amount
    return f"{exact:f}"
