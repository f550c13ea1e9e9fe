"""Does an explanation of who is who stay cheap, however tangled the identifiers are?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.identity_rules import Rules
from projections.identity.explaining import explain
from projections.identity.loading import Home, Loaded, Node

_AT = datetime(2026, 3, 1, tzinfo=UTC)
_COOKIES = 20


class Walked(dict[UUID, Node]):
    """Nodes that count how often all of them are gone through."""

    walks = 0

    def values(self) -> Any:
        self.walks += 1
        return super().values()


def test_a_thousand_refused_links_do_not_go_through_all_identifiers_each() -> None:
    numbers = [UUID(int=1), UUID(int=2)]
    sides = [[UUID(int=100 * side + place) for place in range(_COOKIES)] for side in (1, 2)]
    nodes, homes = Walked(), []
    for number, side in zip(numbers, sides, strict=True):
        nodes[number] = Node(number, "customer_no", "", 0, _AT, False, numbers[0], number)
        for cookie in side:
            nodes[cookie] = Node(cookie, "cookie", "", 6, _AT, False, numbers[0], number)
            homes.append(((number, cookie), number))
    homes += [((a, b), numbers[0]) for a in sides[0] for b in sides[1]]
    evidences = [Home(UUID(int=10_000 + place), who, _AT, home) for place, (who, home) in enumerate(homes)]
    loaded = Loaded(True, False, Rules(), nodes, {one.evidence: one for one in evidences})
    found = explain(loaded, numbers[0], 100)
    assert (len(found.refused), found.more) == (100, True)
    assert {one.why for one in found.refused} == {
        "Both have a customer_no of their own, and one customer may have 1."
    }
    assert nodes.walks < 10
