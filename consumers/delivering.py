"""How are webhooks delivered? One after the other, until they are taken: signed by Standard Webhooks, sent to an
address that may be called, tried again later and later, and parked when they fail for good.

A redirect is not followed: it would lead past what was checked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Counter
from standardwebhooks.webhooks import Webhook

from commands.webhooks import Sent, Webhooks, body_of
from consumers.calling import Call, Calling, ForbiddenAddressError
from domain.errors import Unavailable
from projections.connecting import claiming
from projections.occasions import Occasions

__all__ = ["PAUSES", "Deliverer", "sent_counter"]

_IDLE: Final = 0.25
_LONGEST_PAUSE: Final = 10.0
PAUSES: Final = (5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800)
"""Seconds before each further try; after the last one it is parked."""
_GONE: Final = 410
_LONG: Final = 1.0
"""Seconds; a refusal that comes sooner holds nobody up."""
_REST: Final = 3.0
"""For how many times as long as it took an address is left alone that did not take one."""
_logger = structlog.get_logger("storyline.webhooks")


@dataclass
class Deliverer:
    """Delivers webhooks until `stop` is set. For one thread; any number of them, in whatever process, share the work.

    secrets: what signs, by its name.
    """

    dsn: str
    webhooks: Webhooks
    occasions: Occasions
    calling: Calling
    secrets: Mapping[str, str]
    sent: Counter
    clock: Callable[[], datetime]
    chance: Random = field(default_factory=Random)
    _resting: dict[str, float] = field(init=False, default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Deliver what is due until `stop` is set, whatever Postgres does."""
        pause = 0.1
        while not stop.is_set():
            try:
                with claiming(self.dsn, "storyline webhooks") as connection:
                    while not stop.is_set():
                        if not self.step(connection):
                            stop.wait(_IDLE)
                        pause = 0.1
            except (psycopg.Error, Unavailable) as error:
                _logger.warning("webhooks.trouble", kind=type(error).__name__)
                stop.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def exhaust(self) -> int:
        """Deliver all that is due now; gives how many were tried. For tests."""
        with claiming(self.dsn, "storyline webhooks") as connection:
            number = 0
            while self.step(connection):
                number += 1
            return number

    def step(self, connection: psycopg.Connection) -> bool:
        """Try one; False if none is due."""
        now = time.monotonic()
        self._resting = {url: until for url, until in self._resting.items() if until > now}
        with connection.transaction():
            sent = self.webhooks.next(connection, self.clock(), self._resting)
            if sent is None:
                return False
            self._try(connection, sent)
        return True

    def _try(self, connection: psycopg.Connection, sent: Sent) -> None:
        secret = self.secrets.get(sent.secret)
        if secret is None:
            self._park(connection, sent, None, "no-secret")
            return
        seen = self.occasions.seen(connection, sent.event)
        if seen is None:  # only while its partition is being repaired
            self._again(connection, sent, None, "not-visible")
            return
        body = body_of(sent.rule, seen.happening, seen.customer)
        begun = time.monotonic()
        try:
            status, after = self.calling.post(self._call(sent, secret, body))
        except ForbiddenAddressError as error:
            self._park(connection, sent, None, error.why)
            return
        except OSError as error:
            self._rest(sent.url, begun)
            self._again(connection, sent, None, type(error).__name__)
            return
        if 200 <= status < 300:
            self.webhooks.settle(connection, sent, "delivered", status, None)
            self.sent.labels("delivered").inc()
        elif status == _GONE:
            self._park(connection, sent, status, "gone")
        else:
            self._rest(sent.url, begun)
            self._again(connection, sent, status, "redirect" if 300 <= status < 400 else "refused", after)

    def _rest(self, url: str, begun: float) -> None:
        """Who lets us wait, and for nothing, is left alone for a while, so that the others are not held up."""
        now = time.monotonic()
        if now - begun > _LONG:
            self._resting[url] = now + _REST * (now - begun)

    def _call(self, sent: Sent, secret: str, body: bytes) -> Call:
        now = self.clock().astimezone(UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Storyline-Webhooks",
            "webhook-id": str(sent.id),
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(secret).sign(str(sent.id), now, body.decode()),
        }
        return Call(sent.url, headers, body)

    def _again(
        self, connection: psycopg.Connection, sent: Sent, status: int | None, why: str, after: float | None = None
    ) -> None:
        """Later, unless it was tried often enough. after: seconds that the receiver asked us to wait."""
        if sent.tries >= len(PAUSES):
            self._park(connection, sent, status, why)
            return
        pause = PAUSES[sent.tries] * (0.8 + 0.4 * self.chance.random())
        pause = max(pause, min(after or 0.0, PAUSES[-1]))
        self.webhooks.again(connection, sent, self.clock() + timedelta(seconds=pause), status, why)
        self.sent.labels("failed").inc()

    def _park(self, connection: psycopg.Connection, sent: Sent, status: int | None, why: str) -> None:
        self.webhooks.settle(connection, sent, "parked", status, why)
        self.sent.labels("parked").inc()
        _logger.error("webhooks.parked", rule=sent.rule, kind=why, status=status or 0)


def sent_counter(registry: CollectorRegistry) -> Counter:
    """Counts tries by what came of them; shared by all deliverers of a process."""
    return Counter("storyline_webhooks_sent", "Tries to deliver, by outcome", ["outcome"], registry=registry)
