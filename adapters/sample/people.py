"""Who are the customers of the sample year, and by which identifiers does each channel know them?"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from adapters.sample.chance import Chance
from adapters.sample.words import NAMES

__all__ = ["FAMILIES", "ORGANISATION", "SWITCHBOARD", "Person", "make_people"]

FAMILIES = ((11, 12), (13, 14), (15, 16), (17, 18), (19, 20))
"""Pairs that share one telephone."""

SWITCHBOARD = range(30, 36)
"""Colleagues who all call from their company's number."""

ORGANISATION = "ORG-17"

Identifier = dict[str, str]


@dataclass(frozen=True)
class Person:
    """One person, as only the sample knows them. `customer_no` is "" for someone who never signs up."""

    number: int
    name: str
    customer_no: str
    email: str
    phone: str
    cookies: tuple[str, ...]
    device: str
    organisation: str = ""

    @property
    def key(self) -> str:
        return f"person-{self.number:03d}"

    def who(self, *kinds: str) -> list[Identifier]:
        """The identifiers of these kinds; `cookie` is the first browser, `cookie2` the second."""
        values = {
            "customer_no": self.customer_no,
            "email": self.email,
            "phone": self.phone,
            "cookie": self.cookies[0],
            "cookie2": self.cookies[-1],
            "device": self.device,
        }
        return [{"kind": kind.rstrip("2"), "value": values[kind]} for kind in kinds if values[kind]]

    def all(self) -> list[Identifier]:
        """Every identifier once, in the order of the kinds' priority."""
        kinds = ["customer_no", "email", "phone", "device", "cookie"] + ["cookie2"] * (len(self.cookies) > 1)
        return self.who(*kinds)


def make_people(seed: int, number: int) -> list[Person]:
    """`number` people. Person 0 is the one whose story the demo prints; one in five never signs up."""
    return [_person(Chance(f"person {seed} {index}"), index, number) for index in range(number)]


def _person(chance: Chance, index: int, number: int) -> Person:
    name = _name(index)
    host = chance.of(("example.com", "example.org", "example.net"))
    email = f"{_ascii(name)}{index if index >= len(NAMES) else ''}@{host}"
    guest = index >= number * 4 // 5
    return Person(
        number=index,
        name=name,
        customer_no="" if guest else f"K-{10_000 + index}",
        email=email if chance.once_in(1.5) else email.title(),  # an address is one, however it is typed
        phone=_phone(index),
        cookies=tuple(_hex(chance, 20) for _ in range(chance.between(1, 2))),
        device=_hex(chance, 16),
        organisation=ORGANISATION if index in SWITCHBOARD else "",
    )


def _name(index: int) -> str:
    if index < len(NAMES):
        return NAMES[index]
    given, family = NAMES[index * 5 % len(NAMES)], NAMES[(index * 11 + index // len(NAMES)) % len(NAMES)]
    return f"{given.split()[0]} {family.split()[-1]}"


def _phone(index: int) -> str:
    """Numbers that Ofcom keeps for fiction, written in several ways."""
    if index in SWITCHBOARD:
        return "+44 20 7946 0100" if index % 2 else "020 7946 0100"
    for first, second in FAMILIES:
        if index == second:
            index = first
    return f"07700 900{index % 1000:03d}" if index % 3 else f"+44 7700 900{index % 1000:03d}"


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = "".join(c if c.isalnum() else " " for c in plain).lower().split()
    return ".".join(words) if words else f"post.{sum(map(ord, name)) % 9973}"


def _hex(chance: Chance, digits: int) -> str:
    return "".join(chance.of("0123456789abcdef") for _ in range(digits))
