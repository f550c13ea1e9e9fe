"""What is a good event? The door's rules: a CloudEvents 1.0 JSON object in, an `Event` or its problems out.

The rules hold wherever an event comes in: over HTTP, from an inbox topic, from an importer. Sizes: an event has up
to 64 identifiers, 64 refs, 64 parties and 64 relations to other events; ids up to 500 characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from domain.catalogue.registry import Catalogue, Direction, EventType, problems_of
from domain.errors import BadInput, Problem, UnknownType
from domain.identifiers import Identifier, Ref
from domain.media import from_base64, plain_json

__all__ = [
    "CORRECTIONS",
    "MAX_CONTENT",
    "MAX_DEPTH",
    "MAX_IDENTIFIERS",
    "About",
    "CloudEvent",
    "DataModel",
    "Event",
    "Party",
    "WhoModel",
    "canonical",
    "digested",
    "happened_at",
    "parse_json",
    "read_event",
    "read_time",
]

MAX_IDENTIFIERS: Final = 64
MAX_DEPTH: Final = 64
MAX_CONTENT: Final = 1_000_000
"""Most bytes of an event but for its name; checked before the content is read, so that reading it stays cheap."""
_UNDIGESTED: Final = ("senttime", "specversion", "datacontenttype", "traceparent", "tracestate", "id", "source")
_ATTRIBUTE: Final = re.compile(r"[a-z0-9]{1,64}")
CORRECTIONS: Final = {"event.retracted": "retracts", "event.amended": "corrects"}
"""The relation that each correcting type is for, and alone may use."""
_TRACE: Final = frozenset({"traceparent", "tracestate"})
_TOO_DEEP: Final = Problem("body", "is nested too deeply.", f"Send at most {MAX_DEPTH} levels.")
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_LONG_INTEGER: Final = 64


def read_time(text: str) -> datetime:
    """An RFC 3339 time with its offset, between the years 1900 and 2199; ValueError with the trouble otherwise.

    Read by the same parser as the projector's, so that nothing passes here that is poison there.
    """
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        if text[16:19] == ":60":
            raise ValueError("a leap second; send second 59 instead") from None
        raise ValueError("not an RFC 3339 time such as 2026-03-01T09:30:00+01:00") from None
    if time.tzinfo is None:
        raise ValueError("no offset; add Z or an offset such as +01:00")
    if not 1900 <= time.year <= 2199:
        raise ValueError("not between the years 1900 and 2199")
    return time


def _time_text(text: str) -> str:
    read_time(text)
    return text


# What stands in clear on the log holds no control characters; what is sealed no NUL, which Postgres does not know.
_NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f]*$"
_NO_NUL: Final = r"^[^\x00]*$"
_Source = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f]*$")]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_NO_NUL)]
# A shop sends 17850 where it means "17850"; both name one customer.
_Value = Annotated[str, Field(coerce_numbers_to_str=True), StringConstraints(max_length=1000, pattern=_NO_NUL)]
_Code = Annotated[
    str,
    Field(coerce_numbers_to_str=True),
    StringConstraints(min_length=1, max_length=200, pattern=_NO_CONTROLS),
]
_Namespace = Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_.-]*$")]
_Time = Annotated[str, StringConstraints(max_length=64), AfterValidator(_time_text)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class WhoModel(_Part):
    """One identifier of a person."""

    kind: Literal["customer_no", "external", "email", "phone", "social", "device", "cookie"]
    value: _Value
    namespace: _Namespace = ""


class RefModel(_Part):
    """One thing that the event is about, by its code."""

    kind: Literal[
        "order", "invoice", "ticket", "deal", "product", "campaign", "organisation", "conversation", "task", "lead",
        "user",
    ]  # fmt: skip
    value: _Code
    namespace: _Namespace = ""


class PartyModel(_Part):
    """Who else took part: a Cc, a referred friend, a guest. Never made one person with `who`."""

    role: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9_.-]+$")]
    who: Annotated[list[WhoModel], Field(min_length=1, max_length=MAX_IDENTIFIERS)]


class AboutModel(_Part):
    """Another event, by its name, and the relation to it."""

    relation: Literal["corrects", "retracts", "enriches", "answers", "caused_by"]
    source: _Source
    id: _Id


class ActorModel(_Part):
    """Who acted for the company, by code."""

    kind: Literal["user", "team", "automation"] = "user"
    code: _Code


def _empty_list() -> Any:
    """A default that is made, not copied: pydantic copies `[]` deeply, for each event anew."""
    return Field(default_factory=list, json_schema_extra={"default": []})


def _empty_object() -> Any:
    return Field(default_factory=dict, json_schema_extra={"default": {}})


class DataModel(_Part):
    """`data` of an event."""

    who: Annotated[list[WhoModel], Field(max_length=MAX_IDENTIFIERS)] = _empty_list()
    parties: Annotated[list[PartyModel], Field(max_length=64)] = _empty_list()
    refs: Annotated[list[RefModel], Field(max_length=64)] = _empty_list()
    about: Annotated[list[AboutModel], Field(max_length=64)] = _empty_list()
    actor: ActorModel | None = None
    channel: Annotated[str, StringConstraints(max_length=64, pattern=r"^[a-z0-9_.-]+$")] | None = None
    content: dict[str, Any] = _empty_object()


class CloudEvent(BaseModel):
    """A CloudEvents 1.0 event in JSON form. Further attributes are extensions, and are kept, sealed."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    specversion: Literal["1.0"] = Field(description="The CloudEvents version")
    source: _Source = Field(description="Who publishes: a URI reference; with `id` it is the event's name")
    id: _Id = Field(description="Unique within the source; the same id with the same content is a repeat")
    type: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(description="From the catalogue")
    time: _Time = Field(description="When it happened, RFC 3339 with its offset")
    senttime: _Time | None = Field(default=None, description="When it was sent, by the sender's clock")
    datacontenttype: Annotated[Literal["application/json"] | None, BeforeValidator(plain_json)] = None
    dataschema: str | None = Field(default=None, description="…/TYPE/VERSION pins an older version of the type")
    data: DataModel


@dataclass(frozen=True, slots=True)
class Party:
    """Who else took part, in which role."""

    role: str
    who: tuple[Identifier, ...]


@dataclass(frozen=True, slots=True)
class About:
    """Another event by its name (source, id), and the relation to it."""

    relation: str
    source: str
    id: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A good event. `public` and `personal` are the two parts of its content; `content` is what the digest covers:
    canonical JSON of all that was sent, but for the name, `senttime` and trace attributes."""

    source: str
    id: str
    type: str
    version: int
    time: str
    senttime: str | None
    who: tuple[Identifier, ...]
    parties: tuple[Party, ...]
    refs: tuple[Ref, ...]
    about: tuple[About, ...]
    actor: str | None
    channel: str | None
    direction: Direction | None
    public: dict[str, Any]
    personal: dict[str, Any]
    extensions: dict[str, Any]
    content: bytes


def _number(text: str) -> int | Decimal:
    """1.50 and 1.5 are one number, and so are 2.0, 2e0 and 2: whole ones are integers, others lose their zeros."""
    if "e" not in text and "E" not in text:
        shorter = text.rstrip("0")
        return int(shorter[:-1]) if shorter.endswith(".") else Decimal(shorter)
    sign, digits, exponent = Decimal(text).as_tuple()
    written = "".join(map(str, digits)).lstrip("0")
    kept = written.rstrip("0")
    if not kept:
        return 0
    power = int(exponent) + len(written) - len(kept)
    if power >= 0 and len(kept) + power <= _LONG_INTEGER:
        return int(("-" if sign else "") + kept + "0" * power)
    return Decimal((sign, tuple(map(int, kept)), power))


_json_decoder = msgspec.json.Decoder(float_hook=_number)
_canonical_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")


def _deeper_than(value: Any, depth: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    if depth == 0:
        return True
    items = value.values() if isinstance(value, dict) else value
    return any(_deeper_than(item, depth - 1) for item in items)


def canonical(value: Any) -> bytes:
    """One spelling of a JSON value as `parse_json` gives it: keys sorted, no blanks. BadInput if it is nested deeper
    than `MAX_DEPTH` or holds half a surrogate pair."""
    try:
        text = _canonical_encoder.encode(value)
    except RecursionError:
        raise BadInput([_TOO_DEEP]) from None
    except (UnicodeEncodeError, TypeError, ValueError, OverflowError):
        raise BadInput([Problem("event", "is no JSON value.", "Send valid JSON in UTF-8.")]) from None
    # Only what has that many brackets can be that deep; the exact walk is for those few.
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise BadInput([_TOO_DEEP])
    return text


def parse_json(body: bytes) -> Any:
    """JSON bytes as Python values, fractions as exact Decimals; of two equal keys the last counts.

    BadInput for what is no JSON (NaN, broken surrogates and UTF-8, numbers beyond all reason, nesting beyond the
    parser's limit).
    """
    try:
        return _json_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, ValueError) as error:
        told = str(error) if isinstance(error, msgspec.DecodeError) else "not valid UTF-8 or number"
        raise BadInput([Problem("body", f"is not JSON: {told}.", "Send valid JSON in UTF-8.")]) from None
    except RecursionError:
        raise BadInput([_TOO_DEEP]) from None


def _version_of(schema: str | None, event_type: EventType) -> int:
    """The version that `dataschema` pins: its last path segment, if the one before is the type."""
    if schema is None:
        return event_type.version
    parts = schema.rstrip("/").split("/")
    if len(parts) < 2 or parts[-2] != event_type.name or not parts[-1].isdecimal():
        return event_type.version
    version = int(parts[-1][:9])
    if not 1 <= version <= event_type.version:
        raise UnknownType(
            [Problem("dataschema", "pins a version that is not known.", f"Known: 1 to {event_type.version}.")]
        )
    return version


def read_event(raw: Any, catalogue: Catalogue) -> Event:
    """Check one CloudEvent (a JSON object as `parse_json` gives it) and take it apart. Raises BadInput."""
    if not isinstance(raw, dict):
        raise BadInput([Problem("event", "is not a JSON object.", "Send a CloudEvents 1.0 object.")])
    if "data_base64" in raw and "data" not in raw:
        raw = {**raw, "data": parse_json(from_base64(raw["data_base64"]))}
        del raw["data_base64"]
    try:
        sent = CloudEvent.model_validate(raw)
    except ValidationError as error:
        raise BadInput(problems_of(error, "")) from None
    except RecursionError:
        raise BadInput([_TOO_DEEP]) from None
    event_type = catalogue.get(sent.type)
    if event_type is None:
        way_out = "GET /v1/types lists the known ones; a deployment registers more by JSON Schema."
        raise UnknownType([Problem("type", "is not in the catalogue.", way_out)])
    if sent.data.about or sent.type in CORRECTIONS:
        _check_about(sent)
    content = digested(raw)
    extensions = _extensions(sent)
    public, personal, direction = event_type.read(
        raw["data"].get("content", {}), _version_of(sent.dataschema, event_type)
    )
    data = sent.data
    return Event(
        source=sent.source,
        id=sent.id,
        type=sent.type,
        version=event_type.version,
        time=sent.time,
        senttime=sent.senttime,
        who=_identifiers(data.who),
        parties=tuple(Party(party.role, _identifiers(party.who)) for party in data.parties),
        refs=tuple(Ref(ref.kind, ref.value, ref.namespace) for ref in data.refs),
        about=tuple(About(about.relation, about.source, about.id) for about in data.about),
        actor=f"{data.actor.kind}:{data.actor.code}" if data.actor else None,
        channel=data.channel or event_type.channel,
        direction=direction,
        public=public,
        personal=personal,
        extensions=extensions,
        content=content,
    )


def digested(raw: dict[str, Any]) -> bytes:
    """Canonical JSON of what the digest covers of a CloudEvent. Raises BadInput for what no event may hold."""
    digested = raw.copy()
    for attribute in _UNDIGESTED:
        digested.pop(attribute, None)
    content = canonical(digested)
    if len(content) > MAX_CONTENT:
        way_out = "Send large content as a reference with digest, size and type."
        raise BadInput([Problem("data", f"is larger than {MAX_CONTENT:,} bytes.", way_out)])
    if b"\\u0000" in content and _NUL.search(content):
        raise BadInput([Problem("data", "holds a NUL character.", "Leave the character out.")])
    return content


def _check_about(sent: CloudEvent) -> None:
    """Only a correction corrects, it does correct something, and nothing speaks of itself."""
    kept_for = {relation: event_type for event_type, relation in CORRECTIONS.items()}
    for place, one in enumerate(sent.data.about):
        field = f"data.about[{place}]"
        if kept_for.get(one.relation, sent.type) != sent.type:
            way_out = f"Publish {kept_for[one.relation]}, or use another relation."
            raise BadInput([Problem(f"{field}.relation", f"is kept for {kept_for[one.relation]}.", way_out)])
        if (one.source, one.id) == (sent.source, sent.id):
            raise BadInput([Problem(field, "names the event itself.", "Name another event, or leave it out.")])
    wanted = CORRECTIONS.get(sent.type)
    if wanted and all(one.relation != wanted for one in sent.data.about):
        way_out = f"Name the event by source and id, with the relation {wanted}."
        raise BadInput([Problem("data.about", f"says of no event what {sent.type} is for.", way_out)])


def _extensions(sent: CloudEvent) -> dict[str, Any]:
    extensions = sent.model_extra
    if not extensions:
        return {}
    for key, value in extensions.items():
        if isinstance(value, (dict, list)) or not _ATTRIBUTE.fullmatch(key):
            way_out = "Attributes are scalars with names of a-z and 0-9; put everything else into data."
            raise BadInput([Problem(key[:64], "is not a CloudEvents attribute.", way_out)])
    return extensions


def _identifiers(who: list[WhoModel]) -> tuple[Identifier, ...]:
    return tuple([Identifier(one.kind, one.value, one.namespace) for one in who])


def happened_at(time: datetime, senttime: datetime | None, recorded_at: datetime) -> tuple[datetime, bool]:
    """When it happened, by a right clock, and whether it was claimed to lie in the future.

    With `senttime` a sender's wrong clock is corrected by `recorded_at - (senttime - time)`; what still lies in
    the future counts as `recorded_at`.
    """
    corrected = recorded_at - (senttime - time) if senttime is not None else time
    if corrected > recorded_at:
        return recorded_at, True
    return corrected.astimezone(UTC), False
