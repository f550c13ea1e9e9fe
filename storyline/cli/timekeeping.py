"""`storyline scheduler`, `automation`: the processes that act by themselves, by the clock and by rules."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from prometheus_client import CollectorRegistry

from commands.acting import Acting
from commands.announcing import Announcing
from consumers.automation import Automation
from consumers.calling import Calling, read_networks
from consumers.carrying import Carrier
from consumers.delivering import Deliverer, sent_counter
from consumers.following import Follower
from consumers.health import Health
from consumers.seat import Heartbeat
from projections.connecting import connected
from projections.leases import Seat
from projections.occasions import Occasions
from projections.positions import Positions
from storyline.cli.processes import process
from storyline.loading import loading
from storyline.metrics import AutomationCollector
from storyline.parts import Parts
from storyline.profile import read_profile
from storyline.supervisor import stop_on_signals
from storyline.webhook_secrets import check_secrets, read_secrets

__all__ = ["automation", "scheduler"]

_DELIVERERS = 4


def scheduler() -> None:
    """Run a scheduler: it does what time asks for. Several may run; each piece of work is done once."""
    with loading():
        from consumers.jobs import jobs_of  # noqa: PLC0415 - APScheduler is for this process alone
        from consumers.scheduler import Scheduler  # noqa: PLC0415
        from consumers.segment_chores import SegmentChores  # noqa: PLC0415

    registry = CollectorRegistry()
    with process() as parts, stop_on_signals() as stop:
        settings = parts.settings
        jobs = jobs_of(parts.configuration, parts.working, parts.pool)
        announcing = Announcing(parts.publisher, parts.keyring, parts.clock)
        segments = SegmentChores(settings.database_url, parts.facing, announcing, registry, lambda: _caught_up(parts))
        work = Scheduler(parts.pool, [*jobs, *segments.chores()], registry, parts.clock)
        with (
            contextlib.closing(segments),
            Health(settings.host, settings.scheduler_port, registry, lambda: (work.ready, work.shown())),
            _seated(parts, "scheduler"),
        ):
            work.run(stop)


def _caught_up(parts: Parts) -> bool:
    """Have the read models all that is on the log?"""
    with contextlib.closing(parts.open_log()) as log, connected(parts.settings.database_url) as connection:
        seen = Positions("live", log.log_id).read(connection)
        return all(seen.get(partition, 0) >= end for partition, end in log.ends().items())


@contextmanager
def _seated(parts: Parts, name: str) -> Iterator[None]:
    """Have a seat, so that `storyline status` shows who is at work; it holds no partition."""
    seat = Seat(name, {}, parts.settings.lease_seconds)
    with Heartbeat(parts.settings.database_url, seat):
        yield
    with contextlib.suppress(psycopg.Error), connected(parts.settings.database_url) as connection:
        seat.leave(connection)


def automation() -> None:
    """Run automation: it does what the rules of the configuration say. Several may run; they share the work."""
    registry = CollectorRegistry()
    with process() as parts, stop_on_signals() as stop:
        settings = parts.settings
        registry.register(AutomationCollector(settings.database_url, parts.webhooks))
        work = _automation(parts, registry)
        with Health(settings.host, settings.automation_port, registry, lambda: (work.ready, work.shown())):
            work.run(stop)


def _automation(parts: Parts, registry: CollectorRegistry) -> Automation:
    settings, rules = parts.settings, parts.configuration.automation
    kinds = {state.code: state.kind for state in parts.configuration.tickets.states}
    secrets = read_secrets(settings.webhook_secrets_file)
    check_secrets(rules, secrets)
    dsn, profile_rules = settings.database_url, read_profile(settings.profile_file)
    acting = Acting(parts.working, parts.publisher, parts.keyring, parts.webhooks)
    calling = Calling(read_networks(settings.webhook_private_networks))
    sent, nobody = sent_counter(registry), Occasions()
    return Automation(
        Follower(dsn, parts.log, rules, registry, parts.clock, settings.lease_seconds),
        Carrier(dsn, rules, acting, registry, parts.clock, profile_rules, kinds),
        [Deliverer(dsn, parts.webhooks, nobody, calling, secrets, sent, parts.clock) for _ in range(_DELIVERERS)],
    )
