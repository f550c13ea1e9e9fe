"""Where does a test get dead letters, and a parking to see to them?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from commands.messages import BATCH, STRUCTURED
from commands.parking import Letter, Parking, Settled
from commands.publishing import Rights
from projections.runner import Parked
from storyline.parts import _trouble_of
from tests.support.story import Story

__all__ = ["AS_BATCH", "AS_STRUCTURED", "MAIL", "logged", "message", "park_records", "parking_of", "walk"]

AS_STRUCTURED = (("content-type", STRUCTURED.encode()),)
AS_BATCH = (("content-type", BATCH.encode()),)
MAIL = Rights(("test/*",), ("email.*",))


@contextmanager
def parking_of(small: Story, **changes: Any) -> Iterator[Parking]:
    with ConnectionPool(small.dsn, min_size=1, max_size=4, kwargs={"autocommit": True}) as pool:
        parts: dict[str, Any] = {
            "publisher": lambda: small.publisher,
            "log": lambda: small.log,
            "rights": lambda topic: MAIL,
            "trouble": _trouble_of,
        }
        yield Parking(pool, small.keyring, lambda: small.hasher, **{**parts, **changes})


def message(offset: int, raw: Any, reason: str = "bad-input", headers: Any = AS_STRUCTURED) -> Letter:
    value = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    return Letter("inbox", reason, "data.x: is wrong.", "message", "inbox.mail", 0, offset, value, headers=headers)


def walk(step: Any) -> list[Settled]:
    """A walk to its end."""
    found = [step(None)]
    while found[-1].next is not None:
        found.append(step(found[-1].next))
    return found


def logged(small: Story) -> int:
    return sum(small.log.ends().values())


def park_records(parking: Parking, small: Story, *records: Parked) -> None:
    with psycopg.connect(small.dsn) as connection:
        parking.for_log("projector", small.log.log_id)(connection, records)
