"""How does a test get enrichers that die at any point? One process loads all that is needed, and forks those that
work; each of them kills itself by chance, just before it would note what it did.

    python -m tests.support.enrichers DSN

makes one for each line on its standard input (the chance that it dies, as a number), and prints its process id.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import psutil

from eventlog.opening import open_log
from tests.support.enriching import MASTER, enricher_of
from tests.support.story import story

__all__ = ["Enrichers"]

_ROOT = Path(__file__).parent.parent.parent


class Enrichers:
    """Enrichers on a story's database, until the block ends."""

    def __init__(self, dsn: str) -> None:
        argv = [sys.executable, "-m", "tests.support.enrichers", dsn]
        env = {**os.environ, "PYTHONPATH": str(_ROOT)}
        self._zygote = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
        """See to it that so many run; new ones die by this chance whenever they are about to move on."""
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


def _work(dsn: str, chance: float) -> None:
    random = Random(os.getpid())

    def perhaps_die() -> None:
        if random.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    with story(dsn, f"{dsn}&partitions=2", master=MASTER) as small:
        enricher_of(small, open_log(small.log_url), batch=3, before_move=perhaps_die).run(threading.Event())


def _main() -> None:
    (dsn,) = sys.argv[1:]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _work(dsn, float(line))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
