"""Which histories could come up? Made by chance, of a few identifiers and moments, so that everything collides.

Events of all kinds that the read models fold, corrections of what is there, of each other and of what never comes,
rulings, repeats, other clocks, blocked values, nobody at all; and deliveries of them in any order, twice, cut into
batches, over any partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

from eventlog.port import Logged
from tests.support import plain_figures, work_events
from tests.support.story import START

__all__ = ["RULES", "deliver", "history", "one_event"]

Event = dict[str, Any]
RULES: list[dict[str, Any]] = [
    {"limits": limits, "shared": {"customer_no": shared[0], "external": 2, "email": shared[1]},
     "star": {"nodes": star[0], "links": star[1]}, "ignored": []}
    for limits in [{"customer_no": 1}] * 6 + [{"customer_no": 1, "external": 1}, {"email": 1}, {}, {"customer_no": 2}]
    for shared in [(3, 5), (1, 1), (2, 1), (1, 2), (2, 2)]
    for star in [(1000, 20_000), (3, 1000), (4, 1000), (2, 1000), (50, 4), (50, 2)]
]  # fmt: skip
"""Thresholds so small that shared identifiers and stars are met at once."""
_POOL = [
    ("customer_no", "1"), ("customer_no", "2"), ("customer_no", "3"), ("external", "x"), ("external", "y"),
    ("email", "a@example.org"), ("email", "b@example.org"), ("email", "C@example.org"), ("phone", "+442079460001"),
    ("cookie", "k1"), ("cookie", "k2"), ("email", "guest"), ("cookie", "null"),
]  # fmt: skip
_NAMES = ["Ann", "Bob", "Cleo", None]
_TYPES = [
    "email.received", "email.received", "purchase.made", "purchase.made", "refund.made", "consent.given",
    "consent.withdrawn", "email.unsubscribed", "profile.updated", "profile.updated", "organisation.described",
    "call.ended", "identity.merged", "identity.split", "event.retracted", "event.retracted", "event.retracted",
    "event.amended", "event.amended", *["work"] * 6, *plain_figures.TYPES,
]  # fmt: skip


def _who(pick: Random, least: int = 0) -> list[dict[str, str]]:
    size = max(least, pick.choice([0, 1, 1, 2, 2, 2, 3, 3, 4]))
    return [{"kind": kind, "value": value} for kind, value in pick.sample(_POOL, size)]


def _moment(pick: Random) -> str:
    return (START + timedelta(minutes=pick.randrange(6))).isoformat()


def _content(pick: Random, type: str, people: int) -> dict[str, Any]:
    if type in ("purchase.made", "refund.made"):
        lines = {"lines": plain_figures.lines_of(pick)} if pick.random() < 0.6 else {}
        return {"amount": pick.randrange(1, 9), "currency": pick.choice(["GBP", "EUR"]), **lines}
    if type.startswith("consent."):
        channel = {"channel": pick.choice(["email", "phone"])} if pick.random() < 0.6 else {}
        return {"purpose": pick.choice(["marketing", "service"]), **channel}
    if type == "profile.updated":
        return {"name": pick.choice(_NAMES)} | ({"job_title": pick.choice("XY")} if pick.random() < 0.4 else {})
    if type == "organisation.described":
        return {"contacts": [{"name": pick.choice(_NAMES[:3])} for _ in range(people)]}
    if type in plain_figures.TYPES:
        return plain_figures.content_of(pick, type)
    if type.partition(".")[0] in {*work_events.TYPES, "target", "user"}:
        return work_events.content_of(pick, type, pick.random() < 0.8)
    return {}


def one_event(pick: Random, number: int, others: int, types: Sequence[str] = _TYPES) -> Event:
    """An event that may speak of any of `others` events, whether they come or not."""
    type = pick.choice(types)
    if type == "work":
        type = pick.choice(pick.choice(list(work_events.TYPES.values())))
    rules = type.startswith("identity.")
    data: dict[str, Any] = {"who": _who(pick, 1 if rules else 0)}
    people = pick.randrange(1, 3) if rules or type == "organisation.described" else int(pick.random() < 0.2)
    if people:
        data["parties"] = [{"role": pick.choice(["cc", "guest"]), "who": _who(pick, 1)} for _ in range(people)]
    refs = [("order", "A"), ("order", "B"), ("campaign", "M"), ("campaign", "N"), ("invoice", "A"), ("ticket", "T"),
            ("product", "P"), ("product", "Q")]  # fmt: skip
    if type.partition(".")[0] in {*work_events.TYPES, "target", "user"}:
        data["refs"] = work_events.refs_of(pick, type)
        data["actor"] = {"code": pick.choice(["anna", "ben", "cleo"])}
    elif pick.random() < 0.4:
        data["refs"] = [{"kind": kind, "value": value} for kind, value in pick.sample(refs, pick.randrange(1, 3))]
    if type in ("event.retracted", "event.amended"):
        relation = "retracts" if type == "event.retracted" else "corrects"
        targets = {pick.randrange(others) for _ in range(pick.choice([1, 1, 2]))} - {number} or {others}
        data["about"] = [{"relation": relation, **_named(target)} for target in sorted(targets)]
    if type == "touchpoint.enriched":
        targets = {pick.randrange(others) for _ in range(pick.choice([1, 1, 2]))} - {number}
        data["about"] = [{"relation": "enriches", **_named(target)} for target in sorted(targets)]
    if type == "event.amended":
        inner = pick.choice(["purchase.made", "consent.given", "profile.updated", "organisation.described"])
        data["content"] = {"type": inner, "content": _content(pick, inner, 2)}
    elif content := _content(pick, type, people):
        data["content"] = content
    name = _named(number)
    return {"specversion": "1.0", **name, "type": type, "time": _moment(pick), "data": data}


def _named(number: int) -> dict[str, str]:
    return {"source": work_events.SOURCES[number % len(work_events.SOURCES)], "id": f"e-{number}"}


def history(pick: Random, size: int) -> list[tuple[Event, int]]:
    """(event, minute that it was recorded), some of them repeats, with another clock of the sender."""
    found: list[tuple[Event, int]] = []
    for number in range(size):
        raw = one_event(pick, number, size)
        if raw["type"] == "event.amended" and pick.random() < 0.7:  # mostly of the right type
            target = next((one for one, _ in found if one["id"] == raw["data"]["about"][0]["id"]), None)
            fixed = ("event.", "identity.", *work_events.ANNOUNCED)
            if target is not None and not target["type"].startswith(fixed):
                people = len(target["data"].get("parties", []))
                content = _content(pick, target["type"], people)
                raw["data"]["content"] = {"type": target["type"], "content": content}
        for _ in range(pick.choice([1, 1, 1, 2, 3])):
            clock = {"senttime": _moment(pick)} if pick.random() < 0.2 else {}
            found.append((raw | clock, pick.choice([3, 8, 60, 60, 61, 62])))
    return found


def deliver(pick: Random, values: Sequence[bytes], partitions: int = 4) -> list[list[Logged]]:
    """These records in some order, some of them twice, over some partitions, cut into batches."""
    order = [*values, *pick.choices(values, k=pick.choice([0, 0, 1, 3]))]
    pick.shuffle(order)
    partitions = pick.randrange(1, partitions + 1)
    ends = dict.fromkeys(range(partitions), 0)
    often = pick.choice([0.0, 0.2, 0.5, 1.0])
    batches: list[list[Logged]] = [[]]
    for value in order:
        partition = pick.randrange(partitions)
        ends[partition] += pick.randrange(1, 4)  # Kafka's offsets have holes
        batches[-1].append(Logged(partition, ends[partition], b"", value))
        if pick.random() < often:
            batches.append([])
    return [batch for batch in batches if batch]
