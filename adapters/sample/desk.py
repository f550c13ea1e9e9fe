"""What do the colleagues of the sample's shop have on their desks? Deals, tickets, a task and a lead, as requests to
the API in their order; repeated, they change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from adapters.sample.people import Person

__all__ = ["SEGMENTS", "Asked", "desk"]

SEGMENTS: Final = (
    ("regulars", "Regular customers", "fact.orders >= 3"),
    ("quiet", "Bought, but silent since the autumn", "exists(purchase.made) and no(contact since 2025-10-01)"),
    ("newsletter", "May get the newsletter", "consent.marketing.email granted"),
)
"""(code, title, rule) of the shop's segments. None depends on the day that the demo is run on."""


class Asked(NamedTuple):
    """One request: a path below `/v1/`, in which `{KEY}` stands for the id that the request with that key made, its
    body, and its idempotency key."""

    path: str
    body: dict[str, Any]
    key: str


def desk(people: list[Person]) -> Iterator[Asked]:
    """The requests, in order. people: of the sample; the first is its heroine."""
    yield Asked("users", {"code": "nadia", "name": "Nadia Rahman", "teams": ["service"]}, "desk-nadia")
    yield Asked("users", {"code": "tom", "name": "Tom Okafor", "teams": ["sales"], "roles": ["manager"]}, "desk-tom")
    heroine, buyer, curious = people[0], people[30], people[5]
    deal = {
        "title": "Wedding stationery for 120 guests",
        "amount": "640.00", "currency": "GBP", "assignee": "tom", "products": ["PK-CARD"],
        "next_step": "Send the paper samples", "origin": "workshop",
    }  # fmt: skip
    yield Asked("deals", {**deal, "who": heroine.who("customer_no")}, "desk-wedding")
    yield Asked("deals/{desk-wedding}/move", {"to": "qualified"}, "desk-wedding-qualified")
    yield Asked("deals/{desk-wedding}/move", {"to": "proposal"}, "desk-wedding-proposal")
    wholesale = {
        "title": "Calendars for the whole company",
        "amount": "2150.00",
        "currency": "GBP",
        "assignee": "tom",
    }
    yield Asked("deals", {**wholesale, "who": buyer.who("customer_no", "email")[:1]}, "desk-wholesale")
    yield Asked("deals/{desk-wholesale}/move", {"to": "lost", "reason": "price"}, "desk-wholesale-lost")
    ticket = {
        "subject": "Two cards arrived bent", "comment": "Two of the ten cards are bent at the corner.",
        "priority": "high", "category": "damage", "channel": "chat", "assignee": "nadia",
    }  # fmt: skip
    yield Asked("tickets", {**ticket, "who": heroine.who("customer_no")}, "desk-bent")
    answer = {"text": "I am sorry! New ones are on their way today.", "by": "company"}
    yield Asked("tickets/{desk-bent}/comments", answer, "desk-bent-answer")
    task = {"title": "Ask whether the new cards arrived flat", "assignee": "nadia", "kind": "call"}
    refs = [{"kind": "ticket", "value": "{desk-bent}"}]
    yield Asked("tasks", {**task, "refs": refs, "who": heroine.who("customer_no")}, "desk-ask")
    lead = {"title": "Guest book for a small hotel", "origin": "website", "campaign": "SPRING", "assignee": "tom"}
    yield Asked("leads", {**lead, "who": curious.who("email")}, "desk-guest-book")
