"""Absurd arguments: one ValueError of one short line that names the argument, wherever it is given."""

from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import (
    CircuitBreaker,
    Policy,
    RetryBudget,
    bulkhead,
    circuit_breaker,
    deadline,
    rate_limit,
    retry_with_backoff,
    retrying,
    timeout,
)
from peak_observe.errors import ConfigError
from peak_observe.testing import ManualClock

ABSURD = [10**400, 10**5000, -(10**400), float("inf"), -float("inf"), float("nan"), "false", b"x", [], object()]
WINDOW = {"window": 10}
BREAKER = {
    "failure_threshold": {},
    "recovery_timeout": {},
    "window": {},
    "window_seconds": {},
    "failure_ratio": WINDOW,
    "minimum_calls": WINDOW,
    "slow_call_seconds": WINDOW,
    "slow_call_ratio": {**WINDOW, "slow_call_seconds": 1},
    "half_open_calls": {},
    "success_threshold": {},
    "probe_timeout": {},
    "jitter": {},
}
RETRY = ["max_attempts", "base_delay", "max_delay", "exponential", "jitter", "timeout", "attempt_timeout", "delays"]
CALLS: dict[str, tuple[str, Callable[[object], object]]] = {
    **{
        f"{maker.__name__}({key})": (key, lambda value, m=maker, k=key, o=others: m(**{k: value}, **o))
        for maker in (CircuitBreaker, circuit_breaker)
        for key, others in BREAKER.items()
    },
    **{
        f"{maker.__name__}({key})": (key, lambda value, m=maker, k=key: m(**{k: value}))
        for maker in (retry_with_backoff, retrying)
        for key in [*RETRY, "nested", "retry_after"]
    },
    **{
        f"RetryBudget({key})": (key, lambda value, k=key: RetryBudget(**{k: value}))
        for key in ("ratio", "min_per_second", "burst")
    },
    "timeout": ("seconds", timeout),
    "deadline": ("seconds", deadline),
    "Policy(deadline)": ("deadline", lambda value: Policy(deadline=value)),
    "Policy(order)": ("order", lambda value: Policy(timeout(1), order=value)),
    "trip(pause)": ("pause", lambda value: CircuitBreaker().trip("test", pause=value)),
    "force_open(for_seconds)": ("for_seconds", lambda value: CircuitBreaker().force_open(for_seconds=value)),
    "buckets": ("buckets", lambda value: CircuitBreaker(buckets=(1.0, value))),
}
NAMED = {
    "CircuitBreaker": lambda name: CircuitBreaker(name=name),
    "circuit_breaker": lambda name: circuit_breaker(name=name),
    "retry_with_backoff": lambda name: retry_with_backoff(name=name),
    "retrying": lambda name: retrying(name=name),
    "RetryBudget": lambda name: RetryBudget(name=name),
    "timeout": lambda name: timeout(1, name=name),
    "bulkhead": lambda name: bulkhead(1, name=name),
    "rate_limit": lambda name: rate_limit(1, name=name),
    "Policy": lambda name: Policy(timeout(1), name=name),
}


@pytest.mark.parametrize("call", CALLS)
def test_absurd_values_are_one_error_that_names_the_argument(call: str) -> None:
    """Where it is given, and not in /metrics or at the first failure."""
    argument, make = CALLS[call]
    for value in ABSURD:
        with pytest.raises(ValueError, match=argument) as caught:
            make(value)
        assert len(str(caught.value)) < 250


@pytest.mark.parametrize("maker", NAMED)
@pytest.mark.parametrize("name", [5, b"x", "", (), 10**5000, "a\ud800b"], ids=lambda name: type(name).__name__)
def test_a_name_is_text(maker: str, name: object) -> None:
    """A label of Prometheus is."""
    with pytest.raises(ValueError, match="name"):
        NAMED[maker](name)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("circuit_breaker = { failure_threshold = 1e400 }", "failure_threshold"),
        ("circuit_breaker = { recovery_timeout = nan }", "recovery_timeout"),
        ("circuit_breaker = { jitter = inf }", "jitter"),
        ('retry = { exponential = "false" }', "exponential"),
        ("retry = { base_delay = inf }", "base_delay"),
        ("retry = { max_attempts = 9223372036854775807 }", "max_attempts"),
        ("retry = { delays = [1, inf] }", "delays"),
        ("retry = { name = 5 }", "name"),
        ("timeout = inf", "timeout"),
        ("deadline = nan\ntimeout = 1", "deadline"),
    ],
)
def test_a_file_has_the_same_errors(table: str, key: str, tmp_path: Path) -> None:
    """As ConfigError, which names the file too."""
    path = tmp_path / "bot.toml"
    path.write_text(f"[policies.kraken]\n{table}\n")
    with pytest.raises(ConfigError, match=key) as caught:
        Policy.from_toml(path, "kraken")
    assert "bot.toml" in str(caught.value)


@pytest.mark.parametrize("absurd", [10**400, float("inf"), float("nan"), -1, "5", None, []])
def test_absurd_answers_of_functions_are_replaced_by_the_default(absurd: object) -> None:
    """A trading program goes on, and /metrics can be read."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, lambda reopened: absurd if reopened else 5, name="validation.answers", clock=clock)
    error = ConnectionError()
    error.retry_after = absurd

    @breaker.call
    @retry_with_backoff(2, clock=clock, delays=lambda *_: absurd, retry_after=lambda _: absurd, name="validation")
    def fail() -> None:
        raise error

    for _ in range(2):
        with pytest.raises(ConnectionError):
            fail()
        clock.advance(100_000)
    assert clock.monotonic() < 10**6


def test_a_sleep_of_centuries_is_one_that_the_system_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finite number of seconds may still be more than it can wait for."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    steps = iter([ConnectionError, None])

    @retry_with_backoff(2, 1e300, 1e300)
    def call() -> None:
        if error := next(steps):
            raise error

    call()
    assert slept == [3.2e9]
