"""How does a test send one event through the door, and read its refusal?"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from domain.catalogue import load_catalogue
from domain.errors import BadInput
from domain.event import CORRECTIONS, Event, parse_json, read_event

__all__ = ["ANNA", "CATALOGUE", "SCALARS", "event", "refusal", "sent", "through"]

CATALOGUE = load_catalogue()
ANNA = {"kind": "email", "value": "anna@example.org"}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)


def event(**changes: Any) -> dict[str, Any]:
    """A good event; `changes` replace attributes, and are members of `data` where they belong there."""
    data = {"who": [ANNA], "content": {"text": "Call back"}}
    data |= {
        key: changes.pop(key) for key in ("who", "parties", "refs", "about", "actor", "content") if key in changes
    }
    raw = {
        "specversion": "1.0",
        "source": "desk",
        "id": "1",
        "type": "note.added",
        "time": "2026-03-01T09:30:00+01:00",
        "data": data,
    }
    return {**raw, **changes}


def through(raw: Any) -> Event:
    """As an event comes in: as JSON bytes."""
    return read_event(parse_json(json.dumps(raw).encode()), CATALOGUE)


def refusal(raw: Any) -> dict[str, str]:
    with pytest.raises(BadInput) as caught:
        through(raw)
    return {problem.field: f"{problem.trouble} {problem.way_out}" for problem in caught.value.problems}


def sent(event_type: str, content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An event of a type with this content, about nobody; a correction says of what."""
    relation = CORRECTIONS.get(event_type)
    about = [{"relation": relation, "source": "desk", "id": "other"}] if relation else []
    return {
        "specversion": "1.0",
        "source": "test",
        "id": "1",
        "type": event_type,
        "time": "2026-03-01T09:30:00+01:00",
        "data": {"about": about, "content": content},
        **changes,
    }
