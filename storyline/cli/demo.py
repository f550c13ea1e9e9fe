"""`storyline demo`: a generated year of a small shop goes in, one customer's story comes out."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from adapters.sample import SEGMENTS, Sample, desk
from domain.errors import Misconfigured
from eventlog.sql import load
from projections.timeline.reader import Customer, TimelineReader
from storyline import logs
from storyline.cli.processes import PORTS, development_key, serving, with_ports
from storyline.cli.shared import api_client, console, progress_bar
from storyline.cli.timeline import Told, print_story, read_story
from storyline.parts import Parts
from storyline.settings import Settings
from storyline.supervisor import stop_on_signals

__all__ = ["demo"]

_VISIBLE_SECONDS = 60
_SQL = load("storyline", "demo.sql")


def demo(once: Annotated[bool, typer.Option("--once", help="End when the story is printed.")] = False) -> None:
    """Start everything, publish the sample year through the API, print one customer's story, and stay up.

    Run twice, it adds nothing twice.
    """
    settings = with_ports(_yielding(Settings()))
    if settings.mode == "production":
        raise Misconfigured("The demo publishes made-up data; it does not run in production mode.")
    logs.configure(settings.log_format, "warning")
    with stop_on_signals() as stop, Parts.build(settings) as parts:
        parts.upgrade()
        development_key(parts)
        with serving(parts):
            sample = Sample()
            before = _count(parts)
            _publish(parts.settings, sample, stop.is_set)
            _work(parts.settings, sample)
            _segments(parts.settings, stop.wait)
            ref = f"customer_no:{sample.people[0].customer_no}"
            stories = asyncio.run(_stories(parts, ref))
            console.print(f"\nThe story of {sample.people[0].name}, one of {len(sample.people)} made-up customers")
            for story in stories:
                print_story(story.items, story.older, ref)
            _tell_counts(sample, before, _count(parts))
            _tell_how_to_go_on(parts.settings, ref, stories[0], once)
            if not once:
                stop.wait()


def _yielding(settings: Settings) -> Settings:
    """The settings with any free port (0) where the usual one is taken; one that was asked for stays."""
    changed = {}
    for name in PORTS:
        if name not in settings.model_fields_set and not _is_free(settings.host, getattr(settings, name)):
            changed[name] = 0
    return settings.model_copy(update=changed)


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _publish(settings: Settings, sample: Sample, stopped: Callable[[], bool]) -> None:
    """Publish the year through the API; KeyboardInterrupt when it is to stop."""
    key = settings.development_key.read_text("ascii").strip()
    events = sample.events(datetime.now(UTC))
    with api_client(settings.api_url, key) as client, progress_bar("a year", len(sample.told)) as (bar, task):
        for _ in client.publish(_until(events, stopped)):
            bar.advance(task)
    if stopped():
        raise KeyboardInterrupt


def _work(settings: Settings, sample: Sample) -> None:
    """Have the shop's colleagues work on deals and tickets, once; their commands go on where they were broken off."""
    key = settings.development_key.read_text("ascii").strip()
    made: dict[str, str] = {}
    with api_client(settings.api_url, key) as client:
        if client.read("leads", status="all")["leads"]:
            return
        for asked in desk(sample.people):
            filled = msgspec.json.decode(_filled(msgspec.json.encode(asked.body).decode(), made))
            made[asked.key] = client.command(_filled(asked.path, made), filled, asked.key).get("id", "")


def _segments(settings: Settings, wait: Callable[[float], bool]) -> None:
    """Make the shop's segments, once, and wait until it is known who is in them. They are not announced, so that the
    year has as many events whenever it is published."""
    key = settings.development_key.read_text("ascii").strip()
    with api_client(settings.api_url, key) as client:
        known = {one["code"] for one in client.read("segments", state="all")["segments"]}
        for code, title, rule in SEGMENTS:
            if code not in known:
                body = {"code": code, "title": title, "rule": rule, "announce": False}
                client.command("segments", body, f"segment-{code}")
        for _ in range(_VISIBLE_SECONDS * 5):
            if not any(one["filling"] for one in client.read("segments")["segments"]) or wait(0.2):
                return


def _filled(text: str, made: dict[str, str]) -> str:
    for key, id_ in made.items():
        text = text.replace(f"{{{key}}}", id_)
    return text


def _until(events: Iterable[dict[str, Any]], stopped: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    for event in events:
        if stopped():
            return
        yield event


async def _stories(parts: Parts, ref: str) -> list[Told]:
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


def _count(parts: Parts) -> int:
    with parts.pool.connection() as connection:
        row = connection.execute(_SQL["events"]).fetchone()
    return int(row[0]) if row else 0


def _tell_counts(sample: Sample, before: int, after: int) -> None:
    console.print(
        f"\nPublished: {len(sample.told):,} times, some events twice. "
        f"On the timelines: {before:,} events before, {after:,} now; {after - before:,} were new."
    )


def _tell_how_to_go_on(settings: Settings, ref: str, story: Told, once: bool) -> None:
    command = _command()
    console.print("\nGo on with:")
    console.print(f"  {command} timeline {ref}", markup=False)
    console.print(f"  {command} timeline order:W-14890", markup=False)
    console.print(f"  {command} segments why regulars {ref}", markup=False)
    console.print(f"  {command} log show", markup=False)
    if once:
        console.print(f"  {command} serve", markup=False)
        return
    if isinstance(story.story, Customer):
        address = f"{settings.api_url}/v1/customers/{story.story.id.hex}/timeline"
        key = f'-H "Authorization: Bearer $(cat {settings.development_key})"'
        console.print(f"  curl {key} {address}", markup=False, soft_wrap=True)
    console.print(f"  API documents: {settings.api_url}/docs", markup=False, soft_wrap=True)
    console.print("Ctrl-C stops it.")


def _command() -> str:
    """How this very command was called, as short as it goes from here."""
    called = Path(sys.argv[0])
    if called.name != "storyline" or not called.is_absolute():
        return sys.argv[0] if called.name == "storyline" else "storyline"
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else "storyline"
