"""Where are segments acted out? On the stage of histories, with a clock of its own: batches by the real runner,
time by the scheduler's waker, rules by its backfiller; and all of it is held against the plain judge."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from domain.segment_text import print_rule
from domain.segments import plain_rule
from eventlog.port import Logged
from projections.registry import use
from projections.segments.backfilling import Backfiller
from projections.segments.compiling import Facing, Program, Ruled
from projections.segments.waking import Waker
from tests.support.plain import Published
from tests.support.plain_segments import members
from tests.support.plain_world import Definition, World
from tests.support.stage import DEFAULTS, Stage, stage
from tests.support.story import START

__all__ = ["ZONE", "Answers", "SegmentStage", "segment_stage"]

ZONE = ZoneInfo("Europe/London")
Answers = tuple[dict[str, set[str]], dict[tuple[str, str], datetime | None]]
"""Who is in each segment, and when each (segment, customer) has to be looked at again."""
_DURABLE = ("segment_wakes", "segment_changes", "segment_lists", "segment_versions", "segments")


class SegmentStage:
    """One database. `now`: the present moment, for all that keeps memberships."""

    def __init__(self, arena: Stage, connection: psycopg.Connection[Any]) -> None:
        self.arena, self.connection = arena, connection
        self.now = START
        self.facing = Facing(zone=ZONE)
        self.definitions: dict[str, Definition] = {}
        self.told: list[Published] = []
        arena.story.reading = _facing(arena.story.reading, self.facing)
        arena.runner.reading = arena.story.reading
        arena.runner.clock = self._clock

    def _clock(self) -> datetime:
        return self.now

    def begin(self, rules: Mapping[str, Any] = DEFAULTS) -> None:
        """Nothing was published, and there are no segments."""
        for table in _DURABLE:
            self.connection.execute(f"DELETE FROM storyline.{table}")
        self._changed()
        self.arena.begin(rules)
        self.now, self.definitions, self.told = START, {}, []
        self.waker = Waker(self.facing, self._clock)
        self.backfiller = Backfiller(self.facing, self._clock)

    def _changed(self) -> None:
        self.connection.execute("UPDATE storyline.segment_state SET generation = generation + 1")

    def world(self) -> World:
        """Everything that was told so far."""
        return World(self.told, self.arena.rules, self.arena.story.hasher, ZONE, self.definitions)

    def apply(self, batch: Sequence[Logged], published: Sequence[Published]) -> None:
        """Apply a batch; it is not earlier than what is in it. published: all that could be in it."""
        values = {one.value for one in batch}
        mine = [one for one in published if one.value in values]
        self.told += mine
        self.now = max([self.now, *[one.recorded_at for one in mine]])
        self.arena.apply([batch])

    def define(self, code: str, rule: Mapping[str, Any]) -> None:
        """A rule of a new segment, or another one of one that is there."""
        compiled = plain_rule(rule)
        version = 1 + self.connection.execute(
            "SELECT coalesce(max(version), 0) FROM storyline.segment_versions WHERE segment = %s", [code]
        ).fetchall()[0][0]  # fmt: skip
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO storyline.segments (code, kind, filling) VALUES (%(code)s, 'dynamic', %(version)s) "
                "ON CONFLICT (code) DO UPDATE SET filling = %(version)s",
                {"code": code, "version": version},
            )
            self.connection.execute(
                "INSERT INTO storyline.segment_versions (segment, version, rule, text, hash) "
                "VALUES (%s, %s, %s, %s, %s)",
                [code, version, Jsonb(compiled.plain()), print_rule(compiled), compiled.hash],
            )
            self._changed()
        self.definitions[code] = Definition(compiled.plain())

    def list_of(self, code: str, nodes: frozenset[str]) -> None:
        """A list that people keep."""
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO storyline.segments (code, kind) VALUES (%s, 'fixed') ON CONFLICT DO NOTHING", [code]
            )
            before = self.definitions.get(code, Definition()).nodes
            for node in before - nodes:
                self.connection.execute("DELETE FROM storyline.segment_lists WHERE node = %s", [UUID(hex=node)])
            for node in nodes - before:
                self.connection.execute("INSERT INTO storyline.segment_lists VALUES (%s, %s)", [code, UUID(hex=node)])
            for node in nodes ^ before:
                self.connection.execute(
                    "INSERT INTO storyline.segment_wakes (node, why) VALUES (%s, 'list')", [UUID(hex=node)]
                )
            self._changed()
        self.definitions[code] = Definition(None, nodes)

    def settle(self) -> None:
        """Let the scheduler do all that is to be done as of now."""
        for _ in range(100):
            called = self.waker.take_calls(self.connection)
            self.backfiller.run(self.connection)
            if not called and not self.waker.look(self.connection):
                return
        raise AssertionError("the scheduler finds something to do again and again")

    def kept(self) -> dict[str, set[str]]:
        """Who is in which segment, as it is kept."""
        rows = self.connection.execute(
            "SELECT m.segment, m.customer FROM segments.memberships AS m JOIN storyline.segments AS s "
            "ON s.code = m.segment AND s.state = 'active' AND m.version = coalesce(s.serving, 0)"
        ).fetchall()
        found: dict[str, set[str]] = {code: set() for code in self.definitions}
        for code, customer in rows:
            found[code].add(customer.hex)
        return found

    def differences(self, world: World | None = None) -> dict[str, Any]:
        """By segment: who should be in it and is not, and who is and should not be."""
        expected, found = members(world or self.world(), self.now), self.kept()
        return {
            code: {"missing": expected[code] - found[code], "astray": found[code] - expected[code]}
            for code in self.definitions
            if expected[code] != found[code]
        }

    def ask(self, program: Program, customers: Sequence[str], now: datetime) -> Answers:
        """What a program answers."""
        held: dict[str, set[str]] = {code: set() for code, _ in program.segments}
        wakes: dict[tuple[str, str], datetime | None] = {}
        asked = {**program.parameters, "customers": [UUID(hex=one) for one in customers], "now": now}
        with self.connection.transaction(), self.connection.cursor(binary=True) as cursor:
            use(cursor)
            for customer, code, _, holds, wake in cursor.execute(program.query, asked).fetchall():
                wakes[code, customer.hex] = wake
                if holds:
                    held[code].add(customer.hex)
        return held, wakes

    def ask_some(
        self, program: Program, chosen: Mapping[str, Collection[int]], now: datetime
    ) -> dict[str, tuple[list[int], datetime | None]]:
        """What it answers of some rules, by their places: which of them hold, and when time may change one."""
        asks = [program.asked(places) for places in chosen.values()]
        given = {
            **program.parameters, "customers": [UUID(hex=one) for one in chosen], "now": now,
            "rules": [one.rules for one in asks], "reads": [one.reads for one in asks],
        }  # fmt: skip
        query, names = program.within("{}")
        with self.connection.transaction():
            use(self.connection)
            raw = psycopg.RawCursor(self.connection)
            rows = raw.execute(query, [given[name] for name in names]).fetchall()
        return {customer.hex: (held, wake) for customer, _, held, wake in rows}

    def program(self) -> Program:
        """All rules, compiled together."""
        rules = [(code, one.rule) for code, one in self.definitions.items() if one.rule is not None]
        return Program([Ruled(code, 1, plain_rule(rule)) for code, rule in rules], self.facing)

    def changes(self) -> dict[tuple[str, str], list[tuple[bool, str]]]:
        """What was kept of who entered (True) and left each segment, in order, and why."""
        found: dict[tuple[str, str], list[tuple[bool, str]]] = {}
        for code, customer, entered, because in self.connection.execute(
            "SELECT segment, customer, entered, because FROM storyline.segment_changes ORDER BY id"
        ):
            found.setdefault((code, customer.hex), []).append((entered, because))
        return found


def _facing(reading: Any, facing: Facing) -> Any:
    return type(reading)(reading.keys, reading.catalogue, facing)


@contextmanager
def segment_stage(postgres: Any) -> Iterator[SegmentStage]:
    """A stage on a database of its own."""
    with stage(postgres) as arena, psycopg.connect(arena.story.dsn, autocommit=True) as connection:
        yield SegmentStage(arena, connection)
