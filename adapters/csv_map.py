"""How does a row of any CSV file become an event? By a mapping file that says which column is what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from adapters.csv_mapping import Columns, IdRule, Mapping, SkipRule, read_mapping
from adapters.importing import Importer, Refusal, Step
from adapters.reading import Cells, Place, digest_of, input_files, open_text, read_cells, sniff_delimiter
from adapters.values import RowRefused, content_of, data_of, text_of, time_of
from domain.errors import BadInput, Problem

__all__ = ["CsvMap", "preview"]


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


def preview(importer: Importer, events: int = 3) -> list[Step]:
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
        except RowRefused as refused:
            return Step(places, None, refused.refusal)

    def _skip(self, rule: SkipRule, number: int, cells: list[str]) -> None:
        value = cells[self.columns[rule.column]].strip()
        if (rule.empty and not value) or value in rule.values:
            raise RowRefused("skipped", f"Left out by rule {number} of the mapping, for its column {rule.column}.")

    def _event(self, cells: list[str], place: Place) -> dict[str, Any]:
        rule = self.mapping.event

        def read(name: str) -> str:
            return cells[self.columns[name]]

        kind = rule.type if isinstance(rule.type, str) else text_of(rule.type, read)
        if not kind:
            raise RowRefused("type_missing", "The cell that says the event type is empty.")
        data = data_of(rule, read)
        data["content"] = content_of(rule.content, read, self.mapping.file.decimal_comma)
        return {
            "specversion": "1.0",
            "source": rule.source,
            "id": self._id(rule.id, cells, place),
            "type": kind,
            "time": time_of(rule.time, read).isoformat(),
            "data": data,
        }

    def _id(self, rule: IdRule, cells: list[str], place: Place) -> str:
        if rule.hash:
            named = "\x1f".join([place.file, str(place.row), *cells])
            return hashlib.blake2b(named.encode(), digest_size=16).hexdigest()
        texts = [cells[self.columns[name]].strip() for name in rule.names]
        if not all(texts):
            raise RowRefused("id_missing", f"{' or '.join(rule.names)} is empty, so the event has no name.")
        return rule.join.join(texts)
