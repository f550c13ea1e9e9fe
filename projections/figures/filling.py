"""How do the deployment's own metrics come to count all of the past? A piece at a time, from the first event on;
what batches touch meanwhile is summed by folding. A changed definition is counted beside the one before, which serves
until the new one is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from domain.catalogue import load_catalogue
from domain.catalogue.registry import Catalogue
from domain.configuration import Metric
from domain.metrics import version_of
from projections.figures.compiling import QUERIES, Compiled, compiled
from projections.figures.forgetting import forget
from projections.figures.pieces import EVER, QUARTER, begin_of, edges_of
from projections.segments.compiling_raising import upcasts_of

__all__ = ["Definition", "Fill", "define", "definitions_in", "fill", "fill_all", "fills_in", "sum_metrics"]

_MOST_EVENTS: Final = 20_000


class Definition(NamedTuple):
    """A definition that is summed. version: its hash."""

    code: str
    version: str
    metric: Metric


class Fill(NamedTuple):
    """How far the past was counted."""

    begun_at: datetime
    next_at: datetime
    until: datetime

    @property
    def complete(self) -> bool:
        return self.next_at >= self.until

    @property
    def share(self) -> float:
        """From 0 to 1."""
        whole = (self.until - self.begun_at).total_seconds()
        return 1.0 if self.complete or not whole else (self.next_at - self.begun_at).total_seconds() / whole


def define(connection: psycopg.Connection[Any], metrics: Mapping[str, Metric]) -> None:
    """These are the metrics of the deployment from now on."""
    with connection.transaction():
        for code, metric in metrics.items():
            definition = Jsonb(metric.model_dump(mode="json", by_alias=True, exclude_none=True))
            told = {"metric": code, "version": version_of(metric), "definition": definition}
            connection.execute(QUERIES["define"], told)
        connection.execute(QUERIES["undefine"], {"metrics": list(metrics)})


def definitions_in(rows: Iterable[Sequence[Any]]) -> list[Definition]:
    """Definitions out of their rows, the newest of each metric first."""
    return [Definition(code, version, Metric.model_validate(told)) for code, version, told in rows]


def fills_in(rows: Iterable[Sequence[Any]]) -> dict[tuple[str, str], Fill]:
    """How far each was counted, by (code, version), out of its rows."""
    return {(code, version): Fill(*rest) for code, version, *rest in rows}


def sum_metrics(
    cursor: psycopg.Cursor[Any], ranges: Sequence[tuple[datetime, datetime]], catalogue: Catalogue | None = None
) -> None:
    """Sum what happened in these ranges of quarters anew, for every definition whose counting has begun, within the
    caller's transaction, whose search path says of which build."""
    begun = fills_in(cursor.execute(QUERIES["fills"]).fetchall())
    for one in _definitions(cursor):
        if (one.code, one.version) in begun:
            _sum(cursor, one, ranges, catalogue)


def fill(cursor: psycopg.Cursor[Any], catalogue: Catalogue | None = None, most: int = _MOST_EVENTS) -> bool:
    """Count a further piece of the past, of about `most` events, within the caller's transaction, which alone makes
    sums of this build; False where all is counted."""
    known = _definitions(cursor)
    for one in known:
        told = {"metric": one.code, "version": one.version, "types": one.metric.types}
        cursor.execute(QUERIES["begin_fill"], told)
    cursor.execute(QUERIES["retire"])
    cursor.execute(QUERIES["forget_fills"])
    found = fills_in(cursor.execute(QUERIES["fills"]).fetchall())
    for one in known:
        progress = found.get((one.code, one.version))
        if progress is not None and not progress.complete:
            _fill_on(cursor, one, progress, catalogue, most)
            return True
    return False


def fill_all(cursor: psycopg.Cursor[Any], catalogue: Catalogue | None = None) -> None:
    """Count all of the past by one pass for each definition, within the caller's transaction."""
    for one in _definitions(cursor):
        told = {"metric": one.code, "version": one.version, "types": one.metric.types}
        cursor.execute(QUERIES["begin_fill"], told)
        _sum(cursor, one, [EVER], catalogue)
        progress = fills_in(cursor.execute(QUERIES["fills"]).fetchall())[one.code, one.version]
        cursor.execute(QUERIES["fill_to"], {**told, "next_at": progress.until})


def _definitions(cursor: psycopg.Cursor[Any]) -> list[Definition]:
    return definitions_in(cursor.execute(QUERIES["definitions"]).fetchall())


def _fill_on(
    cursor: psycopg.Cursor[Any], one: Definition, progress: Fill, catalogue: Catalogue | None, most: int
) -> None:
    asked = {"types": one.metric.types, "next_at": progress.next_at, "until": progress.until, "most": most}
    found = cursor.execute(QUERIES["end_of_chunk"], asked).fetchone()
    end = progress.until if found is None else min(begin_of("q", found[0]) + QUARTER, progress.until)
    _sum(cursor, one, [(progress.next_at, end)], catalogue)
    cursor.execute(QUERIES["fill_to"], {"metric": one.code, "version": one.version, "next_at": end})


def _sum(
    cursor: psycopg.Cursor[Any], one: Definition, ranges: Sequence[tuple[datetime, datetime]],
    catalogue: Catalogue | None,
) -> None:  # fmt: skip
    query: Compiled = compiled(one.metric, upcasts_of(load_catalogue() if catalogue is None else catalogue))
    which = {"metric": one.code, "version": one.version}
    forget(cursor, "metric_sums", ranges, **which)
    cursor.execute(query.sum, {**query.parameters, **edges_of(ranges, **which)})
