"""Which customers are worth comparing? Those that share a key; comparing all with all would never end.

Each customer has several keys, made so that one slip (a typed letter, a word left out, another provider) leaves at
least one of them alone. Keys are personal text: they are hashed before they are written down anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from domain.similarity import Email, Name, Summary

__all__ = ["keys_of"]

_OFFICES: Final = frozenset(
    "admin accounts billing buero contact customerservice enquiries hello help hr info invoices kontakt mail "
    "marketing office orders post reception sales service shop staff support team web webmaster".split()
)
_ENOUGH: Final = 4
_PHONE_END: Final = 7
_ALIKE: Final = str.maketrans("ckqgjsxzvfbpdtmnlr", "222222222111133445")
_FIRST: Final = str.maketrans("kqzv", "ccsf")
_SILENT: Final = frozenset("aeiouyhw")


def keys_of(known: Summary) -> frozenset[str]:
    """The keys of a customer; who shares one of them with another is compared with that one."""
    found: set[str] = set()
    for name in known.names:
        found.update(_of_name(name, known))
    for email in known.emails:
        found.update(_of_email(email))
    for phone in known.phones:
        digits = "".join(c for c in phone if c.isdigit())
        if len(digits) >= _PHONE_END:
            found.add(f"phone {digits[-_PHONE_END:]}")
    return frozenset(found)


def _of_name(name: Name, known: Summary) -> Iterator[str]:
    if name.telling:
        yield "name " + " ".join(name.tokens)
        yield "sound " + " ".join(sorted(map(_sound, name.tokens)))
    family = _sound(name.family.replace(" ", ""))
    for address in known.addresses:
        yield f"place {family} {address.postcode}"
    for birthday in known.birthdays:
        yield f"born {birthday} {family[:1]}"
        if name.given:
            yield f"born {birthday[:4]} {_sound(name.given)} {family}"


def _of_email(email: Email) -> Iterator[str]:
    if email.bare in _OFFICES or len(email.bare) < _ENOUGH:
        # Everybody's info@ is nobody's name; the address itself may still be that of two.
        yield f"mail {email.local}@{email.host}"
        return
    yield f"mail {email.bare}"
    if len(email.words) > 1:
        yield "name " + " ".join(email.words)
    # One slip leaves either the first or the second half alone, wherever it makes the middle fall.
    for half in {len(email.bare) // 2, (len(email.bare) - 1) // 2}:
        if half >= _ENOUGH:
            yield f"begins {email.bare[:half]}"
            yield f"ends {email.bare[-half:]}"


def _sound(word: str) -> str:
    """What a word sounds like: its first letter and the groups of the consonants after it, in the manner of Soundex.
    A word of another script stays as it is."""
    if not word.isascii():
        return word
    word = word.replace("ph", "f")
    groups = [group for group, _ in groupby(word.translate(_ALIKE))]
    return word[:1].translate(_FIRST) + "".join(group for group in groups[1:] if group not in _SILENT)
