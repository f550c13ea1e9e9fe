"""Can operators see to webhooks over HTTP and on the command line, and nobody else?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from tests.support.api import RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.served import clean_environment, run_cli


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as made:
        yield made


def parked(api: RunningApi, number: int = 1) -> list[UUID]:
    """So many parked webhooks."""
    ids = [uuid4() for _ in range(number)]
    with psycopg.connect(api.story.dsn, autocommit=True) as connection:
        for id in ids:
            connection.execute(
                "INSERT INTO storyline.deliveries VALUES (%s, 'unhappy', 'test/survey#00', 'https://example.com/', "
                "'main', %s, 'parked', 11, %s, 500, 'refused', %s)",
                [id, *[datetime.now(UTC)] * 3],
            )
    return ids


@pytest.fixture
def operator(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("operate") as client:
        yield client


def test_what_is_parked_is_listed_page_by_page_the_oldest_first(api: RunningApi, operator: httpx.Client) -> None:
    ids = [str(id) for id in parked(api, 3)]
    first = operator.get("/v1/webhooks", params={"limit": 2}).json()
    second = operator.get("/v1/webhooks", params={"limit": 2, "cursor": first["next"]}).json()
    assert [one["id"] for one in (*first["webhooks"], *second["webhooks"])] == ids
    assert first["webhooks"][0]["why"] == "refused" and first["webhooks"][0]["status"] == 500
    assert operator.get("/v1/webhooks", params={"cursor": "nonsense"}).status_code == 422
    assert operator.get("/v1/webhooks", params={"state": "lost"}).status_code == 422


def test_one_is_sent_again_or_given_up(api: RunningApi, operator: httpx.Client) -> None:
    [id] = parked(api)
    assert operator.post(f"/v1/webhooks/{id}/retry").json()["state"] == "waiting"
    refused = operator.post(f"/v1/webhooks/{id}/retry")
    assert refused.status_code == 409 and refused.json()["rule"] == "webhook-state"
    assert operator.post(f"/v1/webhooks/{id}/discard").json()["state"] == "discarded"
    for unknown in (str(uuid4()), "nonsense"):
        assert operator.post(f"/v1/webhooks/{unknown}/retry").status_code == 404


def test_nobody_but_operators_sees_them(api: RunningApi) -> None:
    with api.client("read", "work") as client:
        assert client.get("/v1/webhooks").status_code == 403


def test_the_command_line_does_the_same(api: RunningApi, tmp_path: Path) -> None:
    [id] = parked(api)
    env = clean_environment(tmp_path, DATABASE_URL=api.story.dsn, KEYS_URL=api.story.dsn, LOG_URL=api.story.dsn)
    assert str(id) in run_cli(env, "webhooks", "list").stdout
    assert "waiting" in run_cli(env, "webhooks", "retry", str(id)).stdout
