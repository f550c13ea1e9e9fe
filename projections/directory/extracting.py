"""Which rows does an event have in the directory? Out of its record and of what was opened of it; pure.

Identifiers, and the terms they are found by, follow from the evidence alone, whatever becomes of the event. Claims,
and the terms of the names in them, are those of the event's effective content: none where it was retracted, the
right one where it was amended. Codes stand in clear, so that no event is opened for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.catalogue.base import join
from domain.catalogue.profile import ProfileUpdated
from domain.catalogue.registry import BuiltIn
from domain.catalogue.things import OrganisationDescribed
from domain.identifiers import Identifier, normalise
from eventlog.record import Record, ref_hash
from eventlog.sealing import Opened, open_blob, open_record
from eventlog.tokens import Hasher
from projections.directory.folding import folded, name_terms, term_of
from projections.directory.rows import Claim, Code, DirectoryRows, Identified, Term

__all__ = [
    "CLAIMING",
    "CODE_KINDS",
    "OWN",
    "claim_rows",
    "claim_terms",
    "codes_of",
    "content_of",
    "directory_rows",
    "identifier_rows",
    "identifier_terms",
    "name_rows",
    "open_parts",
    "right_content",
    "wants_opening",
]

CODE_KINDS: Final = frozenset({"order", "invoice", "ticket", "deal"})
"""Kinds of refs whose numbers are searched for."""
OWN: Final = object()
"""Stands for an event's own content."""
_LONGEST: Final = 1000
_TYPES: Final = {model.TYPE: BuiltIn(model) for model in (ProfileUpdated, OrganisationDescribed)}
CLAIMING: Final = frozenset(_TYPES)
"""Types that claim something of a person."""
_encode = msgspec.json.Encoder(order="sorted").encode


def wants_opening(event_type: str, evidence_is_new: bool) -> bool:
    """Does the directory need what is sealed in an event? `evidence_is_new`: its own evidence, or a party's, was not
    met since the reader started."""
    return evidence_is_new or event_type in CLAIMING


def open_parts(record: Record, keys: Mapping[str, AESGCM | None]) -> Opened:
    """What can still be opened: like `open_record`, but a party whose key lives is opened beside an erased `who`."""
    opened = open_record(record, keys)
    if opened is not None:
        return opened
    parties: list[list[dict[str, str]] | None] = []
    for index, party in enumerate(record.head.parties, start=1):
        key = keys[party.key]
        parties.append(None if key is None else open_blob(key, record.sealed[index], record.head_bytes, index)["who"])
    return Opened(id="", parties=parties)


def directory_rows(
    record: Record, opened: Opened, happened_at: datetime, hasher: Hasher, content: Any = OWN
) -> DirectoryRows:
    """All rows of an event. `opened`: of `open_parts`. `content`: the effective one where it is not the event's own,
    None where there is none: it was retracted, or amended by what cannot be opened any more (`right_content`)."""
    identifiers = identifier_rows(record, opened, hasher)
    claims: list[Claim] = []
    if record.head.type in CLAIMING:
        claims = claim_rows(record, happened_at, content_of(record, opened) if content is OWN else content)
    terms = identifier_terms(identifiers)
    if claims:
        terms = list({*terms, *claim_terms(claims)})
    return DirectoryRows(identifiers, claims, terms, codes_of(record.head.refs))


def identifier_rows(record: Record, opened: Opened, hasher: Hasher) -> list[Identified]:
    """The identifiers of `who` and of each party that was opened, without repeats."""
    head = record.head
    if not head.parties:
        return _identified(opened.who, head.tokens, head.evidence, hasher)
    found = dict.fromkeys(_identified(opened.who, head.tokens, head.evidence, hasher))
    for party, who in zip(head.parties, opened.parties, strict=False):
        if who is not None:
            found.update(dict.fromkeys(_identified(who, party.tokens, party.evidence, hasher)))
    return list(found)


def identifier_terms(rows: Iterable[Identified]) -> list[Term]:
    """The terms of identifiers, without repeats."""
    found: dict[Term, None] = {}
    for evidence, _, kind, _, value in rows:
        term = term_of(kind, value)
        if term is not None:
            found[Term(evidence, kind, term)] = None
    return list(found)


def codes_of(refs: Iterable[str]) -> list[Code]:
    """The numbers among an event's refs in clear (`kind[/namespace]:value`), without repeats. Opens nothing."""
    found = []
    for ref in set(refs):
        kind, _, value = ref.partition(":")
        kind, _, namespace = kind.partition("/")
        if kind in CODE_KINDS and (term := folded(value)):
            found.append(Code(ref_hash(ref), kind, namespace, _bounded(value), term))
    return found


def content_of(record: Record, opened: Opened) -> Any:
    """An event's own content in the current version of its type; None where it is erased."""
    head = record.head
    if not opened.id:
        return None
    return _TYPES[head.type].raise_to_current(join(head.public, opened.content), head.version)


def right_content(amendment: Record, opened: Opened) -> Any:
    """What an `event.amended` says is right, in the current version; None where it is erased, or no claim."""
    public = amendment.head.public
    inner = _TYPES.get(public.get("type", ""))
    if inner is None or not opened.id:
        return None
    content = join(public.get("content") or {}, opened.content.get("content") or {})
    return inner.raise_to_current(content, public.get("version") or inner.version)


def claim_rows(record: Record, happened_at: datetime, content: Any) -> list[Claim]:
    """What a record claims of its `who` or of its parties, if its effective content is `content`."""
    if not isinstance(content, dict):
        return []
    head = record.head
    if head.type == ProfileUpdated.TYPE:
        people = [(0, head.evidence, _profile(content))]
    elif head.type == OrganisationDescribed.TYPE:
        contacts = content.get("contacts") or ()
        pairs = zip(head.parties, contacts, strict=False)
        people = [
            (place, party.evidence, _contact(one, content)) for place, (party, one) in enumerate(pairs, start=1)
        ]
    else:
        return []
    name, recorded_at = bytes.fromhex(head.name[-32:]), datetime.fromisoformat(record.recorded_at)
    return [
        Claim(name, place, bytes.fromhex(evidence), happened_at, recorded_at, head.source, _encode(fields))
        for place, evidence, fields in people
        if evidence and fields
    ]


def claim_terms(rows: Iterable[Claim]) -> list[Term]:
    """The terms of the names in claims, without repeats."""
    return list({term for row in rows for term in name_rows(row.evidence, msgspec.json.decode(row.fields))})


def name_rows(evidence: bytes, fields: Mapping[str, Any]) -> set[Term]:
    """The terms of the names in the fields of one claim: the whole one, and the one made of its parts."""
    parts = [fields.get("given_name"), fields.get("family_name")]
    names = {fields.get("name"), " ".join([part for part in parts if part])}
    return {Term(evidence, kind, term) for name in names if name for kind, term in name_terms(name)}


def _identified(
    who: Sequence[Mapping[str, str]], tokens: Sequence[str], evidence: str, hasher: Hasher
) -> list[Identified]:
    """Each identifier beside the token that it has in this record, whatever the generation."""
    if not tokens or not who:
        return []
    home, known, found = bytes.fromhex(evidence), set(tokens), {}
    generations = {int(token.rsplit(".", 2)[1]) for token in tokens}
    for one in who:
        identifier = Identifier(one["kind"], one["value"], one.get("namespace", ""))
        for generation in generations:
            token = hasher.token(identifier, generation)
            if token in known:
                value = _bounded(normalise(identifier.kind, identifier.value, hasher.region) or "")
                node = bytes.fromhex(token[-32:])
                found[node] = Identified(home, node, identifier.kind, identifier.namespace, value)
    return list(found.values())


def _profile(content: Mapping[str, Any]) -> dict[str, Any]:
    """{field: value}, null where it was cleared; `further.NAME` for those of the deployment."""
    fields = {name: _kept(value) for name, value in content.items() if name != "further"}
    further = content.get("further")
    if isinstance(further, dict):
        fields.update({f"further.{name}": _kept(value) for name, value in further.items()})
    return {_bounded(name): value for name, value in fields.items()}


def _contact(contact: Any, organisation: Mapping[str, Any]) -> dict[str, Any]:
    """What the description of an organisation says of one of its people, in the fields of a profile."""
    if not isinstance(contact, dict):
        return {}
    said = {
        "name": contact.get("name"),
        "job_title": contact.get("title"),
        "role": contact.get("role"),
        "organisation": organisation.get("name"),
    }
    return {name: _kept(value) for name, value in said.items() if value}


def _kept(value: Any) -> Any:
    """A value of a field within bounds: a text, null, or an object of texts such as an address."""
    if isinstance(value, dict):
        return {_bounded(name): _kept(part) for name, part in value.items()}
    return None if value is None else _bounded(str(value))


def _bounded(text: str) -> str:
    """At most as long as fits, and without the character that Postgres refuses."""
    return text[:_LONGEST].replace("\0", "")
