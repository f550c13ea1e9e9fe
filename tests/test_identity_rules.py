"""Do the identity rules say what a deployment wrote, and refuse what it cannot have meant?"""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from domain.errors import Misconfigured
from domain.identifiers import Identifier
from domain.identity_rules import Blocked, Rules, read_rules

FULL = r"""
[limits]
customer_no = 2
email = 4
[shared]
customer_no = 5
[star]
nodes = 50
links = 500
[blocked.words]
email = ["Office@Example.com", "guest"]
phone = ["020 7946 0100"]
[blocked.patterns]
cookie = ["bot-.*", "[0f]{8}"]
email = ['.*@(?:mailinator|example)\.net']
"""


def test_an_empty_file_means_the_defaults() -> None:
    rules, blocked = read_rules("")
    assert rules == Rules()
    assert not blocked
    assert (rules.limits, rules.star_nodes, rules.star_links) == ({"customer_no": 1}, 1000, 20_000)
    assert rules.shared == {"customer_no": 3, "external": 3, "email": 5}


def test_a_table_in_the_file_replaces_the_default_one() -> None:
    rules, _ = read_rules(FULL)
    assert rules == Rules({"customer_no": 2, "email": 4}, {"customer_no": 5}, 50, 500)
    assert read_rules("[limits]")[0] == Rules(limits={})
    assert read_rules("[star]\nnodes = 7")[0] == Rules(star_nodes=7)


def test_blocked_words_are_normalised_and_patterns_cover_the_whole_value() -> None:
    _, blocked = read_rules(FULL)
    assert blocked.blocks("email", "office@example.com")
    assert not blocked.blocks("cookie", "office@example.com")
    assert blocked.blocks("phone", "+442079460100")
    assert blocked.blocks("cookie", "bot-7") and not blocked.blocks("cookie", "robot-7")
    assert blocked.blocks("cookie", "0f0f0f0f") and not blocked.blocks("cookie", "0f0f0f0f0")
    assert blocked.blocks("email", "x@mailinator.net") and not blocked.blocks("email", "x@mailinator.net.example")
    assert not blocked.blocks("device", "bot-7")


def test_blocked_words_are_told_as_identifiers_for_the_history_that_is_there() -> None:
    _, blocked = read_rules('[blocked.words]\nexternal = ["0815", "null"]\n')
    assert list(blocked.identifiers()) == [Identifier("external", "0815", "")]
    assert list(blocked.identifiers({"external": ["crm"]})) == [
        Identifier("external", "0815", ""),
        Identifier("external", "0815", "crm"),
    ]
    assert not Blocked().blocks("email", "x")


def test_rules_come_back_from_json() -> None:
    for rules in (Rules(), read_rules(FULL)[0], Rules(limits={}, shared={}).ignoring([UUID(int=3), UUID(int=1)])):
        assert Rules.from_json(json.loads(json.dumps(rules.to_json()))) == rules
    assert Rules({"email": 1, "phone": 2}).to_json() == Rules({"phone": 2, "email": 1}).to_json()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits = 3", "limits is no table"),
        ("[limit]\ncustomer_no = 1", "limit is unknown"),
        ("[limits]\ncustomerno = 1", "limits.customerno is unknown"),
        ("[limits]\ncustomer_no = 0", "limits.customer_no is no fitting number"),
        ("[limits]\ncustomer_no = true", "limits.customer_no is no fitting number"),
        ("[shared]\nemail = 2.5", "shared.email is no fitting number"),
        ("[shared]\nemail = 1001", "from 1 to 1000"),
        ("[star]\nnodes = 1", "star.nodes is no fitting number"),
        ("[star]\nnode = 10", "star.node is unknown"),
        ("[blocked]\nemail = []", "blocked.email is unknown"),
        ("[blocked.words]\nmail = []", "blocked.words.mail is unknown"),
        ("[blocked.words]\nemail = 'x'", "blocked.words.email is no list of strings"),
        ("[blocked.words]\nemail = ['']", "blocked.words.email is no list of strings"),
        (f"[blocked.words]\nemail = ['{'x' * 201}']", "blocked.words.email is too long"),
        ("[blocked.patterns]\nemail = ['(']", "blocked.patterns.email[0] is no regular expression"),
        ("[blocked.patterns]\nemail = ['x', '(a+)+b']", "blocked.patterns.email[1] repeats too much"),
        ("[blocked.patterns]\nemail = ['a*a*a*a*b']", "repeats too much"),
        (r"[blocked.patterns]" "\n" r"email = ['(a)\1']", "back references"),
        ("[blocked.patterns]\nemail = ['(?i)a']", "flags"),
        ("[blocked.patterns]\nemail = ['.*']", "matches the empty value"),
        ("[limits", "are no TOML"),
    ],
)
def test_what_cannot_have_been_meant_is_refused_and_named(text: str, told: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        read_rules(text)
    assert told in refused.value.detail
    assert "docs/identity.md" in refused.value.detail


@pytest.mark.parametrize("told", [{"ignored": ["no hex"]}, {"ignored": 3}, {"blocked": {}}, {"other": {}}])
def test_stored_rules_that_cannot_be_read_are_told(told: dict[str, object]) -> None:
    with pytest.raises(Misconfigured):
        Rules.from_json(told)
