"""Is anything lost, doubled or out of order? A fold in plain Python over what was acknowledged, and checks in the
manner of Jepsen's queue checker.

What is promised of order: an append that was acknowledged before another was begun stands before it, if both are in
one partition; and within one request events of one partition stand in the order of the request.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
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


def fold(lines: Iterable[Line]) -> tuple[Kept, set[tuple[str, str]], set[tuple[str, Place]]]:
    """(what the timeline must hold, what the lookup must hold, records that lost a name clash: (name, place)).

    A name keeps the content that was accepted first, and of its repeats the one recorded first.
    """
    named: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        named[line.name].append(line)
    kept: Kept = {}
    lookup: set[tuple[str, str]] = set()
    lost: set[tuple[str, Place]] = set()
    for name, all_of_it in named.items():
        digest = min(all_of_it, key=lambda line: (line.recorded, line.partition, line.offset)).digest
        same = [line for line in all_of_it if line.digest == digest]
        kept[name] = min(same, key=lambda line: (line.recorded, line.value))
        lookup |= {(token, line.owner) for line in same for token in line.tokens}
        lost |= {(name, (line.partition, line.offset)) for line in all_of_it if line.digest != digest}
    return kept, lookup, lost


def judge(
    sent: dict[str, Sent], acks: Sequence[Ack], requests: Sequence[list[Place]], lines: dict[Place, Line], rows: Rows,
    log_id: str, topic: str,
) -> Findings:  # fmt: skip
    """Hold what was answered against the log, and the log against the read models."""
    findings = Findings()
    kept, lookup, clashed = fold(lines.values())
    _on_the_log(sent, lines, findings)
    _in_order(acks, requests, findings)
    _in_the_timeline(sent, kept, lines, rows, findings)
    _in_refs(kept, rows, findings)
    _same("lookup", Counter(lookup), Counter(rows.lookup), str, findings)
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
        expected = (line.digest, line.owner, line.happened, line.recorded, line.type, line.value)
        at_its_place = lines.get((row.partition, row.offset))
        if expected != (row.digest, row.owner, row.happened, row.recorded, row.type, row.value):
            findings.add("different", f"the row of {line.mark} is not what its record says")
        elif at_its_place is None or at_its_place.value != row.value:
            findings.add("different", f"the row of {line.mark} names a place where another record stands")


def _in_refs(kept: Kept, rows: Rows, findings: Findings) -> None:
    expected = Counter((ref, line.happened, name) for name, line in kept.items() for ref in set(line.refs))
    _same("refs", expected, Counter(rows.refs), lambda key: kept[key[2]].mark if key[2] in kept else key[2], findings)


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
