"""Does the code keep the rules that no other tool checks? Each test is one rule; its docstring says why it is one."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "domain": set[str](),
    "eventlog": {"domain"},
    "commands": {"domain", "eventlog"},
    "projections": {"domain", "eventlog"},
    "consumers": {"domain", "eventlog", "commands", "projections"},
    "api": {"domain", "eventlog", "commands", "projections"},
    "adapters": {"domain"},
    "storyline": {"domain", "eventlog", "commands", "projections", "consumers", "api", "adapters", "bench"},
    "bench": {"domain", "eventlog", "commands", "projections", "consumers", "api", "adapters", "storyline", "tests"},
    "tests": {"domain", "eventlog", "commands", "projections", "consumers", "api", "adapters", "storyline", "bench"},
}
PRODUCT = [folder for folder in MAY_IMPORT if folder not in {"bench", "tests"}]
TEXT_ENDINGS = {
    ".py",
    ".sql",
    ".md",
    ".toml",
    ".yml",
    ".yaml",
    ".json",
    ".xml",
    ".properties",
    ".lock",
    ".html",
    ".css",
}

WORLD_MODULES = {
    *("asyncio", "http", "httpx", "kafka", "logging", "os", "psycopg", "psycopg_pool", "random", "secrets", "shutil"),
    *("socket", "sqlite3", "subprocess", "tempfile", "threading", "time", "urllib"),
}
WORLD_CALLS = {
    *("open", "input", "print", "now", "utcnow", "today", "uuid1", "uuid4", "urandom", "getenv"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "iterdir", "glob", "rglob", "mkdir"),
}
SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|COPY\s+\S+|TRUNCATE\s|WITH\s+\w+\s+AS\s*\(|"
    r"(CREATE|ALTER|DROP)\s+(UNLOGGED\s+|TEMP\s+|UNIQUE\s+)*(TABLE|SCHEMA|INDEX|DATABASE|VIEW|FUNCTION|ROLE)\s|"
    r"LOCK\s+TABLE\s|VACUUM\b|ANALYZE\b|NOTIFY\s|LISTEN\s)"
)
UNFINISHED = re.compile(r"\bTO[D]O\b|\bFIX[M]E\b|NotImplemented[E]rror")
MACHINE = re.compile(
    r"/(?:work|root|farm)/|/home/[a-z]+/|/U[s]ers/|(?:pypi|npmjs)\.org|python[h]osted|repo1?\.maven\b|arti[f]actory"
)


@cache
def sources(*folders: str) -> tuple[Path, ...]:
    return tuple(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def where(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def texts() -> Iterator[Path]:
    """Every text file that is ours."""
    for folder in [*MAY_IMPORT, "docs", ".ci"]:
        for path in sorted((ROOT / folder).rglob("*")):
            if (
                path.is_file()
                and "__pycache__" not in path.parts
                and (path.suffix in TEXT_ENDINGS or folder == ".ci")
            ):
                yield path
    for path in sorted(ROOT.iterdir()):
        if path.is_file() and (
            path.suffix in TEXT_ENDINGS or path.name in {"Makefile", "Dockerfile", ".dockerignore"}
        ):
            yield path


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Each imported module's dotted name, with its line."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield ("." * node.level + (node.module or ""), node.lineno)


def functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Each function's name, line and number of lines."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1


def docstrings(tree: ast.Module) -> set[int]:
    """The identities of the constants that stand alone, as the docstrings of modules, classes and names do."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def none(found: list[str]) -> None:
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folders_import_only_what_stands_before_them(folder: str) -> None:
    """The way of one touchpoint has a direction. A folder that reached back could not be read, tested or moved
    alone; and `domain`, which imports nothing of ours, can be believed without running anything."""
    allowed = MAY_IMPORT[folder] | {folder}
    none(
        [
            f"{where(path, line)}: {folder} must not import {name}"
            for path in sources(folder)
            for name, line in imports(path)
            if name.startswith(".") or (name.split(".")[0] in MAY_IMPORT and name.split(".")[0] not in allowed)
        ]
    )


def test_only_the_composition_root_knows_the_settings() -> None:
    """What a part needs is handed to it. A part that read the environment by itself could not be built twice."""
    none(
        [
            f"{where(path, node.lineno)}: reads the environment"
            for path in sources(*PRODUCT)
            if path.relative_to(ROOT).parts[0] != "storyline"
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
        ]
    )


def test_the_domain_touches_nothing_outside_itself() -> None:
    """Time, ids and chance come in as arguments, and nothing is read or sent: so its tests need no world, and a
    rebuild decides as live did."""
    found = []
    for path in sources("domain"):
        for name, line in imports(path):
            if name.split(".")[0] in WORLD_MODULES:
                found.append(f"{where(path, line)}: imports {name}")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in WORLD_CALLS:
                    found.append(f"{where(path, node.lineno)}: calls {called}()")
    none(found)


def test_sql_lives_in_sql_files() -> None:
    """Someone who knows SQL and no Python can read what a read model means; and a statement that is a file cannot
    be put together from values."""
    found = []
    for path in sources(*PRODUCT):
        said = docstrings(tree_of(path))
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in said:
                continue
            if SQL.match(node.value):
                found.append(f"{where(path, node.lineno)}: {node.value.strip()[:60]!r}")
    none(found)


def test_every_query_says_its_purpose() -> None:
    """`-- name: foo` is followed by a comment that says what it is for; a file without names begins with one."""
    found = []
    for path in sorted(path for folder in MAY_IMPORT for path in (ROOT / folder).rglob("*.sql")):
        lines = path.read_text(encoding="utf-8").splitlines()
        named = [number for number, line in enumerate(lines) if line.startswith("-- name:")]
        if not named and not (lines and lines[0].startswith("-- ")):
            found.append(f"{where(path)}: does not begin with a comment")
        for number in named:
            following = lines[number + 1] if number + 1 < len(lines) else ""
            if not following.startswith("-- ") or following.startswith("-- name:"):
                found.append(f"{where(path, number + 1)}: no purpose under the name")
    none(found)


def test_every_file_says_which_question_it_answers() -> None:
    """A file answers one question, and its first line says which; a reader goes on only where it is theirs. What
    stands for one thing may name it instead, and say what it does: "The projector: moves …". A package's `__init__`
    says what its folder does."""
    found = []
    for path in sources(*MAY_IMPORT):
        said = (ast.get_docstring(tree_of(path)) or "").split("\n\n")[0]
        if not said or ("?" not in said and ": " not in said and path.name != "__init__.py"):
            found.append(f"{where(path)}: its docstring does not say which question it answers")
    none(found)


def test_no_function_and_no_file_is_long() -> None:
    """A function over 70 lines or a file over 400 does more than one thing."""
    found = []
    for path in sources(*MAY_IMPORT):
        count = len(path.read_text(encoding="utf-8").splitlines())
        if count > 400:
            found.append(f"{where(path)}: {count} lines")
        found += [
            f"{where(path, line)}: {name} has {size} lines" for name, line, size in functions(path) if size > 70
        ]
    none(found)


def test_most_functions_and_files_are_short() -> None:
    """Where we learn from, functions have a median of 4 to 10 lines, 90 % below about 30, and files 40 to 200."""
    sizes = sorted(size for path in sources(*PRODUCT) for _, _, size in functions(path))
    files = [len(path.read_text(encoding="utf-8").splitlines()) for path in sources(*PRODUCT)]
    assert statistics.median(sizes) <= 10
    assert sizes[len(sizes) * 9 // 10] <= 30
    assert statistics.median(files) <= 200


def test_no_rule_hangs_on_assert() -> None:
    """`python -O` drops assertions, so a rule of the business or of safety must be an error with a name."""
    none(
        [
            f"{where(path, node.lineno)}: assert"
            for path in sources(*PRODUCT)
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Assert)
        ]
    )


def test_only_the_command_line_prints() -> None:
    """What a process has to say is a log line, which says when, at what level, and nothing personal."""
    none(
        [
            f"{where(path, node.lineno)}: print"
            for path in sources(*PRODUCT)
            if path.relative_to(ROOT).parts[:2] != ("storyline", "cli")
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
        ]
    )


def test_nothing_is_left_unfinished() -> None:
    """What is not done is an issue, where somebody finds it, and not a remark, where nobody does."""
    none(
        [
            f"{where(path, number)}: {line.strip()[:80]}"
            for path in texts()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            if UNFINISHED.search(line)
        ]
    )


def test_no_file_names_a_machine_or_a_package_index() -> None:
    """The project is the same everywhere; where packages come from is the business of the machine it is on."""
    none(
        [
            f"{where(path, number)}: {line.strip()[:80]}"
            for path in texts()
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
            if MACHINE.search(line)
        ]
    )


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """The names that a module's statements bind, also below `if`, `try` and `with`."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (name.asname or name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.If | ast.Try | ast.With | ast.For):
            yield from (
                name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            )
            for part in ("body", "orelse", "handlers", "finalbody"):
                yield from defined(getattr(node, part, []))


def exported(tree: ast.Module) -> set[str]:
    """What `__all__` names."""
    found: set[str] = set()
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AugAssign) and any(
            getattr(one, "id", "") == "__all__" for one in targets
        ):
            found |= set(ast.literal_eval(node.value))
    return found


def test_all_names_what_a_module_gives_to_others() -> None:
    """`__all__` is the contract of a module: each name in it exists, and nobody imports one that is not in it.
    (ruff keeps it sorted.)"""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sources(*MAY_IMPORT)
    }
    found = []
    for path in modules.values():
        missing = exported(tree_of(path)) - set(defined(tree_of(path).body))
        found += [f"{where(path)}: __all__ names {name}, which is not there" for name in sorted(missing)]
    for path in sources(*PRODUCT):
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ImportFrom) or node.module not in modules:
                continue
            given = exported(tree_of(modules[node.module]))
            for name in (alias.name for alias in node.names):
                if f"{node.module}.{name}" not in modules and name not in given:
                    found.append(f"{where(path, node.lineno)}: {name} is not in __all__ of {node.module}")
    none(found)


def test_no_file_is_a_drawer() -> None:
    """A name such as "utils" answers no question, so everything fits in."""
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    none(
        [
            where(path)
            for path in sources(*MAY_IMPORT)
            if path.stem in drawers or drawers & set(path.relative_to(ROOT).parts)
        ]
    )


def test_no_test_mocks() -> None:
    """A mock agrees with whoever wrote it; the trouble is in what the real server does."""
    none(
        [
            f"{where(path, line)}: {name}"
            for path in sources("tests")
            for name, line in imports(path)
            if "mock" in name
        ]
    )


def test_decisions_are_numbered_and_complete() -> None:
    """A decision is worth keeping with its reason, its price and what else was thought of."""
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    found = []
    for number, path in enumerate(records, start=1):
        text = path.read_text(encoding="utf-8")
        if not path.name.startswith(f"{number:04}-") or not text.startswith(f"# {number}. "):
            found.append(f"{where(path)}: should be number {number}")
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        if headings != ["Context", "Decision", "Consequences", "Alternatives"]:
            found.append(f"{where(path)}: has {headings}")
    none(found)
