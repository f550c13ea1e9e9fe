"""How does a test get processes that announce, and die over it? One process loads all that is needed, and forks those
that work; each kills itself by chance when what it tells is on the log, and nobody noted it yet.

    python -m tests.support.announcers DSN

makes one for each line on its standard input (the chance that it dies, as a number), and prints how it ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from commands.announcing import Announcing
from commands.publishing import Publisher, Receipt
from domain.event import Event
from tests.support.story import story

__all__ = ["announcers"]

_ROOT = Path(__file__).parent.parent.parent


class _Dying(Publisher):
    """Dies by chance once events are on the log."""

    chance = 0.0
    random = Random()

    def append(self, events: Sequence[Event]) -> list[Receipt]:
        receipts = super().append(events)
        if self.random.random() < self.chance:
            os.kill(os.getpid(), signal.SIGKILL)
        return receipts


@contextmanager
def announcers(dsn: str, master: bytes) -> Iterator[Any]:
    """Gives a function: let a process announce all that waits, or die by this chance; gives whether it lived."""
    env = {**os.environ, "TEST_MASTER": b64encode(master).decode(), "PYTHONPATH": str(_ROOT)}
    argv = [sys.executable, "-m", "tests.support.announcers", dsn]
    with subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        sent, answers = zygote.stdin, zygote.stdout

        def announce(chance: float) -> bool:
            sent.write(f"{chance}\n")
            sent.flush()
            return answers.readline() == "0\n"

        try:
            yield announce
        finally:
            zygote.kill()


def _work(dsn: str, chance: float) -> None:
    with story(dsn, dsn, master=b64decode(os.environ["TEST_MASTER"])) as small:
        publisher = _Dying(small.catalogue, small.sealer, small.log)
        publisher.chance, publisher.random = chance, Random(os.getpid())
        announcing = Announcing(publisher, small.keyring)
        with psycopg.connect(dsn, autocommit=True) as connection:
            while any(announcing.step(connection)):
                pass


def _main() -> None:
    [dsn] = sys.argv[1:]
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _work(dsn, float(line))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
