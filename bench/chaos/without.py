"""Does chaos find what it looks for? Negative controls: a mechanism is taken away, and a check has to go red.

cas          a position moves from wherever it stands, not only from where its batch begins
epoch        taking a partition refuses nobody: neither is the epoch compared, nor is the session of whoever had it
             before ended
unique-name  a name is unique nowhere: neither by index nor by a look at what is known
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg

from eventlog.sql import load

__all__ = ["CONTROLS", "remove", "remove_from"]

CONTROLS: Final = {
    "cas": "rewound",
    "epoch": "frozen-mid-batch",
    "unique-name": "api-at-append",
}
"""Each mechanism, and the fault that shows its absence most surely."""

_KNOWN: Final = "WHERE name = ANY (%(names)s::uuid[])\nUNION"
_EDITS: Final = {
    "cas": [("projections", "positions.sql", "move", "p.next_offset = step.start_offset AND ", "")],
    "epoch": [
        ("projections", "positions.sql", "move", " AND p.epoch = step.epoch", ""),
        ("projections", "leases.sql", "end_sessions", "pid <> pg_backend_pid()", "false"),
    ],
    "unique-name": [
        ("projections.timeline", "apply.sql", "known", _KNOWN, "WHERE false\nUNION"),
        ("projections.timeline", "apply.sql", "staged_events", "ON CONFLICT (name) DO NOTHING", ""),
    ],
}  # fmt: skip


def remove(names: Sequence[str]) -> None:
    """Take mechanisms out of this process. ValueError if the SQL is not what it was when this was written: a control
    that silently removes nothing would prove nothing."""
    for name in names:
        for package, filename, query, old, new in _EDITS[name]:
            queries = load(package, filename)
            if old not in queries[query]:
                raise ValueError(f"{package}/{filename}, {query}: {old!r} is not there any more")
            queries[query] = queries[query].replace(old, new)


def remove_from(connection: psycopg.Connection, names: Sequence[str]) -> None:
    """Take mechanisms out of a database."""
    if "unique-name" in names:
        connection.execute("ALTER TABLE timeline.events DROP CONSTRAINT events_pkey")
        connection.execute("CREATE INDEX ON timeline.events (name)")
        connection.execute("ALTER TABLE timeline.refs DROP CONSTRAINT refs_pkey")
