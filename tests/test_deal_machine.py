"""Whatever is asked of a deal, under whatever configuration: is it done by the rules, or refused by what it breaks?

The rules are told a second time here, in plain words over plain values, and share no code with the product.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from domain.configuration import Configuration, read_configuration
from domain.deal import Deal, DealState, allowed_moves, broken
from domain.deal_state import time_in_stages
from domain.errors import Refused
from domain.identifiers import Identifier
from tests.support.aggregates import STATES, steps_of

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
_STAGES = ["a", "b", "c"]
_ASKED = ["amount", "currency", "assignee", "title", "who", "products", "next_step_on"]
_REASONS = ["price", "rival"]
_Plain = dict[str, Any]


@st.composite
def _pipelines(draw: st.DrawFn) -> _Plain:
    codes = draw(st.lists(st.sampled_from(_STAGES), min_size=1, max_size=3, unique=True))
    stages = []
    for code in codes:
        stage: _Plain = {"code": code, "probability": draw(st.sampled_from([0, 12.5, 60]))}
        stage["requires"] = draw(st.lists(st.sampled_from(_ASKED), max_size=2, unique=True))
        stage["moves"] = draw(st.none() | st.lists(st.sampled_from([*codes, "won", "lost"]), unique=True))
        stage["approval"] = draw(st.sampled_from([None, None, "manager", "director"]))
        stage["stalled_after"] = draw(st.sampled_from([None, "3d"]))
        stages.append(stage)
    return {
        "stages": stages,
        "won_requires": draw(st.lists(st.sampled_from(_ASKED), max_size=1)),
        "lost_reasons": draw(st.sampled_from([[], _REASONS])),
        "reopen_within": draw(st.sampled_from([None, "4d", "4d"])),
        "reopen_roles": draw(st.sampled_from([[], ["manager"]])),
    }


_CONFIGURATIONS = st.dictionaries(st.sampled_from(["sales", "renewals"]), _pipelines(), min_size=1)
_CONTENT = st.just(_Plain()) | st.fixed_dictionaries(
    {},
    optional={
        "amount": st.sampled_from(["0", "12.5", "-3", None]), "currency": st.sampled_from(["EUR", None]),
        "products": st.sampled_from([["chair"], []]), "title": st.sampled_from(["Chairs", ""]),
        "next_step_on": st.sampled_from(["2026-05-01", None]),
    },
)  # fmt: skip
_ROLES = st.sampled_from([frozenset[str](), frozenset({"manager"}), frozenset({"manager", "director"})])
_TO = st.sampled_from([*_STAGES, *_STAGES, "z"])
_DAYS = {None: None, "3d": timedelta(days=3), "4d": timedelta(days=4)}


class Deals(RuleBasedStateMachine):
    """One deal; `plain` is what it should be, by the plain rules below."""

    def _read(self, pipelines: _Plain) -> Configuration:
        return read_configuration(
            {"version": 1, "roles": ["manager", "director"], "pipelines": pipelines, "tickets": STATES}
        )

    @initialize(pipelines=_CONFIGURATIONS, who=st.booleans())
    def begin(self, pipelines: _Plain, who: bool) -> None:
        self.now, self.pipelines, self.configuration = START, pipelines, self._read(pipelines)
        for pipeline in pipelines.values():  # the first stage asks for nothing, so that there is a deal at all
            pipeline["stages"][0] |= {"requires": [], "approval": None}
        self.configuration = self._read(pipelines)
        persons = (Identifier("email", "b@example.org"),) if who else ()
        self.deal = Deal.create(UUID(int=1), {}, self.configuration, at=self.now, actor="user:anna", who=persons)
        name = next(iter(pipelines))
        stage = pipelines[name]["stages"][0]
        self.plain: _Plain = {
            "status": "open", "pipeline": name, "stage": stage["code"], "since": self.now, "closed": None,
            "amount": None, "currency": None, "assignee": None, "title": "", "who": who, "products": [],
            "next_step_on": None, "approved": set(), "stalled": False, "probability": stage["probability"],
            "spent": {},
        }  # fmt: skip

    # What the rules say, a second time.

    def stage(self, code: str | None = None, pipeline: str | None = None) -> _Plain | None:
        found = self.pipelines.get(pipeline or self.plain["pipeline"])
        code = code or self.plain["stage"]
        return next((one for one in found["stages"] if one["code"] == code), None) if found else None

    def lacking(self, asked: list[str], content: _Plain) -> set[str]:
        after = {**self.plain, **content}
        return {name for name in asked if after[name] in (None, "", [], False)}

    def wrong_value(self, content: _Plain) -> tuple[set[str], set[str]]:
        after = {**self.plain, **content}
        if not {"amount", "currency"} & content.keys() or after["amount"] is None:
            return set(), set()
        rules = {"deal-amount-negative"} if Decimal(after["amount"]) < 0 else set()
        none = after["currency"] is None
        return rules | ({"deal-currency-missing"} if none else set()), {"currency"} if none else set()

    def led(self, to: str) -> bool:
        here = self.stage()
        return here is None or here["moves"] is None or to in here["moves"]

    def entering(
        self, to: str, pipeline: str, content: _Plain, roles: frozenset[str], led: bool
    ) -> tuple[set[str], set[str]]:
        """(rules that a move to a stage breaks, what is missing)"""
        if pipeline not in self.pipelines:
            return {"deal-pipeline-unknown"}, set()
        there = self.stage(to, pipeline)
        if there is None:
            return {"deal-stage-unknown"}, set()
        rules = set() if led else {"deal-move-forbidden"}
        missing = self.lacking(there["requires"], content)
        if missing:
            rules.add("deal-fields-missing")
        role = there["approval"]
        approved = pipeline == self.plain["pipeline"] and (to, role) in self.plain["approved"]
        if role and role not in roles and not approved:
            rules.add("deal-not-approved")
            missing.add(f"approval:{role}")
        return rules, missing

    def moving(
        self, to: str, content: _Plain, roles: frozenset[str], reason: str | None
    ) -> tuple[set[str], set[str]]:
        plain, pipeline = self.plain, self.pipelines.get(self.plain["pipeline"])
        if plain["status"] != "open":
            return {"deal-closed"}, set()
        value, currency = self.wrong_value(content)
        rules, missing = set(value), set(currency)
        if to in {"won", "lost"}:
            if pipeline and not self.led(to):
                rules.add("deal-move-forbidden")
            lacking = self.lacking(pipeline["won_requires"], content) if pipeline and to == "won" else set()
            if lacking:
                rules.add("deal-fields-missing")
                missing |= lacking
            if to == "lost" and reason is None:
                rules.add("deal-reason-missing")
                missing.add("reason")
            elif to == "lost" and pipeline and pipeline["lost_reasons"] and reason not in pipeline["lost_reasons"]:
                rules.add("deal-reason-unknown")
                missing.add("reason")
            return rules, missing
        if to == plain["stage"]:
            return rules | {"deal-same-stage"}, missing
        more, lacking = self.entering(to, plain["pipeline"], content, roles, self.led(to))
        return rules | more, missing | lacking

    def expect(self, attempt: Any, rules: set[str], missing: set[str]) -> bool:
        """Ask the deal; hold what it says against what the plain rules say. Whether it was done."""
        before, version = self.deal.state, self.deal.version
        try:
            attempt()
        except Refused as refused:
            assert refused.rule in rules
            assert set(refused.missing) == missing
            assert (self.deal.state, self.deal.version) == (before, version)
            return False
        assert not rules
        self.judge_again(before, version)
        return True

    def judge_again(self, state: DealState, version: int) -> None:
        """What a native deal did breaks no rule when it is read as a foreign one is."""
        for step in steps_of(self.deal, version):
            assert broken(state, step, self.configuration) == []
            state = Deal.fold(state, step)
        assert state == self.deal.state, "the state is what its events come to"

    def enter(self, stage: str, pipeline: str, status: str = "open") -> None:
        plain, was = self.plain, self.plain["status"]
        if was == "open":
            seconds = int((self.now - plain["since"]).total_seconds())
            where = (plain["pipeline"], plain["stage"])
            plain["spent"][where] = plain["spent"].get(where, 0) + seconds
        plain |= {"stage": stage, "pipeline": pipeline, "status": status, "approved": set(), "stalled": False}
        plain["closed"] = self.now if status != "open" else None
        if status == "open":
            plain["since"] = self.now

    # What may happen.

    @rule(days=st.sampled_from([1, 3, 5]))
    def wait(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule(pipelines=_CONFIGURATIONS)
    def configure(self, pipelines: _Plain) -> None:
        self.pipelines, self.configuration = pipelines, self._read(pipelines)

    @rule(to=st.sampled_from([*_STAGES, *_STAGES, "z", "won", "lost"]), content=_CONTENT, roles=_ROLES,
          reason=st.sampled_from([None, "price", "weather"]))  # fmt: skip
    def move(self, to: str, content: _Plain, roles: frozenset[str], reason: str | None) -> None:
        given = {**content, **({"reason": reason} if reason else {})}
        listed = {one.to: one for one in allowed_moves(self.deal.state, self.configuration, roles, self.plain["who"])}
        rules, missing = self.moving(to, content, roles, reason)

        def attempt() -> None:
            self.deal.move(to, given, self.configuration, roles=roles, at=self.now, actor="user:anna")

        done = self.expect(attempt, rules, missing)
        if not content:
            move = listed.get(to)
            lacks = set(move.missing) - ({"reason"} if reason else set()) if move else set()
            free = move is not None and not lacks and move.approval is None
            assert done == (free and rules <= {"deal-reason-unknown"} and not rules), (
                "listed moves are those accepted"
            )
        if done:
            there = self.stage(to)
            self.plain |= content
            self.plain["probability"] = {"won": 100, "lost": 0}.get(to, there["probability"] if there else None)
            ended = to in {"won", "lost"}
            self.enter(self.plain["stage"] if ended else to, self.plain["pipeline"], to if ended else "open")

    @rule(to=_TO, roles=_ROLES)
    def approve(self, to: str, roles: frozenset[str]) -> None:
        there = self.stage(to)
        role = there["approval"] if there else None
        missing: set[str] = set()
        if self.plain["status"] != "open":
            rules = {"deal-closed"}
        elif there is None:
            rules = {"deal-stage-unknown"}
        elif role is None or (to, role) in self.plain["approved"] or to == self.plain["stage"]:
            rules = {"deal-approval-needless"}
        else:
            rules = set() if role in roles else {"deal-not-approved"}
            missing = {f"approval:{role}"} if rules else set()
        if self.expect(
            lambda: self.deal.approve(to, self.configuration, roles=roles, at=self.now, actor="x"), rules, missing
        ):
            self.plain["approved"].add((to, role))

    @rule(to=st.none() | _TO, roles=_ROLES)
    def reopen(self, to: str | None, roles: frozenset[str]) -> None:
        plain = self.plain
        pipeline = self.pipelines.get(plain["pipeline"])
        rules, missing = set[str](), set[str]()
        stage = to or plain["stage"]
        if to is None and pipeline and self.stage() is None:
            stage = pipeline["stages"][0]["code"]
        if plain["status"] == "open":
            rules = {"deal-open"}
        elif pipeline:
            within = _DAYS[pipeline["reopen_within"]]
            if within is not None and self.now - plain["closed"] > within:
                rules.add("deal-reopen-too-late")
            if pipeline["reopen_roles"] and not roles & set(pipeline["reopen_roles"]):
                rules.add("deal-reopen-forbidden")
                missing |= {f"role:{one}" for one in pipeline["reopen_roles"]}
        if plain["status"] != "open" and stage != plain["stage"]:
            more, lacking = self.entering(stage, plain["pipeline"], {}, roles, self.led(stage))
            rules, missing = rules | more, missing | lacking
        if self.expect(
            lambda: self.deal.reopen(to, self.configuration, roles=roles, at=self.now, actor="x"), rules, missing
        ):
            there = self.stage(stage)
            plain["probability"] = there["probability"] if there else plain["probability"]
            self.enter(stage, plain["pipeline"])

    @rule(to=st.sampled_from(["won", "lost"]), days=st.sampled_from([1, 5]), roles=_ROLES)
    def end_and_go_on(self, to: str, days: int, roles: frozenset[str]) -> None:
        """Nothing else leads often enough to what comes after the end."""
        self.move(to, {}, roles, "price")
        self.wait(days)
        self.reopen(None, roles)

    @rule(pipeline=st.sampled_from(["sales", "renewals", "other"]), to=st.none() | _TO, roles=_ROLES)
    def transfer(self, pipeline: str, to: str | None, roles: frozenset[str]) -> None:
        plain, found = self.plain, self.pipelines.get(pipeline)
        stage = to or (found["stages"][0]["code"] if found else plain["stage"])
        if plain["status"] != "open":
            rules, missing = {"deal-closed"}, set[str]()
        elif (pipeline, stage) == (plain["pipeline"], plain["stage"]):
            rules, missing = {"deal-same-stage"}, set()
        else:
            led = pipeline != plain["pipeline"] or self.led(stage)
            rules, missing = self.entering(stage, pipeline, {}, roles, led)
        if self.expect(
            lambda: self.deal.transfer(pipeline, to, self.configuration, roles=roles, at=self.now, actor="x"),
            rules,
            missing,
        ):
            there = self.stage(stage, pipeline)
            assert there is not None
            plain["probability"] = there["probability"]
            self.enter(stage, pipeline)

    @rule(content=_CONTENT)
    def change(self, content: _Plain) -> None:
        rules, missing = self.wrong_value(content)
        if self.plain["status"] != "open":
            rules, missing = {"deal-closed"}, set()
        if self.expect(lambda: self.deal.change(content, at=self.now, actor="user:anna"), rules, missing):
            self.plain |= content

    @rule(assignee=st.sampled_from(["anna", "bert", None]))
    def assign(self, assignee: str | None) -> None:
        rules = set() if self.plain["status"] == "open" else {"deal-closed"}
        if self.expect(lambda: self.deal.assign(assignee=assignee, team=None, at=self.now, actor="x"), rules, set()):
            self.plain["assignee"] = assignee

    @rule()
    def stall(self) -> None:
        here = self.stage()
        after = _DAYS[here["stalled_after"]] if here else None
        if self.plain["status"] != "open":
            rules = {"deal-closed"}
        else:
            due = after is not None and self.now - self.plain["since"] >= after
            rules = set() if due and not self.plain["stalled"] else {"deal-not-stalled"}
        if self.expect(lambda: self.deal.stall(self.configuration, at=self.now, actor=None), rules, set()):
            self.plain["stalled"] = True

    @invariant()
    def state_is_what_the_plain_rules_say(self) -> None:
        state, plain = self.deal.state, self.plain
        for name in ("status", "pipeline", "stage", "currency", "assignee", "title"):
            assert getattr(state, name) == plain[name], name
        assert state.amount == (Decimal(plain["amount"]) if plain["amount"] is not None else None)
        assert (state.stage_since, state.closed_at) == (plain["since"], plain["closed"])
        assert {(one.stage, one.role) for one in state.approvals} == plain["approved"]
        assert (state.stalled_since is not None) == plain["stalled"]
        assert state.probability == Decimal(str(plain["probability"]))

    def teardown(self) -> None:
        state = None
        for step in steps_of(self.deal):
            state = Deal.fold(state, step)
        assert state == self.deal.state
        assert Deal.state_from_plain(*Deal.state_to_plain(state)) == state

    @invariant()
    def time_adds_up(self) -> None:
        spent = {(one.within, one.place): one.seconds for one in self.deal.state.spent}
        assert spent == self.plain["spent"]
        open_ = self.plain["status"] == "open"
        going_on = int((self.now - self.plain["since"]).total_seconds()) if open_ else 0
        total = sum(one.seconds for one in time_in_stages(self.deal.state, self.now))
        assert total == sum(spent.values()) + going_on
        stays = self.deal.state.stays
        assert [one.until for one in stays if one.until is None] == ([None] if open_ else [])
        lasted = sum((one.until - one.since).total_seconds() for one in stays if one.until is not None)
        assert lasted == sum(spent.values())


def test_any_sequence_of_commands_obeys_the_rules_or_is_refused_by_name() -> None:
    run_state_machine_as_test(
        Deals,
        settings=settings(
            max_examples=80, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
