"""Are webhooks signed, sent once each, tried again, parked when they fail for good, and never sent inside?"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import formatdate
from uuid import UUID

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from consumers.calling import Call, Calling, ForbiddenAddressError, may_be_called, read_networks
from consumers.delivering import PAUSES
from domain.errors import BadInput, NotFound, Refused
from tests.support.automating import SECRET, Automated, automated, rules_of, survey
from tests.support.postgres import PostgresServer
from tests.support.receiver import Receiver, Taken, receiving
from tests.support.waiting import eventually

LOOPBACK = read_networks("127.0.0.0/8")


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def system(postgres: PostgresServer, receiver: Receiver) -> Iterator[Automated]:
    def rule(code: str, url: str, secret: str = "main") -> dict[str, object]:
        then = [{"do": "webhook", "url": url, "secret": secret}]
        return {"code": code, "on": ["survey.answered"], "when": {"field": "event.content.survey", "value": code},
                "then": then}  # fmt: skip

    rules = rules_of(
        rule("hook", f"{receiver.url}/hook?a=1"),
        rule("inside", "http://169.254.169.254/latest/meta-data"),
        rule("named-inside", "https://localhost:9/"),
        rule("unsigned", f"{receiver.url}/unsigned", "missing"),
        rule("slow", f"{receiver.url}/slow"),
    )
    name = postgres.create_database()
    with automated(postgres.dsn_of(name), rules) as made:
        yield made
    postgres.drop_database(name)


@pytest.fixture
def work(system: Automated, receiver: Receiver) -> Iterator[Automated]:
    receiver.taken.clear()
    receiver.answer = lambda taken: (204, {})
    yield system
    system.ahead = timedelta(0)
    for state in ("waiting", "parked"):
        for one in system.webhooks.page(state).webhooks:
            system.webhooks.discard(one.id)


def state_of(work: Automated, id: str) -> tuple[str, int, int | None, str | None]:
    query = "SELECT state, tries, status, why FROM storyline.deliveries WHERE id = %s"
    [(state, tries, status, why)] = work.story.rows(query, id)
    return state, tries, status, why


def test_a_webhook_is_signed_by_standard_webhooks_and_holds_nothing_personal(
    work: Automated, receiver: Receiver
) -> None:
    work.publish(survey("hook", "hooked", 4, data={"refs": [{"kind": "order", "value": "A1"}]}))
    work.act()
    [taken] = receiver.taken
    told = Webhook(SECRET).verify(taken.body, taken.headers)
    assert taken.path == "/hook?a=1"
    assert told["type"] == "survey.answered" and told["data"]["content"] == {"survey": "hook", "score": "4"}
    assert told["data"]["refs"] == ["order:A1"] and len(told["data"]["customer"]) == 32
    assert b"secret words" not in taken.body and b"hooked@" not in taken.body
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(taken.body.replace(b"4", b"5"), taken.headers)
    assert state_of(work, taken.headers["webhook-id"]) == ("delivered", 1, 204, None)


def test_a_run_that_is_repeated_sends_no_second_one(work: Automated, receiver: Receiver) -> None:
    work.publish(survey("hook", "once"))
    work.act()
    with_runs = "UPDATE storyline.automation_runs SET state = 'waiting' WHERE rule = 'hook' RETURNING 1"
    assert work.story.rows(with_runs)
    work.act()
    assert len(receiver.taken) == 1


def test_what_is_not_taken_is_tried_again_later_and_later_under_one_id_and_then_parked(
    work: Automated, receiver: Receiver
) -> None:
    receiver.answer = lambda taken: (500, {})
    work.publish(survey("hook", "failing"))
    work.act()
    for number, pause in enumerate(PAUSES, start=1):
        work.ahead += timedelta(seconds=pause * 0.79)
        assert work.deliverer.exhaust() == 0, "too early"
        work.ahead += timedelta(seconds=pause * 0.5)
        assert work.deliverer.exhaust() == 1
        assert len(receiver.taken) == number + 1
    [id] = set(receiver.ids())
    assert state_of(work, id) == ("parked", 11, 500, "refused")
    work.ahead += timedelta(days=30)
    assert work.deliverer.exhaust() == 0
    receiver.answer = lambda taken: (200, {})
    assert work.webhooks.retry(UUID(id)).state == "waiting"
    assert work.deliverer.exhaust() == 1
    assert state_of(work, id)[0] == "delivered"


def test_who_is_gone_is_not_asked_again(work: Automated, receiver: Receiver) -> None:
    receiver.answer = lambda taken: (410, {})
    work.publish(survey("hook", "gone"))
    work.act()
    assert state_of(work, receiver.ids()[0]) == ("parked", 1, 410, "gone")


@pytest.mark.parametrize("asked", [lambda: "3600", lambda: formatdate(time.time() + 3600, usegmt=True)])
def test_who_asks_for_time_is_given_it(work: Automated, receiver: Receiver, asked: Callable[[], str]) -> None:
    receiver.answer = lambda taken: (503, {"Retry-After": asked()})
    work.publish(survey("hook", "busy"))
    work.act()
    work.ahead += timedelta(seconds=3500)
    assert work.deliverer.exhaust() == 0
    work.ahead += timedelta(seconds=200)
    assert work.deliverer.exhaust() == 1


@pytest.mark.parametrize("asked", ["soon", "-5", "²", "Mon, 99 Foo 2026 99:99:99 GMT", "1e9", "9" * 400, ""])
def test_who_asks_for_time_in_no_way_that_is_known_is_tried_again_as_ever(receiver: Receiver, asked: str) -> None:
    receiver.answer = lambda taken: (503, {"Retry-After": asked.encode().decode("latin-1")})
    assert Calling(LOOPBACK).post(Call(receiver.url, {}, b"{}")) == (503, None)


def test_who_lets_us_wait_for_nothing_holds_up_no_other(work: Automated, receiver: Receiver) -> None:
    def answer(taken: Taken) -> tuple[int, dict[str, str]]:
        slow = taken.path == "/slow"
        time.sleep(1.1 * slow)
        return 503 if slow else 204, {}

    receiver.answer = answer
    work.publish(*[survey("slow", f"slow{number}") for number in range(5)])
    work.act(deliver=False)
    work.publish(survey("hook", "quick"))
    work.act()
    assert [one.path for one in receiver.taken] == ["/slow", "/hook?a=1"]
    eventually(lambda: work.deliverer.exhaust() == 1, 30)
    assert receiver.taken[-1].path == "/slow"


def test_a_redirect_is_not_followed(work: Automated, receiver: Receiver) -> None:
    receiver.answer = lambda taken: (302, {"Location": f"{receiver.url}/elsewhere"})
    work.publish(survey("hook", "moved"))
    work.act()
    assert [taken.path for taken in receiver.taken] == ["/hook?a=1"]
    assert state_of(work, receiver.ids()[0]) == ("waiting", 1, 302, "redirect")


@pytest.mark.parametrize("code", ["inside", "unsigned"])
def test_what_may_not_be_sent_is_parked_at_once(work: Automated, receiver: Receiver, code: str) -> None:
    work.publish(survey(code, code))
    work.act()
    [parked] = [one for one in work.webhooks.page("parked").webhooks if one.rule == code]
    assert parked.why == {"inside": "private-address", "unsigned": "no-secret"}[code]
    assert receiver.taken == []


def test_webhooks_are_listed_by_pages_retried_and_discarded(work: Automated, receiver: Receiver) -> None:
    receiver.answer = lambda taken: (410, {})
    work.publish(*[survey("hook", f"page-{number}") for number in range(5)])
    work.act()
    first = work.webhooks.page("parked", None, 3)
    second = work.webhooks.page("parked", first.more, 3)
    assert len(first.webhooks) == 3 and len(second.webhooks) == 2 and second.more is None
    assert len({one.id for one in (*first.webhooks, *second.webhooks)}) == 5
    chosen = first.webhooks[0].id
    assert work.webhooks.discard(chosen).state == "discarded"
    with pytest.raises(Refused):
        work.webhooks.discard(chosen)
    assert work.webhooks.retry(chosen).state == "waiting"
    with pytest.raises(Refused):
        work.webhooks.retry(chosen)
    with pytest.raises(NotFound):
        work.webhooks.retry(UUID(int=1))
    with pytest.raises(BadInput):
        work.webhooks.page("parked", "nonsense")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
        "fd00:ec2::254",
    ],
)
def test_an_address_inside_is_refused_however_it_is_written(address: str) -> None:
    assert not may_be_called(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_an_address_outside_may_be_called(address: str) -> None:
    assert may_be_called(address)


def test_a_private_network_may_be_called_where_the_settings_name_it() -> None:
    allowed = (ipaddress.ip_network("10.1.0.0/16"),)
    assert may_be_called("10.1.2.3", allowed) and may_be_called("::ffff:10.1.2.3", allowed)
    assert not may_be_called("10.2.0.1", allowed)


@pytest.mark.parametrize("found", [["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]])
def test_a_name_that_leads_inside_is_refused(found: list[str]) -> None:
    calling = Calling(resolve=lambda host, port: found)
    with pytest.raises(ForbiddenAddressError, match="private-address"):
        calling.post(Call("https://hooks.example.org/", {}, b"{}"))


def test_a_name_is_resolved_once_so_that_it_cannot_lead_elsewhere_a_moment_later(receiver: Receiver) -> None:
    """The name leads to the receiver when it is checked; whoever asked for it once more would be led astray."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    receiver.taken.clear()
    receiver.answer = lambda taken: (200, {})
    port = receiver.url.rpartition(":")[2]
    calling = Calling(LOOPBACK, resolve=resolve)
    assert calling.post(Call(f"http://rebinding.invalid:{port}/x", {}, b"{}"))[0] == 200
    assert asked == ["rebinding.invalid"]
    assert receiver.taken[0].headers["host"] == f"rebinding.invalid:{port}"


def test_in_the_clear_only_within_ones_own_networks() -> None:
    calling = Calling(resolve=lambda host, port: ["93.184.216.34"])
    with pytest.raises(ForbiddenAddressError, match="not-encrypted"):
        calling.post(Call("http://hooks.example.org/", {}, b"{}"))


@pytest.mark.parametrize("url", ["ftp://example.org/", "https:///path", "file:///etc/passwd"])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        Calling().post(Call(url, {}, b"{}"))


@pytest.mark.parametrize("host", ["example..org", ".example.org", "a" * 64 + ".org"])
def test_a_name_that_cannot_be_asked_for_is_parked_and_ends_nothing(host: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="no-address"):
        Calling().post(Call(f"https://{host}/", {}, b"{}"))


@pytest.mark.parametrize("how", ["silent", "drips", "endless", "nonsense"])
def test_a_receiver_that_does_not_answer_holds_nobody_up(how: str) -> None:
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        held, _ = listener.accept()
        with held, contextlib.suppress(OSError):
            if how in ("nonsense", "endless"):
                held.sendall({"nonsense": b"\0\1\2 no HTTP\r\n\r\n", "endless": b"HTTP/1.1 500 No\r\n"}[how])
            while not over.wait(0.05):
                if how in ("drips", "endless"):
                    held.sendall({"drips": b"H", "endless": b"X: " + b"x" * 30_000 + b"\r\n"}[how])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        calling = Calling(LOOPBACK, timeout=0.5, most=1.0)
        began = time.monotonic()
        try:
            status = calling.post(Call(f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"{}"))[0]
        except OSError:
            status = 0
        assert time.monotonic() - began < 5
        assert status == (500 if how == "endless" else 0)
        over.set()
        thread.join(15)


def test_a_body_says_its_type_its_time_and_its_data_alone(work: Automated, receiver: Receiver) -> None:
    work.publish(survey("hook", "shape"))
    work.act()
    told = json.loads(receiver.taken[0].body)
    assert set(told) == {"type", "timestamp", "data"}
    assert set(told["data"]) == {
        *("event", "source", "rule", "customer", "channel", "direction", "actor", "refs", "content"),
    }
