"""Can a deployment add types of its own by JSON Schema, safely, and with errors that say what to do?"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from domain.catalogue import builtin, load_catalogue
from domain.catalogue.base import Money, join
from domain.catalogue.deployment import DeploymentType, deployment_types
from domain.catalogue.dialect import KEYWORDS
from domain.catalogue.schemas import asyncapi, event_schema
from domain.errors import BadInput, Misconfigured
from domain.event import parse_json, read_event
from storyline.types import read_types

DOCS = Path(__file__).parent.parent / "docs" / "event-types.md"
EXAMPLE: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)[0])


def spec(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(EXAMPLE), **changes}


def with_schema(**properties: Any) -> dict[str, Any]:
    """A type with these properties, and nothing that needs others."""
    made = spec(version=1, line="Enrolled", upcasters={})
    del made["money"]
    made["schema"] = {"type": "object", "properties": properties}
    return made


def read(made: dict[str, Any], content: str | dict[str, Any], version: int | None = None) -> Any:
    """(public, personal) of a content given as JSON, as the door would read it."""
    own = DeploymentType(parse_json(json.dumps(made).encode()), "course.json")
    sent = parse_json((content if isinstance(content, str) else json.dumps(content)).encode())
    return own.read(sent, version or own.version)[:2]


def test_the_documented_example_is_a_type_that_works() -> None:
    catalogue = load_catalogue(deployment_types([("course.json", EXAMPLE)], [one.name for one in builtin()]))
    body = {
        "specversion": "1.0",
        "source": "academy",
        "id": "1",
        "type": "course.enrolled",
        "time": "2026-03-01T09:30:00Z",
        "data": {
            "content": {"course": "KNIT-1", "fee": 12.50, "currency": "GBP", "room": {"name": "Blue", "seats": 3.0}}
        },
    }
    event = read_event(parse_json(json.dumps(body).encode()), catalogue)
    assert event.public == {"course": "KNIT-1", "fee": Decimal("12.5"), "currency": "GBP", "room": {"seats": 3}}
    assert event.personal == {"room": {"name": "Blue"}}
    assert (event.channel, event.direction, event.version) == ("academy", "in", 2)
    content, line, money = catalogue.show(event.type, event.version, event.public, event.personal)
    assert content == body["data"]["content"]  # type: ignore[index]
    assert (line, money) == ("Enrolled in KNIT-1, Blue", Money(Decimal("12.5"), "GBP"))
    _, line, money = catalogue.show(event.type, event.version, event.public, None)
    assert (line, money) == ("Enrolled in KNIT-1, (not known)", Money(Decimal("12.5"), "GBP"))


def test_an_older_version_is_raised_by_the_declared_steps() -> None:
    public, personal = read(EXAMPLE, {"class": "KNIT-1", "floor": 3}, version=1)
    assert (public, personal) == ({"course": "KNIT-1", "fee": 0}, {})
    own = DeploymentType(EXAMPLE)
    assert own.raise_to_current({"class": "K"}, 1) == {"course": "K", "fee": 0}
    assert own.raise_to_current({"course": "K"}, 2) == {"course": "K"}
    assert own.raise_to_current(None, 1) is None


def test_a_type_of_the_deployment_stands_in_the_documents_and_can_be_amended() -> None:
    own = DeploymentType(EXAMPLE)
    schema = event_schema(own)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["course"]["x-public"] is True
    assert schema["properties"]["fee"]["multipleOf"] == 0.01
    catalogue = load_catalogue([own])
    assert "course.enrolled" in json.dumps(asyncapi(catalogue))
    amended = {"type": "course.enrolled", "content": {"course": "K", "room": {"name": "Blue"}}}
    amendment = catalogue.get("event.amended")
    assert amendment is not None
    public, personal, _ = amendment.read(amended, 1)
    assert (public["content"], personal["content"]) == ({"course": "K", "room": {}}, {"room": {"name": "Blue"}})


def test_decimals_are_compared_exactly() -> None:
    made = with_schema(price={"type": "number", "multipleOf": 0.01, "minimum": 0, "x-public": True})
    for good in ("0.07", "12.5", "1e3", "0.010", "4999999999999999999.99", "3"):
        assert read(made, f'{{"price": {good}}}')
    for bad in ("0.075", "1e-9", "-0.01", "1e9000", "1e-9000", '"1"', "true", "null"):
        with pytest.raises(BadInput, match=r"data\.content\.price"):
            read(made, f'{{"price": {bad}}}')
    bounded = DeploymentType(with_schema(n={"minimum": 0.1, "maximum": 0.1}, m={"enum": [0.1]}))
    assert bounded.read({"n": Decimal("0.1"), "m": Decimal("0.1")}, 1)
    assert read(with_schema(n={"type": "integer"}), '{"n": 3.0}') == ({}, {"n": 3})


def test_marks_in_nested_objects_and_arrays_are_followed() -> None:
    guest = {
        "type": "object",
        "properties": {"age": {"type": "integer", "x-public": True}, "name": {"type": "string"}},
    }
    made = with_schema(
        guests={"type": "array", "items": guest},
        tags={"type": "array", "items": {"type": "string", "maxLength": 20}, "x-public": True},
        place={"type": ["object", "null"], "properties": {"at": guest}},
    )
    content = {
        "guests": [{"age": 3, "name": "A"}, {"name": "B"}],
        "tags": ["x", "y"],
        "place": {"at": {"age": 5, "name": "C"}},
        "other": {"age": 9},
    }
    public, personal = read(made, content)
    assert public == {"guests": [{"age": 3}, {}], "tags": ["x", "y"], "place": {"at": {"age": 5}}}
    assert personal == {
        "guests": [{"name": "A"}, {"name": "B"}],
        "place": {"at": {"name": "C"}},
        "other": {"age": 9},
    }
    assert join(public, personal) == content
    assert read(made, {"place": None}) == ({}, {"place": None})


def test_an_error_names_field_trouble_and_way_out_and_never_the_value() -> None:
    canary = "anna-canary@example.org"
    content = {"course": canary * 3, "fee": canary, "currency": canary, "room": [canary], "nonsense": canary}
    with pytest.raises(BadInput) as caught:
        read(EXAMPLE, content)
    told = {problem.field: f"{problem.trouble} {problem.way_out}" for problem in caught.value.problems}
    assert told["data.content.course"] == "is longer than 40 characters. Shorten it."
    assert told["data.content.fee"] == "is not of the right type. Send number."
    assert told["data.content.nonsense"].startswith("is no field here.")
    assert told["data.content.room"] == "is not of the right type. Send object."
    assert "canary" not in str(caught.value.problems)
    with pytest.raises(BadInput, match=r"data\.content\.course: is missing\. Add it\."):
        read(EXAMPLE, {})


def test_a_public_code_is_no_address() -> None:
    with pytest.raises(BadInput, match=r"data\.content\.course: is not a code"):
        read(EXAMPLE, {"course": "anna@example.org"})
    tags = {"type": "array", "items": {"type": "string", "maxLength": 50}, "x-public": True}
    with pytest.raises(BadInput, match="is not a code"):
        read(with_schema(tags=tags), {"tags": ["fine", "anna@example.org"]})


def test_only_the_first_twenty_problems_are_told_of_a_million() -> None:
    made = with_schema(n={"type": "array", "items": {"type": "integer"}})
    with pytest.raises(BadInput) as caught:
        DeploymentType(made).read({"n": ["x"] * 1_000_000}, 1)
    assert len(caught.value.problems) == 20


@pytest.mark.timeout(60)  # a backtracking matcher would need longer than the universe has
def test_no_pattern_is_slow() -> None:
    made = with_schema(code={"type": "string", "pattern": "^(a+)+$"})
    own = DeploymentType(made)
    with pytest.raises(BadInput, match="does not have the form"):
        own.read({"code": "a" * 100_000 + "!"}, 1)


def _nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def _laughs() -> dict[str, Any]:
    """Small on paper, 4 to the 12th when written out."""
    made = with_schema(a={"$ref": "#/$defs/d12"})
    made["schema"]["$defs"] = {"d0": {"type": "string"}} | {
        f"d{n}": {"type": "object", "properties": {key: {"$ref": f"#/$defs/d{n - 1}"} for key in "abcd"}}
        for n in range(1, 13)
    }
    return made


def _recursive() -> dict[str, Any]:
    made = with_schema(a={"$ref": "#/$defs/node"})
    made["schema"]["$defs"] = {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}
    return made


BAD = {
    "no object": ([], "course.json"),
    "no type": ({}, "type is missing"),
    "a bad name": (spec(type="Course"), "type"),
    "a family of ours": (spec(type="identity.guessed"), r"the family identity\.… is Storyline's own"),
    "a correction": (spec(type="event.undone"), "the family event"),
    "a system family": (spec(type="segment.shrunk"), "the family segment"),
    "a system type": (spec(category="system"), "category is none of the known values"),
    "an unknown field": (spec(colour="red"), "colour is no field here"),
    "no schema of an object": (spec(schema={"type": "string"}), "describes no object"),
    "no schema at all": (spec(schema=[]), "schema is not an object"),
    "a broken schema": (with_schema(a={"type": "text"}), r"schema\.properties\.a\.type is no JSON Schema"),
    "a bound that is no number": (with_schema(a={"minLength": "x"}), "is no JSON Schema"),
    "a schema on the net": (with_schema(a={"$ref": "https://x.example/s"}), "refers to what is not in"),
    "a file": (with_schema(a={"$ref": "other.json"}), "refers to what is not in"),
    "a lost reference": (with_schema(a={"$ref": "#/$defs/lost"}), "refers to what is not in"),
    "a reference to the root": (with_schema(a={"$ref": "#"}), "refers to what is not in"),
    "a reference that is no text": (with_schema(a={"$ref": 5}), "refers to what is not in"),
    "a recursive schema": (_recursive(), "refers to itself"),
    "a billion laughs": (_laughs(), "too large or too deep"),
    "a deep schema": (with_schema(a=_nested(40)), "too large or too deep"),
    "alternatives": (with_schema(a={"anyOf": [{"type": "string"}]}), "uses anyOf, which is not allowed"),
    "an identifier": (with_schema(a={"$id": "x", "$dynamicRef": "#y"}), r"uses \$dynamicRef, \$id"),
    "a schema that is true": (with_schema(a=True), "schema/a is not an object"),
    "look-around": (with_schema(a={"pattern": "(?=a)b"}), "schema/a/pattern is not a pattern that is safe"),
    "a back-reference": (with_schema(a={"pattern": r"(a)\1"}), "safe to run"),
    "a huge pattern": (with_schema(a={"pattern": "a{1000}{1000}"}), "safe to run"),
    "a long pattern": (with_schema(a={"pattern": "a" * 201}), "safe to run"),
    "a public text": (with_schema(a={"type": "string", "x-public": True}), "only codes are public"),
    "a public object": (with_schema(a={"type": "object", "x-public": True}), "only a field with a plain type"),
    "public anything": (with_schema(a={"x-public": True}), "only a field with a plain type"),
    "a public array of anything": (with_schema(a={"type": "array", "items": True, "x-public": True}), "plain type"),
    "a mark that is no mark": (with_schema(a={"type": "integer", "x-public": "yes"}), "x-public that is not true"),
    "a marked item": (
        with_schema(a={"type": "array", "items": {"type": "integer", "x-public": True}}),
        "mark the array itself",
    ),
    "a line of what is not there": (spec(line="{nothing}"), "line names nothing"),
    "money of what is not there": (spec(money={"amount": "x", "currency": "currency"}), "money names x"),
    "personal money": (spec(money={"amount": "room.name", "currency": "currency"}), "which is not marked"),
    "a missing upcaster": (
        spec(upcasters={}),
        "that version 2 needs; give one for each of 1",
    ),
    "an upcaster too many": (spec(upcasters={"1": [], "2": []}), "upcasters are not those"),
    "an unknown step": (spec(upcasters={"1": [{"copy": {}}]}), "copy is no field here"),
}


@pytest.mark.parametrize(("made", "told"), BAD.values(), ids=BAD.keys())
def test_a_bad_type_is_refused_with_its_file_and_what_to_do(made: Any, told: str) -> None:
    with pytest.raises(Misconfigured, match=told) as caught:
        DeploymentType(made, "course.json")
    assert caught.value.detail.startswith("course.json: ")


def test_names_that_are_taken_are_refused() -> None:
    taken = [one.name for one in builtin()]
    for name in ("purchase.made", "profile.updated"):
        with pytest.raises(Misconfigured, match=rf"mine\.json: {name} is already the name of a built-in type"):
            deployment_types([("mine.json", spec(type=name))], taken)
    with pytest.raises(Misconfigured, match=r"b\.json: course\.enrolled is already the name of the type in a\.json"):
        deployment_types([("a.json", EXAMPLE), ("b.json", EXAMPLE)], taken)


def test_every_keyword_is_documented() -> None:
    text = DOCS.read_text("utf-8")
    assert not [keyword for keyword in KEYWORDS if f"`{keyword}`" not in text]


def test_the_folder_is_read_and_what_is_wrong_in_it_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "course.json").write_text(json.dumps(EXAMPLE))
    (tmp_path / "readme.txt").write_text("not a type")
    assert [one.name for one in read_types(tmp_path)] == ["course.enrolled"]
    assert read_types(None) == []
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(Misconfigured, match=r"broken\.json: is not JSON"):
        read_types(tmp_path)
    (tmp_path / "broken.json").write_text(json.dumps(spec(type="purchase.made")))
    with pytest.raises(Misconfigured, match=r"broken\.json: purchase\.made is already"):
        read_types(tmp_path)
    with pytest.raises(Misconfigured, match="names no folder"):
        read_types(tmp_path / "missing")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
_spec_like = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "string", ["integer", "null"], "array", 5]),
        "properties": st.dictionaries(st.sampled_from(["a", "b"]), _json, max_size=2),
        "items": _json,
        "pattern": st.text(max_size=5) | st.integers(),
        "required": _json,
        "multipleOf": _json,
        "enum": _json,
        "x-public": _json,
        "$defs": _json,
        "maxLength": _json,
        "additionalProperties": _json,
    },
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b"]), _spec_like, max_size=2), _spec_like, _json, _json)
def test_any_schema_is_a_type_or_misconfigured_and_any_content_is_read_or_bad_input(
    properties: Any, top: Any, a: Any, b: Any
) -> None:
    made = with_schema(**properties)
    made["schema"] = {**top, **made["schema"]}
    try:
        own = DeploymentType(made, "course.json")
    except Misconfigured:
        return
    content = {"a": a, "b": b}
    assert own.show(content)[0]
    try:
        public, personal, _ = own.read(content, 1)
    except BadInput as error:
        assert error.problems
    else:
        assert join(public, personal) == content
