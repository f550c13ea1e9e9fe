"""Of which parts is the query of rules put together? Fragments of SQL, parameters, and columns that are found once.

A *source* is what is read of one customer, one row each: what contacts, trades, contents … come to. Leaves ask it for
columns; the same column, asked for twice, is read once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import sql
from psycopg.sql import Composable, Composed

from domain.segment_leaves import EventsLeaf
from eventlog.sql import load

__all__ = [
    "NEVER",
    "NO",
    "YES",
    "Building",
    "Verdict",
    "both",
    "either",
    "fragment",
    "least",
    "length",
    "listed",
    "numbered",
]

_FRAGMENTS: Final = {
    name: "\n".join(line for line in text.splitlines() if not line.startswith("-- ")).strip()
    for file in ("values.sql", "leaves.sql", "program.sql")
    for name, text in load("projections.segments", file).items()
}
_MOST_GATES: Final = 63
"""A bit each of a bigint."""
_PLACEHOLDER: Final = re.compile(r"%(?:%|\((?P<name>\w+)\)s)")
YES: Final = sql.SQL("true")
NO: Final = sql.SQL("false")
NEVER: Final = sql.SQL("NULL::timestamptz")


class Verdict(NamedTuple):
    """Whether a leaf or a rule holds (never null), and when time alone might change that (null: never)."""

    holds: Composable
    wakes: tuple[Composable, ...] = ()


def fragment(name: str, /, **filled: Composable) -> Composed:
    """A fragment with its braces filled. The text is ours, from our own files."""
    return sql.SQL(_FRAGMENTS[name]).format(**filled)


def both(*conditions: Composable) -> Composable:
    """All of them hold."""
    return _joined(" AND ", [one for one in conditions if one is not YES], YES)


def either(*conditions: Composable) -> Composable:
    """One of them holds."""
    return YES if any(one is YES for one in conditions) else _joined(" OR ", conditions, NO)


def _joined(word: LiteralString, conditions: Sequence[Composable], empty: Composable) -> Composable:
    if not conditions:
        return empty
    if len(conditions) == 1:
        return conditions[0]
    return sql.SQL("({})").format(sql.SQL(word).join(conditions))


class Building:
    """What a query is made of so far: parameters, and the columns of each source."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}
        self._known: dict[tuple[str, str], Composable] = {}
        self._columns: dict[str, dict[str, tuple[str, Composable]]] = {}
        self.leaf = -1
        """The number of the leaf that is compiled."""
        self.gates: list[set[int]] = []
        """Which leaves need what stands behind each gate."""
        self._gates: dict[str, int] = {}
        self.showing: list[EventsLeaf] = []
        """Leaves that an event shows to have what they ask for, in the order of their bits."""

    def shown(self, leaf: EventsLeaf) -> Composable:
        """Whether it is known of a customer that there is an event that a leaf means."""
        if leaf not in self.showing:
            self.showing.append(leaf)
        return fragment("is_shown", place=sql.Literal(self.showing.index(leaf)))

    def gate(self, what: str) -> Composable:
        """Whether a customer is asked a leaf that needs something: this one, and those that ask for the same. There
        are only so many gates; those that come later share the last one."""
        return fragment("gate", bit=sql.Literal(1 << self._needed(what)))

    def _needed(self, what: str) -> int:
        """Note that this leaf needs something; gives the number of its gate."""
        number = self._gates.setdefault(what, min(len(self._gates), _MOST_GATES - 1))
        if number == len(self.gates):
            self.gates.append(set())
        self.gates[number].add(self.leaf)
        return number

    def parameter(self, value: Any, cast_to: LiteralString = "") -> Composable:
        """A value as a parameter of a type; the same value twice is one."""
        key = (repr(value), cast_to)
        if key not in self._known:
            name = f"p{len(self.parameters)}"
            self.parameters[name] = value
            self._known[key] = sql.Placeholder(name) + sql.SQL(f"::{cast_to}" if cast_to else "")
        return self._known[key]

    def text(self, value: str) -> Composable:
        return self.parameter(value, "text")

    def length(self, span: timedelta) -> Composed:
        """A length of elapsed time."""
        return length(self.parameter(span.total_seconds(), "double precision"))

    def name(self, source: str, expression: Composable) -> sql.Identifier:
        """The name of a column of a source; the same expression twice is one."""
        self._needed(source)
        columns = self._columns.setdefault(source, {})
        name, _ = columns.setdefault(repr(expression), (f"c{len(columns)}", expression))
        return sql.Identifier(name)

    def column(self, source: str, expression: Composable) -> Composable:
        """The same with the source before it."""
        return sql.Identifier(source) + sql.SQL(".") + self.name(source, expression)

    def columns(self, source: str) -> Composable | None:
        """All columns of a source, as a select list; None where nothing of it is asked for."""
        found = self._columns.get(source)
        if not found:
            return None
        return sql.SQL(", ").join([listed(name, expression) for name, expression in found.values()])

    def asks(self, source: str) -> bool:
        """Is anything of a source asked for?"""
        return source in self._columns


def listed(name: str, expression: Composable) -> Composed:
    """An expression with a name, in a select list."""
    return sql.SQL("{} AS {}").format(expression, sql.Identifier(name))


def length(seconds: Composable) -> Composed:
    """A length of elapsed time out of its seconds."""
    return fragment("length", seconds=seconds)


def least(moments: Iterable[Composable]) -> Composable:
    """The earliest of some moments; null where none is known."""
    several = list({repr(one): one for one in moments}.values())
    if not several:
        return NEVER
    return several[0] if len(several) == 1 else sql.SQL("least({})").format(sql.SQL(", ").join(several))


def numbered(query: Composable) -> tuple[bytes, tuple[str, ...]]:
    """A query with its parameters numbered, as Postgres takes them, and their names in that order."""
    places: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        name = found["name"]
        return "%" if name is None else f"${places.setdefault(name, len(places) + 1)}"

    text = _PLACEHOLDER.sub(place, query.as_string(None))
    return text.encode(), tuple(places)
