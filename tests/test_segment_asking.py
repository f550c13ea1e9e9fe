"""Which rules are asked of whom after a batch, and how? Those that its events can change, and all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from bench.rules import TYPICAL, many
from domain.segment_text import read_rule
from projections.segments import definitions
from projections.segments.compiling import Facing, Ruled
from projections.segments.definitions import Defined
from projections.segments.evaluating import patient
from projections.segments.needing import needs_of
from tests.support.segmented import Segmented, made, segmented

QUIET: tuple[str, dict[str, Any]] = ("page.viewed", {})
CASES: list[tuple[str, tuple[str, dict[str, Any]], bool]] = [
    ("count(purchase.made) >= 2", ("purchase.made", {}), True),
    ("count(contact) >= 3", QUIET, True),
    ("no(page.viewed)", QUIET, False),
    ("sequence(purchase.made then page.viewed within 7d)", QUIET, True),
    ("fact.orders >= 2", ("purchase.made", {}), True),
    ("fact.touchpoints >= 3", QUIET, True),
    ("rfm.frequency >= 2", ("purchase.made", {}), True),
    (
        "consent.marketing.email granted",
        ("consent.given", {"content": {"purpose": "marketing", "channel": "email"}}),
        True,
    ),
]
"""(rule, an event of ann, who bought and wrote before, whether she is in the segment after it)"""


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Segmented]:
    with segmented(postgres) as found:
        yield found


@pytest.fixture
def shop(whole: Segmented) -> Segmented:
    whole.begin()
    return whole


def ruled(texts: tuple[str, ...]) -> list[Ruled]:
    return [Ruled(f"s{number}", 1, read_rule(text)) for number, text in enumerate(texts)]


def test_all_rules_are_answered_by_the_first_statement(shop: Segmented) -> None:
    for number, text in enumerate(TYPICAL):
        shop.segment(f"s{number}", text)
    with capture_logs() as lines:
        shop.happen(made("purchase.made", "ann"), made("email.received", "bob"))
        shop.happen(made("purchase.made", "ann", day=1))
    assert [line for line in lines if line["event"].startswith("segments.")] == []
    assert shop.members("s0") == {"ann"}


def test_settings_are_others_while_rules_are_asked_and_then_as_before(shop: Segmented) -> None:
    names = ("statement_timeout", "enable_seqscan", "enable_bitmapscan", "enable_memoize", "jit", "plan_cache_mode")
    with psycopg.connect(shop.stage.story.dsn) as connection, connection.cursor(binary=True) as cursor:

        def settings() -> list[str]:
            return [cursor.execute("SELECT current_setting(%s)", [name]).fetchall()[0][0] for name in names]

        before = settings()
        with patient(cursor):
            assert settings() == ["15s", "off", "off", "off", "off", "force_generic_plan"]
        assert settings() == before
        with pytest.raises(psycopg.errors.DivisionByZero), patient(cursor), connection.transaction():
            cursor.execute("SELECT 1 / 0")
        assert settings() == before


@pytest.mark.parametrize(("text", "event", "inside"), CASES)
def test_whatever_a_batch_may_change_is_asked_and_nothing_else(
    shop: Segmented, monkeypatch: pytest.MonkeyPatch, text: str, event: tuple[str, dict[str, Any]], inside: bool
) -> None:
    for name in ("_OFTEN", "_FEW"):
        monkeypatch.setattr(definitions, name, 0)
    monkeypatch.setattr(definitions, "_MOST_OF_ALL", 1)
    monkeypatch.setattr(shop.stage, "remembers", True)
    shop.segment("asked", text)
    shop.segment("other", "exists(call.ended)")
    shop.happen(made("purchase.made", "ann"), made("email.received", "ann"))
    assert (shop.members("asked") == {"ann"}) is not inside
    type, data = event
    shop.day(1)
    shop.happen(made(type, "ann", day=1, **data))
    assert (shop.members("asked") == {"ann"}) is inside


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("exists(purchase.made in last 30d)", {"purchase.made"}),
        ("no(contact in last 90d)", {":touchpoint"}),
        ("sequence(cart.updated then purchase.made within 7d)", {"cart.updated", "purchase.made"}),
        ("fact.revenue(GBP) > 500 and fact.touchpoints > 3", {":trades", ":touchpoint"}),
        ("consent.marketing.email granted", {":consents"}),
        ("in segment inner or exists(call.ended)", {"call.ended", "page.viewed"}),
        ("in segment list", set()),
    ],
)
def test_what_an_event_has_to_tell_of_to_change_a_rule(text: str, needs: set[str]) -> None:
    others = {"inner": read_rule("exists(page.viewed) and in segment inner"), "list": None}
    assert needs_of(read_rule(text), others) == {one.encode() for one in needs}


def test_rules_of_their_own_are_kept_while_they_are_few_and_asked_often() -> None:
    rules = ruled(many())
    defined = Defined(1, Facing(), {}, frozenset(), (), tuple(rules), {})
    few = frozenset([("s0", 1), ("s1", 1)])
    assert not defined.is_worth(few, 499) and defined.is_worth(few, 1)
    program = defined.asking(few)
    assert program is not None and set(program.segments) == few
    assert defined.asking(few) is program
    assert defined.is_worth(few, 8) and not defined.is_worth(few, 7)
    assert not defined.is_worth(frozenset((one.code, 1) for one in rules[:90]), 10_000)
    assert defined.asking(frozenset((one.code, 1) for one in rules)) is defined.program
    for one in rules[1:60]:
        defined.asking(frozenset([(one.code, 1)]))
    assert defined.asking(few) is not program
