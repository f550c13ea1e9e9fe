"""How are contents of older versions raised in SQL? By the steps that the deployment's types declare.

A built-in type has one version so far. A step renames, adds and removes fields at the top of a content.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql
from psycopg.sql import Composable
from psycopg.types.json import Jsonb

from domain.catalogue.deployment import DeploymentType
from domain.catalogue.registry import Catalogue
from projections.segments.compiling_parts import Building, fragment

__all__ = ["Upcasts", "raised", "upcasts_of"]

Upcasts = Mapping[str, Mapping[int, Sequence[Any]]]
"""{type: {version: what makes the next version of it, step by step}}"""


def upcasts_of(catalogue: Catalogue) -> Upcasts:
    """Those of all types that had other versions."""
    return {one.name: one.upcasters for one in catalogue if isinstance(one, DeploymentType) and one.upcasters}


def raised(building: Building, upcasts: Upcasts) -> Composable:
    """The content of an event `e` as the present version of its type has it."""
    found: Composable = sql.SQL("e.content")
    for type, steps in sorted(upcasts.items()):
        for version, step in sorted(steps.items()):
            which = {"type": building.text(type), "version": building.parameter(version, "integer")}
            found = fragment("raised", x=found, anew=_changed(building, found, step), **which)
    return found


def _changed(building: Building, x: Composable, step: Sequence[Any]) -> Composable:
    for change in step:
        for old, new in change.rename.items():
            x = fragment("raised_rename", x=x, old=building.text(old), new=building.text(new))
        if change.default:
            x = fragment("raised_default", x=x, defaults=building.parameter(Jsonb(change.default), "jsonb"))
        if change.remove:
            x = fragment("raised_removed", x=x, names=building.parameter(list(change.remove), "text[]"))
    return x
