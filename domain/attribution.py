"""Which campaign brought a sale? Weights of the answers before a purchase, and the amount shared out by them.

The models are those that the field knows: first, last, linear, position (40/20/40) and time decay. Weights are whole
numbers, and amounts are shared out in their smallest unit by largest remainders, so that the parts come to the whole,
to the last digit, on every machine. The queries share out in the same way; the tests hold both against each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Final, Literal, get_args

__all__ = ["DECAY", "HALF_LIFE_DAYS", "MODELS", "MOST_DAYS", "USUAL_DAYS", "Model", "shares", "weights"]

Model = Literal["first", "last", "linear", "position", "time_decay"]
MODELS: Final[tuple[Model, ...]] = get_args(Model)
HALF_LIFE_DAYS: Final = 7
"""An answer that lies so many days longer before the purchase weighs half as much."""
MOST_DAYS: Final = 365
"""As long before a purchase an answer may lie."""
USUAL_DAYS: Final = 30
"""As long before it may lie if nobody says otherwise."""
_WHOLE: Final = Decimal(10) ** 18


_EXACT: Final = Context(prec=200)


def _decay() -> tuple[int, ...]:
    half = _EXACT.divide(_EXACT.ln(Decimal("0.5")), Decimal(HALF_LIFE_DAYS))
    aged = (_EXACT.exp(_EXACT.multiply(half, Decimal(day))) for day in range(MOST_DAYS + 1))
    return tuple(int(_EXACT.multiply(_WHOLE, one).to_integral_value()) for one in aged)


DECAY: Final = _decay()
"""What an answer weighs by its age in whole days: 10^18 halved every seven days; never nothing within `MOST_DAYS`."""


def weights(model: Model, ages: Sequence[int]) -> list[int]:
    """What each answer weighs. ages: whole days before the purchase, the first answer first, none above MOST_DAYS.

    first, last: all to one. linear: the same for each. position: 40 % each to the first and the last, 20 % shared by
    those between; half each where there are two. time_decay: half as much for every seven days.
    """
    count = len(ages)
    match model:
        case "first":
            return [int(place == 0) for place in range(count)]
        case "last":
            return [int(place == count - 1) for place in range(count)]
        case "linear":
            return [1] * count
        case "position":
            ends = 2 * (count - 2) if count > 2 else 1
            return [ends if place in {0, count - 1} else 1 for place in range(count)]
        case "time_decay":
            return [DECAY[age] for age in ages]


def shares(amount: Decimal, weighed: Sequence[int]) -> list[Decimal]:
    """The amount shared out by weights: in hundredths, or in the last digit that it has if that is finer. What is
    left goes, one unit each, to the largest remainders, of equal ones to the earlier."""
    exponent = amount.as_tuple().exponent
    digits = max(2, -exponent) if isinstance(exponent, int) else 2
    units = int(amount.scaleb(digits, _EXACT))
    total = sum(weighed)
    parts = [units * weight // total for weight in weighed]
    rests = [units * weight - part * total for weight, part in zip(weighed, parts, strict=True)]
    order = sorted(range(len(parts)), key=lambda place: (-rests[place], place))
    for place in order[: units - sum(parts)]:
        parts[place] += 1
    return [Decimal(part).scaleb(-digits, _EXACT) for part in parts]
