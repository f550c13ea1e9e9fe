"""How does a deployment say when a team works? Hours of each weekday, in its time zone, and days off."""

from __future__ import annotations

import re
from datetime import date, time
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from domain.configuration.base import Path, Setting, Wrong, listed

__all__ = ["DAYS", "Calendar", "Holidays", "Hours"]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_SPAN: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24:00))")


class Hours(NamedTuple):
    """Open from `start` to `end`, local time; an end of None is the end of the day."""

    start: time
    end: time | None


def _hours(value: Any) -> Any:
    if isinstance(value, Hours):
        return value
    match = _SPAN.fullmatch(value.replace(" ", "")) if isinstance(value, str) else None
    if match is None:
        raise ValueError("are no hours; write them as 09:00-17:30, in quotes")
    start = time(int(match[1]), int(match[2]))
    end = None if match[5] else time(int(match[3]), int(match[4]))
    if end is not None and end <= start:
        raise ValueError("end before they begin; hours over midnight are two spans, one on each day")
    return Hours(start, end)


def _written(hours: Hours) -> str:
    return f"{hours.start:%H:%M}-{f'{hours.end:%H:%M}' if hours.end else '24:00'}"


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("is no time zone such as Europe/London")
    return value


Zone = Annotated[str, AfterValidator(_zone)]
Span = Annotated[
    Hours,
    BeforeValidator(_hours),
    PlainSerializer(_written, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_SPAN.pattern}$", "examples": ["09:00-17:30"]}),
]
Spans = Annotated[list[Span], Field(max_length=24)]


class Holidays(Setting):
    """Days on which nobody works."""

    country: str | None = Field(
        default=None, description="ISO 3166 code, such as GB; its public holidays, by the library holidays"
    )
    subdivision: str | None = Field(default=None, description="A part of the country, such as ENG or BY")
    days: Annotated[list[date], Field(max_length=1000)] = Field(default=[], description="Further days off")
    working: Annotated[list[date], Field(max_length=1000)] = Field(
        default=[], description="Public holidays on which work goes on"
    )

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.country is None:
            if self.subdivision is not None:
                raise Wrong((("subdivision",), "stands without its country; add country"))
            return self
        import holidays  # noqa: PLC0415 - of hundreds of countries, and most calendars name none

        found = getattr(holidays, self.country, None) if re.fullmatch("[A-Z]{2}", self.country) else None
        if found is None:
            told = "is no country whose holidays are known; write its ISO 3166 code in capitals, such as GB"
            raise Wrong((("country",), told))
        parts = [*found.subdivisions, *found.subdivisions_aliases]
        if self.subdivision is not None and self.subdivision not in parts:
            raise Wrong((("subdivision",), f"is no part of {self.country}; there are {listed(parts[:60])}"))
        return self


class Calendar(Setting):
    """When a team works."""

    time_zone: Zone | None = Field(default=None, description="IANA name; left out: the deployment's")
    hours: dict[Day, Spans] = Field(default={}, description="Hours of each weekday; left out: always open")
    holidays: Holidays = Field(default=Holidays())
    special: Annotated[dict[date, Spans], Field(max_length=1000)] = Field(
        default={}, description="Other hours on certain days, also on a holiday, such as Christmas Eve"
    )

    def zone(self, default: ZoneInfo) -> ZoneInfo:
        """Its time zone."""
        return ZoneInfo(self.time_zone) if self.time_zone else default

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        spans: list[tuple[Path, list[Hours]]] = [(("hours", day), spans) for day, spans in self.hours.items()]
        spans += [(("special", str(day)), spans) for day, spans in self.special.items()]
        Wrong.raise_any((where, "has hours that overlap; write them as one") for where, one in spans if _overlap(one))
        if self.hours and not any(self.hours.values()):
            raise Wrong((("hours",), "never opens; give hours to a day, or leave hours out for always"))
        return self


def _overlap(spans: list[Hours]) -> bool:
    ordered = sorted(spans, key=lambda span: span.start)
    return any(one.end is None or after.start < one.end for one, after in pairwise(ordered))
