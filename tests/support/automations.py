"""How does a test get processes of automation that die at any point? One process loads all that is needed, and forks
those that work; each of them kills itself by chance, just before it would note what it did.

    python -m tests.support.automations DSN RECEIVER

makes one for each line on its standard input (the chance that it dies, as a number), and prints its process id.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import psutil

from consumers.automation import Automation
from domain.configuration import Configuration
from tests.support.automating import automated, rules_of

__all__ = ["Automations", "killed_rules"]

_ROOT = Path(__file__).parent.parent.parent


def killed_rules(receiver: str) -> Configuration:
    """One rule that does all that must not be done twice."""
    then = [
        {"do": "create_task", "title": "Call", "assignee": "anna"},
        {"do": "notify", "user": "bob", "text": "Somebody answered"},
        {"do": "webhook", "url": f"{receiver}/hook", "secret": "main"},
    ]
    return rules_of({"code": "all", "on": ["survey.answered"], "then": then})


class Automations:
    """Processes of automation on a story's database, until the block ends."""

    def __init__(self, dsn: str, receiver: str, master: bytes) -> None:
        env = {**os.environ, "TEST_MASTER": b64encode(master).decode(), "PYTHONPATH": str(_ROOT)}
        argv = [sys.executable, "-m", "tests.support.automations", dsn, receiver]
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


def _work(dsn: str, receiver: str, chance: float) -> None:
    master = b64decode(os.environ["TEST_MASTER"])
    random = Random(os.getpid())

    def perhaps_die() -> None:
        if random.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    with automated(dsn, killed_rules(receiver), follow=False, master=master) as made:
        made.follower.share.batch, made.follower.before_move = 3, perhaps_die
        made.carrier.before_settling = perhaps_die
        Automation(made.follower, made.carrier, [made.deliverer]).run(threading.Event())


def _main() -> None:
    dsn, receiver = sys.argv[1:]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _work(dsn, receiver, float(line))
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
