"""What do answers about the opinions of customers look like: scores, sentiment, complaints and questions?"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from api.insight_shapes import Key, Periodic, Share

__all__ = [
    "STRUCTS",
    "Complaint",
    "Complaints",
    "Effort",
    "Feedback",
    "FeedbackGroup",
    "MoodGroup",
    "MoodTold",
    "MoodsTold",
    "Question",
    "Questions",
    "Recommendation",
    "Satisfaction",
    "ScoreTold",
    "ScoresTold",
    "SentimentTold",
    "VoiceTold",
    "VoicesTold",
]

Mean = Annotated[float | None, Meta(description="null where nothing was counted")]
Event = Annotated[str, Meta(description="The event, `SOURCE#HASH`, as timelines name it")]
CustomerId = Annotated[str | None, Meta(description="Whose it is, by the id of now; left out where nobody is known")]


class Satisfaction(Struct, frozen=True):
    """CSAT: `share` of the answers are satisfied: four fifths of the best score or more."""

    answers: int
    satisfied: int
    share: Share


class Recommendation(Struct, frozen=True):
    """NPS, -100 to 100: the percentage of promoters (9, 10) less that of detractors (0 to 6)."""

    answers: int
    promoters: int
    detractors: int
    score: Mean


class Effort(Struct, frozen=True):
    """The mean of scores as they were given, and as a part of the best where that is known."""

    answers: int
    mean: Mean
    of_best: Share


class FeedbackGroup(Struct, frozen=True):
    """What customers say: satisfaction, recommendation, effort, and reviews."""

    key: Key
    csat: Satisfaction
    nps: Recommendation
    ces: Effort
    reviews: Effort


class Feedback(Periodic, kw_only=True, frozen=True):
    """What customers say, by their scores."""

    by: str
    total: FeedbackGroup
    series: list[FeedbackGroup]


class ScoreTold(Struct, omit_defaults=True, frozen=True):
    """A score behind a figure."""

    event: Event
    at: datetime
    measure: str
    score: float
    best: float | None = None
    customer: CustomerId = None


class ScoresTold(Periodic, kw_only=True, frozen=True):
    """A page of scores, the latest first."""

    scores: list[ScoreTold]
    next: str | None = None


class MoodGroup(Struct, frozen=True):
    """The sentiment of texts, -1 (bad) to 1 (good): how many, their mean, how many are negative (-0.05 or less) and
    positive (0.05 or more)."""

    key: Key
    texts: int
    mean: Mean
    negative: int
    positive: int
    share_negative: Share


class SentimentTold(Periodic, kw_only=True, frozen=True):
    """The sentiment of what customers write."""

    by: str
    total: MoodGroup
    series: list[MoodGroup]


class MoodTold(Struct, omit_defaults=True, frozen=True):
    """A text behind a figure: the touchpoint, and what was derived of it."""

    event: Event
    at: datetime
    sentiment: float
    method: str | None = None
    customer: CustomerId = None


class MoodsTold(Periodic, kw_only=True, frozen=True):
    """A page of texts, the latest first."""

    moods: list[MoodTold]
    next: str | None = None


class Complaint(Struct, frozen=True):
    """What spoke against a product, each event once; `per_thousand`: complaints for 1,000 sold."""

    product: str
    complaints: int
    tickets: int
    reviews: int
    refunds: int
    moods: int
    sold: float
    per_thousand: Mean


class Complaints(Periodic, kw_only=True, frozen=True):
    """The products with most complaints."""

    products: list[Complaint]


class Question(Struct, frozen=True):
    """Touchpoints about a product before its first purchase by the same customer, and how long before (median)."""

    product: str
    questions: int
    customers: int
    median_s: float


class Questions(Periodic, kw_only=True, frozen=True):
    """The products with most questions before a purchase."""

    days: int
    products: list[Question]


class VoiceTold(Struct, omit_defaults=True, frozen=True):
    """One event (`event`) or ticket (`ticket`, its id) behind a figure."""

    how: Annotated[str, Meta(description="ticket, review, refund, mood, or the type of a touchpoint")]
    at: datetime
    event: str | None = None
    ticket: str | None = None
    customer: CustomerId = None


class VoicesTold(Periodic, kw_only=True, frozen=True):
    """A page of what spoke of a product, the latest first."""

    product: str
    voices: list[VoiceTold]
    next: str | None = None


STRUCTS = (Feedback, ScoresTold, SentimentTold, MoodsTold, Complaints, Questions, VoicesTold)
