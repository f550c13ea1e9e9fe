"""What do leaves about what is known of a customer ask in SQL? About facts, profile, identifiers, consent, work …"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, LiteralString

from psycopg import sql
from psycopg.sql import Composable

from domain.configuration.rfm import Rfm
from domain.consents import EVERY_CHANNEL
from domain.segment_leaves import (
    WORK_FIELDS,
    ConsentLeaf,
    FactLeaf,
    IdentifierLeaf,
    IndustryLeaf,
    PlaceLeaf,
    ProfileLeaf,
    RfmLeaf,
    WorkLeaf,
    WorkWhere,
)
from domain.segment_parts import CONTACT, Comparison, Selection
from projections.segments.compiling_choosing import Chooser
from projections.segments.compiling_parts import YES, Building, Verdict, both, fragment
from projections.segments.compiling_profile import Profile
from projections.segments.compiling_values import day, json, listing, moment, number, text

__all__ = ["consent", "fact", "identifier", "industry", "place", "profile", "rfm", "work"]

_ROWS: Final[tuple[LiteralString, ...]] = ("sums", "trades")
_DAYS: Final = ("expected_close", "next_step_on")
_CONTACT: Final = Selection(types=CONTACT)
_GRANTED: Final[tuple[LiteralString, LiteralString]] = ("word.granted", "NOT word.granted")
_UNKNOWN_TEXT: Final = sql.SQL("NULL::text")
_UNKNOWN_NUMBER: Final = sql.SQL("NULL::numeric")


def fact(chooser: Chooser, leaf: FactLeaf) -> Verdict:
    """A figure of the customer."""
    building = chooser.building
    if leaf.name in {"touchpoints", "first_at", "last_at"}:
        sums = chooser.sums(_CONTACT)
        if sums is None:
            return Verdict(sql.SQL("false"))
        if leaf.name == "touchpoints":
            return Verdict(number(building, sums.many, leaf))
        return moment(building, sums.first if leaf.name == "first_at" else sums.last, leaf)
    return Verdict(number(building, _traded(building, leaf.name, leaf.currency), leaf))


def _traded(building: Building, name: str, currency: str | None) -> Composable:
    """Orders, revenue, refunds or the average, in one currency or of all."""
    if name != "average":
        return _summed(building, name, currency)
    orders, revenue = (_summed(building, one, currency) for one in ("orders", "revenue"))
    return fragment("average", orders=orders, revenue=revenue)


def _summed(building: Building, name: str, currency: str | None) -> Composable:
    """By sums, and where these do not tell it by the trades themselves."""
    chosen = {
        row: YES if currency is None else fragment("of_currency", row=sql.SQL(row), currency=building.text(currency))
        for row in _ROWS
    }
    by_sums = building.column("summed", fragment(f"{name}_summed", currency=chosen["sums"]))
    by_trades = building.column("doubted", fragment(name, currency=chosen["trades"]))
    return fragment("case", open=fragment("is_doubtful"), first=by_trades, second=by_sums)


def profile(profiles: Profile, leaf: ProfileLeaf) -> Verdict:
    """A field of the profile."""
    return json(profiles.building, profiles.field(leaf.field), leaf)


def place(profiles: Profile, leaf: PlaceLeaf) -> Verdict:
    """Where the customer lives."""
    building = profiles.building
    found = fragment("json_text", x=profiles.field(f"address.{leaf.what}"))
    if leaf.what == "country":
        claimed = fragment("json_text", x=profiles.field("country"))
        traded = building.column("traded", fragment("trade_country"))
        found = fragment("first_text", one=found, two=claimed, three=traded)
    return Verdict(text(building, found, leaf))


def identifier(building: Building, leaf: IdentifierLeaf) -> Verdict:
    """The customer's identifiers of a kind."""
    space: Composable = YES
    if leaf.namespace is not None:
        space = fragment("node_space", namespace=building.text(leaf.namespace))
    such = fragment("node_is", kind=building.text(leaf.kind), namespace=space)
    if leaf.is_ in {"known", "unknown"}:
        known = building.column("named", fragment("any_node", holds=both(fragment("node_counts"), such)))
        return Verdict(known if leaf.is_ == "known" else sql.SQL("NOT {}").format(known))
    compared = Comparison.model_validate({"is": leaf.is_, "value": leaf.value})
    spelt = text(building, sql.Identifier("spelling", "value"), compared)
    return Verdict(building.column("spelt", fragment("any_node", holds=both(such, spelt))))


def consent(building: Building, leaf: ConsentLeaf) -> Verdict:
    """What stands for a purpose on a channel; as `domain/facts.py` keeps them, without regard to case."""
    purpose, channel = leaf.purpose.strip().lower(), leaf.channel.strip().lower()
    channels = building.parameter(sorted({channel, EVERY_CHANNEL}), "text[]")
    chosen = fragment("on_purpose", purpose=building.text(purpose), channels=channels)
    joined = {"all_joined": fragment("all_joined"), "joined": fragment("joined")}
    given, taken = [
        building.column("worded", fragment("last_word", granted=sql.SQL(granted), chosen=chosen))
        for granted in _GRANTED
    ]
    by_evidence = fragment("by_evidence", chosen=chosen, **joined)
    standing = fragment("standing", given=given, taken=taken, by_evidence=by_evidence)
    found = building.column("allowed", standing)
    return Verdict(fragment("stands", standing=found, wanted=building.text(leaf.is_)))


def work(building: Building, kind: str, leaf: WorkLeaf) -> Verdict:
    """How many deals, tickets, tasks or leads."""
    found = [_condition(building, kind, one) for one in leaf.where]
    holds = both(*[one.holds for one in found])
    many = building.column(kind, fragment("how_many_items", holds=holds))
    turns = [moment for one in found for moment in one.wakes]
    wakes = [building.column(kind, fragment("next_turn", moment=one)) for one in turns]
    return Verdict(number(building, many, leaf), tuple(wakes))


def _condition(building: Building, kind: str, where: WorkWhere) -> Verdict:
    x = sql.Identifier("item", where.field)
    match WORK_FIELDS[kind][where.field]:
        case "moment" if where.field in _DAYS:
            return day(building, x, where)
        case "moment":
            return moment(building, x, where)
        case "number":
            return Verdict(number(building, x, where))
        case "list":
            return Verdict(listing(building, x, where))
        case "any":
            return json(building, sql.SQL("to_jsonb({})").format(x), where)
        case _:
            return Verdict(text(building, x, where))


def rfm(building: Building, leaf: RfmLeaf, rules: Rfm) -> Verdict:
    """The scores by the edges of the configuration, and the class that they make; unknown before a purchase."""
    last = building.column("bought", fragment("bought_last"))
    ago = fragment("since_last", moment=last)
    edges = [building.length(timedelta(days=days)) for days in rules.recency_days]
    figures = {
        "frequency": (_traded(building, "orders", None), rules.frequency),
        "monetary": (_traded(building, "revenue", rules.currency), rules.monetary),
    }
    scores: dict[str, Composable] = {
        name: sql.SQL("(1 + {})").format(_reached(x, [building.parameter(one, "numeric") for one in edges_of]))
        for name, (x, edges_of) in figures.items()
    }
    scores["recency"] = sql.SQL("(5 - {})").format(_reached(ago, edges))
    turns = tuple([fragment("later", x=sql.SQL("({} + {})").format(last, one)) for one in edges])
    bought = sql.SQL("{} IS NOT NULL").format(last)
    if leaf.what == "class":
        found = fragment("case", open=bought, first=_class(building, scores, rules), second=_UNKNOWN_TEXT)
        return Verdict(text(building, found, leaf), turns)
    found = fragment("case", open=bought, first=scores[leaf.what], second=_UNKNOWN_NUMBER)
    return Verdict(number(building, found, leaf), turns if leaf.what == "recency" else ())


def _reached(x: Composable, edges: Sequence[Composable]) -> Composable:
    """How many of some edges a figure has reached."""
    return fragment("reached", edges=sql.SQL(" + ").join([fragment("edge", x=x, edge=one) for one in edges]))


def _class(building: Building, scores: dict[str, Composable], rules: Rfm) -> Composable:
    found: Composable = _UNKNOWN_TEXT
    for one in reversed(rules.classes):
        spans = [
            sql.SQL("{} BETWEEN {} AND {}").format(
                scores[name], building.parameter(span.low, "integer"), building.parameter(span.high, "integer")
            )
            for name, span in (("recency", one.recency), ("frequency", one.frequency), ("monetary", one.monetary))
            if (span.low, span.high) != (1, 5)
        ]
        found = fragment("case", open=both(*spans), first=building.text(one.code), second=found)
    return found


def industry(building: Building, leaf: IndustryLeaf) -> Verdict:
    """What the customer's leads and organisations do."""
    x = building.column("organised", sql.SQL("organisation.industries"))
    return Verdict(listing(building, x, leaf))
