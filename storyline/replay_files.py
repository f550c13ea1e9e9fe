"""How does a replay become a file? Parquet, Arrow, lines of JSON, or a DuckDB database, a batch at a time; never left
under its name before it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from domain.errors import BadInput, Misconfigured, Problem
from projections.replay_encoding import arrow_stream, ndjson

__all__ = ["FORMATS", "format_of", "write_file", "write_stream"]

_ENDINGS: Final[Mapping[str, str]] = {
    ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ndjson": "ndjson", ".jsonl": "ndjson",
    ".duckdb": "duckdb",
}  # fmt: skip
FORMATS: Final = ("parquet", "arrow", "ndjson", "duckdb")
_STREAMED: Final = ("ndjson", "arrow")


def format_of(out: str, wanted: str | None) -> str:
    """The format of an output: the one that is asked for, or that its ending says. Raises BadInput."""
    found = wanted or ("ndjson" if out == "-" else _ENDINGS.get(Path(out).suffix.lower()))
    allowed = _STREAMED if out == "-" else FORMATS
    if found is None or found not in allowed:
        way_out = f"Choose of {', '.join(allowed)} by --format" + (
            "." if out == "-" else ", or by the file's ending."
        )
        raise BadInput([Problem("out", "names no format that can be written there.", way_out)])
    return found


def write_stream(format: str, schema: Any, batches: Iterable[Any], json_names: frozenset[str], out: BinaryIO) -> None:
    """Write to a pipe as it comes."""
    pieces = ndjson(batches, json_names) if format == "ndjson" else arrow_stream(schema, batches)
    for piece in pieces:
        out.write(piece)
    out.flush()


def write_file(
    format: str, schema: Any, batches: Iterable[Any], json_names: frozenset[str], path: Path, table: str
) -> None:
    """Write a file beside, then put it in its place, instead of one that was there. table: what a DuckDB database
    calls it. Raises Misconfigured where it cannot be written."""
    try:
        with _beside(path) as made:
            if format == "ndjson":
                with made.open("wb") as file:
                    write_stream(format, schema, batches, json_names, file)
            else:
                _WRITERS[format](schema, batches, made, table)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror or type(error).__name__}.") from None


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    made = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield made
        made.replace(path)
    finally:
        for left in (made, made.with_name(made.name + ".wal")):
            with suppress(OSError):
                left.unlink()


def _parquet(schema: Any, batches: Iterable[Any], path: Path, _table: str) -> None:
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _grouped(batches):
            writer.write_table(pa.Table.from_batches(group, schema))


def _grouped(batches: Iterable[Any], size: int = 16) -> Iterator[list[Any]]:
    """Some batches at a time: small row groups make large, slow files."""
    group: list[Any] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _arrow(schema: Any, batches: Iterable[Any], path: Path, _table: str) -> None:
    with pa.ipc.new_file(str(path), schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _duckdb(schema: Any, batches: Iterable[Any], path: Path, table: str) -> None:
    import duckdb  # noqa: PLC0415 - for this format alone

    name = '"' + table.replace('"', '""') + '"'
    with duckdb.connect(str(path)) as database:
        database.register("coming", pa.RecordBatchReader.from_batches(schema, iter(batches)))
        database.execute(_MAKE.format(table=name))


_MAKE: Final = "create table {table} as from coming"
_WRITERS: Final[Mapping[str, Callable[[Any, Iterable[Any], Path, str], None]]] = {
    "parquet": _parquet, "arrow": _arrow, "duckdb": _duckdb,
}  # fmt: skip
