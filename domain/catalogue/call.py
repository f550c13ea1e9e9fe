"""Which telephone touchpoints are there?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.attachment import Attachments
from domain.catalogue.base import PUBLIC, Code, Direction, Seconds, ShortText, Text, Touchpoint
from domain.catalogue.wording import duration, excerpt, joined

__all__ = ["CallEnded", "CallMissed", "VoicemailLeft"]

_WAYS = {"in": " in", "out": " out"}


class CallEnded(Touchpoint):
    """A telephone call between a customer and the company ended."""

    TYPE = "call.ended"
    CHANNEL = "phone"

    direction: Annotated[Direction | None, PUBLIC] = Field(default=None, description="in: the customer called")
    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds of talk")
    wait_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds the customer waited before")
    outcome: Annotated[Code | None, PUBLIC] = Field(default=None, description="How it ended, by code: resolved, …")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it was about, by code")
    queue: Annotated[Code | None, PUBLIC] = Field(default=None, description="The queue that it came through")
    subject: ShortText = Field(default="", description="What it was about, in a few words")
    transcript: Text = Field(default="", description="What was said")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        told = joined(f"Call{_WAYS.get(self.direction or '', '')}", duration(self.duration_s), self.outcome)
        about = excerpt(self.subject) or self.reason
        return f"{told}: {about}" if about else told

    def flow(self) -> Direction | None:
        return self.direction


class CallMissed(Touchpoint):
    """A telephone call was not answered by the one who was called."""

    TYPE = "call.missed"
    CHANNEL = "phone"

    direction: Annotated[Direction | None, PUBLIC] = Field(default=None, description="in: the customer called")
    wait_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds until the caller gave up")
    queue: Annotated[Code | None, PUBLIC] = Field(default=None, description="The queue that it came through")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code: closed, busy, hung_up")

    def line(self) -> str:
        waited = f"after {duration(self.wait_s)}" if self.wait_s else None
        return joined(f"Missed call{_WAYS.get(self.direction or '', '')}", waited, self.queue, self.reason)

    def flow(self) -> Direction | None:
        return self.direction


class VoicemailLeft(Touchpoint):
    """A customer left a message on the company's voicemail."""

    TYPE = "call.voicemail_left"
    CHANNEL = "phone"
    DIRECTION = "in"

    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds of the message")
    queue: Annotated[Code | None, PUBLIC] = Field(default=None, description="The queue that it waits in")
    transcript: Text = Field(default="", description="What was said")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        told = joined("Voicemail", duration(self.duration_s), self.queue)
        return f"{told}: {excerpt(self.transcript)}" if self.transcript else told
