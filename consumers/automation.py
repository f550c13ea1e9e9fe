"""Automation: does what the rules of the configuration say, for as long as it is let.

Three things go on beside each other: the log is followed (`following.py`), runs are carried out (`carrying.py`), and
webhooks are delivered (`delivering.py`). Each leaves what it found in Postgres, so each may die at any time, and any
number of processes share all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from consumers.carrying import Carrier
from consumers.delivering import Deliverer
from consumers.following import Follower

__all__ = ["Automation"]

_logger = structlog.get_logger("storyline.automation")


@dataclass
class Automation:
    """One process of automation. `run` blocks until `stop` is set; raises what ends the following of the log."""

    follower: Follower
    carrier: Carrier
    deliverers: Sequence[Deliverer]
    _threads: list[threading.Thread] = field(init=False, default_factory=list)

    @property
    def ready(self) -> bool:
        """Whether it follows the log, and all that goes on beside it still does."""
        return self.follower.ready and all(thread.is_alive() for thread in self._threads)

    def shown(self) -> Mapping[str, Any]:
        """For `/readyz`: the partitions that it follows."""
        return {"partitions": self.follower.held}

    def run(self, stop: threading.Event) -> None:
        """Go on until `stop` is set."""
        works: list[tuple[str, Callable[[threading.Event], None]]] = [("carrier", self.carrier.run)]
        works += [(f"deliverer-{number}", one.run) for number, one in enumerate(self.deliverers)]
        end = threading.Event()
        self._threads = [
            threading.Thread(target=_guarded, args=[work, end, stop], name=name, daemon=True) for name, work in works
        ]
        for thread in self._threads:
            thread.start()
        try:
            self.follower.run(stop)
        finally:
            end.set()
            for thread in self._threads:
                thread.join(30)


def _guarded(work: Callable[[threading.Event], None], end: threading.Event, stop: threading.Event) -> None:
    """Work until `end`; a fault of ours stops the process, so that whoever supervises it starts another."""
    try:
        work(end)
    except Exception:
        _logger.exception("automation.fault")
        stop.set()
        raise
