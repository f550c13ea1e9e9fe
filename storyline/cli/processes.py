"""`storyline serve`, `api`, `projector`, `inbox`: the long-running processes, all at once or one by one."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import structlog
import typer
from prometheus_client import CollectorRegistry

from commands.access import SCOPES
from commands.channels import Channels
from consumers.health import Health
from domain.errors import Misconfigured
from projections.checking import refuse_damaged_log
from storyline import logs
from storyline.cli.shared import console
from storyline.database import upgraded
from storyline.loading import loading
from storyline.metrics import ParkedCollector, watching
from storyline.parts import Parts
from storyline.renewal import renew
from storyline.settings import Settings
from storyline.supervisor import Supervisor, end_with_parent, stop_on_signals
from storyline.turn import wait_for_turn

__all__ = [
    "PORTS",
    "api",
    "development_key",
    "enrichment",
    "inbox",
    "process",
    "projector",
    "relay",
    "serve",
    "serving",
    "with_ports",
]

PORTS = (
    "port", "projector_port", "relay_port", "scheduler_port", "automation_port", "enrichment_port", "inbox_port",
)  # fmt: skip
_logger = structlog.get_logger("storyline.serve")


def serve() -> None:
    """Run everything with one command: PostgreSQL where none is set, tables, API, projector, relay,
    scheduler, automation, enrichment, inbox.

    In development it makes one API key with all scopes, and prints it once.
    """
    settings = with_ports(Settings())
    logs.configure(settings.log_format, settings.log_level)
    with stop_on_signals() as stop, Parts.build(settings) as parts:
        parts.upgrade()
        renew(parts)
        _greet(parts, development_key(parts))
        code = _supervise(parts, stop)
    if code:
        raise typer.Exit(code)


@contextmanager
def serving(parts: Parts) -> Iterator[None]:
    """All processes of these parts, run in the background; returns when the API answers."""
    _check_ports(parts.settings, _names(parts))
    renew(parts)
    stop = threading.Event()
    ended: list[int] = []
    quiet = {"STORYLINE_LOG_LEVEL": "warning"}
    supervisor = Supervisor(_names(parts), {**_environment(parts.settings), **quiet}, parts.mend)
    thread = threading.Thread(target=lambda: ended.append(supervisor.run(stop)), name="supervisor")
    thread.start()
    try:
        _wait_until_ready(parts.settings, lambda: bool(ended))
        yield
    finally:
        stop.set()
        thread.join()


def _supervise(parts: Parts, stop: threading.Event) -> int:
    _check_ports(parts.settings, _names(parts))
    supervisor = Supervisor(_names(parts), _environment(parts.settings), parts.mend)

    def tell_when_ready() -> None:
        try:
            _wait_until_ready(parts.settings, stop.is_set)
        except Misconfigured:
            return
        _tell_addresses(parts.settings)

    threading.Thread(target=tell_when_ready, name="ready", daemon=True).start()
    return supervisor.run(stop)


def api() -> None:
    """Run the API alone."""
    with loading():
        from api.app import create_app  # noqa: PLC0415 - each process loads what it runs, and no other's
        from api.server import server_of  # noqa: PLC0415

    with process() as parts:
        app = create_app(parts.api)
        server_of(app, host=parts.settings.host, port=parts.settings.port).run()


def projector() -> None:
    """Run a projector. Several share the partitions of the log, on one or many machines."""
    with loading():
        from consumers.projector import Projector  # noqa: PLC0415

    # Batches are many objects without a cycle among them; to look for one after each few hundred costs a third.
    gc.set_threshold(200_000, 10, 10)
    registry = CollectorRegistry()
    with process() as parts, stop_on_signals() as stop:
        settings = parts.settings
        park = parts.parking.for_log("projector", parts.log.log_id)
        work = Projector(
            settings.database_url,
            settings.log_url,
            parts.log,
            park,
            registry,
            parts.reading,
            batch=settings.batch,
            lease=settings.lease_seconds,
            stall=settings.stall_seconds,
            give_up=_end_stuck,
        )
        registry.register(ParkedCollector(parts.parking))
        with Health(
            settings.host, settings.projector_port, registry, lambda: (work.ready, {"partitions": work.held})
        ):
            work.run(stop)


def inbox() -> None:
    """Run an inbox: it moves what channels publish straight to Kafka onto the log. Several share the topics."""
    with loading():
        from consumers.inbox import Inbox  # noqa: PLC0415

    registry = CollectorRegistry()
    with process() as parts, stop_on_signals() as stop:
        settings = parts.settings
        if not _has_inbox(settings, parts.channels):
            raise Misconfigured("The inbox needs a kafka:// LOG_URL and channels in STORYLINE_CHANNELS_FILE.")
        if urlsplit(settings.log_url).path.strip("/") in parts.channels.topics:
            raise Misconfigured("STORYLINE_CHANNELS_FILE binds a channel to the topic of LOG_URL, which is the log.")
        work = Inbox(
            settings.database_url,
            settings.log_url,
            parts.channels,
            parts.publisher,
            parts.parking,
            registry,
            retention_days=settings.retention_days,
            partitions=settings.inbox_partitions,
            lease=settings.lease_seconds,
        )
        registry.register(ParkedCollector(parts.parking))
        with Health(settings.host, settings.inbox_port, registry, lambda: (work.ready, {"partitions": work.held})):
            work.run(stop)


def relay() -> None:
    """Run a relay: it moves what deals, tickets and tasks did to the log. Several may run; one works."""
    with loading():
        from consumers.relay import Relaying  # noqa: PLC0415

    registry = CollectorRegistry()
    with process() as parts, stop_on_signals() as stop:
        settings = parts.settings
        work = Relaying(settings.database_url, parts.log, parts.hasher, registry, lease=settings.lease_seconds)
        with Health(settings.host, settings.relay_port, registry, lambda: (work.ready, {"works": work.works})):
            work.run(stop)


def enrichment() -> None:
    """Run enrichment: it scores what customers write, and publishes it beside. Several share the partitions."""
    with loading():
        from consumers.enrichment import Enricher  # noqa: PLC0415 - the method's words are for this process alone

    registry = CollectorRegistry()
    with process() as parts, stop_on_signals() as stop:
        settings = parts.settings
        work = Enricher(
            settings.database_url, parts.log, parts.publisher, parts.keyring, parts.hasher, registry,
            lease=settings.lease_seconds,
        )  # fmt: skip
        with Health(
            settings.host, settings.enrichment_port, registry, lambda: (work.ready, {"partitions": work.held})
        ):
            work.run(stop)


def _end_stuck() -> None:
    """A thread that hangs in a library cannot be ended, a process can; whoever supervises it starts another."""
    os._exit(1)


@contextmanager
def process() -> Iterator[Parts]:
    """The parts of one long-running process; its tables must be there."""
    end_with_parent()
    settings = Settings()
    logs.configure(settings.log_format, settings.log_level)
    with Parts.build(settings) as parts:
        if settings.mode == "development":
            parts.upgrade()
        elif not upgraded(parts.settings.database_url):
            raise Misconfigured("The tables are not in their newest form; run `storyline db upgrade` first.")
        wait_for_turn(parts.settings.database_url, parts.log.log_id)
        refuse_damaged_log(parts.settings.database_url, parts.log)
        parts.erasing.apply()  # what a restore brought back goes before anybody sees it
        with watching(parts.parking):
            yield parts


def _names(parts: Parts) -> list[str]:
    """What `serve` runs. Automation only where there are rules for it, enrichment only where it is asked for."""
    names = ["api", *["projector"] * parts.settings.projectors, "relay run", "scheduler"]
    if any(rule.enabled for rule in parts.configuration.automation):
        names.append("automation")
    if parts.settings.enrichment:
        names.append("enrichment")
    return [*names, "inbox"] if _has_inbox(parts.settings, parts.channels) else names


def _has_inbox(settings: Settings, channels: Channels) -> bool:
    return urlsplit(settings.log_url).scheme == "kafka" and bool(channels.topics)


def _environment(settings: Settings) -> dict[str, str]:
    """What the children need to know: addresses, and with them the password, never as arguments."""
    found = dict(os.environ)
    for name in ("LOG_URL", "DATABASE_URL", "KEYS_URL"):
        found.pop(f"STORYLINE_{name}", None)
        found[name] = getattr(settings, name.lower())
    for name in PORTS:
        found[f"STORYLINE_{name.upper()}"] = str(getattr(settings, name))
    found["STORYLINE_DATA_DIR"] = str(settings.data_dir.absolute())
    return found


def with_ports(settings: Settings) -> Settings:
    """The settings with a free port wherever they say 0."""
    found = {}
    with contextlib.ExitStack() as held:
        for name in PORTS:
            if getattr(settings, name) == 0:
                probe = held.enter_context(socket.socket())
                probe.bind((settings.host, 0))
                found[name] = probe.getsockname()[1]
    return settings.model_copy(update=found)


def _check_ports(settings: Settings, names: Sequence[str]) -> None:
    """A port that is taken is told before anything starts, not by a child over and over."""
    for name in dict.fromkeys("port" if name == "api" else f"{name.split()[0]}_port" for name in names):
        port = getattr(settings, name)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                raise Misconfigured(
                    f"Port {port} of {settings.host} cannot be had ({error.strerror}); is Storyline running already? "
                    f"Otherwise choose another by STORYLINE_{name.upper()}."
                ) from None


def _wait_until_ready(settings: Settings, given_up: Callable[[], bool]) -> None:
    """Return once /readyz says so. Misconfigured when `given_up()` or after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not given_up():
        try:
            with urlopen(f"{settings.api_url}/readyz", timeout=2) as answer:  # noqa: S310 - our own address
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        time.sleep(0.1)
    raise Misconfigured("The API did not become ready; the lines above say why.")


def development_key(parts: Parts) -> str | None:
    """In development: a key with all scopes, kept in a file of mode 0600; gives it when it was made just now."""
    settings = parts.settings
    path = settings.development_key
    if settings.mode == "production":
        return None
    if path.exists():
        key_id = path.read_text("ascii").strip().split("_")[1:2]
        if any([key.key_id] == key_id and key.revoked_at is None for key in parts.access.list()):
            return None
    made = parts.access.create("development", SCOPES)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(made.secret, "ascii")
    return made.secret


def _greet(parts: Parts, made: str | None) -> None:
    settings = parts.settings
    kind = urlsplit(settings.log_url).scheme
    _logger.info("serve.starting", mode=settings.mode, kind=kind, port=settings.port)
    if made is not None:
        console.print(f"API key with all scopes, shown this once: {made}", markup=False, soft_wrap=True)
        console.print(f"(kept for the commands on this machine in {settings.development_key})", markup=False)


def _tell_addresses(settings: Settings) -> None:
    console.print(
        f"Storyline answers at {settings.api_url}  (API documents: {settings.api_url}/docs)",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"Projector metrics: http://{settings.host}:{settings.projector_port}/metrics", markup=False)
    console.print("Ctrl-C stops it.")
