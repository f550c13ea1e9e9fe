"""What do identifiers look like in real systems, and whose are they in truth? Any number of people, any dirt.

A *contact* is what a channel would say of one meeting: when, and by which identifiers; the person is what no channel
knows. Clean contacts still leave most identifiers out: a visit has a cookie alone, a call a number alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from adapters.sample.chance import Chance
from domain.identifiers import Identifier

__all__ = ["CLEAN", "DIRTY", "Contact", "Dirt", "contacts"]

_FIRST: Final = datetime(2025, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2025, 12, 30, tzinfo=UTC)
_HALF: Final = _FIRST + timedelta(days=180)
_HOSTS: Final = ("example.com", "example.org", "example.net")
_NOBODY: Final = ("null", "N/A", "none", "", "undefined", "guest", "0", "[object Object]")
_NO_ADDRESS: Final = ("noemail@example.com", "x@example.com", "unknown.customer@example.com")
_SYLLABLES: Final = (
    "an",
    "bel",
    "cor",
    "da",
    "el",
    "fin",
    "gra",
    "hol",
    "is",
    "jo",
    "ka",
    "lu",
    "mar",
    "no",
    "ro",
    "ta",
)


@dataclass(frozen=True, slots=True)
class Dirt:
    """How often each thing goes wrong: shares from 0 to 1; each says of what."""

    typos: float = 0
    """of addresses that somebody types in: one character is another one, or lost"""
    addresses: float = 0
    """of people: they use two or three e-mail addresses in turn"""
    families: float = 0
    """of people: they live with one to three others and share the telephone, some also address or browser"""
    recycled: float = 0
    """of people: their telephone number belongs to somebody else from July on"""
    switchboards: float = 0
    """of people: five to thirty colleagues call from one number"""
    kiosks: float = 0
    """of contacts: through a terminal in a shop, with one cookie for all its visitors"""
    blanks: float = 0
    """of identifiers: a value such as `null`; of addresses also what staff type where one must stand"""
    slips: float = 0
    """of calls: an agent files it under somebody else's customer number"""

    def only(self, name: str) -> Dirt:
        """This one kind of dirt alone."""
        return replace(CLEAN, **{name: getattr(self, name)})


CLEAN: Final = Dirt()
DIRTY: Final = Dirt(
    typos=0.02, addresses=0.2, families=0.2, recycled=0.03, switchboards=0.05, kiosks=0.03, blanks=0.03, slips=0.005
)


class Contact(NamedTuple):
    """One meeting: the number of the person, which only this file knows, and what the channel says."""

    person: int
    at: datetime
    who: tuple[Identifier, ...]


@dataclass(slots=True)
class _Person:
    number: int
    customer_no: str
    emails: list[str]
    phone: str
    cookies: list[str]
    device: str
    heirs_phone: str = ""
    family: list[int] = field(default_factory=list)


def contacts(seed: int, people: int, dirt: Dirt = CLEAN) -> list[Contact]:
    """All contacts of a year by time: 3 to 15 for each of `people`. One in five never has a customer number."""
    chance = Chance(f"dirty {seed}")
    known = [_person(chance, number, dirt) for number in range(people)]
    _share(chance, known, dirt)
    told = [one for person in known for one in _year(Chance(f"dirty {seed} {person.number}"), person, known, dirt)]
    return sorted(told, key=lambda one: (one.at, one.person))


def _person(chance: Chance, number: int, dirt: Dirt) -> _Person:
    guest, several = chance.once_in(5), _happens(chance, dirt.addresses)
    name = "".join(chance.of(_SYLLABLES) for _ in range(3)) + "." + "".join(chance.of(_SYLLABLES) for _ in range(2))
    spare = chance.between(1, 2)
    return _Person(
        number=number,
        customer_no="" if guest else f"K-{100_000 + number}",
        emails=[f"{name}{number}{'+' * at}@{chance.of(_HOSTS)}" for at in range(1 + spare if several else 1)],
        phone=_phone(number),
        cookies=[_hex(chance) for _ in range(chance.between(1, 3))],
        device=_hex(chance),
    )


def _share(chance: Chance, people: list[_Person], dirt: Dirt) -> None:
    """Families, switchboards and numbers that pass from one to another."""
    place = 0
    while place < len(people):
        size = chance.between(2, 4)
        if _happens(chance, dirt.families / 3):  # three people on average
            first, home, browser = people[place], chance.once_in(4), chance.once_in(3)
            for other in people[place + 1 : place + size]:
                other.phone = first.phone
                other.emails = [*other.emails, first.emails[0]] if home else other.emails
                other.cookies = [*other.cookies, first.cookies[0]] if browser else other.cookies
            place += size
            continue
        if _happens(chance, dirt.switchboards / 17):  # 17 people on average
            size = chance.between(5, 30)
            for other in people[place : place + size]:
                other.phone = people[place].phone
            place += size
            continue
        if place and _happens(chance, dirt.recycled):
            people[place - 1].heirs_phone = _phone(len(people) + place)  # what its owner has from then on
            people[place].heirs_phone = people[place - 1].phone
        place += 1


def _year(chance: Chance, person: _Person, people: list[_Person], dirt: Dirt) -> list[Contact]:
    first = chance.moment(_FIRST, _HALF)
    signed_up = first + timedelta(days=chance.between(0, 60))
    told = []
    for number in range(chance.between(3, 15)):
        at = first if number == 0 else chance.moment(first, _LAST)
        known = bool(person.customer_no) and at >= signed_up
        who = _contact(chance, person, at, known=known, people=people, dirt=dirt)
        told.append(Contact(person.number, at, tuple(_dirty(chance, one, dirt) for one in who)))
    if person.customer_no:
        typed = _typed(chance, chance.of(person.emails), dirt)
        who = [Identifier("customer_no", person.customer_no), Identifier("email", typed), _cookie(chance, person)]
        if chance.once_in(2):
            who.append(Identifier("phone", _spelled(chance, person.phone)))
        told.append(Contact(person.number, signed_up, tuple(who)))
    return told


def _contact(
    chance: Chance, person: _Person, at: datetime, *, known: bool, people: list[_Person], dirt: Dirt
) -> list[Identifier]:
    """What a channel says of one contact. `known`: the person has a customer number by now."""
    number = Identifier("customer_no", person.customer_no)
    phone = person.heirs_phone if person.heirs_phone and at >= _HALF else person.phone
    call = Identifier("phone", _spelled(chance, phone))
    email = Identifier("email", chance.of(person.emails))
    if _happens(chance, dirt.kiosks):
        kiosk = Identifier("cookie", f"kiosk-{person.number % 7}")
        return [number if known else email, kiosk]
    what = chance.upto(7)
    if what == 0:
        return [_cookie(chance, person)]
    if what == 1:
        return [email, _cookie(chance, person)]
    if what in {2, 3}:
        if known and _happens(chance, dirt.slips):
            return [Identifier("customer_no", chance.of(people).customer_no or person.customer_no), call]
        return [number, call] if known and what == 2 else [call]
    if what == 4 and known:
        return [number, Identifier("device", person.device)]
    if what == 5 and known:
        return [number, email]
    typed = Identifier("email", _typed(chance, email.value, dirt))
    return [number, typed, _cookie(chance, person)] if known else [typed, call, _cookie(chance, person)]


def _dirty(chance: Chance, one: Identifier, dirt: Dirt) -> Identifier:
    if not _happens(chance, dirt.blanks):
        return one
    choices = _NO_ADDRESS if one.kind == "email" and chance.once_in(3) else _NOBODY
    return one._replace(value=chance.of(choices))


def _typed(chance: Chance, email: str, dirt: Dirt) -> str:
    """An address as somebody types it."""
    local, _, host = email.partition("@")
    if _happens(chance, dirt.typos):
        at = chance.upto(len(local))
        local = local[:at] + chance.of(("", chance.of("abcdefghijklmnopqrstuvwxyz"))) + local[at + 1 :]
    return f"{local.title() if chance.once_in(5) else local}@{host}"


def _cookie(chance: Chance, person: _Person) -> Identifier:
    return Identifier("cookie", chance.of(person.cookies))


def _phone(number: int) -> str:
    return f"7700{number:06d}"


def _spelled(chance: Chance, phone: str) -> str:
    return chance.of((f"+44{phone}", f"0{phone}", f"0{phone[:4]} {phone[4:]}", f"0044 {phone}"))


def _hex(chance: Chance) -> str:
    return f"{chance.upto(2**52):016x}"


def _happens(chance: Chance, share: float) -> bool:
    return chance.fraction() < share
