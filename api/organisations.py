"""Who is this organisation, who are its people, and what passed between them and the company?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Path, Request, Response

from api import shapes
from api.organisation_shapes import Organisation, OrganisationContact
from api.problems import responses
from api.services import services
from api.timelines import Asks, Namespace, Reads, ref_story, told_page, unseals
from api.vectors import read_vector
from domain.catalogue.things import OrganisationDescribed
from domain.errors import Misconfigured, NotFound, Poison, Tampered, UnknownKey
from eventlog.keyring import Keyring
from eventlog.record import Record, decode
from eventlog.sealing import Opened, keys_of
from projections.directory.extracting import content_of, open_parts, right_content
from projections.timeline.organisations import Described, Home, OrganisationReader

__all__ = ["router"]

router = APIRouter(tags=["Organisations"], default_response_class=Response)

Code = Annotated[str, Path(description="The organisation's code, as refs of the kind `organisation` have it")]
_KIND: Final = "organisation"


@router.get(
    "/v1/organisations/{code:path}/timeline",
    summary="The timeline of an organisation and its contacts",
    responses={200: shapes.answer("Page", "A page, newest first"), **responses(404, 413, 429)},
)
async def organisation_timeline(
    request: Request, caller: Reads, code: Code, query: Asks, namespace: Namespace = ""
) -> Response:
    """What names the organisation, and every event of its contacts' customers, each once, newest first."""
    held = services(request)
    if query.positions:
        await held.wait_for(read_vector(query.positions, "after_positions"))
    ref = ref_story(held.parts.hasher, _KIND, code, namespace).ref
    story = await OrganisationReader(held.pool).story(ref)
    return _json(await told_page(held, caller, story, query))


@router.get(
    "/v1/organisations/{code:path}",
    summary="An organisation",
    responses={200: shapes.answer("Organisation"), **responses(404, 429)},
)
async def organisation(request: Request, caller: Reads, code: Code, namespace: Namespace = "") -> Response:
    """An organisation by its latest description, and its contacts with their roles, by all of them.

    A key with `read-sealed` and not `read` gets the same without names, titles and the web site.
    """
    held = services(request)
    reader = OrganisationReader(held.pool)
    described = await reader.described(ref_story(held.parts.hasher, _KIND, code, namespace).ref)
    if not described:
        raise NotFound("Nobody described an organisation of that code; /v1/refs has the timelines of codes.")
    personal = unseals(caller)
    keyring = held.parts.keyring if personal else None
    found = await to_thread.run_sync(_opened, described, keyring, limiter=held.unsealing)
    homes = await reader.homes({one.evidence for version in found for one in version.people})
    return _json(_told(code, namespace, found, homes))


class _Person(NamedTuple):
    """A contact in one description."""

    evidence: UUID
    role: str
    name: str | None
    title: str | None


class _Version(NamedTuple):
    """One description: what it says of the organisation, and whom it names."""

    event: Described
    says: Mapping[str, Any]
    people: list[_Person]


def _opened(described: Sequence[Described], keyring: Keyring | None) -> list[_Version]:
    """What descriptions say; without a key store what is public of them. Blocks on the key store."""
    found = []
    for one in described:
        try:
            record = decode(one.record)
            amendment = None if one.amendment is None else decode(one.amendment)
        except Poison:
            continue
        says = _public(record if amendment is None else amendment, amendment is not None)
        if keyring is not None:
            says = {**says, **_sealed(record, amendment, keyring)}
        found.append(_Version(one, says, _people(record, says)))
    return found


def _public(record: Record, amends: bool) -> dict[str, Any]:
    content = record.head.public.get("content") if amends else record.head.public
    return dict(content) if isinstance(content, dict) else {}


def _sealed(record: Record, amendment: Record | None, keyring: Keyring) -> Mapping[str, Any]:
    """The whole content, as far as it can be opened: nothing of it once its key was destroyed."""
    try:
        if amendment is not None:
            content = right_content(amendment, _open(amendment, keyring))
        else:
            content = content_of(record, _open(record, keyring))
    except (Tampered, UnknownKey, Misconfigured):
        return {}
    return content if isinstance(content, dict) else {}


def _open(record: Record, keyring: Keyring) -> Opened:
    return open_parts(record, keyring.keys(keys_of([record])))


def _people(record: Record, says: Mapping[str, Any]) -> list[_Person]:
    """The parties, each with what the contact of the same number says."""
    contacts = says.get("contacts")
    listed = contacts if isinstance(contacts, list) else []
    found = []
    for place, party in enumerate(record.head.parties):
        if not party.tokens:
            continue
        contact = listed[place] if place < len(listed) and isinstance(listed[place], dict) else {}
        role = contact.get("role") or party.role
        evidence = UUID(hex=party.evidence[-32:])
        found.append(_Person(evidence, str(role), contact.get("name") or None, contact.get("title") or None))
    return found


def _told(code: str, namespace: str, versions: Sequence[_Version], homes: Mapping[UUID, Home]) -> Organisation:
    if not versions:
        raise NotFound("Nothing of what describes this organisation can be read.")
    latest = versions[0]
    fields = OrganisationDescribed.model_fields.keys() - {"contacts"}
    asked = f"?namespace={quote(namespace)}" if namespace else ""
    return Organisation(
        code=code,
        namespace=namespace,
        described_at=latest.event.happened_at,
        event=latest.event.name.hex,
        contacts=_contacts(versions, homes),
        timeline=f"/v1/organisations/{quote(code, safe='')}/timeline{asked}",
        **{field: latest.says[field] for field in fields if latest.says.get(field) not in (None, "")},
    )


def _contacts(versions: Iterable[_Version], homes: Mapping[UUID, Home]) -> list[OrganisationContact]:
    """One per customer and role: names by the latest description that names them, since when by the first."""
    found: dict[tuple[UUID, str], tuple[_Person, datetime, datetime, bool]] = {}
    for place, (event, _, people) in enumerate(versions):
        for named in people:
            home = homes.get(named.evidence)
            if home is not None:
                # What others say of someone who was erased is hidden, as it is in the directory.
                one = named._replace(name=None, title=None) if home.erased else named
                key = home.customer, one.role
                person, _, last, present = found.get(key, (one, event.happened_at, event.happened_at, place == 0))
                found[key] = person, event.happened_at, last, present
    return [
        OrganisationContact(
            customer=customer.hex,
            role=role,
            name=person.name,
            title=person.title,
            since=since,
            last=last,
            present=present,
        )
        for (customer, role), (person, since, last, present) in found.items()
    ]


def _json(answer: Any) -> Response:
    return Response(shapes.encode(answer), media_type="application/json")
