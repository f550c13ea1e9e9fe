"""Does the sample year hold what it promises, and is its truth the truth?"""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from adapters.sample import Sample, bulk, bulk_lines
from domain.catalogue import load_catalogue
from domain.event import happened_at, parse_json, read_event
from domain.identifiers import normalise

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


@cache
def sample() -> Sample:
    return Sample()


@cache
def events() -> list[dict[str, Any]]:
    return list(sample().events(NOW))


def test_every_event_is_good_at_the_door_and_marked_as_sample_data() -> None:
    catalogue = load_catalogue()
    for one in [*events(), *bulk(3_000, 100)]:
        event = read_event(parse_json(msgspec.json.encode(one)), catalogue)
        assert event.source.startswith("sample/")
        assert normalise("email", "a@example.org")
        assert datetime.fromisoformat(event.time) < NOW


def test_a_seed_gives_the_same_events_for_ever() -> None:
    """Pinned bytes: whoever runs the demo twice, on whatever Python, must add nothing twice."""
    plain = [{key: value for key, value in one.items() if key != "senttime"} for one in events()]
    digest = hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()
    assert digest[:16] == "e3278f9204636dbb"
    lines = hashlib.sha256(b"\n".join(bulk_lines(1_000))).hexdigest()
    assert lines[:16] == "c7ae3637efb78a97"
    assert list(Sample(seed=1).events(NOW)) != list(Sample(seed=2).events(NOW))


def test_one_name_has_one_content() -> None:
    contents: dict[tuple[str, str], Any] = {}
    for one in events():
        assert contents.setdefault((one["source"], one["id"]), one) == one
    assert len({(one["source"], one["id"]) for one in bulk(5_000)}) == 5_000


def test_the_truth_names_every_event_once_and_no_other() -> None:
    truth = sample().truth()
    told = [tuple(name) for person in truth["people"].values() for name in person["events"]]
    told += [tuple(name) for name in truth["things"]]
    assert len(told) == len(set(told)) == truth["events"]
    assert set(told) == {(one["source"], one["id"]) for one in events()}
    assert truth["publications"] == len(events())
    assert msgspec.json.decode(msgspec.json.encode(truth)) == truth


def test_only_the_telephones_that_are_shared_stand_beside_several_people() -> None:
    truth = sample().truth()
    owners: dict[tuple[str, str | None], set[str]] = {}
    for key, person in truth["people"].items():
        for one in person["identifiers"]:
            owners.setdefault((one["kind"], normalise(one["kind"], one["value"])), set()).add(key)
    shared = {frozenset(people) for people in owners.values() if len(people) > 1}
    assert shared == {frozenset(pair) for pair in truth["families"]} | {frozenset(truth["switchboard"])}


def test_the_year_has_several_channels_and_people_with_several_identifiers() -> None:
    channels = {one["source"].removeprefix("sample/") for one in events()}
    assert channels == {"web", "email", "chat", "phone", "shop", "helpdesk", "social", "survey", "crm"}
    people = sample().truth()["people"].values()
    assert len(people) == 200
    assert sum(len({one["kind"] for one in person["identifiers"]}) >= 3 for person in people) > 150
    names = "".join(person["name"] for person in people)
    assert {"Å", "ł", "田", "Ш"} & set(names)


def test_S05_members_look_around_as_nobody_before_they_sign_up() -> None:
    before = 0
    for person in sample().truth()["people"].values():
        names = {tuple(name) for name in person["events"]}
        own = [one for one in events() if (one["source"], one["id"]) in names]
        signed = [one["time"] for one in own if one["type"] == "form.submitted"]
        nameless = [one for one in own if [who["kind"] for who in one["data"].get("who", [])] == ["cookie"]]
        before += bool(signed) and any(one["time"] < min(signed) for one in nameless)
    assert before > 100


def test_some_arrive_late_some_twice_and_some_are_put_right() -> None:
    truth = sample().truth()
    assert len(truth["late"]) >= 20
    assert len(truth["twice"]) >= 50
    places = {(one["source"], one["id"]): place for place, one in enumerate(events())}
    times = [datetime.fromisoformat(one["time"]) for one in events()]
    source, name = truth["late"][0]
    assert any(time > times[places[source, name]] for time in times[: places[source, name]])
    relations = Counter(about["relation"] for one in events() for about in one["data"].get("about", []))
    assert relations == {"retracts": 1, "corrects": 1}


def test_with_senttime_a_wrong_clock_is_put_right() -> None:
    wrong = {tuple(one["event"]): one["happened"] for one in sample().truth()["wrong_clock"]}
    assert wrong
    for one in events():
        if (one["source"], one["id"]) in wrong:
            time, sent = datetime.fromisoformat(one["time"]), datetime.fromisoformat(one["senttime"])
            right, future = happened_at(time, sent, NOW)
            assert right == datetime.fromisoformat(wrong[one["source"], one["id"]])
            assert abs(right - time) > timedelta(minutes=1)
            assert not future


def test_S02_the_call_goes_on_with_the_chat_that_broke_off() -> None:
    truth = sample().truth()
    parts = truth["heroine"]["parts"]
    by_name = {(one["source"], one["id"]): one for one in events()}
    chat, call = by_name[tuple(parts["chat_broke_off"])], by_name[tuple(parts["call_went_on"])]
    talk = {"kind": "conversation", "value": "chat-88121"}
    assert talk in chat["data"]["refs"]
    assert talk in call["data"]["refs"]
    assert chat["time"] < call["time"]
    assert not any(one["type"] == "chat.ended" and talk in one["data"]["refs"] for one in events())
    number = {"kind": "customer_no", "value": truth["heroine"]["customer_no"]}
    assert number in chat["data"]["who"]
    assert number in call["data"]["who"]


def test_bulk_events_are_small_skewed_and_often_about_an_order() -> None:
    lines = list(bulk_lines(20_000, 5_000, seed=3))
    assert 280 < sum(map(len, lines)) / len(lines) < 360
    some = list(bulk(20_000, 5_000, seed=3))
    customers = Counter(one["data"]["who"][0]["value"] for one in some).most_common()
    assert customers[0][1] > 50 * customers[-1][1]
    assert len(customers) > 2_000
    assert 0.27 < sum("refs" in one["data"] for one in some) / len(some) < 0.33
    assert len({one["type"] for one in some}) >= 5
    even = Counter(one["data"]["who"][0]["value"] for one in bulk(20_000, 100, skew=0))
    assert even.most_common(1)[0][1] < 300
