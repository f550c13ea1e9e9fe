"""How does a test get enrichers that die at any point? See `mortals.py`.

python -m tests.support.enrichers DSN
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from eventlog.opening import open_log
from tests.support.enriching import MASTER, enricher_of
from tests.support.mortals import Mortals, fork
from tests.support.story import story

__all__ = ["Enrichers"]


class Enrichers(Mortals):
    """Enrichers on a story's database, until the block ends."""

    def __init__(self, dsn: str) -> None:
        super().__init__("tests.support.enrichers", [dsn])


def _work(dsn: str, perhaps_die: Callable[[], None]) -> None:
    with story(dsn, f"{dsn}&partitions=2", master=MASTER) as small:
        enricher_of(small, open_log(small.log_url), batch=3, before_move=perhaps_die).run(threading.Event())


if __name__ == "__main__":
    fork(lambda perhaps_die: _work(sys.argv[1], perhaps_die))
