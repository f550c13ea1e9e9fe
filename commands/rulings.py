"""How does a data steward say who is one person, and who is not? By events on the log, which may be taken back.

A merge is `identity.merged`, a split `identity.split`: the first side is the event's `who`, each other side one of
its parties, so that they reach the log as tokens. To take one back is to retract its event.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from commands.publishing import Publisher, Receipt, Rights
from domain.errors import BadInput, Erased, NotFound, Problem, SealError
from domain.event import MAX_IDENTIFIERS
from domain.identifiers import Identifier
from eventlog.keyring import Keyring
from eventlog.record import Record, decode
from eventlog.sealing import keys_of, open_record
from eventlog.tokens import Hasher

__all__ = [
    "MAX_SIDES",
    "SOURCE",
    "Candidate",
    "Rulings",
    "Side",
    "Told",
    "Why",
    "merge_sides",
    "read_ruling_name",
    "split_sides",
]

SOURCE: Final = "storyline/steward"
"""The source of every ruling that is made here."""
MAX_SIDES: Final = 64
"""Most customers in one merge, and most sides of one split."""
_RIGHTS: Final = Rights(system=True)
_MERGED: Final = "identity.merged"
_SPLIT: Final = "identity.split"


class Candidate(NamedTuple):
    """A node that a ruling may name. `identifier`: None where nothing readable is left of it; `shared`: it links
    nobody, so nothing can be ruled of it."""

    node: UUID
    identifier: Identifier | None
    shared: bool = False


Side = Sequence[Candidate]


class Why(NamedTuple):
    """Why a steward rules so: a code, and words."""

    reason: str | None = None
    comment: str = ""

    def content(self) -> dict[str, str]:
        """As the content of an event has it."""
        return {name: value for name, value in self._asdict().items() if value}


class Told(NamedTuple):
    """What the record of a ruling tells: who made it, why, and under which name. `comment` and `id` are None where
    they are sealed for this reader, or erased."""

    source: str
    actor: str | None
    reason: str | None
    comment: str | None
    id: str | None


def merge_sides(people: Sequence[tuple[UUID, Side] | None]) -> list[Side]:
    """The sides of a merge of these people, each (present id, nodes in their order), None where nobody is known.

    Raises BadInput where they cannot be merged.
    """
    problems = []
    seen: dict[UUID, int] = {}
    for place, person in enumerate(people):
        trouble = _trouble_of(person, seen, place)
        if trouble is not None:
            problems.append(Problem(f"customers[{place}]", *trouble))
    if not problems and not 2 <= len(people) <= MAX_SIDES:
        way_out = f"Name 2 to {MAX_SIDES} customers."
        problems.append(Problem("customers", "names too few or too many to be merged at once.", way_out))
    if problems:
        raise BadInput(problems)
    return [person[1] for person in people if person is not None]


def _trouble_of(person: tuple[UUID, Side] | None, seen: dict[UUID, int], place: int) -> tuple[str, str] | None:
    """What is wrong with one of those who are to be merged, and the way out."""
    if person is None:
        return "is no customer.", "POST /v1/lookup finds one."
    customer, nodes = person
    first = seen.setdefault(customer, place)
    if first != place:
        return f"is the same customer as customers[{first}].", "Name each customer once; these two are one already."
    if all(one.shared for one in nodes):
        return "is an identifier that several people share, and no person.", "Merge the people behind it instead."
    if all(one.identifier is None for one in nodes):
        return "was erased.", "Nothing that was erased can be merged; leave it out."
    return None


def split_sides(
    sides: Sequence[Sequence[UUID | None]], own: Mapping[UUID, Candidate], shared: Collection[UUID]
) -> list[Side]:
    """The sides of a split, in the order of `own`, which holds the customer's nodes in their order.

    sides: nodes as asked for, None for an identifier whose value is blocked. shared: nodes that stand beside the
    customer's and link nobody. Raises BadInput where this is no split.
    """
    problems = []
    placed: dict[UUID, int] = {}
    for number, side in enumerate(sides):
        if not side:
            problems.append(Problem(f"sides[{number}]", "is empty.", "Name at least one identifier on each side."))
        for place, node in enumerate(side):
            field = f"sides[{number}][{place}]"
            if node is None or node not in own:
                problems.append(_foreign(field, node is not None and node in shared))
            elif placed.setdefault(node, number) != number:
                way_out = "Name each identifier on one side."
                problems.append(Problem(field, f"stands in sides[{placed[node]}] too.", way_out))
            elif own[node].identifier is None:
                problems.append(Problem(field, "was erased.", "Leave it out; it follows its links."))
    if not problems and not 2 <= len(sides) <= MAX_SIDES:
        trouble = "leave nothing to split." if len(sides) < 2 else "are too many."
        problems.append(Problem("sides", trouble, f"Name 2 to {MAX_SIDES} sides."))
    if problems:
        raise BadInput(problems)
    return [[one for node, one in own.items() if placed.get(node) == number] for number in range(len(sides))]


def _foreign(field: str, shared: bool) -> Problem:
    if shared:
        return Problem(field, "is shared by several people, and links nobody.", "Leave it out; it parts nobody.")
    way_out = "GET /v1/customers/ID/identity lists the customer's identifiers."
    return Problem(field, "is no identifier of this customer.", way_out)


class Rulings:
    """Publishes what stewards rule. Thread-safe; blocks on the key store and the log.

    clock: when it was ruled. fresh: a new id for each event.
    """

    def __init__(
        self,
        publisher: Publisher,
        keyring: Keyring,
        hasher: Hasher,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        fresh: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._publisher, self._keyring, self._hasher = publisher, keyring, hasher
        self._clock, self._fresh = clock, fresh

    def merge(self, sides: Sequence[Side], why: Why, by: str) -> Receipt:
        """Rule that the sides are one person. by: the id of the API key. Durable when it returns."""
        return self._rule(_MERGED, "merged", sides, why, by)

    def split(self, sides: Sequence[Side], why: Why, by: str) -> Receipt:
        """Rule that the sides are different people."""
        return self._rule(_SPLIT, "split", sides, why, by)

    def undo(self, record: bytes, why: Why, by: str) -> Receipt:
        """Take back the ruling with this record. Raises Erased where not even its name is left."""
        told = self.told([record], True)[0]
        if told.id is None:
            raise Erased("The ruling was about someone who was erased; its name is gone with it.")
        about = [{"relation": "retracts", "source": told.source, "id": told.id}]
        return self._publish("event.retracted", {"about": about, "content": why.content()}, by)

    def told(self, records: Sequence[bytes], unseal: bool) -> list[Told]:
        """What these records tell of their rulings. `unseal` False leaves out what is personal."""
        return [self._tell(decode(record), unseal) for record in records]

    def _tell(self, record: Record, unseal: bool) -> Told:
        opened = None
        if unseal:
            # One by one, since one bad key must not hide the other rulings; the key store has them in its cache.
            with contextlib.suppress(SealError):
                opened = open_record(record, self._keyring.keys(keys_of([record])))
        head = record.head
        comment = None if opened is None else str(opened.content.get("comment", ""))
        return Told(head.source, head.actor, head.public.get("reason"), comment, opened.id if opened else None)

    def node_of(self, identifier: Identifier) -> UUID | None:
        """The node of an identifier's present generation; None for a blocked value."""
        return self._nodes_of([identifier])[0]

    def _nodes_of(self, identifiers: Sequence[Identifier]) -> list[UUID | None]:
        base = [self._hasher.token(one) for one in identifiers]
        raised = self._keyring.generations([token for token in base if token is not None])
        tokens = [
            self._hasher.token(one, raised.get(token, 0)) if token is not None else None
            for one, token in zip(identifiers, base, strict=True)
        ]
        return [None if token is None else UUID(hex=token[-32:]) for token in tokens]

    def _rule(self, type_: str, role: str, sides: Sequence[Side], why: Why, by: str) -> Receipt:
        who, *others = [self._spelled(number, side) for number, side in enumerate(sides)]
        parties = [{"role": role, "who": one} for one in others]
        return self._publish(type_, {"who": who, "parties": parties, "content": why.content()}, by)

    def _spelled(self, number: int, side: Side) -> list[dict[str, str]]:
        """A side as an event names it: its first identifiers."""
        named = self.names_of(side)[:MAX_IDENTIFIERS]
        if not named:
            way_out = "Leave it out; nothing that a new event says reaches it."
            raise BadInput([Problem(f"sides[{number}]", "has no identifier that can still be named.", way_out)])
        return [_plain(one) for one in named]

    def names_of(self, side: Side) -> list[Identifier]:
        """The identifiers of a side that a new event can name, in their order: readable, of one person, and such that
        it still makes the same node of them (an erasure makes others of those that were said before it)."""
        readable = [(one.node, one.identifier) for one in side if one.identifier is not None and not one.shared]
        present = self._nodes_of([identifier for _, identifier in readable])
        return [one for (node, one), now in zip(readable, present, strict=True) if node == now]

    def _publish(self, type_: str, data: dict[str, Any], by: str) -> Receipt:
        event = {
            "specversion": "1.0",
            "source": SOURCE,
            "id": self._fresh(),
            "type": type_,
            "time": self._clock().isoformat(),
            "data": {**data, "actor": {"kind": "user", "code": by}},
        }
        return self._publisher.publish([event], _RIGHTS)[0]


def _plain(one: Identifier) -> dict[str, str]:
    plain = {"kind": one.kind, "value": one.value}
    return {**plain, "namespace": one.namespace} if one.namespace else plain


def read_ruling_name(text: str) -> UUID:
    """The hash of a ruling's name out of a path. Raises NotFound for what is none."""
    try:
        return UUID(hex=text)
    except ValueError:
        raise NotFound("There is no ruling of that name; GET /v1/rulings lists them.") from None
