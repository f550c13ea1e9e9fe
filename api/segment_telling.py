"""How is a segment told over HTTP, and how a verdict with its reasons? Without what is personal, unless the key may
see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from api import segment_shapes as told
from api.services import Services
from api.timelines import render
from commands.segment_references import References
from commands.segment_store import Definition, Version
from domain.segment_reasons import PERSONAL, reasons, sentence
from domain.segment_story import Around
from domain.segment_verdict import Turn, Verdict, evaluate
from domain.segments import Rule
from projections.segments.compiling import Facing
from projections.segments.reader import SegmentReader
from projections.segments.reader import Version as Counting
from projections.segments.story import StoryReader

__all__ = ["Reasoned", "Reasoning", "counting", "facing_of", "row_of", "shown", "sizes_of", "turn_told"]


def counting(segment: Definition) -> Counting | None:
    """By which version memberships are kept; None where nobody is in it yet, or any more."""
    if segment.state == "archived":
        return None
    if segment.kind != "dynamic":
        return segment.code, 0
    return None if segment.serving is None else (segment.code, segment.serving)


async def sizes_of(held: Services, segments: Sequence[Definition]) -> Mapping[str, int]:
    """How many are in each."""
    versions = [version for one in segments if (version := counting(one)) is not None]
    return await SegmentReader(held.pool).sizes(versions)


def row_of(segment: Definition, size: int | None) -> told.SegmentRow:
    """A segment in a list."""
    return told.SegmentRow(**_fields(segment, size))


def shown(segment: Definition, versions: Sequence[Version], size: int | None) -> told.SegmentShown:
    """A segment with its rules."""
    known = {one.version: one for one in versions}
    chosen = known.get(segment.serving or 0) or known.get(segment.filling or 0) or next(iter(versions), None)
    return told.SegmentShown(
        **_fields(segment, size),
        text=chosen.text if chosen else None,
        rule=chosen.rule if chosen else None,
        versions=[_version(one) for one in versions],
    )


def _fields(segment: Definition, size: int | None) -> dict[str, Any]:
    return {**segment._asdict(), "size": size if counting(segment) is not None else None}


def _version(one: Version) -> told.VersionShown:
    return told.VersionShown(
        one.version, one.text, one.rule, one.state, round(one.share, 4), one.size, one.made_at, one.made_by
    )


class Reasoned:
    """A verdict, and the lines of the events that it tells."""

    def __init__(
        self, verdict: Verdict, customer: UUID, lines: Mapping[UUID, tuple[str, str]], personal: bool
    ) -> None:
        self.verdict, self.customer, self._lines, self._personal = verdict, customer, lines, personal

    @property
    def because(self) -> list[str]:
        """The leaves that decide, each in a sentence."""
        return [sentence(one, self._personal) for one in reasons(self.verdict)]

    @property
    def rule(self) -> told.WhyRule:
        """The whole tree."""
        return self._rule(self.verdict)

    def _rule(self, one: Verdict) -> told.WhyRule:
        hidden = one.kind in PERSONAL and not self._personal
        return told.WhyRule(
            place=one.place,
            kind=one.kind,
            text=one.text,
            holds=one.holds,
            found=None if hidden else _plain(one.found),
            events=[
                told.WhyEvent(name, event.type, event.happened_at, line)
                for event in one.events
                for name, line in [self._lines.get(event.name, (event.name.hex, ""))]
            ],
            more_events=one.more,
            next=turn_told(one.turn),
            known_until=one.until,
            wanted=told.WantedShown(list(one.wanted.types), one.wanted.times, one.wanted.text)
            if one.wanted
            else None,
            decides=one.decides,
            parts=[self._rule(part) for part in one.parts],
        )


class Reasoning:
    """Finds out why rules hold. personal: may the caller see what is personal?"""

    def __init__(self, held: Services, known: References, personal: bool) -> None:
        self._held, self._personal = held, personal
        self._reader = StoryReader(held.pool, held.parts.catalogue)
        self._known = known

    async def why(self, rule: Rule, node: UUID, now: datetime, as_of: datetime | None = None) -> Reasoned | None:
        """What a rule comes to for a customer, and why; None for what is no id of one. as_of: as of then. Raises
        NotFound for who was not there then, BadInput for who has too long a story, Unavailable."""
        parts, at = self._held.parts, as_of or now
        others = self._known.reached(rule)
        around = Around(parts.time_zone, parts.working.rules.rfm, parts.profile_rules, others)
        rules = [rule, *[one for one in others.values() if one is not None]]
        story = await self._reader.story(node, rules, at, as_of)
        if story is None:
            return None
        verdict = await self._held.unseal(lambda: evaluate(rule, story, at, around))
        return Reasoned(verdict, story.customer, await self._lines(verdict), self._personal)

    async def _lines(self, verdict: Verdict) -> dict[UUID, tuple[str, str]]:
        """(name as it is written, line) of the events that are told."""
        names = verdict.names()
        if not names:
            return {}
        rows = await self._reader.rows(names)
        items = await render(self._held, rows, self._personal)
        return {row.name: (item.name, item.line) for row, item in zip(rows, items, strict=True)}


def facing_of(held: Services, others: Mapping[str, Rule | None]) -> Facing:
    """What rules are faced with here. others: the segments that they ask for, None for a list."""
    parts = held.parts
    facing = Facing.of(parts.catalogue, parts.time_zone, parts.working.rules.rfm, parts.profile_rules)
    return replace(facing, others=others)


def turn_told(turn: Turn | None) -> told.TurnShown | None:
    """When time alone turns something."""
    return None if turn is None else told.TurnShown(turn.at, turn.to, list(turn.places))


def _plain(found: Any) -> Any:
    """What was found, as JSON has it."""
    if isinstance(found, Decimal):
        return f"{found:f}"
    if isinstance(found, datetime):
        return found
    if isinstance(found, list | tuple):
        return [_plain(one) for one in found]
    return found
