"""What does a Kafka log's URL say, and with which settings does a client of kafka-python reach it?

kafka://host:port[,host:port]/topic?partitions=8&replication=3&min_isr=2
    &security=SASL_SSL&mechanism=SCRAM-SHA-512&username=…&ca_file=…&cert_file=…&key_file=…

Secrets are `password`, `password_file`, `token_file`, or `token_url` with `client_id` and `client_secret` or
`client_secret_file` (and `scope`): `storyline/` puts them in from its settings. No error repeats a value of the URL.
"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from domain.errors import Misconfigured

if TYPE_CHECKING:
    from eventlog.kafka_tokens import ClientCredentials, TokenFile

__all__ = ["SECRETS", "KafkaAddress", "client_settings"]

SECRETS: Final[tuple[str, ...]] = (
    *("password", "password_file"),
    *("token_file", "token_url", "client_id", "client_secret", "client_secret_file", "scope"),
)
"""The parameters that `storyline/` fills in, so that they need not stand in a URL."""

_NUMBERS: Final = {"partitions": 8, "replication": 1, "min_isr": 1}
_PLAIN: Final[tuple[str, ...]] = ("security", "mechanism", "username", "ca_file", "cert_file", "key_file")
_SECURITY: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS: Final = ("SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "PLAIN")
_SERVER: Final = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True)
class KafkaAddress:
    """A parsed URL. The numbers count when a topic is made, and are compared with those of one that is there."""

    servers: tuple[str, ...]
    topic: str
    partitions: int
    replication: int
    min_isr: int
    access: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> KafkaAddress:
        """Raises Misconfigured; the sentence names the parameter, never its value."""
        parts = urlsplit(url)
        given = parse_qs(parts.query)
        query = {name: values[-1] for name, values in given.items()}
        topic = parts.path.strip("/")
        unknown = sorted(query.keys() - _NUMBERS.keys() - {*_PLAIN, *SECRETS})
        servers = parts.netloc.split(",")
        if not all(map(_is_server, servers)) or not _TOPIC.fullmatch(topic) or unknown:
            raise Misconfigured(
                "A Kafka log's URL is kafka://host:port[,host:port]/topic"
                "[?partitions=8&replication=3&min_isr=2&security=SASL_SSL&…]"
                + (f"; it knows no {', '.join(unknown)}." if unknown else ".")
            )
        if twice := sorted(name for name, values in given.items() if len(values) > 1):
            raise Misconfigured(f"A Kafka log's URL: {', '.join(twice)} is there twice; say it once.")
        partitions, replication, min_isr = (_number(query, name, default) for name, default in _NUMBERS.items())
        if min_isr > replication:
            raise Misconfigured("A Kafka log's URL: min_isr is more than replication, so nothing could be written.")
        access = {name: query[name] for name in (*_PLAIN, *SECRETS) if name in query}
        _check(access)
        return cls(tuple(servers), topic, partitions, replication, min_isr, access)

    @property
    def security(self) -> str:
        """PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
        return self.access.get("security", "PLAINTEXT")

    @property
    def user(self) -> str:
        """How errors call the one who logs in."""
        name = self.access.get("username")
        return f"User:{name}" if name else "the user of this process"

    def settings(self) -> dict[str, Any]:
        """What every client of kafka-python is given. Files are read anew, so that renewed ones count."""
        found: dict[str, Any] = {"bootstrap_servers": list(self.servers), "security_protocol": self.security}
        if self.security.endswith("SSL"):
            found["ssl_context"] = self._tls()
        if self.security.startswith("SASL"):
            found["sasl_mechanism"] = self.access["mechanism"]
            if self.access["mechanism"] == "OAUTHBEARER":
                found["sasl_oauth_token_provider"] = self._tokens
            else:
                found["sasl_plain_username"] = self.access["username"]
                found["sasl_plain_password"] = self._password()
        return found

    def _tls(self) -> ssl.SSLContext:
        """Verifies the chain and the host's name; there is no switch that turns it off."""
        files = {name: self.access.get(name) for name in ("ca_file", "cert_file", "key_file")}
        try:
            context = ssl.create_default_context(cafile=files["ca_file"])
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if files["cert_file"]:
                # a passphrase would be asked for on the terminal
                context.load_cert_chain(files["cert_file"], files["key_file"], password=_no_passphrase)
        except (OSError, ssl.SSLError):
            given = ", ".join(name for name, value in files.items() if value) or "the system's certificates"
            raise Misconfigured(
                f"A Kafka log's URL: {given} cannot be read, or are no PEM files that belong together; "
                "a key must have no passphrase."
            ) from None
        return context

    def _password(self) -> str:
        if "password" in self.access:
            return self.access["password"]
        try:
            text = Path(self.access["password_file"]).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            text = ""
        if not text:
            raise Misconfigured("STORYLINE_KAFKA_PASSWORD_FILE names a file that cannot be read, or is empty.")
        return text

    @cached_property
    def _tokens(self) -> TokenFile | ClientCredentials:
        from eventlog.kafka_tokens import ClientCredentials, TokenFile  # noqa: PLC0415 - settings need no HTTP client

        if "token_file" in self.access:
            return TokenFile(Path(self.access["token_file"]))
        secret_file = self.access.get("client_secret_file")
        return ClientCredentials(
            self.access["token_url"],
            self.access["client_id"],
            Path(secret_file) if secret_file else self.access["client_secret"],
            self.access.get("scope", ""),
        )


def client_settings(log_url: str) -> tuple[list[str], dict[str, Any]]:
    """(servers, further settings) for a client of kafka-python that reaches what the log's URL names."""
    address = KafkaAddress.parse(log_url)
    settings = address.settings()
    return settings.pop("bootstrap_servers"), settings


def _is_server(text: str) -> bool:
    found = _SERVER.fullmatch(text)
    return found is not None and (found[2] is None or 1 <= int(found[2]) <= 65535)


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 1024):
        raise Misconfigured(f"A Kafka log's URL: {name} must be a whole number from 1 to 1024.")
    return int(text)


def _check(access: Mapping[str, str]) -> None:
    """Refuse what could not work, or would send a secret in the clear."""
    security, mechanism = access.get("security", "PLAINTEXT"), access.get("mechanism")
    if security not in _SECURITY:
        raise Misconfigured(f"A Kafka log's URL: security must be one of {', '.join(_SECURITY)}.")
    if not security.endswith("SSL") and access.keys() & {"ca_file", "cert_file", "key_file"}:
        raise Misconfigured("A Kafka log's URL: ca_file, cert_file and key_file need security=SSL or SASL_SSL.")
    if "key_file" in access and "cert_file" not in access:
        raise Misconfigured("A Kafka log's URL: key_file needs cert_file.")
    if not security.startswith("SASL"):
        if access.keys() & {"mechanism", "username", *SECRETS}:
            raise Misconfigured(
                "A Kafka log's URL: a mechanism, user name, password or token needs security=SASL_SSL; as it is, "
                "nobody would log in."
            )
        return
    if mechanism not in _MECHANISMS:
        raise Misconfigured(
            f"A Kafka log's URL: security={security} needs a mechanism, one of {', '.join(_MECHANISMS)}; SSL and "
            "PLAINTEXT need none."
        )
    if security == "SASL_PLAINTEXT" and not mechanism.startswith("SCRAM"):
        raise Misconfigured(f"A Kafka log's URL: {mechanism} sends its secret as it is and needs security=SASL_SSL.")
    _check_tokens(access) if mechanism == "OAUTHBEARER" else _check_password(access)


def _check_password(access: Mapping[str, str]) -> None:
    if access.keys() & {"token_file", "token_url", "client_id", "client_secret", "client_secret_file", "scope"}:
        raise Misconfigured("A Kafka log's URL: tokens need mechanism=OAUTHBEARER.")
    if not access.get("username") or {",", "="} & set(access["username"]):
        raise Misconfigured("A Kafka log's URL: username is missing, or has a comma or = in it.")
    if len(access.keys() & {"password", "password_file"}) != 1:
        raise Misconfigured(
            f"Kafka's {access['mechanism']} needs a password: set STORYLINE_KAFKA_PASSWORD_FILE or "
            "STORYLINE_KAFKA_PASSWORD, one of them."
        )


def _check_tokens(access: Mapping[str, str]) -> None:
    if access.keys() & {"username", "password", "password_file"}:
        raise Misconfigured(
            "A Kafka log's URL: with OAUTHBEARER the token says who it is; leave user name and password out."
        )
    if ("token_file" in access) == ("token_url" in access):
        raise Misconfigured(
            "Kafka's OAUTHBEARER needs tokens: set STORYLINE_KAFKA_TOKEN_FILE or STORYLINE_KAFKA_TOKEN_URL, not both."
        )
    if "token_url" not in access:
        return
    if not access.get("client_id") or len(access.keys() & {"client_secret", "client_secret_file"}) != 1:
        raise Misconfigured(
            "STORYLINE_KAFKA_TOKEN_URL needs STORYLINE_KAFKA_CLIENT_ID, and STORYLINE_KAFKA_CLIENT_SECRET_FILE or "
            "STORYLINE_KAFKA_CLIENT_SECRET, one of the two."
        )
    where = urlsplit(access["token_url"])
    local = where.scheme == "http" and where.hostname in {"localhost", "127.0.0.1", "::1"}
    if not (local or (where.scheme == "https" and where.hostname)):
        raise Misconfigured("STORYLINE_KAFKA_TOKEN_URL must begin with https://; http:// is for localhost alone.")


def _no_passphrase() -> str:
    return ""
