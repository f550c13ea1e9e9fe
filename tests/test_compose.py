"""Would `docker-compose.yml` bring up a safe Storyline? Read as a file, because not every machine has an engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from storyline.settings import Settings
from tests.support.kafka import KAFKA_VERSION

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SERVERS = {name: service for name, service in SERVICES.items() if "build" not in service}
PROCESSES = {
    "api": "8080",
    "projector": "8081",
    "inbox": "8082",
    "relay": "8083",
    "scheduler": "8084",
    "automation": "8085",
    "enrichment": "8086",
}
REQUIRED = re.compile(r"\$\{\w+:\?[^}]+\}")


def test_the_services_are_those_of_the_way_of_a_touchpoint() -> None:
    assert set(SERVERS) == {"kafka", "postgres", "keys"}
    assert set(OURS) == {"upgrade", *PROCESSES}


def test_every_server_is_a_pinned_image_with_its_data_on_a_volume_of_its_own() -> None:
    volumes = []
    for service in SERVERS.values():
        image, _, tag = service["image"].partition(":")
        assert image in {"apache/kafka", "postgres"}
        assert tag and tag != "latest"
        (volume,) = service["volumes"]
        volumes.append(volume.partition(":")[0])
    assert sorted([*volumes, "ledger"]) == sorted(COMPOSE["volumes"])
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


@pytest.mark.parametrize("name", OURS)
def test_our_processes_share_the_ledger_of_erasures_which_no_server_holds(name: str) -> None:
    assert SERVICES[name]["volumes"] == ["ledger:/var/lib/storyline"]
    assert SERVICES[name]["environment"]["STORYLINE_LEDGER"].startswith("/var/lib/storyline/")
    assert "--owner=10001" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_volume_of_postgres_18_lies_where_its_image_keeps_data() -> None:
    """Since 18 the image's data folder is /var/lib/postgresql/18/docker, so the old mount point would stay empty."""
    for name in ("postgres", "keys"):
        assert SERVICES[name]["image"] == "postgres:18"
        assert SERVICES[name]["volumes"] == [f"{name}:/var/lib/postgresql"]
    assert SERVICES["kafka"]["volumes"] == ["kafka:" + SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"]]


def test_every_service_that_stays_has_a_health_check_that_asks_it() -> None:
    assert "pg_isready" in SERVICES["postgres"]["healthcheck"]["test"][1]
    assert "pg_isready" in SERVICES["keys"]["healthcheck"]["test"][1]
    assert "kafka-broker-api-versions" in SERVICES["kafka"]["healthcheck"]["test"][1]
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "HEALTHCHECK" in image
    assert "/livez" in image
    for name, port in PROCESSES.items():
        assert "healthcheck" not in SERVICES[name], "the image's own is used"
        assert str(SERVICES[name]["environment"]["HEALTH_PORT"]) == port


def test_the_health_ports_are_the_defaults_of_the_settings() -> None:
    settings = Settings.model_fields
    names = ("port", *[f"{name}_port" for name in list(PROCESSES)[1:]])
    assert [str(settings[name].default) for name in names] == list(PROCESSES.values())


def test_nothing_starts_before_what_it_needs() -> None:
    servers = {name: {"condition": "service_healthy"} for name in SERVERS}
    assert SERVICES["upgrade"]["depends_on"] == servers
    for name in PROCESSES:
        expected = {**servers, "upgrade": {"condition": "service_completed_successfully"}}
        assert SERVICES[name]["depends_on"] == expected


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert not re.search(r"\$\{\w+:?-", text), "a value with a default"
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name or "://storyline" in str(value):
                assert REQUIRED.search(str(value)), name
    for store in (*COMPOSE["secrets"].values(), *COMPOSE["configs"].values()):
        assert REQUIRED.fullmatch(store["file"])


def test_the_two_databases_have_passwords_of_their_own() -> None:
    assert (
        SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]
        != SERVICES["keys"]["environment"]["POSTGRES_PASSWORD"]
    )


@pytest.mark.parametrize("name", OURS)
def test_our_processes_run_in_production_with_documented_settings_alone(name: str) -> None:
    environment = dict(SERVICES[name]["environment"])
    environment.pop("HEALTH_PORT", None)
    known = {f"STORYLINE_{field.upper()}" for field in Settings.model_fields}
    assert set(environment) <= known
    documented = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    for variable in environment:
        assert variable in documented or variable.removeprefix("STORYLINE_") in documented
    assert environment["STORYLINE_MODE"] == "production"
    assert environment["STORYLINE_LOG_FORMAT"] == "json"
    assert environment["STORYLINE_MASTER_KEY_FILE"] == "/run/secrets/master_key"
    assert "master_key" in SERVICES[name]["secrets"]


def test_the_settings_take_what_the_file_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in OURS.values():
        for variable, value in service["environment"].items():
            monkeypatch.setenv(variable, REQUIRED.sub("secret", str(value)))
        settings = Settings()
        settings.require("log_url", "database_url", "keys_url")
        assert settings.mode == "production"
        assert settings.database_url != settings.keys_url


@pytest.mark.parametrize("name", OURS)
def test_our_processes_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "USER 10001" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_only_the_api_is_reached_from_outside_and_only_from_this_machine() -> None:
    for name, service in SERVICES.items():
        if name == "api":
            assert service["ports"] == ["127.0.0.1:8080:8080"]
            assert "front" in service["networks"]
        else:
            assert "ports" not in service
            assert ("front" in service["networks"]) == (name == "automation"), "webhooks lead outside"
    assert COMPOSE["networks"] == {"front": {}, "data": {"internal": True}, "keys": {"internal": True}}


def test_the_key_store_is_reached_by_our_processes_alone() -> None:
    assert {name for name, service in SERVICES.items() if "keys" in service["networks"]} == {"keys", *OURS}
    assert SERVICES["keys"]["networks"] == ["keys"]


def test_the_single_broker_keeps_every_record_and_syncs_it() -> None:
    kafka = {name: str(value) for name, value in SERVICES["kafka"]["environment"].items()}
    assert kafka["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    for factor in ("OFFSETS_TOPIC", "TRANSACTION_STATE_LOG", "SHARE_COORDINATOR_STATE_TOPIC"):
        assert kafka[f"KAFKA_{factor}_REPLICATION_FACTOR"] == "1"
    assert kafka["KAFKA_LOG_RETENTION_MS"] == kafka["KAFKA_LOG_RETENTION_BYTES"] == "-1"
    assert kafka["KAFKA_LOG_CLEANUP_POLICY"] == "delete"
    assert kafka["KAFKA_LOG_FLUSH_INTERVAL_MESSAGES"] == "1"
    assert "replication=1&min_isr=1" in SERVICES["api"]["environment"]["STORYLINE_LOG_URL"]


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_of_the_command_line(name: str) -> None:
    words = [sys.executable, "-m", "storyline.cli", *SERVICES[name]["command"], "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_image_holds_what_the_lock_names_and_every_package_of_ours() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes" in image
    assert image.count("FROM ") == 2
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert set(re.findall(r"^COPY (\w+) \1$", image, re.MULTILINE)) == packages
    let_through = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE))
    assert let_through == packages | {"pyproject.toml", "README.md", "LICENSE", "requirements.lock"}
