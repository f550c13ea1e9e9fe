"""How is a sequence of events found in SQL? By going through the events once for each step.

For every event that may be a step it is enough to know the latest event at which a chain to it may begin: the later
it begins, the less lies between, and the longer it stays in the window. A chain that ends later begins no earlier; so
each step goes on from the last that is there, and a story is gone through once for each step, however long it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql
from psycopg.sql import Composable

from domain.segment_leaves import SequenceLeaf
from domain.segment_parts import Selection
from projections.segments.compiling_choosing import Chooser, Span
from projections.segments.compiling_parts import NEVER, NO, YES, Verdict, both, either, fragment, listed

__all__ = ["Sequences"]


class Sequences:
    """The sequences of one query. `ctes`: what finds them, to stand after `matched`."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self.ctes: list[Composable] = []

    def verdict(self, leaf: SequenceLeaf) -> Verdict:
        """Whether such a sequence is there."""
        chooser, building = self._chooser, self._chooser.building
        span = chooser.span(leaf.window)
        open = self._open(leaf.steps)
        marks = {f"s{place}": chooser.marked(step, span, open) for place, step in enumerate(leaf.steps, start=1)}
        anywhere = Span(after=span.after, since=span.since)
        if leaf.without is not None:
            marks["w"] = chooser.marked(leaf.without, anywhere, open)
        if leaf.absent is not None:
            marks["a"] = chooser.marked(leaf.absent, anywhere, open)
        ended = self._chain(leaf, marks)
        over: Composable = YES
        waiting: tuple[Composable, ...] = ()
        if leaf.absent is not None:
            filled = {"length": building.length(leaf.absent.within)}
            over = fragment("sequence_over", **filled)
            over_at = fragment("sequence_over_at", name=ended, **filled)
            waiting = (building.column("told", fragment("case", open=open, first=over_at, second=NEVER)),)
        # Where there cannot be one the chain is not even looked for, which alone takes as long as a small story.
        found = fragment("sequence_holds", name=ended, over=over)
        holds = building.column("told", fragment("case", open=open, first=found, second=NO))
        if span.length is None:
            return Verdict(holds, waiting)
        left_at = fragment("sequence_leaves_at", name=ended, over=over, length=span.length)
        leaves = building.column("told", fragment("case", open=open, first=left_at, second=NEVER))
        return Verdict(holds, (*waiting, fragment("case", open=holds, first=leaves, second=NEVER)))

    def _open(self, steps: Sequence[Selection]) -> Composable:
        """Whether there is an event for each step, by the sums of touchpoints."""
        sums = [self._chooser.sums(step) for step in steps]
        there = [sql.SQL("{} IS NOT NULL").format(one.last) for one in sums if one is not None]
        return both(self._chooser.building.gate(repr(steps)), *there)

    def _chain(self, leaf: SequenceLeaf, marks: dict[str, sql.Identifier]) -> sql.Identifier:
        """Add what follows the chains; gives the name of where those that reached their end are."""
        number = len(self.ctes)
        names = [sql.Identifier(f"chain_{number}_{place}") for place in range(len(leaf.steps) + 2)]
        as_marks = sql.SQL(", ").join([listed(name, mark) for name, mark in marks.items()])
        kept = sql.SQL(", ").join([sql.SQL("one.") + sql.Identifier(name) for name in marks])
        any_mark = either(*marks.values())
        found = [fragment("sequence", name=names[0], first=names[1], marks=as_marks, any_mark=any_mark)]
        for place, step in enumerate(leaf.steps[1:], start=2):
            in_time: Composable = YES
            if step.within is not None:
                in_time = fragment("in_time", length=self._chooser.building.length(step.within))
            filled = {"name": names[place], "before": names[place - 1], "mark": sql.Identifier(f"s{place}")}
            found.append(fragment("step", marks=kept, in_time=in_time, **filled))
        between = fragment("last_between") if leaf.without is not None else sql.SQL("NULL::bigint")
        then_at = fragment("next_absent") if leaf.absent is not None else NEVER
        found.append(
            fragment("ended", name=names[-1], before=names[-2], between=between, then_at=then_at)
        )  # fmt: skip
        self.ctes += found
        return names[-1]
