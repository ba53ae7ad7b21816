"""A call inside a call of the same circuit belongs to it: it passes and is counted once."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import pytest

from peak_observe import CircuitBreaker, CircuitOpenError, CircuitState, Policy, circuit_breaker, retry_with_backoff
from peak_observe.testing import ManualClock


class Service:
    """Two functions behind one circuit, of which one calls the other.

    Args:
        protect: What both are decorated with.
    """

    def __init__(self, protect: Callable) -> None:
        self.down = False
        self.calls = 0
        self.request = protect(self.ask)
        self.async_request = protect(self.async_ask)
        self.balance = protect(partial(self._follow))
        self.items = protect(self.stream)
        self.async_items = protect(self.async_stream)

        @protect
        async def async_balance() -> int:
            return await self.async_request()

        self.async_balance = async_balance

    def _follow(self) -> int:
        return self.request()

    def ask(self) -> int:
        """Answer, unless the service is down."""
        self.calls += 1
        if self.down:
            raise ConnectionError
        return self.calls

    async def async_ask(self) -> int:
        """Do the same as a coroutine."""
        await asyncio.sleep(0)
        return self.ask()

    def stream(self) -> Iterator[int]:
        """Yield two answers."""
        yield self.request()
        yield self.request()

    async def async_stream(self) -> AsyncIterator[int]:
        """Do the same."""
        yield await self.async_request()
        yield self.request()


WAYS: dict[str, Callable[[Service], object]] = {
    "function": lambda service: service.balance(),
    "coroutine": lambda service: asyncio.run(service.async_balance()),
    "generator": lambda service: list(service.items()),
    "async generator": lambda service: asyncio.run(consumed(service.async_items())),
}


async def consumed(items: AsyncIterator[int]) -> list[int]:
    """Return what an async generator yields."""
    return [item async for item in items]


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


def kinds(clock: ManualClock) -> dict[str, tuple[CircuitBreaker, Callable]]:
    """Return each way of putting one circuit on several functions."""
    breaker = CircuitBreaker(2, 30, name="nested.call", clock=clock)
    part = CircuitBreaker(2, 30, name="nested.policy", clock=clock)
    named = circuit_breaker(2, 30, name="nested.named", clock=clock)
    retried = CircuitBreaker(2, 30, name="nested.retried", clock=clock)
    policy = Policy(retried, retry_with_backoff(1, 0, clock=clock))
    return {
        "call": (breaker, breaker.call),
        "decorator": (named(len).breaker, named),
        "policy": (part, Policy(part)),
        "with a retry": (retried, policy),
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["call", "decorator", "policy", "with a retry"])
def test_a_probe_takes_the_calls_inside_along(kind: str, way: str, clock: ManualClock) -> None:
    """A circuit whose functions call each other closes again."""
    breaker, protect = kinds(clock)[kind]
    service = Service(protect)
    breaker.trip("test")
    clock.advance(30)
    WAYS[way](service)
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.succeeded, snapshot.rejected) == (CircuitState.CLOSED, 1, 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["call", "decorator", "policy", "with a retry"])
def test_a_call_is_counted_once(kind: str, way: str, clock: ManualClock) -> None:
    """One failure is one failure, and one success is one."""
    breaker, protect = kinds(clock)[kind]
    service = Service(protect)
    WAYS[way](service)
    service.down = True
    with pytest.raises(ConnectionError):
        WAYS[way](service)
    snapshot = breaker.snapshot()
    assert (snapshot.state, snapshot.succeeded, snapshot.failed) == (CircuitState.CLOSED, 1, 1)
    service.down = False
    service.request()
    assert breaker.snapshot().succeeded == 2


def test_a_block_takes_the_calls_inside_along(clock: ManualClock) -> None:
    """`with breaker` around protected functions, and blocks inside blocks."""
    breaker = CircuitBreaker(2, 30, name="nested.blocks", clock=clock)
    service = Service(breaker.call)

    async def main() -> None:
        async with breaker, breaker:
            await service.async_balance()
            service.balance()

    for number in (1, 2):
        breaker.trip("test")
        clock.advance(30)
        if number == 1:
            asyncio.run(main())
        else:
            with breaker:
                service.balance()
        assert (breaker.state, breaker.snapshot().succeeded) == (CircuitState.CLOSED, number)


def test_an_outer_call_that_copes_is_a_success(clock: ManualClock) -> None:
    """The outer call alone is judged."""
    breaker = CircuitBreaker(1, 30, name="nested.copes", clock=clock)
    service = Service(breaker.call)
    service.down = True

    @breaker.call
    def cached() -> int:
        try:
            return service.request()
        except ConnectionError:
            return 7

    assert cached() == 7
    assert (breaker.state, breaker.stats.success_count, breaker.stats.failure_count) == (CircuitState.CLOSED, 1, 0)


def test_a_function_that_calls_itself_is_one_call(clock: ManualClock) -> None:
    """Pages that are fetched one after the other, also under other decorators and in partials."""
    breaker = CircuitBreaker(2, 30, name="nested.recursive", clock=clock)

    def fetch(page: int) -> int:
        return page and partial(protected, page - 1)()

    protected = breaker.call(partial(fetch))

    @breaker.call
    @retry_with_backoff(2, 0, clock=clock)
    async def pages(page: int) -> int:
        return page and await pages(page - 1)

    protected(3)
    asyncio.run(pages(3))
    assert breaker.stats.success_count == 2


def test_tasks_and_threads_are_inside_while_the_call_is_under_way(clock: ManualClock) -> None:
    """`gather`, `wait_for` and `to_thread` in a probe; what outlives it is on its own."""
    breaker = CircuitBreaker(1, 30, name="nested.tasks", clock=clock)
    service = Service(breaker.call)
    refused: list[CircuitOpenError] = []

    async def reader(go_on: asyncio.Event) -> None:
        await go_on.wait()
        try:
            await service.async_request()
        except CircuitOpenError as error:
            refused.append(error)

    @breaker.call
    async def connect(go_on: asyncio.Event) -> asyncio.Task:
        await asyncio.gather(service.async_request(), service.async_balance())
        await asyncio.wait_for(service.async_request(), 60)
        await asyncio.to_thread(service.request)
        return asyncio.create_task(reader(go_on))

    async def main() -> None:
        go_on = asyncio.Event()
        task = await connect(go_on)
        assert breaker.snapshot()[:3][2] is CircuitState.CLOSED
        breaker.trip("test")
        go_on.set()
        await task

    breaker.trip("test")
    clock.advance(30)
    asyncio.run(main())
    assert (breaker.snapshot().succeeded, len(refused)) == (1, 1)


def test_threads_of_their_own_are_not_inside(clock: ManualClock) -> None:
    """They do not know of the call, and may outlive it."""
    breaker = CircuitBreaker(1, 30, name="nested.threads", clock=clock)
    service = Service(breaker.call)
    with breaker:
        thread = threading.Thread(target=service.request)
        thread.start()
        thread.join()
    assert breaker.stats.success_count == 2


def test_a_circuit_inside_another_is_its_own(clock: ManualClock) -> None:
    """Only the same circuit is nested."""
    outer, inner = (CircuitBreaker(1, 30, name=f"nested.{name}", clock=clock) for name in ("outer", "inner"))
    service = Service(inner.call)
    outer.call(service.balance)()
    assert (outer.stats.success_count, inner.stats.success_count) == (1, 1)


def test_a_circuit_that_is_forced_open_refuses_inside_too(clock: ManualClock) -> None:
    """It is the switch for emergencies."""
    breaker = CircuitBreaker(1, 30, name="nested.forced", clock=clock)
    service = Service(breaker.call)
    with breaker:
        breaker.force_open()
        with pytest.raises(CircuitOpenError):
            service.request()


def test_a_consumer_is_not_inside_the_stream_that_it_reads(clock: ManualClock) -> None:
    """It runs while the generator waits."""
    breaker = CircuitBreaker(5, 30, name="nested.consumer", clock=clock)
    service = Service(breaker.call)
    stream = service.items()
    next(stream)
    service.request()
    assert breaker.stats.success_count == 1
    del stream
    gc.collect()
    service.request()
    assert breaker.stats.success_count == 2


def test_a_block_in_a_generator_does_not_take_in_its_consumer(clock: ManualClock) -> None:
    """Nor its own calls for ever, if it is never finished."""
    breaker = CircuitBreaker(5, 30, name="nested.block_in_generator", clock=clock)
    service = Service(breaker.call)

    def items() -> Iterator[int]:
        with breaker:
            while True:
                yield service.request()

    stream = items()
    next(stream)
    assert breaker.stats.success_count == 0
    service.request()
    assert breaker.stats.success_count == 1
    stream.close()


class Pages:
    """Service whose protected method asks for itself again through another one.

    Args:
        protect: What it is decorated with.
    """

    def __init__(self, protect: Callable) -> None:
        self.get = protect(self.fetch)
        self.async_get = protect(self.async_fetch)

    def fetch(self, depth: int) -> int:
        """Ask for the next page, of which the last is not there."""
        return self.turn(depth)

    def turn(self, depth: int) -> int:
        """Do so."""
        if depth:
            return self.get(depth - 1)
        raise ConnectionError

    async def async_fetch(self, depth: int) -> int:
        """Do the same as a coroutine."""
        return await self.async_turn(depth)

    async def async_turn(self, depth: int) -> int:
        """Do so."""
        await asyncio.sleep(0)
        return await self.async_get(depth - 1) if depth else self.turn(0)


@pytest.mark.parametrize("kind", ["call", "decorator", "policy", "with a retry"])
@pytest.mark.parametrize("ways", [("sync", "sync"), ("async", "async"), ("sync", "async")])
def test_a_function_that_calls_itself_through_others_fails_once(
    kind: str, ways: tuple[str, ...], clock: ManualClock
) -> None:
    """However deep, and as often as it is called."""
    breaker, protect = kinds(clock)[kind]
    breaker.configure(failure_threshold=9)
    pages = Pages(protect)
    for number, way in enumerate(ways, 1):
        with pytest.raises(ConnectionError):
            pages.get(3) if way == "sync" else asyncio.run(pages.async_get(3))
        assert breaker.snapshot().failed == number


def test_a_callback_that_comes_back_belongs_to_its_call(clock: ManualClock) -> None:
    """A function that is handed what to call does not mention itself."""
    breaker = CircuitBreaker(2, 30, name="nested.callback", clock=clock)

    @breaker
    def request(func: Callable[[], object]) -> object:
        return func()

    with pytest.raises(ZeroDivisionError):
        request(lambda: request(lambda: 1 / 0))
    assert breaker.stats.failure_count == 1
    request(lambda: request(dict))
    assert breaker.stats.success_count == 1


def test_a_failure_in_another_circuit_is_its_own(clock: ManualClock) -> None:
    """The frames below a call are looked through for its own circuit alone."""
    inner = CircuitBreaker(9, 30, name="nested.inner", clock=clock)
    outer = CircuitBreaker(9, 30, name="nested.outer", clock=clock)
    with pytest.raises(ZeroDivisionError):
        outer.call(inner.call(lambda: 1 / 0))()
    assert (inner.stats.failure_count, outer.stats.failure_count) == (1, 1)
