"""How are tasks worked on over HTTP? Made, changed, given to others, finished, cancelled, reopened."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from api import shapes
from api.about import abouts_of
from api.body import read_model
from api.commanding import LONG, Asks, Changed, ItemId, Once, Reads, Works, changed, json_answer, key_of
from api.problems import responses
from api.services import services
from api.task_shapes import TaskDone, TaskPage
from api.work_queries import Code, Cursor, Limit, Steps, Visible, shown, stated, timed
from api.work_requests import AssignRequest, CancelRequest, ChangeTaskRequest, TaskRequest
from api.work_rows import task_row, texts_of
from eventlog.record import ref_hash
from projections.work.reader import TaskFilter, WorkReader

__all__ = ["router"]

router = APIRouter(tags=["Tasks"], default_response_class=Response)

_DONE: Final[dict[int | str, dict[str, Any]]] = {
    200: shapes.answer("TaskDone"),
    **responses(404, 408, 409, 412, 413, 415, 428, 429),
}


@router.get(
    "/v1/tasks",
    summary="Tasks",
    responses={200: shapes.answer("TaskPage"), **responses(429)},
    dependencies=[Visible],
)
async def tasks(
    request: Request,
    caller: Reads,
    status: Annotated[Literal["open", "done", "cancelled", "all"], Query()] = "open",
    assignee: Annotated[Code, Query(description="A colleague, by code; `me`: whose key this is")] = None,
    team: Code = None,
    due_by: Annotated[
        str | None,
        Query(max_length=64, description="Only those due by then", json_schema_extra={"format": "date-time"}),
    ] = None,
    on: Annotated[str | None, Query(max_length=200, description="What they are on: `deal:ID`, `ticket:ID` …")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Tasks, the first due first. Titles are there with the scope `read`."""
    stated(assignee=assignee, team=team, on=on)
    held = services(request)
    reader = WorkReader(held.pool)
    about = UUID(bytes=ref_hash(on)) if on else None
    whose = caller.user or "" if assignee == "me" else assignee
    statuses = ("open", "done", "cancelled") if status == "all" else (status,)
    chosen = TaskFilter(statuses, whose, team, timed(due_by, "due_by"), about)
    page = await reader.tasks(chosen, cursor, limit)
    texts = await texts_of(held, reader, page.rows, "read" in caller.scopes)
    return json_answer(TaskPage([task_row(one, texts) for one in page.rows], page.after))


@router.get(
    "/v1/tasks/{id}",
    summary="A task",
    responses={200: shapes.answer("TaskShown"), **responses(404, 429)},
    dependencies=[Visible],
)
async def task(request: Request, caller: Reads, id: ItemId, query: Steps) -> Response:
    """A task with its history, as it is at this moment, or with `happened_by` as of then."""
    found = await shown(request, caller, "task", id, query)
    return json_answer(found.told, 200, found.revision)


@router.post(
    "/v1/tasks",
    status_code=201,
    summary="Make a task",
    responses={201: shapes.answer("TaskDone"), **responses(408, 409, 413, 415, 429)},
    openapi_extra=shapes.request_body(TaskRequest),
)
async def create(request: Request, caller: Works, once: Once) -> Response:
    """A new task on a customer, or (`refs`) on a deal, a ticket or a lead."""
    sent = await read_model(request, TaskRequest, LONG)
    [about] = await abouts_of(services(request), [sent])
    key, content = key_of(request, caller, once, sent), sent.content()
    done = await changed(
        request,
        caller,
        lambda working, actor: working.create_task(content, who=about.who, refs=about.refs, actor=actor, key=key),
    )
    return _answer(done, 201)


@router.patch(
    "/v1/tasks/{id}",
    summary="Change a task",
    responses=_DONE,
    openapi_extra=shapes.request_body(ChangeTaskRequest),
)
async def change(ask: Asks) -> Response:
    """Another title, text, date, reminder or priority. What is left out stays, what is null is emptied."""
    return _answer(
        await ask.do(
            "task", ChangeTaskRequest, lambda working, id, sent, how: working.change_task(id, sent.content(), **how)
        )
    )


@router.post(
    "/v1/tasks/{id}/assign",
    summary="Give a task to somebody",
    responses=_DONE,
    openapi_extra=shapes.request_body(AssignRequest),
)
async def assign(ask: Asks) -> Response:
    """To a colleague, a team, or nobody."""
    return _answer(
        await ask.do(
            "task",
            AssignRequest,
            lambda working, id, sent, how: working.assign_task(id, sent.assignee, sent.team, **how),
        )
    )


@router.post("/v1/tasks/{id}/finish", summary="A task was done", responses=_DONE)
async def finish(ask: Asks) -> Response:
    """It was done."""
    return _answer(await ask.just("task", lambda working, id, how: working.finish_task(id, **how)))


@router.post(
    "/v1/tasks/{id}/cancel",
    summary="Cancel a task",
    responses=_DONE,
    openapi_extra=shapes.request_body(CancelRequest),
)
async def cancel(ask: Asks) -> Response:
    """It is not wanted any more."""
    return _answer(
        await ask.do(
            "task", CancelRequest, lambda working, id, sent, how: working.cancel_task(id, sent.reason, **how)
        )
    )


@router.post("/v1/tasks/{id}/reopen", summary="Take a task up again", responses=_DONE)
async def reopen(ask: Asks) -> Response:
    """Take up again what was done or cancelled."""
    return _answer(await ask.just("task", lambda working, id, how: working.reopen_task(id, **how)))


def _answer(done: Changed, status: int = 200) -> Response:
    return json_answer(TaskDone(**done.fields, task=done.told), status, done.done.revision)
