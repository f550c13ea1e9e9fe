"""Is each rule done once for each event, whoever dies while he does it? Two processes, killed again and again."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.support.automating import automated, survey
from tests.support.automations import Automations, killed_rules
from tests.support.receiver import receiving
from tests.support.waiting import eventually

EVENTS = 40
CHANCE = 0.15


@pytest.mark.timeout(240)
def test_two_processes_that_die_again_and_again_do_each_thing_once(database: str) -> None:
    master = os.urandom(32)
    with receiving() as receiver, automated(database, killed_rules(receiver.url), master=master) as work:
        work.stop.set()  # only the processes follow the log from here on
        with Automations(database, receiver.url, master) as processes:
            work.publish(*[survey("killed", f"killed-{number}") for number in range(EVENTS)])

            def over() -> bool:
                processes.keep(2, CHANCE if processes.started < 16 else 0.0)
                while work.relay.step():
                    pass
                work.runner.run_to(work.story.log.ends())
                [(runs,)] = work.story.rows("SELECT count(*) FROM storyline.automation_runs WHERE state = 'done'")
                [(sent,)] = work.story.rows("SELECT count(*) FROM storyline.deliveries WHERE state = 'delivered'")
                return bool(runs == sent == EVENTS)

            eventually(over, 200)
        while work.relay.step():
            pass
        work.runner.run_to(work.story.log.ends())
        assert processes.started > 8, "hardly anybody died"
        assert len(work.heads("task.created", "automation:all")) == EVENTS
        assert len(work.heads("user.notified", "automation:all")) == EVENTS
        assert len(set(receiver.ids())) == EVENTS
        parts = Counter(head.tokens for head in work.heads("task.created"))
        assert set(parts.values()) == {1}, "each customer has one"
        assert work.story.rows("SELECT count(*) FROM storyline.dead_letters") == [(0,)]
        assert work.story.parked == []
