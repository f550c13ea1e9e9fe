"""`storyline keys`: who may call the API, and by which master key the key store is wrapped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from commands.access import SCOPES, ApiKey
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json, progress_bar

__all__ = ["app"]

app = groups("API keys, and the wrapping of the key store.")


@app.command()
def create(
    label: Annotated[str, typer.Argument(help="What or whom the key is for.")],
    scope: Annotated[list[str], typer.Option(help=f"Repeat for several: {', '.join(SCOPES)}.")],
    source: Annotated[
        list[str] | None, typer.Option(help="Source that may be published; `shop/*` is a prefix.")
    ] = None,
    event_type: Annotated[
        list[str] | None, typer.Option("--type", help="Event type that may be published; `purchase.*` is a family.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until the key expires; default: never.")] = None,
    user: Annotated[str | None, typer.Option(help="The registered colleague whose key it is, by code.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make an API key. It is shown this once."""
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    with open_parts() as parts:
        made = parts.access.create(
            label, scope, sources=source or ("*",), types=event_type or ("*",), expires=expires, user=user
        )
    if as_json:
        print_json({**_shown(made.key), "key": made.secret})
    else:
        console.print(made.secret, markup=False, soft_wrap=True)


@app.command("list")
def list_keys(as_json: JsonFlag = False) -> None:
    """List all API keys, revoked ones too."""
    with open_parts() as parts:
        keys = parts.access.list()
    if as_json:
        for key in keys:
            print_json(_shown(key))
        return
    table = Table("id", "label", "scopes", "sources", "types", "user", "made", "state", box=None)
    for key in keys:
        state = "revoked" if key.revoked_at else f"until {key.expires_at:%Y-%m-%d}" if key.expires_at else "good"
        lists = (" ".join(key.scopes), " ".join(key.sources), " ".join(key.types), key.user or "")
        table.add_row(key.key_id, key.label, *lists, f"{key.created_at:%Y-%m-%d}", state)
    console.print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]) -> None:
    """Revoke an API key; running processes refuse it within seconds."""
    with open_parts() as parts:
        key = parts.access.revoke(key_id)
    console.print(f"Revoked {key.key_id}.", markup=False)


@app.command()
def rotate(as_json: JsonFlag = False) -> None:
    """Wrap the key store by the current master key. The one before stands in STORYLINE_OLD_MASTER_KEYS until this is
    through. May be stopped and started again."""
    with open_parts() as parts, progress_bar("wrapping keys", None) as (progress, task):

        def tell(left: int) -> None:
            progress.update(task, total=progress.tasks[0].completed + 1000 + left, advance=1000)

        done = parts.keyring.rotate(tell)
        progress.update(task, total=done, completed=done)
    if as_json:
        print_json({"wrapped": done})
    else:
        console.print(f"{done} keys wrapped anew; the older master key is not needed any more.")


def _shown(key: ApiKey) -> dict[str, Any]:
    return key._asdict()
