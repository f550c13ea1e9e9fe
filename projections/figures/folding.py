"""How do sums keep up with what batches touch? By folding: what a batch touched is summed anew, a little at a time,
by one process at a time, in one snapshot. Until then readers take the rows themselves, so that no figure is wrong for
it, only slower.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg

from domain.catalogue.registry import Catalogue
from eventlog.sql import load
from projections.figures.buyers import Buying, fill_buyers, fold_buyers
from projections.figures.credits import fill_credits, fill_questions
from projections.figures.filling import fill, fill_all, sum_metrics
from projections.figures.forgetting import forget
from projections.figures.moods import QUERIES as MOODS
from projections.figures.moods import forget_moods, sum_moods
from projections.figures.opinions import fill_opinions, forget_opinions, sum_opinions
from projections.figures.pieces import EVER, SHORTER, Folded, Level, Range, begin_of, edges_of, folded, merged
from projections.registry import use

__all__ = ["LINES", "PARTS", "SUMS", "TRADES", "fold", "fold_all", "fold_part"]

_SQL: Final = load("projections.figures", "folding.sql")
TRADES: Final = ("", "channel", "country", "campaign", "actor", "type", "nobody")
"""Dimensions that a trade says; `nobody`: those of nobody that is known."""
LINES: Final = ("category", "product")
"""Dimensions of its lines. Of products there are sums by day and month alone: there may be as many as lines."""
PARTS: Final = ("sales", "contacts", "metrics", "moods", "buyers", "credits", "questions", "opinions")
"""Of all sums those that can be made beside each other."""
SUMS: Final = (
    "sales_sums", "contact_sums", "mood_sums", "buyers", "buyer_days", "buyer_repeats", "buyer_sums", "credits",
    "credit_sums", "questions", "score_sums", "complaint_sums",
)  # fmt: skip
"""Tables that nothing but their sums is in, of which there may be many."""
_SHORT: Final = (*TRADES, "category")
_LEVELS: Final[tuple[Level, ...]] = ("q", *SHORTER)
_MOST: Final = 2000
_MOST_DAYS: Final = 10
_BESIDE: Final = {"credits": fill_credits, "questions": fill_questions, "opinions": fill_opinions}
"""How parts are made that have a file of their own."""


def fold(
    connection: psycopg.Connection[Any],
    suffix: LiteralString = "",
    most: int = _MOST,
    catalogue: Catalogue | None = None,
    buying: Buying | None = None,
    longer: bool | None = None,
) -> Folded:
    """Sum anew about `most` quarters that batches touched, then some days and months, what about as many customers
    bought, and a piece of the past of a metric, of the build in schema figures + suffix. Gives NOTHING also where
    somebody else does it. connection: in autocommit; catalogue: of the deployment, for versions of its types;
    buying: how what customers bought is summed up, None: as before, if at all; longer: days and months alone, or
    (False) all but these."""
    lock = {"build": f"figures{suffix}"}
    if connection.execute(_SQL["lock"], lock).fetchone() != (True,):
        return Folded.NOTHING
    try:
        with connection.transaction():
            cursor = connection.cursor()
            cursor.execute(_SQL["snapshot"])
            use(cursor, suffix)
            found = Folded.NOTHING if longer else _fold(cursor, most, catalogue, buying)
            return found if longer is False else max(found, _fold_longer(cursor, "d"), _fold_longer(cursor, "m"))
    finally:
        connection.execute(_SQL["unlock"], lock)


def _fold(
    cursor: psycopg.Cursor[Any], most: int, catalogue: Catalogue | None, buying: Buying | None
) -> Folded:  # fmt: skip
    touched = cursor.execute(_SQL["touched"], {"most": most}).fetchall()
    quarters = {quarter for _, quarters in touched for quarter in quarters}
    if quarters:
        _fold_quarters(cursor, quarters, catalogue)
        cursor.execute(_SQL["forget_touched"], {"marks": [mark for mark, _ in touched]})
    return max(
        folded(sum(len(some) for _, some in touched), most),
        fold_buyers(cursor, buying, most),
        Folded.FULL if fill(cursor, catalogue) else Folded.NOTHING,
    )


def fold_all(
    connection: psycopg.Connection[Any],
    suffix: LiteralString,
    only: Collection[str] | None = None,
    catalogue: Catalogue | None = None,
    buying: Buying | None = None,
) -> None:
    """Make all sums of a build anew by one pass over its rows, within the caller's transaction or one of its own.
    only: as `registry.use` has it; catalogue, buying: as `fold`, but for None: nothing is kept of what was bought."""
    with connection.transaction():
        cursor = connection.cursor()
        use(cursor, suffix, only)
        for part in PARTS:
            fold_part(cursor, part, catalogue, buying)


def fold_part(
    cursor: psycopg.Cursor[Any], part: str, catalogue: Catalogue | None = None, buying: Buying | None = None
) -> None:
    """Make the sums of one of `PARTS` anew in the build that stands first in the search path, within the caller's
    transaction. Nothing else may be touched meanwhile: what is noted of that goes with the last of them."""
    cursor.execute(_SQL["settings"])
    if part == "buyers":
        fill_buyers(cursor, buying)
        return
    if part in _BESIDE:
        _BESIDE[part](cursor)
        return
    ever = [EVER]
    if part == "moods":
        cursor.execute(MOODS["empty"])
        for level in _LEVELS:
            sum_moods(cursor, level, ever)
        cursor.execute(MOODS["analyze"])
        return
    cursor.execute(_SQL[f"empty_{part}"])
    if part == "sales":
        for level in _LEVELS:
            _sum_sales(cursor, level, ever)
    elif part == "contacts":
        for level in _LEVELS:
            _sum_contacts(cursor, level, ever)
    else:
        fill_all(cursor, catalogue)
    cursor.execute(_SQL[f"analyze_{part}"])


def _fold_quarters(cursor: psycopg.Cursor[Any], quarters: set[datetime], catalogue: Catalogue | None) -> None:
    beside = cursor.execute(_SQL["beside"], edges_of(merged("q", quarters))).fetchall()
    quarters |= {row[0] for row in beside}
    ranges, hours = merged("q", quarters), merged("h", {begin_of("h", one) for one in quarters})
    types = [row[0] for row in cursor.execute(_SQL["types"]).fetchall()]
    _forget(cursor, "q", _SHORT, ranges)
    _sum_sales(cursor, "q", ranges)
    _sum_contacts(cursor, "q", ranges, types)
    sum_moods(cursor, "q", ranges, types)
    sum_opinions(cursor, "q", ranges)
    _forget(cursor, "h", _SHORT, hours)
    _sum_sales(cursor, "h", hours)
    _sum_contacts(cursor, "h", hours)
    sum_moods(cursor, "h", hours)
    sum_opinions(cursor, "h", hours)
    sum_metrics(cursor, ranges, catalogue)
    for level in ("d", "m"):
        starts = sorted({begin_of(level, one) for one in quarters})
        cursor.execute(_SQL["outdate"], {"level": level, "starts": starts})


def _fold_longer(cursor: psycopg.Cursor[Any], level: Level) -> Folded:
    asked = {"level": level, "most": _MOST_DAYS}
    found = [row[0] for row in cursor.execute(_SQL["outdated"], asked).fetchall()]
    if found:
        ranges = merged(level, found)
        _forget(cursor, level, (*TRADES, *LINES), ranges)
        _sum_sales(cursor, level, ranges)
        _sum_contacts(cursor, level, ranges)
        types = [row[0] for row in cursor.execute(_SQL["types"]).fetchall()] if level == "d" else None
        sum_moods(cursor, level, ranges, types)
        sum_opinions(cursor, level, ranges)
        cursor.execute(_SQL["renew"], {"level": level, "starts": found})
    return folded(len(found), _MOST_DAYS)


def _forget(cursor: psycopg.Cursor[Any], level: Level, dimensions: Sequence[str], ranges: Sequence[Range]) -> None:
    forget(cursor, "sales_sums", ranges, level=level, dimensions=list(dimensions))
    forget(cursor, "contact_sums", ranges, level=level)
    forget_moods(cursor, level, ranges)
    forget_opinions(cursor, level, ranges)


def _sum_sales(cursor: psycopg.Cursor[Any], level: Level, ranges: Sequence[Range]) -> None:
    """Sales of one level: out of trades and their lines, or of the sums of the next shorter level."""
    if level == "q":
        cursor.execute(_SQL["sum_trades"], edges_of(ranges))
        cursor.execute(_SQL["sum_lines"], edges_of(ranges, level=level, dimension="category"))
        return
    dimensions = [*TRADES, *LINES] if level == "m" else list(_SHORT)
    cursor.execute(_SQL["sum_sales"], edges_of(ranges, level=level, of=SHORTER[level], dimensions=dimensions))
    if level == "d":
        cursor.execute(_SQL["sum_lines"], edges_of(ranges, level=level, dimension="product"))


def _sum_contacts(
    cursor: psycopg.Cursor[Any], level: Level, ranges: Sequence[Range], types: list[str] | None = None
) -> None:
    """Touchpoints of one level. types: that there are, None for all; asked for of quarters alone."""
    if level == "q":
        cursor.execute(_SQL["sum_contacts"], edges_of(ranges, types=types))
    else:
        cursor.execute(_SQL["sum_contact_sums"], edges_of(ranges, level=level, of=SHORTER[level]))
