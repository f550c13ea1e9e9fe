"""Does an XES file that is broken or means harm cost its own events alone, and never the memory or the machine?"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.importing import Report, run_import
from adapters.xes import MAX_DEPTH, MAX_ITEM, MAX_TAG, XesEvent, XesReader
from adapters.xes_inspect import survey
from adapters.xes_map import XesMap, text_in
from bench import xes as bench
from domain.errors import BadInput
from tests.support.imports import into
from tests.support.xes import event, log, text, trace, write_xes

MAPPING = '[event]\nsource = "s"\n[[activity]]\ntype = "ticket.state_changed"\n'
GOOD = {"concept:name": text("a"), "time:timestamp": text("2025-01-01T00:00:00Z", "date")}
CASE = {"concept:name": text("T1")}


def imported(tmp_path: Path, content: str | bytes, name: str = "in.xes") -> tuple[list[Any], Report]:
    (tmp_path / "map.toml").write_text(MAPPING, "utf-8")
    events: list[Any] = []
    return events, run_import(XesMap([write_xes(tmp_path / name, content)], tmp_path / "map.toml"), into(events))


def with_one_bad(bad: str) -> str:
    """A trace of three events, `bad` within the second."""
    inside = event(GOOD) + event(GOOD).replace("</event>", f"{bad}</event>") + event(GOOD)
    return log(f'<trace><string key="concept:name" value="T1"/>{inside}</trace>')


LAUGHS = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 12))


@pytest.mark.parametrize(
    ("declared", "used"),
    [
        (f'<!DOCTYPE log [<!ENTITY l0 "ha">{LAUGHS}]>', "&l11;"),
        (f'<!DOCTYPE log [<!ENTITY l0 "{"x" * 100_000}">]>', "&l0;" * 10_000),
        ('<!DOCTYPE log [<!ENTITY l0 SYSTEM "file:///etc/passwd">]>', "&l0;"),
        ('<!DOCTYPE log SYSTEM "http://127.0.0.1:9/evil.dtd">', ""),
        ('<!DOCTYPE log [<!ENTITY % l0 SYSTEM "file:///etc/passwd"> %l0;]>', ""),
    ],
)
def test_S60_a_document_type_is_refused_before_anything_in_it_is_read(
    tmp_path: Path, declared: str, used: str
) -> None:
    content = f'<?xml version="1.0"?>\n{declared}<log><string key="a" value="{used}"/></log>'
    with pytest.raises(BadInput, match=r"in\.xes: declares a document type .*, at line 2\."):
        imported(tmp_path, content)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (f'<string key="x" value="{"y" * (MAX_ITEM + 1)}"/>', "too_large"),
        (
            '<string key="x" value="y"/>' * 3 + "".join(f'<int key="{n}" value=""/>' for n in range(22_000)),
            "too_large",
        ),
        ('<string key="x" value="y">' * (MAX_DEPTH + 9) + "</string>" * (MAX_DEPTH + 9), "too_deep"),
        ('<string key="x" value="y"/><string key="x" value="z"/>', "attribute_twice"),
    ],
)
def test_S70_what_is_too_much_in_one_event_costs_that_event(tmp_path: Path, bad: str, code: str) -> None:
    events, report = imported(tmp_path, with_one_bad(bad))
    assert [one["id"] for one in events] == ["T1#1", "T1#3"]
    assert report.refused == {code: 1}


@pytest.mark.parametrize("number", ["1e2000000000", "-1E999999999999999999", "1e-2000000000", "1e", "infe"])
def test_a_number_that_is_endless_when_written_out_is_left_as_it_stands(tmp_path: Path, number: str) -> None:
    content = with_one_bad(f'<float key="cost" value="{number}"/>')
    events, report = imported(tmp_path, content)
    assert (len(events), report.refused) == (3, {})
    assert len(text_in(text(number, "float"))) < 100
    assert survey([tmp_path / "in.xes"]).attributes["cost"].present == 1


def test_elements_that_XES_does_not_know_are_passed_over(tmp_path: Path) -> None:
    events, report = imported(tmp_path, with_one_bad('<x:mine xmlns:x="m"><string key="concept:name"/></x:mine>'))
    assert (len(events), report.refused) == (3, {})


def test_what_is_too_much_in_a_trace_costs_its_events(tmp_path: Path) -> None:
    large = {**CASE, "x": text("y" * (MAX_ITEM + 1))}
    content = log(trace(large, [GOOD, GOOD]), trace(CASE, [GOOD]))
    events, report = imported(tmp_path, content)
    assert (len(events), report.refused) == (1, {"too_large": 2})


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (f'<string key="x" value="{"y" * (MAX_TAG + 2**18)}"/>', "a tag or comment of more than"),
        (f"<!--{'y' * (MAX_TAG + 2**18)}-->", "a tag or comment of more than"),
        ("<a>" * 100_000, "more than 500 elements within one another"),
        ("<string>" * 100_000, "more than 500 elements within one another"),
        ("".join(f"<a{number}/>" for number in range(6_000)), "more than 5,000 names"),
        ("".join(f'<a b{number}="c"/>' for number in range(6_000)), "more than 5,000 names"),
        ("<event/>", "an element event within event"),
        ("<mine><event/></mine>", "an element event within one that XES does not know"),
        ('<string key="a" value="b"><trace/></string>', "an element trace within an attribute"),
        ("&unknown;", "undefined entity"),
        ("<string></date>", "mismatched tag"),
        ("\x00", "not well-formed"),
    ],
)
def test_what_cannot_be_read_on_is_told_with_file_and_line_and_what_stood_before_is_in(
    tmp_path: Path, bad: str, told: str
) -> None:
    (tmp_path / "map.toml").write_text(MAPPING, "utf-8")
    events: list[Any] = []
    source = XesMap([write_xes(tmp_path / "in.xes", with_one_bad(bad))], tmp_path / "map.toml")
    with pytest.raises(BadInput, match=rf"^in\.xes: .*{told}") as caught:
        run_import(source, into(events), state=tmp_path / "state")
    assert " line " in str(caught.value)
    assert [one["id"] for one in events] == ["T1#1"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "no element found"),
        ("<html><log/></html>", "its first element is not log"),
        ("<string/>", "its first element is not log"),
        ("concept:name;time\n", "not well-formed"),
        (log(trace(CASE, [GOOD]), '<global scope="event"/>'), "a global after the first event"),
        ('<?xml version="1.0" encoding="x-nothing"?><log/>', "unknown encoding|encoding that is not known"),
    ],
)
def test_what_is_no_xes_file_is_told(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        imported(tmp_path, content)


def test_a_gzip_file_that_is_cut_off_is_told_and_what_could_be_read_is_in(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAPPING, "utf-8")
    bench.write_log(tmp_path / "in.xes", 400_000)
    packed = gzip.compress((tmp_path / "in.xes").read_bytes())
    (tmp_path / "in.xes.gz").write_bytes(packed[: len(packed) // 2])
    events: list[Any] = []
    with pytest.raises(BadInput, match=r"in\.xes\.gz: is cut off or damaged after line \d+"):
        run_import(XesMap([tmp_path / "in.xes.gz"], tmp_path / "map.toml"), into(events))
    assert 50 < len(events) < 700


def read(path: Path) -> tuple[list[XesEvent], BadInput | None]:
    found: list[XesEvent] = []
    try:
        found.extend(_each(XesReader(path), found))
    except BadInput as error:
        return found, error
    return found, None


def _each(reader: XesReader, found: list[XesEvent]) -> Iterator[XesEvent]:
    for one in reader.events():
        found.append(one)
    yield from ()


WHOLE = log(*[trace({"concept:name": text(f"Größe {number}")}, [GOOD, GOOD]) for number in range(3)]).encode()


@settings(max_examples=100, deadline=None)
@given(cut=st.integers(0, len(WHOLE) - 2))
def test_wherever_a_file_ends_all_events_that_were_closed_are_read(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("xes") / "in.xes"
    path.write_bytes(WHOLE[:cut])
    found, error = read(path)
    assert len(found) == WHOLE[:cut].count(b"</event>")
    assert error is not None
    assert " line " in str(error)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(WHOLE)), noise=st.binary(max_size=12), size=st.integers(0, 12))
def test_whatever_is_damaged_ends_in_events_or_in_an_error_with_words(
    at: int, noise: bytes, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("xes") / "in.xes"
    path.write_bytes(WHOLE[:at] + noise + WHOLE[at + size :])
    found, error = read(path)
    assert len(found) <= 6
    assert error is None or str(error).startswith("in.xes: ")


def test_S60_memory_does_not_grow_with_the_file_nor_with_a_trace(tmp_path: Path) -> None:
    peaks = []
    for size in (200_000, 4_000_000):
        events = bench.write_log(tmp_path / f"{size}.xes.gz", size, one_trace=True)
        found = bench.reading("map", tmp_path / f"{size}.xes.gz")
        assert found["events"] == events
        peaks.append(found["mb"])
    assert events > 5_000
    assert peaks[1] < min(peaks[0] + 15, bench.LIMIT_MB)


def test_the_benchmark_holds_our_reading_against_the_bare_parser(capsys: pytest.CaptureFixture[str]) -> None:
    bench.main("--mb 0.2 --api-mb 0 --kind plain --json".split())
    [figures] = json.loads(capsys.readouterr().out)
    assert (figures["name"], figures["limit"]) == ("xes-plain", "bare iterparse")
    assert figures["ratio"] > 0
    assert figures["notes"][f"within {bench.LIMIT_MB} MB"] == "yes"
