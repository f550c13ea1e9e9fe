"""Are likely duplicates proposed, decided by a steward, remembered, and measured?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from bench.duplicates import evaluate, fill, records
from commands.proposals import Proposal
from commands.proposing import Proposing
from commands.proposing_run import LARGEST, THRESHOLD
from commands.publishing import Receipt
from commands.rulings import Candidate, Why
from domain.errors import BadInput, NotFound, TooMany
from eventlog.port import Position
from eventlog.sql import load
from storyline.database import upgrade
from tests.support.postgres import PostgresServer
from tests.support.town import Town

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
ANN = {"name": "Ann Carter", "email": "ann.carter@example.org"}
ANN_AGAIN = {"name": "Carter, Ann", "email": "ann.cartr@example.org"}

_EMPTY = (
    "TRUNCATE identity.nodes, identity.evidences, identity.rulings, identity.disputes, directory.identifiers,"
    " directory.claims, storyline.proposals, storyline.quality, storyline.erased"
)


class Merging:
    """Takes merges down, and shows them in the town as the projector would."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.taken: list[tuple[Sequence[Sequence[Candidate]], Why, str]] = []
        self.shown = True

    def merge(self, sides: Sequence[Sequence[Candidate]], why: Why, by: str) -> Receipt:
        self.taken.append((sides, why, by))
        if self.shown:
            self.town.join(sides[0][0].node.hex, sides[1][0].node.hex)
        return Receipt(f"storyline/steward#{len(self.taken)}", Position(0, len(self.taken)))


class Office:
    """A town with proposals; the clock moves a day with each run."""

    def __init__(self, town: Town, pool: ConnectionPool) -> None:
        self.town, self.merging = town, Merging(town)
        days = itertools.count()
        self.proposing = Proposing(pool, lambda: self.merging, clock=lambda: NOW + timedelta(minutes=next(days)))

    def open(self) -> list[Proposal]:
        return list(self.proposing.list("open", 200)[0])

    def find(self) -> list[Proposal]:
        self.proposing.run()
        return self.open()

    def state_of(self, proposal: Proposal) -> tuple[str, str | None]:
        found = self.proposing.show(proposal.id)[0]
        return found.state, found.why


@pytest.fixture(scope="module")
def module_dsn(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.create_database()
    upgrade(postgres.dsn_of(name))
    yield postgres.dsn_of(name)
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def pool(module_dsn: str) -> Iterator[ConnectionPool]:
    with ConnectionPool(module_dsn, min_size=1, max_size=3, kwargs={"autocommit": True}) as made:
        yield made


@pytest.fixture
def office(module_dsn: str, pool: ConnectionPool) -> Iterator[Office]:
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        town = Town(connection)
        town.run(_EMPTY)
        yield Office(town, pool)


def pair(a: str, b: str) -> tuple[str, str]:
    first, second = sorted((a, b))
    return first, second


def test_likely_duplicates_are_proposed_with_score_and_reasons(office: Office) -> None:
    a, b = office.town.add(**ANN, customer_no="k-1"), office.town.add(**ANN_AGAIN)
    office.town.add(name="Tom Miller", email="tom@example.org")
    [found] = office.find()
    assert found.customers == pair(a, b)
    assert THRESHOLD <= found.score <= 1
    assert {reason.code for reason in found.reasons} == {"name-same", "email-one-letter"}
    assert found.state == "open"


def test_both_customers_are_shown_readable_side_by_side(office: Office) -> None:
    a, b = office.town.add(**ANN, customer_no="k-1", shared_phone="+441132960001"), office.town.add(**ANN_AGAIN)
    [found] = office.find()
    shown, sides = office.proposing.show(found.id)
    assert shown == found
    side = {one.customer: one for one in sides}
    assert [one.value for one in side[a].identifiers] == ["k-1", "ann.carter@example.org"]
    assert [one.value for one in side[a].shared] == ["+441132960001"]
    assert {one.field: one.value for one in side[b].profile} == {"name": "Carter, Ann"}


def test_a_proposal_holds_nothing_personal(office: Office) -> None:
    office.town.add(**ANN, birthday="1980-05-04"), office.town.add(**ANN_AGAIN, birthday="1980-05-04")
    assert office.find()
    [[rows]] = office.town.run("SELECT string_agg(p::text, ' ') FROM storyline.proposals AS p")
    for personal in ("Carter", "carter", "Ann", "example.org", "1980"):
        assert personal not in rows


def test_keys_of_blocks_are_nowhere_in_clear_and_go_with_the_run(office: Office, pool: ConnectionPool) -> None:
    office.town.add(**ANN), office.town.add(**ANN_AGAIN)
    office.find()
    with pool.connection() as connection:
        left = connection.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't'").fetchall()
    assert left == [(0,)]


def test_a_run_that_is_repeated_changes_nothing(office: Office) -> None:
    for number in range(12):
        office.town.add(name=f"Ann Carter{'abcdefghijkl'[number]}", email=f"ann.carter{number}@example.org")
    office.town.add(**ANN), office.town.add(**ANN_AGAIN)
    assert office.find() == office.find()


def test_accepting_merges_both_customers(office: Office) -> None:
    a, b = office.town.add(**ANN, customer_no="k-1", shared_phone="+441132960001"), office.town.add(**ANN_AGAIN)
    [found] = office.find()
    accepted = office.proposing.accept(found.id, "same voice on the phone", "key-1")
    [(sides, why, by)] = office.merging.taken
    assert {side[0].node.hex for side in sides} == {a, b}
    assert why == Why("duplicate", "same voice on the phone") and by == "key-1"
    assert (accepted.state, accepted.decided_by, accepted.why) == ("accepted", "key-1", "same voice on the phone")
    assert accepted.merge == "storyline/steward#1"
    assert office.find() == []


def test_what_is_decided_cannot_be_decided_again(office: Office) -> None:
    office.town.add(**ANN), office.town.add(**ANN_AGAIN)
    [found] = office.find()
    office.proposing.reject(found.id, "mother and daughter")
    for decide in (office.proposing.accept, office.proposing.reject):
        with pytest.raises(BadInput, match="rejected already"):
            decide(found.id, "again")
    assert office.merging.taken == []


def test_a_crash_between_merge_and_note_leaves_a_proposal_that_can_be_accepted_again(
    office: Office, pool: ConnectionPool
) -> None:
    office.town.add(**ANN), office.town.add(**ANN_AGAIN)
    [found] = office.find()

    def crash() -> None:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        Proposing(pool, lambda: office.merging, before_settle=crash).accept(found.id, "the same")
    assert office.proposing.accept(found.id, "the same").state == "accepted"
    assert len(office.merging.taken) == 1


def test_what_was_rejected_is_never_proposed_again_whatever_the_ids_become(office: Office) -> None:
    town = office.town
    # The one who is rejected comes to have other first nodes: she is merged into an older customer, twice over.
    older = town.add(name="Zed Quill", email="zed.quill@example.net")
    a, b = town.add(**ANN), town.add(**ANN_AGAIN)
    oldest = town.add(name="Yan Xu", customer_no="k-0")
    [found] = office.find()
    office.proposing.reject(found.id, "mother and daughter")
    assert office.find() == []
    town.join(older, a)
    assert office.find() == []
    town.join(oldest, b)
    assert office.find() == []
    town.join(oldest, older)
    town.split(a)
    assert office.find() == []
    assert office.state_of(found) == ("rejected", "mother and daughter")


def test_what_was_rejected_holds_where_the_first_identifier_stops_linking(office: Office) -> None:
    town = office.town
    a = town.add(**ANN, phone="+447700900001")
    town.add(**ANN_AGAIN)
    [found] = office.find()
    office.proposing.reject(found.id, "mother and daughter")
    [[phone]] = town.run("SELECT node FROM identity.nodes WHERE kind = 'phone'")
    town.join(phone.hex, a)
    town.run("UPDATE identity.nodes SET shared = true, customer = node WHERE node = %s", UUID(a))
    town.run('UPDATE directory.claims SET fields = fields || \'{"birthday": "1980-05-04"}\'')
    assert office.find() == []


def test_an_open_proposal_follows_its_customers_through_merges(office: Office) -> None:
    town = office.town
    a, b = town.add(**ANN), town.add(**ANN_AGAIN)
    [found] = office.find()
    older = town.add(name="Ann Carter", email="other@example.net")
    town.join(older, a)
    [again] = office.find()
    assert again.id == found.id
    assert again.customers != found.customers
    assert set(again.customers) <= {older, b}


def test_two_proposals_about_the_same_two_become_one(office: Office) -> None:
    town = office.town
    a, b = town.add(**ANN), town.add(**ANN_AGAIN)
    c = town.add(name="Ann Carter", email="ann.carter@example.or")
    assert len(office.find()) == 3
    town.join(a, c)
    assert [pair(*one.customers) for one in office.find()] == [pair(a, b)]
    closed = office.proposing.list("closed")[0]
    assert sorted(str(one.why) for one in closed) == ["one", "twin"]


def test_a_pair_that_became_one_customer_closes_itself(office: Office) -> None:
    a, b = office.town.add(**ANN), office.town.add(**ANN_AGAIN)
    [found] = office.find()
    office.town.join(a, b)
    assert office.open() == []
    assert office.state_of(found) == ("closed", "one")
    with pytest.raises(BadInput, match="Split"):
        office.proposing.reject(found.id, "no")
    office.proposing.run()
    assert office.state_of(found) == ("closed", "one")


def test_who_is_not_alike_any_more_is_no_longer_asked_about(office: Office) -> None:
    a = office.town.add(**ANN)
    office.town.add(**ANN_AGAIN)
    [found] = office.find()
    office.town.run(
        'UPDATE directory.claims SET fields = \'{"name": "Tom Miller"}\' WHERE evidence = %s',
        office.town.evidences(a)[0],
    )
    assert office.find() == []
    assert office.state_of(found) == ("closed", "unlike")
    office.town.run(
        'UPDATE directory.claims SET fields = \'{"name": "Ann Carter"}\' WHERE evidence = %s',
        office.town.evidences(a)[0],
    )
    assert [one.id for one in office.find()] == [found.id]


def test_whom_a_steward_split_is_not_proposed(office: Office) -> None:
    a, b = office.town.add(**ANN), office.town.add(**ANN_AGAIN)
    [found] = office.find()
    office.town.run(
        "INSERT INTO identity.rulings VALUES (%s, now(), false, true, %s, '{0,1}')", UUID(int=5), [UUID(a), UUID(b)]
    )
    assert office.find() == []
    assert office.state_of(found) == ("closed", "ruled")
    office.town.run("UPDATE identity.rulings SET counts = false")
    assert [one.id for one in office.find()] == [found.id]


def test_an_erased_customer_leaves_no_proposal(office: Office) -> None:
    a, _ = office.town.add(**ANN), office.town.add(**ANN_AGAIN)
    [found] = office.find()
    office.proposing.reject(found.id, "Ann's sister")
    office.town.erase(a)
    assert office.proposing.list(None) == ([], None)
    with pytest.raises(NotFound):
        office.proposing.show(found.id)
    office.proposing.run()
    assert office.town.run("SELECT count(*) FROM storyline.proposals") == [(0,)]


def test_a_shared_telephone_proposes_nobody(office: Office) -> None:
    for name in ("Ann Carter", "Tom Miller", "Eve Stone"):
        office.town.add(name=name, email=f"{name[:3]}@example.org", shared_phone="+441132960001")
    assert office.find() == []


def test_a_block_that_is_too_large_is_left_out_and_counted(office: Office) -> None:
    for number in range(LARGEST + 1):
        office.town.add(name="Ann Carter", email=f"p{number}@example.org")
    run = office.proposing.run()
    assert run.oversized >= 1
    assert run.compared == 0
    figures = {one.figure: one.value for one in office.proposing.quality(date(2026, 1, 1))}
    assert figures["oversized_blocks"] == run.oversized


def test_proposals_are_listed_the_likeliest_first_page_by_page(office: Office) -> None:
    for number, given in enumerate(("Ann", "Bob", "Cleo", "Dora", "Eva")):
        office.town.add(name=f"{given} Carter", email=f"{given}.carter{number}@example.org")
        office.town.add(name=f"{given} Carter", email=f"{given}carter{number}@example.org")
    everyone = office.find()
    walked: list[Proposal] = []
    cursor: str | None = None
    while True:
        page, cursor = office.proposing.list("open", 2, cursor)
        walked += page
        if cursor is None:
            break
    assert walked == everyone
    assert len(walked) == 5
    assert [one.score for one in walked] == sorted((one.score for one in walked), reverse=True)


@pytest.mark.parametrize("cursor", ["", "x", "0.5", "2.0000." + "0" * 32, "0.5000." + "g" * 32])
def test_a_cursor_that_is_none_is_refused(office: Office, cursor: str) -> None:
    with pytest.raises(BadInput):
        office.proposing.list("open", 2, cursor)


def test_there_is_one_run_at_a_time(office: Office, module_dsn: str) -> None:
    with psycopg.connect(module_dsn, autocommit=True) as other:
        other.execute(load("commands", "proposing.sql")["begin"])
        with pytest.raises(TooMany, match="Another run"):
            office.proposing.run()
        other.execute(load("commands", "proposing.sql")["end"])
        office.proposing.run()


def test_quality_is_measured_with_each_run(office: Office) -> None:
    a, b = office.town.add(**ANN, customer_no="k-1"), office.town.add(**ANN_AGAIN)
    office.town.add(), office.town.add(shared_phone="+441132960001", device="d")
    office.town.run("INSERT INTO identity.disputes VALUES (%s, %s, 'limit', now(), %s)", UUID(a), UUID(b), UUID(a))
    [found] = office.find()
    office.proposing.reject(found.id, "no")
    office.proposing.run()
    figures = {one.figure: one.value for one in office.proposing.quality(NOW.date())}
    expected = {
        "customers": 4,
        "share_with_email": 0.5,
        "share_with_name": 0.5,
        "share_with_phone": 0,
        "share_with_customer_no": 0.25,
        "disputed_links": 1,
        "shared_identifiers": 1,
        "proposals_open": 0,
        "proposals_rejected": 1,
        "proposals_accepted": 0,
        "acceptance_rate": 0,
    }
    assert expected.items() <= figures.items()
    assert office.proposing.quality(NOW.date() + timedelta(days=1)) == []


def test_proposals_from_the_tables_are_those_of_the_bench(office: Office, module_dsn: str) -> None:
    """Truth known: what a run finds in Postgres is what the bench finds in memory."""
    made = records(150, seed=3)
    person = fill(module_dsn, made)
    run = office.proposing.run()
    expected = evaluate(made, (THRESHOLD,))
    found = [one.customers for one in office.open()]
    assert run.compared == expected["compared"]
    assert len(found) == expected["by_threshold"][str(THRESHOLD)]["proposed"]
    assert sum(person[a] == person[b] for a, b in found) / len(found) > 0.9
