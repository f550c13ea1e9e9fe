"""Which commands are there on deals?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from commands.working_desk import Actor, Done, Key, New
from commands.working_part import WorkingPart
from domain.deal import Deal, Move, allowed_moves
from domain.errors import Refused
from domain.identifiers import Identifier, Ref
from domain.work import Work

__all__ = ["DealCommands", "MovedOn", "lacks_of"]


class MovedOn(Refused):
    """What was due in a stage or state is due no more: it moved on since."""

    rule = "moved-on"


class DealCommands(WorkingPart):
    """Commands on deals. Each raises the error of the rule that forbids it (`domain/deal.py`), NotFound, Stale where
    `expected` is not the revision that it has, and BadInput."""

    def create_deal(
        self, content: Mapping[str, Any], *, who: tuple[Identifier, ...] = (), refs: tuple[Ref, ...] = (),
        actor: Actor, key: Key | None = None,
    ) -> Done:  # fmt: skip
        """A new deal. content: fields of `deal.created`; without an assignee it gets one by rule."""
        return self.create_deals([New(content, who, refs)], actor=actor, key=key)[0]

    def create_deals(self, news: Sequence[New], *, actor: Actor, key: Key | None = None) -> list[Done]:
        """New deals, all or none, in one save."""

        def make(id: UUID, new: New, content: dict[str, Any]) -> Work:
            return Deal.create(
                id, content, self.rules, at=self.desk.clock(), actor=actor.code, who=new.who, refs=new.refs,
                roles=actor.roles,
            )  # fmt: skip

        return self._create("deal", news, make, key)

    def change_deal(
        self,
        id: UUID,
        content: Mapping[str, Any],
        *,
        actor: Actor,
        key: Key | None = None,
        expected: int | None = None,
    ) -> Done:
        """Other details, value or probability."""

        def act(deal: Deal) -> None:
            deal.change(content, at=self.desk.clock(), actor=actor.code)

        return self._change_deal(id, act, actor, key, expected)

    def move_deal(
        self, id: UUID, to: str, content: Mapping[str, Any] | None = None, *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """To another stage, or to be `won` or `lost`; content: what the stage asks for may come with it."""

        def act(deal: Deal) -> None:
            deal.move(to, content or {}, self.rules, roles=actor.roles, at=self.desk.clock(), actor=actor.code)

        return self._change_deal(id, act, actor, key, expected)

    def approve_deal(
        self, id: UUID, stage: str, *, actor: Actor, key: Key | None = None, expected: int | None = None
    ) -> Done:
        """Approve that it moves to a stage."""

        def act(deal: Deal) -> None:
            deal.approve(stage, self.rules, roles=actor.roles, at=self.desk.clock(), actor=actor.code)

        return self._change_deal(id, act, actor, key, expected)

    def assign_deal(
        self, id: UUID, assignee: str | None = None, team: str | None = None, *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """Give it to a colleague, a team, or (both None) nobody."""

        def act(deal: Deal) -> None:
            deal.assign(assignee=assignee, team=team, at=self.desk.clock(), actor=actor.code)

        return self._change_deal(id, act, actor, key, expected)

    def reopen_deal(
        self, id: UUID, to: str | None = None, *, actor: Actor, key: Key | None = None, expected: int | None = None
    ) -> Done:
        """Take up again what was won or lost. to: a stage; None: where it was."""

        def act(deal: Deal) -> None:
            deal.reopen(to, self.rules, roles=actor.roles, at=self.desk.clock(), actor=actor.code)

        return self._change_deal(id, act, actor, key, expected)

    def transfer_deal(
        self, id: UUID, pipeline: str, stage: str | None = None, *, actor: Actor, key: Key | None = None,
        expected: int | None = None,
    ) -> Done:  # fmt: skip
        """To another pipeline; stage: None is its first."""

        def act(deal: Deal) -> None:
            deal.transfer(pipeline, stage, self.rules, roles=actor.roles, at=self.desk.clock(), actor=actor.code)

        return self._change_deal(id, act, actor, key, expected)

    def stall_deal(self, id: UUID, stage: str, since: datetime, *, actor: Actor, key: Key | None = None) -> Done:
        """Note that it has been in a stage for too long. Raises MovedOn where it is no longer there since then."""

        def act(deal: Deal) -> None:
            if (deal.state.stage, deal.state.stage_since) != (stage, since):
                raise MovedOn("The deal has moved since.")
            deal.stall(self.rules, at=self.desk.clock(), actor=actor.code)

        return self._change_deal(id, act, actor, key, None)

    def _change_deal(
        self, id: UUID, act: Callable[[Deal], None], actor: Actor, key: Key | None, expected: int | None
    ) -> Done:
        """Have it changed by `act`. What is refused tells what each move that is allowed still asks for."""

        def asked(deal: Deal) -> None:
            try:
                act(deal)
            except Refused as error:
                moves = allowed_moves(deal.state, self.rules, actor.roles, bool(deal.who))
                error.lacks = {move.to: lacks_of(move) for move in moves}
                raise

        return self.desk.change(Deal, id, asked, key, expected)


def lacks_of(move: Move) -> tuple[str, ...]:
    """What a move asks for still: fields, and the approval of a role."""
    return (*move.missing, f"approval:{move.approval}") if move.approval else move.missing
