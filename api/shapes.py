"""What do answers and small requests look like? The structures that are encoded are the ones that are documented."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api import (
    attribution_shapes,
    customer_shapes,
    erasure_shapes,
    identity_shapes,
    insight_shapes,
    letter_shapes,
    loyalty_shapes,
    opinion_shapes,
    organisation_shapes,
    pipeline_shapes,
    problems,
    proposal_shapes,
    sales_shapes,
    search_shapes,
    segment_shapes,
    webhook_shapes,
    work_requests,
    work_shapes,
)
from commands.access import SCOPES
from domain.catalogue.base import Code
from domain.event import CloudEvent
from domain.identifiers import KINDS, REF_KINDS
from projections.status import Status

__all__ = [
    "About",
    "Accepted",
    "AmendRequest",
    "Correction",
    "CustomerFound",
    "DiscardRequest",
    "Found",
    "Health",
    "Identifier",
    "Item",
    "Key",
    "KeyRequest",
    "Keys",
    "LogEnds",
    "LookupRequest",
    "Page",
    "PartitionEnd",
    "Party",
    "Placed",
    "Price",
    "RawPage",
    "RawRecord",
    "Ref",
    "TypeEntry",
    "Types",
    "answer",
    "components",
    "encode",
    "request_body",
]

encode: Final = msgspec.json.Encoder(decimal_format="number").encode
"""JSON bytes; a fraction keeps the digits that it was sent with."""


class Identifier(Struct, omit_defaults=True, frozen=True):
    """One identifier, or one thing that an event is about."""

    kind: str
    value: str
    namespace: str = ""


Ref = Identifier


class Party(Struct, omit_defaults=True, frozen=True):
    """Who else took part. `who` is missing where it is sealed, erased or not for this key."""

    role: str
    who: list[dict[str, str]] | None = None
    erased: bool = False


class Price(Struct, frozen=True):
    """What an event brought; negative where it flowed back."""

    amount: Annotated[str, Meta(description="In major units, exact")]
    currency: Annotated[str, Meta(description="ISO 4217")]


class About(Struct, frozen=True):
    """Another event by name, and the relation to it."""

    relation: str
    name: str


class Correction(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A later event that corrects or retracts this one."""

    relation: str
    name: str
    type: str = ""
    source: str = ""
    time: str = ""
    recorded_at: str = ""
    line: str = ""
    content: Any = None
    erased: bool = False
    unreadable: str | None = None


class Item(Struct, omit_defaults=True, kw_only=True):
    """One event of a story. What is empty is left out; without the scope `read` what is personal is, too."""

    name: Annotated[str, Meta(description="`SOURCE#HASH`, as the answer to its publisher gave it")]
    id: Annotated[str, Meta(description="The id that the channel gave")] = ""
    happened_at: datetime
    recorded_at: datetime
    time: Annotated[str, Meta(description="When it happened, as sent")] = ""
    type: str = ""
    version: int = 0
    category: Literal["touchpoint", "record", "system", ""] = ""
    channel: str | None = None
    direction: str | None = None
    line: Annotated[str, Meta(description="What happened, in a few words")] = ""
    money: Price | None = None
    content: Any = None
    customer: Annotated[str | None, Meta(description="The customer's id")] = None
    who: list[dict[str, str]] = []
    refs: list[Identifier] = []
    parties: list[Party] = []
    about: list[About] = []
    actor: str | None = None
    source: str = ""
    extensions: dict[str, Any] = {}
    position: Annotated[str, Meta(description="`PARTITION:OFFSET` on the log")]
    future: Annotated[bool, Meta(description="Its time was claimed to lie in the future")] = False
    erased: Annotated[bool, Meta(description="What was personal was destroyed by an erasure")] = False
    unreadable: Annotated[str | None, Meta(description="Why the sealed part cannot be opened")] = None
    corrections: list[Correction] = []
    party: Annotated[list[str], Meta(description="With `parties`: as what it names the customer beside `who`")] = []


class Page(Struct, frozen=True):
    """Items, newest first. Pass `older` as `before`, `newer` as `after`; null where there is nothing more."""

    items: list[Item]
    older: str | None
    newer: str | None
    searched: Annotated[int, Meta(description="Rows that a text search has looked at")] = 0
    happened_by: datetime | UnsetType = UNSET
    recorded_by: datetime | UnsetType = UNSET
    now: Annotated[str | UnsetType, Meta(description="As of a moment: the customer's present id")] = UNSET


class Placed(Struct, frozen=True):
    """One event's name and position."""

    name: str
    partition: int
    offset: int


class Accepted(Struct, frozen=True):
    """What was published, durably."""

    accepted: int
    positions: Annotated[str, Meta(description="`PARTITION:OFFSET,…`; pass it on as `after_positions`")]
    events: list[Placed]


class CustomerFound(Struct, frozen=True):
    """A customer, and where the timeline is."""

    id: str
    timeline: str


class Found(Struct, frozen=True):
    """Customers of an identifier or a ref. `timeline`: the ref's own."""

    customers: list[CustomerFound]
    timeline: str | None = None


class PartitionEnd(Struct, frozen=True):
    """Where a partition ends: the offset that its next record will at least have."""

    partition: int
    end: int


class LogEnds(Struct, frozen=True):
    """The log and its partitions."""

    log_id: str
    partitions: list[PartitionEnd]


class RawRecord(Struct, omit_defaults=True, frozen=True):
    """One record of the log: what stands in clear, and the blobs untouched."""

    partition: int
    offset: int
    head: Any = None
    sealed: list[str] = []
    recorded_at: str = ""
    unreadable: str | None = None
    raw: Annotated[str | None, Meta(description="The exact bytes, base64")] = None


class RawPage(Struct, frozen=True):
    """Records of a partition, oldest first. `next`: the offset to go on from."""

    records: list[RawRecord]
    next: int
    end: int


class TypeEntry(Struct, frozen=True):
    """A type of the catalogue."""

    type: str
    version: int
    category: str
    channel: str | None
    doc: str
    schema: Annotated[str, Meta(description="Where its JSON Schema is")]


class Types(Struct, frozen=True):
    """All types that may be published here."""

    types: list[TypeEntry]


class Key(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """An API key. `secret` is there once, when it is made."""

    key_id: str
    label: str
    scopes: list[str]
    sources: list[str]
    types: list[str]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    user: Annotated[str | None, Meta(description="The colleague whose key it is, by code")] = None
    secret: str | None = None


class Keys(Struct, frozen=True):
    """All API keys."""

    keys: list[Key]


class Health(Struct, omit_defaults=True, frozen=True):
    """Whether this process can serve, and what it lacks. `lag`: records not yet visible, per partition."""

    status: str
    reasons: list[str] = []
    lag: dict[str, int] = {}


_STRUCTS: Final = (
    Item,
    Page,
    Accepted,
    Found,
    search_shapes.Hits,
    LogEnds,
    RawRecord,
    RawPage,
    Types,
    Key,
    Keys,
    letter_shapes.Letter,
    letter_shapes.Letters,
    letter_shapes.Kinds,
    letter_shapes.Settled,
    webhook_shapes.Webhook,
    webhook_shapes.Webhooks,
    Health,
    Status,
    customer_shapes.Customer,
    customer_shapes.Consents,
    organisation_shapes.Organisation,
    *identity_shapes.STRUCTS,
    *proposal_shapes.STRUCTS,
    erasure_shapes.Erasure,
    erasure_shapes.Erasures,
    erasure_shapes.Foreseen,
    *work_shapes.STRUCTS,
    *insight_shapes.STRUCTS,
    *opinion_shapes.STRUCTS,
    *loyalty_shapes.STRUCTS,
    *pipeline_shapes.STRUCTS,
    *sales_shapes.STRUCTS,
    *attribution_shapes.STRUCTS,
    *segment_shapes.STRUCTS,
)


class LookupRequest(BaseModel):
    """An identifier (`email`, `phone`, …) or a ref (`order`, `ticket`, …)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Annotated[str, StringConstraints(max_length=64), Field(json_schema_extra={"enum": [*KINDS, *REF_KINDS]})]
    value: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    namespace: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_.-]*$")] = ""


class KeyRequest(BaseModel):
    """What a new API key may do."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    label: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    scopes: Annotated[
        list[Annotated[str, Field(json_schema_extra={"enum": list(SCOPES)})]], Field(min_length=1, max_length=20)
    ]
    sources: Annotated[list[str], Field(min_length=1, max_length=100)] = ["*"]
    types: Annotated[list[str], Field(min_length=1, max_length=100)] = ["*"]
    expires: AwareDatetime | None = None
    user: Annotated[Code | None, Field(description="The registered colleague whose key it is, by code")] = None


class DiscardRequest(BaseModel):
    """Why a dead letter is not wanted."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    why: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class AmendRequest(BaseModel):
    """The corrected event, under the name of the parked one, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    event: Annotated[dict[str, Any], Field(description="A CloudEvent with the source and id of the parked one")]
    why: Annotated[str, StringConstraints(min_length=1, max_length=500)]


_MODELS: Final[tuple[type[BaseModel], ...]] = (
    CloudEvent,
    LookupRequest,
    search_shapes.SearchRequest,
    KeyRequest,
    DiscardRequest,
    AmendRequest,
    *identity_shapes.MODELS,
    proposal_shapes.DecisionRequest,
    erasure_shapes.EraseRequest,
    *segment_shapes.MODELS,
    *work_requests.MODELS,
)
_REF: Final = "#/components/schemas/"


def answer(name: str, description: str = "Success") -> dict[str, Any]:
    """OpenAPI: a JSON answer of a named shape."""
    return {"description": description, "content": {"application/json": {"schema": {"$ref": _REF + name}}}}


def request_body(model: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI: a JSON body of a named model."""
    schema = {"$ref": _REF + model.__name__}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def components() -> dict[str, Any]:
    """OpenAPI: the schemas of all shapes, by name."""
    from api import export_shapes  # noqa: PLC0415 - it is made of the shapes above

    structs = (*_STRUCTS, export_shapes.Export)
    _, schemas = msgspec.json.schema_components(structs, ref_template=_REF + "{name}")
    found: dict[str, Any] = {**schemas, "Problem": problems.SCHEMA}
    for model in _MODELS:
        schema = model.model_json_schema(ref_template=_REF + "{model}")
        found.update(schema.pop("$defs", {}))
        found[model.__name__] = schema
    return found
