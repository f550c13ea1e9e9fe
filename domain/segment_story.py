"""What does a rule see of one customer? Everything that counts of her story, and what stands around it.

A story holds the right content of events: what was taken back is not in it, what was put right is in it as it is
right. Pure data; whoever reads it out of the read models fills it, and `domain/segment_verdict.py` asks it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import UUID

from domain.configuration.rfm import Rfm
from domain.consents import Joined, Standing, Word, settle
from domain.facts import Contact, Facts, Trade, counted, fold
from domain.profile import Claim, ProfileRules, profile_of

__all__ = ["NOBODY", "Around", "CustomerStory", "Happened", "Item", "Listing", "Named", "Place"]


class Happened(NamedTuple):
    """An event as it counts. content: the public one; refs: in clear, `kind[/namespace]:value`."""

    name: UUID
    happened_at: datetime
    type: str
    touch: bool
    channel: str | None = None
    direction: str | None = None
    source: str = ""
    actor: str | None = None
    refs: tuple[str, ...] = ()
    content: Mapping[str, Any] = {}

    @property
    def place(self) -> tuple[datetime, UUID]:
        """Where it stands in the story."""
        return self.happened_at, self.name


class Place(NamedTuple):
    """The country that a purchase or refund names."""

    name: UUID
    happened_at: datetime
    country: str


class Named(NamedTuple):
    """An identifier. value: normalised, None where it cannot be read. since: None where nothing that
    counts says it."""

    kind: str
    namespace: str
    value: str | None
    since: datetime | None = None


class Item(NamedTuple):
    """A deal, ticket, task or lead as it is. fields: by column."""

    kind: str
    id: UUID
    fields: Mapping[str, Any]


class Listing(NamedTuple):
    """A list that the customer is on, and since when."""

    segment: str
    since: datetime


@dataclass(frozen=True)
class CustomerStory:
    """One customer. events: in the order of (happened_at, name), without what Storyline announces. industries: of the
    organisations that name the customer, with when each said so. categories: of each product, as the catalogue has
    it. joined: when evidences came together, for consents."""

    customer: UUID
    events: Sequence[Happened] = ()
    trades: Sequence[Trade] = ()
    places: Sequence[Place] = ()
    words: Sequence[Word] = ()
    joined: Joined | None = None
    claims: Sequence[Claim] = ()
    identifiers: Sequence[Named] = ()
    items: Sequence[Item] = ()
    industries: Sequence[str] = ()
    categories: Mapping[str, str] = field(default_factory=dict)
    lists: Sequence[Listing] = ()

    def until(self, now: datetime) -> CustomerStory:
        """The story as it had been told by a moment: what happened later does not exist."""
        count = bisect_right(self.events, now, key=lambda one: one.happened_at)
        return replace(
            self,
            events=self.events[:count],
            trades=[one for one in self.trades if one.happened_at <= now],
            places=[one for one in self.places if one.happened_at <= now],
            words=[one for one in self.words if one.happened_at <= now],
            claims=[one for one in self.claims if one.happened_at <= now],
            identifiers=[one for one in self.identifiers if one.since is None or one.since <= now],
            lists=[one for one in self.lists if one.since <= now],
        )

    @cached_property
    def facts(self) -> Facts:
        """What is known by counting."""
        touches = [
            Contact(one.channel or "", one.direction or "", 1, one.happened_at, one.happened_at)
            for one in self.events
            if one.touch
        ]
        return fold(touches, self.trades)

    @cached_property
    def counting(self) -> list[Trade]:
        """The purchases and refunds that count, the first one first."""
        return counted(self.trades)

    @property
    def bought(self) -> list[Trade]:
        """The purchases among them."""
        return [one for one in self.counting if not one.refund]

    @cached_property
    def standing(self) -> tuple[Standing, ...]:
        """The consents that hold."""
        return settle(self.words, self.joined).standing

    def revenue(self, currency: str) -> Decimal:
        """What counted purchases brought in a currency."""
        return next((one.revenue for one in self.facts.sums if one.currency == currency), Decimal(0))

    def profile(self, rules: ProfileRules) -> Mapping[str, Any]:
        """The profile as it is shown: {field: value}."""
        return {one.field: one.value for one in profile_of(self.claims, rules)}


NOBODY: Final = CustomerStory(UUID(int=0))
"""Of whom nothing is known: whose story an event is asked by itself."""


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around a story. zone: of days; rules: of other segments that are asked for, by their codes: their
    rule, None for a list; a code that is missing holds nobody."""

    zone: tzinfo
    rfm: Rfm
    profile: ProfileRules = field(default_factory=ProfileRules)
    rules: Mapping[str, Any] = field(default_factory=dict)
