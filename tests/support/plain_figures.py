"""What do the tables of `figures` have to hold? The plain reading of what events say of lines of orders, scores,
moods, products and campaigns; and what a picked event of those types says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from random import Random
from typing import Any, Protocol

__all__ = ["HELD", "TOUCHPOINTS", "TYPES", "content_of", "lines_of", "told_by"]

TOUCHPOINTS = {"survey.answered", "review.posted", "page.viewed"}
TYPES = [*sorted(TOUCHPOINTS), "touchpoint.enriched", "product.described", "campaign.described"]
Home = Callable[[str], str]
_Rows = set[tuple[Any, ...]]
_PRODUCTS = ["P", "Q", "R"]


class Story(Protocol):
    """All events, each once."""

    events: Mapping[str, Any]

    def retracted(self, name: str) -> bool: ...

    def content(self, one: Any) -> Mapping[str, Any]: ...


def content_of(pick: Random, type: str) -> dict[str, Any]:
    """The content of an event of one of `TYPES`."""

    def some(**fields: Any) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if pick.random() < 0.7}

    product, number = pick.choice(_PRODUCTS), pick.randrange(0, 11)
    if type == "survey.answered":
        return some(measure=pick.choice(["csat", "nps"]), score=number, best=10, survey="s1", comment="fine")
    if type == "review.posted":
        return some(rating=number, best=5, product=product, site="shop", text="fine")
    if type == "page.viewed":
        return some(product=product, category=pick.choice("ab"), page="home")
    if type == "touchpoint.enriched":
        return some(
            sentiment=f"{number / 10 - 0.5:.1f}", language="en", topics=["t1", "t2"][: number % 3], method="m1"
        )
    if type == "product.described":
        return some(category=pick.choice("ab"), price="5.50", currency="GBP", name="A thing")
    return some(channel="email", cost=str(number), currency="GBP", category="c")


def lines_of(pick: Random) -> list[dict[str, Any]]:
    """Lines of an order."""
    found = []
    for _ in range(pick.choice([0, 1, 2, 3])):
        line: dict[str, Any] = {"product": pick.choice(_PRODUCTS)}
        if pick.random() < 0.5:
            line["quantity"] = pick.randrange(-2, 5)
        if pick.random() < 0.6:
            line["unit_price"] = "2.50"
        if pick.random() < 0.3:
            line["amount"] = str(pick.randrange(-3, 9))
        if pick.random() < 0.3:
            line["category"] = pick.choice("ab")
        found.append(line)
    return found


def _whose(one: Any, home: Home) -> str | None:
    evidence = one.people()[0][0]
    return home(evidence) if evidence else None


def _counting(story: Story, *types: str) -> list[tuple[Any, Mapping[str, Any]]]:
    found = [one for one in story.events.values() if one.type in types and not story.retracted(one.name)]
    return [(one, story.content(one)) for one in found]


def _named(one: Any, kind: str) -> list[str]:
    refs = sorted(ref.partition(":") for ref in one.record.get("refs", []))
    return sorted(value for what, _, value in refs if what.partition("/")[0] == kind)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _lines(story: Story, home: Home, erased: object) -> _Rows:
    found = set()
    for one, content in _counting(story, "purchase.made", "refund.made"):
        back = one.type == "refund.made"
        for place, line in enumerate(content.get("lines", [])):
            quantity = Decimal(line.get("quantity", 1))
            amount = _decimal(line.get("amount"))
            if amount is None and "unit_price" in line:
                amount = quantity * Decimal(line["unit_price"])
            if back:
                quantity, amount = -quantity, None if amount is None else -amount
            refund = back or Decimal(content["amount"]) < 0
            row = (line.get("product"), line.get("category"), quantity, amount, content["currency"], refund)
            found.add((one.name, place, one.at, *row))
    return found


def _scores(story: Story, home: Home, erased: object) -> _Rows:
    found = set()
    for one, content in _counting(story, "survey.answered", "review.posted"):
        products = _named(one, "product")
        product = products[0] if products else None
        if one.type == "review.posted":
            measure, score, code = "review", content.get("rating"), content.get("site")
            product = content.get("product") or product
        else:
            measure, score, code = content.get("measure", "other"), content.get("score"), content.get("survey")
        row = (measure, _decimal(score), _decimal(content.get("best")), code, product)
        record = one.record
        told = (record.get("channel"), record.get("actor"))
        found.add((_whose(one, home), one.name, one.at, one.recorded_at, *row, *told))
    return found


def _moods(story: Story, home: Home, erased: object) -> _Rows:
    found = set()
    for one, content in _counting(story, "touchpoint.enriched"):
        about = one.record.get("about", [])
        targets = sorted(told["name"][-32:] for told in about if told["relation"] == "enriches")
        if targets:
            mood = (content.get("language"), _decimal(content.get("sentiment")), tuple(content.get("topics", [])))
            found.add((one.name, targets[0], one.at, one.recorded_at, *mood, content.get("method")))
    return found


def _mentions(touches: Callable[[str], bool]) -> Callable[[Story, Home, object], _Rows]:
    def told(story: Story, home: Home, erased: object) -> _Rows:
        found = set()
        for one in story.events.values():
            if not touches(one.type) or one.type in ("purchase.made", "refund.made") or story.retracted(one.name):
                continue
            content = story.content(one)
            product = content.get("product")
            named = {*_named(one, "product"), *([product] if product else [])}
            record = one.record
            rest = (one.type, record.get("channel"), record.get("direction"), content.get("category"))
            found |= {(_whose(one, home), one.name, each, one.at, one.recorded_at, *rest) for each in named}
        return found

    return told


def _things(story: Story, home: Home, erased: object) -> _Rows:
    kept = {
        "product": ("category", "price", "cost", "currency"),
        "campaign": ("channel", "category", "cost", "currency"),
        "organisation": ("industry",),
    }
    found = set()
    for one, content in _counting(story, "product.described", "campaign.described", "organisation.described"):
        kind = one.type.partition(".")[0]
        named = _named(one, kind)
        if named:
            fields = {name: content[name] for name in kept[kind] if name in content}
            told = json.dumps(fields, sort_keys=True)
            found.add((one.name, kind, named[0], one.at, one.recorded_at, told))
    return found


def told_by(touches: Callable[[str], bool]) -> dict[str, Callable[[Any, Home, Any], _Rows]]:
    """By table. touches: is a type one of touchpoints?"""
    return {
        "lines": _lines,
        "scores": _scores,
        "moods": _moods,
        "mentions": _mentions(touches),
        "things": _things,
    }


_HOME = "LEFT JOIN identity.evidences AS h ON h.evidence = t.evidence"
HELD = {
    "lines": "SELECT name, place, happened_at, product, category, quantity, amount, currency, refund "
    "FROM figures.lines",
    "scores": "SELECT h.customer, name, happened_at, recorded_at, measure, score, best, code, product, channel, "
    f"actor FROM figures.scores AS t {_HOME}",
    "moods": "SELECT name, target, happened_at, recorded_at, language, sentiment, topics, method FROM figures.moods",
    "mentions": "SELECT h.customer, name, product, happened_at, recorded_at, type, channel, direction, category "
    f"FROM figures.mentions AS t {_HOME}",
    "things": "SELECT name, kind, ref, happened_at, recorded_at, fields FROM figures.things",
}
