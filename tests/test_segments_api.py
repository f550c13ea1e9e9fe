"""Can people make segments, try rules, read who is in them, and be told why, over HTTP?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from projections.segments.backfilling import Backfiller
from projections.segments.waking import Waker
from tests.support.api import BATCH, RunningApi, running_api
from tests.support.postgres import PostgresServer
from tests.support.served import clean_environment, run_cli

DAY = timedelta(days=1)
BUYERS = 'count(purchase.made where content.currency = "GBP") >= 2'


class Shop:
    """An API with people in it, and with those who keep memberships, who do it when the test says."""

    def __init__(self, api: RunningApi, manager: httpx.Client, analyst: httpx.Client) -> None:
        self.api, self.manager, self.analyst = api, manager, analyst
        self._numbers = iter(range(1_000_000))
        self._ids: dict[str, Any] = {}
        self._runner = api.story.runner()

    def close(self) -> None:
        self._runner.close()

    def happen(
        self, type: str, /, email: str, ago: timedelta = DAY, about: tuple[str, str] | None = None, **content: Any
    ) -> str:
        """Something happened to somebody; gives the event's name. about: the relation to another, and its name."""
        number = next(self._numbers)
        raw: dict[str, Any] = {
            "specversion": "1.0", "source": "test/shop", "id": f"s{number}", "type": type,
            "time": (datetime.now(UTC) - ago).isoformat(),
            "data": {"who": [{"kind": "email", "value": email}], "content": content},
        }  # fmt: skip
        if about is not None:
            raw["data"]["about"] = [{"relation": about[0], "source": "test/shop", "id": self._ids[about[1]]}]
        with self.api.client("publish") as client:
            answer = client.post("/v1/events", content=json.dumps([raw]), headers={"Content-Type": BATCH})
        assert answer.status_code == 202, answer.text
        name = str(answer.json()["events"][0]["name"])
        self._ids[name] = raw["id"]
        return name

    def buy(self, email: str, ago: timedelta = DAY, amount: str = "10.00") -> str:
        return self.happen("purchase.made", email, ago, amount=amount, currency="GBP")

    def see(self) -> None:
        """Everything that happened is seen."""
        self._runner.run_to(self.api.story.log.ends())

    def settle(self) -> None:
        """Everything that happened is seen, and who is in which segment is found out."""
        self.see()
        facing = self.api.story.reading.facing
        with psycopg.connect(self.api.story.dsn, autocommit=True) as connection:
            Backfiller(facing).run(connection)
            waker = Waker(facing)
            while waker.take_calls(connection) or waker.look(connection):
                pass

    def make(self, code: str, rule: Any = None, **more: Any) -> httpx.Response:
        body = {"code": code, **({"rule": rule} if rule is not None else {"kind": "fixed"}), **more}
        return self.manager.post("/v1/segments", json=body)

    def members(self, code: str) -> set[str]:
        found: set[str] = set()
        cursor = None
        while True:
            parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            page = self.analyst.get(f"/v1/segments/{code}/members", params=parameters).json()
            found |= {one["customer"] for one in page["members"]}
            cursor = page["next"]
            if cursor is None:
                return found

    def changed(self, code: str, **body: Any) -> httpx.Response:
        return self.manager.patch(f"/v1/segments/{code}", json=body, headers={"If-Match": "*"})


@pytest.fixture(scope="module")
def shop(postgres: PostgresServer, server_directory: Path) -> Iterator[Shop]:
    with (
        running_api(postgres, server_directory) as api,
        api.client("manage") as manager,
        api.client("read-sealed") as analyst,
    ):
        made = Shop(api, manager, analyst)
        yield made
        made.close()


def test_S30_a_segment_is_made_of_a_rule_filled_and_read(shop: Shop) -> None:
    ann, ben = shop.api.fresh(), shop.api.fresh()
    for email in (ann, ann, ben):
        shop.buy(email)
    made = shop.make("s30.buyers", BUYERS, title="Bought twice")
    assert made.status_code == 201 and made.headers["etag"] == '"1"', made.text
    told = made.json()["segment"]
    assert (told["filling"], told["serving"], told["size"]) == (1, None, None)
    assert told["text"] == BUYERS and told["rule"]["events"]["types"] == ["purchase.made"]
    assert shop.members("s30.buyers") == set()
    shop.settle()
    told = shop.analyst.get("/v1/segments/s30.buyers").json()
    assert (told["filling"], told["serving"], told["size"]) == (None, 1, 1)
    assert shop.members("s30.buyers") == {shop.api.customer(ann)}
    shop.buy(ben)
    shop.see()
    assert shop.members("s30.buyers") == {shop.api.customer(ann), shop.api.customer(ben)}


def test_a_rule_is_refused_with_where_it_is_wrong_and_what_to_do(shop: Shop) -> None:
    [unknown] = shop.make("bad", "exists(purchase.made) and no(purchase.maid)").json()["errors"]
    assert unknown["field"].startswith("rule.all[1].events.types") and "purchase.made?" in unknown["trouble"]
    broken = shop.make("bad", "exists(purchase.made) and\n  no contact")
    [problem] = broken.json()["errors"]
    assert "line 2" in problem["trouble"] + problem["way_out"] + problem["field"], problem
    shaped = shop.make("bad", {"all": [{"fact": {"name": "revenue", "is": ">", "value": 1}}]})
    assert shaped.json()["errors"][0]["field"] == "rule.all[0].fact.currency"
    assert shop.make("bad").status_code == 201 and shop.make("bad").status_code == 422
    assert shop.manager.post("/v1/segments", json={"code": "none"}).status_code == 422
    for body in ({"code": "overlap", "kind": "fixed"}, {"code": "A b", "kind": "fixed"}):
        assert shop.manager.post("/v1/segments", json=body).status_code == 422


def test_no_rule_asks_for_what_is_not_there_or_archived_or_in_a_circle(shop: Shop) -> None:
    shop.make("circle.a", "exists(purchase.made)")
    shop.make("circle.b", "in segment circle.a")
    unknown = shop.make("circle.c", "exists(contact) and in segment circle.x").json()["errors"][0]
    assert unknown["field"] == "rule.all[1].segment.code" and "circle" in unknown["way_out"]
    round = shop.changed("circle.a", rule="in segment circle.b")
    assert round.status_code == 422
    assert "circle.a asks for circle.b asks for circle.a" in round.json()["errors"][0]["trouble"]
    assert shop.changed("circle.a", rule="in segment circle.a").status_code == 422
    used = shop.manager.post("/v1/segments/circle.a/archive", headers={"If-Match": "*"})
    assert used.status_code == 409 and used.json()["missing"] == ["circle.b"]
    assert shop.manager.post("/v1/segments/circle.b/archive", headers={"If-Match": "*"}).status_code == 200
    assert shop.make("circle.d", "in segment circle.b").status_code == 422
    assert shop.manager.post("/v1/segments/circle.a/archive", headers={"If-Match": "*"}).status_code == 200


def test_segments_behind_segments_have_an_end(shop: Shop) -> None:
    shop.make("chain.0", "exists(purchase.made)")
    for number in range(1, 11):
        assert shop.make(f"chain.{number}", f"in segment chain.{number - 1}").status_code == 201
    assert "11 deep" in shop.make("chain.11", "in segment chain.10").json()["errors"][0]["trouble"]
    dear = " or ".join(f"exists(purchase.made where content.amount = {number})" for number in range(25))
    again = shop.changed("chain.1", rule=" and ".join(["in segment chain.0"] * 5)).json()
    assert again["segment"]["filling"] == 2
    refused = shop.changed("chain.0", rule=dear)
    assert refused.status_code == 422
    assert "makes the rule of chain.1 too much" in refused.json()["errors"][0]["trouble"]


def test_S51_a_change_is_of_the_revision_that_was_read(shop: Shop) -> None:
    shop.make("s51", "exists(purchase.made)")
    assert shop.manager.patch("/v1/segments/s51", json={"title": "x"}).status_code == 428
    first = shop.manager.patch("/v1/segments/s51", json={"title": "One"}, headers={"If-Match": '"1"'})
    assert first.status_code == 200 and first.headers["etag"] == '"2"'
    second = shop.manager.patch("/v1/segments/s51", json={"title": "Two"}, headers={"If-Match": '"1"'})
    assert second.status_code == 412 and second.headers["etag"] == '"2"'
    assert shop.analyst.get("/v1/segments/s51").json()["title"] == "One"


def test_what_is_sent_again_under_its_key_is_done_once(shop: Shop) -> None:
    key = {"Idempotency-Key": "once"}
    body = {"code": "once", "rule": "exists(purchase.made)"}
    first = shop.manager.post("/v1/segments", json=body, headers=key)
    again = shop.manager.post("/v1/segments", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    other = shop.manager.post("/v1/segments", json={**body, "code": "twice"}, headers=key)
    assert other.status_code == 422 and other.json()["errors"][0]["field"] == "Idempotency-Key"


def test_another_rule_is_found_out_beside_the_one_that_serves(shop: Shop) -> None:
    ann, ben = shop.api.fresh(), shop.api.fresh()
    shop.buy(ann, amount="700.00")
    shop.buy(ben, amount="9.00")
    shop.make("beside", "exists(purchase.made where content.amount > 500)")
    shop.settle()
    rich = shop.members("beside")
    assert shop.api.customer(ann) in rich and shop.api.customer(ben) not in rich
    told = shop.changed("beside", rule="exists(purchase.made where content.amount = 9)").json()["segment"]
    assert (told["serving"], told["filling"]) == (1, 2) and told["text"].endswith("> 500)")
    assert [one["state"] for one in told["versions"]] == ["filling", "serving"]
    assert shop.members("beside") == rich
    shop.settle()
    assert shop.members("beside") == {shop.api.customer(ben)}
    same = shop.changed("beside", rule="exists(purchase.made where content.amount = 9)").json()["segment"]
    assert (same["serving"], same["filling"]) == (2, None)


def test_S32_why_tells_the_rule_the_events_and_what_comes_next(shop: Shop) -> None:
    ann = shop.api.fresh()
    names = [shop.buy(ann, 40 * DAY), shop.buy(ann, 20 * DAY)]
    shop.happen("email.received", ann, 5 * DAY, subject="About my order")
    shop.make("s32", "exists(purchase.made) and no(email.received in last 30d)")
    shop.settle()
    found = shop.analyst.get(f"/v1/segments/s32/members/{shop.api.customer(ann)}/why").json()
    assert (found["holds"], found["member"]) == (False, False)
    bought, mailed = found["rule"]["parts"]
    assert [one["name"] for one in bought["events"]] == names and "10.00" in bought["events"][0]["line"]
    assert mailed["holds"] is False and mailed["decides"] is True
    assert "About my order" not in json.dumps(found)
    assert datetime.fromisoformat(found["next"]["at"]) - datetime.now(UTC) == pytest.approx(
        25 * DAY, abs=timedelta(minutes=5)
    )
    assert found["next"]["to"] is True and found["next"]["places"] == ["all[1].events"]
    with shop.api.client("read") as agent:
        told = agent.get(f"/v1/segments/s32/members/{shop.api.customer(ann)}/why").json()
    assert "About my order" in told["rule"]["parts"][1]["events"][0]["line"]
    before = (datetime.now(UTC) - 6 * DAY).isoformat()
    then = shop.analyst.get(
        f"/v1/segments/s32/members/{shop.api.customer(ann)}/why", params={"happened_by": before}
    ).json()
    assert then["holds"] is True and then["rule"]["parts"][1]["wanted"]["text"] == "one email.received in last 30d"
    early = {"happened_by": "2001-01-01T00:00:00Z"}
    assert shop.analyst.get(f"/v1/segments/s32/members/{shop.api.customer(ann)}/why", params=early).status_code == 404
    assert shop.analyst.get("/v1/segments/s32/members/nobody/why").status_code == 404
    assert shop.analyst.get(f"/v1/segments/none/members/{shop.api.customer(ann)}/why").status_code == 404


def test_what_was_put_right_counts_as_it_is_right_and_what_was_taken_back_does_not(shop: Shop) -> None:
    ann = shop.api.fresh()
    wrong, doubled = shop.buy(ann, amount="5.00"), shop.buy(ann, amount="800.00")
    right: dict[str, Any] = {"type": "purchase.made", "content": {"amount": "950.00", "currency": "GBP"}}
    shop.happen("event.amended", ann, about=("corrects", wrong), **right)
    shop.happen("event.retracted", ann, about=("retracts", doubled), reason="twice")
    shop.make("right", "exists(purchase.made where content.amount > 700)")
    shop.settle()
    why = shop.analyst.get(f"/v1/segments/right/members/{shop.api.customer(ann)}/why").json()
    assert why["holds"] and why["member"]
    assert [one["name"] for one in why["rule"]["events"]] == [wrong]


def test_what_is_personal_is_told_to_those_who_may_see_it(shop: Shop) -> None:
    ann = shop.api.fresh()
    shop.happen("profile.updated", ann, DAY, address={"city": "Leeds"})
    shop.make("personal", "profile.address.city known and identifier.email known")
    shop.settle()
    path = f"/v1/segments/personal/members/{shop.api.customer(ann)}/why"
    sealed = shop.analyst.get(path)
    with shop.api.client("read") as agent:
        opened = agent.get(path)
    assert sealed.json()["holds"] and opened.json()["holds"]
    assert "Leeds" not in sealed.text and "Leeds" in opened.text
    assert ann not in sealed.text


def test_a_rule_is_tried_before_it_is_kept(shop: Shop) -> None:
    emails = [shop.api.fresh() for _ in range(4)]
    for email in emails:
        shop.buy(email, amount="4321.00")
    shop.settle()
    body = {"rule": "exists(purchase.made where content.amount = 4321)", "sample": 2}
    found = shop.analyst.post("/v1/segments/preview", json=body).json()
    assert (found["count"], found["exact"], found["low"], found["high"]) == (4, True, 4, 4)
    assert len(found["sample"]) == 2 and found["cost"] == 10
    assert {one["customer"] for one in found["sample"]} <= {shop.api.customer(one) for one in emails}
    assert all(one["rule"]["holds"] and one["because_of"][0].endswith("found 1") for one in found["sample"])
    assert shop.analyst.post("/v1/segments/preview", json={"rule": "in segment none"}).status_code == 422
    assert shop.analyst.get("/v1/segments", params={"q": "preview"}).json()["segments"] == []


def test_a_list_is_kept_by_people_and_follows_its_customers(shop: Shop) -> None:
    ann, ben = shop.api.fresh(), shop.api.fresh()
    shop.buy(ann), shop.buy(ben)
    shop.settle()
    shop.make("list", title="Guests of the opening")
    body = {"customers": [shop.api.customer(ann), "0" * 32], "identifiers": [
        {"kind": "email", "value": ben.upper()}, {"kind": "email", "value": "nobody@example.org"}]}  # fmt: skip
    done = shop.manager.post("/v1/segments/list/members", json=body).json()
    assert done == {"changed": 2, "unknown": ["0" * 32], "unknown_identifiers": [1], "repeated": False}
    assert shop.manager.post("/v1/segments/list/members", json=body).json()["changed"] == 0
    shop.settle()
    assert shop.members("list") == {shop.api.customer(ann), shop.api.customer(ben)}
    why = shop.analyst.get(f"/v1/segments/list/members/{shop.api.customer(ann)}/why").json()
    assert why["holds"] and why["rule"] is None and why["because_of"][0].startswith("on the list")
    gone = {"customers": [shop.api.customer(ann)]}
    assert shop.manager.request("DELETE", "/v1/segments/list/members", json=gone).json()["changed"] == 1
    shop.settle()
    assert shop.members("list") == {shop.api.customer(ben)}
    assert shop.manager.post("/v1/segments/list/members", json={}).status_code == 422
    shop.make("rule", "exists(purchase.made)")
    refused = shop.manager.post("/v1/segments/rule/members", json=gone)
    assert refused.status_code == 409 and refused.json()["rule"] == "segment-kind"


def test_a_snapshot_stays_as_it_was(shop: Shop) -> None:
    ann, ben = shop.api.fresh(), shop.api.fresh()
    shop.buy(ann, amount="77.00")
    shop.make("living", "exists(purchase.made where content.amount = 77)")
    early = shop.manager.post("/v1/segments/living/snapshot", json={"code": "frozen"})
    assert early.status_code == 409 and early.json()["rule"] == "segment-filling"
    shop.settle()
    assert shop.manager.post("/v1/segments/living/snapshot", json={"code": "frozen"}).status_code == 201
    shop.buy(ben, amount="77.00")
    shop.settle()
    assert shop.members("frozen") == {shop.api.customer(ann)}
    assert shop.members("living") == {shop.api.customer(ann), shop.api.customer(ben)}
    told = shop.analyst.get("/v1/segments/frozen").json()
    assert told["kind"] == "snapshot" and told["text"] == "exists(purchase.made where content.amount = 77)"
    both = shop.analyst.get("/v1/segments/overlap", params={"a": "living", "b": "frozen"}).json()
    assert both == {"a": 2, "b": 1, "both": 1, "only_a": 1, "only_b": 0}


def test_size_over_time_adds_up_what_came_and_went(shop: Shop) -> None:
    emails = [shop.api.fresh() for _ in range(3)]
    for email in emails:
        shop.buy(email, amount="55.00")
    shop.make("sized", "exists(purchase.made where content.amount = 55)")
    shop.settle()
    with psycopg.connect(shop.api.story.dsn, autocommit=True) as connection:
        connection.execute("UPDATE storyline.segment_changes SET at = at - interval '2 days' WHERE segment = 'sized'")
    shop.buy(shop.api.fresh(), amount="55.00")
    shop.settle()
    today = datetime.now(UTC).date()
    asked = {"from": (today - 2 * DAY).isoformat(), "to": today.isoformat(), "zone": "UTC"}
    found = shop.analyst.get("/v1/segments/sized/size", params=asked).json()
    assert [(one["entered"], one["left"], one["size"]) for one in found["spans"]] == [(3, 0, 3), (0, 0, 3), (1, 0, 4)]
    hours = shop.analyst.get("/v1/segments/sized/size", params={**asked, "by": "hour"}).json()["spans"]
    assert len(hours) == 72 and hours[-1]["size"] == 4
    long = {"from": "2020-01-01", "to": "2026-01-01", "by": "hour"}
    assert shop.analyst.get("/v1/segments/sized/size", params=long).status_code == 422


def test_an_archived_segment_holds_nobody_and_comes_back(shop: Shop) -> None:
    ann = shop.api.fresh()
    shop.buy(ann, amount="66.00")
    shop.make("rest", "exists(purchase.made where content.amount = 66)")
    shop.settle()
    done = shop.manager.post("/v1/segments/rest/archive", headers={"If-Match": '"1"'})
    assert done.json()["segment"]["state"] == "archived" and done.json()["segment"]["size"] is None
    assert shop.members("rest") == set()
    assert shop.changed("rest", title="x").json()["rule"] == "segment-archived"
    shop.settle()
    listed = shop.analyst.get("/v1/segments", params={"q": "rest"}).json()["segments"]
    assert "rest" not in [one["code"] for one in listed]
    back = shop.manager.post("/v1/segments/rest/restore", headers={"If-Match": "*"}).json()["segment"]
    assert (back["state"], back["serving"], back["filling"]) == ("active", None, 2)
    shop.settle()
    assert shop.members("rest") == {shop.api.customer(ann)}


def test_two_changes_at_once_make_no_circle(shop: Shop) -> None:
    for number in range(5):
        one, other = f"round{number}.a", f"round{number}.b"
        shop.make(one, "exists(purchase.made)")
        shop.make(other, "exists(purchase.made)")
        with ThreadPoolExecutor(2) as pool:
            answers = pool.map(
                lambda pair: shop.changed(pair[0], rule=f"in segment {pair[1]}"), [(one, other), (other, one)]
            )
            assert sorted(answer.status_code for answer in answers) == [200, 422]


def test_the_command_line_tells_the_same(shop: Shop, tmp_path: Path) -> None:
    ann, dsn = shop.api.fresh(), shop.api.story.dsn
    shop.buy(ann, amount="88.00")
    shop.make("told", "exists(purchase.made where content.amount = 88)")
    shop.settle()
    env = clean_environment(tmp_path, DATABASE_URL=dsn, KEYS_URL=dsn, LOG_URL=dsn)
    told = run_cli(env, "segments", "why", "told", shop.api.customer(ann)).stdout
    assert told.startswith("In told:") and "88.00" in told
    made = run_cli(env, "segments", "create", "by.hand", "--rule", "exists(refund.made)")
    assert "version 1 is being found out" in made.stdout


def test_segments_are_listed_page_by_page(shop: Shop) -> None:
    for code in ("page.a", "page.b", "page.c"):
        shop.make(code, title="Of the page")
    asked = {"q": "page.", "limit": "2", "state": "all"}
    first = shop.analyst.get("/v1/segments", params=asked).json()
    second = shop.analyst.get("/v1/segments", params={**asked, "cursor": first["next"]}).json()
    assert [one["code"] for one in first["segments"]] == ["page.a", "page.b"]
    assert [one["code"] for one in second["segments"]] == ["page.c"] and second["next"] is None
    assert [one["size"] for one in first["segments"]] == [0, 0]
    assert shop.analyst.get("/v1/segments", params={"kind": "snapshot", "q": "page."}).json()["segments"] == []
    assert shop.analyst.get("/v1/segments/nothing").status_code == 404
    assert shop.analyst.post("/v1/segments", json={"code": "x", "kind": "fixed"}).status_code == 403
