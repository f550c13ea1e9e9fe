"""What does the board of a pipeline tell? What is open in each of its stages, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby

from api.deal_shapes import Board, StageSum, Sum
from domain.configuration import Configuration
from projections.work.reader import Column, Stays

__all__ = ["board_told", "stays_of"]


def stays_of(rules: Configuration, pipeline: str | None, at: datetime) -> Stays:
    """By stage, before which moment a deal came to it that stalls there; of one pipeline, or of all."""
    chosen = [one for code, one in rules.pipelines.items() if pipeline in {None, code}]
    return {
        stage.code: at - stage.stalled_after
        for one in chosen
        for stage in one.stages
        if stage.stalled_after is not None
    }


def board_told(pipeline: str, rules: Configuration, columns: Sequence[Column]) -> Board:
    """The stages that the configuration knows, also empty ones, and then those that only deals know."""
    by_stage = {stage: list(group) for stage, group in groupby(columns, key=lambda one: one.stage)}
    known = rules.pipelines.get(pipeline)
    order = [*(known.codes if known is not None else ()), *by_stage]
    return Board(pipeline, [_stage(stage, by_stage.get(stage, [])) for stage in dict.fromkeys(order)])


def _stage(stage: str | None, columns: Sequence[Column]) -> StageSum:
    sums = [Sum(one.currency, _text(one.amount), _text(one.expected)) for one in columns if one.currency]
    return StageSum(stage, sum(one.deals for one in columns), sum(one.stalled for one in columns), sums)


def _text(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
