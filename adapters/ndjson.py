"""How do CloudEvents get in from a file with one event per line, plain or gzipped?"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from adapters.importing import Refusal, Step
from adapters.reading import Place, digest_of, input_files, open_binary
from domain.errors import BadInput, Problem
from domain.event import parse_json

__all__ = ["MAX_LINE", "NdJson"]

MAX_LINE: Final = 2**20
"""Longest line in bytes; the log takes no entry that large."""

_NAMED: Final = ("source", "id", "type")


class NdJson:
    """The importer of CloudEvents, one JSON object per line. Blank lines are no rows."""

    name = "ndjson"

    def __init__(self, paths: Iterable[Path]) -> None:
        self.files = input_files(paths, (".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz"))
        self.rows_read = 0

    def digest(self) -> str:
        # Steps follow the files in the order they were named, so the order belongs to the input.
        return "1-" + "-".join(digest_of([path]) for path in self.files)

    def total(self) -> int | None:
        return None

    def steps(self) -> Iterator[Step]:
        self.rows_read = 0
        for path in self.files:
            with open_binary(path) as stream:
                for row, (number, line) in enumerate(_lines(path, stream), 1):
                    self.rows_read += 1
                    yield _step(Place(path.name, row, number), line)


def _lines(path: Path, stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """(line number, its bytes) of each line that is not blank; None for one that is too long, which is read past."""
    number = 0
    try:
        while line := stream.readline(MAX_LINE + 1):
            number += 1
            whole = len(line) <= MAX_LINE
            while not line.endswith(b"\n") and (rest := stream.readline(MAX_LINE)):
                whole, line = False, rest
            if not whole or line.strip():
                yield number, line if whole else None
    except (OSError, EOFError, zlib.error):
        trouble = f"is cut off or damaged after line {number}."
        raise BadInput([Problem(path.name, trouble, "Fetch the file again.")]) from None


def _step(place: Place, line: bytes | None) -> Step:
    if line is None:
        return Step((place,), None, Refusal("too_long", f"The line is longer than {MAX_LINE:,} bytes."))
    try:
        event = parse_json(line)
    except BadInput as error:
        return Step((place,), None, Refusal("not_json", error.detail))
    if not isinstance(event, dict):
        return Step(
            (place,), None, Refusal("not_object", "The line is no JSON object. Give one CloudEvent per line.")
        )
    missing = [name for name in _NAMED if not isinstance(event.get(name), str)]
    if missing:
        reason = f"The event has no text in {', '.join(missing)}, so it cannot be named or checked."
        return Step((place,), None, Refusal("not_event", reason))
    return Step((place,), event)
