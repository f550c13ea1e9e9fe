"""What does an event add to the figures beside the facts of its customer? Rows by table, in the COPY format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.catalogue.registry import Catalogue
from projections.lines import Line, More, ref_kind

__all__ = ["figure_rows", "figure_types", "mentions"]


def figure_types(catalogue: Catalogue) -> frozenset[str]:
    """The types whose content adds to a figure."""
    return frozenset()


def mentions(line: Line) -> bool:
    """Does an event name a product by a ref?"""
    return any(ref_kind(ref) == "product" for ref in line.refs)


def figure_rows(one: More, public: Any) -> tuple[Sequence[bytes], ...]:
    """Rows of `lines`, `scores`, `moods`, `mentions` and `things`. public: the content as it counts, in the current
    version; any JSON value."""
    return (), (), (), (), ()
