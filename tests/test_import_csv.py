"""Does any CSV file become events by its mapping, and does a bad row cost that row alone?"""

from __future__ import annotations

import gzip
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.csv_map import CsvMap, preview
from adapters.csv_mapping import mapping_schema, read_mapping
from adapters.importing import Report, run_import
from domain.catalogue import load_catalogue
from domain.errors import BadInput
from domain.event import parse_json, read_event
from tests.support.imports import into

DOCS = Path(__file__).parent.parent / "docs"
EXAMPLES = ["till", "newsletter"]

MAPPING = """
[event]
source = "till"
id.columns = ["Receipt", "Line"]
type = { column = "Kind", values = { sale = "purchase.made", back = "refund.made" } }
time = { columns = ["Date", "Time"], format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }
channel = "shop"

[[event.who]]
kind = "email"
column = "E-Mail"
case = "lower"

[[event.refs]]
kind = "order"
column = "Receipt"

[event.content]
amount = { column = "Sum", as = "decimal" }
currency = "EUR"
comment = { column = "Note" }

[[skip]]
column = "Kind"
values = ["void"]
"""
HEAD = "Receipt;Line;Kind;Date;Time;E-Mail;Sum;Note\n"
GOOD = "17;1;sale;27.03.2025;09:30;Ann@Example.org;1.234,50;thanks\n"


def importer(tmp_path: Path, text: str | bytes, mapping: str = MAPPING, comma: bool = True) -> CsvMap:
    content = text.encode() if isinstance(text, str) else text
    (tmp_path / "in.csv").write_bytes(content)
    file = f"[file]\ndecimal_comma = {str(comma).lower()}\n"
    (tmp_path / "map.toml").write_text((file if "[file]" not in mapping else "") + mapping, "utf-8")
    return CsvMap([tmp_path / "in.csv"], tmp_path / "map.toml")


def imported(source: CsvMap) -> tuple[list[dict[str, Any]], Report]:
    events: list[dict[str, Any]] = []
    return events, run_import(source, into(events))


def test_S60_a_row_becomes_the_event_that_the_mapping_says(tmp_path: Path) -> None:
    events, report = imported(importer(tmp_path, HEAD + GOOD))
    assert report.event_rows == {"purchase.made": 1}
    assert events == [
        {
            "specversion": "1.0",
            "source": "till",
            "id": "17-1",
            "type": "purchase.made",
            "time": "2025-03-27T09:30:00+01:00",
            "data": {
                "who": [{"kind": "email", "value": "ann@example.org"}],
                "refs": [{"kind": "order", "value": "17"}],
                "channel": "shop",
                "content": {"amount": "1234.50", "currency": "EUR", "comment": "thanks"},
            },
        }
    ]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("17;;sale;27.03.2025;09:30;;1,00;\n", "id_missing"),
        ("17;1;lost;27.03.2025;09:30;;1,00;\n", "value_unknown"),
        ("17;1;;27.03.2025;09:30;;1,00;\n", "type_missing"),
        ("17;1;sale;03/27/2025;09:30;;1,00;\n", "time"),
        ("17;1;sale;27.03.2025;09:30;;1.5;\n", "number"),
        ("17;1;sale;27.03.2025;09:30;;NaN;\n", "number"),
        ("17;1;sale;27.03.2025\n", "cells"),
        ("17;1;sale;27.03.2025;09:30;;1,00;;surplus\n", "cells"),
        ("17;1;void;never;;;;\n", "skipped"),
    ],
)
def test_S70_a_bad_row_is_refused_with_its_reason_and_the_others_go_in(tmp_path: Path, row: str, code: str) -> None:
    events, report = imported(importer(tmp_path, HEAD + row + GOOD.replace("17;1", "18;1")))
    assert [one["id"] for one in events] == ["18-1"]
    assert report.refused == {code: 1}


def test_no_reason_repeats_a_value_of_the_row(tmp_path: Path) -> None:
    row = "17;1;sale;secret-day;secret-time;secret@example.org;secret;secret\n"
    (step,) = importer(tmp_path, HEAD + row).steps()
    assert step.refusal is not None
    assert "secret" not in step.refusal.reason


def test_quoted_cells_may_hold_delimiters_and_line_breaks(tmp_path: Path) -> None:
    text = HEAD + GOOD.replace("thanks", '"one; two\nthree ""four"""') + GOOD.replace("17;1", "17;2")
    steps = list(importer(tmp_path, text).steps())
    assert steps[0].event is not None
    assert steps[0].event["data"]["content"]["comment"] == 'one; two\nthree "four"'
    assert [(step.rows[0].row, step.rows[0].line) for step in steps] == [(1, 2), (2, 4)]


def test_a_quote_that_is_never_closed_is_reported_and_not_fatal(tmp_path: Path) -> None:
    text = HEAD + GOOD + '18;1;sale;"' + "x" * 200_000 + "\n"
    events, report = imported(importer(tmp_path, text))
    assert len(events) == 1
    assert report.refused == {"not_csv": 1}
    assert report.rows_read == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    events, _ = imported(importer(tmp_path, (HEAD + GOOD).replace("1.234,50", "7").replace(";", delimiter)))
    assert events[0]["data"]["content"]["amount"] == "7"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_text_is_read_in_the_stated_encoding(tmp_path: Path, encoding: str) -> None:
    text = (HEAD + GOOD).replace("thanks", "Grüße, 5 € für Zoë").encode(encoding)
    mapping = f'[file]\nencoding = "{encoding}"\ndecimal_comma = true\n{MAPPING}'
    events, _ = imported(importer(tmp_path, text, mapping))
    assert events[0]["data"]["content"]["comment"] == "Grüße, 5 € für Zoë"


def test_a_wrong_encoding_refuses_the_rows_that_it_spoils_and_says_so(tmp_path: Path) -> None:
    text = HEAD + GOOD.replace("thanks", "Grüße") + GOOD.replace("17;1", "18;1")
    events, report = imported(importer(tmp_path, text.encode("cp1252")))
    assert [one["id"] for one in events] == ["18-1"]
    assert report.refused == {"encoding": 1}


def test_a_gzip_file_is_unpacked(tmp_path: Path) -> None:
    assert len(imported(importer(tmp_path, gzip.compress((HEAD + GOOD).encode())))[0]) == 1


def test_the_id_may_be_a_hash_so_that_two_rows_that_are_alike_are_two_events(tmp_path: Path) -> None:
    mapping = MAPPING.replace('id.columns = ["Receipt", "Line"]', "id.hash = true")
    first, _ = imported(importer(tmp_path, HEAD + GOOD + GOOD, mapping))
    again, _ = imported(importer(tmp_path, HEAD + GOOD + GOOD, mapping))
    assert len({one["id"] for one in first}) == 2
    assert first == again


@pytest.mark.parametrize(
    ("cell", "rule", "found"),
    [
        ("1,234.50", 'as = "decimal"', "1234.50"),
        ("-0.5", 'as = "decimal"', "-0.5"),
        ("12", 'as = "integer"', 12),
        ("Ja", 'as = "boolean"', True),
        ("no", 'as = "boolean"', False),
        ("a, b,,c", 'split = ","', ["a", "b", "c"]),
        (" padded ", "", "padded"),
        (" padded ", "strip = false", " padded "),
        ("loud", 'case = "upper"', "LOUD"),
        ("", 'default = "none given"', "none given"),
        ("", "", None),
        ("1,23", 'as = "decimal"', "number"),
        ("1.5", 'as = "integer"', "number"),
        ("maybe", 'as = "boolean"', "boolean"),
        ("", "required = true", "empty"),
    ],
)
def test_a_cell_is_converted_or_its_row_refused(tmp_path: Path, cell: str, rule: str, found: Any) -> None:
    mapping = f"""
        [event]
        source = "s"
        id.hash = true
        type = "note.added"
        time = {{ column = "at" }}
        content.deep.list = [{{ value = {{ column = "cell"{", " + rule if rule else ""} }}, fixed = 1 }}]
        """
    (step,) = importer(tmp_path, f'at,cell\n2025-01-01T00:00Z,"{cell}"\n', mapping, comma=False).steps()
    if step.event is None:
        assert step.refusal is not None
        assert step.refusal.code == found
        return
    item = step.event["data"]["content"]["deep"]["list"][0]
    assert item == ({"fixed": 1} if found is None else {"value": found, "fixed": 1})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (('source = "till"', ""), r"event\.source: is missing\."),
        (('kind = "email"', 'kind = "mail"'), r"event\.who\[0\]\.kind: is none of the words that are known\. Use"),
        (('column = "Receipt"', 'colunm = "Receipt"'), r"event\.refs\[0\].*colunm: is nothing that a mapping knows"),
        (('as = "decimal"', 'as = "money"'), r"event\.content\.amount\.as: is none of the words"),
        (("Europe/Berlin", "Europe/Bärlin"), r"event\.time\.zone: is not right: is no time zone that is known"),
        (('values = ["void"]', ""), r"skip\[0\]: is not right: give either values or empty"),
        (("[event]", "[event"), r"map\.toml: is not TOML"),
        (('column = "Sum"', 'column = "Summe"'), r"in\.csv: has no column Summe\. Its columns are Receipt, Line"),
        (("id.columns", "id.hash = true\nid.columns"), r"event\.id: is not right: give one of"),
    ],
)
def test_a_wrong_mapping_is_told_in_words_about_the_mapping(
    tmp_path: Path, changed: tuple[str, str], told: str
) -> None:
    assert changed[0] in MAPPING
    with pytest.raises(BadInput, match=told):
        list(importer(tmp_path, HEAD + GOOD, MAPPING.replace(*changed)).steps())


def test_an_unknown_encoding_is_told_with_examples(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"file\.encoding: is not right: is no encoding that is known; examples: utf-8"
    ):
        importer(tmp_path, HEAD, '[file]\nencoding = "utf-9"\n' + MAPPING)


def test_the_published_schema_is_that_of_the_models_and_takes_the_mappings() -> None:
    published = msgspec.json.decode((DOCS / "mapping.schema.json").read_bytes())
    assert published == mapping_schema()
    jsonschema.Draft202012Validator.check_schema(published)
    for mapping in [MAPPING, *[(DOCS / "examples" / f"{name}.toml").read_text("utf-8") for name in EXAMPLES]]:
        jsonschema.validate(tomllib.loads(mapping), published)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_in_the_documents_import_what_they_say(name: str) -> None:
    events, report = imported(CsvMap([DOCS / "examples" / f"{name}.csv"], DOCS / "examples" / f"{name}.toml"))
    assert events
    assert set(report.refused) <= {"skipped"}
    catalogue = load_catalogue()
    for one in events:
        read_event(parse_json(msgspec.json.encode(one)), catalogue)


def test_a_preview_shows_the_first_events_and_what_is_refused_before_them(tmp_path: Path) -> None:
    text = HEAD + "17;1;void;;;;;\n" + "".join(GOOD.replace("17;1", f"17;{number}") for number in range(9))
    shown = preview(importer(tmp_path, text), 2)
    assert [step.event is None for step in shown] == [True, False, False]


def test_a_mapping_that_changes_starts_an_import_anew(tmp_path: Path) -> None:
    first = importer(tmp_path, HEAD + GOOD).digest()
    assert importer(tmp_path, HEAD + GOOD, MAPPING.replace("EUR", "GBP")).digest() != first
    assert read_mapping(tmp_path / "map.toml").event.content["currency"] == "GBP"


@settings(max_examples=60, deadline=None)
@given(text=st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_stands_below_the_first_row_every_row_is_accounted_for(
    text: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = importer(tmp_path_factory.mktemp("csv"), (HEAD + GOOD).encode() + text)
    _, report = imported(source)
    assert report.rows == report.rows_read >= 1
