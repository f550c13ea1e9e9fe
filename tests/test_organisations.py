"""Does an organisation have contacts with roles, and a timeline that gathers theirs? Over the API, from events on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.projecting import one_runner
from tests.support.story import event


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running, one_runner(running.story):
        yield running


@pytest.fixture(scope="module")
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("read") as made:
        yield made


class Firm:
    """An organisation of which events are published."""

    def __init__(self, api: RunningApi, client: httpx.Client) -> None:
        self.api, self.client = api, client
        self.ann, self.ben = api.fresh(), api.fresh()
        self.code = f"firm-{self.ann.partition('@')[0]}"

    @property
    def ref(self) -> list[dict[str, str]]:
        return [{"kind": "organisation", "value": self.code}]

    def described(self, minute: int, content: Any, *people: tuple[str, str]) -> dict[str, Any]:
        """People: (role, address), in the order of the content's contacts."""
        parties = [{"role": role, "who": who(email)} for role, email in people]
        made = event(minute, id=f"{self.code}-{minute}", type="organisation.described", source="crm")
        return {**made, "data": {"refs": self.ref, "parties": parties, "content": content}}

    def did(self, type: str, minute: int, email: str, **data: Any) -> dict[str, Any]:
        made = event(minute, id=f"{self.code}-{minute}", type=type)
        return {**made, "data": {"who": who(email), "content": {}, **data}}

    def publish(self, *events: dict[str, Any]) -> None:
        self.api.story.publish(*events)
        self.api.project()

    def get(self, path: str = "", client: httpx.Client | None = None, **query: Any) -> Any:
        answer = (client or self.client).get(f"/v1/organisations/{self.code}{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


def who(email: str) -> list[dict[str, str]]:
    return [{"kind": "email", "value": email}]


@pytest.fixture
def firm(api: RunningApi, client: httpx.Client) -> Firm:
    return Firm(api, client)


def test_an_organisation_has_contacts_with_roles(api: RunningApi, firm: Firm) -> None:
    first = {"name": "Acme", "industry": "tools", "contacts": [{"name": "Ann", "title": "Clerk", "role": "billing"}]}
    firm.publish(firm.described(0, first, ("contact", firm.ann)))
    now = {
        "name": "Acme Ltd",
        "industry": "tools",
        "employees": 12,
        "website": "https://acme.example",
        "contacts": [{"name": "Ann King", "title": "Head", "role": "billing"}, {"name": "Ben"}],
    }
    firm.publish(firm.described(10, now, ("contact", firm.ann), ("technical", firm.ben)))
    # By her own event the address is a number's.
    number = [*who(firm.ann), {"kind": "customer_no", "value": firm.code}]
    firm.publish({**firm.did("page.viewed", 20, firm.ann), "data": {"who": number, "content": {}}})

    found = firm.get()
    assert {key: found[key] for key in ("name", "industry", "employees", "website")} == {
        key: now[key] for key in ("name", "industry", "employees", "website")
    }
    ann, ben = found["contacts"]
    assert (ann["role"], ann["name"], ann["title"]) == ("billing", "Ann King", "Head")
    assert (ann["since"], ann["last"]) == ("2026-03-01T09:00:00Z", "2026-03-01T09:10:00Z")
    assert ann["customer"] != api.customer(firm.ann)
    assert firm.client.get(f"/v1/customers/{api.customer(firm.ann)}").json()["id"] == ann["customer"]
    assert (ben["role"], ben["name"], ben["customer"]) == ("technical", "Ben", api.customer(firm.ben))
    with api.client("read-sealed") as sealed:
        told = firm.get(client=sealed)
    assert told["industry"] == "tools"
    assert [one["role"] for one in told["contacts"]] == ["billing", "technical"]
    assert not {"Acme", "Ann", "Ben"} & set(str(told).replace("'", " ").split())


def test_a_description_that_was_put_right_or_taken_back_counts_so(firm: Firm) -> None:
    wrong = firm.described(0, {"name": "Acme", "contacts": [{"name": "Anne"}]}, ("contact", firm.ann))
    false = firm.described(5, {"name": "Other", "contacts": [{"name": "Ben"}]}, ("contact", firm.ben))
    amended = {"type": "organisation.described", "content": {"name": "Acme Ltd", "contacts": [{"name": "Ann"}]}}
    firm.publish(wrong, false)
    assert firm.get()["name"] == "Other"
    right = event(30, id=f"{firm.code}-right", type="event.amended", source="crm")
    undone = event(31, id=f"{firm.code}-undone", type="event.retracted", source="crm")
    firm.publish(
        {
            **right,
            "data": {"content": amended, "about": [{"relation": "corrects", "source": "crm", "id": wrong["id"]}]},
        },
        {**undone, "data": {"content": {}, "about": [{"relation": "retracts", "source": "crm", "id": false["id"]}]}},
    )
    found = firm.get()
    assert found["name"] == "Acme Ltd"
    assert [(one["name"], one["present"]) for one in found["contacts"]] == [("Ann", True)]


def test_a_customers_timeline_shows_the_events_of_others_that_name_her_if_asked(api: RunningApi, firm: Firm) -> None:
    guest = [{"role": role, "who": who(firm.ann)} for role in ("guest", "cc")]
    firm.publish(
        firm.did("email.received", 1, firm.ann),
        firm.did("email.received", 2, firm.ben, parties=guest),
        firm.did("call.ended", 3, firm.ben, parties=guest[:1]),
        firm.did("meeting.held", 4, firm.ann, parties=guest[:1]),
        firm.did("email.received", 5, firm.ben),
    )
    address = f"/v1/customers/{api.customer(firm.ann)}/timeline"

    def told(**query: Any) -> list[tuple[str, list[str]]]:
        answer = firm.client.get(address, params=query)
        assert answer.status_code == 200, answer.text
        return [(one["id"].rpartition("-")[2], one.get("party", [])) for one in answer.json()["items"]]

    assert told() == [("4", []), ("1", [])]
    whole = [("4", ["guest"]), ("3", ["guest"]), ("2", ["cc", "guest"]), ("1", [])]
    assert told(parties=True) == whole
    assert told(parties=True, type="email.received") == whole[2:]
    page = firm.client.get(address, params={"parties": True, "limit": 2}).json()
    assert told(parties=True, limit=2, before=page["older"]) == whole[2:]
    both = firm.client.get(address, params={"parties": True, "recorded_by": "2026-03-01T00:00:00Z"})
    assert (both.status_code, both.json()["errors"][0]["field"]) == (422, "parties")


def test_its_timeline_gathers_that_of_its_contacts_each_event_once(firm: Firm) -> None:
    names = {"contacts": [{"name": "Ann"}, {"name": "Ben"}]}
    firm.publish(
        firm.described(0, names, ("contact", firm.ann), ("contact", firm.ben)),
        *[firm.did("email.received", minute, firm.ann) for minute in (1, 4)],
        firm.did("email.received", 2, firm.ben),
        firm.did("purchase.made", 3, firm.ben, refs=firm.ref, content={"amount": "5", "currency": "GBP"}),
        firm.did("call.ended", 6, firm.api.fresh(), refs=firm.ref),
    )
    firm.publish(firm.did("email.received", 7, firm.api.fresh()))
    whole = firm.get("/timeline")["items"]
    assert [one["id"].rpartition("-")[2] for one in whole] == ["6", "4", "3", "2", "1", "0"]
    found, page = [], firm.get("/timeline", limit=2)
    while page["items"]:
        found += page["items"]
        page = firm.get("/timeline", limit=2, before=page["older"]) if page["older"] else {"items": []}
    assert found == whole
    back = firm.get("/timeline", limit=2, before=firm.get("/timeline", limit=4)["older"])
    newer = firm.get("/timeline", limit=2, after=back["newer"])
    assert newer["items"] == whole[2:4]
    assert {one["type"] for one in firm.get("/timeline", type=["email.received", "call.ended"])["items"]} == {
        "email.received",
        "call.ended",
    }
    missing = firm.client.get("/v1/organisations/nobody-such")
    assert (missing.status_code, firm.client.get("/v1/organisations/nobody-such/timeline").status_code) == (404, 404)
