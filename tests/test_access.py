"""Is an API key what it says it is? Shown once, hashed at rest, bound, revocable."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from commands.access import Access
from commands.publishing import Rights
from domain.errors import BadInput, Forbidden, NotFound, Unauthenticated, Unavailable
from storyline.database import upgrade
from tests.support.postgres import PostgresServer

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def dsn(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.create_database()
    upgrade(postgres.dsn_of(name))
    yield postgres.dsn_of(name)
    postgres.drop_database(name)


@pytest.fixture
def pool(dsn: str) -> Iterator[ConnectionPool]:
    with ConnectionPool(dsn, min_size=1, max_size=2, kwargs={"autocommit": True}) as made:
        yield made


@pytest.fixture
def access(pool: ConnectionPool) -> Access:
    return Access(pool)


def test_a_key_is_recognised_with_its_scopes_and_rights(access: Access) -> None:
    made = access.create("shop", ["system", "publish"], sources=["shop/*"], types=["purchase.*"])
    caller = access.authenticate(f"Bearer {made.secret}")
    assert caller.key_id == made.key.key_id
    assert caller.scopes == {"publish", "system"}
    assert caller.rights == Rights(("shop/*",), ("purchase.*",), True)
    assert access.recall(f"bearer {made.secret}") == caller
    with pytest.raises(Forbidden, match="read or log"):
        caller.require("read", "log")


def test_only_a_hash_of_the_secret_is_kept(access: Access, dsn: str) -> None:
    made = access.create("hashed", ["read"])
    with psycopg.connect(dsn) as connection:
        table = connection.execute("SELECT string_agg(t::text, ' ') FROM storyline.api_keys AS t").fetchall()[0][0]
    assert made.secret.split("_", 2)[2] not in table
    assert sha256(made.secret.encode()).hexdigest() in table


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer sl_x_y",
        "Bearer sl_00000000000a_" + "A" * 43,
        "Bearer \udcff",
    ],
)
def test_what_is_no_key_is_refused(access: Access, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        access.authenticate(header)


def test_the_id_of_a_key_with_another_secret_is_refused(access: Access) -> None:
    made, other = access.create("one", ["read"]), access.create("two", ["read"])
    mixed = f"sl_{made.key.key_id}_{other.secret.split('_', 2)[2]}"
    for secret in (mixed, made.secret[:-1] + ("A" if made.secret[-1] != "A" else "B"), made.secret + "A"):
        with pytest.raises(Unauthenticated):
            access.authenticate(f"Bearer {secret}")


def test_a_revoked_key_stops_here_at_once_and_elsewhere_within_the_stated_seconds(pool: ConnectionPool) -> None:
    ticks = [0.0]
    here, elsewhere = Access(pool), Access(pool, cache_seconds=3, ticks=lambda: ticks[0])
    made = here.create("short", ["read"])
    header = f"Bearer {made.secret}"
    here.authenticate(header)
    elsewhere.authenticate(header)
    revoked = here.revoke(made.key.key_id)
    assert revoked.revoked_at is not None
    assert here.revoke(made.key.key_id) == revoked
    with pytest.raises(Unauthenticated):
        here.authenticate(header)
    ticks[0] = 3.1
    assert elsewhere.recall(header) is None
    with pytest.raises(Unauthenticated):
        elsewhere.authenticate(header)
    assert next(key for key in here.list() if key.key_id == made.key.key_id).revoked_at == revoked.revoked_at


def test_a_key_that_was_unknown_is_known_once_it_is_made_here(access: Access) -> None:
    with pytest.raises(Unauthenticated):
        access.authenticate("Bearer sl_0000000000aa_" + "A" * 43)
    secret = access.create("later", ["read"]).secret
    assert access.authenticate(f"Bearer {secret}").label == "later"


def test_an_expired_key_is_refused_even_from_the_cache(pool: ConnectionPool) -> None:
    now = [NOW]
    access = Access(pool, clock=lambda: now[0])
    secret = access.create("brief", ["read"], expires=NOW + timedelta(hours=1)).secret
    access.authenticate(f"Bearer {secret}")
    now[0] = NOW + timedelta(hours=1)
    with pytest.raises(Unauthenticated):
        access.authenticate(f"Bearer {secret}")


def test_a_key_that_makes_no_sense_is_refused_with_each_field_named(access: Access) -> None:
    with pytest.raises(BadInput) as told:
        access.create(" ", ["fly"], sources=[], types=["a*b"], expires=datetime(2020, 1, 1, tzinfo=UTC))
    assert {problem.field for problem in told.value.problems} == {"label", "scopes", "sources", "types", "expires"}


def test_revoking_what_is_not_there_is_not_found(access: Access) -> None:
    with pytest.raises(NotFound):
        access.revoke("nothing\0")


def test_the_cache_is_bounded(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commands.access._CACHE_SIZE", 3)
    for number in range(10):
        with pytest.raises(Unauthenticated):
            access.authenticate(f"Bearer sl_{number:012x}_" + "A" * 43)
    assert len(access._cache) == 3


def test_a_database_that_does_not_answer_is_unavailable_and_not_a_refusal() -> None:
    nowhere = ConnectionPool("postgresql:///nobody?host=/nonexistent", min_size=0, max_size=1, timeout=0.2, open=True)
    with nowhere, pytest.raises(Unavailable):
        Access(nowhere).authenticate("Bearer sl_0000000000aa_" + "A" * 43)


def test_a_key_belongs_to_a_registered_colleague_or_to_nobody(access: Access, dsn: str) -> None:
    with pytest.raises(BadInput, match="no registered colleague"):
        access.create("of nobody", ["work"], user="anna")
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO storyline.people (code, person) VALUES ('anna', gen_random_uuid())")
    made = access.create("of anna", ["work"], user="anna")
    assert access.authenticate(f"Bearer {made.secret}").user == "anna"
    assert [one.user for one in access.list() if one.key_id == made.key.key_id] == ["anna"]
