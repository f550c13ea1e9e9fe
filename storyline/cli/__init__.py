"""The command line `storyline`: one group of commands per file; errors are sentences, exit codes mean something."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer._click.exceptions import ClickException  # typer brings its own click and exports no name for this

from domain.errors import StorylineError
from storyline.cli.shared import stderr
from storyline.exits import INTERRUPTED, UNEXPECTED, USAGE, exit_code
from storyline.loading import loading

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["app", "main"]

_STOPPED = "Stopped. Run the same command again to go on."
_GROUPS: Final = {
    "db": "database.app",
    "import": "imports.app",
    "log": "log.app",
    "keys": "keys.app",
    "dead-letters": "dead_letters.app",
    "proposals": "proposals.app",
    "identity": "identity.app",
    "configuration": "configuration.app",
    "analytics": "analytics.app",
    "relay": "relay.app",
    "erasures": "erasures.app",
    "ledger": "erasures.ledger",
    "webhooks": "webhooks.app",
    "segments": "segments.app",
}
_COMMANDS: Final = {
    "quality": "proposals.quality",
    "erase": "erasures.erase",
    "export": "erasures.export",
    "serve": "processes.serve",
    "api": "processes.api",
    "projector": "processes.projector",
    "inbox": "processes.inbox",
    "scheduler": "timekeeping.scheduler",
    "automation": "timekeeping.automation",
    "enrichment": "processes.enrichment",
    "timeline": "timeline.timeline",
    "status": "status.status",
    "rebuild": "rebuild.rebuild",
    "replay": "replay.replay",
    "demo": "demo.demo",
    "bench": "bench.bench",
}
_PASSED_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
"""What follows `bench` is for the benchmark, `--help` too."""


def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback with an error; it may name values.")
    ] = False,
) -> None:
    if debug:
        os.environ["STORYLINE_DEBUG"] = "1"


def _loaded(place: str) -> Any:
    module, _, name = place.partition(".")
    with loading():
        return getattr(import_module(f"storyline.cli.{module}"), name)


def _app_of(words: Iterable[str]) -> typer.Typer:
    """The command line with these commands alone: to load what all of them stand on takes seconds."""
    found = typer.Typer(
        name="storyline",
        help="The whole story of every customer, on an event log that proves itself.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    found.callback()(_options)
    for word in words:
        if word in _GROUPS:
            found.add_typer(_loaded(_GROUPS[word]), name=word)
        elif word == "bench":
            found.command(context_settings=_PASSED_ON, add_help_option=False)(_loaded(_COMMANDS[word]))
        else:
            found.command(word)(_loaded(_COMMANDS[word]))
    return found


def app() -> typer.Typer:
    """The whole command line."""
    return _app_of([*_GROUPS, *_COMMANDS])


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with the code that `docs/command-line.md` lists."""
    sys.exit(_run(argv))


def _run(argv: Sequence[str] | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    asked = next((word for word in words if not word.startswith("-")), "")
    try:
        run = _app_of([asked]) if asked in {*_GROUPS, *_COMMANDS} else app()
        done = run(args=argv, standalone_mode=False)
        if done == INTERRUPTED:  # what typer makes of a KeyboardInterrupt
            stderr.print(_STOPPED)
        return done if isinstance(done, int) else 0
    except typer.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, typer.Abort):
        stderr.print(_STOPPED)
        return INTERRUPTED
    except ClickException as error:
        error.show()
        return USAGE
    except BrokenPipeError:
        return _unheard()
    except SystemExit as done:  # which typer makes of a pipe that was closed
        if isinstance(done.__context__, BrokenPipeError):
            return _unheard()
        raise
    except Exception as error:
        return _tell(error)


def _unheard() -> int:
    """Whoever read our output has seen enough (`… | head`)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _tell(error: Exception) -> int:
    """An error as one sentence on stderr, and its exit code."""
    from pydantic import ValidationError as WrongSetting  # noqa: PLC0415 - readers of batches need neither

    from storyline.logs import told  # noqa: PLC0415

    if os.environ.get("STORYLINE_DEBUG"):
        traceback.print_exc()
    if isinstance(error, StorylineError):
        stderr.print(error.detail, markup=False, soft_wrap=True)
        return exit_code(error)
    if isinstance(error, WrongSetting):
        stderr.print(_setting(error), markup=False, soft_wrap=True)
        return 7
    place = str(told(error)["frames"]).partition(" < ")[0]
    sentence = f"Unexpected {type(error).__name__} in {place}; run again with `storyline --debug …` to see more."
    stderr.print(sentence, markup=False, soft_wrap=True)
    return UNEXPECTED


def _setting(error: ValidationError) -> str:
    """pydantic's account of a wrong setting, without its value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = str(first["loc"][0]).upper() if first["loc"] else "a setting"
    name = name if name.startswith("STORYLINE_") or name.endswith("_URL") else f"STORYLINE_{name}"
    return f"{name} is not right: {first['msg'].removeprefix('Value error, ')}; see docs/settings.md."
