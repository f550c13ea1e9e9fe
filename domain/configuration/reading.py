"""How is a configuration read? YAML's plain values in, a `Configuration` out, or what is wrong where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from domain.configuration.automation import Rule
from domain.configuration.base import Code, Path, Setting, Wrong
from domain.configuration.calendars import Calendar
from domain.configuration.coherence import astray
from domain.configuration.deals import Pipeline
from domain.configuration.metrics import Analytics, Metric
from domain.configuration.rfm import Rfm
from domain.configuration.sharing import AssignmentRule
from domain.configuration.tickets import ServiceLevel, Ticketing
from domain.configuration.wording import problems_of
from domain.errors import BadInput, Problem

__all__ = ["Configuration", "builtin_configuration", "configuration_schema", "read_configuration"]

_BUILT_IN: Final[dict[str, Any]] = {
    "version": 1,
    "calendars": {"office": {"hours": {day: ["09:00-17:30"] for day in ("mon", "tue", "wed", "thu", "fri")}}},
    "pipelines": {
        "sales": {
            "name": "Sales",
            "stages": [
                {"code": "new", "probability": 10, "stalled_after": "14d"},
                {"code": "qualified", "probability": 25, "requires": ["assignee"], "stalled_after": "21d"},
                {"code": "proposal", "probability": 50, "requires": ["amount", "currency"], "stalled_after": "21d"},
                {
                    "code": "negotiation",
                    "probability": 75,
                    "requires": ["amount", "currency", "expected_close"],
                    "stalled_after": "14d",
                },
            ],
            "won_requires": ["amount", "currency"],
        }
    },
    "tickets": {
        "states": [
            {"code": "new", "kind": "new"},
            {"code": "open", "kind": "open", "moves": ["pending", "hold", "resolved", "closed"]},
            {"code": "pending", "kind": "pending", "moves": ["open", "hold", "resolved", "closed"]},
            {"code": "hold", "kind": "hold", "moves": ["open", "pending", "resolved", "closed"]},
            {
                "code": "resolved",
                "kind": "resolved",
                "moves": ["open", "closed"],
                "timed": {"after": "7d", "to": "closed", "reason": "no-answer"},
            },
            {"code": "closed", "kind": "closed", "moves": ["open"]},
        ],
        "initial": "new",
        "reopened": "open",
        "reopen_within": "14d",
        "on_reply": "open",
        "on_answer": "open",
    },
    "service_levels": {
        "standard": {
            "calendar": "office",
            "targets": {
                "urgent": {"first_response": "1h", "resolution": "8h"},
                "high": {"first_response": "4h", "resolution": "16h"},
                "any": {"first_response": "8h", "resolution": "40h"},
            },
        }
    },
}


def _built_in_pipelines() -> dict[str, Pipeline]:
    return {code: Pipeline.model_validate(one) for code, one in _BUILT_IN["pipelines"].items()}


class Configuration(Setting):
    """All that a deployment configures."""

    version: Literal[1] = Field(description="The version of this format")
    roles: list[Code] = Field(default=["manager"], description="Roles that colleagues may have")
    teams: list[Code] = Field(default=[], description="Teams; empty: any code will do")
    calendars: dict[Code, Calendar] = Field(default={})
    pipelines: Annotated[dict[Code, Pipeline], Field(min_length=1)] = Field(
        default_factory=_built_in_pipelines, description="Left out: the built-in one, `sales`"
    )
    pipeline: Code | None = Field(default=None, description="The pipeline where none is given; left out: the first")
    tickets: Ticketing = Field(
        default_factory=lambda: Ticketing.model_validate(_BUILT_IN["tickets"]),
        description="Left out: the built-in ones",
    )
    service_levels: dict[Code, ServiceLevel] = Field(default={}, description="In their order: the first that fits")
    assignment: list[AssignmentRule] = Field(default=[])
    automation: Annotated[list[Rule], Field(max_length=500)] = Field(default=[])
    analytics: Analytics = Field(default_factory=Analytics, description="Left out: nothing is converted")
    metrics: Annotated[dict[Code, Metric], Field(max_length=100)] = Field(
        default={}, description="Figures of the deployment's own"
    )
    rfm: Rfm = Field(default_factory=Rfm, description="Left out: the built-in edges and classes")

    @property
    def default_pipeline(self) -> str:
        """The pipeline of a deal that names none."""
        return self.pipeline or next(iter(self.pipelines))

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        Wrong.raise_any(astray(self))
        return self


def read_configuration(plain: Any, lines: Mapping[Path, int] | None = None) -> Configuration:
    """The configuration of YAML's plain values. Raises BadInput: each problem's field is a path such as
    `pipelines.sales.stages[1].requires[0]`. lines: the line of each path, which problems then name."""
    if not isinstance(plain, dict):
        raise BadInput([Problem("configuration", "is no mapping.", "Begin it with `version: 1`.")])
    try:
        return Configuration.model_validate(plain)
    except ValidationError as error:
        raise BadInput(problems_of(error, lines or {})) from None


def configuration_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a configuration; what hangs together it does not check."""
    schema = Configuration.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def builtin_configuration() -> Configuration:
    """What holds where a deployment configures nothing."""
    return read_configuration(_BUILT_IN)
