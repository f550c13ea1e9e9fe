"""How does a story that rules see come out of rows? Contents as they count, in their current version.

Reads records of the timeline as the projector does: what was put right says the right thing, and a content of an
older version is raised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.catalogue.registry import Catalogue
from domain.errors import Poison
from domain.segment_leaves import ConsentLeaf, EventsLeaf, FactLeaf, RfmLeaf, SequenceLeaf
from domain.segment_parts import CONTACT, Selection
from domain.segment_story import Happened
from domain.segments import Rule
from eventlog.record import Head, decode, ref_hash

__all__ = ["Asked", "asked_by", "happened_of", "industry_of", "organisations_of", "products_of"]


class Asked:
    """What of a story rules ask for. types: of events, `contact` left out; touches: every touchpoint, too;
    categories: of products by the catalogue."""

    def __init__(self, types: Iterable[str] = (), touches: bool = False, categories: bool = False) -> None:
        self.types, self.touches, self.categories = frozenset(types) - {CONTACT}, touches, categories


def asked_by(rules: Iterable[Rule], telling: Collection[str]) -> Asked:
    """What these rules ask for. telling: types of events that facts and consents are made of."""
    types: set[str] = set()
    touches = categories = False
    for placed in (one for rule in rules for one in rule.leaves()):
        leaf = placed.leaf
        touches |= isinstance(leaf, FactLeaf) and leaf.name in {"touchpoints", "first_at", "last_at"}
        if isinstance(leaf, FactLeaf | RfmLeaf | ConsentLeaf):
            types |= set(telling)
        for chosen in _selections(leaf):
            types |= set(chosen.types)
            categories |= any(one.field == "category" for one in chosen.where)
    return Asked(types, touches or CONTACT in types, categories)


def _selections(leaf: Any) -> list[Selection]:
    if isinstance(leaf, EventsLeaf):
        return [leaf]
    if isinstance(leaf, SequenceLeaf):
        return [one for one in (*leaf.steps, leaf.without, leaf.absent) if one is not None]
    return []


def happened_of(rows: Iterable[Sequence[Any]], catalogue: Catalogue) -> list[Happened]:
    """Events out of rows of `events`. What cannot be read counts, and says nothing."""
    found = []
    for name, happened_at, type, touch, record, better in rows:
        head = _head(record)
        if head is None:
            found.append(Happened(name, happened_at, type, touch))
            continue
        content = _raised(catalogue, head, better)
        found.append(
            Happened(
                name,
                happened_at,
                type,
                touch,
                head.channel,
                head.direction,
                head.source,
                head.actor,
                head.refs,
                content,
            )
        )
    return found


def products_of(events: Iterable[Happened]) -> list[str]:
    """The products that events name."""
    found: set[str] = set()
    for one in events:
        found |= {ref.partition(":")[2] for ref in one.refs if ref.startswith(("product:", "product/"))}
        lines = one.content.get("lines")
        told = [line.get("product") for line in lines if isinstance(line, Mapping)] if isinstance(lines, list) else []
        found |= {code for code in (one.content.get("product"), *told) if isinstance(code, str)}
    return sorted(found)


def organisations_of(records: Iterable[bytes]) -> list[UUID]:
    """The organisations that these events describe, by the hashes of their refs."""
    heads = [head for record in records if (head := _head(record)) is not None]
    refs = {ref for head in heads for ref in head.refs if ref.startswith(("organisation:", "organisation/"))}
    return [UUID(bytes=ref_hash(ref)) for ref in sorted(refs)]


def industry_of(record: bytes, better: bytes | None, catalogue: Catalogue) -> str | None:
    """What an organisation does, as its description says it."""
    head = _head(record)
    found = None if head is None else _raised(catalogue, head, better).get("industry")
    return found if isinstance(found, str) and found else None


def _head(record: bytes | None) -> Head | None:
    try:
        return None if record is None else decode(record).head
    except Poison:
        return None


def _raised(catalogue: Catalogue, head: Head, better: bytes | None) -> Mapping[str, Any]:
    """The public content that counts, in its current version."""
    version, content = head.version, head.public
    right = _head(better)
    if right is not None and right.public.get("type") == head.type:
        version, content = right.public.get("version") or 1, right.public.get("content") or {}
    known = catalogue.get(head.type)
    if known is not None and version < known.version:
        content = known.raise_to_current(content, version)
    return content if isinstance(content, Mapping) else {}
