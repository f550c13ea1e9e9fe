"""Whatever is asked of a ticket, under whatever configuration: is it done by the rules, or refused by what it breaks?

The rules are told a second time here, in plain words over plain values, and share no code with the product. Business
hours are those of `test_service_levels_year.py`; here the office is always open, so that an hour is an hour.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from domain.configuration import Configuration
from domain.errors import Refused
from domain.identifiers import Identifier
from domain.ticket import HANDOVER, Ticket, TicketState, allowed_moves, broken, kind_of, may_reopen
from tests.support.aggregates import LONDON, configured, steps_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
WITHIN = timedelta(days=2)
_KINDS = {"new": "new", "open": "open", "wait": "pending", "hold": "hold", "done": "resolved", "shut": "closed"}
_ENDED = {"resolved", "closed"}
_ASKED = ["assignee", "team", "queue", "category", "product", "subject", "who", "reason"]
_TARGETS = {"high": (1, 4), "any": (3, 10)}
"""Hours to a first response and to the resolution, by priority."""
_Plain = dict[str, Any]
_CODES = [*_KINDS, "limbo"]


@st.composite
def _states(draw: st.DrawFn) -> _Plain:
    states = []
    for code, kind in _KINDS.items():
        state: _Plain = {"code": code, "kind": kind}
        state["moves"] = draw(st.none() | st.lists(st.sampled_from([*_KINDS]), min_size=1, unique=True))
        if code != "new":  # the initial state asks for nothing, so that there is a ticket at all
            state["requires"] = draw(st.just([]) | st.lists(st.sampled_from(_ASKED), max_size=2, unique=True))
        states.append(state)
    return {
        "states": states,
        "initial": "new",
        "reopened": "open",
        "reopen_within": "2d",
        "priorities": ["normal", "high"],
        "queues": draw(st.sampled_from([{}, {"shop": {}, "bills": {"team": "money"}}])),
        "on_reply": draw(st.sampled_from([None, "open"])),
        "on_answer": draw(st.sampled_from([None, "open"])),
    }


_CONTENT = st.just(_Plain()) | st.fixed_dictionaries(
    {},
    optional={
        "category": st.sampled_from(["bill", None]), "product": st.sampled_from(["chair", None]),
        "assignee": st.sampled_from(["anna", None]), "reason": st.sampled_from(["x", "y"]),
    },
)  # fmt: skip
_OTHER = st.integers(1, 3)


class Tickets(RuleBasedStateMachine):
    """One ticket; `plain` is what it should be, by the plain rules below."""

    def _read(self, tickets: _Plain) -> Configuration:
        hours = {
            code: {"first_response": f"{first}h", "resolution": f"{last}h"}
            for code, (first, last) in _TARGETS.items()
        }
        level = {"calendar": "always", "targets": hours, "warn_at": 0.5, "pauses": ["pending"]}
        return configured(tickets=tickets, calendars={"always": {}}, service_levels={"one": level})

    @initialize(tickets=_states(), who=st.booleans())
    def begin(self, tickets: _Plain, who: bool) -> None:
        self.now, self.tickets, self.configuration = START, tickets, self._read(tickets)
        persons = (Identifier("email", "b@example.org"),) if who else ()
        self.ticket = Ticket.open(
            UUID(int=1), {"subject": "Chair"}, self.configuration, LONDON, at=START, actor="user:anna", who=persons
        )
        self.plain: _Plain = {
            "state": "new", "kind": "new", "closed": None, "resolved": None, "responded": None, "reopened": 0,
            "assignee": None, "team": None, "queue": None, "category": None, "product": None, "subject": "Chair",
            "who": who, "priority": "normal", "links": {}, "into": None, "level": 0, "warned": set(),
            "breached": set(), "ran": timedelta(0), "seen": START, "answered": False,
        }  # fmt: skip

    # What the rules say, a second time.

    def state(self, code: str) -> _Plain | None:
        return next((one for one in self.tickets["states"] if one["code"] == code), None)

    def leads(self, to: str) -> bool:
        here = self.state(self.plain["state"])
        return here is None or here["moves"] is None or to in here["moves"]

    def late(self) -> bool:
        return self.plain["closed"] is not None and self.now - self.plain["closed"] > WITHIN

    def moving(self, to: str, content: _Plain) -> tuple[set[str], set[str]]:
        """(rules that a move breaks, what is missing)"""
        plain, there = self.plain, self.state(to)
        if plain["into"]:
            return {"ticket-folded"}, set()
        if plain["kind"] == "closed" and (there is None or there["kind"] in _ENDED):
            back = there is None  # an unknown state is nowhere to go back to
            return ({"ticket-closed", "ticket-state-unknown"} | self.too_late()) if back else {"ticket-closed"}, set()
        if there is None:
            return {"ticket-state-unknown"}, set()
        if to == plain["state"]:
            return {"ticket-same-state"}, set()
        rules = self.too_late() if plain["kind"] == "closed" else set()
        if not self.leads(to):
            rules.add("ticket-move-forbidden")
        after = {**plain, "reason": None, **content}
        missing = {name for name in there.get("requires", []) if after[name] in (None, "", False)}
        return rules | ({"ticket-fields-missing"} if missing else set()), missing

    def too_late(self) -> set[str]:
        return {"ticket-reopen-too-late"} if self.late() else set()

    def closed(self) -> set[str]:
        """What refuses anything else than moves and links."""
        if self.plain["into"]:
            return {"ticket-folded"}
        return {"ticket-closed"} if self.plain["kind"] == "closed" else set()

    def expect(self, attempt: Any, rules: set[str], missing: set[str] = frozenset()) -> bool:  # type: ignore[assignment]
        """Ask the ticket; hold what it says against what the plain rules say. Whether it was done."""
        before, version = self.ticket.state, self.ticket.version
        try:
            attempt()
        except Refused as refused:
            assert refused.rule in rules
            assert set(refused.missing) == missing
            assert (self.ticket.state, self.ticket.version) == (before, version)
            return False
        assert not rules
        self.judge_again(before, version)
        return True

    def judge_again(self, state: TicketState, version: int) -> None:
        """What a native ticket did breaks no rule when it is read again, and comes to its state."""
        for step in steps_of(self.ticket, version):
            assert broken(state, step, self.configuration) == []
            state = Ticket.fold(state, step)
        assert state == self.ticket.state, "the state is what its events come to"

    def teardown(self) -> None:
        state = None
        for step in steps_of(self.ticket):
            state = Ticket.fold(state, step)
        assert state == self.ticket.state
        assert Ticket.state_from_plain(*Ticket.state_to_plain(state)) == state

    def pass_time(self, until: datetime) -> None:
        """The clock of the resolution runs in states that are neither ended nor waiting for the customer."""
        if self.plain["kind"] not in {*_ENDED, "pending"}:
            self.plain["ran"] += until - self.plain["seen"]
        self.plain["seen"] = until

    def enter(self, to: str) -> None:
        plain, there = self.plain, self.state(to)
        assert there is not None
        kind, was = there["kind"], plain["kind"]
        if kind == "resolved":
            plain |= {"resolved": self.now, "closed": None}
        elif kind == "closed":
            plain["closed"] = self.now
        else:
            plain |= {"resolved": None, "closed": None}
        if was in _ENDED and kind not in _ENDED:
            plain["reopened"] += 1
            plain["warned"] = set()
        plain["answered"] |= kind in _ENDED
        plain |= {"state": to, "kind": kind}

    # What may happen.

    @rule(hours=st.sampled_from([1, 2, 5, 30]))
    def wait(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.pass_time(self.now)

    @rule(to=st.sampled_from(_CODES), content=_CONTENT)
    def move(self, to: str, content: _Plain) -> None:
        listed = {
            one.to: one for one in allowed_moves(self.ticket.state, self.configuration, self.now, self.plain["who"])
        }
        rules, missing = self.moving(to, content)

        def attempt() -> None:
            self.ticket.move(to, content, self.configuration, LONDON, at=self.now, actor="user:anna")

        done = self.expect(attempt, rules, missing)
        if not content:
            assert done == (to in listed and not listed[to].missing), "moves that are listed are accepted"
        if done:
            self.plain |= {name: value for name, value in content.items() if name != "reason"}
            self.enter(to)

    @rule(to=st.sampled_from(["done", "shut"]), hours=st.sampled_from([1, 30, 60]), back=st.sampled_from(_CODES))
    def end_and_go_on(self, to: str, hours: int, back: str) -> None:
        """Nothing else leads often enough to what comes after the end."""
        self.move(to, {"category": "bill", "product": "chair", "assignee": "anna", "reason": "x"})
        self.wait(hours)
        self.move(back, {"reason": "y"})
        self.tell("resolution", False)

    @rule(by=st.sampled_from(["customer", "company"]), internal=st.sampled_from([False, False, True]))
    def write(self, by: str, internal: bool) -> None:
        plain, to = self.plain, None
        rules, missing = set() if internal and not plain["into"] else self.closed(), set[str]()
        if by == "customer" and not internal and not plain["into"]:
            if plain["kind"] == "closed":
                to = "open"
                rules, missing = self.moving(to, {})
            elif plain["kind"] in {"resolved", "pending"}:
                to = "open" if plain["kind"] == "resolved" else self.tickets["on_reply"]
        elif by == "company" and not internal and plain["kind"] == "new":
            to = self.tickets["on_answer"]
        if to is not None and not rules and self.moving(to, {})[0]:
            to = None  # what somebody wrote is not refused because of a state
        content = {"comment": "Hello", "by": by, "internal": internal}
        if self.expect(
            lambda: self.ticket.comment(content, self.configuration, LONDON, at=self.now, actor="x"), rules, missing
        ):
            if by == "company" and not internal:
                plain["responded"] = plain["responded"] or self.now
            if to is not None:
                self.enter(to)

    @rule(assignee=st.sampled_from(["anna", "bert", None]), queue=st.sampled_from([None, "shop", "bills", "attic"]),
          handover=st.booleans())  # fmt: skip
    def assign(self, assignee: str | None, queue: str | None, handover: bool) -> None:
        rules = self.closed()
        if not handover and not self.plain["into"] and self.plain["resolved"] is not None:
            rules = rules | {"ticket-resolved"}
        known = self.tickets["queues"]
        if not self.plain["into"] and queue is not None and known and queue not in known:
            rules = rules | {"ticket-queue-unknown"}
        if self.expect(
            lambda: self.ticket.assign(
                self.configuration, LONDON, assignee=assignee, team=None, queue=queue, at=self.now, actor="x",
                reason=HANDOVER if handover else None,
            ),
            rules,
        ):  # fmt: skip
            self.plain |= {"assignee": assignee, "team": known.get(queue, {}).get("team")}
            self.plain["queue"] = queue or self.plain["queue"]

    @rule(content=st.fixed_dictionaries({}, optional={
        "category": st.sampled_from(["bill", None]), "priority": st.sampled_from(["normal", "high", "hot"]),
    }))  # fmt: skip
    def change(self, content: _Plain) -> None:
        rules = self.closed() if content else set()
        if content.get("priority") == "hot" and not self.plain["into"]:
            rules = rules | {"ticket-priority-unknown"}
        if self.expect(
            lambda: self.ticket.change(content, self.configuration, LONDON, at=self.now, actor="x"), rules
        ):
            if content.get("priority", self.plain["priority"]) != self.plain["priority"]:
                self.plain["warned"] = set()
            self.plain |= content

    @rule()
    def escalate(self) -> None:
        rules = self.closed()
        if not self.plain["into"] and self.plain["resolved"] is not None:
            rules = rules | {"ticket-resolved"}
        if self.expect(lambda: self.ticket.escalate({}, self.configuration, at=self.now, actor="x"), rules):
            self.plain["level"] += 1

    @rule(other=_OTHER, relation=st.sampled_from(["blocks", "duplicate"]))
    def link(self, other: int, relation: str) -> None:
        rules = {"ticket-links-to-itself"} if other == 1 else set()
        rules = {"ticket-linked-already"} if other in self.plain["links"] else rules
        rules = {"ticket-folded"} if self.plain["into"] else rules
        if self.expect(
            lambda: self.ticket.link(UUID(int=other), relation, self.configuration, at=self.now, actor="x"), rules
        ):
            self.plain["links"][other] = relation

    @rule(other=_OTHER)
    def unlink(self, other: int) -> None:
        rules = set() if other in self.plain["links"] else {"ticket-not-linked"}
        rules = {"ticket-folded"} if self.plain["into"] else rules
        if self.expect(
            lambda: self.ticket.unlink(UUID(int=other), self.configuration, at=self.now, actor="x"), rules
        ):
            del self.plain["links"][other]

    @rule(other=_OTHER, into=st.sampled_from([None, 1, 3]), really=st.integers(0, 9))
    def fold(self, other: int, into: int | None, really: int) -> None:
        if really < 7 and into is None and other != 1:
            return  # a folded ticket does nothing more: not too often
        into = self.plain["into"] if other == 1 else into
        rules = self.closed()
        if other == 1 and not self.plain["into"]:
            rules = rules | {"ticket-folds-into-itself"}
        elif into == 1:
            rules = {"ticket-folds-in-circle"}
        elif into is not None:
            rules = {"ticket-folds-into-folded"}
        state = TicketState(folded_into=UUID(int=into).hex if into else None)
        if self.expect(
            lambda: self.ticket.fold_into(
                UUID(int=other), state, self.configuration, LONDON, at=self.now, actor="user:anna"
            ),
            rules,
        ):
            self.enter("shut")
            self.plain["into"] = other

    @rule(which=st.sampled_from(["first_response", "resolution"]), breach=st.sampled_from([False, False, True]))
    def tell(self, which: Any, breach: bool) -> None:
        plain = self.plain
        first, last = _TARGETS["high" if plain["priority"] == "high" else "any"]
        part = 1.0 if breach else 0.5
        if which == "first_response":
            open_ = plain["responded"] is None and not plain["answered"]
            due = open_ and self.now - START >= timedelta(hours=first) * part
        else:
            due = plain["ran"] >= timedelta(hours=last) * part
        told = which in plain["breached"] or (not breach and which in plain["warned"])
        if plain["kind"] in _ENDED or not due:
            rules = {"ticket-target-not-due"}
        else:
            rules = {"ticket-target-told"} if told else set()
        tell = self.ticket.breach if breach else self.ticket.warn
        if self.expect(lambda: tell(which, self.configuration, LONDON, at=self.now, actor=None), rules):
            plain["breached" if breach else "warned"].add(which)

    @invariant()
    def state_is_what_the_plain_rules_say(self) -> None:
        state, plain = self.ticket.state, self.plain
        for name in ("state", "assignee", "team", "queue", "category", "product", "priority", "reopened"):
            assert getattr(state, name) == plain[name], name
        assert kind_of(state, self.configuration) == plain["kind"]
        assert (state.closed_at, state.resolved_at, state.responded_at) == (
            plain["closed"], plain["resolved"], plain["responded"],
        )  # fmt: skip
        assert {one.other: one.relation for one in state.links} == {
            UUID(int=other).hex: relation for other, relation in plain["links"].items()
        }
        assert (state.level or 0) == plain["level"]
        back = plain["kind"] == "closed" and not self.moving("open", {})[0]
        assert may_reopen(state, self.configuration, self.now, plain["who"]) == back

    @invariant()
    def what_is_due_is_what_was_promised(self) -> None:
        state, plain = self.ticket.state, self.plain
        first, last = _TARGETS["high" if plain["priority"] == "high" else "any"]
        if plain["kind"] in _ENDED:
            assert (state.respond_by, state.resolve_by) == (None, None)
            return
        waits = plain["responded"] is None and not plain["answered"]
        assert state.respond_by == (START + timedelta(hours=first) if waits else None)
        left = timedelta(hours=last) - plain["ran"]
        if left > timedelta(0):
            assert state.resolve_by == (self.now + left if plain["kind"] != "pending" else None)
        else:
            assert state.resolve_by is not None
            assert state.resolve_by <= self.now


def test_any_sequence_of_commands_obeys_the_rules_or_is_refused_by_name() -> None:
    run_state_machine_as_test(
        Tickets,
        settings=settings(
            max_examples=80, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
