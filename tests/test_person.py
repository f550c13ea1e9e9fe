"""Who is a colleague, and what becomes of them when they leave?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.errors import BadInput, Refused
from domain.person import (
    Person,
    PersonIsHere,
    PersonLeft,
    PersonRoleUnknown,
    PersonSucceedsThemselves,
    PersonTeamUnknown,
    person_id,
)
from tests.support.aggregates import configured, steps_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
RULES = configured(roles=["manager", "director"], teams=["sales", "support"])


def anna(**content: Any) -> Person:
    given = {"name": "Anna", "teams": ["sales"], "roles": ["manager"], **content}
    return Person.register("anna", given, RULES, at=START, actor="user:maria")


def test_a_colleague_is_found_by_their_code() -> None:
    one = anna()
    assert (one.id, one.code) == (person_id("anna"), "anna")
    assert [ref.value for ref in one.refs] == [one.id.hex, "anna"]
    assert (one.state.name, one.state.teams, one.state.roles) == ("Anna", ("sales",), ("manager",))
    assert person_id("anna") != person_id("bert")


@pytest.mark.parametrize("code", ["", "Anna", "anna@example.org", "a b", "x" * 65])
def test_a_code_is_made_of_small_letters_and_digits(code: str) -> None:
    with pytest.raises(BadInput):
        Person.register(code, {}, RULES, at=START, actor=None)


@pytest.mark.parametrize(
    ("content", "error"), [({"roles": ["king"]}, PersonRoleUnknown), ({"teams": ["art"]}, PersonTeamUnknown)]
)
def test_roles_and_teams_are_those_of_the_configuration(content: dict[str, Any], error: type[Refused]) -> None:
    with pytest.raises(error):
        anna(**content)
    with pytest.raises(error) as refused:
        anna().change(content, RULES, at=START, actor=None)
    assert refused.value.allowed


def test_any_team_will_do_where_none_is_configured() -> None:
    Person.register("bert", {"teams": ["art"]}, configured(), at=START, actor=None)


def test_S04_a_colleague_leaves_and_comes_back() -> None:
    one = anna()
    with pytest.raises(PersonIsHere):
        one.come_back(at=START, actor=None)
    with pytest.raises(PersonSucceedsThemselves):
        one.leave(to="anna", to_team=None, at=START, actor=None)
    one.leave(to="bert", to_team=None, at=START + timedelta(days=1), actor=None)
    assert (one.state.status, one.state.successor) == ("left", "bert")
    with pytest.raises(PersonLeft):
        one.leave(to=None, to_team="sales", at=START, actor=None)
    with pytest.raises(PersonLeft):
        one.change({"name": "Ann"}, RULES, at=START, actor=None)
    one.come_back(at=START, actor=None)
    one.change({"roles": ["director"]}, RULES, at=START, actor=None)
    assert (one.state.status, one.state.successor, one.state.left_at) == ("here", None, None)
    assert one.code == "anna"
    assert [step.type for step in steps_of(one)] == [
        "user.registered", "user.left", "user.returned", "user.changed",
    ]  # fmt: skip
