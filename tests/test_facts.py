"""What does an event add to the facts, and what do they come to? The same in Python and in SQL, in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.catalogue import builtin, load_catalogue
from domain.catalogue.deployment import DeploymentType
from domain.catalogue.registry import BuiltIn
from domain.facts import (
    INTERESTING,
    NOTHING,
    Consent,
    Contact,
    Sum,
    Trade,
    Traded,
    facts_of,
    fold,
    is_interesting,
    money_of,
    types_with_money,
    written,
)
from eventlog.sql import load
from projections.customers.reader import facts_of_rows
from tests.support.postgres import PostgresServer

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
GBP = {"amount": "12.50", "currency": "GBP"}
_QUERIES = load("projections.customers", "queries.sql")


def facts(type: str, public: dict[str, Any], refs: Sequence[str] = (), direction: str | None = "in") -> Any:
    return facts_of(type, "touchpoint", public, refs, direction)


def trade(name: int, order: int, amount: str = "10", source: str = "shop", **more: Any) -> Trade:
    refund = Decimal(amount) < 0
    at = AT + timedelta(minutes=more.get("minute", name))
    return Trade(UUID(int=name), at, UUID(int=order), refund, Decimal(amount), more.get("currency", "GBP"), source)


def test_a_purchase_is_a_trade_of_its_order() -> None:
    found = facts("purchase.made", GBP, ["invoice:7", "order/web:9", "order/web:8", "product:p"])
    assert found.trade == Traded("order/web:8", False, Decimal("12.50"), "GBP")


def test_a_purchase_without_an_order_is_one_of_its_invoice_and_else_of_itself() -> None:
    assert facts("purchase.made", GBP, ["invoice:7", "invoice:6"]).trade.ref == "invoice:6"
    assert facts("purchase.made", GBP, ["product:p"]).trade.ref is None


def test_a_refund_is_kept_negative_and_so_is_money_that_flowed_back_in_another_type() -> None:
    assert facts("refund.made", GBP, direction="out").trade == Traded(None, True, Decimal("-12.50"), "GBP")
    assert facts("subscription.cancelled", {"amount": "-3", "currency": "EUR"}).trade.refund


def test_a_subscription_without_an_amount_adds_nothing() -> None:
    assert facts("subscription.renewed", {"plan": "basic"}) is NOTHING
    assert facts("subscription.renewed", GBP).trade.amount == Decimal("12.50")


def test_every_built_in_type_with_money_is_read_without_its_model() -> None:
    """A type that learns about money has to be added to what `facts_of` reads."""
    with_money = {one.name for one in builtin() if isinstance(one, BuiltIn) and "money" in _methods(one.model)}
    for name in with_money:
        known = load_catalogue().get(name)
        assert known is not None
        public, _, direction = known.read({"amount": "1.25", "currency": "EUR"}, known.version)
        found = facts_of(name, known.category, public, [], direction).trade
        assert found is not None and (found.amount, found.currency) == known.show(public)[1]
    assert with_money <= INTERESTING


def _methods(model: type) -> set[str]:
    bases = [one for one in model.__mro__ if one.__module__ != "domain.catalogue.base"]
    return {name for one in bases for name in vars(one)}


def test_a_type_of_the_deployment_says_its_money_through_the_catalogue() -> None:
    course = DeploymentType(
        {
            "type": "course.booked",
            "category": "touchpoint",
            "doc": "A course was booked.",
            "line": "Booked",
            "money": {"amount": "fee", "currency": "currency"},
            "schema": {
                "type": "object",
                "properties": {
                    "fee": {"type": "number", "x-public": True},
                    "currency": {"type": "string", "maxLength": 3, "x-public": True},
                },
            },
        }
    )
    catalogue = load_catalogue([course])
    assert types_with_money(catalogue) == {"course.booked"}
    money = money_of(catalogue, "course.booked", 1, {"fee": Decimal("99.9"), "currency": "GBP"})
    found = facts_of("course.booked", "touchpoint", {}, ["order:1"], "in", money)
    assert found.trade == Traded("order:1", False, Decimal("99.9"), "GBP")
    assert money_of(catalogue, "purchase.made", 1, GBP) is None


@pytest.mark.parametrize(
    "public",
    [
        {},
        {"amount": "x", "currency": "GBP"},
        {"amount": "NaN", "currency": "GBP"},
        {"amount": "Infinity", "currency": "GBP"},
        {"amount": "1e999999", "currency": "GBP"},
        {"amount": "1e-999999", "currency": "GBP"},
        {"amount": True, "currency": "GBP"},
        {"amount": ["1"], "currency": "GBP"},
        {"amount": "1", "currency": ""},
        {"amount": "1", "currency": None},
        {"amount": "1"},
    ],
)
def test_money_that_makes_no_sense_adds_nothing(public: dict[str, Any]) -> None:
    assert facts("purchase.made", public) is NOTHING


def test_consents_are_words_on_a_channel_or_on_all() -> None:
    assert facts("consent.given", {"purpose": "Marketing", "channel": "email"}).consent == Consent(
        "marketing", "email", True
    )
    assert facts("consent.withdrawn", {"purpose": "profiling"}).consent == Consent("profiling", "", False)
    assert facts("email.unsubscribed", {"list": "news"}).consent == Consent("marketing", "email", False)
    assert facts("consent.given", {"channel": "email"}) is NOTHING


def test_a_campaign_is_answered_by_what_comes_from_the_customer() -> None:
    refs = ["order:1", "campaign:spring", "campaign/ads:a"]
    assert facts("email.clicked", {}, refs).answer == "campaign/ads:a"
    assert facts("email.sent", {}, refs, "out") is NOTHING
    assert facts("email.opened", {}, refs) is NOTHING
    assert facts("email.unsubscribed", {}, refs).answer is None
    assert facts_of("note.added", "record", {}, refs, "in") is NOTHING


def test_the_quick_filter_lets_everything_through_that_has_facts() -> None:
    refs: tuple[list[str], ...] = (["campaign:spring"], [])
    catalogue = load_catalogue()
    for known in catalogue:
        for one in refs:
            for direction in ("in", "out", None):
                public = {**GBP, "purpose": "marketing"}
                found = facts_of(known.name, known.category, public, one, direction)
                assert found is NOTHING or is_interesting(known.name, one, direction)
    assert not is_interesting("page.viewed", (), "in")


def test_an_order_that_two_sources_report_counts_once() -> None:
    told = [trade(1, 7, "10.00", "shop"), trade(2, 7, "10.00", "erp"), trade(3, 7, "5.25", "shop")]
    assert fold([], told).sums == (Sum("GBP", 1, Decimal("15.25"), Decimal(0), Decimal("15.25")),)


def test_a_refund_that_two_sources_report_counts_once_whoever_told_of_the_order() -> None:
    told = [trade(1, 7), trade(2, 7, "-4", "erp"), trade(3, 7, "-4", "shop"), trade(4, 7, "-1", "erp")]
    assert fold([], told).sums == (Sum("GBP", 1, Decimal(10), Decimal(5), Decimal("10.00")),)


def test_currencies_are_never_added_up() -> None:
    told = [trade(1, 7), trade(2, 8, "3", currency="EUR"), trade(3, 9, "-1", currency="EUR")]
    found = fold([], told)
    assert found.orders == 2
    assert [(one.currency, int(one.revenue), int(one.refunds)) for one in found.sums] == [
        ("EUR", 3, 1),
        ("GBP", 10, 0),
    ]


def test_an_average_is_rounded_half_to_even() -> None:
    assert fold([], [trade(1, 1, "0.01"), trade(2, 2, "0")]).sums[0].average == Decimal("0.00")
    assert fold([], [trade(1, 1, "0.03"), trade(2, 2, "0")]).sums[0].average == Decimal("0.02")
    assert fold([], [trade(1, 1, "-5")]).sums[0].average is None


def test_contacts_of_several_evidences_add_up() -> None:
    told = [
        Contact("email", "in", 2, AT, AT + timedelta(hours=2)),
        Contact("shop", "in", 1, AT - timedelta(days=1), AT - timedelta(days=1)),
        Contact("email", "in", 3, AT - timedelta(hours=1), AT),
    ]
    found = fold(told, [])
    assert found.contacts[0] == Contact("email", "in", 5, AT - timedelta(hours=1), AT + timedelta(hours=2))
    assert (found.touchpoints, found.first_at, found.last_at) == (6, AT - timedelta(days=1), AT + timedelta(hours=2))


_trades = st.lists(
    st.builds(
        lambda order, minute, cents, refund, currency, source: (order, minute, cents, refund, currency, source),
        st.integers(1, 3),
        st.integers(0, 3),
        st.integers(0, 500),
        st.booleans(),
        st.sampled_from(["GBP", "EUR"]),
        st.sampled_from(["shop", "erp", "Erp"]),
    ),
    max_size=12,
)


def _made(rows: Sequence[tuple[int, int, int, bool, str, str]]) -> list[Trade]:
    return [
        Trade(
            UUID(int=place * 7919 % 64 + 1),
            AT + timedelta(minutes=minute),
            UUID(int=order),
            refund,
            Decimal(-cents if refund else cents).scaleb(-2),
            currency,
            source,
        )
        for place, (order, minute, cents, refund, currency, source) in enumerate(rows)
    ]


@given(_trades, st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_the_order_of_trades_does_not_matter(rows: Any, random: Any) -> None:
    told = _made(rows)
    mixed = list(told)
    random.shuffle(mixed)
    assert fold([], mixed) == fold([], told)


@pytest.fixture(scope="module")
def tables(postgres: PostgresServer) -> Iterator[str]:
    """A database that has the tables of facts alone."""
    name = postgres.create_database("template0")
    dsn = postgres.dsn_of(name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA customers")
        connection.execute("SET search_path = customers")
        connection.execute(load("projections.customers", "schema.sql")["tables"])
    yield dsn
    postgres.drop_database(name)


def test_sql_and_python_add_up_alike(tables: str) -> None:
    evidences = [UUID(int=1), UUID(int=2)]
    with psycopg.connect(tables, autocommit=True) as connection:

        @given(_trades)
        @settings(max_examples=40)
        def alike(rows: Any) -> None:
            told = _made(rows)
            connection.execute("DELETE FROM customers.trades")
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO customers.trades VALUES (%s, %s, %s, %s, %s, NULL, %s, %s, %s, %s, 'purchase.made', "
                    "NULL, NULL, NULL, NULL, true)",
                    [
                        (one.name, evidences[one.name.int % 2], one.happened_at, AT, one.order_key, *one[3:])
                        for one in told
                    ],
                )
            found = connection.execute(_QUERIES["sums"], {"evidences": evidences}).fetchall()
            assert facts_of_rows([], found) == fold([], told)

        alike()


def test_sql_and_python_add_contacts_up_alike(tables: str) -> None:
    told = [
        (UUID(int=1), "email", "in", 3, AT, AT + timedelta(hours=5)),
        (UUID(int=2), "email", "in", 1, AT - timedelta(hours=5), AT),
        (UUID(int=2), "Call", "", 2, AT, AT),
    ]
    with psycopg.connect(tables, autocommit=True) as connection:
        connection.execute("DELETE FROM customers.contacts")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO customers.contacts VALUES (%s, 'email.sent', %s, %s, %s, %s, %s)", told)
        asked = {"evidences": [UUID(int=1), UUID(int=2)], "most": 10}
        found = connection.execute(_QUERIES["contacts"], asked).fetchall()
    assert facts_of_rows(found, []) == fold([Contact(*one[1:]) for one in told], [])


@pytest.mark.parametrize(
    ("amount", "text"), [("39.9", "39.90"), ("0", "0.00"), ("1E+3", "1000.00"), ("0.001", "0.001"), ("-5", "-5.00")]
)
def test_amounts_are_written_as_people_write_them(amount: str, text: str) -> None:
    assert written(Decimal(amount)) == text
