"""Which touchpoint is a note that a colleague leaves?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.attachment import Attachments
from domain.catalogue.base import PUBLIC, Code, Text, Touchpoint
from domain.catalogue.wording import excerpt

__all__ = ["NoteAdded"]


class NoteAdded(Touchpoint):
    """A colleague wrote down something about a customer, a ticket or a deal."""

    TYPE = "note.added"
    CHANNEL = "note"
    NEEDS = ("text",)

    text: Text = Field(default="", description="The note")
    mentions: Annotated[list[Code], PUBLIC] = Field(default=[], description="Colleagues who are to see it, by code")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        return f"Note: {excerpt(self.text)}" if self.text else "Note"
