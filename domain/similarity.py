"""How alike are two customers, and why? A score between 0 and 1, with the reasons for and against.

Each comparison (names, e-mail addresses, telephone numbers, birthdays, addresses, customer numbers) gives at most one
reason with a weight in bits: how many times more often it is seen between two records of one person than between two
people who share a block, as a power of two (Fellegi and Sunter, 1969). The weights add up to the score, from which
the odds against any two who share a block are taken first. `domain/blocking.py` says who is compared at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from rapidfuzz.distance import OSA

__all__ = [
    "MOST_VALUES",
    "REASONS",
    "Address",
    "Email",
    "Likeness",
    "Name",
    "Reason",
    "Summary",
    "likeness",
    "summary",
]

MOST_VALUES: Final = 8
"""Most values of one field that are compared, the newest or, of identifiers, the first in order."""

_AGAINST_TWO: Final = 5.5
"""Bits against two people who share no more than a block."""


class Name(NamedTuple):
    """One name, folded. tokens: all of its words, sorted."""

    given: str
    family: str
    tokens: tuple[str, ...]

    @property
    def telling(self) -> bool:
        """It says more than a given name does. Some scripts put no blank between names."""
        return len(self.tokens) > 1 or not self.tokens[0].isascii()


class Email(NamedTuple):
    """One e-mail address. bare: its local part without a tag, dots and dashes; words: those that it is made of."""

    local: str
    host: str
    bare: str
    words: tuple[str, ...]


class Address(NamedTuple):
    """One postal address, folded; "" for what is not known."""

    postcode: str
    street: str


class Summary(NamedTuple):
    """What is known of a customer, folded, each sorted and without repeats. numbers: (namespace, customer number)."""

    names: tuple[Name, ...] = ()
    emails: tuple[Email, ...] = ()
    phones: tuple[str, ...] = ()
    birthdays: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    numbers: tuple[tuple[str, str], ...] = ()


class Reason(NamedTuple):
    """One reason, by its code in `REASONS`, and its weight in bits: positive for one person, negative against."""

    code: str
    weight: float


class Likeness(NamedTuple):
    """score: between 0 and 1. reasons: the weightiest first."""

    score: float
    reasons: tuple[Reason, ...]


class _Meaning(NamedTuple):
    weight: float
    words: str


_MEANINGS: Final = {
    "name-same": _Meaning(6.0, "same name"),
    "name-alike": _Meaning(5.0, "names differ by a letter or so"),
    "name-initial": _Meaning(
        3.5, "same family name, and the given name is an initial or a short form of the other's"
    ),
    "name-within": _Meaning(3.5, "one name holds all words of the other"),
    "name-in-email": _Meaning(4.0, "the e-mail address of one spells the name of the other"),
    "family-same": _Meaning(-2.5, "same family name, different given names"),
    "name-differs": _Meaning(-5.0, "different names"),
    "email-same": _Meaning(8.0, "same e-mail address"),
    "email-spelled": _Meaning(7.0, "same mailbox, with other dots or another tag"),
    "email-one-letter": _Meaning(6.5, "e-mail addresses differ by one letter"),
    "email-two-letters": _Meaning(2.5, "e-mail addresses differ by two letters"),
    "email-host": _Meaning(2.5, "same e-mail address at another provider"),
    "phone-same": _Meaning(6.0, "same telephone number"),
    "phone-end": _Meaning(4.5, "telephone numbers end alike"),
    "phone-one-digit": _Meaning(2.5, "telephone numbers differ by one digit"),
    "birthday-same": _Meaning(4.5, "same birthday"),
    "birthday-alike": _Meaning(2.0, "birthdays differ by one digit, or by day and month swapped"),
    "birthday-differs": _Meaning(-6.0, "different birthdays"),
    "address-same": _Meaning(4.5, "same postcode and street"),
    "postcode-same": _Meaning(3.0, "same postcode"),
    "address-differs": _Meaning(-1.0, "different postcodes"),
    "numbers-differ": _Meaning(-2.0, "each has a customer number of its own"),
}

REASONS: Final[Mapping[str, str]] = {code: meaning.words for code, meaning in _MEANINGS.items()}
"""What each code says, in words."""

_ONE_NAME: Final = frozenset({"name-same", "name-alike", "name-initial", "name-within", "name-in-email"})
_OTHER_NAME: Final = frozenset({"family-same", "name-differs"})
_HOUSEHOLD: Final = frozenset(
    "phone-same phone-end phone-one-digit address-same postcode-same "
    "email-same email-spelled email-one-letter".split()
)
"""What people of one household share; where names or numbers tell them apart, it says that they live together."""
_SPELLED: Final = frozenset({"name-same", "name-alike", "name-in-email"})
"""An address that is made of the name says the name once more, and hardly anything else."""

_TITLES: Final = frozenset("mr mrs ms miss mx dr prof sir dame lady lord herr frau mme mlle jr sr".split())
_LETTERS: Final = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe"})
_WORD: Final = re.compile(r"[^\W\d_]+")
_APOSTROPHES: Final = re.compile("['`\u2019]")
_NO_WORD: Final = re.compile(r"[\W_]+")
_DIGITS: Final = re.compile(r"\D")
_ENOUGH_PHONE: Final = 7
_ENOUGH_EMAIL: Final = 6


def summary(identifiers: Iterable[tuple[str, str, str]], claims: Iterable[Mapping[str, Any]]) -> Summary:
    """What is known of a customer. identifiers: (kind, namespace, value), normalised, none that many share. claims:
    fields of `profile.updated` (see there), newest first; null clears what older ones say. In whatever form a claim
    comes, nothing is raised: what cannot be understood is left out."""
    told = list(claims)
    whole = [_name(value) for value in _values(told, "name")]
    given = next(iter(_values(told, "given_name")), "")
    parts = [_name(f"{family}, {given}") for family in _values(told, "family_name")]
    found = sorted(set(identifiers))
    numbers = [(namespace, value) for kind, namespace, value in found if kind == "customer_no"]
    return Summary(
        _first([name for name in [*whole, *parts] if name.tokens]),
        _first([_email(value) for kind, _, value in found if kind == "email" and "@" in value]),
        _first([value for kind, _, value in found if kind == "phone"]),
        tuple([value[:10] for value in _values(told, "birthday")[:1]]),
        _first([one for one in map(_address, _values(told, "address", dict)) if one.postcode]),
        _first(numbers),
    )


def likeness(one: Summary, other: Summary) -> Likeness:
    """How alike two customers are. Symmetric, and the order of what is known plays no part."""
    codes = [
        _names(one, other),
        _emails(one, other),
        _phones(one, other),
        _birthdays(one, other),
        _addresses(one, other),
        _numbers(one, other),
    ]
    reasons = [Reason(code, _weight(code, codes)) for code in codes if code]
    reasons.sort(key=lambda reason: (-abs(reason.weight), reason.code))
    bits = sum(reason.weight for reason in reasons) - _AGAINST_TWO
    return Likeness(round(1 / (1 + 2.0**-bits), 4), tuple(reasons))


def _weight(code: str, codes: list[str]) -> float:
    """A reason's weight beside the others, of which some say the same thing once more."""
    weight, name = _MEANINGS[code].weight, codes[0]
    apart = name in _OTHER_NAME or (name not in _ONE_NAME and "numbers-differ" in codes)
    if apart and code in _HOUSEHOLD:
        return weight / 4
    return weight / 2 if code == "email-host" and name in _SPELLED else weight


def _values(claims: list[Mapping[str, Any]], field: str, kind: type = str) -> list[Any]:
    """What claims, newest first, say of a field until it was cleared, each once."""
    found: list[Any] = []
    for fields in claims:
        if field not in fields:
            continue
        value = fields[field]
        if value is None:
            break
        if isinstance(value, kind) and value not in found:
            found.append(value)
    return found[:MOST_VALUES]


def _first(values: list[Any]) -> tuple[Any, ...]:
    return tuple(sorted(set(values))[:MOST_VALUES])


def _fold(text: str) -> str:
    """Without case, accents and apostrophes; letters that no accent made stand for the ones they look like."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return _APOSTROPHES.sub("", kept.translate(_LETTERS))


@lru_cache(maxsize=16_384)
def _name(text: str) -> Name:
    """`Given Family`, or `Family, Given`."""
    before, comma, after = _fold(text[:200]).partition(",")
    given, family = (_words(after), _words(before)) if comma else (_words(before)[:-1], _words(before)[-1:])
    return Name(" ".join(given), " ".join(family), tuple(sorted({*given, *family})))


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text) if word not in _TITLES]


@lru_cache(maxsize=16_384)
def _email(value: str) -> Email:
    local, _, host = value.rpartition("@")
    untagged = local.partition("+")[0] or local
    return Email(local, host, _NO_WORD.sub("", untagged), tuple(sorted(set(_WORD.findall(_fold(untagged))))))


def _address(value: Mapping[str, Any]) -> Address:
    postcode, street = (str(value.get(field) or "")[:200] for field in ("postcode", "street"))
    return Address(_NO_WORD.sub("", _fold(postcode)), " ".join(sorted(_NO_WORD.sub(" ", _fold(street)).split())))


def _best(codes: Iterable[str]) -> str:
    """The weightiest of these codes, ties by code; "" where there is none, or nothing speaks for or against."""
    return max(codes, key=lambda code: (_MEANINGS[code].weight if code else 0.0, code), default="")


def _names(one: Summary, other: Summary) -> str:
    if one.names and other.names:
        return _best(_name_pair(a, b) for a in one.names for b in other.names)
    # A guest has no name, but an address that often is one.
    named, guest = (one, other) if one.names else (other, one)
    spelled = {email.words for email in guest.emails if len(email.words) > 1}
    return "name-in-email" if spelled & {name.tokens for name in named.names} else ""


def _name_pair(a: Name, b: Name) -> str:
    if not a.telling or not b.telling:
        return "" if {*a.tokens} & {*b.tokens} else "name-differs"
    if a.tokens == b.tokens:
        return "name-same"
    few, many = sorted((a.tokens, b.tokens), key=len)
    if set(few) < set(many):
        return "name-within"
    short, long = sorted((a.given, b.given), key=len)
    if a.family == b.family and long.startswith(short):
        return "name-initial"
    if _slips((a.given, a.family), (b.given, b.family)) or _slips(few, many):
        return "name-alike"
    return "family-same" if a.family == b.family else "name-differs"


def _slips(a: Sequence[str], b: Sequence[str]) -> bool:
    """Word by word the same, but for slips."""
    return len(a) == len(b) and all(map(_nearly, a, b))


def _nearly(a: str, b: str) -> bool:
    """The same word but for a letter, of long words two; of a short one a letter makes another (Tim, Tom)."""
    shorter = min(len(a), len(b))
    most = 2 if shorter >= 8 else 1 if shorter >= 4 else 0
    return int(OSA.distance(a, b, score_cutoff=most)) <= most


def _emails(one: Summary, other: Summary) -> str:
    return _best(_email_pair(a, b) for a in one.emails for b in other.emails)


def _email_pair(a: Email, b: Email) -> str:
    if a == b:
        return "email-same"
    if a.host == b.host and a.bare == b.bare:
        return "email-spelled"
    if min(len(a.local), len(b.local)) < _ENOUGH_EMAIL:
        return ""
    if a.bare == b.bare and OSA.distance(a.host, b.host, score_cutoff=1) > 1:
        return "email-host"
    # A figure at the end (anna1, anna2) tells people apart, and is no slip.
    if _DIGITS.sub("", a.local) != _DIGITS.sub("", b.local):
        return ""
    apart = OSA.distance(f"{a.local}@{a.host}", f"{b.local}@{b.host}", score_cutoff=2)
    return {1: "email-one-letter", 2: "email-two-letters"}.get(apart, "")


def _phones(one: Summary, other: Summary) -> str:
    return _best(_phone_pair(a, b) for a in one.phones for b in other.phones)


def _phone_pair(a: str, b: str) -> str:
    if a == b:
        return "phone-same"
    a, b = _DIGITS.sub("", a), _DIGITS.sub("", b)
    if min(len(a), len(b)) < _ENOUGH_PHONE:
        return ""
    if a[-_ENOUGH_PHONE:] == b[-_ENOUGH_PHONE:]:
        return "phone-end"
    return "phone-one-digit" if len(a) == len(b) and OSA.distance(a, b, score_cutoff=1) == 1 else ""


def _birthdays(one: Summary, other: Summary) -> str:
    return _best(_birthday_pair(a, b) for a in one.birthdays for b in other.birthdays)


def _birthday_pair(a: str, b: str) -> str:
    if a == b:
        return "birthday-same"
    swapped = a[:5] + b[8:10] + "-" + b[5:7] == a and a[:4] == b[:4]
    return "birthday-alike" if swapped or OSA.distance(a, b, score_cutoff=1) == 1 else "birthday-differs"


def _addresses(one: Summary, other: Summary) -> str:
    return _best(_address_pair(a, b) for a in one.addresses for b in other.addresses)


def _address_pair(a: Address, b: Address) -> str:
    if a.postcode != b.postcode:
        return "address-differs"
    if not a.street or not b.street or _DIGITS.sub("", a.street) != _DIGITS.sub("", b.street):
        return "postcode-same"
    return "address-same" if OSA.distance(a.street, b.street, score_cutoff=2) <= 2 else "postcode-same"


def _numbers(one: Summary, other: Summary) -> str:
    """Against one person: each has a number where the other has another one."""
    namespaces = {namespace for namespace, _ in one.numbers} & {namespace for namespace, _ in other.numbers}
    both = set(one.numbers) & set(other.numbers)
    return "numbers-differ" if namespaces and not both else ""
