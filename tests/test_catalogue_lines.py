"""What does a timeline show of a touchpoint? The line that a tired support agent reads, and the money."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain.catalogue import builtin, load_catalogue
from domain.catalogue.base import Money
from domain.catalogue.wording import duration, excerpt, money_text, plural
from domain.errors import BadInput
from domain.event import read_event
from tests.support.door import sent

TYPES = {one.name: one for one in builtin()}


def line_of(event_type: str, content: dict[str, Any]) -> str:
    """The line that a timeline shows of what was sent."""
    catalogue = load_catalogue()
    event = read_event(sent(event_type, content), catalogue)
    return catalogue.show(event.type, event.version, event.public, event.personal)[1]


LINES = [
    (
        "purchase.made",
        {
            "amount": Decimal("139.12"),
            "currency": "GBP",
            "lines": [{"quantity": 2}, {"quantity": 1}, {"quantity": -1}],
        },
        "Purchase of 3 items, £139.12",
    ),
    ("purchase.made", {"amount": 5, "currency": "CHF"}, "Purchase, 5.00 CHF"),
    (
        "refund.made",
        {"amount": "4.5", "currency": "EUR", "lines": [{"quantity": 1}], "reason": "damaged"},
        "Refund of 1 item, €4.50, damaged",
    ),
    (
        "call.ended",
        {"direction": "in", "duration_s": 250, "outcome": "resolved", "subject": "Late parcel"},
        "Call in, 4 min 10 s, resolved: Late parcel",
    ),
    ("call.missed", {"direction": "in", "wait_s": 42, "queue": "support"}, "Missed call in, after 42 s, support"),
    ("email.received", {"subject": "Where is my\r\n order?"}, "E-mail received: Where is my order?"),
    ("email.received", {}, "E-mail received: (no subject)"),
    ("email.bounced", {"kind": "soft", "subject": "News"}, "E-mail bounced (soft): News"),
    ("chat.message_received", {"text": "word " * 40}, "Chat message: " + ("word " * 15).strip() + "…"),
    (
        "appointment.booked",
        {"starts_at": "2026-03-01T09:30:00+01:00", "service": "eye-test"},
        "Appointment booked for 2026-03-01 09:30, eye-test",
    ),
    ("survey.answered", {"measure": "nps", "score": 9, "comment": "Fine"}, "NPS 9 of 10: Fine"),
    ("survey.answered", {"measure": "csat", "score": 4, "best": 5}, "CSAT 4 of 5"),
    (
        "ticket.opened",
        {"subject": "Broken cup", "priority": "high", "queue": "returns"},
        "Ticket opened, high, returns: Broken cup",
    ),
    ("ticket.commented", {"by": "customer", "comment": "Any news?"}, "Ticket comment, by the customer: Any news?"),
    (
        "deal.won",
        {"title": "New shop", "amount": 12000, "currency": "GBP"},
        "Deal won, £12,000.00: New shop",
    ),
    ("subscription.renewed", {"plan": "pro", "period": "month"}, "Subscription pro renewed, for a month"),
    ("profile.updated", {"name": "A", "further": {"x": "1", "y": None}}, "Profile updated: 3 fields"),
    ("consent.given", {"purpose": "marketing", "channel": "email"}, "Consent given: marketing, by email"),
    ("consent.withdrawn", {"purpose": "marketing"}, "Consent withdrawn: marketing, on all channels"),
]


@pytest.mark.parametrize(
    ("event_type", "content", "line"), LINES, ids=[f"{one[0]}-{n}" for n, one in enumerate(LINES)]
)
def test_a_line_says_what_happened_in_a_few_words(event_type: str, content: dict[str, Any], line: str) -> None:
    assert line_of(event_type, content) == line


def test_money_durations_and_texts_read_as_a_person_writes_them() -> None:
    assert money_text(Decimal("-1234567.5"), "GBP") == "-£1,234,567.50"
    assert money_text(Decimal("0.001"), "GBP") == "£0.001"
    assert money_text(Decimal(1200), "JPY") == "¥1,200"
    assert money_text(Decimal("1E+3"), "EUR") == "€1,000.00"
    assert money_text(None, "EUR") == ""
    assert [duration(s) for s in (None, 0, 59, 60, 3600, 7500)] == ["", "0 s", "59 s", "1 min", "1 h", "2 h 5 min"]
    assert (plural(1, "item"), plural(Decimal("2.50"), "item")) == ("1 item", "2.5 items")
    assert excerpt("x" * 1000, 10) == "x" * 9 + "…"


def test_money_is_negative_when_it_flows_back() -> None:
    content = {"amount": "4.50", "currency": "EUR"}
    assert TYPES["purchase.made"].show(content)[1] == Money(Decimal("4.50"), "EUR")
    assert TYPES["refund.made"].show(content)[1] == Money(Decimal("-4.50"), "EUR")
    with pytest.raises(BadInput, match="is less than 0"):
        TYPES["refund.made"].read({"amount": -1, "currency": "EUR"}, 1)


def test_an_erased_purchase_still_adds_up() -> None:
    lines = [{"product": "85123A", "description": "White heart", "quantity": 6, "unit_price": Decimal("2.55")}]
    public, personal, direction = TYPES["purchase.made"].read(
        {"amount": Decimal("15.3"), "currency": "GBP", "country": "United Kingdom", "lines": lines}, 1
    )
    assert public == {
        "amount": "15.3",
        "currency": "GBP",
        "country": "United Kingdom",
        "lines": [{"product": "85123A", "quantity": "6", "unit_price": "2.55"}],
    }
    assert personal == {"lines": [{"description": "White heart"}]}
    assert direction == "in"
    _, line, money = load_catalogue().show("purchase.made", 1, public, None)
    assert (line, money) == ("Purchase of 6 items, £15.30", Money(Decimal("15.3"), "GBP"))
