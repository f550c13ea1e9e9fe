"""Does any statement hold each row against each other where the planner knows nothing of its tables yet? Postgres
tells how many rows each step of each plan looked at (auto_explain): live, where sums are folded, and where all is
made anew.

Tables are new in an import, and in every rebuild. A plan that is fine for ten rows takes minutes for ten thousand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from projections.figures.folding import fold
from projections.figures.pieces import Folded
from projections.rebuild import Rebuild
from tests.support.postgres import PostgresServer
from tests.support.story import START, Story, event, story
from tests.test_rebuild_one import parts_of, rebuild

TIMES = 600
"""Quarters of an hour in which one of everything happens."""
LIMIT = 22 * TIMES
"""Rows that one step of a plan may look at: 22 for the 16 events of each quarter. Each against each is more."""
_TOLD = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "warning",
    "auto_explain.log_parameter_max_length": "0",
}
_TABLES = """SELECT schemaname::text, tablename::text FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"""
_PLAN = re.compile(r"WARNING:  duration: [\d.]+ ms  plan:\n((?:\t.*\n)+)")


class Plans:
    """What a server told of the plans of one database since it was looked at last."""

    def __init__(self, server: PostgresServer) -> None:
        self._log = server.directory / "postgres.log"
        self._seen = 0

    def since(self) -> list[dict[str, Any]]:
        """The plans that were run meanwhile, each with the text of its query."""
        with self._log.open("rb") as log:
            log.seek(self._seen)
            told = log.read()
            self._seen = log.tell()
        return [json.loads(one) for one in _PLAN.findall(told.decode(errors="replace"))]


def looked_at(step: dict[str, Any]) -> Iterator[tuple[float, str]]:
    """(rows that it gave or passed over, what it is) of each step of a plan."""
    rows = step.get("Actual Rows", 0) + sum(count for name, count in step.items() if name.startswith("Rows Removed"))
    of = step.get("Relation Name") or step.get("Index Name") or step.get("CTE Name") or ""
    yield rows * step.get("Actual Loops", 0), f"{step['Node Type']} {of}"
    for one in step.get("Plans", ()):
        yield from looked_at(one)


@pytest.fixture
def telling(postgres: PostgresServer) -> Iterator[tuple[Story, Plans]]:
    name = postgres.create_database()
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        for setting, value in _TOLD.items():
            words = sql.SQL("ALTER DATABASE {} SET {} = {}")
            key = sql.SQL(".").join([sql.Identifier(one) for one in setting.split(".")])
            connection.execute(words.format(sql.Identifier(name), key, sql.Literal(value)))
    with psycopg.connect(postgres.dsn_of(name), autocommit=True) as connection:
        for schema, table in connection.execute(_TABLES).fetchall():  # nobody finds out about them by the way
            unseen = sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = false)")
            connection.execute(unseen.format(sql.Identifier(schema, table)))
    with story(postgres.dsn_of(name), postgres.dsn_of(name)) as made:
        yield made, Plans(postgres)
    postgres.drop_database(name)


def everything(number: int) -> list[dict[str, Any]]:
    """One of each within a quarter of an hour; an order that two sources tell of among it."""
    at = (START + timedelta(minutes=15 * number)).isoformat()
    who = [{"kind": "email", "value": f"{number}@example.org"}]

    def one(of: str, ref: str = "", source: str = "test/all", **content: Any) -> dict[str, Any]:
        refs = [{"kind": ref, "value": f"{ref}-{number}"}] if ref else []
        data = {"who": who, "refs": refs, "content": content}
        return event(f"{of}-{number}", type=of, source=source, time=at, data=data)

    lines = [{"product": f"P-{number}", "category": f"c{number % 50}", "quantity": 1}]
    sold = {"amount": number + 1, "currency": "GBP", "lines": lines}
    mood = one("touchpoint.enriched", sentiment="-0.8", language="en")
    told = {"source": "test/all", "id": f"email.received-{number}", "relation": "enriches"}
    mood["data"] |= {"who": [], "about": [told]}
    asked = one("email.received", "product") | {"time": (START + timedelta(minutes=15 * number - 60)).isoformat()}
    asked["data"]["refs"] = [{"kind": "product", "value": f"P-{number}"}]
    clicked = one("email.clicked", "campaign") | {"time": asked["time"]}
    return [
        one("purchase.made", "order", "shop/0", **sold),
        one("purchase.made", "order", "shop/1", **sold),
        one("deal.created", "deal", stage="new"),
        *[one("deal.created", "deal", f"other/{place}", stage="new") for place in range(2)],
        one("ticket.opened", "ticket", state="new"),
        one("task.created", "task", kind="call", title="Call"),
        one("lead.captured", "lead", origin="web"),
        one("review.posted", rating="1", best="5", product=f"P-{number}"),
        asked,
        clicked,
        one("refund.made", "order", "shop/0", amount=1, currency="GBP"),
        one("profile.updated", name=f"Ann {number}"),
        one("consent.given", purpose="marketing"),
        one("survey.answered", measure="csat", score="4"),
        mood,
    ]


def test_no_plan_holds_each_row_against_each_other(telling: tuple[Story, Plans]) -> None:
    small, plans = telling
    for number in range(0, TIMES, 50):
        small.publish(*[one for each in range(number, number + 50) for one in everything(each)])
    plans.since()
    for told, run in _runs(small).items():
        run()
        found = plans.since()
        assert len(found) > 10, f"{told}: Postgres tells no plans"
        worst = max((rows, what, plan["Query Text"]) for plan in found for rows, what in looked_at(plan["Plan"]))
        assert worst[0] < LIMIT, f"{told}: {worst}"


def _runs(small: Story) -> dict[str, Callable[[], Any]]:
    def folded() -> None:
        with psycopg.connect(small.dsn, autocommit=True) as connection:
            while fold(connection, most=100) != Folded.NOTHING:
                pass

    return {
        "live": small.project,
        "a fold": folded,
        "out of the timeline": lambda: rebuild(small, "all").run(),
        "out of the log": lambda: Rebuild(**parts_of(small)).run(),
    }
