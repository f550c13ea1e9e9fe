"""Which URLs of a Kafka log are refused, in which words, and where do tokens come from? No broker is needed."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from domain.errors import Misconfigured, Unavailable
from eventlog.kafka_address import KafkaAddress
from eventlog.kafka_tokens import ClientCredentials, TokenFile
from tests.support.process import free_ports

SCRAM = "security=SASL_SSL&mechanism=SCRAM-SHA-512&username=u"
TOKENS = "security=SASL_SSL&mechanism=OAUTHBEARER"
SECRET = "hidden"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("replication=1&min_isr=2", "min_isr"),
        ("partitions=²", "partitions"),
        ("security=TLS", "security"),
        (f"password={SECRET}", "nobody would log in"),
        (f"security=SSL&username=u&password={SECRET}", "nobody would log in"),
        ("ca_file=x.pem", "ca_file"),
        ("security=SSL&key_file=x.pem", "cert_file"),
        (f"security=SASL_SSL&username=u&password={SECRET}", "mechanism"),
        (SCRAM, "STORYLINE_KAFKA_PASSWORD"),
        (f"{SCRAM},v&password={SECRET}", "username"),
        (f"{SCRAM}&password={SECRET}&password_file=x", "one of them"),
        (f"{SCRAM}&token_file=x", "OAUTHBEARER"),
        (f"security=SASL_PLAINTEXT&mechanism=PLAIN&username=u&password={SECRET}", "SASL_SSL"),
        (TOKENS, "STORYLINE_KAFKA_TOKEN_FILE"),
        (f"{TOKENS}&token_file=x&username=u", "user name"),
        (f"{TOKENS}&token_url=https://t.example", "STORYLINE_KAFKA_CLIENT_ID"),
        (f"{TOKENS}&token_url=http://t.example&client_id=c&client_secret={SECRET}", "https://"),
    ],
)
def test_an_address_that_cannot_work_is_refused_and_its_secrets_are_not_shown(query: str, named: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        KafkaAddress.parse(f"kafka://host:9093/topic?{query}")
    assert named in caught.value.detail
    assert SECRET not in caught.value.detail


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("kafka://host:99999/topic", "host:port"),
        ("kafka://host:0/topic", "host:port"),
        ("kafka://host:9093/my topic", "topic"),
        ("kafka://host:9093/" + "t" * 250, "topic"),
        ("kafka://host:9093/topic?security=SSL&security=PLAINTEXT", "security is there twice"),
    ],
)
def test_an_address_of_no_server_or_topic_or_with_two_words_is_refused_at_once(url: str, named: str) -> None:
    with pytest.raises(Misconfigured, match=named):
        KafkaAddress.parse(url)


def test_a_file_that_cannot_be_read_is_named_by_its_setting(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("no certificate")
    with pytest.raises(Misconfigured, match="ca_file"):
        KafkaAddress.parse(f"kafka://host/topic?security=SSL&ca_file={ca_file}").settings()
    with pytest.raises(Misconfigured, match="STORYLINE_KAFKA_PASSWORD_FILE"):
        KafkaAddress.parse(f"kafka://host/topic?{SCRAM}&password_file={tmp_path / 'none'}").settings()
    with pytest.raises(Unavailable, match="STORYLINE_KAFKA_TOKEN_FILE"):
        TokenFile(tmp_path / "none").token()
    (tmp_path / "token").write_text("two words")
    with pytest.raises(Unavailable, match="STORYLINE_KAFKA_TOKEN_FILE"):
        TokenFile(tmp_path / "token").token()


def test_an_address_shows_no_secret_when_it_is_printed() -> None:
    assert SECRET not in repr(KafkaAddress.parse(f"kafka://host/topic?{SCRAM}&password={SECRET}"))


@contextmanager
def token_server(status: int, answer: bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(address, what was asked so far)."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            asked.append({"form": form, "login": b64decode(self.headers["Authorization"].split()[1]).decode()})
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """The test's output is no place for it."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_token_is_asked_for_once_and_again_before_it_ends(tmp_path: Path) -> None:
    secret, now = tmp_path / "secret", [0.0]
    secret.write_text(f"{SECRET}\n")
    with token_server(200, json.dumps({"access_token": "abc.def", "expires_in": 100}).encode()) as (url, asked):
        tokens = ClientCredentials(url, "me", secret, "log", lambda: now[0])
        assert tokens.token() == tokens.token() == "abc.def"
        assert asked == [{"form": {"grant_type": ["client_credentials"], "scope": ["log"]}, "login": f"me:{SECRET}"}]
        now[0] = 79.0
        tokens.token()
        assert len(asked) == 1
        now[0] = 81.0
        tokens.token()
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (401, b"{}", Misconfigured),
        (500, b"", Unavailable),
        (302, b"", Unavailable),
        (200, b"[]", Unavailable),
        (200, b'{"access_token": "two words"}', Unavailable),
        (200, b'{"access_token": "abc", "expires_in": "soon"}', Unavailable),
    ],
)
def test_a_token_server_that_gives_none_is_told_without_the_secret(
    status: int, answer: bytes, kind: type[Exception]
) -> None:
    with token_server(status, answer) as (url, _), pytest.raises(kind) as caught:
        ClientCredentials(url, "me", SECRET).token()
    assert "token server" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_token_server_that_is_down_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="token server"):
        ClientCredentials(f"http://127.0.0.1:{free_ports(1)[0]}/token", "me", SECRET).token()
