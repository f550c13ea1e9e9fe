"""Does one command run everything, mend what breaks, share what runs, and stop cleanly?"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from storyline.embedded import EmbeddedPostgres
from tests.support.asking import NO_TLS, get
from tests.support.served import Served, clean_environment, run_cli, served
from tests.support.story import event
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def system(server_directory: Path) -> Iterator[Served]:
    directory = server_directory / "serve"
    directory.mkdir(mode=0o755)
    with served(directory, STORYLINE_PROJECTORS="2") as running:
        yield running


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; none of a process that just died."""
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def child(system: Served, name: str) -> psutil.Process | None:
    top = psutil.Process(system.server._process.pid)
    return next((one for one in top.children(recursive=True) if words_of(one)[-1:] == [name]), None)


def processes_of(top: psutil.Process) -> list[psutil.Process]:
    """The processes that `serve` started, without PostgreSQL and the test's own guard."""
    return [
        one for one in top.children(recursive=True) if words_of(one)[:3] == [sys.executable, "-m", "storyline.cli"]
    ]


def test_S91_two_projectors_share_the_partitions(system: Served) -> None:
    eventually(lambda: _partitions(system) == 4)


def _partitions(system: Served) -> int:
    """How many the first projector holds; -1 while it is down."""
    try:
        return len(get(f"{system.projector_url}/readyz", 10).json()["partitions"])
    except httpx.TransportError:
        return -1


def lives(process: psutil.Process) -> bool:
    """Whether a process still does something; a zombie that nobody reaps does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def visible(system: Served, order: str) -> bool:
    """Is something on the timeline of this order? Asked over HTTP: a command takes two seconds to start."""
    try:
        with system.client() as client:
            asked = client.get(f"/v1/refs/order/{order}/timeline")
    except httpx.TransportError:
        return False
    return asked.status_code == 200 and bool(asked.json()["items"])


def test_S02_what_is_published_is_shown_grouped_by_day_and_as_json(system: Served) -> None:
    answer = system.publish(event(1, source="shop/web", data={"refs": [{"kind": "order", "value": "536365"}]}))
    assert answer.status_code == 202
    eventually(lambda: visible(system, "536365"))
    for ref in ("email:Ann@Example.org", "order:536365"):
        shown = system.run("timeline", ref)
        assert "E-mail received: Mail 1" in shown.stdout
        assert "2026" in shown.stdout
    item = json.loads(system.run("timeline", "email:ann@example.org", "--json").stdout.splitlines()[0])
    assert item["who"] == [{"kind": "email", "value": "ann@example.org"}]
    by_id = system.run("timeline", item["customer"], "--json")
    assert json.loads(by_id.stdout.splitlines()[0])["name"] == item["name"]


def test_a_ref_that_names_nobody_is_not_found_and_one_without_kind_is_wrong(system: Served) -> None:
    assert system.run("timeline", "email:nobody@example.org").returncode == 4
    assert system.run("timeline", "ann@example.org").returncode == 3
    assert system.run("timeline", "email:null").returncode == 3


def test_the_development_key_is_printed_once_and_kept_for_its_owner_alone(system: Served) -> None:
    assert system.printed().count(system.key) == 1
    assert (system.data_dir / "api.key").stat().st_mode & 0o077 == 0


def test_a_projector_that_is_killed_is_started_again(system: Served) -> None:
    before = child(system, "projector")
    assert before is not None
    before.kill()
    eventually(lambda: (now := child(system, "projector")) is not None and now.pid != before.pid)
    system.publish(event("after", data={"refs": [{"kind": "order", "value": "after-kill"}]}))
    eventually(lambda: visible(system, "after-kill"))


def test_a_postgresql_that_is_killed_is_started_again(system: Served) -> None:
    pid_file = system.data_dir / "postgres" / "data" / "postmaster.pid"
    psutil.Process(int(pid_file.read_text().split()[0])).kill()

    def published() -> bool:
        sent = event("after-crash", data={"refs": [{"kind": "order", "value": "after-crash"}]})
        return system.publish(sent).status_code == 202

    eventually(published, 120)
    eventually(lambda: visible(system, "after-crash"))


def test_health_and_metrics_are_served(system: Served) -> None:
    eventually(lambda: _partitions(system) == 4)
    assert get(f"{system.projector_url}/livez").status_code == 200
    assert get(f"{system.projector_url}/other").status_code == 404
    eventually(lambda: "storyline_projector_lag{" in get(f"{system.projector_url}/metrics").text)
    metrics = get(f"{system.projector_url}/metrics").text
    assert "storyline_dead_letters_oldest_seconds 0.0" in metrics
    assert "storyline_projector_partitions 4.0" in metrics
    assert "storyline_projector_lag{partition=" in metrics


def test_keys_are_made_listed_and_revoked(system: Served) -> None:
    made = json.loads(
        system.run("keys", "create", "shop", "--scope", "publish", "--source", "shop/*", "--json").stdout
    )
    listed = [json.loads(line) for line in system.run("keys", "list", "--json").stdout.splitlines()]
    assert {"key", "secret_hash"}.isdisjoint(listed[-1])
    assert listed[-1]["sources"] == ["shop/*"]
    assert system.run("keys", "revoke", made["key_id"]).returncode == 0
    assert system.run("keys", "revoke", "nobody").returncode == 4
    headers = {"Authorization": f"Bearer {made['key']}", "Content-Type": "application/cloudevents-batch+json"}
    eventually(
        lambda: httpx.post(f"{system.url}/v1/events", json=[], headers=headers, verify=NO_TLS).status_code == 401, 20
    )


def test_the_log_shows_its_ends_and_its_records_as_they_are_stored(system: Served) -> None:
    ends = json.loads(system.run("log", "show", "--json").stdout)["ends"]
    partition = next(number for number, end in ends.items() if end)
    shown = system.run("log", "show", f"{partition}:0", "--limit", "5", "--json")
    records = [json.loads(line) for line in shown.stdout.splitlines()]
    assert records
    assert {"name", "digest", "sealed"} <= records[0].keys()
    assert system.run("log", "show", "99:0").returncode == 3
    assert system.run("log", "show", f"{partition}:99999999").returncode == 4


def test_a_rebuild_equals_live(system: Served) -> None:
    report = json.loads(system.run("rebuild", "timeline", "--json").stdout)
    assert report["same"] is True
    assert report["hashes"]["events"]["rows"] >= 2
    assert system.run("rebuild", "nothing").returncode == 3


def test_rotation_without_a_new_master_key_has_nothing_to_do(system: Served) -> None:
    assert json.loads(system.run("keys", "rotate", "--json").stdout) == {"wrapped": 0}


def test_an_import_publishes_and_a_second_one_adds_nothing(system: Served, tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    lines = [json.dumps(event(f"import-{number}", source="import/test")) for number in range(50)]
    path.write_text("\n".join([*lines, "broken"]) + "\n")
    before = sum(json.loads(system.run("log", "show", "--json").stdout)["ends"].values())
    first = json.loads(system.run("import", "ndjson", str(path), "--json").stdout)
    assert (first["events_total"], first["refused_total"], first["finished"]) == (50, 1, True)
    assert sum(json.loads(system.run("log", "show", "--json").stdout)["ends"].values()) == before + 50


def test_a_port_that_is_taken_is_told_in_a_sentence(system: Served, server_directory: Path) -> None:
    other = server_directory / "second"
    other.mkdir(mode=0o755)
    env = clean_environment(other, STORYLINE_PORT=system.env["STORYLINE_PORT"])
    done = run_cli(env, "serve")
    assert done.returncode == 7
    assert "STORYLINE_PORT" in done.stderr


def test_ctrl_c_stops_all_and_a_kill_leaves_no_process_but_the_server_that_the_next_start_shares(
    server_directory: Path,
) -> None:
    directory = server_directory / "stopping"
    directory.mkdir(mode=0o755)
    with served(directory) as running:
        top = psutil.Process(running.server._process.pid)
        children = processes_of(top)
        assert children
        top.send_signal(signal.SIGINT)
        assert top.wait(60) == 0
        eventually(lambda: not any(lives(one) for one in children), 20)
        assert not (running.data_dir / "postgres" / "data" / "postmaster.pid").exists()
    with served(directory) as running:
        top = psutil.Process(running.server._process.pid)
        children = processes_of(top)
        assert children
        top.kill()
        eventually(lambda: not any(lives(one) for one in children), 40)
        assert running.run("log", "show").returncode == 0


def test_two_starts_at_once_share_one_postgresql_and_a_crashed_one_comes_up_again(server_directory: Path) -> None:
    home = server_directory / "shared"
    home.mkdir(mode=0o755)
    first, second = EmbeddedPostgres.start(home), EmbeddedPostgres.start(home)
    assert first.dsn == second.dsn
    first.stop()
    with psycopg.connect(second.dsn) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
    assert (home / "postgres" / "password").stat().st_mode & 0o077 == 0
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(second.dsn.replace("storyline:", "storyline:wrong", 1))
    pid = int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
    psutil.Process(pid).kill()
    with EmbeddedPostgres.start(home) as third, psycopg.connect(third.dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    second.stop()
    assert not (home / "postgres" / "data" / "postmaster.pid").exists()
