"""Which e-mail touchpoints are there?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from domain.catalogue.attachment import Attachments
from domain.catalogue.base import PUBLIC, Code, Link, ShortText, Text, Touchpoint
from domain.catalogue.wording import excerpt, joined

__all__ = ["EmailBounced", "EmailClicked", "EmailOpened", "EmailReceived", "EmailSent", "EmailUnsubscribed"]


class _Email(Touchpoint):
    CHANNEL = "email"

    subject: ShortText = Field(default="", description="The subject line, decoded")
    message_id: ShortText | None = Field(default=None, description="The Message-ID; no key, mail systems repeat it")

    def _titled(self, what: str, *more: str) -> str:
        return joined(f"{what}: {excerpt(self.subject) or '(no subject)'}", *more)


class EmailReceived(_Email):
    """A customer's e-mail arrived in a mailbox of the company."""

    TYPE = "email.received"
    DIRECTION = "in"

    text: Text = Field(default="", description="The body as plain text")
    mailbox: Annotated[Code | None, PUBLIC] = Field(default=None, description="The company's mailbox, by its code")
    automatic: bool = Field(default=False, description="An out-of-office or other automatic answer")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        return self._titled("Automatic reply received" if self.automatic else "E-mail received")


class EmailSent(_Email):
    """The company sent an e-mail to a customer."""

    TYPE = "email.sent"
    DIRECTION = "out"

    text: Text = Field(default="", description="The body as plain text")
    mailbox: Annotated[Code | None, PUBLIC] = Field(default=None, description="The company's mailbox, by its code")
    template: Annotated[Code | None, PUBLIC] = Field(default=None, description="The template, by its code")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        return self._titled("E-mail sent")


class EmailOpened(_Email):
    """A customer opened an e-mail that the company had sent."""

    TYPE = "email.opened"
    DIRECTION = "in"

    def line(self) -> str:
        return self._titled("E-mail opened") if self.subject else "E-mail opened"


class EmailClicked(_Email):
    """A customer followed a link in an e-mail that the company had sent."""

    TYPE = "email.clicked"
    DIRECTION = "in"

    url: Link = Field(default="", description="The address that the link leads to")
    link: Annotated[Code | None, PUBLIC] = Field(default=None, description="Which link it was, by its code")

    def line(self) -> str:
        return self._titled("Link clicked in e-mail", self.link or "") if self.subject else "Link clicked in e-mail"


class EmailBounced(_Email):
    """An e-mail to a customer could not be delivered."""

    TYPE = "email.bounced"

    kind: Annotated[Literal["hard", "soft"], PUBLIC] = Field(
        default="hard", description="hard: for good; soft: not yet"
    )
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code, such as 5.1.1")
    diagnosis: Text = Field(default="", description="What the mail server said")

    def line(self) -> str:
        return self._titled(f"E-mail bounced ({self.kind})", self.reason or "")


class EmailUnsubscribed(_Email):
    """A customer asked in an e-mail, or by its link, for no more of them."""

    TYPE = "email.unsubscribed"
    DIRECTION = "in"

    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="Why, by code")
    list: Annotated[Code | None, PUBLIC] = Field(default=None, description="The mailing list, by its code")

    def line(self) -> str:
        return joined(f"Unsubscribed from {self.list or 'e-mails'}", self.reason)
