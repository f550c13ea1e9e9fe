"""Which stock CloudEvents clients can publish to an inbox topic here? Each sends letters that a test describes.

A letter: `{"topic", "mode": "structured"|"binary"|"base64", "key", "attributes", "data" | "bytes": base64}`. Every
message is made by the SDK of its language; nothing of it is written here.
"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cloudevents.core.bindings import kafka as binding
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import kafka as older_binding
from cloudevents.v1.http import CloudEvent as OlderCloudEvent
from kafka import KafkaProducer

from tests.support.once import alone_in

__all__ = ["CLIENTS", "Client", "Letter", "NoClientError", "send_batch"]

_FILES = Path(__file__).parent
_FETCHING = 300.0
_SENDING = 120.0

Letter = Mapping[str, Any]
Client = Callable[[str, Sequence[Letter]], None]
"""Sends letters to the broker at HOST:PORT, in order; NoClientError where the client cannot be had."""


class NoClientError(Exception):
    """A client cannot be had here; the message says what is missing."""


def _java(servers: str, letters: Sequence[Letter]) -> None:
    """cloudevents-kafka's serializer in Apache Kafka's producer."""
    _need("java", "javac", "mvn")
    pom = _FILES / "java" / "pom.xml"

    def fetch(into: Path) -> None:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={into}"]
        _run(["mvn", "-q", "-B", "-f", str(shutil.copy(pom, into.parent)), *goal], into.parent)

    jars = _made("java", [pom], fetch)
    _send(["java", "-Xmx128m", "-cp", f"{jars}/*", str(_FILES / "java" / "Send.java")], servers, letters)


def _go(servers: str, letters: Sequence[Letter]) -> None:
    """sdk-go's protocol on sarama."""
    _need("go")
    sources = [_FILES / "go" / name for name in ("go.mod", "go.sum", "main.go")]

    def build(into: Path) -> None:
        into.mkdir()
        _run(["go", "build", "-mod=readonly", "-o", str(into / "send"), "."], _FILES / "go")

    _send([str(_made("go", sources, build) / "send")], servers, letters)


def _javascript(servers: str, letters: Sequence[Letter]) -> None:
    """The npm packages cloudevents and kafkajs."""
    _need("node", "npm")
    sources = [_FILES / "javascript" / name for name in ("package.json", "package-lock.json", "send.mjs")]

    def install(into: Path) -> None:
        into.mkdir()
        for source in sources:
            shutil.copy(source, into / source.name)
        _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], into)

    _send(["node", str(_made("javascript", sources, install) / "send.mjs")], servers, letters)


def _python(servers: str, letters: Sequence[Letter]) -> None:
    """The Python SDK's binding of today."""
    for letter in letters:
        event = _event(letter)
        write = binding.to_binary if letter["mode"] == "binary" else binding.to_structured
        _produce(servers, letter["topic"], write(event, JSONFormat(), _keyed(letter)))


def _older_python(servers: str, letters: Sequence[Letter]) -> None:
    """The binding of the Python SDK 1.x, which 2.x still carries, and which most programs use."""
    for letter in letters:
        event = OlderCloudEvent(
            {name: str(value) for name, value in letter["attributes"].items()},
            _data(letter),
        )
        write = older_binding.to_binary if letter["mode"] == "binary" else older_binding.to_structured
        marshal = _as_it_is if "bytes" in letter and letter["mode"] == "binary" else None
        _produce(servers, letter["topic"], write(event, marshal, key_mapper=_keyed(letter)))


CLIENTS: dict[str, Client] = {
    "java": _java,
    "python": _python,
    "older-python": _older_python,
    "go": _go,
    "javascript": _javascript,
}


def send_batch(servers: str, topic: str, letters: Sequence[Letter]) -> None:
    """An array of events in one message, each written by the Python SDK: no SDK binds batches to Kafka."""
    texts = [JSONFormat().write(_event(one)) for one in letters]
    headers = {"content-type": b"application/cloudevents-batch+json"}
    _produce(servers, topic, binding.KafkaMessage(headers, None, b"[" + b",".join(texts) + b"]"))


def _event(letter: Letter) -> CloudEvent:
    attributes = dict(letter["attributes"])
    attributes["time"] = datetime.fromisoformat(attributes["time"])
    return CloudEvent(attributes, _data(letter))


def _keyed(letter: Letter) -> Callable[[Any], str | None]:
    def key(_: Any) -> str | None:
        found: str | None = letter["key"]
        return found

    return key


def _as_it_is(data: bytes) -> bytes:
    return data


def _data(letter: Letter) -> dict[str, Any] | bytes:
    if "bytes" in letter:
        return b64decode(letter["bytes"])
    return json.dumps(letter["data"]).encode() if letter["mode"] == "base64" else dict(letter["data"])


def _produce(servers: str, topic: str, message: Any) -> None:
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", metrics_enabled=False)
    key = message.key.encode() if isinstance(message.key, str) else message.key
    producer.send(topic, message.value, key=key, headers=list(message.headers.items())).get(20)
    producer.close()


def _need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise NoClientError(f"{' and '.join(missing)} cannot be found here.")


def _made(name: str, sources: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """A folder in the tests' cache, made once for these sources, and renamed in one step when it is whole."""
    root = Path(os.environ.get("STORYLINE_CACHE") or Path.home() / ".cache" / "storyline")
    state = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    folder = root / f"cloudevents-{name}-{state}"
    if not folder.exists():
        with alone_in(root), tempfile.TemporaryDirectory(dir=root) as scratch:
            if not folder.exists():
                made = Path(scratch) / "made"
                make(made)
                made.rename(folder)
    return folder


def _run(argv: Sequence[str], folder: Path) -> None:
    done = subprocess.run(argv, cwd=folder, check=False, capture_output=True, text=True, timeout=_FETCHING)
    if done.returncode:
        raise NoClientError(f"{argv[0]} could not fetch the client:\n{done.stdout[-2000:]}{done.stderr[-1000:]}")


def _send(argv: Sequence[str], servers: str, letters: Sequence[Letter]) -> None:
    done = subprocess.run(
        [*argv, servers], input=json.dumps(letters), check=False, capture_output=True, text=True, timeout=_SENDING
    )
    assert done.returncode == 0, f"{argv[0]} did not send:\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
