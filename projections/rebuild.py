"""How are the read models made anew without anyone noticing? Beside the live ones, by the same runner, switched in by
one transaction.

1. Empty tables in the schemas NAME_next. 2. The whole log is applied to them, under a consumer of its own; killed at
any point, the next start goes on from its positions. 3. At a moment of the live tables the two are compared by their
row hashes. 4. Live is held still for as long as the last few events take, the schemas are renamed, and those before
are kept as NAME_previous. A reader sees the old rows or the new ones, never a mix.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg

from domain.errors import Misconfigured, StorylineError, Unavailable
from eventlog.port import Log
from eventlog.sql import load
from projections.checking import refuse_damage
from projections.deriving import Reading
from projections.moves import refuse_moved
from projections.positions import Positions
from projections.registry import MODELS, NEXT, Hashes, all_hashes, build_beside, is_beside, snapshot, switch_in
from projections.runner import Applied, Park, Runner

__all__ = ["Rebuild", "RebuildDiffers", "Report"]

_SQL = load("projections", "registry.sql")
_CONSUMER = "rebuild:timeline"
"""Whose positions say how far it came."""


class RebuildDiffers(StorylineError):
    """The rebuilt rows are not the live ones, though their definition is the same. Nothing was switched."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a rebuild did. `same`: the hashes were equal; None if the definition changed, so none were compared."""

    events: int
    seconds: float
    same: bool | None
    hashes: Hashes


@dataclass
class Rebuild:
    """The rebuild of all read models: they are one family. `told` is called with (applied, total) as it goes."""

    dsn: str
    log_url: str
    log: Log
    park: Park
    reading: Reading
    batch: int = 10_000
    told: Callable[[int, int], None] = lambda applied, total: None

    def run(self) -> Report:
        """Rebuild and switch in. Raises RebuildDiffers, Unavailable if another rebuild is at work, Misconfigured if
        the live read model was never installed, or the log is not the one that counts, LogDamaged if that lost
        something. Stopped or killed anywhere, it leaves the live tables untouched."""
        began = time.perf_counter()
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            refuse_moved(connection, self.log.log_id)
            refuse_damage(connection, self.log)  # else it would wait for ever for what the log lost
            changed = self._prepare(connection)
            runner = Runner(
                self.dsn, self.log_url, self.log.log_id, self.log.partitions, self.park, self.reading,
                consumer=_CONSUMER, suffix=NEXT, batch=self.batch,
            )  # fmt: skip
            live = Positions("live", self.log.log_id)
            live.begin(connection, range(self.log.partitions))
            try:
                self._catch_up(runner, live.read(connection))
                same, hashes = self._compare(connection, runner, live, changed)
                self._switch(connection, runner, live)
            finally:
                runner.close()
        return Report(sum(runner.cursor.values()), time.perf_counter() - began, same, hashes)

    def _prepare(self, connection: psycopg.Connection) -> bool:
        """Empty tables, or those of a rebuild that was cut off; gives whether the definition differs from live's."""
        changed = False
        for model in MODELS:
            name = {"name": model.name}
            row = connection.execute(_SQL["try_rebuild_lock"], name).fetchone()
            if not row or not row[0]:
                raise Unavailable(
                    "Another rebuild, or a move or repair of the log, is at work; wait for it or stop it."
                )
            built = connection.execute(_SQL["built"], name).fetchone()
            if built is None:
                raise Misconfigured(f"{model.name} is not installed; run `storyline db upgrade`.")
            changed = changed or built[1] != model.sql_hash
        with connection.transaction():
            if not all(is_beside(connection, model, NEXT) for model in MODELS):
                Positions(_CONSUMER, self.log.log_id).forget(connection)
                for model in MODELS:
                    build_beside(connection, model, NEXT)
        return changed

    def _catch_up(self, runner: Runner, until: Mapping[int, int]) -> None:
        total = sum(until.values())

        def tell(applied: Applied) -> None:
            if applied:
                self.told(sum(runner.cursor.values()), total)

        runner.run_to(dict(until), tell)

    def _compare(
        self, connection: psycopg.Connection, runner: Runner, live: Positions, changed: bool
    ) -> tuple[bool | None, Hashes]:
        """Bring the new tables exactly to a moment of the live ones, and compare the row hashes of both."""
        if changed:
            return None, {}
        with snapshot(connection):
            until = live.read(connection)
            expected = all_hashes(connection)
        self._catch_up(runner, until)
        if runner.cursor != until:
            raise RebuildDiffers("The rebuild stands behind the live tables; start it again.")
        found = all_hashes(connection, NEXT)
        if found != expected:
            tables = ", ".join(sorted(table for table in expected if expected[table] != found.get(table)))
            raise RebuildDiffers(
                f"The rebuilt rows differ from the live ones ({tables}). Nothing was switched; the rebuilt tables "
                f"stay in the schemas NAME{NEXT} for a look. Does "
                "`storyline dead-letters kinds` show records that were poison and can be read by now? Redrive them, "
                "then rebuild again."
            )
        return True, found

    def _switch(self, connection: psycopg.Connection, runner: Runner, live: Positions) -> None:
        """Hold live still, apply the last few events, rename."""
        with connection.transaction():
            connection.execute(_SQL["lock"])
            until = live.hold(connection)
            self._catch_up(runner, until)
            for model in MODELS:
                switch_in(connection, model, NEXT)
            runner.positions.forget(connection)
            live.fence(connection)
