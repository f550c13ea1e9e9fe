"""Does `eventlog.sql.load` find the queries of a `.sql` file, and refuse a file that is not one?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eventlog.sql import load


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "package_with_sql"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("package_with_sql", None)
    load.cache_clear()
    return folder


def test_each_query_is_found_by_its_name_with_its_comments(package: Path) -> None:
    (package / "q.sql").write_text(
        "-- What is here?\n\n-- name: one\n-- The purpose.\nSELECT 1;\n\n-- name: two\nSELECT 2,\n  3;\n"
    )
    assert load("package_with_sql", "q.sql") == {
        "one": "-- The purpose.\nSELECT 1;",
        "two": "SELECT 2,\n  3;",
    }


def test_a_name_given_twice_is_an_error(package: Path) -> None:
    (package / "q.sql").write_text("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;\n")
    with pytest.raises(ValueError, match="'one' is given twice"):
        load("package_with_sql", "q.sql")


def test_a_file_without_names_is_an_error(package: Path) -> None:
    (package / "q.sql").write_text("SELECT 1;\n")
    with pytest.raises(ValueError, match="no '-- name"):
        load("package_with_sql", "q.sql")


def test_a_missing_file_is_an_error(package: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load("package_with_sql", "absent.sql")
