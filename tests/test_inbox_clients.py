"""Do stock CloudEvents clients get through the inbox? Java, Python, Go and JavaScript, in both modes."""

from __future__ import annotations

import json
import os
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pytest

from commands.channels import Channel, Channels
from commands.parking import DeadLetter
from eventlog.record import Head, decode
from eventlog.sealing import Opened, keys_of, open_record
from tests.interop.clients import CLIENTS, Letter, NoClientError, send_batch
from tests.support.letters import parking_of
from tests.support.logs import read_all
from tests.support.story import story
from tests.test_inbox import Post

pytestmark = pytest.mark.kafka

JSON = "application/json"
GREETING = "Grüße aus 東京 😀"
_MUST_RUN = ("java", "python", "older-python")
_KEEPS_OFFSETS = ("java", "python", "older-python")
"""Go's SDK writes every time in UTC, and JavaScript's in structured mode; the instant is the same."""

_NO_BARE = ("older-python", "binary")
"""This client cannot write this mode without a data content type."""


class _Found(NamedTuple):
    head: Head
    opened: Opened


class Office(NamedTuple):
    """An inbox with two channels, each on a topic of its own."""

    post: Post
    servers: str
    mail: str
    notes: str

    def send(self, client: str, letters: Sequence[Letter]) -> None:
        """Send them with this client; skip, or fail where CI must have it, when the client cannot be had."""
        try:
            CLIENTS[client](self.servers, letters)
        except NoClientError as missing:
            if client in _MUST_RUN and os.environ.get("CI") and "cannot be found" not in str(missing):
                pytest.fail(str(missing))
            pytest.skip(f"No CloudEvents client for {client}: {missing}")

    def deliver(self, client: str, letters: Sequence[Letter], parked: int = 0) -> dict[str, list[_Found]]:
        """Send letters and let the inbox move them: what is on the log, opened, by its id."""
        with self.post.running() as inbox:
            self.post.until(lambda: inbox.ready)
            self.send(client, letters)
            self.post.until(
                lambda: self.post.moved() == len(letters) - parked and self.post.parking.count() == parked
            )
        return self.logged()

    def logged(self) -> dict[str, list[_Found]]:
        records = [decode(one.value) for one in read_all(self.post.small.log)]
        keys = self.post.small.keyring.keys(keys_of(records))
        found: dict[str, list[_Found]] = {}
        for record in records:
            opened = open_record(record, keys)
            assert opened is not None
            found.setdefault(opened.id, []).append(_Found(record.head, opened))
        return found

    def letters(self) -> list[DeadLetter]:
        """What was parked, unsealed, in the order in which it came."""
        listed = self.post.parking.list()[0]
        shown = [self.post.parking.show(letter.id, unseal=True) for letter in listed]
        return sorted(shown, key=lambda one: (one.origin, one.offset or 0))


@pytest.fixture
def office(database: str, kafka: str) -> Iterator[Office]:
    mail, notes = (f"inbox.{name}-{uuid.uuid4().hex[:10]}" for name in ("mail", "notes"))
    channels = Channels(
        [Channel("mail", ("test/*",), ("email.*",), mail), Channel("notes", ("desk/*",), ("note.*",), notes)]
    )
    with story(database, database) as small, parking_of(small, rights=channels.rights_of) as parking:
        yield Office(Post(small, kafka, channels, mail, parking), kafka, mail, notes)


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def letter(topic: str, mode: str, name: str, key: str | None = None, **attributes: Any) -> dict[str, Any]:
    """One letter about Ann's mail `name`; attributes that are None are left out."""
    known = {
        "id": name,
        "source": "test/mail",
        "type": "email.received",
        "time": "2026-03-01T09:30:00.000Z",
        "datacontenttype": JSON,
    }
    return {
        "topic": topic,
        "mode": mode,
        "key": key,
        "attributes": {each: value for each, value in {**known, **attributes}.items() if value is not None},
        "data": {
            "who": [{"kind": "email", "value": "ann@example.org"}],
            "content": {"subject": GREETING, "mailbox": name},
        },
    }


def of_bytes(raw: bytes, made: Mapping[str, Any]) -> dict[str, Any]:
    """A letter with these bytes for its data."""
    return {**{each: value for each, value in made.items() if each != "data"}, "bytes": b64encode(raw).decode()}


def test_S60_a_stock_client_publishes_in_structured_and_in_binary_mode(office: Office, client: str) -> None:
    both = ("structured", "binary")
    letters = [
        *(letter(office.mail, mode, "twice", "ann", subject="mail/1", campaign=GREETING) for mode in both),
        *(
            letter(office.mail, mode, f"bare-{mode}", datacontenttype=None)
            for mode in both
            if (client, mode) != _NO_BARE
        ),
        *(letter(office.mail, mode, f"charset-{mode}", datacontenttype=f"{JSON}; charset=utf-8") for mode in both),
        *(letter(office.mail, mode, f"offset-{mode}", time="2026-03-01T15:00:00+05:30") for mode in both),
        *(letter(office.mail, mode, f"scalars-{mode}", attempt=3, urgent=True) for mode in both),
        letter(office.mail, "base64", "base64"),
        letter(office.mail, "base64", "base64-bare", datacontenttype=None),
    ]
    found = office.deliver(client, letters)

    assert set(found) == {str(one["attributes"]["id"]) for one in letters}
    for name, records in found.items():
        for head, opened in records:
            assert (head.source, head.type, head.public["mailbox"]) == ("test/mail", "email.received", name)
            assert opened.content == {"subject": GREETING}
            assert opened.who == [{"kind": "email", "value": "ann@example.org"}]
            assert datetime.fromisoformat(head.time) == datetime.fromisoformat("2026-03-01T09:30:00Z")
    assert len({(head.name, head.digest) for head, _ in found["twice"]}) == 1, "the modes make one event two"
    assert all(opened.extensions == {"subject": "mail/1", "campaign": GREETING} for _, opened in found["twice"])
    for name in ("scalars-structured", "scalars-binary"):
        [(_, opened)] = found[name]
        assert {each: str(value).lower() for each, value in opened.extensions.items()} == {
            "attempt": "3",
            "urgent": "true",
        }
    if client in _KEEPS_OFFSETS:
        assert {found[f"offset-{mode}"][0].head.time for mode in both} == {"2026-03-01T15:00:00+05:30"}
    office.post.small.project()
    assert office.post.small.rows("SELECT count(*) FROM timeline.events") == [(len(found),)]
    assert office.post.small.parked == []


def test_S70_what_a_stock_client_may_not_publish_there_is_parked_with_words(office: Office, client: str) -> None:
    note = {"source": "desk/1", "type": "note.added"}
    text = {"data": {"content": {"text": GREETING}}}
    picture = {"datacontenttype": "image/png"}
    letters = [
        letter(office.mail, "structured", "1", "desk", source="other/mail"),
        {**letter(office.mail, "binary", "2", "desk", **note), **text},
        letter(office.mail, "structured", "3", "desk", source="storyline/self"),
        of_bytes(b"\x89PNG\r\n", letter(office.mail, "binary", "4", "desk", **picture)),
        of_bytes(b"\x89PNG\r\n", letter(office.mail, "structured", "5", "desk", **picture)),
        letter(office.notes, "binary", "6", "desk"),
        {**letter(office.notes, "structured", "7", "desk", **note), **text},
        letter(office.mail, "binary", "8", "desk"),
    ]
    found = office.deliver(client, letters, parked=6)

    assert set(found) == {"7", "8"}
    shown = office.letters()
    at_mail = [one for one in shown if one.origin == office.mail]
    assert [one.reason for one in at_mail[:4]] == ["forbidden"] * 3 + ["wrong-media-type"]
    assert at_mail[4].reason in {"bad-input", "wrong-media-type"}  # by how the client marks the message
    assert all("may not publish" in one.detail for one in at_mail[:3])
    assert all("json" in one.detail.lower() for one in at_mail[3:])
    assert [(one.reason, one.offset) for one in shown if one.origin == office.notes] == [("forbidden", 0)]


def test_events_that_an_sdk_wrote_come_in_a_batch_too(office: Office) -> None:
    letters = [letter(office.mail, "structured", str(number), campaign=GREETING) for number in range(3)]
    letters.append(letter(office.mail, "structured", "foreign", source="other/mail"))
    with office.post.running() as inbox:
        office.post.until(lambda: inbox.ready)
        send_batch(office.servers, office.mail, letters)
        office.post.until(lambda: office.post.moved() == 3 and office.post.parking.count() == 1)
    assert set(office.logged()) == {"0", "1", "2"}
    [parked] = office.letters()
    assert parked.reason == "forbidden"
    assert json.loads(parked.content or "")["id"] == "foreign"
