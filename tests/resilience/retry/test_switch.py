"""One switch turns all retries of a process off: for a block, until further notice, or from the environment."""

import asyncio
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from peak_observe import disable_retries, enable_retries, idempotent, retry_with_backoff, retrying
from peak_observe.measures import RETRIES
from peak_observe.testing import ManualClock


@pytest.fixture(autouse=True)
def _on_again() -> Iterator[None]:
    yield
    enable_retries()


def attempts(name: str = "switch", max_attempts: int | None = 3) -> int:
    """Return how many attempts an operation makes."""
    calls = []

    @retry_with_backoff(max_attempts, clock=ManualClock(), name=name, timeout=None if max_attempts else 9)
    def fail() -> None:
        calls.append(1)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    return len(calls)


def test_a_block_without_retries() -> None:
    """All operations are tried once, also those without a limit; after the block as before."""
    with disable_retries():
        assert (attempts(), attempts(max_attempts=None)) == (1, 1)
        with disable_retries():
            assert attempts() == 1
        assert attempts() == 1
    assert attempts() == 3


def test_a_call_holds_until_further_notice() -> None:
    """As a breaker's `disable()`; an emergency has no block."""
    disable_retries()
    assert attempts() == 1
    enable_retries()
    assert attempts() == 3


def test_a_block_may_be_entered_again() -> None:
    """One object, several blocks; `enable_retries` inside has its way."""
    off = disable_retries()
    for _ in range(2):
        with off:
            assert attempts() == 1
        assert attempts() == 3
    with off:
        enable_retries()
        assert attempts() == 3


def test_it_holds_for_what_was_decorated_before_and_in_all_threads() -> None:
    """Functions, coroutine functions, generators and blocks."""
    calls: list[str] = []
    retry = retry_with_backoff(3, clock=ManualClock())

    def fail() -> None:
        calls.append("function")
        raise ConnectionError

    async def fail_async() -> None:
        calls.append("coroutine")
        raise ConnectionError

    def items() -> Iterator[int]:
        calls.append("generator")
        raise ConnectionError
        yield 1

    retried, awaited, generated = retry(fail), retry(fail_async), retry(items)
    block = retrying(3, clock=ManualClock())

    def all_of_them() -> None:
        for call in (retried, lambda: asyncio.run(awaited()), lambda: list(generated()), a_block):
            with pytest.raises(ConnectionError):
                call()

    def a_block() -> None:
        for attempt in block:
            with attempt:
                calls.append("block")
                raise ConnectionError

    with disable_retries():
        thread = threading.Thread(target=all_of_them)
        thread.start()
        thread.join()
    assert calls == ["function", "coroutine", "generator", "block"]


def test_one_that_sleeps_makes_no_other_attempt() -> None:
    """It ends with its last error when it wakes up."""

    class Emergency(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            disable_retries()

    calls: list[int] = []

    @retry_with_backoff(9, clock=Emergency(), name="sleeper")
    def fail() -> None:
        calls.append(1)
        raise ConnectionError(len(calls))

    with pytest.raises(ConnectionError) as raised:
        fail()
    assert raised.value.args == (1,)
    assert RETRIES.get("sleeper").read().calls == [0, 0, 1, 0, 0, 0]


def test_metrics_and_snapshot_show_it() -> None:
    """Of a retry that lives."""
    retry = retry_with_backoff(3, name="switch-shown")(lambda: None).retry
    with disable_retries():
        assert RETRIES.get("switch-shown").read().max_attempts == 1
        assert (retry.snapshot().enabled, retry.snapshot().max_attempts) == (False, 3)
    assert RETRIES.get("switch-shown").read().max_attempts == 3
    assert retry.snapshot().enabled


def test_it_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """By who turned it off, not by each call."""
    with caplog.at_level(logging.WARNING, "peak_observe.retry"), disable_retries():
        attempts()
        attempts()
    lines = [record.getMessage() for record in caplog.records if "turned off by" in record.getMessage()]
    assert lines == ["retries are turned off by disable_retries(): each call is made once"]


def test_it_opens_no_way_to_repeat_what_must_not_be() -> None:
    """Decorating is checked as ever."""
    with disable_retries(), pytest.raises(TypeError, match="must not happen twice"):
        retry_with_backoff(idempotent(False)(lambda: None))


PROGRAM = """
import peak_observe
from peak_observe import retry_with_backoff
calls = []

@retry_with_backoff(3, 0)
def fail():
    calls.append(1)
    raise ConnectionError

for _ in range(2):
    try:
        fail()
    except ConnectionError:
        pass
peak_observe.enable_retries()
first, calls = len(calls), []
try:
    fail()
except ConnectionError:
    print(first, len(calls))
"""


def run(value: str | None) -> subprocess.CompletedProcess[str]:
    """Run a program with the variable in its environment."""
    environment = {name: text for name, text in os.environ.items() if name != "PEAK_OBSERVE_RETRIES"}
    if value is not None:
        environment["PEAK_OBSERVE_RETRIES"] = value
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (None, "6 3"),
        ("", "6 3"),
        ("on", "6 3"),
        ("1", "6 3"),
        ("off", "2 3"),
        ("OFF ", "2 3"),
        ("0", "2 3"),
        ("no", "2 3"),
    ],
)
def test_the_environment_turns_it_off(value: str | None, printed: str) -> None:
    """From the start, until the program says otherwise; the log tells of it once."""
    done = run(value)
    assert done.stdout.strip() == printed
    told = done.stderr.count("retries are turned off by PEAK_OBSERVE_RETRIES=off: each call is made once")
    assert told == (printed == "2 3")


@pytest.mark.parametrize("value", ["of", "2", "aus"])
def test_a_typing_error_in_the_environment_is_an_error(value: str) -> None:
    """It must not leave retries on in an emergency; importing alone does no harm."""
    done = run(value)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"ValueError: PEAK_OBSERVE_RETRIES must be on or off, not '{value}'"
