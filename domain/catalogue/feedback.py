"""Which touchpoints tell what customers think: surveys and reviews?"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, ShortText, Text, Touchpoint
from domain.catalogue.wording import excerpt, joined, number

__all__ = ["ReviewPosted", "SurveyAnswered"]

_Score = Annotated[Decimal, Field(ge=-1000, le=1000, max_digits=10, decimal_places=4)]


class SurveyAnswered(Touchpoint):
    """A customer answered a survey."""

    TYPE = "survey.answered"
    CHANNEL = "survey"
    DIRECTION = "in"

    measure: Annotated[Literal["csat", "nps", "ces", "other"], PUBLIC] = Field(
        default="other", description="csat: satisfaction; nps: recommendation, 0 to 10; ces: effort"
    )
    survey: Annotated[Code | None, PUBLIC] = Field(default=None, description="The survey, by its code")
    score: Annotated[_Score | None, PUBLIC] = Field(default=None, description="The score that was given")
    best: Annotated[_Score | None, PUBLIC] = Field(default=None, description="The best score that could be given")
    comment: Text = Field(default="", description="What the customer wrote")
    answers: dict[ShortText, Text] = Field(default={}, max_length=200, description="Further answers, by question")

    def line(self) -> str:
        best = self.best if self.best is not None else Decimal(10) if self.measure == "nps" else None
        name = "Survey" if self.measure == "other" else self.measure.upper()
        score = "answered" if self.score is None else number(self.score)
        if self.score is not None and best is not None:
            score += f" of {number(best)}"
        return f"{name} {score}: {excerpt(self.comment)}" if self.comment else joined(f"{name} {score}", self.survey)


class ReviewPosted(Touchpoint):
    """A customer posted a review."""

    TYPE = "review.posted"
    CHANNEL = "review"
    DIRECTION = "in"

    rating: Annotated[_Score | None, PUBLIC] = Field(default=None, description="The rating that was given")
    best: Annotated[_Score | None, PUBLIC] = Field(default=None, description="The best rating that could be given")
    product: Annotated[Code | None, PUBLIC] = Field(default=None, description="The product, by its code")
    site: Annotated[Code | None, PUBLIC] = Field(default=None, description="Where it was posted, by code")
    title: ShortText = Field(default="", description="Its title")
    text: Text = Field(default="", description="The review")
    url: ShortText = Field(default="", description="Its address")

    def line(self) -> str:
        rating = None if self.rating is None else number(self.rating)
        if rating and self.best is not None:
            rating += f" of {number(self.best)}"
        told = joined(f"Review {rating}" if rating else "Review", self.product, self.site)
        about = excerpt(self.title or self.text)
        return f"{told}: {about}" if about else told
