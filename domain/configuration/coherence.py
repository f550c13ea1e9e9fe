"""Does a configuration hang together? What one part names has to be there in another."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from domain.configuration.automation import Action
from domain.configuration.base import Path, meant

if TYPE_CHECKING:
    from domain.configuration.reading import Configuration

__all__ = ["astray"]

_Found = Iterator[tuple[Path, str]]


def astray(rules: Configuration) -> _Found:
    """Where it names what is not there, with a sentence each."""
    yield from _pipelines(rules)
    yield from _service_levels(rules)
    yield from _twice("assignment", [one.code for one in rules.assignment])
    yield from _twice("automation", [one.code for one in rules.automation])
    for code, queue in rules.tickets.queues.items():
        yield from _team(rules, ("tickets", "queues", code, "team"), queue.team)
    for index, assignment in enumerate(rules.assignment):
        yield from _team(rules, ("assignment", index, "team"), assignment.team)
    for index, rule in enumerate(rules.automation):
        for number, action in enumerate(rule.then):
            yield from _action(rules, ("automation", index, "then", number), action)


def _unknown(path: Path, what: str, code: str | None, known: Iterable[str]) -> _Found:
    known = list(known)
    if code is not None and code not in known:
        yield path, f"is no {what}; {meant(code, known)}"


def _team(rules: Configuration, path: Path, team: str | None) -> _Found:
    if rules.teams:
        yield from _unknown(path, "team", team, rules.teams)


def _queue(rules: Configuration, path: Path, queue: str | None) -> _Found:
    if rules.tickets.queues:
        yield from _unknown(path, "queue", queue, rules.tickets.queues)


def _twice(part: str, codes: list[str]) -> _Found:
    for index, code in enumerate(codes):
        before: Container[str] = codes[:index]
        if code in before:
            yield (part, index, "code"), "is the code of a rule before it; give each its own"


def _pipelines(rules: Configuration) -> _Found:
    yield from _unknown(("pipeline",), "pipeline", rules.pipeline, rules.pipelines)
    for code, pipeline in rules.pipelines.items():
        where: Path = ("pipelines", code)
        for number, role in enumerate(pipeline.reopen_roles):
            yield from _unknown((*where, "reopen_roles", number), "role", role, rules.roles)
        for number, stage in enumerate(pipeline.stages):
            yield from _unknown((*where, "stages", number, "approval"), "role", stage.approval, rules.roles)


def _service_levels(rules: Configuration) -> _Found:
    priorities = rules.tickets.priorities
    for code, level in rules.service_levels.items():
        where: Path = ("service_levels", code)
        yield from _unknown((*where, "calendar"), "calendar", level.calendar, rules.calendars)
        for priority in level.targets:
            yield from _unknown((*where, "targets", priority), "priority", priority, [*priorities, "any"])
        for number, queue in enumerate(level.queues):
            yield from _queue(rules, (*where, "queues", number), queue)
        for number, one in enumerate(level.escalations):
            place: Path = (*where, "escalations", number)
            yield from _unknown((*place, "priority"), "priority", one.priority, priorities)
            yield from _team(rules, (*place, "team"), one.team)


def _action(rules: Configuration, where: Path, action: Action) -> _Found:
    yield from _team(rules, (*where, "team"), action.team)
    yield from _queue(rules, (*where, "queue"), action.queue)
    yield from _unknown((*where, "pipeline"), "pipeline", action.pipeline, rules.pipelines)
    if action.do == "open_ticket":
        yield from _unknown((*where, "priority"), "priority", action.priority, rules.tickets.priorities)
    if action.do == "move":
        stages = chain.from_iterable(one.codes for one in rules.pipelines.values())
        known = dict.fromkeys([*stages, "won", "lost", *rules.tickets.codes])
        yield from _unknown((*where, "to"), "stage and no state", action.to, known)
