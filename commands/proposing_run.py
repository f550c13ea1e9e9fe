"""How are likely duplicates found? By a run over all customers: keys, blocks, pairs, scores, proposals, figures.

Memory is bounded however many customers there are: they are read by the thousand; keys, pairs and what is known of
each customer lie in temporary tables, hashed or sealed under a key that the run alone has. What is written is
idempotent, so that a run that was broken off is simply begun again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg.types.json import Jsonb

from commands.proposals import SQL, STATES, Run, id_of
from domain.blocking import keys_of
from domain.similarity import Summary, likeness, summary

__all__ = ["LARGEST", "THRESHOLD", "Finding"]

THRESHOLD: Final = 0.6
"""Least score that is proposed; docs/duplicates.md says what it costs and brings."""
LARGEST: Final = 50
"""Most customers of a block that are compared, all with all."""

_CUSTOMERS: Final = 1000
_PAIRS: Final = 1000
_NOBODY: Final = UUID(int=0)
_UNKNOWN: Final = Summary()
_NONCE: Final = 12
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Summary).decode
_Told = Callable[[str, int], None]


class Finding:
    """One run on a connection of its own (autocommit). `secret`: 32 bytes that nobody keeps; what lies in
    temporary tables is hashed and sealed under it."""

    def __init__(
        self, connection: psycopg.Connection, now: datetime, secret: bytes, told: _Told = lambda stage, done: None
    ) -> None:
        self._connection, self._now, self._secret, self._told = connection, now, secret, told
        self._key = AESGCM(blake2b(key=secret, digest_size=32, person=b"storyline.known").digest())
        self._sealed = 0
        self._counted: Counter[str] = Counter()

    def run(self) -> Run:
        """Look through all customers, and put down what was found."""
        began = time.monotonic()
        self._do("tables")
        try:
            self._fill_blocks()
            self._tidy()
            compared, proposed, new = self._compare()
            self._do("close_unlike", now=self._now)
            blocks, oversized = self._row("count_blocks", largest=LARGEST)
        finally:
            if not self._connection.broken:
                self._do("drop")
        run = Run(self._counted["customers"], blocks, oversized, compared, proposed, new, time.monotonic() - began)
        self._measure(run)
        return run

    def _fill_blocks(self) -> None:
        for customers in self._batches():
            known = self._gather(customers)
            self._count(known.values())
            known = {one: found for one, found in known.items() if found != _UNKNOWN}
            sealed = ((one, self._seal(found)) for one, found in known.items())
            self._copy("copy_summaries", ["uuid", "bytea"], sealed)
            keys = ((self._hash(key), one) for one, found in known.items() for key in keys_of(found))
            self._copy("copy_keys", ["int8", "uuid"], keys)
            self._told("customers", self._counted["customers"])
        self._do("sort_summaries")
        self._do("blocks")
        self._do("analyze")

    def _batches(self) -> Iterator[list[UUID]]:
        after = _NOBODY
        while rows := self._do("customers", after=after, limit=_CUSTOMERS).fetchall():
            yield [row[0] for row in rows]
            after = rows[-1][0]

    def _gather(self, customers: Sequence[UUID]) -> dict[UUID, Summary]:
        rows = self._do("known", customers=list(customers)).fetchall()
        return {row[0]: summary([tuple(one) for one in row[1]], row[2]) for row in rows}

    def _copy(self, query: str, types: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(SQL[query]) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def _seal(self, known: Summary) -> bytes:
        self._sealed += 1
        nonce = self._sealed.to_bytes(_NONCE, "big")
        return nonce + self._key.encrypt(nonce, _encode(known), None)

    def _known(self, customers: Sequence[UUID]) -> dict[UUID, Summary]:
        rows = self._do("summaries", customers=list(customers)).fetchall()
        return {one: _decode(self._key.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)) for one, sealed in rows}

    def _hash(self, key: str) -> int:
        digest = blake2b(key.encode(), digest_size=8, key=self._secret).digest()
        return int.from_bytes(digest, "big", signed=True)

    def _count(self, known: Iterable[Summary]) -> None:
        for one in known:
            self._counted.update(
                customers=1,
                name=bool(one.names),
                email=bool(one.emails),
                phone=bool(one.phones),
                customer_no=bool(one.numbers),
            )

    def _tidy(self) -> None:
        """What became of proposals without us; and who is compared."""
        self._do("forget_erased")
        self._do("close_merged", now=self._now)
        self._do("close_twins", now=self._now)
        self._do("spared")
        self._do("close_ruled", now=self._now)
        self._do("standing")
        self._do("pairs", largest=LARGEST)
        self._do("sort_pairs")

    def _compare(self) -> tuple[int, int, int]:
        """(pairs compared, alike enough, of these not proposed before)."""
        compared = proposed = 0
        before = self._row("proposals")[0]
        place = {"a": _NOBODY, "b": _NOBODY}
        while pairs := self._do("some_pairs", **place, limit=_PAIRS).fetchall():
            place = {"a": pairs[-1][0], "b": pairs[-1][1]}
            found = self._alike(pairs)
            if found:
                with self._connection.transaction(), self._connection.cursor() as cursor:
                    cursor.executemany(SQL["propose"], found)
            compared, proposed = compared + len(pairs), proposed + len(found)
            self._told("pairs", compared)
        return compared, proposed, self._row("proposals")[0] - before

    def _alike(self, pairs: Sequence[Sequence[UUID]]) -> list[dict[str, Any]]:
        known = self._known(sorted({customer for pair in pairs for customer in pair[:2]}))
        found = []
        for a, b, first_a, first_b in pairs:
            like = likeness(known.get(a, _UNKNOWN), known.get(b, _UNKNOWN))
            if like.score >= THRESHOLD:
                row = {"id": id_of(first_a, first_b), "a": first_a, "b": first_b, "now": self._now}
                found.append({**row, "score": like.score, "reasons": Jsonb([list(one) for one in like.reasons])})
        return found

    def _measure(self, run: Run) -> None:
        """The figures of this day."""
        counted = self._counted
        disputed, shared = self._row("doubts")
        states = {**dict.fromkeys(STATES, 0), **dict(self._do("states").fetchall())}
        figures: dict[str, float] = {
            "customers": run.customers,
            "disputed_links": disputed,
            "shared_identifiers": shared,
            "blocks": run.blocks,
            "oversized_blocks": run.oversized,
            "pairs_compared": run.compared,
            **{f"proposals_{state}": count for state, count in states.items()},
        }
        if run.customers:
            shares = ("name", "email", "phone", "customer_no")
            figures |= {f"share_with_{one}": counted[one] / run.customers for one in shares}
        decided = states["accepted"] + states["rejected"]
        if decided:
            figures["acceptance_rate"] = states["accepted"] / decided
        rows = [{"day": self._now.date(), "figure": name, "value": value} for name, value in figures.items()]
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.executemany(SQL["measure"], rows)

    def _do(self, query: str, **parameters: Any) -> psycopg.Cursor[Any]:
        return self._connection.execute(SQL[query], parameters or None)

    def _row(self, query: str, **parameters: Any) -> Any:
        [row] = self._do(query, **parameters).fetchall()
        return row
