"""Does every built-in event type say what it is, keep personal data personal, and read well in a timeline?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from domain.catalogue import builtin, load_catalogue
from domain.catalogue.base import PUBLIC, Code, Money, Public, ShortText, Touchpoint, join, nested_model
from domain.catalogue.commerce import PurchaseMade
from domain.catalogue.registry import BuiltIn, Catalogue, EventType
from domain.errors import BadInput, Misconfigured
from domain.event import read_event
from tests.support.door import sent

TYPES = {one.name: one for one in builtin()}
MODELS = {one.name: one.model for one in TYPES.values() if isinstance(one, BuiltIn)}
every_type = pytest.mark.parametrize("event_type", TYPES.values(), ids=TYPES.keys())
every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def models_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        nested = nested_model(field.annotation)
        if nested is not None:
            yield from models_of(nested)


def is_public(field: Any) -> bool:
    return any(isinstance(mark, Public) for mark in field.metadata)


# What every type owes


@every_type
def test_a_type_is_named_family_dot_what_happened_and_says_when_it_is_published(event_type: EventType) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+(_[a-z]+)*", event_type.name)
    assert re.match(r"[A-Z][^.]+\.", event_type.doc)
    assert event_type.version >= 1
    assert (event_type.channel is None) == (event_type.category != "touchpoint")


@every_model
def test_each_field_is_described_and_each_model_is_frozen_and_strict(model: type[BaseModel]) -> None:
    for one in models_of(model):
        assert one.model_config.get("frozen")
        assert one.model_config.get("extra") == "forbid"
        for name, field in one.model_fields.items():
            assert field.description, f"{one.__name__}.{name}"


@every_model
def test_a_personal_field_has_a_default_because_an_erased_content_lacks_it(model: type[BaseModel]) -> None:
    for one in models_of(model):
        for name, field in one.model_fields.items():
            assert is_public(field) or not field.is_required(), f"{one.__name__}.{name}"


@every_model
def test_only_numbers_codes_flags_days_and_moments_are_public(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    for one in models_of(model):
        held = schema if one is model else schema["$defs"][one.__name__]
        for name, field in one.model_fields.items():
            if not is_public(field):
                continue
            spec = held["properties"][name]
            options = [one.get("items", one) for one in spec.get("anyOf", [spec])]
            has_number = any(option["type"] == "number" for option in options)
            for option in options:
                pattern = option.get("pattern", "")
                coded = "enum" in option or "const" in option or "@" in pattern or "A-Z" in pattern
                dated = option.get("format") in {"date", "date-time"}
                # an exact amount may also be sent as a text
                plain = option["type"] in {"number", "integer", "boolean", "null"}
                assert plain or coded or dated or has_number, name


@every_type
def test_a_type_with_nothing_known_still_has_a_line(event_type: EventType) -> None:
    stored: list[Any] = [{}, None, [], "x", {"amount": None, "lines": None}]
    for content in stored:
        line, money = event_type.show(content)
        assert line
        assert "None" not in line
        assert money is None or isinstance(money, Money)


_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
_values = st.one_of(
    _texts,
    st.sampled_from(["GBP", "nps", "hard", "in", "customer", "2026-03-01", "2026-03-01T09:30:00Z", "CODE-1"]),
    st.integers(-(10**9), 10**9),
    st.decimals(-1000, 1000, places=2),
    st.booleans(),
    st.none(),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_a_content_holds_its_two_parts_give_it_back_and_each_has_a_line(data: st.DataObject) -> None:
    model = MODELS[data.draw(st.sampled_from(sorted(MODELS)))]
    content = _content(data, model)
    try:
        public, personal, direction = BuiltIn(model).read(content, model.VERSION)
    except BadInput:
        return
    assert direction in {"in", "out", None}
    whole = join(public, personal)
    assert whole == model.model_validate(content).model_dump(mode="json", exclude_unset=True)
    for known in (whole, public):
        line = BuiltIn(model).show(known)[0]
        assert line
        assert len(line) < 400
        assert "\n" not in line
        assert "not readable" not in line


def _content(data: st.DataObject, model: type[BaseModel]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if not field.is_required() and not data.draw(st.booleans()):
            continue
        nested = nested_model(field.annotation)
        if nested is not None and "list" in str(field.annotation):
            content[name] = [_content(data, nested) for _ in range(data.draw(st.integers(0, 2)))]
        elif nested is not None:
            content[name] = _content(data, nested)
        elif "dict" in str(field.annotation):
            content[name] = data.draw(st.dictionaries(_texts, _texts, max_size=2))
        else:
            content[name] = data.draw(_fitting(str(field.annotation) + str(field.metadata)))
    return content


def _fitting(annotation: str) -> st.SearchStrategy[Any]:
    if "A-Z" in annotation:
        return st.sampled_from(["GBP", "EUR", "JPY"])
    if "Literal" in annotation:
        return st.sampled_from(["nps", "csat", "hard", "soft", "in", "out", "customer", "company"])
    if "datetime" in annotation.lower():
        return st.just("2026-03-01T09:30:00+01:00")
    if "date" in annotation:
        return st.just("2026-03-01")
    if "Decimal" in annotation:
        return st.decimals(-1000, 1000, places=2)
    if "list" in annotation:
        return st.lists(st.sampled_from(["A", "B-1"]), max_size=3)
    if "int" in annotation:
        return st.integers(0, 100_000)
    if "bool" in annotation:
        return st.booleans()
    return _texts if "@" not in annotation else st.sampled_from(["CODE-1", "GB", "x y"])


# Errors


def test_an_error_names_field_trouble_and_way_out_and_never_the_value() -> None:
    canary = "anna-canary-4711@example.org"
    wrong = {
        "amount": canary,
        "currency": canary,
        "country": canary,
        "lines": [{"product": canary, "quantity": canary, "nonsense": canary, "description": {"a": canary}}],
        "discount": "1.1234567",
        "tax": 10**20,
    }
    with pytest.raises(BadInput) as caught:
        TYPES["purchase.made"].read(wrong, 1)
    told = {problem.field: f"{problem.trouble} {problem.way_out}" for problem in caught.value.problems}
    assert told["data.content.amount"] == "is not a number. Send a number such as 139.12."
    assert told["data.content.currency"] == "is not an ISO 4217 code. Send three capital letters such as GBP."
    assert told["data.content.lines[0].product"].startswith("is not a code. Send a code without @")
    assert told["data.content.lines[0].nonsense"].startswith("is no field here.")
    assert told["data.content.lines[0].description"] == "is not a text. Send a JSON string."
    assert told["data.content.discount"] == "has more than 6 decimals. Round it."
    assert "canary" not in str(caught.value.problems)
    assert "validation" not in str(told)


def test_a_personal_field_that_is_needed_is_asked_for() -> None:
    with pytest.raises(BadInput, match=r"data\.content\.text: is missing"):
        TYPES["note.added"].read({"text": ""}, 1)
    assert TYPES["note.added"].schema()["required"] == ["text"]
    assert TYPES["note.added"].show({}) == ("Note", None)


@pytest.mark.parametrize("event_type", sorted(MODELS))
def test_no_built_in_type_takes_an_address_for_a_code(event_type: str) -> None:
    model = MODELS[event_type]
    for name, field in model.model_fields.items():
        if is_public(field):
            with pytest.raises(BadInput):
                BuiltIn(model).read({name: "anna@example.org"}, model.VERSION)


# Versions


class ParcelSent(Touchpoint):
    """A parcel was sent.

    Version 1 had `no`, version 2 `number`, version 3 has `code` and a carrier.
    """

    TYPE = "parcel.sent"
    VERSION = 3
    CHANNEL = "post"
    DIRECTION = "out"
    UPCASTERS = {  # noqa: RUF012 - a class variable of the model
        1: lambda content: {"number": content.pop("no"), **content} if "no" in content else content,
        2: lambda content: {"code": content.pop("number", None), "carrier": "unknown", **content},
    }

    code: Annotated[Code | None, PUBLIC] = Field(default=None, description="The parcel's code")
    carrier: Annotated[Literal["unknown", "royal"], PUBLIC] = Field(default="unknown", description="Who carries it")
    label: ShortText = Field(default="", description="What stands on it")

    def line(self) -> str:
        return f"Parcel {self.code} by {self.carrier}: {self.label}"


def test_an_older_content_is_raised_at_the_door_and_when_it_is_shown() -> None:
    catalogue = Catalogue([BuiltIn(ParcelSent)])
    old = {"no": "P-1", "label": "fragile"}
    event = read_event(sent("parcel.sent", old, dataschema="https://x.example/types/parcel.sent/1"), catalogue)
    assert (event.version, event.public) == (3, {"code": "P-1", "carrier": "unknown"})
    assert old == {"no": "P-1", "label": "fragile"}
    for version, public in ((1, {"no": "P-1"}), (2, {"number": "P-1"}), (3, {"code": "P-1", "carrier": "unknown"})):
        content, line, _ = catalogue.show("parcel.sent", version, public, {"label": "fragile"})
        assert line == "Parcel P-1 by unknown: fragile"
        assert content == {"code": "P-1", "carrier": "unknown", "label": "fragile"}


def test_a_version_that_is_not_known_is_refused_and_one_of_another_type_means_the_newest() -> None:
    catalogue = Catalogue([BuiltIn(ParcelSent)])
    for version in ("0", "4", "99999999999999999999"):
        with pytest.raises(BadInput, match="Known: 1 to 3"):
            read_event(sent("parcel.sent", {"code": "P"}, dataschema=f"x/parcel.sent/{version}"), catalogue)
    assert read_event(sent("parcel.sent", {"code": "P"}, dataschema="x/other/1"), catalogue).public["code"] == "P"


def test_a_stored_event_of_a_type_or_version_that_is_gone_is_shown_by_what_is_left() -> None:
    catalogue = Catalogue([BuiltIn(ParcelSent)])
    assert catalogue.show("gone.type", 1, {"a": 1}, {"b": 2}) == ({"a": 1, "b": 2}, "gone.type", None)
    assert catalogue.show("parcel.sent", 9, {"x": 1}, None)[1] == "Parcel sent (content not readable)"


# Corrections


def test_an_amended_content_is_checked_and_split_as_its_own_type_would() -> None:
    catalogue = load_catalogue()
    amended = {
        "type": "purchase.made",
        "reason": "typo",
        "comment": "wrong price",
        "content": {"amount": 5, "currency": "GBP", "lines": [{"product": "A", "description": "secret"}]},
    }
    event = read_event(sent("event.amended", amended), catalogue)
    assert event.public == {
        "type": "purchase.made",
        "version": 1,
        "reason": "typo",
        "content": {"amount": "5", "currency": "GBP", "lines": [{"product": "A"}]},
    }
    assert event.personal == {"comment": "wrong price", "content": {"lines": [{"description": "secret"}]}}
    content, line, money = catalogue.show("event.amended", 1, event.public, event.personal)
    assert (line, money) == ("Put right: Purchase of 1 item, £5.00", None)
    assert content["content"]["lines"] == [{"product": "A", "description": "secret"}]
    assert catalogue.show("event.amended", 1, event.public, None)[1] == "Put right: Purchase of 1 item, £5.00"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"type": "purchase.made", "content": {"amount": 5}}, "data.content.content.currency"),
        ({"type": "nothing.known", "content": {}}, "data.content.type"),
        ({"type": "identity.merged", "content": {}}, "data.content.type"),
        ({"type": "event.retracted", "content": {}}, "data.content.type"),
        ({"type": "segment.entered", "content": {}}, "data.content.type"),
        ({"type": "purchase.made", "version": 9, "content": {}}, "data.content.version"),
        ({"content": {}}, "data.content.type"),
        ({"type": ["purchase.made"]}, "data.content.type"),
        ({"type": "purchase.made", "version": "x"}, "data.content.version"),
        ({"type": "purchase.made", "content": []}, "data.content.content"),
    ],
)
def test_an_amendment_that_does_not_fit_its_type_is_refused(content: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_event(sent("event.amended", content), load_catalogue())
    assert caught.value.problems[0].field == field


def test_two_types_of_one_name_are_refused() -> None:
    with pytest.raises(Misconfigured, match=r"purchase\.made is registered twice"):
        load_catalogue([BuiltIn(PurchaseMade)])
