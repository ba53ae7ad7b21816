"""One wrapper of breaker and retry does in every case what the two would do, one inside the other."""

import asyncio
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import CircuitOpenError, GaveUp, Policy, circuit_breaker, retry_with_backoff
from peak_observe.measures import BREAKERS, RETRIES
from peak_observe.testing import ManualClock, RecordingObserver

NUMBERS = itertools.count()
KINDS = ("function", "coroutine", "lambda")
# What an attempt does, and how long it takes; or a pause of the caller before the next call.
ATTEMPTS = st.lists(st.sampled_from(["works", "fails", "is refused", "is cancelled"]), max_size=30)
PAUSES = st.lists(st.sampled_from([0.0, 1.0, 100.0]), min_size=12, max_size=12)


def script(kind: str, attempts: list[str], clock: ManualClock) -> Callable[[], object]:
    """Return a function whose attempts go as written, and then well."""
    left = iter(attempts)

    def attempt() -> str:
        clock.advance(0.01)
        how = next(left, "works")
        if how == "fails":
            raise ConnectionError("lost")
        if how == "is refused":
            raise KeyError("no such symbol")
        if how == "is cancelled":
            raise asyncio.CancelledError
        return how

    async def later(turns: int = 1) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        return attempt()

    return {"function": attempt, "coroutine": later, "lambda": lambda: later(0)}[kind]


def history(kind: str, attempts: list[str], pauses: list[float], *, fused: bool) -> tuple[object, ...]:
    """Return all that can be seen of some calls: results, counts, states, sleeps and events."""
    clock, name = ManualClock(), f"fused.{next(NUMBERS) % 400}.{fused}"
    before = [table.get(name).read() if table.get(name) else None for table in (BREAKERS, RETRIES)]
    circuit = circuit_breaker(2, 50, (ConnectionError,), name, clock=clock)
    retry = retry_with_backoff(2, 1, expected_exception=ConnectionError, name=name, clock=clock)
    func = script(kind, attempts, clock)
    protected = Policy(circuit, retry)(func) if fused else circuit(retry(func))
    results = []
    with RecordingObserver() as seen:
        for pause in pauses:
            clock.advance(pause)
            try:
                results.append(protected() if kind == "function" else asyncio.run(protected()))
            except (ConnectionError, KeyError, CircuitOpenError, asyncio.CancelledError) as error:
                results.append((type(error), getattr(error, "retry_after", error.args)))
    breaker, retries = BREAKERS.get(name).read(), RETRIES.get(name).read()
    counts = [
        [a - b for a, b in zip(now.calls, then.calls, strict=True)] if then else now.calls
        for now, then in zip((breaker, retries), before, strict=True)
    ]
    events = [type(event).__name__ for event in seen.events]
    return results, counts, breaker.state, clock.sleeps, events, clock.monotonic()


@given(kind=st.sampled_from(KINDS), attempts=ATTEMPTS, pauses=PAUSES)
def test_it_cannot_be_told_from_the_two(kind: str, attempts: list[str], pauses: list[float]) -> None:
    """By results, counts, states, delays, events and time."""
    assert history(kind, attempts, pauses, fused=True) == history(kind, attempts, pauses, fused=False)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_all_went_well_is_one_call(asynchronous: bool) -> None:
    """No wrapper stands inside the wrapper."""
    depths = []

    def depth() -> None:
        import inspect

        depths.append(len(inspect.stack(0)))

    async def async_depth() -> None:
        depth()

    async def main(func: Callable[[], object]) -> None:
        await func()

    policy = Policy(circuit_breaker(), retry_with_backoff(), name="fused.depth")
    for func in (async_depth, policy(async_depth)) if asynchronous else (depth, policy(depth)):
        asyncio.run(main(func)) if asynchronous else func()
    assert depths[1] - depths[0] == 1


def test_ctrl_c_between_a_failure_and_its_retry_ends_the_call() -> None:
    """The circuit counts it as it ended: in a way that says nothing."""

    class Interrupted(ManualClock):
        armed = False

        def monotonic(self) -> float:
            if self.armed:
                raise KeyboardInterrupt
            return super().monotonic()

    clock, name = Interrupted(), "fused.interrupted"

    def fail() -> None:
        clock.armed = True
        raise ConnectionError

    with pytest.raises(KeyboardInterrupt):
        Policy(circuit_breaker(5), retry_with_backoff(1, clock=clock), name=name)(fail)()
    assert BREAKERS.get(name).read().calls == [0, 0, 1, 0]


def test_successes_without_end_are_sorted_in_batches() -> None:
    """No memory grows with the calls, sync or async; a success after a failure is not lost."""
    name = "fused.batches"
    policy = Policy(circuit_breaker(5, name=name), retry_with_backoff(1, name=name))
    results = itertools.chain([True], itertools.repeat(False))

    def work() -> None:
        if next(results):
            raise ConnectionError

    async def async_work() -> None:
        work()

    sync, asynchronous = policy(work), policy(async_work)

    async def main() -> None:
        for _ in range(1500):
            await asynchronous()

    with pytest.raises(ConnectionError):
        sync()
    for _ in range(1500):
        sync()
    asyncio.run(main())
    assert BREAKERS.get(name).read().calls == [3000, 1, 0, 0]
    assert RETRIES.get(name).read().calls[0] == 3000


def test_parts_with_clocks_of_their_own_count_by_them() -> None:
    """A retry does not take the seconds of the breaker for its own."""
    breaker_time, retry_time = ManualClock(), ManualClock()
    breaker_time.advance(1000)
    policy = Policy(circuit_breaker(clock=breaker_time), retry_with_backoff(1, clock=retry_time), name="fused.clocks")

    @policy
    def fails() -> None:
        retry_time.advance(2)
        raise ConnectionError("lost")

    with RecordingObserver() as seen, pytest.raises(ConnectionError):
        fails()
    (gave_up,) = seen.of(GaveUp)
    assert gave_up.elapsed == 2
