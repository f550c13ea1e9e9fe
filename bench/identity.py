"""How well are people told apart and put together? `storyline bench identity [--people 10000] [--json]`.

Contacts are generated with their truth (`adapters/sample/dirty.py`, and the sample's year), normalised and hashed
as at the door, and resolved by `domain/identity.py`. Of all pairs of contacts that were put together, *precision* is
the share that are of one person; of all pairs that are of one person, *recall* is the share that were put together.
Beside it stand two plain ways: a join on equal e-mail addresses (what has none stays alone), and one on any equal
identifier. No server is started.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from rich.console import Console
from rich.table import Table

from adapters.sample import Sample
from adapters.sample.dirty import CLEAN, DIRTY, Contact, Dirt, contacts
from bench.report import progress
from domain.identifiers import Identifier, normalise, priority
from domain.identity import Evidence, Kind, resolve
from domain.identity_clusters import find
from domain.identity_rules import Blocked, Rules, read_rules
from eventlog.tokens import Hasher

__all__ = ["Figure", "by_any", "by_email", "by_rules", "main", "measure", "pairs"]

_HASHER = Hasher(bytes(range(32)))
Way = Callable[[Sequence[Contact]], list[Hashable]]


@dataclass(frozen=True)
class Figure:
    """One way on one set of contacts. `mixed`: customers who are more than one person. Shares are from 0 to 1."""

    data: str
    way: str
    contacts: int
    people: int
    customers: int
    mixed: int
    precision: float
    recall: float
    seconds: float


def pairs(truth: Sequence[Hashable], found: Sequence[Hashable]) -> tuple[float, float]:
    """Pairwise precision and recall of a partition; 1 where there is nothing to find or nothing found."""

    def together(labels: Sequence[Hashable]) -> int:
        return sum(count * (count - 1) // 2 for count in Counter(labels).values())

    right = together(list(zip(truth, found, strict=True)))
    said, true = together(found), together(truth)
    return (right / said if said else 1.0), (right / true if true else 1.0)


def by_email(told: Sequence[Contact]) -> list[Hashable]:
    """Contacts with an equal e-mail address are one customer; those without one stay alone."""
    found: list[Hashable] = []
    for number, contact in enumerate(told):
        spelled = [normalise("email", one.value) for one in contact.who if one.kind == "email"]
        found.append(next((one for one in spelled if one is not None), number))
    return found


def by_any(told: Sequence[Contact]) -> list[Hashable]:
    """Contacts with any equal identifier, at first hand or through others, are one customer."""
    parents = list(range(len(told)))
    seen: dict[tuple[str, str, str], int] = {}
    for number, contact in enumerate(told):
        for one in contact.who:
            value = normalise(one.kind, one.value)
            if value is not None:
                other = seen.setdefault((one.kind, one.namespace, value), number)
                parents[find(parents, number)] = find(parents, other)
    return [find(parents, number) for number in range(len(told))]


def by_rules(rules: Rules, blocked: Blocked) -> Way:
    """What Storyline makes of them."""

    def way(told: Sequence[Contact]) -> list[Hashable]:
        kinds: dict[UUID, Kind] = {}
        evidences: dict[str, Evidence] = {}
        said: list[str | None] = []
        for contact in told:
            tokens = _HASHER.tokens([one for one in contact.who if not _is_blocked(blocked, one)])
            said.append(_HASHER.evidence(tokens) if tokens else None)
            if said[-1] is not None and said[-1] not in evidences:  # contacts come by time: the first is the earliest
                nodes = tuple(UUID(hex=token.rpartition(".")[2]) for token in tokens)
                evidences[said[-1]] = Evidence(UUID(hex=said[-1]), nodes, contact.at)
                kinds |= {node: _kind(token) for node, token in zip(nodes, tokens, strict=True)}
        homes = resolve(kinds, list(evidences.values()), [], rules).homes
        return [number if one is None else homes[UUID(hex=one)] for number, one in enumerate(said)]

    return way


def _is_blocked(blocked: Blocked, one: Identifier) -> bool:
    value = normalise(one.kind, one.value)
    return value is not None and blocked.blocks(one.kind, value)


def _kind(token: str) -> Kind:
    kind, _, namespace = token.partition(".")[0].partition("/")
    return Kind(kind, namespace, priority(kind))


def measure(data: str, way: str, told: Sequence[Contact], put_together: Way) -> Figure:
    """One way on one set of contacts."""
    began = time.perf_counter()
    found = put_together(told)
    seconds = time.perf_counter() - began
    truth = [contact.person for contact in told]
    whose: dict[Hashable, set[int]] = {}
    for customer, person in zip(found, truth, strict=True):
        whose.setdefault(customer, set()).add(person)
    precision, recall = pairs(truth, found)
    mixed = sum(len(people) > 1 for people in whose.values())
    return Figure(
        data,
        way,
        len(told),
        len(set(truth)),
        len(whose),
        mixed,
        round(precision, 4),
        round(recall, 4),
        round(seconds, 2),
    )


def _sample(people: int) -> list[Contact]:
    """The contacts of the sample's year, with its truth."""
    sample = Sample(people=min(900, max(36, people)))
    owners = {
        tuple(name): number
        for number, person in enumerate(sample.truth()["people"].values())
        for name in person["events"]
    }
    told: dict[tuple[str, ...], Contact] = {}
    for event in sample.events(datetime(2026, 1, 1, tzinfo=UTC)):
        who = tuple(Identifier(**one) for one in event["data"].get("who", ()))
        name = (event["source"], event["id"])
        if who and name in owners:
            told[name] = Contact(owners[name], datetime.fromisoformat(event["time"]), who)
    return sorted(told.values(), key=lambda one: one.at)


def _show(figures: Sequence[Figure], as_json: bool) -> None:
    if as_json:
        print(json.dumps([asdict(one) for one in figures], indent=1))
        return
    table = Table(title="pairs of contacts, put together and apart")
    for heading in ("data", "way", "contacts", "people", "customers", "mixed", "precision", "recall", "s"):
        table.add_column(heading, justify="left" if heading in {"data", "way"} else "right")
    for one in figures:
        table.add_row(
            one.data, one.way, f"{one.contacts:,}", f"{one.people:,}", f"{one.customers:,}", f"{one.mixed:,}",
            f"{one.precision:.4f}", f"{one.recall:.4f}", f"{one.seconds:.1f}",
        )  # fmt: skip
    Console(width=140).print(table)


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench identity", description=__doc__)
    parser.add_argument("--people", type=int, default=10_000, help="how many people are generated (10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rules", type=Path, help="a TOML file of identity rules in the place of the defaults")
    parser.add_argument("--each", action="store_true", help="each kind of dirt by itself, too")
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    rules, blocked = read_rules(given.rules.read_text("utf-8") if given.rules else "")
    ways: dict[str, Way] = {"storyline": by_rules(rules, blocked), "same e-mail": by_email, "any identifier": by_any}
    dirts: dict[str, Dirt] = {"clean": CLEAN, "dirty": DIRTY}
    if given.each:
        dirts |= {one.name: DIRTY.only(one.name) for one in fields(Dirt)}
    figures = []
    for data in ["sample year", *dirts]:
        progress(data)
        told = contacts(given.seed, given.people, dirts[data]) if data in dirts else _sample(given.people)
        figures += [measure(data, name, told, way) for name, way in ways.items()]
    _show(figures, given.json)
