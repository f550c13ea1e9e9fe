"""What can be done with deals, tickets, tasks, leads and colleagues? `Working` has a method for each command.

Every method takes who acts (`actor`), and may be given an idempotency key (`key`) and the revision that the caller
saw (`expected`). It gives what was done (`Done`) once that is durable; the relay then brings it to the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from psycopg_pool import ConnectionPool

from commands.noting import Noted, Notes
from commands.publishing import Publisher
from commands.working_deals import DealCommands
from commands.working_desk import KINDS, Actor, Desk, Done, Key, New
from commands.working_leads import LeadCommands
from commands.working_people import PeopleCommands
from commands.working_tasks import TaskCommands
from commands.working_tickets import TicketCommands
from domain.catalogue.registry import Catalogue
from domain.configuration import Configuration
from domain.identifiers import Identifier, Ref
from eventlog.store import WorkStore

__all__ = ["Actor", "Done", "Key", "New", "Noted", "Working"]


def _now() -> datetime:
    return datetime.now(UTC)


class Working(DealCommands, TicketCommands, TaskCommands, LeadCommands, PeopleCommands):
    """All commands. Thread-safe; blocks on the event store, the key store and the durable tables.

    store: where the aggregates are. pool: connections to the durable tables; a colleague's leave holds one. rules:
    the configuration in force. publisher: for notes, which are no aggregates. zone: of calendars that name none.
    fresh: an id for each new item.
    """

    def __init__(
        self,
        store: WorkStore,
        pool: ConnectionPool,
        rules: Configuration,
        catalogue: Catalogue,
        *,
        publisher: Callable[[], Publisher],
        clock: Callable[[], datetime] = _now,
        zone: ZoneInfo,
        fresh: Callable[[], UUID] = uuid4,
    ) -> None:
        super().__init__(Desk(store, pool, catalogue, rules, zone, clock=clock, fresh=fresh))
        self._notes = Notes(self.desk, publisher)

    def actor_of(self, key_id: str, user: str | None) -> Actor:
        """Who acts with an API key: the colleague whose key it is, with the roles that they have now; or the key."""
        if user is None:
            return Actor(f"user:{key_id}")
        _, roles = self.desk.people([user]).get(user, (frozenset(), frozenset()))
        return Actor(f"user:{user}", user, roles)

    def add_note(
        self, text: str, *, mentions: Sequence[str] = (), who: tuple[Identifier, ...] = (),
        refs: tuple[Ref, ...] = (), actor: Actor, key: Key | None = None,
    ) -> Noted:  # fmt: skip
        """Add a note, as `Notes.add_note` says."""
        return self._notes.add_note(text, mentions=mentions, who=who, refs=refs, actor=actor, key=key)

    def load(self, kind: str, id: UUID) -> Any:
        """An aggregate as it is now, with everything done up to now. Raises NotFound."""
        return self.desk.load(KINDS[kind], id)
