"""How is a person told what is wrong with a configuration? Where, on which line, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from domain.configuration.base import CODE, Path, Wrong
from domain.errors import Problem

__all__ = ["found_in", "path_of", "problems_of", "told_at"]

_WAY_OUT = "See docs/configuration.md."


def problems_of(error: ValidationError, lines: Mapping[Path, int], way_out: str = _WAY_OUT) -> list[Problem]:
    """What pydantic found, in the order of the file. lines: the line of each path, if there is a file. way_out: what
    ends each problem."""
    found = found_in(error)
    found.sort(key=lambda one: _line(one[0], lines) or 0)
    return [told_at(path, told, lines, way_out) for path, told in found]


def found_in(error: ValidationError) -> list[tuple[Path, str]]:
    """What pydantic found: where, and a sentence without its full stop."""
    return [one for detail in error.errors(include_url=False) for one in _found(detail)]


def told_at(path: Path, told: str, lines: Mapping[Path, int], way_out: str = _WAY_OUT) -> Problem:
    """A problem at a path, with the line of what stands there, or of what it would stand in."""
    line = _line(path, lines)
    where = f" (line {line})" if line is not None else ""
    return Problem(path_of(path), f"{told.rstrip('.')}{where}{'' if told.endswith('?') else '.'}", way_out)


def path_of(path: Path) -> str:
    """A path as it is written: `pipelines.sales.stages[1].requires[0]`."""
    told = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return told.lstrip(".") or "configuration"


def _line(path: Path, lines: Mapping[Path, int]) -> int | None:
    return next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), None)


def _found(detail: ErrorDetails) -> Iterator[tuple[Path, str]]:
    path: Path = tuple(part for part in detail["loc"] if part != "[key]")
    wrong = detail.get("ctx", {}).get("error")
    if isinstance(wrong, Wrong):
        yield from ((path + further, told) for further, told in wrong.found)
    else:
        yield path, _sentence(detail)


def _sentence(detail: ErrorDetails) -> str:  # noqa: PLR0912 - a table
    context: Mapping[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "is missing"
        case "literal_error":
            return f"is none of {context['expected'].replace(' or ', ', ')}"
        case "string_pattern_mismatch" if context["pattern"] == CODE:
            return "is no code; write small letters, digits, `_`, `.` and `-`, with a letter or digit first"
        case "string_type":
            return "is no text; put it in quotes"
        case "list_type":
            return "is no list; begin each entry with `- `, or write [one, another]"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "is no mapping; write names with their values, one a line"
        case "bool_type" | "bool_parsing":
            return "is neither true nor false"
        case "float_type" | "float_parsing" | "int_type" | "int_parsing":
            return "is no number"
        case "date_type" | "date_parsing" | "date_from_datetime_parsing" | "date_from_datetime_inexact":
            return "is no day; write it as 2026-12-24"
        case "too_short" | "string_too_short":
            return f"has too little in it; at least {context['min_length']}"
        case "too_long" | "string_too_long":
            return f"has too much in it; at most {context['max_length']}"
        case "value_error":
            return str(context["error"])
        case "recursion_loop":
            return "is nested too deeply"
        case _:
            return f"is not right: {detail['msg'].replace('Input should', 'it should')}"
