"""What do the commands share? How they print, how they show progress, and how they come by their parts."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from domain.errors import Misconfigured
from storyline.loading import loading

if TYPE_CHECKING:
    from adapters.client import Client
    from storyline.parts import Parts
    from storyline.settings import Settings

__all__ = [
    "JsonFlag",
    "api_access",
    "api_client",
    "console",
    "groups",
    "open_parts",
    "print_json",
    "progress_bar",
    "stderr",
]

console = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)

JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]


def groups(help_text: str) -> typer.Typer:
    """A group of commands."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None)


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    sys.stdout.buffer.write(_encode(value) + b"\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime, UUID)):
        return str(value)
    return repr(value)


_encode = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode


@contextmanager
def open_parts(settings: Settings | None = None) -> Iterator[Parts]:
    """The parts of a command that works on the database itself; in development its tables are made. SIGTERM stops it
    as Ctrl-C does, so that it may leave everything in order."""
    with loading():  # the command line is loaded by processes that have no parts: readers of batches
        from storyline import logs  # noqa: PLC0415
        from storyline.parts import Parts  # noqa: PLC0415
        from storyline.settings import Settings  # noqa: PLC0415
    settings = Settings() if settings is None else settings
    logs.configure(settings.log_format, "warning")
    with _terminated_as_interrupted(), Parts.build(settings) as parts:
        if settings.mode == "development":
            parts.upgrade()
        yield parts


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    asked = False

    def interrupt(number: int, _frame: Any) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.SIG_IGN)  # whoever asks twice shall not break off what the first one began
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except Exception as error:
        if asked:  # a driver that is interrupted in its work may make an error of its own of it
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def api_access(settings: Settings, url: str | None, key: str | None) -> tuple[str, str]:
    """(address, key) of the API for commands that publish. Raises Misconfigured where no key is to be had."""
    given = key or settings.api_key.get_secret_value()
    if not given and settings.development_key.exists():
        given = settings.development_key.read_text("ascii").strip()
    if not given:
        raise Misconfigured(
            "No API key: set STORYLINE_API_KEY or pass --key; `storyline keys create` makes one, and in development "
            "`storyline serve` does."
        )
    return url or settings.api_url, given


def api_client(address: str, key: str) -> Client:
    """The publishing client."""
    from adapters.client import Client as Publishing  # noqa: PLC0415 - only what publishes needs to load httpx

    return Publishing(address, key)


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed
        return Text(f"{task.completed / seconds:,.0f}/s" if seconds else "")


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[tuple[Progress, Any]]:
    """A bar on stderr with rate and time left; gives (progress, task)."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=stderr, transient=False, redirect_stdout=False) as progress:
        yield progress, progress.add_task(what, total=total)
