"""Retry's contract: how often, after which delays, and what comes of it."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from peak_observe import (
    CircuitBreaker,
    CircuitOpenError,
    GaveUp,
    OutcomeUnknown,
    Recovered,
    RetryScheduled,
    circuit_breaker,
    retry_with_backoff,
)
from peak_observe.measures import BREAKERS, RETRIES, RetryReading
from peak_observe.testing import ManualClock, RecordingObserver


class Flaky:
    """Fails a number of times with an error of each call's own, then answers."""

    def __init__(self, failures: int, error: type[BaseException] = ConnectionError) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self, *args: object) -> str:
        """Answer or fail."""
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error(f"failure {self.calls}")
        return "answer"


def reading(name: str) -> RetryReading:
    """Return what Prometheus would be told of a name."""
    return RETRIES.get(name).read()


def test_the_defaults_are_the_seeds() -> None:
    """Three attempts, after one and two seconds."""
    clock, flaky = ManualClock(), Flaky(5)
    with pytest.raises(ConnectionError):
        retry_with_backoff(clock=clock, name="retry.defaults")(flaky)()
    assert flaky.calls == 3
    assert clock.sleeps == [1.0, 2.0]


def test_delays_are_exactly_1_2_4_8_and_capped() -> None:
    """Sixty is the cap if none is given."""
    clock = ManualClock()
    with pytest.raises(ConnectionError):
        retry_with_backoff(9, clock=clock, name="retry.delays")(Flaky(9))()
    assert clock.sleeps == [1, 2, 4, 8, 16, 32, 60, 60]


def test_arguments_may_be_positional() -> None:
    """As the seed's users write them."""
    clock = ManualClock()
    with pytest.raises(ConnectionError):
        retry_with_backoff(4, 0.5, 1.0, False, ConnectionError, clock=clock, name="retry.positional")(Flaky(9))()
    assert clock.sleeps == [0.5, 0.5, 0.5]


def test_the_first_success_ends_it() -> None:
    """And its result is the call's."""
    clock, flaky = ManualClock(), Flaky(2)
    assert retry_with_backoff(5, clock=clock, name="retry.success")(flaky)() == "answer"
    assert flaky.calls == 3
    assert reading("retry.success").calls == [0, 1, 0, 0, 0, 0]


def test_a_call_that_works_is_not_delayed() -> None:
    """One attempt, no sleep."""
    clock = ManualClock()
    assert retry_with_backoff(clock=clock, name="retry.first")(Flaky(0))() == "answer"
    assert clock.sleeps == []
    assert reading("retry.first").calls == [1, 0, 0, 0, 0, 0]


def test_the_last_exception_comes_through_unchanged() -> None:
    """Not the first, and with no context of ours."""
    clock = ManualClock()
    with pytest.raises(ConnectionError) as caught:
        retry_with_backoff(3, clock=clock, name="retry.last")(Flaky(9))()
    assert str(caught.value) == "failure 3"
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_one_attempt_is_no_retry() -> None:
    """Allowed, for switching it off by configuration."""
    clock, flaky = ManualClock(), Flaky(1)
    with pytest.raises(ConnectionError):
        retry_with_backoff(1, clock=clock, name="retry.one")(flaky)()
    assert (flaky.calls, clock.sleeps) == (1, [])


def test_other_exceptions_are_not_retried() -> None:
    """What is not expected comes through at once."""
    clock, flaky = ManualClock(), Flaky(1, KeyError)
    with pytest.raises(KeyError):
        retry_with_backoff(expected_exception=(OSError, ValueError), clock=clock, name="retry.other")(flaky)()
    assert flaky.calls == 1
    assert reading("retry.other").calls == [0, 0, 0, 1, 0, 0]
    assert reading("retry.other").errors == {"KeyError": 1}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_orders_to_stop_are_never_retried(error: type[BaseException]) -> None:
    """Not even where expected_exception would cover them; and they are no errors of the operation."""
    name = f"retry.{error.__name__}"
    clock, flaky = ManualClock(), Flaky(1, error)
    with pytest.raises(error):
        retry_with_backoff(expected_exception=BaseException, clock=clock, name=name)(flaky)()
    assert (flaky.calls, clock.sleeps) == (1, [])
    assert reading(name).errors == {}


def test_an_open_circuit_inside_is_not_retried() -> None:
    """It would only wait in vain."""
    breaker = CircuitBreaker(1, name="retry.inside")
    clock, flaky = ManualClock(), Flaky(9)
    protected = retry_with_backoff(5, clock=clock, name="retry.outside")(breaker.call(flaky))
    with pytest.raises(CircuitOpenError):
        protected()
    assert flaky.calls == 1
    assert clock.sleeps == [1.0]


def test_who_names_the_open_circuit_gets_it_retried() -> None:
    """The explicit wish counts."""
    breaker = CircuitBreaker(1, 3.0, name="retry.named", clock=(clock := ManualClock()))
    flaky = Flaky(1)
    expected = (ConnectionError, CircuitOpenError)
    protected = retry_with_backoff(5, expected_exception=expected, clock=clock, name="retry.naming")(
        breaker.call(flaky)
    )
    assert protected() == "answer"
    assert clock.sleeps == [1.0, 2.0]


def unknown() -> OutcomeUnknown:
    """Return the error of an order that may stand."""
    return OutcomeUnknown("kraken", "create_order", "POST private/AddOrder", ("id",), datetime.now(UTC), "no answer")


def raised_from(error: Exception, cause: Exception) -> Exception:
    """Return an error as `raise … from` leaves it."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        unknown(),
        raised_from(ConnectionError(), unknown()),
        ExceptionGroup("tasks", [ConnectionError(), ExceptionGroup("orders", [unknown()])]),
        raised_from(TimeoutError(), ExceptionGroup("orders", [unknown()])),
    ],
    ids=["itself", "cause", "group", "cause of a group"],
)
def test_what_may_stand_is_not_repeated(error: Exception) -> None:
    """Another attempt might place the order twice, unless somebody names the class, as for a journal's `submit`."""
    calls = []

    def order() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        retry_with_backoff(3, clock=ManualClock(), name="retry.unknown")(order)()
    assert len(calls) == 1
    named = (Exception, OutcomeUnknown)
    with pytest.raises(type(error)):
        retry_with_backoff(3, clock=ManualClock(), expected_exception=named, name="retry.unknown.named")(order)()
    assert len(calls) == 4


def test_the_look_up_of_what_may_stand_is_retried() -> None:
    """What is handled while it fails is none of its own."""
    flaky = Flaky(2)
    try:
        raise unknown()
    except OutcomeUnknown:
        assert retry_with_backoff(3, clock=ManualClock(), name="retry.look_up")(flaky)() == "answer"


def test_the_right_order_counts_a_refusal_as_one_and_a_failure_as_one() -> None:
    """Breaker outside, retry inside: three attempts are one failed call."""
    clock = ManualClock()
    flaky = Flaky(99)
    protected = circuit_breaker(2, name="retry.order")(retry_with_backoff(3, clock=clock, name="retry.order")(flaky))
    for _ in range(2):
        with pytest.raises(ConnectionError):
            protected()
    with pytest.raises(CircuitOpenError):
        protected()
    assert flaky.calls == 6
    assert BREAKERS.get("retry.order").read().calls == [0, 2, 0, 1]
    assert reading("retry.order").calls == [0, 0, 2, 0, 0, 0]


def test_every_attempt_gets_the_same_arguments() -> None:
    """Also by keyword."""
    seen = []

    @retry_with_backoff(2, base_delay=0, name="retry.arguments")
    def note(*args: object, **kwargs: object) -> None:
        seen.append((args, kwargs))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        note(1, two=2)
    assert seen == [((1,), {"two": 2})] * 2


def test_a_coroutine_is_retried() -> None:
    """Sleeping in the event loop, with the same delays."""
    clock, flaky = ManualClock(), Flaky(2)

    @retry_with_backoff(clock=clock, name="retry.async")
    async def fetch() -> str:
        return flaky()

    assert asyncio.run(fetch()) == "answer"
    assert clock.sleeps == [1.0, 2.0]
    assert reading("retry.async").calls == [0, 1, 0, 0, 0, 0]


def test_a_coroutine_that_fails_for_good_raises_its_last_error() -> None:
    """As the plain function."""
    clock, flaky = ManualClock(), Flaky(9)

    @retry_with_backoff(clock=clock, name="retry.async_last")
    async def fetch() -> str:
        return flaky()

    with pytest.raises(ConnectionError) as caught:
        asyncio.run(fetch())
    assert str(caught.value) == "failure 3"


def test_a_lambdas_coroutine_is_made_anew_for_each_attempt() -> None:
    """A coroutine cannot be awaited twice."""
    clock, flaky = ManualClock(), Flaky(2)

    async def fetch() -> str:
        return flaky()

    assert asyncio.run(retry_with_backoff(clock=clock, name="retry.lambda")(lambda: fetch())()) == "answer"  # noqa: PLW0108 - a lambda is what is tested
    assert reading("retry.lambda").calls == [0, 1, 0, 0, 0, 0]


def test_waiting_does_not_block_the_event_loop() -> None:
    """Other tasks run during the delay."""
    order = []

    @retry_with_backoff(2, base_delay=0.01, name="retry.loop")
    async def fetch() -> None:
        order.append("attempt")
        if len(order) == 1:
            raise ConnectionError

    async def beside() -> None:
        order.append("beside")

    async def both() -> None:
        await asyncio.gather(fetch(), beside())

    asyncio.run(both())
    assert order == ["attempt", "beside", "attempt"]


def test_cancelling_the_wait_ends_the_operation() -> None:
    """It is counted, with the time waited."""

    @retry_with_backoff(2, base_delay=3600, name="retry.cancelled")
    async def fetch() -> None:
        raise ConnectionError

    async def cancel() -> None:
        task = asyncio.create_task(fetch())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert reading("retry.cancelled").calls == [0, 0, 0, 1, 0, 0]
    assert 0 < reading("retry.cancelled").backoff_seconds < 60


def test_ctrl_c_during_the_wait_ends_the_operation() -> None:
    """At once."""

    class Interrupted(ManualClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry_with_backoff(clock=Interrupted(), name="retry.interrupted")(Flaky(9))()
    assert reading("retry.interrupted").calls == [0, 0, 0, 1, 0, 0]


def test_a_generator_is_retried_until_its_first_item() -> None:
    """After that its items are already the caller's."""
    clock, begun = ManualClock(), []

    @retry_with_backoff(clock=clock, name="retry.generator")
    def items() -> Iterator[int]:
        begun.append(1)
        if len(begun) < 3:
            raise ConnectionError
        yield 1
        raise ConnectionError

    generator = items()
    assert next(generator) == 1
    with pytest.raises(ConnectionError):
        next(generator)
    assert len(begun) == 3
    assert reading("retry.generator").calls == [0, 1, 0, 0, 0, 0]


def test_an_async_generator_is_retried_until_its_first_item() -> None:
    """As the plain one."""
    clock, begun = ManualClock(), []

    @retry_with_backoff(clock=clock, name="retry.async_generator")
    async def items() -> AsyncIterator[int]:
        begun.append(1)
        if len(begun) < 3:
            raise ConnectionError
        yield 1
        raise ConnectionError

    async def use() -> None:
        generator = items()
        assert await anext(generator) == 1
        with pytest.raises(ConnectionError):
            await anext(generator)

    asyncio.run(use())
    assert len(begun) == 3
    assert reading("retry.async_generator").calls == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("failures", [0, 1])
def test_an_empty_generator_is_a_success(failures: int) -> None:
    """No item is a result too, at once and after a retry."""
    name, flaky = f"retry.empty{failures}", Flaky(failures)

    @retry_with_backoff(clock=ManualClock(), name=name)
    def items() -> Iterator[int]:
        flaky()
        yield from ()

    @retry_with_backoff(clock=ManualClock(), name=f"{name}.async")
    async def async_items() -> AsyncIterator[int]:
        for item in ():
            yield item

    async def collect() -> list[int]:
        return [item async for item in async_items()]

    assert list(items()) == asyncio.run(collect()) == []
    assert reading(name).calls[failures] == 1
    assert reading(f"{name}.async").calls[0] == 1


def test_bare_decoration_works() -> None:
    """Without parentheses it has the defaults."""

    @retry_with_backoff
    def bare() -> str:
        return "answer"

    assert bare() == "answer"
    assert reading(f"{__name__}.test_bare_decoration_works.<locals>.bare").max_attempts == 3


def test_a_retry_is_told_as_it_happens() -> None:
    """Each delay, then the end, with attempts and seconds."""
    clock = ManualClock()
    with RecordingObserver() as seen:
        retry_with_backoff(clock=clock, name="retry.told")(Flaky(1))()
        with pytest.raises(ConnectionError):
            retry_with_backoff(2, clock=clock, name="retry.told")(Flaky(9))()
    first, recovered, second, gave_up = seen.events
    assert (first.attempt, first.max_attempts, first.delay, str(first.error)) == (1, 3, 1.0, "failure 1")
    assert recovered == Recovered("retry.told", 2, 1.0)
    assert isinstance(second, RetryScheduled)
    assert isinstance(gave_up, GaveUp)
    assert (gave_up.attempts, gave_up.elapsed, gave_up.outcome, str(gave_up.error)) == (
        2,
        1.0,
        "exhausted",
        "failure 2",
    )


def test_a_first_success_is_no_event() -> None:
    """Frequent facts are counts."""
    with RecordingObserver() as seen:
        retry_with_backoff(name="retry.quiet")(Flaky(0))()
    assert seen.events == []


def test_everything_is_counted() -> None:
    """Outcomes, attempts after the first, errors by class, seconds waited."""
    clock = ManualClock()
    protect = retry_with_backoff(3, clock=clock, name="retry.counted")
    protect(Flaky(0))()
    protect(Flaky(2))()
    with pytest.raises(TimeoutError):
        protect(Flaky(9, TimeoutError))()
    told = reading("retry.counted")
    assert told.calls == [1, 1, 1, 0, 0, 0]
    assert told.retries == 4
    assert told.errors == {"ConnectionError": 2, "TimeoutError": 3}
    assert told.backoff_seconds == 6.0
    assert told.max_attempts == 3


def test_threads_share_a_decorated_function() -> None:
    """Each call has its own attempts."""
    local = threading.local()

    @retry_with_backoff(3, base_delay=0, name="retry.threads")
    def fetch() -> str:
        local.calls = getattr(local, "calls", 0) + 1
        if local.calls < 3:
            raise ConnectionError
        return "answer"

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(fetch())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["answer"] * 20
    assert reading("retry.threads").retries == 40


NONSENSE = [
    ({"max_attempts": 0}, "max_attempts must be a whole number of at least 1, not 0"),
    ({"max_attempts": 1.5}, "max_attempts"),
    ({"max_attempts": None}, "max_attempts"),
    ({"base_delay": -0.1}, "base_delay must be a finite number of seconds, at least 0, not -0.1"),
    ({"base_delay": "1"}, "base_delay"),
    ({"max_delay": float("inf")}, "max_delay"),
    (
        {"expected_exception": 404},
        "expected_exception must be an exception type, a function of the exception, or a tuple of them, not 404",
    ),
    ({"tracing": None}, "tracing"),
    ({"expected_exception": ()}, "expected_exception"),
    ({"expected_exception": (OSError, "busy")}, "expected_exception"),
    ({"expected_exception": int}, "expected_exception"),
    ({"retry_result": "empty"}, "retry_result must be a function of the result, not 'empty'"),
    ({"on_retry": 5}, "on_retry must be a function of the event, not 5"),
    ({"delays": asyncio.sleep}, "delays must be a plain function"),
    ({"retry_after": asyncio.sleep}, "retry_after must be a plain function"),
    ({"expected_exception": asyncio.sleep}, "expected_exception must be a plain function"),
    ({"expected_exception": (KeyError, asyncio.sleep)}, "expected_exception must be a plain function"),
]


@pytest.mark.parametrize(("arguments", "message"), NONSENSE, ids=["-".join(case[0]) for case in NONSENSE])
def test_nonsense_is_one_error_that_names_the_argument(arguments: dict[str, object], message: str) -> None:
    """Where the decorator is written, before there is a function."""
    with pytest.raises(ValueError, match="^" + message):
        retry_with_backoff(**arguments)


def test_an_empty_name_is_refused() -> None:
    """It could not be told apart in Prometheus."""
    with pytest.raises(ValueError, match="name must be"):
        retry_with_backoff(name="")(len)


@pytest.mark.parametrize("beside", [(), (KeyError,)])
def test_what_is_retried_can_be_said_by_a_function(beside: tuple[type[Exception], ...]) -> None:
    """Where the type of the exception does not tell; alone or beside types."""
    attempts = []

    def passes(error: Exception) -> bool:
        return "again" in str(error)

    expected = (*beside, passes) if beside else passes

    @retry_with_backoff(5, clock=ManualClock(), name="retry.function", expected_exception=expected)
    def call() -> None:
        attempts.append(1)
        raise ConnectionError("again" if len(attempts) < 3 else "for good")

    with pytest.raises(ConnectionError, match="for good"):
        call()
    assert len(attempts) == 3


def test_a_function_that_fails_to_judge_an_exception_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The exception comes through unchanged and unretried, and the log tells of the fault once."""

    def judge(error: ConnectionError) -> bool:
        return error.response.status_code == 503

    flaky = Flaky(9)
    protected = retry_with_backoff(expected_exception=judge, clock=ManualClock(), name="retry.judge")(flaky)
    for _ in range(2):
        with pytest.raises(ConnectionError) as caught:
            protected()
        assert caught.value.__context__ is None
    assert flaky.calls == 2
    (told,) = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert told.startswith(
        f"expected_exception: callback {judge!r} failed and a default is used, which is logged once: "
    )
    assert "AttributeError" in told


def test_an_unknown_option_is_refused() -> None:
    """With the one that was meant."""
    with pytest.raises(TypeError, match=r"retry_with_backoff\(\) got .* 'jiter'; did you mean jitter\?"):
        retry_with_backoff(jiter="full")


def test_a_result_can_be_retried() -> None:
    """A reply that says "busy" is no answer."""
    clock, replies = ManualClock(), iter(["busy", "busy", "done"])

    @retry_with_backoff(5, clock=clock, name="retry.result", retry_result=lambda reply: reply == "busy")
    def fetch() -> str:
        return next(replies)

    with RecordingObserver() as seen:
        assert fetch() == "done"
    assert clock.sleeps == [1, 2]
    assert reading("retry.result").calls == [0, 1, 0, 0, 0, 0]
    assert reading("retry.result").errors == {"_result": 2}
    assert [(event.delay, event.error) for event in seen.of(RetryScheduled)] == [(1, None), (2, None)]


def test_the_last_result_is_returned_as_it_is() -> None:
    """As the last exception would be raised; that it was given up is counted and told."""
    results = [["busy"], ["busy"]]
    given = iter(results)
    protect = retry_with_backoff(
        2, clock=ManualClock(), name="retry.results", retry_result=lambda reply: "busy" in reply
    )
    with RecordingObserver() as seen:
        assert protect(lambda: next(given))() is results[1]
    assert reading("retry.results").calls == [0, 0, 1, 0, 0, 0]
    assert [(event.outcome, event.error) for event in seen.of(GaveUp)] == [("exhausted", None)]


def test_results_of_coroutines_can_be_retried() -> None:
    """Of those that a plain function makes as well."""
    replies = iter([None, ConnectionError(), None, "done"] * 2)

    async def fetch() -> str | None:
        if isinstance(reply := next(replies), Exception):
            raise reply
        return reply

    protect = retry_with_backoff(9, 0, name="retry.async_result", retry_result=lambda reply: reply is None)
    assert asyncio.run(protect(fetch)()) == "done"
    assert asyncio.run(protect(lambda: fetch())()) == "done"  # noqa: PLW0108 - a lambda is what is tested
    assert reading("retry.async_result").errors == {"_result": 4, "ConnectionError": 2}


class _Table:
    """Cannot be a truth value, as a table of numbers."""

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")


def test_a_function_that_fails_to_judge_a_result_accepts_it(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong in it."""
    table = _Table()
    protect = retry_with_backoff(clock=ManualClock(), name="retry.table", retry_result=lambda reply: reply)
    assert protect(lambda: table)() is table
    assert reading("retry.table").calls == [1, 0, 0, 0, 0, 0]
    assert "retry_result" in caplog.text


def test_items_of_generators_are_no_results() -> None:
    """Which is said where it is decorated."""

    def items() -> Iterator[int]:
        yield 1

    with pytest.raises(ValueError, match="retry_result needs a function with a result, not the generator"):
        retry_with_backoff(retry_result=bool, name="retry.items")(items)


def test_a_hook_is_told_before_each_wait() -> None:
    """With all there is to know."""
    clock, told = ManualClock(), []

    def hook(event: RetryScheduled) -> None:
        told.append((event.attempt, event.delay, str(event.error), list(clock.sleeps)))

    retry_with_backoff(clock=clock, name="retry.hook", on_retry=hook)(Flaky(2))()
    assert told == [(1, 1.0, "failure 1", []), (2, 2.0, "failure 2", [1.0])]


def test_a_hook_that_raises_loses_nothing_and_is_told_again(caplog: pytest.LogCaptureFixture) -> None:
    """It may be there to renew what the next attempt needs; the log tells of its first failure."""
    told = []

    def hook(event: RetryScheduled) -> None:
        told.append(event.attempt)
        raise RuntimeError("no key")

    protected = retry_with_backoff(clock=ManualClock(), name="retry.bad_hook", on_retry=hook)(Flaky(2))
    assert protected() == "answer"
    assert told == [1, 2]
    assert sum("on_retry" in record.getMessage() for record in caplog.records) == 1


def test_ctrl_c_in_a_hook_ends_the_operation() -> None:
    """As in the wait that follows it."""

    def hook(event: RetryScheduled) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry_with_backoff(clock=ManualClock(), name="retry.hook_interrupted", on_retry=hook)(Flaky(2))()
    assert reading("retry.hook_interrupted").calls == [0, 0, 0, 1, 0, 0]


def test_a_billion_attempts_cost_nothing_before_they_are_made() -> None:
    """Nothing is kept for each of them."""
    flaky = Flaky(5000)
    protected = retry_with_backoff(10**9, clock=ManualClock(), name="retry.billion")(flaky)
    assert protected() == "answer"
    assert flaky.calls == 5001


def test_tasks_share_a_decorated_coroutine() -> None:
    """Each call has its own attempts, delays and time."""
    clock, calls = ManualClock(), dict.fromkeys(range(100), 0)

    @retry_with_backoff(4, clock=clock, name="retry.tasks", jitter="decorrelated", timeout=10**6)
    async def fetch(number: int) -> int:
        calls[number] += 1
        await asyncio.sleep(0)
        if calls[number] < 4:
            raise ConnectionError
        return number

    async def use() -> list[int]:
        return await asyncio.gather(*map(fetch, calls))

    assert asyncio.run(use()) == list(calls)
    assert set(calls.values()) == {4}
    assert reading("retry.tasks").calls == [0, 100, 0, 0, 0, 0]


def test_a_sleep_on_a_running_loop_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """It stops everything else that runs there."""
    protected = retry_with_backoff(2, 0, name="retry.on_a_loop")(Flaky(9))

    async def main() -> None:
        for _ in range(2):
            with suppress(ConnectionError):
                protected()

    with caplog.at_level(logging.WARNING):
        with suppress(ConnectionError):
            protected()
        assert "running event loop" not in caplog.text
        asyncio.run(main())
    assert caplog.text.count("'retry.on_a_loop' sleeps on a running event loop") == 1
