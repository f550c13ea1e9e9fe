"""Does the mapping that `--inspect` proposes take in every event of files that nobody has seen before?"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.importing import Report, run_import
from adapters.xes import Attribute, Attributes
from adapters.xes_inspect import survey
from adapters.xes_map import XesMap
from adapters.xes_proposal import proposal, summary
from domain.catalogue import load_catalogue
from domain.event import parse_json, read_event
from storyline.cli import main
from tests.support.imports import into
from tests.support.xes import event, log, text, trace, write_xes

CATALOGUE = load_catalogue()


def date(value: str) -> Attribute:
    return text(value, "date")


def act(name: str, at: str = "2025-03-27T09:30:00.123+01:00", /, **more: Attribute) -> Attributes:
    return {"concept:name": text(name), "time:timestamp": date(at)} | {
        key.replace("__", ":"): one for key, one in more.items()
    }


def proposed(tmp_path: Path, content: str, name: str = "Log 1.xes") -> tuple[str, list[dict[str, Any]], Report]:
    """The mapping, the events that it makes, each of which passes the door, and the report."""
    path = write_xes(tmp_path / name, content)
    mapping = proposal(survey([path]))
    (tmp_path / "map.toml").write_text(mapping, "utf-8")
    events: list[dict[str, Any]] = []
    report = run_import(XesMap([path], tmp_path / "map.toml"), into(events))
    for one in events:
        read_event(parse_json(msgspec.json.encode(one)), CATALOGUE)
    return mapping, events, report


T1, T2 = ({"concept:name": text(name)} for name in ("T1", "T2"))
FLAT = {"case:concept:name": text("T1"), "activity": text("look"), "when": date("2025-01-01T00:00:00")}
SHAPES = {
    "plain": log(trace(T1, [act("Open"), act("wait"), act("Close ticket")]), trace(T2, [act("Open")])),
    "without namespaces": log(trace(T1, [act("a")]), namespace=False),
    "a prefix": log(trace(T1, [act("a")], "xes:"), prefix="xes:"),
    "life-cycle": log(
        trace(T1, [act("close", lifecycle__transition=text(step)) for step in ("schedule", "start", "complete")])
    ),
    "nested": log(trace(T1, [act("a", cost=Attribute("list", "", (("total", text("5.50", "float")),)))])),
    "globals": log(
        '<global scope="trace"><string key="concept:name" value="none"/></global>'
        '<global scope="event"><string key="org:resource" value="R0"/><string key="product" value="x"/></global>',
        trace(T1, [act("a"), {"time:timestamp": date("2025-01-01")}]),
    ),
    "no names": log(trace({}, [act("a"), act("b")]), trace({}, [act("a")])),
    "some names": log(trace(T1, [act("a")]), trace({"concept:name": text(" ")}, [act("a")])),
    "names that come again": log(trace(T1, [act("a")]), trace(T1, [act("b")])),
    "no activity": log(trace(T1, [{"time:timestamp": date("2025-01-01T00:00:00Z")}])),
    "activity by a classifier": log(
        '<classifier name="Activity" keys="task"/>',
        trace(T1, [{"task": text("look"), "at": date("2025-01-01T00:00:00Z"), "x": text("y")}]),
    ),
    "times of another form": log(trace(T1, [{"concept:name": text("a"), "start": text("27.03.2025 09:30")}])),
    "times of the trace": log(trace({**T1, "date": date("2025-01-01")}, [{"concept:name": text("a")}])),
    "outside any trace": log(event(act("a")), event(act("b"))),
    "in and outside traces": log(event(act("a")), trace(T1, [act("a")])),
    "a table of events": log(event(FLAT), event(FLAT)),
    "copies": log(trace(T1, [act("a")] * 3)),
    "long and odd texts": log(
        trace({"concept:name": text("ann@example.org")}, [act("a" * 300), act('say "hi" \\ \t§\x7f'), act("b@c")])
    ),
    "long case names": log(trace({"concept:name": text("x" * 600)}, [act("a")])),
    "odd resources": log(trace(T1, [act("a", org__resource=text("x" * 300)), act("b", org__resource=text("a\nb"))])),
    "people": log(
        trace({**T1, "customer_email": text("ann@example.org")}, [act("a", product=text("P" * 300))]),
        trace({**T2, "customer_email": text("null")}, [act("a", agent=text("tom@example.org"))]),
    ),
    "customers": log(trace({**T1, "Customer ID": text("C-4711")}, [act("a", product=text("P-1"))])),
    "masked customers": log(trace(T1, [act("a", customer=text("Value 1"), product=text("Value 1"))])),
    "odd keys": log(trace(T1, [act("a", **{'say "client" # \\': text("x"), "a\nclient": text("y")})])),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_S60_the_proposed_mapping_takes_in_every_event(tmp_path: Path, shape: str) -> None:
    content = SHAPES[shape]
    mapping, events, report = proposed(tmp_path, content)
    assert report.refused == {}, mapping
    assert len(events) == report.rows_read == content.count("event>") // 2
    assert len({one["id"] for one in events}) == len(events)


def test_activities_that_say_what_they_are_get_their_types(tmp_path: Path) -> None:
    names = ["Open", "Take in charge ticket", "Wait", "RESOLVED", "reopened", "Close the case", "Close window"]
    _, events, _ = proposed(tmp_path, log(trace(T1, [act(name) for name in names])))
    assert [one["type"].partition(".")[2] for one in events] == [
        *("opened", "assigned", "state_changed", "resolved", "reopened", "closed", "state_changed")
    ]
    assert [one["data"]["content"]["state"] for one in events] == names


def test_only_the_completing_step_of_an_activity_is_the_thing_itself(tmp_path: Path) -> None:
    _, events, _ = proposed(tmp_path, SHAPES["life-cycle"])
    assert [one["type"] for one in events] == ["ticket.state_changed", "ticket.state_changed", "ticket.closed"]
    assert events[0]["data"]["content"] == {"state": "close+schedule"}


def test_whom_it_is_about_is_guessed_with_care(tmp_path: Path) -> None:
    people = proposed(tmp_path, SHAPES["people"])[1]
    assert people[0]["data"]["who"] == [{"kind": "email", "value": "ann@example.org"}]
    assert "actor" not in people[1]["data"]
    customers = proposed(tmp_path, SHAPES["customers"])[1][0]["data"]
    assert customers["who"] == [{"kind": "external", "value": "C-4711", "namespace": "log-1"}]
    masked = proposed(tmp_path, SHAPES["masked customers"])[1][0]["data"]
    assert "who" not in masked
    assert [(one["kind"], one["value"]) for one in masked["refs"]] == [
        *(("ticket", "T1"), ("organisation", "Value 1"), ("product", "Value 1"))
    ]


def test_what_may_be_personal_stands_in_no_clear_part_of_an_event(tmp_path: Path) -> None:
    _, events, _ = proposed(tmp_path, SHAPES["long and odd texts"])
    for one in events:
        read = read_event(parse_json(msgspec.json.encode(one)), CATALOGUE)
        assert "@" not in str([read.refs, read.actor, read.public, read.channel])


def test_the_survey_counts_and_names_no_values_but_activities_and_steps(tmp_path: Path) -> None:
    acts = [act("look", org__resource=text("secret")), act("look", org__resource=text("secret")), act("see", "2024")]
    path = write_xes(tmp_path / "in.xes", log(trace({**T1, "who": text("secret")}, acts)))
    told = "\n".join(summary(survey([path])))
    assert "1 traces, 3 events" in told
    assert "1 exact copies, 1 at the same time" in told
    assert "org:resource (string): 2, 1 values" in told
    assert "2 look" in told
    assert "secret" not in told
    assert "secret" not in proposal(survey([path]))


def test_activities_that_hold_addresses_are_not_told(tmp_path: Path) -> None:
    path = write_xes(tmp_path / "in.xes", log(trace({"concept:name": text("1")}, [act("mail to ada@example.org")])))
    found = survey([path])
    told = "\n".join(summary(found)) + proposal(found) + json.dumps(found.as_dict())
    assert "ada@" not in told
    assert "Values of concept:name are not told" in told


def test_a_survey_keeps_a_bounded_number_of_values_and_attributes(tmp_path: Path) -> None:
    acts = [act(f"a{number}", **{f"key{number}": text("x" * 5_000)}) for number in range(700)]
    found = survey([write_xes(tmp_path / "in.xes", log(trace(T1, acts)))])
    assert len(found.attributes) == 200
    assert found.more_attributes
    assert len(found.attributes["concept:name"].values) == 500
    assert "more than 500 values" in "\n".join(summary(found))
    assert all(len(value) <= 200 for facts in found.attributes.values() for value in facts.values)


_texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cn", "Co"], exclude_characters="\ufffe\uffff")
)
_texts = _texts.map(lambda made: "".join(one for one in made if one >= " " or one in "\t\n"))
_acts = st.builds(
    lambda known, at: known | {"time:timestamp": date(at)},
    st.dictionaries(
        st.sampled_from(["concept:name", "customer", "org:resource", "lifecycle:transition", "product", "ö\n#"]),
        st.one_of(_texts, st.sampled_from(["close", "a@b", "x" * 150, "y" * 250])).map(text),
    ),
    st.sampled_from(["2025-03-27T09:30:00+01:00", "2025-03-27 09:30:00", "2025-03-27"]),
)
_cases = st.dictionaries(st.sampled_from(["concept:name", "client", "date"]), _texts.map(text))


@settings(max_examples=60, deadline=None)
@given(traces=st.lists(st.tuples(_cases, st.lists(_acts, min_size=1, max_size=4)), min_size=1, max_size=4))
def test_whatever_the_attributes_hold_every_event_with_a_time_goes_in(
    traces: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = log(*[trace(known, acts) for known, acts in traces])
    mapping, events, report = proposed(tmp_path_factory.mktemp("xes"), content)
    assert report.refused == {}, mapping
    assert len(events) == sum(len(acts) for _, acts in traces)
    assert len({one["id"] for one in events}) == len(events)


def command(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `storyline import xes …`."""
    with pytest.raises(SystemExit) as done:
        main(["import", "xes", *words])
    out, err = capfd.readouterr()
    return int(done.value.code or 0), out, err


def test_the_command_proposes_writes_and_never_writes_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(write_xes(tmp_path / "desk.xes.gz", SHAPES["plain"]))
    kept = tmp_path / "map.toml"
    _, told, _ = command(capfd, path, "--inspect")
    assert tomllib.loads(told)["event"]["source"] == "desk"
    code, first, _ = command(capfd, path, "--inspect", "--output", str(kept))
    assert (code, "2 traces, 4 events" in first) == (0, True)
    assert kept.read_text("utf-8") == told
    code, _, again = command(capfd, path, "--inspect", "--output", str(kept))
    assert (code, "is there already" in again) == (3, True)
    _, shown, _ = command(capfd, path, "--map", str(kept), "--preview")
    assert msgspec.json.decode(shown.splitlines()[0])["event"]["type"] == "ticket.opened"
    assert msgspec.json.decode(command(capfd, path, "--inspect", "--json")[1])["events"] == 4
    assert command(capfd, path)[0] == 2
