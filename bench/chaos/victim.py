"""How does a process of Storyline die at a named point? It is launched here, and ends or freezes itself on order.

`python -m bench.chaos.victim projector`: `storyline projector`, with the methods that make up the named points
wrapped. The product has no switch for it. An order is a file CHAOS_ORDERS/POINT that holds `kill` or `stop`; whoever
passes the point first takes it away and carries it out. The points:

    append.before     keys are committed, nothing is on the log yet
    append.after      the log has it, nobody was told
    move.before       a batch is about to be applied (projector); is on the log, and not moved past yet (inbox)
    move.after        the SQL was done, the COMMIT not yet sent
    move.committed    the COMMIT was answered, nothing else has happened
    settled           it holds other partitions than before, and has not read any of them

CHAOS_WITHOUT takes mechanisms away first; see `without.py`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from psycopg.transaction import BaseTransaction

from bench.chaos.without import remove
from eventlog.embedded import EmbeddedLog
from eventlog.kafka import KafkaLog
from projections.leases import Seat
from projections.positions import Positions

__all__ = ["POINTS", "main"]

POINTS = ("append.before", "append.after", "move.before", "move.after", "move.committed", "settled")
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_thread = threading.local()


def _pass(orders: Path, point: str) -> None:
    order = orders / point
    if not order.exists():
        return
    taken = orders / f"{point}.taken"
    try:
        order.rename(taken)
    except FileNotFoundError:
        return  # another thread was faster
    os.kill(os.getpid(), _SIGNALS[taken.read_text()])


def _around(orders: Path, method: Callable[..., Any], before: str | None, after: str) -> Callable[..., Any]:
    def wrapped(self: Any, *arguments: Any) -> Any:
        if before is not None:
            _pass(orders, before)
        done = method(self, *arguments)
        _pass(orders, after)
        return done

    return wrapped


def _moving(orders: Path, move: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(self: Any, *arguments: Any) -> Any:
        _pass(orders, "move.before")
        done = move(self, *arguments)
        _thread.moved = True
        return done

    return wrapped


def _committing(orders: Path, commit: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(self: Any) -> Generator[Any, Any, None]:
        moved, _thread.moved = getattr(_thread, "moved", False), False
        if moved:
            _pass(orders, "move.after")
        yield from commit(self)
        if moved:
            _pass(orders, "move.committed")

    return wrapped


def _wire(orders: Path) -> None:
    for log in (KafkaLog, EmbeddedLog):
        wrapped = _around(orders, log.append, "append.before", "append.after")
        log.append = wrapped  # type: ignore[method-assign]
    Seat.settle = _around(orders, Seat.settle, None, "settled")  # type: ignore[method-assign]
    Positions.move = _moving(orders, Positions.move)  # type: ignore[method-assign]
    BaseTransaction._commit_gen = _committing(orders, BaseTransaction._commit_gen)  # type: ignore[method-assign]


def main() -> None:
    """Run one command of Storyline, under orders."""
    from storyline.cli import main as storyline  # noqa: PLC0415 - what is to be patched first is imported above

    remove([name for name in os.environ.get("CHAOS_WITHOUT", "").split(",") if name])
    _wire(Path(os.environ["CHAOS_ORDERS"]))
    storyline(sys.argv[1:])


if __name__ == "__main__":
    main()
