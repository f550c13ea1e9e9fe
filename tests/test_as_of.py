"""What did we know then? A view as of a moment is that of a system which never got anything that came later.

Two systems share one key store: one gets a whole history, the other only what counts by a moment. Whatever the first
one tells as of that moment, the second one tells of now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from api.services import _SESSION
from domain.errors import BadInput, NotFound
from domain.identifiers import Identifier
from eventlog.port import Logged
from projections.customers.as_of import AsOfReader
from projections.customers.reader import CustomerReader, View
from projections.customers.remaking import Remaker
from projections.identity.as_of import EVER, Limits, Moment
from projections.identity.explaining import Explanation, explain
from projections.identity.loading import IdentityLoader
from projections.runner import Runner
from projections.timeline.reader import Customer, CustomerThen, Filters, Page, TimelineReader
from tests.support.histories import RULES, history
from tests.support.story import START, Story, event, story

# A connection pool's own thread asks `random` for its jitter, now and then while a strategy draws.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

_CORRECTIONS = ("event.retracted", "event.amended")
_NOW = datetime(2026, 4, 1, tzinfo=UTC)


class Sent(NamedTuple):
    """An event as it is published, when it is recorded, and its record. Bytes are made once."""

    raw: dict[str, Any]
    recorded_at: datetime
    value: bytes


class System:
    """One whole system that is filled anew for each history."""

    def __init__(self, made: Story) -> None:
        self.story = made
        self.runner: Runner = made.runner(partitions=1)

    def fill(self, sent: Sequence[Sent], rules: dict[str, Any] | None = None) -> None:
        self.story.empty()
        with psycopg.connect(self.story.dsn, autocommit=True) as connection:
            connection.execute("DELETE FROM identity.rules")
            if rules is not None:
                connection.execute("INSERT INTO identity.rules VALUES (%s)", [Jsonb(rules)])
        self.runner.take()
        logged = [Logged(0, offset, b"", one.value) for offset, one in enumerate(sent)]
        self.runner.apply(self.story.decoder().batch(0, self.runner.cursor, logged))

    def pool(self) -> AsyncConnectionPool:
        """With the session of the API's own pool."""
        options = {"autocommit": True, "prepare_threshold": 0, "options": _SESSION}
        return AsyncConnectionPool(self.story.dsn, min_size=1, max_size=1, kwargs=options, open=False)

    def reader(self, pool: AsyncConnectionPool, limits: Limits | None = None) -> AsOfReader:
        return AsOfReader(pool, Remaker(self.story.keyring, self.story.catalogue), limits)

    def nodes(self) -> list[UUID]:
        return [row[0] for row in self.story.rows("SELECT node FROM identity.nodes ORDER BY node")]


@pytest.fixture(scope="module")
def systems(postgres: Any) -> Iterator[tuple[System, System]]:
    names = [postgres.create_database() for _ in range(2)]
    dsns = [postgres.dsn_of(name) for name in names]
    with ExitStack() as stack:
        whole = stack.enter_context(story(dsns[0], dsns[0]))
        cut = stack.enter_context(story(dsns[1], dsns[1], hashing_from=whole))
        made = System(whole), System(cut)
        yield made
        for one in made:
            one.runner.close()
    for name in names:
        postgres.drop_database(name)


def _sent(system: System, raw: dict[str, Any], recorded_at: datetime) -> Sent:
    return Sent(raw, recorded_at, system.story.seal([raw], recorded_at)[0].value)


def _counting(system: System, sent: Sequence[Sent], moment: Moment) -> list[Sent]:
    """What a system of that moment would have got. Corrections always count, though those whom they name do not."""
    rows = system.story.rows("SELECT name, happened_at, record FROM timeline.events")
    kept = {name.hex: (at, record) for name, at, record in rows}
    found = []
    for one in sent:
        at, record = kept[system.story.hasher.name(one.raw["source"], one.raw["id"])[-32:]]
        if one.recorded_at > moment.recorded_by:
            continue
        if at <= moment.happened_by:
            found.append(one)
        elif one.raw["type"] in _CORRECTIONS and one.value == record:  # of repeats the one that was kept
            data = {key: value for key, value in one.raw["data"].items() if key not in ("who", "parties", "refs")}
            found.append(_sent(system, {**one.raw, "data": data}, one.recorded_at))
    return found


class Told(NamedTuple):
    """All that is told of one id: what is compared."""

    view: View
    history: Any
    links: Any
    stories: Any


async def _then(system: System, nodes: Sequence[UUID], moment: Moment) -> dict[UUID, Told]:
    """What the whole system tells as of then, of who was there."""
    found = {}
    async with system.pool() as pool:
        reader, timeline = system.reader(pool), TimelineReader(pool, "")
        for node in nodes:
            try:
                who, view = await reader.view(node, moment)
            except NotFound:
                continue
            assert who.now == (await IdentityLoader(pool).customers([node]))[node]
            told = (await reader.consents(node, moment, None, 3))[1]
            page = CustomerThen(who.customer, tuple(who.evidences), *moment)
            pages = [await timeline.page(page, Filters(), None, 3), await timeline.page(page, Filters(), None, 100)]
            found[node] = Told(_set(view), told, _links(explain(who.loaded, who.customer, 99)), _names(pages))
    return found


async def _now(system: System, nodes: Sequence[UUID]) -> dict[UUID, Told]:
    """What the other one tells of now."""
    found = {}
    async with system.pool() as pool:
        reader, timeline, loader = CustomerReader(pool), TimelineReader(pool, ""), IdentityLoader(pool)
        for node in nodes:
            view, told = await reader.view(node), await reader.consents(node, None, 3)
            if view is None or told is None:
                continue
            pages = [await timeline.page(Customer(node), Filters(), None, size) for size in (3, 100)]
            loaded = await loader.load([view.customer])
            found[node] = Told(_set(view), told, _links(explain(loaded, view.customer, 99)), _names(pages))
    return found


def _set(view: View) -> View:
    return view._replace(evidences=tuple(sorted(view.evidences)))


def _names(pages: Sequence[Page]) -> Any:
    return [
        (page.older, [(row.name, row.customer, [one.name for one in row.corrections]) for row in page.rows])
        for page in pages
    ]


def _links(found: Explanation) -> Any:
    nodes = [(one.node, one.kind, one.first_at, one.shared, one.component) for one in found.nodes]
    refused = [(one.a, one.b, one.first_at, one.evidence, one.reason) for one in found.refused]
    rulings = [(one.ruling, one.did) for one in found.rulings]
    return found.customer, found.star, nodes, found.links, refused, {one.node for one in found.shared}, rulings


def _parts(told: Told) -> list[Any]:
    """One by one, so that a difference is seen."""
    return [*told.view, *told.history, *told.links, *told.stories]


def _check(systems: tuple[System, System], seed: int, size: int, moment: Moment) -> int:
    """Compare all ids of a history; answers how many there are to compare."""
    whole, cut = systems
    pick = Random(seed)
    sent = [_sent(whole, raw, START + timedelta(minutes=minute)) for raw, minute in history(pick, size)]
    rules = pick.choice(RULES)
    whole.fill(sent, rules)
    cut.fill(_counting(whole, sent, moment), rules)
    nodes = whole.nodes()
    expected = asyncio.run(_now(cut, nodes))
    found = asyncio.run(_then(whole, nodes, moment))
    assert found.keys() == expected.keys()
    for node, told in expected.items():
        for part, (mine, theirs) in enumerate(zip(_parts(found[node]), _parts(told), strict=True)):
            assert mine == theirs, (part, node, mine, theirs)
    return len(expected)


_FAR = datetime(2030, 1, 1, tzinfo=UTC)
_KNOWN = [START + timedelta(minutes=minute) for minute in (3, 10, 60, 61)]
_MOMENTS = st.builds(
    Moment,
    st.one_of(st.just(_FAR), st.integers(0, 60).map(lambda minute: START + timedelta(minutes=minute))),
    st.one_of(st.just(_FAR), st.sampled_from(_KNOWN)),
)


@settings(max_examples=4, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(seed=st.integers(0, 2**32), size=st.integers(2, 24), moment=_MOMENTS)
@example(seed=1, size=24, moment=EVER)
@example(seed=2, size=24, moment=Moment(recorded_by=START + timedelta(minutes=60)))
@example(seed=3, size=24, moment=Moment(happened_by=START + timedelta(minutes=2)))
def test_S09_as_of_a_moment_is_what_a_system_tells_that_got_nothing_later(
    systems: tuple[System, System], seed: int, size: int, moment: Moment
) -> None:
    _check(systems, seed, size, moment)


def test_a_correction_that_only_an_older_one_speaks_of_still_stands(systems: tuple[System, System]) -> None:
    """So what it says of whom stood together counts, as it does in the tables."""
    whole, _ = systems
    ann, cookie = {"kind": "email", "value": "ann@example.org"}, {"kind": "cookie", "value": "k1"}

    def retracts(number: int, target: int, *people: dict[str, str]) -> dict[str, Any]:
        about = [{"relation": "retracts", "source": "test/mail", "id": f"e-{target}"}]
        raw = event(number, type="event.retracted")
        return {**raw, "data": {"who": list(people), "about": about, "content": {}}}

    raw = [event(2), event(3, data={"who": [cookie]}), retracts(4, 9, ann, cookie), retracts(1, 4)]
    whole.fill([_sent(whole, one, START + timedelta(minutes=30)) for one in raw])
    told = asyncio.run(_now(whole, whole.nodes()))
    assert len({one.view.customer for one in told.values()}) == 1
    assert asyncio.run(_then(whole, whole.nodes(), EVER)) == told


def test_what_hangs_together_beyond_all_measure_is_refused_with_a_way_out(systems: tuple[System, System]) -> None:
    whole, _ = systems
    raw = [
        event(
            number,
            data={"who": [{"kind": "email", "value": "ann@example.org"}, {"kind": "cookie", "value": f"k{number}"}]},
        )
        for number in range(6)
    ]
    whole.fill([_sent(whole, one, START + timedelta(minutes=number)) for number, one in enumerate(raw)])
    token = whole.story.hasher.token(Identifier("email", "ann@example.org"))
    assert token is not None

    async def at(minute: int) -> int:
        async with whole.pool() as pool:
            reader = whole.reader(pool, Limits(evidences=4, page=2))
            found = await reader.then(UUID(hex=token[-32:]), Moment(recorded_by=START + timedelta(minutes=minute)))
            return len(found.evidences)

    assert asyncio.run(at(2)) == 3
    with pytest.raises(BadInput) as refused:
        asyncio.run(at(5))
    assert "earlier moment" in refused.value.problems[0].way_out
