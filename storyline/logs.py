"""What do the processes write, and why is nothing personal in it? Only names that are on a list get through.

A line has an event's name and some of the keys in `ALLOWED`, with plain values; every other key is left out and
named in `dropped`. An exception is its type and our own frames, and its sentence only if it is one of ours. Other
libraries' lines are their logger, their level and their text before any value was put in.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final, Literal, TextIO, cast

import structlog

from domain.errors import BadInput, StorylineError

__all__ = ["ALLOWED", "allow", "configure", "told"]

ALLOWED: Final = frozenset(
    "address attempt batch by bytes channel code consumer count detail duration epoch error events exit_code folder "
    "frames id kind lag level limit log_id logger method migrations mode ms model name offset parked partition "
    "partitions pid port process reason records request_id route rows scope seconds status timestamp topic topics "
    "type version wait workers".split()
)
"""Keys that may stand in a log line. None of them ever carries what somebody sent."""

_ROOT: Final = str(Path(__file__).resolve().parent.parent)
_LONGEST: Final = 300

Line = MutableMapping[str, Any]


def configure(form: Literal["json", "console"], level: str, file: TextIO | None = None) -> None:
    """Set logging up, for this process: ours, and that of the libraries. Lines go to stderr."""
    least = logging.getLevelNamesMapping()[level.upper()]
    out = _Out(file)
    renderer: Any = structlog.processors.JSONRenderer()
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=28)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, out)),
        cache_logger_on_first_use=False,
    )
    handler = _Foreign()
    logging.basicConfig(handlers=[handler], level=max(least, logging.WARNING), force=True)
    logging.captureWarnings(True)
    # An access line holds the path, and a path may hold what somebody typed.
    logging.getLogger("uvicorn.access").disabled = True
    # A look that falls into the one before is left out, and the next finds what is due: no trouble of anybody's.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def allow(_logger: Any, _method: str, line: Line) -> Line:
    """Let through the event's name and allowed keys with plain values; name the rest."""
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    passed: dict[str, Any] = {"event": _plain(line.pop("event", ""))}
    dropped = []
    for key, value in line.items():
        if key in ALLOWED:
            passed[key] = _plain(value)
        else:
            dropped.append(key)
    if isinstance(error, BaseException):
        passed |= told(error)
    if dropped:
        passed["dropped"] = ",".join(sorted(dropped))
    return passed


def told(error: BaseException) -> dict[str, Any]:
    """An exception as a log may show it: its type, our frames, and the sentence if the error is ours."""
    frames = [
        f"{Path(frame.filename).relative_to(_ROOT)}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(_ROOT) and "site-packages" not in frame.filename
    ]
    shown: dict[str, Any] = {"error": type(error).__name__, "frames": " < ".join(reversed(frames[-8:]))}
    # What a sender got wrong may name a field that the sender made up.
    if isinstance(error, StorylineError) and not isinstance(error, BadInput):
        shown["detail"] = _plain(error.detail)
    return shown


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(one, (str, int)) for one in value):
        return ",".join(str(one) for one in value)[:_LONGEST]
    return type(value).__name__


class _Out(io.TextIOBase):
    """A stream that never fails: stderr as it is by then, or `file`.

    To tell of trouble must not be trouble. A library's thread that dies of a log line, because whoever read our
    stderr is gone, leaves behind those that wait for it.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return (self._file or sys.stderr).write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            (self._file or sys.stderr).flush()

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return (self._file or sys.stderr).isatty()
        return False


class _Foreign(logging.Handler):
    """Lines of other libraries: what they say, but for the values that they would put in."""

    def emit(self, record: logging.LogRecord) -> None:
        told_by = structlog.get_logger()
        # Without values to put in, a text may have been made of them; a name and a place must do then.
        text = str(record.msg) if record.args or record.name.startswith("uvicorn") else record.funcName
        line = {"logger": record.name, "reason": text, "exc_info": record.exc_info}
        told_by.log(record.levelno, "library.said", **line)
