"""How are read models made anew without anyone noticing? Beside the live ones, and switched in by one transaction.

1. Empty tables in the schemas NAME_next. 2. They are filled: the timeline out of the log by the code that live runs,
and all others out of that; or some of them out of the live timeline. Killed at any point, the next start goes on.
3. At a moment of the live tables the two are compared by their row hashes. 4. Live is held still for as long as
the last few events take, the schemas are renamed, and those before are kept as NAME_previous. A reader sees the old
rows or the new ones, never a mix.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import psycopg

from domain.errors import BadInput, Misconfigured, Problem, StorylineError, Unavailable
from eventlog.port import Log
from eventlog.sql import load
from projections import rebuild_state as state
from projections.checking import refuse_damage
from projections.deriving import Reading
from projections.identity import filling
from projections.moves import refuse_moved
from projections.positions import Positions
from projections.rebuild_log import parked_of
from projections.rebuild_parts import (
    WHO,
    Others,
    Plan,
    complete,
    fill,
    now_of,
    parts_of_log,
    parts_of_tables,
    parts_of_timeline,
)
from projections.rebuild_sources import Around, FromLog, FromTimeline, Source
from projections.rebuild_switch import switch
from projections.rebuild_tables import loosen, tables_of
from projections.registry import (
    MODELS,
    NEXT,
    Hashes,
    ReadModel,
    build_beside,
    changed,
    has_schema,
    is_beside,
    on_schemas,
    standing_on,
)
from projections.runner import Park
from projections.segments.filling import reconcile

__all__ = ["POINTS", "Rebuild", "RebuildDiffers", "Report", "chosen"]

_SQL: Final = load("projections", "rebuild.sql")
_ALL: Final = tuple([model.name for model in MODELS])
_TRIES: Final = 3
POINTS: Final = (
    "begun",
    "filled",
    "rows",
    "finished",
    "near",
    "compared",
    "holding",
    "brought",
    "switching",
    "switched",
)
"""Where a test may stop, or kill, a rebuild; in this order."""


class RebuildDiffers(StorylineError):
    """The rebuilt rows are not the live ones, though their definition is the same. Nothing was switched."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a rebuild did. `same`: the hashes were equal; None if a definition changed, so none were compared."""

    events: int
    seconds: float
    same: bool | None
    hashes: Hashes
    models: tuple[str, ...] = _ALL
    source: state.Source = "log"


def chosen(names: Sequence[str], source: str | None) -> tuple[tuple[str, ...], state.Source]:
    """The read models that are meant, and out of what they are filled unless it is said: all out of the log, some out
    of the timeline. Raises BadInput."""
    unknown = [name for name in names if name != "all" and name not in _ALL]
    if unknown:
        raise BadInput([Problem("NAME", f"{unknown[0]} is no read model.", f"There are: all, {', '.join(_ALL)}.")])
    if source not in (None, "log", "timeline"):
        raise BadInput([Problem("--from", "is neither `log` nor `timeline`.", "Give one of them, or leave it out.")])
    wanted = set(_ALL) if not names or "all" in names else set(names)
    if "timeline" in wanted and source != "timeline":
        wanted = set(_ALL)  # all others stand on it
    if source is None:
        source = "log" if "timeline" in wanted else "timeline"
    if source == "timeline":
        if "timeline" in wanted and names and "all" not in names:
            raise BadInput(
                [Problem("NAME", "The timeline is made out of the log, and all others with it.", "Say `all`.")]
            )
        wanted.discard("timeline")
    elif wanted != set(_ALL):
        raise BadInput(
            [Problem("--from", "Out of the log all are made together.", "Say `all`, or `--from timeline`.")]
        )
    return tuple([name for name in _ALL if name in wanted]), "log" if source == "log" else "timeline"


def _together(models: Sequence[str], differ: Sequence[str]) -> set[str]:
    """These read models, with what they stand on and is not of this release, and with what stands on any such."""
    wanted, before = set(models), set[str]()
    while wanted != before:
        before = set(wanted)
        ground = {"timeline", *[one for model in MODELS if model.name in wanted for one in model.stands_on]}
        wanted.update(name for name in differ if name in ground)
        wanted.update(standing_on([name for name in differ if name in wanted]))
    return wanted


@dataclass
class Rebuild:
    """The rebuild of some read models. told: called with (done, in all) as it goes, both of about as many events.
    workers: processes that share the work, where it can be shared. reached: called at each of `POINTS`."""

    dsn: str
    log_url: str
    log: Log
    park: Park
    reading: Reading
    models: tuple[str, ...] = _ALL
    source: state.Source = "log"
    workers: int = 1
    batch: int = 10_000
    told: Callable[[int, int], None] = lambda done, total: None
    reached: Callable[[str], None] = lambda point: None

    def run(self) -> Report:
        """Rebuild and switch in. Raises RebuildDiffers; Unavailable or Refused while another is at work, or was cut
        off; Misconfigured where nothing was ever installed, the log is not the one that counts, or what the models
        stand on has to be rebuilt, too; LogDamaged if the log lost something. Stopped or killed anywhere, it leaves
        the live tables untouched."""
        began = time.perf_counter()
        try:
            with psycopg.connect(self.dsn, autocommit=True, connect_timeout=10) as connection:
                refuse_moved(connection, self.log.log_id)
                refuse_damage(connection, self.log)  # else it would wait for ever for what the log lost
                state.lock(connection)
                differ = self._refuse_unfounded(connection)
                same, hashes, events = self._make(connection, bool(set(differ) & set(self.models)))
        except psycopg.OperationalError as error:
            raise Unavailable(
                f"Postgres does not answer ({type(error).__name__}). Run this again, it goes on."
            ) from None
        self.reached("switched")
        return Report(events, time.perf_counter() - began, same, hashes, self.models, self.source)

    @property
    def _chosen(self) -> list[ReadModel]:
        return [model for model in MODELS if model.name in self.models]

    @property
    def _around(self) -> Around:
        return Around(self.dsn, self.log_url, self.log, self.park, self.reading, self.batch)

    def _refuse_unfounded(self, connection: psycopg.Connection) -> tuple[str, ...]:
        """The models that are not of this release. Raises Misconfigured where the wanted ones stand on others that
        are not."""
        differ = changed(connection)
        if not any(has_schema(connection, name) for name in _ALL):
            raise Misconfigured("The read models are not installed; run `storyline db upgrade`.")
        if self.source == "log":
            return differ
        wanted = _together(self.models, differ)
        if wanted != set(self.models):
            words = "all" if "timeline" in wanted else " ".join([one for one in _ALL if one in wanted])
            raise Misconfigured(
                f"{', '.join(differ)} are not those of this release, and read models that are made of one another "
                f"have to be made anew together. Run `storyline rebuild {words}`."
            )
        return differ

    def _make(self, connection: psycopg.Connection, differ: bool) -> tuple[bool | None, Hashes, int]:
        with closing(Others(self.workers - 1)) as others:
            return self._make_with(connection, differ, others)

    def _make_with(
        self, connection: psycopg.Connection, differ: bool, others: Others
    ) -> tuple[bool | None, Hashes, int]:
        live = Positions("live", self.log.log_id)
        live.begin(connection, range(self.log.partitions))
        found = self._prepare(connection, live)
        source: Source = (
            FromLog(self._around) if self.source == "log" else FromTimeline(self._around, self.models, found.stood)
        )
        try:
            if found.step == "filling":
                self._fill(connection, found, others)
            source.near(connection)
            self.reached("near")
            same, hashes = (None, {}) if differ else self._compare(source)
            self.reached("compared")
            source.near(connection)
            last: dict[int, int] = {}

            def bring(until: dict[int, int]) -> None:
                last.update(until)
                source.last(until)

            def done() -> None:
                self._forget(connection)
                if differ and "segments" in self.models:
                    reconcile(connection, NEXT, now_of(connection), self.models)

            switch(connection, live, self._chosen, NEXT, bring, done, self.reached)
        finally:
            source.close()
        return same, hashes, sum(last.values())

    def _forget(self, connection: psycopg.Connection) -> None:
        """Done: within the transaction that switches."""
        Positions(state.CONSUMER, self.log.log_id).forget(connection)
        state.forget(connection)

    def _prepare(self, connection: psycopg.Connection, live: Positions) -> state.Known:
        """Empty tables, or those of this very rebuild that was cut off."""
        found = state.known(connection)
        state.refuse_other(found, self.models, self.source)
        with connection.transaction():
            if (
                found is None
                or found.log_id != self.log.log_id
                or not all(is_beside(connection, model, NEXT) for model in self._chosen)
                or (found.step == "filling" and not state.is_whole(connection))
            ):
                found = self._begin(connection, live)
        share = state.show(connection)
        connection.execute(_SQL["resume"], {"share": share.share if share else 0.0})
        self.reached("begun")
        return found

    def _begin(self, connection: psycopg.Connection, live: Positions) -> state.Known:
        Positions(state.CONSUMER, self.log.log_id).forget(connection)
        later: list[tuple[str, str]] = []
        tables: list[str] = []
        for model in self._chosen:
            build_beside(connection, model, NEXT)
            later += loosen(connection, model, NEXT)
            tables += [f"{model.name}{NEXT}.{table}" for table in tables_of(connection, model.name + NEXT)]
        stood = live.read(connection)
        if "identity" in self.models:
            connection.execute(on_schemas("search_path_of", f"identity{NEXT}"))
            filling.begin(connection)
        events = sum(stood.values())
        parts = parts_of_log(stood) if self.source == "log" else []
        parts += parts_of_timeline(self.models, stood, events)
        new = state.Known(self.models, self.source, self.log.log_id, "filling", stood, tuple(later))
        state.begin(connection, new, [*parts, *parts_of_tables(tables, events)])
        return new

    def _fill(self, connection: psycopg.Connection, found: state.Known, others: Others) -> None:
        self.reached("filled")
        begun_at = state.identity_of(connection)
        plan = Plan(self.dsn, self.log_url, self.reading, self.models, found.later, begun_at, self.batch)

        def tell() -> None:
            done, total = connection.execute(_SQL["progress"]).fetchone() or (0, 0)
            self.told(round(done), round(total))

        fill(plan, others, tell, lambda stage: self.reached("rows") if stage == WHO else None)
        complete(plan)
        with connection.transaction():
            if self.source == "log":
                self._stand(connection, found.stood)
            state.reached(connection, found.stood)
            connection.execute(_SQL["unmark"])
        self.reached("finished")

    def _stand(self, connection: psycopg.Connection, stood: Mapping[int, int]) -> None:
        """The log was read up to here: from here a runner goes on. What could not be applied is parked."""
        positions = Positions(state.CONSUMER, self.log.log_id)
        positions.begin(connection, range(self.log.partitions))
        for partition, offset in stood.items():
            asked = {"consumer": state.CONSUMER, "log_id": self.log.log_id, "partition": partition, "offset": offset}
            connection.execute(_SQL["place"], asked)
        for (told,) in connection.execute(_SQL["unapplied"]).fetchall():
            self.park(connection, list(parked_of(self.log, told)))

    def _compare(self, source: Source) -> tuple[bool, Hashes]:
        """Held against live at one moment. What may differ for a moment (an erasure came in between) is looked at
        again."""
        tables = ""
        for _ in range(_TRIES):
            expected, found = source.compare()
            if expected == found:
                return True, found
            tables = ", ".join(sorted(table for table in expected if expected[table] != found.get(table)))
            source.mend()
        raise RebuildDiffers(
            f"The rebuilt rows differ from the live ones ({tables}). Nothing was switched; the rebuilt tables "
            f"stay in the schemas NAME{NEXT} for a look, until `storyline rebuild --abort`. Does "
            "`storyline dead-letters kinds` show records that were poison and can be read by now? Redrive them, "
            "then rebuild again."
        )
