"""Exceptions are matched by one form everywhere: types, functions, tuples of both, and the members of groups."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from peak_observe import CallTimeoutError, CircuitBreaker, CircuitOpenError, Policy, retry_with_backoff, timeout
from peak_observe.resilience.common.predicates import ExceptionMatcher, members
from peak_observe.testing import ManualClock


def is_busy(error: Exception) -> bool:
    """Whether an error says so."""
    return "busy" in str(error)


def is_none_of_ours(error: Exception) -> bool:
    """Whether an error is no bug."""
    return not isinstance(error, KeyError)


def group(*errors: Exception) -> ExceptionGroup:
    """Return a group of exceptions."""
    return ExceptionGroup("of tasks", errors)


FORMS = [
    (ConnectionError, True, False),
    (is_busy, False, True),
    ((ConnectionError, is_busy), True, True),
    ((is_busy, OSError), True, True),
    ((KeyError, IndexError), False, False),
]


@pytest.mark.parametrize(("expected", "reset", "busy"), FORMS)
def test_breaker_and_retry_take_the_same_forms(expected: Any, reset: bool, busy: bool) -> None:
    """What counts as failure for one is repeated by the other."""
    for error, counts in ((ConnectionResetError("reset"), reset), (ValueError("busy"), busy)):
        assert failures(expected, error) == int(counts)
        assert attempts(expected, error) == (2 if counts else 1)


GROUPS = [
    # what is expected, the error, failures of a circuit, attempts of a retry
    (ConnectionError, group(ConnectionError()), 1, 2),
    (ConnectionError, group(ConnectionError(), ConnectionResetError()), 1, 2),
    (ConnectionError, group(group(group(ConnectionError()))), 1, 2),
    (ConnectionError, group(ConnectionError(), KeyError()), 1, 1),
    (ConnectionError, group(KeyError(), group(ValueError())), 0, 1),
    (is_busy, group(ValueError("busy"), group(KeyError("busy"))), 1, 2),
    (is_none_of_ours, group(KeyError()), 0, 1),
    (Exception, group(KeyError(), group(ValueError())), 1, 2),
    (ExceptionGroup, group(KeyError()), 1, 2),
    (ConnectionError, group(CircuitOpenError("inner")), 0, 1),
    (Exception, group(CircuitOpenError("inner")), 0, 1),
    (Exception, group(ValueError(), CircuitOpenError("inner")), 1, 1),
    (CircuitOpenError, group(CircuitOpenError("inner")), 1, 2),
]


@pytest.mark.parametrize(("expected", "error", "failed", "tried"), GROUPS)
def test_groups_are_judged_by_their_members(expected: Any, error: ExceptionGroup, failed: int, tried: int) -> None:
    """One failure is enough for a circuit; a retry repeats what it may repeat in all its parts."""
    assert failures(expected, error) == failed
    assert attempts(expected, error) == tried


@pytest.mark.parametrize(("expected", "error", "failed", "tried"), GROUPS)
def test_groups_of_coroutines_are_judged_alike(expected: Any, error: ExceptionGroup, failed: int, tried: int) -> None:
    """Async as sync."""
    breaker, clock, calls = CircuitBreaker(9, 60, expected, clock=ManualClock()), ManualClock(), []

    async def fail() -> None:
        calls.append(1)
        raise error

    for protected in (breaker(fail), retry_with_backoff(2, expected_exception=expected, clock=clock)(fail)):
        with pytest.raises(ExceptionGroup):
            asyncio.run(protected())
    assert breaker.stats.failure_count == failed
    assert len(calls) == 1 + tried


def failures(expected: Any, error: Exception, **options: Any) -> int:
    """Return what a circuit counts of an error."""
    breaker = CircuitBreaker(9, 60, expected, clock=ManualClock(), **options)
    with pytest.raises(type(error)):
        breaker(thrower(error, []))()
    return breaker.stats.failure_count


def attempts(expected: Any, error: Exception) -> int:
    """Return how often a retry calls what raises an error, at most twice."""
    calls: list[int] = []
    with pytest.raises(type(error)):
        retry_with_backoff(2, expected_exception=expected, clock=ManualClock())(thrower(error, calls))()
    return len(calls)


def thrower(error: Exception, calls: list[int]) -> Callable[[], None]:
    """Return a function that raises an error, and counts."""

    def fail() -> None:
        calls.append(1)
        raise error

    return fail


def test_what_is_ignored_may_be_mixed_and_inside_a_group() -> None:
    """The same form, and the same look inside."""
    ignore = (KeyError, is_busy)
    assert failures(Exception, group(KeyError(), ValueError("busy")), ignore=ignore) == 0
    assert failures(Exception, group(KeyError(), ValueError("down")), ignore=ignore) == 1
    assert failures(Exception, group(ValueError("down")), ignore=ExceptionGroup) == 0


def test_a_group_with_a_cancellation_is_no_exception_of_the_service() -> None:
    """A base exception inside makes the group one, which is neither counted nor repeated."""
    error, calls = BaseExceptionGroup("mixed", [ValueError(), asyncio.CancelledError()]), []
    breaker = CircuitBreaker(9, 60)

    def fail() -> None:
        calls.append(1)
        raise error

    for protected in (breaker(fail), retry_with_backoff(2, clock=ManualClock())(fail)):
        with pytest.raises(BaseExceptionGroup):
            protected()
    assert (breaker.stats.failure_count, len(calls)) == (0, 2)


def test_a_task_group_is_retried_for_what_its_tasks_met() -> None:
    """The group that `asyncio.TaskGroup` raises is no error of its own."""
    calls = []

    async def fetch() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError("reset")
        return "page"

    @retry_with_backoff(2, expected_exception=ConnectionError, clock=ManualClock())
    async def pages() -> list[str]:
        async with asyncio.TaskGroup() as tasks:
            found = [tasks.create_task(fetch()), tasks.create_task(fetch())]
        return [task.result() for task in found]

    assert asyncio.run(pages()) == ["page", "page"]


def test_a_timeout_of_the_policy_inside_a_group_is_retried() -> None:
    """What hangs is retried whatever is expected, also where a group wraps it."""
    calls = []

    @Policy(retry_with_backoff(2, expected_exception=KeyError, clock=ManualClock()), timeout(5, name="pages"))
    async def pages() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ExceptionGroup("tasks", [CallTimeoutError("pages", 5)])
        return "page"

    assert asyncio.run(pages()) == "page"


def test_the_longest_wish_of_a_group_is_waited_for() -> None:
    """Each member may say when to come back."""

    class BusyError(Exception):
        def __init__(self, retry_after: float) -> None:
            super().__init__(retry_after)
            self.retry_after = retry_after

    clock, answers = ManualClock(), iter([group(BusyError(7), group(BusyError(9))), None])
    breaker = CircuitBreaker(1, 5, clock=clock)

    @retry_with_backoff(2, clock=clock)
    @breaker
    def fetch() -> None:
        error = next(answers)
        if error:
            raise error

    fetch()
    assert clock.sleeps == [9.0]
    assert breaker.stats.state_changes == 3


def test_deep_groups_are_walked_without_recursion() -> None:
    """A group in a group in a group, deeper than the stack."""
    error: Exception = ValueError()
    for _ in range(20_000):
        error = ExceptionGroup("", [error])
    try:
        assert [type(one) for one in members(error)] == [ValueError]
    finally:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]


@pytest.mark.parametrize("nonsense", [7, "KeyError", (), (ValueError, 7), int, [ValueError], None])
@pytest.mark.parametrize("name", ["expected_exception", "ignore"])
def test_nonsense_is_one_error(nonsense: Any, name: str) -> None:
    """It names the argument and what it may be."""
    with pytest.raises(ValueError, match=f"^{name} must be an exception type, a function of the exception, or a tuple"):
        ExceptionMatcher(name, nonsense)


@pytest.mark.parametrize(
    "make", [lambda func: CircuitBreaker(1, 1, func), lambda func: retry_with_backoff(3, 1, 1, True, func)]
)
@pytest.mark.parametrize("mixed", [False, True])
def test_coroutine_functions_are_refused(make: Callable[[Any], object], mixed: bool) -> None:
    """Their coroutine would always be true."""

    async def judge(error: Exception) -> bool:
        return isinstance(error, ValueError)

    with pytest.raises(ValueError, match=r"^expected_exception must be a plain function"):
        make((KeyError, judge) if mixed else judge)
