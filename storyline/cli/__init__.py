"""The command line `storyline`: one group of commands per file; errors are sentences, exit codes mean something."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import ValidationError
from typer._click.exceptions import ClickException  # typer brings its own click and exports no name for this

from domain.errors import StorylineError
from storyline.cli import (
    bench,
    configuration,
    database,
    dead_letters,
    demo,
    erasures,
    identity,
    imports,
    keys,
    log,
    processes,
    proposals,
    rebuild,
    relay,
    repair,
    status,
    timekeeping,
    timeline,
    webhooks,
)
from storyline.cli.shared import stderr
from storyline.exits import INTERRUPTED, UNEXPECTED, USAGE, exit_code
from storyline.logs import told

__all__ = ["app", "main"]

_STOPPED = "Stopped. Run the same command again to go on."

app = typer.Typer(
    name="storyline",
    help="The whole story of every customer, on an event log that proves itself.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(database.app, name="db")
app.add_typer(imports.app, name="import")
app.add_typer(log.app, name="log")
log.app.command()(repair.check)
log.app.command()(repair.repair)
app.add_typer(keys.app, name="keys")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(proposals.app, name="proposals")
app.command()(proposals.quality)
app.add_typer(identity.app, name="identity")
app.add_typer(configuration.app, name="configuration")
app.add_typer(relay.app, name="relay")
app.add_typer(erasures.app, name="erasures")
app.add_typer(erasures.ledger, name="ledger")
app.command()(erasures.erase)
app.command()(erasures.export)
for _command in (processes.serve, processes.api, processes.projector, processes.inbox, timeline.timeline):
    app.command()(_command)
app.command()(timekeeping.scheduler)
app.command()(timekeeping.automation)
app.add_typer(webhooks.app, name="webhooks")
app.command()(status.status)
app.command()(rebuild.rebuild)
app.command()(demo.demo)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)(
    bench.bench
)


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback with an error; it may name values.")
    ] = False,
) -> None:
    if debug:
        os.environ["STORYLINE_DEBUG"] = "1"


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with the code that `docs/command-line.md` lists."""
    sys.exit(_run(argv))


def _run(argv: Sequence[str] | None) -> int:
    try:
        done = app(args=argv, standalone_mode=False)
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
    if os.environ.get("STORYLINE_DEBUG"):
        traceback.print_exc()
    if isinstance(error, StorylineError):
        stderr.print(error.detail, markup=False, soft_wrap=True)
        return exit_code(error)
    if isinstance(error, ValidationError):
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
