"""Is it seen, reasoned, announced and acted upon in a system that is served, who enters and leaves a segment?"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

from domain.configuration.reading import _BUILT_IN
from tests.support.served import served
from tests.support.waiting import eventually

GREET = {
    "code": "greet",
    "on": ["segment.entered"],
    "when": {"field": "event.content.segment", "value": "buyers"},
    "then": [{"do": "create_task", "title": "Greet {event.content.segment}"}],
}


def bought(who: str, **changes: Any) -> dict[str, Any]:
    """Somebody bought something just now."""
    return {
        "specversion": "1.0", "source": "test/shop", "id": who, "type": "purchase.made",
        "time": datetime.now(UTC).isoformat(),
        "data": {
            "who": [{"kind": "email", "value": f"{who}@example.org"}],
            "content": {"amount": "10.00", "currency": "GBP"}, **changes.pop("data", {}),
        },
        **changes,
    }  # fmt: skip


def taken_back(who: str) -> dict[str, Any]:
    """What they bought is retracted."""
    about = [{"relation": "retracts", "source": "test/shop", "id": who}]
    data = {"about": about, "content": {"reason": "wrong_customer"}}
    return bought(who, id=f"{who}-back", type="event.retracted", data=data)


def members(client: httpx.Client) -> list[str]:
    return [one["customer"] for one in client.get("/v1/segments/buyers/members").json()["members"]]


def timeline(client: httpx.Client, customer: str, *types: str) -> list[str]:
    """Which events of these types stand on a customer's timeline, the earliest first."""
    items = client.get(f"/v1/customers/{customer}/timeline").json()["items"]
    return [one["type"] for one in reversed(items) if one["type"] in types]


def test_S32_entering_and_leaving_are_seen_announced_and_acted_upon_once(
    server_directory: Path, tmp_path: Path
) -> None:
    directory = server_directory / "segments"
    directory.mkdir(mode=0o755)
    configuration = tmp_path / "configuration.yaml"
    configuration.write_text(yaml.safe_dump({**_BUILT_IN, "automation": [GREET]}))
    with (
        served(directory, STORYLINE_CONFIGURATION=str(configuration)) as system,
        system.client() as client,
    ):
        segment = {"code": "buyers", "rule": "exists(purchase.made)"}
        assert client.post("/v1/segments", json=segment).status_code == 201
        eventually(lambda: client.get("/v1/segments/buyers").json()["serving"] == 1, 90)

        assert system.publish(bought("ann")).status_code == 202
        eventually(lambda: len(members(client)) == 1, 30)
        [ann] = members(client)
        why = f"/v1/segments/buyers/members/{ann}/why"
        told = client.get(why).json()
        assert told["holds"] and told["member"] and "10.00" in told["rule"]["events"][0]["line"]
        eventually(lambda: timeline(client, ann, "segment.entered", "segment.left") == ["segment.entered"], 60)
        eventually(lambda: timeline(client, ann, "task.created") == ["task.created"], 60)
        [task] = client.get("/v1/tasks").json()["tasks"]
        assert task["title"] == "Greet buyers"

        assert system.publish(taken_back("ann")).status_code == 202
        eventually(lambda: members(client) == [], 30)
        eventually(
            lambda: timeline(client, ann, "segment.entered", "segment.left") == ["segment.entered", "segment.left"],
            60,
        )
        told = client.get(why).json()
        assert not told["holds"] and not told["member"]

        assert system.publish(bought("bob")).status_code == 202
        eventually(lambda: len(client.get("/v1/tasks").json()["tasks"]) == 2, 60)
        [bob] = members(client)
        done = ["segment.entered", "task.created"]
        eventually(lambda: timeline(client, bob, "segment.entered", "segment.left", "task.created") == done, 30)
        seen = timeline(client, ann, "segment.entered", "segment.left", "task.created")
        assert sorted(seen) == ["segment.entered", "segment.left", "task.created"]
