"""Which steps of which items is an event, and whom does it tell? By its type and its refs.

A step belongs to each thing of its family that the event names as a ref. One that Storyline published about a deal,
ticket, task, lead or colleague of its own names that first: this ref alone, and its id is the id of the item. Every
other item is a foreign one; its id is the hash of its ref.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.catalogue.registry import BuiltIn, Catalogue
from domain.work import SOURCE
from eventlog.record import ref_hash
from projections.columns import LENGTH, NULL, cut, hash16
from projections.lines import Line, More, ref_kind
from projections.packing import NAME_SIZE
from projections.work.fields import MOST_CODES, taken

__all__ = ["kinds_of", "notice_rows", "own_item", "step_rows", "touched"]

_FAMILIES: Final = {
    "deal": "deal", "ticket": "ticket", "task": "task", "lead": "lead", "user": "user", "target": "ticket",
}  # fmt: skip
"""Families of types, and the kind of the refs whose steps they are."""
_TELLING: Final = frozenset({"note.added", "user.notified"})
_GIVING: Final = frozenset(
    f"{kind}.{what}" for kind in ("deal", "ticket", "task", "lead") for what in ("assigned", "created")
) | {"ticket.opened", "ticket.escalated", "lead.captured"}
"""Types by which a colleague comes to have something."""
_ITEM: Final = slice(26, 42)
"""Where the item stands in a packed row of `steps`; its kind follows."""
_STEP = struct.Struct("!hi16si16s")  # name, item; then kind and type
_TIMES = struct.Struct("!iqiqiq")  # happened_at, recorded_at, revision
_FLAGS = struct.Struct("!i?i?")  # native, folds
_NOTICE = struct.Struct("!hi16s")  # name; then user and why
_encode = msgspec.json.Encoder().encode


def kinds_of(catalogue: Catalogue) -> dict[str, str]:
    """The kind of item that events of these types are steps of, by type; "" for those that only tell somebody."""
    found = {}
    for one in catalogue:
        family = "" if one.name in _TELLING else _FAMILIES.get(one.name.partition(".")[0])
        if isinstance(one, BuiltIn) and family is not None:
            found[one.name] = family
    return found


def own_item(line: Line, kind: str) -> bytes | None:
    """The id of the native item that an event is a step of; None where it is of no native one."""
    source = line.name[:-33]
    if not line.refs or source != f"{SOURCE}{kind}":
        return None
    ref, _, value = line.refs[0].partition(":")
    try:
        return UUID(hex=value).bytes if ref == kind and len(value) == 32 else None
    except ValueError:
        return None


def step_rows(one: More, kind: str, public: Mapping[str, Any], folds: bool) -> list[bytes]:
    """Rows of `steps`. kind: of the items; public: the content as it counts, in the current version; folds: whether
    the state of the item follows from it."""
    line = one.line
    own = own_item(line, kind)
    if own is not None:
        items = {own: line.refs[0]}
        revision = public.get("revision")
        revision = revision if isinstance(revision, int) and 0 <= revision < 2**31 else 0
    else:
        items = {ref_hash(ref): ref for ref in line.refs if ref_kind(ref) == kind}
        revision = 0
    content = _encode(taken(kind, public))
    codes = cut(kind) + cut(line.type)
    times = _TIMES.pack(8, one.times[0], 8, one.times[1], 8, revision)
    evidence = LENGTH.pack(16) + hash16(line.evidence) if line.tokens else NULL
    flags = _FLAGS.pack(1, own is not None, 1, folds)
    rest = b"".join((cut(line.name[:-33]), cut(line.actor), LENGTH.pack(len(content) + 1), b"\x01", content))
    name = one.mark[:NAME_SIZE]
    return [
        b"".join((_STEP.pack(14, 16, name, 16, item), codes, times, evidence, cut(ref), flags, rest))
        for item, ref in items.items()
    ]


def touched(row: bytes) -> tuple[UUID, str]:
    """(item, its kind) of a packed row of `steps`."""
    start = _ITEM.stop + LENGTH.size
    size = int.from_bytes(row[_ITEM.stop : start], "big")
    return UUID(bytes=row[_ITEM]), row[start : start + size].decode()


def notice_rows(one: More, kind: str, public: Mapping[str, Any]) -> list[bytes]:
    """Rows of `notices`: one for each colleague who is told something by an event."""
    line = one.line
    own = own_item(line, kind) if kind else None
    told = _told(line, own is not None, public)
    if not told:
        return []
    ref = _about(line, kind)
    item = own if own is not None else _item_of(ref)
    shown = ref_kind(ref) if ref else None
    tail = b"".join(
        (
            LENGTH.pack(8), one.times[0].to_bytes(8, "big", signed=True),
            LENGTH.pack(8), one.times[1].to_bytes(8, "big", signed=True),
            cut(shown), NULL if item is None else LENGTH.pack(16) + item, cut(ref),
            LENGTH.pack(16) + hash16(line.evidence) if line.tokens else NULL, cut(line.actor),
        )
    )  # fmt: skip
    head = _NOTICE.pack(10, 16, one.mark[:NAME_SIZE])
    return [b"".join((head, cut(user), cut(why), tail)) for user, why in told.items()]


def _told(line: Line, native: bool, public: Mapping[str, Any]) -> dict[str, str]:
    """Who is told, by code, and why; nobody is told what they did themselves."""
    assignee = public.get("assignee")
    if line.type == "note.added":
        mentions = public.get("mentions")
        users, why = (mentions[:MOST_CODES] if isinstance(mentions, list) else []), "mentioned"
    elif line.type == "user.notified":
        users, why = [public.get("user")], "notified"
    elif line.type == "task.reminded" and native:
        return {assignee: "reminded"} if isinstance(assignee, str) and assignee else {}
    elif line.type in _GIVING and native:
        users, why = [assignee], "assigned"
    else:
        return {}
    return {user: why for user in users if isinstance(user, str) and user and line.actor != f"user:{user}"}


def _about(line: Line, kind: str) -> str | None:
    """The ref of what a notice is about: its own item, else the first thing that people work on."""
    if kind:
        return line.refs[0]
    return next((ref for ref in line.refs if ref_kind(ref) in ("deal", "ticket", "task", "lead")), None)


def _item_of(ref: str | None) -> bytes | None:
    """The id of the item that a ref of another event names: an id of Storyline's own, else the hash of the ref."""
    if ref is None:
        return None
    kind, _, value = ref.partition(":")
    if "/" not in kind and len(value) == 32:
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    return ref_hash(ref)
