"""How are more rows sorted than fit into memory? In sorted runs on disk, which are then merged."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

__all__ = ["sort_rows"]

_RUN: Final = 50_000
_MOST_RUNS: Final = 64

Row = list[Any]


def sort_rows(rows: Iterable[Row], run: int = _RUN, most_runs: int = _MOST_RUNS) -> Iterator[Row]:
    """The rows (lists of JSON scalars, comparable by place) in ascending order.

    Memory: `run` rows while reading, one row for each of at most `most_runs` files while merging. The files lie in
    a temporary folder that goes away with the iterator.
    """
    with tempfile.TemporaryDirectory(prefix="storyline-sort-") as folder:
        runs: list[Path] = []
        made = 0
        chunk: list[Row] = []
        for row in rows:
            chunk.append(row)
            if len(chunk) == run:
                made += 1
                runs.append(_write(Path(folder) / str(made), sorted(chunk)))
                chunk = []
                if len(runs) == most_runs:
                    made += 1
                    runs = [_merge_files(runs, Path(folder) / str(made))]
        yield from heapq.merge(*map(_read, runs), sorted(chunk))


def _merge_files(runs: list[Path], into: Path) -> Path:
    merged = _write(into, heapq.merge(*map(_read, runs)))
    for path in runs:
        path.unlink()
    return merged


def _write(path: Path, rows: Iterable[Row]) -> Path:
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as stream:
        stream.writelines(encode(row) + b"\n" for row in rows)
    return path


def _read(path: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(list).decode
    with path.open("rb") as stream:
        for line in stream:
            yield decode(line)
