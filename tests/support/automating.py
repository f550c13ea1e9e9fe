"""How does a test have rules carried out? On a story's database: the log is followed in a thread, the rest is done
when the test says so."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry

from commands.acting import Acting
from commands.webhooks import Webhooks
from commands.working import Working
from consumers.calling import Calling
from consumers.carrying import Carrier
from consumers.delivering import Deliverer, sent_counter
from consumers.following import CONSUMER, Follower
from domain.configuration import Configuration, Rule, builtin_configuration
from eventlog.opening import open_log
from eventlog.port import Log
from eventlog.record import decode
from eventlog.relay import Relay
from projections.occasions import Occasions
from projections.runner import Runner
from tests.support.commanding import ANNA, working_of
from tests.support.story import Story, story
from tests.support.waiting import eventually

__all__ = ["SECRET", "Automated", "automated", "rules_of", "survey"]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
_numbers = count()


def rules_of(*rules: dict[str, Any]) -> Configuration:
    """The built-in configuration with these rules."""
    return builtin_configuration().model_copy(update={"automation": [Rule.model_validate(one) for one in rules]})


def survey(code: str, who: str = "ann", score: int = 3, **changes: Any) -> dict[str, Any]:
    """Somebody answers a survey just now."""
    data = {
        "who": [{"kind": "email", "value": f"{who}@example.org"}],
        "content": {"survey": code, "score": score, "comment": "secret words"},
    }
    return {
        "specversion": "1.0",
        "source": "test/survey",
        "id": f"survey-{next(_numbers)}",
        "type": "survey.answered",
        "time": datetime.now(UTC).isoformat(),
        "data": {**data, **changes.pop("data", {})},
        **changes,
    }


@dataclass
class Automated:
    """A story with rules. ahead: how far its clock is ahead of ours. stop: ends the following of the log here."""

    story: Story
    rules: Configuration
    working: Working
    webhooks: Webhooks
    follower: Follower
    carrier: Carrier
    deliverer: Deliverer
    runner: Runner
    relay: Relay
    ahead: timedelta = field(default=timedelta(0))
    stop: threading.Event = field(default_factory=threading.Event)

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def publish(self, *raw: dict[str, Any]) -> None:
        self.story.publish(*raw)

    def settle(self) -> None:
        """All that was done is on the log and in the read models, and the log was followed to its end."""
        while self.relay.step():
            pass
        ends = self.story.log.ends()
        self.runner.run_to(ends)
        eventually(lambda: self.positions() == ends, 30)

    def positions(self) -> dict[int, int]:
        """Up to where the log was followed."""
        query = "SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = %s"
        return dict(self.story.rows(query, CONSUMER))

    def act(self, deliver: bool = True) -> None:
        """Carry out what is due, and what that sets off, to the end."""
        self.settle()
        while self.carrier.exhaust():
            self.settle()
        if deliver:
            self.deliverer.exhaust()

    def runs(self, rule: str) -> list[tuple[str, str | None]]:
        """(state, why) of the runs of a rule."""
        return self.story.rows("SELECT state, why FROM storyline.automation_runs WHERE rule = %s ORDER BY at", rule)

    def heads(self, type_: str, actor: str | None = None) -> list[Any]:
        """Heads of the records of a type, by who acted."""
        rows = self.story.rows("SELECT record FROM timeline.events WHERE type = %s ORDER BY happened_at, name", type_)
        heads = [decode(bytes(record)).head for (record,) in rows]
        return [head for head in heads if actor is None or head.actor == actor]


@contextmanager
def automated(
    dsn: str, rules: Configuration, people: Sequence[str] = ("anna", "bob"), *, follow: bool = True, **more: Any
) -> Iterator[Automated]:
    """A system with these rules, whose log is followed, unless `follow` says no: then nothing runs yet."""
    with story(dsn, f"{dsn}&partitions=2", **more) as small, working_of(small, rules) as working:
        log = open_log(small.log_url)
        made = _made(small, rules, working, log)
        thread = threading.Thread(target=made.follower.run, args=[made.stop])
        try:
            if follow:
                thread.start()
                eventually(lambda: bool(made.follower.held), 30)
                for code in people:
                    working.register_user(code, {"name": code.title()}, actor=ANNA)
                assert made.relay.take()
                made.settle()
            yield made
        finally:
            made.stop.set()
            if follow:
                thread.join(30)
            made.runner.close()
            made.relay.drop()
            log.close()


def _made(small: Story, rules: Configuration, working: Working, log: Log) -> Automated:
    made: Automated
    registry, dsn = CollectorRegistry(), small.dsn

    def clock() -> datetime:
        return made.clock()

    webhooks = Webhooks(working.desk._pool, clock)
    acting = Acting(working, small.publisher, small.keyring, webhooks)
    calling = Calling(LOOPBACK, timeout=2, most=3)
    secrets, sent = {"main": SECRET}, sent_counter(registry)
    made = Automated(
        small,
        rules,
        working,
        webhooks,
        Follower(dsn, log, rules.automation, registry, clock, lease=5),
        Carrier(dsn, rules.automation, acting, registry, clock, chance=Random(6)),
        Deliverer(dsn, webhooks, Occasions(), calling, secrets, sent, clock, Random(6)),
        small.runner(),
        Relay(dsn, small.log, small.hasher, lease=600),
    )
    return made
