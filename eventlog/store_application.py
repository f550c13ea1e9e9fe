"""Of what is the event store put together? The library's application, with our mapper, recorders and snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from importlib.resources import files
from typing import Any, ClassVar, Final
from uuid import UUID

import psycopg
import structlog
from eventsourcing.application import Application, project_aggregate
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import EventStore, InfrastructureFactory
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment, EnvType

from domain.catalogue.registry import Catalogue
from domain.errors import LogDamaged, StorylineError, Tampered, Unavailable
from domain.work import Work
from eventlog.keyring import Keyring
from eventlog.sealer import Sealer
from eventlog.sql import load
from eventlog.store_mapping import RecordMapper
from eventlog.store_recorder import Datastore, EventRecorder, SnapshotRecorder
from eventlog.store_snapshots import SnapshotMapper

__all__ = ["SNAPSHOT_EVERY", "Works", "install_store"]

SNAPSHOT_EVERY: Final = 100
"""Events of an aggregate after which a snapshot spares the folding of those before."""

_SQL = load("eventlog", "store.sql")
_SCHEMA = files("eventlog").joinpath("store_schema.sql").read_text(encoding="utf-8")
_logger = structlog.get_logger("storyline.store")


def install_store(dsn: str) -> None:
    """Make the tables where they are missing; safe to run twice, and in two processes at once. Raises Unavailable."""
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            connection.execute(_SQL["install_lock"])
            connection.execute(_SCHEMA)
            with closing(Datastore(dsn)) as datastore:
                EventRecorder(datastore).create_table()
                SnapshotRecorder(datastore).create_table()
    except psycopg.OperationalError as error:
        raise Unavailable(f"The event store does not answer ({type(error).__name__}).") from None


class _Factory(PostgresFactory):
    """The library's, around a datastore that is there."""

    def __init__(self, env: Environment, datastore: Datastore) -> None:
        InfrastructureFactory.__init__(self, env)
        self.datastore = datastore


class _Events(EventStore[UUID]):
    """Events, an aggregate's at once."""

    mapper: RecordMapper

    def get(self, originator_id: UUID, **asked: Any) -> Iterator[DomainEventProtocol[UUID]]:
        stored = self.recorder.select_events(originator_id, **asked)
        first = (asked.get("gt") or 0) + 1
        if [one.originator_version for one in stored] != list(range(first, first + len(stored))):
            raise LogDamaged(f"The event store lacks an event of {originator_id.hex}: `storyline relay repair`.")
        return iter(self.mapper.restore(stored))


class _Snapshots(EventStore[UUID]):
    """Snapshots; one that is of no use is none."""

    mapper: SnapshotMapper

    def get(self, originator_id: UUID, **asked: Any) -> Iterator[DomainEventProtocol[UUID]]:
        for stored in self.recorder.select_events(originator_id, **asked):
            try:
                found = self.mapper.open(stored)
            except Tampered as error:
                _logger.error("snapshot.tampered", detail=error.detail)  # the events tell what is true
                continue
            if found is not None:
                yield found


class Works(Application[UUID]):
    """All aggregates of one deployment. The environment, by which the library is set up elsewhere, is not read."""

    name: ClassVar[str] = "storyline"  # type: ignore[misc]
    mapper: RecordMapper
    recorder: EventRecorder

    def __init__(
        self, dsn: str, catalogue: Catalogue, sealer: Sealer, keyring: Keyring, clock: Callable[[], datetime]
    ) -> None:
        self._datastore = Datastore(dsn)
        self._made = RecordMapper(catalogue, sealer, keyring, clock)
        self._snapshots = SnapshotMapper(keyring)
        super().__init__()

    def keep_snapshots(self, aggregates: Sequence[Work], saved: Sequence[Any]) -> None:
        """Take those that are due after these events were saved. What fails is told, and not missed."""
        due = {change.originator_id: change for change in saved if change.originator_version % SNAPSHOT_EVERY == 0}
        for one in aggregates:
            if one.id in due:
                try:
                    self._keep(one.id, due[one.id].originator_version)
                except StorylineError as error:
                    _logger.warning("snapshot.not_taken", detail=error.detail)

    def _keep(self, id: UUID, version: int) -> None:
        stored = self.recorder.select_events(id, lte=version)
        keys = self.mapper.keys(stored)
        aggregate: Any = project_aggregate(None, self.mapper.restore(stored, keys))
        snapshot = self._snapshots.take(aggregate, keys)
        if snapshot is not None and self.snapshots is not None:
            self.snapshots.recorder.insert_events([snapshot])

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:  # noqa: ARG002
        return Environment(name, {"IS_SNAPSHOTTING_ENABLED": "y"})

    def construct_factory(self, env: Environment) -> Any:
        return _Factory(env, self._datastore)

    def construct_mapper(self) -> RecordMapper:
        return self._made

    def construct_recorder(self) -> EventRecorder:
        return EventRecorder(self._datastore)

    def construct_event_store(self) -> EventStore[UUID]:
        return _Events(self.mapper, self.recorder)

    def construct_snapshot_store(self) -> EventStore[UUID]:
        return _Snapshots(self._snapshots, SnapshotRecorder(self._datastore))
