"""`storyline identity`: by which rules are identifiers made into customers, and what would others change?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from domain.errors import BadInput, Problem
from domain.identity_rules import Rules, read_rules
from projections.identity.changing import Difference, Moved, change, check, ignored_by, live_rules
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json, progress_bar
from storyline.parts import Parts

__all__ = ["app"]

app = groups("The rules of identity: show them, try others, put others into effect.")

_File = Annotated[Path, typer.Option("--rules", help="A TOML file with the rules; docs/identity.md says how.")]


@app.command()
def rules(as_json: JsonFlag = False) -> None:
    """Show the rules that the customers of now were made by."""
    with open_parts() as parts:
        found = live_rules(parts.settings.database_url)
    plain = found.to_json()
    plain["ignored"] = len(found.ignored)
    if as_json:
        print_json(plain)
        return
    _print_counts("limits", "At most so many of a kind per customer and namespace", found.limits)
    _print_counts("shared", "Beside more than so many of a kind an identifier links nobody", found.shared)
    console.print(f"[star]  nodes = {found.star_nodes}  links = {found.star_links}", markup=False)
    console.print(f"Identifiers that link nobody because their value is blocked: {len(found.ignored)}.", markup=False)


@app.command("check")
def check_rules(file: _File, as_json: JsonFlag = False) -> None:
    """Tell what other rules would change: who would merge, who would split. Changes nothing."""
    with open_parts() as parts, progress_bar("resolving", None) as (progress, task):
        wanted = _read(parts, file)

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        found = check(parts.settings.database_url, wanted, told)
    _print(found, as_json, "would")


@app.command("apply")
def apply_rules(file: _File, as_json: JsonFlag = False) -> None:
    """Put other rules into effect: all customers are resolved anew beside the live ones, then switched in. Readers
    notice nothing; stopped at any point, nothing has changed."""
    with open_parts() as parts, progress_bar("resolving", None) as (progress, task):
        wanted = _read(parts, file)

        def told(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        found = change(parts.settings.database_url, parts.log, wanted, told)
    _print(found, as_json, "did")


def _read(parts: Parts, file: Path) -> Rules:
    """The rules of a file, with the hashes of what it blocks."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise BadInput([Problem("--rules", "names a file that cannot be read.", "Name a TOML file.")]) from None
    found, blocked = read_rules(text, parts.settings.region)
    tokens = [parts.hasher.token(one) for one in blocked.identifiers()]
    return found.ignoring(ignored_by(parts.settings.database_url, blocked, tokens))


def _print_counts(table: str, meaning: str, counts: Any) -> None:
    told = "  ".join(f"{kind} = {count}" for kind, count in counts.items()) or "none"
    console.print(f"[{table}]  {told}   ({meaning})", markup=False, soft_wrap=True)


def _print(found: Difference, as_json: bool, would: str) -> None:
    if as_json:
        print_json(
            {
                "customers": found.customers,
                "disputed": found.disputed,
                "shared": found.shared,
                "unshared": found.unshared,
                "merges": found.merges,
                "splits": found.splits,
                "merged": _plain(found.merged),
                "split": _plain(found.split),
                "seconds": found.seconds,
            }
        )
        return
    verbs = ("would merge", "would split") if would == "would" else ("merged", "split")
    before, after = found.customers
    console.print(f"Customers with events: {before:,} before, {after:,} after.", markup=False)
    console.print(f"{found.merges:,} {verbs[0]} out of several, {found.splits:,} {verbs[1]} into several.")
    console.print(f"Links not followed: {found.disputed[0]:,} before, {found.disputed[1]:,} after.")
    console.print(f"Identifiers: {found.shared:,} stop linking, {found.unshared:,} link again.")
    for title, moved in (("one out of", found.merged), ("split into", found.split)):
        for one in moved:
            console.print(f"  {one.customer.hex} {title} {_ids(one)}", markup=False, soft_wrap=True)
    console.print(f"Took {found.seconds:.1f} s.")


def _ids(one: Moved) -> str:
    more = f" and {one.size - len(one.parts)} more" if one.size > len(one.parts) else ""
    return ", ".join(part.hex for part in one.parts) + more


def _plain(moved: Sequence[Moved]) -> list[dict[str, Any]]:
    return [{"id": one.customer.hex, "size": one.size, "parts": [part.hex for part in one.parts]} for one in moved]
