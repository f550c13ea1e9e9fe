"""What is refused in a configuration, and is it told where, on which line, and what was meant?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.catalogue import load_catalogue
from domain.configuration import Configuration, builtin_configuration, read_configuration
from domain.errors import BadInput
from storyline.configuration import plain_yaml, read_yaml

CATALOGUE = load_catalogue()
WHOLE = Path(__file__).parent.parent / "docs/examples/configuration.yaml"


def told(text: str) -> list[tuple[str, str]]:
    """What is wrong with a text: (path, sentence) of each problem."""
    with pytest.raises(BadInput) as caught:
        read_yaml(text.encode(), CATALOGUE)
    return [(one.field, one.trouble) for one in caught.value.problems]


def with_change(path: str, value: str) -> str:
    """The example with one value put in, or left out; its lines are then others."""
    whole, _ = plain_yaml(WHOLE.read_bytes())
    *before, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place = whole
    for part in before:
        place = place[part]
    if value == "(left out)":
        del place[last]
    else:
        place[last] = json.loads(value)
    return yaml.safe_dump(whole, sort_keys=False)


WRONG = """
version = 2
    is none of 1
pipline = "sales"
    is not known here; did you mean pipeline?
roles = "manager"
    is no list; begin each entry with `- `
roles = ["Big Boss"] -> roles[0]
    is no code; write small letters, digits
teams.0 = 7
    is no text; put it in quotes
pipeline = "sale"
    is no pipeline; did you mean sales?
pipelines = {}
    has too little in it; at least 1
pipelines.sales = (left out) -> pipeline
    is no pipeline; there are enrolments
pipelines.sales = 5
    is no mapping; write names with their values
pipelines.sales.stages.0.code = "qualified" -> pipelines.sales.stages[1].code
    is the code of a stage before it; give each its own
pipelines.sales.stages.0.code = "won"
    is how a deal ends, and no stage; leave it out
pipelines.sales.stages.0.code = (left out)
    is missing
pipelines.sales.stages.0.probability = 101
    is not right: it should be less than or equal to
pipelines.sales.stages.0.probability = "much"
    is no number
pipelines.sales.stages.0.stalled_after = "2 moons"
    is no duration; write a number and a unit
pipelines.sales.stages.0.stalled_after = "0d"
    is no duration; write a number and a unit
pipelines.sales.stages.1.requires = ["amout"] -> pipelines.sales.stages[1].requires[0]
    is none of 'amount', 'currency'
pipelines.sales.stages.2.moves = ["negotation"] -> pipelines.sales.stages[2].moves[0]
    did you mean negotiation?
pipelines.sales.stages.2.timed.to = "won"
    wins deals by time; no deal is won by waiting
pipelines.sales.stages.2.timed.to = "end"
    is no stage of this pipeline; there are new, qualified
pipelines.sales.stages.2.timed.reason = (left out) -> pipelines.sales.stages[2].timed
    loses deals by time without a reason; add reason
pipelines.sales.stages.2.timed.reason = "no-anser"
    did you mean no-answer?
pipelines.sales.stages.3.approval = "financ"
    is no role; did you mean finance?
pipelines.sales.reopen_roles = ["boss"] -> pipelines.sales.reopen_roles[0]
    is no role; there are manager
tickets.states.0.code = "open" -> tickets.states[1].code
    is the code of a state before it; give each its own
tickets.states.0.kind = "fresh"
    is none of 'new', 'open', 'pending', 'hold'
tickets.states.1.moves = ["pendng"] -> tickets.states[1].moves[0]
    is no state; did you mean pending?
tickets.states.4.timed.to = "gone"
    is no state; there are new, open
tickets.states.4.kind = "open" -> tickets.states
    have none of kind resolved; add one
tickets.states.5.kind = "open" -> tickets.states
    have none of kind closed; add one
tickets.initial = "newer"
    is no state; did you mean new?
tickets.reopened = "closed"
    is of kind closed; name a state in which a ticket is worked
tickets.on_reply = "resolved"
    is of kind resolved
tickets.priority = "hgh"
    is none of the priorities; did you mean high?
tickets.priorities = ["low", "low", "normal"]
    name one twice
tickets.queue = "genral"
    is no queue; did you mean general?
tickets.queues.us.team = "support-uk"
    is no team; did you mean support-us?
calendars.london.time_zone = "London"
    is no time zone such as Europe/London
calendars.london.hours.mon = ["9-5"] -> calendars.london.hours.mon[0]
    are no hours; write them as 09:00-17:30
calendars.london.hours.mon = ["17:00-09:00"] -> calendars.london.hours.mon[0]
    end before they begin; hours over
calendars.london.hours.mon = ["09:00-13:00", "12:00-17:00"]
    has hours that overlap; write them as one
calendars.london.special = {"2026-12-24": ["09:00-24:00", "23:00-24:00"]} -> calendars.london.special.2026-12-24
    has hours that overlap; write them as one
calendars.london.special = {"Easter": []} -> calendars.london.special.Easter
    is no day; write it as 2026-12-24
calendars.london.hours = {"mon": []}
    never opens; give hours to a day
calendars.london.hours.noon = []
    is none of 'mon', 'tue'
calendars.london.holidays.country = "England"
    is no country whose holidays
calendars.london.holidays.country = (left out) -> calendars.london.holidays.subdivision
    stands without its country
calendars.london.holidays.subdivision = "XX"
    is no part of GB; there
calendars.london.holidays.days = ["soon"] -> calendars.london.holidays.days[0]
    is no day; write it as
service_levels.standard.calendar = "paris"
    is no calendar; there are london
service_levels.standard.targets.hight = {"resolution": "8h"}
    is no priority; did you mean high?
service_levels.standard.targets = {}
    has too little in it; at least 1
service_levels.standard.targets.any = {"resolution": "2d"} -> service_levels.standard.targets.any.resolution
    is told in days or weeks; business time is counted in hours
service_levels.standard.targets.any = {"resolution": "10001h"} -> service_levels.standard.targets.any.resolution
    is too long; at most 10000h
service_levels.standard.targets.any = {}
    promises nothing; give first_
service_levels.standard.queues = ["uss"] -> service_levels.standard.queues[0]
    is no queue; did you mean us?
service_levels.standard.escalations = [{"on": "breach"}] -> service_levels.standard.escalations[0]
    does nothing; give priority, team, assignee or notify
service_levels.outages.escalations.1.priority = "top"
    is no pri
service_levels.outages.escalations.1.team = "top"
    is no team; th
assignment.0.code = "tickets-in-turn" -> assignment[2].code
    is the code of a rule before it; give each its own
assignment.0.users = [] -> assignment[0]
    names nobody; add users or a team
assignment.1.territories = {} -> assignment[1]
    goes by territory and has none; add territories
assignment.1.field = "queue"
    is nothing that a lead goes by; there are country
assignment.2.team = "suport"
    is no team; did you mean support?
assignment.0.when.field = "lead.country" -> assignment[0].when
    asks for lead.country; only deal.… is known here
automation.0.code = "bad-score" -> automation[1].code
    is the code of a rule before it; give each its own
automation.0.on = ["lead.catured"] -> automation[0].on[0]
    is no type of event; did you mean lead.captured?
automation.1.enabled = "maybe"
    is neither true nor false
automation.1.then.0.title = (left out) -> automation[1].then[0]
    does open_ticket without title; add title
automation.1.then.0.queue = "x"
    is no queue; there are general
automation.1.then.0.priority = "x"
    is no priority; there are low
automation.3.then.0.url = "mailto:x"
    is not right: URL scheme should be
automation.3.then = [{"do": "assign"}] -> automation[3].then[0]
    does assign without assignee or team; add one
automation.3.then = [{"do": "move", "to": "lost"}] -> automation[3].then[0]
    loses deals without a reason
automation.3.then = [{"do": "move", "to": "ofer"}] -> automation[3].then[0].to
    did you mean offer?
automation.3.then = []
    has too little in it; at least 1
automation.3.when = {"value": 1}
    a condition is one comparison (field, is, value), or one
automation.3.when = {"all": [], "any": []} -> automation[3].when.all
    has too little in it; at least 1
automation.3.when = {"all": [{"field": "deal.stage", "value": "x"}], "value": 1} -> automation[3].when.value
    belongs to a comparison; add field
automation.3.when.field = "deal.amout"
    can ask for; did you mean deal.amount?
automation.3.when.field = "customer.name"
    can ask for; did you mean customer.
automation.3.when.field = "event.content"
    does not end in a name such as
automation.3.when.is = "=="
    is none of '=', '!='
automation.3.when = {"field": "deal.stage", "is": "in", "value": "x"} -> automation[3].when.value
    `in` needs one
automation.3.when = {"field": "deal.stage"} -> automation[3].when.value
    for what is not there write `is: unkn
automation.3.when = {"field": "deal.stage", "is": "known", "value": 1} -> automation[3].when.value
    has no place beside `known`; leave it out
automation.3.when = {"field": "deal.stage", "is": ">", "value": "offer"} -> automation[3].when.value
    is no number and no day, and `>` compares nothing else
"""
"""What is put in where, what is told of it, and where, if it is told elsewhere."""


def cases() -> list[tuple[str, str, str, str]]:
    """Of each entry: path, value, where it is told, and how."""
    found = []
    for put, sentence in zip(*[iter(WRONG.strip().splitlines())] * 2, strict=True):
        path, _, rest = put.partition(" = ")
        value, _, elsewhere = rest.partition(" -> ")
        found.append((path, value, elsewhere or re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path), sentence.strip()))
    return found


@pytest.mark.parametrize(("path", "value", "where", "sentence"), cases())
def test_what_is_wrong_is_told_where_it_stands_with_its_line(
    path: str, value: str, where: str, sentence: str
) -> None:
    text = with_change(path, value)
    found = dict(told(text))
    assert where in found, found
    assert sentence in found[where]
    line = text.splitlines()[int(found[where].rpartition("(line ")[2].rstrip(").?")) - 1]
    name = where.rpartition(".")[2].partition("[")[0]
    assert "missing" in sentence or "]" in where or name in line


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        "version: 1\nroles: [A B]\npipelines:\n  sales:\n    stages:\n      - code: X Y\n      - probability: 200\n"
    )
    assert [(field, trouble.rpartition(" (")[2]) for field, trouble in told(text)] == [
        ("roles[0]", "line 2)."),
        ("pipelines.sales.stages[0].code", "line 6)."),
        ("pipelines.sales.stages[1].code", "line 7)."),
        ("pipelines.sales.stages[1].probability", "line 7)."),
    ]


@pytest.mark.parametrize("plain", [None, [], "version: 1", 5])
def test_what_is_no_mapping_is_told_how_to_begin(plain: Any) -> None:
    with pytest.raises(BadInput, match="Begin it with `version: 1`"):
        read_configuration(plain)


def test_a_configuration_says_as_much_as_it_likes() -> None:
    least = read_configuration({"version": 1})
    built_in = builtin_configuration()
    assert (least.pipelines, least.tickets) == (built_in.pipelines, built_in.tickets)
    assert (least.service_levels, least.calendars, least.default_pipeline) == ({}, {}, "sales")


def test_what_was_read_can_be_written_and_read_again() -> None:
    whole = read_yaml(WHOLE.read_bytes(), CATALOGUE)
    for one in (whole, builtin_configuration()):
        assert read_configuration(one.model_dump(mode="json", by_alias=True)) == one
    assert Configuration.model_validate(whole) is whole
