"""Is a rule too much, or does it ask for what this deployment does not have? Its limits, and what it costs.

The cost of a rule is what finding it out takes of one customer, in units of one sum that is kept anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from domain.catalogue.registry import Catalogue
from domain.configuration.base import Path, meant
from domain.configuration.rfm import Rfm
from domain.configuration.wording import path_of
from domain.errors import BadInput, Problem
from domain.segment_leaves import EventsLeaf, RfmLeaf, SequenceLeaf
from domain.segment_parts import CONTACT, Selection
from domain.segments import MOST_DEPTH, WAY_OUT, WORK, Leaf, Placed, Rule

__all__ = ["MOST_COST", "MOST_LEAVES", "MOST_TYPES", "Known", "checked", "cost_of", "public_fields"]

MOST_LEAVES: Final = 50
MOST_TYPES: Final = 20
MOST_COST: Final = 300
_COSTS: Final = {
    "fact": 1, "segment": 1, "rfm": 2, "identifier": 3, "profile": 5, "place": 5, "consent": 5, "industry": 5,
    **dict.fromkeys(WORK, 3),
}  # fmt: skip
_SUMMED: Final = ("channel", "direction")
_SPLIT: Final = "Make segments of its parts, and ask for those by `in segment CODE`."


class Known(NamedTuple):
    """What a deployment has: its types of events, and its classes of customers."""

    catalogue: Catalogue
    rfm: Rfm


def cost_of(rule: Rule) -> int:
    """What it takes to find out whether it holds of one customer: 1 for what is summed up anyway, 3 for events in a
    window, 10 where contents have to be read, 20 for a sequence."""
    return sum(_cost(one.key, one.leaf) for one in rule.leaves())


def _cost(key: str, leaf: Leaf) -> int:
    if isinstance(leaf, SequenceLeaf):
        return 20
    if isinstance(leaf, EventsLeaf):
        if leaf.field is not None or any(one.field not in _SUMMED for one in leaf.where):
            return 10
        return 1 if leaf.window is None else 3
    return _COSTS[key]


def checked(rule: Rule, known: Known) -> Rule:
    """The rule itself, if it keeps to the limits and this deployment has what it asks for. Raises BadInput with all
    problems. Whether the segments that it names are there is for others to know."""
    found = [*_limits(rule)]
    for one in rule.leaves():
        found += _astray(one, known)
    if found:
        raise BadInput(found)
    return rule


def _limits(rule: Rule) -> Iterator[Problem]:
    leaves = sum(1 for _ in rule.leaves())
    if rule.depth > MOST_DEPTH:
        yield Problem("rule", f"has {rule.depth} rules within each other; at most {MOST_DEPTH}.", _SPLIT)
    if leaves > MOST_LEAVES:
        yield Problem("rule", f"has {leaves} leaves; at most {MOST_LEAVES}.", _SPLIT)
    if (cost := cost_of(rule)) > MOST_COST:
        dearest = max(rule.leaves(), key=lambda one: _cost(one.key, one.leaf))
        yield Problem(
            "rule",
            f"costs {cost} to find out of one customer; at most {MOST_COST}. "
            f"The dearest of its leaves is {path_of(('rule', *dearest.path))}.",
            "Sequences cost 20, conditions on contents 10, windows 3, figures 1: leave some out. " + _SPLIT,
        )


def _astray(placed: Placed, known: Known) -> Iterator[Problem]:
    leaf, path = placed.leaf, ("rule", *placed.path)
    if isinstance(leaf, EventsLeaf):
        yield from _selection_astray(leaf, path, known.catalogue)
        if leaf.field is not None and leaf.field.startswith("content."):
            yield from _field_astray(leaf.field, leaf.types, (*path, "field"), known.catalogue)
    elif isinstance(leaf, SequenceLeaf):
        for place, step in enumerate(leaf.steps):
            yield from _selection_astray(step, (*path, "steps", place), known.catalogue)
        for name in ("without", "absent"):
            chosen: Selection | None = getattr(leaf, name)
            if chosen is not None:
                yield from _selection_astray(chosen, (*path, name), known.catalogue)
    elif isinstance(leaf, RfmLeaf) and leaf.what == "class":
        codes = [one.code for one in known.rfm.classes]
        for value in leaf.value if isinstance(leaf.value, tuple) else (leaf.value,):
            if leaf.is_ in {"=", "!=", "in", "not in"} and value not in codes:
                yield _problem((*path, "value"), f"names a class that is not configured; {meant(str(value), codes)}")


def _problem(path: Path, told: str) -> Problem:
    return Problem(path_of(path), told if told.endswith("?") else f"{told}.", WAY_OUT)


def _selection_astray(chosen: Selection, path: Path, catalogue: Catalogue) -> Iterator[Problem]:
    if len(chosen.types) > MOST_TYPES:
        told = f"names {len(chosen.types)} types; at most {MOST_TYPES}, or `{CONTACT}` for every touchpoint"
        yield _problem((*path, "types"), told)
        return
    told_types = [one.name for one in catalogue if one.category != "system"]
    for place, type in enumerate(chosen.types):
        known = catalogue.get(type)
        if type != CONTACT and known is None:
            told = f"names {type}, which is no type of events here; {_near(type, [*told_types, CONTACT])}"
            yield _problem((*path, "types", place), told)
        elif known is not None and known.category == "system":
            yield _problem(
                (*path, "types", place), f"names {type}, which Storyline announces itself; no rule sees it"
            )
    for place, one in enumerate(chosen.where):
        if one.field.startswith("content."):
            yield from _field_astray(one.field, chosen.types, (*path, "where", place, "field"), catalogue)


def _near(word: str, known: list[str]) -> str:
    """What somebody meant; where nothing is near, where to look: there are too many to list."""
    told = meant(word, known)
    return told if told.endswith("?") else "GET /v1/types lists them"


def _field_astray(field: str, types: tuple[str, ...], path: Path, catalogue: Catalogue) -> Iterator[Problem]:
    """Something is wrong with a field that no event of these types has in clear."""
    asked = [known for known in map(catalogue.get, types) if known is not None]
    if not asked or CONTACT in types:
        return
    name = field.removeprefix("content.")
    public: set[str] = set()
    for one in asked:
        public |= public_fields(one.schema())
    if not any(name == one or name.startswith(f"{one}.") for one in public):
        choices = [f"content.{one}" for one in sorted(public)]
        told = f"is no public field of {', '.join(types)}; {meant(field, choices)}"
        yield _problem(path, told)


def public_fields(schema: Mapping[str, Any]) -> frozenset[str]:
    """The fields of a content that stand in clear, as paths with dots, out of the JSON Schema of its type. What is
    within a list has no path."""
    found: set[str] = set()
    _gather(schema, schema.get("$defs", {}), "", found, 0)
    return frozenset(found)


_DEEPEST: Final = 8


def _gather(schema: Any, named: Mapping[str, Any], before: str, found: set[str], depth: int) -> None:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return
    if "$ref" in schema:
        _gather(named.get(str(schema["$ref"]).rpartition("/")[2]), named, before, found, depth + 1)
    for one in schema.get("anyOf", ()):
        _gather(one, named, before, found, depth + 1)
    for name, inner in schema.get("properties", {}).items():
        if inner.get("x-public"):
            found.add(f"{before}{name}")
        else:
            _gather(inner, named, f"{before}{name}.", found, depth + 1)
