"""How does a server process start so that it never outlives us, however we end?"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["Server", "ServerError", "free_ports", "wait_until"]

# The guard waits for the end of a pipe that only we hold open: even a kill -9 of us closes it.
_GUARD = 'exec 3<&0; (cat <&3 >/dev/null; kill -9 -$$) & exec "$@" 3<&- </dev/null'


class ServerError(Exception):
    """A server did not start or stop; the message holds the end of its output."""


class Server:
    """A child process in a group of its own; the whole group dies with us."""

    def __init__(self, argv: Sequence[str], output: Path, env: Mapping[str, str], user: str | None) -> None:
        self.output = output
        with output.open("ab") as out:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "guard", *argv],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=dict(env),
                user=user,
                extra_groups=[] if user else None,
                cwd=output.parent,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """kill -9 of the process and of everything that it started; returns when all are gone."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            family = [parent, *parent.children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._reap()
        psutil.wait_procs(family, timeout=10)

    def stop(self, with_signal: signal.Signals, timeout: float = 20.0) -> None:
        """Ask the process to end; kill it when it has not after `timeout` seconds."""
        if self.alive:
            self._process.send_signal(with_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def send(self, what: signal.Signals) -> None:
        """Send a signal to the process itself, as SIGSTOP and SIGCONT."""
        if self.alive:
            self._process.send_signal(what)

    def tail(self) -> str:
        return self.output.read_text(errors="replace")[-3000:] if self.output.exists() else ""

    def _reap(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)


def wait_until(ready: Callable[[], bool], server: Server, timeout: float, what: str) -> None:
    """Poll `ready` until it is true; ServerError when the server died or `timeout` seconds passed."""
    deadline = time.monotonic() + timeout
    while not ready():
        if not server.alive or time.monotonic() > deadline:
            server.kill()
            raise ServerError(f"{what} did not start within {timeout} s. Its output:\n{server.tail()}")
        time.sleep(0.05)


def free_ports(number: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
