"""Who is in which segment? The meaning of the rules of segments, written down once more, plainly and slowly.

Nothing of the models, the text form or the compiler of rules is used: a rule is its JSON value. Truth is asked of one
customer at one moment, and looks through all that was ever told of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.support.plain_comparing import Asked, length_of, midnight
from tests.support.plain_world import Told, World

__all__ = ["Judge", "members"]

Rule = Mapping[str, Any]
_LISTS = ("campaign", "product", "category")
_DAY = timedelta(days=1)


def members(world: World, now: datetime) -> dict[str, set[str]]:
    """{code of a segment: customers in it}, as of a moment."""
    judge = Judge(world, now)
    return {code: {one for one in world.customers if judge.is_in(code, one)} for code in world.definitions}


def _number(value: Any) -> Decimal | None:
    """A number, or a text that spells one."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


class Judge:
    """Judges customers at a moment."""

    def __init__(self, world: World, now: datetime) -> None:
        self.world, self.now = world, now
        self._leaves: dict[str, Callable[[Any, str], bool]] = {
            "events": self._events, "sequence": self._sequence, "fact": self._fact, "profile": self._profile,
            "place": self._place, "identifier": self._identifier, "consent": self._consent,
            "segment": lambda leaf, customer: self.is_in(leaf["code"], customer), "rfm": self._rfm,
            "industry": self._industry,
        }  # fmt: skip

    def is_in(self, code: str, customer: str) -> bool:
        """Is a customer in a segment?"""
        segment = self.world.definitions.get(code)
        if segment is None or segment.archived:
            return False
        if segment.rule is None:
            return any(self.world.people.customer.get(node) == customer for node in segment.nodes)
        return self.holds(segment.rule, customer)

    def holds(self, rule: Rule, customer: str) -> bool:
        """Does a rule hold of a customer?"""
        if "all" in rule:
            return all(self.holds(one, customer) for one in rule["all"])
        if "any" in rule:
            return any(self.holds(one, customer) for one in rule["any"])
        if "none" in rule:
            return not any(self.holds(one, customer) for one in rule["none"])
        [(what, leaf)] = rule.items()
        if what in ("deal", "ticket", "task", "lead"):
            return self._work(what, leaf, customer)
        return self._leaves[what](leaf, customer)

    def _asked(self, leaf: Rule) -> Asked:
        return Asked(leaf, self.now, self.world.zone)

    # --- events

    def _chosen(self, choice: Rule, customer: str, window: Rule | None) -> list[Told]:
        return [
            one
            for one in self.world.of(customer)
            if one.at <= self.now and self._matches(choice, one) and self._lies_in(window, one.at)
        ]

    def _matches(self, choice: Rule, one: Told) -> bool:
        types = choice["types"]
        if not (one.touches if types == "contact" else one.type in types):
            return False
        return all(self._fulfils(condition, one) for condition in choice.get("where") or ())

    def _fulfils(self, condition: Rule, one: Told) -> bool:
        found = self._field(condition["field"], one)
        asked = self._asked(condition)
        return asked.of_any(found) if condition["field"] in _LISTS else asked.of(found)

    def _field(self, field: str, one: Told) -> Any:
        if field.startswith("content."):
            value: Any = one.content
            for part in field.split(".")[1:]:
                value = value.get(part) if isinstance(value, Mapping) else None
            return value
        if field == "campaign":
            return [*one.refs_of("campaign"), *one.values("campaign")]
        lines = one.content.get("lines") or []
        spoken = [*one.values("product"), one.content.get("product"), *[line.get("product") for line in lines]]
        products = [product for product in spoken if product]
        if field == "product":
            return products
        if field == "category":
            told = [one.content.get("category"), *[line.get("category") for line in lines]]
            return [name for name in [*told, *map(self.world.category, products)] if name]
        return getattr(one, field)

    def _lies_in(self, window: Rule | None, at: datetime) -> bool:
        match window:
            case {"last": str(length)}:
                return at > self.now - length_of(length)
            case {"since": str(first)}:
                return at >= self._begin(first)
            case {"before": str(end)}:
                return at < self._begin(end)
            case {"between": [first, last]}:
                day = len(last) == len("2026-01-31")
                until = (date.fromisoformat(last) + _DAY).isoformat() if day else last
                return self._begin(first) <= at < self._begin(until)
        return True

    def _begin(self, text: str) -> datetime:
        if len(text) == len("2026-01-31"):
            return midnight(date.fromisoformat(text), self.world.zone)
        return datetime.fromisoformat(text)

    def _events(self, leaf: Rule, customer: str) -> bool:
        chosen = self._chosen(leaf, customer, leaf.get("window"))
        measure, field, asked = leaf.get("measure", "count"), leaf.get("field") or "", self._asked(leaf)
        if measure == "count":
            return asked.of(len(chosen))
        if measure == "days":
            return asked.of((self.now - chosen[-1].at) // _DAY if chosen else None)
        if measure in ("first", "last"):
            place = 0 if measure == "first" else -1
            if not field:
                return asked.of(chosen[place].at if chosen else None, ours=True)
            if field in _LISTS:
                return asked.of_any(self._field(field, chosen[place]) if chosen else [])
            return asked.of(self._field(field, chosen[place]) if chosen else None)
        told = [_number(self._field(field, one)) for one in chosen]
        numbers = [number for number in told if number is not None]
        if measure == "sum":
            return asked.of(sum(numbers, Decimal(0)))
        return asked.of((min if measure == "min" else max)(numbers, default=None))

    # --- sequences

    def _sequence(self, leaf: Rule, customer: str) -> bool:
        every = [one for one in self.world.of(customer) if one.at <= self.now]
        within = [one for one in every if self._lies_in(leaf.get("window"), one.at)]
        return any(self._complete(leaf, way, every) for way in self._ways(leaf["steps"], within, ()))

    def _ways(self, steps: list[Rule], events: list[Told], so_far: tuple[Told, ...]) -> Iterable[tuple[Told, ...]]:
        """All choices of events that match the steps in time."""
        if not steps:
            yield so_far
            return
        step, before = steps[0], so_far[-1] if so_far else None
        for one in events:
            if before is not None and one.place <= before.place:
                continue
            limit = step.get("within")
            if before is not None and limit and one.at - before.at > length_of(limit):
                continue
            if self._matches(step, one):
                yield from self._ways(steps[1:], events, (*so_far, one))

    def _complete(self, leaf: Rule, way: tuple[Told, ...], every: list[Told]) -> bool:
        without, absent = leaf.get("without"), leaf.get("absent")
        first, last = way[0], way[-1]
        if without and any(self._matches(without, one) for one in every if first.place < one.place < last.place):
            return False
        if not absent:
            return True
        end = last.at + length_of(absent["within"])
        after = [one for one in every if last.place < one.place and one.at <= end]
        return end <= self.now and not any(self._matches(absent, one) for one in after)

    # --- what is known of a customer

    def _fact(self, leaf: Rule, customer: str) -> bool:
        facts, name, asked = self.world.facts(customer), leaf["name"], self._asked(leaf)
        sums = {one.currency: one for one in facts.sums}
        if name in ("touchpoints", "first_at", "last_at"):
            return asked.of(getattr(facts, name), ours=True)
        if leaf.get("currency") is None:
            return asked.of(facts.orders)
        known = sums.get(leaf["currency"])
        if known is None:
            return asked.of(None if name == "average" else 0)
        return asked.of(getattr(known, name))

    def _profile(self, leaf: Rule, customer: str) -> bool:
        return self._asked(leaf).of(self._known(leaf["field"], customer))

    def _known(self, field: str, customer: str) -> Any:
        profile = self.world.profile(customer)
        if field in profile:
            return profile[field]
        first, _, rest = field.partition(".")
        value = profile.get(first)
        return value.get(rest) if rest and isinstance(value, Mapping) else None

    def _place(self, leaf: Rule, customer: str) -> bool:
        found = self._known(f"address.{leaf['what']}", customer)
        if leaf["what"] == "country":
            found = found or self._known("country", customer) or self.world.traded_in(customer)
        return self._asked(leaf).of(found)

    def _identifier(self, leaf: Rule, customer: str) -> bool:
        kind, namespace = leaf["kind"], leaf.get("namespace")
        nodes, values = self.world.identifiers(customer)
        if leaf["is"] in ("known", "unknown"):
            known = any(one[0] == kind and namespace in (None, one[1]) for one in nodes)
            return known is (leaf["is"] == "known")
        asked = self._asked(leaf)
        return any(asked.of(value) for its, space, value in values if its == kind and namespace in (None, space))

    def _consent(self, leaf: Rule, customer: str) -> bool:
        standing, purpose = self.world.standing(customer), leaf["purpose"].strip().lower()
        granted = standing.get((purpose, leaf.get("channel", "").strip().lower()), standing.get((purpose, "")))
        return str(leaf["is"]) == {None: "unknown", True: "granted", False: "withdrawn"}[granted]

    def _work(self, kind: str, leaf: Rule, customer: str) -> bool:
        found = [one for one in self.world.items(kind, customer) if self._is_such(leaf.get("where") or (), one)]
        return self._asked({"is": leaf["is"], "value": leaf["count"]}).of(len(found))

    def _is_such(self, conditions: Iterable[Rule], item: Mapping[str, Any]) -> bool:
        return all(
            self._asked(one).of_any(list(item.get("products") or ()))
            if one["field"] == "products"
            else self._asked(one).of(item.get(one["field"]), ours=True)
            for one in conditions
        )

    def _rfm(self, leaf: Rule, customer: str) -> bool:
        rules, bought = self.world.rfm, self.world.purchases(customer)
        if not bought:
            return self._asked(leaf).of(None)
        since = self.now - max(one.happened_at for one in bought)
        orders = len({one.order_key for one in bought})
        revenue = sum((one.amount for one in bought if one.currency == rules.currency), Decimal(0))
        scores = {
            "recency": 5 - sum(since >= days * _DAY for days in rules.recency_days),
            "frequency": 1 + sum(orders >= edge for edge in rules.frequency),
            "monetary": 1 + sum(revenue >= edge for edge in rules.monetary),
        }
        if leaf["what"] != "class":
            return self._asked(leaf).of(scores[leaf["what"]])
        fitting = [one.code for one in rules.classes if all(_spans(one, what, scores[what]) for what in scores)]
        return self._asked(leaf).of(fitting[0] if fitting else None)

    def _industry(self, leaf: Rule, customer: str) -> bool:
        return self._asked(leaf).of_any(self.world.industries(customer))


def _spans(one: Any, what: str, score: int) -> bool:
    low, high = getattr(one, what)
    return bool(low <= score <= high)
