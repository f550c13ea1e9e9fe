"""Do BI tools read what serves, with a role of their own, and read on while a rebuild is switched in?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors

from projections.figures import views
from projections.figures.folding import fold
from projections.registry import MODELS, NEXT, build_beside, switch_in
from storyline.database import upgrade
from tests.support.stage import Stage, stage
from tests.support.story import START, event


@pytest.fixture(scope="module")
def small(postgres: Any) -> Iterator[Stage]:
    with stage(postgres) as made:
        made.begin()
        made.feed(made.publish([(raw, 6000) for raw in _history()]))
        yield made


@pytest.fixture
def connection(small: Stage) -> Iterator[psycopg.Connection]:
    with psycopg.connect(small.story.dsn, autocommit=True) as made:
        yield made


@pytest.fixture
def tool(small: Stage, connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A session of a BI tool, whose user is a member of the role."""
    connection.execute("DROP ROLE IF EXISTS bi_tool_user")
    connection.execute("CREATE ROLE bi_tool_user LOGIN IN ROLE storyline_bi")
    with psycopg.connect(small.story.dsn) as made:
        made.execute("SET SESSION AUTHORIZATION bi_tool_user")
        made.commit()
        yield made
    connection.execute("DROP ROLE bi_tool_user")


def _history() -> list[dict[str, Any]]:
    lines = [{"product": "tea", "quantity": 2, "unit_price": "2.50"}]
    bought = {"amount": 5, "currency": "GBP", "lines": lines}
    described = {"refs": [{"kind": "product", "value": "tea"}], "content": {"category": "drinks", "price": "2.50"}}
    return [
        event(1, type="purchase.made", data={"content": bought, "refs": [{"kind": "order", "value": "O1"}]}),
        event(2, type="purchase.made", source="test/till", data={"content": bought,
              "refs": [{"kind": "order", "value": "O1"}]}),
        event(3, type="refund.made", data={"content": {"amount": 2, "currency": "GBP"}}),
        event(4, type="product.described", data=described),
        event(5, type="survey.answered", data={"content": {"measure": "nps", "score": 9}}),
        event(6),
    ]  # fmt: skip


def _all(session: psycopg.Connection) -> dict[str, list[Any]]:
    return {
        view: sorted(session.execute(f"SELECT * FROM analytics.{view}").fetchall(), key=repr) for view in views.VIEWS
    }


def test_each_view_says_what_it_is_and_names_nobody(connection: psycopg.Connection) -> None:
    found = connection.execute(
        "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class AS c "
        "WHERE c.relnamespace = 'analytics'::regnamespace AND c.relkind = 'v'"
    ).fetchall()
    assert {name for name, _ in found} == set(views.VIEWS) and all(comment for _, comment in found)
    columns = connection.execute(
        "SELECT DISTINCT column_name FROM information_schema.columns WHERE table_schema = 'analytics'"
    ).fetchall()
    personal = {"email", "name", "value", "title", "record", "evidence", "titled", "fields", "who", "line"}
    assert {name for (name,) in columns}.isdisjoint(personal)


def test_views_tell_what_the_read_models_hold(tool: psycopg.Connection) -> None:
    found = _all(tool)
    assert sorted(row[7] for row in found["sales"]) == [-2, 5]  # what the till told of the same order does not count
    [line] = found["order_lines"]
    assert (line[5], line[6], line[7], line[8]) == ("tea", "drinks", 2, 5)
    [value] = found["customers_value"]
    assert value[1:5] == ("GBP", 1, 5, 2)
    assert len(found["scores"]) == 1 and len(found["touchpoints"]) == 5
    assert sum(row[3] for row in found["contacts_daily"]) == 5


def test_days_are_right_whether_they_are_summed_or_not(tool: psycopg.Connection, connection: Any) -> None:
    before = _all(tool)["contacts_daily"]
    tool.commit()
    while fold(connection):
        pass
    assert _all(tool)["contacts_daily"] == before
    assert before[0][0] == START.date()


def test_the_role_reads_the_views_and_nothing_else(tool: psycopg.Connection) -> None:
    for table in ("timeline.events", "directory.claims", "customers.trades", "storyline.keys"):
        with pytest.raises((errors.InsufficientPrivilege, errors.UndefinedTable)):
            tool.execute(f"SELECT * FROM {table}")
        tool.rollback()


def test_a_tool_reads_on_while_another_build_is_switched_in(tool: psycopg.Connection, connection: Any) -> None:
    before = _all(tool)["sales"]  # its transaction stays open
    with connection.transaction():
        for model in MODELS:
            build_beside(connection, model, NEXT)
            switch_in(connection, model, NEXT)
    assert _all(tool)["sales"] in ([], before)
    tool.commit()
    assert _all(tool)["sales"] == []  # the new build holds nothing yet
    tool.commit()
    connection.execute("INSERT INTO customers.trades SELECT * FROM customers_previous.trades")
    assert len(_all(tool)["sales"]) == len(before)
    tool.commit()
    views.publish(connection)
    gone = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'analytics%'"
    assert connection.execute(gone).fetchone() == (1,)  # what was read then is gone, now that nobody reads it


def test_an_upgrade_makes_views_only_where_they_are_others(small: Stage, connection: Any) -> None:
    made = "SELECT 'analytics'::regnamespace::oid::bigint"
    before = connection.execute(made).fetchone()
    upgrade(small.story.dsn)
    assert connection.execute(made).fetchone() == before
    connection.execute("DROP SCHEMA analytics CASCADE")
    upgrade(small.story.dsn)
    assert connection.execute(made).fetchone() != before


def test_without_the_right_to_make_roles_views_are_there_all_the_same(connection: psycopg.Connection) -> None:
    [name] = connection.execute("SELECT current_database()").fetchone() or ("",)
    connection.execute("DROP ROLE IF EXISTS poor_owner")
    connection.execute("CREATE ROLE poor_owner LOGIN NOCREATEROLE")
    connection.execute(f'GRANT CREATE ON DATABASE "{name}" TO poor_owner')
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL ROLE poor_owner")
            for query in ("role", "has_role"):
                told = connection.execute(views._SQL[query].replace("storyline_bi", "storyline_of_nobody"))
            assert told.fetchone() == (False,)
    finally:
        connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM poor_owner')
        connection.execute("DROP ROLE poor_owner")
