"""Which rules are asked of whom after a batch, and how? Those that its events can change, and all of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from structlog.testing import capture_logs

from bench.rules import TYPICAL, many
from domain.segment_text import read_rule
from projections.columns import micros_of
from projections.registry import use
from projections.segments import compiling_choosing
from projections.segments.compiling import ALL, Facing, Program, Ruled
from projections.segments.definitions import Defined
from projections.segments.evaluating import ask, patient
from projections.segments.needing import EVERYTHING, Shown, Topic, needs_of
from tests.support.segmented import Segmented, made, segmented
from tests.support.story import START

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
    monkeypatch.setattr(shop.stage, "remembers", True)
    shop.segment("asked", text)
    shop.segment("other", "exists(call.ended)")
    shop.happen(made("purchase.made", "ann"), made("email.received", "ann"))
    assert (shop.members("asked") == {"ann"}) is not inside
    type, data = event
    shop.day(1)
    shop.happen(made(type, "ann", day=1, **data))
    assert (shop.members("asked") == {"ann"}) is inside


def spelt(topic: Topic) -> str:
    """A topic in short: its type, its conditions, and the seconds of its window."""
    if isinstance(topic, str):
        return topic
    told = [topic.type, *(f"{one.field} {one.is_} {one.value}" for one in topic.where)]
    if topic.window is not None and topic.window.last is not None:
        told.append(f"{topic.window.last.days}d")
    return " | ".join(told)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("exists(purchase.made in last 30d)", {"purchase.made | 30d"}),
        ("no(contact in last 90d)", {"contact | 90d"}),
        (
            'count(purchase.made | call.ended where product = "PK-1" and category = "ink") >= 2',
            {"purchase.made | product = PK-1", "call.ended | product = PK-1"},
        ),
        ("exists(page.viewed where content.at = 3)", {"page.viewed | content.at = 3"}),
        (
            "sequence(cart.updated then purchase.made within 7d without call.ended in last 30d)",
            {"cart.updated | 30d", "purchase.made | 30d", "call.ended"},
        ),
        ("fact.revenue(GBP) > 500 and fact.touchpoints > 3", {":trades", "contact"}),
        ("consent.marketing.email granted", {":consents"}),
        ("in segment inner or exists(call.ended)", {"call.ended", "page.viewed"}),
        ("in segment list", set()),
    ],
)
def test_what_an_event_has_to_tell_of_to_change_a_rule(text: str, needs: set[str]) -> None:
    others = {"inner": read_rule("exists(page.viewed) and in segment inner"), "list": None}
    assert set(map(spelt, needs_of(read_rule(text), others))) == needs


def test_a_condition_on_a_content_is_no_topic_where_older_contents_read_otherwise() -> None:
    rule = read_rule('exists(page.viewed where content.page = "/ink" and channel = "web")')
    assert set(map(spelt, needs_of(rule, {}, {"page.viewed"}))) == {"page.viewed | channel = web"}
    assert set(map(spelt, needs_of(rule, {}))) == {"page.viewed | content.page = /ink | channel = web"}


def test_what_many_events_tell_reaches_few_rules_and_reads_little_for_them() -> None:
    rules = ruled(many())
    defined = Defined(1, Facing(), {}, frozenset(), (), tuple(rules), {})
    assert defined.reached_by(EVERYTHING) == ALL
    nothing = defined.reached_by(0)
    assert (set(nothing.rules or ""), nothing.reads) == ({"0"}, 0)
    [topic] = needs_of(read_rule('exists(purchase.made where product = "PK-103")'), {})
    few = defined.reached_by(defined.topics.bits([topic]))
    texts = many()
    assert few.rules is not None
    assert [texts[place] for place, one in enumerate(few.rules) if one == "1"] == [
        'exists(purchase.made where product = "PK-103")'
    ]
    other = defined.reached_by(defined.topics.bits(needs_of(read_rule("fact.revenue(GBP) > 50"), {})))
    assert few.reads & ~other.reads and other.reads & ~few.reads


def test_whoever_loses_an_identifier_to_somebody_else_is_asked_again(shop: Segmented) -> None:
    shop.segment("reachable", "identifier.email known")
    offices = [(f"office{number}", [f"#{10 * number + desk}" for desk in range(1, 5)]) for number in range(8)]
    shop.happen(*[made("purchase.made", desks[0], office) for office, desks in offices])
    assert len(shop.members("reachable")) == 8
    shop.day(1)
    shop.happen(*[made("purchase.made", desk, office, day=1) for office, desks in offices for desk in desks[1:3]])
    assert len(shop.members("reachable")) == 8  # of each office whose the address is now
    shop.day(2)
    shop.happen(*[made("purchase.made", desks[3], office, day=2) for office, desks in offices])
    assert shop.members("reachable") == set()  # too many have it by now


@pytest.mark.parametrize("long", [300, 0])
def test_what_was_put_right_is_read_whatever_its_bytes_said(
    shop: Segmented, monkeypatch: pytest.MonkeyPatch, long: int
) -> None:
    monkeypatch.setattr(compiling_choosing, "LONG_STORY", long)
    shop.segment("inky", 'exists(purchase.made where product = "INK-1")')
    first = made("purchase.made", "ann", content={"amount": 10, "currency": "GBP", "lines": [{"product": "PEN-1"}]})
    shop.happen(first)
    assert shop.members("inky") == set()
    right = {"type": "purchase.made", "content": {"amount": 10, "currency": "GBP", "lines": [{"product": "INK-1"}]}}
    about = [{"source": first["source"], "id": first["id"], "relation": "corrects"}]
    shop.day(1)
    shop.happen(made("event.amended", "ann", day=1, content=right, about=about))
    assert shop.members("inky") == {"ann"}


def read_of(plan: Any) -> int:
    """How many events were read, by a plan in JSON."""
    rows = sum(read_of(one) for one in plan.get("Plans", ()))
    if plan.get("Relation Name") != "events":
        return rows
    return rows + int(plan["Actual Loops"] * (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)))


def test_of_a_long_story_the_end_alone_is_read_where_that_tells(shop: Segmented) -> None:
    shop.segment("callers", "exists(call.ended)")
    shop.happen(*[bought("PEN-1", "ann", day=-number / 100) for number in range(320)], bought("INK-1", "ann", day=-1))
    [[ann]] = shop.connection.execute("SELECT customer FROM segments.subjects").fetchall()
    for text, held, most in ((INKY, True, 200), (INKY.replace("INK", "PAD"), False, 700)):
        program = Program(ruled((text,)), Facing())
        with psycopg.connect(shop.stage.story.dsn) as connection, connection.cursor() as cursor:
            use(cursor, "")
            asked = {**program.parameters, "customers": [ann], "now": START}
            for statement in ("SET enable_seqscan = off", "SET enable_bitmapscan = off"):
                cursor.execute(statement)
            assert [row[3] for row in cursor.execute(program.query, asked)] == [held]
            explained = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + program.query
            [[[told]]] = cursor.execute(explained, asked).fetchall()
        assert read_of(told["Plan"]) < most


INKY = 'exists(purchase.made where product = "INK-1" in last 30d)'


def bought(product: str, *names: str, day: float = 0) -> dict[str, Any]:
    content = {"amount": 10, "currency": "GBP", "lines": [{"product": product}]}
    return made("purchase.made", *names, day=day, content=content)


def test_what_an_event_shows_is_taken_at_its_word_and_its_story_not_read(shop: Segmented) -> None:
    shop.segment("callers", "exists(call.ended)")
    shop.happen(bought("PEN-1", "ann"))
    texts = (INKY, 'no(purchase.made where product = "INK-1")', 'count(purchase.made where product = "INK-1") >= 2')
    defined = Defined(1, Facing(), {}, frozenset(), (), tuple(ruled(texts)), {})
    program = defined.program
    assert program is not None
    assert len(program.showing) == 2  # the third asks how many there are
    asked = defined.shown_by(Shown(defined.showing, micros_of(START)), ALL)
    assert asked == ALL._replace(shown="11", shown_at=micros_of(START))
    [[ann]] = shop.connection.execute("SELECT customer FROM segments.subjects").fetchall()
    with psycopg.connect(shop.stage.story.dsn) as connection, connection.cursor(binary=True) as cursor:
        use(cursor, "")
        changes = ask(cursor, program, [ann], START + timedelta(days=1), False, [asked])
        assert {one.segment for one in changes} == {"s0"}
        cursor.execute("SELECT wake_at FROM segments.subjects WHERE customer = %s", (ann,))
        assert cursor.fetchall() == [(START + timedelta(days=30),)]
        connection.rollback()


@pytest.mark.parametrize(
    ("first", "second", "inside"),
    [
        ([], [bought("INK-1", "ann", day=1)], True),
        ([bought("INK-1", "ann")], ["retracted", bought("PEN-1", "ann", day=1)], False),
        (["retracted"], [bought("INK-1", "ann")], False),
        ([bought("PEN-1", "ann")], ["clash"], False),
        ([], [bought("INK-1", "ann", day=-29.98)], False),
    ],
    ids=["as it stands", "retracted after", "retracted before", "under a taken name", "left the window a moment ago"],
)
def test_an_event_shows_only_what_counts(shop: Segmented, first: list[Any], second: list[Any], inside: bool) -> None:
    shop.segment("inky", INKY)
    shop.segment("pens", 'exists(purchase.made where product = "PEN-1")')
    shop.happen(made("email.received", "ann"))
    named = next(one for one in [*first, *second] if not isinstance(one, str))
    about = [{"source": named["source"], "id": named["id"], "relation": "retracts"}]
    other = {**bought("INK-1", "ann"), "id": named["id"]}
    special = {"retracted": made("event.retracted", "ann", about=about), "clash": other}
    for events in (first, second):
        for one in events:
            shop.happen(special[one] if isinstance(one, str) else one)
        shop.day(1)
    assert (shop.members("inky") == {"ann"}) is inside


def test_a_rule_that_names_another_reads_what_that_one_does() -> None:
    facing = Facing(others={"inner": read_rule("in segment more"), "more": read_rule("fact.orders > 1")})
    program = Program(ruled(("in segment inner", "exists(call.ended)")), facing)
    first, second = program.asked([0]), program.asked([1])
    assert (first.rules, second.rules) == ("10", "01")
    assert first.reads and second.reads and not first.reads & second.reads
