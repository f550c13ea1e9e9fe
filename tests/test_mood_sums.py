"""Is sentiment the same out of sums as out of the texts, whatever was folded already? Through late texts and moods,
texts that are scored again, retractions and amendments."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.zones import midnight
from projections.figures.folding import fold, fold_all
from projections.insight.asking import Window
from projections.insight.feedback import FeedbackReader, Moods
from tests.support.histories import deliver, one_event
from tests.support.insight import ask, histories
from tests.support.stage import Stage
from tests.support.story import START, event

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
EXAMPLES = int(os.environ.get("STORYLINE_FIGURES_EXAMPLES", "6"))
"""Histories that are tried; more by hand."""
EVER = datetime(9999, 12, 31, tzinfo=UTC)
BEFORE = datetime(9999, 12, 30, tzinfo=UTC)
"""As of what was recorded by then: all of it, out of the texts."""
ZONES = [ZoneInfo(name) for name in ("Europe/London", "UTC", "Asia/Kathmandu", "Asia/Tokyo")]
_TYPES = ["email.received"] * 6 + ["call.ended"] * 2 + ["touchpoint.enriched"] * 8 + ["purchase.made"]
_TYPES += ["event.retracted", "event.amended"]
_BYS = ("day", "week", "month", "hour", "weekday", "channel", "type", "product", "method")


def _history(pick: Random, size: int) -> list[tuple[dict[str, Any], int]]:
    """Mostly texts and what was derived of them, over two months, at moments that edges fall upon."""
    found = []
    for number in range(size):
        raw = one_event(pick, number, size, _TYPES)
        minutes = pick.choice([0, 15, 45, 7]) + 60 * pick.randrange(24) + 1440 * pick.choice([0, 0, 1, 2, 31, 59])
        raw["time"] = (START + timedelta(minutes=minutes)).isoformat()
        if raw["type"] in ("email.received", "call.ended"):
            raw["channel"] = pick.choice(["email", "phone"])
        found.append((raw, 60 * 24 * 90 + pick.randrange(3)))
    return found


def _same(small: Stage, pick: Random) -> None:
    """Both ways tell the same of some questions."""
    zone = pick.choice(ZONES)
    first = (START + timedelta(days=pick.choice([-30, -1, 0, 1]))).date()
    start = pick.choice([midnight(first, zone), START + timedelta(minutes=pick.randrange(1440))])
    end = start + timedelta(minutes=pick.choice([pick.randrange(1, 3000), 1440 * 3, 1440 * 90]))
    window = Window(start, end, zone.key, end)
    filters: dict[str, Any] = {}
    for name, values in {"channel": ["email", "phone"], "type": ["email.received"], "product": ["P"]}.items():
        if pick.random() < 0.15:
            filters[name] = pick.choice(values)
    for by in _BYS:
        assert _told(small, window, Moods(EVER, **filters), by) == _told(small, window, Moods(BEFORE, **filters), by)


def _told(small: Stage, window: Window, chosen: Moods, by: str) -> Any:
    return ask(small.story.dsn, lambda pool: FeedbackReader(pool).sentiment(window, chosen, by))


@histories(EXAMPLES)
@given(pick=st.randoms(use_true_random=False))
def test_sums_of_sentiment_tell_what_texts_tell_whatever_is_folded(
    small: Stage, connection: psycopg.Connection, pick: Random
) -> None:
    published = small.publish(_history(pick, pick.randrange(4, 40)))
    small.begin()
    for batch in deliver(pick, [one.value for one in published]):
        small.apply([batch])
        if pick.random() < 0.5:
            fold(connection, most=pick.choice([1, 3, 100]))
        if pick.random() < 0.3:
            _same(small, pick)
    while fold(connection):
        pass
    for _ in range(3):
        _same(small, pick)
    before = _rows(connection)
    fold_all(connection, "")
    assert _rows(connection) == before


def _rows(connection: psycopg.Connection) -> list[Any]:
    return sorted(map(repr, connection.execute("SELECT * FROM figures.mood_sums").fetchall()))


def _mood(number: int, sentiment: str) -> dict[str, Any]:
    """What was derived of the text, an hour later, and another day."""
    data = {
        "about": [{"source": "test/moods", "id": "e-1", "relation": "enriches"}],
        "content": {"sentiment": sentiment},
    }
    at = (START + timedelta(days=1, minutes=number)).isoformat()
    return event(number, type="touchpoint.enriched", source="test/moods", time=at, data=data)


def test_a_mood_counts_when_its_text_was_written_before_it_is_folded_and_after(
    small: Stage, connection: psycopg.Connection
) -> None:
    small.begin()
    who = [{"kind": "email", "value": "ann@example.org"}]
    text = event(
        1, type="email.received", source="test/moods", time=START.isoformat(), channel="email",
        data={"who": who, "content": {"subject": "Hm"}},
    )  # fmt: skip
    gone = {
        "about": [{"source": "test/moods", "id": "e-4", "relation": "retracts"}],
        "content": {},
    }
    later = (START + timedelta(days=2)).isoformat()
    retraction = event(5, type="event.retracted", source="test/moods", time=later, data=gone)
    window = Window(START, START + timedelta(hours=1), "UTC", START + timedelta(days=9))
    for one, expected in (
        (text, (0, 0)), (_mood(3, "0.5"), (0, 1)), (_mood(4, "-0.5"), (1, 0)), (retraction, (0, 1))
    ):  # fmt: skip
        small.feed(small.publish([(one, 60 * 24 * 9)]))
        for folded in (False, True):
            if folded:
                fold(connection)
            whole, _ = _told(small, window, Moods(EVER), "day")
            assert (whole.negative, whole.positive) == expected, (one["type"], folded)
