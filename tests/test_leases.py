"""Who works on which partitions? Whatever members do, a partition has one who may write, and each gets a share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from domain.errors import Fenced
from projections.leases import Held, Seat
from projections.positions import Positions
from storyline.database import upgrade

_LOG = "log"
_LEASE = 3600.0


class Member:
    """A member with its two sessions, and what it believes to hold."""

    def __init__(self, dsn: str, partitions: int = 5) -> None:
        self.seat = Seat("live", {_LOG: range(partitions)}, _LEASE)
        name = self.seat.application_name
        self.beating = psycopg.connect(dsn, autocommit=True, application_name=name)
        self.working = psycopg.connect(dsn, autocommit=True, application_name=name)
        self.positions = Positions("live", _LOG)
        self.cursor: dict[int, int] = {}
        self.seat.enter(self.beating)

    def beat(self) -> bool:
        return self.seat.beat(self.beating)

    def settle(self) -> None:
        self.believe(self.seat.settle(self.working))

    def believe(self, held: list[Held]) -> None:
        self.positions.epochs = {one.partition: one.epoch for one in held}
        self.cursor = {one.partition: one.offset for one in held}

    def move(self) -> bool:
        """Move all that it believes to hold by one; gives whether it was let."""
        if not self.cursor:
            return False
        end = {partition: offset + 1 for partition, offset in self.cursor.items()}
        try:
            with self.working.transaction():
                self.positions.move(self.working, self.cursor, end)
        except Fenced:
            return False
        self.cursor = end
        return True

    def die(self) -> None:
        """kill -9: both sessions end."""
        self.beating.close()
        self.working.close()


@pytest.fixture
def dsn(database: str) -> str:
    upgrade(database)
    return database


def _rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def _freeze(dsn: str, member: Member) -> None:
    """As if it had not been seen for longer than a lease."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE storyline.seats SET seen_at = seen_at - interval '2 hours' WHERE member = %s",
            [member.seat.member],
        )


@contextlib.contextmanager
def _members(dsn: str, number: int, partitions: int = 5) -> Iterator[list[Member]]:
    members = [Member(dsn, partitions) for _ in range(number)]
    try:
        yield members
    finally:
        for member in members:
            member.die()


def _settled(members: list[Member]) -> None:
    """Until nobody has anything to settle."""
    for _ in range(4):
        for member in members:
            if member.beat():
                member.settle()


def test_members_share_the_partitions_fairly(dsn: str) -> None:
    with _members(dsn, 3, 8) as members:
        _settled(members)
        held = [sorted(member.cursor) for member in members]
        assert sorted(map(len, held)) == [2, 3, 3]
        assert sorted(part for parts in held for part in parts) == list(range(8))


def test_with_more_members_than_partitions_some_stand_by(dsn: str) -> None:
    with _members(dsn, 4, 2) as members:
        _settled(members)
        assert sorted(len(member.cursor) for member in members) == [0, 0, 1, 1]
        holder = next(member for member in members if member.cursor)
        holder.die()
        _settled([member for member in members if member is not holder])
        assert sorted(len(member.cursor) for member in members if member is not holder) == [0, 1, 1]


def test_what_a_killed_member_held_is_taken_at_once(dsn: str) -> None:
    """No lease is waited for: its session's lock is free."""
    with _members(dsn, 2) as (first, second):
        _settled([first, second])
        first.die()
        assert second.beat()
        second.settle()
        assert sorted(second.cursor) == list(range(5))


def test_a_frozen_member_loses_its_partitions_its_sessions_and_its_word(dsn: str) -> None:
    """Guarantee 2: it wakes up within a transaction, holding rows that its successor needs."""
    with _members(dsn, 2) as (frozen, other):
        _settled([frozen, other])
        frozen.working.execute("BEGIN")
        frozen.working.execute("SELECT * FROM storyline.positions WHERE holder = %s FOR UPDATE", [frozen.seat.member])
        _freeze(dsn, frozen)
        assert other.beat()
        other.settle()
        assert sorted(other.cursor) == list(range(5))
        with pytest.raises(psycopg.OperationalError):
            frozen.working.execute("SELECT 1")
        frozen.working = psycopg.connect(dsn, autocommit=True)
        assert not frozen.move()
        assert other.move()


def test_after_a_fence_a_member_takes_again_what_is_still_its_own(dsn: str) -> None:
    with _members(dsn, 1) as (member,):
        _settled([member])
        with psycopg.connect(dsn, autocommit=True) as connection:
            Positions("live", _LOG).fence(connection)
        assert not member.move()
        member.believe(member.seat.retake(member.working))
        assert member.move()


def test_a_heartbeat_that_broke_off_keeps_the_seat_by_its_next_session(dsn: str) -> None:
    """The session before may live on at the server for a while; it holds the lock, and nobody waits for it."""
    with _members(dsn, 2) as (first, second):
        _settled([first, second])
        before, first.beating = first.beating, psycopg.connect(dsn, autocommit=True)
        first.seat.enter(first.beating)
        assert not second.beat()
        before.close()
        while first.seat._locked_by is not first.beating:
            first.beat()
        assert not second.beat()
        assert first.move()


def test_who_leaves_holds_up_nobody(dsn: str) -> None:
    with _members(dsn, 2) as (first, second):
        _settled([first, second])
        first.seat.leave(first.working)
        assert second.beat()
        second.settle()
        assert sorted(second.cursor) == list(range(5))
        assert _rows(dsn, "SELECT count(*) FROM storyline.seats") == [(1,)]


def test_partitions_of_several_logs_are_shared_as_one(dsn: str) -> None:
    seat = Seat("inbox", {"a": range(3), "b": range(2)}, _LEASE)
    with psycopg.connect(dsn, autocommit=True) as connection:
        seat.enter(connection)
        held = {(one.log_id, one.partition) for one in seat.settle(connection)}
    assert held == {("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)}


class Sharing(RuleBasedStateMachine):
    """Members come, go, die, freeze and wake up in any order, and move what they believe to hold."""

    dsn = ""

    def __init__(self) -> None:
        super().__init__()
        self.members: list[Member] = []
        self.moved = 0

    @initialize()
    def empty(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("TRUNCATE storyline.positions, storyline.seats")

    @precondition(lambda self: len(self.members) < 4)
    @rule()
    def join(self) -> None:
        self.members.append(Member(self.dsn))

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self._one(data, remove=True).die()

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        member = self._one(data, remove=True)
        with contextlib.suppress(psycopg.OperationalError):
            member.seat.leave(member.working)
        member.die()

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def freeze(self, data: st.DataObject) -> None:
        _freeze(self.dsn, self._one(data))

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """Beat and settle, as the threads of a projector do; one whose sessions were ended joins anew."""
        member = self._one(data)
        try:
            if member.beat():
                member.settle()
        except psycopg.OperationalError:
            member.die()
            self.members[self.members.index(member)] = Member(self.dsn)

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        """Whoever is let moves by one from where it believes to stand: none may be left out, none moved twice."""
        member = self._one(data)
        try:
            if member.move():
                self.moved += len(member.cursor)
        except psycopg.OperationalError:
            member.die()
            self.members.remove(member)

    @invariant()
    def each_step_was_made_once(self) -> None:
        [(total,)] = _rows(self.dsn, "SELECT coalesce(sum(next_offset), 0)::int FROM storyline.positions")
        assert total == self.moved

    def teardown(self) -> None:
        """Left alone, the living share all partitions."""
        alive = []
        for member in self.members:
            try:
                member.beat()
                member.working.execute("SELECT 1")
                alive.append(member)
            except psycopg.OperationalError:
                member.die()
        _settled(alive)
        counts = [len(member.cursor) for member in alive]
        for member in alive:
            member.die()
        if alive:
            assert sum(counts) == 5
            assert max(counts) - min(counts) <= 1

    def _one(self, data: st.DataObject, remove: bool = False) -> Member:
        place = data.draw(st.integers(0, len(self.members) - 1))
        return self.members.pop(place) if remove else self.members[place]


def test_whatever_members_do_each_position_moves_once_and_each_has_a_share(dsn: str) -> None:
    """Guarantee 2, for all orders of joining, leaving, dying, freezing and waking up."""
    Sharing.dsn = dsn
    run_state_machine_as_test(
        Sharing,
        settings=settings(
            max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_a_member_on_another_log_takes_no_share_of_ours(dsn: str) -> None:
    """After a move processes with the old LOG_URL run on for a while; half of the new log would be read by nobody."""
    with _members(dsn, 1, 4) as [ours], psycopg.connect(dsn, autocommit=True) as other:
        Seat("live", {"the log before": range(4)}, _LEASE).enter(other)
        _settled([ours])
        assert sorted(ours.cursor) == [0, 1, 2, 3]


def test_members_that_know_more_and_less_leave_nothing_to_nobody(dsn: str) -> None:
    """Two inboxes of which one knows a new channel already: whoever comes first, each partition has a reader."""
    units = ({"a": range(4)}, {"a": range(4), "b": range(4)})
    for order in ((0, 1), (1, 0)):
        with contextlib.ExitStack() as stack:
            members = []
            for place in order:
                connection = stack.enter_context(psycopg.connect(dsn, autocommit=True))
                seat = Seat(f"inbox {order}", units[place], _LEASE)
                seat.enter(connection)
                members.append((seat, connection))
            for _ in range(4):
                held = [seat.settle(connection) for seat, connection in members]
            found = sorted((one.log_id, one.partition) for some in held for one in some)
            assert found == [(log_id, partition) for log_id in "ab" for partition in range(4)]
            assert not any(seat.beat(connection) for seat, connection in members), "and nobody flaps"


def test_a_member_with_a_short_lease_does_not_throw_out_the_others(dsn: str) -> None:
    with _members(dsn, 1, 4) as [patient], psycopg.connect(dsn, autocommit=True) as connection:
        hasty = Seat("live", {_LOG: range(4)}, 0.05)
        hasty.enter(connection)
        time.sleep(0.2)
        hasty.beat(connection)
        assert (patient.seat.member,) in _rows(dsn, "SELECT member FROM storyline.seats")


def test_settling_never_waits_in_a_circle_with_a_rebuild_that_switches(dsn: str) -> None:
    """A rebuild holds all positions from the lowest on; who gives back from the highest on would meet it half way."""
    with _members(dsn, 1, 4) as [first]:
        _settled([first])
        with psycopg.connect(dsn) as switch, _members(dsn, 1, 4) as [second]:
            switch.execute("SELECT FROM storyline.positions WHERE log_partition = 2 FOR UPDATE")
            first.working.execute("SET lock_timeout = '2s'")
            first.settle()
            assert sorted(first.cursor) == [0, 2]
            first.beat()
            switch.rollback()
            _settled([first, second])
            assert sorted([*first.cursor, *second.cursor]) == [0, 1, 2, 3]
