"""Is every setting documented, and is a wrong one told by a sentence that names it?"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from domain.errors import Misconfigured
from eventlog.kafka_address import KafkaAddress
from storyline.settings import Settings
from storyline.types import read_types

DOCUMENT = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        for spelling in (f"STORYLINE_{name.upper()}", name.upper()):
            monkeypatch.delenv(spelling, raising=False)


def spelling(name: str) -> str:
    return name.upper() if name in {"log_url", "database_url", "keys_url"} else f"STORYLINE_{name.upper()}"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_documented_with_its_default(name: str) -> None:
    [row] = [line for line in DOCUMENT.splitlines() if line.startswith(f"| `{spelling(name)}` |")]
    default: Any = Settings.model_fields[name].default
    if isinstance(default, (int, float, str)) and default:
        assert f"| `{default}` |" in row


def test_no_setting_is_documented_that_does_not_exist() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", DOCUMENT, re.MULTILINE))
    assert documented == {spelling(name) for name in Settings.model_fields}


@pytest.mark.parametrize("name", ["log_url", "database_url", "keys_url"])
def test_the_addresses_may_be_written_with_or_without_prefix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"STORYLINE_{name.upper()}", "postgresql://with")
    assert getattr(Settings(), name) == "postgresql://with"
    monkeypatch.setenv(name.upper(), "postgresql://without")
    assert getattr(Settings(), name) == "postgresql://without"


@pytest.mark.parametrize(
    ("name", "value"),
    [("database_url", "secret"), ("keys_url", "postgresql://u:secret@h/d?no=1"), ("region", "gb"), ("region", "ZZ")],
)
def test_a_value_that_cannot_work_is_refused_at_once_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({name: value})
    [told] = caught.value.errors(include_input=False, include_context=False)
    assert spelling(str(told["loc"][0])) == spelling(name)
    assert value not in told["msg"]


def test_in_production_a_missing_address_is_an_error_that_names_it() -> None:
    with pytest.raises(Misconfigured, match="KEYS_URL"):
        Settings(mode="production", log_url="kafka://x/y", database_url="postgresql://x").require(
            "log_url", "database_url", "keys_url"
        )


def test_in_production_plain_text_to_kafka_has_to_be_stated() -> None:
    for stated in ("kafka://far:9092/log?security=PLAINTEXT", "kafka://127.0.0.1:9092/log", "postgresql://far/log"):
        Settings(mode="production", log_url=stated).check_log()
    Settings(log_url="kafka://far:9092/log").check_log()
    with pytest.raises(Misconfigured, match="security=SASL_SSL"):
        Settings(mode="production", log_url="kafka://127.0.0.1:9092,far:9092/log").check_log()


def test_kafkas_secrets_are_put_into_the_address_of_the_log_and_shown_nowhere(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {"log_url": "kafka://far:9092/log?security=SASL_SSL&mechanism=PLAIN&username=u", "kafka_password": "a&b c"}
    )
    assert KafkaAddress.parse(settings.log_url).settings()["sasl_plain_password"] == "a&b c"
    assert "a%26b" not in repr(settings)
    assert "a&b" not in repr(settings)
    assert (
        Settings.model_validate({"log_url": settings.log_url, "kafka_password": "other"}).log_url == settings.log_url
    )
    assert Settings(log_url="postgresql://far/log", kafka_token_file=tmp_path).log_url == "postgresql://far/log"


def test_in_production_no_master_key_is_made_up(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="STORYLINE_MASTER_KEY"):
        Settings(mode="production", data_dir=tmp_path).master_keys()
    assert list(tmp_path.iterdir()) == []


def test_in_development_the_master_key_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    first = Settings(data_dir=tmp_path).master_keys()
    assert Settings(data_dir=tmp_path).master_keys().current == first.current
    assert (tmp_path / "master.key").stat().st_mode & 0o077 == 0


def test_the_master_key_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(KEY + "\n")
    by_file = Settings(master_key_file=path).master_keys()
    assert by_file.current == Settings.model_validate({"master_key": KEY}).master_keys().current
    with pytest.raises(Misconfigured, match="STORYLINE_MASTER_KEY_FILE"):
        Settings(master_key_file=tmp_path / "none").master_keys()


def test_secrets_are_not_shown() -> None:
    settings = Settings.model_validate({"master_key": KEY, "api_key": "sl_secret"})
    assert KEY not in repr(settings)
    assert "sl_secret" not in repr(settings)


def test_types_come_from_the_files_of_a_folder(tmp_path: Path) -> None:
    assert read_types(None) == []
    assert read_types(tmp_path) == []
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(Misconfigured, match=r"bad\.json"):
        read_types(tmp_path)
    with pytest.raises(Misconfigured, match="STORYLINE_TYPES_DIR"):
        read_types(tmp_path / "none")
