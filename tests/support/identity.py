"""How does a test say what was seen together, what was ruled, and who came out as whom?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from domain.identifiers import priority
from domain.identity import Evidence, Kind, Resolution, Ruling, Trace, resolve
from domain.identity_rules import Rules

__all__ = ["at", "evidence", "kinds_of", "node", "people", "resolved", "ruling"]

_SPACE = UUID(int=35)
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def node(name: str) -> UUID:
    """The token of `customer_no:1`, `email:anna` or `customer_no/crm:1`."""
    return uuid5(_SPACE, name)


def at(day: int) -> datetime:
    return _BEGAN + timedelta(days=day)


def kinds_of(names: Iterable[str]) -> dict[UUID, Kind]:
    told = {}
    for name in names:
        kind, _, namespace = name.partition(":")[0].partition("/")
        told[node(name)] = Kind(kind, namespace, priority(kind))
    return told


def evidence(day: int | None, *names: str) -> Evidence:
    return Evidence(node("&".join(sorted(names))), tuple(map(node, names)), None if day is None else at(day))


def ruling(day: int, merges: bool, *sides: Sequence[str], name: str = "") -> Ruling:
    called = node(f"ruling {name} {day} {merges} {sides}")
    return Ruling(called, at(day), merges, tuple(tuple(map(node, side)) for side in sides))


def resolved(
    evidences: Sequence[tuple[object, ...]], *rulings: Ruling, rules: Rules | None = None, trace: Trace | None = None
) -> Resolution:
    """Evidences as (day, name, name …)."""
    kinds = kinds_of(str(name) for _, *names in evidences for name in names)
    made = [evidence(day if isinstance(day, int) else None, *map(str, names)) for day, *names in evidences]
    return resolve(kinds, made, rulings, rules or Rules(), trace=trace)


def people(told: Resolution, *names: str) -> list[set[str]]:
    """These names by customer, in the order of names."""
    found: dict[UUID, set[str]] = {}
    for name in names:
        found.setdefault(told.nodes[node(name)].customer, set()).add(name)
    return list(found.values())
