"""Whom does an event reach that names nobody? What is said of a product tells of which category past purchases are;
what is said of an organisation tells the industry of those whom an earlier description named.

They may be many, so they are woken (`waking.py`) and not asked within the batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import psycopg

from eventlog.sql import load
from projections.columns import LENGTH, NULL
from projections.packing import Packed
from projections.segments.compiling import Watched

__all__ = ["Thing", "mark_off", "things_of", "wake_reached"]

_SQL: Final = load("projections.segments", "reaching.sql")
_KIND: Final = 2 + 20
"""Where the kind stands in a packed row of `things`, behind its name; the ref follows."""
Thing = tuple[str, str]
"""(kind, ref)"""
_Cursor = psycopg.Cursor[Any]


def things_of(packed: Sequence[Packed]) -> Iterator[Thing]:
    """Of what these rows of `things` tell."""
    for rows in packed:
        for row in rows.rows():
            kind, place = _text(row, _KIND)
            yield kind, _text(row, place)[0]


def _text(row: bytes, place: int) -> tuple[str, int]:
    """(the text at a place, the place behind it)."""
    if row[place : place + 4] == NULL:
        return "", place + 4
    end = place + 4 + LENGTH.unpack_from(row, place)[0]
    return row[place + 4 : end].decode(), end


def mark_off(cursor: _Cursor, watched: Watched, things: Collection[Thing]) -> None:
    """Go before or behind those who say something of what customers have to do with, to the end of the transaction.
    Called before anybody is held."""
    if watched.products or watched.industry:
        cursor.execute(_SQL["alone" if things else "beside"])


def wake_reached(cursor: _Cursor, watched: Watched, things: Collection[Thing]) -> None:
    """Let those be looked at again whom it reaches."""
    products = [ref for kind, ref in things if kind == "product"]
    organisations = [ref for kind, ref in things if kind == "organisation"]
    if products and watched.products:
        cursor.execute(_SQL["wake_buyers"], {"refs": products})
    if organisations and watched.industry:
        cursor.execute(_SQL["wake_contacts"], {"refs": organisations})
