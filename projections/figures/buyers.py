"""How is it kept up what customers bought? For each customer it is noted as it went into the sums, so that it can be
taken out again; of whom a batch changed it, it is found out anew. Until then readers take that customer out
themselves, and put in her trades instead, so that no figure is wrong for it, only slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from domain.configuration import Rfm
from eventlog.sql import load
from projections.figures import credits
from projections.figures.pieces import EVER, Folded, folded

__all__ = [
    "QUERIES", "Buying", "customers_query", "fill_buyers", "fold_buyers", "kept_in", "put_together", "voices_query",
]  # fmt: skip

QUERIES: Final = load("projections.figures", "buyers.sql")
_PARTS: Final = ("raw", "changes", "moves", "repeats", "standing")
_Cursor = psycopg.Cursor[Any]


class Buying(NamedTuple):
    """How what customers bought is summed up. zone: IANA, of its days; currency, frequency, monetary: in which scores
    of RFM are told, and the edges between them."""

    zone: str
    currency: str
    frequency: tuple[Decimal, ...]
    monetary: tuple[Decimal, ...]

    @classmethod
    def of(cls, zone: str, rules: Rfm) -> Buying:
        """As a deployment has it."""
        return cls(zone, rules.currency, tuple(map(Decimal, rules.frequency)), tuple(map(Decimal, rules.monetary)))

    def asked(self) -> dict[str, Any]:
        """What queries of it are asked with."""
        return {**self._asdict(), "frequency": list(self.frequency), "monetary": list(self.monetary)}


def kept_in(row: Sequence[Any] | None) -> Buying | None:
    """How it is summed up, by the row of the query `kept`; None: not at all, or of other people than there are."""
    return None if row is None else Buying(row[0], row[1], tuple(row[2]), tuple(row[3]))


def put_together(query: sql.SQL, whose: str) -> sql.Composed:
    """A query with its parts filled in. whose: whose trades are read: those of `everybody`, of `some` (`customers`),
    or of `nobody`, which costs the planner much less."""
    parts = {part: sql.SQL(QUERIES[f"{part}_calm" if whose == "nobody" else part]) for part in _PARTS}
    return query.format(stale=sql.SQL(QUERIES[whose]), **parts)


def customers_query(marked: LiteralString = "touched_buyers") -> sql.Composed:
    """Who is to be read as they are: those whom marks are about, all or some, and who bought after `until`."""
    return _customers(sql.SQL(marked))


def voices_query(marked: LiteralString = "touched_buyers") -> sql.Composed:
    """The same of what falls to campaigns, and of questions."""
    return _customers(sql.SQL(QUERIES["voiced"]).format(marked=sql.SQL(marked)))


def _customers(marked: sql.Composable) -> sql.Composed:
    stale = sql.SQL(QUERIES["stale"]).format(marked=marked)
    return sql.SQL(QUERIES["customers"]).format(stale=stale)


def fold_buyers(cursor: _Cursor, buying: Buying | None, most: int) -> Folded:
    """Find out anew what some of those bought whom batches touched, within the caller's transaction, which is of one
    moment, alone makes sums, and whose search path says of which build. buying: how; None: as before, if at all.
    Where it was summed up otherwise, a further piece of it is. most: about as many customers, evidences and orders
    at a time."""
    kept = kept_in(cursor.execute(QUERIES["kept"]).fetchone())
    wanted = buying or kept
    if wanted is None:
        return Folded.NOTHING
    if kept != wanted:
        return _fill_on(cursor, wanted, most)
    marks = cursor.execute(QUERIES["marks"], {"most": most}).fetchall()
    if not marks:
        return Folded.NOTHING
    asked = {**_asked(wanted), "marks": [mark for mark, _ in marks]}
    customers = [row[0] for row in cursor.execute(customers_query(QUERIES["marked"]), asked).fetchall()]
    _find_out(cursor, "add_up", "some", {**asked, "customers": customers})
    cursor.execute(QUERIES["forget_empty"])
    credits.make_anew(cursor, [row[0] for row in cursor.execute(voices_query(QUERIES["marked"]), asked).fetchall()])
    cursor.execute(QUERIES["forget_marks"], asked)
    return folded(sum(size for _, size in marks), most)


def _fill_on(cursor: _Cursor, buying: Buying, most: int) -> Folded:
    """A piece of the sums of everybody. Whom batches touch meanwhile stays marked until all are summed up: to be
    taken out as noted and brought in anew is right for whoever is noted, and for whoever is not yet."""
    found = cursor.execute(QUERIES["filling"]).fetchone()
    if found is None or kept_in(found) != buying:
        cursor.execute(QUERIES["empty"])
        credits.empty(cursor)
        found = cursor.execute(QUERIES["begin_filling"], _asked(buying)).fetchone()
    asked = {**_asked(buying), "customer": None if found is None else found[-1], "most": most}
    customers = [row[0] for row in cursor.execute(QUERIES["following"], asked).fetchall()]
    if customers:
        _find_out(cursor, "add_up", "some", {**asked, "customers": customers})
        credits.make_anew(cursor, customers)
        cursor.execute(QUERIES["fill_to"], {"customer": customers[-1]})
    if len(customers) < most:
        cursor.execute(QUERIES["keep"], asked)
        cursor.execute(QUERIES["end_filling"])
        cursor.execute(QUERIES["analyze"])
    return Folded.FULL


def fill_buyers(cursor: _Cursor, buying: Buying | None) -> None:
    """Find out what everybody bought, within the caller's transaction; nothing of it where it is not to be kept."""
    cursor.execute(QUERIES["empty"])
    if buying is not None:
        asked = _asked(buying)
        _find_out(cursor, "sum_all", "everybody", asked)
        cursor.execute(QUERIES["keep"], asked)
        cursor.execute(QUERIES["analyze"])


def _find_out(cursor: _Cursor, how: str, whose: str, asked: dict[str, Any]) -> None:
    cursor.execute(put_together(sql.SQL(QUERIES[how]), whose), asked)
    if whose == "some":
        for table in ("buyers", "days", "repeats"):
            cursor.execute(QUERIES[f"forget_{table}"], asked)
    cursor.execute(put_together(sql.SQL(QUERIES["note_all"]), whose), asked)


def _asked(buying: Buying) -> dict[str, Any]:
    return {**buying.asked(), "until": EVER[1]}
