"""How does an analyst replay history in Python? Events of the timeline as Arrow batches, a table, or a data frame.

    from storyline.replay import replay

    with replay(types=["purchase.made"], since="2026-01-01") as run:
        table = run.arrow()          # a pyarrow.Table
    with replay(types=["purchase.made"]) as run:
        for batch in run.batches():  # pyarrow.RecordBatch, in constant memory
            ...
    with replay(recorded_by="2026-03-31T23:59:59+01:00") as run:
        frame = run.frame()          # pandas or polars, whichever is installed

It only reads, in one snapshot, and without names, unless `personal` is asked for with a key that may see them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from importlib.util import find_spec
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa

from domain.errors import BadInput, Forbidden, Misconfigured, Problem
from domain.event import read_time
from domain.replay_where import read_where
from projections.replay_columns import Columns
from projections.replaying import Chosen, replayed, snapshot_of
from storyline.parts import Parts
from storyline.settings import Settings
from storyline.types import catalogue_of

__all__ = ["Run", "replay"]

When = str | date | datetime | None
"""A moment with its offset, or a day, which begins at midnight in the deployment's time zone."""


@dataclass
class Run:
    """One replay, to be read once. `events`: how many were given so far."""

    columns: Columns
    _connection: psycopg.Connection
    _chosen: Chosen
    events: int = field(init=False, default=0)
    _begun: bool = field(init=False, default=False)

    @property
    def schema(self) -> Any:
        """The Arrow schema of what it gives."""
        return self.columns.schema

    @property
    def unfit(self) -> int:
        """How many values were too large or too fine for their columns so far."""
        return self.columns.unfit

    def batches(self) -> Iterator[Any]:
        """Its events as `pyarrow.RecordBatch`, about a thousand each, in order, in constant memory."""
        if self._begun:
            raise BadInput([Problem("replay", "was read already.", "Open another one, or keep its table.")])
        self._begun = True
        for events in replayed(self._connection, self.columns.catalogue, self._chosen):
            self.events += len(events)
            yield self.columns.batch(events)

    def arrow(self) -> Any:
        """All of it as a `pyarrow.Table`."""
        return pa.Table.from_batches(list(self.batches()), self.schema)

    def frame(self) -> Any:
        """All of it as a data frame of pandas, or else of polars. Raises Misconfigured where neither is installed."""
        if find_spec("pandas") is not None and find_spec("numpy") is not None:
            return self.arrow().to_pandas()
        if find_spec("polars") is not None:
            import polars  # noqa: PLC0415 - it may not be there

            return polars.from_arrow(self.arrow())
        raise Misconfigured("Neither pandas nor polars is installed; install one of them, or use arrow().")


@contextmanager
def replay(
    source: Settings | Parts | str | None = None,
    *,
    since: When = None,
    until: When = None,
    types: Sequence[str] = (),
    channels: Sequence[str] = (),
    where: str | None = None,
    customers: Sequence[str | UUID] = (),
    segments: Sequence[str] = (),
    happened_by: When = None,
    recorded_by: When = None,
    as_sent: bool = False,
    columns: Sequence[str] = (),
    personal: bool = False,
    order: Literal["happened", "position"] = "happened",
) -> Iterator[Run]:
    """Replay events of the timeline as they count.

    source: settings; the address of the read models' database, `postgresql://…`; or nothing: the environment says.
    since, until: when they happened, `until` not included. types, channels: all where empty. where: conditions on
    single events, as in rules of segments (docs/replay.md). customers: any of their ids. segments: codes; whoever is
    a member now. happened_by, recorded_by: what had happened and what was known by then. as_sent: what was taken back
    or put right, too, as it was first sent. columns: which ones, in this order. personal: with the columns `who`,
    `personal` and `erased`; needs the key store, and an API key with the scope `read` (STORYLINE_API_KEY, or the
    development key). order: by when it happened, or by its position on the log.

    Raises BadInput for what is not understood, Forbidden, Misconfigured, and Unavailable where the database does not
    answer.
    """
    with ExitStack() as held:
        settings, dsn, parts = _opened(held, source, personal)
        if personal and parts is not None:
            _check_may_see(parts)
        zone = ZoneInfo(settings.time_zone)
        chosen = Chosen(
            since=_moment(since, "since", zone),
            until=_moment(until, "until", zone),
            types=tuple(types),
            channels=tuple(channels),
            customers=tuple(_customer(one) for one in customers),
            segments=tuple(segments),
            where=read_where(where) if where else (),
            happened_by=_moment(happened_by, "happened_by", zone),
            recorded_by=_moment(recorded_by, "recorded_by", zone),
            as_sent=as_sent,
            order=order,
        )
        keyring = parts.keyring if personal and parts is not None else None
        its = Columns(catalogue_of(settings.types_dir), chosen.types, tuple(columns), keyring)
        yield Run(its, held.enter_context(snapshot_of(dsn)), chosen)


def _opened(
    held: ExitStack, source: Settings | Parts | str | None, personal: bool
) -> tuple[Settings, str, Parts | None]:
    if isinstance(source, Parts):
        return source.settings, source.settings.database_url, source
    if isinstance(source, str):
        if personal:
            raise Misconfigured("An address alone opens nothing personal; replay with the settings instead.")
        return Settings(), source, None
    settings = source or Settings()
    if settings.database_url and not personal:
        return settings, settings.database_url, None
    parts = held.enter_context(Parts.build(settings))
    return settings, parts.settings.database_url, parts


def _check_may_see(parts: Parts) -> None:
    """Raise Forbidden unless the API key that the settings name may see what is personal."""
    settings = parts.settings
    key = settings.api_key.get_secret_value()
    if not key and settings.mode == "development" and settings.development_key.exists():
        key = settings.development_key.read_text("ascii").strip()
    if not key:
        raise Forbidden(
            "What is personal needs an API key with the scope read: set STORYLINE_API_KEY, or replay without names."
        )
    caller = parts.access.authenticate(f"Bearer {key}")
    if "read" not in caller.scopes:
        raise Forbidden(
            "This API key may not see what is personal: it lacks the scope read. Ask for another, or replay without "
            "names."
        )


def _moment(when: When, name: str, zone: ZoneInfo) -> datetime | None:
    """A moment in UTC. Raises BadInput."""
    if when is None:
        return None
    try:
        if isinstance(when, str):
            when = date.fromisoformat(when) if len(when) == 10 else read_time(when)
        if not isinstance(when, datetime):
            return datetime.combine(when, time(), zone).astimezone(UTC)
        if when.tzinfo is None:
            raise ValueError("no offset")
        return when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        way_out = "Give a day such as 2026-03-01, or a moment such as 2026-03-01T09:30:00+01:00."
        raise BadInput([Problem(name, f"is not right: {error}.", way_out)]) from None


def _customer(one: str | UUID) -> UUID:
    try:
        return one if isinstance(one, UUID) else UUID(hex=one)
    except ValueError:
        raise BadInput([Problem("customer", "is no customer's id.", "Give 32 hex digits.")]) from None
