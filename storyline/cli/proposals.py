"""`storyline proposals` and `storyline quality`: who may be one person, what becomes of it, and how good data is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

import typer

from commands.proposals import STATES, Proposal, Side, State, told
from domain.errors import BadInput, Problem
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json, progress_bar

__all__ = ["app", "quality"]

app = groups("Likely duplicates: find, list, show, accept, reject.")

_Id = Annotated[str, typer.Argument(help="The proposal's id, as `proposals list` shows it.")]
_Why = Annotated[str, typer.Option(help="Why; kept with it. No personal data.")]


@app.command()
def run(as_json: JsonFlag = False) -> None:
    """Look through all customers for likely duplicates, and measure the quality of the data. Made for cron."""
    with open_parts() as parts, progress_bar("customers", None) as (progress, task):
        found = parts.proposing.run(lambda stage, done: progress.update(task, description=stage, completed=done))
    if as_json:
        print_json(found._asdict())
        return
    console.print(
        f"Looked at {found.customers:,} customers in {found.seconds:.1f} s: compared {found.compared:,} pairs of "
        f"{found.blocks:,} blocks, {found.oversized:,} of which were too large and left out. {found.proposed:,} "
        f"pairs are alike, {found.new:,} of them new.",
        soft_wrap=True,
    )


@app.command("list")
def list_proposals(
    state: Annotated[str, typer.Option(help="open, accepted, rejected, closed or all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, help="Most to list.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List proposals, the likeliest first, without anything personal."""
    if state not in (*STATES, "all"):
        raise BadInput([Problem("--state", "is none.", f"There are {', '.join(STATES)} and all.")])
    with open_parts() as parts:
        found, more = parts.proposing.list(None if state == "all" else cast(State, state), limit)
    for one in found:
        _print(one, as_json)
    if not as_json and not found:
        console.print(f"No proposals are {'there' if state == 'all' else state}.")
    if not as_json and more:
        console.print("There are more: --limit.")


@app.command()
def show(proposal_id: _Id, as_json: JsonFlag = False) -> None:
    """Show a proposal with both customers side by side. Personal data."""
    with open_parts() as parts:
        found, sides = parts.proposing.show(proposal_id)
    if as_json:
        print_json({**_plain(found), "sides": [_plain_side(side) for side in sides]})
        return
    _print(found, as_json)
    for side in sides:
        console.print(f"\n{side.customer}", markup=False)
        for name, value in _lines(side):
            console.print(f"    {name}: {value}", markup=False, soft_wrap=True)


@app.command()
def accept(proposal_id: _Id, why: _Why, as_json: JsonFlag = False) -> None:
    """They are one person: merge both customers."""
    with open_parts() as parts:
        _print(parts.proposing.accept(proposal_id, why), as_json)


@app.command()
def reject(proposal_id: _Id, why: _Why, as_json: JsonFlag = False) -> None:
    """They are two people: never propose them again."""
    with open_parts() as parts:
        _print(parts.proposing.reject(proposal_id, why), as_json)


def quality(
    days: Annotated[int, typer.Option(min=1, help="Of so many days.")] = 30, as_json: JsonFlag = False
) -> None:
    """Show the quality of the data over time, as `storyline proposals run` has measured it."""
    with open_parts() as parts:
        found = parts.proposing.quality((datetime.now(UTC) - timedelta(days=days)).date())
    for one in found:
        if as_json:
            print_json({**one._asdict(), "day": str(one.day)})
        else:
            console.print(f"{one.day}  {one.figure:24} {one.value:>14,.10g}", markup=False)
    if not found and not as_json:
        console.print("Nothing was measured; `storyline proposals run` does.")


def _print(found: Proposal, as_json: bool) -> None:
    if as_json:
        print_json(_plain(found))
        return
    why = f" ({found.why})" if found.why else ""
    line = f"{found.id}  {found.score:.4f}  {found.state}{why}  {found.customers[0]} {found.customers[1]}"
    console.print(line, markup=False, soft_wrap=True)
    for reason in found.reasons:
        console.print(f"    {reason.weight:+5.1f}  {told(reason)}", markup=False)


def _plain(found: Proposal) -> dict[str, object]:
    reasons = [{**reason._asdict(), "words": told(reason)} for reason in found.reasons]
    return {**found._asdict(), "reasons": reasons}


def _plain_side(side: Side) -> dict[str, object]:
    return {
        "id": side.customer,
        "profile": {one.field: one.value for one in side.profile},
        "identifiers": [one._asdict() for one in side.identifiers],
        "shared": [one._asdict() for one in side.shared],
    }


def _lines(side: Side) -> list[tuple[str, object]]:
    return [
        *((one.field, one.value) for one in side.profile),
        *((one.kind, one.value) for one in side.identifiers),
        *((f"{one.kind} (shared)", one.value) for one in side.shared),
    ]
