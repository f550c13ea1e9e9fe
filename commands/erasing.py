"""How is a person erased, for good and in every copy? Recorded, destroyed, emptied, certified; always resumable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg

from commands.erasing_scope import SQL, Scope, account, raised_by, scope_of
from commands.erasing_steps import Around, Erasure, State, Steps
from domain.errors import BadInput, NotFound, NotYet, Problem
from domain.identifiers import Identifier

__all__ = ["Around", "Erasing", "Erasure", "State"]

_PATIENCE: Final = 5.0
"""How long an erasure waits for the read models to catch up with the log, seconds."""


class Erasing(Steps):
    """Erasures. Thread-safe; blocks on Postgres, the key store, the ledger and the log."""

    def erase(self, customer: str, why: str, *, by: str) -> Erasure:
        """Erase a customer by any of her ids. Done again it completes what was begun, and is else harmless.

        why: kept with it; no personal data. by: `cli`, or an API key's id. Raises NotFound, BadInput, NotYet where
        the read models lag, LogDamaged, Unavailable; after the last one whatever was begun is completed by the next
        one who erases, or starts.
        """
        node = _node(customer)
        _check_why(why)
        with self._alone() as connection:
            self._take_up(connection)
            self._customer(connection, node)
            if not self._caught_up(connection, _PATIENCE):
                raise NotYet("The read models are behind the log, so not all of this customer is known; try again.")
            erasure = self._begin(connection, node, why, by)
            self._go_on(connection, erasure, _PATIENCE)
            return self._one(connection, erasure)

    def of(self, evidences: Sequence[UUID]) -> Sequence[Erasure]:
        """The erasures that any of these evidences fell under, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(SQL["of_evidences"], {"evidences": list(evidences)}).fetchall()
        return [Erasure(*row) for row in rows]

    def _begin(self, connection: psycopg.Connection, node: UUID, why: str, by: str) -> UUID:
        """The erasure of what is at home in a node's customer: a new one, or the last if nothing is left."""
        customer, scope, known = self._scope(connection, node)
        if not scope.evidences and not scope.nodes:
            last = connection.execute(SQL["last_of"], {"customer": customer}).fetchone()
            if last is not None:
                erasure: UUID = last[0]
                return erasure
        written = self._append(
            kind="erasure",
            erasure=uuid4(),
            by=by,
            why=why,
            customer=customer,
            evidences=scope.evidences,
            nodes=scope.nodes,
            raised=raised_by(scope.nodes, known, self._around.hasher(), self._around.keyring),
        )
        self._around.after_step("appended")
        self._record(connection, written)
        self._around.after_step("recorded")
        return written.entry.erasure

    def foresee(self, customer: str) -> dict[str, Any]:
        """What erasing a customer would come to, as a certificate tells it; changes nothing. Raises NotFound."""
        node = _node(customer)
        with self._alone() as connection:
            found, scope, _ = self._scope(connection, node)
            return {"customer": found.hex, **account(connection, scope), "keys": len(scope.evidences)}

    def apply(self) -> int:
        """Bring database, key store and ledger to one state and go on with what was begun; gives how many erasures
        came to their end by it. Every process does so before it is ready."""
        with self._alone() as connection:
            self._take_up(connection)
            waiting = [row[0] for row in connection.execute(SQL["open"]).fetchall()]
            for erasure in waiting:
                self._go_on(connection, erasure)
            return len(waiting) - len(connection.execute(SQL["open"]).fetchall())

    def check(self) -> State:
        """How ledger, database and key store stand to each other; changes nothing. Raises LogDamaged."""
        with self._alone() as connection:
            ledger = self._around.ledger()
            entries, known = self._both(connection)
            return State(
                len(entries),
                ledger.torn(),
                max(0, len(entries) - len(known)),
                len(self._lacking(entries)),
                max(0, len(known) - len(entries)),
                len(connection.execute(SQL["open"]).fetchall()),
            )

    def show(self, erasure: str) -> Erasure:
        """One erasure. Raises NotFound."""
        try:
            wanted = UUID(erasure)
        except ValueError:
            raise NotFound("There is no erasure of that id.") from None
        with self._reading() as connection:
            return self._one(connection, wanted)

    def list(self, limit: int = 100, cursor: str | None = None) -> tuple[Sequence[Erasure], str | None]:
        """(a page, newest first; the cursor of the next page or None). A cursor is the id of the last one seen."""
        after = None if cursor is None else self.show(cursor).id
        with self._reading() as connection:
            rows = connection.execute(SQL["page"], {"after": after, "limit": limit + 1}).fetchall()
        found = [Erasure(*row) for row in rows[:limit]]
        return found, found[-1].id.hex if len(rows) > limit else None

    def _scope(self, connection: psycopg.Connection, node: UUID) -> tuple[UUID, Scope, dict[UUID, Identifier]]:
        """(the customer of a node, what is at home there, its identifiers in clear), all of one moment: she might
        become one with another, or two, between one question and the next."""
        with connection.transaction():
            connection.execute(SQL["hold_identity"])
            customer = self._customer(connection, node)
            return customer, *scope_of(connection, customer)

    def _customer(self, connection: psycopg.Connection, node: UUID) -> UUID:
        row = connection.execute(SQL["customer"], {"node": node}).fetchone()
        if row is None:
            raise NotFound("There is no customer of that id; POST /v1/lookup finds one.")
        found: UUID = row[0]
        return found


def _node(text: str) -> UUID:
    try:
        return UUID(hex=text)
    except ValueError:
        raise NotFound("There is no customer of that id; POST /v1/lookup finds one.") from None


def _check_why(why: str) -> None:
    if not why.strip() or len(why) > 500 or not why.isprintable():
        raise BadInput([Problem("why", "is empty, too long or not printable.", "Say why, in 1 to 500 letters.")])
