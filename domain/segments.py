"""Who belongs to a segment? Its rule: a tree of `all`, `any` and `none` over leaves that ask something of a customer.

Whether a rule holds depends on the events that count, who is who, what is not erased, the configuration, and the
moment; on nothing else. A rule has two spellings that say the same: JSON, which is kept, and a text for people
(`segment_text.py`). `segment_leaves.py` has the leaves, `segment_limits.py` says what is too much.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Annotated, Any, Final, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from domain.configuration.base import Path, Setting, Wrong
from domain.configuration.wording import problems_of
from domain.errors import BadInput, Problem
from domain.segment_leaves import (
    ConsentLeaf,
    EventsLeaf,
    FactLeaf,
    IdentifierLeaf,
    IndustryLeaf,
    PlaceLeaf,
    ProfileLeaf,
    RfmLeaf,
    SegmentLeaf,
    SequenceLeaf,
    WorkLeaf,
)

__all__ = ["GROUPS", "LEAVES", "MOST_DEPTH", "WAY_OUT", "WORK", "Leaf", "Placed", "Rule", "plain_rule", "reached"]

WAY_OUT: Final = "See docs/segments.md."
MOST_DEPTH: Final = 10
GROUPS: Final = ("all", "any", "none")
WORK: Final = ("deal", "ticket", "task", "lead")
LEAVES: Final = (
    "events", "sequence", "fact", "profile", "place", "identifier", "consent", *WORK, "segment", "rfm", "industry",
)  # fmt: skip
"""Keys of the leaves, as JSON has them."""
_NESTED: Final = 4 * MOST_DEPTH

Leaf = (
    EventsLeaf
    | SequenceLeaf
    | FactLeaf
    | ProfileLeaf
    | PlaceLeaf
    | IdentifierLeaf
    | ConsentLeaf
    | WorkLeaf
    | SegmentLeaf
    | RfmLeaf
    | IndustryLeaf
)


class Placed(NamedTuple):
    """A leaf with where it stands in its rule, such as ("all", 1, "fact"), and its key."""

    path: Path
    key: str
    leaf: Leaf


class Rule(Setting):
    """Rules joined by `all`, `any` or `none` (not any of them), or one leaf."""

    all: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=50)] | None = None
    any: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=50)] | None = None
    none: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=50)] | None = None
    events: EventsLeaf | None = None
    sequence: SequenceLeaf | None = None
    fact: FactLeaf | None = None
    profile: ProfileLeaf | None = None
    place: PlaceLeaf | None = None
    identifier: IdentifierLeaf | None = None
    consent: ConsentLeaf | None = None
    deal: WorkLeaf | None = None
    ticket: WorkLeaf | None = None
    task: WorkLeaf | None = None
    lead: WorkLeaf | None = None
    segment: SegmentLeaf | None = None
    rfm: RfmLeaf | None = None
    industry: IndustryLeaf | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = [name for name in (*GROUPS, *LEAVES) if getattr(self, name) is not None]
        if len(given) != 1:
            told = (
                f"asks for several things at once ({', '.join(given)}); join them by `all`" if given else "is empty"
            )
            raise ValueError(f"{told}; a rule is one of {', '.join((*GROUPS, *LEAVES))}")
        if given[0] in WORK:
            leaf: WorkLeaf = getattr(self, given[0])
            Wrong.raise_any(((given[0], *path), told) for path, told in leaf.fields_astray(given[0]))
        return self

    @property
    def group(self) -> tuple[str, tuple[Rule, ...]] | None:
        """(`all`, `any` or `none`, its rules), None for a leaf."""
        for name in GROUPS:
            rules: tuple[Rule, ...] | None = getattr(self, name)
            if rules is not None:
                return name, rules
        return None

    @property
    def leaf(self) -> tuple[str, Leaf] | None:
        """(its key, the leaf), None for a group."""
        for name in LEAVES:
            leaf: Leaf | None = getattr(self, name)
            if leaf is not None:
                return name, leaf
        return None

    def leaves(self, path: Path = ()) -> Iterator[Placed]:
        """All leaves in their order."""
        if self.leaf is not None:
            key, leaf = self.leaf
            yield Placed((*path, key), key, leaf)
        elif self.group is not None:
            name, rules = self.group
            for place, rule in enumerate(rules):
                yield from rule.leaves((*path, name, place))

    @property
    def depth(self) -> int:
        """How many rules stand within each other: 1 for a leaf."""
        return 1 + max((rule.depth for rule in self.group[1]), default=0) if self.group else 1

    def references(self) -> frozenset[str]:
        """Codes of the segments that it names."""
        return frozenset(one.leaf.code for one in self.leaves() if isinstance(one.leaf, SegmentLeaf))

    def plain(self) -> dict[str, Any]:
        """Its JSON: what is kept, without what is left at its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @property
    def hash(self) -> str:
        """32 hex digits over its JSON: the same for the same rule, however it was written."""
        spelling = json.dumps(self.plain(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return sha256(spelling.encode()).hexdigest()[:32]


class _Whole(Setting):
    """A rule with its name, so that problems say where in `rule` they are."""

    rule: Rule


def reached(rule: Rule, others: Mapping[str, Rule | None]) -> list[Rule]:
    """A rule, those that it names, those that these name, and so on, each once. others: by code; what is missing, or
    None, has no rule."""
    found, codes = [rule], set[str]()
    for one in found:
        named = one.references() - codes
        codes |= named
        found += [inner for code in sorted(named) if (inner := others.get(code)) is not None]
    return found


def plain_rule(plain: Any) -> Rule:
    """A rule out of its JSON. Raises BadInput: each problem's field is a path such as `rule.all[0].fact.currency`."""
    if _nests(plain) > _NESTED:
        raise BadInput(
            [Problem("rule", "is nested too deeply.", f"Join at most {MOST_DEPTH} rules within each other.")]
        )
    try:
        return _Whole.model_validate({"rule": plain}).rule
    except ValidationError as error:
        raise BadInput(problems_of(error, {}, WAY_OUT)) from None


def _nests(value: Any) -> int:
    """How deep lists and objects stand within each other, up to a little more than what is allowed."""
    level, depth = [value], 0
    while level and depth <= _NESTED:
        depth += 1
        level = [
            inner
            for one in level
            if isinstance(one, dict | list | tuple)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth
