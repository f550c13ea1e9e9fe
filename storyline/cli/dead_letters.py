"""`storyline dead-letters`: what could not be applied, and what becomes of it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from commands.parking import DeadLetter, Parking
from domain.errors import BadInput, Problem
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json

__all__ = ["app"]

app = groups("What could not be applied: list, show, redrive, discard.")

_Id = Annotated[str, typer.Argument(help="The dead letter's id, as `dead-letters list` shows it.")]
_Reason = Annotated[str | None, typer.Option(help="Only those with this reason code.")]


@app.command("list")
def list_letters(
    status: Annotated[str, typer.Option(help="parked, redriven, discarded or all.")] = "parked",
    reason: _Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="Most to list.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List dead letters, oldest first."""
    with open_parts() as parts:
        letters, more = parts.parking.list(None if status == "all" else status, limit, None, reason)
        parked = parts.parking.parked()
    if as_json:
        for letter in letters:
            print_json(letter._asdict())
        return
    table = Table("id", "parked", "consumer", "reason", "where", "type", "status", box=None)
    for letter in letters:
        where = f"{letter.origin} {letter.partition}:{letter.offset}"
        when = f"{letter.parked_at:%Y-%m-%d %H:%M}"
        table.add_row(letter.id, when, letter.consumer, letter.reason, where, letter.type or "", letter.status)
    if letters:
        console.print(table)
    waiting = ", ".join(f"{number} {reason}" for (_, reason), number in parked.counts.items())
    console.print(f"Parked: {waiting or 'none'}.{' There are more: --limit.' if more else ''}", markup=False)


@app.command()
def show(
    letter_id: _Id,
    unseal: Annotated[
        bool, typer.Option("--unseal", help="Open the seal: what exactly is wrong, and the text.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show one dead letter."""
    with open_parts() as parts:
        letter = parts.parking.show(letter_id, unseal)
    _print(letter, as_json)


@app.command()
def redrive(
    letter_ids: Annotated[list[str] | None, typer.Argument(help="Ids of dead letters.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    reason: _Reason = None,
    as_json: JsonFlag = False,
) -> None:
    """Try dead letters again; what is refused again stays parked. May be stopped and started again."""
    if not letter_ids and not every:
        raise BadInput([Problem("LETTER_IDS", "are missing.", "Give ids, or --all.")])
    with open_parts() as parts:
        ids = letter_ids or _all(parts.parking, reason)
        for letter_id in ids:
            _print(parts.parking.redrive(letter_id), as_json)


@app.command()
def discard(letter_id: _Id, why: Annotated[str, typer.Option(help="Why; kept with it. No personal data.")]) -> None:
    """Give up on a dead letter."""
    with open_parts() as parts:
        _print(parts.parking.discard(letter_id, why), False)


def _all(parking: Parking, reason: str | None) -> list[str]:
    """Ids of all that are parked now; what is parked while they are tried again waits for the next time."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        letters, cursor = parking.list("parked", 1000, cursor, reason)
        ids += [letter.id for letter in letters]
        if cursor is None:
            return ids


def _print(letter: DeadLetter, as_json: bool) -> None:
    if as_json:
        print_json(letter._asdict())
        return
    why = f" ({letter.status_why})" if letter.status_why else ""
    console.print(f"{letter.id} {letter.status}{why}: {letter.reason}. {letter.detail}", markup=False, soft_wrap=True)
    if letter.content is not None:
        console.print(letter.content, markup=False, soft_wrap=True)
