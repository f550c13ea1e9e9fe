"""Do the commands of `storyline relay` say how it is, and mend a store that was restored?"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path

import psycopg

from tests.support.relaying import relayed
from tests.support.served import clean_environment, run_cli
from tests.support.story import story
from tests.support.working import new_task, store_of


def test_a_restored_store_is_refused_told_and_mended(database: str, tmp_path: Path) -> None:
    master = os.urandom(32)
    with story(database, database, master=master) as small, store_of(small) as store:
        env = clean_environment(
            tmp_path,
            DATABASE_URL=database,
            KEYS_URL=database,
            LOG_URL=database,
            STORYLINE_MASTER_KEY=b64encode(master).decode(),
        )
        none = run_cli(env, "relay", "status")
        assert none.returncode == 4
        task = new_task(steps=2)
        store.save(task)
        relayed(small)
        with psycopg.connect(database) as connection:
            connection.execute("DELETE FROM eventstore.events WHERE originator_version > 1")
            connection.execute("UPDATE storyline.relay SET notification = 1, ends = '{}'")
        refused = run_cli(env, "relay", "run")
        assert refused.returncode == 8
        assert "storyline relay repair" in refused.stderr
        mended = run_cli(env, "relay", "repair", "--json")
        assert json.loads(mended.stdout) == {
            "done": True, "looked": 3, "put_back": 2, "set_aside": [], "holes": [],
        }  # fmt: skip
        assert len(store.records(task.id)) == 3
        assert relayed(small) == 2
        told = json.loads(run_cli(env, "relay", "status", "--json").stdout)
        assert (told["lag"], told["set_aside"], told["holder"]) == (0, 0, None)
        assert "put back" in run_cli(env, "relay", "repair", "--dry-run").stdout
