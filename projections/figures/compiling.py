"""How does the definition of a metric stand in SQL? Its types and times are parameters; its condition, value and
dimensions are put together of fragments of our own files, with every value of the deployment's as a parameter."""

from __future__ import annotations

from datetime import date
from typing import Any, Final, NamedTuple

from psycopg import sql
from psycopg.sql import Composable, Composed

from domain.configuration import Condition, Metric
from domain.segment_parts import Comparison
from eventlog.sql import load
from projections.segments.compiling_parts import NO, YES, Building, both, either
from projections.segments.compiling_parts import fragment as piece
from projections.segments.compiling_raising import Upcasts, raised
from projections.segments.compiling_values import json

__all__ = ["QUERIES", "Compiled", "compiled"]

QUERIES: Final = load("projections.figures", "metrics.sql")
_CONTENT: Final = "content."


class Compiled(NamedTuple):
    """Queries of a metric, which are asked with `parameters` and what they say themselves."""

    metric: Metric
    parameters: dict[str, Any]
    sum: Composed
    value: Composed
    events: Composed


def compiled(metric: Metric, upcasts: Upcasts) -> Compiled:
    """The queries of a metric. upcasts: of the deployment's types."""
    building = Building()
    value: Composable = sql.SQL("NULL::numeric")
    if metric.field is not None:
        value = piece("json_number", x=_field(building, metric.field))
    dimensions = [_filled("plain_text", x=_field(building, one)) for one in metric.dimensions]
    counted = _filled(
        "counted",
        content=raised(building, upcasts),
        value=value,
        dimensions=sql.SQL(", ").join(dimensions),
        where=_holds(building, metric.where),
    )
    parameters = {**building.parameters, "types": list(metric.types), "whose": metric.measure == "customers"}
    return Compiled(metric, parameters, *[_filled(name, counted=counted) for name in ("sum", "value", "events")])


def _filled(name: str, /, **parts: Composable) -> Composed:
    return sql.SQL(QUERIES[name].removesuffix(";")).format(**parts)


def _field(building: Building, name: str) -> Composable:
    """A field of an event as JSON: `content.NAME`, `type`, `channel` …"""
    if name.startswith(_CONTENT):
        return _filled("content_field", field=building.text(name.removeprefix(_CONTENT)))
    if name in {"source", "actor"}:
        return _filled(f"event_{name}")
    return _filled("event_text", field=sql.Identifier("happened_at" if name == "time" else name))


def _holds(building: Building, condition: Condition | None) -> Composable:
    """Whether a condition holds, as domain/conditions.py says; never null."""
    if condition is None:
        return YES
    if condition.all is not None:
        return both(*[_holds(building, one) for one in condition.all])
    if condition.any is not None:
        return either(*[_holds(building, one) for one in condition.any])
    if condition.none is not None:
        return sql.SQL("NOT {}").format(either(*[_holds(building, one) for one in condition.none]) or NO)
    field = _field(building, (condition.field or "").removeprefix("event."))
    compared = Comparison.model_construct(is_=condition.is_, value=_plain(condition.value))
    holds = json(building, field, compared).holds
    if condition.is_ == "contains" and isinstance(condition.value, str):
        holds = _filled("contains", field=field, wanted=building.text(condition.value), otherwise=holds)
    return sql.SQL("({})").format(holds)


def _plain(value: Any) -> Any:
    """A value of YAML as JSON has it: days as text."""
    if isinstance(value, list):
        return tuple(_plain(one) for one in value)
    return value.isoformat() if isinstance(value, date) else value
