"""How does a touchpoint get onto the log? Checked, sealed, appended; durable before the answer."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, Forbidden, Problem
from domain.event import CORRECTIONS, Event, read_event
from domain.work import SOURCE
from eventlog.port import Log, Position
from eventlog.record import decode
from eventlog.sealer import Sealer

__all__ = ["Publisher", "Receipt", "Rights"]


def _now() -> datetime:
    return datetime.now(UTC)


class Receipt(NamedTuple):
    """What a publisher is given for one event: its name on the log (`SOURCE#HASH`) and its position."""

    name: str
    position: Position


class Rights(NamedTuple):
    """What a publisher may publish: source prefixes and event types (`*` is any, `purchase.*` a family).

    `system` lets `storyline/…` sources, system events, merges and splits through. A correction needs the right to the
    source of what it corrects, too.
    """

    sources: tuple[str, ...] = ("*",)
    types: tuple[str, ...] = ("*",)
    system: bool = False


_GUARDED_TYPES = ("identity.merged", "identity.split")
_OWN_SOURCE = "storyline"
_DECIDED_HERE = frozenset(f"{SOURCE}{kind}" for kind in ("deal", "ticket", "task", "lead", "user", "steward"))
"""Sources of the aggregates and of stewards' rulings. What they decided stands: a retraction would show another state
than the one by which they decide what may be done, and rulings are taken back by stewards."""
_CORRECTING = frozenset(CORRECTIONS.values())


def _matches(value: str, pattern: str) -> bool:
    return pattern in ("*", value) or (pattern.endswith("*") and value.startswith(pattern[:-1]))


@lru_cache(maxsize=4096)
def _looks_own(source: str) -> bool:
    """Is this `storyline/…`, or made to look like it to a person (case, width, invisible characters, escapes)?"""
    folded = unicodedata.normalize("NFKC", unquote(source)).casefold()
    seen = "".join([letter for letter in folded if unicodedata.category(letter) not in {"Cf", "Cc", "Zs"}])
    return seen == _OWN_SOURCE or seen.startswith((_OWN_SOURCE + "/", _OWN_SOURCE + ":"))


class Publisher:
    """Puts events on the log. Thread-safe; blocks on the key store and the log, so call it from a worker thread."""

    def __init__(self, catalogue: Catalogue, sealer: Sealer, log: Log, clock: Callable[[], datetime] = _now) -> None:
        self.catalogue, self._sealer, self._log, self._clock = catalogue, sealer, log, clock

    def publish(self, raw: Sequence[Any], rights: Rights) -> list[Receipt]:
        """Publish CloudEvents (JSON objects as `domain.event.parse_json` gives them), all or none.

        One refused item refuses all: BadInput names each bad item, Forbidden the first that the rights do not
        cover. On Unavailable some may be on the log all the same; a retry completes what was begun, and what is
        there twice is a repeat. Returns once all are durable, with a receipt each, in order.
        """
        return self.append(self.check(raw, rights))

    def check(self, raw: Sequence[Any], rights: Rights) -> list[Event]:
        """The good events out of raw ones; raises as `publish` does."""
        events: list[Event] = []
        problems: list[Problem] = []
        alone = len(raw) == 1
        for item, one in enumerate(raw):
            try:
                events.append(read_event(one, self.catalogue))
            except BadInput as error:
                if alone:
                    raise
                problems += [Problem(found.field, found.trouble, found.way_out, item) for found in error.problems]
                if len(problems) >= 100:
                    break
        if problems:
            raise BadInput(problems)
        for item, event in enumerate(events):
            self._allow(event, rights, item)
        return events

    def append(self, events: Sequence[Event]) -> list[Receipt]:
        """Seal and append events that were checked."""
        if not events:
            return []
        entries = self._sealer.seal(events, self._clock())
        positions = self._log.append(entries)
        hasher = self._sealer.hasher
        return [
            Receipt(f"{event.source}#{hasher.name(event.source, event.id)}", position)
            for event, position in zip(events, positions, strict=True)
        ]

    def append_under(self, events: Sequence[Event], keys: Sequence[str | None]) -> int:
        """Seal and append events that were checked, each if it is sealed under this key (None: any); gives how many.

        For what is derived of an event that is there: another key means that its person was erased since, and would
        come back as somebody new.
        """
        entries = self._sealer.seal(events, self._clock()) if events else []
        kept = [
            entry for entry, key in zip(entries, keys, strict=True) if key in (None, decode(entry.value).head.key)
        ]
        if kept:
            self._log.append(kept)
        return len(kept)

    def _allow(self, event: Event, rights: Rights, item: int) -> None:
        if not any(_matches(event.source, pattern) for pattern in rights.sources):
            raise Forbidden(f"Item {item}: this key may not publish from that source; ask for a key bound to it.")
        if not any(_matches(event.type, pattern) for pattern in rights.types):
            raise Forbidden(f"Item {item}: this key may not publish {event.type}; ask for a key bound to it.")
        for one in event.about:
            if one.relation in _CORRECTING and not any(_matches(one.source, pattern) for pattern in rights.sources):
                raise Forbidden(
                    f"Item {item}: this key may not correct events of a source that it may not publish from."
                )
        if rights.system:
            return
        if any(one.relation in _CORRECTING and one.source in _DECIDED_HERE for one in event.about):
            raise Forbidden(
                f"Item {item}: no event corrects what was decided here of a deal, ticket, task, lead, colleague "
                "or of who is who; change it by its commands."
            )
        known = self.catalogue.get(event.type)
        if (
            _looks_own(event.source)
            or event.type in _GUARDED_TYPES
            or (known is not None and known.category == "system")
        ):
            raise Forbidden(f"Item {item}: {event.type} from that source is Storyline's own to publish.")
