"""What is in an XES file that nobody here has seen before? Counts, and which attributes say what; in bounded memory.

Of each attribute a bounded number of distinct values is kept, of a file a bounded number of attributes. The survey
names activities and transitions; of all other attributes it tells counts and no values, which may be personal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from adapters.reading import input_files
from adapters.seen import Seen
from adapters.xes import Attribute, Attributes, Header, XesEvent, XesReader
from adapters.xes_map import Neighbours, text_in
from adapters.xes_mapping import CASE

__all__ = ["FORMATS", "Facts", "Survey", "survey"]

MOST_ATTRIBUTES: Final = 200
MOST_VALUES: Final = 500
_LONGEST_VALUE: Final = 200
_LONGEST_KEY: Final = 200

FORMATS: Final = (
    "",
    "%Y/%m/%d %H:%M:%S.%f",
    "%Y/%m/%d %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
)
"""Forms of times that are tried; "" is ISO 8601."""
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass
class Facts:
    """What is known of one attribute. `present` counts where it is not blank, `values` at most `MOST_VALUES` distinct
    ones, `more` whether there are others; `times` those that are times, by their form; `changes` the traces in which
    an event has another value than the first one that had any."""

    present: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    more: bool = False
    longest: int = 0
    controls: bool = False
    addresses: int = 0
    times: Counter[str] = field(default_factory=Counter)
    naive: int = 0
    first: datetime | None = None
    last: datetime | None = None
    changes: int = 0

    def add(self, kind: str, text: str) -> None:
        """Count one value."""
        self.kinds[kind] += 1
        text = text.strip()
        if not text:
            return
        self.present += 1
        if text in self.values or len(self.values) < MOST_VALUES:
            if len(text) <= _LONGEST_VALUE:
                self.values[text] += 1
            else:
                self.more = True
        else:
            self.more = True
        self.longest = max(self.longest, len(text))
        self.controls = self.controls or _CONTROLS.search(text) is not None
        self.addresses += "@" in text
        if kind in {"date", "string"} and text[0].isdigit() and len(text) <= 64:
            self._add_time(text)

    def _add_time(self, text: str) -> None:
        for form in FORMATS:
            try:
                time = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007
            except ValueError:
                continue
            if 1900 <= time.year <= 2199 and (form or text[4:5] == "-"):
                self.times[form] += 1
                self.naive += time.tzinfo is None
                time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
                self.first = min(self.first or time, time)
                self.last = max(self.last or time, time)
            return

    @property
    def distinct(self) -> str:
        """How many distinct values there are."""
        return f"more than {len(self.values):,}" if self.more else f"{len(self.values):,}"


@dataclass
class Survey:
    """What is in the files. `attributes` are those of events by key, those of traces after `case:`, those within
    others after their key and a /; `troubles` counts events that no mapping can take, by code. `outside_named` are
    the events outside any trace that name their case in an attribute, as tables of events have it."""

    files: list[Path]
    headers: list[Header] = field(default_factory=list)
    traces: int = 0
    traces_again: int = 0
    traces_unnamed: int = 0
    events: int = 0
    outside: int = 0
    outside_named: int = 0
    copies: int = 0
    ties: int = 0
    earlier: int = 0
    attributes: dict[str, Facts] = field(default_factory=dict)
    more_attributes: bool = False
    troubles: Counter[str] = field(default_factory=Counter)

    def facts(self, key: str) -> Facts | None:
        """The facts of an attribute, made if there is still room for it."""
        known = self.attributes.get(key)
        if known is None:
            if len(self.attributes) >= MOST_ATTRIBUTES or len(key) > _LONGEST_KEY:
                self.more_attributes = True
                return None
            known = self.attributes[key] = Facts()
        return known

    def as_dict(self) -> dict[str, Any]:
        """The survey as JSON shows it; values stand there of activities and transitions alone."""
        shown = {
            key: {
                "present": facts.present,
                "types": dict(facts.kinds),
                "distinct": len(facts.values),
                "more": facts.more,
                "changes_within_traces": facts.changes,
            }
            for key, facts in self.attributes.items()
        }
        named = {
            name: dict(facts.values.most_common()) if not facts.addresses else {}
            for name, key in (("activities", "concept:name"), ("transitions", "lifecycle:transition"))
            for facts in [self.attributes.get(key, Facts())]
        }
        counts = ("traces", "traces_again", "traces_unnamed", "events", "outside", "copies", "ties", "earlier")
        return {
            **{name: getattr(self, name) for name in counts},
            "refused": dict(self.troubles),
            **named,
            "attributes": shown,
            "more_attributes": self.more_attributes,
        }


def survey(paths: Iterable[Path]) -> Survey:
    """Read XES files (or folders of them) once. BadInput where one can be read no further."""
    found = Survey(input_files(paths, (".xes", ".xes.gz")))
    named = Seen()
    for path in found.files:
        reader = XesReader(path)
        _Course(found, named).read(reader)
        found.traces += reader.traces
        found.headers.append(reader.header)
    return found


class _Course:
    """The reading of one file."""

    def __init__(self, found: Survey, named: Seen) -> None:
        self._found, self._named = found, named
        self._near = Neighbours()
        self._timed: str | None = None
        self._trace = 0
        self._firsts: dict[str, str] = {}
        self._changed: set[str] = set()

    def read(self, reader: XesReader) -> None:
        for event in reader.events():
            self._found.events += 1
            if event.trouble is not None:
                self._found.troubles[event.trouble[0]] += 1
                continue
            if event.trace is None:
                self._found.outside += 1
                self._found.outside_named += _is_named(event.attributes.get(f"{CASE}concept:name"))
            elif event.trace.number != self._trace:
                self._begin(event.trace.number, event.trace.attributes)
            self._add(event)
            self._compare(event)

    def _begin(self, number: int, attributes: Attributes) -> None:
        self._trace, self._firsts, self._changed = number, {}, set()
        for key, one in attributes.items():
            for name, kind, text in _flat(key, one):
                if facts := self._found.facts(CASE + name):
                    facts.add(kind, text)
        named = attributes.get("concept:name")
        if named is None or not _is_named(named):
            self._found.traces_unnamed += 1
        elif self._named.times(named.value.strip()) > 1:
            self._found.traces_again += 1

    def _add(self, event: XesEvent) -> None:
        for key, one in event.attributes.items():
            for name, kind, text in _flat(key, one):
                facts = self._found.facts(name)
                if facts is None:
                    continue
                facts.add(kind, text)
                short = text[:_LONGEST_VALUE]
                if self._firsts.setdefault(name, short) != short and name not in self._changed:
                    self._changed.add(name)
                    facts.changes += event.trace is not None

    def _compare(self, event: XesEvent) -> None:
        """Count copies and ties, by the attribute that is the time of most logs, or else the first that is a date."""
        copied = self._near.copy(event)
        self._found.copies += copied
        if self._timed is None:
            dates = [key for key, one in event.attributes.items() if one.kind == "date"]
            self._timed = "time:timestamp" if "time:timestamp" in dates else min(dates, default=None)
        one = event.attributes.get(self._timed) if self._timed is not None else None
        try:
            time = datetime.fromisoformat(one.value.strip()) if one is not None else None
        except ValueError:
            return
        if time is not None and 1900 <= time.year <= 2199:
            near = self._near.time(time if time.tzinfo is not None else time.replace(tzinfo=UTC), copied)
            self._found.ties += near.tied
            self._found.earlier += near.earlier


def _is_named(one: Attribute | None) -> bool:
    return one is not None and bool(one.value.strip())


def _flat(key: str, one: Attribute, depth: int = 3) -> Iterator[tuple[str, str, str]]:
    """(name, type, text) of an attribute and of those within it."""
    yield key, one.kind, text_in(one)
    if depth:
        for inner, below in one.nested:
            yield from _flat(f"{key}/{inner}", below, depth - 1)
