"""What does a deployment configure without code? Pipelines, ticket states, service levels, assignment, automation.

`Configuration` is the whole; `read_configuration` makes one of YAML's plain values, or says what is wrong where.
"""

from __future__ import annotations

from domain.configuration.automation import FIELDS, Action, Condition, Rule
from domain.configuration.base import Duration
from domain.configuration.calendars import Calendar, Holidays
from domain.configuration.deals import DEAL_FIELDS, Pipeline, Stage, TimedMove
from domain.configuration.metrics import Analytics, DatedRate, Metric
from domain.configuration.reading import (
    Configuration,
    builtin_configuration,
    configuration_schema,
    read_configuration,
)
from domain.configuration.rfm import Rfm, RfmClass
from domain.configuration.sharing import AssignmentRule
from domain.configuration.tickets import (
    TICKET_FIELDS,
    Escalation,
    Queue,
    ServiceLevel,
    StateKind,
    Targets,
    Ticketing,
    TicketState,
)

__all__ = [
    "DEAL_FIELDS",
    "FIELDS",
    "TICKET_FIELDS",
    "Action",
    "Analytics",
    "AssignmentRule",
    "Calendar",
    "Condition",
    "Configuration",
    "DatedRate",
    "Duration",
    "Escalation",
    "Holidays",
    "Metric",
    "Pipeline",
    "Queue",
    "Rfm",
    "RfmClass",
    "Rule",
    "ServiceLevel",
    "Stage",
    "StateKind",
    "Targets",
    "TicketState",
    "Ticketing",
    "TimedMove",
    "builtin_configuration",
    "configuration_schema",
    "read_configuration",
]
