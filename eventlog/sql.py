"""How does SQL from a `.sql` file reach Python? By its `-- name: foo` line, as one string per query."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString

__all__ = ["load"]

_NAME = re.compile(r"^-- name:[ \t]*(\w+)[ \t]*$", re.MULTILINE)


@cache
def load(package: str, filename: str) -> dict[str, LiteralString]:
    """The queries of `filename` in `package`, by name, in the file's order.

    A query begins at its `-- name: foo` line, ends at the next one, and keeps its comments. What stands before
    the first name belongs to no query. Raises ValueError when a name comes twice or a file has none.
    The text is ours, from our own package, and never made of values: hence LiteralString, as psycopg asks.
    """
    text = files(package).joinpath(filename).read_text(encoding="utf-8")
    parts = _NAME.split(text)
    queries: dict[str, LiteralString] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in queries:
            raise ValueError(f"{package}/{filename}: the name {name!r} is given twice")
        queries[name] = body.strip()
    if not queries:
        raise ValueError(f"{package}/{filename}: no '-- name: foo' line")
    return queries
