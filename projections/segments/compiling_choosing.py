"""How are events chosen in SQL? By their types, by conditions on them, and by a window; from sums where those say it.

Sums of touchpoints tell of types, channels and directions; for everything else the records of events are read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final, NamedTuple

from psycopg import sql
from psycopg.sql import Composable

from domain.segment_parts import CONTACT, Selection, Where, Window
from projections.segments.compiling_parts import YES, Building, both, either, fragment, least, listed
from projections.segments.compiling_raising import Upcasts, raised
from projections.segments.compiling_values import json, listing, text

__all__ = ["LONG_STORY", "MOST_READ", "Chooser", "Reader", "Span", "Sums"]

MOST_READ: Final = 20_000
"""Events of one customer whose contents are looked at, the newest first: what one busy account may cost."""
LONG_STORY: int = 300
"""Touchpoints above which a story is not read whole to find out whether there is an event: it is read from its end,
until there is one."""
_SUMMED: Final = ("channel", "direction")
_LISTS: Final = ("campaign", "product", "category")
_SPELT: Final = re.compile(r"[A-Za-z0-9/_][A-Za-z0-9 ._/+-]{2,}")
"""What JSON spells as it is, and is not in every record."""
_NOW: Final = sql.SQL("%(now)s::timestamptz")


class Span(NamedTuple):
    """A window in SQL: after `after`, from `since` on, before `before`. length: of one that ends now."""

    after: Composable | None = None
    since: Composable | None = None
    before: Composable | None = None
    length: Composable | None = None

    def holds(self, at: Composable) -> Composable:
        """A moment lies in it."""
        found = []
        if self.after is not None:
            found.append(sql.SQL("{} > {}").format(at, self.after))
        if self.since is not None:
            found.append(sql.SQL("{} >= {}").format(at, self.since))
        if self.before is not None:
            found.append(sql.SQL("{} < {}").format(at, self.before))
        return both(*found)

    @property
    def lower(self) -> Composable | None:
        """No event that happened before this lies in it."""
        return self.after if self.after is not None else self.since


class Sums:
    """What sums say of the touchpoints that are meant, whenever they were: columns, each found out once it is asked
    for. chosen: the column that says which are meant."""

    def __init__(self, building: Building, chosen: Composable) -> None:
        self._building, self._chosen = building, chosen

    def _column(self, name: str) -> Composable:
        return self._building.column("met", fragment(name, chosen=self._chosen))

    @property
    def many(self) -> Composable:
        """How many there are."""
        return self._column("how_many")

    @property
    def first(self) -> Composable:
        """When the first was; null where there is none."""
        return self._column("first_met")

    @property
    def last(self) -> Composable:
        """When the last was; null where there is none."""
        return self._column("last_met")


class Reader(NamedTuple):
    """Events that have to be read. open: whether, for a customer; matches: which; says: which of these, by their
    bytes; lower: none before; head: their records, too."""

    open: Composable
    matches: Composable
    says: Composable
    lower: Composable | None
    head: bool


class Chooser:
    """Chooses events for one query.

    zone: where days begin and end. records: types that are no touchpoints. upcasts: what raises older contents.
    """

    def __init__(self, building: Building, zone: tzinfo, records: Collection[str], upcasts: Upcasts) -> None:
        self.building, self._zone, self._records, self._upcasts = building, zone, records, upcasts
        self._readers: list[Reader] = []
        self._listing: dict[str, list[Composable]] = {}

    def span(self, window: Window | None) -> Span:
        """A window."""
        if window is None:
            return Span()
        if window.last is not None:
            length = self.building.length(window.last)
            return Span(after=sql.SQL("({} - {})").format(_NOW, length), length=length)
        bounds = window.bounds(datetime.min.replace(tzinfo=UTC), self._zone)
        return Span(since=self._moment(bounds.since), before=self._moment(bounds.before))

    def _moment(self, at: datetime | None) -> Composable | None:
        return None if at is None else self.building.parameter(at.astimezone(UTC), "timestamptz")

    def is_summed(self, selection: Selection) -> bool:
        """Do sums tell of all such events?"""
        return not (set(selection.types) & set(self._records)) and all(
            one.field in _SUMMED for one in selection.where
        )

    def sums(self, selection: Selection) -> Sums | None:
        """What sums say of events of these types, channels and directions; None where they do not know the types."""
        if set(selection.types) & set(self._records):
            return None
        found = [] if selection.types == (CONTACT,) else [self._of_types(selection.types, "one")]
        for one in selection.where:
            if one.field in _SUMMED:
                x = fragment("contact_text", column=sql.Identifier(one.field))
                found.append(text(self.building, x, one))
        return Sums(self.building, self.building.name("contact", both(*found)))

    def _of_types(self, types: Sequence[str], row: str) -> Composable:
        if len(types) == 1:
            return fragment("of_type", row=sql.Identifier(row), type=self.building.text(types[0]))
        wanted = self.building.parameter(list(types), "text[]")
        return fragment("of_types", row=sql.Identifier(row), types=wanted)

    def gate(self, source: str, selection: Selection, span: Span, open: Composable) -> Composable:
        """Whether a leaf is asked that needs events of these types in this window, where those are to be read."""
        return self.building.gate(repr((source, selection.types, span, open, self._spelt(selection))))

    def _spelt(self, selection: Selection) -> str | None:
        """A text that stands in the bytes of every such event, unless it was put right: where older contents read
        otherwise by now none is sure."""
        raised = self._upcasts.keys()
        if raised and (selection.types == (CONTACT,) or not raised.isdisjoint(selection.types)):
            return None
        return next((text for one in selection.where if (text := _spelt_in(one)) is not None), None)

    def _says(self, selection: Selection) -> Composable:
        text = self._spelt(selection)
        if text is None:
            return YES
        return fragment("says_text", text=self.building.parameter(text.encode(), "bytea"))

    def marked(self, selection: Selection, span: Span, open: Composable, field: str | None = None) -> sql.Identifier:
        """A column of `matched`: whether an event is meant. open: whether it has to be read, for a customer. field:
        what is asked for of it."""
        of_type = self._of_selected(selection)
        lying = span.holds(sql.SQL("e.happened_at"))
        asked = {*(one.field for one in selection.where), *((field,) if field else ())}
        head = bool(asked - set(_SUMMED))
        self._readers.append(Reader(open, both(of_type, lying), self._says(selection), span.lower, head))
        chosen = both(open, of_type, lying)
        conditions = [self._condition(one, chosen) for one in selection.where]
        return self.building.name("matched", both(open, of_type, lying, *conditions))

    def newest(self, selection: Selection, span: Span, open: Composable, most: int) -> Composable:
        """When the newest events were that are meant, of those whose contents do not matter; at most so many. Null
        where it is not open."""
        conditions = [self._condition(one, YES) for one in selection.where]
        filled = {
            "chosen": both(self._of_selected(selection), *conditions),
            "span": span.holds(sql.SQL("e.happened_at")),
        }
        limit = self.building.parameter(most, "bigint")
        return self.building.column("newest", fragment("newest_at", open=open, most=limit, **filled))

    def is_long(self) -> Composable:
        """Whether a customer's story is so long that it is not read whole for one event."""
        sums = Sums(self.building, self.building.name("contact", YES))
        return fragment("is_long", many=sums.many, most=self.building.parameter(LONG_STORY, "bigint"))

    def latest(self, selection: Selection, span: Span, open: Composable) -> Composable:
        """When the last event was that is meant, by what stands in it; of stories that are long. Null where there is
        none, or it is not open."""
        lists = {one.field: self._listed(one.field) for one in selection.where if one.field in _LISTS}
        filled = {
            "lists": sql.SQL("").join([sql.SQL(", ") + listed(name, x) for name, x in lists.items()]),
            "content": raised(self.building, self._upcasts),
            "right": fragment("right"),
            "matches": both(self._of_selected(selection), span.holds(sql.SQL("e.happened_at"))),
            "says": self._says(selection),
            "chosen": both(*[self._condition(one, None) for one in selection.where]),
            "most": self.building.parameter(MOST_READ, "bigint"),
        }
        return self.building.column("last_such", fragment("last_such_at", open=open, **filled))

    def _of_selected(self, selection: Selection) -> Composable:
        return fragment("touch") if selection.types == (CONTACT,) else self._of_types(selection.types, "e")

    def value(self, field: str) -> sql.Identifier:
        """A column of `matched`: what a field of an event says, as JSON."""
        if field.startswith("content."):
            return self.building.name("matched", self._content(field))
        return self.building.name("matched", sql.SQL("to_jsonb({})").format(self._text(field)))

    def number(self, field: str) -> sql.Identifier:
        """A column of `matched`: the number in a field of a content."""
        return self.building.name("matched", fragment("json_number", x=self._content(field)))

    def _content(self, field: str) -> Composable:
        found: Composable = sql.SQL("e.content")
        for name in field.split(".")[1:]:
            found = fragment("path", x=found, name=self.building.text(name))
        return sql.SQL("({})").format(found)

    def _text(self, field: str) -> Composable:
        if field in _SUMMED:
            return sql.Identifier("e", field)
        return fragment("event_text", name=self.building.text(field))

    def _condition(self, where: Where, chosen: Composable | None) -> Composable:
        """chosen: which events it is asked of, at most; None where their lists are found elsewhere than in `told`."""
        if where.field.startswith("content."):
            return json(self.building, self._content(where.field), where).holds
        if where.field in _LISTS:
            if chosen is not None:
                self._listing.setdefault(where.field, []).append(chosen)
            return listing(self.building, sql.Identifier("e", where.field), where)
        return text(self.building, self._text(where.field), where)

    @staticmethod
    def _listed(field: str) -> Composable:
        if field == "campaign":
            return fragment("campaigns")
        products = fragment("products")
        return products if field == "product" else fragment("categories", products=products)

    # What is read

    def filled(self) -> dict[str, Composable]:
        """What the fragment `told` is filled with, of what was chosen."""
        lowers = [one.lower for one in self._readers]
        since: Composable = YES
        if all(one is not None for one in lowers):
            since = sql.SQL("e.happened_at >= {}").format(least([one for one in lowers if one is not None]))
        return {
            "reads": either(*_distinct([both(one.open, one.matches) for one in self._readers if one.head])),
            "open": either(*_distinct([one.open for one in self._readers])),
            "since": since,
            "matches": either(*_distinct([both(one.open, one.matches) for one in self._readers])),
            "says": either(*_distinct([both(one.open, one.matches, one.says) for one in self._readers])),
            "content": raised(self.building, self._upcasts),
            "right": fragment("right"),
            **self._naming(),
            "most": self.building.parameter(MOST_READ, "bigint"),
        }

    def _naming(self) -> dict[str, Composable]:
        """Where conditions find the lists that they ask for."""
        if not self._listing:
            return {"naming": sql.SQL(""), "source": sql.Identifier("said")}
        found = [
            listed(field, fragment("where", chosen=either(*_distinct(chosen)), x=self._listed(field)))
            for field, chosen in self._listing.items()
        ]
        return {
            "naming": fragment("naming", lists=sql.SQL(", ").join(found)) + sql.SQL("\n"),
            "source": sql.Identifier("named"),
        }


def _spelt_in(where: Where) -> str | None:
    """A text that stands in the bytes of every event that fulfils a condition; None where none is sure: a number is
    written in several ways, categories stand in the catalogue, and what is escaped is spelt otherwise."""
    value = where.value
    if where.is_ != "=" or not isinstance(value, str) or not _SPELT.fullmatch(value):
        return None
    if where.field in {"product", "campaign"}:
        return value
    return value if where.field.startswith("content.") and not value[0].isdigit() else None


def _distinct(conditions: Sequence[Composable]) -> list[Composable]:
    return list({repr(one): one for one in conditions}.values())
