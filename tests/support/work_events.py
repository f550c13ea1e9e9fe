"""Which events of deals, tickets, tasks and leads could come up? Contents made by chance, of few codes and
moments, with fields emptied here and there, so that what is folded collides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from tests.support.story import START

__all__ = ["ANNOUNCED", "SOURCES", "TYPES", "content_of", "refs_of"]

SOURCES = ["test/a", "test/b", "storyline/deal", "storyline/ticket", "storyline/task", "storyline/lead"]
_CODES = ["a", "b", "c"]
_USERS = ["anna", "ben"]
_OWN = {"deal": "d" * 32, "ticket": "e" * 32, "task": "a" * 32, "lead": "f" * 32}
TYPES = {
    "deal": [
        "deal.created", "deal.stage_changed", "deal.value_changed", "deal.assigned", "deal.won", "deal.lost",
        "deal.reopened", "deal.changed", "deal.approved", "deal.stalled",
    ],
    "ticket": [
        "ticket.opened", "ticket.assigned", "ticket.state_changed", "ticket.priority_changed", "ticket.commented",
        "ticket.resolved", "ticket.reopened", "ticket.closed", "ticket.changed", "ticket.escalated", "ticket.folded",
        "ticket.linked", "target.warned",
    ],
    "task": [
        "task.created", "task.changed", "task.assigned", "task.done", "task.reopened", "task.cancelled",
        "task.reminded",
    ],
    "lead": [
        "lead.captured", "lead.assigned", "lead.changed", "lead.converted", "lead.disqualified", "lead.reopened",
    ],
    "note": ["note.added", "user.notified"],
}  # fmt: skip
ANNOUNCED = ("deal.stalled", "task.reminded", "target.warned", "user.notified")
"""Types that come from Storyline alone, and cannot be amended."""
_FIELDS: dict[str, dict[str, Sequence[Any]]] = {
    "deal": {
        "stage": _CODES, "pipeline": _CODES, "amount": ["1", "2.50"], "currency": ["GBP"], "probability": ["10"],
        "assignee": _USERS, "team": _CODES, "products": [["a"], ["b", "c"], []], "expected_close": ["2026-05-01"],
        "origin": _CODES, "reason": _CODES, "title": ["A title"],
    },
    "ticket": {
        "state": _CODES, "priority": _CODES, "queue": _CODES, "assignee": _USERS, "category": _CODES,
        "service_level": _CODES, "respond_by": [1, 2], "resolve_by": [3, 4], "clock_s": [5, 6], "reason": _CODES,
        "subject": ["A subject"],
    },
    "task": {
        "kind": _CODES, "priority": _CODES, "assignee": _USERS, "team": _CODES, "due": [1, 2], "remind_at": [3, 4],
        "reason": _CODES,
    },
    "lead": {
        "origin": _CODES, "campaign": _CODES, "product": _CODES, "country": ["GB"], "assignee": _USERS,
        "assigned_by": _CODES, "reason": _CODES,
    },
}  # fmt: skip
_OF_TYPE: dict[str, dict[str, Sequence[Any]]] = {
    "ticket.commented": {"by": ["company", "customer"], "internal": [True, False]},
    "ticket.folded": {"into": _CODES},
    "ticket.linked": {"other": _CODES},
    "ticket.escalated": {"level": [1, 2]},
    "ticket.opened": {"channel": _CODES, "follows": _CODES},
    "lead.converted": {"deal": _CODES},
    "deal.approved": {"approved": _CODES},
}
_MOMENTS = {"respond_by", "resolve_by", "due", "remind_at"}
_NEVER_NULL = {"internal", "title", "subject"}


def content_of(pick: Random, type: str, revision: bool) -> dict[str, Any]:
    """A content of such an event. revision: whether it says which change it is."""
    family = type.partition(".")[0]
    if type == "note.added":
        return {"text": "See this"} | ({"mentions": pick.sample(_USERS, pick.randrange(3))} if revision else {})
    if type == "user.notified":
        return {"user": pick.choice(_USERS)}
    if type in ANNOUNCED:
        told = {"target": "resolution"} if type == "target.warned" else {"assignee": pick.choice(_USERS)}
        return told | ({"revision": pick.randrange(5)} if revision else {})
    fields = {**_FIELDS[family], **_OF_TYPE.get(type, {})}
    chosen = pick.sample(sorted(fields), min(len(fields), pick.choice([0, 1, 2, 3, 6])))
    content = {name: _value(pick, name, fields[name]) for name in chosen}
    if type == "task.created":
        content["title"] = "Call her"
    return content | ({"revision": pick.randrange(5)} if revision else {})


def _value(pick: Random, name: str, values: Sequence[Any]) -> Any:
    if name not in _NEVER_NULL and pick.random() < 0.2:
        return None
    value = pick.choice(values)
    return (START + timedelta(hours=value)).isoformat() if name in _MOMENTS else value


def refs_of(pick: Random, type: str) -> list[dict[str, str]]:
    """What such an event is about: things of its own kind, native or foreign, now and then none or two."""
    family = {"target": "ticket", "note": "deal", "user": "ticket"}.get(
        type.partition(".")[0], type.partition(".")[0]
    )
    values = [_OWN[family], _OWN[family], "X", "X", "Y"]
    refs = [{"kind": family, "value": value} for value in pick.sample(values, pick.choice([0, 1, 1, 1, 1, 2]))]
    if pick.random() < 0.3:
        refs.insert(pick.randrange(len(refs) + 1), {"kind": "deal", "value": "X"})
    return [one for place, one in enumerate(refs) if one not in refs[:place]]
