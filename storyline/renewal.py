"""Which read models has a new release to make anew, and who does it? In production the operator, while the old ones
serve; in development it is done at the start.
"""

from __future__ import annotations

import os
import time

import structlog

from projections.connecting import connected
from projections.rebuild_state import abort, known, words_of
from projections.registry import changed, refuse_changed, standing_on
from storyline.parts import Parts

__all__ = ["renew"]

_TELL_EVERY = 5.0
_logger = structlog.get_logger("storyline.rebuild")


def renew(parts: Parts) -> None:
    """Return once the read models are those of this release. In production Misconfigured, which says what to run."""
    with connected(parts.settings.database_url) as connection:
        if parts.settings.mode == "production":
            refuse_changed(connection)
        names = changed(connection)
        if not names:
            return
        from projections.rebuild import Rebuild, chosen  # noqa: PLC0415 - seldom needed, and much to load

        models, source = chosen(["all"] if "timeline" in names else list(standing_on(names)), None)
        found = known(connection)
        if found is not None and (found.models, found.source) != (models, source):
            abort(connection)
    told_at = time.monotonic()

    def told(done: int, total: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _TELL_EVERY:
            told_at = time.monotonic()
            _logger.info("rebuild.goes_on", percent=round(100 * done / max(1, total)))

    settings = parts.settings
    _logger.info("rebuild.begins", detail=f"storyline rebuild {words_of(models)}", changed=list(names))
    report = Rebuild(
        settings.database_url,
        settings.log_url,
        parts.log,
        parts.parking.for_log("projector", parts.log.log_id),
        parts.reading,
        models,
        source,
        workers=os.cpu_count() or 1,
        batch=settings.batch,
        told=told,
    ).run()
    _logger.info("rebuild.done", events=report.events, seconds=round(report.seconds, 1))
