"""Who is given what comes in without an assignee? By the rules of the configuration: in turn, by territory, by load.

Whoever gives out by rule does so alone, from reading whose turn it is until the turn is taken with what was given; so
that two at once do not give to the same colleague, and a turn whose command failed is not lost.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Literal

from commands.working_desk import SQL, Desk, New, Statement
from domain.assignment import assignee_of

__all__ = ["Share", "ShareKind", "Sharing"]

ShareKind = Literal["lead", "deal", "ticket"]


class Share:
    """What one save gives out: turns and loads as they are in it."""

    def __init__(self, desk: Desk, kind: ShareKind) -> None:
        self._desk, self._rules, self._kind = desk, desk.rules, kind
        self._taken: Counter[str] = Counter()
        self._given: Counter[str] = Counter()

    def content(self, new: New) -> dict[str, Any]:
        """The content of a new one, with an assignee by the first rule that finds somebody. One that names an
        assignee keeps it, also where it is null: nobody."""
        content = dict(new.content)
        if not self._rules.assignment or "assignee" in content:
            return content
        found = assignee_of(
            self._rules, self._kind, content, self._members, self._load, self._turn, self._everybody.__contains__
        )
        if found is None:
            return content
        self._given[found.assignee] += 1
        told = {"assigned_by": found.rule} if self._kind == "lead" else {}
        return {**content, "assignee": found.assignee, **told}

    def statements(self) -> list[Statement]:
        """The turns that were taken, to be saved with what was given."""
        return [(SQL["turn"], {"rule": rule, "taken": taken}) for rule, taken in sorted(self._taken.items())]

    def _turn(self, rule: str) -> int:
        self._taken[rule] += 1
        return self._turns.get(rule, 0) + self._taken[rule] - 1

    def _members(self, team: str) -> list[str]:
        return [code for (code,) in self._desk.ask("members", {"team": team})]

    @property
    def _load(self) -> Mapping[str, int]:
        return Counter(self._loads) + self._given

    @cached_property
    def _loads(self) -> dict[str, int]:
        return dict(self._desk.ask("loads", {"kind": self._kind}))

    @cached_property
    def _turns(self) -> dict[str, int]:
        return dict(self._desk.ask("turns", {}))

    @cached_property
    def _everybody(self) -> frozenset[str]:
        return frozenset(code for (code,) in self._desk.ask("everybody", {}))


class Sharing:
    """Gives out what comes in. Thread-safe."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._rules = desk, desk.rules
        self._alone = {kind: threading.Lock() for kind in ("lead", "deal", "ticket")}

    @contextmanager
    def alone(self, kind: ShareKind, news: Sequence[New]) -> Iterator[None]:
        """Nobody else gives out what is of this kind meanwhile; without waiting where no rule is needed."""
        ruled = any(rule.of == kind for rule in self._rules.assignment)
        if not ruled or all("assignee" in new.content for new in news):
            yield
            return
        # First among the threads of this process, so that they hold one connection together, not one each.
        with self._alone[kind], self._desk.session() as connection:
            connection.execute(SQL["hold_share"], {"kind": kind})
            try:
                yield
            finally:
                if not connection.broken:
                    connection.execute(SQL["free_share"], {"kind": kind})

    def share(self, kind: ShareKind) -> Share:
        """What the next save gives out."""
        return Share(self._desk, kind)
