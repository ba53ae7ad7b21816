"""How a check's answer is read: three forms, and whatever else comes is an error that says so."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import HealthCheckResult
from peak_observe.resilience.health.result import of_answer, of_error


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (True, ("healthy", "", None)),
        (False, ("unhealthy", "", None)),
        ((True, "Service OK"), ("healthy", "Service OK", None)),
        ((False, "down"), ("unhealthy", "down", None)),
        ((True, "fine", {"latency_ms": 50}), ("healthy", "fine", {"latency_ms": 50})),
        ((False, "bad", {}), ("unhealthy", "bad", {})),
        ([True, "a list will do"], ("healthy", "a list will do", None)),
    ],
)
def test_the_three_forms(answer: object, found: tuple) -> None:
    """Status, message and details are taken as they are."""
    assert of_answer(answer) == found


@pytest.mark.parametrize(
    "answer",
    [None, 1, 0, "ok", (), (True,), (1, "ok"), (True, 5), (True, "ok", None), (True, "ok", {}, 1), {"healthy": True}],
)
def test_anything_else_is_an_error_that_says_so(answer: object) -> None:
    """A check that forgot its return statement must not pass for healthy."""
    status, message, _ = of_answer(answer)
    assert status == "error"
    assert message == f"the check returned {answer!r} instead of bool, (bool, str) or (bool, str, dict)"


def test_an_exception_is_an_error_with_its_class() -> None:
    """The message names what was raised, unless it is an Exception without a class of its own."""
    assert of_error(Exception("no route")) == ("error", "Exception: no route", None)
    assert of_error(KeyError("price")) == ("error", "Exception: 'price' (KeyError)", None)


def test_secrets_do_not_get_through() -> None:
    """Neither in messages, nor in details, nor in exceptions, nor in an answer of a wrong form."""
    details = {"apiKey": "S3CRET", "nested": [{"password": "S3CRET"}], "url": "https://u:S3CRET@x/y?sig=S3CRET"}
    found = [
        of_answer((False, "apiKey=S3CRET", details)),
        of_answer("token: S3CRET"),
        of_error(ValueError("https://x/y?signature=S3CRET")),
    ]
    assert "S3CRET" not in repr(found)
    assert found[0].details["url"] == "https://x/y"


def test_a_message_is_one_line_that_steers_no_terminal() -> None:
    """What an exchange sends may hold anything."""
    assert of_answer((True, "a\n b\t\x1b[31mred\x00")).message == "a b �[31mred�"


def test_a_huge_message_is_cut() -> None:
    """A report stays readable."""
    assert len(of_answer((True, "x" * 10**6)).message) <= 300


def test_an_exception_that_cannot_say_itself_is_named() -> None:
    """A broken __str__ breaks nothing."""

    class Mute(Exception):  # noqa: N818 - a user's
        def __str__(self) -> str:
            raise RuntimeError

    assert of_error(Mute()).message == "Exception: Mute"


def test_details_become_json() -> None:
    """Infinity, dates, sets, circles and texts that are no UTF-8 among them."""
    circle: dict = {}
    circle["again"] = circle
    details = {
        "inf": math.inf,
        "at": datetime(2026, 1, 1, tzinfo=UTC),
        "set": {1},
        1: b"x",
        "circle": circle,
        "lone": "\ud800",
    }
    found = of_answer((True, "ok", details)).details
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["inf"], found["at"], found["set"], found["1"]) == ("inf", "2026-01-01 00:00:00+00:00", [1], "b'x'")


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.tuples(inner))
)
def test_no_answer_raises(answer: object) -> None:
    """Whatever comes is read."""
    assert of_answer(answer).status in {"healthy", "unhealthy", "error"}


def test_to_dict_is_the_known_form() -> None:
    """Name, healthy, message and timestamp; details where there are any."""
    at = datetime(2025, 12, 17, 15, 30, tzinfo=UTC)
    result = HealthCheckResult("db", healthy=True, message="fine", timestamp=at)
    plain = {"name": "db", "healthy": True, "message": "fine", "timestamp": "2025-12-17T15:30:00+00:00"}
    assert result.to_dict() == plain
    assert result._replace(details={}).to_dict() == plain
    assert result._replace(details={"a": 1}).to_dict() == {**plain, "details": {"a": 1}}
