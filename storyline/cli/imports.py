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
from adapters.xes_inspect import survey
from adapters.xes_map import XesMap
from adapters.xes_proposal import proposal, summary
from domain.errors import BadInput, Problem
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
    else:
        _preview(importer)


@app.command("xes")
def import_xes(
    paths: _Paths,
    mapping: Annotated[
        Path | None, typer.Option("--map", exists=True, dir_okay=False, help="How activities become events.")
    ] = None,
    inspect: Annotated[
        bool, typer.Option("--inspect", help="Say what is in the files, propose a mapping, and publish nothing.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", dir_okay=False, help="Write the proposed mapping here.")
    ] = None,
    dry: Annotated[bool, typer.Option("--preview", help="Show the first events and publish nothing.")] = False,
    url: _Url = None,
    key: _Key = None,
    refused: _Refused = None,
    row_map: _RowMap = None,
    as_json: JsonFlag = False,
) -> None:
    """Import XES event logs (.xes, .xes.gz) by a mapping file; see docs/importing.md."""
    if inspect:
        _inspect(paths, output, as_json)
        return
    if mapping is None:
        raise typer.BadParameter("Give a mapping by --map, or have one proposed by --inspect.")
    importer = XesMap(paths, mapping)
    if dry:
        _preview(importer)
        return
    _run(importer, paths, url, key, (refused, row_map), as_json)
    for name in importer.never_found():
        stderr.print(f"No event has the attribute {name}, which the mapping names.", markup=False, soft_wrap=True)


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


def _preview(importer: Importer) -> None:
    for step in preview(importer):
        print_json({"rows": [place._asdict() for place in step.rows], "event": step.event, "refused": step.refusal})


def _inspect(paths: list[Path], output: Path | None, as_json: bool) -> None:
    """Print the survey and the mapping; or, with `output`, write the mapping there and print the survey alone."""
    found = survey(paths)
    proposed = proposal(found)
    if output is not None:
        try:
            with output.open("x", encoding="utf-8") as stream:
                stream.write(proposed)
        except FileExistsError:
            way_out = "Name a new file; what somebody may have mended is not written over."
            raise BadInput([Problem(output.name, "is there already.", way_out)]) from None
        except OSError as error:
            raise BadInput([Problem(output.name, f"cannot be written: {error.strerror}.", "")]) from None
    if as_json:
        print_json({**found.as_dict(), "mapping": proposed})
    elif output is None:
        typer.echo(proposed, nl=False)
    else:
        typer.echo("\n".join(summary(found)))


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
    for code, rows in report.noted.items():
        table.add_row(f"{rows:,}", f"of them noted: {code}", "")
    console.print(table)
    accounted = sum(report.event_rows.values()) + sum(report.refused.values())
    console.print(f"{accounted:,} of {report.rows_read:,} rows read are accounted for, in {report.seconds:,.1f} s.")
