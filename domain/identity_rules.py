"""By which rules are identifiers made into customers? Their defaults, and how a deployment changes them.

    [limits]                    # how many identifiers of a kind one customer may have, per namespace
    customer_no = 1
    [shared]                    # beside more than this many of a kind, a weaker identifier links nobody
    customer_no = 3
    external = 3
    email = 5
    [star]                      # a component larger than this is resolved by a star
    nodes = 1000
    links = 20000
    [blocked.words]             # values that identify nobody, beside those of domain/identifiers.py
    email = ["office@example.com"]
    [blocked.patterns]          # the same by regular expressions, over the whole of the normalised value
    cookie = ["bot-.*"]

These are the defaults (but `blocked`, which is empty). A table that stands in the file replaces the default one
whole. docs/identity.md says what each rule does and why.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from domain.errors import Misconfigured
from domain.identifiers import KINDS, Identifier, normalise

__all__ = ["MOST", "Blocked", "Rules", "read_rules"]

MOST = 1000
"""Highest limit or threshold of a kind: what is counted up to it is kept with each node."""
_STAR = (2, 10_000_000)
_WORDS, _PATTERNS, _LENGTH, _REPEATS = 10_000, 100, 200, 3
_TABLES = {"limits", "shared", "star", "blocked"}


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of resolution.

    `limits`: how many identifiers of a kind one customer may have, counted per (kind, namespace).
    `shared`: an identifier that stood beside more than this many of a (stronger) kind links nobody any more.
    `star_nodes`, `star_links`: a component with more nodes or links than this is resolved by a star.
    `ignored`: hashes of identifiers that link nobody, whatever stood beside them, and that are nobody's number.
    """

    limits: Mapping[str, int] = field(default_factory=lambda: {"customer_no": 1})
    shared: Mapping[str, int] = field(default_factory=lambda: {"customer_no": 3, "external": 3, "email": 5})
    star_nodes: int = 1000
    star_links: int = 20_000
    ignored: frozenset[UUID] = frozenset()

    def ignoring(self, nodes: Collection[UUID]) -> Rules:
        """These rules, with just these nodes ignored."""
        return replace(self, ignored=frozenset(nodes))

    def to_json(self) -> dict[str, object]:
        """As plain JSON; equal rules give equal JSON."""
        return {
            "limits": dict(sorted(self.limits.items())),
            "shared": dict(sorted(self.shared.items())),
            "star": {"nodes": self.star_nodes, "links": self.star_links},
            "ignored": sorted(node.hex for node in self.ignored),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, object]) -> Rules:
        """What `to_json` gave. Raises Misconfigured for anything else."""
        rest = {key: value for key, value in told.items() if key != "ignored"}
        ignored = told.get("ignored", [])
        try:
            nodes = [UUID(hex=str(node)) for node in ignored] if isinstance(ignored, list) else None
        except ValueError:
            nodes = None
        if nodes is None or "blocked" in rest:
            raise Misconfigured(
                "The stored identity rules cannot be read. Rebuild the read models: storyline rebuild."
            )
        return _rules(rest).ignoring(nodes)


class Blocked:
    """Values that identify nobody, beyond those that `domain.identifiers.normalise` refuses everywhere."""

    def __init__(
        self,
        words: Mapping[str, Collection[str]] | None = None,
        patterns: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        """`words`: normalised values by kind. `patterns`: regular expressions by kind. Raises re.error."""
        self.words = {kind: frozenset(values) for kind, values in (words or {}).items()}
        self._patterns = {
            kind: re.compile("|".join(f"(?:{one})" for one in given))
            for kind, given in (patterns or {}).items()
            if given
        }

    def __bool__(self) -> bool:
        return bool(self.words or self._patterns)

    def blocks(self, kind: str, value: str) -> bool:
        """Whether a normalised value identifies nobody, in whatever namespace. Patterns see short values alone."""
        if value in self.words.get(kind, ()):
            return True
        pattern = self._patterns.get(kind)
        return pattern is not None and len(value) <= _LENGTH and pattern.fullmatch(value) is not None

    def identifiers(self, namespaces: Mapping[str, Collection[str]] | None = None) -> Iterator[Identifier]:
        """Each blocked word as an identifier: without a namespace and in each of its kind's `namespaces`.

        Their tokens are for `Rules.ignored`, so that the words stop linking in the history that is there already.
        Patterns cannot be found again behind a hash: they hold for what comes from now on.
        """
        for kind, words in sorted(self.words.items()):
            for namespace in sorted({"", *(namespaces or {}).get(kind, ())}):
                for word in sorted(words):
                    yield Identifier(kind, word, namespace)


def read_rules(text: str, region: str = "GB") -> tuple[Rules, Blocked]:
    """The rules in a TOML file. `region`: see `domain.identifiers.normalise`.

    Raises Misconfigured, which names the key and the way out.
    """
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as trouble:
        raise Misconfigured(f"The identity rules are no TOML ({trouble}). See docs/identity.md.") from None
    blocked = _table(told.pop("blocked", {}), "blocked")
    return _rules(told), _blocked(blocked, region)


def _rules(told: Mapping[str, object]) -> Rules:
    _only(told, _TABLES, "")
    given: dict[str, object] = {}
    for name in ("limits", "shared"):
        if name in told:
            table = _table(told[name], name)
            _only(table, KINDS, f"{name}.")
            given[name] = {kind: _count(value, f"{name}.{kind}", 1, MOST) for kind, value in table.items()}
    star = _table(told.get("star", {}), "star")
    _only(star, ("nodes", "links"), "star.")
    given |= {f"star_{name}": _count(value, f"star.{name}", *_STAR) for name, value in star.items()}
    return replace(Rules(), **given)  # type: ignore[arg-type]  # each was made for its field


def _blocked(told: Mapping[str, object], region: str) -> Blocked:
    _only(told, ("words", "patterns"), "blocked.")
    words: dict[str, set[str]] = {}
    for kind, given in _lists(told.get("words", {}), "blocked.words", _WORDS):
        spelled = {normalise(kind, word, region) for word in given}
        words[kind] = {word for word in spelled if word is not None}  # None: blocked everywhere as it is
    patterns: dict[str, list[str]] = {}
    for kind, given in _lists(told.get("patterns", {}), "blocked.patterns", _PATTERNS):
        for place, pattern in enumerate(given):
            _check_pattern(pattern, f"blocked.patterns.{kind}[{place}]")
        patterns[kind] = given
    return Blocked(words, patterns)


def _check_pattern(pattern: str, key: str) -> None:
    try:
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as trouble:
        raise _wrong(
            key, f"is no regular expression ({trouble})", "Mend it; Python's re says what it may hold."
        ) from None
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "x", re.sub(r"\\.", "x", pattern))
    if re.search(r"\)[*+{]", bare) or len(re.findall(r"[*+{]", bare)) > _REPEATS:
        # Repeats within repeats let a crafted value hold up the door for hours.
        raise _wrong(key, "repeats too much", f"Use at most {_REPEATS} of * + {{}}, and none after a group.")
    if found.groupindex or found.flags & ~re.UNICODE or re.search(r"\\[1-9]", pattern):
        raise _wrong(key, "has named groups, flags or back references", "Write it without: (?:…) groups.")
    if found.fullmatch(""):
        raise _wrong(key, "matches the empty value", "Write what it blocks; blank values are blocked anyway.")


def _lists(told: object, key: str, most: int) -> Iterator[tuple[str, list[str]]]:
    table = _table(told, key)
    _only(table, KINDS, f"{key}.")
    for kind, given in table.items():
        if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
            raise _wrong(f"{key}.{kind}", "is no list of strings", 'Write them like ["one", "two"].')
        if len(given) > most or any(len(one) > _LENGTH for one in given):
            raise _wrong(
                f"{key}.{kind}", "is too long", f"Write at most {most}, each of at most {_LENGTH} characters."
            )
        yield kind, given


def _table(told: object, key: str) -> Mapping[str, object]:
    if not isinstance(told, dict):
        raise _wrong(key, "is no table", f"Write [{key}] and its keys below it.")
    return told


def _only(told: Mapping[str, object], known: Collection[str], before: str) -> None:
    for key in told:
        if key not in known:
            raise _wrong(f"{before}{key}", "is unknown", f"Known here: {', '.join(sorted(known))}.")


def _count(value: object, key: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _wrong(key, "is no fitting number", f"Write a whole number from {least} to {most}.")
    return value


def _wrong(key: str, trouble: str, way_out: str) -> Misconfigured:
    return Misconfigured(f"Identity rules: {key} {trouble}. {way_out} See docs/identity.md.")
