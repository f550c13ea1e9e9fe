"""How large may one entry be? The same in both adapters, so that a history can move from one to the other."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import TooLarge
from eventlog.port import Entry

__all__ = ["MAX_ENTRY_BYTES", "check_sizes"]

MAX_ENTRY_BYTES = 1_000_000
"""Key and value together; below Kafka's default of 1,048,588 bytes for a whole record batch."""


def check_sizes(entries: Sequence[Entry]) -> None:
    """Raise `TooLarge` for the first entry over the limit, before anything is sent."""
    for index, (key, value) in enumerate(entries):
        if len(key) + len(value) > MAX_ENTRY_BYTES:
            raise TooLarge(
                f"Entry {index} has {len(key) + len(value)} bytes; the log takes at most {MAX_ENTRY_BYTES} each. "
                "Put large content elsewhere and publish a reference with its digest."
            )
