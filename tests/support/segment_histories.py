"""Which histories could segments meet? Made by chance over weeks, of few people, products and moments, so that what a
rule asks for is there now and then, and then not any more.

Purchases with lines and currencies, pages, surveys, consents, profiles, organisations with contacts, campaigns, the
steps of deals and tickets, what Storyline itself announces (which is nothing to a rule), late events, repeats, other
clocks, retractions, amendments, and stewards' rulings.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.support import work_events
from tests.support.story import START

__all__ = [
    "CAMPAIGNS",
    "CATEGORIES",
    "CITIES",
    "COUNTRIES",
    "DAYS",
    "INDUSTRIES",
    "PLANS",
    "POOL",
    "PRODUCTS",
    "story_of",
]

Event = dict[str, Any]
DAYS = 31
POOL = [
    ("customer_no", "1", ""), ("customer_no", "2", ""), ("customer_no", "3", ""), ("external", "x", "shop"),
    ("external", "x", ""), ("email", "a@example.org", ""), ("email", "b@example.org", ""),
    ("phone", "+442079460001", ""), ("cookie", "k1", ""), ("email", "guest", ""),
]  # fmt: skip
PRODUCTS = ["tea", "cup", 'Ünï "q"']
CATEGORIES = ["drink", "ware"]
CAMPAIGNS = ["spring", "may"]
COUNTRIES = ["GB", "DE"]
CITIES = ["Leeds", "York", "O'Fallon"]
INDUSTRIES = ["retail", "craft"]
PLANS = ["basic", "plus"]
_HOURS = [0, 0, 0, 1, 12]
_TYPES = [
    *["purchase.made"] * 6, *["page.viewed"] * 4, *["email.received"] * 3, *["email.sent"] * 2,
    *["profile.updated"] * 4, *["consent.given"] * 2, "consent.withdrawn", "email.unsubscribed", "refund.made",
    *["survey.answered"] * 2, "subscription.started", "subscription.cancelled", "product.used",
    *["product.described"] * 2, *["organisation.described"] * 2, *["work"] * 8, "call.ended", "segment.entered",
    "deal.stalled", "identity.merged", "identity.split", *["event.retracted"] * 3, *["event.amended"] * 4,
]  # fmt: skip
_FIXED = ("event.", "identity.", "segment.", *work_events.ANNOUNCED)


def _moment(pick: Random) -> datetime:
    return START + timedelta(days=pick.randrange(DAYS), hours=pick.choice(_HOURS))


def _who(pick: Random, least: int = 0) -> list[dict[str, str]]:
    size = max(least, pick.choice([0, 1, 1, 1, 2, 2, 3]))
    return [{"kind": kind, "value": value, "namespace": space} for kind, value, space in pick.sample(POOL, size)]


def _maybe(pick: Random, name: str, values: Sequence[Any]) -> dict[str, Any]:
    """One field that is there more often than not."""
    return {name: pick.choice(values)} if pick.random() < 0.6 else {}


def _lines(pick: Random) -> dict[str, Any]:
    lines = [
        {"product": pick.choice(PRODUCTS), "amount": pick.choice(["1", "2.50"])}
        | _maybe(pick, "category", CATEGORIES)
        for _ in range(pick.choice([0, 0, 1, 2]))
    ]
    return {"lines": lines} if lines else {}


def _profile(pick: Random) -> Event:
    address = {"city": pick.choice(CITIES), "postcode": pick.choice(["LS1", "YO1"])} | _maybe(
        pick, "country", COUNTRIES
    )
    return (
        _maybe(pick, "name", ["Ann", "Bob", None])
        | _maybe(pick, "birthday", ["1990-03-29", "1992-02-29", "1985-04-10", None])
        | _maybe(pick, "address", [address, None])
        | _maybe(pick, "country", [*COUNTRIES, None])
        | _maybe(pick, "further", [{"shoe_size": "42"}, {"shoe_size": None}, {"shoe_size": "9.5"}])
    )


def _content(pick: Random, type: str, people: int) -> Event:
    match type:
        case "purchase.made" | "refund.made":
            money = {"amount": pick.choice([1, 2, "2.50", "9", 10]), "currency": pick.choice(["GBP", "GBP", "EUR"])}
            return money | _lines(pick) | _maybe(pick, "country", COUNTRIES)
        case "page.viewed":
            seen = _maybe(pick, "product", PRODUCTS) | _maybe(pick, "category", CATEGORIES)
            return seen | _maybe(pick, "duration_s", [0, 5, 60]) | _maybe(pick, "page", ["home", "Home"])
        case "survey.answered":
            return {"measure": pick.choice(["nps", "csat"])} | _maybe(pick, "score", [0, 9, "9.5"])
        case "subscription.started" | "subscription.cancelled":
            money = {"amount": "5", "currency": "GBP"} if pick.random() < 0.5 else {}
            return money | _maybe(pick, "plan", PLANS)
        case "product.used":
            return _maybe(pick, "product", PRODUCTS) | _maybe(pick, "times", [0, 3])
        case "product.described":
            return _maybe(pick, "category", [*CATEGORIES, None]) | _maybe(pick, "name", ["A thing"])
        case "organisation.described":
            return {"contacts": [{"name": "Ann"}] * people} | _maybe(pick, "industry", [*INDUSTRIES, None])
        case "consent.given" | "consent.withdrawn":
            return {"purpose": pick.choice(["marketing", "marketing", "service"])} | _maybe(
                pick, "channel", ["email"]
            )
        case "profile.updated":
            return _profile(pick)
        case "segment.entered":
            return {"segment": "other"}
    if type.partition(".")[0] in work_events.TYPES or type in work_events.ANNOUNCED:
        more = {"industry": pick.choice(INDUSTRIES)} if type == "lead.captured" else {}
        return work_events.content_of(pick, type, pick.random() < 0.8) | more
    return {}


def _refs(pick: Random, type: str) -> list[dict[str, str]]:
    if type == "product.described":
        return [{"kind": "product", "value": pick.choice(PRODUCTS)}]
    if type == "organisation.described":
        return [{"kind": "organisation", "value": value} for value in pick.sample("PQ", pick.choice([1, 1, 1, 2, 0]))]
    if type.partition(".")[0] in {*work_events.TYPES, "user"} and type != "note.added":
        return work_events.refs_of(pick, type)
    found = []
    if type.startswith(("purchase.", "refund.")) and pick.random() < 0.5:
        found.append({"kind": pick.choice(["order", "order", "invoice"]), "value": pick.choice("AB")})
    if pick.random() < 0.3:
        space = {"namespace": "ads"} if pick.random() < 0.3 else {}
        found.append({"kind": "campaign", "value": pick.choice(CAMPAIGNS)} | space)
    if pick.random() < 0.2:
        found.append({"kind": "product", "value": pick.choice(PRODUCTS)})
    return found


def _named(number: int) -> dict[str, str]:
    return {"source": work_events.SOURCES[number % len(work_events.SOURCES)], "id": f"e-{number}"}


def _event(pick: Random, number: int, many: int, made: dict[int, Event]) -> Event:
    """An event that may speak of any of `many` others, whether they come or not."""
    type = pick.choice(_TYPES)
    if type == "work":
        type = pick.choice(pick.choice(list(work_events.TYPES.values())))
    ruling = type.startswith("identity.")
    data: Event = {"who": _who(pick, int(ruling))}
    people = pick.randrange(1, 3) if ruling or type == "organisation.described" else int(pick.random() < 0.1)
    if people:
        data["parties"] = [{"role": "contact", "who": _who(pick, 1)} for _ in range(people)]
    if refs := _refs(pick, type):
        data["refs"] = refs
    if pick.random() < 0.3:
        data["actor"] = {"code": pick.choice(["anna", "ben"])}
    if type in ("event.retracted", "event.amended"):
        relation = "retracts" if type == "event.retracted" else "corrects"
        target = pick.choice([*made, pick.randrange(many)])
        target = target if target != number else many
        data["about"] = [{"relation": relation, **_named(target)}]
    if type == "event.amended":
        inner = (
            made[target]["type"]
            if target in made and not made[target]["type"].startswith(_FIXED)
            else "purchase.made"
        )
        people = len(made[target]["data"].get("parties", [])) if target in made else 0
        data["content"] = {"type": inner, "content": _content(pick, inner, people)}
    elif content := _content(pick, type, people):
        data["content"] = content
    return {"specversion": "1.0", **_named(number), "type": type, "time": _moment(pick).isoformat(), "data": data}


def story_of(pick: Random, size: int) -> list[tuple[Event, int]]:
    """(event, minute after `START` that it was recorded in), some of them late, repeated, or by another clock."""
    made: dict[int, Event] = {}
    found: list[tuple[Event, int]] = []
    for number in range(size):
        raw = made[number] = _event(pick, number, size, made)
        minute = int((datetime.fromisoformat(raw["time"]) - START) / timedelta(minutes=1))
        for _ in range(pick.choice([1, 1, 1, 1, 2])):
            clock = {"senttime": _moment(pick).isoformat()} if pick.random() < 0.05 else {}
            late = pick.choice([0, 0, 1, 60, 1440 * DAYS])
            found.append((raw | clock, min(minute + late, 1440 * DAYS)))
    return found
