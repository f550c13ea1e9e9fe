"""Which rules of segments could somebody write? Random ones, over a vocabulary that histories made by chance fulfil.

`rules` is the strategy; `leaves` makes one leaf, `chosen` events that are meant. All spellings are those of JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from domain.segments import Rule

__all__ = ["DURATIONS", "TYPES", "chosen", "leaves", "plain_rules", "rules"]

TYPES = [
    "email.received", "purchase.made", "refund.made", "consent.given", "consent.withdrawn", "email.unsubscribed",
    "profile.updated", "call.ended", "product.described",
]  # fmt: skip
DURATIONS = ["1m", "2m", "3m", "1h", "1d", "7d", "30d"]
"""Some as short as the minutes that histories lie apart."""
_DAYS = ["2026-02-28", "2026-03-01", "2026-03-02"]
_MOMENTS = [*_DAYS, "2026-03-01T09:02:00Z", "2026-03-01T10:03:00+01:00", "2026-03-01T09:05:00.500000Z"]
_COUNTS = st.integers(0, 4)
_ORDER = st.sampled_from([">=", ">", "<", "<=", "=", "!="])
_WORDS = ["Ann", "Bob", "X", "Y", "GBP", "M", 'say "hi"\\ and\nmore', "naïve", "", "7", "2026-03-01"]
Plain = Mapping[str, Any]


def _compared(values: st.SearchStrategy[Any], *operators: str) -> st.SearchStrategy[Plain]:
    made = [st.fixed_dictionaries({"is": st.sampled_from(operators or ("=", "!=")), "value": values})]
    made.append(
        st.fixed_dictionaries(
            {"is": st.sampled_from(["in", "not in"]), "value": st.lists(values, min_size=1, max_size=3)}
        )
    )
    return st.one_of(made)


def _numbers() -> st.SearchStrategy[Plain]:
    return _compared(st.integers(0, 20) | st.sampled_from([0.5, 2.25, 7.1]), ">", ">=", "<", "<=", "=", "!=")


_KNOWN = st.sampled_from([{"is": "known"}, {"is": "unknown"}])
_TEXTS = _compared(st.sampled_from(_WORDS)) | st.fixed_dictionaries(
    {"is": st.sampled_from(["contains", "starts with", "ends with"]), "value": st.sampled_from(_WORDS)}
)
_FROM_NOW = st.fixed_dictionaries(
    {"is": st.sampled_from(["within last", "more than ago", "within next"]), "value": st.sampled_from(DURATIONS)}
)
_WHEN = _FROM_NOW | _compared(st.sampled_from(_MOMENTS), ">", ">=", "<", "<=", "=", "!=")
_WHERE = st.one_of(
    st.sampled_from([{"field": "content.currency", "is": "=", "value": "GBP"}]),
    st.builds(lambda one: {"field": "content.amount", **one}, _numbers() | _KNOWN),
    st.builds(lambda field, one: {"field": field, **one}, st.sampled_from(["channel", "direction"]),
              _compared(st.sampled_from(["email", "phone", "in", "out"])) | _KNOWN),
    st.builds(lambda field, one: {"field": field, **one}, st.sampled_from(["campaign", "product", "category"]),
              _compared(st.sampled_from(["M", "campaign:N", "P1", "tools", "test/mail"])) | _KNOWN),
    st.builds(lambda one: {"field": "content.purpose", **one}, _compared(st.sampled_from(["marketing", "service"]))),
)  # fmt: skip
WINDOWS = st.one_of(
    st.builds(lambda one: {"last": one}, st.sampled_from(DURATIONS)),
    st.builds(lambda name, one: {name: one}, st.sampled_from(["since", "before"]), st.sampled_from(_MOMENTS)),
    st.builds(lambda pair: {"between": sorted(pair)}, st.tuples(st.sampled_from(_DAYS), st.sampled_from(_DAYS))),
)


@st.composite
def chosen(draw: st.DrawFn, windowed: bool = True) -> dict[str, Any]:
    """Events that are meant; with a window, if they may have one."""
    types: Any = draw(st.just("contact") | st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True))
    found: dict[str, Any] = {"types": types}
    if draw(st.integers(0, 2)) == 0:
        found["where"] = draw(st.lists(_WHERE, min_size=1, max_size=2))
    if windowed and draw(st.booleans()):
        found["window"] = draw(WINDOWS)
    return found


@st.composite
def _events(draw: st.DrawFn) -> Plain:
    events = draw(chosen())
    measure = draw(st.sampled_from(["count", "count", "count", "sum", "min", "max", "first", "last", "days"]))
    if measure == "count":
        return {"events": {**events, "is": draw(_ORDER), "value": draw(_COUNTS)}}
    events["measure"] = measure
    if measure == "days":
        return {"events": {**events, **draw(_numbers() | _KNOWN)}}
    if measure in {"sum", "min", "max"}:
        currency = [{"field": "content.currency", "is": "=", "value": draw(st.sampled_from(["GBP", "EUR"]))}]
        compared = draw(_numbers() if measure == "sum" else _numbers() | _KNOWN)
        return {"events": {**events, "where": currency, "field": "content.amount", **compared}}
    field = draw(st.sampled_from([None, "channel", "content.amount", "content.currency"]))
    if field is None:
        return {"events": {**events, **draw(_WHEN | _KNOWN)}}
    return {"events": {**events, "field": field, **draw(_TEXTS | _KNOWN)}}


@st.composite
def _sequence(draw: st.DrawFn) -> Plain:
    steps = draw(st.lists(chosen(windowed=False), min_size=1, max_size=3))
    for step in steps[1:]:
        if draw(st.booleans()):
            step["within"] = draw(st.sampled_from(DURATIONS))
    leaf: dict[str, Any] = {"steps": steps}
    if len(steps) > 1 and draw(st.booleans()):
        leaf["without"] = draw(chosen(windowed=False))
    if len(steps) == 1 or draw(st.integers(0, 2)) == 0:
        leaf["absent"] = {**draw(chosen(windowed=False)), "within": draw(st.sampled_from(DURATIONS))}
    if draw(st.integers(0, 2)) == 0:
        leaf["window"] = draw(WINDOWS)
    return {"sequence": leaf}


@st.composite
def _fact(draw: st.DrawFn) -> Plain:
    name = draw(st.sampled_from(["touchpoints", "orders", "revenue", "refunds", "average", "first_at", "last_at"]))
    leaf: dict[str, Any] = {"name": name}
    if name in {"revenue", "refunds", "average"} or (name == "orders" and draw(st.booleans())):
        leaf["currency"] = draw(st.sampled_from(["GBP", "EUR"]))
    if name in {"first_at", "last_at"}:
        return {"fact": {**leaf, **draw(_WHEN | _KNOWN)}}
    counts = _compared(st.integers(0, 6), ">", ">=", "<", "<=", "=", "!=")
    return {"fact": {**leaf, **draw(counts if name in {"touchpoints", "orders"} else _numbers() | _KNOWN)}}


@st.composite
def _profile(draw: st.DrawFn) -> Plain:
    field = draw(st.sampled_from(["name", "job_title", "birthday", "address.city", "country", "further.shoe size"]))
    days = st.fixed_dictionaries({"is": st.just("anniversary"), "value": st.sampled_from(DURATIONS)}) | _WHEN
    return {"profile": {"field": field, **draw(days if field == "birthday" else _TEXTS | _KNOWN)}}


@st.composite
def _identifier(draw: st.DrawFn) -> Plain:
    leaf: dict[str, Any] = {"kind": draw(st.sampled_from(["customer_no", "external", "email", "phone", "cookie"]))}
    if draw(st.integers(0, 3)) == 0:
        leaf["namespace"] = draw(st.sampled_from(["", "crm", "a b"]))
    values = ["1", "2", "x", "a@example.org", "c@example.org", "+442079460001", "example", "k1"]
    one = st.fixed_dictionaries(
        {"is": st.sampled_from(["=", "contains", "starts with", "ends with"]), "value": st.sampled_from(values)}
    )
    several = st.fixed_dictionaries(
        {"is": st.just("in"), "value": st.lists(st.sampled_from(values), min_size=1, max_size=3)}
    )
    return {"identifier": {**leaf, **draw(one | several | _KNOWN)}}


@st.composite
def _consent(draw: st.DrawFn) -> Plain:
    leaf: dict[str, Any] = {"purpose": draw(st.sampled_from(["marketing", "service", "an odd.one"]))}
    if draw(st.booleans()):
        leaf["channel"] = draw(st.sampled_from(["email", "phone"]))
    return {"consent": {**leaf, "is": draw(st.sampled_from(["granted", "withdrawn", "unknown"]))}}


@st.composite
def _work(draw: st.DrawFn) -> Plain:
    kind = draw(st.sampled_from(["deal", "ticket", "task", "lead"]))
    texts = {"deal": ["status", "stage", "assignee"], "ticket": ["status", "priority", "state"],
             "task": ["status", "assignee", "kind"], "lead": ["status", "origin", "campaign"]}[kind]  # fmt: skip
    moments = {"deal": ["created_at", "stage_since", "expected_close"], "ticket": ["opened_at", "resolved_at", "due"],
               "task": ["due", "created_at"], "lead": ["captured_at", "closed_at"]}[kind]  # fmt: skip
    values = st.sampled_from(["open", "won", "lost", "anna", "ben", "new", "high", "sales"])
    where = st.builds(
        lambda field, one: {"field": field, **one}, st.sampled_from(texts), _compared(values) | _KNOWN
    ) | st.builds(lambda field, one: {"field": field, **one}, st.sampled_from(moments), _WHEN | _KNOWN)
    leaf: dict[str, Any] = {"where": draw(st.lists(where, max_size=2))} if draw(st.booleans()) else {}
    return {kind: {**leaf, "is": draw(_ORDER), "count": draw(st.integers(0, 3))}}


@st.composite
def _further(draw: st.DrawFn) -> Plain:
    texts = draw(_TEXTS | _KNOWN)
    what = draw(st.sampled_from(["country", "city", "region", "postcode"]))
    classes = _compared(st.sampled_from(["champions", "new", "lost", "promising"])) | _KNOWN
    scores = _compared(st.integers(1, 5), ">", ">=", "<", "<=", "=", "!=") | _KNOWN
    score = st.sampled_from(["recency", "frequency", "monetary"])
    rfm = {"what": "class", **draw(classes)} if draw(st.booleans()) else {"what": draw(score), **draw(scores)}
    return draw(st.sampled_from([{"place": {"what": what, **texts}}, {"rfm": rfm}, {"industry": texts}]))


def leaves(*segments: str) -> st.SearchStrategy[Plain]:
    """One leaf; segments: codes that it may name."""
    made = [_events(), _events(), _sequence(), _fact(), _profile(), _identifier(), _consent(), _work(), _further()]
    if segments:
        made.append(st.builds(lambda code: {"segment": {"code": code}}, st.sampled_from(segments)))
    return st.one_of(made)


def plain_rules(*segments: str, most: int = 6) -> st.SearchStrategy[Plain]:
    """The JSON of rules."""
    return st.recursive(
        leaves(*segments),
        lambda inner: st.builds(
            lambda group, several: {group: several},
            st.sampled_from(["all", "any", "none"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        max_leaves=most,
    )


def rules(*segments: str, most: int = 6) -> st.SearchStrategy[Rule]:
    """Rules of at most about `most` leaves. segments: codes that they may name."""
    return plain_rules(*segments, most=most).map(Rule.model_validate)
