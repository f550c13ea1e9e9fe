"""Who gets what comes in: in turn, by territory, by load, and when nobody is there?"""

from __future__ import annotations

from collections import Counter
from typing import Any

from domain.assignment import Assigned, assignee_of
from domain.configuration import read_configuration

TEAMS = {"emea": ["zoe", "ben", "ann"], "nobody": []}


class Office:
    """Who works here, how much they have, and whose turn it is."""

    def __init__(self, *rules: dict[str, Any], away: frozenset[str] = frozenset(), **load: int) -> None:
        self.rules = read_configuration({"version": 1, "assignment": list(rules)})
        self.load, self.away, self.turns = Counter(load), away, Counter[str]()

    def turn(self, rule: str) -> int:
        self.turns[rule] += 1
        return self.turns[rule] - 1

    def gives(self, kind: Any = "lead", **facts: Any) -> Assigned | None:
        return assignee_of(
            self.rules, kind, facts, lambda team: TEAMS.get(team, []), self.load, self.turn,
            lambda code: code not in self.away,
        )  # fmt: skip

    def to(self, **facts: Any) -> str | None:
        given = self.gives(**facts)
        return given.assignee if given else None


def rule(code: str = "r", of: str = "lead", by: str = "round_robin", **more: Any) -> dict[str, Any]:
    return {"code": code, "of": of, "by": by, **more}


def test_in_turn_each_one_gets_one_in_the_order_of_the_list() -> None:
    office = Office(rule(users=["cid", "ann"]))
    assert [office.to() for _ in range(5)] == ["cid", "ann", "cid", "ann", "cid"]


def test_in_turn_a_team_goes_by_code_and_nobody_is_in_it_twice() -> None:
    office = Office(rule(users=["cid", "ben"], team="emea"))
    assert [office.to() for _ in range(5)] == ["cid", "ben", "ann", "zoe", "cid"]


def test_who_is_away_is_passed_over_and_the_turn_goes_round_among_the_others() -> None:
    office = Office(rule(users=["ann", "ben", "cid"]), away=frozenset({"ben"}))
    assert [office.to() for _ in range(4)] == ["ann", "cid", "ann", "cid"]


def test_a_territory_decides_whatever_the_letters_and_the_star_has_the_rest() -> None:
    office = Office(rule(by="territory", territories={"GB": "ann", "DE": "ben", "*": "cid"}))
    assert [office.to(country=one) for one in ("GB", "de", "FR", None, "*")] == ["ann", "ben", "cid", "cid", "cid"]


def test_who_has_a_territory_and_is_away_is_stood_in_for_by_the_star() -> None:
    office = Office(rule(by="territory", territories={"GB": "ann", "*": "cid"}), away=frozenset({"ann"}))
    assert office.to(country="GB") == "cid"


def test_a_territory_may_go_by_another_field() -> None:
    office = Office(rule(of="ticket", by="territory", field="product", territories={"shoes": "ann"}))
    assert office.gives("ticket", product="shoes") == Assigned("r", "ann")
    assert office.gives("ticket", product="hats") is None


def test_whoever_has_least_open_gets_it_and_among_equals_the_first() -> None:
    office = Office(rule(by="load", users=["ann", "ben", "cid"]), ann=3, ben=1, cid=1)
    assert office.to() == "ben"
    assert Office(rule(by="load", users=["ann", "ben"]), ann=1).to() == "ben"
    assert not office.turns


def test_the_first_rule_that_fits_holds() -> None:
    big = rule("big", of="deal", users=["zoe"], when={"field": "deal.amount", "is": ">=", "value": 10_000})
    office = Office(big, rule("rest", of="deal", users=["ann"]))
    assert office.gives("deal", amount="10000.00") == Assigned("big", "zoe")
    assert office.gives("deal", amount="9999.99") == Assigned("rest", "ann")
    assert office.gives("deal") == Assigned("rest", "ann")
    assert office.gives("lead") is None


def test_a_rule_that_finds_nobody_leaves_it_to_the_next_and_takes_no_turn() -> None:
    office = Office(rule("empty", team="nobody"), rule("next", users=["ann"]))
    assert office.gives() == Assigned("next", "ann")
    assert office.turns == {"next": 1}


def test_without_anybody_it_waits_for_a_person_to_take_it() -> None:
    assert Office(rule(users=["ann"]), away=frozenset({"ann"})).gives() is None
    assert Office().gives() is None
