"""Where are histories acted out? On one database: emptied, given rules, fed batch by batch, held against the plain
model (`plain.py`) and against itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from eventlog.port import Logged
from projections.decoding import Decoder
from projections.registry import MODELS
from projections.runner import Runner
from tests.support.plain import Published, held, tell
from tests.support.story import START, Story, story

__all__ = ["DEFAULTS", "Stage", "stage"]

DEFAULTS: dict[str, Any] = {
    "limits": {"customer_no": 1},
    "shared": {"customer_no": 3, "external": 3, "email": 5},
    "star": {"nodes": 1000, "links": 20_000},
    "ignored": [],
}
_FAMILY = [model.name for model in MODELS]


class Stage:
    """A story, with a runner on four partitions that is used again and again. remembers: whether its reader knows in
    a batch what it met in those before."""

    def __init__(self, small: Story, connection: psycopg.Connection) -> None:
        self.story, self._connection = small, connection
        self.runner: Runner = small.runner(partitions=4)
        self.rules = DEFAULTS
        tables = connection.execute(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
            "WHERE schemaname = ANY (%s) AND tablename <> 'rules'",
            [_FAMILY],
        ).fetchall()
        self.remembers = False
        self._decoder: Decoder | None = None
        emptied = [row[0] for row in tables] + ["storyline.positions", "storyline.rulings"]
        # Of a few rows these are gone much faster than by TRUNCATE.
        self._empty = "; ".join(f"DELETE FROM {table}" for table in emptied)

    def begin(self, rules: Mapping[str, Any] = DEFAULTS) -> None:
        """Nothing was applied yet, and these are the rules."""
        self.rules = dict(rules)
        self._decoder = None
        self._connection.execute(self._empty)
        self._connection.execute("DELETE FROM identity.rules")
        self._connection.execute("INSERT INTO identity.rules VALUES (%s)", [Jsonb(self.rules)])
        self.runner.take()

    def publish(self, history: Sequence[tuple[Mapping[str, Any], int]], generation: int = 0) -> list[Published]:
        """Records of (event, minute that it was recorded), in their order. `generation`: of all identifiers; another
        than 0 as if they had been erased."""
        sealer = self.story.sealer
        sealer._subjects.clear()
        read = sealer._keyring.generations
        sealer._keyring.generations = lambda tokens: dict.fromkeys(tokens, generation)  # type: ignore[method-assign]
        try:
            found: dict[int, Published] = {}
            for minute in {minute for _, minute in history}:
                chosen = [place for place, (_, at) in enumerate(history) if at == minute]
                entries = self.story.seal([history[place][0] for place in chosen], START + timedelta(minutes=minute))
                for place, entry in zip(chosen, entries, strict=True):
                    found[place] = Published(history[place][0], entry.value)
        finally:
            sealer._keyring.generations = read  # type: ignore[method-assign]
            sealer._subjects.clear()
        return [found[place] for place in range(len(history))]

    def apply(self, batches: Sequence[Sequence[Logged]]) -> None:
        """Apply these batches with one reader's memory, which is that of before if it `remembers`."""
        if self._decoder is None or not self.remembers:
            self._decoder = self.story.decoder()
        for batch in batches:
            applied = self.runner.apply(self._decoder.batch(0, self.runner.cursor, batch))
            if applied.afresh:
                self._decoder = self.story.decoder()

    def feed(self, *batches: Sequence[Published]) -> None:
        """The same for records, one after the other on one partition."""
        place = self.runner.cursor.get(0, 0)
        logged = []
        for batch in batches:
            logged.append([Logged(0, place + number, b"", one.value) for number, one in enumerate(batch)])
            place += len(batch)
        self.apply(logged)

    def differences(self, published: Sequence[Published]) -> dict[str, Any]:
        """What the read models hold and the plain model does not tell, or the other way round."""
        expected, found = tell(published, self.rules), held(self.story)
        return {what: found[what] ^ expected[what] for what in expected if found[what] != expected[what]}

    def hashes(self) -> dict[str, Any]:
        """Row hashes of all read models."""
        return {model.name: dict(model.hashes(self._connection)) for model in MODELS}


@contextmanager
def stage(postgres: Any) -> Iterator[Stage]:
    """A stage on a database of its own."""
    name = postgres.create_database()
    dsn = postgres.dsn_of(name)
    with story(dsn, dsn) as small, psycopg.connect(dsn, autocommit=True) as connection:
        made = Stage(small, connection)
        yield made
        made.runner.close()
    postgres.drop_database(name)
