"""`storyline relay`: run the relay, see how far it is, and mend an event store that lost what the log has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from domain.errors import NotFound
from eventlog.relay_repair import Mended, mend_store
from eventlog.relay_status import relay_status
from projections.connecting import connected
from storyline.cli.processes import relay
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json, progress_bar

__all__ = ["app"]

app = groups("The relay: from the event store of deals, tickets and tasks to the log.")
app.command("run")(relay)


@app.command()
def status(as_json: JsonFlag = False) -> None:
    """Say how far the relay is, who holds it, and what a repair set aside."""
    with open_parts() as parts, connected(parts.settings.database_url) as connection:
        found = relay_status(connection)
    if found is None:
        raise NotFound("No relay has run yet; `storyline serve` or `storyline relay run` starts one.")
    if as_json:
        print_json(found._asdict())
        return
    holder = f"held by {found.holder}, seen {found.unseen:.1f} s ago" if found.holder else "held by nobody"
    console.print(f"Log {found.log_id}", markup=False)
    console.print(
        f"  {found.notification:,} of {found.last:,} notifications; {found.lag:,} events wait", markup=False
    )
    console.print(f"  {holder}, epoch {found.epoch}", markup=False)
    if found.set_aside:
        console.print(f"  {found.set_aside:,} events set aside by repairs (eventstore.set_aside)", markup=False)


@app.command()
def repair(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Copy back what the log has and the event store has not, after a restore. Stop what issues commands first.

    Where the store went on with an event in the place of one that is on the log, the log's stands and the own one is
    set aside. In one transaction: stopped at any point, nothing was done.
    """
    with open_parts() as parts, progress_bar("looking", None) as (bar, task):
        mended = mend_store(
            parts.settings.database_url,
            parts.log,
            parts.hasher,
            dry_run=dry_run,
            told=lambda looked: bar.update(task, completed=looked),
        )
    if as_json:
        print_json({"done": not dry_run, **_plain(mended)})
    else:
        _tell(mended, dry_run)


def _plain(mended: Mended) -> dict[str, Any]:
    return {
        "looked": mended.looked,
        "put_back": mended.put_back,
        "set_aside": [{"id": one.id.hex, "version": one.version, "type": one.type} for one in mended.set_aside],
        "holes": [id.hex for id in mended.holes],
    }


def _tell(mended: Mended, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    told = [f"{mended.looked:,} events on the log are the event store's; {mended.put_back:,} {would}put back."]
    for one in mended.set_aside:
        told.append(f"  {would}set aside: {one.type}, version {one.version} of {one.id.hex}")
    if mended.set_aside:
        told.append("What was set aside has to be done again by hand, if it is still wanted; see docs/relay.md.")
    for id in mended.holes:
        told.append(f"  {id.hex} lacks a version that the log has not either; it cannot be loaded.")
    for sentence in told:
        console.print(sentence, markup=False, soft_wrap=True)
