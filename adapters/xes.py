"""How is an XES file (IEEE 1849) read, plain or gzipped, of any size, in bounded memory and safely?

The file goes through expat in chunks, and an event is passed on as soon as it is closed; no trace is ever held. A
document type is refused before anything in it is read, so there are no entities: none to expand, none to fetch. What
is too large in one event costs that event. What expat itself would keep (an endless tag, endless depth, ever new
names of elements) ends the reading, and so does what is no well-formed XML: `BadInput` with file and line, after all
events that were closed before it.

XES files come with the namespace of the standard, with a prefix, or without: elements count by their local names.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from xml.parsers import expat

from adapters.reading import Place, open_binary
from domain.errors import BadInput, Problem

__all__ = [
    "MAX_DEPTH",
    "MAX_ITEM",
    "MAX_TAG",
    "Attribute",
    "Attributes",
    "Header",
    "XesEvent",
    "XesReader",
    "XesTrace",
]

MAX_TAG: Final = 2 * 2**20
"""Longest tag or comment in bytes; expat holds it whole, so a longer one ends the reading."""
MAX_ITEM: Final = 2**20
"""Most characters of the attributes of one event, one trace or the log, each attribute counting 50 more. The log
takes no entry that large."""
MAX_DEPTH: Final = 32
"""Most levels of attributes within attributes."""
_MAX_LEVELS: Final = 500
_MAX_NAMES: Final = 5_000
_MAX_NOTES: Final = 1_000
_LONGEST_NOTE: Final = 1_000
_MAX_LATE: Final = 100
_CHUNK: Final = 2**16
_OVERHEAD: Final = 50

_KINDS: Final = frozenset({"string", "date", "int", "float", "boolean", "id", "list", "container"})
_ITEMS: Final = frozenset({"log", "trace", "event", "global"})
_STANDS_IN: Final = {"log": ("",), "trace": ("log",), "event": ("log", "trace"), "global": ("log",)}

_TOO_LARGE: Final = ("too_large", f"The attributes are larger than {MAX_ITEM:,} characters.")
_TOO_DEEP: Final = ("too_deep", f"The attributes are nested deeper than {MAX_DEPTH} levels.")
_TWICE: Final = ("attribute_twice", "One attribute is there twice, with two values, so neither can be believed.")


class Attribute(NamedTuple):
    """One attribute: its type (`string`, `date`, `int`, …), its value as it stands there ("" for lists and
    containers), and the attributes within it, in their order, by key."""

    kind: str
    value: str
    nested: tuple[tuple[str, Attribute], ...] = ()


Attributes = dict[str, Attribute]


@dataclass
class Header:
    """What stands before the first trace: (name, prefix, uri) of extensions, (name, scope, keys) of classifiers, the
    log's own attributes, and the globals: what a trace or an event has where it does not say it itself."""

    extensions: list[tuple[str, str, str]] = field(default_factory=list)
    classifiers: list[tuple[str, str, str]] = field(default_factory=list)
    attributes: Attributes = field(default_factory=dict)
    trace_globals: Attributes = field(default_factory=dict)
    event_globals: Attributes = field(default_factory=dict)


class XesTrace(NamedTuple):
    """A trace, as far as it was read: `number` counts from 1 in its file. `late` are the keys of attributes that
    came after its first event, against the standard; their values are in none of its events."""

    number: int
    attributes: Attributes
    late: frozenset[str] = frozenset()
    trouble: tuple[str, str] | None = None


class XesEvent(NamedTuple):
    """An event: its place (`row` counts the file's events, `line` is where it begins), its trace (None outside any),
    its position there from 1, its attributes, and the trouble (code, sentence) that makes it no good."""

    place: Place
    trace: XesTrace | None
    position: int
    attributes: Attributes
    trouble: tuple[str, str] | None


class XesReader:
    """Reads one file. `header` and `traces` (how many were begun) grow while `events` is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.header = Header()
        self.traces = 0

    def events(self) -> Iterator[XesEvent]:
        """All events in the order of the file; call it once. BadInput where it can be read no further."""
        handler = _Handler(self, self._path)
        parser = handler.parser
        fed = 0
        with open_binary(self._path) as stream:
            packed = getattr(stream, "raw", None)
            # A chunk of many reads would be lost whole where the last of them fails.
            read = packed.read1 if isinstance(packed, gzip.GzipFile) else stream.read
            while True:
                trouble = None
                try:
                    chunk = read(_CHUNK)
                    parser.Parse(chunk, not chunk)
                except (OSError, EOFError, zlib.error):
                    trouble = BadInput([self._cut_off(parser)])
                except expat.ExpatError as error:
                    trouble = BadInput([self._no_xml(error)])
                except (LookupError, ValueError):
                    way_out = "Save it as UTF-8."
                    trouble = BadInput([Problem(self._path.name, "is in an encoding that is not known.", way_out)])
                except BadInput as error:
                    trouble = error
                yield from handler.done
                handler.done.clear()
                if trouble is not None:
                    raise trouble
                if not chunk:
                    return
                fed += len(chunk)
                if fed - max(parser.CurrentByteIndex, 0) > MAX_TAG + _CHUNK:
                    raise handler.bad(f"holds a tag or comment of more than {MAX_TAG:,} bytes", "Leave it out.")

    def _cut_off(self, parser: expat.XMLParserType) -> Problem:
        trouble = f"is cut off or damaged after line {parser.CurrentLineNumber}."
        return Problem(self._path.name, trouble, "Fetch the file again; all events before it were read.")

    def _no_xml(self, error: expat.ExpatError) -> Problem:
        told = expat.errors.messages.get(error.code, "") if error.code is not None else ""
        trouble = f"is no well-formed XML at line {error.lineno}, column {error.offset + 1}: {told}."
        return Problem(self._path.name, trouble, "Mend the file; all events before it were read.")


class _Handler:
    """What expat calls. `_items` are the open elements among log, trace, event and global, `_open` the attributes
    that are open in the innermost. What was passed on is never changed: a trace that learns more is replaced."""

    def __init__(self, reader: XesReader, path: Path) -> None:
        self._header, self._reader, self._path = reader.header, reader, path
        self.done: list[XesEvent] = []
        self._names: dict[str, str] = {}
        self._locals: dict[str, str] = {}
        self.parser = expat.ParserCreate(intern=self._names)
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._items: list[str] = []
        self._open: list[tuple[str, str, str, list[tuple[str, Attribute]]]] = []
        self._skipped = self._levels = 0
        self._header_size = self._trace_size = self._event_size = 0
        self._events = self._inside = self._outside = self._line = 0
        self._trace: XesTrace | None = None
        self._event: Attributes = {}
        self._globals: Attributes = {}
        self._trouble: tuple[str, str] | None = None

    def bad(self, trouble: str, way_out: str) -> BadInput:
        """The error that ends the reading here."""
        return BadInput([Problem(self._path.name, f"{trouble}, at line {self.parser.CurrentLineNumber}.", way_out)])

    def _doctype(self, *_: object) -> None:
        raise self.bad("declares a document type (DTD), which may hold entities", "Take the declaration out.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._levels += 1
        if self._levels > _MAX_LEVELS:
            raise self.bad(f"holds more than {_MAX_LEVELS} elements within one another", "See whether it is XES.")
        if len(self._names) > _MAX_NAMES:
            raise self.bad(f"holds more than {_MAX_NAMES:,} names of elements", "See whether it is XES.")
        local = self._locals.get(name) or self._locals.setdefault(name, name.rpartition(":")[2])
        if self._skipped:
            self._skipped += 1
            if local in _ITEMS:  # or its events would vanish
                raise self.bad(f"holds an element {local} within one that XES does not know", "Take that one out.")
        elif local in _KINDS and self._items:
            self._open_attribute(local, attributes.get("key", ""), attributes.get("value", ""))
        elif not self._items and local != "log":
            raise self.bad("is no XES file: its first element is not log", "See that the path is right.")
        elif local in _ITEMS:
            self._open_item(local, attributes)
        elif local != "values" or not self._open:  # what a list holds may stand in `values`
            self._skipped = 1
            if local in {"extension", "classifier"}:
                self._note(local, attributes)

    def _end(self, name: str) -> None:
        self._levels -= 1
        if self._skipped:
            self._skipped -= 1
            return
        local = self._locals[name]
        if local in _KINDS:
            kind, key, value, nested = self._open.pop()
            found = Attribute(kind, value, tuple(nested) if nested else ())
            if self._open:
                self._open[-1][3].append((key, found))
            elif self._items[-1] != "event":
                self._add(key, found)
            elif self._event.setdefault(key, found) is not found and self._event[key] != found:
                self._refuse(_TWICE)
        elif local in _ITEMS:
            self._items.pop()
            if local == "event":
                self._close_event()
            elif local == "trace":
                self._trace = None

    def _note(self, local: str, attributes: dict[str, str]) -> None:
        """Keep what the header says of extensions and classifiers."""
        found = self._header.extensions if local == "extension" else self._header.classifiers
        keys = ("name", "prefix", "uri") if local == "extension" else ("name", "scope", "keys")
        first, second, third = (attributes.get(key, "")[:_LONGEST_NOTE] for key in keys)
        if len(found) < _MAX_NOTES:
            found.append((first, second, third))

    def _open_item(self, local: str, attributes: dict[str, str]) -> None:
        inside = self._items[-1] if self._items else ""
        if inside not in _STANDS_IN[local] or self._open:
            where = "an attribute" if self._open else inside
            raise self.bad(f"holds an element {local} within {where}", "See whether an end tag is missing.")
        self._items.append(local)
        if local == "event":
            self._events += 1
            self._line = self.parser.CurrentLineNumber
            self._event, self._event_size, self._trouble = {}, 0, None
            if self._trace is None:
                self._outside += 1
            else:
                self._inside += 1
        elif local == "trace":
            self._reader.traces += 1
            self._trace = XesTrace(self._reader.traces, {})
            self._trace_size = self._inside = 0
        elif local == "global":
            if self._events:
                raise self.bad("holds a global after the first event", "Move it before the traces.")
            for_traces = attributes.get("scope") == "trace"
            self._globals = self._header.trace_globals if for_traces else self._header.event_globals

    def _close_event(self) -> None:
        place = Place(self._path.name, self._events, self._line)
        position = self._outside if self._trace is None else self._inside
        trouble = self._trouble or (self._trace.trouble if self._trace is not None else None)
        self.done.append(XesEvent(place, self._trace, position, self._event, trouble))

    def _open_attribute(self, kind: str, key: str, value: str) -> None:
        size = len(key) + len(value) + _OVERHEAD
        item = self._items[-1]
        if item == "event":
            size = self._event_size = self._event_size + size
        elif item == "trace":
            size = self._trace_size = self._trace_size + size
        else:
            size = self._header_size = self._header_size + size
        if size > MAX_ITEM or len(self._open) == MAX_DEPTH:
            self._refuse(_TOO_LARGE if size > MAX_ITEM else _TOO_DEEP)
            self._skipped = 1
            return
        self._open.append((kind, key, value, []))

    def _refuse(self, trouble: tuple[str, str]) -> None:
        """The event is no good; or all further events of the trace; or, in the log's own attributes, the file."""
        item = self._items[-1]
        if item == "event":
            self._trouble = self._trouble or trouble
        elif item == "trace" and self._trace is not None:
            self._trace = self._trace._replace(
                trouble=self._trace.trouble or (trouble[0], f"In its trace: {trouble[1]}")
            )
        else:
            raise self.bad(f"holds too much before the first trace: {trouble[1]}", "Take it out.")

    def _add(self, key: str, found: Attribute) -> None:
        """Keep an attribute of a trace, a global or the log."""
        item = self._items[-1]
        if item == "trace" and self._trace is not None and self._inside:
            if len(self._trace.late) == _MAX_LATE:
                self._refuse(_TOO_LARGE)
            else:
                self._trace = self._trace._replace(late=self._trace.late | {key})
            return
        if item == "trace" and self._trace is not None:
            if self._trace.attributes.setdefault(key, found) != found:
                self._refuse(_TWICE)
        else:
            (self._globals if item == "global" else self._header.attributes).setdefault(key, found)
