"""What do the read models have to hold? A plain, slow, obviously right reading of a set of published events.

`tell` folds all events at once, knows no order of arrival, no batches, no tables and none of the code under test
(of which it borrows only hashes: of tokens, of names). `held` reads the same out of the read models. Both give
`{what: set of rows}`, with the customer that each row belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg

from tests.support import plain_figures, plain_work
from tests.support.plain_identity import People, Ruled, Seen
from tests.support.story import Story

__all__ = ["Everything", "Published", "Rows", "everything", "held", "people_in", "tell"]

Rows = dict[str, set[tuple[Any, ...]]]
TOUCHPOINTS = {"email.received", "email.unsubscribed", "purchase.made", "refund.made", "call.ended", "note.added"}
TOUCHPOINTS |= plain_figures.TOUCHPOINTS
RULINGS = {"identity.merged": True, "identity.split": False}
CORRECTIONS = {"event.retracted": "retracts", "event.amended": "corrects"}
BLOCKED = {"guest", "null"}


@dataclass(frozen=True)
class Published:
    """An event as it was sent, and its record as it stands on the log."""

    raw: Mapping[str, Any]
    value: bytes
    record: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "record", json.loads(self.value, parse_float=Decimal))

    @property
    def name(self) -> str:
        return str(self.record["name"])[-32:]

    @property
    def recorded_at(self) -> datetime:
        return datetime.fromisoformat(self.record["recorded_at"])

    @property
    def at(self) -> datetime:
        """When it happened: by a right clock, and not in the future."""
        time = datetime.fromisoformat(self.record["time"])
        if self.record.get("senttime"):
            time = self.recorded_at - (datetime.fromisoformat(self.record["senttime"]) - time)
        return min(time, self.recorded_at).astimezone(UTC)

    @property
    def type(self) -> str:
        return str(self.raw["type"])

    def people(self) -> list[tuple[str, list[str], list[Mapping[str, str]], str]]:
        """(evidence, tokens, identifiers as sent, role) of whom it is about, then of each party."""
        data = self.raw["data"]
        found = [(self.record.get("evidence", ""), self.record.get("tokens", []), data.get("who", []), "")]
        for sent, kept in zip(data.get("parties", []), self.record.get("parties", []), strict=True):
            found.append((kept.get("evidence", ""), kept.get("tokens", []), sent["who"], kept["role"]))
        return [(one[0][-32:], *one[1:]) for one in found]

    def said(self) -> list[str]:
        """The events that it corrects or takes back."""
        relation = CORRECTIONS.get(self.type)
        return [one["name"][-32:] for one in self.record.get("about", []) if one["relation"] == relation]


@dataclass
class Everything:
    """All events, each once: of repeats the one that was recorded first."""

    events: dict[str, Published]

    def __post_init__(self) -> None:
        self.speak: dict[str, list[Published]] = {}
        for one in self.events.values():
            for target in one.said():
                self.speak.setdefault(target, []).append(one)

    def retracted(self, name: str) -> bool:
        """Was it taken back, by something that was not? What takes a correction back has to be later than it."""
        return any(
            one.type == "event.retracted" and self._later(one, name) and not self.retracted(one.name)
            for one in self.speak.get(name, [])
        )

    def _later(self, one: Published, name: str) -> bool:
        target = self.events.get(name)
        return target is None or target.type not in CORRECTIONS or (target.at, name) < (one.at, one.name)

    def amended(self, one: Published) -> Published | None:
        """The latest amendment that counts, and speaks of the event as what it is."""
        found = [
            other
            for other in self.speak.get(one.name, [])
            if other.type == "event.amended"
            and not self.retracted(other.name)
            and other.raw["data"]["content"]["type"] == one.type
        ]
        return max(found, key=lambda other: (other.at, other.name), default=None)

    def content(self, one: Published) -> Mapping[str, Any]:
        """What it says, by now."""
        right = self.amended(one)
        data = one.raw["data"] if right is None else right.raw["data"]["content"]
        found: Mapping[str, Any] = data.get("content", {})
        return found


def everything(published: Iterable[Published]) -> Everything:
    """These events, in any order, with repeats."""
    kept: dict[str, Published] = {}
    for one in sorted(published, key=lambda one: (one.recorded_at, one.value)):
        kept.setdefault(one.name, one)
    return Everything(kept)


def tell(published: Iterable[Published], rules: Mapping[str, Any], erased: Collection[str] = ()) -> Rows:
    """What the read models have to hold after these events, in any order. `erased`: evidences of which nothing may be
    readable any more."""
    story = everything(published)
    people = people_in(story, rules)
    rows: Rows = {what: set() for what in _TOLD}
    rows["people"] = {
        (people.customer[node], node, people.since(node), node in people.shared) for node in people.kinds
    }
    rows["homes"] = {(people.home(one), one, seen.since) for one, seen in people.evidences.items()}
    rows["disputes"] = people.disputes
    for what, fold in _TOLD.items():
        rows[what] = fold(story, people.home, erased)
    return rows


def people_in(story: Everything, rules: Mapping[str, Any]) -> People:
    """Who is who by these events."""
    kinds: dict[str, tuple[str, str]] = {}
    evidences: dict[str, Seen] = {}
    rulings: list[Ruled] = []
    for one in story.events.values():
        counts = not story.retracted(one.name)
        for evidence, tokens, _, _ in one.people():
            for token in tokens:
                kind, _, namespace = token.rsplit(".", 2)[0].partition("/")
                kinds[token[-32:]] = (kind, namespace)
            if tokens:
                before = evidences.get(evidence, Seen(frozenset(token[-32:] for token in tokens), None))
                at = one.at if counts and one.type not in RULINGS else None
                since = min([time for time in (before.since, at) if time], default=None)
                evidences[evidence] = before._replace(since=since)
        if one.type in RULINGS and counts:
            sides = tuple(frozenset(token[-32:] for token in tokens) for _, tokens, _, _ in one.people())
            rulings.append(Ruled(one.at, one.name, RULINGS[one.type], sides))
    return People(kinds, evidences, rulings, rules)


_Home = Callable[[str], str]
_Gone = Collection[str]


def _touches(type: str) -> bool:
    family = type.partition(".")[0]
    return type in TOUCHPOINTS or (family in {"deal", "ticket", "lead"} and type != "deal.stalled")


def _contacts(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    times: dict[tuple[str, str, str], list[datetime]] = {}
    for one in story.events.values():
        evidence = one.people()[0][0]
        if _touches(one.type) and evidence and not story.retracted(one.name):
            key = home(evidence), one.record.get("channel", ""), one.record.get("direction", "")
            times.setdefault(key, []).append(one.at)
    return {(*key, len(found), min(found), max(found)) for key, found in times.items()}


def _trades(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    found = set()
    for one in story.events.values():
        evidence = one.people()[0][0]
        if one.type in ("purchase.made", "refund.made") and evidence and not story.retracted(one.name):
            content, refs = story.content(one), sorted(one.record.get("refs", []))
            orders = [ref for ref in refs if ref.startswith("order")] + [ref for ref in refs if ref[:7] == "invoice"]
            amount = Decimal(content["amount"])
            refund = one.type == "refund.made" or amount < 0
            amount = -abs(amount) if one.type == "refund.made" else amount
            ref = orders[0] if orders else None
            row = (one.name, one.at, one.recorded_at, ref, refund, amount, content["currency"], one.raw["source"])
            found.add((home(evidence), *row))
    return found


def _consents(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    found = set()
    for one in story.events.values():
        evidence = one.people()[0][0]
        if not evidence or story.retracted(one.name):
            continue
        row = (home(evidence), one.name, one.at, one.recorded_at)
        if one.type == "email.unsubscribed":
            found.add((*row, "marketing", "email", False))
        elif one.type.startswith("consent."):
            content = story.content(one)
            found.add((*row, content["purpose"], content.get("channel", ""), one.type == "consent.given"))
    return found


def _answers(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    found = set()
    for one in story.events.values():
        evidence = one.people()[0][0]
        campaigns = sorted(ref for ref in one.record.get("refs", []) if ref.startswith("campaign"))
        answering = _touches(one.type) and one.type != "email.unsubscribed" and one.record.get("direction") == "in"
        if answering and campaigns and evidence and not story.retracted(one.name):
            found.add((home(evidence), one.name, one.at, campaigns[0]))
    return found


def _claims(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    found = set()
    for one in story.events.values():
        people, right = one.people(), story.amended(one)
        sealed = people[0][0] if right is None else right.people()[0][0]
        if story.retracted(one.name) or sealed in erased or people[0][0] in erased:
            continue
        claims: list[tuple[int, Mapping[str, Any]]] = []
        if one.type == "profile.updated":
            claims = [(0, story.content(one))]
        elif one.type == "organisation.described":
            contacts = list(enumerate(story.content(one).get("contacts", []), start=1))
            claims = [(place, contact) for place, contact in contacts if place < len(people)]
        for place, fields in claims:
            evidence = people[place][0]
            if evidence and evidence not in erased and fields:
                told = json.dumps(fields, sort_keys=True)
                found.add((home(evidence), one.name, place, one.at, one.recorded_at, one.raw["source"], told))
    return found


def _identifiers(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    found = set()
    for one in story.events.values():
        for evidence, _, who, _ in one.people():
            if evidence and evidence not in erased:
                values = [(sent["kind"], sent["value"].lower()) for sent in who]
                found |= {(home(evidence), evidence, *value) for value in values if value[1] not in BLOCKED}
    return found


def _names(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    told = [(row[0], json.loads(row[-1]).get("name")) for row in _claims(story, home, erased)]
    return {(customer, name.lower()) for customer, name in told if name}


def _parties(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    return {
        (home(evidence), one.name, one.at, role)
        for one in story.events.values()
        for evidence, tokens, _, role in one.people()[1:]
        if tokens
    }


def _corrected(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    found = set()
    for one in story.events.values():
        right = story.amended(one)
        if right is not None or story.retracted(one.name):
            found.add((one.name, story.retracted(one.name), None if right is None else right.name))
    return found


def _events(story: Everything, home: _Home, erased: _Gone) -> set[tuple[Any, ...]]:
    return {
        (home(one.people()[0][0]) if one.people()[0][0] else None, one.name, one.at, one.recorded_at, one.type)
        for one in story.events.values()
    }


_TOLD: dict[str, Callable[[Everything, _Home, _Gone], set[tuple[Any, ...]]]] = {
    "events": _events,
    "corrected": _corrected,
    "parties": _parties,
    "contacts": _contacts,
    "trades": _trades,
    "consents": _consents,
    "answers": _answers,
    "claims": _claims,
    "identifiers": _identifiers,
    "names": _names,
    **plain_work.TOLD,
    **plain_figures.told_by(_touches),
}

_HOME = "JOIN identity.evidences AS h ON h.evidence = t.evidence"
_HELD = {
    "people": "SELECT customer, node, first_at, shared FROM identity.nodes",
    "homes": "SELECT customer, evidence, first_at FROM identity.evidences",
    "disputes": "SELECT a, b, reason, first_at FROM identity.disputes",
    "events": "SELECT h.customer, name, happened_at, recorded_at, type FROM timeline.events AS t "
    "LEFT JOIN identity.evidences AS h ON h.evidence = t.evidence",
    "corrected": "SELECT name, retracted, amended_by FROM timeline.corrected",
    "parties": f"SELECT h.customer, name, happened_at, role FROM timeline.parties AS t {_HOME}",
    "contacts": "SELECT h.customer, channel, direction, sum(touchpoints)::integer, min(t.first_at), max(last_at) "
    f"FROM customers.contacts AS t {_HOME} GROUP BY 1, 2, 3",
    "trades": "SELECT h.customer, name, happened_at, recorded_at, ref, refund, amount, currency, source "
    f"FROM customers.trades AS t {_HOME}",
    "consents": "SELECT h.customer, name, happened_at, recorded_at, purpose, channel, granted "
    f"FROM customers.consents AS t {_HOME}",
    "answers": f"SELECT h.customer, name, happened_at, campaign FROM customers.answers AS t {_HOME}",
    "claims": "SELECT h.customer, name, place, happened_at, recorded_at, source, fields "
    f"FROM directory.claims AS t {_HOME}",
    "identifiers": f"SELECT h.customer, t.evidence, kind, value FROM directory.identifiers AS t {_HOME}",
    "names": f"SELECT DISTINCT h.customer, term FROM directory.terms AS t {_HOME} WHERE kind = 'name'",
    **plain_work.HELD,
    **plain_figures.HELD,
}


def held(story: Story) -> Rows:
    """What the read models hold."""
    with psycopg.connect(story.dsn, autocommit=True) as connection:
        return {
            what: {tuple(map(_plain, row)) for row in connection.execute(query).fetchall()}
            for what, query in _HELD.items()
        }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return value.hex if hasattr(value, "hex") and not isinstance(value, (float, bytes)) else value
