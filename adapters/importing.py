"""How does any input get in: in batches, resumable, with a report that accounts for every row?

An *importer* reads an input and yields *steps*; a step is an event with the rows that went into it, or rows that are
refused with a reason. `run_import` publishes them. An event's name (source, id) depends on the input alone, so that
publishing it again is a repeat: stopping at any point, even by `kill -9`, loses nothing and adds nothing twice.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from adapters.client import Refused
from adapters.import_files import RowFile, State, read_state, write_state
from adapters.reading import Place
from domain.errors import BadInput, StorylineError, TooLarge

__all__ = ["Importer", "Progress", "Publish", "Refusal", "Report", "Step", "Tally", "run_import", "state_path"]

# Several requests of the client's, so that it has some under way at once.
BATCH_EVENTS: Final = 2_000
BATCH_BYTES: Final = 12 * 2**20
_WAITING_STEPS: Final = 5_000

Event = dict[str, Any]
Publish = Callable[[list[Event]], Iterable[object]]
"""Publishes a batch and gives a receipt for each event that is durable, as `Client.publish` does. BadInput (with the
`item` of each problem) and TooLarge refuse events; every other error ends the import, which may then be resumed."""


class Refusal(NamedTuple):
    """Why rows went into no event: a code to count by and a sentence for a person, without personal values."""

    code: str
    reason: str


class Step(NamedTuple):
    """One step of an importer: `rows` went into `event`, or were refused. The n-th step of an input is always the
    same; that is what resuming relies on. `notes` are codes of what is worth knowing of a row that went in."""

    rows: tuple[Place, ...]
    event: Event | None
    refusal: Refusal | None = None
    notes: tuple[str, ...] = ()


class Importer(Protocol):
    """What `run_import` needs of a reader of some format."""

    @property
    def name(self) -> str:
        """The format, for the report and the state file."""

    @property
    def rows_read(self) -> int:
        """Rows met so far, counted where they are read; at the end the steps must account for as many."""

    def digest(self) -> str:
        """A hash of the input and of the rules it is read by; another digest starts the import anew."""

    def total(self) -> int | None:
        """Number of rows, or None where finding out would mean reading the input."""

    def steps(self) -> Iterator[Step]:
        """All steps from the first, in an order that depends on the input alone."""


class Progress(NamedTuple):
    """How far an import is. `rows_per_s` counts this run only; `total` is None where it is not known."""

    rows: int
    total: int | None
    events: int
    rows_per_s: float
    seconds: float


@dataclass
class Tally:
    """What became of the rows so far."""

    rows: int = 0
    events: Counter[str] = field(default_factory=Counter)
    event_rows: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)

    def count(self, step: Step, refusal: Refusal | None) -> None:
        """Account for one step; `refusal` is the importer's or the server's."""
        self.rows += len(step.rows)
        if refusal is not None:
            self.refused[refusal.code] += len(step.rows)
        elif step.event is not None:
            self.events[step.event["type"]] += 1
            self.event_rows[step.event["type"]] += len(step.rows)
            for note in step.notes:
                self.noted[note] += len(step.rows)

    def check(self, rows_read: int) -> None:
        """StorylineError unless every row that was read went into an event or was refused."""
        accounted = self.event_rows.total() + self.refused.total()
        if not rows_read == self.rows == accounted:
            raise StorylineError(
                f"The import's report does not add up: {rows_read} rows were read, {self.rows} passed on, and "
                f"{accounted} accounted for. This is a fault of the importer; please report it."
            )


@dataclass(frozen=True)
class Report:
    """The account of an import: every row is in `event_rows` (by event type) or in `refused` (by reason code).
    `noted` counts rows among the former of which something is worth knowing, by code.

    `finished` is False where it was stopped; the counts then cover what was done. `resumed_at` is the number of rows
    that an earlier run had done.
    """

    importer: str
    finished: bool
    rows: int
    rows_read: int
    resumed_at: int
    events: dict[str, int]
    event_rows: dict[str, int]
    refused: dict[str, int]
    noted: dict[str, int]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON shows it, with its two totals."""
        return {
            **asdict(self),
            "events_total": sum(self.events.values()),
            "refused_total": sum(self.refused.values()),
        }


def state_path(data_dir: Path, importer: str, inputs: Sequence[Path]) -> Path:
    """Where the progress of importing these files is kept: one file per format and set of paths."""
    named = "\n".join(sorted(str(path.resolve()) for path in inputs))
    return data_dir / "imports" / f"{importer}-{hashlib.blake2b(named.encode(), digest_size=8).hexdigest()}.json"


def run_import(
    importer: Importer,
    publish: Publish,
    *,
    state: Path | None = None,
    target: str = "",
    progress: Callable[[Progress], None] | None = None,
    refused_file: Path | None = None,
    row_map: Path | None = None,
    batch_events: int = BATCH_EVENTS,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Publish all that the importer yields; return the account of every row.

    `state`: file that remembers what was acknowledged, so that a next run goes on there; removed at the end. It
    holds for the same input, rules and `target` (the server's address) only. `refused_file`: JSON lines, one per
    refused row. `row_map`: JSON lines, one per row with its event or its refusal. Ctrl-C ends with
    `finished=False`. An event that the server refuses (BadInput, TooLarge) is isolated and its rows are reported;
    errors such as Unavailable or Forbidden pass through, with all that was acknowledged kept in `state`.
    """
    run = _Run(importer, publish, state, target, progress, (refused_file, row_map), batch_events, clock)
    with run.refused_file, run.row_map:
        return run.all()


class _Run:
    """One run of an import."""

    def __init__(
        self,
        importer: Importer,
        publish: Publish,
        state: Path | None,
        target: str,
        progress: Callable[[Progress], None] | None,
        files: tuple[Path | None, Path | None],
        batch_events: int,
        clock: Callable[[], float],
    ) -> None:
        self._importer, self._publish, self._progress = importer, publish, progress
        self._state_path, self._batch_events, self._clock = state, batch_events, clock
        kept = "".join("-" if path is None else "+" for path in files)
        self._key = f"{importer.name}:{importer.digest()}:{kept}:{target}"
        self._steps, self._tally = 0, Tally()
        self.refused_file, self.row_map = (RowFile(path) for path in files)
        self._resume()
        self._resumed_at, self._began = self._tally.rows, clock()
        self._waiting: list[Step] = []

    def _resume(self) -> None:
        """Go on where an earlier run was acknowledged, if it was the same import and its report files are there."""
        kept = read_state(self._state_path) if self._state_path else None
        files = (self.refused_file, self.row_map)
        offsets = kept.file_bytes if kept is not None and kept.key == self._key else None
        if kept is None or offsets is None or not all(map(RowFile.holds, files, offsets)):
            for file in files:
                file.open_at(0)
            return
        for file, offset in zip(files, offsets, strict=True):
            file.open_at(offset)
        self._steps = kept.steps
        counts = map(Counter, (kept.events, kept.event_rows, kept.refused, kept.noted))
        self._tally = Tally(kept.rows, *counts)

    def all(self) -> Report:
        finished = True
        try:
            self._publish_all()
        except KeyboardInterrupt:
            finished = False
        if finished:
            self._tally.check(self._importer.rows_read)
            if self._state_path is not None:
                self._state_path.unlink(missing_ok=True)
        tally = self._tally
        return Report(
            importer=self._importer.name,
            finished=finished,
            rows=tally.rows,
            rows_read=self._importer.rows_read,
            resumed_at=self._resumed_at,
            events=dict(sorted(tally.events.items())),
            event_rows=dict(sorted(tally.event_rows.items())),
            refused=dict(sorted(tally.refused.items())),
            noted=dict(sorted(tally.noted.items())),
            seconds=round(self._clock() - self._began, 3),
        )

    def _steps_left(self) -> Iterator[tuple[int, Step]]:
        """The steps by their numbers. Where the input can be read no further, what was read goes in first."""
        try:
            yield from enumerate(self._importer.steps(), 1)
        except BadInput:
            self._flush()
            raise

    def _publish_all(self) -> None:
        events = size = 0
        for number, step in self._steps_left():
            if number <= self._steps:
                continue
            step_size = len(msgspec.json.encode(step.event)) if step.event is not None else 0
            if events and size + step_size > BATCH_BYTES:
                self._flush()
                events = size = 0
            self._waiting.append(step)
            events += step.event is not None
            size += step_size
            if events >= self._batch_events or len(self._waiting) >= _WAITING_STEPS:
                self._flush()
                events = size = 0
        self._flush()

    def _flush(self) -> None:
        """Publish what waits, account for it, and only then remember that it is done."""
        if not self._waiting:
            return
        events = [step.event for step in self._waiting if step.event is not None]
        verdicts = iter(_verdicts(self._publish, events))
        for step in self._waiting:
            refusal = step.refusal if step.event is None else next(verdicts)
            self._tally.count(step, refusal)
            self._write_rows(step, refusal)
        self._steps += len(self._waiting)
        self._waiting = []
        self._remember()
        if self._progress is not None:
            self._progress(self._measure())

    def _write_rows(self, step: Step, refusal: Refusal | None) -> None:
        name = {} if step.event is None else {"source": step.event["source"], "id": step.event["id"]}
        verdict: dict[str, Any] = {"event": name} if name else {}
        if refusal is not None:
            verdict |= {"refused": refusal.code, "reason": refusal.reason}
        elif step.notes:
            verdict["noted"] = step.notes
        for place in step.rows:
            line = {**place._asdict(), **verdict}
            self.row_map.write(line)
            if refusal is not None:
                self.refused_file.write(line)

    def _remember(self) -> None:
        sizes = (self.refused_file.sync(), self.row_map.sync())
        if self._state_path is not None:
            tally = self._tally
            counts = (dict(tally.events), dict(tally.event_rows), dict(tally.refused))
            state = State(self._key, self._steps, tally.rows, *counts, sizes, dict(tally.noted))
            write_state(self._state_path, state)

    def _measure(self) -> Progress:
        seconds = self._clock() - self._began
        rate = (self._tally.rows - self._resumed_at) / seconds if seconds > 0 else 0.0
        return Progress(self._tally.rows, self._importer.total(), self._tally.events.total(), rate, seconds)


def _verdicts(publish: Publish, events: list[Event]) -> list[Refusal | None]:
    """Publish the events; for each one None, or why the server refused it. What is good goes in all the same."""
    if not events:
        return []
    try:
        receipts = sum(1 for _ in publish(events))
    except (BadInput, TooLarge) as error:
        if len(events) == 1:
            return [_in_servers_words(error)]
        named = _named_items(error, events)
    else:
        if receipts != len(events):
            raise StorylineError(f"The server acknowledged {receipts} of {len(events)} events; start again later.")
        return [None] * len(events)
    if not named:  # the server did not say which: halve until it is alone
        middle = len(events) // 2
        return _verdicts(publish, events[:middle]) + _verdicts(publish, events[middle:])
    rest = iter(_verdicts(publish, [event for item, event in enumerate(events) if item not in named]))
    return [named[item] if item in named else next(rest) for item in range(len(events))]


def _named_items(error: BadInput | TooLarge, events: list[Event]) -> dict[int, Refusal]:
    """Which items of a batch the server named, each with its words."""
    first = 0
    if isinstance(error, Refused) and error.events:  # the client cut the batch, and counts within the part
        first = next((item for item, event in enumerate(events) if event is error.events[0]), len(events))
    named: dict[int, Refusal] = {}
    for found in error.problems if isinstance(error, BadInput) else ():
        if found.item is not None and 0 <= (item := first + found.item) < len(events) and item not in named:
            named[item] = Refusal("server_refused", f"{found.field}: {found.trouble} {found.way_out}".strip())
    return named


def _in_servers_words(error: BadInput | TooLarge) -> Refusal:
    if isinstance(error, TooLarge):
        return Refusal("too_large", error.detail)
    found = error.problems[0] if error.problems else None
    told = f"{found.field}: {found.trouble} {found.way_out}".strip() if found else error.detail
    return Refusal("server_refused", told)
