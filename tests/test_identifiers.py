"""Which spellings are one identifier, which stay two, and which are nobody's?"""

# ruff: noqa: RUF001 - look-alikes are what this is about

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.identifiers import KINDS, normalise, priority

SAME = [
    (
        "email",
        "anna@example.org",
        "Anna@Example.ORG",
        "anna@example.org.",
        " anna@example.org\t",
        "<anna@example.org>",
    ),
    ("email", "anna@example.org", "mailto:anna@example.org", "MAILTO:Anna@example.org", "Anna S. <anna@example.org>"),
    ("email", "anna@example.org", "ａｎｎａ@example.org", "anna\u200b@example.org", "\ufeffanna@example.org"),
    ("email", "jos\u00e9@example.org", "jose\u0301@example.org", "JOSÉ@example.org", "jose\u200d\u0301@example.org"),
    ("phone", "+442079460958", "020 7946 0958", "+44 (0)20 7946-0958", "tel:+44-20-7946-0958", "0044 20 7946 0958"),
    ("phone", "+442079460958", "０２０ ７９４６ ０９５８", "٠٢٠ ٧٩٤٦ ٠٩٥٨"),
    ("phone", "+442079460958;ext=12", "020 7946 0958 ext. 12", "020 7946 0958 x12"),
    ("customer_no", "c-17850", "C-17850", "Ｃ-17850", " c-17850 "),
    ("external", "a b", "A  B", "a\u00a0b", "a\nb"),
    ("social", "anna", "@anna", "@Anna"),
    ("device", "ab-12", "AB-12"),
]
APART = [
    ("email", "anna@example.org", "аnna@example.org"),  # the second begins with a Cyrillic letter
    ("email", "anna@example.org", "anna@example.com"),
    ("email", "anna@example.org", "anna+shop@example.org"),
    ("email", "a.nna@example.org", "anna@example.org"),
    ("phone", "020 7946 0958", "020 7946 0959"),
    ("phone", "020 7946 0958 ext 1", "020 7946 0958 ext 2"),
    ("phone", "020 7946 0958 ext 1", "020 7946 0958"),
    ("phone", "+1 202 555 0100", "+44 202 555 0100"),
    ("customer_no", "17850", "17850.0"),
    ("customer_no", "17850", "017850"),
    ("cookie", "aB3", "ab3"),
]
BLOCKED = [
    *["", " ", "\t\n", "\u200b", "null", "NULL", "None", "nil", "nan", "NaN", "undefined", "anonymous", "Anonymous"],
    *[
        "guest",
        "test",
        "unknown",
        "n/a",
        "[object Object]",
        "0",
        "00000",
        "0.0",
        "-",
        "---",
        "?",
        "false",
        "ｎｕｌｌ",
    ],
    *["00000000-0000-0000-0000-000000000000", "n\u200bull", "ｎｕｌｌ"],
]


@pytest.mark.parametrize("spellings", SAME, ids=lambda one: f"{one[0]} {one[1]}")
def test_spellings_of_one_identifier_are_one(spellings: tuple[str, ...]) -> None:
    kind, expected, *others = spellings
    assert {normalise(kind, other) for other in (expected, *others)} == {expected}


@pytest.mark.parametrize(("kind", "one", "other"), APART)
def test_what_may_be_two_people_stays_apart(kind: str, one: str, other: str) -> None:
    assert normalise(kind, one) != normalise(kind, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", BLOCKED, ids=ascii)
def test_a_value_that_is_nobodys_is_blocked_for_every_kind(kind: str, value: str) -> None:
    assert normalise(kind, value) is None


@pytest.mark.parametrize(
    "value",
    [
        "noreply@example.org",
        "No-Reply@example.org",
        "test@x.org",
        "@example.org",
        "anna@",
        "null@null",
        "<>",
        "mailto:",
    ],
)
def test_a_mailbox_that_is_nobodys_is_blocked(value: str) -> None:
    assert normalise("email", value) is None


def test_a_number_of_zeros_behind_a_country_code_is_blocked() -> None:
    assert normalise("phone", "+44 0000 000000") is None


def test_a_phone_number_without_country_is_read_in_the_region() -> None:
    assert normalise("phone", "030 901820", "DE") == "+4930901820"
    assert normalise("phone", "(202) 555-0100", "US") == "+12025550100"
    assert normalise("phone", "+49 30 901820", "GB") == "+4930901820"


def test_what_is_no_phone_number_is_kept_without_its_ornaments() -> None:
    assert normalise("phone", "Reception (Desk)") == "receptiondesk"


def test_kinds_rank_as_the_design_has_them() -> None:
    assert KINDS == ("customer_no", "external", "email", "phone", "social", "device", "cookie")
    assert [priority(kind) for kind in KINDS] == list(range(7))


_values = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"[ +0-9().\-/x;exttel:]{0,25}", fullmatch=True),
    st.from_regex(r"\+?[0-9 ()/-]{5,16}( ?(ext|x|#)\.? ?[0-9]{1,5})?", fullmatch=True),
    st.from_regex(r"[Mmailto: <>@A-Zbß.İ]{0,20}", fullmatch=True),
)


@settings(max_examples=800, deadline=None)
@example("phone", "00000000001")
@given(st.sampled_from(KINDS), _values)
def test_normalising_twice_changes_nothing(kind: str, value: str) -> None:
    once = normalise(kind, value)
    assert once is None or (once and normalise(kind, once) == once)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([kind for kind in KINDS if kind != "cookie"]), st.text(max_size=30))
def test_case_and_composition_make_no_difference(kind: str, value: str) -> None:
    folded = unicodedata.normalize("NFKC", value)
    if folded.casefold() == folded.upper().casefold():
        assert normalise(kind, folded) == normalise(kind, folded.upper())
    assert normalise(kind, value) == normalise(kind, unicodedata.normalize("NFD", value))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unit", ["(", "1", "<", " <", "+", "٠", "ﷺ", "1x", "; ext"], ids=ascii)
@pytest.mark.timeout(20)
def test_no_value_is_too_long_to_be_read(kind: str, unit: str) -> None:
    once = normalise(kind, unit * (1000 // len(unit)))
    assert once is None or normalise(kind, once) == once
