"""Are the sums of what was bought those of the trades, whatever came in which order? And is it known of whom they do
not tell how many orders there were?

More examples by hand: `STORYLINE_TRADE_EXAMPLES=500 pytest tests/test_trade_sums.py`.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from random import Random
from typing import Any, LiteralString

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from projections.rebuild import Rebuild, RebuildDiffers, chosen
from tests.support.histories import RULES, deliver, one_event
from tests.support.stage import Stage, stage
from tests.support.story import Story, event, story

EXAMPLES = int(os.environ.get("STORYLINE_TRADE_EXAMPLES", "12"))
TYPES = [
    *["purchase.made"] * 6, "refund.made", "refund.made", "identity.merged", "identity.split", "event.retracted",
    "event.retracted", "event.amended", "email.received",
]  # fmt: skip
NOTHING = (0, Decimal(0), Decimal(0))
Sums = dict[tuple[Any, str], tuple[int, Decimal, Decimal]]


@pytest.fixture(scope="module")
def acted(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        yield made


@pytest.fixture
def small(database: str) -> Iterator[Story]:
    with story(database, database) as made:
        yield made


def plain(small: Story, build: LiteralString = "customers") -> tuple[Sums, set[tuple[Any, str]]]:
    """The sums that the trades tell, but for those of nothing; and whose tell of an order that others tell of."""
    rows = small.rows(f"SELECT evidence, currency, refund, amount, counts, order_key FROM {build}.trades")
    found: dict[tuple[Any, str], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    told = Counter(key for _, _, refund, _, _, key in rows if not refund)
    shared = set()
    for evidence, currency, refund, amount, counts, key in rows:
        if evidence is None:
            continue
        if not refund and told[key] > 1:
            shared.add((evidence, currency))
        sums = found[evidence, currency]
        if counts and refund:
            sums[2] -= amount
        elif counts:
            sums[0] += 1
            sums[1] += amount
    return {key: (one[0], one[1], one[2]) for key, one in found.items() if tuple(one) != NOTHING}, shared


def assert_right(small: Story, build: LiteralString = "customers") -> None:
    """The table is what the trades tell."""
    rows = small.rows(f"SELECT evidence, currency, purchases, revenue, refunds, doubtful FROM {build}.trade_sums")
    sums, shared = plain(small, build)
    assert {(one[0], one[1]): tuple(one[2:5]) for one in rows if tuple(one[2:5]) != NOTHING} == sums
    assert shared <= {(one[0], one[1]) for one in rows if one[5]}


def bought(pick: Random, size: int) -> list[tuple[dict[str, Any], int]]:
    """A history of trades by several sources, some of one order, and what puts them right."""
    found = []
    for number in range(size):
        raw = one_event(pick, number, size, TYPES)
        if raw["type"] in ("purchase.made", "refund.made") and pick.random() < 0.5:
            raw["data"]["refs"] = [{"kind": "order", "value": pick.choice("ABC")}]
        if raw["type"] == "event.amended":
            amount = {
                "amount": f"{pick.randrange(1, 9)}.{pick.randrange(100):02}",
                "currency": pick.choice(["GBP", "EUR"]),
            }
            raw["data"]["content"] = {"type": pick.choice(["purchase.made", "refund.made"]), "content": amount}
        found += [(raw, pick.choice([3, 8, 60, 61])) for _ in range(pick.choice([1, 1, 2]))]
    return found


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(seed=st.integers(0, 2**40))
def test_after_any_history_sums_are_those_of_the_trades(acted: Stage, seed: int) -> None:
    pick = Random(seed)
    acted.begin(pick.choice(RULES[::7]))
    published = acted.publish(bought(pick, pick.randrange(4, 30)))
    for batch in deliver(pick, [one.value for one in published]):
        acted.apply([batch])
        assert_right(acted.story)


def purchase(number: int, who: str, order: str | None, source: str = "test/shop", **content: Any) -> dict[str, Any]:
    """What somebody bought, or another source tells of an order."""
    refs = {"refs": [{"kind": "order", "value": order}]} if order else {}
    said = {"amount": f"{number}.50", "currency": "GBP"} | content
    data = {"who": [{"kind": "email", "value": f"{who}@example.org"}], "content": said, **refs}
    return event(f"b{number}", type="purchase.made", source=source, data=data)


def ruled(type: str, *who: str) -> dict[str, Any]:
    """What a steward ruled of these people."""
    first, second = [[{"kind": "email", "value": f"{one}@example.org"}] for one in who]
    return event(type, type=type, data={"who": first, "parties": [{"role": "other", "who": second}], "content": {}})


def retraction(*targets: dict[str, Any]) -> dict[str, Any]:
    about = [{"relation": "retracts", "source": one["source"], "id": one["id"]} for one in targets]
    return event("taken", type="event.retracted", data={"who": [], "about": about, "content": {}})


def doubtful(small: Story) -> list[bool]:
    return [row[0] for row in small.rows("SELECT doubtful FROM customers.trade_sums ORDER BY revenue")]


def test_an_order_that_another_source_tells_of_counts_once_and_again_when_the_first_is_taken_back(
    small: Story,
) -> None:
    first, second = purchase(1, "ann", "A"), purchase(2, "ann", "A", "test/till")
    small.publish(first, purchase(3, "bob", None))
    small.project()
    assert doubtful(small) == [False, False]
    small.publish(second)
    small.project()
    assert_right(small)
    assert plain(small)[0].keys() == {
        row[0:2] for row in small.rows("SELECT evidence, currency FROM customers.trades")
    }
    small.publish(retraction(first))
    small.project()
    assert_right(small)
    assert sorted(one[1] for one in plain(small)[0].values()) == [Decimal("2.50"), Decimal("3.50")]


def test_who_came_to_another_with_an_order_of_hers_is_doubtful_though_nobody_saw_both_come(small: Story) -> None:
    small.publish(purchase(1, "ann", "A"), purchase(2, "bob", "A"))
    small.project()
    # As if two projectors had brought one each at the same moment: neither would have seen the other's.
    small.rows("UPDATE customers.trade_sums SET doubtful = false RETURNING 1")
    small.publish(ruled("identity.merged", "ann", "bob"))
    small.project()
    assert doubtful(small) == [True, True]


def rebuilt(small: Story, **changes: Any) -> Rebuild:
    models, source = chosen(["customers"], "timeline")
    parts: dict[str, Any] = {"dsn": small.dsn, "log_url": small.log_url, "log": small.log, "reading": small.reading}
    return Rebuild(**parts, models=models, source=source, park=lambda connection, parked: None, **changes)


def several(numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Purchases of a few people, two of each order, by two sources now and then."""
    return [
        purchase(one, f"p{one % 5}", f"O-{one // 2}" if one % 3 else None, f"shop/{one % 4 // 3}") for one in numbers
    ]


@pytest.mark.parametrize("at", ["begun", "filled", "finished", "near", "compared"])
def test_a_rebuild_has_the_same_sums_whatever_comes_meanwhile(small: Story, at: str) -> None:
    published = several(range(20))
    small.publish(*published)
    small.project()

    def come(point: str) -> None:
        if point == "finished":  # by now: what differs later is made anew once
            assert_right(small, "customers_next")
        if point == at:
            small.publish(*several(range(20, 30)), retraction(published[3], published[4], published[9]))
            small.project()

    assert rebuilt(small, batch=5, reached=come).run().same is True
    assert_right(small)
    assert len(plain(small)[1]) > 3
    small.publish(*several(range(30, 34)))
    small.project()
    assert_right(small)


def test_sums_that_are_wrong_keep_a_build_from_being_switched_in(small: Story) -> None:
    small.publish(*several(range(6)))
    small.project()
    small.rows("UPDATE customers.trade_sums SET revenue = revenue + 1 RETURNING 1")
    with pytest.raises(RebuildDiffers):
        rebuilt(small).run()
