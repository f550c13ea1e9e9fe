"""How fast is a customer found and shown? `storyline bench search [--customers N] [--json]`: real API, over HTTP.

A million customers are put straight into the tables by SQL: names of which a few are common and most are rare,
addresses, phones, numbers, an order each. Beside each figure the bare SQL: the one query that finds, through psycopg.
"""

from __future__ import annotations

import argparse
import random
import statistics
import string
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg

from bench.hammer import Hits, get, hammer, post
from bench.processes import Deployment, memory
from bench.report import Entry, median, percentile, progress, show
from bench.search_names import NAMES
from bench.stand import stand
from eventlog.sql import load
from projections.directory.asking import asked
from projections.directory.likening import misspelt, spans
from tests.support.process import Server

__all__ = ["main"]

_SQL = load("bench", "search.sql")
_FIND = load("projections.directory", "queries.sql")
_FILLING = tuple(name for name in _SQL if name not in {"some", "bare_profile"})
_BOUNDS = {"terms": 40, "spread": 10, "each": 200, "likely": 100, "close": 500}
_TOLERANCE = {"words": "0.2", "addresses": "0.6", "patience": "1000ms"}


class _Person(NamedTuple):
    customer: UUID
    name: str
    given_name: str
    family_name: str
    email: str
    phone: str
    customer_no: str
    order_no: str


@dataclass(frozen=True)
class _Ask:
    """One kind of search: how a person is searched for, and who counts as found."""

    name: str
    text: Callable[[random.Random, _Person], str]
    finds: Callable[[_Person, dict[str, Any]], bool]


@dataclass
class _Runs:
    """What the runs of one kind brought; times in ms."""

    rates: list[float] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    bare_rates: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def _typo(chance: random.Random, word: str) -> str:
    """A letter dropped, swapped with the next, or another one, but for the first."""
    place, other = chance.randrange(1, len(word) - 1), chance.choice(string.ascii_lowercase)
    return chance.choice(
        (
            word[:place] + word[place + 1 :],
            word[:place] + word[place + 1] + word[place] + word[place + 2 :],
            word[:place] + other + word[place + 1 :],
        )
    )


def _exactly(chance: random.Random, one: _Person) -> str:
    return chance.choice((one.email, f"0{one.phone[2:]}", one.customer_no.upper(), one.order_no, one.name.title()))


def _begun(chance: random.Random, one: _Person) -> str:
    letters = chance.randint(1, 4)
    return chance.choice(
        (one.given_name[:letters], one.family_name[:letters], one.email[: len(one.given_name) + letters // 2],
         one.phone[: 3 + letters], one.order_no[: 3 + letters])
    )  # fmt: skip


def _misspelt(chance: random.Random, one: _Person) -> str:
    wrong = _typo(chance, one.family_name)
    return chance.choice((wrong, f"{one.given_name} {wrong}", f"{wrong} {one.given_name}", _typo(chance, one.email)))


def _is_there(one: _Person, found: dict[str, Any]) -> bool:
    """Herself; of a common name somebody who bears it, since the most recent ones are shown."""
    return any(hit["id"] == one.customer.hex or hit.get("name") == one.name.title() for hit in found["customers"])


def _begins(_one: _Person, found: dict[str, Any]) -> bool:
    return bool(found["customers"])


def _resembles(one: _Person, found: dict[str, Any]) -> bool:
    return any(hit.get("name", "").lower().endswith(one.family_name) for hit in found["customers"])


_ASKED = (_Ask("exact", _exactly, _is_there), _Ask("prefix", _begun, _begins), _Ask("fuzzy", _misspelt, _resembles))


def _fill(dsn: str, customers: int) -> None:
    """Put so many customers into the tables."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name in _FILLING:
            began = time.perf_counter()
            connection.execute(_SQL[name], {**NAMES, "customers": customers} if name == "people" else {})
            progress(f"{name}: {time.perf_counter() - began:.1f} s")


def _people(dsn: str, customers: int, number: int, chance: random.Random) -> list[_Person]:
    drawn = [chance.randint(1, customers) for _ in range(number)]
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(_SQL["some"], {"numbers": drawn}).fetchall()
    known = {number: _Person(*person) for number, *person in rows}
    return [known[one] for one in drawn]


def _find_bare(connection: psycopg.Connection, text: str) -> None:
    """The queries that find, without those that show."""
    sought = asked(text, "GB")
    exact = {"kinds": [kind for kind, _ in sought.exact], "exact": [term for _, term in sought.exact]}
    parameters = {**_BOUNDS, **exact, "prefixes": sought.prefixes, "code": sought.code}
    if connection.execute(_FIND["at_once"], parameters).fetchall():
        return
    with connection.transaction():
        connection.execute(_FIND["be_tolerant"], _TOLERANCE)
        if sought.words:
            typed = {**_BOUNDS, "typed": misspelt(sought.words)}
            likely = spans(sought.words, connection.execute(_FIND["likely_words"], typed).fetchall())
            low, high, likeness = ([one[part] for one in likely] for part in range(3))
            connection.execute(_FIND["named"], {**_BOUNDS, "low": low, "high": high, "likeness": likeness}).fetchall()
        elif sought.address:
            connection.execute(_FIND["addressed"], {**_BOUNDS, "address": sought.address}).fetchall()


def _show_bare(connection: psycopg.Connection, customer: str) -> None:
    connection.execute(_SQL["bare_profile"], {"node": UUID(hex=customer)}).fetchall()


def _bare(dsn: str, ask: Callable[[psycopg.Connection, str], None], texts: Sequence[str], lines: int) -> Hits:
    """The same through psycopg, over as many connections."""

    def line(mine: Sequence[str]) -> list[float]:
        took = []
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=0, options="-c jit=off") as connection:
            for text in mine:
                began = time.perf_counter()
                ask(connection, text)
                took.append(time.perf_counter() - began)
        return took

    began = time.perf_counter()
    with ThreadPoolExecutor(lines) as pool:
        found = [one for took in pool.map(line, [texts[start::lines] for start in range(lines)]) for one in took]
    return Hits(time.perf_counter() - began, {}, found, [])


def _over_http(deployment: Deployment, requests: Sequence[bytes], lines: int, keep: bool = False) -> Hits:
    return hammer(deployment.directory, deployment.port, requests, connections=lines, keep=keep)


def _posts(texts: Sequence[str], key: str) -> list[bytes]:
    bodies = [msgspec.json.encode({"q": text}) for text in texts]
    return [post("/v1/search", body, key, "application/json") for body in bodies]


def _entry(name: str, runs: _Runs, customers: int, lines: int, server: Server, found: float | None) -> Entry:
    notes: dict[str, Any] = {
        "counted in": "answers, not events",
        "runs": [round(one) for one in runs.rates],
        "bare SQL, p50 ms": round(percentile(runs.bare, 0.5), 2),
        "bare SQL, p99 ms": round(percentile(runs.bare, 0.99), 2),
        "longest, ms": round(max(runs.took), 1),
    }
    if found is not None:
        notes["found"] = round(found, 3)
    return Entry(
        name=f"search-{name}",
        profile=f"{customers:,} customers, {lines} connections",
        events=customers,
        events_per_s=median(runs.rates),
        limit="bare SQL",
        limit_per_s=median(runs.bare_rates),
        rss_mb=memory(server),
        p50_ms=round(percentile(runs.took, 0.5), 2),
        p99_ms=round(percentile(runs.took, 0.99), 2),
        notes=notes,
    )


def _add(runs: _Runs, hits: Hits, bare: Hits) -> None:
    runs.rates.append(len(hits.took) / hits.seconds)
    runs.bare_rates.append(len(bare.took) / bare.seconds)
    runs.took += [one * 1000 for one in hits.took]
    runs.bare += [one * 1000 for one in bare.took]


def _measure(deployment: Deployment, given: argparse.Namespace, server: Server) -> list[Entry]:
    """Each kind in turn, run by run, so that a busy moment of the machine meets all."""
    chance = random.Random(1)
    kinds = {one.name: _Runs() for one in _ASKED} | {"profile": _Runs()}
    shares = {one.name: _share(deployment, one, given, chance) for one in _ASKED}
    for run in range(given.runs):
        people = _people(deployment.dsn, given.customers, given.searches, chance)
        for one in _ASKED:
            texts = [one.text(chance, person) for person in people]
            bare = _bare(deployment.dsn, _find_bare, texts, given.connections)
            _add(kinds[one.name], _over_http(deployment, _posts(texts, deployment.key), given.connections), bare)
        ids = [person.customer.hex for person in people]
        bare = _bare(deployment.dsn, _show_bare, ids, given.connections)
        asks = [get(f"/v1/customers/{one}", deployment.key) for one in ids]
        _add(kinds["profile"], _over_http(deployment, asks, given.connections), bare)
        told = ", ".join(f"{name} {statistics.median(runs.took):.1f} ms" for name, runs in kinds.items())
        progress(f"run {run + 1}, half within: {told}")
    return [
        _entry(name, runs, given.customers, given.connections, server, shares.get(name))
        for name, runs in kinds.items()
    ]


def _share(deployment: Deployment, one: _Ask, given: argparse.Namespace, chance: random.Random) -> float:
    """How many searches find whom they mean; it warms the caches, too."""
    people = _people(deployment.dsn, given.customers, given.searches, chance)
    requests = _posts([one.text(chance, person) for person in people], deployment.key)
    hits = _over_http(deployment, requests, 1, keep=True)
    answers = [msgspec.json.decode(body) for _, body in hits.answered]
    return sum(one.finds(person, answer) for person, answer in zip(people, answers, strict=True)) / len(people)


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench search", description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--searches", type=int, default=500, help="of each kind in a run")
    parser.add_argument("--connections", type=int, default=2, help="that never pause")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    with stand(kafka=False) as servers:
        dsn = servers.database()
        deployment = Deployment(dsn, servers.log_url("embedded", dsn, ""), servers.directory)
        try:
            _fill(dsn, given.customers)
            with deployment.api() as server:
                entries = _measure(deployment, given, server)
        finally:
            deployment.close()
    show(entries, given.json)
