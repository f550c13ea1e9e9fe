"""Is anything lost, doubled or out of order? A fold in plain Python over what was acknowledged, and checks in the
manner of Jepsen's queue checker.

What is promised of order: an append that was acknowledged before another was begun stands before it, if both are in
one partition; and within one request events of one partition stand in the order of the request.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.chaos.ledger import Ack, Place, Sent
from bench.chaos.reading import Line, Rows

__all__ = ["CHECKS", "Findings", "fold", "judge"]

CHECKS = {
    "lost": "acknowledged, and not on the log where it was said to be, or in a read model not at all, or not parked",
    "doubled": "more than one row of one event in a read model, or one message parked twice",
    "uninvited": "refused, or never sent, and on the log or in a read model all the same",
    "offsets_twice": "one offset held another record when it was read again, or acknowledged for two events",
    "reordered": "stands before an event that was acknowledged before it was sent",
    "different": "a row that a fold in plain Python over the log does not give",
    "backwards": "a position or an epoch that fell",
    "by_stranger": "a position moved by a session that does not hold the partition",
    "rebuild_differs": "rebuilt rows are not the live ones",
    "stuck": "what was acknowledged did not become visible in time",
    "gave_up": "a process ended by itself in a way that starting again cannot mend",
}
"""What each check means. Any count above 0 makes the run red."""

_TOUCHPOINTS = frozenset({"email.received"})
"""Of the types that are published here."""


@dataclass
class Findings:
    """How often each check failed, with a few examples."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, check: str, example: str) -> None:
        """One more failure."""
        self.counts[check] += 1
        if len(self.examples[check]) < 5:
            self.examples[check].append(example)

    @property
    def red(self) -> list[str]:
        """The checks that failed."""
        return [check for check in CHECKS if self.counts[check]]


Kept = dict[str, Line]
"""The record that a name keeps, by name."""


def fold(lines: Iterable[Line]) -> tuple[Kept, set[tuple[str, Place]]]:
    """(what the timeline must hold, records that lost a name clash: (name, place)).

    A name keeps the content that was accepted first, and of its repeats the one recorded first.
    """
    named: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        named[line.name].append(line)
    kept: Kept = {}
    lost: set[tuple[str, Place]] = set()
    for name, all_of_it in named.items():
        digest = min(all_of_it, key=lambda line: (line.recorded, line.partition, line.offset)).digest
        same = [line for line in all_of_it if line.digest == digest]
        kept[name] = min(same, key=lambda line: (line.recorded, line.value))
        lost |= {(name, (line.partition, line.offset)) for line in all_of_it if line.digest != digest}
    return kept, lost


def judge(
    sent: dict[str, Sent], acks: Sequence[Ack], requests: Sequence[list[Place]], lines: dict[Place, Line], rows: Rows,
    log_id: str, topic: str,
) -> Findings:  # fmt: skip
    """Hold what was answered against the log, and the log against the read models."""
    findings = Findings()
    kept, clashed = fold(lines.values())
    _on_the_log(sent, lines, findings)
    _in_order(acks, requests, findings)
    _in_the_timeline(sent, kept, lines, rows, findings)
    _beside_the_timeline(kept, rows, findings)
    _in_identity(kept, rows, findings)
    _in_contacts(kept, rows, findings)
    _parked(sent, clashed, rows, log_id, topic, findings)
    return findings


def _on_the_log(sent: dict[str, Sent], lines: dict[Place, Line], findings: Findings) -> None:
    found: dict[str, list[Place]] = defaultdict(list)
    for place, line in lines.items():
        found[line.mark].append(place)
        if line.mark not in sent:
            findings.add("uninvited", f"{line.mark or 'something'} at {place} was never sent")
    told: dict[Place, str] = {}
    for one in sent.values():
        if one.state == "refused" and one.mark in found:
            findings.add("uninvited", f"{one.mark} was refused and stands at {found[one.mark]}")
        if one.kind == "bad" and one.mark in found:
            findings.add("uninvited", f"{one.mark} is bad and stands at {found[one.mark]}")
        if one.message is not None and one.kind == "good" and one.mark not in found:
            findings.add("lost", f"{one.mark}, message {one.message}, is not on the log")
        for place in one.places:
            if place not in lines or lines[place].mark != one.mark:
                there = lines[place].mark if place in lines else "nothing"
                findings.add("lost", f"{one.mark} is not at {place}, where {there} stands")
            if told.setdefault(place, one.mark) != one.mark:
                findings.add("offsets_twice", f"{place} was given to {told[place]} and to {one.mark}")


def _in_order(acks: Sequence[Ack], requests: Sequence[list[Place]], findings: Findings) -> None:
    last: dict[int, tuple[float, Ack]] = {}
    for ack in sorted(acks, key=lambda one: one.place, reverse=True):
        partition = ack.place[0]
        earliest = last.get(partition)
        if earliest is not None and earliest[0] < ack.began:
            findings.add(
                "reordered", f"{ack.mark} at {ack.place} was begun after {earliest[1].mark} was acknowledged"
            )
        if earliest is None or ack.ended < earliest[0]:
            last[partition] = (ack.ended, ack)
    for places in requests:
        ends: dict[int, int] = {}
        for partition, offset in places:
            if offset <= ends.get(partition, -1):
                findings.add("reordered", f"one request: {(partition, offset)} after {(partition, ends[partition])}")
            ends[partition] = offset


def _in_the_timeline(
    sent: dict[str, Sent], kept: Kept, lines: dict[Place, Line], rows: Rows, findings: Findings
) -> None:
    marks = {name: line.mark for name, line in kept.items()}
    found: Counter[str] = Counter(row.name for row in rows.events)
    for name, mark in marks.items():
        if not found[name]:
            acknowledged = mark in sent and sent[mark].state == "acknowledged"
            findings.add("lost" if acknowledged else "different", f"{mark} is on the log and not in the timeline")
        elif found[name] > 1:
            findings.add("doubled", f"{mark} stands {found[name]} times in the timeline")
    for row in rows.events:
        line = kept.get(row.name)
        if line is None:
            findings.add("uninvited", f"a row named {row.name} stands for nothing on the log")
            continue
        expected = (line.digest, line.evidence, line.happened, line.recorded, line.type, _touches(line), line.value)
        at_its_place = lines.get((row.partition, row.offset))
        if expected != (row.digest, row.evidence, row.happened, row.recorded, row.type, row.touch, row.value):
            findings.add("different", f"the row of {line.mark} is not what its record says")
        elif at_its_place is None or at_its_place.value != row.value:
            findings.add("different", f"the row of {line.mark} names a place where another record stands")


def _touches(line: Line) -> bool:
    return line.type in _TOUCHPOINTS


def _beside_the_timeline(kept: Kept, rows: Rows, findings: Findings) -> None:
    """Refs, what events say of others, and whom they name as parties."""

    def told(key: tuple[Any, ...]) -> str:
        return kept[key[2]].mark if key[2] in kept else str(key[2])

    refs = Counter((ref, line.happened, name) for name, line in kept.items() for ref in set(line.refs))
    _same("refs", refs, Counter(rows.refs), told, findings)
    about = Counter((*one, name) for name, line in kept.items() for one in set(line.about))
    _same("about", about, Counter(rows.about), told, findings)
    parties = Counter(
        (evidence, line.happened, name, role)
        for name, line in kept.items()
        for evidence, role in {(evidence, role) for evidence, role, tokens in line.parties if tokens}
    )
    _same("parties", parties, Counter(rows.parties), told, findings)


def _in_identity(kept: Kept, rows: Rows, findings: Findings) -> None:
    """Who is who. In these histories it is plain: an identifier of the first kind stands in each set that says more
    than one, and none of the others stands beside two of them. So a set is at home with its first identifier."""
    since: dict[tuple[str, tuple[str, ...]], datetime] = {}
    homes: dict[str, tuple[datetime, str]] = {}
    for line in kept.values():
        people = [(line.evidence, line.tokens), *[(evidence, tokens) for evidence, _, tokens in line.parties]]
        for evidence, tokens in people:
            if tokens:
                since[evidence, tokens] = min(since.get((evidence, tokens), line.happened), line.happened)
    for (_, tokens), first in since.items():
        for token in tokens:
            known = homes.get(token)
            home = tokens[0] if known is None or known[1] == token else known[1]
            homes[token] = (first if known is None else min(known[0], first), home)
    evidences = Counter(
        (evidence, tuple(sorted(tokens)), first, homes[tokens[0]][1]) for (evidence, tokens), first in since.items()
    )
    found = Counter((evidence, tuple(sorted(nodes)), *rest) for evidence, nodes, *rest in rows.evidences)
    _same("evidences", evidences, found, str, findings)
    nodes = Counter((token, first, home) for token, (first, home) in homes.items())
    _same("nodes", nodes, Counter(rows.nodes), str, findings)


def _in_contacts(kept: Kept, rows: Rows, findings: Findings) -> None:
    """The sums of touchpoints are what a plain count gives."""
    times: dict[tuple[str, str, str], list[datetime]] = defaultdict(list)
    for line in kept.values():
        if line.evidence and _touches(line):
            times[line.evidence, line.channel, line.direction].append(line.happened)
    expected = {key: (len(of), min(of), max(of)) for key, of in times.items()}
    found = {row[:3]: row[3:] for row in rows.contacts}
    for key in expected.keys() | found.keys():
        right, there = expected.get(key, (0,)), found.get(key, (0,))
        if there[0] != right[0]:
            check = "lost" if there[0] < right[0] else "doubled" if right[0] else "uninvited"
            findings.add(check, f"contacts: {key} counts {there[0]} touchpoints instead of {right[0]}")
        elif there != right:
            findings.add("different", f"contacts: {key} has other times than its touchpoints")


def _same(
    table: str, expected: Counter[Any], found: Counter[Any], told: Callable[[Any], str], findings: Findings
) -> None:
    for key in expected.keys() | found.keys():
        if found[key] > expected[key]:
            check = "doubled" if expected[key] else "uninvited"
            findings.add(check, f"{table}: {told(key)} stands {found[key]} times")
        elif found[key] < expected[key]:
            findings.add("lost", f"{table}: {told(key)} is missing")


def _parked(
    sent: dict[str, Sent], clashed: set[tuple[str, Place]], rows: Rows, log_id: str, topic: str, findings: Findings
) -> None:
    """What could not be applied is parked once: messages of the inbox that are bad, and lost name clashes."""
    found = Counter((origin, partition, offset) for _, _, origin, partition, offset in rows.letters)
    expected = {(topic, *one.message) for one in sent.values() if one.kind == "bad" and one.message is not None}
    expected |= {(log_id, *place) for _, place in clashed}
    for place in expected:
        if not found[place]:
            findings.add("lost", f"nothing is parked for {place}")
    for place, number in found.items():
        if number > 1:
            findings.add("doubled", f"{place} is parked {number} times")
