"""Which record event carries what is known of a person?"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Code, Country, Part, Record, ShortText
from domain.catalogue.wording import plural

__all__ = ["Address", "ProfileUpdated"]


class Address(Part):
    """A postal address; its fields win or lose together."""

    street: ShortText = Field(default="", description="Street and number")
    more: ShortText = Field(default="", description="Building, floor, care of")
    city: ShortText = Field(default="", description="Town")
    postcode: ShortText = Field(default="", description="Postcode")
    region: ShortText = Field(default="", description="County or state")
    country: Annotated[Country | None, PUBLIC] = Field(default=None, description="Country, by code")


class ProfileUpdated(Record):
    """What is known of a person changed. A field that is null is cleared; one that is left out stays."""

    TYPE = "profile.updated"

    name: ShortText | None = Field(default=None, description="The whole name, as it is to be shown")
    given_name: ShortText | None = Field(default=None, description="Given name")
    family_name: ShortText | None = Field(default=None, description="Family name")
    salutation: ShortText | None = Field(default=None, description="How to address the person")
    job_title: ShortText | None = Field(default=None, description="What the person does in the organisation")
    organisation: ShortText | None = Field(default=None, description="The organisation's name")
    birthday: date | None = Field(default=None, description="Date of birth")
    address: Address | None = Field(default=None, description="Postal address")
    country: Annotated[Country | None, PUBLIC] = Field(default=None, description="Country, by code")
    language: Annotated[Code | None, PUBLIC] = Field(default=None, description="BCP 47 code, such as en-GB")
    time_zone: Annotated[Code | None, PUBLIC] = Field(default=None, description="IANA name, such as Europe/London")
    further: dict[ShortText, ShortText | None] = Field(
        default={}, max_length=100, description="Further fields of this deployment, by their name"
    )

    def line(self) -> str:
        changed = len(self.model_fields_set - {"further"}) + len(self.further)
        return f"Profile updated: {plural(changed, 'field')}"
