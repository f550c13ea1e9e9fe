"""Does a replay over HTTP give the same events, whole or visibly broken off, without names, and few at once?"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pyarrow as pa
import pytest

from tests.support.api import RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.story import event
from tests.support.waiting import eventually

SECRET = "zqcanaryzq"


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    with running_api(postgres, tmp_path_factory.mktemp("api"), max_replays=2) as made:
        words = {"who": [{"kind": "email", "value": f"{SECRET}@example.org"}], "content": {"text": SECRET}}
        made.story.publish(*[event(number, data=words) for number in range(4)])
        bought = {"who": words["who"], "content": {"amount": "12.50", "currency": "GBP"}}
        made.story.publish(event(10, type="purchase.made", data=bought))
        made.project()
        # so many that a stream of them does not fit into what lies between server and client
        made.story.rows(
            "WITH one AS (SELECT * FROM timeline.events WHERE type = 'email.received' LIMIT 1) "
            "INSERT INTO timeline.events (name, evidence, happened_at, recorded_at, future, touch, digest, "
            "log_partition, log_offset, type, channel, direction, record) "
            "SELECT gen_random_uuid(), evidence, happened_at - interval '1 year' - number * interval '1 second', "
            "recorded_at, future, touch, digest, log_partition, -number, type, channel, direction, record "
            "FROM one, generate_series(1, 60000) AS number RETURNING 1"
        )
        yield made


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_S45_events_come_as_lines_or_as_arrow_and_say_nothing_personal(api: RunningApi) -> None:
    asked = {"type": "purchase.made"}
    with api.client("read-sealed") as client:
        (line,) = lines(client.get("/v1/replay", params=asked))
        stream = client.get("/v1/replay", params={**asked, "format": "arrow"})
        answer = client.get("/v1/replay", params={"since": "2026-01-01T00:00:00Z"})
    assert line["amount"] == 12.5
    assert line["content"] == {"amount": "12.50", "currency": "GBP"}
    assert stream.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert pa.ipc.open_stream(stream.content).read_all().column("type").to_pylist() == ["purchase.made"]
    assert len(lines(answer)) == 5
    assert SECRET not in answer.text


def test_names_need_the_scope_that_may_see_them(api: RunningApi) -> None:
    asked = {"since": "2026-01-01T00:00:00Z", "personal": "true", "columns": "who,personal,erased"}
    with api.client("read-sealed") as client:
        assert client.get("/v1/replay", params=asked).status_code == 403
    with api.client("publish", "work", "log") as client:
        assert client.get("/v1/replay").status_code == 403
    with api.client("read") as client:
        found = lines(client.get("/v1/replay", params=asked))
    assert [line["who"][0]["value"] for line in found] == [f"{SECRET}@example.org"] * 5
    assert found[0] == {"who": found[0]["who"], "personal": {"text": SECRET}, "erased": False}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"type": "purchase.maid"}, "type"),
        ({"customer": "ann"}, "customer"),
        ({"segment": "nobody"}, "segment"),
        ({"columns": "amuont"}, "columns"),
        ({"columns": "who"}, "columns"),
        ({"where": "channel ="}, "where: is not right at line 1, column 10"),
        ({"where": '[{"field": "x"}]'}, "where[0].is"),
        ({"type": "a\0b"}, "type"),
    ],
)
def test_what_is_not_understood_is_refused_before_anything_is_sent(
    api: RunningApi, asked: dict[str, str], field: str
) -> None:
    with api.client("read-sealed") as client:
        answer = client.get("/v1/replay", params=asked)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["detail"], answer.text


def test_more_replays_than_there_are_places_for_come_back_later(api: RunningApi) -> None:
    with api.client("read-sealed") as client, client.stream("GET", "/v1/replay") as one:
        with client.stream("GET", "/v1/replay") as other:
            assert one.status_code == other.status_code == 200
            third = client.get("/v1/replay")
            assert third.status_code == 429
            assert int(third.headers["retry-after"]) > 0
        eventually(lambda: client.get("/v1/replay", params={"type": "purchase.made"}).status_code == 200, 30)


def test_places_come_back_whatever_becomes_of_a_replay(api: RunningApi) -> None:
    asked = [{"type": "purchase.maid"}, {"type": "purchase.made"}, {"columns": "nothing"}]

    def replay(number: int) -> int:
        with api.client("read-sealed") as client:
            if number % 4 == 3:
                with client.stream("GET", "/v1/replay"):
                    return 200  # and away
            return client.get("/v1/replay", params=asked[number % 4]).status_code

    with ThreadPoolExecutor(4) as pool:
        assert {200, 422, 429} >= set(pool.map(replay, range(24)))
    with api.client("read-sealed") as client:
        eventually(lambda: client.get("/v1/replay", params={"type": "purchase.made"}).status_code == 200, 30)
        eventually(lambda: snapshots(api) == 0, 30)


def snapshots(api: RunningApi) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'storyline api replay'"
    found: int = api.story.rows(query)[0][0]
    return found


def test_a_replay_that_breaks_off_is_not_taken_for_whole(api: RunningApi) -> None:
    with api.client("read-sealed") as client, client.stream("GET", "/v1/replay") as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
        assert api.story.rows(kill, "storyline api replay") == [(True,)]
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in pieces:
                pass


def test_memory_stays_bounded_while_a_reader_is_slow(api: RunningApi) -> None:
    before = api.rss()
    with api.client("read-sealed") as client, client.stream("GET", "/v1/replay") as answer:
        pieces = answer.iter_bytes()
        next(pieces)
        stop = threading.Event()
        stop.wait(1)
        assert api.rss() - before < 150 * 2**20
        assert sum(piece.count(b"\n") for piece in pieces) > 59_000
    assert api.rss() - before < 150 * 2**20
