"""What do deals, tickets, tasks, leads and colleagues have in common? Each is an aggregate whose events are those of
the catalogue, and whose state is a fold over its steps: one fold for those that are kept here and for foreign ones.

A native one is decided here: a method checks the rules, raises the error of the rule that is broken, and only then
triggers an event. A foreign one is told by touchpoints; the same rules note what they would have refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from domain.errors import Refused
from domain.event import About
from domain.identifiers import Identifier, Ref
from domain.states import state_from_plain, state_to_plain

__all__ = ["SOURCE", "Move", "Step", "Work", "in_order", "raise_first", "read_moment"]

SOURCE: Final = "storyline/"
"""What the sources of native events begin with; the kind follows (`storyline/deal`)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a deal, ticket, task or lead.

    content: JSON values by field; a missing field stays as it was, null empties it. Personal fields are in it where
    they could be opened; no rule asks for more than whether they are there. actor: `user:anna`, `automation:RULE`.
    revision: which change it is, 0 for a foreign one. name: tells apart what has one time and revision.
    """

    type: str
    at: datetime
    content: Mapping[str, Any]
    actor: str | None = None
    revision: int = 0
    name: str = ""


def in_order(steps: Iterable[Step]) -> list[Step]:
    """Steps in the order in which they count: by time, revision, name; so that the order of delivery does not matter.

    The revision of a native one comes first: its steps were decided one after the other, whatever the clocks said.
    """
    return sorted(steps, key=lambda one: (one.revision, one.at, one.name))


class Move(NamedTuple):
    """A move that a deal or ticket may make now. to: a stage or state, `won` or `lost`; missing: fields that it asks
    for still; approval: the role that must approve it first."""

    to: str
    missing: tuple[str, ...] = ()
    approval: str | None = None


def raise_first(refusals: Sequence[Refused]) -> None:
    """Raise the first of the rules that a step would break, with everything that any of them finds missing."""
    if refusals:
        first = refusals[0]
        first.missing = tuple(dict.fromkeys(name for one in refusals for name in one.missing))
        raise first


class Work(Aggregate):
    """An aggregate of Storyline. Subclasses set KIND, STATE (the dataclass of `state`) and PERSONAL (its personal
    fields), fold steps into `state`, and have a method for each command.

    who: whom it is about, which may change. Methods take the time, the actor and the configuration as arguments. Each
    event is a record of the log: `type` and `content` are those of the catalogue.
    """

    KIND: ClassVar[str] = ""
    STATE: ClassVar[type]
    PERSONAL: ClassVar[tuple[str, ...]] = ()

    class Begun(Aggregate.Created):
        """The first event of an aggregate."""

        type: str
        content: dict[str, Any]
        actor: str | None
        who: tuple[Identifier, ...]
        refs: tuple[Ref, ...]
        about: tuple[About, ...]

        def apply(self, aggregate: Work) -> None:
            """Fold it into a new aggregate."""
            aggregate.take(self)

    class Happened(Aggregate.Event):
        """Each later event of an aggregate."""

        type: str
        content: dict[str, Any]
        actor: str | None
        who: tuple[Identifier, ...]
        refs: tuple[Ref, ...]
        about: tuple[About, ...]

        def apply(self, aggregate: Work) -> None:
            """Fold it into its aggregate."""
            aggregate.take(self)

    if TYPE_CHECKING:  # at run time the library would make them fields of every first event
        state: Any
        who: tuple[Identifier, ...]
        refs: tuple[Ref, ...]

    @classmethod
    def fold(cls, state: Any, step: Step) -> Any:  # noqa: ARG003 - what subclasses are given
        """The state after a step; `state` is None before the first. Never fails, whatever a foreign step holds."""
        raise TypeError(f"{cls.__name__} does not say how its steps are folded")

    @classmethod
    def state_to_plain(cls, state: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """A state as JSON values, for a snapshot: (public, personal)."""
        return state_to_plain(state, cls.PERSONAL)

    @classmethod
    def state_from_plain(cls, public: Mapping[str, Any], personal: Mapping[str, Any] | None) -> Any:
        """The state of a snapshot. personal: None where it was erased."""
        return state_from_plain(cls.STATE, public, personal)

    @classmethod
    def begin(
        cls,
        id: UUID,
        type_: str,
        content: Mapping[str, Any],
        *,
        at: datetime,
        actor: str | None,
        who: tuple[Identifier, ...] = (),
        refs: tuple[Ref, ...] = (),
        about: tuple[About, ...] = (),
    ) -> Self:
        """A new aggregate with its first event pending. refs: what it is about beside itself."""
        own = (Ref(cls.KIND, id.hex), *refs)
        return cls._create(
            cls.Begun, id=id, timestamp=at, type=type_, content={**content, "revision": 1}, actor=actor, who=who,
            refs=own, about=about,
        )  # fmt: skip

    def happen(
        self,
        type_: str,
        content: Mapping[str, Any],
        *,
        at: datetime,
        actor: str | None,
        who: tuple[Identifier, ...] | None = None,
        refs: tuple[Ref, ...] | None = None,
        about: tuple[About, ...] = (),
    ) -> None:
        """Trigger a later event, after the rules were asked. who, refs: others than before, if given."""
        self.trigger_event(
            self.Happened,
            timestamp=at,
            type=type_,
            content={**content, "revision": self.version + 1},
            actor=actor,
            who=self.who if who is None else who,
            refs=self.refs if refs is None else (self.refs[0], *refs),
            about=about,
        )

    def take(self, event: Begun | Happened) -> None:
        """Fold an event into the state; called by the event alone."""
        before = getattr(self, "state", None)
        self.who, self.refs = event.who, event.refs
        step = Step(
            event.type, event.timestamp, event.content, event.actor, event.originator_version, event.originator_id.hex
        )
        self.state = self.fold(before, step)


def read_moment(value: Any) -> datetime | None:
    """A moment out of a content: a datetime, or RFC 3339 text with an offset; None for anything else."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo is not None else None
