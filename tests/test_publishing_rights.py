"""What may a key publish, and what not even by a trick?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from commands.publishing import Publisher, Rights
from domain.errors import Forbidden
from tests.support.story import event, story


@pytest.fixture(scope="module")
def publisher(postgres: Any) -> Iterator[Publisher]:
    dsn = postgres.dsn_of(postgres.create_database())
    with story(dsn, dsn) as made:
        yield made.publisher


def retraction(source: str) -> dict[str, Any]:
    about = [{"relation": "retracts", "source": source, "id": "1"}]
    return event(1, source="shop/till", type="event.retracted", data={"about": about, "content": {}})


@pytest.mark.parametrize(
    "source",
    [
        "storyline",
        "storyline/x",
        "Storyline/x",
        "storyline%2Fx",
        "storyline:x",
        "\uff53toryline/x",
        "story\u200bline/x",
    ],
)
def test_what_looks_like_our_own_source_is_ours(publisher: Publisher, source: str) -> None:
    with pytest.raises(Forbidden):
        publisher.check([event(1, source=source)], Rights())


@pytest.mark.parametrize("source", ["storylines/x", "our/storyline", "shop"])
def test_what_only_resembles_it_is_not(publisher: Publisher, source: str) -> None:
    assert publisher.check([event(1, source=source)], Rights())


def test_a_key_corrects_only_events_of_sources_that_it_may_publish(publisher: Publisher) -> None:
    rights = Rights(sources=("shop/*",))
    assert publisher.check([retraction("shop/web")], rights)
    with pytest.raises(Forbidden):
        publisher.check([retraction("mail/support")], rights)


@pytest.mark.parametrize("kind", ["deal", "ticket", "task", "lead", "user", "steward"])
def test_what_is_decided_here_is_not_corrected_from_outside(publisher: Publisher, kind: str) -> None:
    """The board would show another state than the one by which the deal decides what may be done."""
    with pytest.raises(Forbidden, match="by its commands"):
        publisher.check([retraction(f"storyline/{kind}")], Rights())
    assert publisher.check([retraction("storyline/note")], Rights()), "who wrote a note may take it back"
