"""Which touchpoints does the web have: pages, forms, downloads, webinars, the product itself?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, Count, Country, Link, Seconds, ShortText, Text, Touchpoint
from domain.catalogue.wording import duration, excerpt, joined, plural

__all__ = ["DownloadMade", "FormSubmitted", "PageViewed", "ProductUsed", "WebinarAttended", "WebinarRegistered"]


class _Web(Touchpoint):
    CHANNEL = "web"
    DIRECTION = "in"


class PageViewed(_Web):
    """A visitor looked at a page of the company's web site or app."""

    TYPE = "page.viewed"

    url: Link = Field(default="", description="The page's address")
    title: ShortText = Field(default="", description="The page's title")
    referrer: Link = Field(default="", description="The page before")
    page: Annotated[Code | None, PUBLIC] = Field(default=None, description="The page, by its code")
    product: Annotated[Code | None, PUBLIC] = Field(default=None, description="The product it shows, by its code")
    category: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it shows, by category")
    country: Annotated[Country | None, PUBLIC] = Field(default=None, description="Where the visitor is, by code")
    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds spent on it")

    def line(self) -> str:
        shown = excerpt(self.title) or self.page or self.product or excerpt(self.url)
        return joined(f"Page viewed: {shown}" if shown else "Page viewed", duration(self.duration_s))


class FormSubmitted(_Web):
    """A visitor filled in a form and sent it."""

    TYPE = "form.submitted"

    form: Annotated[Code | None, PUBLIC] = Field(default=None, description="The form, by its code")
    answers: dict[ShortText, Text] = Field(default={}, max_length=200, description="What was filled in, by field")
    url: Link = Field(default="", description="The page that it stands on")

    def line(self) -> str:
        return f"Form submitted: {self.form}" if self.form else "Form submitted"


class DownloadMade(_Web):
    """A visitor downloaded something."""

    TYPE = "download.made"

    asset: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it was, by its code")
    title: ShortText = Field(default="", description="What it was, in words")
    url: Link = Field(default="", description="Its address")

    def line(self) -> str:
        shown = excerpt(self.title) or self.asset
        return f"Downloaded: {shown}" if shown else "Download"


class WebinarRegistered(_Web):
    """A person registered for a webinar."""

    TYPE = "webinar.registered"
    CHANNEL = "webinar"

    webinar: Annotated[Code | None, PUBLIC] = Field(default=None, description="The webinar, by its code")
    title: ShortText = Field(default="", description="Its title")

    def line(self) -> str:
        shown = excerpt(self.title) or self.webinar
        return f"Registered for webinar: {shown}" if shown else "Registered for a webinar"


class WebinarAttended(_Web):
    """A person took part in a webinar."""

    TYPE = "webinar.attended"
    CHANNEL = "webinar"

    webinar: Annotated[Code | None, PUBLIC] = Field(default=None, description="The webinar, by its code")
    title: ShortText = Field(default="", description="Its title")
    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds attended")

    def line(self) -> str:
        shown = excerpt(self.title) or self.webinar
        return joined(f"Attended webinar: {shown}" if shown else "Attended a webinar", duration(self.duration_s))


class ProductUsed(_Web):
    """A customer used the company's product, as the product itself reports it."""

    TYPE = "product.used"
    CHANNEL = "product"

    product: Annotated[Code | None, PUBLIC] = Field(default=None, description="The product, by its code")
    feature: Annotated[Code | None, PUBLIC] = Field(default=None, description="What was used of it, by its code")
    times: Annotated[Count | None, PUBLIC] = Field(default=None, description="How often, where told together")
    duration_s: Annotated[Seconds | None, PUBLIC] = Field(default=None, description="Seconds of use")
    details: ShortText = Field(default="", description="What was done, in words")

    def line(self) -> str:
        shown = joined(self.product, self.feature)
        times = plural(self.times, "time") if self.times is not None else None
        return joined(f"Product used: {shown}" if shown else "Product used", times, duration(self.duration_s))
