"""Do projectors that change who is who at the same moment lose anything of each other? Not a link, not a ruling, not
a contact: what they leave is what all their events come to, in any order.

Each is a thread with a runner, a reader's memory and a connection of its own. Where chance would need many rounds,
one is held at the very place where another has to come between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import psycopg
import pytest

from domain.identity_rules import Rules
from eventlog.port import Logged
from projections.decoding import Decoder
from projections.deriving import Deriver
from projections.identity.apply import LOCK
from projections.opening import Opener
from projections.runner import Runner
from tests.support.logs import in_threads
from tests.support.plain import Published, held, tell
from tests.support.story import START, Story, event, story

PROJECTORS = 4
POISON = b"poison, so that something is parked"
Work = Sequence[Published | bytes]


class Projector:
    """Applies what it is given as the next records of its partition; remembers what it has met, as a reader does."""

    def __init__(self, arena: Story, partition: int) -> None:
        self._arena, self.partition = arena, partition
        self.before_commit: Callable[[], None] = lambda: None
        self.runner: Runner = arena.runner(
            partitions=PROJECTORS, park=lambda connection, parked: self.before_commit()
        )
        self.runner.cursor = self.runner.positions.take(self.runner.connection, [partition])
        self._opener = Opener(arena.reading.keys)
        self._decoder = Decoder(Deriver(arena.catalogue, self._opener))

    def apply(self, work: Work) -> None:
        start = self.runner.cursor[self.partition]
        values = [one if isinstance(one, bytes) else one.value for one in work]
        logged = [Logged(self.partition, start + place, b"", value) for place, value in enumerate(values)]
        self.runner.apply(self._decoder.batch(0, dict(self.runner.cursor), logged))

    def close(self) -> None:
        self.runner.close()
        self._opener.close()


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Story]:
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn) as made:
        yield made
    postgres.drop_database(name)


@pytest.fixture
def arena(whole: Story) -> Story:
    whole.empty()
    return whole


@pytest.fixture
def four(arena: Story) -> Iterator[list[Projector]]:
    made = [Projector(arena, partition) for partition in range(PROJECTORS)]
    yield made
    for one in made:
        one.close()


def who(*names: str) -> list[dict[str, str]]:
    """Identifiers: `a@…` an address, `#…` a customer's number, `+44…` a phone."""
    kinds = {"#": "customer_no", "+": "phone"}
    return [{"kind": kinds.get(name[0], "email"), "value": name.removeprefix("#")} for name in names]


def made(arena: Story, *raw: dict[str, Any]) -> list[Published]:
    entries = arena.seal(raw, START + timedelta(days=1))
    return [Published(one, entry.value) for one, entry in zip(raw, entries, strict=True)]


def seen(number: int | str, *names: str, minute: int = 0, **data: Any) -> dict[str, Any]:
    return event(number, data={"who": who(*names), **data}, time=(START + timedelta(minutes=minute)).isoformat())


def ruling(number: int | str, merges: bool, one: str, other: str) -> dict[str, Any]:
    data = {"who": who(one), "parties": [{"role": "other", "who": who(other)}], "content": {}}
    raw = event(number, type="identity.merged" if merges else "identity.split")
    return {**raw, "data": data}


def retraction(number: int | str, of: dict[str, Any]) -> dict[str, Any]:
    about = [{"relation": "retracts", "source": of["source"], "id": of["id"]}]
    raw = event(number, type="event.retracted")
    return {**raw, "data": {"who": who("steward@example.org"), "about": about, "content": {}}}


def at_once(four: Sequence[Projector], rounds: Sequence[Sequence[Work]]) -> None:
    """Each round: one work per projector, all begun at one moment."""
    barrier = Barrier(len(four))

    def run(number: int) -> None:
        for works in rounds:
            barrier.wait(60)
            four[number].apply(works[number])

    in_threads(run, len(four))


def meets_the_plain_model(arena: Story, published: Sequence[Published]) -> None:
    expected, found = tell(published, Rules().to_json()), held(arena)
    assert {what: found[what] ^ expected[what] for what in expected if found[what] != expected[what]} == {}


def waiting(arena: Story) -> int:
    """How many sessions wait for an advisory lock."""
    [(count,)] = arena.rows(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    return int(count)


def one_after_the_other(arena: Story, four: Sequence[Projector], works: Sequence[Work]) -> None:
    """All have looked at what is there before the first may change who is who; then they go in this order."""
    threads = [Thread(target=one.apply, args=[work]) for one, work in zip(four, works, strict=False)]
    with psycopg.connect(arena.dsn, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        for number, thread in enumerate(threads):
            thread.start()
            until = time.monotonic() + 20
            while waiting(arena) <= number:
                assert time.monotonic() < until, "it changes who is who without the lock"
                time.sleep(0.01)
    for thread in threads:
        thread.join(60)


def test_links_that_four_projectors_bring_at_the_same_moment_are_one_customer(
    arena: Story, four: list[Projector]
) -> None:
    """A-B, B-C, C-D, D-E; and all four bring the same evidence, at times that differ."""
    rounds, all_of_it = [], []
    for number in range(12):
        names = [f"{letter}{number}@example.org" for letter in "abcde"]
        everybody = [f"s{number}@example.org", f"#n{number}"]
        raws = [
            (
                seen(f"{number}-{place}", names[place], names[place + 1], minute=place),
                seen(f"{number}-{place}-same", *everybody, minute=(place * 7 + number) % 4),
            )
            for place in range(PROJECTORS)
        ]
        works = [made(arena, *pair) for pair in raws]
        rounds.append(works)
        all_of_it += [one for work in works for one in work]
    at_once(four, rounds)
    [(customers,)] = arena.rows("SELECT count(DISTINCT customer) FROM identity.nodes")
    assert customers == 12 * 2
    meets_the_plain_model(arena, all_of_it)


def test_all_that_may_happen_to_a_customer_at_the_same_moment_comes_out_as_in_any_order(
    arena: Story, four: list[Projector]
) -> None:
    """An event and its retraction, a merge and new evidence, contacts of one evidence, a repeat recorded earlier."""
    rounds, all_of_it = [], []
    for number in range(8):
        a, b, c = (f"{letter}{number}@example.org" for letter in "abc")
        wrong = seen(f"{number}-wrong", b, f"#1{number}", minute=1)
        again = seen(f"{number}-again", a, c, minute=2)
        works = [
            made(arena, seen(f"{number}-1", a, b, minute=3), wrong, again),
            made(arena, retraction(f"{number}-2", wrong), seen(f"{number}-3", a, b, minute=1)),
            made(arena, ruling(f"{number}-4", True, a, c), seen(f"{number}-5", a, b, minute=2)),
            made(arena, seen(f"{number}-6", c, f"#2{number}"), seen(f"{number}-7", a, b)),
        ]
        [earlier] = arena.seal([{**again, "senttime": START.isoformat()}], START + timedelta(hours=3))
        works[3].append(Published({**again, "senttime": START.isoformat()}, earlier.value))
        rounds.append([works[(place + number) % PROJECTORS] for place in range(PROJECTORS)])
        all_of_it += [one for work in works for one in work]
    at_once(four, rounds)
    meets_the_plain_model(arena, all_of_it)


def test_who_waited_for_the_lock_looks_again_at_what_is_known(arena: Story, four: list[Projector]) -> None:
    """Both bring the same evidence as new; the later of its times must not take the place of the earlier."""
    works = [made(arena, seen(minute, "a@example.org", "#1", minute=minute)) for minute in (5, 9)]
    one_after_the_other(arena, four, works)
    meets_the_plain_model(arena, [one for work in works for one in work])


def test_who_waited_for_the_lock_looks_up_again_since_when_an_evidence_is_known(
    arena: Story, four: list[Projector]
) -> None:
    """An evidence of which an event was taken back is looked up whenever one comes, and that may be out of date."""
    gone = seen("gone", "a@example.org", "#1", minute=3)
    before = made(arena, gone, retraction("r", gone))
    four[3].apply(before)
    works = [made(arena, seen(minute, "a@example.org", "#1", minute=minute)) for minute in (5, 9)]
    one_after_the_other(arena, four, works)
    meets_the_plain_model(arena, [*before, *(one for work in works for one in work)])


@pytest.mark.parametrize("first", ["the event", "its retraction"])
def test_an_event_and_its_retraction_never_pass_each_other(arena: Story, four: list[Projector], first: str) -> None:
    """The second one begins before the first has ended its transaction, and cannot see what it did."""
    raw = event("x", type="purchase.made", data={"who": who("#1"), "content": {"amount": 5, "currency": "GBP"}})
    [bought] = made(arena, {**raw, "data": {**raw["data"], "content": {"amount": 5, "currency": "GBP"}}})
    [back] = made(arena, retraction("r", raw))
    one, other = (bought, back) if first == "the event" else (back, bought)
    second = Thread(target=four[1].apply, args=[[other]])

    def while_the_first_is_open() -> None:
        if not second.ident:
            second.start()
        until = time.monotonic() + 20
        while second.is_alive() and not waiting(arena) and time.monotonic() < until:
            time.sleep(0.01)

    four[0].before_commit = while_the_first_is_open
    four[0].apply([one, POISON])
    second.join(60)
    meets_the_plain_model(arena, [bought, back])
    assert arena.rows("SELECT count(*) FROM customers.trades") == [(0,)]
