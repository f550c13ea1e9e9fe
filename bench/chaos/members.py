"""Which processes run, and who starts them again? `storyline api`, `projector` and `inbox`, kept running."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from bench.report import progress
from tests.support.process import Server, free_ports

__all__ = ["Keeper", "Member"]

_ROOT = Path(__file__).parent.parent.parent
_PORTS = {"api": "STORYLINE_PORT", "projector": "STORYLINE_PROJECTOR_PORT", "inbox": "STORYLINE_INBOX_PORT"}
_PAUSES = (0.2, 0.5, 1.0, 2.0)


class Member:
    """One process of the command line, launched by `victim.py`. `wanted`: the keeper starts it when it is gone."""

    def __init__(self, role: str, number: int, directory: Path, env: Mapping[str, str]) -> None:
        self.role, self.name = role, f"{role}-{number}"
        self.orders = directory / self.name
        self.orders.mkdir(parents=True)
        self.output = directory / f"{self.name}.log"
        [self.port] = free_ports(1)
        self.wanted = True
        self.frozen = False
        self.doomed = False  # a kill -9 is on its way, so its end is no news
        self.started = 0.0
        self._tries = 0
        self._env = {
            **os.environ,
            **env,
            "PYTHONPATH": str(_ROOT),
            "CHAOS_ORDERS": str(self.orders),
            "PGAPPNAME": f"chaos {self.name}",
            _PORTS[role]: str(self.port),
        }
        self._server: Server | None = None

    @property
    def pid(self) -> int:
        """Of the process itself; 0 if it was never started."""
        return self._server._process.pid if self._server is not None else 0

    @property
    def alive(self) -> bool:
        return self._server is not None and self._server.alive

    @property
    def code(self) -> int | None:
        """Its exit code, once it has ended."""
        return None if self._server is None else self._server._process.poll()

    def start(self) -> None:
        """Start it; what was left of the one before is killed first."""
        if self._server is not None:
            self._server.kill()
        for order in self.orders.iterdir():
            order.unlink()
        argv = [sys.executable, "-m", "bench.chaos.victim", self.role]
        self._server = Server(argv, self.output, self._env, None)
        self.started, self.frozen, self.doomed = time.monotonic(), False, False

    def due(self) -> float:
        """When to start it again, on the monotonic clock: a little later each time it does not hold."""
        self._tries = self._tries + 1 if time.monotonic() - self.started < 10 else 0
        return time.monotonic() + _PAUSES[min(self._tries, len(_PAUSES) - 1)]

    def kill(self) -> bool:
        """kill -9 of the process alone, its children left to find out; gives whether there was one."""
        if not self.alive:
            return False
        self.doomed = True
        os.kill(self.pid, signal.SIGKILL)
        return True

    def kill_reader(self) -> bool:
        """kill -9 of the process that reads and decodes for a projector."""
        readers = self.children()
        for reader in readers:
            reader.kill()
        return bool(readers)

    def children(self) -> list[psutil.Process]:
        """Its Python children."""
        try:
            found = psutil.Process(self.pid).children()
            return [one for one in found if "spawn_main" in " ".join(one.cmdline())]
        except psutil.Error:
            return []

    def freeze(self, whole: bool) -> None:
        """SIGSTOP, as a machine that hangs: of the process alone, or of its reader, too."""
        self.frozen = True
        for pid in [self.pid, *([one.pid for one in self.children()] if whole else [])]:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT of all of it."""
        self.frozen = False
        for pid in [self.pid, *[one.pid for one in self.children()]]:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue

    def order(self, point: str, what: str) -> None:
        """`kill` or `stop` itself when it next passes this point."""
        waiting = self.orders / f".{point}"
        waiting.write_text(what)
        waiting.rename(self.orders / point)

    def obeyed(self, point: str) -> bool:
        """Whether the order was taken."""
        return (self.orders / f"{point}.taken").exists()

    def forget(self, point: str) -> None:
        """Make room for the next order."""
        (self.orders / f"{point}.taken").unlink(missing_ok=True)

    def revoke(self, point: str) -> None:
        """Take an order back that nobody took."""
        (self.orders / point).unlink(missing_ok=True)

    def ask(self, path: str) -> str | None:
        """What it answers on its port; None when it does not, or not by 200."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return str(answer.read().decode()) if answer.status == 200 else None
        except (URLError, OSError):
            return None

    def stop(self) -> None:
        """SIGTERM, and what is left after some seconds is killed."""
        if self._server is not None:
            self.doomed = True
            self._server.stop(signal.SIGTERM)


class Keeper:
    """Starts members again when they end, as a supervisor does; tells of those that ended by themselves."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members
        self.ended: list[tuple[str, int, str]] = []
        """(name, exit code, last lines) of members that ended though nobody had killed them."""
        self._due: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def __enter__(self) -> Keeper:
        for member in self.members:
            member.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        for member in self.members:
            member.wanted = False
            if member.frozen:
                member.thaw()
        enders = [threading.Thread(target=member.stop) for member in self.members]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join()

    def of(self, role: str) -> list[Member]:
        return [member for member in self.members if member.role == role]

    def wait(self, true: Callable[[], bool], seconds: float) -> bool:
        """Poll until it is true, `seconds` at most."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            for member in self.members:
                if member.wanted and not member.alive:
                    self._again(member)

    def _again(self, member: Member) -> None:
        if member.name not in self._due:
            self._due[member.name] = member.due()
            if not member.doomed and member.code not in {None, -signal.SIGKILL}:
                lines = member.output.read_text(errors="replace").splitlines()[-3:] if member.output.exists() else []
                self.ended.append((member.name, member.code or 0, " | ".join(lines)[-600:]))
                progress(f"    {member.name} ended by itself with {member.code}: {(lines or [''])[-1][:160]}")
        elif time.monotonic() >= self._due[member.name]:
            del self._due[member.name]
            if not self._stop.is_set() and member.wanted:
                member.start()
