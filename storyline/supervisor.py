"""How do several processes run as one? Started together, started again when one ends, stopped together.

A child that ends by itself is started again after a pause, which doubles up to half a minute and begins anew once a
child has held for a minute. What the children stand on (the embedded PostgreSQL) is mended likewise. A child that
says by its exit code that trying again is of no use (a wrong setting, a damaged log) stops all. Children end with
their supervisor, even when that is killed: each watches a pipe.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

from domain.errors import StorylineError
from storyline.exits import WRONG_FOR_GOOD

__all__ = ["Supervisor", "end_with_parent", "stop_on_signals"]

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_HELD = 60.0
_MEND_EVERY = 1.0
_STOP_SECONDS = 25.0
_SUPERVISED = "STORYLINE_SUPERVISED"
_logger = structlog.get_logger("storyline.supervisor")


class _Child:
    """One process to keep running."""

    def __init__(self, name: str, environment: Mapping[str, str], clock: Callable[[], float]) -> None:
        self.name, self._environment, self._clock = name, environment, clock
        self.process: subprocess.Popen[bytes] | None = None
        self._pause, self._started, self.again_at = _FIRST_PAUSE, 0.0, 0.0

    def start(self) -> None:
        self._started = self._clock()
        self.process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "storyline.cli", *self.name.split()],
            env={**self._environment, _SUPERVISED: "1"},
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the supervisor, which then stops the children
        )

    def ended(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def plan_again(self) -> float:
        """Note when to start again; gives the pause in seconds."""
        self._let_go()
        if self._clock() - self._started > _HELD:
            self._pause = _FIRST_PAUSE
        pause = self._pause
        self._pause = min(pause * 2, _LONGEST_PAUSE)
        self.again_at = self._clock() + pause
        return pause

    def ask_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, until: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - self._clock()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


class Supervisor:
    """Keeps child processes (`storyline NAME`) running until `stop` is set.

    A name may be of two words, a group and its command. It may stand there several times; all but the first take any
    free port, so that no two want the same one.

    mend: called about once a second; starts what the children stand on again, and gives whether that was needed.
    """

    def __init__(
        self,
        names: Sequence[str],
        environment: Mapping[str, str],
        mend: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._mend, self._mend_at = clock, mend, 0.0
        self._children = []
        for place, name in enumerate(names):
            more = {f"STORYLINE_{name.split()[0].upper()}_PORT": "0"} if name in names[:place] else {}
            self._children.append(_Child(name, {**environment, **more}, clock))

    def run(self, stop: threading.Event) -> int:
        """Start all, mend what breaks, stop all. 0, or the exit code of a child that trying again cannot help."""
        try:
            for child in self._children:
                child.start()
            while not stop.wait(0.2):
                self._look_below()
                for child in self._children:
                    code = self._look_after(child)
                    if code is not None:
                        return code
            return 0
        finally:
            self._stop_all()

    def _look_below(self) -> None:
        if self._clock() < self._mend_at:
            return
        try:
            if self._mend():
                _logger.warning("server.started_again")
        except StorylineError as error:
            _logger.warning("server.not_mended", detail=error.detail)
        self._mend_at = self._clock() + _MEND_EVERY

    def _look_after(self, child: _Child) -> int | None:
        if child.process is None:
            if self._clock() >= child.again_at:
                child.start()
            return None
        code = child.ended()
        if code is None:
            return None
        if code in WRONG_FOR_GOOD:
            _logger.error("child.gave_up", process=child.name, exit_code=code)
            return code
        pause = child.plan_again()
        _logger.warning("child.ended", process=child.name, exit_code=code, seconds=pause)
        return None

    def _stop_all(self) -> None:
        for child in self._children:
            child.ask_to_stop()
        until = self._clock() + _STOP_SECONDS
        for child in self._children:
            child.wait(until)


def end_with_parent() -> None:
    """In a supervised child: end as by SIGTERM when the supervisor is gone, however it went."""
    if os.environ.get(_SUPERVISED) != "1":
        return

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set."""
    stop = threading.Event()

    def ask(_number: int, _frame: Any) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
