"""Does a replay give the events that count, as they count, in the order that was asked for, whole or not at all?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from domain.errors import BadInput, Misconfigured
from domain.identifiers import Identifier
from projections.replay_columns import Columns
from projections.replay_encoding import arrow_stream, ndjson
from projections.replay_models import MODELS, model_rows
from projections.replaying import Chosen, replayed, snapshot_of
from storyline.replay import replay
from storyline.replay_files import format_of, write_file
from tests.support.story import Story, story

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def purchase(number: int, amount: str, **changes: Any) -> dict[str, Any]:
    """Ann buys something on a day of March."""
    content = {"amount": amount, "currency": "GBP", **changes.pop("content", {})}
    data = {"who": [{"kind": "email", "value": "ann@example.org"}], "content": content, **changes.pop("data", {})}
    return {
        "specversion": "1.0",
        "source": "test/shop",
        "id": f"p-{number}",
        "type": "purchase.made",
        "time": (DAY + timedelta(days=number, minutes=number)).isoformat(),
        "data": data,
        **changes,
    }


def correction(number: int, kind: str, target: str, content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An event that takes another back or puts it right."""
    relation = "retracts" if kind == "event.retracted" else "corrects"
    return {
        "specversion": "1.0",
        "source": "test/desk",
        "id": f"c-{number}",
        "type": kind,
        "time": (DAY + timedelta(days=20 + number)).isoformat(),
        "data": {"about": [{"relation": relation, "source": "test/shop", "id": target}], "content": content},
        **changes,
    }


def mended(number: int, target: str, amount: str) -> dict[str, Any]:
    right = {"amount": amount, "currency": "GBP"}
    return correction(number, "event.amended", target, {"type": "purchase.made", "content": right})


@pytest.fixture
def shop(database: str) -> Iterator[Story]:
    with story(database, f"{database}&partitions=2") as small:
        yield small


def rows(small: Story, columns: tuple[str, ...] = (), **chosen: Any) -> list[dict[str, Any]]:
    """Rows of a replay."""
    with replay(small.dsn, columns=columns, **chosen) as run:
        found: list[dict[str, Any]] = run.arrow().to_pylist()
        return found


def amounts(small: Story, **chosen: Any) -> list[Any]:
    return [row["amount"] for row in rows(small, types=["purchase.made"], **chosen)]


def test_S45_what_was_taken_back_is_left_out_and_what_was_put_right_is_right(shop: Story) -> None:
    shop.publish(*[purchase(number, f"{number}.10") for number in range(1, 4)])
    shop.publish(correction(1, "event.retracted", "p-1", {}), mended(2, "p-2", "99.99"))
    shop.project()
    assert amounts(shop) == [Decimal("99.99"), Decimal("3.10")]
    assert [row["corrected"] for row in rows(shop, types=["purchase.made"])] == ["amended", None]
    sent = rows(shop, types=["purchase.made"], as_sent=True)
    assert [row["amount"] for row in sent] == [Decimal("1.10"), Decimal("2.10"), Decimal("3.10")]
    assert [row["corrected"] for row in sent] == ["retracted", "amended", None]


def test_S45_a_replay_as_of_a_moment_knows_what_was_known_then(shop: Story) -> None:
    entries = shop.seal([purchase(1, "1"), purchase(2, "2")], DAY + timedelta(days=5))
    late = shop.seal([mended(1, "p-1", "10"), purchase(3, "3")], DAY + timedelta(days=30))
    later = shop.seal([correction(2, "event.retracted", "p-2", {})], DAY + timedelta(days=40))
    for some in (entries, late, later):
        shop.log.append(some)
    shop.project()
    assert amounts(shop) == [Decimal(10), Decimal(3)]
    assert amounts(shop, recorded_by="2026-03-10") == [Decimal(1), Decimal(2)]
    assert amounts(shop, recorded_by=DAY + timedelta(days=35)) == [Decimal(10), Decimal(2), Decimal(3)]
    assert amounts(shop, happened_by=DAY + timedelta(days=3)) == [Decimal(10)]


def test_events_come_by_when_they_happened_or_by_where_they_stand(shop: Story) -> None:
    shop.publish(*[purchase(number, str(number)) for number in (5, 1, 4, 2, 3)])
    shop.project()
    assert amounts(shop) == [Decimal(number) for number in (1, 2, 3, 4, 5)]
    placed = [(row["log_partition"], row["log_offset"]) for row in rows(shop, order="position")]
    assert placed == sorted(placed)


def test_a_period_begins_at_its_first_moment_and_ends_before_its_last(shop: Story) -> None:
    at = DAY + timedelta(days=2, minutes=2)
    shop.publish(*[purchase(number, str(number)) for number in (1, 2, 3)])
    shop.project()
    assert amounts(shop, since=at) == [Decimal(2), Decimal(3)]
    assert amounts(shop, until=at) == [Decimal(1)]
    assert amounts(shop, since="2026-03-03", until="2026-03-04") == [Decimal(2)]


def test_public_fields_are_columns_and_content_has_all_of_it(shop: Story) -> None:
    lines = [{"product": "85123A", "quantity": "2", "unit_price": "1.25", "description": "secret candle"}]
    shop.publish(purchase(1, "2.50", content={"country": "FR", "lines": lines}))
    shop.project()
    (row,) = rows(shop, types=["purchase.made"])
    assert (row["amount"], row["currency"], row["country"]) == (Decimal("2.50"), "GBP", "FR")
    assert json.loads(row["lines"]) == json.loads(row["content"])["lines"]
    assert "secret" not in str(row) and "ann@" not in str(row)
    assert row["event"].startswith("test/shop#")
    assert row["happened_at"] == DAY + timedelta(days=1, minutes=1)


def test_only_the_asked_columns_come_in_the_asked_order(shop: Story) -> None:
    shop.publish(purchase(1, "1"))
    shop.project()
    (row,) = rows(shop, columns=("amount", "type"))
    assert list(row.items()) == [("amount", Decimal(1)), ("type", "purchase.made")]
    with pytest.raises(BadInput, match="'amuont' is no column"), replay(shop.dsn, columns=["amuont"]):
        pass


def test_conditions_are_asked_of_what_counts(shop: Story) -> None:
    refs = [{"kind": "campaign", "value": "spring"}, {"kind": "product", "value": "85123A"}]
    shop.publish(purchase(1, "50"), purchase(2, "150"), purchase(3, "7", data={"refs": refs}))
    shop.publish(mended(1, "p-1", "500"))
    shop.project()
    for over in (
        '[{"field": "content.amount", "is": ">", "value": 100}]',
        'content.amount > 100 and content.currency = "GBP"',
    ):
        assert amounts(shop, where=over) == [Decimal(500), Decimal(150)]
    for field, value in (("campaign", "spring"), ("campaign", "campaign:spring"), ("product", "85123A")):
        where = json.dumps([{"field": field, "is": "=", "value": value}])
        assert amounts(shop, where=where) == [Decimal(7)]
        other = json.dumps([{"field": field, "is": "!=", "value": value}])
        assert amounts(shop, where=other) == [Decimal(500), Decimal(150)]


@pytest.mark.parametrize(
    "where", ['[{"field": "amount", "is": "="}]', "[", "[]", "[" * 10_000, '[{"field": 3}]', "x", "amount >"]
)
def test_conditions_that_are_none_are_refused_in_words(shop: Story, where: str) -> None:
    with pytest.raises(BadInput), replay(shop.dsn, where=where):
        pass


def test_customers_are_whoever_they_are_now(shop: Story) -> None:
    ann = [{"kind": "email", "value": "ann@example.org"}]
    shop.publish(
        purchase(1, "1"),
        purchase(2, "2", data={"who": [{"kind": "device", "value": "d-1"}]}),
        purchase(3, "3", data={"who": [{"kind": "email", "value": "bob@example.org"}]}),
        purchase(4, "4", data={"who": [*ann, {"kind": "device", "value": "d-1"}]}),
    )
    shop.project()
    customer = rows(shop, columns=("customer", "amount"))[0]["customer"]
    assert amounts(shop, customers=[customer]) == [Decimal(1), Decimal(2), Decimal(4)]
    device = shop.hasher.token(Identifier("device", "d-1"))
    assert device is not None
    assert amounts(shop, customers=[device[-32:]]) == [Decimal(1), Decimal(2), Decimal(4)]


def test_a_replay_of_a_segment_is_of_its_members_of_now(shop: Story) -> None:
    shop.publish(purchase(1, "1"), purchase(2, "2", data={"who": [{"kind": "email", "value": "bob@example.org"}]}))
    shop.project()
    customer = rows(shop, columns=("customer",))[0]["customer"]
    shop.rows(
        "WITH made AS (INSERT INTO storyline.segments (code, kind) VALUES ('vip', 'fixed')) "
        "INSERT INTO segments.memberships (segment, version, customer) VALUES ('vip', 0, %s) RETURNING 1",
        customer,
    )
    assert amounts(shop, segments=["vip"]) == [Decimal(1)]
    with pytest.raises(BadInput, match="not there"):
        amounts(shop, segments=["vips"])


def test_what_a_column_cannot_hold_is_null_counted_and_whole_in_the_content(shop: Story) -> None:
    shop.publish(purchase(1, "1"))
    shop.project()
    columns = Columns(shop.catalogue, ["purchase.made"])
    with snapshot_of(shop.dsn) as connection:
        ((event,),) = list(replayed(connection, shop.catalogue, Chosen()))
    content = {"amount": "1.00000000001", "currency": 3, "country": "FR"}
    row = columns.batch([event._replace(content=content)]).to_pylist()[0]
    assert (row["amount"], row["currency"], row["country"]) == (None, None, "FR")
    assert json.loads(row["content"]) == content
    assert columns.unfit == 2


def test_every_format_holds_the_same(shop: Story, tmp_path: Path) -> None:
    shop.publish(*[purchase(number, f"{number}.01") for number in range(1, 6)])
    shop.project()
    with replay(shop.dsn, types=["purchase.made"]) as run:
        whole = run.arrow()
    kept = ["happened_at", "amount", "customer"]
    wanted = whole.select(kept)
    for ending in ("parquet", "arrow", "ndjson", "duckdb"):
        path = tmp_path / f"made.{ending}"
        with replay(shop.dsn, types=["purchase.made"]) as run:
            found = format_of(str(path), None)
            write_file(found, run.schema, run.batches(), run.columns.json_names, path, "events")
    assert pq.read_table(tmp_path / "made.parquet").equals(whole)
    assert pa.ipc.open_file(str(tmp_path / "made.arrow")).read_all().equals(whole)
    with duckdb.connect(str(tmp_path / "made.duckdb"), read_only=True) as made:
        asked = made.execute("select sum(amount), count(*) from events").fetchone()
    assert asked == (Decimal("15.05"), 5)
    lines = [json.loads(line) for line in (tmp_path / "made.ndjson").read_text().splitlines()]
    assert [line["amount"] for line in lines] == [1.01, 2.01, 3.01, 4.01, 5.01]
    assert lines[0]["content"] == {"amount": "1.01", "currency": "GBP"}
    assert wanted.num_rows == len(lines)
    assert len(list(tmp_path.iterdir())) == 4, "nothing else is left"


def test_a_replay_that_breaks_off_leaves_the_file_that_was_there(shop: Story, tmp_path: Path) -> None:
    shop.publish(purchase(1, "1"))
    shop.project()
    for ending in ("parquet", "arrow", "ndjson", "duckdb"):
        path = tmp_path / f"made.{ending}"
        path.write_text("before")
        with replay(shop.dsn) as run:

            def broken() -> Iterator[Any]:
                yield from run.batches()
                raise Misconfigured("broken off")

            with pytest.raises(Exception, match="broken off"):
                write_file(ending, run.schema, broken(), run.columns.json_names, path, "events")
        assert path.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 4


def test_streams_are_whole_without_any_event(shop: Story) -> None:
    with replay(shop.dsn) as run:
        assert b"".join(ndjson(run.batches(), run.columns.json_names)) == b""
    with replay(shop.dsn) as run:
        stream = b"".join(arrow_stream(run.schema, run.batches()))
    assert pa.ipc.open_stream(stream).read_all().num_rows == 0


@pytest.mark.parametrize(
    ("out", "wanted"), [("x.csv", None), ("x", None), ("-", "parquet"), ("-", "duckdb"), ("x.arrow", "csv")]
)
def test_a_format_that_cannot_be_written_is_refused(out: str, wanted: str | None) -> None:
    with pytest.raises(BadInput, match="Choose of"):
        format_of(out, wanted)


def test_a_type_that_is_not_there_is_refused(shop: Story) -> None:
    with pytest.raises(BadInput, match="not in the catalogue"):
        rows(shop, types=["purchase.maid"])


def test_every_read_model_can_be_had_as_a_table(shop: Story) -> None:
    refund = {**purchase(2, "0.50"), "type": "refund.made"}
    shop.publish(purchase(1, "1.25"), refund)
    shop.project()
    for model in MODELS:
        with snapshot_of(shop.dsn) as connection:
            found = model_rows(connection, model)
            table = pa.Table.from_batches(list(found.batches), found.schema)
        if model == "trades":
            assert table.column("amount").to_pylist() == [Decimal("1.25"), Decimal("-0.5")]
        if model == "customers":
            assert table.column("touchpoints").to_pylist() == [2]
    with snapshot_of(shop.dsn) as connection, pytest.raises(BadInput, match="There are customers"):
        model_rows(connection, "directory")


def test_many_events_come_in_many_batches_in_one_snapshot(shop: Story) -> None:
    shop.publish(*[purchase(number % 300, "1", id=f"many-{number}") for number in range(2500)])
    shop.project()
    with replay(shop.dsn, types=["purchase.made"]) as run:
        batches = run.batches()
        first = next(batches)
        shop.publish(*[purchase(number, "1", id=f"later-{number}") for number in range(300)])
        shop.project()
        rest = list(batches)
    assert first.num_rows + sum(batch.num_rows for batch in rest) == 2500
    assert run.events == 2500
