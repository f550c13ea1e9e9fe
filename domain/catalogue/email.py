"""Which e-mail touchpoints are there?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, ShortText, Text, Touchpoint

__all__ = ["EmailReceived"]


class EmailReceived(Touchpoint):
    """A customer's e-mail arrived in a mailbox of the company."""

    TYPE = "email.received"
    CHANNEL = "email"
    DIRECTION = "in"

    subject: ShortText = Field(default="", description="The subject line, decoded")
    text: Text = Field(default="", description="The body as plain text")
    message_id: ShortText | None = Field(default=None, description="The Message-ID; no key, mail systems repeat it")
    mailbox: Annotated[Code | None, PUBLIC] = Field(default=None, description="The company's mailbox, by its code")

    def line(self) -> str:
        return f"E-mail received: {self.subject or '(no subject)'}"
