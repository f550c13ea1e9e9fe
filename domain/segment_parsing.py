"""What does the text of a rule say? A parser that goes down from rules to leaves, one method for each of them.

    rule := and ("or" and)*      and := not ("and" not)*      not := "not" not | "(" rule ")" | leaf

It gives the rule's JSON, not yet checked, and knows where each part of it stands. What it met and what it expected
stands in every error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from domain.configuration.base import meant
from domain.segment_choosing import ChoiceParser
from domain.segment_tokens import Place

__all__ = ["RuleParser"]

_DEEPEST: Final = 40
_WORK: Final = {"deals": "deal", "tickets": "ticket", "tasks": "task", "leads": "lead"}
_DOTTED: Final = ("fact", "profile", "place", "identifier", "consent", "rfm")
_HEADS: Final = (
    "count", "sum", "min", "max", "first", "last", "days since", "exists", "no", "sequence", "in segment", "industry",
    *[f"{one}." for one in _DOTTED],
)  # fmt: skip
Plain = dict[str, Any]


class RuleParser(ChoiceParser):
    """Reads one text. `rule` gives the JSON; `place_of` where in the text a part of it stands."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def whole(self) -> Plain:
        """The whole text as one rule. Raises BadInput."""
        found = self._rule()
        if not self.at_end:
            raise self.wrong("`and`, `or`, or the end")
        return found

    def _rule(self) -> Plain:
        place = self.place
        found = self._alternatives()
        return found[0] if len(found) == 1 else self.placed({"any": found}, place)

    def _alternatives(self) -> list[Plain]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.wrong("fewer parentheses: it is nested too deeply")
        found = [self._and()]
        while self.accept("or"):
            found.append(self._and())
        self._depth -= 1
        return found

    def _and(self) -> Plain:
        place = self.place
        found = [self._not()]
        while self.accept("and"):
            found.append(self._not())
        return found[0] if len(found) == 1 else self.placed({"all": found}, place)

    def _not(self) -> Plain:
        place, times = self.place, 0
        while self.accept("not"):
            times += 1
        if times > _DEEPEST:
            raise self.wrong("fewer `not`: it is nested too deeply")
        if times and self.accept("("):
            found = self.placed({"none": self._alternatives()}, place)
            self.expect(")")
            times -= 1
        else:
            found = self._single()
        for _ in range(times):
            found = self.placed({"none": [found]}, place)
        return found

    def _single(self) -> Plain:
        place = self.place
        if self.accept("("):
            found = self._rule()
            self.expect(")")
            return found
        for group in ("all", "any"):
            if self.is_call(group):
                self.skip(2)
                found = self.placed({group: [self._rule()]}, place)
                self.expect(")")
                return found
        return self._leaf()

    def _leaf(self) -> Plain:
        place, head = self.place, self.word("a leaf such as count(purchase.made) >= 1")
        first, dot, rest = head.partition(".")
        if dot and first in _DOTTED:
            return self.placed(self._dotted(first, rest, place), place)
        read: dict[str, Callable[[Place], Plain]] = {
            "count": self._count, "exists": self._exists, "no": self._no, "days": self._days,
            "sequence": self._sequence, "in": self._segment, "industry": self._industry,
            "first": lambda at: self._edge("first", at), "last": lambda at: self._edge("last", at),
            "sum": lambda at: self._sum("sum", at), "min": lambda at: self._sum("min", at),
            "max": lambda at: self._sum("max", at),
        }  # fmt: skip
        if head not in read:
            self.skip(-1)
            raise self.wrong(f"a leaf; {meant(head, _HEADS)}")
        return self.placed(read[head](place), place)

    def _count(self, place: Place) -> Plain:
        self.expect("(")
        kind = _WORK.get(self.spelling)
        if kind is None:
            return self._measured("count", None, place, opened=True)
        self.skip(1)
        leaf: Plain = {}
        if self.accept("where"):
            leaf["where"] = self.conditions(timed=True)
        self.expect(")")
        compared = self.comparison(timed=False)
        if "value" in compared:
            compared["count"] = compared.pop("value")
        return {kind: self.placed({**leaf, **compared}, place)}

    def _measured(self, measure: str, field: str | None, place: Place, opened: bool = False) -> Plain:
        if not opened:
            self.expect("(")
        chosen = self.choice(windowed=True)
        self.expect(")")
        leaf: Plain = {**chosen, **({} if measure == "count" else {"measure": measure})}
        if field is not None:
            leaf["field"] = field
        return {"events": self.placed({**leaf, **self.comparison(timed=measure in {"first", "last"})}, place)}

    def _exists(self, place: Place) -> Plain:
        return self._some(">=", 1, place)

    def _no(self, place: Place) -> Plain:
        return self._some("=", 0, place)

    def _some(self, is_: str, value: int, place: Place) -> Plain:
        self.expect("(")
        chosen = self.choice(windowed=True)
        self.expect(")")
        return {"events": self.placed({**chosen, "is": is_, "value": value}, place)}

    def _days(self, place: Place) -> Plain:
        self.expect("since")
        return self._measured("days", None, place)

    def _sum(self, measure: str, place: Place) -> Plain:
        self.expect("(")
        field = self.word("a field such as content.amount")
        self.expect(",")
        return self._measured(measure, field, place, opened=True)

    def _edge(self, measure: str, place: Place) -> Plain:
        self.expect("(")
        field = None
        if self.is_before(","):
            field = self.word("a field such as content.plan")
            self.expect(",")
        return self._measured(measure, field, place, opened=True)

    def _sequence(self, place: Place) -> Plain:
        self.expect("(")
        leaf: Plain = {"steps": [self.choice(windowed=False)]}
        while self.is_word("then") and not self.is_word("no", 1):
            self.skip(1)
            step = self.choice(windowed=False)
            if self.accept("within"):
                step["within"] = self.duration()
            leaf["steps"].append(step)
        if self.accept("without"):
            leaf["without"] = self.choice(windowed=False)
        if self.accept("then"):
            self.expect("no")
            absent = self.choice(windowed=False)
            self.expect("within")
            leaf["absent"] = {**absent, "within": self.duration()}
        if (window := self.window()) is not None:
            leaf["window"] = window
        self.expect(")")
        return {"sequence": self.placed(leaf, place)}

    def _segment(self, place: Place) -> Plain:
        self.expect("segment")
        return {"segment": self.placed({"code": self.word("the code of a segment")}, place)}

    def _industry(self, place: Place) -> Plain:
        return {"industry": self.placed(self.comparison(timed=False), place)}

    def _dotted(self, head: str, rest: str, place: Place) -> Plain:
        if head == "consent":
            return {"consent": self.placed(self._consent(rest), place)}
        name = rest or self.text(f"a name after {head}.")
        if head == "fact":
            leaf: Plain = {"name": name}
            if self.accept("("):
                leaf["currency"] = self.word("a currency such as GBP")
                self.expect(")")
            return {"fact": self.placed({**leaf, **self.comparison(timed=True)}, place)}
        if head == "identifier":
            leaf = {"kind": name}
            if self.accept("/"):
                leaf["namespace"] = self.word_or_text("a namespace")
            return {"identifier": self.placed({**leaf, **self.comparison(timed=False)}, place)}
        key = "field" if head == "profile" else "what"
        compared = self.comparison(timed=head == "profile")
        return {head: self.placed({key: name, **compared}, place)}

    def _consent(self, rest: str) -> Plain:
        purpose, dot, channel = rest.partition(".")
        if not purpose:
            purpose = self.text("a purpose after consent.")
            dot = "." if self.accept(".") else ""
        leaf: Plain = {"purpose": purpose}
        if dot:
            leaf["channel"] = channel or self.word_or_text("a channel")
        if not any(self.is_word(one) for one in ("granted", "withdrawn", "unknown")):
            raise self.wrong("`granted`, `withdrawn` or `unknown`")
        return {**leaf, "is": self.word("granted")}
