"""Which rules of segments could a deployment write? JSON values made by chance over the words of `segment_histories`,
so that they hold of some customers at some moments and not of others; now and then of strange values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any

from domain.segment_leaves import WORK_FIELDS
from tests.support.segment_histories import (
    CAMPAIGNS,
    CATEGORIES,
    CITIES,
    COUNTRIES,
    DAYS,
    INDUSTRIES,
    PLANS,
    PRODUCTS,
)
from tests.support.story import START

__all__ = ["LEAVES", "random_leaf", "random_rule"]

Rule = dict[str, Any]
_LENGTHS = ["45m", "1h", "1d", "2d", "7d", "1w", "2w", "30d", "60d", "3600d"]
_TYPES = [
    "purchase.made", "purchase.made", "purchase.made", "page.viewed", "page.viewed", "email.received", "email.sent",
    "survey.answered", "refund.made", "consent.given", "profile.updated", "subscription.started", "product.used",
    "deal.created", "deal.stage_changed", "ticket.opened", "lead.captured", "task.created", "call.ended",
    "event.retracted",
]  # fmt: skip
_TEXT_OPS = ["=", "=", "!=", "in", "not in", "contains", "starts with", "ends with", "known", "unknown"]
_ORDER = [">", ">=", "<", "<="]
_NUMBER_OPS = ["=", "!=", *_ORDER, *_ORDER, "in", "not in"]
_RELATIVE = ["within last", "more than ago", "within next"]
_TEXTS: dict[str, Sequence[str]] = {
    "channel": ["shop", "web", "email", "deal"], "direction": ["in", "out"], "source": ["test/a", "storyline/deal"],
    "actor": ["user:anna", "user:ben"], "campaign": [*CAMPAIGNS, "campaign:spring", "campaign/ads:may"],
    "product": PRODUCTS, "category": CATEGORIES,
}  # fmt: skip
_CONTENT: dict[str, Sequence[Any]] = {
    "content.amount": [1, 2, "2.5", "2.50", 9, 10], "content.currency": ["GBP", "EUR"], "content.score": [0, 9, 9.5],
    "content.country": COUNTRIES, "content.page": ["home", "Home"], "content.duration_s": [0, 5, 60],
    "content.plan": PLANS, "content.purpose": ["marketing", "service"], "content.stage": ["a", "b"],
    "content.products": ["a", "b"], "content.lines": ["tea"], "content.revision": [0, 1, 4],
    "content.respond_by": ["2026-03-01", "2026-03-01T10:00:00Z"], "content.times": [0, 3, True],
    "content.no.such": ["x", 1],
}  # fmt: skip
_CODES = ["a", "b", "c"]
_WORK: dict[str, Sequence[Any]] = {
    "status": ["open", "won", "lost", "done", "cancelled", "converted", "closed", "resolved"],
    "assignee": ["anna", "ben"], "source": ["test/a", "storyline/deal"], "native": [True, False],
    "amount": [1, 2.5, "2.50"], "currency": ["GBP", "EUR"], "probability": [10, 20], "level": [1, 2],
    "reopened": [0, 1], "country": COUNTRIES, "industry": INDUSTRIES, "channel": _CODES,
}  # fmt: skip


def _length(pick: Random) -> str:
    return pick.choice(_LENGTHS)


def _day(pick: Random) -> str:
    return (START + timedelta(days=pick.randrange(-1, DAYS + 2))).date().isoformat()


def _instant(pick: Random) -> str:
    if pick.random() < 0.5:
        return _day(pick)
    return (START + timedelta(days=pick.randrange(DAYS), hours=pick.choice([0, 1]))).isoformat()


def _compared(pick: Random, ops: Sequence[str], values: Callable[[], Any]) -> Rule:
    op = pick.choice(ops)
    if op in ("known", "unknown"):
        return {"is": op}
    if op in ("in", "not in"):
        return {"is": op, "value": [values() for _ in range(pick.randrange(1, 4))]}
    if op in (*_RELATIVE, "anniversary"):
        return {"is": op, "value": _length(pick)}
    if op in ("contains", "starts with", "ends with"):
        whole = str(values())
        return {"is": op, "value": pick.choice([whole, whole[:1], whole[-2:], "zz"])}
    return {"is": op, "value": values()}


def _text(pick: Random, values: Sequence[str]) -> Rule:
    return _compared(pick, _TEXT_OPS, lambda: pick.choice([*values, *values, "else", "x' OR '1'='1"]))


def _number(pick: Random, values: Sequence[Any], known: bool = False) -> Rule:
    return _compared(pick, [*_NUMBER_OPS, *(["known", "unknown"] if known else [])], lambda: pick.choice(values))


def _moment(pick: Random, relative: bool = True) -> Rule:
    ops = ["=", "!=", *_ORDER, *_ORDER, "in", "known", "unknown", *(_RELATIVE * 3 if relative else [])]
    return _compared(pick, ops, lambda: _instant(pick))


def _any(pick: Random, values: Sequence[Any]) -> Rule:
    """A comparison of something that may be anything."""
    ordered = [one for one in values if not isinstance(one, bool) and (not isinstance(one, str) or one[:1].isdigit())]
    if ordered and pick.random() < 0.6:
        return _compared(pick, _ORDER, lambda: pick.choice(ordered))
    return _compared(pick, [*_TEXT_OPS, "=", "!="], lambda: pick.choice(values))


def _condition(pick: Random) -> Rule:
    if pick.random() < 0.5:
        field = pick.choice(list(_TEXTS))
        return {"field": field, **_text(pick, _TEXTS[field])}
    field = pick.choice(list(_CONTENT))
    return {"field": field, **_any(pick, _CONTENT[field])}


def _window(pick: Random) -> Rule:
    match pick.randrange(6):
        case 0:
            return {"since": _instant(pick)}
        case 1:
            return {"before": _instant(pick)}
        case 2:
            return {"between": sorted([_day(pick), _day(pick)])}
    return {"last": _length(pick)}


def _selection(pick: Random, fewest: int = 0) -> Rule:
    types: Any = (
        "contact" if pick.random() < 0.3 else sorted({pick.choice(_TYPES) for _ in range(pick.choice([1, 1, 2]))})
    )
    where = [_condition(pick) for _ in range(max(fewest, pick.choice([0, 0, 0, 1, 2])))]
    return {"types": types} | ({"where": where} if where else {})


def _events(pick: Random) -> Rule:
    leaf = _selection(pick) | ({"window": _window(pick)} if pick.random() < 0.6 else {})
    measure = pick.choice(["count"] * 6 + ["sum", "min", "max", "first", "last", "days", "days"])
    if measure == "count":
        return leaf | _number(pick, [0, 0, 1, 1, 2, 3])
    leaf["measure"] = measure
    if measure == "days":
        return leaf | _number(pick, [0, 1, 2, 7, 30, 1.5], known=True)
    if measure in ("sum", "min", "max"):
        if pick.random() < 0.6:
            money = {"field": "content.currency", "is": "=", "value": "GBP"}
            leaf |= {"types": pick.choice([["purchase.made"], ["purchase.made", "refund.made"], "contact"])}
            return (
                leaf
                | {"field": "content.amount", "where": [money, *leaf.get("where", [])][:10]}
                | _summed(pick, measure)
            )
        return (
            leaf
            | {"field": pick.choice(["content.score", "content.duration_s", "content.times"])}
            | _summed(pick, measure)
        )
    if pick.random() < 0.5:
        return leaf | _moment(pick)
    if pick.random() < 0.3:
        field = pick.choice(["channel", "direction", "source", "actor"])
        return leaf | {"field": field} | _text(pick, _TEXTS[field])
    field = pick.choice(list(_CONTENT))
    return leaf | {"field": field} | _any(pick, _CONTENT[field])


def _summed(pick: Random, measure: str) -> Rule:
    return _number(pick, [0, 1, 2.5, "2.50", 9, 11, 20], known=measure != "sum")


def _step(pick: Random) -> Rule:
    """Easily met, since several have to be."""
    return (
        {"types": "contact"}
        if pick.random() < 0.4
        else {"types": _selection(pick)["types"]}
        if pick.random() < 0.6
        else _selection(pick)
    )


def _sequence(pick: Random) -> Rule:
    absent = pick.random() < 0.4
    steps = [_step(pick) for _ in range(pick.choice([1, 1, 2] if absent else [2, 2, 3]))]
    for step in steps[1:]:
        if pick.random() < 0.5:
            step["within"] = _length(pick)
    leaf: Rule = {"steps": steps}
    if len(steps) > 1 and pick.random() < 0.4:
        leaf["without"] = _selection(pick)
    if pick.random() < 0.3:
        leaf["window"] = _window(pick)
    return leaf | ({"absent": _selection(pick) | {"within": _length(pick)}} if absent else {})


def _fact(pick: Random) -> Rule:
    name = pick.choice(["touchpoints", "orders", "revenue", "refunds", "average", "first_at", "last_at"])
    currency = {"currency": pick.choice(["GBP", "GBP", "EUR", "USD"])}
    if name in ("first_at", "last_at"):
        return {"name": name} | _moment(pick)
    if name in ("touchpoints", "orders"):
        both = currency if name == "orders" and pick.random() < 0.4 else {}
        return {"name": name} | both | _number(pick, [0, 1, 2, 5])
    return {"name": name} | currency | _number(pick, [0, 1, 2.5, "2.50", 9, 11, 20], known=True)


def _profile(pick: Random) -> Rule:
    if pick.random() < 0.5:
        ops = ["anniversary"] * 6 + ["within last", "more than ago", "known", "unknown", "=", "<"]
        return {"field": "birthday"} | _compared(pick, ops, lambda: pick.choice(["1990-03-29", "1991-01-01"]))
    fields: dict[str, Sequence[Any]] = {
        "country": COUNTRIES, "address.city": CITIES, "address.postcode": ["LS1"], "name": ["Ann", "Bob"],
        "further.shoe_size": ["42", 9.5], "address.no": ["x"], "no_such": ["x"],
    }  # fmt: skip
    field = pick.choice(list(fields))
    return {"field": field} | _any(pick, fields[field])


def _place(pick: Random) -> Rule:
    values = {"country": COUNTRIES, "city": CITIES, "region": ["Kent"], "postcode": ["LS1", "YO1"]}
    what = pick.choice(["country", "country", "city", "region", "postcode"])
    return {"what": what} | _text(pick, values[what])


def _identifier(pick: Random) -> Rule:
    kind = pick.choice(["customer_no", "external", "email", "phone", "cookie", "social"])
    values = ["1", "2", "x", "a@example.org", "b@example.org", "+442079460001", "k1", "guest"]
    found = {"kind": kind} | ({"namespace": pick.choice(["", "shop"])} if pick.random() < 0.3 else {})
    ops = ["known", "known", "unknown", "=", "=", "in", "starts with", "ends with", "contains"]
    return found | _compared(pick, ops, lambda: pick.choice(values))


def _consent(pick: Random) -> Rule:
    channel = {"channel": pick.choice(["email", "phone"])} if pick.random() < 0.7 else {}
    purpose = pick.choice(["marketing", "marketing", "service", "none"])
    return {"purpose": purpose, **channel, "is": pick.choice(["granted", "withdrawn", "unknown"])}


def _work(pick: Random, kind: str) -> Rule:
    where = [_work_condition(pick, kind) for _ in range(pick.choice([0, 1, 1, 2]))]
    op = pick.choice(["=", "!=", *_ORDER])
    return ({"where": where} if where else {}) | {"is": op, "count": pick.choice([0, 0, 1, 1, 2])}


def _work_condition(pick: Random, kind: str) -> Rule:
    field = pick.choice([*WORK_FIELDS[kind], "status", "status"])
    values = _WORK.get(field, _CODES)
    match WORK_FIELDS[kind][field]:
        case "text":
            return {"field": field} | _text(pick, values)
        case "list":
            return {"field": field} | _compared(pick, _TEXT_OPS, lambda: pick.choice(values))
        case "number":
            return {"field": field} | _number(pick, values, known=True)
        case "moment":
            return {"field": field} | _moment(pick)
    return {"field": field} | _compared(pick, ["=", "!="], lambda: pick.choice(values))


def _rfm(pick: Random) -> Rule:
    what = pick.choice(["class", "recency", "recency", "frequency", "monetary"])
    if what == "class":
        return {"what": what} | _text(pick, ["new", "promising", "lost", "needs-attention"])
    return {"what": what} | _number(pick, [1, 2, 3, 4, 5], known=True)


def _industry(pick: Random) -> Rule:
    return _text(pick, INDUSTRIES)


LEAVES: dict[str, Callable[[Random], Rule]] = {
    "events": _events, "sequence": _sequence, "fact": _fact, "profile": _profile, "place": _place,
    "identifier": _identifier, "consent": _consent, "rfm": _rfm, "industry": _industry,
    "deal": lambda pick: _work(pick, "deal"), "ticket": lambda pick: _work(pick, "ticket"),
    "task": lambda pick: _work(pick, "task"), "lead": lambda pick: _work(pick, "lead"),
}  # fmt: skip
"""What makes a leaf, by its key; one of another segment needs a code and is made by `random_rule`."""
_OFTEN = ["events"] * 8 + ["sequence"] * 3


def random_leaf(pick: Random, key: str | None = None) -> Rule:
    """A leaf, of this key or of any."""
    key = key or pick.choice([*_OFTEN, *LEAVES])
    return {key: LEAVES[key](pick)}


def random_rule(pick: Random, depth: int = 3, codes: Sequence[str] = ()) -> Rule:
    """A rule. codes: segments that it may name."""
    if depth == 0 or pick.random() < 0.4:
        if codes and pick.random() < 0.3:
            return {"segment": {"code": pick.choice(codes)}}
        return random_leaf(pick)
    group = pick.choice(["all", "any", "none"])
    return {group: [random_rule(pick, depth - 1, codes) for _ in range(pick.randrange(1, 4))]}
