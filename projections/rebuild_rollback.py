"""How is a build put back that was switched out? It is brought on from where it stood, by the ways of a rebuild, and
changes places with the one that serves; that one is kept in turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from domain.errors import Misconfigured, NotFound, Refused, Unavailable
from eventlog.port import Log
from eventlog.sql import load
from projections import rebuild_state as state
from projections.checking import refuse_damage
from projections.deriving import Reading
from projections.moves import refuse_moved
from projections.positions import Positions
from projections.rebuild_parts import connect, now_of
from projections.rebuild_sources import Around, FromTimeline
from projections.rebuild_switch import switch
from projections.registry import MODELS, PREVIOUS, Former, ReadModel, former
from projections.runner import Park, Runner
from projections.segments.filling import bring_to, reconcile

__all__ = ["Rollback", "RolledBack"]

_SQL: Final = load("projections", "rebuild.sql")
_CONSUMER: Final = "rollback"
_ROUNDS: Final = 50
_NEAR: Final = 2000


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What was put back, how many events it was behind, and how long that took."""

    models: tuple[str, ...]
    events: int
    seconds: float


@dataclass
class Rollback:
    """Puts back what was switched out: these read models, or, where `models` is empty, all that the last switch
    replaced."""

    dsn: str
    log_url: str
    log: Log
    park: Park
    reading: Reading
    models: tuple[str, ...] = ()
    batch: int = 10_000
    reached: Callable[[str], None] = lambda point: None

    def run(self) -> RolledBack:
        """Raises NotFound where nothing is kept; Misconfigured where it was made by another release, or of another
        log; Unavailable or Refused while a rebuild is at work, or was cut off. Stopped anywhere, it leaves the live
        tables untouched and may be begun again."""
        began = time.perf_counter()
        try:
            with psycopg.connect(self.dsn, autocommit=True, connect_timeout=10) as connection:
                refuse_moved(connection, self.log.log_id)
                refuse_damage(connection, self.log)
                state.lock(connection)
                found = state.known(connection)
                if found is not None:
                    words = state.words_of(found.models)
                    raise Refused(
                        f"A rebuild ({words}) was cut off: finish it by `storyline rebuild {words} --from "
                        f"{found.source}`, or give it up by `storyline rebuild --abort`."
                    )
                chosen = self._chosen(connection)
                behind = self._put_back(connection, chosen)
        except psycopg.OperationalError as error:
            raise Unavailable(f"Postgres does not answer ({type(error).__name__}). Run this again.") from None
        return RolledBack(tuple([model.name for model in chosen]), behind, time.perf_counter() - began)

    def _chosen(self, connection: psycopg.Connection) -> dict[ReadModel, Former]:
        kept = {model: one for model in MODELS if (one := former(connection, model)) is not None}
        if not self.models:
            last = max([one.switched_at for one in kept.values()], default=None)
            kept = {model: one for model, one in kept.items() if one.switched_at == last}
        else:
            kept = {model: one for model, one in kept.items() if model.name in self.models}
        missing = [name for name in self.models if name not in {model.name for model in kept}]
        if missing or not kept:
            which = ", ".join(missing) or "any read model"
            raise NotFound(f"Nothing is kept for rollback of {which}: a rebuild keeps the build before it.")
        for model, one in kept.items():
            if one.sql_hash != model.sql_hash:
                raise Misconfigured(
                    f"{model.name}{PREVIOUS} was made by another release (version {one.version}; this "
                    f"release's is {model.version}). Install that release, and roll back by it."
                )
            if self.log.log_id not in one.stood:
                raise Misconfigured(f"{model.name}{PREVIOUS} was made of another log than LOG_URL names.")
        return kept

    def _put_back(self, connection: psycopg.Connection, chosen: Mapping[ReadModel, Former]) -> int:
        live = Positions("live", self.log.log_id)
        models, stood = list(chosen), self._stood(chosen)
        behind = sum(live.read(connection).values()) - sum(stood.values())
        bring, close = self._bringing(connection, models, stood)
        names = [model.name for model in models]
        try:
            for _ in range(_ROUNDS):
                until = live.read(connection)
                bring(until)
                if sum(live.read(connection).values()) - sum(until.values()) <= _NEAR:
                    break
            self.reached("near")

            def done() -> None:
                Positions(_CONSUMER, self.log.log_id).forget(connection)

            def last(until: dict[int, int]) -> None:
                bring(until)
                if "segments" in names:
                    with connect(self.dsn) as other:
                        bring_to(other, self.reading.facing, PREVIOUS, now_of(other), names)
                        reconcile(other, PREVIOUS, now_of(other), names)

            switch(connection, live, models, PREVIOUS, last, done, self.reached)
        finally:
            close()
        return behind

    def _stood(self, chosen: Mapping[ReadModel, Former]) -> dict[int, int]:
        """From where on they are brought. To bring in something twice does no harm."""
        each = [one.stood[self.log.log_id] for one in chosen.values()]
        timeline = any(model.name == "timeline" for model in chosen)
        if timeline and (len(chosen) < len(MODELS) or any(one != each[0] for one in each)):
            raise Refused(
                "The timeline is put back only with all that is made of it, as one rebuild from the log switched it "
                "in. Some were switched in since: name the others, or rebuild all."
            )
        return {part: min(one.get(part, 0) for one in each) for part in each[0]}

    def _bringing(
        self, connection: psycopg.Connection, models: Sequence[ReadModel], stood: Mapping[int, int]
    ) -> tuple[Callable[[Mapping[int, int]], None], Callable[[], None]]:
        """What brings the builds to where live stands, and what lets go of it."""
        log, names = self.log, [model.name for model in models]
        if "timeline" not in names:
            around = Around(self.dsn, self.log_url, log, self.park, self.reading, self.batch)
            source = FromTimeline(around, names, stood, PREVIOUS)
            return source.bring, source.close
        runner = Runner(
            self.dsn, self.log_url, log.log_id, log.partitions, self.park, self.reading,
            consumer=_CONSUMER, suffix=PREVIOUS, batch=self.batch,
        )  # fmt: skip
        positions = Positions(_CONSUMER, log.log_id)
        positions.forget(connection)
        positions.begin(connection, range(log.partitions))
        for partition, offset in stood.items():
            asked = {"consumer": _CONSUMER, "log_id": log.log_id, "partition": partition, "offset": offset}
            connection.execute(_SQL["place"], asked)
        return lambda until: runner.run_to(dict(until)), runner.close
