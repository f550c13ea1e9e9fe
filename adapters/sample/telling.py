"""How is an event of the sample year put down: its name, its time, who knows of it, and when it arrives?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adapters.sample.chance import Chance
from adapters.sample.people import Person

__all__ = ["Name", "Teller", "Told", "pounds", "ref"]

_LONDON = ZoneInfo("Europe/London")

Name = tuple[str, str]
"""(source, id) of an event."""


@dataclass(frozen=True)
class Told:
    """One publication of an event: when it happened, when it arrives (both by a right clock), and the event.

    `clock_ahead` is how far the sender's clock is wrong; such an event carries `senttime` once it is sent.
    """

    happened: datetime
    arrives: datetime
    event: dict[str, Any]
    clock_ahead: timedelta | None = None

    @property
    def name(self) -> Name:
        return self.event["source"], self.event["id"]


@dataclass
class Teller:
    """Puts down what one person did; `told` is in the order of telling."""

    person: Person
    chance: Chance
    told: list[Told] = field(default_factory=list)

    def tell(
        self,
        source: str,
        kind: str,
        at: datetime,
        content: dict[str, Any],
        who: Sequence[dict[str, str]],
        *,
        refs: Sequence[dict[str, str]] = (),
        channel: str | None = None,
        about: Sequence[dict[str, str]] = (),
        actor: str | None = None,
        parties: Sequence[dict[str, Any]] = (),
        late: timedelta = timedelta(seconds=2),
        clock_ahead: timedelta | None = None,
    ) -> Name:
        """Put one event down; returns its name. `late` is how long it takes to arrive."""
        data: dict[str, Any] = {}
        optional = {"who": list(who), "parties": list(parties), "refs": list(refs), "about": list(about)}
        data |= {key: value for key, value in optional.items() if value}
        if actor is not None:
            data["actor"] = {"kind": "user", "code": actor}
        if channel is not None:
            data["channel"] = channel
        data["content"] = content
        event = {
            "specversion": "1.0",
            "source": f"sample/{source}",
            "id": f"{self.person.number:03d}-{len(self.told):03d}",
            "type": kind,
            "time": _time(at + (clock_ahead or timedelta()), source),
            "data": data,
        }
        self.told.append(Told(at, at + late, event, clock_ahead))
        return self.told[-1].name

    def repeat(self, after: timedelta) -> None:
        """The event that was told last arrives once more: its sender was not sure that it had got through."""
        last = self.told[-1]
        self.told.append(Told(last.happened, last.arrives + after, last.event, last.clock_ahead))


def _time(at: datetime, source: str) -> str:
    """Web servers write UTC, everyone else the time on the shop's wall."""
    if source == "web":
        return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return at.astimezone(_LONDON).isoformat()


def ref(kind: str, value: str) -> dict[str, str]:
    return {"kind": kind, "value": value}


def pounds(pence: int) -> str:
    return f"{pence // 100}.{pence % 100:02d}"
