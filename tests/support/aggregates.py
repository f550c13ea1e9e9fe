"""What do tests of deals, tickets, leads and colleagues share? A configuration to choose from, and their events as
the log would have them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from domain.catalogue import builtin
from domain.catalogue.base import join
from domain.configuration import Configuration, read_configuration
from domain.work import Step, Work

__all__ = ["LONDON", "STATES", "configured", "steps_of"]

LONDON = ZoneInfo("Europe/London")
STATES: dict[str, Any] = {
    "states": [
        {"code": "new", "kind": "new"},
        {"code": "open", "kind": "open", "moves": ["pending", "hold", "resolved", "closed"]},
        {"code": "pending", "kind": "pending", "moves": ["open", "resolved", "closed"]},
        {"code": "hold", "kind": "hold", "moves": ["open", "resolved"]},
        {"code": "resolved", "kind": "resolved", "requires": ["category"], "moves": ["open", "closed"]},
        {"code": "closed", "kind": "closed", "requires": ["reason"], "moves": ["open"]},
    ],
    "initial": "new",
    "reopened": "open",
    "reopen_within": "14d",
    "on_reply": "open",
    "on_answer": "open",
}
_TYPES = {one.name: one for one in builtin()}
_STAGES = [{"code": "first"}, {"code": "second"}]


def configured(
    *, stages: Iterable[Mapping[str, Any]] = _STAGES, pipeline: Mapping[str, Any] | None = None, **others: Any
) -> Configuration:
    """A configuration with one pipeline `sales` of these stages, unless `others` has `pipelines`."""
    sales = {"stages": list(stages), **(pipeline or {})}
    return read_configuration({"version": 1, "pipelines": {"sales": sales}, "tickets": STATES, **others})


def steps_of(work: Work, after: int = 0) -> list[Step]:
    """The events of an aggregate that was not saved, as they come back from the log: checked and written out by the
    catalogue, and read again. after: those after this version."""
    steps = []
    events: list[Any] = work.pending_events
    for event in events[after:]:
        public, personal, _ = _TYPES[event.type].read(event.content, _TYPES[event.type].version)
        plain = json.loads(json.dumps(join(public, personal)))
        version = event.originator_version
        steps.append(Step(event.type, event.timestamp, plain, event.actor, version, work.id.hex))
    return steps
