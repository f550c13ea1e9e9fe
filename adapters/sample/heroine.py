"""What is the story that the demo prints? One customer's, written by hand, with a chat that a call goes on with."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adapters.sample.episodes import SHOP
from adapters.sample.telling import Name, Teller, ref

__all__ = ["tell_heroine"]

_LONDON = ZoneInfo("Europe/London")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=_LONDON)


def tell_heroine(teller: Teller) -> dict[str, Name]:
    """Zoë Lindqvist's year. Returns the names of the events that tests ask for."""
    _spring(teller)
    return {**_summer(teller), **_december(teller)}


def _spring(teller: Teller) -> None:
    person = teller.person
    cookie, known = person.who("cookie"), person.who("customer_no", "email")
    seen = (("PK-301", "Fountain pen, beginner's, fine nib"), ("PK-303", "Ink, midnight blue, 50 ml"))
    for minute, (code, title) in enumerate(seen):
        at = _at("2025-02-11T20:14:00") + timedelta(minutes=2 * minute)
        page = {"url": f"{SHOP}/pens/{code}", "title": title, "page": "product", "product": code, "duration_s": 95}
        teller.tell("web", "page.viewed", at, page, cookie, refs=[ref("product", code)])
    form = {"form": "account", "url": f"{SHOP}/account/new", "answers": {"newsletter": "yes"}}
    teller.tell("web", "form.submitted", _at("2025-02-11T20:21:30"), form, [*known, *cookie])
    profile = {"name": person.name, "given_name": "Zoë", "family_name": "Lindqvist", "country": "GB"}
    at = _at("2025-02-11T20:21:35")
    teller.tell("crm", "profile.updated", at, profile, person.who("customer_no", "email", "phone"))
    consent = {"purpose": "marketing", "channel": "email", "wording": "Send me the shop's letter."}
    teller.tell("crm", "consent.given", _at("2025-02-11T20:21:36"), consent, known)
    lines = [_line(code, title, 1, price) for (code, title), price in zip(seen, ("22.00", "11.50"), strict=True)]
    order = [ref("order", "W-10231")]
    paid = {"amount": "33.50", "currency": "GBP", "country": "GB", "lines": lines}
    at = _at("2025-02-11T20:26:10")
    teller.tell("web", "purchase.made", at, paid, [*known, *cookie], refs=order, channel="web")
    mail = {"subject": "Your order W-10231 at The Paper Kite", "text": "Thank you! Pen and ink leave us tomorrow."}
    teller.tell("email", "email.sent", _at("2025-02-11T20:26:40"), mail, known, refs=order)
    review = {"rating": 5, "best": 5, "product": "PK-301", "title": "My first real pen", "text": "It sings."}
    teller.tell("web", "review.posted", _at("2025-03-02T09:12:00"), review, known, refs=[ref("product", "PK-301")])


def _summer(teller: Teller) -> dict[str, Name]:
    """A letter that works, a purchase whose amount is put right, a note that stood on the wrong customer."""
    person = teller.person
    known, campaign = person.who("customer_no", "email"), [ref("campaign", "summer-2025")]
    subject = {"subject": "Kites for the long evenings", "message_id": "<summer-2025.0@paperkite.example>"}
    teller.tell("email", "email.sent", _at("2025-06-12T08:00:00"), subject, known, refs=campaign)
    teller.tell("email", "email.opened", _at("2025-06-12T18:41:00"), subject, known, refs=campaign)
    clicked = {**subject, "url": f"{SHOP}/letter/summer-2025", "link": "kites"}
    at = _at("2025-06-12T18:42:00")
    teller.tell("email", "email.clicked", at, clicked, [*known, *person.who("cookie")], refs=campaign)
    return {**_kites(teller), **_note(teller)}


def _kites(teller: Teller) -> dict[str, Name]:
    """Two kites are sold and one is rung up, on a till that was offline for days and whose clock is wrong."""
    card, order = teller.person.who("customer_no"), [ref("order", "S-2207")]
    paid = {"amount": "12.50", "currency": "GBP", "lines": [_line("PK-401", "Paper kite to make", 1, "12.50")]}
    bought = teller.tell(
        "shop",
        "purchase.made",
        _at("2025-06-14T11:05:00"),
        paid,
        card,
        refs=order,
        channel="shop",
        late=timedelta(days=3),
        clock_ahead=timedelta(minutes=47),
    )
    right = {**paid, "amount": "25.00", "lines": [_line("PK-401", "Paper kite to make", 2, "12.50")]}
    amendment = {"type": "purchase.made", "content": right, "reason": "typing_error", "comment": "Two were sold."}
    at, about = _at("2025-06-18T09:30:00"), [_about("corrects", bought)]
    amended = teller.tell("shop", "event.amended", at, amendment, card, refs=order, about=about, actor="mira")
    return {"amended": amended, "amended_target": bought}


def _note(teller: Teller) -> dict[str, Name]:
    """A note that was meant for someone else is taken back."""
    card = teller.person.who("customer_no")
    note = {"text": "Wants the workshop's calendar by post."}
    noted = teller.tell("crm", "note.added", _at("2025-06-18T09:40:00"), note, card, actor="tom")
    wrong = {"reason": "wrong_customer", "comment": "The note was about another Lindqvist."}
    at, about = _at("2025-06-18T09:44:00"), [_about("retracts", noted)]
    retracted = teller.tell("crm", "event.retracted", at, wrong, card, about=about, actor="tom")
    return {"retracted": retracted, "retracted_target": noted}


def _december(teller: Teller) -> dict[str, Name]:
    """An order goes astray; a chat about it breaks off, and the call that follows goes on with it (S02)."""
    person = teller.person
    known, order = person.who("customer_no", "email"), [ref("order", "W-14890")]
    cards, ink = "Christmas cards, robin, set of 10", "Ink, waterproof black, 50 ml"
    lines = [_line("PK-103", cards, 3, "11.00"), _line("PK-304", ink, 1, "13.50")]
    paid = {"amount": "46.50", "currency": "GBP", "country": "GB", "lines": lines}
    teller.tell("web", "purchase.made", _at("2025-12-08T21:03:00"), paid, known, refs=order, channel="web")
    talk = [*order, ref("conversation", "chat-88121")]
    broke_off = _chat(teller, talk)
    call: dict[str, Any] = {
        "direction": "in",
        "duration_s": 214,
        "wait_s": 6,
        "outcome": "resolved",
        "reason": "delivery",
        "subject": "The cards of order W-14890: goes on with the chat",
        "transcript": "My train went into a tunnel. / I have your chat here: a courier comes before nine tomorrow.",
    }
    phoned = person.who("customer_no", "phone")
    called = teller.tell("phone", "call.ended", _at("2025-12-16T17:31:00"), call, phoned, refs=talk, actor="mira")
    ticket = [*order, ref("ticket", "T-3307")]
    opened = {"subject": "Courier for order W-14890", "state": "open", "priority": "high", "queue": "service"}
    teller.tell("helpdesk", "ticket.opened", _at("2025-12-16T17:33:00"), opened, known, refs=ticket, actor="mira")
    closed = {"subject": "Courier for order W-14890", "state": "closed", "duration_s": 55_020}
    teller.tell("helpdesk", "ticket.closed", _at("2025-12-17T08:50:00"), closed, known, refs=ticket, actor="mira")
    thanks = {"measure": "csat", "survey": "after-contact", "score": 5, "best": 5, "comment": "You already knew!"}
    at = _at("2025-12-17T12:15:00")
    teller.tell("survey", "survey.answered", at, thanks, known, refs=[ref("ticket", "T-3307")])
    return {"chat_broke_off": broke_off, "call_went_on": called}


def _chat(teller: Teller, talk: list[dict[str, str]]) -> Name:
    """The chat up to where it breaks off; its last message arrives twice, for the chat server was not sure."""
    who = teller.person.who("customer_no", "cookie2")
    start = {"queue": "service", "reason": "delivery"}
    last = teller.tell("chat", "chat.started", _at("2025-12-16T17:20:00"), start, who, refs=talk)
    said = (
        ("received", "17:20:20", "Hello, my cards (order W-14890) were due on Friday and tracking has not moved."),
        ("sent", "17:21:05", "I am sorry, Zoë. Let me look at the depot's list, one moment please."),
        ("received", "17:21:30", "Thank you. I post them abroad tomorrow, so it does matter. I am on the tr"),
    )
    for way, clock, text in said:
        at, actor = _at(f"2025-12-16T{clock}"), "sunil" if way == "sent" else None
        last = teller.tell("chat", f"chat.message_{way}", at, {"text": text}, who, refs=talk, actor=actor)
    teller.repeat(timedelta(seconds=40))
    return last


def _line(product: str, description: str, quantity: int, price: str) -> dict[str, Any]:
    return {"product": product, "description": description, "quantity": quantity, "unit_price": price}


def _about(relation: str, name: Name) -> dict[str, str]:
    return {"relation": relation, "source": name[0], "id": name[1]}
