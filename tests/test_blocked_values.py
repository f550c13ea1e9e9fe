"""What does a value do that the deployment blocks? It is kept, sealed, and identifies nobody."""

from __future__ import annotations

from datetime import UTC, datetime

from domain.event import read_event
from domain.identity_rules import read_rules
from eventlog.record import decode
from eventlog.sealer import Sealer
from tests.support.story import event, story

_RULES = """
[blocked.words]
email = ["info@example.org"]

[blocked.patterns]
phone = ["\\\\+4420.*"]
"""
_NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_value_that_the_deployment_blocks_gets_no_token_whatever_its_spelling(database: str) -> None:
    with story(database, database) as small:
        sealer = Sealer(small.keyring, small.hasher, blocked=read_rules(_RULES)[1])
        who = [
            {"kind": "email", "value": "INFO@Example.org"},
            {"kind": "phone", "value": "020 7946 0958"},
            {"kind": "customer_no", "value": "17"},
        ]
        sent = [read_event(event(1, data={"who": who}), small.catalogue)]
        head = decode(sealer.seal(sent, _NOW)[0].value).head
        assert [token.partition(".")[0] for token in head.tokens] == ["customer_no"]
        plain = decode(small.sealer.seal(sent, _NOW)[0].value).head
        assert len(plain.tokens) == 3, "without the rules each is an identifier"


def test_an_event_of_blocked_values_alone_is_nobodys(database: str) -> None:
    with story(database, database) as small:
        sealer = Sealer(small.keyring, small.hasher, blocked=read_rules(_RULES)[1])
        who = [{"kind": "email", "value": "info@example.org"}]
        head = decode(sealer.seal([read_event(event(1, data={"who": who}), small.catalogue)], _NOW)[0].value).head
        assert (head.tokens, head.evidence) == ((), "")
