"""Do `storyline serve`'s scheduler and automation do what a configuration says, as a deployment runs them?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import yaml
from standardwebhooks.webhooks import Webhook

from domain.configuration.reading import _BUILT_IN
from tests.support.asking import ready
from tests.support.automating import SECRET, survey
from tests.support.receiver import receiving
from tests.support.served import served
from tests.support.waiting import eventually


def test_S62_what_the_configuration_says_happens(server_directory: Path, tmp_path: Path) -> None:
    directory = server_directory / "automation"
    directory.mkdir(mode=0o755)
    with receiving() as receiver:
        then = [
            {"do": "create_task", "title": "Call", "priority": "high"},
            {"do": "webhook", "url": f"{receiver.url}/nps", "secret": "care"},
        ]
        rule = {"code": "unhappy", "on": ["survey.answered"], "then": then,
                "when": {"field": "event.content.score", "is": "<=", "value": 6}}  # fmt: skip
        configuration, secrets = tmp_path / "configuration.yaml", tmp_path / "secrets.toml"
        configuration.write_text(yaml.safe_dump({**_BUILT_IN, "automation": [rule]}))
        secrets.write_text(f'care = "{SECRET}"\n')
        settings = {
            "STORYLINE_CONFIGURATION": str(configuration),
            "STORYLINE_WEBHOOK_SECRETS_FILE": str(secrets),
            "STORYLINE_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8",
        }
        with served(directory, **settings) as system, system.client() as client:
            for name in ("SCHEDULER", "AUTOMATION"):
                url = f"http://127.0.0.1:{system.env[f'STORYLINE_{name}_PORT']}"
                eventually(lambda url=url: ready(url), 90)  # type: ignore[misc]
            system.publish(survey("nps", "ann", 3), survey("nps", "bob", 9))
            eventually(lambda: len(receiver.taken) == 1, 60)
            Webhook(SECRET).verify(receiver.taken[0].body, receiver.taken[0].headers)
            eventually(lambda: len(client.get("/v1/tasks").json()["tasks"]) == 1, 30)
            [task] = client.get("/v1/tasks").json()["tasks"]
            assert (task["title"], task["priority"]) == ("Call", "high")
            soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
            made = client.post("/v1/tasks", json={"title": "Write", "remind_at": soon}).json()
            eventually(lambda: _reminded(client, made["id"]), 60)
            kinds = {one["consumer"] for one in client.get("/v1/status").json()["members"]}
            assert {"scheduler", "automation"} <= kinds


def _reminded(client: httpx.Client, task: str) -> bool:
    shown = client.get(f"/v1/refs/task/{task}/timeline")
    return "task.reminded" in [item["type"] for item in shown.json().get("items", [])]
