"""How is a file of rows read, plain or gzipped, in bounded memory, so that a bad row never ends the reading?"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from domain.errors import BadInput, Problem

__all__ = ["Cells", "Place", "digest_of", "input_files", "open_binary", "open_text", "read_cells", "sniff_delimiter"]

_GZIP = b"\x1f\x8b"
_CHUNK = 2**20
_SURROGATE = re.compile("[\ud800-\udfff]")
_DELIMITERS = (",", ";", "\t", "|")


class Place(NamedTuple):
    """Where an input row stands: the file's name, the row (1 is the first below the header) and the line of the
    file that it starts on (they differ where a quoted cell holds line breaks)."""

    file: str
    row: int
    line: int


class Cells(NamedTuple):
    """One row: its place and its cells, or the trouble that kept it from being read (`cells` is then empty)."""

    place: Place
    cells: list[str]
    trouble: tuple[str, str] | None = None


def input_files(paths: Iterable[Path], endings: Sequence[str]) -> list[Path]:
    """The files that `paths` name: a file is itself, a folder is its files with one of the `endings`, in the order
    of their names. A file that is named twice counts once. BadInput for a path that is not there, an empty folder,
    and two files with the same bytes, which would count each row twice."""
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(one for one in path.iterdir() if one.is_file() and one.name.endswith(tuple(endings)))
            if not inside:
                raise _bad_file(path, "holds no input file.", f"Files end in {' or '.join(endings)}.")
            found.update(dict.fromkeys(one.resolve() for one in inside))
        elif path.is_file():
            found[path.resolve()] = None
        else:
            raise _bad_file(path, "is neither a file nor a folder.", "See that the path is right.")
    by_digest: dict[str, Path] = {}
    for path in found:
        first = by_digest.setdefault(digest_of([path]), path)
        if first != path:
            raise _bad_file(path, f"holds the same bytes as {first.name}.", "Leave one of the two out.")
    return list(found)


def digest_of(paths: Iterable[Path]) -> str:
    """A hash of the files' bytes, whatever their names and order."""
    digests = []
    for path in paths:
        hasher = hashlib.blake2b(digest_size=16)
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
        digests.append(hasher.hexdigest())
    return hashlib.blake2b("".join(sorted(digests)).encode(), digest_size=16).hexdigest()


def open_binary(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked if it begins as gzip does (whatever its name is)."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == _GZIP
        return io.BufferedReader(gzip.GzipFile(path), _CHUNK) if packed else path.open("rb")
    except OSError as error:
        raise _bad_file(path, f"cannot be read: {error.strerror}.", "See that it may be read.") from None


def open_text(path: Path, encoding: str = "utf-8") -> TextIO:
    """The text of a file, line ends untouched, without a byte order mark. A byte that is wrong in the encoding
    becomes a lone surrogate, so that `read_cells` refuses its row and no other."""
    if codecs.lookup(encoding).name == "utf-8":
        encoding = "utf-8-sig"
    return io.TextIOWrapper(open_binary(path), encoding, errors="surrogateescape", newline="")


def sniff_delimiter(path: Path, encoding: str) -> str:
    """The delimiter of a CSV file: the one that the first line has most of, outside quotes; a comma for none."""
    with open_text(path, encoding) as stream:
        first = re.sub(r'"[^"]*"', "", stream.readline(_CHUNK))
    return max(_DELIMITERS, key=lambda one: (first.count(one), -_DELIMITERS.index(one)))


def read_cells(path: Path, stream: TextIO, delimiter: str = ",", header: bool = True) -> Iterator[Cells]:
    """All rows of a CSV file; with `header` the first row comes with the row number 0. Blank lines are no rows.

    A quoted cell may hold line breaks. What cannot be read comes with its trouble, and reading goes on after it.
    A gzip file that is cut off or damaged is BadInput: its further rows cannot be accounted for.
    """
    reader = csv.reader(stream, delimiter=delimiter)
    number = -1 if header else 0
    while True:
        line = reader.line_num + 1
        trouble = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells, trouble = (
                [],
                ("not_csv", "is no CSV row: a cell is longer than 131,072 characters. Close its quote."),
            )
        except UnicodeError:
            raise _bad_file(
                path, f"is not text in its encoding after row {number}.", "State the right one."
            ) from None
        except (OSError, EOFError, zlib.error):
            way_out = "Fetch the file again."
            raise _bad_file(path, f"is cut off or damaged after row {number}.", way_out) from None
        if not cells and trouble is None:
            continue
        number += 1
        if any(_SURROGATE.search(cell) for cell in cells):
            trouble = ("encoding", "holds bytes that are wrong in the file's encoding. State the right encoding.")
        yield Cells(Place(path.name, number, line), cells, trouble)


def _bad_file(path: Path, trouble: str, way_out: str) -> BadInput:
    return BadInput([Problem(path.name, trouble, way_out)])
