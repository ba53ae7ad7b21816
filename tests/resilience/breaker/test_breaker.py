"""The breaker's contract: what it counts, lets through and refuses."""

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from peak_observe import (
    CircuitBreaker,
    CircuitBreakerStats,
    CircuitOpenError,
    CircuitState,
    Transition,
    breakers,
    circuit_breaker,
    get_breaker,
    retry_with_backoff,
)
from peak_observe.measures import BREAKERS
from peak_observe.testing import ManualClock, RecordingObserver


def fail(error: BaseException) -> None:
    """Raise `error`."""
    raise error


def trip(breaker: CircuitBreaker, error: type[Exception] = ConnectionError) -> None:
    """Let a call through the breaker fail."""
    with pytest.raises(error), breaker:
        raise error


def calls(name: str) -> list[int]:
    """Return the counts of a name: success, failure, ignored, rejected."""
    return BREAKERS.get(name).read().calls


def test_the_defaults_are_the_seeds() -> None:
    """Five failures, sixty seconds, every Exception, the seed's name."""
    breaker = CircuitBreaker()
    assert breaker.name == "circuit_breaker"
    for _ in range(4):
        trip(breaker)
    assert breaker.state is CircuitState.CLOSED
    trip(breaker)
    assert breaker.state is CircuitState.OPEN
    with pytest.raises(CircuitOpenError) as refusal, breaker:
        pass
    assert 59 < refusal.value.retry_after <= 60


def test_arguments_may_be_positional() -> None:
    """As the seed's users write them."""
    breaker = CircuitBreaker(1, 0.5, ValueError, "breaker.positional")
    trip(breaker, ValueError)
    assert (breaker.name, breaker.state) == ("breaker.positional", CircuitState.OPEN)


def test_open_fails_fast_without_calling() -> None:
    """Nothing reaches the service."""
    reached = []
    breaker = CircuitBreaker(1, name="breaker.fast")
    protected = breaker.call(reached.append)
    trip(breaker)
    with pytest.raises(CircuitOpenError, match=r"CircuitBreaker 'breaker\.fast' is OPEN"):
        protected("order")
    assert reached == []
    assert calls("breaker.fast") == [0, 1, 0, 1]


def test_recovery_closes_the_circuit() -> None:
    """OPEN, HALF_OPEN when due, CLOSED after the probe."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 30.0, name="breaker.recovery", clock=clock)
    trip(breaker)
    clock.advance(29.9)
    assert breaker.state is CircuitState.OPEN
    clock.advance(0.1)
    assert breaker.state is CircuitState.HALF_OPEN
    with breaker:
        pass
    assert breaker.state is CircuitState.CLOSED


def test_a_clock_set_back_or_forth_delays_no_recovery() -> None:
    """Only monotonic time counts; daylight saving does not."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 30.0, name="breaker.jump", clock=clock)
    trip(breaker)
    clock.jump(7200)
    assert breaker.state is CircuitState.OPEN
    clock.jump(-14400)
    clock.advance(30)
    assert breaker.state is CircuitState.HALF_OPEN


def test_stats_are_a_frozen_record_of_the_present() -> None:
    """failure_count is what counts towards the threshold now."""
    clock = ManualClock()
    breaker = CircuitBreaker(3, 30.0, name="breaker.stats", clock=clock)
    assert breaker.stats == CircuitBreakerStats(0, 0, None, None, 0)
    clock.advance(1)
    trip(breaker)
    failed_at = clock.now().timestamp()
    assert breaker.stats == CircuitBreakerStats(1, 0, failed_at, None, 0)
    clock.advance(1)
    with breaker:
        pass
    assert breaker.stats == CircuitBreakerStats(0, 1, failed_at, clock.now().timestamp(), 0)
    for _ in range(3):
        trip(breaker)
    assert breaker.stats.failure_count == 3
    assert breaker.stats.state_changes == 1


def test_stats_are_each_breakers_own() -> None:
    """A namesake's calls are in the metrics together, not in the statistics."""
    one, two = (CircuitBreaker(name="breaker.own") for _ in range(2))
    with one:
        pass
    assert (one.stats.success_count, two.stats.success_count) == (1, 0)


def test_other_exceptions_pass_through_and_neither_count_nor_forgive() -> None:
    """What is not expected is `ignored`."""
    breaker = CircuitBreaker(2, expected_exception=ConnectionError, name="breaker.ignored")
    trip(breaker)
    trip(breaker, ValueError)
    assert breaker.stats.failure_count == 1
    trip(breaker)
    assert breaker.state is CircuitState.OPEN
    assert calls("breaker.ignored") == [0, 2, 1, 0]


def test_a_tuple_of_types_is_expected() -> None:
    """Subclasses included."""
    breaker = CircuitBreaker(2, expected_exception=(OSError, ValueError), name="breaker.tuple")
    trip(breaker, ValueError)
    trip(breaker, ConnectionResetError)
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit])
def test_orders_to_stop_never_count_as_failures(error: type[BaseException]) -> None:
    """Not even where expected_exception would cover them."""
    name = f"breaker.{error.__name__}"
    breaker = CircuitBreaker(1, expected_exception=BaseException, name=name)
    with pytest.raises(error):
        breaker.call(fail)(error())
    assert breaker.state is CircuitState.CLOSED
    assert calls(name) == [0, 0, 1, 0]


def test_the_exception_comes_through_unchanged() -> None:
    """The same object, with no context of ours."""
    error = ConnectionError("as it was")
    with pytest.raises(ConnectionError) as caught:
        CircuitBreaker(name="breaker.unchanged").call(fail)(error)
    assert caught.value is error
    assert error.__cause__ is error.__context__ is None


def test_an_interrupted_probe_does_not_stick() -> None:
    """Ctrl-C during the probe leaves room for the next one."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 1.0, name="breaker.probe", clock=clock)
    trip(breaker)
    clock.advance(1)
    with pytest.raises(KeyboardInterrupt):
        breaker.call(fail)(KeyboardInterrupt())
    assert breaker.state is CircuitState.HALF_OPEN
    with breaker:
        pass
    assert breaker.state is CircuitState.CLOSED


def test_an_ignored_exception_releases_the_probe() -> None:
    """It proves neither health nor failure."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 1.0, ConnectionError, "breaker.release", clock=clock)
    trip(breaker)
    clock.advance(1)
    trip(breaker, ValueError)
    assert breaker.state is CircuitState.HALF_OPEN
    trip(breaker)
    assert breaker.state is CircuitState.OPEN


def test_of_64_threads_one_is_the_probe() -> None:
    """The others are refused while it is under way."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 1.0, name="breaker.stampede", clock=clock)
    trip(breaker)
    clock.advance(1)
    start, refused, finish = threading.Barrier(64), threading.Semaphore(0), threading.Event()
    reached, waits = [], []

    @breaker.call
    def probe() -> None:
        reached.append(1)
        finish.wait(60)

    def run() -> None:
        start.wait()
        try:
            probe()
        except CircuitOpenError as error:
            waits.append(error.retry_after)
            refused.release()

    threads = [threading.Thread(target=run) for _ in range(64)]
    for thread in threads:
        thread.start()
    for _ in range(63):
        assert refused.acquire(timeout=60)
    finish.set()
    for thread in threads:
        thread.join()
    assert reached == [1]
    assert len(waits) == 63
    assert all(0 < wait <= 1 for wait in waits)
    assert breaker.state is CircuitState.CLOSED
    assert calls("breaker.stampede") == [1, 1, 0, 63]


def test_of_many_tasks_one_is_the_probe() -> None:
    """The same in an event loop."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 1.0, name="breaker.tasks", clock=clock)
    trip(breaker)
    clock.advance(1)

    @breaker.call
    async def probe() -> str:
        await asyncio.sleep(0)
        return "answer"

    async def stampede() -> list[object]:
        return await asyncio.gather(*(probe() for _ in range(20)), return_exceptions=True)

    answers = asyncio.run(stampede())
    assert answers[0] == "answer"
    assert all(isinstance(answer, CircuitOpenError) for answer in answers[1:])


def test_a_coroutine_counts_when_it_ends_not_when_it_is_made() -> None:
    """An await that fails is a failure."""
    breaker = CircuitBreaker(1, name="breaker.await")

    @breaker.call
    async def slow() -> None:
        await asyncio.sleep(0)
        raise ConnectionError

    coroutine = slow()
    assert breaker.stats.success_count == 0
    with pytest.raises(ConnectionError):
        asyncio.run(coroutine)
    assert breaker.state is CircuitState.OPEN


def test_a_cancelled_task_is_ignored() -> None:
    """Cancellation says nothing about the service."""
    breaker = CircuitBreaker(1, name="breaker.cancel")

    @breaker.call
    async def forever() -> None:
        await asyncio.Event().wait()

    async def cancel() -> None:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert breaker.state is CircuitState.CLOSED
    assert calls("breaker.cancel") == [0, 0, 1, 0]


def test_an_answer_from_before_a_reset_changes_nothing() -> None:
    """The decorator's fast path carries the period too."""
    breaker = CircuitBreaker(1, name="breaker.late")
    inside, go_on = threading.Event(), threading.Event()

    @breaker.call
    def slow() -> None:
        inside.set()
        go_on.wait(60)
        raise ConnectionError

    def run() -> None:
        with pytest.raises(ConnectionError):
            slow()

    thread = threading.Thread(target=run)
    thread.start()
    assert inside.wait(60)
    breaker.reset()
    go_on.set()
    thread.join()
    assert breaker.state is CircuitState.CLOSED
    assert calls("breaker.late") == [0, 1, 0, 0]


def test_a_success_that_comes_late_does_not_close() -> None:
    """Begun while closed, ended while open: the circuit stays open."""
    breaker = CircuitBreaker(1, name="breaker.late_success")

    @breaker.call
    def slow() -> None:
        trip(breaker)

    slow()
    assert breaker.state is CircuitState.OPEN
    assert calls("breaker.late_success") == [1, 1, 0, 0]


def test_reset_forgets_failures_and_keeps_counts() -> None:
    """After it the full threshold counts again."""
    breaker = CircuitBreaker(2, name="breaker.reset")
    trip(breaker)
    breaker.reset()
    trip(breaker)
    assert breaker.state is CircuitState.CLOSED
    trip(breaker)
    breaker.reset()
    assert (breaker.state, breaker.stats.failure_count) == (CircuitState.CLOSED, 0)
    assert calls("breaker.reset") == [0, 3, 0, 0]


def test_every_change_of_state_is_an_event() -> None:
    """With old and new state, time, reason and error."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 30.0, name="breaker.events", clock=clock)
    with RecordingObserver() as seen:
        trip(breaker)
        opened_at = clock.now()
        clock.advance(45)
        with breaker:
            pass
    opened, probing, closed = seen.of(Transition)
    assert (opened.old, opened.new, opened.at, opened.retry_after) == ("closed", "open", opened_at, 30.0)
    assert opened.reason == "1 failure"
    assert isinstance(opened.error, ConnectionError)
    assert (probing.old, probing.new, (probing.at - opened_at).total_seconds()) == ("open", "half_open", 30.0)
    assert (closed.old, closed.new, closed.reason) == ("half_open", "closed", "probe succeeded")


def test_a_reset_of_a_circuit_that_was_due_tells_both_changes() -> None:
    """What a scrape showed half-open a moment ago was half-open."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 30.0, name="breaker.reset_due", clock=clock)
    trip(breaker)
    clock.advance(31)
    with RecordingObserver() as seen:
        breaker.reset()
    assert [event.new for event in seen.of(Transition)] == ["half_open", "closed"]


def test_an_observer_may_use_the_breaker_it_is_told_of() -> None:
    """Events are told after the lock is released."""
    breaker = CircuitBreaker(1, name="breaker.reentrant")
    seen = []

    class Resetting(RecordingObserver):
        def __call__(self, event: object) -> None:
            seen.append(breaker.state)
            if event.new == "open":
                breaker.reset()

    with Resetting():
        trip(breaker)
    assert seen == [CircuitState.OPEN, CircuitState.CLOSED]


def test_the_lock_is_not_held_over_the_users_code() -> None:
    """A protected function may call itself."""
    breaker = CircuitBreaker(name="breaker.recursive")

    @breaker.call
    def countdown(n: int) -> int:
        return n and countdown(n - 1)

    assert countdown(50) == 0
    assert calls("breaker.recursive") == [1, 0, 0, 0]


def test_a_with_block_is_a_call() -> None:
    """Its exception comes through; breakers nest, also in themselves, where the outer block alone counts."""
    outer, inner = CircuitBreaker(name="breaker.outer"), CircuitBreaker(name="breaker.inner")
    with pytest.raises(ConnectionError), outer as entered, inner, outer:
        assert entered is outer
        raise ConnectionError
    assert calls("breaker.outer") == [0, 1, 0, 0]
    assert calls("breaker.inner") == [0, 1, 0, 0]


def test_an_async_with_block_is_a_call() -> None:
    """Concurrent tasks do not mix up each other's blocks."""
    breaker = CircuitBreaker(failure_threshold=100, name="breaker.async_with")

    async def block(number: int) -> None:
        async with breaker:
            await asyncio.sleep(0)
            if number % 2:
                raise ConnectionError

    async def all_at_once() -> None:
        await asyncio.gather(*(block(n) for n in range(10)), return_exceptions=True)

    asyncio.run(all_at_once())
    assert calls("breaker.async_with") == [5, 5, 0, 0]


def test_a_refused_block_is_not_entered() -> None:
    """And a refused entry leaves no trace in the enclosing block."""
    outer, inner = CircuitBreaker(name="breaker.around"), CircuitBreaker(1, name="breaker.refusing")
    trip(inner)
    with outer, pytest.raises(CircuitOpenError), inner:
        raise AssertionError
    assert calls("breaker.around") == [1, 0, 0, 0]
    assert calls("breaker.refusing") == [0, 1, 0, 1]


def test_get_breaker_finds_the_newest_of_a_name() -> None:
    """Living ones only."""
    old, new = (CircuitBreaker(name="breaker.twice") for _ in range(2))
    assert get_breaker("breaker.twice") is new
    assert [b for b in breakers() if b.name == "breaker.twice"] == [old, new]


def test_get_breaker_names_what_is_near() -> None:
    """A typing error is seen at once."""
    keep = CircuitBreaker(name="breaker.typing")
    with pytest.raises(KeyError, match=r"no breaker is named 'breaker\.tpying'; near: .*breaker\.typing"):
        get_breaker("breaker.tpying")
    assert keep in breakers()


def test_the_decorator_takes_the_functions_name() -> None:
    """Qualified, so that two classes may have a method of one name."""

    @circuit_breaker()
    def local() -> None:
        """Do nothing."""

    local()
    assert calls(f"{__name__}.test_the_decorator_takes_the_functions_name.<locals>.local") == [1, 0, 0, 0]


def test_the_decorator_works_bare() -> None:
    """Without parentheses it has the defaults."""

    @circuit_breaker
    def bare() -> str:
        return "answer"

    assert bare() == "answer"
    assert get_breaker("test_the_decorator_works_bare.<locals>.bare").state is CircuitState.CLOSED


def test_each_decorated_function_has_its_own_circuit_where_no_name_is_given() -> None:
    """One decorator, used twice, makes two breakers."""
    protect = circuit_breaker(1)

    @protect
    def good() -> str:
        return "answer"

    broken = protect(fail)
    with pytest.raises(ConnectionError):
        broken(ConnectionError())
    assert good() == "answer"
    assert good.breaker is not broken.breaker


def test_functions_under_one_named_decorator_share_its_circuit() -> None:
    """As with a bulkhead or a rate limit; another decorator of the same name has a circuit of its own."""
    protect = circuit_breaker(1, name="breaker.shared")
    good, broken = protect(lambda: "answer"), protect(fail)
    with pytest.raises(ConnectionError):
        broken(ConnectionError())
    with pytest.raises(CircuitOpenError):
        good()
    assert good.breaker is broken.breaker is get_breaker("breaker.shared")
    assert circuit_breaker(1, name="breaker.shared")(lambda: "answer")() == "answer"


def test_threads_that_decorate_at_once_share_one_circuit() -> None:
    """However many begin at the same moment."""
    protect, barrier = circuit_breaker(name="breaker.at_once"), threading.Barrier(8)

    def decorate(_: int) -> object:
        barrier.wait()
        return protect(lambda: None).breaker

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(decorate, range(8)))) == 1


class Account:
    """Has protected methods of each kind."""

    @circuit_breaker(3, name="breaker.method")
    def method(self) -> str:
        """Be called on an instance."""
        return "method"

    @circuit_breaker(3, name="breaker.static")
    @staticmethod
    def static() -> str:
        """Be called on nothing."""
        return "static"

    @circuit_breaker(3, name="breaker.class")
    @classmethod
    def of_class(cls) -> str:
        """Be called on the class."""
        return "class"

    @circuit_breaker(3, name="breaker.items")
    def items(self) -> Iterator[int]:
        """Yield an item."""
        yield 1


def test_a_decorated_function_carries_its_breaker() -> None:
    """Methods of each kind, generators, and under other decorators too."""
    account = Account()
    assert (account.method(), account.static(), account.of_class(), list(account.items())) == (
        "method",
        "static",
        "class",
        [1],
    )
    for found, name in (
        (account.method, "method"),
        (Account.static, "static"),
        (Account.of_class, "class"),
        (account.items, "items"),
        (functools.wraps(Account.method)(lambda: None), "method"),
        (retry_with_backoff()(Account.method), "method"),
    ):
        assert found.breaker is get_breaker(f"breaker.{name}")
        assert found.breaker.stats.success_count == 1
    account.method.breaker.force_open()
    with pytest.raises(CircuitOpenError):
        account.method()
    account.method.breaker.reset()
    assert account.method() == "method"


def test_the_settings_of_the_simple_form_are_attributes() -> None:
    """By the names of the arguments, also after a change."""
    breaker = CircuitBreaker(3, [10, 20], (ConnectionError,), name="breaker.attributes")
    assert breaker.failure_threshold == 3
    assert breaker.recovery_timeout == [10, 20]
    assert breaker.expected_exception == (ConnectionError,)
    breaker.configure(failure_threshold=7)
    assert breaker.failure_threshold == 7


def test_arguments_beside_the_function_are_an_error_that_shows_the_mend() -> None:
    """The seed's way is to protect first, and to call what was protected."""
    breaker = CircuitBreaker(name="breaker.arguments")
    for call in (breaker.call, breaker):
        with pytest.raises(TypeError, match=r"1 argument too many: .* write breaker.call\(func\)\(arguments\)"):
            call(len, "four")


def test_call_works_as_people_write_it() -> None:
    """As decorator, as wrapper called at once, and calling the breaker itself."""
    breaker = CircuitBreaker(name="breaker.call")
    assert breaker.call(lambda x: x + 1)(1) == 2
    assert breaker(lambda x: x + 1)(1) == 2
    assert calls("breaker.call") == [2, 0, 0, 0]


def test_a_breaker_shows_its_name_and_state() -> None:
    """For the debugger."""
    assert repr(CircuitBreaker(name="breaker.repr")) == "<CircuitBreaker 'breaker.repr' closed>"


NONSENSE = [
    ({"failure_threshold": 0}, "failure_threshold must be a whole number of at least 1, not 0"),
    ({"failure_threshold": True}, "failure_threshold"),
    ({"failure_threshold": 2.5}, "failure_threshold"),
    ({"failure_threshold": "5"}, "failure_threshold"),
    ({"recovery_timeout": -1}, "recovery_timeout must be a finite number of seconds, at least 0, not -1"),
    ({"recovery_timeout": float("nan")}, "recovery_timeout"),
    ({"recovery_timeout": float("inf")}, "recovery_timeout"),
    ({"recovery_timeout": None}, "recovery_timeout"),
    ({"expected_exception": "ValueError"}, "expected_exception must be an exception type, a function of the exception"),
    ({"expected_exception": ()}, "expected_exception"),
    ({"expected_exception": (ValueError, int)}, "expected_exception"),
    ({"expected_exception": [ValueError]}, "expected_exception"),
    ({"name": ""}, "name must be a string that is not empty"),
    ({"buckets": ()}, "buckets must be rising finite numbers of seconds"),
    ({"buckets": (1.0, 1.0)}, "buckets"),
    ({"buckets": (1.0, float("inf"))}, "buckets"),
    ({"buckets": 5}, "buckets"),
    ({"tracing": "sometimes"}, "tracing must be 'auto', 'always' or 'off', not 'sometimes'"),
]


@pytest.mark.parametrize(("arguments", "message"), NONSENSE, ids=[str(case[0]) for case in NONSENSE])
@pytest.mark.parametrize("make", [CircuitBreaker, lambda **given: circuit_breaker(**given)(len)])
def test_nonsense_is_one_error_that_names_the_argument(
    make: Callable[..., object], arguments: dict[str, object], message: str
) -> None:
    """For the class and the decorator alike."""
    with pytest.raises(ValueError, match="^" + message.replace("(", r"\(")):
        make(**arguments)


@pytest.mark.parametrize("arguments", [case[0] for case in NONSENSE if "name" not in case[0]])
def test_the_decorator_finds_nonsense_before_it_sees_a_function(arguments: dict[str, object]) -> None:
    """The traceback points to the line with the mistake."""
    with pytest.raises(ValueError):
        circuit_breaker(**arguments)


def test_only_what_can_be_called_can_be_protected() -> None:
    """The message shows what was given."""
    with pytest.raises(TypeError, match="callable can be protected, not 7"):
        CircuitBreaker(name="breaker.seven").call(7)
    with pytest.raises(TypeError, match="callable can be protected, not 'x'"):
        circuit_breaker()("x")


def test_own_buckets_are_used() -> None:
    """Whole numbers become floats."""
    clock = ManualClock()
    breaker = CircuitBreaker(name="breaker.buckets", buckets=(1, 2), clock=clock)
    with breaker:
        clock.advance(1.5)
    reading = BREAKERS.get("breaker.buckets").read()
    assert (reading.bounds, reading.buckets, reading.duration_sum) == ((1.0, 2.0), [0, 1, 0], 1.5)


def test_a_rejected_call_has_no_duration() -> None:
    """The histogram holds calls that were made."""
    breaker = CircuitBreaker(1, name="breaker.no_duration")
    trip(breaker)
    with pytest.raises(CircuitOpenError), breaker:
        pass
    assert sum(BREAKERS.get("breaker.no_duration").read().buckets) == 1


def test_looking_at_a_breaker_changes_nothing() -> None:
    """Reading state, statistics and metrics of a circuit that is due emits no event."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 1.0, name="breaker.looking", clock=clock)
    trip(breaker)
    clock.advance(2)
    with RecordingObserver() as seen:
        assert breaker.state is CircuitState.HALF_OPEN
        assert breaker.stats.state_changes == 2
        reading = BREAKERS.get("breaker.looking").read()
        assert reading.transitions[:3] == [0, 1, 1]
        assert reading.last_transition == (clock.now().timestamp() - 1)
    assert seen.events == []


def test_what_counts_can_be_said_by_a_function() -> None:
    """Where the type of the exception does not tell."""
    breaker = CircuitBreaker(1, 60, lambda error: "outage" in str(error), "breaker.predicate")

    def fail(message: str) -> None:
        raise ConnectionError(message)

    for message, state in (("your fault", CircuitState.CLOSED), ("outage", CircuitState.OPEN)):
        with pytest.raises(ConnectionError):
            breaker.call(fail)(message)
        assert breaker.state is state


def test_a_circuit_can_be_tripped_for_as_long_as_needed() -> None:
    """With a reason of its own; the next opening lasts as configured."""
    clock = ManualClock()
    breaker = CircuitBreaker(1, 10, name="tripped", clock=clock)
    with RecordingObserver() as seen:
        breaker.trip("the key is refused", pause=300, error=ValueError("x"))
        breaker.trip("again", pause=1)
    (event,) = seen.events
    assert (event.old, event.new, event.reason, event.retry_after) == ("closed", "open", "the key is refused", 300)
    clock.advance(299)
    with pytest.raises(CircuitOpenError) as refused:
        breaker.call(lambda: None)()
    assert refused.value.retry_after == 1
    clock.advance(1)
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 / 0)()
    clock.advance(10)
    assert breaker.state is CircuitState.HALF_OPEN
    breaker.trip("once more")
    assert breaker.state is CircuitState.OPEN
    clock.advance(10)
    assert breaker.state is CircuitState.HALF_OPEN


def test_two_decorators_of_one_name_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """They are two circuits, which users mostly do not mean; one decorator on two functions is one."""
    once = circuit_breaker(name="twice.not")
    kept = [once(lambda: None), once(lambda: None)]
    assert not caplog.records
    kept += [circuit_breaker(name="twice")(lambda: None) for _ in range(3)]
    assert [record.name for record in caplog.records] == ["peak_observe.breaker"]
    assert "two decorators of the name 'twice' are two circuits" in caplog.text
    assert len({id(function.breaker) for function in kept}) == 4  # type: ignore[attr-defined] # which decorators add


def test_a_default_name_carries_the_module() -> None:
    """So functions of one name in two modules are two; of the program itself there is no module."""

    def fetch() -> None:
        """Fetch."""

    fetch.__module__, fetch.__qualname__ = "bot.orders", "fetch"
    orders = circuit_breaker(fetch)
    fetch.__module__ = "bot.prices"
    prices = circuit_breaker(fetch)
    fetch.__module__ = "__main__"
    program = circuit_breaker(fetch)
    names = [function.breaker.name for function in (orders, prices, program)]  # type: ignore[attr-defined] # as above
    assert names == ["bot.orders.fetch", "bot.prices.fetch", "fetch"]
    assert get_breaker("orders.fetch") is orders.breaker  # type: ignore[attr-defined] # as above
    assert get_breaker("fetch") is program.breaker  # type: ignore[attr-defined] # as above


def test_a_module_may_be_left_out_where_that_is_clear() -> None:
    """Two that end alike are not; the message names both."""

    def fetch_alike() -> None:
        """Fetch."""

    fetch_alike.__qualname__, kept = "fetch_alike", []
    for module in ("bot.a", "bot.b"):
        fetch_alike.__module__ = module
        kept.append(circuit_breaker(fetch_alike))
        if module == "bot.a":
            assert get_breaker("fetch_alike").name == "bot.a.fetch_alike"
    with pytest.raises(KeyError, match="no breaker is named 'fetch_alike'"):
        get_breaker("fetch_alike")
