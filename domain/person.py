"""Who is a colleague, what may they approve, and what becomes of them when they leave?

Their code is what everything else calls them by: `assignee`, `actor`, `role`. It stands beside the id in the refs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self
from uuid import UUID, uuid5

from domain.configuration import Configuration
from domain.errors import BadInput, Problem, Refused
from domain.fields import CODE, CODES, TEXT, Reading, only, read_fields
from domain.identifiers import Ref
from domain.work import Step, Work, raise_first

__all__ = [
    "Person",
    "PersonIsHere",
    "PersonLeft",
    "PersonRoleUnknown",
    "PersonState",
    "PersonSucceedsThemselves",
    "PersonTeamUnknown",
    "person_id",
]


class PersonLeft(Refused):
    """The colleague left."""

    rule = "user-left"


class PersonIsHere(Refused):
    """The colleague did not leave."""

    rule = "user-here"


class PersonRoleUnknown(Refused):
    """The configuration has no such role."""

    rule = "user-role-unknown"


class PersonTeamUnknown(Refused):
    """The configuration has no such team."""

    rule = "user-team-unknown"


class PersonSucceedsThemselves(Refused):
    """What somebody leaves goes to somebody else."""

    rule = "user-succeeds-themselves"


@dataclass(frozen=True, slots=True)
class PersonState:
    """What is known of a colleague."""

    status: Literal["here", "left"] = "here"
    name: str = ""
    teams: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    successor: str | None = None
    successor_team: str | None = None
    registered_at: datetime | None = None
    left_at: datetime | None = None


_NAMESPACE: Final = UUID("b0a4ce1f-6a0b-5c51-9d0e-9a7f2d6f1c35")
_CODE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_FIELDS: Final[Mapping[str, Reading]] = {
    "name": TEXT, "teams": CODES, "roles": CODES, "successor": CODE, "successor_team": CODE,
}  # fmt: skip
_GIVEN: Final = frozenset({"name", "teams", "roles"})
_WAY_OUT: Final = "Leave it out; a colleague has a name, teams and roles."


def person_id(code: str) -> UUID:
    """The id of a colleague, by their code."""
    return uuid5(_NAMESPACE, code)


class Person(Work):
    """A colleague."""

    KIND: ClassVar[str] = "user"
    STATE: ClassVar[type] = PersonState
    PERSONAL: ClassVar[tuple[str, ...]] = ("name",)

    @classmethod
    def fold(cls, state: PersonState | None, step: Step) -> PersonState:
        """The state after a step."""
        if state is None:
            state = PersonState(registered_at=step.at)
        changed = read_fields(step.content, _FIELDS)
        if step.type == "user.left":
            changed |= {"status": "left", "left_at": step.at}
        elif step.type == "user.returned":
            changed |= {"status": "here", "left_at": None, "successor": None, "successor_team": None}
        return replace(state, **changed)

    @property
    def code(self) -> str:
        """What everything calls them by."""
        return next(one.value for one in self.refs if one.kind == self.KIND and one.value != self.id.hex)

    @classmethod
    def register(
        cls, code: str, content: Mapping[str, Any], rules: Configuration, *, at: datetime, actor: str | None
    ) -> Self:
        """A new colleague. content: `name`, `teams`, `roles`. Raises BadInput, PersonRoleUnknown,
        PersonTeamUnknown."""
        if _CODE.fullmatch(code) is None:
            told = "is no code of a colleague."
            raise BadInput([Problem("code", told, "Write small letters, digits, `_`, `.` and `-`, at most 64.")])
        given = only(content, _GIVEN, _WAY_OUT)
        raise_first(_unknown(given, rules))
        refs = (Ref(cls.KIND, code),)
        return cls.begin(person_id(code), "user.registered", given, at=at, actor=actor, refs=refs)

    def change(self, content: Mapping[str, Any], rules: Configuration, *, at: datetime, actor: str | None) -> None:
        """Another name, other teams or roles. Raises PersonLeft, PersonRoleUnknown, PersonTeamUnknown."""
        given = only(content, _GIVEN, _WAY_OUT)
        self._must_be_here()
        raise_first(_unknown(given, rules))
        self.happen("user.changed", given, at=at, actor=actor)

    def leave(self, *, to: str | None, to_team: str | None, at: datetime, actor: str | None) -> None:
        """They left; what was theirs goes to somebody, to a team, or to nobody. Raises PersonLeft,
        PersonSucceedsThemselves."""
        self._must_be_here()
        if to == self.code:
            raise PersonSucceedsThemselves("What somebody leaves goes to somebody else; name another colleague.")
        self.happen("user.left", {"successor": to, "successor_team": to_team}, at=at, actor=actor)

    def come_back(self, *, at: datetime, actor: str | None) -> None:
        """They came back, with the teams and roles that they had. Raises PersonIsHere."""
        if self.state.status == "here":
            raise PersonIsHere("The colleague did not leave.", allowed=("change", "leave"))
        self.happen("user.returned", {}, at=at, actor=actor)

    def _must_be_here(self) -> None:
        if self.state.status == "left":
            raise PersonLeft("The colleague left; let them come back first.", allowed=("return",))


def _unknown(content: Mapping[str, Any], rules: Configuration) -> list[Refused]:
    """Roles and teams that the configuration does not have."""
    found: list[Refused] = []
    if set(content.get("roles") or ()) - set(rules.roles):
        told = f"There is no such role; there are {', '.join(rules.roles) or 'none'}."
        found.append(PersonRoleUnknown(told, allowed=tuple(rules.roles)))
    if rules.teams and set(content.get("teams") or ()) - set(rules.teams):
        told = f"There is no such team; there are {', '.join(rules.teams)}."
        found.append(PersonTeamUnknown(told, allowed=tuple(rules.teams)))
    return found
