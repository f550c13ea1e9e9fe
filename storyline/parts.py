"""Of which parts is Storyline made, here? The composition root: the one place that builds and wires them.

Each part is made when it is first asked for, so that a command opens no more than it needs. Any part can be given
instead of made (`Parts.build(settings, log=…)`), which is how tests and benchmarks put in their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import structlog
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from api.parts import ApiParts, Limits
from commands.access import Access
from commands.channels import Channels, read_channels
from commands.erasing import Around as AroundErasing
from commands.erasing import Erasing
from commands.ledger import Ledger
from commands.parking import Parking
from commands.proposing import Proposing
from commands.publishing import Publisher, Rights
from commands.rulings import Rulings
from commands.segments import Segments
from commands.webhooks import Webhooks
from commands.working import Working
from domain.catalogue import load_catalogue
from domain.catalogue.registry import Catalogue
from domain.configuration import Configuration
from domain.errors import Misconfigured, StorylineError
from domain.identity_rules import Blocked, read_rules
from domain.segment_limits import Known
from eventlog.key_access import KeyAccess
from eventlog.keyring import Keyring
from eventlog.masterkey import MasterKeys
from eventlog.opening import open_log
from eventlog.port import Log, Logged
from eventlog.sealer import Sealer
from eventlog.store import WorkStore
from eventlog.tokens import Hasher
from projections.anchors import records_at
from projections.decoding import Decoder
from projections.deriving import Deriver, Reading
from projections.directory import emptying
from projections.segments.compiling import Facing
from storyline.configuration import load_configuration
from storyline.database import upgrade
from storyline.metrics import ParkedCollector
from storyline.profile import read_profile
from storyline.settings import Settings
from storyline.types import catalogue_of

if TYPE_CHECKING:
    from storyline.embedded import EmbeddedPostgres

__all__ = ["Clock", "Parts"]

_logger = structlog.get_logger("storyline.parts")

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class Parts:
    """The parts of one process. Thread-safe once a part is made; `close` lets go of all.

    with Parts.build() as parts:
        parts.publisher.publish([…], Rights())
    """

    def __init__(self, settings: Settings, clock: Clock = _now, embedded: EmbeddedPostgres | None = None) -> None:
        self.settings, self.clock, self._embedded = settings, clock, embedded

    @classmethod
    def build(cls, settings: Settings | None = None, *, clock: Clock = _now, **given: Any) -> Parts:
        """The parts that `settings` (default: the environment) ask for; `given` are used instead of made.

        In development an address that is not set is that of the embedded PostgreSQL, which is started, or shared
        with the process that has started it. In production it is Misconfigured.
        """
        settings = Settings() if settings is None else settings
        settings.check_log()
        embedded = None
        if not settings.database_url or not settings.log_url or not settings.keys_url:
            settings, embedded = _provide(settings)
        parts = cls(settings, clock, embedded)
        for name, part in given.items():
            if not isinstance(getattr(cls, name, None), cached_property):
                raise TypeError(f"there is no part {name!r}")
            parts.__dict__[name] = part
        return parts

    @cached_property
    def master(self) -> MasterKeys:
        return self.settings.master_keys()

    @cached_property
    def keyring(self) -> Keyring:
        return Keyring(self.settings.keys_url, self.master, cache_seconds=self.settings.key_cache_seconds)

    @cached_property
    def hasher(self) -> Hasher:
        return Hasher(self.keyring.hashing_key(), self.settings.region)

    @cached_property
    def catalogue(self) -> Catalogue:
        return catalogue_of(self.settings.types_dir)

    @cached_property
    def configuration(self) -> Configuration:
        """How deals and tickets go here. Raises Misconfigured, with the file and its first problem."""
        return load_configuration(self.settings.configuration, self.catalogue)

    @cached_property
    def reading(self) -> Reading:
        """What it takes to read records."""
        settings = self.settings
        keys = KeyAccess(settings.keys_url, self.master, settings.region, settings.key_cache_seconds)
        return Reading(keys, partial(catalogue_of, settings.types_dir), self.facing)

    @cached_property
    def facing(self) -> Facing:
        """What of this deployment rules of segments depend on."""
        settings = self.settings
        rules = read_profile(settings.profile_file)
        return Facing.of(self.catalogue, ZoneInfo(settings.time_zone), self.configuration.rfm, rules)

    @cached_property
    def log(self) -> Log:
        return self.open_log()

    @cached_property
    def sealer(self) -> Sealer:
        return Sealer(self.keyring, self.hasher, blocked=self._blocked())

    def _blocked(self) -> Blocked:
        """What this deployment blocks beside what identifies nobody anywhere."""
        path = self.settings.identity_file
        if path is None:
            return Blocked()
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise Misconfigured("STORYLINE_IDENTITY_FILE names a file that cannot be read.") from None
        return read_rules(text, self.settings.region)[1]

    @cached_property
    def store(self) -> WorkStore:
        """The event store of deals, tickets, tasks, leads and colleagues."""
        return WorkStore(self.settings.database_url, self.catalogue, self.sealer, self.keyring, self.clock)

    @cached_property
    def working(self) -> Working:
        """What can be done with deals, tickets, tasks, leads and colleagues."""
        return Working(
            self.store,
            self.pool,
            self.configuration,
            self.catalogue,
            publisher=lambda: self.publisher,
            clock=self.clock,
            zone=ZoneInfo(self.settings.time_zone),
        )

    @cached_property
    def webhooks(self) -> Webhooks:
        """Webhooks on their way, and those that could not be delivered."""
        return Webhooks(self.pool, self.clock)

    @cached_property
    def segments(self) -> Segments:
        """Definitions of segments."""
        return Segments(self.pool, Known(self.catalogue, self.configuration.rfm), self.clock)

    @cached_property
    def publisher(self) -> Publisher:
        return Publisher(self.catalogue, self.sealer, self.log, self.clock)

    @cached_property
    def api(self) -> ApiParts:
        """What the API is made of."""
        settings = self.settings
        limits = Limits(
            max_body=settings.max_body,
            max_batch=settings.max_batch,
            max_waiting=settings.max_waiting,
            visible_wait=settings.visible_wait,
        )
        return ApiParts(
            publisher=self.publisher,
            access=self.access,
            keyring=self.keyring,
            hasher=self.hasher,
            catalogue=self.catalogue,
            log=self.log,
            dead_letters=self.parking,
            erasing=self.erasing,
            proposing=self.proposing,
            working=self.working,
            webhooks=self.webhooks,
            segments=self.segments,
            reader_dsn=settings.database_url,
            collectors=[ParkedCollector(self.parking)],
            limits=limits,
            time_zone=ZoneInfo(settings.time_zone),
            profile_rules=read_profile(settings.profile_file),
            clock=self.clock,
        )

    @cached_property
    def pool(self) -> ConnectionPool:
        """Connections to the durable tables, for what is short."""
        return ConnectionPool(
            self.settings.database_url,
            min_size=0,
            max_size=8,
            timeout=10,
            open=True,
            check=ConnectionPool.check_connection,
            kwargs={"autocommit": True, "connect_timeout": 5},
        )

    @cached_property
    def reader_pool(self) -> AsyncConnectionPool:
        """Connections of the readers; opened and closed by the event loop that uses it."""
        return AsyncConnectionPool(
            self.settings.database_url,
            min_size=2,
            max_size=16,
            timeout=10,
            open=False,
            check=AsyncConnectionPool.check_connection,
            kwargs={"autocommit": True, "connect_timeout": 5, "options": "-c statement_timeout=15s"},
        )

    @cached_property
    def access(self) -> Access:
        return Access(self.pool)

    @cached_property
    def parking(self) -> Parking:
        return Parking(
            self.pool,
            self.keyring,
            lambda: self.hasher,
            publisher=lambda: self.publisher,
            log=lambda: self.log,
            rights=self.rights_of,
            trouble=_trouble_of,
            alarm=timedelta(hours=self.settings.dead_letter_alarm_hours),
            clock=self.clock,
        )

    @cached_property
    def proposing(self) -> Proposing:
        """Its days are those of the deployment's time zone."""
        zone = ZoneInfo(self.settings.time_zone)
        return Proposing(
            self.pool,
            lambda: Rulings(self.publisher, self.keyring, self.hasher, self.clock),
            profile=read_profile(self.settings.profile_file),
            clock=lambda: self.clock().astimezone(zone),
        )

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of erasures. Raises Misconfigured where production names none."""
        return Ledger(self.settings.ledger_file)

    @cached_property
    def erasing(self) -> Erasing:
        settings = self.settings
        on_kafka = urlsplit(settings.log_url).scheme == "kafka"
        around = AroundErasing(
            keyring=self.keyring,
            hasher=lambda: self.hasher,
            ledger=lambda: self.ledger,
            parking=lambda: self.parking,
            directory=emptying,
            ends=self._ends,
            records=self._records,
            log_id=lambda: self.log.log_id,
            retention_days=settings.retention_days if on_kafka else None,
            cache_seconds=settings.key_cache_seconds,
            clock=self.clock,
        )
        return Erasing(self.pool, around)

    def _ends(self) -> dict[int, int]:
        """Where the log ends, asked of a log of one's own: the other one may be reading."""
        with contextlib.closing(open_log(self.settings.log_url)) as log:
            return log.ends()

    def _records(self, places: Sequence[tuple[int, int]]) -> list[bytes]:
        """What stands on the log at these (partition, offset), where it holds something."""
        with contextlib.closing(open_log(self.settings.log_url)) as log:
            found = records_at(log, log.ends(), places)
        return [one.value for one in found.values() if one is not None]

    @cached_property
    def channels(self) -> Channels:
        """Which inbox topic is bound to which sources and types."""
        return read_channels(self.settings.channels_file)

    def rights_of(self, topic: str) -> Rights:
        """What may be published on an inbox topic. Raises Forbidden where no channel is bound to it."""
        return self.channels.rights_of(topic)

    def open_log(self) -> Log:
        """A log of one's own: `read` belongs to one thread per instance."""
        log = open_log(self.settings.log_url)
        if self.settings.mode == "production":
            for doubt in getattr(log, "doubts", ()):
                _logger.warning("log.doubt", detail=doubt)
        return log

    def upgrade(self) -> list[str]:
        """Bring all tables, the key store's and the log's included, to their newest form; see `database.upgrade`."""
        return upgrade(self.settings.database_url, keyring=self.keyring, log_url=self.settings.log_url)

    def mend(self) -> bool:
        """Start the embedded server again if there is one and it died; gives whether that was so."""
        return self._embedded is not None and self._embedded.mend()

    def close(self) -> None:
        """Let go of connections, threads and the embedded server. Harmless when repeated."""
        for name in ("log", "store", "pool", "keyring"):
            part = self.__dict__.pop(name, None)
            close = getattr(part, "close", None)
            if close is not None:
                with contextlib.suppress(StorylineError):
                    close()
        if self._embedded is not None:
            self._embedded.stop()

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _provide(settings: Settings) -> tuple[Settings, EmbeddedPostgres | None]:
    """Settings with all three addresses, and the embedded server if one of them needs it."""
    if settings.mode == "production":
        settings.require("log_url", "database_url", "keys_url")
    embedded = None
    database = settings.database_url
    if not database:
        from storyline.embedded import EmbeddedPostgres  # noqa: PLC0415 - only who has no server starts one

        embedded = EmbeddedPostgres.start(settings.data_dir)
        database = embedded.dsn
    filled = {
        "database_url": database,
        "keys_url": settings.keys_url or database,
        "log_url": settings.log_url or _with_partitions(database, settings.partitions),
    }
    return settings.model_copy(update=filled), embedded


@cache
def _deriver() -> Deriver:
    """Made where it is needed: few commands ask for it."""
    return Deriver(load_catalogue())


def _trouble_of(value: bytes) -> str | None:
    """Why this release's projector cannot read these bytes as a record, or None."""
    poison = Decoder(_deriver()).batch(0, {0: 0}, [Logged(0, 0, b"", value)]).poison
    return poison[0].trouble if poison else None


def _with_partitions(dsn: str, partitions: int) -> str:
    return f"{dsn}{'&' if '?' in dsn else '?'}partitions={partitions}"
