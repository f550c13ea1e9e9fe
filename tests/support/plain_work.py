"""What do the tables of `work` have to hold? A plain, slow, obviously right reading, for `plain.py`.

It knows nothing of the folds that it is held against: fields are overwritten in a dictionary, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from eventlog.record import ref_hash

__all__ = ["HELD", "TOLD", "Taken", "steps_in"]

Home = Callable[[str], str]
KINDS = ("deal", "ticket", "task", "lead", "user")
SYSTEM = {"deal.stalled", "task.reminded", "target.warned", "target.breached"}
GIVING = {"deal.assigned", "ticket.assigned", "task.assigned", "lead.assigned", "deal.created", "task.created",
          "ticket.opened", "ticket.escalated", "lead.captured"}  # fmt: skip
ENDS = {
    "deal": {"deal.won": "won", "deal.lost": "lost", "deal.reopened": "open"},
    "task": {"task.done": "done", "task.cancelled": "cancelled", "task.reopened": "open"},
    "lead": {"lead.converted": "converted", "lead.disqualified": "disqualified", "lead.reopened": "open"},
}
STATES = {"ticket.opened": "new", "ticket.resolved": "resolved", "ticket.closed": "closed",
          "ticket.reopened": "open", "ticket.folded": "closed"}  # fmt: skip
_Rows = set[tuple[Any, ...]]


class Published(Protocol):
    """An event as `plain.py` has it."""

    raw: Mapping[str, Any]
    record: Mapping[str, Any]

    @property
    def name(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def recorded_at(self) -> datetime: ...
    @property
    def type(self) -> str: ...
    def people(self) -> list[Any]: ...


class Story(Protocol):
    """All events, as `plain.py` has them."""

    events: dict[str, Any]

    def retracted(self, name: str) -> bool: ...
    def content(self, one: Any) -> Mapping[str, Any]: ...


class Taken(NamedTuple):
    """A step: of which item, and what it says by now."""

    kind: str
    item: str
    native: bool
    ref: str
    revision: int
    one: Any
    content: Mapping[str, Any]

    @property
    def folds(self) -> bool:
        return self.one.type not in SYSTEM

    @property
    def place(self) -> tuple[int, datetime, str]:
        return self.revision, self.one.at, self.one.name


def steps_in(story: Story) -> list[Taken]:
    """All steps, in the order in which they count."""
    found = []
    for one in story.events.values():
        if not story.retracted(one.name):
            found += [Taken(*item, one, story.content(one)) for item in _items(one, story.content(one))]
    return sorted(found, key=lambda step: step.place)


def _items(one: Published, content: Mapping[str, Any]) -> Iterable[tuple[str, str, bool, str, int]]:
    family = one.type.partition(".")[0]
    kind = "ticket" if family == "target" else family
    if kind not in KINDS or one.type == "user.notified":
        return
    refs = one.record.get("refs", [])
    own = _own(one, kind)
    if own:
        yield kind, own, True, refs[0], content.get("revision") or 0
        return
    for ref in dict.fromkeys(refs):
        if ref.partition(":")[0].partition("/")[0] == kind:
            yield kind, ref_hash(ref).hex(), False, ref, 0


def _own(one: Published, kind: str) -> str | None:
    refs = one.record.get("refs", [])
    if one.raw["source"] != f"storyline/{kind}" or not refs or not refs[0].startswith(f"{kind}:"):
        return None
    value: str = refs[0].partition(":")[2]
    return value if len(value) == 32 else None


def _steps(story: Story, home: Home, erased: object) -> _Rows:
    return {
        (
            _whose(step.one, home), step.item, step.kind, step.one.name, step.one.type, step.one.at,
            step.one.recorded_at, step.revision, step.ref, step.native, step.folds, step.one.raw["source"],
            step.one.record.get("actor"),
        )
        for step in steps_in(story)
    }  # fmt: skip


def _whose(one: Published, home: Home) -> str | None:
    evidence = one.people()[0][0]
    return home(evidence) if evidence else None


def _folded(story: Story, kind: str) -> Iterable[tuple[str, list[Taken], int, dict[str, Any]]]:
    """(item, its steps, its revision, the fields that they leave) of each item of a kind."""
    items: dict[str, list[Taken]] = {}
    for step in steps_in(story):
        if step.kind == kind:
            items.setdefault(step.item, []).append(step)
    for item, every in items.items():
        steps = [step for step in every if step.folds]
        fields: dict[str, Any] = {}
        for step in steps:
            fields.update(step.content)
        if steps:
            yield item, steps, max(step.revision for step in every), fields


def _customer(steps: list[Taken], home: Home) -> str | None:
    whose = [found for step in steps if (found := _whose(step.one, home))]
    return whose[-1] if whose else None


def _ended(kind: str, steps: list[Taken]) -> tuple[str, datetime | None]:
    """(status, when it came to an end)."""
    status, at = "open", None
    for step in steps:
        if step.one.type in ENDS[kind]:
            status = ENDS[kind][step.one.type]
            at = None if status == "open" else step.one.at
    return status, at


def _deals(story: Story, home: Home, erased: object) -> _Rows:
    found = set()
    for item, steps, revision, fields in _folded(story, "deal"):
        where, since = (None, None, "open"), None
        for place in range(len(steps)):
            until = steps[: place + 1]
            now = {name: value for step in until for name, value in step.content.items()}
            status = _ended("deal", until)[0]
            there = (now.get("pipeline"), now.get("stage"), status)
            if there[:2] != where[:2] or (status == "open" and where[2] != "open"):
                since = steps[place].one.at
            where = there
        amount = fields.get("amount")
        row = (
            _customer(steps, home), item, *_ended("deal", steps), fields.get("pipeline"), fields.get("stage"),
            since if fields.get("stage") else None, None if amount is None else Decimal(amount),
            fields.get("assignee"), tuple(fields.get("products") or ()), steps[0].one.at, steps[-1].one.at, revision,
        )  # fmt: skip
        found.add(row)
    return found


def _tickets(story: Story, home: Home, erased: object) -> _Rows:
    found = set()
    for item, steps, revision, fields in _folded(story, "ticket"):
        state, since, responded, resolved, closed, reopened = None, None, None, None, None, 0
        for step in steps:
            to = step.content.get("state") or STATES.get(step.one.type)
            if to and to != state:
                state, since = to, step.one.at
            if step.one.type in ("ticket.closed", "ticket.folded"):
                closed = step.one.at
            elif step.one.type in (*STATES, "ticket.state_changed"):
                resolved, closed = (step.one.at if step.one.type == "ticket.resolved" else None), None
            reopened += step.one.type == "ticket.reopened"
            ours = step.content.get("by") == "company" and not step.content.get("internal")
            if step.one.type == "ticket.commented" and ours and responded is None:
                responded = step.one.at
        status = "closed" if closed else "resolved" if resolved else "open"
        waits = [fields.get("resolve_by"), None if responded else fields.get("respond_by")]
        due = min([moment for moment in map(_moment, waits) if moment], default=None) if status == "open" else None
        row = (
            _customer(steps, home), item, status, state, since, responded, resolved, closed, reopened, due,
            fields.get("priority"), fields.get("assignee"), fields.get("clock_s"), steps[-1].one.at, revision,
        )  # fmt: skip
        found.add(row)
    return found


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value).astimezone(UTC) if value else None


def _tasks(story: Story, home: Home, erased: object) -> _Rows:
    return {
        (_customer(steps, home), item, *_ended("task", steps), fields.get("assignee"), _moment(fields.get("due")),
         _moment(fields.get("remind_at")), revision)
        for item, steps, revision, fields in _folded(story, "task")
    }  # fmt: skip


def _leads(story: Story, home: Home, erased: object) -> _Rows:
    return {
        (_customer(steps, home), item, *_ended("lead", steps), fields.get("origin"), fields.get("assignee"),
         fields.get("deal"), revision)
        for item, steps, revision, fields in _folded(story, "lead")
    }  # fmt: skip


def _notices(story: Story, home: Home, erased: object) -> _Rows:
    found = set()
    for one in story.events.values():
        if not story.retracted(one.name):
            for user, why in _told(one, story.content(one)):
                found.add((_whose(one, home), one.name, user, why, one.at))
    return found


def _told(one: Published, content: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    native = any(_own(one, kind) for kind in KINDS if one.type.startswith(f"{kind}."))
    actor = one.record.get("actor")
    if one.type == "task.reminded" and native and content.get("assignee"):
        yield content["assignee"], "reminded"
    others = []
    if one.type == "note.added":
        others = [(user, "mentioned") for user in content.get("mentions", [])]
    elif one.type == "user.notified":
        others = [(content["user"], "notified")]
    elif one.type in GIVING and native and content.get("assignee"):
        others = [(content["assignee"], "assigned")]
    yield from [(user, why) for user, why in others if actor != f"user:{user}"]


TOLD: dict[str, Callable[[Any, Home, Any], _Rows]] = {
    "steps": _steps,
    "deals": _deals,
    "tickets": _tickets,
    "tasks": _tasks,
    "leads": _leads,
    "notices": _notices,
}

_HOME = "LEFT JOIN identity.evidences AS h ON h.evidence = t.evidence"
HELD = {
    "steps": "SELECT h.customer, item, kind, name, type, happened_at, recorded_at, revision, ref, native, folds, "
    f"source, actor FROM work.steps AS t {_HOME}",
    "deals": "SELECT h.customer, item, status, closed_at, pipeline, stage, stage_since, amount, assignee, products, "
    f"created_at, changed_at, revision FROM work.deals AS t {_HOME}",
    "tickets": "SELECT h.customer, item, status, state, state_since, responded_at, resolved_at, closed_at, reopened, "
    "due, priority, assignee, clock_s, changed_at, revision "
    f"FROM work.tickets AS t {_HOME}",
    "tasks": "SELECT h.customer, item, status, closed_at, assignee, due, remind_at, revision "
    f"FROM work.tasks AS t {_HOME}",
    "leads": "SELECT h.customer, item, status, closed_at, origin, assignee, deal, revision "
    f"FROM work.leads AS t {_HOME}",
    "notices": f"SELECT h.customer, name, user_code, why, happened_at FROM work.notices AS t {_HOME}",
}
