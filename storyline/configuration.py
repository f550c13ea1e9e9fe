"""How does the deployment want its deals and tickets? A YAML file that the settings name; see docs/configuration.md.

YAML is read as its version 1.2 has it, so that `on:` is a name, NO is Norway and 12:30 is no number. What cannot be
meant is refused with its line: a name that stands twice, a reference to itself, more than a person would write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import yaml

from domain.catalogue.registry import Catalogue
from domain.configuration import Configuration, builtin_configuration, read_configuration
from domain.configuration.base import Path as Place
from domain.configuration.base import Setting, meant
from domain.configuration.wording import path_of, told_at
from domain.errors import BadInput, Misconfigured, Problem

__all__ = ["MAX_BYTES", "as_yaml", "load_configuration", "plain_yaml", "read_yaml"]

MAX_BYTES: Final = 2**20
_MAX_VALUES: Final = 100_000
_MAX_DEPTH: Final = 60
_WAY_OUT: Final = "See docs/configuration.md."
_TAG: Final = "tag:yaml.org,2002:"
_DATE, _MAP, _LIST = f"{_TAG}timestamp", f"{_TAG}map", f"{_TAG}seq"


class _Loader(yaml.SafeLoader):
    """The safe loader, with the plain values of YAML 1.2, and days."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as the base has it


for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("timestamp", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "0123456789"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), [*_first, ""])


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads; what YAML 1.1 takes for something else is put in quotes, for other readers."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as the base has it
        return True


def load_configuration(path: Path | None, catalogue: Catalogue) -> Configuration:
    """The configuration of a file, or the built-in one. Raises Misconfigured, with the file and its first problem."""
    if path is None:
        return builtin_configuration()
    try:
        return read_yaml(path.read_bytes(), catalogue)
    except OSError:
        raise Misconfigured("STORYLINE_CONFIGURATION names a file that cannot be read; see who may.") from None
    except BadInput as error:
        told = f"{path.name}: {error.detail} `storyline configuration check` lists all that is wrong."
        raise Misconfigured(told) from None


def read_yaml(text: bytes, catalogue: Catalogue) -> Configuration:
    """The configuration that a YAML text describes. Raises BadInput with all its problems, each with path and line.

    catalogue: which types of events there are, so that no rule waits for one that never comes.
    """
    plain, lines = plain_yaml(text)
    rules = read_configuration(plain, lines)
    types = [one.name for one in catalogue]
    problems = [
        told_at(("automation", index, "on", number), f"is no type of event; {meant(name, types)}", lines)
        for index, rule in enumerate(rules.automation)
        for number, name in enumerate(rule.on)
        if name not in catalogue
    ]
    if problems:
        raise BadInput(problems)
    return rules


def plain_yaml(text: bytes) -> tuple[Any, dict[Place, int]]:
    """The plain values of a YAML text, and the line of each path. Raises BadInput."""
    return _Reading(text).read()


def as_yaml(rules: Configuration) -> str:
    """A configuration as YAML, without what is as it is by default in each of its parts."""
    plain = rules.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    pipelines = {code: _plain(one) for code, one in rules.pipelines.items()}
    whole = {"version": 1, **plain, "pipelines": pipelines, "tickets": _plain(rules.tickets)}
    return yaml.dump(whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _plain(part: Setting) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class _Reading:
    """One text on its way to plain values, with the line of each."""

    def __init__(self, text: bytes) -> None:
        self._text, self._lines, self._values = text, dict[Place, int](), 0

    def read(self) -> tuple[Any, dict[Place, int]]:
        if len(self._text) > MAX_BYTES:
            raise _bad(f"is larger than {MAX_BYTES // 2**20} MB.")
        try:
            node = yaml.compose(self._text.decode("utf-8-sig"), _Loader)
        except UnicodeDecodeError:
            raise _bad("is not written in UTF-8.") from None
        except yaml.MarkedYAMLError as error:
            raise _bad(_not_yaml(error)) from None
        except yaml.YAMLError:
            raise _bad("holds characters that no YAML has.") from None
        except RecursionError:
            raise _bad("is nested too deeply.") from None
        return (None if node is None else self._plain(node, ())), self._lines

    def _plain(self, node: yaml.Node, place: Place) -> Any:
        self._lines.setdefault(place, node.start_mark.line + 1)
        self._values += 1
        if self._values > _MAX_VALUES or len(place) > _MAX_DEPTH:
            raise _bad(f"is more than anybody means to write{_at(node)}; see what `*` refers to there.")
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return dict(self._entries(node, place))
        if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
            return [self._plain(one, (*place, index)) for index, one in enumerate(node.value)]
        return self._scalar(node, place)

    def _entries(self, node: yaml.MappingNode, place: Place) -> Iterator[tuple[Any, Any]]:
        known = set()
        for key, value in node.value:
            name = self._scalar(key, place) if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str | date):
                told = f"has a name that is no text{_at(key)}; put it in quotes."
                raise BadInput([Problem(path_of(place), told, _WAY_OUT)])
            below = (*place, str(name))
            if name in known:
                raise BadInput([Problem(path_of(below), f"stands here twice{_at(key)}.", "Write it once.")])
            known.add(name)
            self._lines[below] = key.start_mark.line + 1
            yield name, self._plain(value, below)

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        kinds = {"str", "int", "float", "bool", "null", "timestamp"}
        try:
            if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(_TAG) in kinds:
                return date.fromisoformat(node.value) if node.tag == _DATE else _made(node)
        except ValueError:
            pass
        raise BadInput([Problem(path_of(place), f"is nothing that can be read{_at(node)}.", "Put it in quotes.")])


def _made(node: yaml.Node) -> Any:
    kind = node.tag.rpartition(":")[2]
    if kind == "bool":
        return node.value.lower() == "true"
    makers: dict[str, Any] = {"str": str, "int": int, "float": float, "null": lambda _: None}
    return makers[kind](node.value)


def _bad(trouble: str) -> BadInput:
    return BadInput([Problem("configuration", trouble, _WAY_OUT)])


def _at(node: yaml.Node) -> str:
    return f" (line {node.start_mark.line + 1})"


def _not_yaml(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f" on line {mark.line + 1}" if mark else ""
    told = f"{error.problem or error.context}"
    if "cannot start any token" in told:
        told = "a character that begins nothing; use spaces instead of tabs, and quotes around text"
    return f"is no YAML{where}: {told}."
