"""What may be asked for of deals, tickets, tasks, leads, colleagues and notes? The bodies of those routes.

A field that a change leaves out stays as it is; one that is null is emptied.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from domain.catalogue.base import Amount, Code, Country, Currency, ShortText, Text
from domain.identifiers import KINDS, REF_KINDS

__all__ = [
    "MODELS",
    "AboutRequest",
    "AnswerRequest",
    "ApproveRequest",
    "AssignRequest",
    "AssignTicketRequest",
    "CancelRequest",
    "ChangeDealRequest",
    "ChangeLeadRequest",
    "ChangeTaskRequest",
    "ChangeTicketRequest",
    "ChangeUserRequest",
    "CommentRequest",
    "ConvertRequest",
    "DealRequest",
    "DealsRequest",
    "DisqualifyRequest",
    "EscalateRequest",
    "FoldRequest",
    "LeadRequest",
    "LeaveRequest",
    "LinkRequest",
    "MoveDealRequest",
    "MoveTicketRequest",
    "NoteRequest",
    "NoticesSeenRequest",
    "ReopenRequest",
    "TaskRequest",
    "TicketRequest",
    "TicketsRequest",
    "TransferRequest",
    "UserRequest",
]

Probability = Annotated[Decimal, Field(ge=0, le=100, max_digits=8, decimal_places=4)]
ItemCode = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{32}$"), Field(description="The id of a deal, ticket or lead")
]
UserCode = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$"),
    Field(description="A colleague's code: small letters, digits, `_`, `.`, `-`"),
]
_MOST: Final = 1000


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    def content(self, *without: str) -> dict[str, Any]:
        """What was sent, as the content of an event: JSON values of the fields that were sent."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={*without, *_ABOUT})


class IdentifierRequest(_Body):
    """Whom something is about."""

    kind: Literal[KINDS]  # type: ignore[valid-type]
    value: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    namespace: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_.-]*$")] = ""


class RefRequest(_Body):
    """What something is about."""

    kind: Literal[REF_KINDS]  # type: ignore[valid-type]
    value: Code
    namespace: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_.-]*$")] = ""


_ABOUT: Final = ("who", "customer", "refs")


class AboutRequest(_Body):
    """Whom and what it is about: `customer` by id, or `who` by identifiers; and `refs`."""

    customer: Annotated[
        Annotated[str, StringConstraints(max_length=64)] | None, Field(description="A customer, by id")
    ] = None
    who: Annotated[list[IdentifierRequest], Field(max_length=64)] = []
    refs: Annotated[list[RefRequest], Field(max_length=20, description="Orders, products, deals …")] = []


class _DealDetails(_Body):
    title: ShortText = ""
    amount: Annotated[Amount, Field(ge=0)] | None = None
    currency: Currency | None = None
    probability: Annotated[Probability | None, Field(description="Per cent; left out: that of the stage")] = None
    products: Annotated[list[Code], Field(max_length=100)] | None = None
    expected_close: date | None = None
    next_step: ShortText = ""
    next_step_on: date | None = None
    origin: Code | None = None
    comment: Text = ""


class _Given(_Body):
    assignee: Annotated[Code | None, Field(description="A registered colleague, by code")] = None
    team: Code | None = None


class DealRequest(AboutRequest, _DealDetails, _Given):
    """A new deal. Without `assignee` it gets one by rule."""

    pipeline: Annotated[Code | None, Field(description="Left out: the default one")] = None
    stage: Annotated[Code | None, Field(description="Left out: the first one")] = None


class DealsRequest(_Body):
    """New deals, all or none."""

    deals: Annotated[list[DealRequest], Field(min_length=1, max_length=_MOST)]


class ChangeDealRequest(_DealDetails):
    """What changes of a deal."""


class MoveDealRequest(_DealDetails, _Given):
    """Where a deal moves, with what that asks for."""

    to: Annotated[Code, Field(description="A stage, `won` or `lost`")]
    reason: Annotated[Code | None, Field(description="Why, by code; needed for `lost`")] = None


class ApproveRequest(_Body):
    """Which move is approved."""

    stage: Code


class AssignRequest(_Given):
    """Who gets it; both null: nobody."""


class ReopenRequest(_Body):
    """Where it goes on; left out: where it was, or what the configuration says."""

    to: Code | None = None


class TransferRequest(_Body):
    """Another pipeline; `stage` left out: its first."""

    pipeline: Code
    stage: Code | None = None


class _TicketDetails(_Body):
    subject: ShortText = ""
    category: Code | None = None
    product: Code | None = None
    comment: Text = ""


class TicketRequest(AboutRequest, _TicketDetails, _Given):
    """A new ticket; `comment` is what the customer wrote. Without `assignee` it gets one by rule."""

    channel: Annotated[Code | None, Field(description="Through which channel it came")] = None
    priority: Annotated[Code | None, Field(description="Left out: the default one")] = None
    queue: Annotated[Code | None, Field(description="Left out: the default one")] = None


class TicketsRequest(_Body):
    """New tickets, all or none."""

    tickets: Annotated[list[TicketRequest], Field(min_length=1, max_length=_MOST)]


class ChangeTicketRequest(_TicketDetails):
    """What changes of a ticket."""

    priority: Code | None = None


class MoveTicketRequest(_TicketDetails, _Given):
    """Which state a ticket moves to, with what that asks for."""

    to: Annotated[Code, Field(description="A state")]
    reason: Code | None = None


class AssignTicketRequest(_Given):
    """Who gets a ticket; both null: nobody. With `queue` it goes to another queue, too."""

    queue: Code | None = None


class CommentRequest(_Body):
    """What was written into a ticket. `internal`: for colleagues only."""

    text: Annotated[Text, StringConstraints(min_length=1)]
    by: Literal["company", "customer"] = "company"
    internal: bool = False


class AnswerRequest(_Body):
    """What the customer answered."""

    text: Annotated[Text, StringConstraints(min_length=1)]


class LinkRequest(_Body):
    """Another ticket, and how it is related."""

    other: ItemCode
    relation: Code = "related"


class FoldRequest(_Body):
    """The ticket that goes on for both."""

    into: ItemCode


class EscalateRequest(_Given):
    """Who a ticket is handed up to."""

    reason: Code | None = None
    comment: Text = ""


class _TaskDetails(_Body):
    title: Annotated[ShortText, StringConstraints(min_length=1)] = ""
    text: Text = ""
    kind: Annotated[Code | None, Field(description="Such as call")] = None
    priority: Code | None = None
    due: AwareDatetime | None = None
    remind_at: AwareDatetime | None = None


class TaskRequest(AboutRequest, _TaskDetails, _Given):
    """A new task; `refs` says on which deal, ticket or lead."""

    title: Annotated[ShortText, StringConstraints(min_length=1)]


class ChangeTaskRequest(_TaskDetails):
    """What changes of a task."""


class CancelRequest(_Body):
    """Why a task is not wanted any more, by code."""

    reason: Code | None = None


class _LeadDetails(_Body):
    title: ShortText = ""
    message: Annotated[Text, Field(description="What they wrote")] = ""
    origin: Code | None = None
    campaign: Code | None = None
    product: Code | None = None
    country: Country | None = None
    industry: Code | None = None


class LeadRequest(AboutRequest, _LeadDetails, _Given):
    """A new lead. Without `assignee` it gets one by rule."""


class ChangeLeadRequest(_LeadDetails):
    """What more became known of a lead."""


class ConvertRequest(_DealDetails, _Given):
    """The deal that a lead becomes; what is left out comes from the lead."""

    pipeline: Code | None = None
    stage: Code | None = None


class DisqualifyRequest(_Body):
    """Why a lead is given up, by code."""

    reason: Code


class UserRequest(_Body):
    """A colleague who begins to work with Storyline."""

    code: UserCode
    name: ShortText = ""
    teams: Annotated[list[Code], Field(max_length=50)] = []
    roles: Annotated[list[Code], Field(max_length=50)] = []


class ChangeUserRequest(_Body):
    """What changes of a colleague."""

    name: ShortText = ""
    teams: Annotated[list[Code], Field(max_length=50)] = []
    roles: Annotated[list[Code], Field(max_length=50)] = []


class LeaveRequest(_Body):
    """Who takes over all that is open; both left out: nobody, it waits in its teams and queues."""

    to: Code | None = None
    to_team: Code | None = None


class NoticesSeenRequest(_Body):
    """Up to when everything was seen; left out: up to now."""

    at: AwareDatetime | None = None


class NoteRequest(AboutRequest):
    """A note, and the colleagues who are to see it."""

    text: Annotated[Text, StringConstraints(min_length=1)]
    mentions: Annotated[list[Code], Field(max_length=50, description="Colleagues, by code")] = []


MODELS: Final[tuple[type[BaseModel], ...]] = (
    DealRequest,
    DealsRequest,
    ChangeDealRequest,
    MoveDealRequest,
    ApproveRequest,
    AssignRequest,
    ReopenRequest,
    TransferRequest,
    TicketRequest,
    TicketsRequest,
    ChangeTicketRequest,
    MoveTicketRequest,
    AssignTicketRequest,
    CommentRequest,
    AnswerRequest,
    LinkRequest,
    FoldRequest,
    EscalateRequest,
    TaskRequest,
    ChangeTaskRequest,
    CancelRequest,
    LeadRequest,
    ChangeLeadRequest,
    ConvertRequest,
    DisqualifyRequest,
    UserRequest,
    ChangeUserRequest,
    LeaveRequest,
    NoticesSeenRequest,
    NoteRequest,
)
