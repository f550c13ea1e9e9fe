"""Is a configuration file read as it was meant, and do guide, example and schema say the same as the code?"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from domain.catalogue import load_catalogue
from domain.configuration import builtin_configuration, configuration_schema
from domain.configuration.automation import FIELDS
from domain.errors import BadInput, Misconfigured
from storyline.cli import main
from storyline.configuration import MAX_BYTES, as_yaml, load_configuration, plain_yaml, read_yaml

DOCS = Path(__file__).parent.parent / "docs"
GUIDE = (DOCS / "configuration.md").read_text("utf-8")
EXAMPLE = DOCS / "examples/configuration.yaml"
CATALOGUE = load_catalogue()
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


def refused(text: str | bytes) -> str:
    with pytest.raises(BadInput) as caught:
        read_yaml(text.encode() if isinstance(text, str) else text, CATALOGUE)
    [problem] = caught.value.problems
    return f"{problem.field}: {problem.trouble}"


def told(capfd: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["configuration", *argv])
    out, err = capfd.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize("block", BLOCKS, ids=[str(one.splitlines()[1]) for one in BLOCKS])
def test_each_example_of_the_guide_is_a_configuration(block: str) -> None:
    read_yaml(block.encode(), CATALOGUE)


def test_the_guide_has_an_example_of_each_section() -> None:
    sections = set(configuration_schema()["properties"]) - {"version", "pipeline"}
    shown = {name for block in BLOCKS for name in plain_yaml(block.encode())[0]}
    assert sections <= shown | {"teams"} and {"teams", *sections} <= set(plain_yaml(EXAMPLE.read_bytes())[0])


def test_the_guide_names_everything_that_a_condition_can_ask_for() -> None:
    for kind, names in FIELDS.items():
        [row] = [line for line in GUIDE.splitlines() if line.startswith(f"| `{kind}.` |")]
        assert set(re.findall(r"`([a-z_]+)`", row.partition(" | ")[2])) == set(names)


def test_the_published_schema_is_that_of_the_models_and_takes_the_example() -> None:
    published = msgspec.json.decode((DOCS / "configuration.schema.json").read_bytes())
    assert published == configuration_schema()
    jsonschema.Draft202012Validator.check_schema(published)
    for text in [EXAMPLE.read_bytes(), *[one.encode() for one in BLOCKS], as_yaml(builtin_configuration()).encode()]:
        plain = msgspec.json.decode(msgspec.json.encode(plain_yaml(text)[0]))  # days as an editor sees them
        jsonschema.validate(plain, published)


def test_the_schema_refuses_what_is_misspelt() -> None:
    wrong: dict[str, Any]
    for wrong in ({"pipline": {}}, {"pipelines": {"a": {"stages": [{"code": "A B"}]}}}, {"version": 2}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"version": 1, **wrong}, configuration_schema())


def test_what_is_in_force_can_be_written_and_read_again() -> None:
    for rules in (builtin_configuration(), read_yaml(EXAMPLE.read_bytes(), CATALOGUE)):
        assert read_yaml(as_yaml(rules).encode(), CATALOGUE) == rules


def test_words_of_yaml_1_1_are_texts_and_days_are_days() -> None:
    plain, lines = plain_yaml(
        b"on: off\ncountry: NO\nis: =\nat: 12:30\nyes: [y, 2026-12-24, true, ~, 1_0, 0o7, 07]\n"
    )
    assert plain == {
        "on": "off", "country": "NO", "is": "=", "at": "12:30",
        "yes": ["y", date(2026, 12, 24), True, None, "1_0", "0o7", 7],
    }  # fmt: skip
    assert lines["yes", 4] == 5


def test_numbers_are_numbers() -> None:
    plain, _ = plain_yaml(b"[1, -2, +3, 0.5, .5, 1e3, -1.5e-3, '1']")
    assert plain == [1, -2, 3, 0.5, 0.5, 1000.0, -0.0015, "1"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("version: 1\npipelines:\n  a: {}\n  a: {}\n", "pipelines.a: stands here twice (line 4)."),
        ("version: 1\nteams: [\n", "is no YAML on line 3"),
        ("version: 1\n\tteams: []\n", "use spaces instead of tabs"),
        ("version: 1\n---\nversion: 1\n", "is no YAML on line 2: but found another document"),
        ("version: 1\nteams: !!python/object:os.system [x]\n", "teams: is nothing that can be read (line 2)."),
        ("version: 1\nteams: !!str {a: b}\n", "teams: is nothing that can be read (line 2)."),
        ("version: 1\nteams: !!binary aGk=\n", "is nothing that can be read (line 2)."),
        ("version: 1\nteams: [*nobody]\n", "is no YAML on line 2: found undefined alias"),
        ("version: 1\n5: x\n", "configuration: has a name that is no text (line 2); put it in quotes."),
        ("version: 1\n? [a]\n: x\n", "configuration: has a name that is no text (line 2)"),
        ("version: 1\nday: 2026-02-30\n", "day: is nothing that can be read (line 2)."),
        (f"version: {'9' * 5000}\n", "version: is nothing that can be read (line 1)."),
        ("version: 1\nteams: &a [*a]\n", "is more than anybody means to write (line 2)"),
        ("[" * 2000, "is n"),
        (f"version: 1\nroles: {'[' * 100}{']' * 100}\n", "is more than anybody means to write (line 2)"),
        ("version: 1\x00", "holds characters that no YAML has."),
        (b"version: 1\nteams: [\xff]\n", "is not written in UTF-8."),
        ("#" * (MAX_BYTES + 1), "is larger than 1 MB."),
        ("", "is no mapping."),
        ("- version: 1\n", "is no mapping."),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str | bytes, sentence: str) -> None:
    assert sentence in refused(text)


def test_a_bomb_of_references_does_not_go_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "is more than anybody means to write" in refused("\n".join(lines))


def test_a_reference_that_is_used_twice_is_read_twice() -> None:
    plain, _ = plain_yaml(b"mon: &day ['09:00-17:00']\ntue: *day\n")
    assert plain == {"mon": ["09:00-17:00"], "tue": ["09:00-17:00"]}


def test_without_a_file_the_built_in_one_holds_and_a_wrong_one_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    assert load_configuration(None, CATALOGUE) == builtin_configuration()
    assert "enrolments" in load_configuration(EXAMPLE, CATALOGUE).pipelines
    with pytest.raises(Misconfigured, match="STORYLINE_CONFIGURATION names a file that cannot be read"):
        load_configuration(tmp_path / "none.yaml", CATALOGUE)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 1\nteam: x\nrole: y\n", "utf-8")
    with pytest.raises(Misconfigured, match=r"wrong\.yaml: team: .*did you mean teams\? \(line 2\).*and 1 more"):
        load_configuration(wrong, CATALOGUE)


def test_the_command_line_tells_all_that_is_wrong(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORYLINE_CONFIGURATION", raising=False)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 1\nteam: x\nrole: y\n", "utf-8")
    code, out, _ = told(capfd, "check", str(wrong))
    assert (code, out.splitlines()) == (
        3,
        [
            "team: is not known here; did you mean teams? (line 2)",
            "role: is not known here; did you mean roles? (line 3)",
        ],
    )
    code, out, _ = told(capfd, "check", str(wrong), "--json")
    first: Any = msgspec.json.decode(out.splitlines()[0])
    assert (code, first["field"]) == (3, "team")
    code, _, err = told(capfd, "check", str(tmp_path / "none.yaml"))
    assert (code, "cannot be read" in err) == (3, True)


def test_the_command_line_says_what_is_right_and_what_is_in_force(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = told(capfd, "check", str(EXAMPLE))
    assert (code, out.startswith("configuration.yaml is right: pipelines 2, states 6")) == (0, True)
    assert msgspec.json.decode(told(capfd, "check", str(EXAMPLE), "--json")[1])["automation"] == 4
    monkeypatch.setenv("STORYLINE_CONFIGURATION", str(EXAMPLE))
    code, out, _ = told(capfd, "show")
    assert (code, read_yaml(out.encode(), CATALOGUE)) == (0, read_yaml(EXAMPLE.read_bytes(), CATALOGUE))
    assert msgspec.json.decode(told(capfd, "schema")[1]) == configuration_schema()
