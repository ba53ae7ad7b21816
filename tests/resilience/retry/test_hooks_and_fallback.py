"""What happens when a retry gives up: hooks are called, and a fallback stands in."""

import asyncio
import gc
import logging
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from peak_observe import (
    CircuitBreaker,
    CircuitOpenError,
    GaveUp,
    RetryScheduled,
    circuit_breaker,
    retry_with_backoff,
    retrying,
)
from peak_observe.measures import RETRIES
from peak_observe.testing import ManualClock

Retried = Callable[[], Any]


def failing(error: BaseException, *, asynchronous: bool, **options: Any) -> Retried:
    """Return a function that fails with an error, retried, and called as a plain one."""
    decorate = retry_with_backoff(**{"max_attempts": 2, "clock": ManualClock(), "name": "hooks", **options})

    if asynchronous:

        @decorate
        async def fail_async() -> None:
            raise error

        return lambda: asyncio.run(fail_async())

    @decorate
    def fail() -> None:
        raise error

    return fail


BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@BOTH
@pytest.mark.parametrize(
    ("options", "outcome", "attempts"),
    [
        ({}, "exhausted", 2),
        ({"max_attempts": 1}, "exhausted", 1),
        ({"expected_exception": KeyError}, "not_retryable", 1),
        ({"timeout": 0.5}, "out_of_time", 1),
    ],
)
def test_on_give_up_is_called_once_with_how_it_ended(
    asynchronous: bool, options: dict[str, Any], outcome: str, attempts: int
) -> None:
    """Before the error comes through, unchanged."""
    told: list[GaveUp] = []
    error = ConnectionError("reset")
    with pytest.raises(ConnectionError) as raised:
        failing(error, asynchronous=asynchronous, on_give_up=told.append, **options)()
    assert raised.value is error
    assert [(event.operation, event.outcome, event.attempts, event.error) for event in told] == [
        ("hooks", outcome, attempts, error)
    ]


@pytest.mark.parametrize("options", [{}, {"max_attempts": 1}, {"expected_exception": KeyError}])
def test_a_coroutine_function_as_hook_is_awaited(options: dict[str, Any]) -> None:
    """It may do what takes a while, such as to send a message, also after a first attempt."""
    told = []

    async def tell(event: GaveUp) -> None:
        await asyncio.sleep(0)
        told.append(event.attempts)

    error = ConnectionError("reset")
    with pytest.raises(ConnectionError) as raised:
        failing(error, asynchronous=True, on_give_up=tell, **options)()
    assert raised.value is error
    assert told == [1 if options else 2]


@pytest.mark.parametrize("name", ["on_retry", "on_give_up"])
def test_a_coroutine_function_as_hook_of_a_plain_function_is_refused(name: str) -> None:
    """Nobody would await it."""

    async def tell(event: object) -> None:
        del event

    def items() -> Iterator[int]:
        yield 1

    decorate = retry_with_backoff(**{name: tell})
    with pytest.raises(ValueError, match=f"^{name} must be a plain function for the function .*, which awaits nothing"):
        decorate(lambda: None)
    with pytest.raises(ValueError, match=f"^{name} must be a plain function for the generator"):
        decorate(items)


def test_no_hook_is_called_for_what_succeeds_or_is_cancelled() -> None:
    """Cancellation, Ctrl-C and exit are orders, not failures."""
    told: list[object] = []
    retry_with_backoff(on_give_up=told.append)(lambda: None)()
    for order in (KeyboardInterrupt(), SystemExit()):
        with pytest.raises(type(order)):
            failing(order, asynchronous=False, on_give_up=told.append, fallback=7)()
    with pytest.raises(asyncio.CancelledError):
        failing(asyncio.CancelledError(), asynchronous=True, on_give_up=told.append, fallback=7)()
    assert told == []


@BOTH
def test_a_hook_that_fails_changes_nothing(asynchronous: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells of it."""

    def fail(event: object) -> None:
        raise RuntimeError(event)

    with caplog.at_level(logging.ERROR, "peak_observe"), pytest.raises(ConnectionError):
        failing(ConnectionError(), asynchronous=asynchronous, on_give_up=fail)()
    assert "on_give_up" in caplog.text


@BOTH
@pytest.mark.parametrize("fallback", [None, 7, "stale", lambda error: f"instead of {type(error).__name__}"])
@pytest.mark.parametrize("max_attempts", [1, 2])
def test_a_fallback_stands_in_for_what_it_gave_up_on(asynchronous: bool, fallback: Any, max_attempts: int) -> None:
    """A value, or a function of the error; the outcome is counted as it is."""
    name = f"fallback-{asynchronous}-{max_attempts}-{fallback!r:.20}"
    retried = failing(
        ConnectionError(), asynchronous=asynchronous, fallback=fallback, max_attempts=max_attempts, name=name
    )
    assert retried() == ("instead of ConnectionError" if callable(fallback) else fallback)
    assert RETRIES.get(name).read().calls == [0, 0, 1, 0, 0, 0]


@BOTH
def test_a_fallback_hides_no_bug(asynchronous: bool) -> None:
    """What is not retried comes through."""
    error = TypeError("bug")
    with pytest.raises(TypeError) as raised:
        failing(error, asynchronous=asynchronous, expected_exception=ConnectionError, fallback=7)()
    assert raised.value is error


@BOTH
def test_a_fallback_stands_in_for_a_refused_call(asynchronous: bool) -> None:
    """An open circuit inside is not retried, and the service is not there."""
    retried = failing(
        CircuitOpenError("kraken", 5), asynchronous=asynchronous, expected_exception=ConnectionError, fallback="stale"
    )
    assert retried() == "stale"


@BOTH
def test_a_fallback_stands_in_where_time_or_budget_ends_it(asynchronous: bool) -> None:
    """However it gave up."""
    for options in ({"timeout": 0.5}, {"budget": "empty-fallback-budget", "max_attempts": 99}):
        assert failing(ConnectionError(), asynchronous=asynchronous, fallback=7, **options)() == 7


def test_a_fallback_may_be_a_coroutine_function() -> None:
    """Of coroutine functions, and of plain ones that return coroutines."""

    async def instead(error: Exception) -> str:
        await asyncio.sleep(0)
        return f"instead of {type(error).__name__}"

    async def boom() -> None:
        raise ConnectionError

    for options in ({}, {"max_attempts": 1}):
        assert (
            failing(ConnectionError(), asynchronous=True, fallback=instead, **options)() == "instead of ConnectionError"
        )

    def refuse() -> Awaitable[None]:
        raise ConnectionError

    for func in (lambda: (boom(), None)[0], refuse):
        retried = retry_with_backoff(2, clock=ManualClock(), fallback=instead)(func)
        assert asyncio.run(retried()) == "instead of ConnectionError"


def test_a_fallback_stands_in_for_a_timeout_of_attempts() -> None:
    """Whatever is expected, as it is retried whatever is expected."""

    @retry_with_backoff(2, 0, expected_exception=KeyError, attempt_timeout=0.01, fallback="late")
    async def hang() -> None:
        await asyncio.Event().wait()

    assert asyncio.run(hang()) == "late"


@BOTH
def test_a_fallback_stands_in_for_a_result_that_was_never_accepted(asynchronous: bool) -> None:
    """Its function is handed None, as there is no error; without a fallback the last result is returned."""
    decorate = retry_with_backoff(2, clock=ManualClock(), retry_result=lambda reply: reply == "busy", fallback=repr)
    if asynchronous:

        @decorate
        async def ask_async() -> str:
            return "busy"

        assert asyncio.run(ask_async()) == "None"
    else:
        assert decorate(lambda: "busy")() == "None"


@BOTH
def test_what_a_fallback_raises_comes_through(asynchronous: bool) -> None:
    """With the first error as its context, also where that is the same kind."""

    def worse(error: Exception) -> None:
        raise LookupError("no cache") from error

    with pytest.raises(LookupError) as raised:
        failing(ConnectionError("reset"), asynchronous=asynchronous, fallback=worse)()
    assert "ConnectionError: reset" in "".join(traceback.format_exception(raised.value))


def test_a_generator_takes_no_fallback() -> None:
    """Half of it may be used when it fails."""

    def items() -> Iterator[int]:
        yield 1

    async def async_items() -> AsyncIterator[int]:
        yield 1

    for func in (items, async_items):
        with pytest.raises(TypeError, match=r"a fallback cannot stand in for the (async )?generator"):
            retry_with_backoff(fallback=[])(func)


def test_a_generator_has_hooks() -> None:
    """Until its first item it is retried as a function is."""
    told: list[GaveUp] = []
    awaited: list[GaveUp] = []

    async def tell(event: GaveUp) -> None:
        awaited.append(event)

    @retry_with_backoff(2, clock=ManualClock(), on_give_up=told.append)
    def items() -> Iterator[int]:
        raise ConnectionError
        yield 1

    @retry_with_backoff(2, clock=ManualClock(), on_give_up=tell)
    async def async_items() -> AsyncIterator[int]:
        raise ConnectionError
        yield 1

    async def main() -> None:
        with pytest.raises(ConnectionError):
            async for _ in async_items():
                pass

    with pytest.raises(ConnectionError):
        list(items())
    asyncio.run(main())
    assert (len(told), len(awaited)) == (1, 1)


@BOTH
def test_a_circuit_around_a_retry_with_a_fallback_sees_results(asynchronous: bool) -> None:
    """It composes as decorators do, in one pipeline and in two."""
    breaker = CircuitBreaker(1, 60)

    async def boom() -> None:
        raise ConnectionError

    def fail() -> None:
        raise ConnectionError

    protected = breaker(retry_with_backoff(1, fallback="stale")(boom if asynchronous else fail))
    assert (asyncio.run(protected()) if asynchronous else protected()) == "stale"
    assert (breaker.stats.success_count, breaker.stats.failure_count) == (1, 0)


def test_a_block_has_hooks() -> None:
    """Sync and async; a coroutine function is awaited where that is possible, and refused elsewhere."""
    told: list[GaveUp] = []
    with pytest.raises(ConnectionError):
        for attempt in retrying(2, clock=ManualClock(), on_give_up=told.append):
            with attempt:
                raise ConnectionError
    assert [event.attempts for event in told] == [2]

    async def tell(event: GaveUp) -> None:
        await asyncio.sleep(0)
        told.append(event)

    async def main() -> None:
        async for attempt in retrying(3, clock=ManualClock(), on_give_up=tell):
            async with attempt:
                raise ConnectionError

    async def plain() -> None:
        async for attempt in retrying(3, on_give_up=tell):
            with attempt:
                pass

    with pytest.raises(ConnectionError):
        asyncio.run(main())
    assert [event.attempts for event in told] == [2, 3]
    with pytest.raises(TypeError, match="on_give_up needs `async with attempt:` if it is a coroutine function"):
        asyncio.run(plain())
    with pytest.raises(ValueError, match="on_give_up needs `async for` if it is a coroutine function"):
        iter(retrying(on_give_up=tell))
    with pytest.raises(TypeError, match=r"fallback.*did you mean an except clause around the loop"):
        retrying(fallback=7)


def test_a_sleep_that_lasted_too_long_gives_up_with_hook_and_fallback() -> None:
    """A laptop that was suspended, for function and block."""

    class Suspended(ManualClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds + 3600)

    told: list[GaveUp] = []
    fail = failing(
        ConnectionError(), asynchronous=False, clock=Suspended(), timeout=9, on_give_up=told.append, fallback=7
    )
    assert fail() == 7
    with pytest.raises(ConnectionError):
        for attempt in retrying(clock=Suspended(), timeout=9, on_give_up=told.append):
            with attempt:
                raise ConnectionError
    assert [event.outcome for event in told] == ["out_of_time", "out_of_time"]


@pytest.mark.parametrize("nonsense", [7, "tell", ()])
@pytest.mark.parametrize("name", ["on_retry", "on_give_up"])
def test_a_hook_that_is_none_is_refused(name: str, nonsense: object) -> None:
    """When the decorator is written, not when the call fails."""
    with pytest.raises(ValueError, match=f"^{name} must be a function of the event, not "):
        retry_with_backoff(**{name: nonsense})


@BOTH
def test_nothing_of_a_failed_call_stays_alive(asynchronous: bool) -> None:
    """Neither the error, nor by its traceback what the call had in hand; a loop's own tasks need the collector."""

    class Body:
        pass

    alive: list[weakref.ref[Body]] = []

    def fail() -> None:
        body = Body()
        alive.append(weakref.ref(body))
        raise ConnectionError

    async def fail_async() -> None:
        fail()

    def call(options: dict[str, Any]) -> None:
        decorate = retry_with_backoff(2, clock=ManualClock(), **options)
        with suppress(ConnectionError):
            asyncio.run(decorate(fail_async)()) if asynchronous else decorate(fail)()

    gc.collect()
    gc.disable()
    try:
        for options in ({}, {"fallback": 7}, {"on_give_up": print}, {"timeout": 9}):
            call(options)
            if asynchronous:
                gc.collect()
            assert [one() for one in alive if one() is not None] == [], options
    finally:
        gc.enable()


def test_hooks_are_told_apart() -> None:
    """One before each wait, one at the end."""
    order: list[str] = []

    def on_retry(event: RetryScheduled) -> None:
        order.append(f"retry after {event.attempt}")

    @retry_with_backoff(
        3, clock=ManualClock(), on_retry=on_retry, on_give_up=lambda _: order.append("exhausted"), fallback=1
    )
    @circuit_breaker(99)
    def fail() -> None:
        order.append("call")
        raise ConnectionError

    fail()
    assert order == ["call", "retry after 1", "call", "retry after 2", "call", "exhausted"]
