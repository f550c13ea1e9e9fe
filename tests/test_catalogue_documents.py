"""Do the schemas, the AsyncAPI document and docs/event-types.md say what the catalogue does?"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from domain.catalogue import builtin, load_catalogue
from domain.catalogue.listing import as_markdown
from domain.catalogue.registry import EventType
from domain.catalogue.schemas import asyncapi, event_schema
from tests.support.door import sent

DOCS = Path(__file__).parent.parent / "docs" / "event-types.md"
MARK = "<!-- types: written by a test, see tests/test_catalogue_documents.py -->\n"


@pytest.mark.parametrize("event_type", builtin(), ids=lambda one: one.name)
def test_a_schema_is_valid_and_names_itself(event_type: EventType) -> None:
    schema = event_schema(event_type)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"/v1/types/{event_type.name}/schema"
    json.dumps(schema)


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)


def test_the_asyncapi_document_has_what_version_3_asks_for_and_each_reference_leads_somewhere() -> None:
    document = asyncapi(load_catalogue())
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    for reference in set(_refs(document)):
        assert reference.startswith("#/")
        node = document
        for part in reference[2:].split("/"):
            node = node[part]
    for name in document["components"]["messages"] | document["components"]["schemas"]:
        assert re.fullmatch(r"[\w.-]+", name)
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        assert operation["action"] in {"send", "receive"}
        assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])
    inbox = document["channels"]["inbox"]
    assert set(re.findall(r"{(\w+)}", inbox["address"])) == set(inbox["parameters"])
    published = {one.name for one in builtin() if one.category != "system"}
    assert set(document["components"]["messages"]) == published
    json.dumps(document)


def test_a_message_of_the_asyncapi_document_takes_what_the_door_takes() -> None:
    document = asyncapi(load_catalogue())
    payload = {**document["components"]["messages"]["purchase.made"]["payload"], "components": document["components"]}
    check = Draft202012Validator(payload)
    assert check.is_valid(sent("purchase.made", {"amount": 5, "currency": "GBP", "lines": [{"product": "A"}]}))
    assert not check.is_valid(sent("purchase.made", {"currency": "GBP"}))
    assert not check.is_valid(sent("refund.made", {"amount": 5, "currency": "GBP"}))


def test_every_type_is_documented() -> None:
    """`WRITE_DOCS=1 pytest tests/test_catalogue_documents.py` writes the list anew."""
    wanted = as_markdown(load_catalogue())
    text = DOCS.read_text("utf-8")
    head, mark, written = text.partition(MARK)
    assert mark
    if os.environ.get("WRITE_DOCS"):
        DOCS.write_text(f"{head}{MARK}\n{wanted}", "utf-8")
    else:
        assert written.strip() == wanted.strip()
