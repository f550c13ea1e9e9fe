"""Does what was parked get through once its type, its shape or the event itself is mended?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from commands.parking import Parking
from commands.publishing import Publisher, Rights
from domain.catalogue import builtin, deployment
from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, Forbidden
from projections.runner import Parked
from tests.support.letters import logged, message, park_records, parking_of
from tests.support.story import Story, event, story


@pytest.fixture
def small(database: str, log_url: str) -> Iterator[Story]:
    with story(database, log_url) as made:
        yield made


@pytest.fixture
def parking(small: Story) -> Iterator[Parking]:
    with parking_of(small) as made:
        yield made


def course(version: int, upcasters: Any = None, **properties: Any) -> deployment.DeploymentType:
    spec = {
        "type": "course.enrolled",
        "version": version,
        "category": "touchpoint",
        "doc": "A customer enrolled in a course.",
        "line": "Enrolled in {course}",
        "schema": {
            "type": "object",
            "required": ["course", *properties],
            "additionalProperties": False,
            "properties": {"course": {"type": "string", "maxLength": 40, "x-public": True}, **properties},
        },
        "upcasters": upcasters or {},
    }
    return deployment.DeploymentType(spec)


def enrolled(number: int, content: Any, version: int | None = None) -> dict[str, Any]:
    raw = event(number, type="course.enrolled", data={"content": content})
    return raw if version is None else {**raw, "dataschema": f"https://example.org/course.enrolled/{version}"}


def publisher_of(small: Story, *types: deployment.DeploymentType) -> Publisher:
    catalogue = Catalogue([*builtin(), *types])
    return Publisher(catalogue, small.sealer, small.log)


def test_S70_a_new_type_an_upcaster_or_a_newer_version_lets_parked_events_through(small: Story) -> None:
    rights = Rights(("test/*",), ("course.*",))
    types: list[Publisher] = [small.publisher]
    with parking_of(small, publisher=lambda: types[0], rights=lambda topic: rights) as parking:
        raw = [
            enrolled(1, {"course": "Baking"}),
            enrolled(2, {"class": "Bread"}, 1),
            enrolled(3, {"course": "Cakes"}, 3),
        ]
        parking.park_many([message(n, one) for n, one in enumerate(raw)])

        def reasons() -> dict[int, str]:
            parking.redrive_many(by="cli")
            return {int(one.offset or 0): one.reason for one in parking.list()[0]}

        assert reasons() == dict.fromkeys(range(3), "unknown-type")
        assert [(kind.reason, kind.type, kind.letters) for kind in parking.kinds()[0]] == [
            ("unknown-type", "course.enrolled", 3)
        ]
        types[0] = publisher_of(small, course(1))
        assert reasons() == {1: "bad-input", 2: "unknown-type"}
        types[0] = publisher_of(small, course(2, {"1": [{"rename": {"class": "course"}}]}))
        assert reasons() == {2: "unknown-type"}
        types[0] = publisher_of(small, course(3, {"1": [{"rename": {"class": "course"}}], "2": [{}]}))
        assert reasons() == {}
    assert logged(small) == 3


def test_S70_one_event_is_corrected_under_its_own_name(parking: Parking, small: Story) -> None:
    wrong = event(1, data={"content": {"subject": ["not", "text"]}})
    parking.park_many([message(1, wrong), message(2, b"{broken")])
    first, second = parking.list()[0]
    with pytest.raises(BadInput, match=r"event\.id"):
        parking.amend(first.id, event(2), "wrong", by="abc")
    with pytest.raises(BadInput, match=r"event\.source"):
        parking.amend(first.id, event(1, source="test/other"), "wrong", by="abc")
    with pytest.raises(BadInput, match="subject"):
        parking.amend(first.id, wrong, "wrong", by="abc")
    with pytest.raises(BadInput, match="why"):
        parking.amend(first.id, event(1), "", by="abc")
    with pytest.raises(Forbidden):
        parking.amend(first.id, event(1), "wrong", by="abc", rights=Rights(("shop/*",), ("*",)))
    with pytest.raises(Forbidden):
        parking.amend(second.id, event(1, source="else/where"), "wrong", by="abc")
    assert logged(small) == 0
    settled = parking.amend(first.id, event(1), "subject was a list", by="abc")
    assert (settled.status, settled.status_by) == ("redriven", "abc")
    assert [(step.did, step.by, step.why) for step in settled.history[:1]] == [
        ("amended", "abc", "subject was a list")
    ]
    assert parking.amend(second.id, event(2), "broken JSON", by="abc").status == "redriven"
    with pytest.raises(BadInput, match="redriven already"):
        parking.amend(first.id, event(1), "again", by="abc")
    assert logged(small) == 2


def test_a_record_of_the_log_is_not_corrected_in_place(parking: Parking, small: Story) -> None:
    park_records(parking, small, Parked("poison", "Not read.", 0, 0, b"", b"garbage"))
    with pytest.raises(BadInput, match="Publish the right event"):
        parking.amend(parking.list()[0][0].id, event(1), "wrong", by="abc")
