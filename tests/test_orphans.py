"""Does a statement end with the process that asked it, so that nobody waits for what nobody wants any more?"""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from tests.support.waiting import eventually

SESSIONS = {
    "a rebuild": "from projections.rebuild_parts import connect\nconnection = connect(dsn)",
    "a projector": (
        "from projections.deriving import Reading\n"
        "from projections.runner import Runner\n"
        "connection = Runner(dsn, dsn, '', 1, lambda *_: None, Reading(None)).connection"
    ),
}
PROCESS = """
import sys
dsn = sys.argv[1]
{session}
print(connection.info.backend_pid, flush=True)
connection.execute("SET statement_timeout = 0")
connection.execute("SELECT pg_sleep(600)")
"""
AT_WORK = (
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s AND query LIKE '%%pg_sleep%%' AND state = 'active')"
)


def at_work(connection: psycopg.Connection, pid: int) -> bool:
    return connection.execute(AT_WORK, [pid]).fetchone() == (True,)


@pytest.mark.parametrize("session", SESSIONS.values(), ids=SESSIONS)
def test_a_statement_ends_with_the_process_that_asked_it(database: str, session: str) -> None:
    argv = [sys.executable, "-c", PROCESS.format(session=session), database]
    with (
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process,
        psycopg.connect(database, autocommit=True) as connection,
    ):
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        eventually(lambda: at_work(connection, pid))
        process.kill()
        eventually(lambda: not at_work(connection, pid))  # within a tenth of what it takes
