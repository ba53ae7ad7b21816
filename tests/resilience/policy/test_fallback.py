"""The fallback of a policy stands in for refusals, timeouts and failures, and for nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from peak_observe import (
    CircuitBreaker,
    CircuitOpenError,
    Policy,
    bulkhead,
    circuit_breaker,
    deadline,
    rate_limit,
    retry_with_backoff,
    timeout,
)
from peak_observe.errors import ConfigError
from peak_observe.measures import BREAKERS, RETRIES
from peak_observe.testing import ManualClock

NUMBERS = count()
BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"policy-fallback.{next(NUMBERS)}"


def protected(policy: Any, error: BaseException | None, *, asynchronous: bool) -> Callable[[], Any]:
    """Return a function of a policy that raises an error, called as a plain one."""

    def fail() -> str:
        if error is not None:
            raise error
        return "answer"

    async def fail_async() -> str:
        return fail()

    made: Any = policy(fail_async if asynchronous else fail)
    return lambda: asyncio.run(made()) if asynchronous else made()


@BOTH
def test_it_stands_in_for_failures_and_refusals(asynchronous: bool, name: str) -> None:
    """The circuit counts what failed all the same, and the retry too."""
    policy = Policy(
        circuit_breaker(1, expected_exception=ConnectionError),
        retry_with_backoff(2, expected_exception=ConnectionError, clock=ManualClock()),
        name=name,
        fallback=lambda error: type(error).__name__,
    )
    call = protected(policy, ConnectionError(), asynchronous=asynchronous)
    assert [call(), call()] == ["ConnectionError", "CircuitOpenError"]
    assert BREAKERS.get(name).read().calls == [0, 1, 0, 1]
    assert RETRIES.get(name).read().calls == [0, 0, 1, 0, 0, 0]


@BOTH
def test_it_leaves_results_and_bugs_alone(asynchronous: bool) -> None:
    """What no part holds against the service comes through, as do orders."""
    policy = Policy(
        circuit_breaker(9, expected_exception=ConnectionError),
        retry_with_backoff(2, expected_exception=ConnectionError),
        fallback=7,
    )
    assert protected(policy, None, asynchronous=asynchronous)() == "answer"
    for error in (TypeError("bug"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised:
            protected(policy, error, asynchronous=asynchronous)()
        assert raised.value is error


@BOTH
def test_without_circuit_and_retry_it_stands_in_for_anything(asynchronous: bool) -> None:
    """There is nobody to say what a failure is."""
    assert protected(Policy(bulkhead(1), fallback=7), TypeError(), asynchronous=asynchronous)() == 7


@BOTH
def test_it_stands_in_for_what_a_limit_refuses(asynchronous: bool) -> None:
    """Also inside a retry that expects something else."""
    retry = retry_with_backoff(1, expected_exception=KeyError)
    for parts in ([rate_limit(1, per=3600, burst=1)], [retry, rate_limit(1, per=3600, burst=1)]):
        call = protected(Policy(*parts, fallback="stale"), None, asynchronous=asynchronous)
        assert [call(), call()] == ["answer", "stale"]
    full = bulkhead(1)
    calls = [
        protected(Policy(full, *parts, fallback="stale"), None, asynchronous=asynchronous) for parts in ([], [retry])
    ]
    with ThreadPoolExecutor(1) as pool, full:  # of another thread, as what is inside of it belongs to it
        assert [pool.submit(call).result(30) for call in calls] == ["stale", "stale"]


def test_it_stands_in_for_what_hangs() -> None:
    """A timeout of the policy, of attempts, and the caller's deadline, whatever is expected."""

    async def hang() -> None:
        await asyncio.Event().wait()

    retry = retry_with_backoff(1, expected_exception=KeyError, attempt_timeout=0.01)
    for parts in ([timeout(0.01)], [retry], [circuit_breaker(9, expected_exception=KeyError), timeout(0.01)]):
        assert asyncio.run(Policy(*parts, fallback="late")(hang)()) == "late"


def test_it_stands_in_for_a_wait_beyond_the_deadline() -> None:
    """Its refusal is one of ours."""
    call = protected(Policy(rate_limit(1, per=3600, wait=7200), fallback="late"), None, asynchronous=False)
    with deadline(5):
        assert [call(), call()] == ["answer", "late"]


@BOTH
def test_it_stands_in_for_a_group_if_it_does_for_all_in_it(asynchronous: bool) -> None:
    """A bug beside a refusal comes through, for a policy and for a retry alone."""
    refused = ExceptionGroup("tasks", [CircuitOpenError("inner"), ExceptionGroup("more", [ConnectionError()])])
    mixed = ExceptionGroup("tasks", [CircuitOpenError("inner"), TypeError("bug")])
    retry = retry_with_backoff(1, expected_exception=ConnectionError, fallback=7)
    inside = retry_with_backoff(1, expected_exception=ConnectionError)
    for decorate in (Policy(inside, bulkhead(9), fallback=7), retry):
        assert protected(decorate, refused, asynchronous=asynchronous)() == 7
        with pytest.raises(ExceptionGroup) as raised:
            protected(decorate, mixed, asynchronous=asynchronous)()
        assert raised.value is mixed


def test_it_may_be_a_coroutine_function() -> None:
    """Of a coroutine function."""

    async def instead(error: Exception) -> str:
        await asyncio.sleep(0)
        return type(error).__name__

    policy = Policy(retry_with_backoff(2, clock=ManualClock()), fallback=instead)
    assert protected(policy, ConnectionError(), asynchronous=True)() == "ConnectionError"


def test_a_generator_takes_none() -> None:
    """Half of it may be used."""

    def items() -> Iterator[int]:
        yield 1

    async def async_items() -> AsyncIterator[int]:
        yield 1

    for func in (items, async_items):
        with pytest.raises(TypeError, match=r"a fallback cannot stand in for the (async )?generator"):
            Policy(circuit_breaker(), fallback=7)(func)


@pytest.mark.parametrize(
    ("parts", "inner", "outer"),
    [
        ((circuit_breaker(), retry_with_backoff(fallback=7)), "retry", "circuit_breaker"),
        ((retry_with_backoff(), circuit_breaker(fallback=7)), "circuit_breaker", "retry"),
        ((retry_with_backoff(), CircuitBreaker(fallback=7)), "circuit_breaker", "retry"),
    ],
)
def test_a_fallback_inside_that_hides_failures_is_refused(parts: tuple[Any, ...], inner: str, outer: str) -> None:
    """The circuit would never open, the retry never repeat."""
    with pytest.raises(
        ValueError, match=f"the fallback of {inner} hides its failures from {outer} outside: give it to"
    ):
        Policy(*parts)
    Policy(*parts, order="as_given")


def test_the_outermost_part_may_have_one() -> None:
    """It hides failures from nobody."""
    policy = Policy(circuit_breaker(1, fallback=7), retry_with_backoff(1))
    assert protected(policy, ConnectionError(), asynchronous=False)() == 7


def test_a_policy_with_a_fallback_is_no_part_of_another() -> None:
    """It belongs to the outermost."""
    with pytest.raises(ValueError, match="fallback belongs to the outer policy, not to <Policy 'inner'"):
        Policy(Policy(bulkhead(1), name="inner", fallback=7), circuit_breaker())


def test_a_refused_call_inside_a_policy_has_its_cause() -> None:
    """What opened the circuit reaches the fallback."""
    seen: list[BaseException | None] = []

    def instead(error: Exception) -> None:
        seen.append(error.last_error if isinstance(error, CircuitOpenError) else None)

    call = protected(Policy(circuit_breaker(1), fallback=instead), ConnectionError("reset"), asynchronous=False)
    call()
    call()
    assert repr(seen) == "[None, ConnectionError('reset')]"


# From a file.


def instead_of(error: Exception) -> str:
    """Return what is named in a file."""
    return type(error).__name__


FILE = """
[policies.NAME]
fallback = FALLBACK

[policies.NAME.retry]
max_attempts = "none"
timeout = 1.5
multiplier = 3
"""


@pytest.mark.parametrize(
    ("fallback", "result"),
    [('"stale"', "stale"), ("7", 7), ('"none"', None), (f'"{__name__}.instead_of"', "ConnectionError")],
)
def test_a_file_names_it(fallback: str, result: object, name: str, tmp_path: Path) -> None:
    """A value, or a function; `none` is None, also for a retry without a limit of attempts."""
    path = tmp_path / "bot.toml"
    path.write_text(FILE.replace("NAME", f'"{name}"').replace("FALLBACK", fallback))
    policy = Policy.from_toml(path, name)

    @policy
    def fail() -> None:
        raise ConnectionError

    fail.retry.configure(base_delay=0)
    fail.retry.configure(timeout=0.01)
    assert fail() == result
    found = fail.retry.snapshot()
    assert (found.max_attempts, found.multiplier) == (None, 3)


def test_a_file_without_a_limit_is_refused() -> None:
    """In one line that names the key."""
    with pytest.raises(ConfigError, match=r"^bot\.retry: max_attempts=None would retry for ever: give timeout as well"):
        Policy.from_config({"retry": {"max_attempts": "none"}}, name="bot")
    with pytest.raises(ConfigError, match=r"^bot\.retry\.multiplier: it must be more than 1, not 1"):
        Policy.from_config({"retry": {"multiplier": 1}}, name="bot")
    with pytest.raises(ConfigError, match=r"^bot\.falback: .*did you mean .*fallback"):
        Policy.from_config({"retry": {}, "falback": 7}, name="bot")


def test_a_file_mixes_types_and_functions_for_circuit_and_retry_alike() -> None:
    """The same list says the same."""
    expected = {"expected_exception": ["builtins.OSError", f"{__name__}.instead_of"]}
    policy = Policy.from_config({"retry": {**expected, "max_attempts": 1}, "circuit_breaker": expected}, name="mixed")
    with pytest.raises(KeyError):
        protected(policy, KeyError(), asynchronous=False)()
    assert BREAKERS.get("mixed").read().calls == [0, 1, 0, 0]
