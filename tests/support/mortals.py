"""How does a test get processes that die at any point? One process loads all that is needed, and forks those that
work; each of them kills itself by chance, just before it would note what it did.

Whoever has such processes runs `fork` in a module of its own: it makes one for each line on its standard input (the
chance that it dies, as a number), and prints its process id.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import psutil

__all__ = ["Mortals", "fork"]

_ROOT = Path(__file__).parent.parent.parent


class Mortals:
    """Processes that a module forks, until the block ends. `started`: how many there were."""

    def __init__(self, module: str, words: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        argv = [sys.executable, "-m", module, *words]
        whole = {**os.environ, **(env or {}), "PYTHONPATH": str(_ROOT)}
        self._zygote = subprocess.Popen(argv, env=whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._running: list[int] = []
        self.started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self._running:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)
        with self._zygote:
            self._zygote.kill()

    def keep(self, number: int, chance: float) -> None:
        """See to it that so many run; new ones die by this chance whenever they are about to note something."""
        self._running = [pid for pid in self._running if _lives(pid)]
        while len(self._running) < number:
            assert self._zygote.stdin is not None and self._zygote.stdout is not None
            self._zygote.stdin.write(f"{chance}\n")
            self._zygote.stdin.flush()
            self._running.append(int(self._zygote.stdout.readline()))
            self.started += 1


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def fork(work: Callable[[Callable[[], None]], None]) -> None:
    """Fork one that works for each line that comes in. work: is given what it is to call before it notes anything."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            work(_perhaps_die(float(line)))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _perhaps_die(chance: float) -> Callable[[], None]:
    random = Random(os.getpid())

    def perhaps_die() -> None:
        if random.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    return perhaps_die
