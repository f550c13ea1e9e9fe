"""What do the commands of each kind stand on? The desk, the rules of the configuration, and who is given what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from commands.sharing import ShareKind, Sharing
from commands.working_desk import Deed, Desk, Done, Key, New
from domain.errors import BadInput, Problem, Refused
from domain.work import Work

__all__ = ["MOST_AT_ONCE", "WorkingPart"]

MOST_AT_ONCE = 1000
"""Most new ones in one save."""


class WorkingPart:
    """A part of `Working`, at one desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.rules, self.zone = desk, desk.rules, desk.zone
        self._sharing = Sharing(desk)

    def _create(
        self, kind: ShareKind, news: Sequence[New], make: Callable[[UUID, New, dict[str, Any]], Work], key: Key | None
    ) -> list[Done]:
        """Make several in one save, each with an assignee by rule where it names none. make: of (id, what was sent,
        content with assignee)."""
        if not 1 <= len(news) <= MOST_AT_ONCE:
            raise BadInput([Problem("items", "are none or too many.", f"Send 1 to {MOST_AT_ONCE} at once.")])

        def deed() -> Deed:
            share = self._sharing.share(kind)
            items = [self._made(place if len(news) > 1 else None, new, share.content(new), make)
                     for place, new in enumerate(news)]  # fmt: skip
            return Deed(items, items, share.statements())

        with self._sharing.alone(kind, news):
            return self.desk.carry_out(deed, key)

    def _made(
        self, place: int | None, new: New, content: dict[str, Any], make: Callable[[UUID, New, dict[str, Any]], Work]
    ) -> Work:
        try:
            return make(self.desk.fresh(), new, content)
        except BadInput as error:
            raise BadInput([Problem(one.field, one.trouble, one.way_out, place) for one in error.problems]) from None
        except Refused as error:
            told = error.detail if place is None else f"Item {place}: {error.detail}"
            raise type(error)(told, missing=error.missing, allowed=error.allowed) from None
