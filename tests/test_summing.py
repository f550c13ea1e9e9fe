"""Does summing rest, so that events have most of the time? Unless there is more to do than it does at once."""

from __future__ import annotations

import pytest

from consumers.summing import Pace
from projections.figures.pieces import Folded, folded


class Work:
    """It takes a second each time, by a clock of its own."""

    def __init__(self, found: Folded) -> None:
        self.found, self.now, self.done = found, 0.0, 0

    def __call__(self) -> Folded:
        self.now += 1
        self.done += 1
        return self.found

    def clock(self) -> float:
        return self.now


@pytest.mark.parametrize(("found", "share"), [(Folded.NOTHING, 0.2), (Folded.SOME, 0.2), (Folded.FULL, 1)])
def test_it_takes_no_more_than_its_share_of_the_time_unless_there_is_more_to_do(found: Folded, share: float) -> None:
    work = Work(found)
    pace = Pace(0.2, work.clock)
    while work.now < 100:
        before = work.done
        pace.take(work)
        work.now += work.done == before
    assert work.done == 100 * share


def test_as_much_as_is_done_at_once_says_that_there_may_be_more() -> None:
    assert [folded(done, 3) for done in (0, 1, 3, 4)] == [Folded.NOTHING, Folded.SOME, Folded.FULL, Folded.FULL]
