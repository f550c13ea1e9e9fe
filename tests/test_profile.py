"""Which claim is shown, and which channel and hour does a person prefer? By a rule per field, whatever the order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import Misconfigured
from domain.profile import (
    Claim,
    FieldRule,
    Preferred,
    ProfileRules,
    Touch,
    preferred,
    profile_of,
    read_profile_rules,
)
from storyline.profile import read_profile
from storyline.settings import Settings

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")


def claim(number: int, source: str = "crm", **fields: Any) -> Claim:
    return Claim(UUID(int=number), 0, UUID(int=1), AT + timedelta(minutes=number), source, fields)


def shown(claims: list[Claim], rules: ProfileRules | None = None) -> dict[str, Any]:
    return {one.field: one.value for one in profile_of(claims, rules)}


def test_the_most_recent_claim_wins_and_says_who_said_so_when() -> None:
    found = profile_of([claim(1, "crm", name="Ann"), claim(3, "shop", name="Anna"), claim(2, name="Anne")])
    assert found == (("name", "Anna", "shop", AT + timedelta(minutes=3), UUID(int=3)),)


def test_a_null_clears_and_what_is_left_out_stays() -> None:
    told = [claim(1, name="Ann", job_title="Buyer"), claim(2, name=None), claim(3, language="en")]
    assert shown(told) == {"job_title": "Buyer", "language": "en"}


def test_further_fields_merge_one_by_one() -> None:
    told = [claim(1, further={"size": "M", "tier": "gold"}), claim(2, further={"size": None, "pet": "cat"})]
    assert shown(told) == {"further.tier": "gold", "further.pet": "cat"}
    assert shown([claim(1, **{"further.size": "M"}), claim(2, further={"size": "L"})]) == {"further.size": "L"}


def test_an_address_wins_with_all_its_parts() -> None:
    told = [claim(1, address={"city": "Leeds", "postcode": "LS1"}), claim(2, address={"city": "York"})]
    assert shown(told) == {"address": {"city": "York"}}


def test_a_group_wins_together_and_what_the_winner_leaves_out_is_empty() -> None:
    rules = ProfileRules(groups={"work": ("organisation", "job_title")})
    told = [claim(1, organisation="Acme", job_title="Buyer"), claim(2, organisation="Bolt", name="Ann")]
    assert shown(told, rules) == {"organisation": "Bolt", "name": "Ann"}
    assert shown([*told, claim(3, job_title=None)], rules) == {"name": "Ann"}


def test_the_most_frequent_value_wins_the_latest_of_equals() -> None:
    rules = ProfileRules(rules={"name": FieldRule("most_frequent")})
    told = [claim(1, name="Ann"), claim(2, name="Anna"), claim(3, name="Ann"), claim(4, name="Anna")]
    assert shown(told, rules) == {"name": "Anna"}
    assert shown([*told, claim(5, name="Ann")], rules) == {"name": "Ann"}


def test_a_null_forgets_how_often_a_value_was_claimed() -> None:
    rules = ProfileRules(default=FieldRule("most_frequent"))
    assert shown([claim(1, name="Ann"), claim(2, name="Ann"), claim(3, name=None)], rules) == {}
    told = [claim(1, name="Ann"), claim(2, name="Ann"), claim(3, name=None), claim(4, name="Bea")]
    assert shown(told, rules) == {"name": "Bea"}


def test_the_first_source_of_a_list_wins_and_others_come_last() -> None:
    rules = ProfileRules(rules={"name": FieldRule("source_priority", ("crm", "shop"))})
    told = [claim(1, "crm/uk", name="Ann"), claim(2, "shop", name="Anna"), claim(3, "crmx", name="X")]
    assert shown(told, rules) == {"name": "Ann"}
    assert shown(told[1:], rules) == {"name": "Anna"}
    assert shown(told[2:], rules) == {"name": "X"}
    assert shown([*told, claim(4, "crm", name=None)], rules) == {"name": "Anna"}


def test_ties_are_settled_by_the_name_and_the_place() -> None:
    one = Claim(UUID(int=1), 0, UUID(int=1), AT, "crm", {"name": "Ann"})
    other = Claim(UUID(int=2), 0, UUID(int=1), AT, "crm", {"name": "Bea"})
    again = Claim(UUID(int=2), 1, UUID(int=1), AT, "crm", {"name": "Cleo"})
    assert shown([one, other]) == shown([other, one]) == {"name": "Bea"}
    assert shown([again, other]) == {"name": "Cleo"}


_claims = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["crm", "shop", "crm/uk"]),
        st.dictionaries(
            st.sampled_from(["name", "organisation", "job_title"]), st.sampled_from(["a", "b", None]), min_size=1
        ),
    ),
    max_size=8,
)
_RULES = ProfileRules(
    FieldRule("most_frequent"),
    {"name": FieldRule("source_priority", ("shop", "crm"))},
    {"work": ("organisation", "job_title")},
)


@given(_claims, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_claims_does_not_matter(rows: Any, random: Any) -> None:
    told = [
        Claim(UUID(int=place), 0, UUID(int=1), AT + timedelta(minutes=at), source, fields)
        for place, (at, source, fields) in enumerate(rows)
    ]
    mixed = list(told)
    random.shuffle(mixed)
    assert profile_of(mixed, _RULES) == profile_of(told, _RULES)
    assert profile_of(mixed) == profile_of(told)


def test_rules_are_read_from_a_section_of_a_settings_file() -> None:
    section = {
        "default": {"wins": "most_frequent"},
        "fields": {"name": {"wins": "source_priority", "sources": ["crm"]}},
        "groups": {"work": ["organisation", "job_title"]},
    }
    assert read_profile_rules(section) == ProfileRules(
        FieldRule("most_frequent"),
        {"name": FieldRule("source_priority", ("crm",))},
        {"work": ("organisation", "job_title")},
    )
    assert read_profile_rules({}) == ProfileRules()


def test_the_file_that_the_documentation_shows_is_good(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "customers.md").read_text()
    shown_there = text[text.index("    default = {") : text.index("| `wins` |")]
    path = tmp_path / "profile.toml"
    path.write_text(dedent(shown_there))
    rules = read_profile(path)
    assert rules.rules["name"] == FieldRule("source_priority", ("crm", "shop"))
    assert rules.groups == {"work": ("organisation", "job_title")}
    assert read_profile(None) == ProfileRules()


@pytest.mark.parametrize("text", [None, b"= 1", b"\xff", b"winner = 1"])
def test_a_file_of_rules_that_is_none_is_refused(tmp_path: Path, text: bytes | None) -> None:
    path = tmp_path / "profile.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(Misconfigured):
        read_profile(path)


def test_a_time_zone_that_nobody_knows_is_refused_at_the_start() -> None:
    assert Settings(time_zone="Asia/Tokyo").time_zone == "Asia/Tokyo"
    for wrong in ("Mars/Olympus", "", "../etc/passwd"):
        with pytest.raises(ValueError, match="time zone"):
            Settings(time_zone=wrong)


@pytest.mark.parametrize(
    "section",
    [
        {"default": {"wins": "loudest"}},
        {"fields": {"name": {"wins": "source_priority"}}},
        {"fields": {"name": {"wins": "most_recent", "sources": ["crm"]}}},
        {"groups": {"a": ["name"], "b": ["name"]}},
        {"winner": {}},
        [],
    ],
)
def test_rules_that_make_no_sense_are_refused(section: Any) -> None:
    with pytest.raises(Misconfigured):
        read_profile_rules(section)


def test_the_preferred_channel_and_hour_are_the_most_frequent_the_latest_of_equals() -> None:
    touches = [Touch("email", AT), Touch("call", AT + timedelta(hours=1)), Touch("email", AT + timedelta(days=1))]
    assert preferred(touches, UTC) == Preferred("email", 9)
    assert preferred([*touches, Touch("call", AT + timedelta(days=2, hours=1))], UTC) == Preferred("call", 10)
    assert preferred([], UTC) == Preferred(None, None)
    assert preferred([Touch("", AT)], UTC) == Preferred(None, 9)


def test_the_hour_is_that_of_the_persons_clock() -> None:
    summer = datetime(2026, 7, 1, 9, 30, tzinfo=UTC)
    assert preferred([Touch("call", summer)], LONDON).hour == 10
    assert preferred([Touch("call", summer)], ZoneInfo("Asia/Kolkata")).hour == 15
