"""Whatever happens to a deployment, one thing after the other: do its read models hold what a plain model tells?

Events, late ones, rulings and what takes them back, erasures, crashes in the middle of a batch, rebuilds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from eventlog.port import Logged
from projections.rebuild import Rebuild
from tests.support.erasing import erasing_of
from tests.support.histories import one_event
from tests.support.plain import Published, held, tell
from tests.support.postgres import PostgresServer
from tests.support.stage import DEFAULTS
from tests.support.story import START, Story, story

# A connection pool's own thread asks `random` for its jitter, now and then while a strategy draws.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

_CHANCE = st.randoms(use_true_random=False)
_EVENTS = ["email.received", "purchase.made", "profile.updated", "organisation.described", "consent.given"]
_MASTER = bytes(range(32))
_SAYING = ["identity.merged", "identity.split", "event.retracted", "event.amended"]


class _CrashError(Exception):
    """The projector was killed."""


class Customers(RuleBasedStateMachine):
    """One deployment. `postgres`, `template`, `folder` are set by the test."""

    postgres: ClassVar[PostgresServer]
    template: ClassVar[str]
    folder: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.name = self.postgres.create_database(self.template)
        dsn = self.postgres.dsn_of(self.name)
        self._story = story(dsn, f"{dsn}&partitions=2", master=_MASTER)
        self.small: Story = self._story.__enter__()
        self.runner = self.small.runner(partitions=2)
        self.published: list[Published] = []
        self.made: list[dict[str, Any]] = []
        self.rebuilt = self.erased = 0
        self._begin()

    def teardown(self) -> None:
        self.runner.close()
        self._story.__exit__(None, None, None)
        self.postgres.drop_database(self.name)

    def _begin(self) -> None:
        self.runner.take()
        self.decoder = self.small.decoder()

    def _publish(self, raw: dict[str, Any], minute: int) -> None:
        [entry] = self.small.seal([raw], START + timedelta(minutes=minute))
        self.small.log.append([entry])
        self.published.append(Published(raw, entry.value))
        self.made.append(raw)

    @rule(pick=_CHANCE, minute=st.sampled_from([3, 60, 61]))
    def publish(self, pick: Random, minute: int) -> None:
        """Some events; those that happened late come whenever they come."""
        for _ in range(pick.randrange(1, 4)):
            self._publish(one_event(pick, len(self.made), 30, _EVENTS), minute)

    @precondition(lambda self: self.made)
    @rule(pick=_CHANCE, type_=st.sampled_from(_SAYING))
    def say_of_what_is_there(self, pick: Random, type_: str) -> None:
        """A ruling, or a correction of what was published (a ruling or a correction, too)."""
        self._publish(one_event(pick, len(self.made), len(self.made), [type_]), 62)

    @precondition(lambda self: self.made)
    @rule(pick=_CHANCE)
    def publish_again(self, pick: Random) -> None:
        """The same event, recorded anew."""
        self._publish(pick.choice(self.made), 70)
        self.made.pop()

    @rule(crash=st.booleans())
    def project(self, crash: bool) -> None:
        """Apply what is new; with `crash` the projector dies in the middle of it, and another takes its place."""
        if crash:
            self._crash()
        self._catch_up()
        self._agrees()

    def _crash(self) -> None:
        def die(*parked: object) -> None:
            raise _CrashError

        self.runner.close()
        dying = self.small.runner(partitions=2, park=die)
        dying.take()
        read = self._unread(dying.cursor)
        poison = Logged(
            0, max([one.offset for one in read if one.partition == 0], default=dying.cursor[0]) + 1, b"", b"?"
        )
        with pytest.raises(_CrashError):
            dying.apply(self.decoder.batch(0, dying.cursor, [*read, poison]))
        dying.close()
        self.runner = self.small.runner(partitions=2)
        self._begin()

    def _unread(self, cursor: dict[int, int]) -> list[Logged]:
        return list(self.small.log.read(cursor, 1000, 0))

    def _catch_up(self) -> None:
        while read := self._unread(self.runner.cursor):
            applied = self.runner.apply(self.decoder.batch(0, self.runner.cursor, read[:7]))
            if applied.afresh:
                self.decoder = self.small.decoder()

    def _agrees(self) -> None:
        gone = {row[0].hex for row in self.small.rows("SELECT evidence FROM storyline.erased")}
        expected, found = tell(self.published, DEFAULTS, gone), held(self.small)
        # Somebody whom only a repeat named, under tokens of later, is nobody.
        found["people"] = {row for row in found["people"] if row[2] or row in expected["people"]}
        found["homes"] = {row for row in found["homes"] if row[2] or row in expected["homes"]}
        assert {what: found[what] ^ expected[what] for what in expected if found[what] != expected[what]} == {}

    @precondition(lambda self: self.made and not self.rebuilt)
    @rule()
    def rebuild(self) -> None:
        """From the log, and the rows are the same."""
        self._catch_up()
        small = self.small
        park = self.runner.park
        assert Rebuild(small.dsn, small.log_url, small.log, park, small.reading).run().same is True
        self.rebuilt += 1
        self._begin()
        self._agrees()

    @precondition(lambda self: self.made and self.erased < 2)
    @rule(pick=_CHANCE)
    def erase(self, pick: Random) -> None:
        """One customer, for good; whoever comes back is somebody new."""
        self._catch_up()
        customers = [row[0] for row in self.small.rows("SELECT DISTINCT customer FROM identity.nodes ORDER BY 1")]
        if customers:
            with erasing_of(self.small, self.folder / self.name) as erasing:
                erasing.erase(pick.choice(customers).hex, "asked for it", by="test")
            self.erased += 1
            self.small.sealer._subjects.clear()  # as another process, a minute later
            self._agrees()


@pytest.fixture
def machine(postgres: PostgresServer, tmp_path: Path) -> Iterator[type[Customers]]:
    template = postgres.create_database()
    dsn = postgres.dsn_of(template)
    with story(dsn, f"{dsn}&partitions=2", master=_MASTER):
        pass
    Customers.postgres, Customers.template, Customers.folder = postgres, template, tmp_path
    yield Customers
    postgres.drop_database(template)


def test_whatever_happens_the_read_models_hold_what_the_plain_model_tells(machine: type[Customers]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=3,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
