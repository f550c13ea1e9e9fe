"""Who publishes while things break? Threads that send through HTTP, and write down every answer.

What has no answer is sent again, under the same name, until there is one; now and then an event is sent again though
it was answered, one is sent that must be refused, or one that takes the name of another.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx

from bench.chaos.ledger import Ledger, Place, Sent

__all__ = ["Gate", "HttpWriter", "Made", "Maker"]

_START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
_BATCH = {"Content-Type": "application/cloudevents-batch+json"}
_PATIENCE = 40.0
_BAD: list[dict[str, Any]] = [{"time": None}, {"type": "chaos.unheard"}, {"source": "elsewhere/mail"}]


class Made(NamedTuple):
    """An event with what the ledger knows of it."""

    sent: Sent
    raw: dict[str, Any]


class Maker:
    """Makes the events of one writer. Each carries its mark in a public field, and a sequence in its time."""

    def __init__(self, name: str, rng: random.Random, ledger: Ledger) -> None:
        self.name, self.rng, self._ledger = name, rng, ledger
        self._count = 0

    def good(self) -> Made:
        """A mail of one of 40 people, every third about one of 60 orders; some in answer to another, some in copy to
        somebody."""
        self._count += 1
        mark, rng = f"{self.name}-{self._count}", self.rng
        person, ref = f"P{rng.randrange(40)}", f"O{rng.randrange(60)}" if rng.random() < 0.35 else None
        who = [{"kind": "customer_no", "value": person}]
        if rng.random() < 0.3:
            who.append({"kind": "device", "value": f"{person}-{rng.randrange(5)}"})
        data: dict[str, Any] = {"who": who, "content": {"subject": f"Number {self._count}", "mailbox": mark}}
        if ref:
            data["refs"] = [{"kind": "order", "value": ref}]
        if rng.random() < 0.1:
            data["about"] = [{"relation": "answers", "source": f"chaos/{self.name}", "id": f"e{self._count - 1}"}]
        if rng.random() < 0.1:
            copied = {"kind": "email", "value": f"copied{rng.randrange(10)}@example.org"}
            data["parties"] = [{"role": "cc", "who": [copied]}]
        raw = {
            "specversion": "1.0",
            "source": f"chaos/{self.name}",
            "id": f"e{self._count}",
            "type": "email.received",
            "time": (_START + timedelta(seconds=self._count)).isoformat(),
            "data": data,
        }
        return self._told(Made(Sent(mark, "good", person, ref), raw))

    def bad(self) -> Made:
        """An event that has to be refused: without a time, of a type or from a source that it may not have."""
        sent, raw = self.good()
        sent.kind = "bad"
        change = self.rng.choice(_BAD)
        changed: dict[str, Any] = {**raw, **change}
        changed = {name: value for name, value in changed.items() if value is not None}
        return Made(sent, changed)

    def clash(self, other: Made) -> Made:
        """Another content under the name of an event that was acknowledged."""
        self._count += 1
        mark = f"{self.name}-{self._count}c"
        content = {"subject": "Something else", "mailbox": mark}
        raw = {**other.raw, "data": {**other.raw["data"], "content": content}}
        return self._told(Made(Sent(mark, "clash", other.sent.person, other.sent.ref), raw))

    def _told(self, made: Made) -> Made:
        self._ledger.add(made.sent)
        return made


class Gate:
    """Lets writers work, or holds them between two requests."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.stop = threading.Event()

    def passed(self) -> bool:
        """Wait until it is open; False when the writer has to end."""
        while not self.stop.is_set():
            if self.open.wait(0.1):
                return not self.stop.is_set()
        return False


@dataclass
class HttpWriter:
    """One channel with one connection. `idle` while it is held at the gate, with nothing under way."""

    name: str
    urls: Sequence[str]
    key: str
    ledger: Ledger
    gate: Gate
    rng: random.Random
    pause: Callable[[random.Random], float] = lambda rng: rng.uniform(0.01, 0.08)

    def __post_init__(self) -> None:
        self.idle = True
        self._maker = Maker(self.name, self.rng, self.ledger)
        self._kept: list[Made] = []
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(_PATIENCE + 20)

    def _run(self) -> None:
        self._client = self._connect()
        while True:
            self.idle = True
            if not self.gate.passed():
                break
            self.idle = False
            self._send(self._next())
            time.sleep(self.pause(self.rng))
        self._client.close()

    def _connect(self) -> httpx.Client:
        return httpx.Client(headers={"Authorization": f"Bearer {self.key}"}, timeout=httpx.Timeout(8.0, connect=2.0))

    def _next(self) -> list[Made]:
        """What to send now: mostly new events, one or a batch."""
        chance = self.rng.random()
        if chance < 0.06 and self._kept:
            return [self.rng.choice(self._kept)]
        if chance < 0.08 and self._kept:
            return [self._maker.clash(self.rng.choice(self._kept))]
        if chance < 0.12:
            return [self._maker.bad()]
        number = 1 if self.rng.random() < 0.5 else self.rng.randrange(2, 25)
        made = [self._maker.good() for _ in range(number)]
        if number > 1 and self.rng.random() < 0.05:
            made.append(self._maker.bad())  # one refused item refuses all
        return made

    def _send(self, made: list[Made]) -> None:
        """Send until there is an answer, or patience ends: then these are unclear, and stay so."""
        body = json.dumps([one.raw for one in made]).encode()
        marks = [one.sent.mark for one in made]
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            began = time.monotonic()
            answer = self._ask(body)
            if answer is not None and answer.status_code == 202:
                places: list[Place] = [(one["partition"], one["offset"]) for one in answer.json()["events"]]
                self.ledger.acknowledge(marks, places, began, time.monotonic())
                self._keep(made)
                return
            if answer is not None and answer.status_code in {400, 403, 413, 415, 422}:
                self.ledger.refuse(marks)
                return
            time.sleep(self.rng.uniform(0.1, 0.4))

    def _ask(self, body: bytes) -> httpx.Response | None:
        url = self.rng.choice(self.urls)
        try:
            answer = self._client.post(f"{url}/v1/events", content=body, headers=_BATCH)
        except (httpx.HTTPError, OSError) as error:
            self.ledger.answered(type(error).__name__)
            return None
        self.ledger.answered(str(answer.status_code))
        return answer

    def _keep(self, made: list[Made]) -> None:
        self._kept += [one for one in made if one.sent.kind == "good"]
        del self._kept[:-200]
