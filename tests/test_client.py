"""Does the client publish everything once, in order, whatever the line does? Against a real server."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.client import Client, Refused, Retries
from domain.errors import Forbidden, NotFound, TooLarge, Unauthenticated, Unavailable
from tests.support.api import RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.process import free_ports
from tests.support.story import event


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


@pytest.fixture
def client(api: RunningApi) -> Iterator[Client]:
    with Client(api.url, api.key("publish", "read"), max_events=7) as made:
        yield made


def mails(email: str, count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield event(number, id=f"{email}-{number}", data={"who": [{"kind": "email", "value": email}]})


def test_events_are_published_in_batches_and_answered_in_order(api: RunningApi, client: Client) -> None:
    email = api.fresh()
    receipts = list(client.publish(mails(email, 50)))
    names = [f"test/mail#{api.story.hasher.name('test/mail', f'{email}-{n}')}" for n in range(50)]
    assert [receipt.name for receipt in receipts] == names
    assert client.positions == {receipts[0].partition: max(receipt.offset for receipt in receipts)}
    api.project()
    [customer] = client.lookup("email", email)
    items = list(client.timeline(customer, after=client.positions, limit=9))
    assert [item["id"] for item in items] == [f"{email}-{n}" for n in reversed(range(50))]


def test_a_ref_is_read_by_its_code(api: RunningApi, client: Client) -> None:
    order = {"kind": "order", "value": "a/b c", "namespace": "web"}
    list(client.publish([event("of-an-order", data={"refs": [order]})]))
    api.project()
    assert [item["refs"] for item in client.ref_timeline("order", "a/b c", "web")] == [[order]]
    with pytest.raises(NotFound):
        list(client.timeline("nobody"))


def test_reading_ahead_is_bounded(api: RunningApi, client: Client) -> None:
    taken = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for one in mails(api.fresh(), 1000):
            taken += 1
            yield one

    receipts = client.publish(counted())
    next(receipts)
    assert taken <= 7 * (4 + 1) + 1


def test_what_is_refused_is_named_with_the_event(api: RunningApi, client: Client) -> None:
    bad = event("bad", type="no.such")
    with pytest.raises(Refused) as told:
        list(client.publish([*mails(api.fresh(), 9), bad]))
    [problem] = told.value.problems
    assert problem.field == "type"
    assert problem.item is not None
    assert told.value.events[problem.item] == bad


def test_a_wrong_key_a_wrong_scope_and_a_giant_are_errors_of_their_own(api: RunningApi) -> None:
    with Client(api.url, "sl_wrong") as nobody, pytest.raises(Unauthenticated):
        list(nobody.publish([event(1)]))
    with Client(api.url, api.key("read")) as reader, pytest.raises(Forbidden):
        list(reader.publish([event(1)]))
    huge = event("huge", data={"content": {"text": "x" * 17_000_000}})
    with Client(api.url, api.key("publish")) as publisher, pytest.raises(TooLarge):
        list(publisher.publish([huge]))


@contextmanager
def bad_line(url: str, troubles: list[str]) -> Iterator[tuple[str, list[bytes]]]:
    """A relay that spoils the first answers: `lost` (after the server had it), `429`, `503`, `garbage`."""
    seen: list[bytes] = []

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append(body)
            trouble = troubles.pop(0) if troubles else ""
            if trouble in {"429", "503"}:
                self.send_response(int(trouble))
                self.send_header("Retry-After", "3")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
            answer = httpx.post(url + self.path, content=body, headers=headers)
            if trouble == "lost":
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        socketserver.TCPServer.server_close(server)
        thread.join()


def test_after_a_lost_answer_and_5xx_the_same_bytes_are_sent_again(api: RunningApi) -> None:
    pauses: list[float] = []
    email = api.fresh()
    key = api.key("publish")
    with (
        bad_line(api.url, ["503", "lost", "429"]) as (url, seen),
        Client(url, key, connections=1, sleep=pauses.append, chance=lambda: 1.0) as client,
    ):
        receipts = list(client.publish(mails(email, 3)))
    assert len(set(seen)) == 1
    assert len(seen) == 4
    assert pauses == [3.0, 0.4, 3.0]
    api.project()
    rows = api.story.rows(
        "SELECT count(*) FROM identity.evidences JOIN timeline.events USING (evidence) WHERE customer = %s",
        api.customer(email),
    )
    assert rows == [(3,)]
    assert len(receipts) == len(json.loads(seen[0]))


def test_a_server_that_never_answers_is_unavailable_after_the_stated_time() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    patient = Retries(seconds=60)
    with (
        Client(nowhere, "sl_x", retries=patient, sleep=sleep, ticks=lambda: now[0], chance=lambda: 0.5) as client,
        pytest.raises(Unavailable, match="start again later"),
    ):
        list(client.publish([event(1)]))
    assert 20 < now[0] <= 60
