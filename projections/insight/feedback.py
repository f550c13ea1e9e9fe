"""What do customers say? Satisfaction, recommendation, effort, reviews, and the sentiment of what they write."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from eventlog.sql import load
from projections.insight.asking import MOST_GROUPS, Figures, Query, Window, keys_of
from projections.insight.scoring import scores_summed
from projections.insight.sentiment import summed

__all__ = ["FeedbackReader", "Mood", "Moods", "Opinions", "Page", "Score", "Scores", "Sentiment"]

_SQL: Final = load("projections.insight", "feedback.sql")


class Scores(NamedTuple):
    """Which scores? code: of the survey, or of the site of a review; customer: by any of their nodes."""

    recorded_by: datetime
    product: str | None = None
    channel: str | None = None
    team: str | None = None
    code: str | None = None
    customer: UUID | None = None


class Moods(NamedTuple):
    """Which texts? method: what derived the sentiment; None: whatever did so last."""

    recorded_by: datetime
    product: str | None = None
    channel: str | None = None
    type: str | None = None
    method: str | None = None
    customer: UUID | None = None


class Page(NamedTuple):
    """Which page of events. by: how they are grouped, None for those of all groups; key: of which group."""

    before: tuple[datetime, UUID]
    limit: int
    by: str | None = None
    key: str | None = None

    def asked(self) -> dict[str, Any]:
        """As the queries take it."""
        return {
            "before_at": self.before[0], "before_name": self.before[1], "limit": self.limit,
            "keyed": self.by is not None, "keyed_by": self.key,
        }  # fmt: skip


class Opinions(NamedTuple):
    """What scores of a group come to: of satisfaction how many and how many satisfied; of recommendation how many,
    promoters and detractors; of effort and of reviews how many, their mean, and their mean as a part of the best."""

    key: str | None
    csat: int
    satisfied: int
    nps: int
    promoters: int
    detractors: int
    ces: int
    ces_mean: Decimal | None
    ces_of_best: Decimal | None
    reviews: int
    review_mean: Decimal | None
    review_of_best: Decimal | None


class Sentiment(NamedTuple):
    """What texts of a group come to. mean: of -1 (bad) to 1 (good)."""

    key: str | None
    texts: int
    mean: Decimal | None
    negative: int
    positive: int


class Score(NamedTuple):
    """A score behind a figure. event: its name in full."""

    name: UUID
    event: str
    at: datetime
    measure: str
    score: Decimal
    best: Decimal | None
    customer: UUID | None


class Mood(NamedTuple):
    """A text behind a figure. event: the touchpoint, by its name in full."""

    name: UUID
    event: str
    at: datetime
    sentiment: Decimal
    method: str | None
    customer: UUID | None


class FeedbackReader:
    """Asks for opinions through `pool`. Methods raise Unavailable."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._figures = Figures(pool)

    async def opinions(self, window: Window, chosen: Scores, by: str) -> tuple[Opinions, list[Opinions]]:
        """(all of them, by group). by: one of BUCKETS, product, channel, team or code."""
        asked = {**window._asdict(), **chosen._asdict(), "most": MOST_GROUPS}
        async with self._figures.moment() as cursor:
            rows = await scores_summed(cursor, window, asked, by)
            if rows is None:
                rows = await (await cursor.execute(_scores("feedback", by), asked)).fetchall()
        whole, *groups = rows
        return Opinions(*whole[1:]), [Opinions(*row[1:]) for row in groups]

    async def scores(self, window: Window, chosen: Scores, measure: str | None, page: Page) -> list[Score]:
        """The scores behind a figure, the latest first. measure: csat, nps, ces, review; None: any."""
        asked = {**window._asdict(), **chosen._asdict(), **page.asked(), "measure": measure}
        return [Score(*row) for row in await self._figures.fetch(_scores("feedback_events", page.by or "day"), asked)]

    async def sentiment(self, window: Window, chosen: Moods, by: str) -> tuple[Sentiment, list[Sentiment]]:
        """(all of them, by group). by: one of BUCKETS, product, channel, type or method. A text that speaks of
        several products stands in the group of each."""
        asked = {**window._asdict(), **chosen._asdict(), "most": MOST_GROUPS}
        async with self._figures.moment() as cursor:
            found = await summed(cursor, window, asked, by)
            if found is not None:
                all_, rows = found
                return Sentiment(*(all_ or (None, 0, None, 0, 0))), [Sentiment(*row) for row in rows]
            whole, *groups = await (await cursor.execute(_moods("sentiment", by), asked)).fetchall()
        return Sentiment(*whole[1:]), [Sentiment(*row[1:]) for row in groups]

    async def moods(self, window: Window, chosen: Moods, tone: str | None, page: Page) -> list[Mood]:
        """The texts behind a figure, the latest first. tone: negative, positive; None: any."""
        asked = {**window._asdict(), **chosen._asdict(), **page.asked(), "tone": tone}
        return [Mood(*row) for row in await self._figures.fetch(_moods("sentiment_events", page.by or "day"), asked)]


def _scores(query: str, by: str) -> Query:
    return sql.SQL(_SQL[query]).format(facts=sql.SQL(_SQL["scores"]), **keys_of(by))


def _moods(query: str, by: str) -> Query:
    facts = [sql.SQL(_SQL["moods"])] + ([sql.SQL(_SQL["each_product"])] if by == "product" else [])
    source = sql.Identifier("spoken" if by == "product" else "chosen")
    return sql.SQL(_SQL[query]).format(facts=sql.SQL("\n").join(facts), source=source, **keys_of(by))
