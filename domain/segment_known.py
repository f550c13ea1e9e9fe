"""What does that which is known of a customer answer to a rule? Facts, profile, consents, items, classes, lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from domain.configuration.rfm import Rfm
from domain.consents import EVERY_CHANNEL
from domain.rfm import scores_of
from domain.segment_events import Seen
from domain.segment_leaves import (
    ConsentLeaf,
    FactLeaf,
    IdentifierLeaf,
    IndustryLeaf,
    PlaceLeaf,
    ProfileLeaf,
    RfmLeaf,
    WorkLeaf,
    WorkWhere,
)
from domain.segment_parts import RELATIVE
from domain.segment_story import Around, CustomerStory, Happened, Item
from domain.segment_values import any_of, dug, holds_at, turns_of

__all__ = [
    "ASKERS",
    "ConsentAsker",
    "FactAsker",
    "IdentifierAsker",
    "IndustryAsker",
    "PlaceAsker",
    "ProfileAsker",
    "RfmAsker",
    "WorkAsker",
]

_LISTED: Final = frozenset({"products"})


class _Of:
    """A leaf asked of one story, as it is at `now`."""

    def __init__(self, leaf: Any, story: CustomerStory, around: Around, now: datetime) -> None:
        self._leaf, self._story, self._around, self._now = leaf, story, around, now
        self._found = self._find()

    def at(self, now: datetime) -> Seen:
        """What it finds at a moment."""
        found, leaf = self._found, self._leaf
        return Seen(holds_at(leaf.is_, leaf.value, found, now, self._around.zone), found, self._behind)

    def turns(self) -> Iterator[datetime]:
        """When time alone may turn it."""
        return turns_of(self._leaf.is_, self._leaf.value, self._found, self._now, self._around.zone)

    def _find(self) -> Any:
        return None

    @property
    def _behind(self) -> Sequence[Happened]:
        return ()

    def _named(self, names: Iterable[Any]) -> list[Happened]:
        """The events of these names, in their order in the story."""
        wanted = set(names)
        return [one for one in self._story.events if one.name in wanted]


class FactAsker(_Of):
    """A figure of the customer."""

    _leaf: FactLeaf

    def _find(self) -> Any:
        facts, leaf = self._story.facts, self._leaf
        if leaf.currency is None:
            return getattr(facts, leaf.name)
        money = next((one for one in facts.sums if one.currency == leaf.currency), None)
        if money is None:
            return None if leaf.name == "average" else 0
        return getattr(money, leaf.name)

    @property
    def _behind(self) -> Sequence[Happened]:
        if self._leaf.name == "first_at":
            return [one for one in self._story.events if one.touch][:1]
        if self._leaf.name in {"last_at", "touchpoints"}:
            return [one for one in self._story.events if one.touch][-1:]
        refunds = self._leaf.name == "refunds"
        counted = [one for one in self._story.counting if one.refund == refunds]
        return self._named(one.name for one in counted if self._leaf.currency in {None, one.currency})


class ProfileAsker(_Of):
    """A field of the profile."""

    _leaf: ProfileLeaf

    def _find(self) -> Any:
        return dug(self._story.profile(self._around.profile), self._leaf.field)


class PlaceAsker(_Of):
    """Where the customer lives."""

    _leaf: PlaceLeaf

    def _find(self) -> Any:
        profile = self._story.profile(self._around.profile)
        found = dug(profile, f"address.{self._leaf.what}")
        if found is None and self._leaf.what == "country":
            found = profile.get("country")
            if found is None and self._story.places:
                found = max(self._story.places, key=lambda one: (one.happened_at, one.name)).country
        return found


class IdentifierAsker(_Of):
    """The identifiers of a kind."""

    _leaf: IdentifierLeaf

    def at(self, now: datetime) -> Seen:
        leaf = self._leaf
        hers = [
            one
            for one in self._story.identifiers
            if one.kind == leaf.kind and leaf.namespace in {None, one.namespace}
        ]
        if leaf.is_ in {"known", "unknown"}:
            return Seen(bool(hers) == (leaf.is_ == "known"), len(hers))
        values = [one.value for one in hers if one.value is not None]
        return Seen(any_of(leaf.is_, leaf.value, values, now, self._around.zone), values)

    def turns(self) -> Iterator[datetime]:
        return iter(())


class ConsentAsker(_Of):
    """What stands for a purpose on a channel."""

    _leaf: ConsentLeaf

    def at(self, _now: datetime) -> Seen:
        standing = {(one.purpose, one.channel): one for one in self._story.standing}
        purpose, channel = self._leaf.purpose.strip().lower(), self._leaf.channel.strip().lower()
        found = standing.get((purpose, channel)) or standing.get((purpose, EVERY_CHANNEL))
        if found is None:
            return Seen(self._leaf.is_ == "unknown", "unknown")
        told = "granted" if found.granted else "withdrawn"
        return Seen(self._leaf.is_ == told, told, self._named([found.word.name]))

    def turns(self) -> Iterator[datetime]:
        return iter(())


class WorkAsker(_Of):
    """How many items of a kind fulfil all conditions."""

    _leaf: WorkLeaf

    def __init__(self, kind: str, leaf: WorkLeaf, story: CustomerStory, around: Around, now: datetime) -> None:
        super().__init__(leaf, story, around, now)
        self._items = [one for one in story.items if one.kind == kind]

    def at(self, now: datetime) -> Seen:
        found = [one for one in self._items if all(self._fulfils(one, where, now) for where in self._leaf.where)]
        count = len(found)
        return Seen(holds_at(self._leaf.is_, self._leaf.value, count, now, self._around.zone), count)

    def turns(self) -> Iterator[datetime]:
        for where in self._leaf.where:
            if where.is_ in RELATIVE:
                for one in self._items:
                    found = one.fields.get(where.field)
                    yield from turns_of(where.is_, where.value, found, self._now, self._around.zone)

    def _fulfils(self, item: Item, where: WorkWhere, now: datetime) -> bool:
        found, zone = item.fields.get(where.field), self._around.zone
        if where.field in _LISTED:
            return any_of(where.is_, where.value, found or (), now, zone)
        return holds_at(where.is_, where.value, found, now, zone)


class RfmAsker(_Of):
    """The class, or one of the three scores."""

    _leaf: RfmLeaf

    def at(self, now: datetime) -> Seen:
        rules: Rfm = self._around.rfm
        bought = self._story.bought
        last = bought[-1].happened_at if bought else None
        revenue = self._story.revenue(rules.currency)
        scores = scores_of(last, self._story.facts.orders, revenue, now, rules)
        if scores is None:
            found: Any = None
        else:
            found = scores.code if self._leaf.what == "class" else getattr(scores, self._leaf.what)
        behind = self._named([bought[-1].name]) if bought else ()
        return Seen(holds_at(self._leaf.is_, self._leaf.value, found, now, self._around.zone), found, behind)

    def turns(self) -> Iterator[datetime]:
        bought = self._story.bought
        if bought and self._leaf.what in {"class", "recency"}:
            yield from (bought[-1].happened_at + timedelta(days=days) for days in self._around.rfm.recency_days)


class IndustryAsker(_Of):
    """What leads and organisations do."""

    _leaf: IndustryLeaf

    def at(self, now: datetime) -> Seen:
        leads = [one.fields.get("industry") for one in self._story.items if one.kind == "lead"]
        found = [*dict.fromkeys([*[one for one in leads if one], *self._story.industries])]
        return Seen(any_of(self._leaf.is_, self._leaf.value, found, now, self._around.zone), found)

    def turns(self) -> Iterator[datetime]:
        return iter(())


ASKERS: Final[Mapping[str, Any]] = {
    "fact": FactAsker,
    "profile": ProfileAsker,
    "place": PlaceAsker,
    "identifier": IdentifierAsker,
    "consent": ConsentAsker,
    "rfm": RfmAsker,
    "industry": IndustryAsker,
}
"""Who asks the leaf of a key."""
