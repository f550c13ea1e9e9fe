"""Which chat and messenger touchpoints are there? What belongs together shares a `conversation` ref."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.attachment import Attachments
from domain.catalogue.base import PUBLIC, Code, Count, Seconds, Text, Touchpoint
from domain.catalogue.wording import duration, excerpt, joined, plural

__all__ = ["ChatEnded", "ChatMessageReceived", "ChatMessageSent", "ChatStarted"]


class ChatStarted(Touchpoint):
    """A customer opened a chat with the company."""

    TYPE = "chat.started"
    CHANNEL = "chat"
    DIRECTION = "in"

    queue: Annotated[Code | None, PUBLIC] = Field(default=None, description="The queue that it waits in")
    reason: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it is about, by code")

    def line(self) -> str:
        return joined("Chat started", self.queue, self.reason)


class ChatMessageReceived(Touchpoint):
    """A customer wrote a message in a chat or messenger."""

    TYPE = "chat.message_received"
    CHANNEL = "chat"
    DIRECTION = "in"

    text: Text = Field(default="", description="The message")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        return f"Chat message: {excerpt(self.text)}" if self.text else "Chat message"


class ChatMessageSent(Touchpoint):
    """The company wrote a message to a customer in a chat or messenger."""

    TYPE = "chat.message_sent"
    CHANNEL = "chat"
    DIRECTION = "out"

    text: Text = Field(default="", description="The message")
    template: Annotated[Code | None, PUBLIC] = Field(default=None, description="The template, by its code")
    attachments: Attachments = Field(default=[])

    def line(self) -> str:
        return f"Chat answer: {excerpt(self.text)}" if self.text else "Chat answer"


class ChatEnded(Touchpoint):
    """A chat between a customer and the company ended."""

    TYPE = "chat.ended"
    CHANNEL = "chat"

    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds from start to end")
    wait_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds until the first answer")
    messages: Annotated[Count | None, PUBLIC] = Field(default=None, description="Number of messages, both ways")
    outcome: Annotated[Code | None, PUBLIC] = Field(default=None, description="How it ended, by code: resolved, …")

    def line(self) -> str:
        messages = plural(self.messages, "message") if self.messages is not None else None
        return joined("Chat ended", duration(self.duration_s), messages, self.outcome)
