"""Which events come from Storyline alone? No fold reads them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from domain.catalogue.base import PUBLIC, Code, Count, System, Text
from domain.catalogue.wording import excerpt, joined

__all__ = [
    "AutomationRefused",
    "AutomationSuppressed",
    "DealStalled",
    "SegmentEntered",
    "SegmentLeft",
    "TargetBreached",
    "TargetWarned",
    "TaskReminded",
    "UserNotified",
]


class SegmentEntered(System):
    """A customer came to fulfil the rule of a segment."""

    TYPE = "segment.entered"

    segment: Annotated[Code, PUBLIC] = Field(description="The segment, by its code")
    version: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which version of its rule")
    because: Annotated[Code | None, PUBLIC] = Field(default=None, description="What led to it, by code")

    def line(self) -> str:
        return f"Entered segment {self.segment}"


class SegmentLeft(System):
    """A customer no longer fulfils the rule of a segment."""

    TYPE = "segment.left"

    segment: Annotated[Code, PUBLIC] = Field(description="The segment, by its code")
    version: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which version of its rule")
    because: Annotated[Code | None, PUBLIC] = Field(default=None, description="What led to it, by code")

    def line(self) -> str:
        return f"Left segment {self.segment}"


class _Target(System):
    target: Annotated[Code, PUBLIC] = Field(description="The target, by its code")
    policy: Annotated[Code | None, PUBLIC] = Field(default=None, description="The policy that sets it, by its code")
    due: Annotated[AwareDatetime | None, PUBLIC] = Field(default=None, description="When it is due, or was")
    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it, by their code")
    revision: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which change of the ticket this is")


class TargetWarned(_Target):
    """A target time, such as that of a first answer, is about to pass without its being met."""

    TYPE = "target.warned"

    def line(self) -> str:
        return joined(f"Target near: {self.target}", self.policy)


class TargetBreached(_Target):
    """A target time, such as that of a first answer, passed without its being met."""

    TYPE = "target.breached"

    def line(self) -> str:
        return joined(f"Target missed: {self.target}", self.policy)


class DealStalled(System):
    """A deal has been in its stage for longer than the pipeline allows for."""

    TYPE = "deal.stalled"

    stage: Annotated[Code | None, PUBLIC] = Field(default=None, description="The stage, by its code")
    since: Annotated[AwareDatetime | None, PUBLIC] = Field(default=None, description="Since when it is there")
    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it, by their code")
    revision: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which change of the deal this is")

    def line(self) -> str:
        return f"Deal stalled in {self.stage}" if self.stage else "Deal stalled"


class TaskReminded(System):
    """Whoever has a task was reminded of it."""

    TYPE = "task.reminded"

    assignee: Annotated[Code | None, PUBLIC] = Field(default=None, description="Who has it, by their code")
    due: Annotated[AwareDatetime | None, PUBLIC] = Field(default=None, description="When it is due")
    revision: Annotated[Count | None, PUBLIC] = Field(default=None, description="Which change of the task this is")

    def line(self) -> str:
        return f"Reminder of a task to {self.assignee}" if self.assignee else "Reminder of a task"


class UserNotified(System):
    """A rule told a colleague of something."""

    TYPE = "user.notified"

    user: Annotated[Code, PUBLIC] = Field(description="Who is told, by their code")
    rule: Annotated[Code | None, PUBLIC] = Field(default=None, description="The rule that says so, by its code")
    message: Text = Field(default="", description="What they are told")

    def line(self) -> str:
        return f"{self.user} was told: {excerpt(self.message)}" if self.message else f"{self.user} was told"


class AutomationSuppressed(System):
    """A rule would have acted, and did not: the customer withdrew consent, or never gave it."""

    TYPE = "automation.suppressed"

    rule: Annotated[Code, PUBLIC] = Field(description="The rule, by its code")
    action: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it would have done")
    purpose: Annotated[Code | None, PUBLIC] = Field(default=None, description="The purpose without consent, by code")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why not, by code")

    def line(self) -> str:
        return joined(f"Not done: {self.rule}", self.action, self.reason)


class AutomationRefused(System):
    """A rule acted, and what it wanted was refused by a rule of the deal or ticket."""

    TYPE = "automation.refused"

    rule: Annotated[Code, PUBLIC] = Field(description="The rule, by its code")
    action: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it would have done")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Which rule refused it, by code")

    def line(self) -> str:
        return joined(f"Refused: {self.rule}", self.action, self.reason)
