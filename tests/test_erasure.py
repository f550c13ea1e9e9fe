"""Is a person gone for good once erased, does everything else stay, and is whoever comes back someone new?"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from commands.erasing import Erasing
from commands.ledger import Ledger
from domain.errors import BadInput, Erased, NotFound, NotYet
from eventlog.record import decode
from eventlog.sealing import keys_of, open_record
from tests.support.erasing import ADA, BOB, CANARY, Told, erasing_of, found_in, node_of, told, who
from tests.support.postgres import PostgresServer
from tests.support.story import START, Story, event

WHY = "asked for it by letter"
BOTH = {"who": who(ADA, "#17")}
READABLE = ["directory.claims", "directory.identifiers", "directory.terms", "directory.words"]


@pytest.fixture(scope="module")
def once(postgres: PostgresServer) -> Iterator[Told]:
    with told(postgres) as made:
        yield made


@pytest.fixture
def small(once: Told) -> Iterator[Story]:
    with once.again() as made:
        yield made


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "erasures.ledger"


@pytest.fixture
def erasing(small: Story, ledger: Path) -> Iterator[Erasing]:
    with erasing_of(small, ledger) as made:
        yield made


def ada(small: Story) -> str:
    return node_of(small, "#17")


def customer_of(small: Story, value: str, generation: int = 0) -> str | None:
    rows = small.rows("SELECT customer FROM identity.nodes WHERE node = %s", node_of(small, value, generation))
    return rows[0][0].hex if rows else None


def readable(small: Story) -> list[str]:
    """What opens of all records, as text."""
    records = [decode(bytes(row[0])) for row in small.rows("SELECT record FROM timeline.events ORDER BY name")]
    keys = small.keyring.keys(keys_of(records))
    return [repr(open_record(record, keys)) for record in records]


def facts(small: Story) -> list[Any]:
    """Counts and revenue, by customer."""
    return small.rows(
        "SELECT e.customer, (SELECT sum(touchpoints) FROM customers.contacts AS c WHERE c.evidence = ANY (e.all)),"
        " (SELECT sum(amount) FROM customers.trades AS t WHERE t.evidence = ANY (e.all))"
        " FROM (SELECT customer, array_agg(evidence) AS all FROM identity.evidences GROUP BY 1) AS e ORDER BY 1"
    )


def test_S83_what_is_personal_of_an_erased_customer_is_nowhere_and_counts_and_revenue_stay(
    small: Story, erasing: Erasing
) -> None:
    before, counted = small.hashes(), facts(small)
    assert found_in(small.dsn) == READABLE
    assert sum(CANARY in one for one in readable(small)) == 5
    done = erasing.erase(node_of(small, ADA), WHY, by="cli")
    assert done.step == "certified"
    assert done.customer.hex == ada(small), "any of her ids names her"
    assert found_in(small.dsn) == []
    assert not any(CANARY in one for one in readable(small))
    assert sum("bob@" in one for one in readable(small)) == 3, "Bob reads as before"
    assert facts(small) == counted
    after = small.hashes()
    assert {name: after[name] for name in ("timeline", "identity", "customers")} == {
        name: before[name] for name in ("timeline", "identity", "customers")
    }


def test_S83_a_rebuild_after_an_erasure_has_the_rows_of_live_and_no_more(small: Story, erasing: Erasing) -> None:
    erasing.erase(ada(small), WHY, by="cli")
    live, counted = small.hashes(), facts(small)
    small.empty()
    small.project()
    assert small.hashes() == live
    assert facts(small) == counted
    assert found_in(small.dsn) == []


def test_S83_who_comes_back_after_an_erasure_is_someone_new(small: Story, erasing: Erasing) -> None:
    erasing.erase(ada(small), WHY, by="cli")
    small.publish(event(20, data={"who": who(ADA, "#17"), "content": {"subject": "Here again"}}))
    small.project()
    new = customer_of(small, "#17", 1)
    assert new not in {None, ada(small)}
    assert customer_of(small, ADA, 1) == new
    assert customer_of(small, ADA) == ada(small), "the old id still finds what is left"
    assert small.rows("SELECT count(*) FROM identity.evidences WHERE customer = %s", new) == [(1,)]
    assert "Here again" in "".join(readable(small))
    again = erasing.erase(str(new), WHY, by="cli")
    assert again.certificate is not None
    assert (again.certificate["events"], again.certificate["identifiers"]) == (1, 2)
    small.publish(event(21, data={"who": who(ADA, "#17"), "content": {"subject": "And again"}}))
    small.project()
    assert customer_of(small, ADA, 2) not in {None, new, ada(small)}


def test_a_certificate_tells_what_was_done_and_which_events_also_name_others(small: Story, erasing: Erasing) -> None:
    done = erasing.erase(ada(small), WHY, by="key-7")
    told = done.certificate
    assert told is not None
    assert (told["events"], told["evidences"], told["identifiers"], told["keys"]) == (4, 2, 2, 2)
    assert (told["by"], told["why"], told["customer"]) == ("key-7", WHY, ada(small))
    assert told["names_others"]["count"] == 1
    [named] = told["named_by_others"]["events"]
    [(name, place)] = small.rows(
        "SELECT convert_from(record, 'UTF8')::jsonb ->> 'name', log_partition || ':' || log_offset"
        " FROM timeline.events WHERE happened_at = '2026-03-01T09:06Z'"
    )
    assert named == {"name": name, "position": place}
    assert CANARY not in str(told)
    rest = {key: value for key, value in told.items() if key != "hash"}
    assert told["hash"] == hashlib.sha256(msgspec.json.encode(rest, order="sorted")).hexdigest()


def test_the_certificate_stands_in_the_ledger_behind_the_erasure(
    small: Story, erasing: Erasing, ledger: Path
) -> None:
    done = erasing.erase(ada(small), WHY, by="cli")
    first, second = Ledger(ledger).read()
    assert (first.entry.kind, second.entry.kind) == ("erasure", "certificate")
    assert first.entry.customer is not None
    assert first.entry.customer.hex == ada(small)
    assert second.entry.certificate == done.certificate
    assert second.entry.certificate["ledger"] == first.hash == second.entry.previous
    assert CANARY not in ledger.read_text()
    assert "example.org" not in ledger.read_text()


def test_a_dry_run_tells_the_same_and_changes_nothing(small: Story, erasing: Erasing, ledger: Path) -> None:
    told = erasing.foresee(node_of(small, ADA))
    assert not ledger.exists()
    assert found_in(small.dsn) == READABLE
    done = erasing.erase(ada(small), WHY, by="cli")
    assert done.certificate is not None
    assert {name: done.certificate[name] for name in told} == told


def test_erasing_twice_is_erasing_once(small: Story, erasing: Erasing, ledger: Path) -> None:
    first = erasing.erase(ada(small), WHY, by="cli")
    assert erasing.erase(node_of(small, ADA), "another letter", by="cli") == first
    assert len(Ledger(ledger).read()) == 2
    assert erasing.list() == ([first], None)
    assert erasing.show(first.id.hex) == first


@pytest.mark.parametrize("step", ["appended", "recorded", "destroyed", "searched", "emptied", "certified"])
def test_an_erasure_that_stops_after_any_step_is_completed_by_the_next_start(
    small: Story, ledger: Path, step: str
) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: str) -> None:
        if done == step:
            raise StoppedError

    with erasing_of(small, ledger, after_step=stop) as erasing, pytest.raises(StoppedError):
        erasing.erase(ada(small), WHY, by="cli")
    with erasing_of(small, ledger) as erasing:
        state = erasing.check()
        assert (state.database_lacks, state.open) == (
            {"appended": 1}.get(step, 0),
            step not in {"appended", "certified"},
        )
        assert state.keys_lack == (step in {"appended", "recorded"})
        assert erasing.apply() == (step != "certified")
        [done], _ = erasing.list()
        assert done.step == "certified"
        assert erasing.check()._replace(entries=0) == (0, False, 0, 0, 0, 0)
        assert erasing.apply() == 0
    assert found_in(small.dsn) == []
    assert not any(CANARY in one for one in readable(small))
    assert [one.entry.kind for one in Ledger(ledger).read()] == ["erasure", "certificate"]


def test_what_was_on_its_way_when_its_person_was_erased_is_erased_too(small: Story, ledger: Path) -> None:
    """Somebody asked for the generations before they were raised, and appends only now: with identifiers of before,
    in a set that nobody knew."""
    late = small.seal([event(30, data={"who": who(ADA, "+442071234567")})], START)

    def append(done: str) -> None:
        if done == "emptied" and late:
            small.log.append(late)
            late.clear()
            small.project()

    with erasing_of(small, ledger, after_step=append) as erasing:
        done = erasing.erase(ada(small), WHY, by="cli")
    assert done.certificate is not None
    assert (done.certificate["events"], done.certificate["evidences"]) == (5, 3)
    assert [one.entry.kind for one in Ledger(ledger).read()] == ["erasure", "addition", "certificate"]
    assert found_in(small.dsn) == []
    assert not any(CANARY in one for one in readable(small))


def test_what_comes_to_be_known_after_the_certificate_is_erased_by_the_next_start(
    small: Story, erasing: Erasing
) -> None:
    late = small.seal([event(30, data={"who": who(ADA, "+442071234567")})], START)
    erasing.erase(ada(small), WHY, by="cli")
    small.log.append(late)
    small.project()
    assert found_in(small.dsn) != []
    assert erasing.apply() == 1
    assert found_in(small.dsn) == []
    [done], _ = erasing.list()
    assert done.certificate is not None
    assert done.certificate["evidences"] == 3, "a new certificate tells of it"


def test_an_erasure_waits_for_the_read_models(
    small: Story, erasing: Erasing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commands.erasing._PATIENCE", 0.1)
    small.publish(event(30))
    with pytest.raises(NotYet, match="try again"):
        erasing.erase(ada(small), WHY, by="cli")
    assert found_in(small.dsn) != []


def test_a_shared_identifier_goes_on_as_it_was(small: Story, erasing: Erasing) -> None:
    office = "+442079460000"
    small.publish(*[event(40 + n, data={"who": who(f"#{100 + n}", office)}) for n in range(5)])
    small.project()
    assert small.rows("SELECT shared FROM identity.nodes WHERE node = %s", node_of(small, office)) == [(True,)]
    erasing.erase(node_of(small, "#100"), WHY, by="cli")
    small.publish(event(50, data={"who": who("#101", office), "content": {"subject": "as ever"}}))
    small.publish(event(51, data={"who": who("#100", office), "content": {"subject": "someone new"}}))
    small.project()
    assert small.rows("SELECT count(*) FROM identity.nodes WHERE node = %s", node_of(small, office, 1)) == [(0,)]
    assert customer_of(small, "#100", 1) is not None


def test_who_is_nothing_but_a_shared_identifier_can_be_erased_and_come_back(small: Story, erasing: Erasing) -> None:
    office = "+442079460000"
    small.publish(*[event(40 + n, data={"who": who(f"#{100 + n}", office)}) for n in range(5)])
    small.publish(event(50, data={"who": who(office)}))
    small.project()
    erasing.erase(node_of(small, office), WHY, by="cli")
    small.publish(event(51, data={"who": who(office)}))
    small.project()
    assert customer_of(small, office, 1) is not None


def test_events_of_others_that_say_an_erased_identifier_are_told(small: Story, erasing: Erasing) -> None:
    """Ada's address once stood beside Bob's number: by the limit of one number that link is disputed."""
    small.publish(event(40, data={"who": who(ADA, "#18"), "content": {"subject": "whose?"}}))
    small.project()
    assert customer_of(small, ADA) == ada(small)
    done = erasing.erase(ada(small), WHY, by="cli")
    assert done.certificate is not None
    assert done.certificate["elsewhere"]["count"] == 1


def test_erased_people_leave_every_build_of_the_directory(small: Story, erasing: Erasing) -> None:
    with psycopg.connect(small.dsn, autocommit=True) as connection:
        for model in ("directory", "timeline", "identity", "customers"):
            for suffix in ("_next", "_previous"):
                connection.execute(f"CREATE SCHEMA {model}{suffix}")
                tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [model])
                for (table,) in tables.fetchall():
                    copy = f"{model}{suffix}.{table}"
                    connection.execute(f"CREATE TABLE {copy} (LIKE {model}.{table} INCLUDING ALL)")
                    connection.execute(f"INSERT INTO {copy} SELECT * FROM {model}.{table}")
    assert len(found_in(small.dsn)) == 12
    erasing.erase(ada(small), WHY, by="cli")
    assert found_in(small.dsn) == []
    assert found_in(small.dsn, BOB) == sorted(
        f"directory{suffix}.{table}" for suffix in ("", "_next", "_previous") for table in ("identifiers", "terms")
    )


def test_nothing_of_an_erased_person_comes_into_the_directory_again_while_a_reader_still_has_the_key(
    small: Story, erasing: Erasing
) -> None:
    """A projector's reader keeps keys for a minute: what it opens with one that is gone must not get in."""
    profile = {"who": who(ADA, "#17"), "content": {"name": f"Ada {CANARY}"}}
    first, late = [small.seal([event(n, type="profile.updated", data=profile)], START) for n in (31, 32)]
    runner = small.runner()
    try:
        small.log.append(first)
        runner.run_to(small.log.ends())
        erasing.erase(ada(small), WHY, by="cli")
        small.log.append(late)
        runner.run_to(small.log.ends())
    finally:
        runner.close()
    assert small.rows("SELECT count(*) FROM timeline.events") == [(9,)]
    assert small.parked == []
    assert found_in(small.dsn) == []


def test_who_publishes_while_her_customer_is_erased_is_never_refused(small: Story, erasing: Erasing) -> None:
    """Whatever the moment: it is either of before, and unreadable, or of someone new."""
    stop, troubles = threading.Event(), list[BaseException]()
    numbers = itertools.count(1000)

    def publish() -> None:
        n = next(numbers)
        small.publish(event(n, data={"who": who(ADA, "#17", f"n{n}@example.org")}), event(-n, data=BOTH))
        time.sleep(0.01)

    runner = small.runner()

    def again(work: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as trouble:
            troubles.append(trouble)

    works = [publish, publish, publish, lambda: runner.run_to(small.log.ends())]
    threads = [threading.Thread(target=again, args=(work,)) for work in works]
    for one in threads:
        one.start()
    done = erasing.erase(ada(small), WHY, by="cli")
    stop.set()
    for one in threads:
        one.join()
    assert troubles == []
    runner.run_to(small.log.ends())
    runner.close()
    erasing.apply()
    assert erasing.show(done.id.hex).step == "certified"
    left = small.rows(
        "SELECT evidence FROM storyline.erased_nodes JOIN identity.members USING (node)"
        " LEFT JOIN storyline.erased USING (evidence) WHERE erased.evidence IS NULL"
    )
    assert left == []
    gone = [row[0].hex for row in small.rows("SELECT evidence FROM storyline.erased")]
    assert set(small.keyring.keys(gone).values()) == {None}


def test_what_cannot_be_erased_is_told(small: Story, erasing: Erasing, ledger: Path) -> None:
    for node in ("0" * 32, "no id at all", f"{CANARY}"):
        with pytest.raises(NotFound) as told:
            erasing.erase(node, WHY, by="cli")
        assert CANARY not in told.value.detail
    for why in ("", " ", "x" * 501, "two\nlines"):
        with pytest.raises(BadInput, match="why"):
            erasing.erase(ada(small), why, by="cli")
    with pytest.raises(NotFound):
        erasing.show("0" * 32)
    assert not ledger.exists()


def test_an_erased_key_is_never_made_anew(small: Story, erasing: Erasing) -> None:
    [(evidence, *_), *_] = small.rows("SELECT evidence FROM identity.evidences WHERE customer = %s", ada(small))
    erasing.erase(ada(small), WHY, by="cli")
    with pytest.raises(Erased):
        small.keyring.make([evidence.hex])
