"""Which commands are there on colleagues? Who registers, changes, leaves, with all that is theirs, and comes back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from commands.working_desk import KINDS, SQL, Actor, Deed, Done, Key, Statement
from commands.working_part import WorkingPart
from domain.errors import BadInput, NotFound, Problem
from domain.person import Person, person_id
from domain.work import Work

__all__ = ["PeopleCommands"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PeopleCommands(WorkingPart):
    """Commands on colleagues, by their code. Each raises the error of the rule that forbids it (`domain/person.py`),
    NotFound, Stale where `expected` is not the revision that it has, and BadInput."""

    def register_user(self, code: str, content: Mapping[str, Any], *, actor: Actor, key: Key | None = None) -> Done:
        """Somebody works here from now on. content: name, teams, roles."""

        def deed() -> Deed:
            try:
                self.desk.load(Person, person_id(code))
            except NotFound:
                person = Person.register(code, content, self.rules, at=self.desk.clock(), actor=actor.code)
                return Deed((person,), (person,), (_join(code, person),))
            way_out = "Change them, or let them return if they had left."
            raise BadInput([Problem("code", "is registered already.", way_out)])

        return self.desk.carry_out(deed, key)[0]

    def change_user(
        self, code: str, content: Mapping[str, Any], *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """Another name, other teams or roles."""

        def deed() -> Deed:
            person = self._person(code, expected)
            person.change(content, self.rules, at=self.desk.clock(), actor=actor.code)
            return Deed((person,), (person,), (_join(code, person),))

        return self.desk.carry_out(deed, key)[0]

    def leave_user(
        self, code: str, to: str | None = None, to_team: str | None = None, *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """Somebody leaves: all that is open and theirs goes to a colleague, a team or (both None) nobody, in the same
        transaction; their keys are revoked. What is closed stays told of them."""

        def deed() -> Deed:
            self._check_successor(code, to)
            at = self.desk.clock()
            person = self._person(code, expected)
            person.leave(to=to, to_team=to_team, at=at, actor=actor.code)
            theirs = [self._handed_on(kind, item, to, to_team, at, actor) for kind, item in self._owned_by(code)]
            gone: list[Statement] = [(SQL["leave"], {"code": code}), (SQL["lock_out"], {"code": code, "at": at})]
            return Deed((*theirs, person), (person,), gone, patient=True)

        with self.desk.session() as connection:
            connection.execute(SQL["hold_leave"], {"code": code})
            try:
                return self.desk.carry_out(deed, key)[0]
            finally:
                if not connection.broken:
                    connection.execute(SQL["free_leave"], {"code": code})

    def return_user(self, code: str, *, actor: Actor, key: Key | None = None, expected: int | None = None) -> Done:
        """Somebody who had left works here again."""

        def deed() -> Deed:
            person = self._person(code, expected)
            person.come_back(at=self.desk.clock(), actor=actor.code)
            return Deed((person,), (person,), (_join(code, person),))

        return self.desk.carry_out(deed, key)[0]

    def colleague(self, code: str) -> Person:
        """A colleague as they are now, also one who left. Raises NotFound."""
        return self._person(code, None)

    def colleagues(self, after: str, limit: int) -> list[str]:
        """The codes of those who work here, in their order, behind one of them."""
        return [code for (code,) in self.desk.ask("colleagues", {"after": after, "limit": limit})]

    def notices_seen_at(self, code: str) -> datetime | None:
        """Up to when a colleague has seen what they were told; None: nothing yet."""
        rows = self.desk.ask("seen_at", {"code": code})
        return rows[0][0] if rows else None

    def notices_seen(self, code: str, at: datetime) -> datetime:
        """A colleague has seen all that they were told up to then; gives up to where they have seen by now. Nobody
        has seen what is to come, nor does the table have every moment that a datetime has."""
        at = max(_EPOCH, min(at, self.desk.clock()))
        seen: datetime = self.desk.ask("seen", {"code": code, "at": at})[0][0]
        return seen

    def _person(self, code: str, expected: int | None) -> Person:
        try:
            return self.desk.load(Person, person_id(code), expected)
        except NotFound:
            raise NotFound("There is no colleague of that code; GET /v1/users lists them.") from None

    def _check_successor(self, code: str, to: str | None) -> None:
        if to is not None and to != code and not self.desk.people([to]):
            way_out = "Name a registered colleague (GET /v1/users), a team, or nobody."
            raise BadInput([Problem("to", "is no colleague who works here.", way_out)])

    def _owned_by(self, code: str) -> list[tuple[str, UUID]]:
        return [(kind, item) for kind, item in self.desk.ask("owned_by", {"code": code})]

    def _handed_on(
        self, kind: str, id: UUID, to: str | None, to_team: str | None, at: datetime, actor: Actor
    ) -> Work:
        item = self.desk.load(KINDS[kind], id)
        self.desk.hand_on(item, to, to_team or item.state.team, at, actor.code)
        return item


def _join(code: str, person: Person) -> Statement:
    state = person.state
    return SQL["join"], {
        "code": code, "person": person.id, "teams": list(state.teams), "roles": list(state.roles),
    }  # fmt: skip
