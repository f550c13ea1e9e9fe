"""What is publishing held against? Peers that put the same bytes on the same servers, each in a process of its own.

`python -m bench.peers kafka SERVERS TOPIC FILE`: the bare client sends the entries of a file, and prints events/s.
`python -m bench.peers log URL FILE`: our own log alone, in batches of 100 from 16 threads, and prints events/s.
`python -m bench.peers fastapi SERVERS TOPIC PORT`: an endpoint that neither checks nor seals.
"""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, Request
from kafka import KafkaProducer
from starlette.concurrency import run_in_threadpool

from eventlog.opening import open_log
from eventlog.port import Entry

__all__ = ["bare_rate"]

_BATCH = 100
_THREADS = 16
_raws = msgspec.json.Decoder(list[msgspec.Raw])


def bare_rate(directory: Path, entries: list[Entry], *words: str) -> float:
    """Events/s of the peer `words` (`kafka SERVERS TOPIC`, `log URL`) over these entries."""
    packed = directory / f"entries-{time.monotonic_ns()}"
    packed.write_bytes(msgspec.msgpack.encode(entries))
    argv = [sys.executable, "-m", "bench.peers", *words, str(packed)]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
    packed.unlink()
    return float(done.stdout)


def _producer(servers: str) -> KafkaProducer:
    """A producer with the settings of `eventlog.kafka`; the partition is chosen by its own partitioner."""
    return KafkaProducer(
        bootstrap_servers=servers.split(","),
        acks="all",
        enable_idempotence=True,
        compression_type="lz4",
        linger_ms=1,
        batch_size=256 * 1024,
        allow_auto_create_topics=False,
        metrics_enabled=False,
    )


def _read(path: str) -> list[tuple[bytes, bytes]]:
    return msgspec.msgpack.decode(Path(path).read_bytes(), type=list[tuple[bytes, bytes]])


def _kafka(servers: str, topic: str, path: str) -> float:
    entries, producer = _read(path), _producer(servers)
    producer.send(topic, b"warm", b"warm").get(30)
    began = time.perf_counter()
    for key, value in entries:
        producer.send(topic, value, key)
    producer.flush()
    taken = time.perf_counter() - began
    producer.close()
    return len(entries) / taken


def _log(url: str, path: str) -> float:
    entries, log = [Entry(*entry) for entry in _read(path)], open_log(url)
    batches = [entries[start : start + _BATCH] for start in range(0, len(entries), _BATCH)]
    log.append(batches[0])
    with ThreadPoolExecutor(_THREADS) as threads:
        began = time.perf_counter()
        list(threads.map(log.append, batches))
        taken = time.perf_counter() - began
    log.close()
    return len(entries) / taken


def _fastapi(servers: str, topic: str, port: str) -> None:
    app, producer = FastAPI(), _producer(servers)

    def send(body: bytes) -> dict[str, int]:
        futures: list[Any] = [producer.send(topic, bytes(raw)) for raw in _raws.decode(body)]
        for future in futures:
            future.get(30)
        return {"accepted": len(futures)}

    @app.post("/v1/events", status_code=202)
    async def publish(request: Request) -> dict[str, int]:
        return await run_in_threadpool(send, await request.body())

    @app.get("/livez")
    async def livez() -> dict[str, bool]:
        return {"alive": True}

    uvicorn.run(app, port=int(port), access_log=False, log_level="warning")


def _main(which: str, *words: str) -> None:
    if which == "fastapi":
        _fastapi(*words)
    elif which == "kafka":
        sys.stdout.write(str(_kafka(*words)))
    else:
        sys.stdout.write(str(_log(*words)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
