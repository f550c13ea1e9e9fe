"""`storyline db`: bring the tables to their newest form."""

from __future__ import annotations

from storyline import logs
from storyline.cli.shared import JsonFlag, console, groups, print_json
from storyline.parts import Parts
from storyline.settings import Settings

__all__ = ["app"]

app = groups("The tables.")


@app.callback()
def _group() -> None:
    """A group even with one command."""


@app.command()
def upgrade(as_json: JsonFlag = False) -> None:
    """Bring all tables to their newest form: durable ones, key store, embedded log, read models. Safe to repeat."""
    settings = Settings()
    logs.configure(settings.log_format, "warning")
    with Parts.build(settings) as parts:
        done = parts.upgrade()
    if as_json:
        print_json({"applied": done})
    else:
        console.print(f"Applied {', '.join(done)}." if done else "Nothing to do: all tables are up to date.")
