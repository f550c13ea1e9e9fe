"""What did a person allow? The latest word, the strictest at a tie, and after a merge the strictest until a later
grant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.consents import EVERY_CHANNEL, Joined, Link, Settled, Word, joined_by, settle

AT = datetime(2026, 3, 1, 9, tzinfo=UTC)
A, B, C = UUID(int=0xA), UUID(int=0xB), UUID(int=0xC)


def minute(number: int) -> datetime:
    return AT + timedelta(minutes=number)


def word(number: int, granted: bool, evidence: UUID = A, channel: str = "email", **more: Any) -> Word:
    at = minute(more.get("minute", number))
    kind = "consent.given" if granted else "consent.withdrawn"
    return Word(UUID(int=number), evidence, at, more.get("purpose", "marketing"), channel, granted, kind)


def since(number: int) -> Joined:
    """All evidences became one customer at this minute."""
    return lambda _one, _other: minute(number)


def allowed(found: Settled) -> dict[tuple[str, str], bool]:
    return {(one.purpose, one.channel): one.granted for one in found.standing}


def test_the_latest_word_wins() -> None:
    assert allowed(settle([word(1, True), word(2, False)])) == {("marketing", "email"): False}
    assert allowed(settle([word(1, False), word(2, True)])) == {("marketing", "email"): True}


def test_at_a_tie_the_strictest_wins() -> None:
    assert allowed(settle([word(1, True, minute=5), word(2, False, minute=5)])) == {("marketing", "email"): False}
    assert allowed(settle([word(2, True, minute=5), word(1, False, minute=5)])) == {("marketing", "email"): False}


def test_nothing_was_said_where_no_word_is() -> None:
    assert settle([]) == Settled((), ())


def test_purposes_do_not_touch_each_other() -> None:
    found = settle([word(1, True), word(2, False, purpose="profiling")])
    assert allowed(found) == {("marketing", "email"): True, ("profiling", "email"): False}


def test_a_word_for_every_channel_counts_on_each() -> None:
    told = [word(1, True, channel="email"), word(2, False, channel=EVERY_CHANNEL), word(3, True, channel="sms")]
    assert allowed(settle(told)) == {
        ("marketing", ""): False,
        ("marketing", "email"): False,
        ("marketing", "sms"): True,
    }
    assert allowed(settle([word(1, False, channel="email"), word(2, True, channel="")]))["marketing", "email"]


def test_a_word_for_one_channel_says_nothing_of_the_others() -> None:
    assert allowed(settle([word(1, True, channel=""), word(2, False, channel="email")]))["marketing", ""]


def test_the_history_is_told_newest_first_with_the_word_that_decides() -> None:
    told = [word(2, False), word(1, True), word(3, True)]
    found = settle(told)
    assert [one.name.int for one in found.history] == [3, 2, 1]
    assert found.standing[0].word == word(3, True)


def test_S84_after_a_merge_the_strictest_holds() -> None:
    """Ann withdrew under her number; a grant under an address that nobody knew to be hers does not undo that."""
    found = settle([word(1, False, A), word(5, True, B)], since(9))
    assert allowed(found) == {("marketing", "email"): False}
    assert found.standing[0].held
    assert found.standing[0].word == word(1, False, A)


def test_S84_a_grant_after_the_merge_takes_the_withdrawal_back() -> None:
    assert allowed(settle([word(1, False, A), word(9, True, B)], since(9))) == {("marketing", "email"): True}


def test_S84_within_one_evidence_a_later_grant_always_counts() -> None:
    found = settle([word(1, False, A), word(5, True, A)], since(9))
    assert allowed(found) == {("marketing", "email"): True}


def test_S84_a_withdrawal_counts_whenever_it_was_said() -> None:
    assert allowed(settle([word(1, True, A), word(5, False, B)], since(9))) == {("marketing", "email"): False}
    assert allowed(settle([word(1, True, A), word(12, False, B)], since(9))) == {("marketing", "email"): False}


def test_evidences_are_joined_by_the_latest_link_of_the_earliest_path() -> None:
    number, mail, phone, cookie = (UUID(int=one) for one in range(1, 5))
    links = [
        Link([number], minute(0)),
        Link([mail, phone], minute(3)),
        Link([number, phone], minute(7)),
        Link([number, mail], minute(9)),
        Link([cookie, number], minute(20)),
    ]
    joined = joined_by(links, {A: number, B: mail, C: cookie})
    assert joined(A, B) == joined(B, A) == minute(7)
    assert joined(B, C) == minute(20)
    assert joined(A, A) is None


def test_evidences_without_a_known_path_count_as_joined_last() -> None:
    number, mail = UUID(int=1), UUID(int=2)
    links = [Link([number], minute(0)), Link([mail], minute(4))]
    assert joined_by(links, {A: number, B: mail})(A, B) == minute(4)
    assert joined_by(links, {A: number, B: mail}, minute(8))(A, B) == minute(8)
    assert joined_by(links, {A: number}, minute(8))(A, C) == minute(8)
    grants = [word(1, False, A), word(5, True, B)]
    assert not settle(grants, joined_by([], {})).standing[0].granted


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 5)), max_size=12),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60)
def test_joining_times_equal_those_of_a_plain_search_over_all_times(rows: Any, random: Any) -> None:
    """The forest against the obvious: raise the time step by step, and see when the two are connected."""
    links = [Link([UUID(int=a), UUID(int=b)], minute(at)) for a, b, at in rows]
    random.shuffle(links)
    homes = {UUID(int=100 + node): UUID(int=node) for node in range(8)}
    joined = joined_by(links, homes, minute(99))

    def plain(one: UUID, other: UUID) -> datetime:
        for at in range(6):
            reached, grows = {one}, True
            while grows:
                nodes = {
                    node for link in links if link.at <= minute(at) and reached & {*link.nodes} for node in link[0]
                }
                grows = not nodes <= reached
                reached |= nodes
            if other in reached:
                return minute(at)
        return minute(99)

    for one in range(8):
        for other in range(one + 1, 8):
            found = joined(UUID(int=100 + one), UUID(int=100 + other))
            assert found == plain(UUID(int=one), UUID(int=other))


_words = st.lists(
    st.builds(
        lambda at, granted, evidence, channel: (at, granted, evidence, channel),
        st.integers(0, 4),
        st.booleans(),
        st.sampled_from([A, B, C]),
        st.sampled_from(["", "email", "sms"]),
    ),
    max_size=8,
)


def _made(rows: Any) -> list[Word]:
    return [word(place, granted, one, channel, minute=at) for place, (at, granted, one, channel) in enumerate(rows)]


@given(_words, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_words_does_not_matter(rows: Any, random: Any) -> None:
    told = _made(rows)
    mixed = list(told)
    random.shuffle(mixed)
    assert settle(mixed, since(2)) == settle(told, since(2))


@given(_words)
@settings(max_examples=60)
def test_evidences_that_were_always_together_follow_the_latest_word(rows: Any) -> None:
    told = _made(rows)
    for (purpose, channel), granted in allowed(settle(told)).items():
        heard = [one for one in told if one.purpose == purpose and one.channel in (channel, "")]
        last = max(one.happened_at for one in heard)
        assert granted == all(one.granted for one in heard if one.happened_at == last)


@given(_words, st.integers(0, 5))
@settings(max_examples=60)
def test_S84_a_merge_allows_nothing_that_was_not_allowed_on_each_side(rows: Any, joined: int) -> None:
    """Whatever is granted after a merge: each side granted it by itself, had nothing against it, or a grant came once
    the two were one."""
    told = _made(rows)
    for one in settle(told, since(joined)).standing:
        if not one.granted:
            continue
        for evidence in {word.evidence for word in told}:
            alone = allowed(settle([word for word in told if word.evidence == evidence]))
            heard = [word for word in told if word.granted and word.channel in (one.channel, "")]
            after = any(word.happened_at >= minute(joined) for word in heard)
            assert alone.get((one.purpose, one.channel), alone.get((one.purpose, ""), True)) or after


@given(_words, st.integers(0, 5))
@settings(max_examples=60)
def test_a_later_join_is_never_more_lenient(rows: Any, joined: int) -> None:
    told = _made(rows)
    early, late = allowed(settle(told, since(joined))), allowed(settle(told, since(joined + 1)))
    assert all(early[key] for key, granted in late.items() if granted)
    assert {key for key, granted in allowed(settle(told)).items() if granted} >= {
        key for key, granted in early.items() if granted
    }


@given(_words)
@settings(max_examples=60)
def test_the_last_words_of_each_evidence_say_it_all(rows: Any) -> None:
    """What `last_words` of the queries reads is enough."""
    told = sorted(_made(rows), key=lambda one: (one.happened_at, one.name))
    last = {(one.evidence, one.purpose, one.channel, one.granted): one for one in told}
    assert settle(last.values(), since(2)).standing == settle(told, since(2)).standing
