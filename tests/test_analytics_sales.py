"""Do the routes of sales and channels tell the figures, and the events behind each of them?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from projections.figures.folding import fold
from tests.support.api import RunningApi, running_api

CONFIGURATION = """
version: 1
analytics:
  currency: GBP
  rates:
    EUR: [{rate: 0.8}, {since: 2026-03-10, rate: 0.9}]
"""
PERIOD = {"from": "2026-03-01", "to": "2026-03-31", "zone": "Europe/London"}


@pytest.fixture(scope="module")
def api(postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    folder = tmp_path_factory.mktemp("sales")
    configuration = folder / "configuration.yaml"
    configuration.write_text(CONFIGURATION)
    with running_api(postgres, folder, configuration) as made:
        made.story.publish(*_history())
        made.project()
        yield made


@pytest.fixture(scope="module")
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with api.client("read-sealed") as made:
        yield made


def _event(number: int, type: str, at: str, content: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "source": "test/shop", "id": f"s-{number}", "type": type, "time": at,
        "data": {"who": [{"kind": "email", "value": f"p{number % 3}@example.org"}], "content": content, **data},
    }  # fmt: skip


def _history() -> list[dict[str, Any]]:
    def order(number: int) -> dict[str, Any]:
        return {"refs": [{"kind": "order", "value": f"O{number}"}, {"kind": "campaign", "value": "spring"}]}

    lines = [{"product": "tea", "quantity": 2, "unit_price": "5.00"}, {"product": "cup", "amount": "7.50"}]
    told = {"product": "tea", "category": "drinks"}
    return [
        _event(1, "purchase.made", "2026-03-02T09:30:00Z",
               {"amount": "17.50", "currency": "GBP", "country": "GB", "lines": lines}, **order(1)),
        _event(2, "purchase.made", "2026-03-02T23:30:00Z", {"amount": "20", "currency": "EUR", "country": "DE"}),
        _event(3, "purchase.made", "2026-03-15T10:00:00Z", {"amount": "10", "currency": "EUR", "country": "DE"},
               actor={"code": "anna"}),
        _event(4, "refund.made", "2026-03-29T00:30:00Z",  # 00:30 in London; its clock is put on at 01:00
               {"amount": "5.00", "currency": "GBP", "lines": [{"product": "tea", "unit_price": "5.00"}]},
               **order(1)),
        _event(5, "purchase.made", "2026-03-29T23:30:00Z", {"amount": "3", "currency": "GBP"}),  # the 30th in London
        _event(6, "product.described", "2026-03-30T00:00:00Z", {"category": told["category"]},
               refs=[{"kind": "product", "value": "tea"}]),
        _event(7, "email.received", "2026-03-05T08:00:00Z", {"subject": "Hello"}),
        _event(8, "call.ended", "2026-03-05T08:10:00Z", {"duration_s": 60}),
    ]  # fmt: skip


def told(client: httpx.Client, route: str, **asked: Any) -> dict[str, Any]:
    answer = client.get(f"/v1/analytics/{route}", params={**PERIOD, **asked})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def one(sums: list[dict[str, Any]], currency: str) -> tuple[str, str, str, int]:
    [found] = [each for each in sums if each["currency"] == currency]
    return found["revenue"], found["refunds"], found["net"], found["orders"]


@pytest.fixture(scope="module", params=["of rows", "of sums"], autouse=True)
def folded(api: RunningApi, request: pytest.FixtureRequest) -> None:
    """Everything is asked before anything is summed, and after all is."""
    if request.param == "of sums":
        with psycopg.connect(api.story.dsn, autocommit=True) as connection:
            while fold(connection):
                pass


def test_S40_sales_are_told_in_all_and_by_day_currencies_apart(client: httpx.Client) -> None:
    found = told(client, "sales")
    assert one(found["total"], "GBP") == ("20.50", "5.00", "15.50", 2)
    assert one(found["total"], "EUR") == ("30.00", "0.00", "30.00", 2)
    assert [each["key"] for each in found["series"]] == [
        "2026-03-02", "2026-03-15", "2026-03-29", "2026-03-30",
    ]  # fmt: skip
    assert found["total"][1]["average"] == "10.25"
    assert found["from"] == "2026-03-01T00:00:00Z" and found["to"] == "2026-04-01T00:00:00+01:00"


def test_a_rate_of_the_configuration_converts_and_says_so(client: httpx.Client) -> None:
    [total] = told(client, "sales", currency="GBP")["total"]
    assert Decimal(total["revenue"]) == Decimal("20.50") + 20 * Decimal("0.8") + 10 * Decimal("0.9")
    assert total["converted"] and total["orders"] == 4
    apart = told(client, "sales", currency="USD")["total"]  # no rate leads to it
    assert [each["currency"] for each in apart] == ["EUR", "GBP"] and not any("converted" in one for one in apart)


def test_sales_by_product_and_category_are_those_of_lines(client: httpx.Client) -> None:
    by_product = {each["key"]: each["sums"][0] for each in told(client, "sales/top")["series"]}
    assert {key: (one["revenue"], one["refunds"], one["units"]) for key, one in by_product.items()} == {
        "tea": ("10.00", "5.00", "2"), "cup": ("7.50", "0.00", "1"),
    }  # fmt: skip
    by_category = {each["key"]: each["sums"][0]["net"] for each in told(client, "sales", by="category")["series"]}
    assert by_category == {"drinks": "5.00", "": "7.50"}


def test_S40_every_figure_opens_into_the_events_behind_it(client: httpx.Client) -> None:
    behind = told(client, "sales/events", product="tea")["events"]
    assert [(each["type"], each["amount"]) for each in behind] == [
        ("refund.made", "-5.00"), ("purchase.made", "17.50"),
    ]  # fmt: skip
    timeline = client.get(behind[0]["timeline"])
    assert behind[0]["name"] in [item["name"] for item in timeline.json()["items"]]
    first = told(client, "sales/events", limit=2)
    rest = told(client, "sales/events", limit=100, cursor=first["next"])
    names = [each["name"] for page in (first, rest) for each in page["events"]]
    assert len(set(names)) == 5 and "next" not in rest


def test_hours_and_weekdays_are_those_of_the_zone(client: httpx.Client) -> None:
    hours = {(each["weekday"], each["hour"]) for each in told(client, "sales/heatmap")["hours"]}
    assert hours == {(1, 9), (1, 23), (7, 10), (7, 0), (1, 0)}
    lord_howe = told(client, "sales/heatmap", zone="Australia/Lord_Howe")["hours"]
    assert (1, 20) in {(each["weekday"], each["hour"]) for each in lord_howe}  # 09:30 UTC is 20:30 there
    assert len(told(client, "sales/events", weekday=1, hour=23)["events"]) == 1


def test_reps_and_channels_are_told_apart(client: httpx.Client) -> None:
    by_rep = {each["key"]: each["sums"] for each in told(client, "sales", by="rep")["series"]}
    assert one(by_rep["anna"], "EUR") == ("10.00", "0.00", "10.00", 1)
    assert one(told(client, "sales", rep="anna", by="country")["series"][0]["sums"], "EUR")[3] == 1
    channels = told(client, "channels", by="month")
    assert {(each["channel"], each["direction"]): each["touchpoints"] for each in channels["total"]} == {
        ("email", "in"): 1, ("phone", ""): 1, ("shop", "in"): 4, ("shop", "out"): 1,
    }  # fmt: skip
    assert len(told(client, "channels/events", channel="email")["events"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"from": "2026-13-01"}, {"zone": "Europe/Nowhere"}, {"from": "2026-04-01"}, {"from": "1900-01-01"},
     {"by": "moon"}, {"cursor": "x"}, {"limit": 0}],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_way_out(client: httpx.Client, wrong: dict[str, Any]) -> None:
    route = "sales/events" if "cursor" in wrong else "sales"
    answer = client.get(f"/v1/analytics/{route}", params={**PERIOD, **wrong})
    assert answer.status_code == 422 and answer.json()["errors"][0]["way_out"]


def test_figures_are_told_as_they_were_reported_then(
    api: RunningApi, client: httpx.Client, request: pytest.FixtureRequest
) -> None:
    """What was taken back or put right after a moment still counted then, and what came late did not."""
    month = "05" if "rows" in request.node.name else "06"
    period = {"from": f"2026-{month}-01", "to": f"2026-{month}-30", "by": "product"}

    def bought(name: str, amount: str, product: str) -> dict[str, Any]:
        lines = [{"product": product, "amount": amount}]
        content = {"amount": amount, "currency": "GBP", "lines": lines}
        return {**_event(1, "purchase.made", f"2026-{month}-10T10:00:00Z", content), "id": f"{name}-{month}"}

    def about(name: str, relation: str, **content: Any) -> dict[str, Any]:
        type = "event.retracted" if relation == "retracts" else "event.amended"
        told = [{"relation": relation, "source": "test/shop", "id": f"{name}-{month}"}]
        raw = _event(1, type, datetime.now(UTC).isoformat(), content, about=told)
        return {**raw, "id": f"{relation}-{month}"}

    api.story.publish(bought("a", "10", "tea"), bought("b", "20", "cup"))
    api.project()
    before = told(client, "sales", **period)
    assert [each["key"] for each in before["series"]] == ["cup", "tea"]
    known = datetime.now(UTC)
    right = {"amount": "1.00", "currency": "GBP", "lines": [{"product": "mug", "amount": "1.00"}]}
    amended = about("b", "corrects", type="purchase.made", content=right)
    api.story.publish(about("a", "retracts"), amended, bought("c", "100", "pot"))
    api.project()
    assert [each["key"] for each in told(client, "sales", **period)["series"]] == ["pot", "mug"]
    then = told(client, "sales", **period, recorded_by=known.isoformat())
    assert (then["total"], then["series"]) == (before["total"], before["series"])
    assert then["recorded_by"]
    del period["by"]
    events = told(client, "sales/events", **period, recorded_by=known.isoformat())["events"]
    assert sorted(each["amount"] for each in events) == ["10.00", "20.00"]
    happened = told(client, "sales", **period, by="product", happened_by=known.isoformat())
    assert [each["key"] for each in happened["series"]] == ["pot", "cup", "tea"]  # the corrections happened later
