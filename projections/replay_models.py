"""What do the read models say as of this moment, as Arrow tables? A batch at a time, within one snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

import psycopg
import pyarrow as pa

from domain.errors import BadInput, Problem
from eventlog.sql import load

__all__ = ["MODELS", "ModelRows", "model_rows"]

_SQL: Final = load("projections", "replaying_models.sql")
MODELS: Final = tuple(_SQL)
"""Which ones there are."""
_ROWS: Final = 5000
_DECIMAL: Final = pa.decimal128(38, 10)
_PLACES: Final = Decimal(1).scaleb(-10)
_TYPES: Final[Mapping[str, Any]] = {
    "text": pa.string(), "int4": pa.int32(), "int8": pa.int64(), "numeric": _DECIMAL, "bool": pa.bool_(),
    "timestamptz": pa.timestamp("us", "UTC"), "date": pa.date32(), "text[]": pa.list_(pa.string()),
}  # fmt: skip


class ModelRows(NamedTuple):
    """A read model's rows: their Arrow schema, and batches of them, to be read once."""

    schema: Any
    batches: Iterator[Any]


def model_rows(connection: psycopg.Connection, model: str) -> ModelRows:
    """The rows of a read model. Raises BadInput for one that is none."""
    if model not in _SQL:
        raise BadInput([Problem("model", "is no read model.", f"There are {', '.join(MODELS)}.")])
    cursor = connection.cursor("rows", binary=True)
    cursor.itersize = _ROWS
    cursor.execute(_SQL[model])
    schema = pa.schema([pa.field(one.name, _TYPES[one.type_display]) for one in cursor.description or ()])
    return ModelRows(schema, _batches(cursor, schema))


def _batches(cursor: psycopg.ServerCursor[Any], schema: Any) -> Iterator[Any]:
    decimals = [place for place, one in enumerate(schema) if one.type == _DECIMAL]
    with cursor:
        while rows := cursor.fetchmany(_ROWS):
            columns = [list(column) for column in zip(*rows, strict=True)]
            for place in decimals:
                columns[place] = [None if one is None else _exact(one) for one in columns[place]]
            arrays = [pa.array(column, one.type) for column, one in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _exact(number: Decimal) -> Decimal:
    with localcontext(prec=60):
        return number.quantize(_PLACES)
