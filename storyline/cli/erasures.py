"""`storyline erase`, `export`, `erasures`, `ledger`: what becomes of a person who asks, and what proves it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from api.export import Held, export_of
from api.items import Renderer
from commands.erasing import Erasure
from domain.errors import BadInput, Problem
from projections.timeline.reader import TimelineReader
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json
from storyline.parts import Parts

__all__ = ["app", "erase", "export", "ledger"]

app = groups("Erasures that were made: list, show.")
ledger = groups("The ledger of erasures, which is kept apart from all databases: check, apply.")

_Customer = Annotated[str, typer.Argument(metavar="ID", help="Any id of the customer, 32 hex digits.")]
_BY = "cli"


def erase(
    customer: _Customer,
    why: Annotated[str, typer.Option(help="Why; kept with it. No personal data.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would come to.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Destroy what is personal of a customer, in every copy, for good. Run again it completes what was broken off."""
    with open_parts() as parts:
        if dry_run:
            told = parts.erasing.foresee(customer)
            if as_json:
                print_json(told)
            else:
                console.print("Nothing was changed. It would come to:")
                _print_counts(told)
            return
        done = parts.erasing.erase(customer, why, by=_BY)
    _print(done, as_json)


def export(
    customer: _Customer,
    out: Annotated[Path, typer.Option(help="The file to write; mode 0600. It must not be there yet.")],
) -> None:
    """Write everything that is held about a customer into one JSON file."""
    with open_parts() as parts:
        asyncio.run(_export(parts, customer, out))
    told = f"Written to {out}. It holds personal data: hand it over and delete it."
    console.print(told, markup=False, soft_wrap=True)


async def _export(parts: Parts, customer: str, out: Path) -> None:
    pool = parts.reader_pool
    await pool.open()
    try:
        held = Held(
            pool=pool,
            timeline=TimelineReader(pool, parts.log.log_id),
            keyring=parts.keyring,
            renderer=Renderer(parts.keyring, parts.catalogue),
            erasing=parts.erasing,
            rules=parts.api.profile_rules,
            zone=parts.api.time_zone,
            clock=parts.clock,
        )
        pieces = await export_of(held, customer)
        with _new_file(out) as file:
            async for piece in pieces:
                file.write(piece)
    finally:
        await pool.close()


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there when it is whole, and not before."""
    if path.exists():
        raise BadInput([Problem("--out", "names a file that is there already.", "Name another one.")])
    part = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
        part.rename(path)
    except OSError as error:
        trouble = f"cannot be written: {os.strerror(error.errno or 0)}."
        raise BadInput([Problem("--out", trouble, "Name a file in a folder that can be written.")]) from None
    finally:
        part.unlink(missing_ok=True)


@app.command("list")
def list_erasures(
    limit: Annotated[int, typer.Option(min=1, help="Most to list.")] = 100, as_json: JsonFlag = False
) -> None:
    """List erasures, newest first."""
    with open_parts() as parts:
        found, more = parts.erasing.list(limit)
    for one in found:
        if as_json:
            print_json(_plain(one))
        else:
            line = f"{one.id.hex}  {one.at:%Y-%m-%d %H:%M}  {one.step}  customer {one.customer.hex}"
            console.print(line, markup=False, soft_wrap=True)
    if more and not as_json:
        console.print("There are more: --limit.")


@app.command()
def show(
    erasure: Annotated[str, typer.Argument(metavar="ID", help="The erasure's id.")], as_json: JsonFlag = False
) -> None:
    """Show one erasure with its certificate."""
    with open_parts() as parts:
        found = parts.erasing.show(erasure)
    _print(found, as_json)


@ledger.command()
def check(as_json: JsonFlag = False) -> None:
    """Say how ledger, database and key store stand to each other; changes nothing. Exit code 8: it is damaged."""
    with open_parts() as parts:
        found = parts.erasing.check()
    if as_json:
        print_json(found._asdict())
        return
    torn = "; it ends in an append that was broken off, whose place the next one takes" if found.torn else ""
    console.print(f"The ledger has {found.entries} entries, and their chain is whole{torn}.", markup=False)
    lacking = [("database", found.database_lacks), ("key store", found.keys_lack), ("ledger", found.ledger_lacks)]
    for where, count in lacking:
        if count:
            console.print(f"The {where} lacks {count} of them.", markup=False)
    if found.open:
        console.print(f"{found.open} erasures have not come to their end.", markup=False)
    if found.open or any(count for _, count in lacking):
        console.print("`storyline ledger apply`, and every start of a process, mends that.", markup=False)


@ledger.command("apply")
def apply_ledger(as_json: JsonFlag = False) -> None:
    """Erase again what a restore brought back, and complete what was broken off; every start does it, too."""
    with open_parts() as parts:
        done = parts.erasing.apply()
        left = parts.erasing.check().open
    if as_json:
        print_json({"certified": done, "open": left})
    else:
        console.print(f"{done} erasures came to their end, {left} are under way.", markup=False)


def _plain(erasure: Erasure) -> dict[str, Any]:
    return {**erasure._asdict(), "id": erasure.id.hex, "customer": erasure.customer.hex}


def _print(erasure: Erasure, as_json: bool) -> None:
    if as_json:
        print_json(_plain(erasure))
        return
    told = erasure.certificate
    console.print(f"Erasure {erasure.id.hex} of {erasure.at:%Y-%m-%d %H:%M:%S}, by {erasure.by}: {erasure.step}.")
    if told is None:
        console.print(
            "What is personal is destroyed. The certificate follows once the read models have caught up with the "
            "log: run it again.",
            markup=False,
        )
        return
    _print_counts(told)
    console.print(f"    {told['letters']} dead letters; certificate {told['hash']}", markup=False, soft_wrap=True)
    for one in told["remains"]:
        until = f"until {datetime.fromisoformat(one['until']):%Y-%m-%d %H:%M}" if one["until"] else "while kept"
        console.print(f"    remains {until}: {one['what']}", markup=False, soft_wrap=True)


def _print_counts(told: dict[str, Any]) -> None:
    counts = ", ".join(f"{told[name]} {name}" for name in ("events", "evidences", "identifiers", "keys"))
    console.print(f"    {counts}", markup=False)
    for name, what in (
        ("names_others", "of these events also name others"),
        ("named_by_others", "events of others name this person"),
        ("elsewhere", "events of others say one of these identifiers"),
    ):
        if told[name]["count"]:
            console.print(f"    {told[name]['count']} {what}", markup=False)
