"""Which leaves made a verdict what it is, and how is each said in a sentence?"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from domain.segment_verdict import Verdict

__all__ = ["PERSONAL", "reasons", "sentence"]

PERSONAL: Final = frozenset({"profile", "place", "identifier"})
"""Kinds of leaves that find what is personal."""
_MOST_SHOWN: Final = 10


def reasons(verdict: Verdict) -> list[Verdict]:
    """The leaves that made it so: of `all` that hold every one, of those that do not the ones that failed, and
    likewise of `any` and `none`."""
    if not verdict.parts:
        return [verdict]
    every = verdict.holds == (verdict.kind in {"all", "segment"})
    if verdict.kind == "none":
        every = verdict.holds
    wanted = verdict.holds if verdict.kind != "none" else not verdict.holds
    chosen = verdict.parts if every else [one for one in verdict.parts if one.holds == wanted]
    return [leaf for one in chosen for leaf in reasons(one)]


def sentence(leaf: Verdict, personal: bool) -> str:
    """What a leaf came to. personal: may what is personal be told?"""
    told = f"{leaf.text}: {'yes' if leaf.holds else 'no'}"
    if leaf.kind == "segment" or (leaf.kind in PERSONAL and not personal):
        return told
    if leaf.kind == "sequence":
        return told
    return f"{told}, found {_written(leaf.found)}"


def _written(found: Any) -> str:
    if found is None or (isinstance(found, Collection) and not found):
        return "nothing"
    if isinstance(found, datetime):
        return found.isoformat()
    if isinstance(found, Decimal):
        return f"{found:f}"
    if isinstance(found, list | tuple):
        more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
        return ", ".join(_written(one) for one in found[:_MOST_SHOWN]) + more
    return str(found)
