"""Does a log line hold only what is on the list? Whatever is thrown at it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from domain.errors import BadInput, Misconfigured, Problem
from storyline import logs

CANARY = "zq-canary-zq"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    out = io.StringIO()
    handlers = logging.getLogger().handlers[:]
    level = logging.getLogger().level
    logs.configure("json", "debug", out)
    yield out
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


def last(out: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return line


def test_a_key_that_is_not_on_the_list_is_left_out_and_named(lines: io.StringIO) -> None:
    structlog.get_logger("x").info("something.happened", partition=3, email=CANARY, who=[CANARY])
    assert last(lines)["partition"] == 3
    assert last(lines)["dropped"] == "email,who"
    assert CANARY not in lines.getvalue()


def test_an_object_is_shown_by_its_type_alone(lines: io.StringIO) -> None:
    structlog.get_logger().info("x", reason={"text": CANARY}, count=Misconfigured(CANARY), detail=CANARY.encode())
    assert (last(lines)["reason"], last(lines)["count"], last(lines)["detail"]) == ("dict", "Misconfigured", "bytes")
    assert CANARY not in lines.getvalue()


def test_an_exception_is_its_type_and_our_frames_and_never_its_message(lines: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError(f"invalid literal: {CANARY}")

    try:
        fail()
    except ValueError:
        structlog.get_logger().exception("it.failed")
    assert last(lines)["error"] == "ValueError"
    assert "fail" in last(lines)["frames"]
    assert CANARY not in lines.getvalue()


def test_the_sentence_of_our_own_errors_is_shown_but_not_what_a_sender_got_wrong(lines: io.StringIO) -> None:
    structlog.get_logger().warning("x", exc_info=Misconfigured("LOG_URL is not set."))
    assert last(lines)["detail"] == "LOG_URL is not set."
    structlog.get_logger().warning("x", exc_info=BadInput([Problem(CANARY, "is wrong.", "Mend it.")]))
    assert CANARY not in lines.getvalue()


def test_lines_of_other_libraries_lose_their_values(lines: io.StringIO) -> None:
    library = logging.getLogger("some.library")
    library.warning("cannot send %s", CANARY)
    assert last(lines)["reason"] == "cannot send %s"
    library.warning(f"cannot send {CANARY}")
    library.error("failed", exc_info=ValueError(CANARY))
    assert last(lines)["error"] == "ValueError"
    assert CANARY not in lines.getvalue()
    assert len(lines.getvalue().splitlines()) == 3


def test_access_lines_of_the_web_server_are_off(lines: io.StringIO) -> None:
    logging.getLogger("uvicorn.access").warning("GET /v1/refs/order/1")
    assert lines.getvalue() == ""


def test_a_stream_that_is_gone_is_no_trouble(lines: io.StringIO) -> None:
    """A library's thread would die of it, and whoever waits for that thread would wait for ever."""
    lines.close()
    structlog.get_logger().warning("something.happened")
    logging.getLogger("some.library").error("it failed")
