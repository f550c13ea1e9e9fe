"""Enrichment: scores what customers wrote and said, and publishes it as a record event beside the touchpoint.

It follows the log from its beginning, a little behind the timeline, so that it knows which words count. What it
publishes is named after the touchpoint, the record that holds the words, what asked for it and the method; another
try would say the same: so whoever dies in between, and whoever reads the log again, repeats what is there already.
Another method is another consumer, which begins anew beside.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import Any, Final, NamedTuple
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from commands.publishing import Publisher, Rights
from consumers.sharing import Batch, Share
from domain.catalogue.base import join
from domain.catalogue.registry import Catalogue
from domain.errors import BadInput, Poison, SealError, UnknownKey
from domain.event import Event, read_time
from domain.moods import TEXTS, language_of, scorable, texts_of
from eventlog.keyring import Keyring
from eventlog.port import Log, Logged
from eventlog.record import Head, Record, decode
from eventlog.sealing import Opened, keys_of, open_record
from eventlog.tokens import Hasher
from projections.enriching import Said, already_there, said, visible

__all__ = ["METHOD", "SOURCE", "Enricher", "vader"]

SOURCE: Final = "storyline/enrichment"
METHOD: Final = f"vader-{version('vadersentiment')}"
_RIGHTS: Final = Rights(sources=(SOURCE,), types=("touchpoint.enriched",), system=True)
_CORRECTIONS: Final = ("event.amended", "event.retracted")
_TICK: Final = timedelta(microseconds=1)
_logger = structlog.get_logger("storyline.enrichment")


def vader() -> Callable[[str], float]:
    """VADER's compound score of an English text, -1 to 1. C. J. Hutto and E. Gilbert: VADER, a parsimonious
    rule-based model for sentiment analysis of social media text, ICWSM 2014."""
    analyzer = SentimentIntensityAnalyzer()
    return lambda text: float(analyzer.polarity_scores(text)["compound"])


class _Enrichment(NamedTuple):
    """What is to be published, and the key that seals it: that of the touchpoint, if it names anybody."""

    event: Event
    key: str | None


@dataclass
class Enricher:
    """Follows the log until `stop` is set. `ready`: it has a seat.

    score: gives the sentiment of an English text, always the same. method: what it is called, with its version.
    lease: seconds unseen after which the others take its partitions. before_move: called between publishing and
    moving on, for tests.
    """

    dsn: str
    log: Log
    publisher: Publisher
    keyring: Keyring
    hasher: Hasher
    registry: CollectorRegistry
    score: Callable[[str], float] = field(default_factory=vader)
    method: str = METHOD
    lease: float = 10.0
    batch: int = 500
    before_move: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        registry = self.registry
        self._seen = Counter("storyline_enrichment_events", "Records taken from the log", registry=registry)
        self._published = Counter(
            "storyline_enrichment_published", "Touchpoints that were enriched", registry=registry
        )
        self._passed = Counter(
            "storyline_enrichment_passed", "Touchpoints that were passed over", ["why"], registry=registry
        )
        self._troubles = Counter(
            "storyline_enrichment_troubles", "Interruptions of following the log", ["kind"], registry=registry
        )
        partitions = Gauge("storyline_enrichment_partitions", "Partitions that it follows", registry=registry)
        self.share = Share(
            f"enrichment:{self.method}", self.dsn, self.log, self.lease, self.batch,
            self._trouble,
        )  # fmt: skip
        partitions.set_function(lambda: len(self.share.held))

    @property
    def ready(self) -> bool:
        """Whether it has a seat."""
        return self.share.ready

    @property
    def held(self) -> Sequence[int]:
        """The partitions that it follows."""
        return self.share.held

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set. Raises LogDamaged when the log is not what the positions say."""
        self.share.run(stop, self._take)

    def _trouble(self, kind: str, detail: str) -> None:
        self._troubles.labels(kind).inc()
        _logger.warning("enrichment.trouble", consumer=self.share.consumer, kind=kind, detail=detail)

    def _take(self, batch: Batch) -> bool:
        touchpoints, corrections, end = _asking(batch.records)
        if touchpoints or corrections:
            # Only the timeline knows which words count, and what became of those that a correction speaks of.
            if not visible(batch.connection, self.log.log_id, end):
                return False
            found = said(batch.connection, touchpoints, corrections, TEXTS)
            self._publish(self._without_known(batch, self._enriched(found)))
        self.before_move()
        with batch.connection.transaction():
            batch.move()
        self._seen.inc(len(batch.records))
        return True

    def _enriched(self, found: Sequence[Said]) -> list[_Enrichment]:
        records = {id(one): one for pair in found for one in (pair.touchpoint, pair.words)}
        opened, passed = self._opened(list(records.values())), Tally[str]()
        made = []
        for one in found:
            its = self._one(one, opened)
            if isinstance(its, str):
                passed[its] += 1
            else:
                made.append(its)
        self._count(passed)
        return made

    def _opened(self, records: Sequence[Record]) -> dict[int, Opened | None]:
        """What each of these records sealed; without those that do not open."""
        with contextlib.suppress(UnknownKey):
            self.keyring.keys(keys_of(records))  # all at once; from here on they are at hand
        found: dict[int, Opened | None] = {}
        for one in records:
            with contextlib.suppress(SealError):
                found[id(one)] = open_record(one, self.keyring.keys(keys_of([one])))
        return found

    def _one(self, one: Said, opened: Mapping[int, Opened | None]) -> _Enrichment | str:
        """The enrichment of a touchpoint, or why there is none."""
        if id(one.touchpoint) not in opened or id(one.words) not in opened:
            return "unreadable"
        own, holding = opened[id(one.touchpoint)], opened[id(one.words)]
        if own is None or holding is None:
            return "erased"
        text = texts_of(one.touchpoint.head.type, _content(self.publisher.catalogue, one, holding))
        is_first = one.touchpoint.head.name == one.words.head.name == one.cause.name
        if not text and is_first:
            return "without words"
        try:
            raw = self._raw(one, own, self._told(text))
            head = one.touchpoint.head
            return _Enrichment(self.publisher.check([raw], _RIGHTS)[0], head.key if head.tokens else None)
        except BadInput as error:
            _logger.warning("enrichment.refused", name=one.touchpoint.head.name, detail=error.detail)
            return "failed"
        except Exception as error:  # whatever a text does to the method: the others are not to wait for it
            _logger.warning("enrichment.failed", name=one.touchpoint.head.name, kind=type(error).__name__)
            return "failed"

    def _told(self, text: str) -> dict[str, Any]:
        """What is derived of a text. What is recognisably not English has no sentiment."""
        content: dict[str, Any] = {"method": self.method}
        if not text:
            return content
        language = language_of(text)
        content["confidence"] = str(language.certainty)
        if language.code is not None:
            content["language"] = language.code
        if scorable(language):
            content["sentiment"] = str(round(Decimal(str(self.score(text))), 4))
        return content

    def _raw(self, one: Said, own: Opened, content: Mapping[str, Any]) -> dict[str, Any]:
        head = one.touchpoint.head
        parts = (_name(head), _name(one.words.head), _name(one.cause), self.method)
        return {
            "specversion": "1.0",
            "source": SOURCE,
            "id": ".".join(parts),
            "type": "touchpoint.enriched",
            "time": _time(one),
            "data": {
                "who": own.who if head.tokens else [],
                "about": [{"relation": "enriches", "source": head.source, "id": own.id}],
                "content": dict(content),
            },
        }

    def _without_known(self, batch: Batch, made: Sequence[_Enrichment]) -> list[_Enrichment]:
        names = [UUID(hex=self.hasher.name(one.event.source, one.event.id)) for one in made]
        there = already_there(batch.connection, names)
        self._count(Tally({"known": len(there)}))
        return [one for one, name in zip(made, names, strict=True) if name not in there]

    def _publish(self, made: Sequence[_Enrichment]) -> None:
        published = self.publisher.append_under([one.event for one in made], [one.key for one in made])
        self._published.inc(published)
        self._count(Tally({"erased": len(made) - published}))

    def _count(self, passed: Mapping[str, int]) -> None:
        for why, number in passed.items():
            if number:
                self._passed.labels(why).inc(number)


def _asking(records: Sequence[Logged]) -> tuple[dict[UUID, Head], dict[UUID, Head], dict[int, int]]:
    """(touchpoints by which customers may say something, corrections that may give them other words, both by name;
    the offset behind the last of them, of each partition)."""
    touchpoints: dict[UUID, Head] = {}
    corrections: dict[UUID, Head] = {}
    end: dict[int, int] = {}
    for one, head in _heads(records):
        if head.type in TEXTS and head.direction == "in":
            found = touchpoints
        elif head.type in _CORRECTIONS:
            found = corrections
        else:
            continue
        found.setdefault(UUID(hex=_name(head)), head)
        end[one.partition] = one.offset + 1
    return touchpoints, corrections, end


def _heads(records: Sequence[Logged]) -> Iterator[tuple[Logged, Head]]:
    for one in records:
        try:
            yield one, decode(one.value).head
        except Poison:
            continue


def _name(head: Head) -> str:
    """The hash of an event's name."""
    return head.name[-32:]


def _content(catalogue: Catalogue, one: Said, holding: Opened) -> Mapping[str, Any]:
    """The content that counts of a touchpoint, in the current version of its type."""
    public, personal, head = one.words.head.public, holding.content, one.touchpoint.head
    number = head.version
    if one.words is not one.touchpoint:
        number = public.get("version") or 1
        public, personal = public.get("content") or {}, personal.get("content") or {}
    content, known = join(public, personal), catalogue.get(head.type)
    if known is not None and number < known.version:
        content = known.raise_to_current(content, number)
    return content if isinstance(content, Mapping) else {}


def _time(one: Said) -> str:
    """When it counts as derived: with the latest of what it goes by, as that was sent, and what follows from a
    correction after what it corrects. Not when it really was: another try has to say the same."""
    heads = (one.touchpoint.head, one.words.head, one.cause)
    later = _TICK if any(head.name != one.touchpoint.head.name for head in heads) else timedelta(0)
    return (max(read_time(head.time) for head in heads) + later).astimezone(UTC).isoformat()
