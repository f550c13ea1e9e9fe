"""How does a route carry out a command? Once for its Idempotency-Key, on the revision that If-Match names, and with
the position on the log in its answer, so that whoever asked sees their own write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, TypeVar
from uuid import UUID

from anyio import to_thread
from fastapi import Depends, Header, Path, Request, Response
from msgspec import Struct
from pydantic import BaseModel

from api import shapes, work_shapes
from api.body import read_model
from api.problems import NoCondition
from api.security import Guard
from api.services import Services, services
from api.vectors import write_vector
from api.work_reading import shown_after
from commands.access import Caller
from commands.relayed import positions_of
from commands.working import Actor, Done, Key, Working
from domain.errors import BadInput, NotFound, Problem, TooMany

__all__ = [
    "LONG",
    "Ask",
    "Asks",
    "Changed",
    "Condition",
    "IfMatch",
    "ItemId",
    "Manages",
    "Once",
    "Reads",
    "Works",
    "carry_out",
    "changed",
    "item_id",
    "json_answer",
    "key_of",
    "made_many",
    "positions",
]

T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)

Works = Annotated[Caller, Depends(Guard("work"))]
Manages = Annotated[Caller, Depends(Guard("manage"))]
Reads = Annotated[Caller, Depends(Guard("read", "read-sealed", "work"))]
ItemId = Annotated[str, Path(description="Its id, 32 hex digits")]
_MOST_WAITING: Final = 256
LONG: Final = 2**20
"""Most bytes of a body with a text in it, which may have 200,000 characters."""
_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,12})"')
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]{1,200}")


async def once(
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="Printable; what is sent again with the same one is done once")
    ] = None,
) -> str | None:
    """The idempotency key of a request. Raises BadInput."""
    if idempotency_key is not None and _PRINTABLE.fullmatch(idempotency_key) is None:
        way_out = "Send 1 to 200 printable ASCII characters, new ones with each new request."
        raise BadInput([Problem("Idempotency-Key", "is no key.", way_out)])
    return idempotency_key


Once = Annotated[str | None, Depends(once)]


class Condition(NamedTuple):
    """The revision that a change is of; None for `*`: whichever it has."""

    expected: int | None


async def condition(
    if_match: Annotated[
        str | None, Header(max_length=200, description="The ETag of what was read, or `*`; needed", examples=["*"])
    ] = None,
) -> Condition:
    """The condition of a change. Raises NoCondition, BadInput."""
    if if_match is None:
        raise NoCondition(
            "Send If-Match with the ETag of what you read, so that nothing of somebody else's is overwritten; "
            "or `If-Match: *` to change whatever is there."
        )
    if if_match.strip() == "*":
        return Condition(None)
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise BadInput([Problem("If-Match", "is no ETag.", 'Send one as an answer had it, such as "3", or `*`.')])
    return Condition(int(found[1]))


IfMatch = Annotated[Condition, Depends(condition)]


def item_id(text: str, kind: str) -> UUID:
    """An id of a path. Raises NotFound for what is none: nothing can have it."""
    try:
        return UUID(hex=text)
    except ValueError:
        raise NotFound(f"There is no {kind} of that id.") from None


def key_of(
    request: Request, caller: Caller, once: str | None, body: BaseModel | None, expected: int | None = None
) -> Key | None:
    """The idempotency key of a request, with all that it asks for."""
    if once is None:
        return None
    sent = "" if body is None else body.model_dump_json(exclude_unset=True)
    asked = "\n".join([request.method, request.url.path, str(expected), sent])
    return Key(f"key:{caller.key_id}", once, asked.encode())


async def carry_out(request: Request, caller: Caller, command: Callable[[Working, Actor], T]) -> T:
    """What a command gives; carried out off the event loop, by whoever calls. Raises TooMany where too many wait."""
    held = services(request)
    if held.commanding.statistics().tasks_waiting >= _MOST_WAITING:
        raise TooMany("Too many changes wait for their turn. Send it again in a moment.", 1)

    def work() -> T:
        working = held.parts.working
        return command(working, working.actor_of(caller.key_id, caller.user))

    return await to_thread.run_sync(work, limiter=held.commanding)


async def positions(held: Services, done: Sequence[Done]) -> str | None:
    """Where on the log what was done stands; None if it is not there yet."""
    notifications = [one.notification for one in done if one.notification is not None]
    found = await positions_of(held.pool, notifications) if notifications else None
    return None if found is None else write_vector(found)


def json_answer(
    answer: Struct, status: int = 200, revision: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer as JSON, with its revision as the ETag."""
    told: dict[str, Any] = dict(headers or {})
    if revision is not None:
        told["ETag"] = f'"{revision}"'
    return Response(shapes.encode(answer), status, told, "application/json")


class Changed(NamedTuple):
    """What a command did, with the state after it, and where on the log that is."""

    done: Done
    told: Any
    positions: str | None

    @property
    def fields(self) -> dict[str, Any]:
        """What every answer to a command tells."""
        return {
            "id": self.done.id.hex,
            "revision": self.done.revision,
            "positions": self.positions,
            "repeated": self.done.repeated,
        }


async def changed(request: Request, caller: Caller, command: Callable[[Working, Actor], Done]) -> Changed:
    """Carry a command out on one item, and tell what it is then."""
    held = services(request)

    def within(working: Working, actor: Actor) -> tuple[Done, Any]:
        done = command(working, actor)
        return done, shown_after(held, done, actor, "read" in caller.scopes).told

    done, told = await carry_out(request, caller, within)
    return Changed(done, told, await positions(held, [done]))


class Ask(NamedTuple):
    """A change of one item that is asked for: by whom, of which, on which revision, under which key."""

    request: Request
    caller: Caller
    id: str
    match: Condition
    once: str | None

    async def do(
        self, kind: str, model: type[Body], command: Callable[[Working, UUID, Body, dict[str, Any]], Done]
    ) -> Changed:
        """Read the body, and carry out the command: given the id, what was sent, and how (actor, key, expected)."""
        sent, id = await read_model(self.request, model, LONG), item_id(self.id, kind)
        key = key_of(self.request, self.caller, self.once, sent, self.match.expected)

        def with_actor(working: Working, actor: Actor) -> Done:
            return command(working, id, sent, {"actor": actor, "key": key, "expected": self.match.expected})

        return await changed(self.request, self.caller, with_actor)

    async def just(self, kind: str, command: Callable[[Working, UUID, dict[str, Any]], Done]) -> Changed:
        """Carry out a command that takes no body."""
        id, key = item_id(self.id, kind), key_of(self.request, self.caller, self.once, None, self.match.expected)

        def with_actor(working: Working, actor: Actor) -> Done:
            return command(working, id, {"actor": actor, "key": key, "expected": self.match.expected})

        return await changed(self.request, self.caller, with_actor)


async def asking(request: Request, caller: Works, id: ItemId, match: IfMatch, once: Once) -> Ask:
    """What a route that changes one item is asked for."""
    return Ask(request, caller, id, match, once)


Asks = Annotated[Ask, Depends(asking)]


async def made_many(request: Request, caller: Caller, command: Callable[[Working, Actor], list[Done]]) -> Response:
    """Carry out a command that makes several, and answer with their ids."""
    done = await carry_out(request, caller, command)
    answer = work_shapes.BulkDone(
        items=[work_shapes.OneDone(one.id.hex, one.revision) for one in done],
        positions=await positions(services(request), done),
        repeated=done[0].repeated,
    )
    return json_answer(answer, 201)
