"""What does a chaos run happen to? One Storyline of real processes, its writers, and what is known of it."""

# mypy: untyped_calls_exclude=kafka

from __future__ import annotations

import contextlib
import json
import random
import secrets
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from bench.chaos.inbox_writer import InboxWriter
from bench.chaos.ledger import Ledger, Place
from bench.chaos.members import Keeper, Member
from bench.chaos.oracle import Findings, judge
from bench.chaos.reading import EmbeddedBook, KafkaBook, Line, line_of, read_rows
from bench.chaos.servers import Servers
from bench.chaos.without import remove_from
from bench.chaos.writers import Gate, HttpWriter
from storyline.parts import Parts
from storyline.settings import Settings
from tests.support.served import run_cli

__all__ = ["LEASE", "Casting", "Stage", "stage"]

LEASE = 3.0
"""Seconds until a frozen process loses its partitions; short, so that a round is."""
_PARTITIONS = 4
_LONG = 6.0
_INBOX = "inbox.chaos"
_AUDIT = (Path(__file__).parent / "audit.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Casting:
    """How many there are of each."""

    projectors: int = 4
    inboxes: int = 2
    apis: int = 2
    writers: int = 3


@dataclass
class Stage:
    """A running deployment. `dsn` leads past the proxy, for us; the processes go through it."""

    servers: Servers
    dsn: str
    log_id: str
    keeper: Keeper
    ledger: Ledger
    gate: Gate
    writers: Sequence[HttpWriter | InboxWriter]
    book: KafkaBook | EmbeddedBook
    env: dict[str, str]
    without: Sequence[str]
    lines: dict[Place, Line] = field(default_factory=dict)
    _audited: int = 0
    _told: int = 0

    @property
    def kafka(self) -> bool:
        return isinstance(self.book, KafkaBook)

    def connect(self) -> psycopg.Connection:
        """A session of ours."""
        return psycopg.connect(self.dsn, autocommit=True, connect_timeout=2, application_name="chaos itself")

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Rows of a query; [] while Postgres is away."""
        try:
            with self.connect() as connection:
                return connection.execute(query, values).fetchall()
        except psycopg.Error:
            return []

    def positions(self, consumer: str) -> dict[int, int]:
        """Where a consumer stands."""
        found = self.ask("SELECT log_partition, next_offset FROM storyline.positions WHERE consumer = %s", consumer)
        return dict(found)

    def well(self, seconds: float = 90.0, note: Callable[[str], None] = lambda told: None) -> float | None:
        """Seconds until all that is acknowledged now is visible, and something new was acknowledged; None: never.
        `note` is told what took long."""
        began = time.monotonic()
        log, inbox = self.ledger.tops()
        acks = self.ledger.acknowledgements()
        deadline = began + seconds

        def until(true: Any) -> bool:
            while not true():
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.02)
            return True

        if self.gate.open.is_set() and not until(lambda: self.ledger.acknowledgements() > acks):
            return None
        answered = time.monotonic()
        if not until(lambda: _beyond(self.positions("inbox"), inbox)):
            return None
        moved = time.monotonic()
        ends = self._ends(deadline) if inbox else {partition: offset + 1 for partition, offset in log.items()}
        wanted = {partition: max(end - 1, log.get(partition, -1)) for partition, end in ends.items() if end}
        if not until(lambda: _beyond(self.positions("live"), wanted)):
            return None
        done = time.monotonic()
        if done - began > _LONG:
            parts = (
                f"{answered - began:.1f} s to an answer, {moved - answered:.1f} s inbox, {done - moved:.1f} s rows"
            )
            note(f"slow: {parts}")
        return done - began

    def quiet(self, seconds: float = 60.0) -> list[str]:
        """Hold the writers until none has anything under way; gives those that still have."""
        self.gate.open.clear()
        self.keeper.wait(lambda: all(writer.idle for writer in self.writers), seconds)
        return [writer.name for writer in self.writers if not writer.idle]

    def check(self) -> Findings:
        """All checks, on a system that stands still."""
        findings = Findings()
        start = dict.fromkeys(range(_PARTITIONS), 0)
        for partition, offset in self.lines:
            start[partition] = max(start[partition], offset + 1)
        self._read(start, findings)
        self._read(start, findings)
        ledger = self.ledger
        topic = _INBOX if self.kafka else ""
        found = judge(ledger.sent, ledger.acks, ledger.requests, self.lines, read_rows(self.dsn), self.log_id, topic)
        for check, number in found.counts.items():
            findings.counts[check] += number
            findings.examples[check] += found.examples[check]
        self._audit(findings)
        self._gave_up(findings)
        return findings

    def check_whole_log(self, findings: Findings) -> None:
        """Read the log once more from its start: does each offset hold what it held?"""
        before = set(self.lines)
        seen = self._read(dict.fromkeys(range(_PARTITIONS), 0), findings)
        for place in before - seen:
            findings.add("lost", f"{place} was on the log and is not any more")

    def rebuild(self, findings: Findings) -> None:
        """Rebuild beside live; the command compares the row hashes of both."""
        done = run_cli({**self.env, "STORYLINE_MODE": "production"}, "rebuild", "--json", timeout=180)
        same = done.returncode == 0 and json.loads(done.stdout)["same"] is True
        if not same:
            findings.add("rebuild_differs", f"exit {done.returncode}: {(done.stderr or done.stdout)[-300:]}")

    def _read(self, start: dict[int, int], findings: Findings) -> set[Place]:
        seen = set()
        for partition, offset, value in self.book.read(start):
            place = (partition, offset)
            seen.add(place)
            known = self.lines.get(place)
            if known is None:
                self.lines[place] = line_of(partition, offset, bytes(value))
            elif known.value != value:
                findings.add("offsets_twice", f"{place} held {known.mark} and now another record")
        return seen

    def _ends(self, deadline: float) -> dict[int, int]:
        while True:
            try:
                return self.book.ends()
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _audit(self, findings: Findings) -> None:
        """Each move of a position: forward, and by who holds the partition."""
        moves = self.ask(
            "SELECT number, consumer, log_partition, old_offset, new_offset, old_epoch, new_epoch, holder, session "
            "FROM chaos.moves WHERE number > %s AND consumer IN ('live', 'inbox') ORDER BY number",
            self._audited,
        )
        for number, consumer, partition, old, new, old_epoch, new_epoch, holder, session in moves:
            self._audited = number
            if session == "chaos itself":
                continue
            where = f"{consumer}, partition {partition}"
            if new < old or new_epoch < old_epoch:
                findings.add("backwards", f"{where}: from {old} to {new}, epoch {old_epoch} to {new_epoch}")
            if new != old and session.startswith("storyline ") and session != f"storyline {_hex(holder)}":
                findings.add("by_stranger", f"{where}: {old} to {new} by {session}, held by {_hex(holder)}")

    def _gave_up(self, findings: Findings) -> None:
        for name, code, lines in self.keeper.ended[self._told :]:
            if code in {1, 2, 7, 8}:
                findings.add("gave_up", f"{name} ended with {code}: {lines}")
        self._told = len(self.keeper.ended)


def _hex(holder: uuid.UUID | None) -> str:
    return "nobody" if holder is None else holder.hex


def _beyond(positions: dict[int, int], tops: dict[int, int]) -> bool:
    return all(positions.get(partition, 0) > top for partition, top in tops.items())


@contextmanager
def stage(servers: Servers, casting: Casting, seed: int, without: Sequence[str] = ()) -> Iterator[Stage]:
    """A fresh deployment on these servers, all members ready, writers at work."""
    dsn, through = servers.database()
    kafka = bool(servers.bootstrap)
    copies = 3 if servers.cluster is not None else 1
    name = f"chaos-{uuid.uuid4().hex[:8]}"
    query = f"partitions={_PARTITIONS}&replication={copies}&min_isr={min(2, copies)}&security=PLAINTEXT"
    log_url = f"kafka://{servers.bootstrap}/{name}?{query}" if kafka else f"{through}?partitions={_PARTITIONS}"
    directory = servers.directory / name
    directory.mkdir()
    channel = {"channel": "chaos", "sources": ["chaos/*"], "types": ["email.*"], "topic": _INBOX}
    (directory / "channels.json").write_text(json.dumps({"channels": [channel]}))
    master = b64encode(secrets.token_bytes(32)).decode()
    env = {
        "LOG_URL": log_url,
        "DATABASE_URL": through,
        "KEYS_URL": through,
        "STORYLINE_MODE": "production",
        "STORYLINE_MASTER_KEY": master,
        "STORYLINE_CHANNELS_FILE": str(directory / "channels.json"),
        "STORYLINE_LOG_FORMAT": "json",
        "STORYLINE_LEASE_SECONDS": str(LEASE),
        "STORYLINE_STALL_SECONDS": "20",
        "STORYLINE_DATA_DIR": str(directory / "data"),
        "STORYLINE_LEDGER": str(directory / "erasures.ledger"),
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
        "CHAOS_WITHOUT": ",".join(without),
    }
    key, log_id = _install(dsn, log_url, master, without)
    if kafka:
        _make_topic(servers.bootstrap, copies)
    roles = {"api": casting.apis, "projector": casting.projectors, "inbox": casting.inboxes if kafka else 0}
    members = [Member(role, number, directory, env) for role, count in roles.items() for number in range(count)]
    ledger, gate, rng = Ledger(), Gate(), random.Random(seed)
    urls = [f"http://127.0.0.1:{member.port}" for member in members if member.role == "api"]
    writers: list[HttpWriter | InboxWriter] = [
        HttpWriter(f"h{number}", urls, key, ledger, gate, random.Random(rng.random()))
        for number in range(casting.writers)
    ]
    if kafka:
        writers += [
            InboxWriter(f"i{number}", servers.bootstrap, _INBOX, ledger, gate, random.Random(rng.random()))
            for number in range(2)
        ]
    book = KafkaBook(servers.bootstrap, name, _PARTITIONS) if kafka else EmbeddedBook(dsn)
    with Keeper(members) as keeper:
        one = Stage(servers, dsn, log_id, keeper, ledger, gate, writers, book, env, without)
        if not keeper.wait(lambda: all(member.ask("/readyz") for member in members), 90):
            raise TimeoutError("; ".join(member.output.read_text()[-500:] for member in members))
        for writer in writers:
            writer.start()
        try:
            yield one
        finally:
            gate.stop.set()
            for writer in writers:
                writer.join()


def _install(dsn: str, log_url: str, master: str, without: Sequence[str]) -> tuple[str, str]:
    """Tables, log, audit and an API key; gives (key, log id)."""
    settings = Settings(
        mode="production", database_url=dsn, keys_url=dsn, log_url=log_url, master_key=SecretStr(master)
    )
    with Parts.build(settings) as parts:
        parts.upgrade()
        key = parts.access.create("chaos", ("publish", "read"), sources=("chaos/*",)).secret
        log_id = parts.log.log_id
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_AUDIT)
        remove_from(connection, without)
    return key, log_id


def _make_topic(bootstrap: str, copies: int) -> None:
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415 - only where Kafka is
    from kafka.errors import TopicAlreadyExistsError  # noqa: PLC0415

    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    wanted = {"num_partitions": _PARTITIONS, "replication_factor": copies, "configs": {"retention.ms": "86400000"}}
    try:
        with contextlib.suppress(TopicAlreadyExistsError):
            admin.create_topics({_INBOX: wanted})
        admin.wait_for_topics([_INBOX], timeout_ms=20_000)
    finally:
        admin.close()
