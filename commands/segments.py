"""How are segments made, changed, archived, and their lists kept? `Segments` has a method for each.

A definition changes in one transaction, in which nobody else changes one: so no two changes together make a circle of
rules. Who is in a segment is found out by whoever keeps memberships, who notices that something changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from commands.segment_references import References, check_references
from commands.segment_store import SQL, Definition, Kind, SegmentPage, Version, find, page_of, version_of, versions_of
from commands.working_desk import Key, another_request
from domain.errors import BadInput, NotFound, Problem, Refused, Stale, Unavailable
from domain.segment_limits import Known, checked
from domain.segment_text import print_rule, read_rule
from domain.segments import Rule, plain_rule

__all__ = ["MOST_LISTED", "Listed", "Made", "NewSegment", "SegmentChange", "Segments"]

MOST_LISTED: Final = 1_000_000
"""Most customers on one list."""
_MOST_ACTIVE: Final = 1000
T = TypeVar("T")


class Archived(Refused):
    """The segment is archived: it holds nobody, and nothing of it changes."""

    rule = "segment-archived"


class InUse(Refused):
    """Rules of other segments ask for it."""

    rule = "segment-in-use"


class NoList(Refused):
    """Who is in the segment says its rule, or the moment that it was taken at."""

    rule = "segment-kind"


class NotFilled(Refused):
    """Nobody knows yet who is in the segment."""

    rule = "segment-filling"


class Full(Refused):
    """There are as many as there may be."""

    rule = "segment-limit"


class NewSegment(NamedTuple):
    """A segment that is to be made. rule: of a dynamic one. announce_existing: whether those who are in it from the
    start are told of. customers: of a fixed list."""

    code: str
    kind: Kind
    title: str = ""
    description: str = ""
    announce: bool = True
    announce_existing: bool = False
    rule: Rule | None = None
    customers: Sequence[UUID] = ()


class SegmentChange(NamedTuple):
    """What becomes of a segment; None: it stays."""

    title: str | None = None
    description: str | None = None
    announce: bool | None = None
    rule: Rule | None = None
    announce_existing: bool = False


class Made(NamedTuple):
    """What is there after a command. repeated: it was done before, under the same key."""

    segment: Definition
    versions: Sequence[Version]
    repeated: bool = False


class Listed(NamedTuple):
    """What became of a list. changed: how many came or went; unknown: ids that are no customer's."""

    segment: Definition
    changed: int
    unknown: tuple[UUID, ...] = ()
    repeated: bool = False


class Segments:
    """Definitions of segments. Thread-safe; blocks on the durable tables, and raises Unavailable where they do not
    answer. known: what rules may ask for. Who is on a list stands there by the hash of an identifier."""

    def __init__(
        self, pool: ConnectionPool, known: Known, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._pool, self._clock = pool, clock
        self.known = known

    def page(
        self, after: str, limit: int, state: str | None = None, kind: str | None = None, words: str | None = None
    ) -> SegmentPage:
        """Segments behind a code, in the order of their codes."""
        with self._session() as connection:
            return page_of(connection, after, limit, state, kind, words)

    def load(self, code: str) -> tuple[Definition, list[Version]]:
        """A segment with its rules, the newest first. Raises NotFound."""
        with self._session() as connection:
            return _known(connection, code), versions_of(connection, code)

    def read(self, spelling: Any) -> Rule:
        """A rule out of its text or its JSON. Raises BadInput for what is none, is too much, or asks for what is not
        there."""
        return checked(read_rule(spelling), self.known)

    def references(self, rule: Rule | None, code: str | None = None) -> References:
        """All segments and their rules as they stand. Raises BadInput where this rule asks for one that is not there
        or archived, or in a circle. code: whose rule it is to be."""
        with self._session() as connection:
            return References.of(connection) if rule is None else check_references(connection, rule, code)

    def create(self, new: NewSegment, by: str, key: Key | None = None) -> Made:
        """Make a segment. Raises BadInput, and Refused where there are too many."""

        def within(connection: psycopg.Connection) -> str:
            if new.rule is not None:
                check_references(connection, new.rule, new.code)
            actives = connection.execute(SQL["actives"]).fetchone()
            if actives is not None and actives[0] >= _MOST_ACTIVE:
                raise Full(f"There are {_MOST_ACTIVE} active segments, as many as may be. Archive one first.")
            at = self._clock()
            row = {**new._asdict(), "at": at, "by": by}
            if connection.execute(SQL["create"], row).fetchone() is None:
                raise BadInput([Problem("code", "names a segment that is there already.", "Choose another code.")])
            if new.rule is not None:
                _fill(connection, new.code, new.rule, at, by, new.announce_existing)
            if new.customers:
                _add(connection, new.code, _customers(connection, new.customers), at, by)
            return new.code

        return self._change(within, key)

    def change(self, code: str, change: SegmentChange, by: str, expected: int | None, key: Key | None = None) -> Made:
        """Change what a segment is called, whether it is announced, or its rule; another rule is found out beside the
        one that serves. Raises NotFound, Stale, Refused and BadInput."""

        def within(connection: psycopg.Connection) -> str:
            known = _current(connection, code, expected)
            at = self._clock()
            if change.rule is not None:
                if known.kind != "dynamic":
                    raise NoList(f"The segment {code} is {known.kind}, and has no rule.")
                check_references(connection, change.rule, code)
                if not _is_newest(connection, code, change.rule):
                    _fill(connection, code, change.rule, at, by, change.announce_existing)
            told = {"title": change.title, "description": change.description, "announce": change.announce}
            connection.execute(SQL["change"], {"code": code, "at": at, **told})
            return code

        return self._change(within, key)

    def archive(self, code: str, expected: int | None, key: Key | None = None) -> Made:
        """Let a segment hold nobody. Raises NotFound, Stale, and Refused while rules of others ask for it."""

        def within(connection: psycopg.Connection) -> str:
            _current(connection, code, expected)
            users = References.of(connection).users_of(code)
            if users:
                told = f"The segment {code} is asked for by the rules of {', '.join(users)}."
                raise InUse(f"{told} Change or archive those first.", missing=tuple(users))
            connection.execute(SQL["archive"], {"code": code, "at": self._clock()})
            connection.execute(SQL["wake_listed"], {"code": code})
            return code

        return self._change(within, key)

    def restore(self, code: str, by: str, expected: int | None, key: Key | None = None) -> Made:
        """Take an archived segment up again; its last rule is found out anew. Raises NotFound, Stale and BadInput."""

        def within(connection: psycopg.Connection) -> str:
            known, at = _known(connection, code), self._clock()
            _check_revision(known, expected)
            if known.state == "active":
                return code
            last = version_of(connection, code)
            connection.execute(SQL["retire"], {"code": code})
            connection.execute(SQL["restore"], {"code": code, "at": at})
            connection.execute(SQL["wake_listed"], {"code": code})
            if last is not None and known.kind == "dynamic":
                rule = plain_rule(last.rule)
                check_references(connection, rule, code)
                _fill(connection, code, rule, at, by, False)
            return code

        return self._change(within, key)

    def snapshot(self, code: str, new: NewSegment, by: str, key: Key | None = None) -> Made:
        """Keep who is in a segment now, as they are, under another code. Raises NotFound, BadInput, and Refused while
        nobody knows who that is."""

        def within(connection: psycopg.Connection) -> str:
            of, at = _current(connection, code, None), self._clock()
            if of.kind == "dynamic" and of.serving is None:
                raise NotFilled(f"Who is in the segment {code} is still being found out. Ask again in a while.")
            row = {**new._asdict(), "at": at, "by": by}
            if connection.execute(SQL["create"], row).fetchone() is None:
                raise BadInput([Problem("code", "names a segment that is there already.", "Choose another code.")])
            rule = version_of(connection, code)
            if rule is not None:
                told = {"rule": Jsonb(rule.rule), "text": rule.text, "hash": rule.hash}
                made = {"code": new.code, "at": at, "by": by, "state": "retired", "existing": False}
                connection.execute(SQL["add_version"], {**told, **made})
            asked = {"code": new.code, "of": code, "version": of.serving or 0, "at": at, "by": by}
            connection.execute(SQL["freeze"], asked)
            connection.execute(SQL["wake_listed"], {"code": new.code})
            return new.code

        return self._change(within, key)

    def add(self, code: str, customers: Sequence[UUID], by: str, key: Key | None = None) -> Listed:
        """Put customers on a fixed list. Raises NotFound and Refused."""

        def within(connection: psycopg.Connection) -> tuple[int, list[UUID]]:
            found = _customers(connection, customers)
            unknown = [one for one, customer in found.items() if customer is None]
            return _add(connection, code, found, self._clock(), by), unknown

        return self._list(code, within, key)

    def remove(self, code: str, customers: Sequence[UUID], key: Key | None = None) -> Listed:
        """Take customers off a fixed list. Raises NotFound and Refused."""

        def within(connection: psycopg.Connection) -> tuple[int, list[UUID]]:
            found = _customers(connection, customers)
            hers = list({*found, *[one for one in found.values() if one is not None]})
            gone = [row[0] for row in connection.execute(SQL["remove"], {"code": code, "customers": hers})]
            connection.execute(SQL["wake"], {"nodes": gone})
            return len(gone), [one for one, customer in found.items() if customer is None]

        return self._list(code, within, key)

    def _list(
        self, code: str, act: Callable[[psycopg.Connection], tuple[int, list[UUID]]], key: Key | None
    ) -> Listed:
        def within(connection: psycopg.Connection) -> dict[str, Any]:
            known = _current(connection, code, None)
            if known.kind != "fixed":
                raise NoList(f"The segment {code} is {known.kind}; people keep fixed lists alone.")
            changed, unknown = act(connection)
            return {"changed": changed, "unknown": [one.hex for one in unknown]}

        answer, repeated, segment, _ = self._once(within, key, lambda _answer: code)
        return Listed(segment, answer["changed"], tuple(UUID(hex=one) for one in answer["unknown"]), repeated)

    def _change(self, act: Callable[[psycopg.Connection], str], key: Key | None) -> Made:
        _, repeated, segment, versions = self._once(
            lambda connection: {"code": act(connection)}, key, lambda answer: answer["code"]
        )
        return Made(segment, versions, repeated)

    def _once(
        self, act: Callable[[psycopg.Connection], dict[str, Any]], key: Key | None, code_of: Callable[[Any], str]
    ) -> tuple[dict[str, Any], bool, Definition, list[Version]]:
        """Carry a change out, or give what was answered under its key; with how the segment stands then."""
        with self._session() as connection, connection.transaction():
            connection.execute(SQL["begin"])
            answer = None if key is None else _answered(connection, key)
            repeated = answer is not None
            if answer is None:
                answer = act(connection)
                if key is not None:
                    connection.execute(SQL["keep"], {**key.row, "answer": Jsonb(answer), "at": self._clock()})
            code = code_of(answer)
            return answer, repeated, _known(connection, code), versions_of(connection, code)

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable(f"The database of segments does not answer ({type(error).__name__}).") from None


def _answered(connection: psycopg.Connection, key: Key) -> dict[str, Any] | None:
    row = connection.execute(SQL["answered"], {"scope": key.scope, "key": key.value}).fetchone()
    if row is None:
        return None
    request, answer = row
    if bytes(request) != key.row["request"]:
        raise another_request()
    return dict(answer)


def _known(connection: psycopg.Connection, code: str) -> Definition:
    found = find(connection, code)
    if found is None:
        raise NotFound("There is no segment of that code; GET /v1/segments lists them.")
    return found


def _current(connection: psycopg.Connection, code: str, expected: int | None) -> Definition:
    """An active segment of the revision that was seen. Raises NotFound, Stale and Refused."""
    found = _known(connection, code)
    _check_revision(found, expected)
    if found.state == "archived":
        raise Archived(f"The segment {code} is archived. Restore it first.", allowed=("restore",))
    return found


def _check_revision(found: Definition, expected: int | None) -> None:
    if expected is not None and expected != found.revision:
        raise Stale(
            f"The segment was changed since you read it; it has revision {found.revision}.", revision=found.revision
        )


def _is_newest(connection: psycopg.Connection, code: str, rule: Rule) -> bool:
    """Is this the rule already that serves last, or is being found out?"""
    newest = versions_of(connection, code)[:1]
    return bool(newest) and newest[0].hash == rule.hash and newest[0].state in {"filling", "serving"}


def _fill(connection: psycopg.Connection, code: str, rule: Rule, at: datetime, by: str, existing: bool) -> None:
    """Have a rule found out beside the one that serves."""
    connection.execute(SQL["fail"], {"code": code})
    told = {"rule": Jsonb(rule.plain()), "text": print_rule(rule), "hash": rule.hash}
    row = {**told, "code": code, "at": at, "by": by, "state": "filling", "existing": existing}
    made = connection.execute(SQL["add_version"], row).fetchone()
    connection.execute(SQL["fill"], {"code": code, "version": made and made[0]})


def _customers(connection: psycopg.Connection, ids: Sequence[UUID]) -> Mapping[UUID, UUID | None]:
    """Whose each id is now; None for what is nobody's."""
    return dict(connection.execute(SQL["known"], {"ids": list(ids)}).fetchall())


def _add(connection: psycopg.Connection, code: str, found: Mapping[UUID, UUID | None], at: datetime, by: str) -> int:
    customers = sorted({one for one in found.values() if one is not None})
    listed = connection.execute(SQL["listed"], {"code": code}).fetchone()
    if listed is not None and listed[0] + len(customers) > MOST_LISTED:
        raise Full(f"A list holds at most {MOST_LISTED:,} customers.")
    row = {"code": code, "customers": customers, "at": at, "by": by}
    added = [row[0] for row in connection.execute(SQL["add"], row)]
    connection.execute(SQL["wake"], {"nodes": added})
    return len(added)
