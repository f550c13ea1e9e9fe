"""How does a history move to another log while everything runs? Copied, built beside, closed, compared, switched.

1. The records are copied verbatim as far as the live read models have come, and the read models are built anew from
the new log, in schemas NAME_move, until little is left; at a moment of the live tables the row hashes are compared.
2. The old log is closed: it refuses all appends, from whatever process. The last few records are copied and applied.
3. Once live has applied all of the old log, too, one transaction renames the schemas and puts the positions on the
new log in the place of the old ones. What is published from then on goes to the new log.

Killed at any point, the next start goes on. What fails between closing and switching opens the old log again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

import psycopg

from domain.errors import Misconfigured, NotFound, StorylineError, Unavailable
from eventlog.copying import Copying, places
from eventlog.port import Closable, Log, Position
from eventlog.sql import load
from projections.checking import refuse_damage
from projections.connecting import connected
from projections.deriving import Reading
from projections.moves import Moving, lock_switches, move_from, move_to
from projections.positions import Positions
from projections.registry import (
    MODELS,
    Hashes,
    ReadModel,
    build_beside,
    drop_beside,
    is_beside,
    snapshot,
    switch_in,
)
from projections.runner import Applied, Park, Runner

__all__ = ["POINTS", "Move", "MoveDiffers", "Moved", "abort"]

_SQL = load("projections", "moves.sql")
_BUILDS = load("projections", "registry.sql")
_MOVE: LiteralString = "_move"
_CONSUMER = "move"
_PATIENCE = 30.0
"""Seconds without any movement of the live projector after which it counts as gone."""
_LONGEST_COMPARING = 15.0
"""Seconds. Where comparing took longer before closing, it is not done once more while publishing is refused."""
_STILL = 2.0
"""Seconds for which a log that cannot be closed must not have grown."""

POINTS = (
    "begun", "copied", "compared", "closing", "closed", "tail copied", "tail applied", "compared again", "switching",
    "switched", "finished",
)  # fmt: skip
"""Where a test may stop, or kill, a move; in this order."""


class MoveDiffers(StorylineError):
    """The rows made of the new log are not the live ones. Nothing was switched, and the old log goes on."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did. `refused`: for how many seconds the old log took nothing before the switch; 0 where
    that was in an earlier run.
    `compared`: how often the row hashes were compared, and were equal."""

    to_log_id: str
    records: int
    seconds: float
    refused: float
    compared: int
    hashes: Mapping[str, Hashes]


@dataclass
class Move:
    """The move from `source` to `target`; `target_url` opens the latter once more, for the reader's process.

    park: parks what cannot be applied of the target. quiet: the operator vouches that nobody appends to a source
    that cannot be closed. told: called with (what, done, total) as it goes. reached: called at each of `POINTS`.
    """

    dsn: str
    source: Log
    target: Log
    target_url: str
    map_path: Path
    park: Park
    reading: Reading
    quiet: bool = False
    models: Sequence[ReadModel] = MODELS
    batch: int = 10_000
    told: Callable[[str, int, int], None] = lambda what, done, total: None
    reached: Callable[[str], None] = lambda point: None
    _hashes: dict[str, Hashes] = field(init=False, default_factory=dict)
    _comparing: float | None = field(init=False, default=None)
    _compared: int = field(init=False, default=0)
    _refused: float = field(init=False, default=0.0)

    def run(self) -> Moved:
        """Move everything and switch. Raises MoveDiffers; Misconfigured where these logs cannot be moved so;
        Unavailable where something does not answer, or the live projector does not come up: then run it again."""
        began = time.perf_counter()
        with connected(self.dsn, way_out=" Start the move again; it goes on.") as connection:
            lock_switches(connection, [model.name for model in self.models])
            found = self._begin(connection)
            if found.switched_at is None:
                self._move(connection)
            self._finish(connection)
        seconds, records = time.perf_counter() - began, sum(self.target.ends().values())
        return Moved(self.target.log_id, records, seconds, self._refused, self._compared, self._hashes)

    @property
    def _names(self) -> dict[str, str]:
        return {"from": self.source.log_id, "to": self.target.log_id}

    def _begin(self, connection: psycopg.Connection) -> Moving:
        """Note the move, or find where it stands. Refuses what would mix two histories."""
        away, hither = move_from(connection, self.source.log_id), move_to(connection, self.target.log_id)
        if away is not None and away.to_log_id != self.target.log_id:
            known = "was moved" if away.switched_at else "is being moved"
            raise Misconfigured(f"This log {known} to {away.to_log_id}; give that one, or begin with --abort.")
        if hither is not None and hither.from_log_id != self.source.log_id:
            raise Misconfigured("Another log is, or was, moved there. Give --to an empty log.")
        if away is not None:
            return away
        if move_from(connection, self.target.log_id):
            raise Misconfigured("That log was itself moved away. Give --to an empty log.")
        with Copying(self.source, self.target, self.map_path) as copying:
            if not copying.done and any(self.target.ends().values()):
                raise Misconfigured(
                    "The log to move to holds records already. Give --to an empty log, or --map the map of the "
                    "copying that filled it."
                )
        if not isinstance(self.source, Closable) and not self.quiet:
            raise Misconfigured(
                "This log cannot be closed for appends. Take the right to write on its topic away from all, or stop "
                "everything that publishes, and say so with --quiet."
            )
        connection.execute(_SQL["begin"], self._names)
        self.reached("begun")
        return Moving(self.source.log_id, self.target.log_id, None, None, None)

    def _move(self, connection: psycopg.Connection) -> None:
        refuse_damage(connection, self.source)
        self._prepare(connection)
        live = Positions("live", self.source.log_id)
        live.begin(connection, range(self.source.partitions))
        runner = Runner(
            self.dsn, self.target_url, self.target.log_id, self.target.partitions, self.park, self.reading,
            consumer=_CONSUMER, suffix=_MOVE, batch=self.batch,
        )  # fmt: skip
        with Copying(self.source, self.target, self.map_path) as copying, contextlib.closing(runner):
            closed = isinstance(self.source, Closable) and self.source.successor() is not None
            if not closed:
                self._come_near(connection, copying, runner, live)
                self._settle_letters(connection)
                self._compare(connection, copying, runner, live)
                self.reached("compared")
            self._take_over(connection, copying, runner, live)

    def _prepare(self, connection: psycopg.Connection) -> None:
        """Empty tables beside the live ones, or those of a move that was cut off."""
        with connection.transaction():
            ours = True
            for model in self.models:
                built = connection.execute(_BUILDS["built"], {"name": model.name}).fetchone()
                if built is None or built[1] != model.sql_hash:
                    raise Misconfigured(f"{model.name} is not in its newest form: `storyline rebuild`.")
                ours = ours and is_beside(connection, model, _MOVE)
            if ours:
                return
            Positions(_CONSUMER, self.target.log_id).forget(connection)
            for model in self.models:
                build_beside(connection, model, _MOVE)

    def _come_near(self, connection: psycopg.Connection, copying: Copying, runner: Runner, live: Positions) -> None:
        """Copy and build while everything runs, until less than a batch is left."""
        moved_at = time.monotonic()
        while True:
            if self._bring(copying, runner, live.read(connection)):
                moved_at = time.monotonic()
            left = sum(self.source.ends().values()) - sum(copying.cursor.values())
            if left <= self.batch:
                self.reached("copied")
                return
            if time.monotonic() - moved_at > _PATIENCE:
                raise _no_projector(left)
            time.sleep(0.1)

    def _bring(self, copying: Copying, runner: Runner, until: Mapping[int, int]) -> int:
        """Copy everything before `until`, and apply all that the new log holds; gives how much was copied."""
        ends = {part: max(until.get(part, 0), offset) for part, offset in copying.cursor.items()}
        copied = copying.to(ends, lambda done, total: self.told("copying", done, total))
        ends = self.target.ends()
        total = sum(ends.values())

        def tell(applied: Applied) -> None:
            if applied:
                self.told("building", sum(runner.cursor.values()), total)

        runner.run_to(ends, tell)
        return copied

    def _compare(self, connection: psycopg.Connection, copying: Copying, runner: Runner, live: Positions) -> None:
        """Bring the new tables exactly to a moment of the live ones, and compare the row hashes of both."""
        _wait_for_live(connection, live, copying.cursor)  # of a try before this one more may have been copied
        began = time.monotonic()
        with snapshot(connection):
            until = live.read(connection)
            expected = {model.name: model.hashes(connection) for model in self.models}
        self._bring(copying, runner, until)
        self._hashes = {model.name: model.hashes(connection, _MOVE) for model in self.models}
        if self._hashes != expected:
            raise MoveDiffers(
                "The rows made of the new log differ from the live ones. Nothing was switched, and the old log goes "
                "on; the rows stay in the schemas NAME_move for a look, until `storyline log move --abort`. Does "
                "`storyline rebuild` find the same?"
            )
        self._compared += 1
        self._comparing = time.monotonic() - began

    def _take_over(self, connection: psycopg.Connection, copying: Copying, runner: Runner, live: Positions) -> None:
        """Close the old log, bring the new tables to its end, switch. What fails on the way opens it again."""
        self.reached("closing")
        connection.execute(_SQL["closed"], self._names)
        try:
            self._close()
            self.reached("closed")
            self._bring(copying, runner, self.source.ends())
            self.reached("tail copied")
            _wait_for_live(connection, live, copying.cursor)
            self.reached("tail applied")
            if self._comparing is None or self._comparing <= _LONGEST_COMPARING:
                self._compare(connection, copying, runner, live)
            self.reached("compared again")
            self._switch(connection, copying, live)
        except BaseException:
            self._open_again()
            raise
        self.reached("switched")

    def _close(self) -> None:
        if isinstance(self.source, Closable):
            self.source.close_for(self.target.log_id)
            return
        before = self.source.ends()
        time.sleep(_STILL)
        if self.source.ends() != before:
            raise Misconfigured("Somebody still appends to this log. Stop everything that publishes, then try again.")

    def _open_again(self) -> None:
        """After a failure. Where nobody can say whether it was switched, it stays closed; the next run finds out."""
        with (
            contextlib.suppress(StorylineError, psycopg.Error),
            psycopg.connect(self.dsn, connect_timeout=10) as connection,
        ):
            # Waits for a switch whose COMMIT is still under way.
            connection.execute(_SQL["opened"], self._names)
            found = move_from(connection, self.source.log_id)
            if found is not None and found.switched_at is None and isinstance(self.source, Closable):
                self.source.close_for(None)

    def _switch(self, connection: psycopg.Connection, copying: Copying, live: Positions) -> None:
        """One transaction: the new tables and the new positions in the place of the old ones."""
        with connection.transaction():
            # First, so that `_open_again` has to wait for us.
            row = connection.execute(_SQL["switched"], self._names).fetchone()
            began = time.monotonic()
            connection.execute(_BUILDS["lock"])
            stood = live.hold(connection)
            if any(stood.get(part, 0) != end for part, end in copying.cursor.items()):
                raise Unavailable("The live positions are not at the end of the old log. Start the move again.")
            for model in self.models:
                switch_in(connection, model, _MOVE)
            connection.execute(_SQL["adopt_clear"], self._names)
            connection.execute(_SQL["adopt"], self._names)
            live.fence(connection)
            self.reached("switching")
        self._refused = (row[0] or 0.0 if row else 0.0) + time.monotonic() - began

    def _settle_letters(self, connection: psycopg.Connection) -> None:
        """A record that waits as a dead letter of the old log waits once, though both logs hold it."""
        rows = connection.execute(_SQL["letters"], self._names).fetchall()
        try:
            found = places(self.map_path, [Position(*row) for row in rows if None not in row])
        except FileNotFoundError:
            raise Misconfigured("The map of this move is not there; give it by --map, or run where it is.") from None
        arrays = {
            **self._names,
            "old_partitions": [old.partition for old in found],
            "old_offsets": [old.offset for old in found],
            "new_partitions": [new.partition for new in found.values()],
            "new_offsets": [new.offset for new in found.values()],
        }
        connection.execute(_SQL["settle"], arrays)

    def _finish(self, connection: psycopg.Connection) -> None:
        self._settle_letters(connection)
        connection.execute(_SQL["finished"], self._names)
        self.reached("finished")


def abort(dsn: str, source: Log, models: Sequence[ReadModel] = MODELS) -> None:
    """Give up a move that has not switched yet: the old log takes records again, what was built goes. Raises NotFound
    where none is under way, Misconfigured after the switch. The copied records stay where they are."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        lock_switches(connection, [model.name for model in models])
        found = move_from(connection, source.log_id)
        closed = isinstance(source, Closable) and source.successor() is not None
        if found is None and not closed:
            raise NotFound("This log is not being moved.")
        if found is not None and found.switched_at is not None:
            raise Misconfigured(f"The move to {found.to_log_id} is done; the way back is to move that log.")
        if isinstance(source, Closable):
            source.close_for(None)
        if found is None:
            return
        names = {"from": found.from_log_id, "to": found.to_log_id}
        with connection.transaction():
            for model in models:
                drop_beside(connection, model, _MOVE)
            Positions(_CONSUMER, found.to_log_id).forget(connection)
            connection.execute(_SQL["forget_letters"], names)
            connection.execute(_SQL["forget"], names)


def _wait_for_live(connection: psycopg.Connection, live: Positions, wanted: Mapping[int, int]) -> None:
    """Return once the live read models have applied everything before `wanted`."""
    moved_at, stood = time.monotonic(), -1
    while True:
        at = live.read(connection)
        left = sum(max(0, end - at.get(part, 0)) for part, end in wanted.items())
        if not left:
            return
        if left != stood:
            moved_at, stood = time.monotonic(), left
        if time.monotonic() - moved_at > _PATIENCE:
            raise _no_projector(left)
        time.sleep(0.02)


def _no_projector(left: int) -> Unavailable:
    return Unavailable(
        f"The live read models stand {left:,} records before the end of the old log, and do not move. Start a "
        "projector with the present LOG_URL, then run this again."
    )
