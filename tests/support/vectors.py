"""Which records pin the format? Six events, with fixed keys, nonces and clock; `tests/vectors/record-v1.json` holds
what they must become, byte for byte. `python -m tests.support.vectors` writes the file: only for a new version."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, cast

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.catalogue.base import PUBLIC, Touchpoint
from domain.catalogue.registry import BuiltIn, Catalogue
from domain.event import parse_json, read_event
from eventlog.keyring import Keyring
from eventlog.record import decode, ref_hash
from eventlog.sealer import Sealer
from eventlog.sealing import associated
from eventlog.tokens import Hasher

FILE = Path(__file__).parent.parent / "vectors" / "record-v1.json"
HASHING_KEY = bytes(range(32))
RECORDED_AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


class VectorMail(Touchpoint):
    """A type of the vectors' own, so that they do not change with the catalogue."""

    TYPE = "vector.mail"
    VERSION = 2
    CHANNEL = "email"
    DIRECTION = "in"
    UPCASTERS = {1: lambda content: {"subject": content.pop("title"), **content}}  # noqa: RUF012

    subject: str = ""
    text: str = ""
    mailbox: Annotated[str | None, PUBLIC] = None
    amount: Annotated[Decimal | None, PUBLIC] = None


CATALOGUE = Catalogue([BuiltIn(VectorMail)])
_MAIL = {"specversion": "1.0", "source": "vector/mail", "type": "vector.mail", "time": "2026-03-01T09:30:00+01:00"}

EVENTS: list[tuple[str, dict[str, Any]]] = [
    (
        "identifiers with and without a namespace, a blocked value, content in both parts",
        {
            **_MAIL,
            "id": "mail-1",
            "data": {
                "who": [
                    {"kind": "email", "value": " Ann@Example.ORG "},
                    {"kind": "customer_no", "value": 17850},
                    {"kind": "external", "value": "A-9", "namespace": "crm"},
                    {"kind": "cookie", "value": "null"},
                ],
                "content": {"subject": "Größe 38?", "text": 'Is it "true" to size?\n', "mailbox": "service"},
            },
        },
    ),
    (
        "parties, one of them without a token; senttime",
        {
            **_MAIL,
            "id": "mail-2",
            "senttime": "2026-03-01T09:31:00+01:00",
            "data": {
                "who": [{"kind": "email", "value": "ann@example.org"}],
                "parties": [
                    {"role": "cc", "who": [{"kind": "phone", "value": "020 7946 0018"}]},
                    {"role": "bcc", "who": [{"kind": "email", "value": "guest"}]},
                ],
                "content": {"subject": "Two others read along"},
            },
        },
    ),
    (
        "refs, a conversation among them; an actor, a channel, relations to other events",
        {
            **_MAIL,
            "id": "mail-3",
            "data": {
                "who": [{"kind": "customer_no", "value": "17850"}],
                "refs": [
                    {"kind": "order", "value": "536365"},
                    {"kind": "invoice", "value": "R-1", "namespace": "eu"},
                    {"kind": "conversation", "value": "<thread-77@example.org>"},
                ],
                "about": [{"relation": "answers", "source": "vector/mail", "id": "mail-1"}],
                "actor": {"kind": "team", "code": "service"},
                "channel": "web",
                "content": {"subject": "About your order", "amount": 12.50},
            },
        },
    ),
    (
        "nobody in who, owned by its lowest ref; an extension attribute",
        {
            **_MAIL,
            "id": "mail-4",
            "region": "north",
            "data": {
                "refs": [{"kind": "ticket", "value": "T-2"}, {"kind": "order", "value": "536366"}],
                "content": {"text": "from the counter"},
            },
        },
    ),
    ("nobody and nothing: owned by its name, no content", {**_MAIL, "id": "mail-5", "data": {}}),
    (
        "content of an older version, raised at the door; the digest covers it as it was sent",
        {
            **_MAIL,
            "id": "mail-6",
            "dataschema": "https://example.org/types/vector.mail/1",
            "data": {"who": [{"kind": "device", "value": "D-1"}], "content": {"title": "Old", "mailbox": "info"}},
        },
    ),
]


def key_bytes(key_id: str) -> bytes:
    """The vectors' key of a key id."""
    return blake2b(key_id.encode(), digest_size=32, person=b"vector.key").digest()


class FixedKeys:
    """A key store whose keys follow from their ids."""

    def make(self, ids: Iterable[str]) -> dict[str, AESGCM]:
        return {key_id: AESGCM(key_bytes(key_id)) for key_id in ids}

    def generations(self, _tokens: Iterable[str]) -> dict[str, int]:
        return {}


def made() -> list[dict[str, Any]]:
    """What the events become now."""
    return [_vector(about, raw) for about, raw in EVENTS]


def _vector(about: str, raw: dict[str, Any]) -> dict[str, Any]:
    nonces: list[bytes] = []

    def nonce(size: int) -> bytes:
        nonces.append(blake2b(f"{raw['id']}.{len(nonces)}".encode(), digest_size=size).digest())
        return nonces[-1]

    sealer = Sealer(cast(Keyring, FixedKeys()), Hasher(HASHING_KEY, "GB"), random=nonce)
    event = read_event(parse_json(json.dumps(raw).encode()), CATALOGUE)
    [entry] = sealer.seal([event], RECORDED_AT)
    record = decode(entry.value)
    head = record.head
    ids = dict.fromkeys([head.key, *[party.key for party in head.parties]])
    return {
        "about": about,
        "event": raw,
        "digested": event.content.decode(),
        "keys": {key_id: key_bytes(key_id).hex() for key_id in ids},
        "nonces": [one.hex() for one in nonces],
        "associated": [associated(record.head_bytes, index).hex() for index in range(len(record.sealed))],
        "name": head.name,
        "digest": head.digest,
        "tokens": list(head.tokens),
        "evidence": head.evidence,
        "owner": head.owner,
        "ref_hashes": [ref_hash(ref).hex() for ref in head.refs],
        "log_key": entry.key.decode(),
        "record": entry.value.decode(),
    }


def document() -> dict[str, Any]:
    """The whole file."""
    return {
        "format": "storyline record, version 1; see docs/record-format.md",
        "hashing_key": HASHING_KEY.hex(),
        "region": "GB",
        "recorded_at": RECORDED_AT.isoformat(),
        "vectors": made(),
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
