"""What if the event store was restored to an earlier point? The log is ahead of it: refused, until it is mended."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from domain.errors import LogDamaged
from domain.identifiers import Identifier
from domain.task import Task
from eventlog.store import WorkStore
from tests.support.relaying import doubled, mended, native, order_of, relay_of, relayed, status
from tests.support.story import START, Story, note, story
from tests.support.working import new_task, store_of


@pytest.fixture
def small(database: str, any_log_url: str) -> Iterator[Story]:
    """On each of the two logs."""
    url = f"{any_log_url}&partitions=4" if any_log_url == database else any_log_url
    with story(database, url) as made:
        yield made


@pytest.fixture
def store(small: Story) -> Iterator[WorkStore]:
    with store_of(small) as made:
        yield made


def restore(small: Story, notification: int) -> None:
    """The store and the relay's row as they were after this notification."""
    with psycopg.connect(small.dsn) as connection:
        connection.execute("DELETE FROM eventstore.events WHERE notification_id > %s", [notification])
        connection.execute("DELETE FROM storyline.relayed WHERE notification > %s", [notification])
        connection.execute("UPDATE storyline.relay SET notification = %s, ends = '{}'", [notification])
        connection.execute("SELECT setval('eventstore.events_notification_id_seq', %s)", [notification])


def test_a_store_restored_to_an_earlier_point_is_refused_and_mended(small: Story, store: WorkStore) -> None:
    tasks = [new_task(who=(Identifier("email", f"p{number}@example.org"),), steps=3) for number in range(4)]
    for task in tasks:
        store.save(task)
    small.publish(note(1, "between"))
    point = store.last()
    for task in tasks:
        task.finish(at=START, actor="user:anna")
    late = new_task("late", steps=120)
    store.save(*tasks, late)
    relayed(small)
    before = {task.id: store.records(task.id) for task in (*tasks, late)}
    restore(small, point)
    assert store.get(Task, tasks[0].id).state.status == "open"
    with relay_of(small) as relay, pytest.raises(LogDamaged, match="125 events"):
        relay.take()
    assert mended(small, dry_run=True).put_back == 125
    with relay_of(small) as relay, pytest.raises(LogDamaged):
        relay.take()
    found = mended(small)
    assert (found.put_back, found.set_aside, found.holes) == (125, (), ())
    assert mended(small).put_back == 0
    for task in (*tasks, late):
        assert [one[:-29] for one in store.records(task.id)] == [one[:-29] for one in before[task.id]]
        assert store.get(Task, task.id).state == task.state
    assert store.last() > point
    number = len(native(small))
    late.finish(at=START, actor=None)
    store.save(late)
    relayed(small)
    assert (len(native(small)), doubled(native(small))) == (number + 1, 0)
    assert status(small).lag == 0


def test_what_was_put_back_is_not_relayed_again_where_the_relays_own_row_was_not_restored(
    small: Story, store: WorkStore
) -> None:
    task = new_task(steps=9)
    store.save(task)
    relayed(small)
    with psycopg.connect(small.dsn) as connection:
        connection.execute("DELETE FROM eventstore.events WHERE originator_version > 5")
    assert mended(small).put_back == 5
    assert relayed(small) == 5
    assert order_of(native(small)) == {task.id.hex: list(range(1, 11))}
    assert status(small).lag == 0


def test_where_a_restored_store_went_on_the_log_stands_and_its_own_is_set_aside(
    small: Story, store: WorkStore
) -> None:
    kept, moved, other = (new_task(name) for name in ("kept", "moved", "other"))
    store.save(kept, moved, other)
    point = store.last()
    moved.finish(at=START, actor="user:anna")
    store.save(moved)
    relayed(small)
    restore(small, point)
    again = store.get(Task, moved.id)
    again.change({"title": "otherwise"}, at=START, actor=None)
    again.change({"title": "and on"}, at=START, actor=None)
    kept.change({"title": "still mine"}, at=START, actor=None)
    store.save(again, kept)
    with relay_of(small) as relay, pytest.raises(LogDamaged):
        relay.take()
    found = mended(small)
    assert [(one.id, one.version, one.type) for one in found.set_aside] == [
        (moved.id, 2, "task.changed"), (moved.id, 3, "task.changed"),
    ]  # fmt: skip
    assert found.put_back == 1
    assert store.get(Task, moved.id).state.status == "done"
    assert store.get(Task, kept.id).state.title == "still mine"
    assert status(small).set_aside == 2
    relayed(small)
    assert order_of(native(small)) == {kept.id.hex: [1, 2], moved.id.hex: [1, 2], other.id.hex: [1]}
