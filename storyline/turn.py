"""May a process work on the log that LOG_URL names? Not before a move has filled it, nor after one left it."""

from __future__ import annotations

import time

import structlog

from domain.errors import Misconfigured
from projections.moves import standing

__all__ = ["wait_for_turn"]

_PAUSE = 0.25
_TELL_EVERY = 30.0
_logger = structlog.get_logger("storyline.process")


def wait_for_turn(dsn: str, log_id: str) -> None:
    """Return once the log is the one that counts: while `storyline log move` fills it, we stand by beside the others.

    Raises Misconfigured for a log that was moved away, and where the move that filled this one was given up.
    """
    waited, told_at = False, 0.0
    while (found := standing(dsn, log_id)) == "filling":
        waited = True
        if time.monotonic() - told_at > _TELL_EVERY or not told_at:
            told_at = time.monotonic()
            _logger.info("process.waits", detail="LOG_URL names a log that `storyline log move` still fills.")
        time.sleep(_PAUSE)
    if found == "moved":
        raise Misconfigured(
            "LOG_URL names a log that was moved. Set it to the new one, which `storyline log move` named, and start "
            "again."
        )
    if waited and found == "alone":
        raise Misconfigured(
            "The move to the log that LOG_URL names was given up. Set LOG_URL to the log before it, and start again."
        )
