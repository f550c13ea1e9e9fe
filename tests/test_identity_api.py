"""Is it told why identifiers are one person, by which events, and what was refused?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from psycopg_pool import AsyncConnectionPool

from domain.identifiers import Identifier
from projections.identity.explaining import Explanation, explain
from projections.identity.loading import Bounds, IdentityLoader
from tests.support.api import BATCH, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.projecting import one_runner
from tests.support.story import event


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running, one_runner(running.story):
        yield running


@pytest.fixture(scope="module")
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("publish", "read") as made:
        yield made


def seen(minute: int, **who: str) -> dict[str, Any]:
    """A page view by whom these identifiers name."""
    return event(
        minute,
        id="-".join(who.values()) + f"-{minute}",
        type="page.viewed",
        data={"who": [{"kind": kind, "value": value} for kind, value in who.items()], "content": {"url": "/"}},
    )


def publish(api: RunningApi, client: httpx.Client, *events: Any) -> list[str]:
    """Publish and make visible; gives the names."""
    answer = client.post("/v1/events", content=json.dumps(events), headers={"Content-Type": BATCH})
    assert answer.status_code == 202, answer.text
    api.project()
    return [one["name"] for one in answer.json()["events"]]


def node(api: RunningApi, kind: str, value: str) -> str:
    token = api.story.hasher.token(Identifier(kind, value))
    assert token is not None
    return token[-32:]


def identity(client: httpx.Client, customer: str) -> Any:
    answer = client.get(f"/v1/customers/{customer}/identity")
    assert answer.status_code == 200, answer.text
    return answer.json()


def timeline(client: httpx.Client, customer: str) -> list[str]:
    answer = client.get(f"/v1/customers/{customer}/timeline")
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["items"]]


def test_S05_who_browsed_as_a_visitor_and_signs_up_has_it_on_her_timeline_from_then_on(
    api: RunningApi, client: httpx.Client
) -> None:
    email = api.fresh()
    cookie = f"c-{email}"
    publish(api, client, seen(1, cookie=cookie), seen(2, cookie=cookie))
    visitor = node(api, "cookie", cookie)
    assert identity(client, visitor)["id"] == visitor
    [name] = publish(api, client, seen(3, cookie=cookie, email=email))
    publish(api, client, seen(4, email=email))
    assert timeline(client, node(api, "email", email)) == [
        f"{email}-4", f"{cookie}-{email}-3", f"{cookie}-2", f"{cookie}-1"
    ]  # fmt: skip
    found = identity(client, visitor)  # the id that was handed out finds her still
    assert found["id"] == node(api, "email", email)
    assert found["ids"] == [node(api, "email", email), visitor]
    assert [one["value"] for one in found["identifiers"]] == [email, cookie]
    [link] = found["links"]
    assert {link["a"], link["b"]} == set(found["ids"])
    assert link["since"] == "2026-03-01T09:03:00Z"
    assert link["event"] == {"name": name, "type": "page.viewed", "happened_at": "2026-03-01T09:03:00Z"}
    assert (found["whole"], found["refused"], found["shared"], found["rulings"]) == (True, [], [], [])


def test_S07_a_familys_phone_and_a_switchboard_make_nobody_one_person(api: RunningApi, client: httpx.Client) -> None:
    family, switchboard = "+44 20 7946 0001", "+44 20 7946 0002"
    people = [api.fresh() for _ in range(8)]
    numbers = [f"no-{email}" for email in people]
    # Two of a family, each with a number of the company: the phone links the first, and the other is refused.
    publish(api, client, *[seen(at, customer_no=numbers[at], phone=family) for at in range(2)])
    first, second = (node(api, "customer_no", one) for one in numbers[:2])
    assert identity(client, first)["id"] != identity(client, second)["id"]
    [refused] = identity(client, second)["refused"]
    assert refused["reason"] == "limit"
    assert refused["why"] == "Both have a customer_no of their own, and one customer may have 1."
    assert refused["event"]["happened_at"] == "2026-03-01T09:01:00Z"
    # Four behind a switchboard: it stops linking, for all of them.
    publish(api, client, *[seen(at, customer_no=numbers[at], phone=switchboard) for at in range(2, 6)])
    for number in numbers[2:6]:
        found = identity(client, node(api, "customer_no", number))
        assert [one["value"] for one in found["identifiers"]] == [number.casefold()]
        [shared] = found["shared"]
        assert (shared["kind"], shared["value"], shared["people"]) == ("phone", "+442079460002", 4)
    board = identity(client, node(api, "phone", switchboard))
    assert board["id"] == node(api, "phone", switchboard)
    assert board["links"] == []
    assert [(one["node"], one["people"]) for one in board["shared"]] == [(board["id"], 4)]


def test_the_earliest_event_of_a_link_is_told_whatever_comes_first(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    publish(api, client, seen(20, email=email, cookie=f"c-{email}"))
    publish(api, client, seen(10, email=email, cookie=f"c-{email}"))
    [link] = identity(client, api.customer(email))["links"]
    assert link["event"]["happened_at"] == "2026-03-01T09:10:00Z"


def test_an_id_that_nobody_has_is_not_found(client: httpx.Client) -> None:
    assert client.get(f"/v1/customers/{'0' * 32}/identity").status_code == 404
    assert client.get("/v1/customers/nobody/identity").status_code == 404


def test_values_stand_in_clear_for_the_scope_read_alone(api: RunningApi, client: httpx.Client) -> None:
    email = api.fresh()
    publish(api, client, seen(1, email=email, cookie=f"c-{email}"))
    with api.client("read-sealed") as sealed:
        answer = sealed.get(f"/v1/customers/{api.customer(email)}/identity")
        assert answer.status_code == 200
        assert email not in answer.text
        assert len(answer.json()["links"]) == 1
    with api.client("publish") as other:
        assert other.get(f"/v1/customers/{api.customer(email)}/identity").status_code == 403


def test_a_component_beyond_the_bounds_is_told_as_such_with_its_direct_links(
    api: RunningApi, client: httpx.Client
) -> None:
    email = api.fresh()
    publish(api, client, *[seen(at, email=email, cookie=f"c{at}-{email}") for at in range(6)])
    customer = UUID(hex=api.customer(email))

    async def ask(bounds: Bounds) -> Explanation:
        async with AsyncConnectionPool(api.story.dsn, min_size=1, open=False, kwargs={"autocommit": True}) as pool:
            return explain(await IdentityLoader(pool, bounds).load([customer]), customer, 500)

    small, whole = asyncio.run(ask(Bounds(component=5, own=4))), asyncio.run(ask(Bounds()))
    assert (whole.whole, whole.more, len(whole.links), len(whole.nodes)) == (True, False, 6, 7)
    assert (small.whole, small.more, small.nodes[0].node) == (False, True, customer)
    assert 0 < len(small.links) < 6
    assert all(customer in link[:2] for link in small.links)
