"""`storyline import`: publish what stands in files, through the API like any other channel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from adapters.csv_map import CsvMap, preview
from adapters.importing import Importer, Progress, Report, run_import, state_path
from adapters.ndjson import NdJson
from adapters.online_retail import OnlineRetail
from storyline import logs
from storyline.cli.shared import JsonFlag, api_access, api_client, console, groups, print_json, progress_bar, stderr
from storyline.exits import INTERRUPTED
from storyline.settings import Settings

__all__ = ["app"]

app = groups("Publish what stands in files. May be stopped at any point and started again.")

_Paths = Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Files, plain or gzipped.")]
_Url = Annotated[str | None, typer.Option(help="Address of the API; default: STORYLINE_URL.")]
_Key = Annotated[
    str | None, typer.Option(help="API key; better in STORYLINE_API_KEY, where no list of processes shows it.")
]
_Refused = Annotated[Path | None, typer.Option("--refused", help="Write each refused row here, as JSON lines.")]
_RowMap = Annotated[Path | None, typer.Option("--row-map", help="Write here which event each row went into.")]


@app.command("csv")
def import_csv(
    paths: _Paths,
    mapping: Annotated[Path, typer.Option("--map", exists=True, dir_okay=False, help="How columns become events.")],
    dry: Annotated[bool, typer.Option("--preview", help="Show the first events and publish nothing.")] = False,
    url: _Url = None,
    key: _Key = None,
    refused: _Refused = None,
    row_map: _RowMap = None,
    as_json: JsonFlag = False,
) -> None:
    """Import any CSV by a mapping file; see docs/importing.md."""
    importer = CsvMap(paths, mapping)
    if not dry:
        _run(importer, paths, url, key, (refused, row_map), as_json)
        return
    for step in preview(importer):
        print_json({"rows": [place._asdict() for place in step.rows], "event": step.event, "refused": step.refusal})


@app.command("online-retail")
def import_online_retail(
    paths: _Paths,
    url: _Url = None,
    key: _Key = None,
    refused: _Refused = None,
    row_map: _RowMap = None,
    as_json: JsonFlag = False,
) -> None:
    """Import the Online Retail data set: an invoice is one purchase, a `C…` invoice a refund."""
    _run(OnlineRetail(paths), paths, url, key, (refused, row_map), as_json)


@app.command("ndjson")
def import_ndjson(
    paths: _Paths,
    url: _Url = None,
    key: _Key = None,
    refused: _Refused = None,
    row_map: _RowMap = None,
    as_json: JsonFlag = False,
) -> None:
    """Import CloudEvents, one JSON object a line."""
    _run(NdJson(paths), paths, url, key, (refused, row_map), as_json)


def _run(
    importer: Importer,
    paths: list[Path],
    url: str | None,
    key: str | None,
    files: tuple[Path | None, Path | None],
    as_json: bool,
) -> None:
    settings = Settings()
    logs.configure(settings.log_format, "warning")
    address, secret = api_access(settings, url, key)
    state = state_path(settings.data_dir, importer.name, paths)
    with api_client(address, secret) as client, progress_bar(f"importing {importer.name}", None) as (bar, task):

        def show(done: Progress) -> None:
            bar.update(task, completed=done.rows, total=done.total)

        report = run_import(
            importer,
            lambda events: list(client.publish(events)),
            state=state,
            target=address,
            progress=show,
            refused_file=files[0],
            row_map=files[1],
        )
        bar.update(task, completed=report.rows, total=report.rows_read if report.finished else None)
    if as_json:
        print_json(report.as_dict())
    else:
        _print(report)
    if not report.finished:
        stderr.print("Stopped. What was acknowledged is kept; run the same command again to go on.")
        raise typer.Exit(INTERRUPTED)


def _print(report: Report) -> None:
    table = Table("rows", "became", "events", box=None)
    for name, rows in report.event_rows.items():
        table.add_row(f"{rows:,}", name, f"{report.events[name]:,}")
    for code, rows in report.refused.items():
        table.add_row(f"{rows:,}", f"refused: {code}", "")
    console.print(table)
    accounted = sum(report.event_rows.values()) + sum(report.refused.values())
    console.print(f"{accounted:,} of {report.rows_read:,} rows read are accounted for, in {report.seconds:,.1f} s.")
