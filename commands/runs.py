"""What are the rules of automation to do? Runs: one for each rule and event, kept with what became of it.

They are added in the transaction that moves the position on the log, so that none is missing and none is there twice,
however often the log is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import psycopg

from domain.automation import rule_hash
from domain.configuration import Rule
from eventlog.sql import load

__all__ = ["KEY_SCOPE", "Run", "RunState", "Runs", "action_key"]

_SQL = load("commands", "runs.sql")
KEY_SCOPE = "automation"
"""Whose the idempotency keys of actions are."""

RunState = Literal["done", "suppressed", "refused", "unmet", "failed"]


class Run(NamedTuple):
    """What a rule is to do about an event. event: its name. at: when. depth: how many rules led here, this one
    included. tries: how often it was tried."""

    rule: str
    event: str
    at: datetime
    depth: int
    tries: int = 0


def action_key(run: Run, index: int) -> str:
    """The idempotency key of an action of a run; neither a rule's code nor an event's name holds a blank."""
    return f"{run.rule} {run.event} {index}"


class Runs:
    """The runs, through a connection that its owner commits."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def begin(self, log_id: str, ends: Mapping[int, int], rules: Sequence[Rule], now: datetime) -> None:
        """Note these rules, and, the first time of all, that what the log holds by now is the past."""
        places = {"log_id": log_id, "partitions": list(ends), "offsets": list(ends.values())}
        self._connection.execute(_SQL["begin_at_the_end"], places)
        self._connection.execute(_SQL["begin_rules"], {**_names(rules), "now": now})

    def since(self, rules: Sequence[Rule]) -> dict[str, datetime]:
        """Since when each rule, as it stands, holds."""
        return dict(self._connection.execute(_SQL["rules"], _names(rules)).fetchall())

    def depth(self, item: str, revision: int) -> int:
        """How deep the chain is that led to this revision of an item, made by a rule; 1 where that is forgotten."""
        row = self._connection.execute(_SQL["depth"], {"item": item, "revision": revision}).fetchone()
        return row[0] if row else 1

    def add(self, runs: Sequence[Run]) -> int:
        """Add runs; those that are there stay as they are. Gives how many are new."""
        if not runs:
            return 0
        columns = {
            "rules": [one.rule for one in runs],
            "events": [one.event for one in runs],
            "moments": [one.at for one in runs],
            "depths": [one.depth for one in runs],
        }
        return self._connection.execute(_SQL["add"], columns).rowcount

    def next(self, now: datetime) -> Run | None:
        """The next run that is to be carried out; nobody else gets it before the transaction ends."""
        row = self._connection.execute(_SQL["next"], {"now": now}).fetchone()
        return None if row is None else Run(*row)

    def settle(self, run: Run, state: RunState, why: str | None, now: datetime) -> None:
        """Say what became of a run."""
        self._connection.execute(_SQL["settle"], {**_name(run), "state": state, "why": why, "now": now})

    def again(self, run: Run, at: datetime, why: str, counted: bool = True) -> None:
        """Try it again from `at` on. counted: this was a try."""
        self._connection.execute(_SQL["again"], {**_name(run), "again": at, "why": why, "counted": int(counted)})

    def counts(self) -> dict[str, tuple[int, datetime]]:
        """Of the states `waiting` and `failed`: how many, and since when the first of them."""
        rows = self._connection.execute(_SQL["counts"]).fetchall()
        return {state: (number, oldest) for state, number, oldest in rows}


def _names(rules: Sequence[Rule]) -> dict[str, Any]:
    return {"rules": [one.code for one in rules], "hashes": [rule_hash(one) for one in rules]}


def _name(run: Run) -> dict[str, Any]:
    return {"rule": run.rule, "event": run.event}
