"""What does an impatient client do? It sends a request, whole or in part, and goes away without the answer."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
import time

from bench.chaos.stage import Stage
from bench.chaos.writers import HttpWriter, Maker

__all__ = ["cancelled"]

_RESET = struct.pack("ii", 1, 0)


def cancelled(stage: Stage, port: int, seed: float) -> None:
    """100 of them. Their events are unclear for ever: on the log or not, but never twice in a read model."""
    rng = random.Random(seed)
    maker = Maker(f"x{seed:.12f}".replace(".", ""), rng, stage.ledger)
    key = next(writer.key for writer in stage.writers if isinstance(writer, HttpWriter))
    for _ in range(100):
        body = json.dumps([maker.good().raw for _ in range(rng.randrange(1, 6))]).encode()
        head = (
            f"POST /v1/events HTTP/1.1\r\nHost: chaos\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/cloudevents-batch+json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        whole = head.encode() + body
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as line:
            line.sendall(whole[: rng.randrange(len(whole))] if rng.random() < 0.5 else whole)
            time.sleep(rng.choice((0.0, 0.0, 0.002, 0.01)))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)  # closes by RST
