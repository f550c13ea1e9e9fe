"""How is a command carried out? The aggregate is loaded, asked, and saved, with its idempotency key, all at once.

An idempotency key commits with the events that it made: whoever sends the same again is given the same answer, and of
two at once one is carried out. Who states the revision that they saw (`expected`) is told of what was changed since;
who does not is carried out on whatever is there now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, LiteralString, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from domain.catalogue.registry import Catalogue
from domain.configuration import Configuration
from domain.deal import Deal
from domain.errors import BadInput, Problem, Stale, StorylineError, Unavailable
from domain.identifiers import Identifier, Ref
from domain.lead import Lead
from domain.person import Person
from domain.task import Task
from domain.ticket import Ticket
from domain.ticket_rules import HANDOVER
from domain.work import Work
from eventlog.record import decode
from eventlog.sql import load
from eventlog.store import Conflict, WorkStore

__all__ = [
    "KINDS",
    "SQL",
    "Actor",
    "Deed",
    "Desk",
    "Done",
    "Key",
    "New",
    "Statement",
    "another_request",
    "changes_of",
]

SQL: Final = load("commands", "working.sql")
KINDS: Final[Mapping[str, type[Work]]] = {one.KIND: one for one in (Deal, Ticket, Task, Lead, Person)}
"""The aggregates by their kind."""
_TRIES: Final = 10
_PATIENCE: Final = 10.0
_PAUSE: Final = 0.02
_MOST_CHANGES: Final = 50
_OPEN: Final = {"deal": "open", "task": "open", "lead": "open"}

W = TypeVar("W", bound=Work)
T = TypeVar("T")
Statement = tuple[LiteralString, Mapping[str, Any]]


class Actor(NamedTuple):
    """Who acts. code: as it stands on the log, `user:anna`, `automation:RULE`. user: the colleague's code, if it is
    one. roles: what they may approve."""

    code: str
    user: str | None = None
    roles: frozenset[str] = frozenset()


class Key(NamedTuple):
    """An idempotency key. scope: whose it is. request: all that was asked for; no other request has the same key."""

    scope: str
    value: str
    request: bytes

    @property
    def row(self) -> dict[str, Any]:
        """As the table of keys has it: the request as a hash."""
        hashed = blake2b(self.request, digest_size=32).digest()
        return {"scope": self.scope, "key": self.value, "request": hashed}


class Done(NamedTuple):
    """What was done. revision: what it has now. notification: that of its last event, None where nothing changed.
    repeated: it was done before, under the same key. state: the state after it, None where that was before; who: it
    is about somebody; refs: what it is about, itself first."""

    kind: str
    id: UUID
    revision: int
    notification: int | None = None
    repeated: bool = False
    state: Any = None
    who: bool = False
    refs: tuple[Ref, ...] = ()


class New(NamedTuple):
    """One that is to be made: its content, whom it is about, and what."""

    content: Mapping[str, Any]
    who: tuple[Identifier, ...] = ()
    refs: tuple[Ref, ...] = ()


class Deed(NamedTuple):
    """What a command is about to save. items: with pending events. told: those that the answer is about, in order.
    alongside: statements of the same transaction. patient: tried again, too, where somebody has left or is given
    something meanwhile."""

    items: Sequence[Work]
    told: Sequence[Work]
    alongside: Sequence[Statement] = ()
    patient: bool = False


class Desk:
    """Carries out deeds. Thread-safe; blocks on the event store, the key store and the durable tables.

    pool: connections to the durable tables. rules: the configuration in force. zone: of calendars that name none.
    clock: when it is done. fresh: an id for each new item.
    """

    def __init__(
        self,
        store: WorkStore,
        pool: ConnectionPool,
        catalogue: Catalogue,
        rules: Configuration,
        zone: ZoneInfo,
        *,
        clock: Callable[[], datetime],
        fresh: Callable[[], UUID],
    ) -> None:
        self.store, self.catalogue, self.clock, self.fresh = store, catalogue, clock, fresh
        self.rules, self.zone, self._pool = rules, zone, pool

    def load(self, cls: type[W], id: UUID, expected: int | None = None) -> W:
        """An aggregate as it is now. Raises NotFound, and Stale if it has another revision than `expected`."""
        item = self.store.get(cls, id)
        if expected is not None and item.version != expected:
            changes = changes_of(self.catalogue, self.store.records(id, after=expected)[-_MOST_CHANGES:])
            told = "was changed since you read it" if item.version > expected else "never had that revision"
            raise Stale(f"The {cls.KIND} {told}; it has revision {item.version}.", revision=item.version,
                        changes=changes)  # fmt: skip
        return item

    def change(self, cls: type[W], id: UUID, act: Callable[[W], None], key: Key | None, expected: int | None) -> Done:
        """Have one aggregate changed by `act`, and saved. Raises what `act`, `load` and `carry_out` raise."""

        def deed() -> Deed:
            item = self.load(cls, id, expected)
            act(item)
            self.let_go(item)
            return Deed((item,), (item,))

        return self.carry_out(deed, key)[0]

    def carry_out(self, deed: Callable[[], Deed], key: Key | None = None) -> list[Done]:
        """Save what `deed` gives; it is asked anew, and so looks at everything anew, when somebody else was faster.

        Raises what `deed` raises, BadInput for content that its type refuses, for a colleague who is none and for a
        key that stands for another request, Unavailable.
        """
        for _ in range(_TRIES):
            known = None if key is None else self._answered(key)
            if known is not None:
                return known
            asked = None
            try:
                asked = deed()
                return self._save(asked, key)
            except Conflict as conflict:
                if conflict.what == "person" and asked is not None and not asked.patient:
                    self._check_people(asked)
            except StorylineError:
                known = None if key is None else self._answered(key)
                if known is not None:  # the same, sent twice at once: the other one has done it
                    return known
                raise
        raise Unavailable("Too many change this at the same time. Send it again in a moment.")

    def _save(self, deed: Deed, key: Key | None) -> list[Done]:
        revisions = {one.id: one.version for one in deed.items}
        done = [
            Done(
                one.KIND,
                one.id,
                revisions.get(one.id, one.version),
                state=one.state,
                who=bool(one.who),
                refs=one.refs,
            )
            for one in deed.told
        ]
        alongside = [*_keep(key, done, self.clock()), *_own(deed.items), *deed.alongside]
        if not deed.patient:
            self._wait_for_leaves(deed)
        saved = self.store.save(*deed.items, alongside=alongside)
        last = {one.id: one.notification for one in saved}
        return [one._replace(notification=last.get(one.id)) for one in done]

    def _wait_for_leaves(self, deed: Deed) -> None:
        """Wait until nobody who is given something is just leaving; for a while, and holding nothing."""
        pending: list[Any] = [event for one in deed.items for event in one.pending_events]
        given = {event.content.get("assignee") for event in pending} - {None}
        until = time.monotonic() + _PATIENCE
        while given and self.ask("leaving", {"codes": list(given)})[0][0] and time.monotonic() < until:
            time.sleep(_PAUSE)

    def _answered(self, key: Key) -> list[Done] | None:
        """What was done under a key. Raises BadInput where it was something else."""
        row = key.row
        found = self.ask("answered", row)
        if not found:
            return None
        request, answer, _ = found[0]
        if bytes(request) != row["request"]:
            raise another_request()
        done = [Done(kind, UUID(hex=id), revision, None, True) for kind, id, revision in answer["done"]]
        asked = {"ids": [one.id for one in done], "versions": [one.revision for one in done]}
        places = {(id, version): place for id, version, place in self.ask("notifications", asked)}
        return [one._replace(notification=places.get((one.id, one.revision))) for one in done]

    def _check_people(self, deed: Deed) -> None:
        """Raise BadInput if something would be given to somebody who is no colleague."""
        named = {one.state.assignee for one in deed.items if _is_open(one)} - {None}
        missing = named - self.people(named).keys()
        if missing:
            way_out = "Name a registered colleague (GET /v1/users), a team, or nobody."
            found = [place for place, one in enumerate(deed.told) if one.state.assignee in missing]
            places: list[int | None] = [*found] if len(deed.told) > 1 else [None]
            raise BadInput([Problem("assignee", "is no colleague who works here.", way_out, one) for one in places])

    def let_go(self, item: Work) -> None:
        """What was reopened of somebody who works here no more is nobody's."""
        pending: Sequence[Any] = item.pending_events
        given = any(event.type in _GIVEN_AGAIN for event in pending)
        assignee = item.state.assignee if given and _is_open(item) else None
        if assignee is not None and not self.people([assignee]):
            self.hand_on(item, None, item.state.team, pending[-1].timestamp, pending[-1].actor)

    def hand_on(self, item: Work, assignee: str | None, team: str | None, at: datetime, actor: str | None) -> None:
        """Give something to somebody else, or nobody, because whoever had it works here no more."""
        given: dict[str, Any] = {"assignee": assignee, "team": team, "at": at, "actor": actor}
        if isinstance(item, Ticket):
            item.assign(self.rules, self.zone, reason=HANDOVER, **given)
        elif isinstance(item, Deal | Task | Lead):
            item.assign(**given)

    def people(self, codes: Iterable[str]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
        """`{code: (teams, roles)}` of those who work here."""
        rows = self.ask("people", {"codes": list(codes)})
        return {code: (frozenset(teams), frozenset(roles)) for code, teams, roles in rows}

    def ask(self, query: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Rows of a query of `working.sql`. Raises Unavailable."""
        with self.session() as connection:
            found = connection.execute(SQL[query], parameters)
            return found.fetchall() if found.description is not None else []

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection]:
        """A connection to the durable tables. Raises Unavailable."""
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(
                f"The database of deals and tickets does not answer ({type(error).__name__})."
            ) from None


_GIVEN_AGAIN: Final = frozenset("deal.reopened ticket.reopened task.reopened lead.reopened".split())


def _is_open(item: Work) -> bool:
    """Is it still somebody's to do?"""
    state = item.state
    if isinstance(item, Ticket):
        return state.closed_at is None and state.folded_into is None
    return item.KIND in _OPEN and state.status == "open"


def _own(items: Iterable[Work]) -> list[Statement]:
    """Who has what after this."""
    owned = [one for one in items if not isinstance(one, Person)]
    if not owned:
        return []
    columns = {
        "items": [one.id for one in owned],
        "kinds": [one.KIND for one in owned],
        "assignees": [one.state.assignee for one in owned],
        "teams": [one.state.team for one in owned],
        "opens": [_is_open(one) for one in owned],
    }
    return [(SQL["own"], columns)]


def _keep(key: Key | None, done: Sequence[Done], at: datetime) -> list[Statement]:
    if key is None:
        return []
    answer = Jsonb({"done": [[one.kind, one.id.hex, one.revision] for one in done]})
    return [(SQL["keep"], {**key.row, "answer": answer, "at": at})]


def another_request() -> BadInput:
    """The error for a key that stands for something else."""
    way_out = "Send a new key with each new request, and the same with what is sent again."
    return BadInput([Problem("Idempotency-Key", "stands for another request already.", way_out)])


def changes_of(catalogue: Catalogue, records: Sequence[bytes]) -> tuple[dict[str, Any], ...]:
    """What records tell of an item's changes, as far as it is public: revision, type, when, by whom, in words."""
    told = []
    for head in (decode(one).head for one in records):
        content, line, _ = catalogue.show(head.type, head.version, head.public, None)
        told.append(
            {
                "revision": head.public.get("revision"),
                "type": head.type,
                "happened_at": head.time,
                "actor": head.actor,
                "line": line,
                "content": content,
            }
        )
    return tuple(told)
