"""Which files does an import keep beside itself? Its state, written in one step, and JSON lines about rows."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec

__all__ = ["RowFile", "State", "read_state", "write_state"]


class State(msgspec.Struct, frozen=True):
    """What an import remembers after each acknowledged batch. `key` names the format, the input's digest and the
    server; `steps` are done; `file_bytes` are the sizes of the two report files; all else is the account so far."""

    key: str
    steps: int
    rows: int
    events: dict[str, int]
    event_rows: dict[str, int]
    refused: dict[str, int]
    file_bytes: tuple[int, int]
    noted: dict[str, int] = {}


def read_state(path: Path) -> State | None:
    """The state of an earlier run, or None where there is none that can be read; the import then begins anew,
    which is slower and harmless."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, msgspec.DecodeError):
        return None


def write_state(path: Path, state: State) -> None:
    """Replace the state in one step: a reader finds the old one or the new one, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with fresh.open("wb") as stream:
        stream.write(msgspec.json.encode(state))
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)


class RowFile:
    """JSON lines about rows, cut back to what was acknowledged when an import resumes. Without a path it is none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream: BinaryIO | None = None

    def holds(self, size: int) -> bool:
        """Whether the file still has the first `size` bytes that an earlier run wrote."""
        if self._path is None:
            return True
        return self._path.exists() and self._path.stat().st_size >= size if size else True

    def open_at(self, size: int) -> None:
        """Open the file for writing after its first `size` bytes; what stood behind them is cut off."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._path.open("r+b" if self._path.exists() else "w+b")
        self._stream.truncate(size)
        self._stream.seek(size)

    def write(self, line: dict[str, Any]) -> None:
        if self._stream is not None:
            self._stream.write(msgspec.json.encode(line) + b"\n")

    def sync(self) -> int:
        """Bring all lines to the disk; returns the size in bytes."""
        if self._stream is None:
            return 0
        self._stream.flush()
        os.fsync(self._stream.fileno())
        return self._stream.tell()

    def __enter__(self) -> RowFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
