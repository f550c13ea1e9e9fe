"""Which rules are asked of whom after a batch, and how? Those that its events can change, at once, along indexes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from bench.rules import TYPICAL, many
from domain.segment_text import read_rule
from eventlog.sql import load
from projections.registry import use
from projections.segments.compiling import Facing, Program, Ruled
from projections.segments.definitions import Defined
from projections.segments.evaluating import patient
from projections.segments.needing import needs_of
from tests.support.segmented import Segmented, made, segmented


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


def test_each_customer_is_asked_along_indexes_though_no_table_was_ever_analyzed(shop: Segmented) -> None:
    query, _ = Program(ruled(TYPICAL), Facing(UTC)).within(load("projections.segments", "evaluating.sql")["keep"])
    with psycopg.connect(shop.stage.story.dsn) as connection, connection.cursor() as cursor:
        use(cursor)
        with patient(cursor):
            plan = [row[0] for row in cursor.execute(b"EXPLAIN (GENERIC_PLAN) " + query).fetchall()]
    asked = "\n".join(plan[: next(place for place, line in enumerate(plan) if "CTE differ" in line)])
    assert set(re.findall(r"Index Scan.* using (\w+) on (?:trades|contacts|consents)", asked)) == {
        "trades_evidence", "contacts_pkey", "consents_evidence",
    }  # fmt: skip
