"""Is each touchpoint enriched once, whoever dies while he does it? Two enrichers, killed again and again."""

from __future__ import annotations

import pytest

from tests.support.enrichers import Enrichers
from tests.support.enriching import enriching, survey
from tests.support.waiting import eventually

TOUCHPOINTS = 40
CHANCE = 0.3


@pytest.mark.timeout(240)
def test_two_enrichers_that_die_again_and_again_enrich_each_touchpoint_once(database: str) -> None:
    with enriching(database) as work, Enrichers(database) as processes:
        work.stop.set()  # only the processes follow the log from here on
        eventually(lambda: not work.enricher.ready, 30)
        for number in range(0, TOUCHPOINTS, 4):
            whose = [[{"kind": "email", "value": f"{one}@example.org"}] for one in range(number, number + 4)]
            work.publish(*[survey(number + place, "I love it", data={"who": who}) for place, who in enumerate(whose)])

        def over() -> bool:
            processes.keep(2, CHANCE if processes.started < 12 else 0.0)
            return work.project() == work.positions() == work.story.log.ends()

        eventually(over, 200)
        assert processes.started > 6, "hardly anybody died"
        targets = [head.about[0].name for head in work.heads()]
        assert len(targets) == len(set(targets)) == TOUCHPOINTS
        assert work.story.rows("SELECT count(*) FROM storyline.dead_letters") == [(0,)]
        assert work.story.parked == [], "no name clashes: whoever tried again said the same"
