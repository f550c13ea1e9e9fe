"""Whose words are scored, and as which language? What customers wrote themselves, and only what may be English."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.catalogue import load_catalogue
from domain.catalogue.base import PUBLIC
from domain.catalogue.registry import BuiltIn
from domain.moods import LONGEST, TEXTS, language_of, own_words, scorable, texts_of


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The delivery was late and nobody answered my calls.", "en"),
        ("I\u2019m not happy with this at all", "en"),
        ("Ich bin sehr unzufrieden, die Lieferung ist nicht angekommen", "de"),
        ("Je ne suis pas content du service", "fr"),
        ("El pedido no llegó y estoy muy enfadado con la tienda", "es"),
        ("La consegna non è arrivata e sono molto deluso", "it"),
        ("De bestelling is niet aangekomen en ik ben niet blij", "nl"),
        ("O pedido não chegou e estou muito triste com a loja", "pt"),
        ("Спасибо большое, всё хорошо", "und-Cyrl"),
        ("ありがとうございました", "ja"),
        ("고맙습니다", "ko"),
        ("great!!", None),
        ("", None),
        ("12345 / 678", None),
    ],
)
def test_a_language_is_told_where_it_can_be_told(text: str, code: str | None) -> None:
    language = language_of(text)
    assert language.code == code
    assert 0 < language.certainty <= 1
    assert scorable(language) == (code in (None, "en"))


def test_an_answer_is_read_without_what_it_quotes() -> None:
    mail = (
        "Thanks, that helped!\n\nOn Mon, 2 Mar 2026 at 10:00, Desk <desk@example.org> wrote:\n> We are terribly sorry"
    )
    assert own_words(mail) == "Thanks, that helped!"
    assert own_words("> your words\nmine") == "mine"
    assert own_words("-----Original Message-----\nforwarded") != ""


def test_automatic_answers_and_filled_in_fields_are_nobodys_words() -> None:
    assert texts_of("email.received", {"subject": "Away", "text": "I am away", "automatic": True}) == ""
    answers = {"name": "Ann Smith", "phone": "020 7946 0000", "message": "I love your shop"}
    assert texts_of("form.submitted", {"answers": answers}) == "I love your shop"
    assert texts_of("email.sent", {"text": "ours"}) == ""


@pytest.mark.parametrize("type", TEXTS)
def test_every_field_that_is_read_is_a_personal_one_of_its_type(type: str) -> None:
    known = load_catalogue().get(type)
    assert isinstance(known, BuiltIn)
    for name in TEXTS[type]:
        assert PUBLIC not in known.model.model_fields[name].metadata


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_has_own_words_and_at_most_one_language(text: str) -> None:
    words = own_words(text)
    assert len(words) <= LONGEST
    assert own_words(words) == words or ">" in words or "|" in words or "\n" in words
    assert Decimal(0) <= language_of(words).certainty <= 1
