"""How does an event refer to what is too large for it? By digest, size, type and place."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from domain.catalogue.base import Count, Link, Part, ShortText

__all__ = ["Attachment", "Attachments"]


class Attachment(Part):
    """A file that belongs to a touchpoint; the file itself is kept elsewhere."""

    name: ShortText = Field(default="", description="The file's name")
    digest: Annotated[str, StringConstraints(max_length=200)] = Field(default="", description="sha256:… of its bytes")
    size: Count | None = Field(default=None, description="Bytes")
    type: ShortText = Field(default="", description="Media type, such as application/pdf")
    link: Link = Field(default="", description="Where it is kept")


Attachments = Annotated[list[Attachment], Field(max_length=100, description="Files, by reference")]
