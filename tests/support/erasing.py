"""Where does a test get an erasing? On a small story, with a ledger in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg_pool import ConnectionPool

from commands.erasing import Around, Erasing
from commands.ledger import Ledger
from commands.parking import Parking
from projections.directory import emptying
from tests.support.letters import parking_of
from tests.support.story import Story

__all__ = ["erasing_of", "erasing_with"]


def erasing_with(small: Any, pool: ConnectionPool, parking: Parking, ledger: Path, **changes: Any) -> Erasing:
    """An erasing out of parts. `small`: whatever has keyring, hasher and log."""
    parts: dict[str, Any] = {
        "keyring": small.keyring,
        "hasher": lambda: small.hasher,
        "ledger": lambda: Ledger(ledger),
        "parking": lambda: parking,
        "directory": emptying,
        "ends": small.log.ends,
        "log_id": lambda: small.log.log_id,
    }
    return Erasing(pool, Around(**{**parts, **changes}))


@contextmanager
def erasing_of(small: Story, ledger: Path, **changes: Any) -> Iterator[Erasing]:
    """An erasing on a story."""
    with (
        ConnectionPool(small.dsn, min_size=1, max_size=4, kwargs={"autocommit": True}) as pool,
        parking_of(small) as parking,
    ):
        yield erasing_with(small, pool, parking, ledger, **changes)
