"""Does each event of an XES file become the event that its mapping says, once, and in the order of its trace?"""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.importing import Report, run_import
from adapters.seen import Seen
from adapters.xes import Attribute, XesReader
from adapters.xes_map import XesMap
from adapters.xes_mapping import read_xes_mapping, xes_mapping_schema
from domain.catalogue import load_catalogue
from domain.errors import BadInput
from domain.event import parse_json, read_event
from tests.support.imports import into
from tests.support.xes import event, log, text, trace, write_xes

DOCS = Path(__file__).parent.parent / "docs"
MAPPING = """
[event]
source = "desk"
actor = { attribute = "org:resource" }
content = { state = { attribute = "concept:name" } }

[[event.refs]]
kind = "ticket"
namespace = "desk"
attribute = "case:concept:name"

[[event.who]]
kind = "external"
namespace = "desk"
attribute = "case:customer"

[[activity]]
names = ["open"]
type = "ticket.opened"

[[activity]]
names = ["close"]
transitions = ["complete", ""]
when = { kind = ["good"] }
type = "ticket.closed"
content = { reason = { attribute = "why" } }

[[activity]]
type = "ticket.state_changed"

[[skip]]
attribute = "concept:name"
values = ["noise"]
"""
AT = "2025-03-27T09:30:00+01:00"
CASE = {"concept:name": text("T1"), "customer": text("C-7")}


def act(name: str, at: str = AT, **more: str) -> dict[str, Attribute]:
    known = {"concept:name": text(name), "time:timestamp": text(at, "date")}
    return known | {key.replace("__", ":"): text(value) for key, value in more.items()}


def importer(tmp_path: Path, content: str | bytes, mapping: str = MAPPING, name: str = "in.xes") -> XesMap:
    (tmp_path / "map.toml").write_text(mapping, "utf-8")
    return XesMap([write_xes(tmp_path / name, content)], tmp_path / "map.toml")


def imported(source: XesMap) -> tuple[list[dict[str, Any]], Report]:
    events: list[dict[str, Any]] = []
    return events, run_import(source, into(events))


def test_S60_an_event_becomes_the_event_that_the_mapping_says(tmp_path: Path) -> None:
    events, report = imported(importer(tmp_path, log(trace(CASE, [act("open", org__resource="R-2")]))))
    assert report.event_rows == {"ticket.opened": 1}
    assert events == [
        {
            "specversion": "1.0",
            "source": "desk",
            "id": "T1#1",
            "type": "ticket.opened",
            "time": AT,
            "data": {
                "who": [{"kind": "external", "value": "C-7", "namespace": "desk"}],
                "refs": [{"kind": "ticket", "value": "T1", "namespace": "desk"}],
                "actor": {"kind": "user", "code": "R-2"},
                "content": {"state": "open"},
            },
        }
    ]


def test_the_first_rule_that_fits_by_activity_step_and_attributes_counts(tmp_path: Path) -> None:
    acts = [
        act("close", kind="good", why="done"),
        act("close", kind="bad"),
        act("close", kind="good", lifecycle__transition="start"),
        act("close", kind="good", lifecycle__transition="complete"),
        act("open"),
        act("noise"),
        {"time:timestamp": text(AT, "date")},
    ]
    events, report = imported(importer(tmp_path, log(trace(CASE, acts))))
    assert [one["type"].partition(".")[2] for one in events] == [
        *("closed", "state_changed", "state_changed", "closed", "opened", "state_changed")
    ]
    assert events[0]["data"]["content"] == {"state": "close", "reason": "done"}
    assert report.refused == {"skipped": 1}


def test_an_activity_without_a_rule_is_refused(tmp_path: Path) -> None:
    mapping = MAPPING.replace('[[activity]]\ntype = "ticket.state_changed"\n', "")
    events, report = imported(importer(tmp_path, log(trace(CASE, [act("wait"), act("open")])), mapping))
    assert (len(events), report.refused) == (1, {"activity_unknown": 1})


@pytest.mark.parametrize(("prefix", "namespace"), [("", True), ("", False), ("xes:", True)])
def test_a_file_is_read_with_the_namespace_with_a_prefix_and_without(
    tmp_path: Path, prefix: str, namespace: bool
) -> None:
    content = log(trace(CASE, [act("open")], prefix), prefix=prefix, namespace=namespace)
    assert [one["id"] for one in imported(importer(tmp_path, content))[0]] == ["T1#1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "cp1252"])
def test_text_is_read_in_the_encoding_that_the_file_states(tmp_path: Path, encoding: str) -> None:
    content = log(trace(CASE, [act("Größe prüfen")])).replace("UTF-8", encoding).encode(encoding)
    events, _ = imported(importer(tmp_path, content))
    assert events[0]["data"]["content"]["state"] == "Größe prüfen"


def test_ties_stand_in_the_order_of_the_trace_a_microsecond_apart(tmp_path: Path) -> None:
    later = AT.replace("09:30:00", "09:30:00.000001")
    same = AT.replace("09:30", "08:30").replace("+01", "+00")
    acts = [act("a"), act("b"), act("c", same), act("d", later), act("e", AT.replace("09:", "07:"))]
    events, report = imported(importer(tmp_path, log(trace(CASE, acts))))
    times = [datetime.fromisoformat(one["time"]) for one in events]
    assert [(time - times[0]).microseconds for time in times[:4]] == [0, 1, 2, 3]
    assert times[4] < times[0]
    assert report.noted == {"tied_time": 2, "earlier_time": 1}
    kept = importer(tmp_path, log(trace(CASE, acts)), f'{MAPPING}\n[order]\nties = "keep"\n')
    assert [one["time"] for one in imported(kept)[0]][:2] == [AT, AT]
    assert imported(kept)[1].noted == report.noted


def test_copies_are_kept_or_folded_as_the_mapping_says(tmp_path: Path) -> None:
    content = log(trace(CASE, [act("open"), act("open"), act("open", org__resource="R-2"), act("open")]))
    events, report = imported(importer(tmp_path, content))
    assert [one["id"] for one in events] == ["T1#1", "T1#2", "T1#3", "T1#4"]
    assert report.noted == {"exact_copy": 1, "tied_time": 3}
    folding = importer(tmp_path, content, f'{MAPPING}\n[order]\ncopies = "fold"\n')
    events, report = imported(folding)
    assert [one["id"] for one in events] == ["T1#1", "T1#3", "T1#4"]
    assert (report.refused, report.noted) == ({"exact_copy": 1}, {"tied_time": 2})


def test_a_copy_in_the_next_trace_is_none(tmp_path: Path) -> None:
    content = log(trace(CASE, [act("open")]), trace({"concept:name": text("T2")}, [act("open")]))
    assert imported(importer(tmp_path, content))[1].noted == {}


def test_traces_with_one_name_keep_their_events_apart(tmp_path: Path) -> None:
    content = log(*[trace(CASE, [act("open"), act("close", "2025-04-01")]) for _ in range(3)])
    events, report = imported(importer(tmp_path, content))
    assert [one["id"] for one in events] == ["T1#1", "T1#2", "T1#1~2", "T1#2~2", "T1#1~3", "T1#2~3"]
    assert report.noted == {"trace_again": 4}


def test_an_id_without_the_position_needs_copies_to_be_folded(tmp_path: Path) -> None:
    mapping = MAPPING.replace("[event]\n", '[event]\nid = { attribute = "identity:id", position = false }\n')
    with pytest.raises(BadInput, match="two copies would have one name"):
        importer(tmp_path, log(), mapping)
    folding = importer(
        tmp_path, log(trace(CASE, [act("a", identity__id="e-9")])), f'{mapping}[order]\ncopies = "fold"'
    )
    assert [one["id"] for one in imported(folding)[0]] == ["e-9"]


def test_globals_stand_for_what_is_missing_but_never_for_a_time(tmp_path: Path) -> None:
    declared = (
        '<global scope="event"><string key="org:resource" value="R-0"/><string key="why" value="__INVALID__"/>'
        '<date key="time:timestamp" value="1970-01-01T00:00:00Z"/></global>'
        '<global scope="trace"><string key="customer" value="C-0"/></global>'
    )
    acts = [act("close", kind="good"), {"concept:name": text("open")}]
    content = log(declared, trace({"concept:name": text("T1")}, acts))
    events, report = imported(importer(tmp_path, content))
    assert (report.refused, report.noted) == ({"time": 1}, {"global_default": 1})
    assert events[0]["data"]["actor"]["code"] == "R-0"
    assert events[0]["data"]["who"][0]["value"] == "C-0"
    assert events[0]["data"]["content"] == {"state": "close"}
    without = importer(tmp_path, content, f"{MAPPING}\n[file]\nglobals = false\n")
    assert "actor" not in imported(without)[0][0]["data"]


@pytest.mark.parametrize(
    ("found", "rule", "expected"),
    [
        (text("3", "int"), 'attribute = "x", as = "integer"', 3),
        (text("1.5E-3", "float"), 'attribute = "x", as = "decimal"', "0.0015"),
        (text("NaN", "float"), 'attribute = "x", as = "decimal"', "number"),
        (text("true", "boolean"), 'attribute = "x", as = "boolean"', True),
        (Attribute("string", "out", (("in/ner", text("deep")),)), 'attribute = "x/in/ner"', "deep"),
        (Attribute("list", "", (("t", text("a")), ("t", text("b")))), 'attribute = "x", split = "\\n"', ["a", "b"]),
        (Attribute("list", "", (("t", text("a")), ("t", text("b")))), 'attribute = "x/t", split = "\\n"', ["a", "b"]),
        (Attribute("container", "", (("a", text("1", "int")),)), 'attribute = "x/a", as = "integer"', 1),
        (text(""), 'attribute = "x", required = true', "empty"),
        (text("z"), 'attribute = "x", values = { y = "Y" }', "value_unknown"),
    ],
)
def test_attributes_of_every_kind_become_values(tmp_path: Path, found: Attribute, rule: str, expected: Any) -> None:
    mapping = f'[event]\nsource = "s"\ncontent.field = {{ {rule} }}\n[[activity]]\ntype = "note.added"\n'
    content = log(trace({"concept:name": text("T1")}, [{**act("a"), "x": found}]))
    events, report = imported(importer(tmp_path, content, mapping))
    if report.refused:
        assert report.refused == {expected: 1}
    else:
        assert events[0]["data"]["content"] == {"field": expected}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (log(event(act("open"))), "no_trace"),
        (log(trace({}, [act("open")])), "id_missing"),
        (log(trace(CASE, [{"concept:name": text("open")}])), "time"),
        (log(trace(CASE, [act("open", "yesterday")])), "time"),
        (log(trace(CASE, [act("open", "0001-01-01T00:00:00+00:00")])), "time"),
        (log(trace(CASE, [act("open", "9999-12-31T23:59:59-01:00")])), "time"),
        (log(f"<trace>{event(act('open'))}<string key='concept:name' value='T1'/></trace>"), "id_missing"),
    ],
)
def test_S70_what_is_no_good_event_is_refused_with_a_reason(tmp_path: Path, content: str, code: str) -> None:
    good = trace({"concept:name": text("T2")}, [act("open")])
    events, report = imported(importer(tmp_path, content.replace("</log>", f"{good}</log>")))
    assert [one["id"] for one in events] == ["T2#1"]
    assert report.refused == {code: 1}
    assert report.rows_read == 2


@pytest.mark.parametrize("name", ["case:customer", "case:customer/number"])
def test_events_behind_a_late_attribute_of_their_trace_are_refused(tmp_path: Path, name: str) -> None:
    late = event(act("a")) + '<string key="customer" value="C-7"/><string key="other" value="x"/>' + event(act("b"))
    content = log(f'<trace><string key="concept:name" value="T1"/>{late}</trace>')
    events, report = imported(importer(tmp_path, content, MAPPING.replace("case:customer", name)))
    assert [one["id"] for one in events] == ["T1#1"]
    assert report.refused == {"attribute_late": 1}


def test_traces_without_a_name_go_by_file_and_number(tmp_path: Path) -> None:
    mapping = MAPPING.replace("[event]\n", '[event]\nid = { attribute = "@trace" }\n')
    content = log(trace({}, [act("open")]), event(act("open")), trace({}, [act("open")]))
    events, _ = imported(importer(tmp_path, content, mapping))
    assert [one["id"] for one in events] == ["in.xes:1#1", "in.xes:0#1", "in.xes:2#1"]


def test_attributes_that_no_event_has_are_told(tmp_path: Path) -> None:
    declared = '<global scope="event"><string key="kind" value="x"/></global>'
    source = importer(tmp_path, log(declared, trace(CASE, [act("open", why="y")])))
    imported(source)
    assert source.never_found() == ["org:resource"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("source = ", "sauce = "), r"event\.source: is missing"),
        (('kind = "ticket"', 'kind = "case"'), r"event\.refs\[0\]\.kind: is none of the words"),
        (
            ('state = { attribute = "concept:name" }', 'state = { attribute = "a", has = 1 }'),
            r"event\.content\.state",
        ),
        (('type = "ticket.opened"', ""), r"activity\[0\]\.type: is missing"),
    ],
)
def test_a_wrong_mapping_is_told_by_its_field(tmp_path: Path, wrong: tuple[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        importer(tmp_path, log(), MAPPING.replace(*wrong))


def test_the_published_schema_is_that_of_the_models_and_takes_the_mappings() -> None:
    published = msgspec.json.decode((DOCS / "xes-mapping.schema.json").read_bytes())
    assert published == xes_mapping_schema()
    jsonschema.Draft202012Validator.check_schema(published)
    for mapping in [MAPPING, (DOCS / "examples" / "helpdesk.toml").read_text("utf-8")]:
        jsonschema.validate(tomllib.loads(mapping), published)


def test_the_example_in_the_documents_imports_every_activity(tmp_path: Path) -> None:
    source = XesMap([DOCS / "examples" / "helpdesk.xes"], DOCS / "examples" / "helpdesk.toml")
    events, report = imported(source)
    assert (report.rows_read, report.refused, source.never_found()) == (24, {}, [])
    assert report.noted == {"exact_copy": 1, "tied_time": 2}
    known = {name for rule in read_xes_mapping(DOCS / "examples" / "helpdesk.toml").activity for name in rule.names}
    found = XesReader(DOCS / "examples" / "helpdesk.xes").events()
    assert {one.attributes["concept:name"].value for one in found} == known
    catalogue = load_catalogue()
    for one in events:
        read_event(parse_json(msgspec.json.encode(one)), catalogue)
        assert "who" not in one["data"]


def test_texts_that_were_met_are_known_up_to_a_stated_number() -> None:
    seen = Seen(most=4_096)
    assert [seen.times("a"), seen.times("b"), seen.times("a"), seen.times("a")] == [1, 1, 2, 3]
    assert {seen.times(str(number)) for number in range(3_000)} == {1}
    assert {seen.times(str(number)) for number in range(3_000)} == {2}
    assert {seen.times(f"x{number}") for number in range(2_000)} == {1}


_texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=12)
_keys = st.sampled_from(["a", "b/c", "time:timestamp", "concept:name", "ö", "<&'\">", ""])
_kinds = st.sampled_from(["string", "date", "int", "float", "boolean", "id"])
_leaves = st.tuples(_kinds, _texts).map(lambda made: text(made[1], made[0]))
_attributes = st.recursive(
    _leaves,
    lambda below: st.builds(
        lambda kind, value, nested: Attribute(kind, "" if kind in {"list", "container"} else value, tuple(nested)),
        st.sampled_from(["string", "list", "container"]),
        _texts,
        st.lists(st.tuples(_keys, below), max_size=3),
    ),
    max_leaves=6,
)
_known = st.dictionaries(_keys, _attributes, max_size=4)
_logs = st.lists(st.tuples(_known, st.lists(_known, max_size=4)), max_size=4)


@settings(max_examples=80, deadline=None)
@given(
    traces=_logs,
    form=st.sampled_from([("", True), ("", False), ("x:", True)]),
    ending=st.sampled_from([".xes", ".xes.gz"]),
)
def test_S60_whatever_is_written_is_read_back_exactly(
    traces: list[Any], form: tuple[str, bool], ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    prefix, namespace = form
    content = log(*[trace(known, events, prefix) for known, events in traces], prefix=prefix, namespace=namespace)
    reader = XesReader(write_xes(tmp_path_factory.mktemp("xes") / f"in{ending}", content))
    found = list(reader.events())
    assert reader.traces == len(traces)
    assert [one.attributes for one in found] == [one for _, events in traces for one in events]
    assert [one.trace.attributes for one in found if one.trace] == [known for known, events in traces for _ in events]
    assert [one.position for one in found] == [at for _, events in traces for at, _ in enumerate(events, 1)]
    assert [one.place.row for one in found] == list(range(1, len(found) + 1))
    assert all(one.trouble is None for one in found)


_times = st.sampled_from([AT, "2025-03-27T08:30:00Z", "2025-03-28", "", "never", "0001-01-01T00:00:00Z"])
_acts = st.builds(act, st.sampled_from(["open", "close", "noise", ""]), _times, why=_texts)


@settings(max_examples=80, deadline=None)
@given(
    traces=st.lists(
        st.tuples(st.sampled_from([CASE, {}, {"concept:name": text("T2")}]), st.lists(_acts, max_size=5)), max_size=5
    ),
    ties=st.sampled_from(["spread", "keep"]),
    copies=st.sampled_from(["keep", "fold"]),
)
def test_every_event_is_accounted_for_and_each_has_a_name_of_its_own(
    traces: list[Any], ties: str, copies: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    mapping = f'{MAPPING}\n[order]\nties = "{ties}"\ncopies = "{copies}"\n'
    content = log(*[trace(known, acts) for known, acts in traces])
    events, report = imported(importer(tmp_path_factory.mktemp("xes"), content, mapping))
    assert report.rows == report.rows_read == sum(len(acts) for _, acts in traces)
    assert len({one["id"] for one in events}) == len(events) == sum(report.events.values())
    assert sum(report.event_rows.values()) + sum(report.refused.values()) == report.rows
