"""Which record events does a colleague have? The colleague is the event's ref, by their code."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, Count, Record, ShortText
from domain.catalogue.wording import joined

__all__ = ["UserChanged", "UserLeft", "UserRegistered", "UserReturned"]


class _User(Record):
    name: ShortText = Field(default="", description="How the colleague is called")
    teams: Annotated[list[Code] | None, PUBLIC] = Field(default=None, description="The teams, by code")
    roles: Annotated[list[Code] | None, PUBLIC] = Field(
        default=None, description="The roles, such as manager, by code"
    )
    revision: Annotated[Count | None, PUBLIC] = Field(
        default=None, description="Which change of the colleague this is"
    )


class UserRegistered(_User):
    """A colleague began to work with Storyline."""

    TYPE = "user.registered"

    def line(self) -> str:
        return joined("Colleague registered", *(self.teams or []))


class UserChanged(_User):
    """A colleague's name, teams or roles changed."""

    TYPE = "user.changed"

    def line(self) -> str:
        return joined("Colleague changed", *(self.teams or []))


class UserLeft(_User):
    """A colleague left; all that was theirs went to somebody else."""

    TYPE = "user.left"

    successor: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who took over, by their code")
    successor_team: Annotated[Code | None, PUBLIC] = Field(default=None, description="The team that took over")

    def line(self) -> str:
        return joined("Colleague left", self.successor or self.successor_team)


class UserReturned(_User):
    """A colleague who had left came back."""

    TYPE = "user.returned"

    def line(self) -> str:
        return "Colleague returned"
