"""What do answers about one customer look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.work_shapes import Work

__all__ = [
    "ConsentNow",
    "Consents",
    "ContactsBy",
    "Customer",
    "CustomerFacts",
    "CustomerIdentifier",
    "DisputedLink",
    "LastCampaign",
    "MoneyIn",
    "Preferences",
    "ProfileValue",
    "WordSaid",
]


class ProfileValue(Struct, frozen=True):
    """A field of the profile, and who said so."""

    value: Any
    source: str
    at: datetime
    event: Annotated[str, Meta(description="Of the event that says so: its name, from `#` on")]


class ContactsBy(Struct, omit_defaults=True, frozen=True):
    """Touchpoints on one channel in one direction; each is missing where the events say none."""

    touchpoints: int
    first_at: datetime
    last_at: datetime
    channel: str | None = None
    direction: str | None = None


class MoneyIn(Struct, frozen=True):
    """What came in and went back in one currency, in major units, exact. `refunds` is positive."""

    currency: str
    orders: Annotated[int, Meta(description="With a purchase in this currency; one that two sources report is one")]
    revenue: str
    refunds: str
    average_order: Annotated[str | None, Meta(description="Revenue per order, two decimals, rounded half to even")]


class CustomerFacts(Struct, frozen=True):
    """What is known by counting, from what is public alone, so that an erasure changes none of it."""

    touchpoints: int
    first_contact: datetime | None
    last_contact: datetime | None
    contacts: list[ContactsBy]
    orders: Annotated[int, Meta(description="Over all currencies")]
    money: list[MoneyIn]


class Preferences(Struct, frozen=True):
    """By the latest 200 touchpoints that came from the customer: the most frequent channel and hour."""

    channel: str | None
    hour: Annotated[int | None, Meta(description="0 to 23, in `time_zone`")]
    time_zone: Annotated[str, Meta(description="The person's, else STORYLINE_TIME_ZONE")]


class LastCampaign(Struct, omit_defaults=True, frozen=True):
    """The campaign that the customer answered last."""

    campaign: str
    at: datetime
    event: str
    namespace: str = ""


class ConsentNow(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """What holds for a purpose on a channel. `held`: a later grant was said, but under identifiers that were not
    known to be the same person's then, so that the withdrawal holds."""

    purpose: str
    channel: Annotated[str | None, Meta(description="Missing: on every channel that is not listed by itself")] = None
    granted: bool
    since: Annotated[datetime, Meta(description="When the word was said that decides")]
    event: str
    held: bool = False


class WordSaid(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One explicit word of the customer's, by the event that carries it."""

    at: datetime
    purpose: str
    channel: str | None = None
    granted: bool
    type: str
    event: str


class Consents(Struct, frozen=True):
    """What holds now, and what was said, newest first. `older`: pass it as `before` to go on, or null."""

    id: str
    current: list[ConsentNow]
    history: list[WordSaid]
    older: str | None
    happened_by: datetime | UnsetType = UNSET
    recorded_by: datetime | UnsetType = UNSET
    now: Annotated[str | UnsetType, Meta(description="As of a moment: the present id")] = UNSET


class CustomerIdentifier(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An identifier. `id` finds the customer as well. `shared`: too many people have it, so it links nobody."""

    id: str
    kind: str
    namespace: str = ""
    value: Annotated[str | None, Meta(description="Missing where it was erased, or without the scope `read`")] = None
    shared: bool = False


class DisputedLink(Struct, frozen=True, kw_only=True):
    """A link that was not followed, for a data steward to settle."""

    mine: CustomerIdentifier
    other: CustomerIdentifier
    customer: Annotated[str, Meta(description="Whose the other identifier is")]
    reason: Annotated[Literal["limit", "split"], Meta(description="A limit per customer, or a steward's split")]
    since: datetime


class Customer(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """All that is known of one customer. `profile` and `identifiers` are there with the scope `read` alone."""

    id: Annotated[str, Meta(description="The present id; each one that the customer ever had finds it")]
    erased: Annotated[bool, Meta(description="What was personal was destroyed by an erasure")] = False
    profile: dict[str, ProfileValue] | None = None
    facts: CustomerFacts
    preferred: Preferences
    last_campaign: LastCampaign | None = None
    consents: list[ConsentNow] = []
    identifiers: list[CustomerIdentifier] | None = None
    disputed: list[DisputedLink] = []
    work: Annotated[Work | None, Meta(description="What is open; missing as of a moment")] = None
    timeline: str
    happened_by: datetime | None = None
    recorded_by: datetime | None = None
    now: Annotated[str | None, Meta(description="As of a moment, of which `id` is then: the present id")] = None
