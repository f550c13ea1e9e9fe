"""How alike are two customers? Symmetric, whatever the order, with reasons for and against."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.duplicates import evaluate, records
from commands.proposing_run import LARGEST, THRESHOLD
from domain.blocking import keys_of
from domain.similarity import MOST_VALUES, REASONS, Summary, likeness, summary


def known(*identifiers: tuple[str, str], **claim: Any) -> Summary:
    """A customer of these identifiers (kind, value) and one claim."""
    return summary([(kind, "", value) for kind, value in identifiers], [claim] if claim else [])


def codes(one: Summary, other: Summary) -> set[str]:
    return {reason.code for reason in likeness(one, other).reasons}


def home(street: str, postcode: str) -> dict[str, str]:
    return {"street": street, "postcode": postcode, "city": "Leeds"}


_ANN = known(("email", "ann.carter@example.org"), name="Ann Carter", address=home("12 Mill Lane", "LS1 4AB"))

_WORDS = st.sampled_from(["ann", "Anna", "carter", "Cárter", "smith", "o'brien", "김지우", "a", ""])
_IDENTIFIERS = st.lists(
    st.tuples(
        st.sampled_from(["email", "phone", "customer_no", "cookie"]),
        st.sampled_from(["", "shop"]),
        st.sampled_from(
            ["ann@x.org", "ann.carter@x.org", "carter+1@x.org", "@", "+447700900123", "447700900124", "17"]
        )
        | st.text(max_size=12),
    ),
    max_size=6,
)
_VALUES = st.none() | st.text(max_size=12) | st.integers() | st.dictionaries(st.text(max_size=3), st.text(max_size=3))
_CLAIMS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "name": _VALUES | st.lists(_WORDS, max_size=3).map(" ".join),
            "given_name": _VALUES | _WORDS,
            "family_name": _VALUES | _WORDS,
            "birthday": _VALUES | st.dates().map(str),
            "address": _VALUES | st.fixed_dictionaries({"postcode": _VALUES, "street": _VALUES}),
        },
    ),
    max_size=4,
)
_SUMMARIES = st.builds(summary, _IDENTIFIERS, _CLAIMS)


@given(_SUMMARIES, _SUMMARIES)
def test_a_score_is_symmetric_and_between_0_and_1(one: Summary, other: Summary) -> None:
    there, back = likeness(one, other), likeness(other, one)
    assert there == back
    assert 0 <= there.score <= 1
    assert {reason.code for reason in there.reasons} <= set(REASONS)


@given(_IDENTIFIERS, _CLAIMS, st.randoms(use_true_random=False))
def test_the_order_and_repeats_of_identifiers_play_no_part(
    identifiers: list[tuple[str, str, str]], claims: list[dict[str, Any]], chance: random.Random
) -> None:
    mixed = identifiers * 2
    chance.shuffle(mixed)
    assert summary(mixed, claims) == summary(identifiers, claims)
    assert keys_of(summary(mixed, claims)) == keys_of(summary(identifiers, claims))


@given(_SUMMARIES)
def test_whoever_is_compared_with_an_equal_has_nothing_against(one: Summary) -> None:
    assert all(reason.weight > 0 for reason in likeness(one, one).reasons)


@pytest.mark.parametrize(
    ("other", "code"),
    [
        (known(name="CARTER, Ánn"), "name-same"),
        (known(name="Mrs Ann Karter"), "name-alike"),
        (known(name="A. Carter"), "name-initial"),
        (known(name="Ann Maria Carter"), "name-within"),
        (known(given_name="Tom", family_name="Carter"), "family-same"),
        (known(name="Tom Miller"), "name-differs"),
        (known(("email", "ann.carter@example.com")), "name-in-email"),
        (known(("email", "ann.carter@example.org")), "email-same"),
        (known(("email", "anncarter+shop@example.org")), "email-spelled"),
        (known(("email", "ann.cartr@example.org")), "email-one-letter"),
        (known(("email", "ann.carte@exampl.org")), "email-two-letters"),
        (known(("email", "ann.carter@post.example")), "email-host"),
        (known(name="Ann", address=home("12, Mill Lane", "ls14ab")), "address-same"),
        (known(name="Ann", address=home("14 Mill Lane", "LS1 4AB")), "postcode-same"),
        (known(name="Ann", address=home("12 Mill Lane", "LS9 4AB")), "address-differs"),
    ],
)
def test_each_likeness_and_difference_has_its_reason(other: Summary, code: str) -> None:
    assert code in codes(_ANN, other)


@pytest.mark.parametrize(
    ("one", "other", "code"),
    [
        (known(("phone", "+441132960001")), known(("phone", "+441132960001")), "phone-same"),
        (known(("phone", "+441132960001")), known(("phone", "2960001")), "phone-end"),
        (known(("phone", "+441132960001")), known(("phone", "+441132960007")), "phone-one-digit"),
        (known(birthday="1980-05-04"), known(birthday="1980-05-04"), "birthday-same"),
        (known(birthday="1980-05-04"), known(birthday="1980-04-05"), "birthday-alike"),
        (known(birthday="1980-05-04"), known(birthday="1977-08-19"), "birthday-differs"),
        (known(("customer_no", "k-1")), known(("customer_no", "k-2")), "numbers-differ"),
    ],
)
def test_numbers_and_days_have_their_reasons(one: Summary, other: Summary, code: str) -> None:
    assert codes(one, other) == {code}


def test_a_figure_in_an_address_tells_people_apart() -> None:
    assert codes(known(("email", "ann.carter1@x.org")), known(("email", "ann.carter2@x.org"))) == set()


def test_people_of_one_household_are_not_proposed() -> None:
    home_of = {"address": home("12 Mill Lane", "LS1 4AB")}
    mother = known(("phone", "+441132960001"), name="Ann Carter", **home_of)
    son = known(("phone", "+441132960001"), name="Tom Carter", **home_of)
    assert likeness(mother, son).score < THRESHOLD / 2
    assert {"phone-same", "address-same", "family-same"} == codes(mother, son)


def test_who_shares_address_and_telephone_and_has_a_number_of_their_own_is_not_proposed() -> None:
    shared = (("phone", "+441132960001"), ("email", "the.carters@example.org"))
    one, other = known(*shared, ("customer_no", "k-1")), known(*shared, ("customer_no", "k-2"))
    assert likeness(one, other).score < THRESHOLD / 2
    named = known(*shared, ("customer_no", "k-1"), name="Ann Carter")
    again = known(*shared, ("customer_no", "k-2"), name="Carter, Ann")
    assert likeness(named, again).score > 0.9


def test_a_cleared_field_says_nothing() -> None:
    claims: list[dict[str, Any]] = [
        {"name": None, "birthday": None},
        {"name": "Ann Carter", "birthday": "1980-05-04"},
    ]
    assert summary([], claims) == Summary()


def test_a_former_name_still_counts() -> None:
    married = summary([], [{"family_name": "Bell"}, {"given_name": "Ann", "family_name": "Carter"}])
    assert "name-same" in codes(married, known(name="Ann Carter"))
    assert "name-same" in codes(married, known(name="Ann Bell"))


def test_what_one_customer_has_gathered_is_bounded() -> None:
    names: list[dict[str, Any]] = [{"name": f"{'n' * n} {'b' * n}"} for n in range(1, 99)]
    many = summary([("email", "", f"person{n:05d}@x.org") for n in range(5000)], names)
    assert len(many.emails) == MOST_VALUES
    assert len(many.names) == MOST_VALUES
    assert len(keys_of(many)) <= 10 * MOST_VALUES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (known(name="Ann Carter"), known(name="Carter, Ann")),
        (known(name="Ann Carter"), known(name="Anne Karter")),
        (known(name="Ann Carter", address=home("", "LS1 4AB")), known(name="Tom Karter", address=home("", "ls14ab"))),
        (known(("phone", "+441132960001")), known(("phone", "0113 2960001"))),
        (known(("email", "ann.c.arter+x@x.org")), known(("email", "anncarter@y.org"))),
        (known(("email", "ann.carter@x.org")), known(("email", "ann.cartr@x.org"))),
        (known(("email", "anna.carter@x.org")), known(("email", "ana.carter@x.org"))),
        (known(("email", "ann.carter@x.org")), known(name="Ann Carter")),
        (known(name="Ann Carter", birthday="1980-05-04"), known(name="Tom Corder", birthday="1980-05-04")),
    ],
)
def test_one_slip_leaves_a_key_in_common(one: Summary, other: Summary) -> None:
    assert keys_of(one) & keys_of(other)


def test_an_office_mailbox_is_nobodys_name() -> None:
    assert not keys_of(known(("email", "info@x.org"))) & keys_of(known(("email", "info@y.org")))


def test_proposals_are_mostly_right_and_find_most_that_can_be_found() -> None:
    """The figures of docs/duplicates.md come from the same bench, with more people."""
    figures = evaluate(records(3000), (THRESHOLD,))
    assert figures["by_threshold"][str(THRESHOLD)]["precision"] > 0.93
    assert figures["by_threshold"][str(THRESHOLD)]["recall"] > 0.6
    assert figures["compared"] < figures["customers"] * LARGEST
