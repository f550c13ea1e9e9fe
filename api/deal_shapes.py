"""What do answers about deals look like? The title is personal, and there for keys with the scope `read` alone."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.step_shapes import CustomerOf, Move, Native, Positions, RefOf, Repeated, Said, Touchpoints
from api.task_shapes import Tasks

__all__ = [
    "Approval",
    "Board",
    "Deal",
    "DealDone",
    "DealPage",
    "DealShown",
    "Spent",
    "StageSum",
    "Stall",
    "Stalls",
    "Stay",
    "Sum",
]


class Sum(Struct, frozen=True):
    """What deals are worth in one currency, in major units, exact; `expected`: by their probability."""

    currency: str
    amount: str
    expected: str


class Stay(Struct, omit_defaults=True, frozen=True):
    """A time in one stage; `until` is missing while it goes on."""

    stage: str
    since: datetime
    until: datetime | None = None
    pipeline: str | None = None


class Spent(Struct, omit_defaults=True, frozen=True):
    """How long it was in a stage, all its stays together, in seconds."""

    stage: str
    seconds: int
    pipeline: str | None = None


class Approval(Struct, omit_defaults=True, frozen=True):
    """Who approved a move to a stage."""

    stage: str
    at: datetime
    role: str | None = None
    by: str | None = None


class Deal(Struct, omit_defaults=True, kw_only=True):
    """A deal."""

    id: str
    native: Native
    ref: RefOf
    revision: int
    status: Literal["open", "won", "lost"]
    pipeline: str | None = None
    stage: str | None = None
    stage_since: datetime | None = None
    stalled: Annotated[bool, Meta(description="In its stage for longer than the pipeline allows for")] = False
    title: str = ""
    amount: str | None = None
    currency: str | None = None
    probability: str | None = None
    assignee: str | None = None
    team: str | None = None
    products: list[str] = []
    expected_close: date | None = None
    next_step: str = ""
    next_step_on: date | None = None
    origin: str | None = None
    reason: str | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    closed_at: datetime | None = None
    customer: CustomerOf = None


class DealShown(Deal, kw_only=True):
    """A deal with its moves, what stands beside it, and its history."""

    moves: list[Move] = []
    approvals: list[Approval] = []
    stays: list[Stay] = []
    spent: Annotated[list[Spent], Meta(description="Time in each stage")] = []
    touchpoints: Touchpoints = []
    tasks: Tasks = []
    history: list[Said] = []
    earlier: Annotated[int | None, Meta(description="Pass it as `before` for earlier steps")] = None
    happened_by: datetime | None = None


class StageSum(Struct, frozen=True):
    """A column of the board: how many open deals are in a stage, how many of them stall, and what they are worth."""

    stage: str | None
    count: int
    stalled: int
    sums: list[Sum]


class Board(Struct, frozen=True):
    """A pipeline's stages, in order, those first that the configuration knows."""

    pipeline: str
    stages: list[StageSum]


class DealPage(Struct, omit_defaults=True, frozen=True):
    """Deals, the last changed first. `next`: pass it as `cursor`. `board`: with `pipeline`."""

    deals: list[Deal]
    next: str | None
    board: Board | None = None


class Stall(Struct, frozen=True):
    """How often deals stalled in a stage."""

    pipeline: str | None
    stage: str | None
    count: int


class Stalls(Struct, frozen=True):
    """Where deals stall, the stage first at which most do."""

    stalls: list[Stall]


class DealDone(Struct, omit_defaults=True, kw_only=True):
    """What was done of a deal. `revision`: the ETag for the next change."""

    id: str
    revision: int
    positions: Positions = None
    repeated: Repeated = False
    deal: DealShown
