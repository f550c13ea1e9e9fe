"""Which rules count as of now? Read again whenever a definition changed, compiled once.

Whoever keeps memberships asks in each transaction, which costs one tiny query. A batch may be under way when a
definition changes; whoever goes by the new one first waits for it (`waking.beside`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from hashlib import blake2b
from operator import or_
from typing import Any, Final

import psycopg
import structlog
from pydantic import ValidationError

from domain.segments import Rule
from eventlog.sql import load
from projections.segments.compiling import ALL, Asked, Facing, Program, Ruled
from projections.segments.needing import EVERYTHING, Shown, Topics, needs_of, shown_by

__all__ = ["Defined", "Definitions", "Version", "facing_hash", "kept_by"]

_SQL: Final = load("projections.segments", "definitions.sql")
_logger = structlog.get_logger("storyline.segments")
_Cursor = psycopg.Cursor[Any]
_MOST_KEPT: Final = 10_000
"""Most sets of topics of which it is kept what they reach."""
Version = tuple[str, int]
"""(code of a segment, version of its rule; 0 for a list)"""


@dataclass(frozen=True)
class Defined:
    """All definitions of one generation. announced: whether entering and leaving a segment is told, by its code.
    serving: versions that count; of others nothing is told yet. lists: codes of those that people keep. program: asks
    `rules`; None where there are none. hashes: of the rules. topics: of which events tell. For one thread."""

    generation: int
    facing: Facing
    announced: Mapping[str, bool]
    serving: frozenset[Version]
    lists: tuple[str, ...]
    rules: tuple[Ruled, ...]
    hashes: Mapping[Version, str]
    program: Program | None = field(init=False)
    topics: Topics = field(init=False)
    showing: int = field(init=False)
    """The topics that show that there is an event that a leaf means."""
    _needed: tuple[int, ...] = field(init=False)
    """The topics of each rule."""
    _shown_by: tuple[int, ...] = field(init=False)
    """The topics that show what the program's leaves `showing` ask for."""
    _asked: dict[int, Asked] = field(init=False, default_factory=dict)
    _shown: dict[int, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        facing = self.facing
        needs = [needs_of(one.rule, facing.others, facing.upcasts.keys()) for one in self.rules]
        topics = Topics(needs, facing.zone)
        program = Program(self.rules, facing) if self.rules else None
        leaves = () if program is None else program.showing
        shown_by_ = tuple(topics.bits(shown_by(one, facing.upcasts.keys())) for one in leaves)
        object.__setattr__(self, "program", program)
        object.__setattr__(self, "topics", topics)
        object.__setattr__(self, "showing", reduce(or_, shown_by_, 0))
        object.__setattr__(self, "_needed", tuple(topics.bits(one) for one in needs))
        object.__setattr__(self, "_shown_by", shown_by_)

    def reached_by(self, topics: int) -> Asked:
        """The rules whose verdict on a customer events may change that tell of these topics."""
        asked = self._asked.get(topics)
        if asked is None:
            if len(self._asked) >= _MOST_KEPT:
                self._asked.clear()
            places = [place for place, needed in enumerate(self._needed) if needed & topics or topics == EVERYTHING]
            asked = ALL if self.program is None else self.program.asked(places)
            self._asked[topics] = asked
        return asked

    def shown_by(self, shown: Shown | None, asked: Asked) -> Asked:
        """The same with what events of a customer told for sure."""
        if shown is None:
            return asked
        bits = self._shown.get(shown.topics)
        if bits is None:
            if len(self._shown) >= _MOST_KEPT:
                self._shown.clear()
            bits = "".join(["1" if topics & shown.topics else "0" for topics in self._shown_by])
            self._shown[shown.topics] = bits
        return asked._replace(shown=bits, shown_at=shown.at)

    @property
    def versions(self) -> list[Version]:
        """All that memberships are kept of."""
        return [*((one.code, one.version) for one in self.rules), *((code, 0) for code in self.lists)]

    def only(self, code: str, version: int) -> Program | None:
        """What asks this one rule alone."""
        chosen = [one for one in self.rules if (one.code, one.version) == (code, version)]
        return Program(chosen, self.facing) if chosen else None

    def without(self, broken: Collection[Version]) -> Defined:
        """The same without these rules."""
        rules = tuple(one for one in self.rules if (one.code, one.version) not in broken)
        return Defined(
            self.generation, self.facing, self.announced, self.serving, self.lists, rules, self.hashes
        )  # fmt: skip


class Definitions:
    """The definitions as of now. For one thread."""

    def __init__(self, facing: Facing) -> None:
        self._facing = facing
        self.generation = -1
        """Of the definitions that it gave last."""
        self._defined: Defined | None = None

    def now(self, cursor: _Cursor) -> Defined | None:
        """All that is active; None where no segment is."""
        [[generation]] = cursor.execute(_SQL["generation"]).fetchall()
        if generation != self.generation:
            self._defined, self.generation = self._read(cursor, generation), generation
        return self._defined

    def put_aside(self, broken: Collection[Version]) -> Defined | None:
        """Go on without these rules until definitions change."""
        if self._defined is not None:
            self._defined = self._defined.without(broken)
        return self._defined

    def _read(self, cursor: _Cursor, generation: int) -> Defined | None:
        active = cursor.execute(_SQL["active"]).fetchall()
        if not active:
            return None
        rules: list[Ruled] = []
        others: dict[str, Rule | None] = {code: None for code, kind, *_ in active if kind != "dynamic"}
        serves = {code: serving for code, _, _, serving, _ in active}
        hashes: dict[Version, str] = {}
        for code, version, rule, its_hash in cursor.execute(_SQL["rules"]).fetchall():
            try:
                rules.append(Ruled(code, version, Rule.model_validate(rule)))
            except ValidationError as error:
                _logger.error("segments.unreadable", segment=code, version=version, troubles=error.error_count())
                continue
            hashes[code, version] = its_hash
            if serves[code] == version:
                others[code] = rules[-1].rule
        lists = tuple(code for code, kind, *_ in active if kind != "dynamic")
        serving = {(code, version) for code, version in serves.items() if version is not None}
        serving |= {(code, 0) for code in lists}
        announced = {code: announce for code, _, announce, *_ in active}
        facing = replace(self._facing, others=others)
        return Defined(generation, facing, announced, frozenset(serving), lists, tuple(rules), hashes)


def facing_hash(facing: Facing) -> str:
    """What tells one deployment's facing from another's: memberships found out by one may not hold by the other."""
    told = [str(facing.zone), facing.rfm.model_dump_json(), facing.profile_rules, sorted(facing.records)]
    told += [sorted(facing.upcasts.items())]
    return blake2b(repr(told).encode(), digest_size=16).hexdigest()


def kept_by(cursor: _Cursor) -> int | None:
    """By which generation of definitions the build that stands first in the search path was found out; None while it
    was not."""
    row = cursor.execute(_SQL["kept"]).fetchone()
    return None if row is None else int(row[0])
