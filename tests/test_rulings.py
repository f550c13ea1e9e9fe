"""May a steward rule who is one person, and take it back without loss? Merge, split, undo, over the API."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx
import pytest

from commands.rulings import Candidate, merge_sides, split_sides
from domain.errors import BadInput
from domain.identifiers import Identifier
from tests.support.api import BATCH, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.projecting import one_runner
from tests.support.story import event


@pytest.fixture(scope="module")
def api(postgres: PostgresServer, server_directory: Path) -> Iterator[RunningApi]:
    with running_api(postgres, server_directory) as running, one_runner(running.story):
        yield running


@pytest.fixture(scope="module")
def steward(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("publish", "read", "steward") as made:
        yield made


class Person:
    """Someone with identifiers of their own, who bought something under each pair of them."""

    def __init__(self, api: RunningApi, name: str, *kinds: str) -> None:
        self.email = api.fresh()
        self.name, self._api = name, api
        self.whos = [
            [
                {"kind": kind, "value": self.email if kind == "email" else f"{kind}-{self.email}"}
                for kind in pair.split("+")
            ]
            for pair in kinds
        ]

    def events(self) -> list[dict[str, Any]]:
        return [bought(place, f"{self.email}-{place}", who) for place, who in enumerate(self.whos)]

    @property
    def id(self) -> str:
        return self._api.customer(self.email)


def bought(minute: int, order: str, who: list[dict[str, str]]) -> dict[str, Any]:
    return event(
        minute,
        id=f"sale-{order}",
        type="purchase.made",
        data={
            "who": who,
            "refs": [{"kind": "order", "value": order.replace("@", ".")}],
            "content": {"amount": "10.00", "currency": "EUR"},
        },
    )


def publish(api: RunningApi, client: httpx.Client, *events: Any) -> None:
    answer = client.post("/v1/events", content=json.dumps(events), headers={"Content-Type": BATCH})
    assert answer.status_code == 202, answer.text
    api.project()


def two_people(api: RunningApi, client: httpx.Client) -> tuple[Person, Person]:
    ann, bob = Person(api, "Ann", "email+cookie", "email+phone"), Person(api, "Bob", "email", "email+cookie")
    publish(api, client, *ann.events(), *bob.events())
    return ann, bob


def done(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def rule(api: RunningApi, client: httpx.Client, path: str, **body: Any) -> Any:
    """Rule over the API, while what it publishes becomes visible."""
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, path, json=body)
        while not answer.done():
            api.project()
            time.sleep(0.02)
    told = done(answer.result())
    assert told["visible"], told
    return told


def merge(api: RunningApi, client: httpx.Client, *people: Person, **body: Any) -> Any:
    return rule(api, client, "/v1/customers/merge", customers=[one.id for one in people], **body)


def identity(client: httpx.Client, customer: str) -> Any:
    return done(client.get(f"/v1/customers/{customer}/identity"))


def orders(client: httpx.Client, customer: str) -> set[str]:
    items = done(client.get(f"/v1/customers/{customer}/timeline"))["items"]
    return {one["id"] for one in items if one["type"] == "purchase.made"}


def of_identity(api: RunningApi) -> Any:
    """Row hashes of who is who and of the facts, but for the rulings themselves."""
    hashes = api.story.hashes()
    return {name: found for name, found in hashes["identity"].items() if name != "rulings"}, hashes["customers"]


def problems(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [f"{one['field']} {one['trouble']}" for one in answer.json()["errors"]]


def test_S06_merged_customers_are_one_and_a_ruling_that_is_taken_back_leaves_no_trace(
    api: RunningApi, steward: httpx.Client
) -> None:
    ann, bob = two_people(api, steward)
    before = of_identity(api)
    told = merge(api, steward, ann, bob, reason="same-person", comment="Ann called")
    assert told["name"] == f"storyline/steward#{told['ruling']}"
    found = identity(steward, bob.id)
    assert told["customers"] == [found["id"]] == [identity(steward, ann.id)["id"]]
    assert {one["value"] for one in found["identifiers"]} >= {ann.email, bob.email}
    assert orders(steward, ann.id) == orders(steward, bob.id) == {one["id"] for p in (ann, bob) for one in p.events()}
    [ruling] = found["rulings"]
    assert (ruling["reason"], ruling["comment"], ruling["did"], ruling["merges"]) == (
        "same-person", "Ann called", True, True
    )  # fmt: skip
    assert ruling["by"].startswith("user:")
    rule(api, steward, f"/v1/rulings/{told['ruling']}/undo", comment="it was her sister")
    assert of_identity(api) == before
    assert orders(steward, ann.id) == {one["id"] for one in ann.events()}
    [ruling] = done(steward.get("/v1/rulings", params={"customer": ann.id}))["rulings"]
    assert ruling["undone"]
    again = steward.post(f"/v1/rulings/{told['ruling']}/undo", json={})
    assert problems(again) == ["ruling was taken back already."]


def test_S06_after_merge_and_split_each_past_event_stands_where_it_belongs(
    api: RunningApi, steward: httpx.Client
) -> None:
    ann, bob = two_people(api, steward)
    before = of_identity(api)
    merge(api, steward, ann, bob)
    one = identity(steward, ann.id)["id"]
    sides = [[ann.id], [{"kind": "email", "value": bob.email.upper()}]]
    tried = done(steward.post(f"/v1/customers/{one}/split", json={"sides": sides, "dry_run": True}))
    assert "ruling" not in tried
    assert [(person["events"], person["orders"]) for person in tried["change"]["before"]] == [(5, 4)]
    assert sorted((person["events"], person["orders"]) for person in tried["change"]["after"]) == [(2, 2), (3, 2)]
    told = rule(api, steward, f"/v1/customers/{one}/split", sides=sides)
    assert told["customers"] == [identity(steward, who.id)["id"] for who in (ann, bob)]
    assert of_identity(api) == before
    for place in tried["change"]["evidences"]:
        assert {identity(steward, node)["id"] for node in place["identifiers"]} == {place["after"]}
    assert orders(steward, ann.id) == {one["id"] for one in ann.events()}
    assert orders(steward, bob.id) == {one["id"] for one in bob.events()}
    # and the other way round: the newest ruling counts
    merge(api, steward, ann, bob)
    assert identity(steward, ann.id)["id"] == identity(steward, bob.id)["id"]


def test_a_dry_run_tells_what_then_comes(api: RunningApi, steward: httpx.Client) -> None:
    ann, bob = two_people(api, steward)
    hashes, ends = api.story.hashes(), api.story.log.ends()
    tried = done(steward.post("/v1/customers/merge", json={"customers": [ann.id, bob.id], "dry_run": True}))["change"]
    assert (api.story.hashes(), api.story.log.ends()) == (hashes, ends)
    assert {person["id"] for person in tried["before"]} == {identity(steward, one.id)["id"] for one in (ann, bob)}
    [after] = tried["after"]
    assert (after["events"], after["orders"]) == (4, 4)
    assert after["money"] == [{"currency": "EUR", "orders": 4, "revenue": "40.00", "refunds": "0.00"}]
    told = merge(api, steward, ann, bob)
    assert after["id"] == identity(steward, ann.id)["id"]
    undone = done(steward.post(f"/v1/rulings/{told['ruling']}/undo", json={"dry_run": True}))["change"]
    assert {person["id"] for person in undone["after"]} == {person["id"] for person in tried["before"]}


def test_in_a_tangled_history_all_comes_about_as_a_dry_run_foresaw(api: RunningApi, steward: httpx.Client) -> None:
    random, mark = Random(3), api.fresh()
    kinds = {"customer_no": 8, "email": 12, "phone": 8, "cookie": 16}
    whos = [
        [{"kind": kind, "value": f"{kind}-{random.randint(1, kinds[kind])}-{mark}"} for kind in chosen]
        for chosen in (random.choices(sorted(kinds), k=2) for _ in range(40))
    ]
    publish(api, steward, *[bought(place, f"{mark}-{place}", who) for place, who in enumerate(whos)])
    tokens = [api.story.hasher.token(Identifier(**one)) for who in whos for one in who]
    nodes = sorted({token[-32:] for token in tokens if token is not None})
    for round_ in range(2):
        before = of_identity(api)
        ids = sorted({found["id"] for found in map(partial(identity, steward), nodes) if not _is_shared(found)})
        body: dict[str, Any] = {"customers": random.sample(ids, 3)}
        path = "/v1/customers/merge"
        if round_ % 2:
            largest = max((identity(steward, one) for one in ids), key=lambda found: len(found["ids"]))
            own = random.sample(largest["ids"], 4)
            body, path = {"sides": [own[:2], own[2:]]}, f"/v1/customers/{largest['id']}/split"
        change = done(steward.post(path, json={**body, "dry_run": True}))["change"]
        ruling = rule(api, steward, path, **body)["ruling"]
        after = {node: identity(steward, node)["id"] for node in nodes}
        assert all(place["after"] in {after[node] for node in place["identifiers"]} for place in change["evidences"])
        for person in change["after"]:
            found = identity(steward, person["id"])
            assert found["ids"] == [one["node"] for one in person["identifiers"]]
        rule(api, steward, f"/v1/rulings/{ruling}/undo")
        assert of_identity(api) == before


def _is_shared(found: Any) -> bool:
    """Is it an identifier that several people share, and nobody's?"""
    return any(one["node"] == found["id"] for one in found["shared"])


def test_a_merge_settles_a_dispute_and_a_split_makes_one(api: RunningApi, steward: httpx.Client) -> None:
    ann = Person(api, "Ann", "email+customer_no")
    publish(api, steward, *ann.events())
    number = {"kind": "customer_no", "value": f"second-{ann.email}"}
    other = event(9, id=f"second-{ann.email}", data={"who": [{"kind": "email", "value": ann.email}, number]})
    publish(api, steward, other)
    found = identity(steward, ann.id)
    [refused] = found["refused"]
    assert (refused["reason"], refused["why"]) == (
        "limit", "Both have a customer_no of their own, and one customer may have 1."
    )  # fmt: skip
    second = refused["b"] if refused["a"] == ann.id else refused["a"]
    customers = [ann.id, second]
    tried = done(steward.post("/v1/customers/merge", json={"customers": customers, "dry_run": True}))["change"]
    assert [one["reason"] for one in tried["disputes_resolved"]] == ["limit"]
    rule(api, steward, "/v1/customers/merge", customers=customers)
    merged = identity(steward, ann.id)
    assert merged["refused"] == []
    rule(api, steward, f"/v1/customers/{ann.id}/split", sides=[[ann.id], [second]])
    [refused] = identity(steward, ann.id)["refused"]
    assert (refused["reason"], refused["why"]) == ("split", "A steward ruled that these are different people.")


def test_what_cannot_be_ruled_is_refused_in_words(api: RunningApi, steward: httpx.Client) -> None:
    ann, bob = two_people(api, steward)
    strange = "0" * 32
    told = steward.post("/v1/customers/merge", json={"customers": [ann.id, strange, "no id"]})
    assert problems(told) == ["customers[1] is no customer.", "customers[2] is no customer."]
    cookie = identity(steward, ann.id)["identifiers"][-1]["node"]
    told = steward.post("/v1/customers/merge", json={"customers": [ann.id, cookie]})
    assert problems(told) == ["customers[1] is the same customer as customers[0]."]
    path = f"/v1/customers/{ann.id}/split"
    told = steward.post(path, json={"sides": [[ann.id], [{"kind": "email", "value": bob.email}, bob.id]]})
    assert problems(told) == [f"sides[1][{place}] is no identifier of this customer." for place in (0, 1)]
    assert problems(steward.post(path, json={"sides": [[ann.id], [ann.id]]})) == [
        "sides[1][0] stands in sides[0] too."
    ]
    assert problems(steward.post(path, json={"sides": [[ann.id]]})) == ["sides leave nothing to split."]
    reason = steward.post("/v1/customers/merge", json={"customers": [ann.id, bob.id], "reason": "ann@example.org"})
    assert reason.status_code == 422
    assert ann.email not in reason.text
    assert steward.post(f"/v1/customers/{strange}/split", json={"sides": [[ann.id]]}).status_code == 404
    assert steward.post(f"/v1/rulings/{strange}/undo", json={}).status_code == 404


def test_a_shared_identifier_and_an_erased_customer_cannot_be_merged() -> None:
    mail = Identifier("email", "a@example.org")
    shared, erased, good = (UUID(int=number) for number in (1, 2, 3))
    sides = [
        (shared, [Candidate(shared, mail, shared=True)]),
        (erased, [Candidate(erased, None)]),
        (good, [Candidate(good, mail)]),
    ]
    with pytest.raises(BadInput) as told:
        merge_sides(sides)
    assert [(one.field, one.trouble) for one in told.value.problems] == [
        ("customers[0]", "is an identifier that several people share, and no person."),
        ("customers[1]", "was erased."),
    ]
    own = {erased: Candidate(erased, None), good: Candidate(good, mail)}
    with pytest.raises(BadInput) as told:
        split_sides([[good], [erased, shared, None]], own, {shared})
    assert [one.trouble for one in told.value.problems] == [
        "was erased.",
        "is shared by several people, and links nobody.",
        "is no identifier of this customer.",
    ]


def test_ruling_needs_the_scope_steward_and_words_in_clear_the_scope_read(
    api: RunningApi, steward: httpx.Client
) -> None:
    ann, bob = two_people(api, steward)
    body = {"customers": [ann.id, bob.id], "comment": "secret words"}
    with api.client("publish", "read", "operate") as reader:
        assert reader.post("/v1/customers/merge", json=body).status_code == 403
        assert reader.post(f"/v1/customers/{ann.id}/split", json={"sides": [[ann.id]]}).status_code == 403
        told = merge(api, steward, ann, bob, comment="secret words")
        assert reader.post(f"/v1/rulings/{told['ruling']}/undo", json={}).status_code == 403
    with api.client("read-sealed") as sealed:
        answer = sealed.get("/v1/rulings", params={"customer": ann.id})
        assert answer.status_code == 200
        assert "secret words" not in answer.text
        found = sealed.get(f"/v1/customers/{ann.id}/identity")
        assert ann.email not in found.text
        assert len(found.json()["identifiers"]) == 5


def test_a_dry_run_shows_identifiers_in_clear_to_the_scope_read_alone(api: RunningApi, steward: httpx.Client) -> None:
    ann, bob = two_people(api, steward)
    sides = [[one["node"]] for one in identity(steward, ann.id)["identifiers"][:2]]
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/customers/merge", {"customers": [ann.id, bob.id], "dry_run": True}),
        (f"/v1/customers/{ann.id}/split", {"sides": sides, "dry_run": True}),
    ]
    with api.client("steward") as blind:
        for path, body in asked:
            seen, unseen = steward.post(path, json=body), blind.post(path, json=body)
            assert done(seen)["change"]["after"] and done(unseen)["change"]["after"]
            assert ann.email in seen.text
            assert ann.email not in unseen.text


def test_all_rulings_are_listed_newest_first_page_by_page(api: RunningApi, steward: httpx.Client) -> None:
    for _ in range(2):
        ann, bob = two_people(api, steward)
        merge(api, steward, ann, bob)
    listed: list[Any] = []
    before = None
    while True:
        page = done(steward.get("/v1/rulings", params={"limit": 1, **({"before": before} if before else {})}))
        listed += page["rulings"]
        before = page["older"]
        if before is None:
            break
    assert [one["at"] for one in listed] == sorted([one["at"] for one in listed], reverse=True)
    assert len({one["ruling"] for one in listed}) == len(listed) >= 2
    assert listed[0]["sides"][0]["customers"] == [identity(steward, bob.id)["id"]]
    assert steward.get("/v1/rulings", params={"before": "nowhere"}).status_code == 422
