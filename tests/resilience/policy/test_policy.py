"""A policy is one decorator of several parts: what it shares, how it nests, what it refuses."""

import asyncio
import functools
import pickle
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from peak_observe import (
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    Policy,
    RateLimitedError,
    bulkhead,
    circuit_breaker,
    get_breaker,
    rate_limit,
    retry_with_backoff,
    timeout,
)
from peak_observe.measures import BREAKERS, BULKHEADS, LIMITERS, RETRIES, TIMEOUTS
from peak_observe.resilience.common.deadlines import remaining
from peak_observe.testing import ManualClock

NUMBERS = count()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"policies.{next(NUMBERS)}"


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


def fail() -> None:
    """Fail."""
    raise ConnectionError("lost")


def test_the_first_part_is_the_outermost(name: str, clock: ManualClock) -> None:
    """Breaker outside: one failed operation is one failure, whatever its attempts."""
    outside = Policy(circuit_breaker(5), retry_with_backoff(3, clock=clock), name=f"{name}.outside")
    inside = Policy(retry_with_backoff(3, clock=clock), circuit_breaker(5), name=f"{name}.inside")
    for policy in (outside, inside):
        with pytest.raises(ConnectionError):
            policy(fail)()
    assert BREAKERS.get(f"{name}.outside").read().calls == [0, 1, 0, 0]
    assert BREAKERS.get(f"{name}.inside").read().calls == [0, 3, 0, 0]


def test_every_part_works_in_its_place(name: str) -> None:
    """A call passes all of them, and each counts it under the name of the policy."""
    policy = Policy(
        bulkhead(2),
        circuit_breaker(3),
        retry_with_backoff(2),
        rate_limit(1000, burst=9),
        timeout(30),
        name=name,
        deadline=60,
    )

    @policy
    async def work() -> float:
        return remaining()

    assert 0 < asyncio.run(work()) <= 30
    tables = (BULKHEADS, BREAKERS, RETRIES, LIMITERS, TIMEOUTS)
    assert [table.get(name).read().calls[0] for table in tables] == [1] * 5


def test_functions_share_the_circuit_the_places_and_the_rate(name: str) -> None:
    """What a service has once; and what they are called is the policy's name."""
    policy = Policy(bulkhead(1), circuit_breaker(1), name=name)

    @policy
    def first() -> None:
        with ThreadPoolExecutor(1) as thread, pytest.raises(BulkheadFullError):
            thread.submit(second).result()  # a call of its own, as it is in another thread
        fail()

    @policy
    def second() -> None:
        pytest.fail("there is no place, or the circuit is open")

    with pytest.raises(ConnectionError):
        first()
    with pytest.raises(CircuitOpenError, match=name):
        second()
    policy = Policy(rate_limit(0.001))
    one, other = policy(lambda: None), policy(lambda: None)
    one()
    with pytest.raises(RateLimitedError):
        other()


def test_retries_and_timeouts_are_each_functions_own() -> None:
    """Without a name they are called after the function; the circuit after the first one."""
    policy = Policy(circuit_breaker(), retry_with_backoff(), timeout(30))

    async def fetch_first() -> None:
        pass

    async def fetch_second() -> None:
        pass

    for func in (fetch_first, fetch_second):
        asyncio.run(policy(func)())
        assert RETRIES.get(f"{__name__}.{func.__qualname__}").read().calls[0] == 1
        assert TIMEOUTS.get(f"{__name__}.{func.__qualname__}").read().calls[0] == 1
    assert BREAKERS.get(f"{__name__}.{fetch_first.__qualname__}").read().calls[0] == 2
    assert BREAKERS.get(f"{__name__}.{fetch_second.__qualname__}") is None


def test_parts_with_a_name_keep_it(name: str) -> None:
    """And a breaker that exists is used as it is."""
    breaker = CircuitBreaker(1, name=f"{name}.mine")
    policy = Policy(bulkhead(1, name=f"{name}.places"), breaker, retry_with_backoff(1, name=f"{name}.retry"), name=name)
    with pytest.raises(ConnectionError):
        policy(fail)()
    assert breaker.state.value == "open"
    assert BULKHEADS.get(f"{name}.places").read().calls[0] == 1
    assert RETRIES.get(f"{name}.retry").read().calls[2] == 1
    assert (BULKHEADS.get(name), RETRIES.get(name)) == (None, None)


def test_policies_nest_and_share_what_is_inside(name: str) -> None:
    """Two that have one as a part share its circuit, and the order of all parts is checked."""
    service = Policy(circuit_breaker(1), rate_limit(1000, burst=9), name=name)
    reads, writes = Policy(retry_with_backoff(1), service), Policy(bulkhead(1), service)
    assert repr(reads) == "<Policy (retry, circuit_breaker, rate_limit)>"
    with pytest.raises(ConnectionError):
        reads(fail)()
    with pytest.raises(CircuitOpenError, match=name):
        writes(lambda: None)()
    with pytest.raises(ValueError, match="rate_limit stands outside retry"):
        Policy(service, retry_with_backoff())


def test_a_wrong_order_can_be_insisted_on(name: str, clock: ManualClock) -> None:
    """Then only the first attempt takes a turn."""
    parts = rate_limit(1, clock=clock), retry_with_backoff(3, clock=clock)
    with pytest.raises(ValueError, match="rate_limit stands outside retry"):
        Policy(*parts)
    with pytest.raises(ConnectionError):
        Policy(*parts, name=name, order="as_given")(fail)()
    assert (LIMITERS.get(name).read().calls[0], RETRIES.get(name).read().retries) == (1, 2)


def test_a_deadline_holds_for_functions_and_coroutines_and_ends_with_them(clock: ManualClock) -> None:
    """A lambda's coroutine has it when it is awaited."""
    policy = Policy(deadline=5, clock=clock)

    async def look(turns: int = 1) -> float:
        for _ in range(turns):
            await asyncio.sleep(0)
        return remaining()

    assert policy(remaining)() == 5
    assert asyncio.run(policy(look)()) == 5
    assert asyncio.run(policy(lambda: look(2))()) == 5
    assert remaining() is None


def test_a_deadline_of_a_generator_is_one_for_all_its_steps(clock: ManualClock) -> None:
    """From its first item on; its consumer has none of it."""
    policy = Policy(deadline=5, clock=clock)

    @policy
    def items() -> Iterator[float]:
        for _ in range(3):
            yield remaining()

    @policy
    async def items_async() -> AsyncIterator[float]:
        for _ in range(3):
            yield remaining()

    def consume() -> Iterator[float]:
        for item in items():
            assert remaining() is None
            clock.advance(3)
            yield item

    async def consume_async() -> list[float]:
        found = []
        async for item in items_async():
            assert remaining() is None
            clock.advance(3)
            found.append(item)
        return found

    assert list(consume()) == pytest.approx([5, 2, 0])
    assert asyncio.run(consume_async()) == pytest.approx([5, 2, 0])


def test_a_deadline_ends_the_waits_inside(name: str, clock: ManualClock) -> None:
    """A turn that comes too late is not waited for."""
    policy = Policy(rate_limit(1, wait=60, clock=clock), name=name, deadline=0.5, clock=clock)
    work = policy(lambda: None)
    work()
    with pytest.raises(TimeoutError, match="beyond the deadline"):
        work()
    assert clock.sleeps == []


def test_refusals_of_our_own_limits_do_not_open_a_circuit(name: str) -> None:
    """They say nothing about the service."""
    policy = Policy(circuit_breaker(1), rate_limit(0.001), name=name)
    work = policy(lambda: None)
    work()
    for _ in range(3):
        with pytest.raises(RateLimitedError):
            work()
    assert get_breaker(name).state.value == "closed"
    assert BREAKERS.get(name).read().calls == [1, 0, 3, 0]


def test_a_service_that_hangs_opens_the_circuit(name: str) -> None:
    """Each attempt has its time, and the operation is one failure."""
    policy = Policy(circuit_breaker(1), retry_with_backoff(2, 0), timeout(0.01), name=name)

    @policy
    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(CallTimeoutError):
        asyncio.run(hang())
    assert TIMEOUTS.get(name).read().calls == [0, 2, 0]
    assert get_breaker(name).state.value == "open"


def test_it_takes_methods_partials_and_classmethods_and_shows_what_it_wraps(name: str) -> None:
    """As each of its parts does."""
    policy = Policy(circuit_breaker(), retry_with_backoff(), bulkhead(3), name=name)

    class Client:
        @policy
        def fetch(self, symbol: str) -> str:
            return symbol

        @policy
        @classmethod
        def make(cls) -> str:
            return cls.__name__

    assert (Client().fetch("BTC"), Client.make()) == ("BTC", "Client")
    assert policy.call(functools.partial(Client().fetch, "ETH"))() == "ETH"
    assert policy(fail).__wrapped__ is fail


def test_a_timeout_refuses_plain_functions_in_a_policy_too() -> None:
    """With the same words."""
    with pytest.raises(TypeError, match="timeout cannot interrupt fail"):
        Policy(circuit_breaker(), timeout(1))(fail)


@pytest.mark.parametrize(
    ("parts", "settings", "message"),
    [
        ((), {}, "a policy needs a part"),
        ((circuit_breaker,), {}, "cannot be part of a policy: there are .* each with parentheses"),
        ((functools.lru_cache,), {}, "cannot be part of a policy"),
        ((circuit_breaker(),), {"order": "random"}, "order must be 'checked' or 'as_given', not 'random'"),
        ((circuit_breaker(),), {"deadline": 0}, "deadline must be more than 0 seconds"),
        ((circuit_breaker(),), {"deadline": "5"}, "deadline must be a finite number of seconds"),
    ],
)
def test_nonsense_is_refused(parts: tuple, settings: dict, message: str) -> None:
    """With one error that says what is there."""
    with pytest.raises(ValueError, match=message):
        Policy(*parts, **settings)


def test_what_cannot_be_called_cannot_be_protected() -> None:
    """As by any of the decorators."""
    with pytest.raises(TypeError, match="only something callable"):
        Policy(circuit_breaker())(42)


def test_it_refuses_to_be_pickled(name: str) -> None:
    """Its state is this process's."""
    with pytest.raises(TypeError, match="cannot be sent to another"):
        pickle.dumps(Policy(circuit_breaker(), name=name))


def test_what_hangs_is_retried_whatever_is_expected(name: str) -> None:
    """The timeout stands inside the retry so that it may try again, and inside the circuit so that it counts."""
    attempts = count(1)
    policy = Policy(
        circuit_breaker(1, expected_exception=ConnectionError),
        retry_with_backoff(3, 0, expected_exception=ConnectionError),
        timeout(0.02),
        name=name,
    )

    @policy
    async def hangs(times: int) -> int:
        number = next(attempts)
        if number <= times:
            await asyncio.sleep(60)
        return number

    assert asyncio.run(hangs(2)) == 3
    with pytest.raises(CallTimeoutError):
        asyncio.run(hangs(60))
    assert BREAKERS.get(name).read().calls[:2] == [1, 1]


def test_a_timeout_of_somebody_else_is_judged_as_any_error(name: str) -> None:
    """What is expected says whether it is retried."""
    attempts = count(1)

    @timeout(0.01)
    async def other() -> None:
        await asyncio.sleep(60)

    @Policy(retry_with_backoff(3, 0, expected_exception=ConnectionError), timeout(5), name=name)
    async def call() -> None:
        next(attempts)
        await other()

    with pytest.raises(CallTimeoutError):
        asyncio.run(call())
    assert next(attempts) == 2


def test_an_open_circuit_inside_is_no_failure_of_the_one_outside(name: str, clock: ManualClock) -> None:
    """The call was not made; who names CircuitOpenError has it counted."""
    inner = CircuitBreaker(1, name=f"{name}.inner", clock=clock)
    outer = CircuitBreaker(1, name=name, clock=clock)
    strict = CircuitBreaker(1, 60, (CircuitOpenError,), name=f"{name}.strict", clock=clock)
    inner.trip("test")
    for breaker, state in ((outer, CircuitState.CLOSED), (strict, CircuitState.OPEN)):
        with pytest.raises(CircuitOpenError):
            breaker.call(inner.call(lambda: None))()
        assert breaker.state is state
    assert outer.snapshot().ignored == 1


def test_the_policy_of_the_documents_retries_what_hangs(name: str) -> None:
    """The parts of the first example of docs/policies.md, with times that a test can wait for."""
    calls = count(1)

    @Policy(
        bulkhead(8, wait=2.0),
        circuit_breaker(failure_threshold=5, recovery_timeout=30),
        retry_with_backoff(max_attempts=3, base_delay=0.001, expected_exception=ConnectionError),
        rate_limit(100, per=1, burst=5, wait=10.0),
        timeout(0.02),
        name=name,
        deadline=20.0,
    )
    async def fetch_price(symbol: str) -> str:
        if next(calls) < 3:
            await asyncio.sleep(60)
        return symbol

    assert asyncio.run(fetch_price("BTC/USD")) == "BTC/USD"
    assert next(calls) == 4
    assert BREAKERS.get(name).read().calls[:2] == [1, 0]
