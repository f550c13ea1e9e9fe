"""How does a channel publish, and an importer? A small client: batches, retries, in order, in bounded memory.

    with Client("http://localhost:8080", key) as client:
        for receipt in client.publish(events):
            print(receipt.name, receipt.partition, receipt.offset)
        for item in client.timeline(customer): …

A request is sent again with the same bytes after a lost answer, a 429 or a 5xx. That is harmless: an event's name
makes what comes twice a repeat.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx
import msgspec

from domain.errors import (
    BadInput,
    Forbidden,
    NotFound,
    Problem,
    Stale,
    StorylineError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    WrongMediaType,
)
from domain.errors import Refused as RefusedByRule

__all__ = ["Client", "Receipt", "Refused", "Retries"]

_BATCH: Final = "application/cloudevents-batch+json"
_encode = msgspec.json.Encoder(decimal_format="number").encode
_MAX_PAUSE: Final = 30.0


class Refused(BadInput):
    """The server refused events. `problems` tells of each, `item` counting in `events`: the refused request's."""

    def __init__(self, problems: list[Problem], detail: str, events: tuple[Any, ...]) -> None:
        super().__init__(problems, detail)
        self.events = events


class Receipt(NamedTuple):
    """One published event: its name, and where it stands on the log."""

    name: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Retries:
    """How long to go on. seconds: all tries of one request together. first: pause before the second try; each
    further one may be twice as long, at most 30 s, and is drawn at random up to that."""

    seconds: float = 120.0
    first: float = 0.2


class _Batch(NamedTuple):
    events: tuple[Any, ...]
    body: bytes


class Client:
    """A client of one server. Thread-safe but for `publish`, of which one runs at a time.

    url: `http://host:port`. key: `sl_…`. connections: requests under way at once.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        connections: int = 4,
        max_events: int = 500,
        max_bytes: int = 4 * 2**20,
        timeout: float = 60.0,
        retries: Retries = Retries(),
        sleep: Callable[[float], None] = time.sleep,
        ticks: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._connections, self._max_events, self._max_bytes = connections, max_events, max_bytes
        self._retries, self._sleep, self._ticks, self._chance = retries, sleep, ticks, chance
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(timeout, connect=10.0),
            limits=limits,
        )
        self._threads = ThreadPoolExecutor(connections, "storyline-client")
        self.positions: dict[int, int] = {}
        """The last position of each partition that `publish` was given; `timeline(after=…)` waits for it."""

    def close(self) -> None:
        """Let go of connections and threads. Harmless when repeated."""
        self._threads.shutdown(cancel_futures=True)
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def publish(self, events: Iterable[Mapping[str, Any]]) -> Iterator[Receipt]:
        """Publish CloudEvents as JSON objects; gives a receipt each, in order, as they become durable.

        Reads ahead by no more than the batches under way. Nothing is sent until the receipts are asked for.
        Raises Refused, Unauthenticated, Forbidden, TooLarge, Unavailable (once `retries` are used up). Batches that
        were under way then may be on the log all the same.
        """
        under_way: deque[tuple[_Batch, Future[list[Receipt]]]] = deque()
        try:
            for batch in self._batches(events):
                under_way.append((batch, self._threads.submit(self._send, batch)))
                if len(under_way) >= self._connections:
                    yield from self._settle(under_way.popleft()[1])
            while under_way:
                yield from self._settle(under_way.popleft()[1])
        finally:
            for _, future in under_way:
                future.cancel()

    def timeline(
        self, customer: str, *, after: Mapping[int, int] | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """The items of a customer's timeline, newest first; pages are fetched as they are needed.

        after: positions to wait for. query: `type`, `channel`, `direction`, `since`, `until`, `q`, `limit`.
        """
        return self._items(f"/v1/customers/{quote(customer, safe='')}/timeline", after, query)

    def ref_timeline(
        self, kind: str, value: str, namespace: str = "", *, after: Mapping[int, int] | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """The items of a ref's timeline, newest first."""
        asked = {**query, "namespace": namespace} if namespace else query
        return self._items(f"/v1/refs/{quote(kind, safe='')}/{quote(value, safe='')}/timeline", after, asked)

    def lookup(self, kind: str, value: str, namespace: str = "") -> list[str]:
        """The ids of the customers that an identifier or a ref leads to."""
        body = _encode({"kind": kind, "value": value, "namespace": namespace})
        answer = self._ask("POST", "/v1/lookup", body, "application/json")
        return [one["id"] for one in answer["customers"]]

    def command(self, path: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The answer to a command, such as `deals` or `deals/ID/move`, on whatever revision there is.

        key: an idempotency key; with the same one the command is carried out once, however often it is sent.
        Raises what `publish` does, and `domain.errors.Refused` where a rule forbids it.
        """
        headers = {"Idempotency-Key": key, "If-Match": "*"}
        answer: dict[str, Any] = self._ask("POST", f"/v1/{path}", _encode(body), "application/json", headers=headers)
        return answer

    def read(self, path: str, **query: Any) -> dict[str, Any]:
        """The answer to a question, such as `deals` or `tickets/ID`."""
        answer: dict[str, Any] = self._ask("GET", f"/v1/{path}", query=query)
        return answer

    def _items(
        self, path: str, after: Mapping[int, int] | None, query: Mapping[str, Any]
    ) -> Iterator[dict[str, Any]]:
        asked = dict(query)
        if after:
            asked["after_positions"] = ",".join(f"{part}:{offset}" for part, offset in sorted(after.items()))
        while True:
            page = self._ask("GET", path, query=asked)
            yield from page["items"]
            if page["older"] is None:
                return
            asked = {**query, "before": page["older"]}

    def _batches(self, events: Iterable[Mapping[str, Any]]) -> Iterator[_Batch]:
        held: list[Any] = []
        parts: list[bytes] = []
        size = 2
        for event in events:
            part = _encode(event)
            if held and (len(held) >= self._max_events or size + len(part) + 1 > self._max_bytes):
                yield _Batch(tuple(held), b"[" + b",".join(parts) + b"]")
                held, parts, size = [], [], 2
            held.append(event)
            parts.append(part)
            size += len(part) + 1
        if held:
            yield _Batch(tuple(held), b"[" + b",".join(parts) + b"]")

    def _settle(self, future: Future[list[Receipt]]) -> list[Receipt]:
        receipts = future.result()
        for _, partition, offset in receipts:
            self.positions[partition] = max(offset, self.positions.get(partition, -1))
        return receipts

    def _send(self, batch: _Batch) -> list[Receipt]:
        try:
            answer = self._ask("POST", "/v1/events", batch.body, _BATCH)
        except Refused as error:
            # Alone in its batch, the server names no item.
            problems = [
                problem if problem.item is not None else Problem(problem.field, problem.trouble, problem.way_out, 0)
                for problem in error.problems
            ]
            raise Refused(problems, error.detail, batch.events) from None
        return [Receipt(one["name"], one["partition"], one["offset"]) for one in answer["events"]]

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        media_type: str = "",
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request, tried again while that may help."""
        headers = {**(headers or {}), **({"Content-Type": media_type} if media_type else {})}
        until = self._ticks() + self._retries.seconds
        attempt = 0
        while True:
            try:
                answer = self._http.request(method, path, content=body, headers=headers, params=query)
            except httpx.TransportError as error:
                asked, trouble = 0.0, f"The server does not answer ({type(error).__name__})."
            else:
                if answer.is_success:
                    return msgspec.json.decode(answer.content)
                if answer.status_code not in {408, 429} and answer.status_code < 500:
                    raise _error_of(answer)
                asked, trouble = _retry_after(answer), f"The server answers {answer.status_code}."
            pause = max(asked, self._chance() * min(_MAX_PAUSE, self._retries.first * 2**attempt))
            attempt += 1
            if self._ticks() + pause > until:
                raise Unavailable(f"{trouble} Tried {attempt} times; start again later, it goes on where it was.")
            self._sleep(pause)


def _retry_after(answer: httpx.Response) -> float:
    """Seconds that the server asks us to wait; 0 where it asks for none."""
    text = answer.headers.get("retry-after", "")
    if text.isdecimal():
        return min(float(text), _MAX_PAUSE)
    try:
        wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return min(max(wait, 0.0), _MAX_PAUSE)


_ERRORS: Final[dict[int, type[StorylineError]]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: RefusedByRule,
    412: Stale,
    413: TooLarge,
    415: WrongMediaType,
}


def _error_of(answer: httpx.Response) -> StorylineError:
    """The server's problem details as one of our errors."""
    try:
        told = msgspec.json.decode(answer.content)
        detail = str(told["detail"])
        found = [
            Problem(one["field"], one["trouble"], one["way_out"], one.get("item")) for one in told.get("errors", [])
        ]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        detail, found = f"The server answers {answer.status_code}; is the address that of Storyline?", []
    kind = _ERRORS.get(answer.status_code)
    return kind(detail) if kind is not None else Refused(found, detail, ())
