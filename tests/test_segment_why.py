"""Why is a customer in a segment, and what changes that next? Verdicts of one story, with their reasons."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.configuration.rfm import Rfm
from domain.consents import Word
from domain.facts import Trade
from domain.profile import Claim
from domain.segment_reasons import reasons, sentence
from domain.segment_story import Around, CustomerStory, Happened, Item, Listing, Named, Place
from domain.segment_text import read_rule
from domain.segment_verdict import Verdict, evaluate, holds
from domain.segments import Rule
from tests.support.rules import rules

EXAMPLES = int(os.environ.get("SEGMENT_EXAMPLES", "60"))
"""Random rules and stories; set SEGMENT_EXAMPLES to ask for more by hand."""
LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
AROUND = Around(LONDON, Rfm())
ANN = UUID(int=1)


def happened(number: int, ago: timedelta, type: str = "purchase.made", **changes: Any) -> Happened:
    """An event so long before now."""
    name = uuid5(UUID(int=0), str(number))
    touch = type not in {"profile.updated", "consent.given", "consent.withdrawn", "product.described"}
    return Happened(name, NOW - ago, type, touch, **changes)


def bought(number: int, ago: timedelta, amount: str = "10.00", currency: str = "GBP", **content: Any) -> Happened:
    return happened(number, ago, content={"amount": amount, "currency": currency, **content})


def story(*events: Happened, **more: Any) -> CustomerStory:
    ordered = sorted(events, key=lambda one: one.place)
    trades = [
        Trade(
            one.name, one.happened_at, one.name, False, Decimal(one.content["amount"]), one.content["currency"], "s"
        )
        for one in ordered
        if one.type == "purchase.made" and "amount" in one.content
    ]
    return CustomerStory(ANN, events=ordered, **{"trades": trades, **more})


def why(text: str, told: CustomerStory, now: datetime = NOW, around: Around = AROUND) -> Verdict:
    return evaluate(read_rule(text), told, now, around)


def test_S32_the_tree_tells_what_each_leaf_found_and_which_events_made_it_so() -> None:
    purchases = [bought(1, 40 * DAY), bought(2, 20 * DAY), bought(3, 5 * DAY)]
    found = why("count(purchase.made in last 30d) >= 2 and no(refund.made)", story(*purchases))
    assert found.holds and found.kind == "all"
    count, absence = found.parts
    assert (count.place, count.holds, count.found) == ("all[0].events", True, 2)
    assert [one.name for one in count.events] == [purchases[1].name, purchases[2].name]
    assert (absence.holds, absence.found, absence.events) == (True, 0, ())
    assert [sentence(one, personal=False) for one in reasons(found)] == [
        "count(purchase.made in last 30d) >= 2: yes, found 2",
        "no(refund.made): yes, found nothing" if absence.found is None else "no(refund.made): yes, found 0",
    ]


def test_of_what_failed_only_the_failing_leaves_are_reasons() -> None:
    found = why("exists(purchase.made) and (exists(refund.made) or exists(call.ended))", story(bought(1, DAY)))
    assert not found.holds
    assert [one.place for one in reasons(found)] == ["all[1].any[0].events", "all[1].any[1].events"]
    denied = why("not (exists(purchase.made) or exists(refund.made))", story(bought(1, DAY)))
    assert [one.place for one in reasons(denied)] == ["none[0].events"]


def test_a_window_ends_when_the_event_is_as_old_as_it_is_long_and_not_before() -> None:
    told = story(bought(1, 30 * DAY - timedelta(seconds=1)))
    found = why("exists(purchase.made in last 30d)", told)
    assert found.holds and found.turn is not None
    assert found.turn.at == NOW + timedelta(seconds=1) and not found.turn.to
    assert not why("exists(purchase.made in last 30d)", told, found.turn.at).holds
    assert why("exists(purchase.made in last 30d)", told, found.turn.at - timedelta(microseconds=1)).holds


def test_the_next_moment_is_that_of_the_whole_and_names_the_leaves_that_turn() -> None:
    told = story(bought(1, 29 * DAY), happened(2, 89 * DAY, "call.ended"))
    found = why("exists(purchase.made) and no(contact in last 30d)", told)
    assert not found.holds
    assert found.turn is not None
    assert (found.turn.at, found.turn.to, found.turn.places) == (NOW + DAY, True, ("all[1].events",))
    assert not found.parts[0].decides and found.parts[1].decides


def test_what_turns_twice_at_one_moment_does_not_turn_the_whole() -> None:
    told = story(bought(1, 10 * DAY))
    found = why("exists(purchase.made in last 30d) or no(purchase.made in last 30d)", told)
    assert found.holds and found.turn is None and found.until is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("count(purchase.made in last 30d) >= 3", "2 more purchase.made in last 30d"),
        ("no(contact in last 30d)", None),
        ("no(contact in last 9d)", "one contact in last 9d"),
        (
            'sum(content.amount, purchase.made where content.currency = "GBP") > 100',
            'more purchase.made where content.currency = "GBP", together with more than 90 of content.amount',
        ),
        ("fact.orders >= 5", "4 more orders"),
        ("consent.marketing.email granted", "consent for marketing on email being granted"),
        ("days since(purchase.made) > 3", "another purchase.made"),
        ("exists(purchase.made before 2020-01-01)", None),
        ("count(purchase.made) >= 1", None),
    ],
)
def test_what_would_turn_a_leaf_is_said(text: str, wanted: str | None) -> None:
    found = why(text, story(bought(1, 10 * DAY, "10")))
    assert (None if found.wanted is None else found.wanted.text) == wanted


def test_a_sequence_wants_its_steps_in_order_with_nothing_between() -> None:
    browsed = [happened(1, 9 * DAY, "page.viewed"), happened(2, 7 * DAY, "cart.abandoned"), bought(3, 5 * DAY)]
    assert why("sequence(page.viewed then purchase.made within 7d)", story(*browsed)).holds
    assert not why("sequence(page.viewed then purchase.made within 3d)", story(*browsed)).holds
    assert not why("sequence(page.viewed then purchase.made without cart.abandoned)", story(*browsed)).holds
    again = [*browsed, happened(4, 6 * DAY, "page.viewed")]
    found = why("sequence(page.viewed then purchase.made without cart.abandoned)", story(*again))
    assert [one.type for one in found.events] == ["page.viewed", "purchase.made"]
    assert found.events[0].happened_at == NOW - 6 * DAY


def test_a_sequence_with_an_absence_holds_once_the_time_is_over() -> None:
    told = story(bought(1, 13 * DAY))
    text = "sequence(purchase.made then no contact within 14d)"
    found = why(text, told)
    assert not found.holds and found.turn is not None
    assert (found.turn.at, found.turn.to) == (NOW + DAY, True)
    broken = story(bought(1, 13 * DAY), happened(2, 3 * DAY, "call.ended"))
    assert why(text, broken).turn is None


def test_profile_place_identifier_and_consent_are_told() -> None:
    claim = Claim(UUID(int=9), 0, UUID(int=8), NOW - DAY, "crm",
                  {"birthday": "1990-06-20", "address": {"city": "Leeds"}, "further": {"shoe_size": 42}})  # fmt: skip
    told = story(
        claims=[claim],
        places=[Place(UUID(int=7), NOW - DAY, "FR")],
        identifiers=[Named("email", "", "ann@example.org")],
        words=[Word(UUID(int=6), UUID(int=8), NOW - DAY, "marketing", "", True, "consent.given")],
    )
    for text in (
        'profile.address.city = "Leeds"', "profile.further.shoe_size > 40", 'place.country = "FR"',
        'identifier.email ends with "@example.org"', "identifier.phone unknown", "consent.marketing.email granted",
        "profile.birthday anniversary in 7d",
    ):  # fmt: skip
        assert why(text, told).holds, text
    near = why("profile.birthday anniversary in 7d", told)
    assert near.turn is not None and near.turn.at == datetime(2026, 6, 20, 23, 0, tzinfo=UTC)
    assert sentence(near, personal=False) == "profile.birthday anniversary in 7d: yes"
    assert "1990-06-20" in sentence(near, personal=True)


def test_a_class_falls_on_the_day_that_the_last_purchase_is_too_long_ago() -> None:
    first = Rfm().recency_days[0]
    told = story(bought(1, (first - 1) * DAY))
    found = why("rfm.recency = 5", told)
    assert found.holds and found.turn is not None and found.turn.at == NOW + DAY
    assert why("rfm.class unknown", story()).holds


def test_items_and_industries_are_asked_for() -> None:
    deal = Item("deal", UUID(int=5), {"status": "open", "amount": Decimal(500), "stage_since": NOW - 9 * DAY})
    lead = Item("lead", UUID(int=4), {"status": "open", "industry": "retail"})
    told = story(items=[deal, lead], industries=["energy"])
    assert why('count(deals where status = "open" and amount > 100) >= 1', told).holds
    stalled = why("count(deals where stage_since more than 10d ago) >= 1", told)
    assert not stalled.holds and stalled.turn is not None and stalled.turn.at == NOW + DAY
    assert why('industry in ("energy", "steel")', told).holds
    assert not why('industry != "retail"', told).holds


def test_another_segment_is_told_by_its_own_rule_and_a_list_by_who_is_on_it() -> None:
    buyers = read_rule("exists(purchase.made in last 30d)")
    around = Around(LONDON, Rfm(), rules={"buyers": buyers, "staff": None})
    found = why("in segment buyers and not in segment staff", story(bought(1, DAY)), around=around)
    assert found.holds
    inner = found.parts[0]
    assert inner.kind == "segment" and inner.parts[0].place == "all[0].segment.rule.events"
    assert found.turn is not None and found.turn.places == ("all[0].segment.rule.events",)
    listed = story(bought(1, DAY), lists=[Listing("staff", NOW - DAY)])
    assert not why("in segment buyers and not in segment staff", listed, around=around).holds
    assert not why("in segment gone", listed, around=around).holds


def test_what_happened_later_than_the_moment_does_not_exist() -> None:
    told = story(bought(1, 20 * DAY), bought(2, DAY))
    assert why("count(purchase.made) = 2", told).holds
    assert why("count(purchase.made) = 1", told, NOW - 2 * DAY).holds
    assert why("fact.orders = 1", told, NOW - 2 * DAY).holds


@st.composite
def stories(draw: st.DrawFn) -> CustomerStory:
    """Some events of the kinds that random rules ask for, minutes and days before now."""
    types = ["email.received", "purchase.made", "refund.made", "call.ended"]
    found = []
    for number in range(draw(st.integers(0, 6))):
        ago = draw(st.sampled_from([1, 2, 3, 59, 60, 61, 1439, 1440, 1441, 10_079, 10_080, 43_200])) * timedelta(
            minutes=1
        )
        type = draw(st.sampled_from(types))
        content = {
            "amount": draw(st.sampled_from(["1", "5.5", "20"])),
            "currency": draw(st.sampled_from("GBP EUR".split())),
        }
        found.append(happened(number, ago, type, channel=draw(st.sampled_from(["email", "phone"])), content=content))
    return story(*found)


def moments(told: CustomerStory, rule: Rule) -> Sequence[datetime]:
    """All moments at which time alone may turn anything here, with what lies just before each."""
    lengths = [timedelta(minutes=one) for one in (1, 2, 3, 60, 1440, 2880, 4320, 10_080, 43_200)]
    lengths += [number * DAY for number in range(22)]
    found = {one.happened_at + length for one in told.events for length in lengths}
    return sorted(one - step for one in found if one > NOW for step in (timedelta(0), timedelta(microseconds=1)))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(rules(most=4), stories())
def test_no_verdict_turns_by_time_alone_before_the_moment_that_is_told(rule: Rule, told: CustomerStory) -> None:
    found = evaluate(rule, told, NOW, AROUND)
    assert found.holds == holds(rule, told, NOW, AROUND)
    turned = next(
        (at for at in moments(told, rule) if at > NOW and holds(rule, told, at, AROUND) != found.holds), None
    )
    if turned is not None:
        assert found.turn is not None and found.turn.at <= turned
    if found.turn is not None:
        assert holds(rule, told, found.turn.at, AROUND) == found.turn.to != found.holds
        assert holds(rule, told, found.turn.at - timedelta(microseconds=1), AROUND) == found.holds
