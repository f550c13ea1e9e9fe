"""Which record events describe products, campaigns and organisations? The thing itself is the event's ref."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from domain.catalogue.base import PUBLIC, Amount, Code, Count, Country, Currency, Link, Part, Record, ShortText, Text
from domain.catalogue.wording import excerpt, joined, money_text, plural

__all__ = ["CampaignDescribed", "Contact", "OrganisationDescribed", "ProductDescribed"]


class ProductDescribed(Record):
    """A product was added to the company's range, or its description changed."""

    TYPE = "product.described"

    name: ShortText = Field(default="", description="The product's name")
    description: Text = Field(default="", description="What it is")
    category: Annotated[Code | None, PUBLIC] = Field(default=None, description="Its category, by code")
    price: Annotated[Amount | None, PUBLIC] = Field(default=None, description="Price of one")
    cost: Annotated[Amount | None, PUBLIC] = Field(default=None, description="What one costs the company")
    currency: Annotated[Currency | None, PUBLIC] = Field(default=None, description="ISO 4217 code, such as GBP")

    def line(self) -> str:
        named = f"Product described: {excerpt(self.name)}" if self.name else "Product described"
        return joined(named, self.category, money_text(self.price, self.currency))


class CampaignDescribed(Record):
    """A campaign was planned, or its plan or cost changed."""

    TYPE = "campaign.described"

    name: ShortText = Field(default="", description="The campaign's name")
    channel: Annotated[Code | None, PUBLIC] = Field(default=None, description="The channel that it runs on")
    category: Annotated[Code | None, PUBLIC] = Field(default=None, description="Its category, by code")
    cost: Annotated[Amount | None, PUBLIC] = Field(default=None, description="What it costs in all")
    currency: Annotated[Currency | None, PUBLIC] = Field(default=None, description="ISO 4217 code, such as GBP")
    starts_on: date | None = Field(default=None, description="First day")
    ends_on: date | None = Field(default=None, description="Last day")

    def line(self) -> str:
        named = f"Campaign described: {excerpt(self.name)}" if self.name else "Campaign described"
        return joined(named, self.channel, money_text(self.cost, self.currency))


class Contact(Part):
    """A person of an organisation. The identifiers are those of the event's party with the same number."""

    role: Annotated[Code | None, PUBLIC] = Field(default=None, description="What for, by code, such as billing")
    name: ShortText = Field(default="", description="The person's name")
    title: ShortText = Field(default="", description="What the person does there")


class OrganisationDescribed(Record):
    """An organisation was added, or what is known of it changed. Its contacts are the event's parties."""

    TYPE = "organisation.described"

    name: ShortText = Field(default="", description="The organisation's name")
    website: Link = Field(default="", description="Its web site")
    industry: Annotated[Code | None, PUBLIC] = Field(default=None, description="What it does, by code")
    country: Annotated[Country | None, PUBLIC] = Field(default=None, description="Where it is, by code")
    employees: Annotated[Count | None, PUBLIC] = Field(default=None, description="How many work there")
    contacts: list[Contact] = Field(default=[], max_length=64, description="Contacts, in the order of the parties")

    def line(self) -> str:
        named = f"Organisation described: {excerpt(self.name)}" if self.name else "Organisation described"
        return joined(named, self.industry, plural(len(self.contacts), "contact") if self.contacts else None)
