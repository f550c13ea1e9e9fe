"""`storyline db`: bring the tables to their newest form."""

from __future__ import annotations

from projections.connecting import connected
from projections.registry import changed, told_of
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
    """Bring the durable tables, the key store and the embedded log to their newest form; make the read models where
    there are none, name those that a rebuild has to make anew. Safe to repeat."""
    settings = Settings()
    logs.configure(settings.log_format, "warning")
    with Parts.build(settings) as parts:
        done = parts.upgrade()
        with connected(parts.settings.database_url) as connection:
            names = changed(connection)
    if as_json:
        print_json({"applied": done, "changed": names})
        return
    if done or not names:
        console.print(f"Applied {', '.join(done)}." if done else "Nothing to do: all tables are up to date.")
    if names:
        console.print(told_of(names), markup=False, soft_wrap=True)
