"""How does a test have touchpoints enriched? On a story's database, in a thread, or in processes that die."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from consumers.enrichment import Enricher
from eventlog.opening import open_log
from eventlog.record import Head, decode
from eventlog.sealing import open_record
from projections.runner import Runner
from tests.support.story import Story, story
from tests.support.waiting import eventually

__all__ = ["MASTER", "Enriching", "enricher_of", "enriching", "survey"]

MASTER = bytes(range(32))
"""The same at each start on a database."""


def survey(number: int, comment: str, **changes: Any) -> dict[str, Any]:
    """Ann answers a survey."""
    data = {
        "who": [{"kind": "email", "value": "ann@example.org"}],
        "content": {"survey": "spring", "score": 3, "comment": comment},
    }
    return {
        "specversion": "1.0",
        "source": "test/survey",
        "id": f"s-{number}",
        "type": "survey.answered",
        "time": f"2026-03-01T09:{number // 60 % 60:02}:{number % 60:02}Z",
        "data": {**data, **changes.pop("data", {})},
        **changes,
    }


def enricher_of(small: Story, log: Any, **changes: Any) -> Enricher:
    """An enricher of a story, on a log of its own."""
    return Enricher(
        small.dsn, log, small.publisher, small.keyring, small.hasher, CollectorRegistry(), lease=5, **changes
    )  # fmt: skip


@dataclass
class Enriching:
    """A story whose touchpoints are enriched."""

    story: Story
    enricher: Enricher
    runner: Runner
    stop: threading.Event = field(default_factory=threading.Event)
    seen: dict[int, int] = field(default_factory=dict)

    def publish(self, *raw: dict[str, Any]) -> None:
        self.story.publish(*raw)

    def settle(self) -> None:
        """All that there is to derive of what is on the log was derived, and is visible."""

        eventually(lambda: self.project() == self.positions() == self.story.log.ends(), 60)

    def project(self) -> dict[int, int]:
        """Make visible what is on the log; gives where it ended."""
        ends = self.story.log.ends()
        if ends != self.seen:
            self.runner.run_to(ends)
            self.seen = ends
        return ends

    def positions(self) -> dict[int, int]:
        query = "SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = %s"
        return dict(self.story.rows(query, self.enricher.share.consumer))

    def heads(self) -> list[Head]:
        """Of all enrichments on the timeline, in the order in which they count."""
        query = "SELECT record FROM timeline.events WHERE type = 'touchpoint.enriched' ORDER BY happened_at, name"
        return [decode(bytes(row[0])).head for row in self.story.rows(query)]

    def told(self) -> list[dict[str, Any]]:
        """What they say."""
        return [head.public for head in self.heads()]

    def sentiments(self) -> list[float | None]:
        return [float(one["sentiment"]) if "sentiment" in one else None for one in self.told()]

    def who(self) -> list[Any]:
        """Whom they are about, opened."""
        query = "SELECT record FROM timeline.events WHERE type = 'touchpoint.enriched' ORDER BY happened_at, name"
        records = [decode(bytes(row[0])) for row in self.story.rows(query)]
        opened = [open_record(one, self.story.keyring.keys({one.head.key})) for one in records]
        return [None if one is None else one.who for one in opened]

    def copies(self) -> int:
        """How many records of enrichments are on the log, repeats included."""
        cursor = dict.fromkeys(range(self.story.log.partitions), 0)
        ends, found = self.story.log.ends(), 0
        while any(cursor[part] < end for part, end in ends.items()):
            for one in self.story.log.read(cursor, 1000, 1.0):
                cursor[one.partition] = one.offset + 1
                found += decode(one.value).head.type == "touchpoint.enriched"
        return found

    def passed(self, why: str) -> float:
        return self.enricher.registry.get_sample_value("storyline_enrichment_passed_total", {"why": why}) or 0


@contextmanager
def enriching(dsn: str, score: Callable[[str], float] | None = None, **changes: Any) -> Iterator[Enriching]:
    """A system with two partitions whose touchpoints are enriched in a thread."""
    more = {} if score is None else {"score": score}
    with story(dsn, f"{dsn}&partitions=2", master=MASTER) as small:
        log = open_log(small.log_url)
        made = Enriching(small, enricher_of(small, log, **more, **changes), small.runner())
        thread = threading.Thread(target=made.enricher.run, args=[made.stop])
        thread.start()
        try:
            yield made
        finally:
            made.stop.set()
            thread.join(30)
            made.runner.close()
            log.close()
