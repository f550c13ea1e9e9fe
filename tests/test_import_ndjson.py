"""Do CloudEvents get in by the line, and are bad lines reported with their number?"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.importing import Report, run_import
from adapters.ndjson import MAX_LINE, NdJson
from adapters.sample import bulk, bulk_lines
from domain.errors import BadInput
from tests.support.imports import into


def imported(*paths: Path) -> tuple[list[dict[str, Any]], Report]:
    events: list[dict[str, Any]] = []
    return events, run_import(NdJson(paths), into(events))


@pytest.mark.parametrize("packed", [False, True])
def test_each_line_is_an_event(tmp_path: Path, packed: bool) -> None:
    text = b"\n".join(bulk_lines(50, 10))
    (tmp_path / "in.ndjson").write_bytes(gzip.compress(text) if packed else text)
    events, report = imported(tmp_path / "in.ndjson")
    assert events == list(bulk(50, 10))
    assert report.rows == 50


def test_bad_lines_are_reported_with_their_number_and_the_others_go_in(tmp_path: Path) -> None:
    good = next(iter(bulk_lines(1, 1)))
    lines = [good, b"", b"{", b"[1]", b'{"a":1}', b'{"a":"' + b"x" * MAX_LINE + b'"}', b"\xff\xfe", good, b"NaN"]
    (tmp_path / "in.ndjson").write_bytes(b"\n".join(lines))
    events: list[Any] = []
    refused = tmp_path / "refused"
    report = run_import(NdJson([tmp_path / "in.ndjson"]), into(events), refused_file=refused)
    assert len(events) == 2
    told = [msgspec.json.decode(line) for line in refused.read_bytes().splitlines()]
    assert [(line["line"], line["refused"]) for line in told] == [
        (3, "not_json"),
        (4, "not_object"),
        (5, "not_event"),
        (6, "too_long"),
        (7, "not_json"),
        (9, "not_json"),
    ]
    assert report.rows_read == 8


def test_the_order_of_the_files_belongs_to_the_input(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        (tmp_path / f"{name}.ndjson").write_bytes(b"\n".join(bulk_lines(3, 3, seed)))
    one, two = tmp_path / "a.ndjson", tmp_path / "b.ndjson"
    assert NdJson([one, two]).digest() != NdJson([two, one]).digest()


def test_a_gzip_file_that_is_cut_off_is_an_error_that_says_where(tmp_path: Path) -> None:
    text = gzip.compress(b"\n".join(bulk_lines(3_000, 10)))
    (tmp_path / "in.ndjson.gz").write_bytes(text[:-100])
    with pytest.raises(BadInput, match=r"in\.ndjson\.gz: is cut off or damaged after line \d+"):
        imported(tmp_path / "in.ndjson.gz")


@settings(max_examples=80, deadline=None)
@given(text=st.binary(max_size=500))
def test_whatever_stands_in_the_file_every_line_is_accounted_for(
    text: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("nd") / "in.ndjson"
    path.write_bytes(b"{}\n" + text)
    _, report = imported(path)
    assert report.rows == report.rows_read == sum(bool(line.strip()) for line in path.read_bytes().split(b"\n"))
