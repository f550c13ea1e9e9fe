"""Who fills which part of a rebuild? Any number of workers share its parts; each step is one transaction that holds
the part it is of, so that one that is killed leaves nothing behind, and the others do its work.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from domain.errors import Unavailable
from eventlog.sql import load
from projections.connecting import ENDING_WITH_US
from projections.deriving import Reading
from projections.directory.model import CREATE_STAGING
from projections.family import GoAloneError
from projections.figures.buyers import Buying
from projections.figures.folding import PARTS, SUMS, fold_part
from projections.rebuild_log import Parted, noted
from projections.rebuild_state import Part
from projections.rebuild_tables import SOON, finish_table, ready_table
from projections.refilling import Refill
from projections.registry import NEXT, use
from projections.segments.filling import fill as memberships

__all__ = [
    "STAGES",
    "WHO",
    "Others",
    "Plan",
    "Worker",
    "complete",
    "connect",
    "fill",
    "now_of",
    "parts_of_log",
    "parts_of_tables",
    "parts_of_timeline",
]

_SQL: Final = load("projections", "rebuild.sql")
_STAGING: Final = load("projections", "staging.sql")
STAGES: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9)
"""The timeline's rows out of the log; its tables made what they have to be; rows out of the timeline; their tables,
and who hangs together; what hangs on whole tables, and who is who; its tables; what hangs on it; sums of all that;
their tables."""
_LOG, _LOG_TABLES, _ROWS, _TABLES, _WHOLE, _WHO_TABLES, WHO, _SUMS, _SUM_TABLES = STAGES
_RANGE: Final = 200_000
"""About how many events a range of ids has, where work is shared out by them."""
_SHARES: Final = 4
"""Parts in which any number of workers fill in what is found by ranges of ids."""
_ITEMS: Final = 1000
_SELDOM: Final = (200_000, 10, 10)
"""How seldom garbage is looked for: there are many objects, without a cycle among them."""
_OPTIONS: Final = (
    "-c work_mem=128MB -c maintenance_work_mem=256MB -c jit=off -c synchronous_commit=off -c lock_timeout=60s "
    f"-c client_min_messages=warning -c temp_buffers=64MB {ENDING_WITH_US}"
)
_RETRIED = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.UniqueViolation,  # another worker brought the same word or number a moment before
)
_Cursor = psycopg.Cursor[Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker needs to know; can be sent to another process. models: those that are filled. later: (table,
    statement) of what is made once rows are in. begun_at: which rebuild it is."""

    dsn: str
    log_url: str
    reading: Reading
    models: tuple[str, ...]
    later: tuple[tuple[str, str], ...]
    begun_at: datetime
    batch: int = 10_000


class _Taken(NamedTuple):
    name: str
    reached: int
    total: int
    state: str


def parts_of_log(live: dict[int, int]) -> list[Part]:
    """The parts of reading the log up to where live stands."""
    return [Part(f"log:{part:05}", _LOG, end, end) for part, end in live.items() if end]


def parts_of_timeline(models: Sequence[str], live: dict[int, int], events: int) -> list[Part]:
    """The parts of filling these read models out of the timeline, but for those of tables. live: where it stands;
    events: about how many there are."""
    ranges, found = max(1, events // _RANGE), []
    if set(models) & {"customers", "figures", "work", "directory"}:
        found += [Part(f"events:{part:05}", _ROWS, end, 0.4 * end) for part, end in live.items() if end]
    if set(models) & {"identity", "directory"}:
        share = (0.1 * ("identity" in models) + 0.3 * ("directory" in models)) * events / _SHARES
        found += [Part(f"people:{one}", _ROWS, ranges, share) for one in range(_SHARES)]
    if "identity" in models:
        found += [Part("rulings", _ROWS, 1, 1), Part("place", _TABLES, 1, 0.1 * events)]
        found += [Part(f"homes:{one}", _WHOLE, ranges, 0.15 * events / _SHARES) for one in range(_SHARES)]
        found.append(Part("placed", _WHO_TABLES, 1, 1))
    if "customers" in models:
        found += [Part("contacts", _ROWS, ranges, 0.03 * events), Part("orders", WHO, 1, 0.01 * events)]
        found.append(Part("trades", _SUMS, 1, 0.03 * events))
    if "work" in models:
        found.append(Part("items", _WHOLE, 2**16, 0.1 * events))
    if "figures" in models:
        weights = {"sales": 0.15, "contacts": 0.05, "metrics": 0.01, "moods": 0.02, "buyers": 0.1, "credits": 0.05,
                   "questions": 0.02, "opinions": 0.03}  # fmt: skip
        found += [Part(f"sums:{part}", _SUMS, 1, weights[part] * events) for part in PARTS]
    return found


def parts_of_tables(tables: Sequence[str], events: int) -> list[Part]:
    """A part for each table (`schema.table`) of a build."""
    weight = 0.3 * events / len(tables)
    soon = [one for one in tables if one.startswith("timeline") and one.partition(".")[2] in SOON]
    found = [Part(f"ready:{one}", _LOG_TABLES, 1, weight) for one in soon]
    found += [Part(f"table:{one}", _TABLES, 1, 0.2 * events) for one in soon]
    return found + [Part(f"table:{one}", _stage_of(*one.split(".")), 1, weight) for one in tables if one not in soon]


def _stage_of(schema: str, table: str) -> int:
    if schema == f"timeline{NEXT}":
        return _LOG_TABLES
    if schema == f"identity{NEXT}":
        return _WHO_TABLES
    return _SUM_TABLES if table in {*SUMS, "trade_sums"} else _TABLES


class Worker:
    """Does parts. Belongs to one thread. Raises Unavailable where Postgres or the key store does not answer, or the
    rebuild was given up."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._refill: Refill | None = None
        self._log: Parted | None = None
        self._connection = connect(plan.dsn)
        self._before = ""
        self._alone = False

    def run(self, told: Callable[[], None] = lambda: None, over: Callable[[int], None] = lambda stage: None) -> None:
        """Do parts until none is left; `told` is called between two steps, `over` once a stage is done by all."""
        for stage in STAGES:
            while self._step(stage) or self._wait(stage):
                told()
            over(stage)

    def close(self) -> None:
        """Let go of the connection and the key store."""
        self._connection.close()
        if self._refill is not None:
            self._refill.close()
        if self._log is not None:
            self._log.close()

    def _wait(self, stage: int) -> bool:
        """Does another worker still do something of this stage?"""
        asked = {"stage": stage, "begun_at": self._plan.begun_at}
        left, same = self._connection.execute(_SQL["left"], asked).fetchone() or (0, False)
        if not same:
            raise Unavailable("The rebuild was given up.")
        if left:
            time.sleep(0.02)
        return bool(left)

    def _step(self, stage: int) -> bool:
        """Do the next step of a part; False where nobody is needed."""
        for attempt in range(5):
            try:
                with self._connection.transaction(), self._connection.cursor(binary=True) as cursor:
                    asked = {"stage": stage, "begun_at": self._plan.begun_at, "before": self._before}
                    row = cursor.execute(_SQL["take_part"], asked).fetchone()
                    if row is None:
                        return False
                    taken = _Taken(*row)
                    reached, state = self._do(cursor, taken)
                    cursor.execute(_SQL["move_part"], {"part": taken.name, "reached": reached, "state": state})
                self._before, self._alone = taken.name, False
                return True
            except GoAloneError:
                self._forget()
                self._alone = True
            except _RETRIED as error:
                self._forget()
                if attempt == 4:
                    raise Unavailable(f"Postgres refused a part five times ({type(error).__name__}).") from None
                time.sleep(0.05 * 2**attempt)
            except psycopg.OperationalError as error:
                raise Unavailable(f"Postgres does not answer ({type(error).__name__}).") from None
        return False

    def _forget(self) -> None:
        """What was done last was not committed."""
        if self._refill is not None:
            self._refill.forget()
        if self._log is not None:
            self._log.forget()

    @property
    def _refilling(self) -> Refill:
        if self._refill is None:
            self._refill = Refill(self._plan.models, self._plan.reading)
        return self._refill

    def _do(self, cursor: _Cursor, part: _Taken) -> tuple[int, str]:
        """Do a step of a part; gives how far that is, and what to go on with."""
        kind, _, which = part.name.partition(":")
        if kind in ("table", "ready"):
            schema, _, table = which.partition(".")
            statements = [statement for its, statement in self._plan.later if its == which]
            finish = finish_table if kind == "table" else ready_table
            finish(self._connection, schema, table, statements)
            return part.total, ""
        use(cursor, NEXT, self._plan.models)
        if kind == "log":
            return self._read(cursor, int(which), part)
        refill, end = self._refilling, part.reached + 1
        if kind == "events":
            end = min(part.total, part.reached + self._plan.batch)
            refill.chunk(cursor, int(which), part.reached, end)
        elif kind == "people":
            refill.people(cursor, int(which) * part.total + part.reached, _SHARES * part.total)
        elif kind == "homes":
            refill.homes(cursor, int(which) * part.total + part.reached, _SHARES * part.total)
        elif kind == "contacts":
            refill.contacts(cursor, part.reached, part.total)
        elif kind == "items":
            last = refill.items(cursor, UUID(part.state or "0" * 32), _ITEMS)
            return (part.total, "") if last is None else (last.int >> 112, last.hex)
        elif kind == "sums":
            facing = self._plan.reading.facing
            buying = Buying.of(str(facing.zone), facing.rfm)
            fold_part(self._connection.cursor(), which, buying=buying)  # one that takes several statements at once
        else:
            at_once = {
                "rulings": refill.rulings, "place": refill.place, "placed": refill.placed, "orders": refill.orders,
                "trades": refill.trade_sums,
            }  # fmt: skip
            at_once[kind](cursor)
        return end, ""

    def _read(self, cursor: _Cursor, partition: int, part: _Taken) -> tuple[int, str]:
        """Read on in a partition of the log; what could not be applied is what such a part goes on with."""
        if self._log is None:
            self._log = Parted(self._plan.log_url, self._plan.reading.catalogue())
        read = self._log.step(cursor, partition, part.reached, part.total, self._plan.batch, self._alone)
        return read.reached, noted(part.state, read.unapplied)


def connect(dsn: str) -> psycopg.Connection:
    """An autocommit session that fills tables. Raises Unavailable."""
    try:
        connection = psycopg.connect(dsn, autocommit=True, connect_timeout=10, options=_OPTIONS)
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres does not answer ({type(error).__name__}).") from None
    connection.execute(_STAGING["create"])
    connection.execute(CREATE_STAGING)
    return connection


class Others:
    """Further workers: processes that start before it is known what there is to do, since to start takes them as long
    as to make empty tables."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes: list[BaseProcess] = []
        self._told: list[Connection] = []
        for _ in range(count):
            receiver, sender = context.Pipe(duplex=False)
            process: BaseProcess = context.Process(
                target=_serve, args=(receiver, os.getpid()), name="storyline-worker", daemon=True
            )
            process.start()
            receiver.close()
            self._processes.append(process)
            self._told.append(sender)

    def begin(self, plan: Plan) -> None:
        """Tell them what to do. Whoever was killed by now is missed by nobody."""
        for sender in self._told:
            with suppress(OSError):
                sender.send(plan)

    def close(self) -> None:
        """End them."""
        for sender in self._told:
            sender.close()
        for process in self._processes:
            process.terminate()
            process.join(10)
            process.close()


def fill(
    plan: Plan, others: Others, told: Callable[[], None], over: Callable[[int], None] = lambda stage: None
) -> None:
    """Do all parts, with these processes; this one is the first of them. told, over: as `Worker.run`."""
    others.begin(plan)
    worker = Worker(plan)
    before = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        worker.run(told, over)
    finally:
        gc.set_threshold(*before)
        worker.close()


def complete(plan: Plan) -> None:
    """Find out what hangs on everything, once all parts are done; may be done again."""
    with closing(connect(plan.dsn)) as connection:
        if "segments" in plan.models:
            memberships(connection, plan.reading.facing, NEXT, now_of(connection), plan.models)


def now_of(connection: psycopg.Connection) -> datetime:
    """This moment, by the clock of the database."""
    [[moment]] = connection.execute(_SQL["now"]).fetchall()
    at: datetime = moment
    return at


def _serve(receiver: Connection, parent: int) -> None:
    """The whole life of a further worker; it ends with its parent, however that went."""
    try:
        plan: Plan = receiver.recv()
    except EOFError:
        return
    gc.set_threshold(*_SELDOM)

    def look() -> None:
        if os.getppid() != parent:
            os._exit(0)

    worker = Worker(plan)
    try:
        worker.run(look)
    finally:
        worker.close()
