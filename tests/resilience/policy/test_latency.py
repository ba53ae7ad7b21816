"""A timed function leaves its latency, and nothing else about it changes."""

import asyncio
import gc
import inspect
import os
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest
from opentelemetry.sdk.trace import TracerProvider

from peak_observe import Policy, catalog, circuit_breaker, timed
from peak_observe.measures import BREAKERS, TIMED
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock

NUMBERS = count()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"latency.{next(NUMBERS)}"


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands still."""
    return ManualClock()


def read(name: str) -> tuple[int, float]:
    """Return how many calls were recorded, and the sum of their seconds."""
    found = TIMED.get(name).read()
    return sum(found.buckets), found.duration_sum


def test_calls_are_recorded_whatever_their_outcome(name: str, clock: ManualClock) -> None:
    """Result and exception pass unchanged."""

    @timed(name, clock=clock)
    def work(error: Exception | None = None) -> str:
        clock.advance(2)
        if error:
            raise error
        return "done"

    lost = ConnectionError("lost")
    assert work() == "done"
    with pytest.raises(ConnectionError) as found:
        work(lost)
    assert found.value is lost
    assert read(name) == (2, 4.0)
    assert TIMED.get(name).read().buckets[catalog.BUCKETS.index(2.5)] == 2


def test_coroutines_are_recorded_when_they_have_ended(name: str, clock: ManualClock) -> None:
    """Also a cancelled one, and one that a plain function returns."""

    async def sleep(seconds: float) -> float:
        await clock.async_sleep(seconds)
        return seconds

    async def hang() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        assert await timed(name, clock=clock)(sleep)(3) == 3
        assert await timed(name, clock=clock)(lambda: sleep(4))() == 4
        task = asyncio.create_task(timed(name, clock=clock)(hang)())
        await asyncio.sleep(0)
        clock.advance(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert read(name) == (3, 12.0)


def test_of_a_generator_the_time_inside_counts(name: str, clock: ManualClock) -> None:
    """However long its consumer takes, and also where it is left early."""

    @timed(name, clock=clock)
    def items() -> Iterator[int]:
        for item in range(3):
            clock.advance(1)
            yield item

    for _ in items():
        clock.advance(100)
    next(items())
    gc.collect()
    assert read(name) == (2, 4.0)


def test_of_an_async_generator_too(name: str, clock: ManualClock) -> None:
    """The same in coroutines."""

    @timed(name, clock=clock)
    async def items() -> AsyncIterator[int]:
        for item in range(3):
            await clock.async_sleep(1)
            yield item

    async def main() -> list[int]:
        found = []
        async for item in items():
            clock.advance(100)
            found.append(item)
        return found

    assert asyncio.run(main()) == [0, 1, 2]
    assert read(name) == (1, 3.0)


def test_a_name_is_the_functions_own_if_none_is_given() -> None:
    """And functions of one name add up, also those that are gone."""

    @timed()
    def first() -> None:
        pass

    first()
    assert read(f"{__name__}.{first.__qualname__}")[0] == 1
    for _ in range(2):
        timed("latency.shared")(lambda: None)()
    gc.collect()
    assert read("latency.shared")[0] == 2


def test_signatures_and_methods_stay(name: str) -> None:
    """It looks like the function that it times."""

    class Client:
        @timed(name)
        def fetch(self, symbol: str) -> str:
            return symbol

        @timed(name)
        @staticmethod
        def ping() -> str:
            return "pong"

    assert str(inspect.signature(Client.fetch)) == "(self, symbol: str) -> str"
    assert (Client().fetch("x"), Client.ping(), read(name)[0]) == ("x", "pong", 2)


def test_it_is_part_of_a_policy_wherever_it_stands(name: str, clock: ManualClock) -> None:
    """Under the name of the policy."""
    for order in ((timed(clock=clock), circuit_breaker()), (circuit_breaker(), timed(clock=clock))):
        Policy(*order, name=name)(lambda: clock.advance(1))()
    assert read(name) == (2, 2.0)
    assert BREAKERS.get(name).read().calls[0] == 2


def test_a_call_inside_a_sampled_span_leaves_its_trace(name: str) -> None:
    """As exemplar of its bucket, in the OpenMetrics format."""
    work = timed(name)(lambda: None)
    work()
    with TracerProvider().get_tracer("test").start_as_current_span("outer") as span:
        work()
    trace = f"{span.get_span_context().trace_id:032x}"
    [line] = [line for line in Renderer().render(openmetrics=True).decode().split("\n") if trace in line]
    assert line.startswith(f'peak_timed_call_duration_seconds_bucket{{call="{name}",le="0.005"}} 2.0 # ')
    assert read(name)[0] == 2


def test_thousands_of_calls_are_folded(name: str) -> None:
    """None is lost, and none is kept apart."""
    work = timed(name)(lambda: None)
    for _ in range(2000):
        work()
    assert len(work._peak_timed._recorder._counts.pending) < 512
    assert read(name)[0] == 2000


def test_a_forked_child_goes_on(name: str) -> None:
    """Also where another thread held the lock."""
    work = timed(name)(lambda: None)
    with work._peak_timed._recorder._lock:
        pid = os.fork()
        if not pid:
            work()
            os._exit(0 if read(name)[0] == 1 else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_arguments_are_checked() -> None:
    """In words that name the mend."""
    with pytest.raises(ValueError, match=r"write @timed\(\) or @timed\('name'\)"):
        timed(len)
    with pytest.raises(ValueError, match="name must be a string"):
        timed("")
    with pytest.raises(ValueError, match="buckets must be rising"):
        timed("x", buckets=(2, 1))
    with pytest.raises(TypeError, match="did you mean buckets"):
        timed("x", bucket=(1,))
