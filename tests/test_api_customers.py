"""Does the API tell who a customer is? From published events to one answer, and what a key may see of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import BATCH, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.story import event


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory, visible_wait=0.4) as running:
        yield running


@pytest.fixture(scope="module")
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("publish", "read", "system") as made:
        yield made


class Person:
    """Someone of whom events are published. Numbers are those of nobody else."""

    def __init__(self, api: RunningApi, client: httpx.Client) -> None:
        self.api, self.client = api, client
        self.email = api.fresh()
        self.number = f"n-{self.email}"
        self.sent = 0

    def by(self, *kinds: str) -> list[dict[str, str]]:
        values = {"email": self.email, "customer_no": self.number}
        return [{"kind": kind, "value": values[kind]} for kind in kinds]

    def event(self, type: str, content: Any = None, by: str = "email", **more: Any) -> dict[str, Any]:
        """An event about her; `by`: kinds of identifiers, `minute`, `source` and `refs` as they say."""
        self.sent += 1
        data = {"who": self.by(*by.split()), "content": content or {}, "refs": more.pop("refs", [])}
        data.update({key: more.pop(key) for key in ("about", "channel", "parties") if key in more})
        made = event(more.pop("minute", self.sent), id=f"{self.email}-{self.sent}", type=type, **more)
        return {**made, "data": data}

    def publish(self, *events: Any) -> str:
        """Publish and make visible; gives the vector of positions."""
        answer = self.client.post("/v1/events", content=json.dumps(events), headers={"Content-Type": BATCH})
        assert answer.status_code == 202, answer.text
        self.api.project()
        positions: str = answer.json()["positions"]
        return positions

    def id(self, kind: str = "email") -> str:
        """An id that finds her, by an identifier."""
        from domain.identifiers import Identifier

        value = self.email if kind == "email" else self.number
        token = self.api.story.hasher.token(Identifier(kind, value))
        assert token is not None
        return token[-32:]

    def get(self, path: str = "", kind: str = "email", **query: Any) -> Any:
        answer = self.client.get(f"/v1/customers/{self.id(kind)}{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def ann(api: RunningApi, client: httpx.Client) -> Person:
    return Person(api, client)


def order(code: str) -> list[dict[str, str]]:
    return [{"kind": "order", "value": code}]


def bought(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "GBP"}


def test_S01_every_identifier_of_a_customer_leads_to_one_view(ann: Person) -> None:
    ann.publish(
        ann.event("email.received", by="email"),
        ann.event("purchase.made", bought("30"), by="customer_no", refs=order(f"{ann.email}1")),
        ann.event("page.viewed", by="email customer_no"),
    )
    by_mail, by_number = ann.get(kind="email"), ann.get(kind="customer_no")
    assert by_mail == by_number
    assert by_mail["id"] == ann.id("customer_no")
    assert by_mail["facts"]["touchpoints"] == 3
    assert [(one["kind"], one["value"]) for one in by_mail["identifiers"]] == [
        ("customer_no", ann.number),
        ("email", ann.email),
    ]
    assert by_mail["timeline"] == f"/v1/customers/{by_mail['id']}/timeline"


def test_S03_an_agent_sees_facts_profile_campaign_and_preferences(ann: Person) -> None:
    one, two = f"{ann.email}-1", f"{ann.email}-2"
    campaign = [{"kind": "campaign", "value": "spring"}]
    told = [
        ann.event("profile.updated", {"name": "Ann", "time_zone": "Asia/Tokyo"}),
        ann.event("profile.updated", {"name": "Ann King", "address": {"city": "Leeds"}}, source="crm"),
        ann.event("purchase.made", bought("10.10"), refs=order(one), source="shop"),
        ann.event("purchase.made", bought("10.10"), refs=order(one), source="erp"),
        ann.event("purchase.made", bought("20"), refs=order(two), source="shop"),
        ann.event("refund.made", bought("5"), refs=order(two), source="shop"),
        ann.event("email.clicked", refs=campaign),
        ann.event("email.opened", refs=[{"kind": "campaign", "value": "summer"}]),
        ann.event("email.sent"),
    ]
    ann.publish(*told)
    found = ann.get()
    assert found["facts"]["money"] == [
        {"currency": "GBP", "orders": 2, "revenue": "30.10", "refunds": "5.00", "average_order": "15.05"}
    ]
    assert {(one["channel"], one["direction"]): one["touchpoints"] for one in found["facts"]["contacts"]} == {
        ("email", "in"): 2,
        ("email", "out"): 1,
        ("shop", "in"): 3,
        ("shop", "out"): 1,
    }
    assert (found["facts"]["first_contact"], found["facts"]["last_contact"]) == (
        "2026-03-01T09:03:00Z",
        "2026-03-01T09:09:00Z",
    )
    assert found["last_campaign"]["campaign"] == "spring"
    assert found["preferred"] == {"channel": "shop", "hour": 18, "time_zone": "Asia/Tokyo"}
    assert (found["profile"]["name"]["value"], found["profile"]["name"]["source"]) == ("Ann King", "crm")
    assert found["profile"]["address"]["value"] == {"city": "Leeds"}


def test_what_was_retracted_counts_nowhere_and_what_was_amended_counts_as_amended(ann: Person) -> None:
    first, second, campaign = (
        ann.event("purchase.made", bought("10"), refs=order(f"{ann.email}-a")),
        ann.event("purchase.made", bought("20"), refs=order(f"{ann.email}-b")),
        ann.event("email.clicked", refs=[{"kind": "campaign", "value": "spring"}]),
    )
    consent = ann.event("consent.given", {"purpose": "marketing"})
    ann.publish(first, second, campaign, consent)
    assert ann.get()["facts"]["money"][0]["revenue"] == "30.00"

    def about(relation: str, target: Any) -> list[Any]:
        return [{"relation": relation, "source": target["source"], "id": target["id"]}]

    ann.publish(
        ann.event("event.retracted", about=about("retracts", first)),
        ann.event("event.retracted", about=about("retracts", campaign)),
        ann.event("event.retracted", about=about("retracts", consent)),
        ann.event(
            "event.amended", {"type": "purchase.made", "content": bought("25.50")}, about=about("corrects", second)
        ),
    )
    found = ann.get()
    assert (found["facts"]["money"][0]["revenue"], found["facts"]["orders"]) == ("25.50", 1)
    assert found["facts"]["touchpoints"] == 1
    assert "last_campaign" not in found
    assert "consents" not in found


def test_S84_consent_has_its_history_and_a_merge_allows_nothing(ann: Person) -> None:
    """She withdraws under her number; under her address, not yet known to be hers, she grants."""
    ann.publish(
        ann.event("consent.withdrawn", {"purpose": "marketing", "channel": "email"}, by="customer_no", minute=1),
        ann.event("consent.given", {"purpose": "marketing", "channel": "email"}, by="email", minute=2),
        ann.event("page.viewed", by="email customer_no", minute=5),
    )
    (now,) = ann.get(kind="email")["consents"]
    assert (now["granted"], now["held"], now["since"]) == (False, True, "2026-03-01T09:01:00Z")
    ann.publish(ann.event("consent.given", {"purpose": "marketing", "channel": "email"}, by="email", minute=6))
    found = ann.get("/consents")
    assert [one["granted"] for one in found["current"]] == [True]
    assert [one["granted"] for one in found["history"]] == [True, True, False]
    page = ann.get("/consents", limit=2)
    rest = ann.get("/consents", limit=2, before=page["older"])
    assert page["history"] + rest["history"] == found["history"]
    assert rest["older"] is None


def test_a_merge_adds_customers_up_and_a_split_leaves_each_as_before(
    api: RunningApi, client: httpx.Client, ann: Person
) -> None:
    ben = Person(api, client)
    consent = {"purpose": "marketing"}
    ann.publish(
        ann.event("purchase.made", bought("10.10")),
        ann.event("consent.given", consent),
        ann.event("profile.updated", {"name": "Ann"}),
        ben.event("purchase.made", bought("5"), minute=7),
        ben.event("consent.withdrawn", consent, minute=8),
        ben.event("profile.updated", {"language": "de"}),
    )
    before = [one.get() for one in (ann, ben)]
    sides: dict[str, Any] = {"parties": [{"role": "same", "who": ben.by("email")}], "source": "storyline/steward"}
    ann.publish(ann.event("identity.merged", minute=20, **sides))
    one, other = ann.get(), ben.get()
    assert one == other
    assert (one["facts"]["orders"], one["facts"]["money"][0]["revenue"]) == (2, "15.10")
    assert (one["facts"]["touchpoints"], one["consents"][0]["granted"]) == (2, False)
    assert {field: told["value"] for field, told in one["profile"].items()} == {"name": "Ann", "language": "de"}
    ann.publish(ann.event("identity.split", minute=30, **sides))
    assert [one.get() for one in (ann, ben)] == before


def test_without_the_scope_read_what_is_personal_is_left_out(api: RunningApi, ann: Person) -> None:
    ann.publish(
        ann.event("profile.updated", {"name": "Ann"}),
        ann.event("consent.given", {"purpose": "marketing"}),
        ann.event("email.received"),
    )
    with api.client("read-sealed") as sealed:
        answer = sealed.get(f"/v1/customers/{ann.id()}")
    found = answer.json()
    assert "profile" not in found and "identifiers" not in found
    assert ann.email not in answer.text and "Ann" not in answer.text
    assert (found["facts"]["touchpoints"], found["consents"][0]["granted"]) == (1, True)


def test_an_order_of_two_customers_counts_with_each(api: RunningApi, client: httpx.Client, ann: Person) -> None:
    ben = Person(api, client)
    shared = order(f"{ann.email}-shared")
    ann.publish(
        ann.event("purchase.made", bought("10"), refs=shared, source="shop"),
        ben.event("purchase.made", bought("10"), refs=shared, source="erp"),
    )
    assert [one.get()["facts"]["orders"] for one in (ann, ben)] == [1, 1]


def test_an_id_that_nobody_has_is_a_404(client: httpx.Client) -> None:
    for path in ("/v1/customers/no", f"/v1/customers/{'0' * 32}", f"/v1/customers/{'0' * 32}/consents"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_what_was_published_can_be_waited_for(api: RunningApi, client: httpx.Client, ann: Person) -> None:
    positions = ann.publish(ann.event("email.received"))
    assert ann.get(after_positions=positions)["facts"]["touchpoints"] == 1
    for path in ("", "/consents"):
        late = client.get(f"/v1/customers/{ann.id()}{path}", params={"after_positions": "0:999999"})
        assert late.status_code == 503
    assert client.get(f"/v1/customers/{ann.id()}", headers={"Storyline-After": "x"}).status_code == 422


def test_wrong_queries_of_consents_are_refused(client: httpx.Client, ann: Person) -> None:
    for query in ({"limit": 0}, {"limit": 501}, {"before": "no"}):
        assert client.get(f"/v1/customers/{ann.id()}/consents", params=query).status_code == 422
