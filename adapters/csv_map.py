"""How does a row of any CSV file become an event? By a mapping file that says which column is what."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from adapters.csv_mapping import Cell, Columns, IdRule, Mapping, SkipRule, TimeRule, ValueRule, read_mapping
from adapters.importing import Refusal, Step
from adapters.reading import Cells, Place, digest_of, input_files, open_text, read_cells, sniff_delimiter
from domain.errors import BadInput, Problem

__all__ = ["CsvMap", "preview"]

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on", "ja", "j", "oui", "si", "sì", "sí", "x"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off", "nein", "non", "-"})
_OFFSET: Final = re.compile(r"(Z|[+-][0-9]{2}:?[0-9]{2})$", re.IGNORECASE)


class _RowRefused(Exception):
    """This row becomes no event."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(code, reason)


class CsvMap:
    """The importer of CSV files (plain, gzipped, or folders of them) by a mapping."""

    name = "csv"

    def __init__(self, paths: Iterable[Path], mapping: Path) -> None:
        self.files = input_files(paths, (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt"))
        self.mapping = read_mapping(mapping)
        self.rows_read = 0
        self._digest_of_mapping = digest_of([mapping])

    def digest(self) -> str:
        return "-".join(["1", self._digest_of_mapping, *[digest_of([path]) for path in self.files]])

    def total(self) -> int | None:
        return None

    def steps(self) -> Iterator[Step]:
        self.rows_read = 0
        file = self.mapping.file
        for path in self.files:
            delimiter = file.delimiter or sniff_delimiter(path, file.encoding)
            with open_text(path, file.encoding) as stream:
                rows = read_cells(path, stream, delimiter)
                reader = _RowReader.of(self.mapping, _header(path, next(rows, None), self.mapping))
                for row in rows:
                    self.rows_read += 1
                    yield reader.step(row)


def preview(importer: CsvMap, events: int = 3) -> list[Step]:
    """The first steps up to so many events, for `--dry-run`; nothing is published."""
    shown: list[Step] = []
    for step in islice(importer.steps(), 1000):
        shown.append(step)
        if sum(one.event is not None for one in shown) >= events:
            break
    return shown


def _header(path: Path, header: Cells | None, mapping: Mapping) -> list[str]:
    """The columns' names. BadInput for a column that the mapping names and the file lacks."""
    if header is None:
        raise BadInput([Problem(path.name, "is empty.", "The first row must hold the columns' names.")])
    if header.trouble is not None:
        raise BadInput([Problem(path.name, f"has a first row that {header.trouble[1]}", "")])
    names = [cell.strip() for cell in header.cells]
    missing = sorted({name for name in _columns(mapping) if name not in names})
    if missing:
        trouble = f"has no column {', '.join(missing)}."
        way_out = f"Its columns are {', '.join(names[:40])}. Mend the mapping, or state delimiter and encoding."
        raise BadInput([Problem(path.name, trouble, way_out)])
    return names


def _columns(rule: Any) -> Iterator[str]:
    """All columns that a mapping names, wherever it does."""
    if isinstance(rule, (Columns, IdRule)):
        yield from rule.names
    elif isinstance(rule, SkipRule):
        yield rule.column
    elif isinstance(rule, (BaseModel, dict, list)):
        parts = rule.values() if isinstance(rule, dict) else rule
        for part in parts:
            yield from _columns(part[1] if isinstance(rule, BaseModel) else part)


@dataclass(frozen=True)
class _RowReader:
    """Makes steps out of the rows of one file."""

    mapping: Mapping
    columns: dict[str, int]
    width: int

    @classmethod
    def of(cls, mapping: Mapping, names: list[str]) -> _RowReader:
        """`names` are the cells of the first row; of columns with one name the first counts."""
        return cls(mapping, {name: place for place, name in reversed(list(enumerate(names)))}, len(names))

    def step(self, row: Cells) -> Step:
        places = (row.place,)
        if row.trouble is not None:
            return Step(places, None, Refusal(*row.trouble))
        if len(row.cells) < self.width or any(row.cells[self.width :]):
            return Step(places, None, Refusal("cells", "The row has another number of cells than the first row."))
        try:
            for number, rule in enumerate(self.mapping.skip, 1):
                self._skip(rule, number, row.cells)
            return Step(places, self._event(row.cells, row.place))
        except _RowRefused as refused:
            return Step(places, None, refused.refusal)

    def _skip(self, rule: SkipRule, number: int, cells: list[str]) -> None:
        value = cells[self.columns[rule.column]].strip()
        if (rule.empty and not value) or value in rule.values:
            raise _RowRefused("skipped", f"Left out by rule {number} of the mapping, for its column {rule.column}.")

    def _event(self, cells: list[str], place: Place) -> dict[str, Any]:
        rule = self.mapping.event
        kind = rule.type if isinstance(rule.type, str) else self._cell(rule.type, cells)
        if not kind:
            raise _RowRefused("type_missing", "The cell that says the event type is empty.")
        data: dict[str, Any] = {}
        if who := self._named(rule.who, cells):
            data["who"] = who
        parties = [(party.role, self._named(party.who, cells)) for party in rule.parties]
        if known := [{"role": role, "who": others} for role, others in parties if others]:
            data["parties"] = known
        if refs := self._named(rule.refs, cells):
            data["refs"] = refs
        channel = self._cell(rule.channel, cells) if isinstance(rule.channel, Cell) else rule.channel
        if channel:
            data["channel"] = channel
        data["content"] = self._content(rule.content, cells)
        return {
            "specversion": "1.0",
            "source": rule.source,
            "id": self._id(rule.id, cells, place),
            "type": kind,
            "time": self._time(rule.time, cells),
            "data": data,
        }

    def _cell(self, rule: Cell, cells: list[str]) -> str | None:
        """The text that a rule finds, or None where it is empty."""
        texts = [cells[self.columns[name]] for name in rule.names]
        if rule.strip:
            texts = [text.strip() for text in texts]
        text = rule.join.join(text for text in texts if text)
        if rule.case is not None:
            text = text.lower() if rule.case == "lower" else text.upper()
        if not text:
            if rule.required and rule.default is None:
                raise _RowRefused("empty", f"{_told(rule)} is empty, and the mapping requires it.")
            return rule.default
        if rule.values is None:
            return text
        if text not in rule.values:
            raise _RowRefused("value_unknown", f"{_told(rule)} holds a value that the mapping's table lacks.")
        return rule.values[text]

    def _named(self, rules: Iterable[Any], cells: list[str]) -> list[dict[str, str]]:
        """Identifiers or refs, without those whose cells are empty."""
        found = []
        for rule in rules:
            value = self._cell(rule, cells)
            if value:
                space = {"namespace": rule.namespace} if rule.namespace else {}
                found.append({"kind": rule.kind, "value": value, **space})
        return found

    def _id(self, rule: IdRule, cells: list[str], place: Place) -> str:
        if rule.hash:
            named = "\x1f".join([place.file, str(place.row), *cells])
            return hashlib.blake2b(named.encode(), digest_size=16).hexdigest()
        texts = [cells[self.columns[name]].strip() for name in rule.names]
        if not all(texts):
            raise _RowRefused("id_missing", f"{' or '.join(rule.names)} is empty, so the event has no name.")
        return rule.join.join(texts)

    def _time(self, rule: TimeRule, cells: list[str]) -> str:
        text = " ".join(cells[self.columns[name]].strip() for name in rule.names).strip()
        try:
            time = datetime.strptime(text, rule.format) if rule.format else datetime.fromisoformat(text)  # noqa: DTZ007
        except ValueError:
            form = rule.format or "ISO 8601"
            raise _RowRefused("time", f"{' and '.join(rule.names)} holds no time of the form {form}.") from None
        if time.tzinfo is None:
            time = time.replace(tzinfo=ZoneInfo(rule.zone))
        return time.isoformat()

    def _content(self, rule: Any, cells: list[str]) -> Any:
        if isinstance(rule, ValueRule):
            return self._value(rule, cells)
        if isinstance(rule, dict):
            made = {name: self._content(one, cells) for name, one in rule.items()}
            return {name: value for name, value in made.items() if value is not None}
        if isinstance(rule, list):
            return [value for one in rule if (value := self._content(one, cells)) not in (None, {})]
        return rule

    def _value(self, rule: ValueRule, cells: list[str]) -> Any:
        text = self._cell(rule, cells)
        if text is None:
            return None
        if rule.split is None:
            return self._converted(rule, text)
        parts = (part.strip() for part in text.split(rule.split))
        return [self._converted(rule, part) for part in parts if part]

    def _converted(self, rule: ValueRule, text: str) -> Any:
        if rule.as_ == "text":
            return text
        if rule.as_ == "boolean":
            word = text.casefold()
            if word not in _TRUE | _FALSE:
                raise _RowRefused("boolean", f"{_told(rule)} holds neither a yes nor a no.")
            return word in _TRUE
        number = self._number(text)
        if number is None or (rule.as_ == "integer" and number != number.to_integral_value()):
            kind = "whole number" if rule.as_ == "integer" else "decimal number"
            raise _RowRefused("number", f"{_told(rule)} holds no {kind} as the mapping states it.")
        return int(number) if rule.as_ == "integer" else f"{number:f}"

    def _number(self, text: str) -> Decimal | None:
        """A number with its thousands' marks left out; None for what is none, or is written the other way."""
        point, mark = (",", ".") if self.mapping.file.decimal_comma else (".", ",")
        plain = re.sub(r"[\s'\u00a0\u202f]", "", text)
        whole, _, fraction = plain.partition(point)
        if mark in fraction or (mark in whole and not re.fullmatch(rf"[+-]?\d{{1,3}}(\{mark}\d{{3}})+", whole)):
            return None
        plain = whole.replace(mark, "") + (f".{fraction}" if fraction else "")
        return Decimal(plain) if _NUMBER.fullmatch(plain) else None


def _told(rule: Columns) -> str:
    return " and ".join(rule.names)
