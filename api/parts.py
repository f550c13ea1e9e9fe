"""What does the API need to be given, and which limits does it keep? Everything comes in; nothing is wired here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from prometheus_client.registry import Collector

from commands.access import Access
from commands.erasing import Erasing
from commands.parking import Parking
from commands.proposing import Proposing
from commands.publishing import Publisher
from commands.segments import Segments
from commands.webhooks import Webhooks
from commands.working import Working
from domain.catalogue.registry import Catalogue
from domain.profile import ProfileRules
from eventlog.keyring import Keyring
from eventlog.port import Log
from eventlog.tokens import Hasher

__all__ = ["ApiParts", "Limits"]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process takes upon itself. Sizes in bytes, times in seconds."""

    max_body: int = 16 * 2**20
    """Largest body of a request, inflated."""
    max_batch: int = 1000
    """Most events in one request."""
    max_waiting: int = 64
    """Most publishing requests that are read and wait for the log at once; more get 429."""
    max_buffered: int = 128 * 2**20
    """Most bytes of bodies held at once, over all requests; more get 429."""
    body_seconds: float = 30.0
    """Longest time for a body to arrive."""
    visible_wait: float = 5.0
    """Longest wait for a position to become visible."""
    max_streams: int = 200
    """Most live streams at once; more get 429."""
    heartbeat: float = 15.0
    """Pause after which a silent stream gets a comment."""
    search_rows: int = 500
    """Most rows that one text search unseals before it hands out a cursor."""
    max_replays: int = 4
    """Most replays at once; each holds a snapshot. More get 429."""
    max_page: int = 200
    """Most items on a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """The parts that the API is made of. Their owner opens and closes them; the API closes only its own pool.

    log: for the raw log and its ends. reader_dsn: of the read models. time_zone: of hours, where a person's
    own is not known. profile_rules: which claim a profile shows. collectors: what `/metrics` shows beside the API's
    own; asked off the event loop.
    """

    publisher: Publisher
    access: Access
    keyring: Keyring
    hasher: Hasher
    catalogue: Catalogue
    log: Log
    dead_letters: Parking
    erasing: Erasing
    proposing: Proposing
    working: Working
    webhooks: Webhooks
    segments: Segments
    reader_dsn: str
    collectors: Sequence[Collector] = ()
    version: str = "0.1.0"
    limits: Limits = field(default_factory=Limits)
    time_zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))
    profile_rules: ProfileRules = field(default_factory=ProfileRules)
    clock: Callable[[], datetime] = _now
