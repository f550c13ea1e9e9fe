"""What was erased, kept apart from every database: the ledger of erasures, a file of JSON lines that are chained.

A backup of a database brings back what was erased after it was made. The ledger is not in that backup, so it says
what has to be erased again. It is appended to, and synced to the disk, before anything is destroyed, and holds no
personal data: evidences, nodes and generations are keyed hashes.

Each line carries the hash of the one before it. What stands behind the last newline is an append that never came to
its end, and nothing was destroyed for it; any other line that does not fit is damage.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from domain.errors import LogDamaged, Unavailable

__all__ = ["FIRST", "Entry", "Ledger", "Written", "read_line"]

FIRST: Final = "0" * 64
"""What the first entry has in the place of the hash before it."""

_TAIL: Final = b',"hash":"'


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One entry.

    kind: `erasure` says what is to be destroyed, `addition` what came to light of it later, `certificate` what was
    done. nodes: identifiers that lead to nobody any more. raised: `{hash of a token of generation 0: generation}`
    that they have from now on. previous: hash of the entry before.
    """

    v: int = 1
    number: int
    kind: Literal["erasure", "addition", "certificate"]
    erasure: UUID
    at: datetime
    by: str = ""
    why: str = ""
    customer: UUID | None = None
    evidences: tuple[UUID, ...] = ()
    nodes: tuple[UUID, ...] = ()
    raised: dict[str, int] = {}
    certificate: dict[str, Any] = {}
    previous: str


class Written(NamedTuple):
    """An entry as it stands in the ledger: its line without the newline, and its hash."""

    entry: Entry
    line: str
    hash: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def _write(entry: Entry) -> Written:
    head = _encode(entry)
    mark = sha256(head).hexdigest()
    return Written(entry, (head[:-1] + _TAIL + mark.encode() + b'"}').decode(), mark)


def read_line(line: str) -> Written:
    """An entry out of its line. Raises LogDamaged for what is none, or was altered."""
    raw = line.encode()
    split = raw.rfind(_TAIL)
    head, mark = raw[:split] + b"}", raw[split + len(_TAIL) : -2].decode("ascii", "replace")
    if split < 0 or sha256(head).hexdigest() != mark or raw[-2:] != b'"}':
        raise LogDamaged("it is no entry, or was altered")
    try:
        return Written(_decode(head), line, mark)
    except msgspec.DecodeError:
        raise LogDamaged("it is of no kind that this release knows") from None


class Ledger:
    """The ledger in a file. Any number of processes may read and append; each append is whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Written]:
        """All entries, the chain checked. [] where there is no file yet. Raises LogDamaged, Unavailable."""
        with self._opened(fcntl.LOCK_SH, create=False) as file:
            return [] if file is None else self._read(file)[0]

    def torn(self) -> bool:
        """Does it end in an append that was broken off? The next one takes its place."""
        with self._opened(fcntl.LOCK_SH, create=False) as file:
            return file is not None and self._read(file)[1] < os.fstat(file).st_size

    def append(self, make: Callable[[int, str], Entry]) -> Written:
        """Append `make(number, hash of the entry before)`; on the disk on return. Raises LogDamaged, Unavailable."""
        with self._opened(fcntl.LOCK_EX) as file:
            known, end = self._read(file)
            number, previous = (known[-1].entry.number + 1, known[-1].hash) if known else (1, FIRST)
            written = _write(make(number, previous))
            self._put(file, end, [written.line])
        return written

    def adopt(self, lines: Sequence[str]) -> None:
        """Append entries that the ledger lost, as they were. Raises LogDamaged unless they go on where it ends."""
        with self._opened(fcntl.LOCK_EX) as file:
            known, end = self._read(file)
            fresh = [read_line(line) for line in lines][len(known) :]
            self._check(known + fresh)
            self._put(file, end, [one.line for one in fresh])

    def _put(self, file: int, end: int, lines: Sequence[str]) -> None:
        """Behind `end`, in the place of what a broken-off append left there."""
        os.ftruncate(file, end)
        raw = b"".join(line.encode() + b"\n" for line in lines)
        while raw:
            written = os.pwrite(file, raw, end)
            raw, end = raw[written:], end + written
        os.fsync(file)

    def _read(self, file: int) -> tuple[list[Written], int]:
        """(entries, where the last one ends)."""
        raw = b"".join(iter(lambda: os.read(file, 1 << 20), b""))
        end = raw.rfind(b"\n") + 1
        found = []
        for number, line in enumerate(raw[:end].splitlines(), start=1):
            try:
                found.append(read_line(line.decode("utf-8", "replace")))
            except LogDamaged as trouble:
                raise self._damaged(number, trouble.detail) from None
        self._check(found)
        return found, end

    def _check(self, entries: Sequence[Written]) -> None:
        previous = FIRST
        for number, one in enumerate(entries, start=1):
            if one.entry.number != number or one.entry.previous != previous:
                raise self._damaged(number, "it does not follow from the entry before")
            previous = one.hash

    def _damaged(self, number: int, trouble: str) -> LogDamaged:
        return LogDamaged(
            f"The ledger of erasures is damaged in line {number}: {trouble}. Put a good copy of the file that "
            "STORYLINE_LEDGER names into its place; the database holds the entries since it was last restored, and "
            "what the copy lacks is taken from there."
        )

    @contextmanager
    def _opened(self, lock: int, create: bool = True) -> Iterator[Any]:
        """The file, held against those who would write meanwhile; None where there is none and none is made."""
        try:
            made = create and not self.path.exists()
            if made:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT if create else os.O_RDONLY, 0o600)
        except FileNotFoundError:
            yield None
            return
        except OSError as error:
            raise self._unavailable(error) from None
        try:
            fcntl.flock(file, lock)
            if made:
                _sync_folder(self.path.parent)
            yield file
        except OSError as error:
            raise self._unavailable(error) from None
        finally:
            os.close(file)

    def _unavailable(self, error: OSError) -> Unavailable:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return Unavailable(f"The ledger of erasures (STORYLINE_LEDGER) cannot be read or written: {reason}.")


def _sync_folder(folder: Path) -> None:
    """So that a power cut does not lose the file's name."""
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
