"""`storyline segments`: which segments are there, who is in them, and why?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import typer

from api.as_of import read_when
from api.items import Renderer
from api.segment_telling import counting
from commands.segment_store import Definition, Version
from commands.segments import NewSegment
from domain.errors import BadInput, NotFound, Problem
from domain.segment_reasons import sentence
from domain.segment_story import Around
from domain.segment_verdict import Verdict, evaluate
from domain.segments import plain_rule
from projections.segments.reader import SegmentReader
from projections.segments.story import StoryReader
from projections.timeline.reader import Customer, TimelineReader
from storyline.cli.shared import JsonFlag, console, groups, open_parts, print_json
from storyline.cli.timeline import stories_of
from storyline.parts import Parts
from storyline.profile import read_profile

__all__ = ["app"]

app = groups("Segments: list, show, create, archive, members, why.")

_Code = Annotated[str, typer.Argument(help="The segment's code.")]
_BY: Final = "user:operator"


@app.command("list")
def list_segments(
    state: Annotated[str, typer.Option(help="active, archived or all.")] = "active",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most to list.")] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List segments in the order of their codes."""
    if state not in {"active", "archived", "all"}:
        raise BadInput([Problem("--state", "is none.", "There are active, archived and all.")])
    with open_parts() as parts:
        page = parts.segments.page("", limit, None if state == "all" else state)
    for one in page.segments:
        _print(one, as_json)
    if page.more and not as_json:
        console.print("There are more: --limit.")
    if not page.segments and not as_json:
        console.print("No segments are there.")


@app.command()
def show(code: _Code, as_json: JsonFlag = False) -> None:
    """Show a segment with its rules, and how far a new one is found out."""
    with open_parts() as parts:
        found, versions = parts.segments.load(code)
    if as_json:
        print_json({**found._asdict(), "versions": [one._asdict() for one in versions]})
        return
    _print(found, False)
    for one in versions:
        console.print(f"  version {one.version}, {_state(one)}: {one.text}", markup=False, soft_wrap=True)


@app.command()
def create(
    code: _Code,
    rule: Annotated[str | None, typer.Option(help="The rule, as text.")] = None,
    file: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A file with the rule.")] = None,
    title: Annotated[str, typer.Option(help="What people call it.")] = "",
    fixed: Annotated[bool, typer.Option("--fixed", help="A list that people keep, without a rule.")] = False,
    mute: Annotated[bool, typer.Option("--mute", help="Do not announce who enters and leaves.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a segment, of a rule or of a list."""
    text = file.read_text("utf-8") if file is not None else rule
    if (text is None) != fixed or (rule is not None and file is not None):
        raise BadInput([Problem("--rule", "does not fit.", "Give one of --rule, --file and --fixed.")])
    with open_parts() as parts:
        read = None if text is None else parts.segments.read(text)
        new = NewSegment(code, "fixed" if fixed else "dynamic", title, announce=not mute, rule=read)
        _print(parts.segments.create(new, _BY).segment, as_json)


@app.command()
def archive(code: _Code, as_json: JsonFlag = False) -> None:
    """Let a segment hold nobody. Refused while rules of others ask for it."""
    with open_parts() as parts:
        _print(parts.segments.archive(code, None).segment, as_json)


@app.command()
def members(
    code: _Code,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Most to list.")] = 100,
    after: Annotated[str | None, typer.Option(help="Go on behind this customer.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List who is in a segment, by their ids."""
    with open_parts() as parts:
        found, _ = parts.segments.load(code)
        version = counting(found) or (code, -1)
        rows = asyncio.run(_read(parts, lambda pool: SegmentReader(pool).members(version, _id(after), limit)))
    for one in rows:
        if as_json:
            print_json({"customer": one.customer.hex, "since": one.since})
        else:
            since = f"  since {one.since:%Y-%m-%d %H:%M}" if one.since else ""
            console.print(f"{one.customer.hex}{since}", markup=False)


@app.command()
def why(
    code: _Code,
    ref: Annotated[str, typer.Argument(metavar="REF", help="email:ann@example.org, or a customer's id.")],
    happened_by: Annotated[str | None, typer.Option(help="As of what had happened by then.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell why somebody is in a segment or is not, and what would change it."""
    as_of = read_when(happened_by, "happened_by") if happened_by else None
    with open_parts() as parts:
        verdict, lines = asyncio.run(_read(parts, lambda pool: _why(parts, pool, code, ref, as_of)))
    if as_json:
        print_json(_plain(verdict, lines))
        return
    console.print(f"{'In' if verdict.holds else 'Not in'} {code}:", markup=False)
    for line in _told(verdict, lines, 1):
        console.print(line, markup=False, soft_wrap=True)
    if verdict.turn is not None:
        turned = "in" if verdict.turn.to else "out"
        console.print(f"By time alone {turned} at {verdict.turn.at.isoformat()}.", markup=False)


async def _read(parts: Parts, ask: Any) -> Any:
    pool = parts.reader_pool
    await pool.open()
    try:
        return await ask(pool)
    finally:
        await pool.close()


async def _why(
    parts: Parts, pool: Any, code: str, ref: str, as_of: datetime | None
) -> tuple[Verdict, dict[UUID, str]]:
    found, versions = parts.segments.load(code)
    if found.kind != "dynamic":
        raise BadInput(
            [Problem("CODE", "names a list, which has no rule.", "See who is on it by `segments members`.")]
        )
    serving = [one for one in versions if one.version == found.serving] or versions
    rule, at = plain_rule(serving[0].rule), as_of or parts.clock()
    others = parts.segments.references(None).reached(rule)
    rules = [rule, *[one for one in others.values() if one is not None]]
    stories = await stories_of(parts, TimelineReader(pool, parts.log.log_id), ref)
    customer = next((one.id for one in stories if isinstance(one, Customer)), None)
    reader = StoryReader(pool, parts.catalogue)
    story = None if customer is None else await reader.story(customer, rules, at, as_of)
    if story is None:
        raise NotFound("There is no such customer.")
    settings = parts.settings
    profile = read_profile(settings.profile_file)
    around = Around(ZoneInfo(settings.time_zone), parts.configuration.rfm, profile, others)
    verdict = evaluate(rule, story, at, around)
    rows = await reader.rows(verdict.names())
    items = Renderer(parts.keyring, parts.catalogue).items(rows, unseal=True)
    return verdict, {row.name: item.line for row, item in zip(rows, items, strict=True)}


def _told(verdict: Verdict, lines: dict[UUID, str], depth: int) -> Iterator[str]:
    """The tree, a line each."""
    margin = "  " * depth
    if verdict.kind in {"all", "any", "none"}:
        yield f"{margin}{'yes' if verdict.holds else 'no '}  {verdict.kind} of"
    else:
        yield f"{margin}{'yes' if verdict.holds else 'no '}  {sentence(verdict, personal=True)}"
    for event in verdict.events:
        at = event.happened_at.astimezone(UTC)
        yield f"{margin}       {at:%Y-%m-%d %H:%M}  {lines.get(event.name, event.type)}"
    if verdict.wanted is not None:
        yield f"{margin}     would change with {verdict.wanted.text}"
    for part in verdict.parts:
        yield from _told(part, lines, depth + 1)


def _plain(verdict: Verdict, lines: dict[UUID, str]) -> dict[str, Any]:
    """The tree, for scripts."""
    turn, wanted = verdict.turn, verdict.wanted
    return {
        "place": verdict.place,
        "kind": verdict.kind,
        "text": verdict.text,
        "holds": verdict.holds,
        "found": verdict.found,
        "events": [
            {"name": one.name.hex, "type": one.type, "happened_at": one.happened_at, "line": lines.get(one.name, "")}
            for one in verdict.events
        ],
        "next": None if turn is None else turn._asdict(),
        "wanted": None if wanted is None else wanted._asdict(),
        "parts": [_plain(one, lines) for one in verdict.parts],
    }


def _id(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(hex=text)
    except ValueError:
        raise BadInput([Problem("--after", "is no customer's id.", "Give 32 hex digits.")]) from None


def _print(one: Definition, as_json: bool) -> None:
    if as_json:
        print_json(one._asdict())
        return
    filling = f", version {one.filling} is being found out" if one.filling else ""
    serving = f", version {one.serving}" if one.serving else ""
    title = f"  {one.title}" if one.title else ""
    console.print(f"{one.code}  {one.state}, {one.kind}{serving}{filling}{title}", markup=False, soft_wrap=True)


def _state(one: Version) -> str:
    return f"{one.share:.0%} found out" if one.state == "filling" else one.state
