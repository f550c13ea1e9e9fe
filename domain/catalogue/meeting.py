"""Which meetings and appointments are there? Guests are the event's parties."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from domain.catalogue.base import PUBLIC, Code, Seconds, ShortText, Text, Touchpoint
from domain.catalogue.wording import duration, excerpt, joined

__all__ = [
    "AppointmentBooked",
    "AppointmentCancelled",
    "AppointmentKept",
    "AppointmentMissed",
    "AppointmentMoved",
    "MeetingHeld",
]


class MeetingHeld(Touchpoint):
    """A meeting with a customer took place."""

    TYPE = "meeting.held"
    CHANNEL = "meeting"

    subject: ShortText = Field(default="", description="What it was about")
    place: ShortText = Field(default="", description="Where, or through which service")
    summary: Text = Field(default="", description="What was said and agreed")
    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds that it took")
    outcome: Annotated[Code | None, PUBLIC] = Field(default=None, description="How it ended, by code")

    def line(self) -> str:
        told = joined("Meeting", duration(self.duration_s), self.outcome)
        about = excerpt(self.subject or self.summary)
        return f"{told}: {about}" if about else told


class _Appointment(Touchpoint):
    CHANNEL = "appointment"

    service: Annotated[Code | None, PUBLIC] = Field(default=None, description="What is booked, by its code")
    site: Annotated[Code | None, PUBLIC] = Field(default=None, description="The branch or room, by its code")
    starts_at: AwareDatetime | None = Field(default=None, description="When it begins, RFC 3339 with offset")
    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds that it is to take")
    comment: Text = Field(default="", description="What was said about it")

    def _told(self, what: str, reason: str | None = None) -> str:
        at = f"for {self.starts_at:%Y-%m-%d %H:%M}" if self.starts_at else None
        return joined(f"Appointment {what}{' ' + at if at else ''}", self.service, self.site, reason)


class AppointmentBooked(_Appointment):
    """An appointment with a customer was booked."""

    TYPE = "appointment.booked"
    DIRECTION = "in"

    def line(self) -> str:
        return self._told("booked")


class AppointmentMoved(_Appointment):
    """An appointment with a customer was moved to another time."""

    TYPE = "appointment.moved"

    moved_from: AwareDatetime | None = Field(default=None, description="When it was to begin before")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")

    def line(self) -> str:
        return self._told("moved", self.reason)


class AppointmentCancelled(_Appointment):
    """An appointment with a customer was cancelled before it began."""

    TYPE = "appointment.cancelled"

    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")

    def line(self) -> str:
        return self._told("cancelled", self.reason)


class AppointmentKept(_Appointment):
    """A customer came to an appointment."""

    TYPE = "appointment.kept"
    DIRECTION = "in"

    outcome: Annotated[Code | None, PUBLIC] = Field(default=None, description="How it ended, by code")

    def line(self) -> str:
        return self._told("kept", self.outcome)


class AppointmentMissed(_Appointment):
    """A customer did not come to an appointment."""

    TYPE = "appointment.missed"

    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")

    def line(self) -> str:
        return self._told("missed", self.reason)
