"""What happens between the sample's shop and a customer? Each function tells one episode and what belongs to it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from adapters.sample.chance import Chance
from adapters.sample.telling import Name, Teller, pounds, ref
from adapters.sample.words import COMPLAINTS, PRODUCTS, REVIEWS, SURVEYS, TALKS, Campaign, Product, Talk

__all__ = [
    "SHOP",
    "buy",
    "call",
    "chat",
    "complain",
    "letter",
    "mention",
    "rate",
    "review",
    "sign_up",
    "visit",
]

SHOP = "https://paperkite.example"
AGENTS = ("mira", "tom", "sunil")
_MINUTE = timedelta(minutes=1)


def visit(teller: Teller, at: datetime, who: list[dict[str, str]], pages: int) -> datetime:
    """A visit to the web shop, perhaps with something put into the cart; returns its end."""
    chance = teller.chance
    for _ in range(pages):
        product = chance.of(PRODUCTS)
        content = {
            "url": f"{SHOP}/{product.category}/{product.code}",
            "title": product.name,
            "page": "product",
            "product": product.code,
            "category": product.category,
            "duration_s": chance.between(5, 300),
        }
        teller.tell("web", "page.viewed", at, content, who, refs=[ref("product", product.code)])
        at += timedelta(seconds=chance.between(20, 400))
    if chance.once_in(4):
        kind = "cart.updated" if chance.once_in(2) else "cart.abandoned"
        content, _ = _basket(chance)
        teller.tell("web", kind, at, content, who)
        at += _MINUTE
    return at


def sign_up(teller: Teller, at: datetime) -> None:
    """From here on the person has a number: the form ties it to the browser and the address."""
    person = teller.person
    form = {"form": "account", "url": f"{SHOP}/account/new", "answers": {"newsletter": "yes"}}
    teller.tell("web", "form.submitted", at, form, person.who("customer_no", "email", "cookie"))
    given, _, family = person.name.rpartition(" ")
    profile = {"name": person.name, "country": "GB", "language": "en-GB"}
    if given:
        profile |= {"given_name": given, "family_name": family}
    refs = [ref("organisation", person.organisation)] if person.organisation else []
    known = person.who("customer_no", "email", "phone")
    teller.tell("crm", "profile.updated", at + timedelta(seconds=4), profile, known, refs=refs)
    consent = {"purpose": "marketing", "channel": "email", "wording": "Send me the shop's letter."}
    teller.tell("crm", "consent.given", at + timedelta(seconds=5), consent, person.who("customer_no", "email"))


def buy(teller: Teller, at: datetime, *, where: str, who: list[dict[str, str]], order: str) -> int:
    """A purchase on the web or in the shop; returns its amount in pence."""
    content, pence = _basket(teller.chance)
    source = "shop" if where == "shop" else "web"
    teller.tell(
        source, "purchase.made", at, {**content, "country": "GB"}, who, refs=[ref("order", order)], channel=where
    )
    if where == "web":
        mail = {
            "subject": f"Your order {order} at The Paper Kite",
            "text": f"Thank you for your order. It comes to £{pounds(pence)} and leaves us within two days.",
            "template": "order-confirmed",
        }
        person = teller.person
        teller.tell(
            "email",
            "email.sent",
            at + _MINUTE,
            mail,
            person.who("customer_no", "email"),
            refs=[ref("order", order)],
        )
    return pence


def _basket(chance: Chance) -> tuple[dict[str, Any], int]:
    picked: dict[Product, int] = {}
    for _ in range(chance.between(1, 4)):
        picked[chance.of(PRODUCTS)] = chance.of((1, 1, 1, 2, 3, 10))
    total = sum(product.pence * quantity for product, quantity in picked.items())
    lines = [
        {
            "product": product.code,
            "category": product.category,
            "description": product.name,
            "quantity": quantity,
            "unit_price": pounds(product.pence),
            "amount": pounds(product.pence * quantity),
        }
        for product, quantity in picked.items()
    ]
    return {"amount": pounds(total), "currency": "GBP", "lines": lines}, total


def letter(teller: Teller, campaign: Campaign, at: datetime) -> None:
    """A campaign's letter arrives; it may be opened, clicked, or be the last one."""
    person, chance = teller.person, teller.chance
    subject = {"subject": campaign.subject, "message_id": f"<{campaign.code}.{person.number}@paperkite.example>"}
    refs, who = [ref("campaign", campaign.code)], person.who("customer_no", "email")
    teller.tell("email", "email.sent", at, {**subject, "template": "letter"}, who, refs=refs)
    if chance.once_in(25):
        bounce = {**subject, "kind": "soft", "reason": "mailbox_full"}
        teller.tell("email", "email.bounced", at + _MINUTE, bounce, person.who("email"), refs=refs)
        return
    if chance.once_in(2):
        opened = at + timedelta(minutes=chance.between(3, 900))
        teller.tell("email", "email.opened", opened, subject, who, refs=refs)
        if chance.once_in(2.5):
            clicked = {**subject, "url": f"{SHOP}/letter/{campaign.code}", "link": "main"}
            known = person.who("customer_no", "email", "cookie")
            teller.tell("email", "email.clicked", opened + _MINUTE, clicked, known, refs=refs)
        elif chance.once_in(20):
            gone = {**subject, "list": "letter", "reason": "too_often"}
            teller.tell("email", "email.unsubscribed", opened + _MINUTE, gone, who, refs=refs)
            consent = {"purpose": "marketing", "channel": "email", "reason": "too_often"}
            teller.tell("crm", "consent.withdrawn", opened + 2 * _MINUTE, consent, who)


def chat(teller: Teller, at: datetime, who: list[dict[str, str]], conversation: str, *, breaks_off: bool) -> Talk:
    """A chat in the web shop; one that breaks off ends after a few messages, without an end. Returns its talk."""
    chance = teller.chance
    talk = chance.of(TALKS)
    refs = [ref("conversation", conversation)]
    teller.tell("chat", "chat.started", at, {"queue": "service", "reason": talk.reason}, who, refs=refs)
    agent = chance.of(AGENTS)
    start = at
    turns = talk.turns[:2] if breaks_off else talk.turns
    for number, text in enumerate(turns):
        at += timedelta(seconds=chance.between(15, 90))
        kind = "chat.message_sent" if number % 2 else "chat.message_received"
        teller.tell("chat", kind, at, {"text": text}, who, refs=refs, actor=agent if number % 2 else None)
    if not breaks_off:
        end = {"duration_s": int((at - start).total_seconds()), "messages": len(turns), "outcome": "resolved"}
        teller.tell("chat", "chat.ended", at + _MINUTE, end, who, refs=refs)
    return talk


def call(teller: Teller, at: datetime, talk: Talk, conversation: str | None = None) -> None:
    """The customer calls: goes on with a conversation, or begins one."""
    person, chance = teller.person, teller.chance
    if chance.once_in(5):
        missed = {"direction": "in", "wait_s": chance.between(20, 200), "queue": "service", "reason": "hung_up"}
        teller.tell("phone", "call.missed", at - 5 * _MINUTE, missed, person.who("phone"))
    content = {
        "direction": "in",
        "duration_s": chance.between(60, 900),
        "wait_s": chance.between(2, 90),
        "outcome": "resolved",
        "reason": talk.reason,
        "queue": "service",
        "subject": talk.subject,
        "transcript": " / ".join(talk.turns[2:] or talk.turns),
    }
    refs = [ref("conversation", conversation)] if conversation else []
    agent = chance.of(AGENTS)
    teller.tell("phone", "call.ended", at, content, person.who("customer_no", "phone"), refs=refs, actor=agent)


def complain(teller: Teller, at: datetime, ticket: str, order: str, pence: int) -> None:
    """An e-mail becomes a ticket, which is answered, and often ends with money going back."""
    person, chance = teller.person, teller.chance
    reason, subject, text = chance.of(COMPLAINTS)
    who = person.who("customer_no", "email")
    refs = [ref("ticket", ticket), ref("order", order)]
    mail = {"subject": subject, "text": f"{text}\n\nMy order number is {order}.\n\n{person.name}", "mailbox": "help"}
    teller.tell("email", "email.received", at, mail, person.who("email"), refs=[ref("ticket", ticket)])
    at += 2 * _MINUTE
    opened = {"subject": subject, "state": "open", "priority": "normal", "queue": "service", "category": reason}
    teller.tell("helpdesk", "ticket.opened", at, opened, who, refs=refs)
    agent = chance.of(AGENTS)
    at += timedelta(minutes=chance.between(9, 600))
    comment = {"subject": subject, "comment": "We are sorry, and put it right today.", "by": "company"}
    teller.tell("helpdesk", "ticket.commented", at, comment, who, refs=refs, actor=agent)
    if chance.once_in(1.6):
        refund = {"amount": pounds(max(1, pence // 2)), "currency": "GBP", "reason": reason}
        teller.tell("shop", "refund.made", at + 3 * _MINUTE, refund, who, refs=[ref("order", order)], channel="web")
    at += timedelta(hours=chance.between(1, 60))
    closed = {"subject": subject, "state": "closed", "duration_s": chance.between(3_600, 200_000)}
    teller.tell("helpdesk", "ticket.closed", at, closed, who, refs=refs, actor=agent)
    rate(teller, at + timedelta(hours=3), [ref("ticket", ticket)])


def rate(teller: Teller, at: datetime, refs: list[dict[str, str]]) -> None:
    """Half of those who are asked say how satisfied they were."""
    if teller.chance.once_in(2):
        score, comment = teller.chance.of(SURVEYS)
        content = {"measure": "csat", "survey": "after-contact", "score": score, "best": 5, "comment": comment}
        teller.tell("survey", "survey.answered", at, content, teller.person.who("customer_no", "email"), refs=refs)


def review(teller: Teller, at: datetime) -> Name:
    """A review of a product in the web shop."""
    product = teller.chance.of(PRODUCTS)
    rating, title, text = teller.chance.of(REVIEWS)
    content = {"rating": rating, "best": 5, "product": product.code, "site": "shop", "title": title, "text": text}
    who = teller.person.who("customer_no", "email")
    return teller.tell("web", "review.posted", at, content, who, refs=[ref("product", product.code)])


def mention(teller: Teller, at: datetime) -> None:
    """A word about the shop in a social network, under a name that only that network knows."""
    content = {
        "network": "mastodon",
        "reach": teller.chance.between(12, 4_000),
        "text": "The Paper Kite wrapped my parcel in a paper kite. Of course they did. #stationery",
    }
    handle = {"kind": "social", "value": f"@reader{teller.person.number}@social.example", "namespace": "mastodon"}
    teller.tell("social", "social.mentioned", at, content, [handle])
