"""Which settings are there? All come from the environment; `docs/settings.md` describes each one.

`LOG_URL`, `DATABASE_URL` and `KEYS_URL` may be written with or without the prefix `STORYLINE_`; all others have it.
In development mode what is missing is made in the data folder (an embedded PostgreSQL, a master key); in production
mode it is an error that names the setting.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, urlencode, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers
import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import AliasChoices, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from consumers.calling import read_networks
from domain.errors import Misconfigured
from eventlog.kafka_address import SECRETS
from eventlog.masterkey import KEY_SIZE, MasterKeys, read_master

__all__ = ["Settings"]


class Settings(BaseSettings):
    """All settings. Secrets never have a default in production mode."""

    model_config = SettingsConfigDict(env_prefix="STORYLINE_", extra="ignore", populate_by_name=True)

    mode: Literal["development", "production"] = Field(
        default="development", description="In production nothing that is missing is made up"
    )
    data_dir: Path = Field(
        default=Path(".storyline"), description="Folder of the embedded PostgreSQL and the development master key"
    )
    log_url: str = Field(
        default="",
        validation_alias=AliasChoices("LOG_URL", "STORYLINE_LOG_URL"),
        repr=False,
        description="kafka://HOST:PORT/TOPIC or postgresql://…; empty: the embedded PostgreSQL (development)",
    )
    database_url: str = Field(
        default="",
        validation_alias=AliasChoices("DATABASE_URL", "STORYLINE_DATABASE_URL"),
        description="postgresql://… of the read models and durable tables; empty: embedded (development)",
    )
    keys_url: str = Field(
        default="",
        validation_alias=AliasChoices("KEYS_URL", "STORYLINE_KEYS_URL"),
        description="postgresql://… of the key store, in production a server of its own; empty: DATABASE_URL in "
        "development",
    )
    kafka_password: SecretStr = Field(default=SecretStr(""), description="Password of the user in LOG_URL (SCRAM)")
    kafka_password_file: Path | None = Field(default=None, description="A file that holds that password instead")
    kafka_token_file: Path | None = Field(
        default=None, description="A file with the token for OAUTHBEARER, renewed by another program"
    )
    kafka_token_url: str = Field(default="", description="Token server for OAUTHBEARER, by client credentials")
    kafka_client_id: str = Field(default="", description="Who we are for the token server")
    kafka_client_secret: SecretStr = Field(default=SecretStr(""), description="The client's secret")
    kafka_client_secret_file: Path | None = Field(default=None, description="A file that holds that secret instead")
    kafka_scope: str = Field(default="", description="Scope that the token server is asked for")
    ledger: Path | None = Field(
        default=None, description="The ledger of erasures: a file apart from all databases and their backups"
    )
    master_key: SecretStr = Field(default=SecretStr(""), description="Base64 of 32 bytes; wraps all keys")
    master_key_file: Path | None = Field(default=None, description="A file that holds the master key instead")
    old_master_keys: SecretStr = Field(
        default=SecretStr(""), description="Former master keys, comma between, until `keys rotate` is through"
    )
    partitions: int = Field(default=8, ge=1, le=1024, description="Partitions of a log that is created")
    host: str = Field(default="127.0.0.1", description="Address the API listens on")
    port: int = Field(default=8080, ge=0, le=65535, description="Port of the API")
    projector_port: int = Field(default=8081, ge=0, le=65535, description="Health and metrics port of the projector")
    inbox_port: int = Field(default=8082, ge=0, le=65535, description="Health and metrics port of the inbox")
    relay_port: int = Field(default=8083, ge=0, le=65535, description="Health and metrics port of the relay")
    scheduler_port: int = Field(default=8084, ge=0, le=65535, description="Health and metrics port of the scheduler")
    automation_port: int = Field(default=8085, ge=0, le=65535, description="Health and metrics port of automation")
    enrichment_port: int = Field(default=8086, ge=0, le=65535, description="Health and metrics port of enrichment")
    enrichment: bool = Field(
        default=False, description="Whether `serve` scores what customers write, and publishes it beside"
    )
    url: str = Field(default="", description="Address of the API that commands call; empty: http://HOST:PORT")
    api_key: SecretStr = Field(
        default=SecretStr(""), description="API key of the commands that publish; empty: the development key"
    )
    retention_days: int = Field(default=7, ge=1, description="How long a new inbox topic keeps its messages")
    projectors: int = Field(default=1, ge=1, le=64, description="Projectors that `serve` starts")
    inbox_partitions: int = Field(default=4, ge=1, le=1024, description="Partitions of a new inbox topic")
    lease_seconds: float = Field(
        default=10,
        ge=1,
        le=600,
        description="A projector or inbox that is unseen for so long loses its partitions",
    )
    stall_seconds: float = Field(
        default=60, ge=5, description="A projector that lags and does not move for so long rejoins"
    )
    region: str = Field(default="GB", description="ISO 3166 country of phone numbers without a country code")
    identity_file: Path | None = Field(
        default=None, description="TOML file with the rules of identity; what it blocks gets no token from now on"
    )
    types_dir: Path | None = Field(default=None, description="Folder of the deployment's event types (JSON Schema)")
    channels_file: Path | None = Field(
        default=None, description="JSON file that binds each inbox channel to its sources and types"
    )
    time_zone: str = Field(
        default="Europe/London", description="IANA time zone of hours, where a person's own is not known"
    )
    webhook_secrets_file: Path | None = Field(
        default=None, description="TOML file with the secrets that sign webhooks, by name"
    )
    webhook_private_networks: str = Field(
        default="", description="Private networks that webhooks may call, such as 10.1.0.0/16, comma between"
    )
    profile_file: Path | None = Field(default=None, description="TOML file that says which claim a profile shows")
    configuration: Path | None = Field(
        default=None, description="YAML file with pipelines, ticket states, service levels, assignment and automation"
    )
    max_body: int = Field(default=16 * 2**20, ge=1024, description="Largest request body in bytes")
    max_batch: int = Field(default=1000, ge=1, description="Most events in one request")
    max_waiting: int = Field(default=64, ge=1, description="Most publishing requests under way at once; more get 429")
    visible_wait: float = Field(default=5.0, gt=0, description="Longest wait for a position to be visible, seconds")
    batch: int = Field(default=10_000, ge=1, description="Most events in one transaction of the projector")
    key_cache_seconds: float = Field(default=60, ge=0, description="How long a destroyed key may still be in a cache")
    dead_letter_alarm_hours: float = Field(
        default=24.0, gt=0, le=24 * 3650, description="How long a dead letter may wait before it is overdue"
    )
    log_format: Literal["json", "console"] = Field(default="console", description="How log lines look")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level shown")

    @field_validator("database_url", "keys_url")
    @classmethod
    def _is_address(cls, address: str) -> str:
        """Told now, without the value, which may hold a password."""
        try:
            conninfo_to_dict(address)
        except psycopg.ProgrammingError:
            raise ValueError("it is no address such as postgresql://user@host/database") from None
        return address

    @field_validator("webhook_private_networks")
    @classmethod
    def _are_networks(cls, networks: str) -> str:
        try:
            read_networks(networks)
        except ValueError:
            raise ValueError("they are no networks such as 10.1.0.0/16, with commas between") from None
        return networks

    @field_validator("region")
    @classmethod
    def _is_region(cls, region: str) -> str:
        """A wrong one would make tokens that match nobody, for ever."""
        if region not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("it is no country of ISO 3166 in capitals, such as GB")
        return region

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, zone: str) -> str:
        try:
            return ZoneInfo(zone).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("it is no time zone such as Europe/London") from None

    @model_validator(mode="after")
    def _with_kafka_secrets(self) -> Self:
        """From here on LOG_URL holds all that it takes to reach the log, as DATABASE_URL does."""
        self.log_url = self.with_secrets(self.log_url)
        return self

    def with_secrets(self, log_url: str) -> str:
        """A log's URL with Kafka's password or token settings put in, where it is Kafka's and has none of its own."""
        if urlsplit(log_url).scheme != "kafka":
            return log_url
        given = parse_qs(urlsplit(log_url).query).keys()
        found = {}
        for name in SECRETS:
            value = getattr(self, f"kafka_{name}")
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
            if text and not given & set(SECRETS):
                found[name] = text
        return f"{log_url}{'&' if '?' in log_url else '?'}{urlencode(found)}" if found else log_url

    def check_log(self) -> None:
        """Raise Misconfigured where production would talk to Kafka in the clear without having said so."""
        parts = urlsplit(self.log_url)
        far = [one for one in parts.netloc.split(",") if not one.startswith(("127.0.0.1:", "localhost:", "[::1]:"))]
        stated = "security" in parse_qs(parts.query)
        if self.mode == "production" and parts.scheme == "kafka" and far and not stated:
            raise Misconfigured(
                "LOG_URL does not say how Kafka is reached. State security=SASL_SSL (see docs/kafka.md), or "
                "security=PLAINTEXT where the network between is yours alone."
            )

    def require(self, *names: Literal["log_url", "database_url", "keys_url"]) -> None:
        """Raise Misconfigured for a setting that is empty."""
        for name in names:
            if not getattr(self, name):
                raise Misconfigured(f"{name.upper()} is not set; see docs/settings.md.")

    @property
    def api_url(self) -> str:
        """Where commands reach the API."""
        everywhere = self.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        return self.url or f"http://{'127.0.0.1' if everywhere else self.host}:{self.port}"

    @property
    def development_key(self) -> Path:
        """The file that keeps the API key which `serve` makes in development."""
        return self.data_dir / "api.key"

    @property
    def ledger_file(self) -> Path:
        """The ledger of erasures, in development in the data folder. Raises Misconfigured where none is named."""
        if self.ledger is None and self.mode == "production":
            raise Misconfigured(
                "STORYLINE_LEDGER is not set: name a file for the ledger of erasures, kept apart from the databases; "
                "see docs/erasure.md."
            )
        return self.ledger or self.data_dir / "erasures.ledger"

    def master_keys(self) -> MasterKeys:
        """The master keys from the environment or file; in development made in the data folder at first use."""
        older = [read_master(text) for text in self.old_master_keys.get_secret_value().split(",") if text.strip()]
        return MasterKeys(read_master(self._master_text()), older)

    def _master_text(self) -> str:
        if text := self.master_key.get_secret_value():
            return text
        if self.master_key_file is not None:
            try:
                return self.master_key_file.read_text("ascii")
            except (OSError, UnicodeDecodeError):
                raise Misconfigured("STORYLINE_MASTER_KEY_FILE names a file that cannot be read.") from None
        if self.mode == "production":
            raise Misconfigured("STORYLINE_MASTER_KEY or STORYLINE_MASTER_KEY_FILE is not set; see docs/settings.md.")
        path = self.data_dir / "master.key"
        if not path.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            made = path.with_name(f"master.key.{secrets.token_hex(4)}")
            made.touch(mode=0o600)
            made.write_text(b64encode(secrets.token_bytes(KEY_SIZE)).decode())
            try:
                path.hardlink_to(made)  # the first of two starts wins; the second reads its key
            except FileExistsError:
                pass
            finally:
                made.unlink()
        return path.read_text("ascii")
