"""How are colleagues kept over HTTP? They register, are listed and changed, leave with all that is theirs, return."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel

from api import shapes
from api.body import read_model
from api.commanding import Condition, IfMatch, Manages, Once, carry_out, json_answer, key_of, positions
from api.notices import notices_told
from api.problems import responses
from api.security import Guard
from api.services import services
from api.work_queries import Cursor, Limit, Visible, stated
from api.work_requests import ChangeUserRequest, LeaveRequest, NoticesSeenRequest, UserRequest
from api.work_shapes import Seen, User, UserDone, Users
from api.work_told import user_told
from commands.access import Caller
from commands.working import Actor, Done, Working
from domain.errors import Forbidden, NotFound
from projections.work.reader import WorkReader

__all__ = ["Sees", "UserCode", "router"]

router = APIRouter(tags=["Colleagues"], default_response_class=Response)

Body = TypeVar("Body", bound=BaseModel)
Sees = Annotated[Caller, Depends(Guard("work", "manage"))]
UserCode = Annotated[str, Path(max_length=64, description="The colleague's code")]
_DONE: Final[dict[int | str, dict[str, Any]]] = {
    200: shapes.answer("UserDone"),
    **responses(404, 408, 409, 412, 413, 415, 428, 429),
}
_MOST: Final = 100


@router.get("/v1/users", summary="Colleagues", responses={200: shapes.answer("Users"), **responses(429)})
async def users(
    request: Request,
    _caller: Sees,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
    cursor: Annotated[str, Query(max_length=64, description="`next` of the answer before")] = "",
) -> Response:
    """Colleagues who work here, by code."""
    stated(cursor=cursor)
    held = services(request)

    def read() -> Users:
        codes = held.parts.working.colleagues(cursor, limit + 1)
        told = [_told(held.parts.working, code) for code in codes[:limit]]
        return Users(told, codes[limit - 1] if len(codes) > limit else None)

    return json_answer(await to_thread.run_sync(read, limiter=held.commanding))


@router.post(
    "/v1/users",
    status_code=201,
    summary="Register a colleague",
    responses={201: shapes.answer("UserDone"), **responses(408, 409, 413, 415, 429)},
    openapi_extra=shapes.request_body(UserRequest),
)
async def register(request: Request, caller: Manages, once: Once) -> Response:
    """Somebody works here from now on, and may be given things. Make them a key with `POST /v1/keys`."""
    sent = await read_model(request, UserRequest)
    key, content = key_of(request, caller, once, sent), sent.content("code")
    return await _done(
        request,
        caller,
        sent.code,
        lambda working, actor: working.register_user(sent.code, content, actor=actor, key=key),
        201,
    )


@router.get("/v1/users/{code}", summary="A colleague", responses={200: shapes.answer("User"), **responses(404, 429)})
async def user(request: Request, _caller: Sees, code: UserCode) -> Response:
    """A colleague, also one who left."""
    held = services(request)
    told = await to_thread.run_sync(_told, held.parts.working, code, limiter=held.commanding)
    return json_answer(told, 200, told.revision)


@router.patch(
    "/v1/users/{code}",
    summary="Change a colleague",
    responses=_DONE,
    openapi_extra=shapes.request_body(ChangeUserRequest),
)
async def change(request: Request, caller: Manages, code: UserCode, match: IfMatch, once: Once) -> Response:
    """Another name, other teams or roles. What is left out stays."""
    return await _change(
        request,
        caller,
        (code, match, once),
        ChangeUserRequest,
        lambda working, sent, how: working.change_user(code, sent.content(), **how),
    )


@router.post(
    "/v1/users/{code}/leave",
    summary="A colleague leaves",
    responses=_DONE,
    openapi_extra=shapes.request_body(LeaveRequest),
)
async def leave(request: Request, caller: Manages, code: UserCode, match: IfMatch, once: Once) -> Response:
    """All that is open and theirs goes to another colleague, a team, or nobody, in one transaction; their keys are
    revoked. Nothing can be given to them any more."""
    return await _change(
        request,
        caller,
        (code, match, once),
        LeaveRequest,
        lambda working, sent, how: working.leave_user(code, sent.to, sent.to_team, **how),
    )


@router.post("/v1/users/{code}/return", summary="A colleague comes back", responses=_DONE)
async def come_back(request: Request, caller: Manages, code: UserCode, match: IfMatch, once: Once) -> Response:
    """Somebody who had left works here again. What they had stays where it went."""
    key = key_of(request, caller, once, None, match.expected)
    return await _done(
        request,
        caller,
        code,
        lambda working, actor: working.return_user(code, actor=actor, key=key, expected=match.expected),
    )


@router.get(
    "/v1/users/{code}/notices",
    summary="What a colleague is told",
    responses={200: shapes.answer("Notices"), **responses(429)},
    dependencies=[Visible],
)
async def notices(
    request: Request, caller: Sees, code: UserCode, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Mentions, what others gave them, reminders, and what rules tell them; the latest first. A key without `manage`
    that belongs to a colleague shows only their own."""
    _own(caller, code)
    held = services(request)
    reader = WorkReader(held.pool)
    page = await reader.notices(code, cursor, limit)
    sealed = await reader.records([one.name for one in page.rows])
    seen_at = await held.unseal(lambda: held.parts.working.notices_seen_at(code))
    return json_answer(await held.unseal(lambda: notices_told(held, page, sealed, seen_at, "read" in caller.scopes)))


@router.post(
    "/v1/users/{code}/notices/seen",
    summary="They have seen what they were told",
    responses={200: shapes.answer("Seen"), **responses(404, 408, 413, 415, 429)},
    openapi_extra=shapes.request_body(NoticesSeenRequest),
)
async def seen(request: Request, caller: Sees, code: UserCode) -> Response:
    """A colleague has seen everything up to `at`, or up to now."""
    _own(caller, code)
    sent = await read_model(request, NoticesSeenRequest)

    def within(working: Working, _actor: Actor) -> datetime:
        working.colleague(code)
        return working.notices_seen(code, sent.at or working.desk.clock())

    return json_answer(Seen(await carry_out(request, caller, within)))


def _must_be_text(code: str) -> None:
    if "\0" in code:
        raise NotFound("There is no colleague of that code; GET /v1/users lists them.")


def _own(caller: Caller, code: str) -> None:
    _must_be_text(code)
    if caller.user not in {None, code} and "manage" not in caller.scopes:
        raise Forbidden("This key belongs to another colleague; it shows what they are told, and nobody else.")


async def _change(
    request: Request,
    caller: Caller,
    asked: tuple[str, Condition, str | None],
    model: type[Body],
    command: Callable[[Working, Body, dict[str, Any]], Done],
) -> Response:
    code, match, once = asked
    _must_be_text(code)
    sent = await read_model(request, model)
    how: dict[str, Any] = {
        "key": key_of(request, caller, once, sent, match.expected),
        "expected": match.expected,
    }
    return await _done(request, caller, code, lambda working, actor: command(working, sent, {**how, "actor": actor}))


async def _done(
    request: Request, caller: Caller, code: str, command: Callable[[Working, Actor], Done], status: int = 200
) -> Response:
    def within(working: Working, actor: Actor) -> tuple[Done, User]:
        done = command(working, actor)
        told = user_told(code, done.state, done.revision) if done.state is not None else _told(working, code)
        return done, told

    done, told = await carry_out(request, caller, within)
    answer = UserDone(
        revision=done.revision,
        positions=await positions(services(request), [done]),
        repeated=done.repeated,
        user=told,
    )
    return json_answer(answer, status, done.revision)


def _told(working: Working, code: str) -> User:
    person = working.colleague(code)
    return user_told(code, person.state, person.version)
