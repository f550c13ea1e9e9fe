"""How does a replay travel as bytes? As lines of JSON, or as an Arrow stream, a piece for each batch."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa

__all__ = ["arrow_stream", "ndjson"]

_encode = msgspec.json.Encoder(decimal_format="number").encode


def ndjson(batches: Iterable[Any], json_names: Collection[str]) -> Iterator[bytes]:
    """Each row as a JSON object in a line of its own. json_names: columns whose text is JSON, put in as it is."""
    for batch in batches:
        lines = []
        for row in batch.to_pylist():
            lines.append(_encode({name: _plain(name in json_names, value) for name, value in row.items()}))
        yield b"\n".join(lines) + b"\n"


def _plain(is_json: bool, value: Any) -> Any:
    if is_json and value is not None:
        return msgspec.Raw(value.encode())
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def arrow_stream(schema: Any, batches: Iterable[Any]) -> Iterator[bytes]:
    """The bytes of an Arrow IPC stream: the schema first, then each batch, then its end."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        yield _taken(sink)
        for batch in batches:
            writer.write_batch(batch)
            yield _taken(sink)
    yield _taken(sink)


def _taken(sink: io.BytesIO) -> bytes:
    piece = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return piece
