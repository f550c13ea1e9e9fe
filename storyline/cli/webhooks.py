"""`storyline webhooks`: what could not be delivered, and what becomes of it."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.webhooks import Delivery, read_id, read_state
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json

__all__ = ["app"]

app = groups("Webhooks: list, retry, discard.")

_Id = Annotated[str, typer.Argument(help="The webhook's id, as `webhooks list` shows it.")]


@app.command("list")
def list_webhooks(
    state: Annotated[str, typer.Option(help="waiting, delivered, parked or discarded.")] = "parked",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most to list.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List webhooks of a state, the oldest first."""
    with open_parts() as parts:
        page = parts.webhooks.page(read_state(state), None, limit)
    for one in page.webhooks:
        _print(one, as_json)
    if page.more and not as_json:
        console.print("There are more: --limit.")
    if not page.webhooks and not as_json:
        console.print(f"No webhooks are {state}.", markup=False)


@app.command()
def retry(webhook: _Id, as_json: JsonFlag = False) -> None:
    """Send one again that was parked or discarded, from the first try on."""
    with open_parts() as parts:
        _print(parts.webhooks.retry(read_id(webhook)), as_json)


@app.command()
def discard(webhook: _Id, as_json: JsonFlag = False) -> None:
    """Give one up."""
    with open_parts() as parts:
        _print(parts.webhooks.discard(read_id(webhook)), as_json)


def _print(one: Delivery, as_json: bool) -> None:
    if as_json:
        print_json(one._asdict())
        return
    why = f"  {one.why}" if one.why else ""
    status = f" {one.status}" if one.status else ""
    line = f"{one.id}  {one.made_at:%Y-%m-%d %H:%M}  {one.state}{status}{why}  {one.rule} to {one.url}"
    console.print(line, markup=False, soft_wrap=True)
