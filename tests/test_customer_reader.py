"""What does the answer about one customer hold? What all of her evidences say, and nothing that is not hers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from api.customer_shapes import Customer
from api.customers import answer_of
from api.services import _SESSION
from domain.errors import BadInput
from domain.profile import ProfileRules
from projections.customers.reader import CustomerReader, History, View
from storyline.database import upgrade
from tests.support.postgres import PostgresServer

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")
NUMBER, MAIL, PHONE, COOKIE, OTHER = (UUID(int=one) for one in range(1, 6))
FIRST, SECOND, THIRD = (UUID(int=one) for one in range(101, 104))
MODELS = ["timeline", "identity", "customers", "directory"]


def minute(number: int) -> datetime:
    return AT + timedelta(minutes=number)


@dataclass
class Tables:
    """The tables of the read models, filled by hand: how rows come there is for other tests."""

    dsn: str
    connection: psycopg.Connection
    names: int = 0

    def put(self, table: LiteralString, *values: Any) -> None:
        """A row with these values in the order of the columns."""
        places: LiteralString = ", ".join(["%s"] * len(values))
        self.connection.execute("INSERT INTO " + table + " VALUES (" + places + ")", values)

    def name(self) -> UUID:
        """A name that no other event has."""
        self.names += 1
        return UUID(int=10_000 + self.names)

    def node(self, node: UUID, kind: str, customer: UUID, shared: bool = False, value: str | None = None) -> None:
        priority = {"customer_no": 0, "email": 2, "phone": 3, "cookie": 6}[kind]
        self.put("identity.nodes", node, kind, "", priority, AT, shared, [], None, None, None, customer)
        if value is not None:
            self.put("directory.identifiers", FIRST, node, kind, "", value)

    def evidence(self, evidence: UUID, nodes: list[UUID], customer: UUID, first: int = 0) -> None:
        self.put("identity.evidences", evidence, nodes, minute(first), None, customer)

    def touch(
        self, evidence: UUID, at: int, channel: str = "email", direction: str = "in", touch: bool = True
    ) -> UUID:
        name = self.name()
        position = (0, name.int)
        kind = ("email.received", channel, direction)
        row = (name, evidence, minute(at), minute(at), False, touch, name, *position, *kind, b"")
        self.put("timeline.events", *row)
        return name

    def trade(self, evidence: UUID, at: int, order: int, amount: str, source: str = "shop") -> None:
        refund = Decimal(amount) < 0
        row = (self.name(), evidence, minute(at), AT, UUID(int=order), None, refund, Decimal(amount), "GBP", source)
        self.put("customers.trades", *row, "purchase.made", None, None, None, None, True)

    def word(self, evidence: UUID, at: int, granted: bool, channel: str = "email") -> UUID:
        name = self.name()
        self.put("customers.consents", name, evidence, minute(at), AT, "marketing", channel, granted, "consent.given")
        return name

    def claim(self, evidence: UUID, at: int, **fields: Any) -> None:
        self.put("directory.claims", self.name(), 0, evidence, minute(at), AT, "crm", Jsonb(fields))

    def read(self, node: UUID) -> View | None:
        found: View | None = asyncio.run(self.reading(lambda reader: reader.view(node)))
        return found

    def view(self, node: UUID) -> View:
        found = self.read(node)
        assert found is not None
        return found

    def history(self, node: UUID, cursor: str | None = None, limit: int = 100) -> History:
        found: History | None = asyncio.run(self.reading(lambda reader: reader.consents(node, cursor, limit)))
        assert found is not None
        return found

    async def reading(self, ask: Any) -> Any:
        """With the session of the API's own pool."""
        options = {"autocommit": True, "prepare_threshold": 0, "options": _SESSION}
        async with AsyncConnectionPool(self.dsn, min_size=1, max_size=1, kwargs=options, open=False) as pool:
            return await ask(CustomerReader(pool))


@pytest.fixture(scope="module")
def empty_tables(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    upgrade(dsn)
    yield dsn
    postgres.drop_database(name)


@pytest.fixture
def tables(empty_tables: str) -> Iterator[Tables]:
    """Ann: a number and an address that stood together, and a phone that a second evidence brought."""
    with psycopg.connect(empty_tables, autocommit=True) as connection:
        for schema, table in connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY (%s) OR tablename = 'erased'",
            (MODELS,),
        ).fetchall():
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, table)))
        made = Tables(empty_tables, connection)
        made.node(NUMBER, "customer_no", NUMBER, value="17850")
        made.node(MAIL, "email", NUMBER, value="ann@example.org")
        made.node(PHONE, "phone", NUMBER, value="+441134960000")
        made.evidence(FIRST, [NUMBER, MAIL], NUMBER)
        made.evidence(SECOND, [MAIL, PHONE], NUMBER, first=10)
        yield made


def answer(view: View, personal: bool = True) -> Customer:
    return answer_of(view, ProfileRules(), LONDON, personal)


def test_any_node_of_a_customer_finds_the_present_id(tables: Tables) -> None:
    assert {tables.view(node).customer for node in (NUMBER, MAIL, PHONE)} == {NUMBER}
    assert tables.read(OTHER) is None


def test_facts_are_summed_over_all_evidences_and_no_others(tables: Tables) -> None:
    tables.put("customers.contacts", FIRST, "email.sent", "email", "in", 3, minute(1), minute(9))
    tables.put("customers.contacts", SECOND, "email.sent", "email", "in", 2, minute(0), minute(4))
    tables.put("customers.contacts", SECOND, "email.sent", "call", "", 1, minute(20), minute(20))
    tables.put("customers.contacts", THIRD, "email.sent", "email", "in", 9, minute(0), minute(99))
    tables.trade(FIRST, 1, 7, "10.10")
    tables.trade(SECOND, 2, 7, "10.10", "erp")
    tables.trade(SECOND, 3, 8, "20")
    tables.trade(SECOND, 4, 8, "-5")
    tables.trade(THIRD, 5, 9, "1000")
    facts = answer(tables.view(MAIL)).facts
    assert (facts.touchpoints, facts.first_contact, facts.last_contact) == (6, minute(0), minute(20))
    assert [(one.channel, one.direction, one.touchpoints) for one in facts.contacts] == [
        ("call", None, 1),
        ("email", "in", 5),
    ]
    assert facts.orders == 2
    money = facts.money[0]
    assert (money.revenue, money.refunds, money.average_order) == ("30.10", "5.00", "15.05")


def test_a_customer_of_whom_nothing_is_known_but_an_identifier_is_answered_too(tables: Tables) -> None:
    tables.node(COOKIE, "cookie", COOKIE, shared=True)
    found = answer(tables.view(COOKIE))
    assert (found.id, found.facts.touchpoints, found.facts.money) == (COOKIE.hex, 0, [])
    assert found.identifiers is not None and found.identifiers[0].shared


def test_the_preferred_channel_is_that_of_inbound_touchpoints_that_count(tables: Tables) -> None:
    for at in range(3):
        tables.touch(FIRST, at, "call")
        tables.touch(SECOND, 100 + at, "web", "out")
        tables.touch(SECOND, 200 + at, "note", touch=False)
    for at in range(5):
        retracted = tables.touch(SECOND, 300 + at, "chat")
        tables.put("timeline.corrected", retracted, True, None)
    tables.put("timeline.corrected", tables.touch(SECOND, 400, "email"), False, OTHER)
    assert (answer(tables.view(MAIL)).preferred.channel, len(tables.view(MAIL).touches)) == ("call", 4)


def test_only_the_latest_touchpoints_are_looked_at(tables: Tables) -> None:
    for at in range(210):
        tables.touch(FIRST if at % 2 else SECOND, at, "email" if at < 100 else "call")
    touches = tables.view(MAIL).touches
    assert (len(touches), min(one.happened_at for one in touches)) == (200, minute(10))


def test_the_hour_is_told_in_the_persons_time_zone(tables: Tables) -> None:
    tables.touch(FIRST, 0)
    assert answer(tables.view(MAIL)).preferred.hour == 9
    tables.claim(SECOND, 0, time_zone="Asia/Tokyo")
    told = answer(tables.view(MAIL)).preferred
    assert (told.hour, told.time_zone) == (18, "Asia/Tokyo")
    tables.claim(SECOND, 1, time_zone="../../etc/passwd")
    assert answer(tables.view(MAIL)).preferred.time_zone == "Europe/London"


def test_the_last_campaign_that_was_answered_is_told(tables: Tables) -> None:
    for at, evidence, campaign in (
        (3, FIRST, "campaign/ads:x:1"),
        (1, SECOND, "campaign:old"),
        (9, THIRD, "campaign:no"),
    ):
        tables.put("customers.answers", tables.name(), evidence, minute(at), AT, campaign, None)
    told = answer(tables.view(MAIL)).last_campaign
    assert told is not None and (told.campaign, told.namespace, told.at) == ("x:1", "ads", minute(3))


def test_the_profile_says_of_each_field_who_said_so(tables: Tables) -> None:
    tables.claim(FIRST, 1, name="Ann", job_title="Buyer")
    tables.claim(SECOND, 2, name="Ann King", address={"city": "Leeds"})
    tables.claim(THIRD, 3, name="Zoe")
    profile = answer(tables.view(MAIL)).profile
    assert profile is not None
    assert {field: one.value for field, one in profile.items()} == {
        "name": "Ann King",
        "job_title": "Buyer",
        "address": {"city": "Leeds"},
    }
    assert (profile["name"].source, profile["name"].at) == ("crm", minute(2))


def test_without_the_scope_read_nothing_personal_is_told(tables: Tables) -> None:
    tables.claim(FIRST, 1, name="Ann")
    tables.node(OTHER, "customer_no", OTHER, value="99")
    tables.put("identity.disputes", MAIL, OTHER, "limit", minute(3), MAIL)
    tables.put("customers.contacts", FIRST, "email.sent", "email", "in", 3, minute(1), minute(9))
    found = answer(tables.view(MAIL), personal=False)
    assert (found.profile, found.identifiers) == (None, None)
    assert found.disputed[0].mine.value is None and found.disputed[0].other.value is None
    assert found.facts.touchpoints == 3


def test_identifiers_are_hers_alone_in_order_of_their_kinds(tables: Tables) -> None:
    tables.node(OTHER, "customer_no", OTHER, value="99")
    found = answer(tables.view(PHONE)).identifiers
    assert found is not None
    assert [one.value for one in found] == ["17850", "ann@example.org", "+441134960000"]


def test_a_disputed_link_is_told_on_both_sides(tables: Tables) -> None:
    tables.node(OTHER, "customer_no", OTHER, value="99")
    tables.put("identity.disputes", MAIL, OTHER, "limit", minute(3), MAIL)
    hers, his = answer(tables.view(NUMBER)).disputed, answer(tables.view(OTHER)).disputed
    assert [(one.mine.value, one.other.value, one.customer, one.reason) for one in hers] == [
        ("ann@example.org", "99", OTHER.hex, "limit")
    ]
    assert [(one.mine.id, one.other.id, one.customer) for one in his] == [(OTHER.hex, MAIL.hex, NUMBER.hex)]


def test_an_answer_is_of_one_moment_while_evidences_move(tables: Tables) -> None:
    """An evidence goes and comes, with touchpoints that are counted here in the meantime: 11 at any moment."""
    tables.put("customers.contacts", FIRST, "email.sent", "email", "in", 1, AT, AT)
    tables.put("customers.contacts", THIRD, "email.sent", "email", "in", 10, AT, AT)
    tables.evidence(THIRD, [COOKIE], NUMBER)
    home_of: LiteralString = "UPDATE identity.evidences SET customer = %s WHERE evidence = %s"
    counted: LiteralString = "UPDATE customers.contacts SET touchpoints = %s WHERE evidence = %s"
    done = threading.Event()

    def move() -> None:
        with psycopg.connect(tables.dsn, autocommit=True) as connection:
            while not done.is_set():
                for home, here in ((OTHER, 11), (NUMBER, 1)):
                    with connection.transaction():
                        connection.execute(home_of, (home, THIRD))
                        connection.execute(counted, (here, FIRST))

    async def look(reader: CustomerReader) -> set[int]:
        return {(await reader.view(MAIL)).facts.touchpoints for _ in range(100)}  # type: ignore[union-attr]

    with ThreadPoolExecutor(1) as moving:
        moved = moving.submit(move)
        try:
            assert asyncio.run(tables.reading(look)) == {11}
        finally:
            done.set()
        moved.result()


def test_an_erased_customer_is_told_as_such(tables: Tables) -> None:
    assert not answer(tables.view(MAIL)).erased
    tables.put("storyline.erased", SECOND, tables.name(), AT)
    assert answer(tables.view(MAIL)).erased


def granted(tables: Tables) -> bool:
    (standing,) = tables.view(MAIL).standing
    assert tables.history(MAIL).standing == (standing,)
    return standing.granted


def test_S84_consent_is_told_per_purpose_and_channel_with_its_history(tables: Tables) -> None:
    first = tables.word(FIRST, 1, True, "")
    second = tables.word(FIRST, 2, False, "email")
    told = answer(tables.view(MAIL)).consents
    assert [(one.purpose, one.channel, one.granted, one.event) for one in told] == [
        ("marketing", None, True, first.hex),
        ("marketing", "email", False, second.hex),
    ]
    assert [one.name for one in tables.history(MAIL).words] == [second, first]


def test_S84_a_grant_from_before_two_evidences_were_one_person_takes_nothing_back(tables: Tables) -> None:
    """The third evidence came to her at minute 50, by a fourth one that holds a node of each."""
    tables.node(COOKIE, "cookie", NUMBER)
    tables.evidence(THIRD, [COOKIE], NUMBER)
    tables.evidence(UUID(int=104), [COOKIE, PHONE], NUMBER, first=50)
    tables.word(FIRST, 20, False)
    tables.word(THIRD, 40, True)
    assert not granted(tables)
    assert tables.view(MAIL).standing[0].held
    tables.word(THIRD, 50, True)
    assert granted(tables)


def test_S84_a_stewards_merge_says_when_two_became_one(tables: Tables) -> None:
    tables.node(COOKIE, "cookie", NUMBER)
    tables.evidence(THIRD, [COOKIE], NUMBER)
    tables.word(FIRST, 20, False)
    tables.word(THIRD, 40, True)
    tables.put("identity.rulings", tables.name(), minute(30), True, True, [NUMBER, COOKIE], [0, 1])
    assert granted(tables)
    tables.connection.execute("UPDATE identity.rulings SET at = %s", (minute(45),))
    assert not granted(tables)
    tables.connection.execute("UPDATE identity.rulings SET at = %s, counts = false", (minute(30),))
    # of a merge that was taken back, and without another path, the latest link says it: minute 10
    assert granted(tables)


def test_S84_within_one_customer_a_grant_under_another_identifier_counts(tables: Tables) -> None:
    tables.word(FIRST, 20, False)
    tables.word(SECOND, 30, True)
    assert granted(tables)


def test_S84_of_more_words_than_are_read_no_grant_is_believed(tables: Tables) -> None:
    row = "gen_random_uuid(), %s, %s, %s, 'p' || n, 'email', n %% 2 = 0, 'consent.given'"
    many = "INSERT INTO customers.consents SELECT " + row + " FROM generate_series(1, 10100) AS n"
    tables.connection.execute(many, (FIRST, minute(9), AT))
    standing = tables.view(MAIL).standing
    assert len(standing) == 5000
    assert not any(one.granted for one in standing)


def test_the_history_goes_on_by_cursor(tables: Tables) -> None:
    names = [tables.word(FIRST if at % 2 else SECOND, at // 2, True) for at in range(7)]
    found: list[UUID] = []
    cursor = None
    for pages in range(4):
        page = tables.history(MAIL, cursor, 2)
        found += [one.name for one in page.words]
        cursor = page.older
        assert (cursor is None) == (pages == 3)
    assert found == names[::-1]


@pytest.mark.parametrize("cursor", ["x", "!!", "bm90aGluZw", "9" * 60])
def test_what_is_no_cursor_is_refused(tables: Tables, cursor: str) -> None:
    with pytest.raises(BadInput):
        tables.history(MAIL, cursor)
