"""`storyline log check` and `log repair`: does the log hold what Postgres remembers, and how does it get it back?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from domain.errors import LogDamaged
from projections.checking import LogCheck, check_log
from projections.connecting import connected
from projections.moves import refuse_moved
from projections.repair import Repair, RepairReport
from storyline.cli.shared import JsonFlag, console, open_parts, print_json, progress_bar, stderr
from storyline.exits import exit_code

__all__ = ["check", "repair"]


def check(as_json: JsonFlag = False) -> None:
    """Check that Postgres is not ahead of the log, and is of this log. Exit code 8 when it is damaged."""
    with open_parts() as parts, connected(parts.settings.database_url) as connection:
        refuse_moved(connection, parts.log.log_id)
        found = check_log(connection, parts.log)
    if as_json:
        print_json(_plain_check(found))
    else:
        _print_check(found)
    if found.damaged:
        raise typer.Exit(exit_code(LogDamaged("")))


def repair(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    every_record: Annotated[
        bool, typer.Option("--every-record", help="Compare every row, not only the newest down to where they agree.")
    ] = False,
    onto_another_log: Annotated[
        bool, typer.Option("--onto-another-log", help="The log was made anew: append all that the timeline holds.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put back what the log lost, out of the timeline. Stopped at any point, the next start goes on from there.

    Stop the API and the inbox first. See docs/repair.md.
    """
    with open_parts() as parts:
        work = Repair(
            parts.settings.database_url, parts.log, every_record=every_record, onto_another=onto_another_log
        )
        if dry_run or not yes:
            planned = work.plan()
            _tell(planned, as_json and dry_run, done=False)
            if dry_run or not (planned.losses or planned.filled or planned.emptied):
                return
            typer.confirm("Go on?", abort=True, err=True)
        with progress_bar("putting back", None) as (bar, task):
            work.told = lambda done, total: bar.update(task, completed=done, total=total)
            report = work.run()
    _tell(report, as_json, done=True)


def _plain_check(found: LogCheck) -> dict[str, Any]:
    consumers: dict[int, list[dict[str, Any]]] = {partition: [] for partition in found.ends}
    for one in found.standings:
        plain = one._asdict()
        consumers.setdefault(plain.pop("partition"), []).append(plain)
    partitions = [
        {"partition": partition, "end": found.ends.get(partition), "consumers": standing}
        for partition, standing in sorted(consumers.items())
    ]
    return {
        "log_id": found.log_id,
        "damaged": found.damaged,
        "troubles": found.troubles,
        "verdict": found.verdict,
        "other_logs": [one._asdict() for one in found.others],
        "partitions": partitions,
    }


def _print_check(found: LogCheck) -> None:
    console.print(f"Log {found.log_id}", markup=False)
    for one in found.standings:
        end = found.ends.get(one.partition, 0)
        console.print(
            f"  partition {one.partition}: ends at {end:,}; {one.consumer} stands at {one.next_offset:,}, last "
            f"record {one.anchor}",
            markup=False,
        )
    for trouble in found.troubles:
        console.print(trouble, markup=False, soft_wrap=True)
    console.print(found.verdict, markup=False, soft_wrap=True)


def _tell(report: RepairReport, as_json: bool, *, done: bool) -> None:
    lost = sum(one.rows for one in report.losses)
    passed = sum(one.passed for one in report.losses)
    if as_json:
        print_json(
            {
                "done": done,
                "troubles": report.check.troubles,
                "losses": [one._asdict() for one in report.losses],
                "lost": lost,
                "put_back": report.put_back,
                "filled": report.filled,
                "emptied": report.emptied,
                "passed": passed,
                "letters": report.letters,
            }
        )
        return
    show = console if done else stderr
    for sentence in [*([] if done else report.check.troubles), *_sentences(report, lost, passed, done)]:
        show.print(sentence, markup=False, soft_wrap=True)


def _sentences(report: RepairReport, lost: int, passed: int, done: bool) -> list[str]:
    """What was found and done, and, as honestly, what nobody can bring back."""
    if not (report.losses or report.filled or report.emptied):
        return ["The log holds all that the timeline does; there is nothing to repair."]
    found = []
    if report.filled or report.emptied:
        verb = "Filled" if done else "Would fill"
        found.append(
            f"{verb} {report.filled + report.emptied:,} holes in the log: {report.filled:,} with their records, "
            f"{report.emptied:,} with an empty one, because no row has theirs."
        )
    for one in report.losses:
        verb = "is" if done else "would be"
        found.append(
            f"Partition {one.partition} lost {one.rows:,} events behind offset {one.floor:,}; from there on it "
            f"{verb} read again."
        )
    if report.losses:
        verb = f"Put back {report.put_back:,}" if done else f"Would put back {lost:,}"
        found.append(f"{verb} events out of the timeline, byte for byte.")
    if passed:
        found.append(
            f"{passed:,} offsets that had been read have no row of their own (repeats, name clashes, unreadable "
            "records); they are not put back."
        )
    if report.letters:
        found.append(
            f"{report.letters:,} dead letters wait whose record may be lost; they hold it, and "
            "`storyline dead-letters redrive` puts it back."
        )
    found.append(
        "What had been acknowledged and was not on the timeline yet cannot be brought back from here: let the "
        "channels send again what they sent of late; what is there already is a repeat, and harmless."
    )
    return found
