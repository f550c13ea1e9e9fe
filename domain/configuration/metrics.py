"""Which figures does a deployment define itself, and by which rates are currencies converted in figures?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from domain.configuration.automation import Condition
from domain.configuration.base import Name, Path, Setting, Wrong

__all__ = ["Analytics", "DatedRate", "Measure", "Metric"]

Measure = Literal["count", "sum", "avg", "min", "max", "customers"]
_Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
_Rate = Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=9)]
_DIMENSION: Final = re.compile(r"type|channel|direction|actor|source|content\.[a-z0-9_-]{1,64}")
_FIELD: Final = re.compile(r"content\.[a-z0-9_-]{1,64}")
_Place = Annotated[str, Field(max_length=80)]


class DatedRate(Setting):
    """A rate that holds from the beginning of a day (UTC) on."""

    since: date | None = Field(default=None, description="Left out: since ever")
    rate: _Rate


class Analytics(Setting):
    """How figures in different currencies are put together, where that is asked for."""

    currency: _Currency | None = Field(default=None, description="The one that rates convert into")
    rates: dict[_Currency, _Rate | Annotated[list[DatedRate], Field(min_length=1, max_length=1000)]] = Field(
        default={}, description="What one unit of a currency comes to in `currency`; or a list of `since` and `rate`"
    )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        Wrong.raise_any(self._astray())
        return self

    def _astray(self) -> Iterator[tuple[Path, str]]:
        if self.rates and self.currency is None:
            yield ("currency",), "is missing; say into which currency the rates convert"
        if self.currency is not None and self.currency in self.rates:
            yield ("rates", self.currency), "is the currency that the rates convert into; leave it out"
        for code, rates in self.rates.items():
            if isinstance(rates, list):
                days = [one.since or date.min for one in rates]
                if days != sorted(set(days)):
                    yield ("rates", code), "is not in the order of its days, each once; sort it by `since`"

    def days(self) -> tuple[date, ...]:
        """The days on which some rate changes."""
        dated = [one for one in self.rates.values() if isinstance(one, list)]
        return tuple(sorted({rate.since for rates in dated for rate in rates if rate.since is not None}))

    def rate(self, currency: str, day: date) -> Decimal | None:
        """What a unit of a currency comes to on a day, None where the configuration does not say."""
        if currency == self.currency:
            return Decimal(1)
        rates = self.rates.get(currency)
        if not isinstance(rates, list):
            return rates
        holding = [one for one in rates if one.since is None or one.since <= day]
        return holding[-1].rate if holding else None


class Metric(Setting):
    """A figure of the deployment's own, over events of some types, right for all of the past."""

    title: Name
    types: Annotated[list[str], Field(min_length=1, max_length=50)] = Field(description="Of events; all are counted")
    measure: Measure = "count"
    field: _Place | None = Field(
        default=None, description="A public number, `content.NAME`: with sum, avg, min and max"
    )
    dimensions: Annotated[list[_Place], Field(max_length=5)] = Field(
        default=[], description="`type`, `channel`, `direction`, `actor`, `source` or `content.NAME`, a public code"
    )
    where: Condition | None = Field(default=None, description="Over `event.…`; left out: every event")
    unit: Annotated[str, Field(max_length=40)] | None = Field(default=None, description="What it is counted in")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        Wrong.raise_any(self._astray())
        return self

    def _astray(self) -> Iterator[tuple[Path, str]]:
        measures = self.measure in {"sum", "avg", "min", "max"}
        if measures and self.field is None:
            yield ("field",), f"is missing; {self.measure} needs a public number, such as content.amount"
        if not measures and self.field is not None:
            yield ("field",), f"has no place beside {self.measure}; leave it out"
        if self.field is not None and not _FIELD.fullmatch(self.field):
            yield ("field",), "is no field; write content.NAME"
        for number, one in enumerate(self.dimensions):
            if not _DIMENSION.fullmatch(one):
                told = "is no dimension; write type, channel, direction, actor, source or content.NAME"
                yield ("dimensions", number), told
        if len(set(self.dimensions)) < len(self.dimensions):
            yield ("dimensions",), "names one twice; leave it out"
        for name in self.where.names() if self.where is not None else ():
            if not name.startswith("event."):
                yield ("where",), f"asks for {name}, but a metric knows of its events alone; ask for event.…"
