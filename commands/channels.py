"""Which channel publishes straight to Kafka, on which inbox topic, and what may it publish? The channels file says.

    {"channels": [{"channel": "shop", "sources": ["shop/*"], "types": ["purchase.*"], "topic": "inbox.shop"}]}

`topic` is `inbox.CHANNEL` unless it is given. A source or type is bound by name, or by prefix with a `*` at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from commands.publishing import Rights
from domain.errors import Forbidden, Misconfigured

__all__ = ["Channel", "Channels", "read_channels"]

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern="^[a-z0-9_.-]+$")]
_Topic = Annotated[str, msgspec.Meta(max_length=200, pattern="^[a-zA-Z0-9_.-]+$")]
_Pattern = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One channel, with what it may publish on its topic."""

    channel: _Name
    sources: Annotated[tuple[_Pattern, ...], msgspec.Meta(min_length=1)]
    types: Annotated[tuple[_Pattern, ...], msgspec.Meta(min_length=1)]
    topic: _Topic | None = None

    @property
    def inbox(self) -> str:
        """The channel's inbox topic."""
        return self.topic or f"inbox.{self.channel}"

    @property
    def rights(self) -> Rights:
        """What it may publish; never what is Storyline's own."""
        return Rights(self.sources, self.types, system=False)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    channels: tuple[Channel, ...]


class Channels:
    """All channels, by their topics."""

    def __init__(self, channels: Sequence[Channel] = ()) -> None:
        self._by_topic = {channel.inbox: channel for channel in channels}
        if len(self._by_topic) != len(channels):
            raise Misconfigured("STORYLINE_CHANNELS_FILE binds two channels to one topic; give each its own.")

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(sorted(self._by_topic))

    def rights_of(self, topic: str) -> Rights:
        """What may be published on a topic. Raises Forbidden where no channel is bound to it (any more)."""
        channel = self._by_topic.get(topic)
        if channel is None:
            raise Forbidden("No channel is bound to this topic; bind it in the channels file, then redrive.")
        return channel.rights


def read_channels(path: Path | None) -> Channels:
    """The channels of a file; none without one. Raises Misconfigured."""
    if path is None:
        return Channels()
    try:
        return Channels(msgspec.json.decode(path.read_bytes(), type=_File).channels)
    except OSError:
        raise Misconfigured("STORYLINE_CHANNELS_FILE names a file that cannot be read.") from None
    except msgspec.DecodeError as error:
        raise Misconfigured(f"STORYLINE_CHANNELS_FILE is not right: {error}.") from None
