"""What do questions and answers about identity and rulings look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from domain.event import WhoModel

__all__ = [
    "MODELS",
    "STRUCTS",
    "CustomerChanged",
    "CustomerIdentity",
    "EvidenceStands",
    "IdentityChange",
    "IdentityEvent",
    "IdentityLink",
    "IdentitySum",
    "KnownIdentifier",
    "MergeRequest",
    "RefusedLink",
    "RuledAnswer",
    "RulingShape",
    "RulingSide",
    "RulingsPage",
    "SharedIdentifier",
    "SplitRequest",
    "UndoRequest",
]


class KnownIdentifier(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An identifier of a customer. `value` is missing where it is not for this key, or was erased."""

    node: Annotated[str, Meta(description="Its id: 32 hex digits. Any of a customer's finds the customer")]
    kind: str
    namespace: str = ""
    value: str | None = None
    first_at: datetime | None = None


class SharedIdentifier(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An identifier that stands beside the customer's and links nobody. `people`: how many customers have it;
    `more`: or more, since only some of its evidences were counted."""

    node: str
    kind: str
    namespace: str = ""
    value: str | None = None
    people: int
    more: bool = False


class IdentityEvent(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """The event by which it is known."""

    name: Annotated[str, Meta(description="`SOURCE#HASH`")]
    type: str
    happened_at: datetime


class IdentityLink(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Two identifiers that stood together in an event, which made them one person."""

    a: str
    b: str
    since: datetime
    event: IdentityEvent | None = None


class RefusedLink(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Two identifiers that stood together and were not made one person."""

    a: str
    b: str
    since: datetime
    reason: Literal["limit", "split"]
    why: Annotated[str, Meta(description="The reason in words")]
    event: IdentityEvent | None = None


class RulingSide(Struct, frozen=True):
    """One side of a ruling: its identifiers by id, and the customers that they are of now."""

    nodes: list[str]
    customers: list[str]


class RulingShape(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """What a data steward ruled. `ruling` is its id, for an undo. `did`: whether it changes or forbids anything as
    things stand (a newer one may have revoked it); left out where that was not asked."""

    ruling: str
    name: str = ""
    merges: bool
    undone: bool = False
    at: datetime
    recorded_at: datetime | None = None
    by: Annotated[str | None, Meta(description="Who ruled: `user:` and the API key's id")] = None
    reason: str | None = None
    comment: Annotated[str | None, Meta(description="Missing where it is not for this key, or was erased")] = None
    did: bool | None = None
    sides: list[RulingSide] = []


class RulingsPage(Struct, frozen=True):
    """Rulings, newest first. Pass `older` as `before`; null where there is nothing more."""

    rulings: list[RulingShape]
    older: str | None


class CustomerIdentity(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """Why these identifiers are one person.

    `links` are those that made them one, strongest first; the others said nothing new. `whole` False: the component
    is too large to be explained link by link, and `links` are the customer's own direct ones. `star`: in a component
    of that size each identifier joins the number that stood beside it first.
    """

    id: Annotated[str, Meta(description="The customer's present id")]
    ids: Annotated[list[str], Meta(description="All ids that find this customer, the present one first")]
    identifiers: list[KnownIdentifier]
    links: list[IdentityLink]
    refused: list[RefusedLink]
    shared: list[SharedIdentifier]
    rulings: list[RulingShape]
    whole: bool
    star: bool = False
    more: Annotated[bool, Meta(description="Not all that there is, is told")] = False
    happened_by: datetime | None = None
    recorded_by: datetime | None = None
    now: Annotated[str | None, Meta(description="As of a moment, of which `id` is then: the present id")] = None


class IdentitySum(Struct, frozen=True):
    """What a customer brought in one currency, exact, in major units."""

    currency: str
    orders: int
    revenue: str
    refunds: str


class CustomerChanged(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A customer before or after a ruling."""

    id: str
    identifiers: list[KnownIdentifier]
    events: int
    orders: int
    money: list[IdentitySum] = []


class EvidenceStands(Struct, frozen=True):
    """On which customer the events with these identifiers stand, before and after."""

    identifiers: Annotated[list[str], Meta(description="Ids of the identifiers that stood together")]
    events: int
    before: str
    after: str


class IdentityChange(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """What a ruling would change. `disputes_resolved`: links refused so far that no longer would be."""

    before: list[CustomerChanged]
    after: list[CustomerChanged]
    disputes_resolved: list[RefusedLink] = []
    disputes_made: list[RefusedLink] = []
    evidences: list[EvidenceStands] = []
    more: Annotated[bool, Meta(description="Not all that there is, is told")] = False


class RuledAnswer(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """What became of it. With `dry_run` only `change` is there. `visible` False: it is on the log, and the customers
    are not known yet; ask for one of them with `positions` as `after_positions`."""

    dry_run: bool
    ruling: Annotated[str | None, Meta(description="The ruling's id, for an undo")] = None
    name: str | None = None
    positions: str | None = None
    visible: bool | None = None
    customers: Annotated[list[str], Meta(description="The present ids of those whom it names")] = []
    change: IdentityChange | None = None


_Customer = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Reason = Annotated[str, StringConstraints(max_length=100)] | None
_Comment = Annotated[str, StringConstraints(max_length=10_000)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    reason: Annotated[_Reason, Field(description="Why, by code; stands in clear")] = None
    comment: Annotated[_Comment, Field(description="Why, in words; sealed")] = ""
    dry_run: Annotated[bool, Field(description="Only tell what would change")] = False


class MergeRequest(_Asked):
    """Customers that are one person, by any of their ids."""

    customers: Annotated[list[_Customer], Field(min_length=1, max_length=64)]


class SplitRequest(_Asked):
    """Sides of a customer that are different people: each names identifiers, by id or by value."""

    sides: Annotated[
        list[Annotated[list[_Customer | WhoModel], Field(max_length=1000)]], Field(min_length=1, max_length=64)
    ]


class UndoRequest(_Asked):
    """Why a ruling is taken back."""


STRUCTS: Final[tuple[Any, ...]] = (CustomerIdentity, RuledAnswer, RulingsPage)
MODELS: Final[tuple[type[BaseModel], ...]] = (MergeRequest, SplitRequest, UndoRequest)
