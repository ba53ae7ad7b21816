"""Orders that may stand: no retry repeats them and no fallback hides them, however the program reports the error."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import pytest

from peak_observe import OutcomeUnknown, Policy, circuit_breaker, last_good, retry_with_backoff, retrying, timeout
from peak_observe.testing import ManualClock
from tests.resilience.retry.test_decorator import Flaky


class TradeError(Exception):
    """What a bot's own code raises when an order fails."""


def place() -> None:
    """Place an order whose answer gets lost."""
    raise OutcomeUnknown("kraken", "create_order", "POST private/AddOrder", ("id",), datetime.now(UTC), "no answer")


def plainly() -> None:
    """Report it as it came."""
    place()


def chained() -> None:
    """Say what it came from."""
    try:
        place()
    except OutcomeUnknown as error:
        raise TradeError("no order") from error


def unchained() -> None:
    """Raise in the handler, as most code does."""
    try:
        place()
    except Exception:
        raise TradeError("no order")  # noqa: B904 - the case


def from_nothing() -> None:
    """Hide it from the traceback."""
    try:
        place()
    except Exception:
        raise TradeError("no order") from None


def twice_removed() -> None:
    """Raise in the handler of what was raised in a handler."""
    try:
        unchained()
    except TradeError:
        raise ConnectionError("the broker is away")  # noqa: B904 - the case


def in_a_finally() -> None:
    """Fail while cleaning up."""
    try:
        place()
    finally:
        raise TradeError("no connection to close")


def in_a_group() -> None:
    """Raise a group of what the handlers raised."""
    try:
        unchained()
    except TradeError as error:
        failure = error
    raise ExceptionGroup("orders", [failure, ConnectionError()])


def in_a_thread() -> None:
    """Raise it in a thread; what a thread raises from nothing Python forgets where an older error is handled."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(chained).result()


def while_it_looks_for_it() -> None:
    """Look for the order in the handler and fail: to repeat that repeats the order."""
    try:
        place()
    except OutcomeUnknown:
        look_up = retry_with_backoff(2, clock=ManualClock(), name="unknown.inner")(Flaky(9))
        look_up()


WAYS = [
    plainly,
    chained,
    unchained,
    from_nothing,
    twice_removed,
    in_a_finally,
    in_a_group,
    in_a_thread,
    while_it_looks_for_it,
]


async def async_of(func: Callable[[], None]) -> None:
    """Call a function in a coroutine that has been suspended."""
    await asyncio.sleep(0)
    func()


def retry(**options: object) -> Callable:
    """Return a retry."""
    return retry_with_backoff(3, clock=ManualClock(), **options)


class Caller:
    """Caller of a protected function, perhaps in the handler of an older error; notes what it raised.

    Args:
        older: The class of that error, if there is one.
    """

    def __init__(self, older: type[Exception] | None) -> None:
        self.older = older
        self.raised: BaseException | None = None

    def call(self, protected: Callable[[], object]) -> None:
        """Call a function."""
        try:
            if self.older:
                raise self.older
        except KeyError:
            self._note(protected)
        else:
            self._note(protected)

    def _note(self, protected: Callable[[], object]) -> None:
        try:
            protected()
        except Exception as error:
            self.raised = error

    def run(self, protected: Callable[[], Awaitable[object]]) -> None:
        """Run a coroutine function."""

        async def use() -> None:
            try:
                if self.older:
                    raise self.older
            except KeyError:
                await note()
            else:
                await note()

        async def note() -> None:
            try:
                await protected()
            except Exception as error:
                self.raised = error

        asyncio.run(use())

    def blocks(self, func: Callable[[], None]) -> None:
        """Retry a block, in a function that handles the older error."""

        def use() -> None:
            for attempt in retrying(3, clock=ManualClock()):
                with attempt:
                    try:
                        func()
                    except TradeError:
                        raise TradeError("in the block") from None

        self.call(use)

    def async_blocks(self, func: Callable[[], None]) -> None:
        """Retry a block of a coroutine."""

        async def use() -> None:
            async for attempt in retrying(3, clock=ManualClock(), attempt_timeout=60):
                async with attempt:
                    try:
                        await async_of(func)
                    except TradeError:
                        raise TradeError("in the block") from None

        self.run(use)

    def items(self, func: Callable[[], None]) -> None:
        """Retry a generator function."""

        def items() -> Iterator[int]:
            func()
            yield 1

        self.call(lambda: list(retry()(items)()))


@pytest.fixture(params=[None, KeyError], ids=["alone", "while an older error is handled"])
def caller(request: pytest.FixtureRequest) -> Caller:
    """A caller, in a handler or not."""
    return Caller(request.param)


Use = Callable[[Caller, Callable[[], None]], None]

RETRIES: dict[str, Use] = {
    "function": lambda caller, func: caller.call(retry()(func)),
    "coroutine": lambda caller, func: caller.run(retry()(partial(async_of, func))),
    "with a timeout": lambda caller, func: caller.call(retry(timeout=100)(func)),
    "coroutine with a timeout": lambda caller, func: caller.run(retry(attempt_timeout=60)(partial(async_of, func))),
    "inside a breaker": lambda caller, func: caller.call(circuit_breaker(9, name="unknown")(retry()(func))),
    "policy": lambda caller, func: caller.call(Policy(circuit_breaker(9, name="unknown.policy"), retry())(func)),
    "timeout inside": lambda caller, func: caller.run(retry()(timeout(60)(partial(async_of, func)))),
    "block": Caller.blocks,
    "async block": Caller.async_blocks,
    "generator": Caller.items,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("retried", RETRIES.values(), ids=RETRIES)
def test_an_order_that_may_stand_is_not_repeated(way: Callable[[], None], retried: Use, caller: Caller) -> None:
    """Whatever the program makes of its error, which still leads to the order."""
    calls = []

    def order() -> None:
        calls.append(1)
        way()

    retried(caller, order)
    assert len(calls) == 1
    assert OutcomeUnknown.behind(caller.raised) is not None


@pytest.mark.parametrize("before", [plainly, chained, unchained, from_nothing, in_a_finally])
@pytest.mark.parametrize("retried", RETRIES.values(), ids=RETRIES)
def test_the_look_up_of_what_may_stand_is_retried(before: Callable[[], None], retried: Use) -> None:
    """It fails while the order's error is handled, and sends no order."""
    calls, caller = [], Caller(None)

    def look_up() -> None:
        calls.append(1)
        try:
            raise KeyError("an open order")
        except KeyError:
            if len(calls) < 3:
                raise ConnectionError("away") from None

    try:
        before()
    except Exception:
        retried(caller, look_up)
    assert caller.raised is None
    assert len(calls) == 3


def test_a_look_up_in_another_function_than_the_handler_is_retried() -> None:
    """The caller of its caller handles the error."""
    flaky = Flaky(2)

    def search() -> object:
        try:
            raise KeyError("cache")
        except KeyError:
            return retry()(flaky)()

    try:
        unchained()
    except TradeError:
        assert search() == "answer"


def stand_in(**options: object) -> Callable:
    """Return a retry with a fallback."""
    return retry(fallback="stand-in", **options)


def breaker(**options: object) -> Callable:
    """Return a breaker."""
    return circuit_breaker(9, name="unknown.fallback", **options)


FALLBACKS: dict[str, Use] = {
    "retry": lambda caller, func: caller.call(stand_in()(func)),
    "breaker": lambda caller, func: caller.call(breaker(fallback="stand-in")(func)),
    "policy": lambda caller, func: caller.call(Policy(breaker(), fallback="stand-in")(func)),
    "policy of a retry": lambda caller, func: caller.call(Policy(retry(), fallback="stand-in")(func)),
    "coroutine": lambda caller, func: caller.run(Policy(breaker(), fallback="stand-in")(partial(async_of, func))),
    "named": lambda caller, func: caller.call(stand_in(expected_exception=(Exception, OutcomeUnknown))(func)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("protected", FALLBACKS.values(), ids=FALLBACKS)
def test_no_fallback_hides_an_order_that_may_stand(way: Callable[[], None], protected: Use, caller: Caller) -> None:
    """Or nobody would look for it."""
    protected(caller, way)
    assert OutcomeUnknown.behind(caller.raised) is not None


def test_the_last_good_result_does_not_hide_it_either() -> None:
    """It is that of another order."""
    answers = iter([lambda: "placed", unchained])
    order = retry(fallback=last_good(60), name="unknown.last_good")(lambda: next(answers)())  # noqa: PLW0108 - the next one
    assert order() == "placed"
    with pytest.raises(TradeError):
        order()


@pytest.mark.parametrize("protected", FALLBACKS.values(), ids=FALLBACKS)
def test_a_fallback_of_the_look_up_applies(protected: Use) -> None:
    """It sends no order."""
    caller = Caller(None)

    def look_up() -> None:
        raise ConnectionError("away")

    try:
        unchained()
    except TradeError:
        protected(caller, look_up)
    assert caller.raised is None
