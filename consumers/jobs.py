"""What does time ask for? The jobs of the scheduler: what is due, by rows, and the command that it asks for.

Which moments count stands in the events and in the configuration; whether something may still be done says the
aggregate, which is asked as it is now: rows follow a little behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool

from commands.claims import Claims, Piece
from commands.webhooks import Webhooks
from commands.working import Actor, Key, Working
from consumers.scheduler import Chore, Due, Job, TooLateError
from consumers.summing import summing
from domain.configuration import Configuration, TimedMove
from projections.figures.buyers import Buying
from projections.work import due as rows

__all__ = ["ACTOR", "jobs_of"]

ACTOR: Final = Actor("automation:scheduler")
_SCOPE: Final = "scheduler"
_SOON: Final = 5.0
"""Seconds between two looks at what people wait for."""
_OFTEN: Final = 30.0
_QUARTER: Final = 900.0
_DAY: Final = timedelta(days=1)
_ALL: Final = "all"
_Target = Literal["first_response", "resolution"]
_MOMENTS: Final[dict[_Target, tuple[rows.Target, rows.Target]]] = {
    "first_response": ("respond_warn", "respond_by"),
    "resolution": ("resolve_warn", "resolve_by"),
}
"""Of each target: when to warn, and when it is missed."""


def jobs_of(
    rules: Configuration, working: Working, pool: ConnectionPool, reminders_of_use: timedelta = _DAY
) -> tuple[Job | Chore, ...]:
    """All jobs of a deployment. reminders_of_use: how late a reminder may still come."""
    return (
        *[_warning(target, working) for target in _MOMENTS],
        *[_breach(target, working) for target in _MOMENTS],
        _stalled(rules, working),
        _timed_deals(rules, working),
        _timed_tickets(rules, working),
        _reminders(working, reminders_of_use),
        _tidying(pool),
        summing(rules, working.desk.catalogue, Buying.of(working.zone.key, rules.rfm), pool),
    )


def _key(name: str) -> Key:
    return Key(_SCOPE, name, name.encode())


def _found(found: Sequence[rows.Due]) -> list[Due]:
    return [Due(one.item.hex, one.at) for one in found]


def _warning(target: _Target, working: Working) -> Job:
    """Once the target itself was missed a warning is of no use: the breach tells."""
    name = f"{target}_warning"
    warn, missed = _MOMENTS[target]

    def find(connection: psycopg.Connection, now: datetime, limit: int) -> list[Due]:
        return _found(rows.targets(connection, name, warn, now, limit))

    def act(due: Due, key: str, now: datetime) -> None:
        by = getattr(working.load("ticket", UUID(hex=due.item)).state, missed)
        if by is not None and by <= now:
            raise TooLateError
        working.warn_target(UUID(hex=due.item), target, due.at, actor=ACTOR, key=_key(key))

    return Job(name, _SOON, "skip", find, act)


def _breach(target: _Target, working: Working) -> Job:
    name = f"{target}_breach"
    _, missed = _MOMENTS[target]

    def find(connection: psycopg.Connection, now: datetime, limit: int) -> list[Due]:
        return _found(rows.targets(connection, name, missed, now, limit))

    def act(due: Due, key: str, _now: datetime) -> None:
        working.breach_target(UUID(hex=due.item), target, due.at, actor=ACTOR, key=_key(key))

    return Job(name, _SOON, "late", find, act)


def _stays(
    name: str, stays: Sequence[tuple[str, str, timedelta]]
) -> Callable[[psycopg.Connection, datetime, int], list[Due]]:
    """Deals that stay in (pipeline, stage) for so long."""

    def find(connection: psycopg.Connection, now: datetime, limit: int) -> list[Due]:
        found: list[Due] = []
        for pipeline, stage, length in stays:
            found += _found(rows.deal_stays(connection, name, pipeline, stage, length, now, limit - len(found)))
        return found

    return find


def _stalled(rules: Configuration, working: Working) -> Job:
    name = "deal_stalled"
    stays = [
        (code, stage.code, stage.stalled_after)
        for code, pipeline in rules.pipelines.items()
        for stage in pipeline.stages
        if stage.stalled_after is not None
    ]

    def act(due: Due, key: str, _now: datetime) -> None:
        state = working.load("deal", UUID(hex=due.item)).state
        working.stall_deal(UUID(hex=due.item), state.stage, state.stage_since, actor=ACTOR, key=_key(key))

    return Job(name, _OFTEN, "late", _stays(name, stays), act)


def _timed_deals(rules: Configuration, working: Working) -> Job:
    name = "deal_timed"
    moves = {
        (code, stage.code): stage.timed
        for code, pipeline in rules.pipelines.items()
        for stage in pipeline.stages
        if stage.timed is not None
    }
    stays = [(pipeline, stage, timed.after) for (pipeline, stage), timed in moves.items()]

    def act(due: Due, key: str, _now: datetime) -> None:
        deal = working.load("deal", UUID(hex=due.item))
        timed = _still(moves.get((deal.state.pipeline, deal.state.stage)), deal.state.stage_since, due)
        working.move_deal(
            deal.id, timed.to, _because(timed), actor=ACTOR, key=_key(key), expected=deal.version
        )  # fmt: skip

    return Job(name, _OFTEN, "late", _stays(name, stays), act)


def _timed_tickets(rules: Configuration, working: Working) -> Job:
    name = "ticket_timed"
    moves = {state.code: state.timed for state in rules.tickets.states if state.timed is not None}

    def find(connection: psycopg.Connection, now: datetime, limit: int) -> list[Due]:
        found: list[Due] = []
        for state, timed in moves.items():
            found += _found(rows.ticket_stays(connection, name, state, timed.after, now, limit - len(found)))
        return found

    def act(due: Due, key: str, _now: datetime) -> None:
        ticket = working.load("ticket", UUID(hex=due.item))
        timed = _still(moves.get(ticket.state.state), ticket.state.state_since, due)
        working.move_ticket(
            ticket.id, timed.to, _because(timed), actor=ACTOR, key=_key(key), expected=ticket.version
        )  # fmt: skip

    return Job(name, _OFTEN, "late", find, act)


def _still(timed: TimedMove | None, since: Any, due: Due) -> TimedMove:
    """The move, if it is for this very stay; what moved since has stayed nowhere for long."""
    if timed is None or since is None or since + timed.after != due.at:
        raise TooLateError
    return timed


def _because(timed: TimedMove) -> dict[str, str]:
    return {"reason": timed.reason} if timed.reason else {}


def _reminders(working: Working, of_use: timedelta) -> Job:
    name = "task_reminder"

    def find(connection: psycopg.Connection, now: datetime, limit: int) -> list[Due]:
        return _found(rows.reminders(connection, name, now, limit))

    def act(due: Due, key: str, _now: datetime) -> None:
        working.remind_task(UUID(hex=due.item), due.at, actor=ACTOR, key=_key(key))

    return Job(name, _SOON, "skip", find, act, of_use)


def _tidying(pool: ConnectionPool) -> Job:
    """Once an hour, by whoever comes first; what was missed is made good by the next."""
    name = "tidying"

    def find(connection: psycopg.Connection, now: datetime, _limit: int) -> list[Due]:
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return [] if Claims.settled(connection, name, Piece(_ALL, hour)) else [Due(_ALL, hour)]

    def act(due: Due, _key: str, _now: datetime) -> None:
        with pool.connection() as connection:
            Claims.tidy(connection, due.at)
            Webhooks.tidy(connection, due.at)

    return Job(name, _QUARTER, "late", find, act)
