"""Is who is in which segment right as soon as an event is seen: through late events, corrections, merges and splits,
and whoever brings them at the same moment?"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from eventlog.port import Logged
from projections.decoding import Decoder
from projections.deriving import Deriver
from projections.opening import Opener
from projections.runner import Runner
from tests.support.plain import Published
from tests.support.segmented import Segmented, made, segmented, who
from tests.support.stage import DEFAULTS
from tests.support.waiting import eventually

BUYERS = "exists(purchase.made)"
BOTH = "exists(purchase.made) and exists(call.ended)"


@pytest.fixture(scope="module")
def whole(postgres: Any) -> Iterator[Segmented]:
    with segmented(postgres) as found:
        yield found


@pytest.fixture
def shop(whole: Segmented) -> Segmented:
    whole.begin()
    return whole


def _about(kind: str, event: Published, day: float = 1) -> dict[str, Any]:
    about = [{"relation": "retracts", "source": event.raw["source"], "id": event.raw["id"]}]
    return made(kind, "steward", day=day, about=about)


def test_S31_who_fulfils_a_rule_is_in_the_segment_in_the_transaction_of_the_event(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.day(1)
    shop.happen(made("purchase.made", "ann", day=1), made("email.received", "bob", day=1))
    assert shop.members("buyers") == {"ann"}
    assert shop.changes("buyers") == [("ann", True, "event")]


def test_a_change_says_which_rule_and_which_events_led_to_it(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.day(1)
    [event] = shop.happen(made("purchase.made", "ann", day=1))
    [(rule,)] = shop.rows("SELECT hash FROM storyline.segment_versions")
    [(reason,)] = shop.rows("SELECT reason FROM storyline.segment_changes")
    assert reason == {"rule": rule, "events": [event.name]}


def test_where_no_segment_is_kept_nothing_is_written(shop: Segmented) -> None:
    shop.happen(made("email.received", "ann"))
    assert shop.rows("SELECT count(*) FROM segments.subjects") == [(0,)]


def test_what_is_taken_back_counts_no_more_and_counts_again_when_that_is(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.day(2)
    [bought] = shop.happen(made("purchase.made", "ann", day=1))
    [taken] = shop.happen(_about("event.retracted", bought))
    assert shop.members("buyers") == set()
    shop.happen(_about("event.retracted", taken, day=1.5))
    assert shop.members("buyers") == {"ann"}
    assert shop.changes("buyers") == [
        ("ann", True, "event"),
        ("ann", False, "correction"),
        ("ann", True, "correction"),
    ]


def test_a_retraction_that_comes_before_what_it_takes_back_keeps_it_out(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.day(2)
    [bought] = shop.publish(made("purchase.made", "ann", day=1))
    shop.happen(_about("event.retracted", bought))
    shop.stage.feed([bought])
    assert shop.members("buyers") == set()
    assert shop.changes("buyers") == []


def test_late_events_count_by_when_they_happened(shop: Segmented) -> None:
    shop.segment("quiet", f"{BUYERS} and no(email.received in last 10d)")
    shop.day(20)
    shop.happen(made("purchase.made", "ann", day=1))
    shop.happen(made("email.received", "ann", day=2))
    assert shop.members("quiet") == {"ann"}
    shop.happen(made("email.received", "ann", day=15))
    assert shop.members("quiet") == set()


def test_a_merge_lets_the_loser_leave_as_merged(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.day(3)
    shop.happen(made("purchase.made", "ann", day=1), made("purchase.made", "bob", day=2))
    assert shop.members("buyers") == {"ann", "bob"}
    shop.happen(made("email.received", "ann", "bob", day=3))
    assert shop.members("buyers") == {"ann"}
    assert shop.changes("buyers")[-1] == ("bob", False, "merged")


def test_a_merge_lets_the_winner_enter_by_what_the_loser_did(shop: Segmented) -> None:
    shop.segment("both", BOTH)
    shop.day(3)
    shop.happen(made("purchase.made", "ann", day=1), made("call.ended", "bob", day=2))
    assert shop.members("both") == set()
    shop.happen(made("email.received", "ann", "bob", day=3))
    assert shop.members("both") == {"ann"}
    assert shop.changes("both") == [("ann", True, "merged")]


def test_who_goes_by_another_id_stays_without_a_word(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.day(3)
    shop.happen(made("purchase.made", "bob", day=2))
    shop.happen(made("email.received", "ann", day=0), made("email.received", "ann", "bob", day=1))
    assert shop.members("buyers") == {"ann"}
    assert shop.changes("buyers") == [("ann", True, "event")]


def test_a_split_lets_each_be_where_their_own_story_puts_them(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.segment("both", BOTH)
    shop.day(5)
    shop.happen(
        made("purchase.made", "ann", day=1), made("call.ended", "bob", day=2), made("purchase.made", "bob", day=2)
    )
    shop.happen(made("identity.merged", "ann", day=3, parties=[{"role": "other", "who": who("bob")}]))
    assert (shop.members("buyers"), shop.members("both")) == ({"ann"}, {"ann"})
    shop.happen(made("identity.split", "ann", day=4, parties=[{"role": "other", "who": who("bob")}]))
    assert (shop.members("buyers"), shop.members("both")) == ({"ann", "bob"}, {"bob"})
    assert shop.changes("buyers")[-1] == ("bob", True, "split")
    assert set(shop.changes("both")[-2:]) == {("ann", False, "split"), ("bob", True, "split")}


def test_who_is_named_by_no_event_that_counts_is_in_nothing(shop: Segmented) -> None:
    """A rule of absence would hold for nobody, too."""
    shop.segment("quiet", "no(call.ended)")
    shop.day(2)
    [mail] = shop.happen(made("email.received", "ann", day=1))
    assert shop.members("quiet") == {"ann"}
    shop.happen(_about("event.retracted", mail))
    assert "ann" not in shop.members("quiet")
    assert ("ann", False, "correction") in shop.changes("quiet")


def test_an_id_that_comes_back_has_a_history_of_its_own(shop: Segmented) -> None:
    shop.segment("quiet", "no(call.ended)")
    shop.day(30)
    shop.happen(made("email.received", "#2", day=15))
    [early] = shop.happen(made("email.received", "#1", day=4))
    merged = made("identity.merged", "#1", day=16, parties=[{"role": "other", "who": who("#2")}])
    shop.happen(merged, _about("event.retracted", early, day=17))
    shop.happen(made("email.received", "#1", day=9))
    [(customer,)] = shop.rows("SELECT customer FROM identity.nodes WHERE node = %s", [shop.node("#1")])
    query = "SELECT entered FROM storyline.segment_changes WHERE customer = %s ORDER BY id"
    told = [entered for (entered,) in shop.rows(query, [customer])]
    assert told == [place % 2 == 0 for place in range(len(told))]
    assert told[-1]


def test_what_is_said_of_a_product_reaches_those_who_bought_it(shop: Segmented) -> None:
    shop.segment("drinkers", 'exists(purchase.made where category = "drink")')
    tea = [{"kind": "product", "value": "tea"}]
    lines = {"amount": 10, "currency": "GBP", "lines": [{"product": "tea", "quantity": 1, "unit_price": 10}]}
    shop.happen(made("purchase.made", "ann", content=lines))
    [said] = shop.happen(made("product.described", refs=tea, content={"category": "drink"}))
    shop.look()
    assert shop.members("drinkers") == {"ann"}
    shop.happen(_about("event.retracted", said))
    shop.look()
    assert shop.members("drinkers") == set()


def test_what_is_said_of_an_organisation_reaches_those_whom_an_earlier_description_names(shop: Segmented) -> None:
    shop.segment("farmers", 'industry = "farming"')
    farm = [{"kind": "organisation", "value": "farm"}]
    contact = {"parties": [{"role": "contact", "who": who("ann")}], "refs": farm}
    content = {"industry": "farming", "contacts": [{"name": "Ann"}]}
    shop.day(3)
    shop.happen(made("organisation.described", day=1, content=content, **contact))
    shop.look()
    assert shop.members("farmers") == {"ann"}
    shop.happen(made("organisation.described", day=2, refs=farm, content={"industry": "farming"}))
    shop.look()
    assert shop.members("farmers") == set()


def test_an_identifier_that_too_many_have_is_nobodys_any_more(shop: Segmented) -> None:
    shop.stage.begin({**DEFAULTS, "shared": {**DEFAULTS["shared"], "customer_no": 2}})
    shop.backfiller.run(shop.connection)
    shop.segment("mailed", "identifier.email known")
    shop.happen(made("email.received", "ann", "#1"))
    assert len(shop.members("mailed")) == 1
    shop.happen(made("email.received", "ann", "#2"), made("email.received", "ann", "#3"))
    assert shop.members("mailed") == set()


def test_somebody_on_a_list_stays_on_it_through_a_merge(shop: Segmented) -> None:
    shop.day(1)
    shop.happen(made("email.received", "ann", day=0), made("email.received", "bob", day=0.5))
    shop.put_on_list("staff", "bob")
    shop.backfiller.run(shop.connection)
    shop.look()
    assert shop.members("staff") == {"bob"}
    shop.day(2)
    shop.happen(made("email.received", "ann", "bob", day=1))
    assert shop.members("staff") == {"ann"}
    assert shop.changes("staff") == [("bob", True, "list"), ("bob", False, "merged"), ("ann", True, "merged")]


def test_a_rule_may_ask_for_a_list_that_changes(shop: Segmented) -> None:
    shop.happen(made("purchase.made", "ann"), made("purchase.made", "bob", day=0))
    shop.put_on_list("staff", "bob")
    shop.segment("customers", f"{BUYERS} and not in segment staff")
    assert shop.members("customers") == {"ann"}
    shop.look()
    shop.put_on_list("staff", "ann")
    shop.look()
    assert shop.members("customers") == set()
    assert shop.changes("customers")[-1] == ("ann", False, "list")


def test_an_archived_segment_holds_nobody_and_its_members_leave_untold(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.day(1)
    shop.happen(made("purchase.made", "ann", day=1))
    shop.archive("buyers")
    shop.backfiller.run(shop.connection)
    assert shop.rows("SELECT count(*) FROM segments.memberships") == [(0,)]
    assert shop.changes("buyers") == [("ann", True, "event"), ("ann", False, "archived")]
    assert shop.rows("SELECT announce FROM storyline.segment_changes WHERE NOT entered") == [(False,)]


def test_a_rule_that_postgres_cannot_answer_holds_up_neither_the_log_nor_lists(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.put_on_list("staff", "bob")
    shop.connection.execute("ALTER TABLE timeline.corrected RENAME TO elsewhere")  # no rule can be asked without it
    try:
        shop.happen(made("purchase.made", "ann"), made("email.received", "bob"))
    finally:
        shop.connection.execute("ALTER TABLE timeline.elsewhere RENAME TO corrected")
    shop.look()
    assert shop.rows("SELECT count(*) FROM timeline.events") == [(2,)]
    assert shop.members("staff") == {"bob"}


def test_a_rule_that_cannot_be_read_keeps_the_one_before_at_work(shop: Segmented) -> None:
    shop.segment("buyers", BUYERS)
    shop.define("buyers", BOTH, version=2)
    shop.connection.execute("UPDATE storyline.segment_versions SET rule = '{}' WHERE version = 2")
    shop.happen(made("purchase.made", "ann"))
    shop.backfiller.run(shop.connection)
    assert shop.members("buyers") == {"ann"}
    assert shop.rows("SELECT version, state FROM storyline.segment_versions ORDER BY version") == [
        (1, "serving"), (2, "failed"),
    ]  # fmt: skip


class _Projector:
    """One of two, each with a partition and a reader's memory of its own."""

    def __init__(self, shop: Segmented, partition: int) -> None:
        story = shop.stage.story
        self.partition = partition
        self.runner: Runner = story.runner(partitions=4, clock=lambda: shop.now)
        self.runner.cursor = self.runner.positions.take(self.runner.connection, [partition])
        self._opener = Opener(story.reading.keys)
        self._decoder = Decoder(Deriver(story.catalogue, self._opener))

    def apply(self, *values: bytes) -> None:
        start = self.runner.cursor[self.partition]
        logged = [Logged(self.partition, start + place, b"", value) for place, value in enumerate(values)]
        self.runner.apply(self._decoder.batch(0, dict(self.runner.cursor), logged))

    def close(self) -> None:
        self.runner.close()
        self._opener.close()


def test_two_projectors_that_bring_the_halves_of_a_rule_at_once_make_it_hold(shop: Segmented) -> None:
    """By two identifiers of one customer, so that their batches share no evidence; the first is not committed when
    the second finds out what holds."""
    shop.segment("both", BOTH)
    shop.happen(
        *(made("email.received", *names) for names in (["#1", "ann"], ["#1"], ["ann"]))
    )  # who is who is known
    halves = shop.publish(made("purchase.made", "#1"), made("call.ended", "ann"))
    under_way, go = Event(), Event()
    two = [_Projector(shop, partition) for partition in (1, 2)]

    def wait(*_: Any) -> None:
        under_way.set()
        go.wait(60)

    two[0].runner.park = wait
    threads = [
        Thread(target=two[0].apply, args=[halves[0].value, b"poison, to be parked"]),
        Thread(target=two[1].apply, args=[halves[1].value]),
    ]
    try:
        threads[0].start()
        assert under_way.wait(60)
        threads[1].start()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        eventually(lambda: shop.rows(waits) != [(0,)] or not threads[1].is_alive(), 60)
    finally:
        go.set()
        for thread in threads:
            thread.join(60)
        for one in two:
            one.close()
    assert len(shop.members("both")) == 1
