"""How does a batch get from the log to the runner? Through a process of its own, so that fetching and decoding run
beside the SQL. The pipe between them is bounded by its buffer: the reader is one batch ahead, never more.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from domain import errors
from domain.errors import LogDamaged, StorylineError, Unavailable
from eventlog.opening import open_log
from eventlog.port import Logged
from projections.anchors import Anchor, check_anchors
from projections.decoding import Decoder
from projections.deriving import Deriver, Reading
from projections.opening import Opener
from projections.rows import NOTHING, NOTHING_MORE, Batch

__all__ = ["Fetcher", "Span"]

_WAIT = 0.2
_MAX_BYTES = 32 * 2**20
_FIRST = 1_000
"""Records of the first batch after a seek at most, and of each that follows twice as many: so that the runner does
not wait for a whole one."""
_READY = "ready"
_ENDED = Batch(0, {}, {}, "{}", NOTHING, NOTHING, NOTHING_MORE, (), (), b"", False, (), 0.0, {})


@dataclass(frozen=True, slots=True)
class Span:
    """What to read: from `cursor` (next offset per partition), before `until` where one is given, once it is sure
    that the log still holds the `anchors`."""

    cursor: dict[int, int]
    until: dict[int, int] | None = None
    anchors: dict[int, Anchor] = field(default_factory=dict)


def _read_within(log: Any, cursor: Mapping[int, int], until: Mapping[int, int] | None, limit: int) -> list[Logged]:
    if until is None:
        found: list[Logged] = log.read(cursor, limit, _WAIT)
        return found
    wanted = {part: offset for part, offset in cursor.items() if offset < until.get(part, 0)}
    if not wanted:
        return []
    return [one for one in log.read(wanted, limit, _WAIT) if one.offset < until[one.partition]]


def _cut(logged: list[Logged]) -> list[Logged]:
    """As many records as fit into a batch's bytes; the rest is read again."""
    total = 0
    for place, one in enumerate(logged):
        total += len(one.value)
        if total > _MAX_BYTES:
            return logged[: max(1, place)]
    return logged


def _serve(pipe: Connection, log_url: str, limit: int, reading: Reading) -> None:
    """The reader's process: read, decode, send; a new span on the pipe starts afresh."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A batch is tens of thousands of objects without a cycle among them; to look for one cost a fifth of the time.
    gc.set_threshold(1_000_000, 10, 10)
    parent = os.getppid()
    log = None
    span: Span | None = None
    generation = 0
    cursor: dict[int, int] = {}
    most = min(_FIRST, limit)
    opener = None
    try:
        log = open_log(log_url)
        opener = Opener(reading.keys)
        deriver = Deriver(reading.catalogue(), opener)
        decoder = Decoder(deriver)
        _tell(pipe, _READY, "")
        while os.getppid() == parent:
            while pipe.poll(None if span is None else 0):
                generation, span = pipe.recv()
                if span is not None:
                    check_anchors(log, span.anchors)
                    cursor, decoder, most = dict(span.cursor), Decoder(deriver), min(_FIRST, limit)
            if span is None:
                continue
            logged = _cut(_read_within(log, cursor, span.until, most))
            if logged:
                most = min(2 * most, limit)
                batch = decoder.batch(generation, cursor, logged)
                cursor |= batch.cursor
                pipe.send(batch)
            elif span.until is not None and all(cursor.get(p, 0) >= end for p, end in span.until.items()):
                pipe.send(_ENDED._replace(generation=generation))
                span = None
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the runner is gone
    except StorylineError as error:
        _tell(pipe, type(error).__name__, error.detail)
    except Exception as error:
        _tell(pipe, "Unavailable", f"The reader stopped ({type(error).__name__}).")
        raise
    finally:
        if log is not None:
            log.close()
        if opener is not None:
            opener.close()


def _tell(pipe: Connection, name: str, detail: str) -> None:
    with contextlib.suppress(OSError):
        pipe.send((name, detail))


class Fetcher:
    """The runner's end of the reader's process. `seek` before `next`; `seek` starts a reader that died again."""

    def __init__(self, log_url: str, limit: int, reading: Reading) -> None:
        self._log_url, self._limit, self._reading = log_url, limit, reading
        self._generation = 0
        self._process: Any = None
        self._pipe: Connection | None = None

    def seek(self, span: Span | None) -> None:
        """Read from here, or nothing; what was under way from before is dropped."""
        self._generation += 1
        if span is None and self._process is None:
            return
        self._start()
        if self._pipe is not None:
            try:
                self._pipe.send((self._generation, span))
            except OSError:
                raise Unavailable("The reader's process is gone.") from None

    def prepare(self, timeout: float = 60.0) -> None:
        """Start the reader, and wait until it has opened the log: so nobody holds partitions that nobody reads yet.

        Raises Unavailable or LogDamaged as `next` does.
        """
        self._start()
        pipe = self._pipe
        try:
            if pipe is None or not pipe.poll(timeout):
                raise Unavailable("The reader's process did not start in time.")
            message = pipe.recv()
        except (EOFError, OSError):
            raise Unavailable("The reader's process is gone.") from None
        if message[0] != _READY:
            raise _error(*message)

    def _start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self.close()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve,
            args=(theirs, self._log_url, self._limit, self._reading),
            name="storyline-reader",
            daemon=True,
        )
        self._process.start()
        theirs.close()

    def next(self, timeout: float) -> Batch | None:
        """The next batch, or None after `timeout` seconds. A batch without a cursor says that `until` is reached."""
        pipe = self._pipe
        if pipe is None:
            raise Unavailable("The reader's process is not started.")
        try:
            while pipe.poll(timeout):
                message = pipe.recv()
                if not isinstance(message, Batch):
                    if message[0] == _READY:
                        continue
                    # It told its trouble and ends; a `seek` meanwhile would speak to one that no longer listens.
                    self.close()
                    raise _error(*message)
                if message.generation == self._generation:
                    return message
        except (EOFError, OSError):
            self.close()
            raise Unavailable("The reader's process is gone.") from None
        return None

    def kill(self) -> None:
        """End a reader that does not move, from another thread: who waits for it is told that it is gone."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ValueError):  # closed a moment ago
                process.kill()

    def close(self) -> None:
        """Stop the reader's process."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.terminate()
            self._process.join(5)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
            self._process.close()
            self._process = None


def _error(name: str, detail: str) -> StorylineError:
    kind = getattr(errors, name, Unavailable)
    if kind in {LogDamaged, Unavailable}:
        error: StorylineError = kind(detail)
        return error
    # Misconfigured, too: our own log is open, so that what refuses the reader now was changed, and may be mended
    return Unavailable(detail)
