"""How does an event of an XES file become an event of ours? By a mapping file of activities and attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from adapters.importing import Refusal, Step
from adapters.reading import digest_of, input_files
from adapters.seen import Seen
from adapters.values import RowRefused, content_of, data_of, text_of, time_of
from adapters.xes import Attribute, Attributes, Header, XesEvent, XesReader
from adapters.xes_mapping import CASE, TRACE, ActivityRule, IdRule, Mapping, Named, SkipRule, read_xes_mapping
from domain.errors import BadInput

__all__ = ["Neighbours", "XesMap", "find", "text_in"]

_TICK: Final = timedelta(microseconds=1)
_LARGEST_EXPONENT: Final = 40
_INVALID: Final = "__INVALID__"
"""What OpenXES writes into a global that has no default."""


class XesMap:
    """The importer of XES files (plain, gzipped, or folders of them) by a mapping; each event is a row."""

    name = "xes"

    def __init__(self, paths: Iterable[Path], mapping: Path) -> None:
        self.files = input_files(paths, (".xes", ".xes.gz"))
        self.mapping = read_xes_mapping(mapping)
        self.rows_read = 0
        self._digest_of_mapping = digest_of([mapping])
        self._named = set(_names(self.mapping))
        self._missing = set(self._named)

    def digest(self) -> str:
        return "-".join(["1", self._digest_of_mapping, *[digest_of([path]) for path in self.files]])

    def total(self) -> int | None:
        return None

    def steps(self) -> Iterator[Step]:
        self.rows_read = 0
        begun = Seen()
        for path in self.files:
            reader = XesReader(path)
            maker = _Maker(self.mapping, reader.header, begun, self._named, self._missing)
            for event in reader.events():
                self.rows_read += 1
                yield maker.step(event)

    def never_found(self) -> list[str]:
        """Attributes that the mapping names and no event had so far: words that are written wrongly, mostly."""
        return sorted(self._missing - {"lifecycle:transition"})


def _names(rule: Any) -> Iterator[str]:
    """All attributes that a mapping names, wherever it does."""
    if isinstance(rule, Named):
        yield from rule.names
    elif isinstance(rule, SkipRule):
        yield rule.attribute
    elif isinstance(rule, (BaseModel, dict, list)):
        if isinstance(rule, ActivityRule):
            yield from rule.when
        parts = rule.values() if isinstance(rule, dict) else rule
        for part in parts:
            yield from _names(part[1] if isinstance(rule, BaseModel) else part)


def find(attributes: Attributes, name: str) -> Attribute | None:
    """An attribute by its key, or by the keys on the way to one within another, with / between them."""
    found = attributes.get(name)
    if found is not None or "/" not in name:
        return found
    for place in range(len(name)):
        if name[place] == "/" and (outer := attributes.get(name[:place])) is not None:
            inner = [(key, one) for key, one in outer.nested if name[place + 1 :] == key]
            if len(inner) == 1:
                return inner[0][1]
            if inner:
                return Attribute("list", "", tuple(inner))
            return find(dict(outer.nested), name[place + 1 :])
    return None


def text_in(found: Attribute) -> str:
    """The text of an attribute; of a list or container its values, one a line."""
    if found.kind in {"list", "container"} and not found.value:
        return "\n".join(text for _, one in found.nested if (text := text_in(one)))
    if found.kind == "float" and "e" in found.value.lower():
        try:
            number = Decimal(found.value)
        except InvalidOperation:
            return found.value
        # 1e999999999 written out would fill the memory; no field takes so large a number either.
        if number.is_finite() and number.adjusted() <= _LARGEST_EXPONENT:
            return f"{number:.18f}".rstrip("0").rstrip(".")
    return found.value


class _View:
    """What a mapping reads of one event. `defaulted` says whether a global stood in for something."""

    def __init__(self, event: XesEvent, header: Header, globals_count: bool) -> None:
        self._event, self._header = event, header
        self._globals = globals_count
        self.defaulted = False

    def own(self, name: str) -> str:
        """The text of an attribute by its name, globals left aside."""
        event = self._event
        found = event.attributes.get(name) or find(event.attributes, name)
        if found is None and name.startswith(CASE) and event.trace is not None:
            found = find(event.trace.attributes, name[len(CASE) :])
        if found is not None:
            return found.value if found.kind == "string" else text_in(found)
        if name == TRACE:
            return f"{event.place.file}:{event.trace.number if event.trace is not None else 0}"
        return ""

    def read(self, name: str) -> str:
        """The text of an attribute by its name, or of the global that stands for it."""
        if text := self.own(name):
            return text
        if not self._globals or not (self._header.event_globals or self._header.trace_globals):
            return ""
        found = find(self._header.event_globals, name)
        if found is None and name.startswith(CASE) and self._event.trace is not None:
            found = find(self._header.trace_globals, name[len(CASE) :])
        text = text_in(found) if found is not None else ""
        if not text or text == _INVALID:
            return ""
        self.defaulted = True
        return text


class Near(NamedTuple):
    """An event's `time`, and how it stands to the one before it in its trace: a `copy` of it in every attribute, at
    a `tied` time, or `earlier`. `spread` is its time, a microsecond later for each tie before it."""

    time: datetime
    copy: bool
    tied: bool
    earlier: bool
    spread: datetime


class Neighbours:
    """Compares each event with the one before it in its trace. Holds one event."""

    def __init__(self) -> None:
        self._trace = 0
        self._attributes: Attributes | None = None
        self._time: datetime | None = None
        self._spread: datetime | None = None

    def copy(self, event: XesEvent) -> bool:
        """Whether the event is a copy of the one before; it is then the one before. Call it once for each event."""
        number = event.trace.number if event.trace is not None else 0
        if number != self._trace or not number:
            self._trace, self._attributes, self._time, self._spread = number, None, None, None
        copied = self._attributes == event.attributes
        self._attributes = event.attributes
        return copied

    def time(self, time: datetime, copied: bool) -> Near:
        """How the time of that event stands to the last good time of the trace."""
        before, spread = self._time, self._spread
        self._time, self._spread = time, time
        if before is None or spread is None:
            return Near(time, copied, False, False, time)
        if before <= time <= spread:
            self._spread = (spread + _TICK).astimezone(time.tzinfo)
        return Near(time, copied, time == before, time < before, self._spread)


class _Maker:
    """Makes steps out of the events of one file."""

    def __init__(self, mapping: Mapping, header: Header, begun: Seen, named: set[str], missing: set[str]) -> None:
        self._mapping, self._header, self._begun, self._missing = mapping, header, begun, missing
        self._near = Neighbours()
        keys = {name[len(CASE) :] for name in named if name.startswith(CASE)}
        self._of_trace = keys | {key.partition("/")[0] for key in keys}
        self._rules = [(rule, frozenset(rule.names), frozenset(rule.transitions)) for rule in mapping.activity]
        self._trace, self._part = 0, 1

    def step(self, event: XesEvent) -> Step:
        """What becomes of an event."""
        places = (event.place,)
        try:
            made, notes = self._event(event)
        except RowRefused as refused:
            return Step(places, None, refused.refusal)
        except BadInput as error:
            return Step(places, None, Refusal("bad", error.detail))
        return Step(places, made, notes=notes)

    def _event(self, event: XesEvent) -> tuple[dict[str, Any], tuple[str, ...]]:
        copied = self._near.copy(event)
        if event.trouble is not None:
            raise RowRefused(*event.trouble)
        if event.trace is not None and (late := event.trace.late & self._of_trace):
            reason = f"The trace's attribute {min(late)} stands behind its first event. Move it before its events."
            raise RowRefused("attribute_late", reason)
        view = _View(event, self._header, self._mapping.file.globals)
        if self._missing:
            self._missing -= {name for name in self._missing if view.read(name)}
            view.defaulted = False
        self._skip(view)
        if copied and self._mapping.order.copies == "fold":
            raise RowRefused("exact_copy", "It is a copy of the event before it, and the mapping folds copies.")
        rule = self._rule(view)
        near = self._near.time(self._time(view), copied)
        identity, part = self._id(self._mapping.event.id, event, view)
        notes = (
            *(["exact_copy"] if near.copy else []),
            *(["tied_time"] if near.tied else []),
            *(["earlier_time"] if near.earlier else []),
            *(["trace_again"] if part > 1 else []),
        )
        time = near.spread if self._mapping.order.ties == "spread" else near.time
        made = self._made(rule, view, identity, time)
        return made, (*notes, "global_default") if view.defaulted else notes

    def _made(self, rule: ActivityRule, view: _View, identity: str, time: datetime) -> dict[str, Any]:
        event = self._mapping.event
        data = data_of(event, view.read)
        if event.actor is not None and (code := text_of(event.actor, view.read)):
            data["actor"] = {"kind": event.actor.kind, "code": code}
        if rule.channel is not None:
            data["channel"] = rule.channel if isinstance(rule.channel, str) else text_of(rule.channel, view.read)
        data["content"] = content_of(rule.content, view.read)
        return {
            "specversion": "1.0",
            "source": event.source,
            "id": identity,
            "type": rule.type,
            "time": time.isoformat(),
            "data": data,
        }

    def _time(self, view: _View) -> datetime:
        """When it happened. A global never tells: a time that stands for none is made up."""
        time = time_of(self._mapping.event.time, view.own)
        if not 1900 <= time.year <= 2199:
            raise RowRefused("time", "The time is not between the years 1900 and 2199.")
        return time

    def _skip(self, view: _View) -> None:
        for number, rule in enumerate(self._mapping.skip, 1):
            value = view.read(rule.attribute).strip()
            if (rule.empty and not value) or value in rule.values:
                reason = f"Left out by rule {number} of the mapping, for its attribute {rule.attribute}."
                raise RowRefused("skipped", reason)

    def _rule(self, view: _View) -> ActivityRule:
        activity = text_of(self._mapping.event.activity, view.read) or ""
        transition = text_of(self._mapping.event.transition, view.read) or ""
        for rule, names, transitions in self._rules:
            if (
                (not names or activity in names)
                and (not transitions or transition in transitions)
                and all(view.read(name).strip() in values for name, values in rule.when.items())
            ):
                return rule
        raise RowRefused("activity_unknown", "No rule of the mapping is for its activity and life-cycle transition.")

    def _id(self, rule: IdRule, event: XesEvent, view: _View) -> tuple[str, int]:
        """The event's id, and how often a trace of this name was begun; more than once makes a part of the id."""
        texts = [view.own(name).strip() for name in rule.names]
        if not all(texts):
            if event.trace is None:
                raise RowRefused("no_trace", "It stands outside any trace, and the id takes something of its trace.")
            raise RowRefused("id_missing", f"{' or '.join(rule.names)} is empty, so the event has no name.")
        named = rule.join.join(texts)
        if not rule.position:
            return named, 1
        if event.trace is not None and event.trace.number != self._trace:
            self._trace, self._part = event.trace.number, self._begun.times(named)
        part = self._part if event.trace is not None else 1
        return f"{named}#{event.position}" + (f"~{part}" if part > 1 else ""), part
