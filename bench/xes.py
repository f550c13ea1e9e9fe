"""How fast, and in how much memory, is an XES file read and mapped? `storyline bench xes [--mb 1024] [--json]`.

A file of that size is generated, plain and gzipped, in the shape of the help desk log (or, with `--shape one-trace`,
as one endless trace). Each reading runs in a child of its own, which tells its peak of resident memory. Held against
the bare `iterparse` of the standard library, which clears each event and maps nothing, on the same file in the same
run.
A smaller file goes through a real API into an embedded log.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree.ElementTree import iterparse

from adapters.importing import run_import
from adapters.reading import open_binary
from adapters.xes_map import XesMap
from bench.report import Entry, median, progress, show

__all__ = ["LIMIT_MB", "main", "reading", "write_log"]

LIMIT_MB = 200
"""Most resident memory in MB that a reading may need, whatever the file's size."""
_MAPPING = Path(__file__).parent.parent / "docs" / "examples" / "helpdesk.toml"
_ROOT = Path(__file__).parent.parent
_BEGIN = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1849-2016" xes.features="nested-attributes" xmlns="http://www.xes-standard.org/">
\t<extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext" />
"""
_ACTIVITIES = "Assign seriousness|Take in charge ticket|Wait|Resolve ticket|Require upgrade|Closed".split("|")
_KEYS = "seriousness customer product responsible_section seriousness_2 service_level service_type support_section"


def write_log(path: Path, size: int, one_trace: bool = False, seed: int = 1) -> int:
    """Write an XES file of about `size` bytes (before packing, where the name ends in .gz); returns its events."""
    events = 0
    with gzip.open(path, "wb", 1) if path.suffix == ".gz" else path.open("wb") as stream:
        written = stream.write(_BEGIN.encode())
        for count, text in _traces(one_trace, seed):
            written += stream.write(text.encode())
            events += count
            if written >= size:
                break
        stream.write(b"</trace></log>\n" if one_trace else b"</log>\n")
    return events


def _traces(one_trace: bool, seed: int) -> Iterator[tuple[int, str]]:
    """(events, their text), without end: whole traces, or ever more events of one."""
    chance = random.Random(seed)
    began = datetime(2010, 1, 13, tzinfo=UTC)
    number = 0
    while True:
        number += 1
        time_ = began + timedelta(seconds=chance.randrange(10**8))
        head = f'\t<trace>\n\t\t<string key="concept:name" value="Case {number}" />\n'
        count = chance.randrange(2, 9)
        rows = []
        for _ in range(count):
            time_ += timedelta(seconds=chance.randrange(10**5))
            rows.append(_event(chance, time_))
        parts = [head if number == 1 or not one_trace else "", *rows, "" if one_trace else "\t</trace>\n"]
        yield count, "".join(parts)


def _event(chance: random.Random, time_: datetime) -> str:
    rows = [
        f'<string key="concept:name" value="{chance.choice(_ACTIVITIES)}" />',
        f'<string key="org:resource" value="Value {chance.randrange(1, 23)}" />',
        f'<date key="time:timestamp" value="{time_.isoformat()}" />',
        *(f'<string key="{key}" value="Value {chance.randrange(1, 400)}" />' for key in _KEYS.split()),
    ]
    return "\t\t<event>\n\t\t\t" + "\n\t\t\t".join(rows) + "\n\t\t</event>\n"


def _peak_mb() -> float:
    """The most memory that this process ever held. What the kernel tells of a child's usage counts its parent in."""
    status = Path("/proc/self/status")
    if status.exists():
        found = [line.split()[1] for line in status.read_text("ascii").splitlines() if line.startswith("VmHWM")]
        return int(found[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _child(arguments: list[str]) -> None:
    """One reading in this process; prints its figures."""
    what, path, *access = arguments
    began = time.perf_counter()
    if what == "iterparse":
        events = 0
        with open_binary(Path(path)) as stream:
            for _, element in iterparse(stream):  # noqa: S314 - our own file
                if element.tag.endswith("}event"):
                    events += 1
                    element.clear()
    elif what == "api":
        from adapters.client import Client  # noqa: PLC0415 - the other readings are measured without it

        with Client(*access) as client:
            importer = XesMap([Path(path)], _MAPPING)
            events = sum(run_import(importer, lambda batch: list(client.publish(batch))).events.values())
    else:
        events = sum(run_import(XesMap([Path(path)], _MAPPING), lambda batch: batch).events.values())
    seconds = time.perf_counter() - began
    print(json.dumps({"events": events, "per_s": events / seconds, "mb": _peak_mb()}))


def reading(what: str, path: Path, *access: str) -> dict[str, float]:
    """The figures of one reading in a child (`map`, `iterparse`, `api` with address and key): events, per_s, mb."""
    words = [sys.executable, "-m", "bench.xes", what, str(path), *access]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, cwd=_ROOT, env=os.environ)
    figures: dict[str, float] = json.loads(done.stdout)
    progress(f"{what}: {figures['events']:,} events, {figures['per_s']:,.0f} a second, {figures['mb']:.0f} MB")
    return figures


def _measure(path: Path, profile: str, runs: int) -> Entry:
    ours, bare = [], []
    for _ in range(runs):  # in turn, so that a busy moment of the machine meets both
        ours.append(reading("map", path))
        bare.append(reading("iterparse", path))
    peak = max(one["mb"] for one in ours)
    kind = "gz" if path.suffix == ".gz" else "plain"
    if any(one["events"] != bare[0]["events"] for one in [*ours, *bare]):
        raise SystemExit("The readings differ in how many events there are.")
    return Entry(
        name=f"xes-{kind}",
        profile=profile,
        events=int(ours[0]["events"]),
        events_per_s=median([one["per_s"] for one in ours]),
        limit="bare iterparse",
        limit_per_s=median([one["per_s"] for one in bare]),
        rss_mb=round(peak, 1),
        notes={
            "file, MB": round(path.stat().st_size / 2**20, 1),
            f"within {LIMIT_MB} MB": "yes" if peak < LIMIT_MB else "no",
            "bare iterparse, MB": round(max(one["mb"] for one in bare), 1),
        },
    )


def _through_api(directory: Path, size: int) -> Entry:
    from bench.processes import Deployment  # noqa: PLC0415 - a child that reads needs no servers
    from bench.stand import stand  # noqa: PLC0415

    path = directory / "small.xes"
    write_log(path, size)
    sink = reading("map", path)
    with stand(kafka=False) as servers:
        dsn = servers.database()
        deployment = Deployment(dsn, servers.log_url("embedded", dsn, "xes"), servers.directory)
        try:
            with deployment.api():
                found = reading("api", path, f"http://127.0.0.1:{deployment.port}", deployment.key)
        finally:
            deployment.close()
    return Entry(
        name="xes-api-embedded",
        profile="tickets",
        events=int(found["events"]),
        events_per_s=round(found["per_s"]),
        limit="mapping alone",
        limit_per_s=round(sink["per_s"]),
        rss_mb=round(found["mb"], 1),
    )


def main(arguments: list[str]) -> None:
    """Run it; see the module for what is measured."""
    parser = argparse.ArgumentParser(prog="storyline bench xes", description=__doc__)
    parser.add_argument("--mb", type=float, default=1024, help="size of the file before packing")
    parser.add_argument("--api-mb", type=float, default=20, help="size of what goes through a real API; 0 for none")
    parser.add_argument("--shape", choices=("tickets", "one-trace"), default="tickets")
    parser.add_argument("--kind", choices=("plain", "gz"), action="append", help="default: both")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="a list of figures for scripts")
    given = parser.parse_args(arguments)
    directory = Path(tempfile.mkdtemp(prefix="storyline-bench-xes-"))
    entries = []
    try:
        for kind in given.kind or ("plain", "gz"):
            path = directory / ("log.xes.gz" if kind == "gz" else "log.xes")
            progress(f"writing {given.mb:,.0f} MB, {kind}")
            write_log(path, int(given.mb * 2**20), given.shape == "one-trace")
            progress("reading it")
            entries.append(_measure(path, given.shape, given.runs))
            path.unlink()
        if given.api_mb:
            progress(f"publishing {given.api_mb:,.0f} MB through an API")
            entries.append(_through_api(directory, int(given.api_mb * 2**20)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    show(entries, given.json)


if __name__ == "__main__":
    _child(sys.argv[1:])
