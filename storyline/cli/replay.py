"""`storyline replay`: history as a file for analysts, without touching production."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import typer

from domain.errors import BadInput, Problem
from domain.identifiers import KINDS, Identifier
from projections.replay_models import MODELS, model_rows
from projections.replaying import snapshot_of
from storyline.cli.shared import open_parts, progress_bar, stderr
from storyline.parts import Parts
from storyline.replay import replay as replaying
from storyline.replay_files import format_of, write_file, write_stream

__all__ = ["replay"]

_WHEN = "a day, or a moment with its offset"


def replay(
    out: Annotated[str, typer.Option(help="The file: .parquet, .arrow, .ndjson or .duckdb; - is the output.")] = "-",
    format: Annotated[str | None, typer.Option(help="parquet, arrow, ndjson or duckdb, whatever its ending.")] = None,
    since: Annotated[str | None, typer.Option("--from", help=f"What happened from then on: {_WHEN}.")] = None,
    until: Annotated[str | None, typer.Option("--to", help=f"What happened before: {_WHEN}.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="A type of events; may be given again.")] = None,
    channels: Annotated[list[str] | None, typer.Option("--channel", help="A channel; may be given again.")] = None,
    where: Annotated[str | None, typer.Option(help="Conditions on events, as in rules of segments.")] = None,
    customers: Annotated[
        list[str] | None, typer.Option("--customer", help="A customer's id, or KIND:VALUE; may be given again.")
    ] = None,
    segments: Annotated[
        list[str] | None, typer.Option("--segment", help="Whose members they are now, by code; may be given again.")
    ] = None,
    happened_by: Annotated[str | None, typer.Option(help=f"As of what had happened by then: {_WHEN}.")] = None,
    recorded_by: Annotated[str | None, typer.Option(help=f"As of what was known by then: {_WHEN}.")] = None,
    as_sent: Annotated[
        bool, typer.Option("--as-sent", help="Also what was taken back, and what was put right as it was sent.")
    ] = False,
    columns: Annotated[str | None, typer.Option(help="Which columns, comma between.")] = None,
    personal: Annotated[
        bool, typer.Option("--personal", help="With names and texts; needs an API key with the scope read.")
    ] = False,
    order: Annotated[str, typer.Option(help="happened, or position on the log.")] = "happened",
    model: Annotated[
        str | None, typer.Option(help=f"Rows of a read model as of now instead: {', '.join(MODELS)}.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Tell the counts as JSON, on stderr.")] = False,
) -> None:
    """Replay the events of a period as they count, or the rows of a read model, into a file or a pipe."""
    made = format_of(out, format)
    if order not in ("happened", "position"):
        raise BadInput([Problem("order", "is neither.", "Choose of happened, position.")])
    with open_parts() as parts:
        if model is not None:
            _models(parts, model, out, made, as_json)
            return
        ids = [_customer(parts, one) for one in customers or ()]
        wanted = [one.strip() for one in (columns or "").split(",") if one.strip()]
        chosen: Literal["happened", "position"] = "position" if order == "position" else "happened"
        with replaying(
            parts, since=since, until=until, types=types or (), channels=channels or (), where=where, customers=ids,
            segments=segments or (), happened_by=happened_by, recorded_by=recorded_by, as_sent=as_sent,
            columns=wanted, personal=personal, order=chosen,
        ) as run:  # fmt: skip
            _write(run.schema, run.batches(), run.columns.json_names, out, made, "events", as_json)
            if run.unfit:
                stderr.print(f"{run.unfit:,} values do not fit their columns and are null there; see `content`.")


def _models(parts: Parts, model: str, out: str, format: str, as_json: bool) -> None:
    with snapshot_of(parts.settings.database_url) as connection:
        rows = model_rows(connection, model)
        _write(rows.schema, rows.batches, frozenset(), out, format, model, as_json)


def _write(
    schema: Any, batches: Iterable[Any], json_names: frozenset[str], out: str, format: str, what: str, as_json: bool
) -> None:
    began, counted = time.monotonic(), 0
    with progress_bar(what, None) as (bar, task):

        def told() -> Iterator[Any]:
            nonlocal counted
            for batch in batches:
                counted += batch.num_rows
                bar.update(task, completed=counted)
                yield batch

        if out == "-":
            write_stream(format, schema, told(), json_names, sys.stdout.buffer)
        else:
            write_file(format, schema, told(), json_names, Path(out), what)
    if as_json:
        told_as = {what: counted, "seconds": round(time.monotonic() - began, 3), "out": out}
        stderr.print(json.dumps(told_as), markup=False, soft_wrap=True)
    elif out != "-":
        stderr.print(f"{counted:,} {what} written to {out}.", markup=False, soft_wrap=True)


def _customer(parts: Parts, text: str) -> UUID:
    """A customer by id, or by an identifier: its node leads to whoever has it."""
    kind, colon, value = text.partition(":")
    kind, _, namespace = kind.partition("/")
    if not (colon and kind in KINDS):
        try:
            return UUID(hex=text)
        except ValueError:
            way_out = f"Give 32 hex digits, or KIND:VALUE with one of {', '.join(KINDS)}."
            raise BadInput([Problem("customer", "is no customer's id and no identifier.", way_out)]) from None
    who = (Identifier(kind, value, namespace),)
    tokens = parts.hasher.raised(who, parts.keyring.generations(parts.hasher.tokens(who)))
    if not tokens:
        raise BadInput([Problem("customer", "is a blocked value, which names nobody.", "Use another identifier.")])
    return UUID(hex=tokens[0][-32:])
