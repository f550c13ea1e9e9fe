"""Which customers does a search find, in which order, and what may it cost?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.directory.asking import asked, unseen
from projections.directory.likening import spans
from projections.directory.reader import settled_name
from tests.support.api import BATCH, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.story import event

ZOE = [
    {"kind": "customer_no", "value": "C-4711"},
    {"kind": "email", "value": "zoe.lindqvist@example.org"},
    {"kind": "phone", "value": "020 7946 0958"},
]
COOKIE = {"kind": "cookie", "value": "Qx81-77ab-ZOE"}


def _profile(number: str, who: list[dict[str, str]], **content: Any) -> dict[str, Any]:
    return event(number, type="profile.updated", data={"who": who, "content": content})


def _mail(number: str, minutes: int, *who: dict[str, str], **data: Any) -> dict[str, Any]:
    return event(number, time=f"2026-03-01T10:{minutes:02}:00Z", data={"who": list(who), **data})


def _email(name: str) -> dict[str, str]:
    return {"kind": "email", "value": f"{name}@example.org"}


def _history() -> list[dict[str, Any]]:
    ann, two = _email("ann.berg"), [_email("berg.one"), _email("berg.two")]
    order = [{"kind": "order", "value": "O-20077"}, {"kind": "ticket", "value": "T-5"}]
    return [
        _profile("zoe", ZOE, name="Zoë Lindqvist"),
        _mail("zoe-order", 1, ZOE[1], COOKIE, refs=order),
        _profile("ann", [ann], given_name="Ann", family_name="Berg"),
        _mail("ann-mail", 3, ann),
        _profile("one", two[:1], name="Maja Berg"),
        _mail("one-mail", 9, *two[:1]),
        _profile("two", two[1:], name="Maja Berg"),
        _mail("two-mail", 5, *two[1:]),
        _mail("merging", 6, *two[1:], {"kind": "customer_no", "value": "C-9"}),
        _profile("long", [_email("long")], name="Erik Johan van der Solberg"),
    ]


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """A server with a few customers."""
    with running_api(postgres, tmp_path_factory.mktemp("search")) as running:
        with running.client("publish") as client:
            answer = client.post("/v1/events", json=_history(), headers={"content-type": BATCH})
            assert answer.status_code == 202, answer.text
        running.project()
        yield running


@pytest.fixture(scope="module")
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("read") as one:
        yield one


def _search(client: httpx.Client, q: str, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/search", json={"q": q, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def _names(client: httpx.Client, q: str, **more: Any) -> list[str | None]:
    return [one.get("name") for one in _search(client, q, **more)["customers"]]


# Story S01: whatever the caller says about herself, the agent sees one customer


@pytest.mark.parametrize(
    ("q", "how", "what"),
    [
        ("Zoë Lindqvist", "exact", "name"),
        ("lindqvist, ZOE", "exact", "name"),
        ("Zoe.Lindqvist@Example.org", "exact", "email"),
        ("+44 20 7946 0958", "exact", "phone"),
        ("(020) 7946-0958", "exact", "phone"),
        ("c-4711", "exact", "customer_no"),
        ("O-20077", "exact", "order"),
        ("#t-5", "exact", "ticket"),
        ("lindq", "begins", "name"),
        ("zoe.lin", "begins", "email"),
        ("020 7946", "begins", "phone"),
        ("o-200", "begins", "order"),
        ("lindqvst", "alike", "name"),
        ("Zoe Lindkvist", "alike", "name"),
        ("lindqivst zoe", "alike", "name"),
        ("zoe.lindqvst@example.org", "alike", "email"),
        ("Qx81-77ab-ZOE", "exact", "cookie"),
    ],
)
def test_S01_a_customer_is_found_by_whatever_she_says_about_herself(
    client: httpx.Client, q: str, how: str, what: str
) -> None:
    [found] = _search(client, q)["customers"]
    assert found["name"] == "Zoë Lindqvist"
    assert {"kind": "email", "value": "zoe.lindqvist@example.org"} in found["identifiers"]
    assert (found["why"][0]["how"], found["why"][0]["what"]) == (how, what)
    assert found["touchpoints"] == 1
    assert found["last_contact"] == "2026-03-01T10:01:00Z"


def test_S01_all_ways_lead_to_one_id_which_opens_her_story(client: httpx.Client) -> None:
    ways = ("zoe lindqvist", "zoe.lindqvist@example.org", "02079460958", "O-20077")
    [one] = {_search(client, q)["customers"][0]["id"] for q in ways}
    story = client.get(f"/v1/customers/{one}/timeline").json()
    assert {item["id"] for item in story["items"]} == {"e-zoe", "e-zoe-order"}


# In which order


def test_an_identifier_goes_before_a_name_and_a_name_before_what_begins_so() -> None:
    ranked = asked("ann", "GB")
    assert ("customer_no", "ann") in ranked.exact
    assert ("name", "ann") in ranked.exact
    assert ranked.prefixes == ["ann"]


def test_of_equals_the_one_who_was_met_last_comes_first(client: httpx.Client) -> None:
    found = _search(client, "berg")["customers"]
    assert [one["name"] for one in found] == ["Maja Berg", "Maja Berg", "Ann Berg"]
    assert [one["last_contact"][14:16] for one in found] == ["09", "06", "03"]


def test_what_is_typed_exactly_hides_what_is_merely_alike(client: httpx.Client) -> None:
    assert _names(client, "ann berg") == ["Ann Berg"]
    assert _search(client, "ann berg")["customers"][0]["why"] == [
        {"how": "exact", "what": "name", "found": "ann berg"}
    ]
    [alike] = _search(client, "ann bergg")["customers"]
    assert alike["why"] == [{"how": "alike", "what": "name", "found": "ann berg", "likeness": 0.9}]


def test_a_long_name_is_found_by_each_of_its_words_and_by_the_outer_ones_in_either_order(
    client: httpx.Client,
) -> None:
    for q in ("erik solberg", "Solberg Erik", "erik johan", "van", "solb", "erik solbreg"):
        assert "Erik Johan van der Solberg" in _names(client, q), q


def test_a_merged_customer_is_found_once(api: RunningApi, client: httpx.Client) -> None:
    first, second = _email("merge.a"), _email("merge.b")
    parties = [{"role": "same", "who": [second]}]
    events = [
        _profile("merge-a", [first], name="Ottilie Sandgren"),
        _profile("merge-b", [second], name="Ottilie Sandgren"),
    ]
    api.story.publish(*events)
    api.project()
    assert len(_search(client, "ottilie sandgren")["customers"]) == 2
    api.story.publish(
        event("merged", type="identity.merged", data={"who": [first], "parties": parties, "content": {}})
    )
    api.project()
    [found] = _search(client, "ottilie sandgren")["customers"]
    assert {one["value"] for one in found["identifiers"]} == {"merge.a@example.org", "merge.b@example.org"}


def test_a_name_that_was_retracted_finds_nobody(api: RunningApi, client: httpx.Client) -> None:
    who = [_email("wrong")]
    api.story.publish(_profile("wrong", who, name="Wilhelmina Falsch"))
    api.project()
    assert _names(client, "wilhelmina") == ["Wilhelmina Falsch"]
    about = [{"relation": "retracts", "source": "test/mail", "id": "e-wrong"}]
    api.story.publish(event("taken-back", type="event.retracted", data={"who": who, "about": about, "content": {}}))
    api.project()
    for q in ("wilhelmina falsch", "wilhelm", "falsch", "wilhelmina flasch"):
        assert not _names(client, q), q
    assert _search(client, "wrong@example.org")["customers"]


# What is bounded, and refused


def test_no_more_come_than_were_asked_for_and_more_says_so(client: httpx.Client) -> None:
    found = _search(client, "berg", limit=2)
    assert len(found["customers"]) == 2
    assert found["more"]
    assert not _search(client, "berg")["more"]


def test_a_thousand_evidences_of_one_customer_hide_no_other(api: RunningApi, client: httpx.Client) -> None:
    who = _email("aaa.busy")
    for start in range(0, 1000, 500):
        cookies = [{"kind": "cookie", "value": f"busy-{number}"} for number in range(start, start + 500)]
        api.story.publish(*[_mail(f"busy-{one['value']}", 1, who, one) for one in cookies])
    api.story.publish(_mail("after", 1, _email("aaa.quiet")))
    api.project()
    found = _search(client, "aaa.")["customers"]
    assert {one["identifiers"][0]["value"] for one in found} == {"aaa.busy@example.org", "aaa.quiet@example.org"}
    assert {one["why"][0]["how"] for one in found} == {"begins"}


@pytest.mark.parametrize("q", ["%", "_", "\\", "'", "a%b", "##", "ß" * 200, "🦊", "e-mail:", "\u202e", "\uffff", "İ"])
def test_odd_letters_are_letters(client: httpx.Client, q: str) -> None:
    assert _search(client, q)["customers"] == [] or q == "e-mail:"


@pytest.mark.parametrize(
    "body",
    [{}, {"q": ""}, {"q": "  "}, {"q": "a\0b"}, {"q": "a" * 201}, {"q": "a", "limit": 51}, {"q": "a", "limit": 0},
     {"q": "a", "cursor": "x"}, {"q": ["a"]}],
)  # fmt: skip
def test_what_is_no_search_is_refused_in_words(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["way_out"]


def test_only_who_may_read_what_is_personal_may_search(api: RunningApi) -> None:
    with api.client("read-sealed", "publish") as other:
        assert other.post("/v1/search", json={"q": "zoe"}).status_code == 403


def test_what_was_searched_for_stands_in_no_log_line(api: RunningApi, client: httpx.Client) -> None:
    _search(client, "Sonderbarlich Unvergesslich")
    client.post("/v1/search", json={"q": "Sonderbarlich" * 20})
    assert "onderbarlich" not in api.printed()


# The pure parts


@given(st.text(max_size=200))
def test_whatever_is_typed_can_be_looked_for(text: str) -> None:
    found = asked(text, "GB")
    assert all(term and "\0" not in term for _, term in found.exact)
    assert all(found.prefixes)
    assert len(found.words) <= 2
    assert len(unseen(text)) <= 2


def test_a_number_is_dialled_from_within_and_from_abroad() -> None:
    assert "442079" in asked("020 79", "GB").prefixes
    assert "492079" in asked("020 79", "DE").prefixes
    assert "442079" in asked("0044 20 79", "DE").prefixes
    assert "442079" in asked("+44 (20) 79", "DE").prefixes


def test_the_likeliest_words_come_first_in_either_order() -> None:
    found = spans(["zoe", "lindqvst"], [("zoe", "zoe"), ("lindqvst", "lindqvist"), ("lindqvst", "lindberg")])
    assert [one.low for one in found[:2]] == ["lindqvist zoe", "zoe lindqvist"]
    assert spans(["smi"], [("smi", "smith")])[0].likeness == 0.9
    assert spans(["zoe"], [("zoe", "xavier")]) == []


def test_the_latest_word_on_each_part_of_a_name_counts() -> None:
    assert settled_name([]) is None
    assert settled_name([('"Zoe L"', None, None), ('"Old"', '"Zoe"', '"Lind"')]) == "Zoe L"
    assert settled_name([(None, '"Zoe"', None), (None, '"Old"', '"Lind"')]) == "Zoe Lind"
    assert settled_name([("null", None, None), ('"Old"', '"Zoe"', '"Lind"')]) == "Zoe Lind"
    assert settled_name([("null", "null", "null"), ('"Old"', '"Zoe"', '"Lind"')]) is None
