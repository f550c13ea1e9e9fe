"""How is a rule carried out? Each of its actions by a command under a key of its own, so that none is done twice.

What an item refuses, and what a customer did not consent to, is told by an event on the customer's timeline; so it is
seen by those who wonder why nothing happened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg

from commands.publishing import Publisher, Rights
from commands.runs import KEY_SCOPE, Run, RunState, action_key
from commands.webhooks import Webhooks
from commands.working import Actor, Key, Working
from domain.automation import OWN_SOURCE, Occasion, allows, assignee_of, subject_of, texts_of
from domain.conditions import holds
from domain.configuration import Action, Rule
from domain.errors import BadInput, Erased, NotFound, Refused
from domain.identifiers import Identifier, Ref
from eventlog.keyring import Keyring
from eventlog.record import Record
from eventlog.sealing import Opened, keys_of, open_record

__all__ = ["Acting", "Outcome"]

_RIGHTS: Final = Rights(system=True)
_MOST_REFS: Final = 16
_ABOUT: Final = ("ticket", "deal", "lead", "task", "order", "invoice", "product", "campaign", "organisation")
"""Kinds of refs that what a rule makes takes over from the event."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run. why: codes, with a comma between; None where all went well."""

    state: RunState
    why: str | None = None


class _NothingToDo(Exception):
    """An action finds nobody to tell, or nothing to act on."""


class Acting:
    """Carries out rules. Blocks on the event store, the key store and the log."""

    def __init__(self, working: Working, publisher: Publisher, keyring: Keyring, webhooks: Webhooks) -> None:
        self._working, self._publisher, self._keyring, self._webhooks = working, publisher, keyring, webhooks

    def carry_out(
        self, connection: psycopg.Connection, run: Run, rule: Rule, occasion: Occasion, record: Record
    ) -> Outcome:
        """Do what a rule says about an event, if its conditions hold and the customer consented.

        connection: within the transaction that settles the run; webhooks are put on their way in it. Raises what may
        go well the next time (Unavailable, Stale); what was done by then is not done again.
        """
        if not holds(rule.when, occasion.value):
            return Outcome("unmet")
        told = _Told(self._publisher, run, rule, record, lambda: self._opened(record))
        try:
            if rule.purpose is not None and not allows(occasion.standing, rule.purpose, rule.channel):
                told.suppressed("no-consent" if occasion.customer is not None else "no-customer")
                return Outcome("suppressed", "no-consent")
            return self._act(connection, run, rule, occasion, told)
        except Erased:
            return Outcome("unmet", "erased")

    def _act(self, connection: psycopg.Connection, run: Run, rule: Rule, occasion: Occasion, told: _Told) -> Outcome:
        refused, failed = [], []
        for index, action in enumerate(rule.then):
            try:
                _Deed(self, connection, run, rule, index, occasion, told).do(action)
            except _NothingToDo:
                refused.append(f"{action.do}:nothing")
            except Refused as error:
                told.refused(index, action.do, error.rule)
                refused.append(f"{action.do}:{error.rule}")
            except (BadInput, NotFound) as error:
                field = error.problems[0].field if isinstance(error, BadInput) and error.problems else "not-found"
                failed.append(f"{action.do}:{field}")
        if failed:
            return Outcome("failed", ", ".join([*failed, *refused])[:500])
        return Outcome("refused", ", ".join(refused)[:500]) if refused else Outcome("done")

    def _opened(self, record: Record) -> Opened:
        """What the event sealed. Raises Erased."""
        opened = open_record(record, self._keyring.keys(keys_of([record])))
        if opened is None:
            raise Erased("The event was about someone who was erased.")
        return opened


class _Told:
    """What a run publishes itself: under names made of the rule and the event, so that a repeat is harmless."""

    def __init__(
        self, publisher: Publisher, run: Run, rule: Rule, record: Record, opened: Callable[[], Opened]
    ) -> None:
        self._publisher, self._run, self._rule, self._record, self._open = publisher, run, rule, record, opened
        self._known: Opened | None = None

    @property
    def opened(self) -> Opened:
        """What the event sealed. Raises Erased."""
        if self._known is None:
            self._known = self._open()
        return self._known

    @property
    def who(self) -> tuple[Identifier, ...]:
        """Whom the event is about, as it was sent."""
        return tuple([Identifier(one["kind"], one["value"], one.get("namespace", "")) for one in self.opened.who])

    def suppressed(self, reason: str) -> None:
        """The rule would have acted, and must not."""
        content = {"rule": self._rule.code, "purpose": self._rule.purpose, "reason": reason}
        self._publish("automation.suppressed", "", content, self._about())

    def refused(self, index: int, action: str, reason: str) -> None:
        """An action was refused by a rule of the deal or ticket."""
        content = {"rule": self._rule.code, "action": action, "reason": reason}
        self._publish("automation.refused", f".{index}", content, self._about())

    def notified(self, index: int, user: str, message: str) -> None:
        """A colleague is told."""
        content = {"user": user, "rule": self._rule.code, "message": message}
        self._publish("user.notified", f".{index}", content, [*self._about(), {"kind": "user", "value": user}])

    def _about(self) -> list[dict[str, str]]:
        return [_plain(ref) for ref in refs_of(self._record.head.refs)]

    def _publish(self, type_: str, place: str, content: dict[str, Any], refs: list[dict[str, str]]) -> None:
        head = self._record.head
        event = {
            "specversion": "1.0",
            "source": OWN_SOURCE,
            "id": f"{self._rule.code}.{head.name[-32:]}{place}",
            "type": type_,
            "time": self._run.at.isoformat(),
            "data": {
                "who": [_plain(one) for one in self.who],
                "refs": refs,
                "about": [{"relation": "caused_by", "source": head.source, "id": self.opened.id}],
                "actor": {"kind": "automation", "code": self._rule.code},
                "content": content,
            },
        }
        self._publisher.publish([event], _RIGHTS)


@dataclass(frozen=True, slots=True)
class _Deed:
    """One action of a run."""

    acting: Acting
    connection: psycopg.Connection
    run: Run
    rule: Rule
    index: int
    occasion: Occasion
    told: _Told

    def do(self, action: Action) -> None:
        """Do it. Raises _NothingToDo, Refused, BadInput, NotFound, Erased and what may go well the next time."""
        getattr(self, f"_{action.do}")(action)

    @property
    def _by(self) -> dict[str, Any]:
        """Who acts, and under which key."""
        value = action_key(self.run, self.index)
        return {"actor": Actor(f"automation:{self.rule.code}"), "key": Key(KEY_SCOPE, value, value.encode())}

    @property
    def _of(self) -> dict[str, Any]:
        """Whom and what that is about which the action makes."""
        return {"who": self.told.who, "refs": refs_of(self.occasion.happening.refs)}

    def _content(self, action: Action, title: str, text: str, *names: str) -> dict[str, Any]:
        told_title, told_text = texts_of(action, self.occasion.happening)
        found: dict[str, Any] = {title: told_title, text: told_text, "team": action.team}
        found |= {name: getattr(action, name) for name in names}
        found["assignee"] = assignee_of(action.assignee, self.occasion)
        return {name: value for name, value in found.items() if value}

    def _open_ticket(self, action: Action) -> None:
        content = self._content(action, "subject", "comment", "queue", "priority", "category")
        self.acting._working.open_ticket(content, **self._of, **self._by)

    def _create_task(self, action: Action) -> None:
        content = self._content(action, "title", "text", "priority")
        if action.due is not None:
            due = self.run.at + action.due
            content["due"] = due.isoformat()
            if action.remind is not None:
                content["remind_at"] = (due - action.remind).isoformat()
        self.acting._working.create_task(content, **self._of, **self._by)

    def _capture_lead(self, action: Action) -> None:
        self.acting._working.capture_lead(self._content(action, "title", "message"), **self._of, **self._by)

    def _assign(self, action: Action) -> None:
        kind, id = self._subject("ticket", "deal", "lead", "task")
        assign = getattr(self.acting._working, f"assign_{kind}")
        assignee = assignee_of(action.assignee, self.occasion)
        assign(id, assignee=assignee, team=action.team, **self._by)

    def _move(self, action: Action) -> None:
        kind, id = self._subject("ticket", "deal")
        content = {"reason": action.reason} if action.reason else {}
        getattr(self.acting._working, f"move_{kind}")(id, action.to, content, **self._by)

    def _notify(self, action: Action) -> None:
        user = assignee_of(action.user or "event.assignee", self.occasion)
        if user is None:
            raise _NothingToDo
        title, text = texts_of(action, self.occasion.happening)
        self.told.notified(self.index, user, text or title)

    def _webhook(self, action: Action) -> None:
        self.acting._webhooks.put_on_their_way(
            self.connection, self.run, self.index, str(action.url), str(action.secret)
        )

    def _subject(self, *kinds: str) -> tuple[str, UUID]:
        """What the action acts on: something of these kinds that is kept here."""
        item = subject_of(self.occasion)
        if item is None or not item.native or item.kind not in kinds:
            raise _NothingToDo
        return item.kind, item.id


def refs_of(refs: Sequence[str]) -> tuple[Ref, ...]:
    """Refs in their clear form as refs, those that say what something is about."""
    found = []
    for ref in refs:
        kind, _, value = ref.partition(":")
        kind, _, namespace = kind.partition("/")
        if kind in _ABOUT:
            found.append(Ref(kind, value, namespace))
    return tuple(found[:_MOST_REFS])


def _plain(one: Identifier | Ref) -> dict[str, str]:
    plain = {"kind": one.kind, "value": one.value}
    return {**plain, "namespace": one.namespace} if one.namespace else plain
