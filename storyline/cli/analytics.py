"""`storyline analytics`: what BI tools read is made and given to them."""

from __future__ import annotations

from projections.connecting import connected
from projections.figures import views
from storyline import logs
from storyline.cli.shared import JsonFlag, console, groups, print_json
from storyline.parts import Parts
from storyline.settings import Settings

__all__ = ["app"]

app = groups("Figures for BI tools.")


@app.callback()
def _group() -> None:
    """A group even with one command."""


@app.command("publish-views")
def publish_views(as_json: JsonFlag = False) -> None:
    """Make the views of the schema `analytics` anew, and let the role storyline_bi read them. Safe to repeat; an
    upgrade and a rebuild do it by themselves."""
    settings = Settings()
    logs.configure(settings.log_format, "warning")
    with Parts.build(settings) as parts, connected(parts.settings.database_url) as connection:
        granted = views.publish(connection)
    if as_json:
        print_json({"views": list(views.VIEWS), "granted": granted})
        return
    console.print(f"Made {len(views.VIEWS)} views in the schema {views.SCHEMA}.")
    told = f"The role {views.ROLE} may read them." if granted else views.NO_ROLE
    console.print(told, markup=False, soft_wrap=True)
