"""Which webhooks are on their way, and what becomes of those that could not be delivered? Rows, until all is said.

A row holds no content: the body is made when it is sent, of what is public of the event. Its id is made of the rule,
the event and the action, so that a receiver who is sent something twice knows it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID, uuid5

import msgspec
import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from commands.runs import Run, action_key
from domain.automation import Happening
from domain.errors import BadInput, NotFound, Problem, Refused, Unavailable
from eventlog.sql import load

__all__ = ["Delivery", "DeliveryState", "Sent", "WebhookPage", "Webhooks", "body_of", "read_id", "read_state"]

_SQL = load("commands", "webhooks.sql")
_SPACE: Final = UUID("0f6c6f0e-54e6-5d3c-9c53-9d2c1b7a4f42")
_KEPT: Final = timedelta(days=30)
_STATES: Final = ("waiting", "delivered", "parked", "discarded")
DeliveryState = Literal["waiting", "delivered", "parked", "discarded"]
_encode = msgspec.json.Encoder(decimal_format="number").encode


class NotToBeChanged(Refused):
    """The webhook is in no state in which this can be done with it."""

    rule = "webhook-state"


class Sent(NamedTuple):
    """A webhook that is to be sent. event: the name of what it tells of. secret: the name of what signs it. tries:
    how often it was tried."""

    id: UUID
    rule: str
    event: str
    url: str
    secret: str
    made_at: datetime
    tries: int


class Delivery(NamedTuple):
    """A webhook as its keepers see it. status: what the receiver answered last; why: why it was not taken."""

    id: UUID
    rule: str
    event: str
    url: str
    state: DeliveryState
    tries: int
    made_at: datetime
    again_at: datetime
    status: int | None
    why: str | None
    done_at: datetime | None


class WebhookPage(NamedTuple):
    """A page of webhooks, the oldest first. more: the cursor to go on with."""

    webhooks: tuple[Delivery, ...]
    more: str | None


def body_of(rule: str, happening: Happening, customer: UUID | None) -> bytes:
    """The body of a webhook, by Standard Webhooks: `type`, `timestamp`, `data`. Only what is public."""
    data = {
        "event": happening.name,
        "source": happening.source,
        "rule": rule,
        "customer": customer.hex if customer is not None else None,
        "channel": happening.channel,
        "direction": happening.direction,
        "actor": happening.actor,
        "refs": list(happening.refs),
        "content": happening.public,
    }
    told = {"type": happening.type, "timestamp": happening.happened_at.astimezone(UTC), "data": data}
    return _encode(told)


class Webhooks:
    """The webhooks. Methods with a connection belong to its transaction; the others are thread-safe, and raise
    Unavailable where the database does not answer."""

    def __init__(self, pool: ConnectionPool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._pool, self._clock = pool, clock

    def put_on_their_way(self, connection: psycopg.Connection, run: Run, index: int, url: str, secret: str) -> None:
        """Have one sent; an action that is repeated sends no other."""
        id = uuid5(_SPACE, action_key(run, index))
        row = {"id": id, "rule": run.rule, "event": run.event, "url": url, "secret": secret, "at": self._clock()}
        connection.execute(_SQL["add"], row)

    def next(self, connection: psycopg.Connection, now: datetime, resting: Collection[str] = ()) -> Sent | None:
        """The next one that is to be sent; nobody else gets it before the transaction ends. resting: addresses to
        which none is to be sent now."""
        row = connection.execute(_SQL["next"], {"now": now, "resting": list(resting)}).fetchone()
        return None if row is None else Sent(*row)

    def settle(
        self,
        connection: psycopg.Connection,
        sent: Sent,
        state: Literal["delivered", "parked"],
        status: int | None,
        why: str | None,
    ) -> None:
        """It was delivered, or is parked until somebody retries it."""
        told = {"id": sent.id, "state": state, "status": status, "why": why, "now": self._clock()}
        connection.execute(_SQL["settle"], told)

    def again(
        self, connection: psycopg.Connection, sent: Sent, at: datetime, status: int | None, why: str | None
    ) -> None:
        """Try it again from `at` on."""
        connection.execute(_SQL["again"], {"id": sent.id, "again": at, "status": status, "why": why})

    def page(self, state: DeliveryState, cursor: str | None = None, limit: int = 100) -> WebhookPage:
        """Webhooks of a state. Raises BadInput for what is no cursor."""
        at, id = _place_of(cursor)
        rows = self._ask("list", {"state": state, "at": at, "id": id, "limit": limit + 1})
        found = [Delivery(*row) for row in rows]
        more = _cursor_of(found[limit - 1]) if len(found) > limit else None
        return WebhookPage(tuple(found[:limit]), more)

    def retry(self, id: UUID) -> Delivery:
        """Send one again that was parked or discarded. Raises NotFound, and Refused for one in another state."""
        return self._change("retry", id, "Only what is parked or discarded can be sent again.")

    def discard(self, id: UUID) -> Delivery:
        """Give one up that waits or is parked. Raises NotFound and Refused."""
        return self._change("discard", id, "Only what waits or is parked can be discarded.")

    def counts(self) -> dict[str, tuple[int, datetime]]:
        """Of the states `waiting` and `parked`: how many, and since when the first of them."""
        return {state: (number, oldest) for state, number, oldest in self._ask("counts", {})}

    @staticmethod
    def tidy(connection: psycopg.Connection, now: datetime) -> None:
        """Forget what was delivered or discarded a month ago."""
        connection.execute(_SQL["forget"], {"before": now - _KEPT})

    def _change(self, query: str, id: UUID, refusal: str) -> Delivery:
        rows = self._ask(query, {"id": id, "now": self._clock()})
        if not rows:
            if not self._ask("one", {"id": id}):
                raise _unknown()
            raise NotToBeChanged(refusal)
        return Delivery(*rows[0])

    def _ask(self, query: str, parameters: Mapping[str, Any]) -> list[Any]:
        try:
            with self._pool.connection() as connection:
                return connection.execute(_SQL[query], parameters).fetchall()
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The database of webhooks does not answer ({type(error).__name__}).") from None


def read_id(text: str) -> UUID:
    """A webhook's id as sent. Raises NotFound for what is none."""
    try:
        return UUID(hex=text)
    except ValueError:
        raise _unknown() from None


def _unknown() -> NotFound:
    return NotFound("There is no webhook of that id; GET /v1/webhooks lists them.")


def read_state(text: str) -> DeliveryState:
    """A state as sent. Raises BadInput."""
    for state in _STATES:
        if text == state:
            return state
    raise BadInput([Problem("state", "is no state of a webhook.", f"Use one of {', '.join(_STATES)}.")])


def _cursor_of(one: Delivery) -> str:
    return urlsafe_b64encode(f"{one.made_at.isoformat()} {one.id.hex}".encode()).decode().rstrip("=")


def _place_of(cursor: str | None) -> tuple[datetime, UUID]:
    if cursor is None:
        return datetime(1900, 1, 1, tzinfo=UTC), UUID(int=0)
    try:
        at, _, id = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(" ")
        return datetime.fromisoformat(at), UUID(hex=id)
    except (ValueError, Base64Error, UnicodeError):
        way_out = "Use a cursor that an answer gave, as it is, or leave it out."
        raise BadInput([Problem("after", "is not a cursor.", way_out)]) from None
