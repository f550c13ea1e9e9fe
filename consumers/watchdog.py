"""What if a projector neither moves nor says why? It is interrupted, so that it rejoins.

Lag without movement has causes that raise nothing: a client library that waits for ever, a broker that answers with
nothing, a lock that nobody lets go of. The watchdog needs to know none of them. From time to time it also looks
whether the log still holds what was applied last, since a topic that was made anew may give no error at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from domain.errors import LogDamaged, Unavailable
from eventlog.port import Log
from projections.anchors import Anchor, check_anchors

__all__ = ["Watchdog"]

_logger = structlog.get_logger("storyline.watchdog")


class Watchdog:
    """A thread beside a projector.

    log: its `read` is the watchdog's alone. cursor, anchors: copies of the worker's. interrupt: makes the worker
    raise; give_up: called when that did not help. stall: seconds of lag without movement that are too long. look:
    seconds between two looks at the anchors.
    """

    def __init__(
        self,
        log: Log,
        cursor: Callable[[], dict[int, int]],
        anchors: Callable[[], dict[int, Anchor]],
        interrupt: Callable[[], None],
        give_up: Callable[[], None],
        *,
        stall: float,
        look: float = 30.0,
        every: float = 2.0,
    ) -> None:
        self._log, self._cursor, self._anchors, self._interrupt = log, cursor, anchors, interrupt
        self._give_up = give_up
        self._stall, self._look, self._every = stall, look, min(every, stall / 4)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._moved_at = self._looked_at = time.monotonic()
        self._seen: dict[int, int] = {}
        self.lag: dict[int, int] = {}
        self.damage: LogDamaged | None = None
        self._stalls = 0

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._end.wait(self._every):
            try:
                self._measure()
                if time.monotonic() - self._looked_at > self._look:
                    self._looked_at = time.monotonic()
                    check_anchors(self._log, self._anchors())
            except Unavailable:
                pass  # the worker meets it too, and says so
            except LogDamaged as damage:
                self.damage = damage
                self._interrupt()
                return
            except Exception as error:
                _logger.warning("watchdog.trouble", kind=type(error).__name__)  # and look again

    def _measure(self) -> None:
        ends, cursor, now = self._log.ends(), self._cursor(), time.monotonic()
        self.lag = {partition: max(0, ends.get(partition, 0) - offset) for partition, offset in cursor.items()}
        if cursor != self._seen or not any(self.lag.values()):
            self._seen, self._moved_at = cursor, now
        elif now - self._moved_at > self._stall:
            self._stalls += 1
            self._moved_at = now
            _logger.error("watchdog.stalled", lag=sum(self.lag.values()), seconds=self._stall, times=self._stalls)
            if self._stalls > 1:
                self._give_up()  # to interrupt did not help
            else:
                self._interrupt()
