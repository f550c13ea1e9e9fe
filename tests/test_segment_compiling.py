"""Do compiled rules say of customers what rules mean? Leaf by leaf, on histories that people can follow.

tests/test_segment_equivalence.py holds the compiler against an independent evaluator; here stand the meanings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.catalogue import builtin
from domain.catalogue.deployment import DeploymentType
from domain.catalogue.registry import Catalogue
from domain.segment_text import read_rule
from domain.segments import Rule
from projections.registry import use
from projections.segments import compiling_choosing
from projections.segments.compiling import Facing, Program, Ruled
from tests.support.rules import rules
from tests.support.stage import Stage, stage
from tests.support.story import START

EXAMPLES = int(os.environ.get("SEGMENT_EXAMPLES", "60"))
"""More of them by hand: SEGMENT_EXAMPLES=3000."""
LONDON = ZoneInfo("Europe/London")


class Held(NamedTuple):
    held: bool
    wake: datetime | None


@pytest.fixture(scope="module")
def acted(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


def asked(stage: Stage, facing: Facing, now: datetime, *several: Rule) -> dict[UUID, list[Held]]:
    """What is found out of every customer, rule by rule; the same, whether stories are taken for long or not."""
    found = found_of(stage, facing, now, *several)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling_choosing, "LONG_STORY", 0)
        assert found_of(stage, facing, now, *several) == found
    return found


def found_of(stage: Stage, facing: Facing, now: datetime, *several: Rule) -> dict[UUID, list[Held]]:
    program = Program([Ruled(f"s{number}", 1, rule) for number, rule in enumerate(several)], facing)
    with psycopg.connect(stage.story.dsn) as connection:
        use(connection)
        customers = [row[0] for row in connection.execute("SELECT DISTINCT customer FROM evidences").fetchall()]
        parameters = {**program.parameters, "customers": [*customers, uuid4()], "now": now}
        rows = connection.execute(program.query, parameters).fetchall()
    assert len(rows) == (len(customers) + 1) * len(several)
    found: dict[UUID, list[Any]] = {one: [None] * len(several) for one in customers}
    for customer, segment, _, held, wake in rows:
        if customer in found:
            found[customer][int(segment[1:])] = Held(held, wake)
    return found


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rules("vip", "listed", "gone"), min_size=1, max_size=3))
def test_whatever_the_rule_postgres_understands_it(acted: Stage, several: list[Rule]) -> None:
    others = {"vip": read_rule("in segment vip or exists(purchase.made in last 1d)"), "listed": None}
    asked(acted, Facing(zone=LONDON, others=others), START + timedelta(days=1), *several)


NOW = datetime(2026, 6, 9, 9, 0, tzinfo=UTC)
"""A hundred days after the first moment of these histories."""
NAMES = ("ann", "bob", "cleo", "dan")


def told(day: float, type: str, name: str, content: Any = None, **data: Any) -> dict[str, Any]:
    """An event of that day of the history, of somebody with this number."""
    who = [{"kind": "customer_no", "value": name}] if name else []
    at = (START + timedelta(days=day)).isoformat()
    identity = f"{type}-{name}-{day}-{data.pop('mark', '')}"
    body = {"who": who, **({"content": content} if content is not None else {}), **data}
    return {"specversion": "1.0", "source": "test/shop", "id": identity, "type": type, "time": at, "data": body}


def bought(day: float, name: str, amount: str, currency: str = "GBP", **content: Any) -> dict[str, Any]:
    return told(day, "purchase.made", name, {"amount": amount, "currency": currency, **content})


SHOP = [
    # Ann buys often, lately and dearly, and is a person of Acme.
    *[bought(day, "ann", "120.00", country="GB") for day in (10, 60, 95)],
    bought(96, "ann", "5.50", "EUR", lines=[{"product": "tea", "amount": "5.50"}]),
    told(20, "page.viewed", "ann", {"page": "/gifts", "product": "cup"}, channel="web"),
    told(94, "page.viewed", "ann", {"page": "/gifts"}),
    told(97, "email.received", "ann", {}),
    told(1, "profile.updated", "ann", {"birthday": "1990-06-12", "address": {"city": "Leeds", "country": "GB"}}),
    told(2, "profile.updated", "ann", {"further": {"shoe size": "42"}, "job_title": "Owner"}),
    told(3, "consent.given", "ann", {"purpose": "Marketing"}),
    told(4, "consent.withdrawn", "ann", {"purpose": "marketing", "channel": "phone"}),
    # Bob bought once, long ago, took half of it back, and is called.
    bought(5, "bob", "40", lines=[{"product": "cup", "amount": "40"}], country="DE") | {"source": "test/other"},
    told(6, "refund.made", "bob", {"amount": "20", "currency": "GBP"}),
    told(70, "call.ended", "bob", {"queue": "service", "duration_s": 300}, channel="phone"),
    told(80, "call.ended", "bob", {"queue": "sales", "duration_s": 20}, channel="phone"),
    told(30, "profile.updated", "bob", {"country": "AT", "birthday": "2000-02-29"}),
    told(31, "profile.updated", "bob", {"job_title": None}),
    told(9, "consent.given", "bob", {"purpose": "marketing", "channel": "email"}),
    told(50, "email.unsubscribed", "bob", {}),
    # Cleo looks at things, fills carts, and answers surveys.
    told(90, "cart.updated", "cleo", {"amount": "10", "currency": "GBP"}),
    told(92, "cart.updated", "cleo", {"amount": "12", "currency": "GBP"}, mark="2"),
    told(40, "survey.answered", "cleo", {"measure": "csat", "score": 2, "best": 5}),
    told(45, "survey.answered", "cleo", {"measure": "csat", "score": 4, "best": 5}),
    told(60, "subscription.started", "cleo", {"plan": "basic", "amount": "9", "currency": "GBP"}),
    told(99, "email.sent", "cleo", {}, refs=[{"kind": "campaign", "value": "spring"}]),
    # Dan is known by a mail that was taken back, and by what is no contact.
    told(50, "email.received", "dan", {}),
    told(51, "event.retracted", "", {}, about=[
        {"relation": "retracts", "source": "test/shop", "id": "email.received-dan-50-"}
    ]),
    told(52, "profile.updated", "dan", {"name": "Dan"}),
    # Eve was never there: her only event was taken back. So was a page of Ann's.
    told(50, "email.received", "eve", {}),
    told(51, "event.retracted", "", {}, mark="2", about=[
        {"relation": "retracts", "source": "test/shop", "id": "email.received-eve-50-"}
    ]),
    told(30, "page.viewed", "ann", {"page": "/secret"}),
    told(31, "event.retracted", "", {}, about=[
        {"relation": "retracts", "source": "test/shop", "id": "page.viewed-ann-30-"}
    ]),
    # Nobody's: what things are.
    told(0, "product.described", "", {"category": "drink"}, refs=[{"kind": "product", "value": "tea"}]),
    told(0, "organisation.described", "", {"industry": "retail", "contacts": [{}]},
         refs=[{"kind": "organisation", "value": "acme"}],
         parties=[{"role": "contact", "who": [{"kind": "customer_no", "value": "ann"}]}]),
    told(77, "event.amended", "", {
        "type": "survey.answered", "content": {"measure": "csat", "score": 1, "best": 5}
    }, about=[{"relation": "corrects", "source": "test/shop", "id": "survey.answered-cleo-40-"}]),
]  # fmt: skip
MEANT = {
    # How many, and whether any
    "exists(purchase.made)": "ann bob",
    "exists(purchase.made in last 5d)": "ann",
    "exists(purchase.made in last 30d) and no(call.ended)": "ann",
    "no(contact in last 20d)": "bob dan",
    "no(contact)": "dan",
    "count(contact) >= 7": "ann",
    "count(purchase.made in last 45d) >= 3": "ann",
    "count(purchase.made in last 45d) > 3": "",
    "count(purchase.made in last 45d) = 3": "ann",
    "count(purchase.made between 2026-03-06 and 2026-04-30) = 2": "ann",
    "count(purchase.made before 2026-03-11) in (1, 7)": "bob",
    "count(purchase.made | refund.made since 2026-03-07) >= 1": "ann bob",
    "exists(profile.updated)": "ann bob dan",
    "count(profile.updated in last 75d) != 0": "bob dan",
    # Conditions
    'exists(contact where channel = "phone")': "bob",
    "exists(contact where channel unknown)": "",
    'count(contact where direction = "in") >= 6': "ann",
    'exists(purchase.made where source starts with "test/o")': "bob",
    'count(purchase.made where content.currency = "GBP" and content.amount > 100 in last 60d) >= 2': "ann",
    'exists(page.viewed where content.page = "/gifts" in last 7d)': "ann",
    "exists(call.ended where content.duration_s >= 300)": "bob",
    'exists(contact where product = "cup")': "ann bob",
    'exists(contact where product = "tea")': "ann",
    'exists(purchase.made where category = "drink")': "ann",
    'exists(contact where campaign = "spring")': "cleo",
    'exists(contact where campaign = "campaign:spring")': "cleo",
    'exists(contact where campaign != "spring")': "ann bob cleo",
    'exists(page.viewed where content.page = "/secret")': "",
    # Figures of events
    'sum(content.amount, purchase.made where content.currency = "GBP") = 360': "ann",
    'sum(content.amount, purchase.made where content.currency = "EUR") < 1': "bob cleo dan",
    "min(content.score, survey.answered) = 1": "cleo",
    "max(content.score, survey.answered) > 3": "cleo",
    'first(content.plan, subscription.started) = "basic"': "cleo",
    'last(channel, contact) = "phone"': "bob",
    "last(contact) in last 2d": "cleo",
    "first(contact) < 2026-03-10": "bob",
    "first(purchase.made in last 45d) more than 35d ago": "ann",
    "days since(purchase.made) >= 95": "bob",
    "days since(purchase.made) unknown": "cleo dan",
    # Sequences
    "sequence(cart.updated then no purchase.made within 3d)": "cleo",
    "sequence(cart.updated then no purchase.made within 30d)": "",
    "sequence(page.viewed then purchase.made within 1d)": "ann",
    "sequence(page.viewed then purchase.made within 12h)": "",
    "sequence(page.viewed then purchase.made within 2d without email.received)": "ann",
    "sequence(page.viewed then email.received without purchase.made)": "",
    "sequence(cart.updated then cart.updated then email.sent in last 11d)": "cleo",
    "sequence(cart.updated then cart.updated then email.sent in last 10d)": "",
    # What is known
    "fact.orders >= 4 and fact.touchpoints = 7": "ann",
    "fact.revenue(GBP) = 360": "ann",
    "fact.refunds(GBP) = 20": "bob",
    "fact.average(GBP) = 120": "ann",
    "fact.average(GBP) unknown": "dan",
    "fact.orders(EUR) = 1": "ann",
    "fact.last_at more than 15d ago": "bob",
    "fact.first_at = 2026-03-06": "bob",
    'place.country = "AT"': "bob",
    'place.country = "GB" and place.city = "Leeds"': "ann",
    'profile."further.shoe size" = "42"': "ann",
    "profile.job_title known": "ann",
    "profile.birthday anniversary in 4d": "ann",
    "profile.birthday anniversary in 2d": "",
    'identifier.customer_no in ("bob", "cleo")': "bob cleo",
    "identifier.email known": "",
    "consent.marketing granted": "ann",
    "consent.marketing.email granted": "ann",
    "consent.marketing.email withdrawn": "bob",
    "consent.marketing.phone withdrawn": "ann",
    "consent.marketing unknown": "bob cleo dan",
    "rfm.recency = 5": "ann",
    "rfm.class known": "ann bob cleo",
    'industry = "retail"': "ann",
    # Joined
    "in segment loyal": "ann",
    "in segment loyal or in segment staff": "ann bob",
    "not in segment loyal": "bob cleo dan",
    "in segment gone": "",
    "not (exists(purchase.made) or exists(cart.updated))": "dan",
}


class Answers(NamedTuple):
    """By rule: who is meant, and when each has to be asked again."""

    held: dict[str, set[str]]
    wakes: dict[str, dict[str, datetime | None]]


@pytest.fixture(scope="module")
def answers(postgres: Any) -> Iterator[Answers]:
    with stage(postgres) as acted:
        acted.begin()
        acted.feed(acted.publish([(one, 100 * 24 * 60) for one in SHOP]))
        yield _answered(acted, [*MEANT, *WAKING], NOW)


_NAMED = "SELECT e.customer, i.value FROM identity.evidences AS e JOIN directory.identifiers AS i USING (evidence)"


def _answered(acted: Stage, texts: list[str], now: datetime) -> Answers:
    others: dict[str, Rule | None] = {"loyal": read_rule("count(purchase.made) >= 3"), "staff": None}
    with psycopg.connect(acted.story.dsn, autocommit=True) as connection:
        named: dict[UUID, str] = dict(connection.execute(_NAMED).fetchall())
        (bob,) = [customer for customer, name in named.items() if name == "bob"]
        connection.execute("INSERT INTO storyline.segments (code, kind) VALUES ('staff', 'fixed')")
        connection.execute("INSERT INTO storyline.segment_lists (segment, node) VALUES ('staff', %s)", [bob])
    found = asked(acted, Facing(zone=LONDON, others=others), now, *[read_rule(text) for text in texts])
    held: dict[str, set[str]] = {text: set() for text in texts}
    wakes: dict[str, dict[str, datetime | None]] = {text: {} for text in texts}
    for customer, verdicts in found.items():
        for text, (holds, wake) in zip(texts, verdicts, strict=True):
            if holds:
                held[text].add(named[customer])
            wakes[text][named[customer]] = wake
    return Answers(held, wakes)


@pytest.mark.parametrize("rule", MEANT)
def test_a_rule_means(answers: Answers, rule: str) -> None:
    assert answers.held[rule] == set(MEANT[rule].split())


def day(number: float) -> datetime:
    return START + timedelta(days=number)


WAKING: dict[str, dict[str, datetime | None]] = {
    # When the last of what is in the window leaves it; where it is empty time changes nothing
    "exists(purchase.made in last 90d)": {"ann": day(96 + 90), "bob": None, "cleo": None},
    "no(call.ended in last 60d)": {"bob": day(80 + 60), "ann": None},
    # When the one leaves without which there are too few
    "count(purchase.made in last 41d) >= 2": {"ann": day(95 + 41), "bob": None},
    "count(purchase.made in last 41d) >= 3": {"ann": day(60 + 41)},
    "count(purchase.made in last 41d) >= 4": {"ann": None},
    'exists(page.viewed where content.page = "/gifts" in last 10d)': {"ann": day(94 + 10), "bob": None},
    # A whole day that can matter
    "days since(purchase.made) >= 120": {"bob": day(5 + 120), "ann": day(96 + 120), "cleo": None},
    "days since(purchase.made) > 120": {"bob": day(5 + 121)},
    # A duration that has to be over
    "sequence(cart.updated then no purchase.made within 9d)": {"cleo": day(92 + 9), "ann": None},
    # Moments and days that come near
    "fact.last_at more than 30d ago": {"bob": day(80 + 30)},
    "profile.birthday anniversary in 2d": {"ann": datetime(2026, 6, 9, 23, 0, tzinfo=UTC)},
    "profile.birthday anniversary in 7d": {"ann": datetime(2026, 6, 12, 23, 0, tzinfo=UTC)},
    "rfm.recency >= 3": {"bob": day(5 + 180), "ann": day(96 + 30), "dan": None},
    # What never changes by time alone
    "fact.orders >= 2 and place.country known": {"ann": None, "bob": None},
    "exists(purchase.made since 2026-03-01)": {"ann": None, "bob": None},
}


@pytest.mark.parametrize("rule", WAKING)
def test_time_is_looked_at_when_it_may_change_something(answers: Answers, rule: str) -> None:
    found = answers.wakes[rule]
    assert {name: found[name] for name in WAKING[rule]} == WAKING[rule]


def test_contents_of_older_versions_are_raised_to_the_present_one(acted: Stage) -> None:
    schema = {"type": "object", "properties": {"class": {"type": "string", "maxLength": 40, "x-public": True}}}
    old = {"type": "course.enrolled", "category": "touchpoint", "doc": "Somebody enrolled.", "line": "Enrolled",
           "schema": schema}  # fmt: skip
    schema = {"type": "object", "properties": {
        "course": {"type": "string", "maxLength": 40, "x-public": True}, "fee": {"type": "number", "x-public": True},
    }}  # fmt: skip
    new = {**old, "version": 2, "schema": schema, "upcasters": {"1": [
        {"rename": {"class": "course"}}, {"default": {"fee": 5}}, {"remove": ["room"]}
    ]}}  # fmt: skip
    acted.begin()
    catalogue = acted.story.catalogue
    try:
        acted.story.catalogue = Catalogue([*builtin(), DeploymentType(old)])
        acted.feed(acted.publish([(told(1, "course.enrolled", "ann", {"class": "tea"}), 10_000)]))
    finally:
        acted.story.catalogue = catalogue
    facing = Facing.of(Catalogue([*builtin(), DeploymentType(new)]), LONDON)
    rule = read_rule('exists(course.enrolled where content.course = "tea" and content.fee = 5)')
    assert [one[0].held for one in asked(acted, facing, NOW, rule).values()] == [True]
    assert [one[0].held for one in asked(acted, Facing(zone=LONDON), NOW, rule).values()] == [False]


def test_segments_that_ask_for_each_other_make_the_statement_no_longer_than_all_of_them() -> None:
    others: dict[str, Rule | None] = {
        "s0": read_rule(" or ".join(f"count(contact in last {n}d) > 3" for n in range(1, 26)))
    }
    for level in range(1, 9):
        text = " and ".join(f"(in segment s{level - 1} or fact.orders > {n})" for n in range(25))
        others[f"s{level}"] = read_rule(text)
    program = Program([Ruled("top", 1, read_rule("in segment s8"))], Facing(others=others))
    assert len(program.query.as_string(None)) < 150_000


def test_what_rules_depend_on_is_told() -> None:
    facing = Facing(others={"inner": read_rule('exists(page.viewed where category = "drink" in last 1d)')})
    found = Program([Ruled("a", 1, read_rule("in segment inner and count(deals) > 1"))], facing).watched
    assert found.types == frozenset({"page.viewed"})
    assert (found.work, found.products, found.timed) == (frozenset({"deal"}), True, True)
    assert Program([Ruled("a", 1, read_rule("fact.orders > 1"))], facing).watched.types is None
