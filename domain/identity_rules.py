"""By which rules are identifiers made into customers? Their defaults, and how a deployment changes them.

See docs/identity.md for what each rule does and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

__all__ = ["Rules"]


def _frozen(**counts: int) -> Mapping[str, int]:
    return MappingProxyType(counts)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of resolution.

    `limits`: how many identifiers of a kind one customer may have, counted per (kind, namespace).
    `shared`: an identifier that stood beside more than this many of a kind links nobody any more.
    `star_nodes`, `star_links`: a component with more nodes or links than this is resolved by a star.
    `ignored`: hashes of identifiers that link nobody, whatever stood beside them.
    """

    limits: Mapping[str, int] = field(default_factory=lambda: _frozen(customer_no=1))
    shared: Mapping[str, int] = field(default_factory=lambda: _frozen(customer_no=3, external=3, email=5))
    star_nodes: int = 1000
    star_links: int = 20_000
    ignored: frozenset[UUID] = frozenset()
