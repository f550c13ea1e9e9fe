"""How good are proposals of duplicates? Precision and recall against made-up people of whom the truth is known.

python -m bench.duplicates [--people 20000] [--seed 1] [--postgres] [--json]

With --postgres the same people stand in a PostgreSQL of its own, and are found as `storyline proposals run` does.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from datetime import UTC, datetime
from itertools import combinations
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import psutil
import psycopg
from psycopg_pool import ConnectionPool

from adapters.sample.chance import Chance
from bench.stand import stand
from commands.proposals import Merges
from commands.proposing import Proposing
from commands.proposing_run import LARGEST
from domain.blocking import keys_of
from domain.identifiers import priority
from domain.similarity import Likeness, likeness, summary
from eventlog.sql import load
from storyline.database import upgrade

__all__ = ["Record", "evaluate", "fill", "records", "run_in_postgres"]

_SQL = load("bench", "duplicates.sql")

_BEGINNINGS = "al an be ca da el fa ga ha is ja ka le ma na ol pa ro sa ta vi wa ye za bri cla fre gre".split()
_MIDDLES = "ba ce di fo gu la mi no ra si to va lly nne rri tte sh ck lm nd".split()
_ENDINGS = "n r s son ton ley man berg ski ez ing ford well er ham".split()
_HOSTS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Record(NamedTuple):
    """One customer as Storyline knows it, and who it is in truth."""

    person: int
    identifiers: tuple[tuple[str, str, str], ...]
    claims: tuple[dict[str, Any], ...]


class _Person(NamedTuple):
    number: int
    given: str
    family: str
    email: str
    phone: str
    birthday: str
    street: str
    postcode: str


def records(people: int, seed: int = 1) -> list[Record]:
    """Customers of so many people: every fifth stands there twice, its second record with the slips of a counter, a
    call centre or a guest checkout. Every fourth lives with the one before: same family name, address and often
    telephone, and is somebody else."""
    chance = Chance(f"duplicates {seed}")
    found: list[Record] = []
    before: _Person | None = None
    for number in range(people):
        person = _person(chance, number, before if number % 4 == 1 else None)
        found.append(_record(chance, person, number, clean=True))
        if number % 5 == 2:
            found.append(_record(chance, person, people + number, clean=False))
        before = person
    return found


def _person(chance: Chance, number: int, beside: _Person | None) -> _Person:
    # Some names are frequent: the rarer of two draws is taken less often.
    given = _word(min(chance.upto(400), chance.upto(400)))
    family = beside.family if beside else _word(1000 + min(chance.upto(4000), chance.upto(4000)))
    plain = f"{given}.{family}" if chance.once_in(2) else f"{given[0]}{family}{chance.upto(90) or ''}"
    address = (beside.street, beside.postcode) if beside else (_street(chance), _postcode(chance))
    phone = beside.phone if beside and chance.once_in(2) else f"+447{chance.between(100000000, 999999999)}"
    birthday = f"{chance.between(1935, 2006)}-{chance.between(1, 12):02d}-{chance.between(1, 28):02d}"
    return _Person(number, given, family, f"{plain}@{chance.of(_HOSTS)}", phone, birthday, *address)


def _word(number: int) -> str:
    """The same word for the same number."""
    own = Chance(f"word {number}")
    return own.of(_BEGINNINGS) + own.of(_MIDDLES) + (own.of(_MIDDLES) if number % 3 == 0 else "") + own.of(_ENDINGS)


def _street(chance: Chance) -> str:
    return f"{chance.between(1, 180)} {_word(9000 + chance.upto(800)).title()} Street"


def _postcode(chance: Chance) -> str:
    return (
        f"{chance.of('NSEWBL')}{chance.between(1, 20)} {chance.between(1, 9)}{chance.of('ABDE')}{chance.of('HJLN')}"
    )


def _record(chance: Chance, person: _Person, number: int, *, clean: bool) -> Record:
    given, family, email = person.given, person.family, person.email
    phone, birthday, postcode, street = person.phone, person.birthday, person.postcode, person.street
    guest = chance.once_in(3)
    if not clean:
        slip = chance.upto(5)
        given, family = (
            (_slip(chance, given), family),
            (given[0], family),
            (given, _slip(chance, family)),
            (given, family),
            (given, family),
        )[slip]
        local, _, host = email.partition("@")
        others = (f"{_slip(chance, local)}@{host}", f"{local}@{chance.of(_HOSTS)}", f"{local}+shop@{host}")
        email = chance.of((*others, f"{given}{chance.upto(9999)}@{chance.of(_HOSTS)}"))
        phone = chance.of((phone, phone, f"+447{chance.between(100000000, 999999999)}"))
        birthday = birthday if chance.upto(8) else f"{birthday[:5]}{birthday[8:]}-{birthday[5:7]}"
        if chance.once_in(4):
            street, postcode = _street(chance), _postcode(chance)
    identifiers = [("email", "", email.lower())] if clean or chance.upto(4) else []
    if phone != person.phone or chance.once_in(2):
        identifiers.append(("phone", "", phone))
    if not guest:
        identifiers.append(("customer_no", "", f"k-{number}"))
    claim: dict[str, Any] = {}
    if not guest or chance.once_in(3):
        claim["name"] = f"{given} {family}".title()
        claim["address"] = {"street": street, "postcode": postcode}
        if chance.once_in(2):
            claim["birthday"] = birthday
    return Record(person.number, tuple(identifiers), (claim,))


def _slip(chance: Chance, text: str) -> str:
    """One letter wrong, missing, doubled or swapped."""
    place = chance.between(1, max(1, len(text) - 2))
    wrong = chance.of(_LETTERS)
    return chance.of(
        (
            text[:place] + wrong + text[place + 1 :],
            text[:place] + text[place + 1 :],
            text[:place] + text[place] + text[place:],
            text[:place] + text[place + 1 : place + 2] + text[place] + text[place + 2 :],
        )
    )


def evaluate(found: list[Record], thresholds: tuple[float, ...] = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)) -> dict[str, Any]:
    """Precision and recall by threshold, and what blocking let through."""
    known = [summary(one.identifiers, one.claims) for one in found]
    blocks: defaultdict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(known):
        for key in keys_of(one):
            blocks[key].append(place)
    shared = [block for block in blocks.values() if len(block) > 1]
    pairs = {pair for block in shared if len(block) <= LARGEST for pair in combinations(block, 2)}
    began = time.perf_counter()
    scored = {pair: likeness(known[pair[0]], known[pair[1]]) for pair in pairs}
    seconds = time.perf_counter() - began
    truth = _truth(found)
    return {
        "customers": len(found),
        "duplicates": len(truth),
        "compared": len(pairs),
        "compared_per_s": round(len(pairs) / max(seconds, 1e-9)),
        "oversized_blocks": sum(len(block) > LARGEST for block in shared),
        "blocking_recall": round(len(truth & pairs) / len(truth), 3),
        "by_threshold": {str(level): _quality(scored, truth, level) for level in thresholds},
    }


def _truth(found: list[Record]) -> set[tuple[int, int]]:
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, one in enumerate(found):
        places[one.person].append(place)
    return {pair for same in places.values() for pair in combinations(same, 2)}


def _quality(scored: dict[tuple[int, int], Likeness], truth: set[tuple[int, int]], level: float) -> dict[str, float]:
    proposed = {pair for pair, one in scored.items() if one.score >= level}
    right = len(proposed & truth)
    return {
        "proposed": len(proposed),
        "precision": round(right / max(1, len(proposed)), 3),
        "recall": round(right / max(1, len(truth)), 3),
    }


def run_in_postgres(found: list[Record]) -> dict[str, Any]:
    """What a run over so many customers in PostgreSQL takes and finds, and what it takes to run it once more."""
    with stand(kafka=False) as servers:
        dsn = servers.database()
        upgrade(dsn)
        person = fill(dsn, found)
        with ConnectionPool(dsn, min_size=1, max_size=2, kwargs={"autocommit": True}) as pool:
            proposing = Proposing(pool, _nobody)
            before = psutil.Process().memory_info().rss
            first, again = proposing.run(), proposing.run()
            grown = psutil.Process().memory_info().rss - before
            pairs, cursor = [], None
            while True:
                page, cursor = proposing.list("open", 1000, cursor)
                pairs += [one.customers for one in page]
                if cursor is None:
                    break
    right = sum(person[a] == person[b] for a, b in pairs)
    return {
        **{name: value for name, value in first._asdict().items() if name != "seconds"},
        "precision": round(right / max(1, len(pairs)), 3),
        "recall": round(right / max(1, len(_truth(found))), 3),
        "seconds": round(first.seconds, 1),
        "seconds_again": round(again.seconds, 1),
        "rss_grown_mb": round(grown / 2**20),
    }


def _nobody() -> Merges:
    raise RuntimeError("the bench accepts nothing")


def fill(dsn: str, found: list[Record]) -> dict[str, int]:
    """Put customers straight into the read models; gives who each is in truth, by customer id."""
    chance = Random(1)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    person: dict[str, int] = {}
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in ("nodes", "evidences", "identifiers", "claims")}
    for one in found:
        known = one.identifiers or (("cookie", "", f"{chance.random()}"),)
        nodes = {identifier: UUID(int=chance.getrandbits(128)) for identifier in known}
        evidence, customer = UUID(int=chance.getrandbits(128)), next(iter(nodes.values()))
        person[customer.hex] = one.person
        for (kind, namespace, value), node in nodes.items():
            row = (node, kind, namespace, priority(kind), at, False, "{}", customer, customer)
            rows["nodes"].append(row)
            rows["identifiers"].append((evidence, node, kind, namespace, value))
        rows["evidences"].append((evidence, list(nodes.values()), at, customer, customer))
        for claim in one.claims:
            if claim:
                name = UUID(int=chance.getrandbits(128))
                rows["claims"].append((name, 0, evidence, at, at, "bench", json.dumps(claim)))
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table, content in rows.items():
            with connection.cursor() as cursor, cursor.copy(_SQL[table]) as copy:
                for row in content:
                    copy.write_row(row)
        connection.execute(_SQL["analyze"])
    return person


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="store_true", help="run it in PostgreSQL as well")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = records(options.people, options.seed)
    figures = evaluate(found)
    if options.postgres:
        figures["postgres"] = run_in_postgres(found)
    if options.json:
        print(json.dumps(figures))
        return
    levels, stored = figures.pop("by_threshold"), figures.pop("postgres", None)
    print(", ".join(f"{name} {value:,}" for name, value in figures.items()))
    for level, one in levels.items():
        print(f"score >= {level}: " + ", ".join(f"{name} {value:,}" for name, value in one.items()))
    if stored:
        print("in PostgreSQL: " + ", ".join(f"{name} {value:,}" for name, value in stored.items()))


if __name__ == "__main__":
    main()
