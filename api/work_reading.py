"""How is one deal, ticket, task or lead read? A native one from the event store, so that everybody sees what was just
done; one of another system from the read model; both by the same fold, with their history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import structs

from api import step_shapes
from api.beside import tasks_on, touchpoints_of
from api.services import Services
from api.shapes import Item
from api.work_rows import items_of, personal_of
from api.work_told import Named, Rules, deal_told, lead_told, task_told, ticket_told
from commands.working import Actor, Done
from commands.working_desk import KINDS
from domain.errors import NotFound
from domain.identifiers import Ref
from domain.work import Step, in_order
from projections.work.annotating import note
from projections.work.reader import WorkReader
from projections.work.rows import HistoryRow
from projections.work.rows import Row as WorkRow

__all__ = ["Asked", "Shown", "show", "shown_after"]

_TOLD: Final[dict[str, Any]] = {"deal": deal_told, "ticket": ticket_told, "lead": lead_told, "task": task_told}
_BESIDE: Final = frozenset({"deal", "ticket"})
"""Kinds of which is told what stands beside them."""


class Asked(NamedTuple):
    """What one is read with. before: only steps before this revision; happened_by: as of then; personal: the caller
    may see what is personal; roles: of the caller; timelines: the caller may read the customer's."""

    personal: bool
    roles: frozenset[str] = frozenset()
    before: int | None = None
    limit: int = 50
    happened_by: datetime | None = None
    timelines: bool = False


class Shown(NamedTuple):
    """What an answer tells, and of which revision."""

    told: Any
    revision: int


async def show(held: Services, kind: str, id: UUID, asked: Asked) -> Shown:
    """One of a kind, native or not. Raises NotFound."""
    reader = WorkReader(held.pool)
    row = await reader.one(id)
    if row is not None and not row.native:
        if row.ref.partition(":")[0].partition("/")[0] != kind:
            raise NotFound(f"There is no {kind} of that id.")
        history = await reader.history(id, asked.happened_by)
        shown = await held.unseal(lambda: _foreign(held, kind, row, history, asked))
    else:
        shown = await held.unseal(lambda: shown_native(held, kind, id, asked))
        shown.told.customer = row.customer.hex if row is not None and row.customer is not None else None
    if kind in _BESIDE and asked.happened_by is None:
        shown.told.tasks = await tasks_on(held, reader, shown.told.ref, asked.personal)
        if row is not None and asked.timelines:
            shown.told.touchpoints = await touchpoints_of(held, reader, row, kind, asked.personal)
    return shown


def shown_native(held: Services, kind: str, id: UUID, asked: Asked) -> Shown:
    """A native one. Blocks on the event store and the key store. Raises NotFound."""
    working = held.parts.working
    if asked.happened_by is not None:
        return _shown_then(held, kind, id, asked, asked.happened_by)
    item = working.load(kind, id)
    last = item.version if asked.before is None else max(0, min(asked.before - 1, item.version))
    first = max(0, last - asked.limit)
    items = items_of(held, working.desk.store.records(id, after=first)[: last - first], asked.personal)
    told = _shape(held, kind, item.state, _named(kind, id, item.version, bool(item.who)), asked)
    if kind == "task":
        told.refs = _on(item.refs, asked)
    told.history = [_said(one) for one in items]
    told.earlier = first + 1 if first else None
    return Shown(told, item.version)


def shown_after(held: Services, done: Done, actor: Actor, personal: bool) -> Shown:
    """A native one right after a command, without its history. Blocks where it was repeated."""
    asked = Asked(personal, actor.roles)
    if done.state is None:
        return _shown_then(held, done.kind, done.id, asked, None, done.revision)
    told = _shape(held, done.kind, done.state, _named(done.kind, done.id, done.revision, done.who), asked)
    if done.kind == "task":
        told.refs = _on(done.refs, asked)
    return Shown(told, done.revision)


def _shown_then(
    held: Services, kind: str, id: UUID, asked: Asked, at: datetime | None, revision: int | None = None
) -> Shown:
    """A native one as of a moment or a revision: folded out of its steps up to then."""
    working = held.parts.working
    item = working.load(kind, id)
    who = bool(item.who)
    items = items_of(held, working.desk.store.records(id)[:revision], asked.personal)
    kept = [one for one in items if at is None or one.happened_at <= at]
    if not kept:
        raise NotFound(f"There was no {kind} of that id then.")
    state = _folded(kind, [_step(one, personal_of(one)) for one in kept])
    told = _shape(held, kind, state, _named(kind, id, len(kept), who), asked)
    if kind == "task":
        told.refs = _on(item.refs, asked)
    if at is not None:
        asked_for = [_said(one) for one in kept]
        if asked.before is not None:
            asked_for = [one for one in asked_for if one.revision < asked.before]
        said = asked_for[-asked.limit :]
        earlier = said[0].revision if len(said) < len(asked_for) else None
        told = structs.replace(told, history=said, earlier=earlier, happened_by=at)
    return Shown(told, len(kept))


def _foreign(held: Services, kind: str, row: WorkRow, history: Sequence[HistoryRow], asked: Asked) -> Shown:
    """One of another system, with the rules that its steps would have broken here. Blocks on the key store."""
    if not history:
        raise NotFound(f"There was no {kind} of that id then.")
    items = items_of(held, [one.record for one in history], asked.personal)
    amended = [place for place, one in enumerate(history) if one.amendment is not None]
    right = items_of(held, [history[place].amendment or b"" for place in amended], asked.personal)
    contents = {row.name: personal_of(item) for row, item in zip(history, items, strict=True)}
    contents |= {history[place].name: personal_of(item) for place, item in zip(amended, right, strict=True)}
    noted = note(history, held.parts.working.rules, contents)
    customer = row.customer.hex if row.customer is not None else None
    named = Named(row.item.hex, False, row.ref, row.revision, customer)
    told = _shape(held, kind, noted.state, named, asked)
    said = [
        structs.replace(_said(item), broken=[step_shapes.Broken(each.rule, each.detail) for each in broken])
        for item, broken in zip(items, noted.broken, strict=True)
    ]
    told.history = said[-asked.limit :]
    told.happened_by = asked.happened_by
    return Shown(told, row.revision)


def _folded(kind: str, steps: Iterable[Step]) -> Any:
    state = None
    for step in in_order(steps):
        state = KINDS[kind].fold(state, step)
    return state


def _named(kind: str, id: UUID, revision: int, who: bool) -> Named:
    return Named(id.hex, True, f"{kind}:{id.hex}", revision, who=who)


def _shape(held: Services, kind: str, state: Any, named: Named, asked: Asked) -> Any:
    at = asked.happened_by or held.parts.clock()
    return _TOLD[kind](state, named, Rules(held.parts.working.rules, asked.roles, at, asked.personal))


def _on(refs: Sequence[Ref], asked: Asked) -> list[str]:
    """What a task is on, beside itself. Which conversation is personal."""
    seen = [one for one in refs[1:] if asked.personal or one.kind != "conversation"]
    return [f"{one.kind}/{one.namespace}:{one.value}" if one.namespace else f"{one.kind}:{one.value}" for one in seen]


def _step(item: Item, content: Mapping[str, Any]) -> Step:
    return Step(item.type, item.happened_at, content, item.actor, content.get("revision") or 0, item.name)


def _said(item: Item) -> step_shapes.Said:
    content = personal_of(item)
    return step_shapes.Said(
        name=item.name,
        revision=content.get("revision") or 0,
        type=item.type,
        happened_at=item.happened_at,
        actor=item.actor,
        line=item.line,
        content=item.content,
        erased=item.erased,
        unreadable=item.unreadable,
    )
