"""`storyline timeline`: the story of one customer or one thing, as a person wants to read it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from api.items import Renderer
from api.shapes import Item
from domain.errors import BadInput, NotFound, Problem
from domain.identifiers import KINDS, REF_KINDS, Identifier, Ref
from eventlog.record import ref_hash
from projections.timeline.reader import Customer, Filters, Page, RefStory, Story, TimelineReader
from storyline.cli.shared import JsonFlag, console, open_parts, print_json
from storyline.parts import Parts

__all__ = ["Told", "print_story", "read_story", "stories_of", "timeline"]

_ARROWS = {"in": "→", "out": "←", None: " "}
_CUSTOMER = re.compile(r"[0-9a-f]{32}")


class Told(NamedTuple):
    """A page of one story, unsealed."""

    story: Story
    items: list[Item]
    older: str | None


def timeline(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="email:ann@example.org, customer_no:17850, order:536365 (KIND/NAMESPACE:VALUE), or a customer's id.",
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most events to show.")] = 50,
    older: Annotated[str | None, typer.Option(help="Go on where a page ended.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the story of a customer or a thing, newest last; the newest events where there are more than --limit."""
    with open_parts() as parts:
        told = asyncio.run(_read(parts, ref, limit, older))
    if as_json:
        for page in told:
            for item in page.items:
                print_json(msgspec.to_builtins(item))
        return
    for page in told:
        print_story(page.items, page.older, ref)


async def _read(parts: Parts, ref: str, limit: int, older: str | None) -> list[Told]:
    pool = parts.reader_pool
    await pool.open()
    try:
        return await read_story(parts, TimelineReader(pool, parts.log.log_id), ref, limit, older)
    finally:
        await pool.close()


async def read_story(parts: Parts, reader: TimelineReader, ref: str, limit: int, older: str | None) -> list[Told]:
    """A page of each story that a REF of the command line names, unsealed. Raises NotFound, BadInput."""
    stories = await stories_of(parts, reader, ref)
    pages = [(story, await reader.page(story, Filters(), older, limit)) for story in stories]
    pages = [(story, page) for story, page in pages if page.rows]
    if not pages:
        raise NotFound(
            "There is no event of that customer or thing; was it published, and has the projector seen it?"
        )
    renderer = Renderer(parts.keyring, parts.catalogue)
    return [_told(story, page, renderer) for story, page in pages]


def _told(story: Story, page: Page, renderer: Renderer) -> Told:
    return Told(story, renderer.items(page.rows, unseal=True), page.older)


async def stories_of(parts: Parts, reader: TimelineReader, text: str) -> Sequence[Story]:
    """The stories that a REF of the command line names."""
    if _CUSTOMER.fullmatch(text.replace("-", "").lower()):
        return [Customer(UUID(text))]
    kind, colon, value = text.partition(":")
    kind, _, namespace = kind.partition("/")
    if colon and kind in KINDS:
        who = (Identifier(kind, value, namespace),)
        base = parts.hasher.tokens(who)
        if not base:
            raise BadInput([Problem("REF", "is a blocked value, which names nobody.", "Use another identifier.")])
        tokens = parts.hasher.raised(who, parts.keyring.generations(base))
        return [Customer(owner) for owner in await reader.lookup(tokens)]
    if colon and kind in REF_KINDS:
        clear = parts.hasher.ref(Ref(kind, value, namespace)) if kind == "conversation" else value
        place = f"{kind}/{namespace}" if namespace else kind
        return [RefStory(UUID(bytes=ref_hash(f"{place}:{clear}")))]
    way_out = f"Write KIND:VALUE with one of {', '.join((*KINDS, *REF_KINDS))}, or a customer's id."
    raise BadInput([Problem("REF", "names no kind that is known.", way_out)])


def print_story(items: Sequence[Item], older: str | None, ref: str) -> None:
    """A story on the terminal, grouped by day, oldest first: time, channel, direction, line."""
    if older is not None:
        console.print(f"Older events: storyline timeline {ref} --older {older}", markup=False, soft_wrap=True)
    for day, events in groupby(reversed(items), key=lambda item: item.happened_at.astimezone().date()):
        console.print(f"\n[bold]{day:%A, %d %B %Y}[/bold]")
        table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
        table.add_column(no_wrap=True, style="dim", width=7)
        table.add_column(no_wrap=True, min_width=9)
        table.add_column(no_wrap=True, width=1)
        table.add_column(overflow="fold")
        for item in events:
            table.add_row(*_row(item))
        console.print(table)


def _row(item: Item) -> Iterator[Any]:
    yield f"  {item.happened_at.astimezone():%H:%M}"
    yield Text(item.channel or item.type.partition(".")[0])
    yield Text(_ARROWS.get(item.direction, " "))
    line = Text(item.line or item.type)
    retracted = any(one.relation == "retracts" for one in item.corrections)
    if retracted:
        line.stylize("strike")
    amount = item.money.amount if item.money else ""
    if item.money and amount not in item.line:
        line.append(f"  {amount} {item.money.currency}", style="bold")
    for one in item.corrections:
        line.append(f"  [{'retracted' if one.relation == 'retracts' else 'corrected'} later]", style="dim")
    if item.erased:
        line.append("  [erased]", style="dim")
    if item.unreadable:
        line.append(f"  [{item.unreadable}]", style="dim")
    yield line
