"""Who publishes straight to Kafka? A plain producer, in every mode of the CloudEvents binding."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.chaos.ledger import Ledger
from bench.chaos.writers import Gate, Made, Maker

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka import KafkaProducer
    from kafka.errors import KafkaError

__all__ = ["InboxWriter"]

_STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
_BATCH = [("content-type", b"application/cloudevents-batch+json")]


class _Message(NamedTuple):
    made: list[Made]
    headers: list[tuple[str, bytes]]
    value: bytes


@dataclass
class InboxWriter:
    """One channel on one inbox topic."""

    name: str
    bootstrap: str
    topic: str
    ledger: Ledger
    gate: Gate
    rng: random.Random

    def __post_init__(self) -> None:
        self.idle = True
        self._maker = Maker(self.name, self.rng, self.ledger)
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(60)

    def _run(self) -> None:
        producer: Any = None
        while True:
            self.idle = True
            if not self.gate.passed():
                break
            self.idle = False
            try:
                producer = producer or self._connect()
                self._send(producer, [self._message() for _ in range(self.rng.randrange(1, 8))])
            except (KafkaError, ValueError, AssertionError) as error:
                self.ledger.answered(type(error).__name__)
                _close(producer)
                producer = None
            time.sleep(self.rng.uniform(0.03, 0.15))
        _close(producer)

    def _connect(self) -> Any:
        return KafkaProducer(
            bootstrap_servers=self.bootstrap.split(","),
            acks="all",
            max_block_ms=5000,
            request_timeout_ms=5000,
            delivery_timeout_ms=15_000,
            bootstrap_timeout_ms=5000,
            reconnect_backoff_max_ms=500,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )

    def _message(self) -> _Message:
        chance = self.rng.random()
        if chance < 0.05:
            made = [self._maker.bad()]
            return _Message(made, _STRUCTURED, json.dumps(made[0].raw).encode())
        if chance < 0.25:
            made = [self._maker.good() for _ in range(self.rng.randrange(2, 8))]
            return _Message(made, _BATCH, json.dumps([one.raw for one in made]).encode())
        made = [self._maker.good()]
        raw = made[0].raw
        if chance < 0.5:
            headers = [(f"ce_{name}", value.encode()) for name, value in raw.items() if name != "data"]
            return _Message(made, [*headers, ("content-type", b"application/json")], json.dumps(raw["data"]).encode())
        return _Message(made, _STRUCTURED, json.dumps(raw).encode())

    def _send(self, producer: Any, messages: list[_Message]) -> None:
        """Send some, and note which of them the topic is said to hold; the others stay unclear."""
        waiting = []
        for message in messages:
            key = message.made[0].sent.person.encode()
            waiting.append((message, producer.send(self.topic, message.value, key=key, headers=message.headers)))
        until = time.monotonic() + 20
        for message, future in waiting:
            try:
                found = future.get(max(0.01, until - time.monotonic()))
            except KafkaError as error:
                self.ledger.answered(type(error).__name__)
                continue
            self.ledger.delivered([one.sent.mark for one in message.made], (found.partition, found.offset))
            self.ledger.answered("delivered")


def _close(producer: Any) -> None:
    """Let go of a producer; its own `close` gives up half-way where records are still under way."""
    if producer is None:
        return
    with contextlib.suppress(KafkaError, ValueError, AssertionError):
        producer.close(timeout=1)
    if not producer._closed:
        producer._sender.force_close()
        producer._closed = True
