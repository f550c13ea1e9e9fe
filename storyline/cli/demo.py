"""`storyline demo`: a generated year of a small shop goes in, one customer's story comes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import typer

from adapters.sample import Sample
from domain.errors import Misconfigured
from projections.timeline.reader import TimelineReader
from storyline import logs
from storyline.cli.processes import development_key, serving, with_ports
from storyline.cli.shared import api_client, console, progress_bar
from storyline.cli.timeline import Told, print_story, read_story
from storyline.parts import Parts
from storyline.settings import Settings
from storyline.supervisor import stop_on_signals

__all__ = ["demo"]

_BATCH = 200
_VISIBLE_SECONDS = 60


def demo(once: Annotated[bool, typer.Option("--once", help="End when the story is printed.")] = False) -> None:
    """Start everything, publish the sample year through the API, print one customer's story, and stay up.

    Run twice, it adds nothing twice.
    """
    settings = with_ports(Settings())
    if settings.mode == "production":
        raise Misconfigured("The demo publishes made-up data; it does not run in production mode.")
    logs.configure(settings.log_format, "warning")
    with stop_on_signals() as stop, Parts.build(settings) as parts:
        parts.upgrade()
        development_key(parts)
        with serving(parts):
            sample = Sample()
            _publish(parts.settings, sample, stop.is_set)
            if stop.is_set():
                raise KeyboardInterrupt
            ref = f"customer_no:{sample.people[0].customer_no}"
            told = asyncio.run(_story(parts, ref))
            console.print(f"\nThe story of {sample.people[0].name}, one of {len(sample.people)} made-up customers")
            for page in told:
                print_story(page.items, page.older, ref)
            _tell_how_to_go_on(parts.settings, ref, once)
            if not once:
                stop.wait()


def _publish(settings: Settings, sample: Sample, stopped: Callable[[], bool]) -> None:
    key = settings.development_key.read_text("ascii").strip()
    total = len(sample.told)
    events = sample.events(datetime.now(UTC))
    with api_client(settings.api_url, key) as client, progress_bar("publishing a year", total) as (bar, task):
        while batch := list(islice(events, _BATCH)):
            client.publish(batch)
            bar.advance(task, len(batch))
            if stopped():
                return


async def _story(parts: Parts, ref: str) -> list[Told]:
    """The story, as soon as all that was published is visible."""
    pool = parts.reader_pool
    await pool.open()
    try:
        reader = TimelineReader(pool, parts.log.log_id)
        ends = {partition: end - 1 for partition, end in parts.log.ends().items() if end}
        await reader.wait_for(ends, _VISIBLE_SECONDS)
        return await read_story(parts, reader, ref, 200, None)
    finally:
        await pool.close()


def _tell_how_to_go_on(settings: Settings, ref: str, once: bool) -> None:
    console.print("\nGo on with:")
    console.print(f"  storyline timeline {ref}", markup=False)
    console.print("  storyline timeline --help", markup=False)
    if once:
        console.print("  storyline serve", markup=False)
        return
    console.print(f"  API documents   {settings.api_url}/docs", markup=False)
    console.print(f"  API key         in {settings.development_key}", markup=False)
    console.print("Ctrl-C stops it.")
