"""Does an import through the real command and the real server survive `kill -9`, and add nothing when repeated?"""

from __future__ import annotations

import csv
import gzip
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
import pytest

from adapters.xes import XesReader
from bench.xes import write_log
from tests.support.api import RunningApi, running_api
from tests.support.postgres import PostgresServer

_HELPDESK = Path(__file__).parent.parent / "docs" / "examples" / "helpdesk.toml"
_HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]


@pytest.fixture
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running:
        yield running


class Command(NamedTuple):
    """`storyline import …` against one server, with a data folder of its own."""

    argv: list[str]
    environment: dict[str, str]
    state_folder: Path

    def run(self) -> dict[str, Any]:
        done = subprocess.run(
            [*self.argv, "--json"], env=self.environment, capture_output=True, timeout=250, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        report: dict[str, Any] = msgspec.json.decode(done.stdout)
        return report

    def run_until_killed(self) -> int:
        """Start, wait for a first acknowledged batch, kill -9; the number of rows that were done by then."""
        process = subprocess.Popen(
            self.argv, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not (states := list(self.state_folder.glob("*.json"))):
            assert process.poll() is None, "the import ended before it could be killed"
            time.sleep(0.005)
        process.kill()
        process.wait(10)
        rows: int = msgspec.json.decode(states[0].read_bytes())["rows"]
        return rows


def command(api: RunningApi, tmp_path: Path, *arguments: str) -> Command:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STORYLINE_")}
    environment |= {"STORYLINE_URL": api.url, "STORYLINE_API_KEY": api.key("publish")}
    environment |= {"STORYLINE_DATA_DIR": str(tmp_path / "data"), "NO_COLOR": "1"}
    return Command([f"{sys.prefix}/bin/storyline", "import", *arguments], environment, tmp_path / "data" / "imports")


def tables(api: RunningApi) -> dict[str, Any]:
    """(rows, hash) of each table of the read models, once all that is on the log is visible."""
    api.project()
    return {table: found for model in api.story.hashes().values() for table, found in model.items()}


def write_invoices(path: Path, invoices: int) -> Path:
    """Two lines each that do not stand together; every hundredth has a line that cannot be read."""
    rows = [
        [str(100_000 + number), code, "A card", "x" if number % 100 == 7 else "2", "2011-06-01 10:00:00", "1.25"]
        for code in ("A", "B")
        for number in range(invoices)
    ]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([_HEADER, *[[*row, f"{int(row[0]) % 500 + 1}.0", "France"] for row in rows]])
    return path


def test_an_import_that_was_killed_goes_on_and_ends_in_the_rows_of_one_that_was_not(
    api: RunningApi, tmp_path: Path
) -> None:
    path = write_invoices(tmp_path / "in.csv", 6_000)
    started = command(api, tmp_path, "online-retail", str(path), "--row-map", str(tmp_path / "map"))
    done = started.run_until_killed()
    report = started.run()
    assert 0 < report["resumed_at"] < 12_000
    assert report["resumed_at"] >= done
    assert (report["finished"], report["rows"], report["rows_read"]) == (True, 12_000, 12_000)
    assert report["event_rows"] == {"purchase.made": 11_880}
    assert report["refused"] == {"quantity": 120}
    mapped = [msgspec.json.decode(line) for line in (tmp_path / "map").read_bytes().splitlines()]
    assert sorted(one["row"] for one in mapped) == list(range(1, 12_001))
    after = tables(api)
    assert after["events"][0] == 5_940

    again = started.run()  # whole, from the first row: what had been missing would come in now
    assert again["resumed_at"] == 0
    assert again["events"] == report["events"]
    assert tables(api) == after


def test_S60_a_csv_file_and_a_file_of_events_become_timelines(api: RunningApi, tmp_path: Path) -> None:
    docs = Path(__file__).parent.parent / "docs" / "examples"
    report = command(api, tmp_path, "csv", str(docs / "till.csv"), "--map", str(docs / "till.toml")).run()
    assert (report["events"], report["refused"]) == ({"purchase.made": 2, "refund.made": 1}, {"skipped": 1})
    events = [
        {
            "specversion": "1.0",
            "source": "test/lines",
            "id": str(number),
            "type": "note.added" if number else "no.such.type",
            "time": "2026-01-01T10:00:00Z",
            "data": {"who": [{"kind": "customer_no", "value": "4711"}], "content": {"text": f"Note {number}"}},
        }
        for number in range(3)
    ]
    lines = tmp_path / "in.ndjson"
    lines.write_bytes(b"\n".join(map(msgspec.json.encode, events)))
    report = command(api, tmp_path, "ndjson", str(lines), "--refused", str(tmp_path / "refused")).run()
    assert (report["events"], report["refused"]) == ({"note.added": 2}, {"server_refused": 1})
    refused = msgspec.json.decode((tmp_path / "refused").read_bytes())
    assert refused["line"] == 1
    assert refused["reason"].startswith("type: is not in the catalogue.")
    assert tables(api)["events"][0] == 5
    with api.client("read") as client:
        [customer] = client.post("/v1/lookup", json={"kind": "customer_no", "value": "4711"}).json()["customers"]
        told = [item["type"] for item in client.get(customer["timeline"]).json()["items"]]
    assert told == ["note.added", "note.added", "refund.made", "purchase.made"]


@pytest.mark.data
@pytest.mark.timeout(600)
def test_the_real_invoices_are_on_their_timelines_also_after_kill_9(api: RunningApi, tmp_path: Path) -> None:
    folder = Path(os.environ.get("STORYLINE_TEST_DATA", "")) / "online-retail"
    if not os.environ.get("STORYLINE_TEST_DATA") or not folder.is_dir():
        pytest.skip("STORYLINE_TEST_DATA names no folder with online-retail")
    started = command(api, tmp_path, "online-retail", *map(str, sorted(folder.glob("*.csv.gz"))))
    started.run_until_killed()
    report = started.run()
    assert report["resumed_at"] > 0
    assert (report["rows"], report["rows_read"], report["refused"]) == (541_909, 541_909, {})
    assert report["events"] == {"invoice.adjusted": 1_339, "purchase.made": 20_725, "refund.made": 3_836}
    after = tables(api)
    assert (after["events"][0], after["refs"][0]) == (25_900, 25_900)
    assert started.run()["events_total"] == 25_900
    assert tables(api) == after


def test_S60_an_event_log_that_was_killed_on_its_way_goes_on_and_changes_nothing_when_repeated(
    api: RunningApi, tmp_path: Path
) -> None:
    events = write_log(tmp_path / "in.xes.gz", 2_600_000)
    started = command(api, tmp_path, "xes", str(tmp_path / "in.xes.gz"), "--map", str(_HELPDESK))
    started.run_until_killed()
    report = started.run()
    assert 0 < report["resumed_at"] < events
    assert (report["rows"], report["rows_read"], report["refused"]) == (events, events, {})
    after = tables(api)
    assert after["events"][0] == events
    assert started.run()["events_total"] == events
    assert tables(api) == after


def tied(path: Path) -> dict[str, int]:
    """The lengths of the traces in which two events have one time, by their names."""
    names: dict[str, list[str]] = defaultdict(list)
    for one in XesReader(path).events():
        assert one.trace is not None
        names[one.trace.attributes["concept:name"].value].append(one.attributes["time:timestamp"].value)
    return {name: len(times) for name, times in names.items() if len(set(times)) < len(times)}


@pytest.mark.data
@pytest.mark.timeout(600)
def test_S60_the_help_desk_log_is_on_4580_ticket_timelines_in_the_order_of_its_traces(
    api: RunningApi, tmp_path: Path
) -> None:
    folder = Path(os.environ.get("STORYLINE_TEST_DATA", "")) / "helpdesk"
    if not os.environ.get("STORYLINE_TEST_DATA") or not folder.is_dir():
        pytest.skip("STORYLINE_TEST_DATA names no folder with helpdesk")
    path = folder / "helpdesk.xes.gz"
    started = command(api, tmp_path, "xes", str(path), "--map", str(_HELPDESK), "--row-map", str(tmp_path / "map"))
    report = started.run()
    assert (report["rows"], report["rows_read"], report["refused"]) == (21_348, 21_348, {})
    assert report["noted"] == {"exact_copy": 127, "tied_time": 130}
    assert report["events"] == {
        **{"appointment.booked": 5, "ticket.assigned": 5_060, "ticket.closed": 4_574, "ticket.opened": 118},
        **{"ticket.priority_changed": 4_938, "ticket.resolved": 4_983, "ticket.state_changed": 1_670},
    }
    with gzip.open(path) as stream:
        assert stream.read().count(b"<event>") == len((tmp_path / "map").read_bytes().splitlines()) == 21_348
    after = tables(api)
    assert (after["events"][0], after["refs"][0], after["nodes"][0]) == (21_348, 3 * 21_348, 0)
    [(stories,)] = api.story.rows("SELECT count(DISTINCT ref) FROM timeline.refs")
    assert stories == 4_580 + 397 + 21  # tickets, customers and products; nobody was invented
    close = tied(path)
    assert len(close) == 129
    with api.client("read") as client:
        for name, length in close.items():
            asked = client.get(
                f"/v1/refs/ticket/{quote(name)}/timeline", params={"namespace": "helpdesk", "limit": 200}
            )
            told = [one["id"] for one in asked.json()["items"]]
            assert told == [f"{name}#{position}" for position in range(length, 0, -1)]
    assert started.run()["events_total"] == 21_348
    assert tables(api) == after
