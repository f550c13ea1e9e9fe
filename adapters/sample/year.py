"""What happens at the sample's shop in the year 2025, in which order does it arrive, and who is who?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from adapters.sample import episodes
from adapters.sample.chance import Chance
from adapters.sample.heroine import tell_heroine
from adapters.sample.people import FAMILIES, ORGANISATION, SWITCHBOARD, Person, make_people
from adapters.sample.telling import Name, Teller, Told, pounds, ref
from adapters.sample.words import CAMPAIGNS, PRODUCTS, TALKS

__all__ = ["Sample"]

_FIRST: Final = datetime(2025, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(2025, 12, 20, tzinfo=UTC)
_HOUSE: Final = Person(999, "The Paper Kite", "", "", "", ("",), "")


class Sample:
    """The year of one seed. `people` of them; the first 36 have parts (heroine, families, a company) of their own.

    `events` gives what channels publish, in the order of arrival: late ones after later ones, some twice.
    `truth` tells what no channel knows: who is who.
    """

    def __init__(self, seed: int = 2025, people: int = 200) -> None:
        if not 36 <= people <= 900:
            raise ValueError("people: 36 to 900")
        self.seed = seed
        self.people = make_people(seed, people)

    def events(self, now: datetime) -> Iterator[dict[str, Any]]:
        """All publications, in the order of arrival. `now` is when they are sent: where a sender's clock is wrong,
        `senttime` is now by that clock. Nothing else depends on `now`, and no digest covers it."""
        for told in self.told:
            if told.clock_ahead is None:
                yield told.event
            else:
                yield {**told.event, "senttime": (now + told.clock_ahead).isoformat()}

    @cached_property
    def told(self) -> list[Told]:
        """All publications in the order of arrival, with the times that only the sample knows."""
        tellers = [*(teller for teller, _ in self._stories), self._house]
        return sorted((told for teller in tellers for told in teller.told), key=lambda one: (one.arrives, one.name))

    def truth(self) -> dict[str, Any]:
        """Who is who, as JSON: `people` (name, identifiers, names of events), `things` (events of nobody), what was
        told twice, late or by a wrong clock, who shares a telephone, and the heroine's parts."""
        people: dict[str, Any] = {}
        for teller, _ in self._stories:
            people[teller.person.key] = {
                "name": teller.person.name,
                "customer_no": teller.person.customer_no or None,
                "identifiers": _identifiers(teller),
                "events": [list(name) for name in dict.fromkeys(told.name for told in teller.told)],
            }
        names = [told.name for told in self.told]
        heroine, parts = self._stories[0]
        return {
            "seed": self.seed,
            "publications": len(names),
            "events": len(set(names)),
            "people": people,
            "things": [list(told.name) for told in self._house.told],
            "twice": [list(name) for name, times in sorted(Counter(names).items()) if times > 1],
            "late": [list(name) for name in _late(self.told)],
            "wrong_clock": [
                {"event": list(told.name), "happened": told.happened.isoformat()}
                for told in self.told
                if told.clock_ahead is not None
            ],
            "families": [[self.people[one].key for one in pair] for pair in FAMILIES],
            "switchboard": [self.people[one].key for one in SWITCHBOARD],
            "heroine": {
                "person": heroine.person.key,
                "customer_no": heroine.person.customer_no,
                "parts": {part: list(name) for part, name in parts.items()},
            },
        }

    @cached_property
    def _stories(self) -> list[tuple[Teller, dict[str, Name]]]:
        stories = []
        for person in self.people:
            teller = Teller(person, Chance(f"story {self.seed} {person.number}"))
            parts = tell_heroine(teller) if person.number == 0 else {}
            if person.number and person.customer_no:
                _member(teller)
            elif person.number:
                _guest(teller)
            stories.append((teller, parts))
        return stories

    @cached_property
    def _house(self) -> Teller:
        """What is known of things: the range, the campaigns, a company that buys."""
        teller = Teller(_HOUSE, Chance(f"house {self.seed}"))
        for place, product in enumerate(PRODUCTS):
            content = {
                "name": product.name,
                "category": product.category,
                "price": pounds(product.pence),
                "currency": "GBP",
            }
            at = _FIRST + timedelta(minutes=place)
            teller.tell("shop", "product.described", at, content, [], refs=[ref("product", product.code)])
        for campaign in CAMPAIGNS:
            at = datetime(2025, campaign.month, campaign.day, 6, tzinfo=UTC)
            content = {"name": campaign.subject, "channel": "email", "cost": f"{campaign.cost}.00", "currency": "GBP"}
            teller.tell("crm", "campaign.described", at, content, [], refs=[ref("campaign", campaign.code)])
        content = {"name": "Harbour & Finch Ltd", "industry": "architecture", "country": "GB"}
        teller.tell("crm", "organisation.described", _FIRST, content, [], refs=[ref("organisation", ORGANISATION)])
        return teller


def _member(teller: Teller) -> None:
    """Someone who looks around as nobody, signs up, buys, asks, complains, is written to."""
    person, chance = teller.person, teller.chance
    at = chance.moment(_FIRST, _LAST - timedelta(days=70))
    for _ in range(chance.between(1, 3)):
        episodes.visit(teller, at, person.who("cookie"), chance.between(1, 4))
        at += timedelta(days=chance.between(1, 8), minutes=chance.upto(300))
    if person.number % 8 == 5:  # bought as a guest before signing up
        episodes.buy(teller, at, where="web", who=person.who("email", "cookie"), order=f"W-2{person.number:03d}0")
        at += timedelta(days=chance.between(3, 20))
    episodes.sign_up(teller, at)
    joined = at
    for number in range(chance.between(1, 6)):
        at = chance.moment(joined + timedelta(hours=1), _LAST)
        _purchase(teller, at, number)
    for campaign in CAMPAIGNS:
        sent = datetime(2025, campaign.month, campaign.day, 8, tzinfo=UTC) + timedelta(seconds=person.number)
        if sent > joined:
            episodes.letter(teller, campaign, sent)
    _contacts(teller, joined)
    _mishaps(teller)


def _purchase(teller: Teller, at: datetime, number: int) -> None:
    """A visit and a purchase on the web, or one in the shop; now and then trouble with it, or praise."""
    person, chance = teller.person, teller.chance
    where = "shop" if chance.once_in(3) else "web"
    order = f"{where[0].upper()}-{person.number:03d}{number}"
    if where == "web":
        known = person.who("customer_no", chance.of(("cookie", "cookie2", "device")))
        at = episodes.visit(teller, at, known, chance.between(1, 3))
        who = person.who("customer_no", "email", "cookie2")
    else:
        who = person.who("customer_no")
    pence = episodes.buy(teller, at, where=where, who=who, order=order)
    if chance.once_in(7):
        episodes.complain(teller, at + timedelta(days=4), f"T-{person.number:03d}{number}", order, pence)
    elif chance.once_in(5):
        episodes.review(teller, at + timedelta(days=9))


def _contacts(teller: Teller, joined: datetime) -> None:
    """Chats and calls; a chat that breaks off is gone on with by telephone."""
    person, chance = teller.person, teller.chance
    for number in range(chance.between(0, 2)):
        at = chance.moment(joined + timedelta(hours=2), _LAST)
        breaks_off = chance.once_in(4)
        conversation = f"chat-{person.number:03d}{number}"
        talk = episodes.chat(teller, at, person.who("customer_no", "cookie"), conversation, breaks_off=breaks_off)
        if breaks_off:
            episodes.call(teller, at + timedelta(minutes=chance.between(4, 30)), talk, conversation)
        else:
            episodes.rate(teller, at + timedelta(hours=2), [ref("conversation", conversation)])
    shares = person.number in SWITCHBOARD or any(person.number in pair for pair in FAMILIES)
    if shares or chance.once_in(5):
        talk = chance.of(TALKS)
        episodes.call(teller, chance.moment(joined + timedelta(hours=3), _LAST), talk)
    if chance.once_in(12):
        episodes.mention(teller, chance.moment(joined, _LAST))


def _guest(teller: Teller) -> None:
    """Someone without an account: known by a browser, an address, a telephone."""
    person, chance = teller.person, teller.chance
    at = chance.moment(_FIRST, _LAST - timedelta(days=30))
    for number in range(chance.between(1, 2)):
        at = episodes.visit(teller, at, person.who("cookie"), chance.between(1, 4))
        order = f"G-{person.number:03d}{number}"
        episodes.buy(teller, at, where="web", who=person.who("email", "cookie"), order=order)
        at += timedelta(days=chance.between(5, 14))
    if chance.once_in(3):
        episodes.chat(teller, at, person.who("cookie"), f"chat-{person.number:03d}9", breaks_off=False)
    if chance.once_in(4):
        episodes.call(teller, at + timedelta(days=1), chance.of(TALKS))
    _mishaps(teller)


def _mishaps(teller: Teller) -> None:
    """Some events arrive days late, some twice; one till's clock is wrong."""
    chance = teller.chance
    for place, told in enumerate(list(teller.told)):
        source = told.event["source"]
        if source == "sample/shop" and chance.once_in(6):
            late = timedelta(days=chance.between(1, 9))
            teller.told[place] = Told(told.happened, told.happened + late, told.event)
        if chance.once_in(50):
            again = teller.told[place]
            teller.told.append(Told(again.happened, again.arrives + timedelta(seconds=30), again.event))


def _identifiers(teller: Teller) -> list[dict[str, str]]:
    """Every identifier that an event of this person carries, as sent, once."""
    sent = [one for told in teller.told for one in told.event["data"].get("who", [])]
    return [dict(pairs) for pairs in dict.fromkeys(tuple(one.items()) for one in sent)]


def _late(told: list[Told]) -> list[Name]:
    """What arrived more than an hour after it happened, once each."""
    return sorted({one.name for one in told if one.arrives - one.happened > timedelta(hours=1)})
