"""What is the peer of `bench commands`? The eventsourcing library's own application, on the same PostgreSQL, in
tables of its own: the same tasks as JSON, in the clear, with the recorder, pool and transcoder that it comes with.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
from psycopg.conninfo import conninfo_to_dict

__all__ = ["BareTask", "bare_application"]


class BareTask(Aggregate):
    """A task with the fields that ours are saved with."""

    class Begun(Aggregate.Created):
        """Its first event."""

        type: str
        content: dict[str, Any]
        actor: str
        who: list[dict[str, str]]

    @classmethod
    def begun(cls, id: UUID, content: dict[str, Any], who: list[dict[str, str]], at: datetime) -> BareTask:
        """A new one."""
        return cls._create(
            cls.Begun, id=id, timestamp=at, type="task.created", content=content, actor="user:anna", who=who
        )


def bare_application(dsn: str, connections: int) -> Application[UUID]:
    """The application; the caller closes it."""
    parts = conninfo_to_dict(dsn)
    return Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": str(parts["dbname"]),
            "POSTGRES_HOST": str(parts["host"]),
            "POSTGRES_PORT": str(parts.get("port") or 5432),
            "POSTGRES_USER": str(parts["user"]),
            "POSTGRES_PASSWORD": str(parts.get("password") or ""),
            "POSTGRES_POOL_SIZE": str(connections),
            "POSTGRES_MAX_OVERFLOW": "0",
        }
    )
