"""How does a test see who is in which segment? On a stage with a clock of its own: histories come in, time passes,
and nothing else happens than what the test says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from domain.identifiers import Identifier
from domain.segment_text import read_rule
from projections.segments.backfilling import Backfiller
from projections.segments.waking import Waker
from tests.support.plain import Published
from tests.support.stage import Stage, stage
from tests.support.story import START

__all__ = ["DAY", "Change", "Segmented", "made", "segmented", "who"]

DAY = timedelta(days=1)
_TABLES = ("segment_changes", "segment_wakes", "segment_lists", "segment_versions", "segments")
Change = tuple[str, bool, str]
"""(a customer's e-mail address without its domain, entered, because)"""
_numbers = iter(range(1_000_000))


def who(*names: str) -> list[dict[str, str]]:
    """Identifiers: `#…` a customer's number, anything else an address at example.org."""
    return [
        {"kind": "customer_no", "value": one[1:]}
        if one[0] == "#"
        else {"kind": "email", "value": f"{one}@example.org"}
        for one in names
    ]


def made(type: str, *names: str, day: float = 0, **data: Any) -> dict[str, Any]:
    """An event about somebody, so many days after the start."""
    content = {"purchase.made": {"amount": 10, "currency": "GBP"}}.get(type, {})
    return {
        "specversion": "1.0", "source": "test/shop", "id": f"s-{next(_numbers)}", "type": type,
        "time": (START + timedelta(days=day)).isoformat(),
        "data": {"who": who(*names), "content": content, **data},
    }  # fmt: skip


@dataclass
class Segmented:
    """A stage, its clock, and those who keep memberships while no event comes."""

    stage: Stage
    connection: psycopg.Connection
    now: datetime = START
    waker: Waker = field(init=False)
    backfiller: Backfiller = field(init=False)

    def __post_init__(self) -> None:
        facing = self.stage.story.reading.facing
        self.waker = Waker(facing, lambda: self.now)
        self.backfiller = Backfiller(facing, lambda: self.now, chunk=2)
        self.stage.runner.clock = lambda: self.now

    def begin(self) -> None:
        """Nothing happened yet, and there are no segments."""
        for table in _TABLES:
            self.connection.execute(f"DELETE FROM storyline.{table}")
        self.connection.execute("UPDATE storyline.segment_state SET generation = generation + 1, facing = NULL")
        self.stage.begin()
        self.now = START
        self.__post_init__()

    def day(self, day: float) -> None:
        """So many days after the start it is."""
        self.now = START + timedelta(days=day)

    def define(self, code: str, text: str, version: int = 1, **more: Any) -> None:
        """A rule that is to serve. more: `announce_existing`, `announce`."""
        rule = read_rule(text)
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO storyline.segments (code, kind, filling, announce) VALUES (%s, 'dynamic', %s, %s) "
                "ON CONFLICT (code) DO UPDATE SET filling = excluded.filling, state = 'active'",
                [code, version, more.get("announce", True)],
            )
            self.connection.execute(
                "INSERT INTO storyline.segment_versions (segment, version, rule, text, hash, announce_existing) "
                "VALUES (%s, %s, %s, %s, %s, %s)",
                [code, version, Jsonb(rule.plain()), text, rule.hash, more.get("announce_existing", False)],
            )
            self._changed()

    def segment(self, code: str, text: str, **more: Any) -> None:
        """A rule that serves."""
        self.define(code, text, **more)
        self.backfiller.run(self.connection)

    def put_on_list(self, code: str, *names: str) -> None:
        """Put people on a list, which is made if it is not there yet."""
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO storyline.segments (code, kind) VALUES (%s, 'fixed') ON CONFLICT DO NOTHING", [code]
            )
            for node in map(self.node, names):
                self.connection.execute("INSERT INTO storyline.segment_lists VALUES (%s, %s)", [code, node])
                self.connection.execute("INSERT INTO storyline.segment_wakes (node, why) VALUES (%s, 'list')", [node])
            self._changed()

    def archive(self, code: str) -> None:
        """It is kept no more."""
        with self.connection.transaction():
            self.connection.execute("UPDATE storyline.segments SET state = 'archived' WHERE code = %s", [code])
            self._changed()

    def _changed(self) -> None:
        self.connection.execute("UPDATE storyline.segment_state SET generation = generation + 1")

    def node(self, name: str) -> UUID:
        """The node of an identifier."""
        token = self.stage.story.hasher.token(Identifier(**who(name)[0]))
        return UUID(hex=str(token)[-32:])

    def publish(self, *raw: Mapping[str, Any]) -> list[Published]:
        """Records of events as they are recorded now."""
        minute = int((self.now - START) / timedelta(minutes=1))
        return self.stage.publish([(one, minute) for one in raw])

    def happen(self, *raw: Mapping[str, Any]) -> list[Published]:
        """Events come in, in one batch."""
        published = self.publish(*raw)
        self.stage.feed(published)
        return published

    def look(self) -> None:
        """Who looks when no event comes, does."""
        while self.waker.take_calls(self.connection):
            pass
        while self.waker.look(self.connection):
            pass

    def members(self, code: str) -> set[str]:
        """Who is in a segment, by the names of those whom the test knows: any of them."""
        rows = self.connection.execute(
            "SELECT m.customer FROM segments.memberships AS m JOIN storyline.segments AS s "
            "ON s.code = m.segment AND s.state = 'active' AND m.version = coalesce(s.serving, 0) WHERE s.code = %s",
            [code],
        ).fetchall()
        return {self.name(row[0]) for row in rows}

    def name(self, customer: UUID) -> str:
        """Of whom a customer's id is."""
        return next((one for one in _KNOWN if self.node(one) == customer), customer.hex)

    def changes(self, code: str) -> list[Change]:
        """Who entered and left, in order."""
        rows = self.connection.execute(
            "SELECT customer, entered, because FROM storyline.segment_changes WHERE segment = %s ORDER BY id", [code]
        ).fetchall()
        return [(self.name(customer), entered, because) for customer, entered, because in rows]

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return self.connection.execute(query, parameters).fetchall()


_KNOWN = ("ann", "bob", "cleo", "dora", "#1", "#2", "#3")


@contextmanager
def segmented(postgres: Any) -> Iterator[Segmented]:
    """A stage for segments, on a database of its own."""
    with stage(postgres) as made_, psycopg.connect(made_.story.dsn, autocommit=True) as connection:
        yield Segmented(made_, connection)
