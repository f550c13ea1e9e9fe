"""Is what customers say scored beside their touchpoints, once, as it counts, and of nobody who was erased?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.identifiers import Identifier
from tests.support.enriching import Enriching, enriching, survey
from tests.support.story import event
from tests.support.waiting import eventually

ANN = [{"kind": "email", "value": "ann@example.org"}]
GOOD, BAD = "The service was wonderful, I love it", "This was the worst thing that you have ever done"
GERMAN = "Ich bin sehr unzufrieden, die Lieferung ist nicht angekommen"


@pytest.fixture
def work(database: str) -> Iterator[Enriching]:
    with enriching(database) as made:
        yield made


def about(kind: str, target: str, relation: str, minute: int, content: dict[str, Any]) -> dict[str, Any]:
    """A correction of an answer, or of a correction."""
    source = "test/survey" if target.startswith("s-") else "test/desk"
    return {
        "specversion": "1.0",
        "source": "test/desk",
        "id": f"c-{minute}",
        "type": kind,
        "time": f"2026-03-02T09:{minute:02}:00Z",
        "data": {"about": [{"relation": relation, "source": source, "id": target}], "content": content},
    }


def amended(target: str, minute: int, comment: str) -> dict[str, Any]:
    right = {"survey": "spring", "score": 3, "comment": comment}
    return about("event.amended", target, "corrects", minute, {"type": "survey.answered", "content": right})


def retracted(target: str, minute: int) -> dict[str, Any]:
    return about("event.retracted", target, "retracts", minute, {})


def test_S44_what_a_customer_says_is_scored_and_stands_beside_it(work: Enriching) -> None:
    work.publish(survey(1, GOOD), survey(2, BAD))
    work.settle()
    good, bad = work.sentiments()
    assert good is not None and bad is not None
    assert good > 0.5 > -0.5 > bad
    head = work.heads()[0]
    assert head.source == "storyline/enrichment"
    assert head.public["language"] == "en"
    assert head.public["method"] == "vader-3.3.2"
    assert [one.relation for one in head.about] == ["enriches"]
    assert head.about[0].name == f"test/survey#{work.story.hasher.name('test/survey', 's-1')}"
    assert work.who() == [ANN, ANN]
    rows = work.story.rows(
        "SELECT count(*) FROM timeline.events JOIN identity.evidences USING (evidence) GROUP BY customer"
    )
    assert rows == [(4,)], "all of it is one customer's story"
    assert work.story.rows("SELECT touchpoints FROM customers.contacts") == [(2,)], "it is no contact"


def test_each_kind_of_text_is_scored_and_the_companys_own_is_not(work: Enriching) -> None:
    mail = event(1, data={"content": {"subject": "Hi", "text": GOOD}})
    chat = event(2, type="chat.message_received", data={"content": {"text": BAD}})
    call = event(3, type="call.ended", data={"content": {"direction": "in", "transcript": GOOD}})
    ours = event(4, type="email.sent", data={"content": {"subject": "Hi", "text": BAD}})
    called = event(5, type="call.ended", data={"content": {"direction": "out", "transcript": BAD}})
    note = event(6, type="note.added", data={"content": {"text": BAD}})
    away = event(7, data={"content": {"subject": "Away", "text": BAD, "automatic": True}})
    work.publish(mail, chat, call, ours, called, note, away)
    work.settle()
    assert [(one or 0) > 0 for one in work.sentiments()] == [True, False, True]
    assert work.passed("without words") == 1


def test_what_is_recognisably_not_english_has_a_language_and_no_sentiment(work: Enriching) -> None:
    work.publish(survey(1, GERMAN))
    work.settle()
    (told,) = work.told()
    assert told["language"] == "de"
    assert "sentiment" not in told


def test_what_was_put_right_is_scored_anew_and_the_later_one_counts(work: Enriching) -> None:
    work.publish(survey(1, BAD))
    work.settle()
    work.publish(amended("s-1", 1, GOOD))
    work.settle()
    first, last = work.sentiments()
    assert first is not None and last is not None
    assert first < 0 < last
    work.publish(retracted("c-1", 2))
    work.settle()
    assert work.sentiments() == [first, last, first], "the first words count again"
    assert {head.about[0].name[-32:] for head in work.heads()} == {work.story.hasher.name("test/survey", "s-1")}


def test_an_amendment_that_comes_before_what_it_puts_right_is_not_lost(work: Enriching) -> None:
    work.publish(amended("s-1", 1, GOOD))
    work.settle()
    assert work.told() == []
    work.publish(survey(1, BAD))
    work.settle()
    assert [(one or 0) > 0 for one in work.sentiments()] == [True]


def test_what_was_taken_back_is_not_scored(work: Enriching) -> None:
    work.publish(retracted("s-1", 1))
    work.settle()
    work.publish(survey(1, BAD))
    work.settle()
    assert work.told() == []


def test_nothing_of_an_erased_person_is_scored_and_nobody_comes_back(database: str) -> None:
    with enriching(database, batch=1) as work:
        work.stop.set()
        eventually(lambda: not work.enricher.ready, 30)
        work.publish(survey(1, BAD))
        tokens = work.story.hasher.tokens((Identifier("email", "ann@example.org"),))
        work.story.keyring.apply(
            "mark", [work.story.hasher.evidence(tokens)], {token.rpartition(".")[2]: 1 for token in tokens}
        )
    with enriching(database) as again:
        again.settle()
        assert again.told() == []
        assert again.passed("erased") == 1


def test_whoever_is_erased_while_a_text_is_scored_does_not_come_back_as_somebody_new(database: str) -> None:
    def erasing(_text: str) -> float:
        hasher, keyring = made.story.hasher, made.story.keyring
        tokens = hasher.tokens((Identifier("email", "ann@example.org"),))
        keyring.apply("mark", [hasher.evidence(tokens)], {token.rpartition(".")[2]: 1 for token in tokens})
        return 0.5

    with enriching(database, erasing) as made:
        made.publish(survey(1, GOOD))
        made.settle()
        assert made.copies() == 0
        assert made.passed("erased") == 1


def test_one_bad_text_stops_nothing(database: str) -> None:
    def scored(text: str) -> float:
        if "bad text" in text:
            raise ZeroDivisionError
        return float("nan") if "no number" in text else 0.25

    with enriching(database, scored) as work:
        work.publish(survey(1, "the bad text of it"), survey(2, "this is no number"), survey(3, "it is fine"))
        work.settle()
        assert work.sentiments() == [0.25]
        assert work.passed("failed") == 2


def test_the_past_is_enriched_and_reading_it_again_adds_nothing(database: str) -> None:
    with enriching(database, batch=7) as work:
        work.publish(*[survey(number, GOOD) for number in range(40)])
        work.settle()
        assert len(work.told()) == work.copies() == 40
        work.stop.set()
        eventually(lambda: not work.enricher.ready, 30)
        again = "UPDATE storyline.positions SET next_offset = 0 WHERE consumer = %s RETURNING 1"
        work.story.rows(again, work.enricher.share.consumer)
        heads = work.heads()
    with enriching(database) as anew:
        anew.settle()
        assert anew.heads() == heads
        assert anew.copies() == 40


def test_another_method_enriches_all_of_the_past_beside_the_first(database: str) -> None:
    with enriching(database) as work:
        work.publish(survey(1, GOOD))
        work.settle()
    with enriching(database, lambda text: -0.5, method="other-1") as other:
        other.settle()
        assert {one["method"]: float(one["sentiment"]) > 0 for one in other.told()} == {
            "vader-3.3.2": True,
            "other-1": False,
        }


def test_whoever_is_not_named_is_scored_without_becoming_anybody(work: Enriching) -> None:
    work.publish(survey(1, BAD, data={"who": []}), survey(2, BAD, data={"who": [{"kind": "email", "value": "test"}]}))
    work.settle()
    assert len(work.told()) == 2
    assert work.story.rows("SELECT count(*) FROM identity.evidences") == [(0,)]
