"""What do requests and answers about segments look like?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from domain.configuration.base import Code
from domain.identifiers import KINDS

__all__ = [
    "MODELS",
    "STRUCTS",
    "ChangeSegmentRequest",
    "MemberShown",
    "Members",
    "MembersDone",
    "MembersRequest",
    "OverlapShown",
    "PreviewRequest",
    "Previewed",
    "Sampled",
    "SegmentDone",
    "SegmentPage",
    "SegmentRequest",
    "SegmentRow",
    "SegmentShown",
    "SegmentWhy",
    "SizeSpan",
    "Sizes",
    "SnapshotRequest",
    "TurnShown",
    "VersionShown",
    "WantedShown",
    "WhyEvent",
    "WhyRule",
]

Rule = Annotated[
    str | dict[str, Any],
    Field(
        description="A rule, as text or as JSON; see docs/segments.md",
        examples=["exists(purchase.made) and no(contact in last 90d)"],
    ),
]
Title = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Description = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class SegmentRequest(_Body):
    """A new segment. A dynamic one has a rule, a fixed one a list of customers."""

    code: Annotated[Code, Field(description="Small letters, digits, `_`, `.` and `-`; it stands in clear on the log")]
    kind: Literal["dynamic", "fixed"] = "dynamic"
    title: Title = ""
    description: Description = ""
    rule: Rule | None = None
    announce: Annotated[bool, Field(description="Whether entering and leaving are told as events")] = True
    announce_existing: Annotated[bool, Field(description="Whether those who are in it at first are told of, too")] = (
        False
    )


class ChangeSegmentRequest(_Body):
    """What changes of a segment; what is left out stays."""

    title: Title | None = None
    description: Description | None = None
    rule: Rule | None = None
    announce: bool | None = None
    announce_existing: Annotated[
        bool, Field(description="Whether those are told of who enter or leave because the rule is another one")
    ] = False


class PreviewRequest(_Body):
    """A rule that is tried."""

    rule: Rule
    code: Annotated[
        Code | None, Field(description="The segment whose rule it is to be, so that circles are seen")
    ] = None
    sample: Annotated[int, Field(ge=0, le=20, description="Of how many customers the reasons are told")] = 5
    seconds: Annotated[float, Field(gt=0, le=10, description="How long counting may take before it is estimated")] = 3


class SnapshotRequest(_Body):
    """Under which code those are kept who are in a segment now."""

    code: Code
    title: Title = ""
    description: Description = ""


class MemberIdentifier(_Body):
    """An identifier of a customer."""

    kind: Literal[KINDS]  # type: ignore[valid-type]
    value: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    namespace: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_.-]*$")] = ""


class MembersRequest(_Body):
    """Customers by their ids, or by identifiers, which stand in the body alone."""

    customers: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]],
        Field(max_length=10_000, description="Ids, 32 hex digits"),
    ] = []
    identifiers: Annotated[list[MemberIdentifier], Field(max_length=10_000)] = []


class VersionShown(Struct, frozen=True):
    """A rule of a segment."""

    version: int
    text: str
    rule: Any
    state: Literal["filling", "serving", "retired", "failed"]
    filled: Annotated[float, Meta(description="How much of it is found out, 0 to 1")]
    size: Annotated[int | None, Meta(description="How many were in it when that was complete")]
    made_at: datetime
    made_by: str | None


class SegmentRow(Struct, frozen=True, kw_only=True):
    """A segment in a list."""

    code: str
    kind: Literal["dynamic", "fixed", "snapshot"]
    title: str
    description: str
    state: Literal["active", "archived"]
    announce: bool
    size: Annotated[int | None, Meta(description="How many are in it now; null until its first rule is found out")]
    serving: Annotated[int | None, Meta(description="The version of its rule that counts")]
    filling: Annotated[int | None, Meta(description="The version that is being found out beside it")]
    created_at: datetime
    changed_at: datetime
    created_by: str | None
    revision: int


class SegmentShown(SegmentRow, frozen=True, kw_only=True):
    """A segment with its rules. `text`, `rule`: of the version that counts, else of the one that comes."""

    text: str | None
    rule: Any
    versions: Annotated[list[VersionShown], Meta(description="The newest first")]


class SegmentPage(Struct, frozen=True):
    """Segments in the order of their codes. `next`: the cursor to go on with, or null."""

    segments: list[SegmentRow]
    next: str | None


class SegmentDone(Struct, frozen=True):
    """What a command did, and the segment after it. `repeated`: it was done before, under the same key."""

    segment: SegmentShown
    repeated: bool


class MembersDone(Struct, frozen=True):
    """What became of a list; who is on it is in the segment within seconds."""

    changed: Annotated[int, Meta(description="How many came or went")]
    unknown: Annotated[list[str], Meta(description="Ids that are no customer's")]
    unknown_identifiers: Annotated[list[int], Meta(description="Places of identifiers that are no customer's")]
    repeated: bool


class MemberShown(Struct, frozen=True):
    """Who is in a segment. `since`: null where it is not known any more."""

    customer: str
    since: datetime | None
    why: Annotated[str, Meta(description="Where the reasons are")]
    timeline: str


class Members(Struct, frozen=True):
    """Who is in a segment, in the order of their ids. `next`: the cursor to go on with, or null."""

    members: list[MemberShown]
    next: str | None


class SizeSpan(Struct, frozen=True):
    """One day, or hour. `size`: at its end, or now."""

    begin: datetime
    end: datetime
    entered: int
    left: int
    size: int


class Sizes(Struct, frozen=True):
    """What became of a segment's size."""

    code: str
    time_zone: str
    by: Literal["day", "hour"]
    spans: list[SizeSpan]


class OverlapShown(Struct, frozen=True):
    """How many customers two segments have, and share."""

    a: int
    b: int
    both: int
    only_a: int
    only_b: int


class TurnShown(Struct, frozen=True):
    """When time alone turns a verdict, to what, and the leaves that turn then."""

    at: datetime
    to: bool
    places: list[str]


class WantedShown(Struct, frozen=True):
    """What would have to happen to turn a leaf: how many more events of which types, in words."""

    types: list[str]
    times: int
    text: str


class WhyEvent(Struct, frozen=True):
    """An event behind a leaf. `line`: in a few words, without what is personal unless the key has the scope
    `read`."""

    name: str
    type: str
    happened_at: datetime
    line: str


class WhyRule(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a rule of the tree came to. `place`: where it stands, "" for the whole."""

    place: str
    kind: str
    text: str
    holds: bool
    found: Annotated[Any, Meta(description="Of a leaf: what was compared; left out where it is personal")] = None
    events: list[WhyEvent] = []
    more_events: Annotated[int, Meta(description="How many more stand behind it")] = 0
    next: Annotated[TurnShown | None, Meta(description="When time alone turns it")] = None
    known_until: Annotated[datetime | None, Meta(description="Left out: there is nothing beyond")] = None
    wanted: WantedShown | None = None
    decides: Annotated[bool, Meta(description="The whole turns if this alone does")] = False
    parts: list[WhyRule] = []


class SegmentWhy(Struct, frozen=True, kw_only=True):
    """Why a customer is in a segment, or is not. `holds`: what the rule says at this moment; `member`: who is taken
    for a member, which follows within seconds."""

    segment: str
    kind: Literal["dynamic", "fixed", "snapshot"]
    version: int | None
    customer: str
    at: datetime
    holds: bool
    member: bool
    since: Annotated[datetime | None, Meta(description="When that changed last")]
    because: Annotated[str | None, Meta(description="Why it changed then, by code")]
    because_of: Annotated[list[str], Meta(description="The leaves that decide, each in a sentence")]
    next: Annotated[TurnShown | None, Meta(description="When time alone changes it")]
    rule: WhyRule | None


class Sampled(Struct, frozen=True):
    """A customer for whom a rule holds, and why."""

    customer: str
    timeline: str
    because_of: list[str]
    rule: WhyRule


class Previewed(Struct, frozen=True, kw_only=True):
    """For how many customers a rule holds. Where counting took too long `exact` is false, and the number lies between
    `low` and `high` 19 times of 20."""

    count: int
    exact: bool
    low: int
    high: int | None
    looked: Annotated[int, Meta(description="How many customers were looked at")]
    text: Annotated[str, Meta(description="The rule as text")]
    rule: Annotated[Any, Meta(description="The rule as JSON")]
    cost: Annotated[int, Meta(description="What it takes to find out; at most 300")]
    sample: list[Sampled]


MODELS: Final[tuple[type[BaseModel], ...]] = (
    SegmentRequest,
    ChangeSegmentRequest,
    PreviewRequest,
    SnapshotRequest,
    MembersRequest,
)
STRUCTS: Final = (
    SegmentPage,
    SegmentShown,
    SegmentDone,
    MembersDone,
    Members,
    Sizes,
    OverlapShown,
    SegmentWhy,
    Previewed,
)
