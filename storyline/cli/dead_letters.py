"""`storyline dead-letters`: what could not be applied, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from commands.letters import DeadLetter, Kind, Settled
from commands.parking import Parking
from domain.errors import BadInput, Problem, StorylineError, Unavailable
from domain.event import parse_json
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json, stderr

__all__ = ["app"]

app = groups("What could not be applied: count, list, show, redrive, discard.")

_Id = Annotated[str, typer.Argument(help="The dead letter's id, as `dead-letters list` shows it.")]
_Ids = Annotated[list[str] | None, typer.Argument(help="Ids of dead letters.")]
_Every = Annotated[bool, typer.Option("--all", help="All that are parked.")]
_Kind = Annotated[str | None, typer.Option(help="Only those of this kind, as `dead-letters kinds` shows it.")]
_Reason = Annotated[str | None, typer.Option(help="Only those with this reason code.")]
_BY = "cli"
_AT_ONCE = 1000


@app.command()
def kinds(as_json: JsonFlag = False) -> None:
    """Count what waits by kind: how many, since when, why, and what to do about it."""
    with open_parts() as parts:
        found = _all_kinds(parts.parking)
    if as_json:
        for kind in found:
            print_json(kind._asdict())
        return
    if not found:
        console.print("No dead letters wait.")
    for kind in found:
        _print_kind(kind)


@app.command("list")
def list_letters(
    status: Annotated[str, typer.Option(help="parked, redriven, discarded or all.")] = "parked",
    reason: _Reason = None,
    kind: _Kind = None,
    limit: Annotated[int, typer.Option(min=1, help="Most to list.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List dead letters, oldest first, and how many of each kind wait."""
    with open_parts() as parts:
        letters, more = parts.parking.list(None if status == "all" else status, limit, None, reason, kind)
        waiting = [] if as_json else _all_kinds(parts.parking)
    if as_json:
        for letter in letters:
            print_json(letter._asdict())
        return
    for letter in letters:
        of = f" of {letter.type}" if letter.type else ""
        where = letter.origin if letter.partition is None else f"{letter.origin} {letter.partition}:{letter.offset}"
        line = f"{letter.id}  {letter.parked_at:%Y-%m-%d %H:%M}  {letter.status}  {letter.reason}{of} at {where}"
        console.print(line, markup=False, soft_wrap=True)  # no table: an id is to be copied on any terminal
    if more:
        console.print("There are more: --limit.")
    for one in waiting:
        _print_kind(one)
    console.print(f"Parked: {_total(waiting)}.", markup=False)


@app.command()
def show(
    letter_id: _Id,
    unseal: Annotated[
        bool, typer.Option("--unseal", help="Open the seal: what exactly is wrong, and the text. Goes on record.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show one dead letter, with its history."""
    with open_parts() as parts:
        letter = parts.parking.show(letter_id, unseal, _BY)
    _print(letter, as_json)


@app.command()
def redrive(
    letter_ids: _Ids = None,
    every: _Every = False,
    kind: _Kind = None,
    reason: _Reason = None,
    corrected: Annotated[
        Path | None, typer.Option("--with", help="A file with the corrected event; source and id stay.")
    ] = None,
    why: Annotated[str, typer.Option(help="Why the event was corrected; kept with it. No personal data.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Try dead letters again; what is refused again stays parked. May be stopped and started again."""
    ids = letter_ids or []
    if corrected is not None:
        if len(ids) != 1 or not why:
            raise BadInput(
                [Problem("--with", "needs one id and --why.", "Correct one letter at a time, saying why.")]
            )
        event = parse_json(_read(corrected))
        with open_parts() as parts:
            _print(parts.parking.amend(ids[0], event, why, by=_BY), as_json)
        return
    _check_wanted(ids, every, kind, reason)
    with open_parts() as parts:
        parking = parts.parking
        if ids:
            _each(ids, lambda letter_id: parking.redrive(letter_id, _BY), as_json)
            return
        _walk(
            "redriven",
            lambda cursor: parking.redrive_many(by=_BY, kind=kind, reason=reason, limit=_AT_ONCE, cursor=cursor),
            as_json,
        )


@app.command()
def discard(
    letter_ids: _Ids = None,
    every: _Every = False,
    kind: _Kind = None,
    reason: _Reason = None,
    why: Annotated[str, typer.Option(help="Why; kept with it. No personal data.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Give up on dead letters, saying why. Their content goes, that they were there is kept."""
    ids = letter_ids or []
    _check_wanted(ids, every, kind, reason)
    with open_parts() as parts:
        parking = parts.parking
        if ids:
            _each(ids, lambda letter_id: parking.discard(letter_id, why, _BY), as_json)
            return
        _walk(
            "discarded",
            lambda cursor: parking.discard_many(why, by=_BY, kind=kind, reason=reason, limit=_AT_ONCE, cursor=cursor),
            as_json,
        )


@app.command()
def purge(
    days: Annotated[int, typer.Option(min=1, help="Forget what was settled more than so many days ago.")],
) -> None:
    """Forget letters that were redriven or discarded long ago, with their history. What waits stays."""
    with open_parts() as parts:
        count = parts.parking.purge(datetime.now(UTC) - timedelta(days=days))
        keys = parts.parking.forget_days()
    console.print(f"Forgot {count} settled letters; destroyed {keys} parking keys of days with nothing left.")


def _check_wanted(ids: list[str], every: bool, kind: str | None, reason: str | None) -> None:
    if not ids and not every and kind is None and reason is None:
        raise BadInput([Problem("LETTER_IDS", "are missing.", "Give ids, --kind, --reason or --all.")])
    if ids and (every or kind or reason):
        raise BadInput([Problem("LETTER_IDS", "stand beside --kind, --reason or --all.", "Give one or the other.")])


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise BadInput([Problem("--with", "names a file that cannot be read.", "Give a file that can.")]) from None


def _each(ids: list[str], task: Callable[[str], DeadLetter], as_json: bool) -> None:
    """Each of these; one that cannot be seen to does not stop the others, and is told at the end."""
    failed: list[StorylineError] = []
    for letter_id in ids:
        try:
            _print(task(letter_id), as_json)
        except Unavailable:
            raise
        except StorylineError as error:
            failed.append(error)
            stderr.print(f"{letter_id}: {error.detail}", markup=False, soft_wrap=True)
    if failed:
        raise failed[0]


def _walk(done: str, step: Callable[[str | None], Settled], as_json: bool) -> None:
    """Step by step to the end; a step that was done stays done, whatever stops us."""
    settled = stayed = 0
    cursor: str | None = None
    while True:
        found = step(cursor)
        settled, stayed, cursor = settled + found.settled, stayed + found.stayed, found.next
        if cursor is None:
            break
        stderr.print(f"{settled} {done}, {stayed} stay; {found.remaining} wait …", markup=False)
    if as_json:
        print_json({done: settled, "stayed": stayed, "remaining": found.remaining})
        return
    console.print(f"{settled} {done}, {stayed} stayed; {found.remaining} wait.", markup=False)


def _all_kinds(parking: Parking) -> list[Kind]:
    found: list[Kind] = []
    cursor: str | None = None
    while True:
        some, cursor = parking.kinds(_AT_ONCE, cursor)
        found += some
        if cursor is None:
            return found


def _number(count: int) -> str:
    return f"{count:,}{' or more' if count >= Parking.MOST else ''}"


def _total(found: list[Kind]) -> str:
    by_reason: dict[str, int] = {}
    for kind in found:
        by_reason[kind.reason] = by_reason.get(kind.reason, 0) + kind.letters
    return ", ".join(f"{_number(count)} {reason}" for reason, count in sorted(by_reason.items())) or "none"


def _print_kind(kind: Kind) -> None:
    since = f"{kind.oldest:%Y-%m-%d %H:%M} to {kind.newest:%Y-%m-%d %H:%M}"
    late = f", OVERDUE: {_number(kind.overdue)}" if kind.overdue else ""
    what = f" of {kind.type}" if kind.type else ""
    console.print(
        f"{kind.id}  {_number(kind.letters)} {kind.reason}{what} at {kind.consumer} from {kind.origin}, "
        f"{since}{late}\n"
        f"    {kind.detail} {kind.remedy}",
        markup=False,
        soft_wrap=True,
    )


def _print(letter: DeadLetter, as_json: bool) -> None:
    if as_json:
        print_json({**letter._asdict(), "history": [step._asdict() for step in letter.history]})
        return
    why = f" ({letter.status_why})" if letter.status_why else ""
    console.print(f"{letter.id} {letter.status}{why}: {letter.reason}. {letter.detail}", markup=False, soft_wrap=True)
    for step in letter.history:
        by = f"{step.by} ({step.label})" if step.label else step.by
        told = f": {step.why}" if step.why else ""
        console.print(f"    {step.at:%Y-%m-%d %H:%M:%S} {step.did} by {by}{told}", markup=False, soft_wrap=True)
    if letter.content is not None:
        console.print(letter.content, markup=False, soft_wrap=True)
