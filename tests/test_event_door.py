"""Does the door take every good event, and refuse every other in words, at little cost?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import BadInput
from domain.event import MAX_CONTENT, MAX_DEPTH, canonical, happened_at, parse_json, read_event, read_time
from domain.identifiers import Identifier, Ref
from tests.support.door import ANNA, CATALOGUE, SCALARS, event, refusal, through


def test_a_good_event_is_taken_apart() -> None:
    found = through(
        event(
            who=[ANNA, {"kind": "customer_no", "value": 17850, "namespace": "shop"}],
            parties=[{"role": "cc", "who": [{"kind": "email", "value": "bob@example.org"}]}],
            refs=[{"kind": "order", "value": 7}, {"kind": "ticket", "value": "T-1", "namespace": "zendesk"}],
            about=[{"relation": "answers", "source": "mail", "id": "m-1"}],
            actor={"kind": "team", "code": "returns"},
            senttime="2026-03-01T09:31:00Z",
            region="north",
        )
    )
    assert found.who == (Identifier("email", "anna@example.org"), Identifier("customer_no", "17850", "shop"))
    assert found.parties[0].role == "cc"
    assert found.refs == (Ref("order", "7"), Ref("ticket", "T-1", "zendesk"))
    assert (found.about[0].relation, found.about[0].source, found.about[0].id) == ("answers", "mail", "m-1")
    assert (found.actor, found.channel, found.direction) == ("team:returns", "note", None)
    assert found.time == "2026-03-01T09:30:00+01:00"
    assert found.extensions == {"region": "north"}
    assert (found.public, found.personal) == ({}, {"text": "Call back"})


def test_the_channel_of_the_event_wins_over_that_of_its_type() -> None:
    raw = event()
    raw["data"]["channel"] = "shop"
    assert through(raw).channel == "shop"


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T09:30:00Z",
        "2026-03-01t09:30:00z",
        "2026-03-01 09:30:00+01:00",
        "2026-03-01T09:30:00.123456789-00:00",
        "1900-01-01T00:00:00+23:59",
        "2199-12-31T23:59:59.999999-23:59",
    ],
)
def test_a_time_of_rfc_3339_is_kept_as_sent_and_read_alike_by_the_projector(text: str) -> None:
    assert through(event(time=text)).time == text
    assert msgspec.convert(text, datetime) == read_time(text)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("2026-03-01T09:30:00", "no offset; add Z"),
        ("0000-01-01T00:00:00Z", "not an RFC 3339 time"),
        ("0001-01-01T00:00:00+14:00", "not between the years 1900 and 2199"),
        ("1899-12-31T23:59:59Z", "not between the years 1900 and 2199"),
        ("2200-01-01T00:00:00Z", "not between the years 1900 and 2199"),
        ("9999-12-31T23:59:59-23:59", "not between the years 1900 and 2199"),
        ("2016-12-31T23:59:60Z", "a leap second; send second 59"),
        ("2026-02-29T00:00:00Z", "not an RFC 3339 time"),
        ("2026-03-01", "not an RFC 3339 time"),
        ("2026-03-01T09:30Z", "not an RFC 3339 time"),
        ("20260301T093000Z", "not an RFC 3339 time"),
        ("2026-W09-7T09:30:00Z", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00,5Z", "not an RFC 3339 time"),
        ("2026-03-01T24:00:00Z", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00+25:00", "not an RFC 3339 time"),
        ("\uff1226-03-01T09:30:00Z", "not an RFC 3339 time"),
        ("yesterday", "not an RFC 3339 time"),
        ("", "not an RFC 3339 time"),
        ("2026-03-01T09:30:00Z" + " " * 100, "longer than 64 characters"),
        (1772353800, "is not a text"),
        (None, "is not a text"),
    ],
)
def test_another_time_is_refused_and_told_why(text: Any, trouble: str) -> None:
    assert trouble in refusal(event(time=text))["time"]
    if text is not None:
        assert trouble in refusal(event(senttime=text))["senttime"]


def test_a_wrong_clock_is_corrected_and_the_future_counts_as_now_and_is_flagged() -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    hour = timedelta(hours=1)
    assert happened_at(now - hour, None, now) == (now - hour, False)
    assert happened_at(now + 5 * hour, now + 6 * hour, now) == (now - hour, False)
    assert happened_at(now + hour, None, now) == (now, True)
    for first in ("1900-01-01T00:00:00+23:59", "2199-12-31T23:59:59-23:59"):
        for second in ("1900-01-01T00:00:00+23:59", "2199-12-31T23:59:59-23:59"):
            assert happened_at(read_time(first), read_time(second), now)[0] <= now


# Hostile bodies: refusing them must not cost what the attacker's bytes would like it to, so each has a time limit


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"{", b"[1,]", b"NaN", b'{"a":Infinity}', b"-Infinity", b"01", b"'a'", b"\xef\xbb\xbf{}", b"// x\n1"],
        *[b'"\xff"', b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud800x"', b'"\n"', b'"\\x00"', b"\x00", b"1" * 5000],
        *[b"1e99999999999999999999", b"1e-99999999999999999999", "ä".encode("utf-16"), b"{} {}"],
    ],
    ids=repr,
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput, match="body: is not JSON"):
        parse_json(body)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("depth", [1_000, 10_000, 1_000_000])
def test_a_body_that_is_nested_without_end_is_refused(depth: int) -> None:
    for body in (b"[" * depth, b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        with pytest.raises(BadInput):
            parse_json(body)


def _deep(levels: int) -> Any:
    value: Any = "x"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.timeout(60)
def test_nesting_is_taken_up_to_its_limit_and_no_further() -> None:
    canonical(_deep(MAX_DEPTH))
    for levels in (MAX_DEPTH + 1, 500, 100_000):
        with pytest.raises(BadInput, match=r"is nested too deeply\. Send at most 64 levels"):
            canonical(_deep(levels))
    canonical(["[{" * 100, [1] * 100])  # many brackets are not yet deep
    amended = {"type": "form.submitted", "content": {"answers": _deep(200)}}
    about = [{"relation": "corrects", "source": "desk", "id": "other"}]
    assert "body" in refusal(event(type="event.amended", about=about, content=amended))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("count", [65, 1_000_000])
def test_too_many_of_anything_are_refused_at_little_cost(count: int) -> None:
    ref, about = {"kind": "order", "value": "1"}, {"relation": "answers", "source": "a", "id": "1"}
    for member, one in (("who", ANNA), ("refs", ref), ("about", about), ("parties", {"role": "cc", "who": [ANNA]})):
        raw = event(**{member: [one] * count})
        with pytest.raises(BadInput, match=rf"data\.{member}: has more than 64 items"):
            read_event(raw, CATALOGUE)
        with pytest.raises(BadInput, match=rf"data\.{member}"):
            read_event(event(**{member: [{}] * count}), CATALOGUE)


@pytest.mark.timeout(60)
def test_a_gigantic_text_is_refused_at_little_cost() -> None:
    huge = "x" * 20_000_000
    for changes in (
        {"id": huge},
        {"source": huge},
        {"type": huge},
        {"time": huge},
        {"dataschema": huge},
        {"who": [{"kind": "email", "value": huge}]},
        {"who": [{"kind": "email", "value": "a", "namespace": huge}]},
        {"refs": [{"kind": "order", "value": huge}]},
        {"content": {"text": huge}},
        {"content": {huge: "x"}},
        {huge: "x"},
        {"ext": huge},
    ):
        with pytest.raises(BadInput) as caught:
            read_event(event(**changes), CATALOGUE)
        assert len(str(caught.value.problems)) < 2000


def test_a_content_that_would_not_fit_on_the_log_is_refused_before_it_is_read() -> None:
    answers = {f"question {n}": "x" * 100_000 for n in range(12)}
    told = refusal(event(type="form.submitted", content={"answers": answers}))
    assert told["data"].startswith(f"is larger than {MAX_CONTENT:,} bytes. Send large content as a reference")


@pytest.mark.parametrize(
    ("changes", "field", "trouble"),
    [
        ({"content": {"text": "a\0b"}}, "data", "holds a NUL character"),
        ({"content": {"text": "a", "\0": 1}}, "data", "holds a NUL character"),
        ({"ext": "\0"}, "data", "holds a NUL character"),
        ({"e\0": "x"}, "data", "holds a NUL character"),
        ({"id": "a\0"}, "id", "holds a NUL character"),
        ({"who": [{"kind": "email", "value": "a\0"}]}, "data.who[0].value", "holds a NUL character"),
        ({"source": "a\nb"}, "source", "holds a blank or control character"),
        ({"source": "a\0b"}, "source", "holds a blank or control character"),
        ({"refs": [{"kind": "order", "value": "a\nb"}]}, "data.refs[0].value", "holds a control character"),
        ({"actor": {"code": "a\x7f"}}, "data.actor.code", "holds a control character"),
        (
            {"who": [{"kind": "email", "value": "a", "namespace": "A b"}]},
            "data.who[0].namespace",
            "Use small letters",
        ),
        ({"who": [{"kind": "name", "value": "a"}]}, "data.who[0].kind", "is none of the known values"),
        ({"who": [{"kind": "email", "value": 1.5}]}, "data.who[0].value", ""),
        ({"who": [{"kind": "email", "value": True}]}, "data.who[0].value", "is not a text"),
        ({"who": [{"kind": "email", "value": "a", "x": 1}]}, "data.who[0].x", "is no field here"),
        ({"who": [{"kind": "email"}]}, "data.who[0].value", "is missing"),
        ({"who": {}}, "data.who", "is not a list"),
        ({"who": [[]]}, "data.who[0]", "is not an object"),
        ({"parties": [{"role": "cc", "who": []}]}, "data.parties[0].who", "has fewer than 1 items"),
        ({"refs": [{"kind": "order", "value": ""}]}, "data.refs[0].value", "is too short"),
        (
            {"about": [{"relation": "denies", "source": "a", "id": "1"}]},
            "data.about[0].relation",
            "none of the known",
        ),
        ({"content": []}, "data.content", "is not an object"),
        ({"content": None}, "data.content", "is not an object"),
        ({"data": None}, "data", "is not an object"),
        ({"data": "x"}, "data", "is not an object"),
        ({"specversion": "0.3"}, "specversion", "is none of the known values"),
        ({"specversion": 1.0}, "specversion", "is none of the known values"),
        ({"type": "nothing.known"}, "type", "is not in the catalogue"),
        ({"type": ["note.added"]}, "type", "is not a text"),
        ({"id": ""}, "id", "is too short"),
        ({"id": 5}, "id", "is not a text"),
        ({"datacontenttype": "text/xml"}, "datacontenttype", "is none of the known values"),
        ({"ext": {"a": 1}}, "ext", "is not a CloudEvents attribute"),
        ({"data_base64": "eA=="}, "data_base64", "is not a CloudEvents attribute"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(changes: dict[str, Any], field: str, trouble: str) -> None:
    if field == "data.who[0].value" and not trouble:
        assert through(event(**changes)).who == (Identifier("email", "1.5"),)
        return
    assert trouble in refusal(event(**changes))[field]


def test_the_text_backslash_u0000_is_no_nul() -> None:
    for text in ("\\u0000", "\\\\u0000", "x\\"):
        assert through(event(content={"text": text})).personal == {"text": text}
    assert "data" in refusal(event(content={"text": "\\\0"}))


def test_an_event_that_is_no_object_is_refused() -> None:
    for raw in (None, 1, "x", [], [event()]):
        assert "event" in refusal(raw)


def test_no_problem_repeats_what_was_sent() -> None:
    canary = "anna-canary@example.org"
    raw = event(
        id=[canary],
        source=f"{canary} ",
        time=canary,
        who=[{"kind": canary, "value": [canary], "namespace": canary}],
        refs=canary,
        about=[canary],
        actor={"kind": canary, "code": {"a": canary}},
    )
    assert len(refusal(raw)) >= 8
    assert "canary" not in str(refusal(raw))


# For all


_attributes = st.sampled_from(
    [*event(), "senttime", "dataschema", "datacontenttype", "data_base64", "traceparent", "ext"]
)
_members = st.sampled_from(
    ["who", "parties", "refs", "about", "actor", "channel", "content", "kind", "value", "role"]
)
_anything = st.recursive(
    SCALARS
    | st.text(max_size=10)
    | st.floats()
    | st.integers()
    | st.sampled_from(
        ["email", "order", "note.added", "purchase.made", "event.amended", "form.submitted", "1.0", "GBP"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_members | st.text(max_size=8), inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(_attributes, _anything, max_size=4), st.dictionaries(_members, _anything, max_size=4), _anything
)
def test_whatever_comes_in_is_an_event_or_bad_input(attributes: dict[str, Any], members: Any, raw: Any) -> None:
    candidate = event()
    candidate["data"] = {**candidate["data"], **members}
    for one in ({**candidate, **attributes}, {**event(), **attributes}, candidate, raw):
        try:
            found = read_event(one, CATALOGUE)
        except BadInput as error:
            assert error.problems
            assert all(problem.trouble and problem.way_out for problem in error.problems)
        else:
            assert found.content
            msgspec.json.encode([found.public, found.personal, found.extensions])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_the_bytes_are_they_are_json_or_bad_input(body: bytes) -> None:
    try:
        value = parse_json(body)
    except BadInput:
        return
    canonical(value)


_OTHER = {"source": "crm/one", "id": "other"}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"about": [{"relation": "retracts", **_OTHER}]}, "data.about[0].relation", "is kept for event.retracted."),
        ({"about": [{"relation": "corrects", **_OTHER}]}, "data.about[0].relation", "is kept for event.amended."),
        (
            {"about": [{"relation": "answers", "source": "crm/me", "id": "1"}]},
            "data.about[0]",
            "names the event itself.",
        ),
    ],
)
def test_only_a_correction_corrects_and_nothing_speaks_of_itself(changes: Any, field: str, words: str) -> None:
    raw = event(source="crm/me", id="1")
    raw["data"] = {**raw["data"], **changes}
    with pytest.raises(BadInput) as refused:
        read_event(raw, CATALOGUE)
    assert (refused.value.problems[0].field, refused.value.problems[0].trouble) == (field, words)


@pytest.mark.parametrize("name", ["event.retracted", "event.amended"])
def test_a_correction_says_what_it_corrects(name: str) -> None:
    content = {} if name == "event.retracted" else {"type": "note.added", "content": {"text": "Right"}}
    with pytest.raises(BadInput) as refused:
        read_event(event(type=name, data={"content": content}), CATALOGUE)
    assert refused.value.problems[0].field == "data.about"


@pytest.mark.parametrize("name", ["Foo-Bar", "é", "data_base64", "a b"])
def test_a_name_that_no_attribute_can_have_is_refused(name: str) -> None:
    with pytest.raises(BadInput):
        read_event(event(**{name: "x"}), CATALOGUE)
