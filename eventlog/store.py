"""Where do deals, tickets, tasks, leads and colleagues live? In the event store, whose tables are the eventsourcing
library's. Each event in it is a record of the log, sealed already; the relay takes it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, LiteralString, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from eventsourcing.application import AggregateNotFoundError
from eventsourcing.persistence import IntegrityError, Notification, PersistenceError

from domain.catalogue.registry import Catalogue
from domain.errors import NotFound, StorylineError, Unavailable
from domain.work import Work
from eventlog.keyring import Keyring
from eventlog.sealer import Sealer
from eventlog.store_application import Works, install_store

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Conflict", "Saved", "WorkStore"]

W = TypeVar("W", bound=Work)
_TRIES: Final = 3
_TAKEN: Final[Mapping[str, Literal["version", "key", "person"]]] = {
    "events_pkey": "version",
    "idempotency_pkey": "key",
    "owned_assignee_fkey": "person",
    "people_pkey": "person",
    "people_person_key": "person",
}
_SAID: Final = {
    "version": "It was changed by somebody else at the same moment. Read it again, and try again.",
    "key": "This idempotency key was used at the same moment. Ask with it once more.",
    "person": "Who was to have it does not work here, or not any more.",
}


class Saved(NamedTuple):
    """What became of one event: whose it is, which, and its place in the order of commits."""

    id: UUID
    version: int
    notification: int


class Conflict(StorylineError):
    """Somebody else came first, so nothing was saved. `what`: the aggregate's next version, the idempotency key, or
    the colleague who is not among `storyline.people`."""

    def __init__(self, what: Literal["version", "key", "person"]) -> None:
        super().__init__(_SAID[what])
        self.what = what


class WorkStore:
    """Saves and loads aggregates. Thread-safe; blocks on Postgres and the key store, so call it from a worker thread.

    Nothing is opened before the first call. All methods raise Unavailable where Postgres does not answer.
    """

    def __init__(
        self, dsn: str, catalogue: Catalogue, sealer: Sealer, keyring: Keyring, clock: Callable[[], datetime]
    ) -> None:
        self._dsn = dsn
        self._works = Works(dsn, catalogue, sealer, keyring, clock)

    def install(self) -> None:
        """Make the tables where they are missing; harmless when repeated."""
        install_store(self._dsn)

    def get(self, cls: type[W], id: UUID) -> W:
        """An aggregate as it is now. Raises NotFound for an unknown one and for one of another class, LogDamaged
        where the store lacks one of its events, Tampered and UnknownKey where one does not open."""
        with _told():
            try:
                found: Any = self._works.repository.get(id)
            except AggregateNotFoundError:
                found = None
        if not isinstance(found, cls):
            raise NotFound(f"There is no {cls.KIND} of this id.")
        return found

    def save(
        self, *aggregates: Work, alongside: Sequence[tuple[LiteralString, Mapping[str, Any]]] = ()
    ) -> list[Saved]:
        """Save what is pending in one transaction: first the statements `alongside`, then all events in the order of
        the aggregates given.

        Raises Conflict where somebody came first, BadInput for what the catalogue refuses; then nothing is saved,
        and the aggregates have to be loaded again. After Unavailable it may be saved all the same: an idempotency
        key tells.
        """
        pending = [change for one in aggregates for change in one.pending_events]
        with _told():
            recorded = self._save(pending, alongside)
            for one in aggregates:
                one.collect_events()
            self._works.keep_snapshots(aggregates, pending)
        return recorded

    def records(self, id: UUID, after: int = 0) -> list[bytes]:
        """The records of an aggregate's events behind version `after`, in order; [] for an unknown one."""
        with _told():
            return [one.state for one in self._works.recorder.select_events(id, gt=after)]

    def notifications(self, after: int, limit: int) -> list[Notification]:
        """Events in the order of their commits, behind a notification; each `state` is a record."""
        with _told():
            return list(self._works.recorder.select_notifications(after + 1, limit))

    def notification(self, id: UUID, version: int) -> int | None:
        """The notification of one event; None for an unknown one."""
        with _told():
            return self._works.recorder.notification_of(id, version)

    def last(self) -> int:
        """The newest notification; 0 before the first."""
        with _told():
            return self._works.recorder.max_notification_id()

    def close(self) -> None:
        """Let go of the connections. Harmless when repeated."""
        self._works.close()

    def _save(self, pending: Sequence[Any], alongside: Any) -> list[Saved]:
        stored = self._works.mapper.store(pending)
        for left in reversed(range(_TRIES)):
            try:
                ids = self._works.recorder.insert_events(stored, alongside=alongside)
                break
            except PersistenceError as error:
                # Two saves that waited for each other's rows: this one was rolled back, and nothing was saved.
                if not left or not isinstance(error.__cause__, psycopg.errors.DeadlockDetected):
                    raise
        return [
            Saved(change.originator_id, change.originator_version, notification)
            for change, notification in zip(pending, ids, strict=True)
        ]


@contextmanager
def _told() -> Iterator[None]:
    """The library's errors as ours."""
    try:
        yield
    except IntegrityError as error:
        cause = error.__cause__
        name = (cause.diag.constraint_name or "") if isinstance(cause, psycopg.Error) else ""
        if name in _TAKEN:
            raise Conflict(_TAKEN[name]) from None
        raise
    except PersistenceError as error:
        cause = error.__cause__
        if isinstance(cause, psycopg.OperationalError | psycopg.InternalError | psycopg.InterfaceError):
            raise Unavailable(f"The event store does not answer ({type(cause).__name__}).") from None
        raise
