"""One wrapper of breaker and retry does in every case what the two would do, one inside the other."""

import asyncio
import itertools
from collections.abc import Callable, Generator
from concurrent.futures import Future
from functools import partial, wraps

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import CircuitBreaker, CircuitOpenError, GaveUp, Policy, bulkhead, circuit_breaker, retry_with_backoff
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
    protected = circuit(retry(func) if fused else partial(retry(func)))
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


def by_decorators(func: Callable) -> Callable:
    """Protect a function as most programs do."""
    return circuit_breaker(name="fused.depth")(retry_with_backoff(name="fused.depth")(func))


def by_policy(func: Callable) -> Callable:
    """Protect a function by a policy."""
    return Policy(circuit_breaker(), retry_with_backoff(), name="fused.depth")(func)


def by_call(func: Callable) -> Callable:
    """Protect a function by a breaker that exists."""
    return CircuitBreaker(name="fused.depth").call(retry_with_backoff(name="fused.depth")(func))


def depth() -> int:
    """Return how deep the stack is."""
    import inspect

    return len(inspect.stack(0))


async def async_depth() -> int:
    """Return the same within a coroutine."""
    return depth()


async def awaited(func: Callable) -> int:
    """Return how deep the stack is within a coroutine function."""
    return await func()


@pytest.mark.parametrize("protect", [by_decorators, by_policy, by_call])
def test_all_went_well_is_one_call(protect: Callable) -> None:
    """No wrapper stands inside the wrapper."""
    assert protect(depth)() == depth() + 1
    assert asyncio.run(awaited(protect(async_depth))) == asyncio.run(awaited(async_depth)) + 1


class Account:
    """Has methods of each kind, protected by both."""

    @circuit_breaker(name="fused.method")
    @retry_with_backoff(name="fused.method")
    def method(self) -> tuple[object, int]:
        """Be called on an instance."""
        return self, depth()

    @circuit_breaker(name="fused.class")
    @retry_with_backoff(name="fused.class")
    @classmethod
    def of_class(cls) -> tuple[object, int]:
        """Be called on a class."""
        return cls, depth()

    @circuit_breaker(name="fused.static")
    @retry_with_backoff(name="fused.static")
    @staticmethod
    def static() -> tuple[object, int]:
        """Be called on neither."""
        return None, depth()


def test_methods_are_one_call_too() -> None:
    """Of instances and classes, and static ones."""
    account, here = Account(), depth()
    assert account.method() == (account, here + 2)
    assert account.of_class() == (Account, here + 2)
    assert account.static() == (None, here + 2)


def test_what_stands_between_the_two_is_not_left_out() -> None:
    """Whatever it copies from the retry's wrapper."""
    calls = []

    def counted(func: Callable) -> Callable:
        @wraps(func)
        def wrapper() -> int:
            calls.append("counted")
            return func()

        return wrapper

    between = counted(retry_with_backoff(name="fused.between")(depth))
    circuit_breaker(name="fused.between")(between)()
    assert calls == ["counted"]
    policy = Policy(bulkhead(1), retry_with_backoff(), name="fused.between")
    limited = circuit_breaker(name="fused.between")(policy(depth))
    assert limited() > depth() + 2


def test_each_of_two_breakers_around_one_retry_has_its_own_way() -> None:
    """The retry's wrapper stays as it is."""
    kept = retry_with_backoff(name="fused.twice")(depth)
    one, two = circuit_breaker(name="fused.one")(kept), circuit_breaker(name="fused.two")(kept)
    assert one() == two() == kept()
    assert [BREAKERS.get(f"fused.{name}").read().calls[0] for name in ("one", "two")] == [1, 1]
    assert RETRIES.get("fused.twice").read().calls[0] == 3


def test_a_stop_iteration_comes_through() -> None:
    """Generators, which would turn it into a RuntimeError, drive all that does not go well."""
    items = iter([])
    protected = by_decorators(lambda: next(items))
    with pytest.raises(StopIteration) as caught:
        retry_with_backoff(1, timeout=60)(protected)()
    assert caught.value.__context__ is None


def test_a_retried_error_shows_the_way_to_the_user_alone() -> None:
    """No frame of the machinery stands between the attempt and the function, and no earlier error is its context."""
    numbers = itertools.count()

    def fail() -> None:
        raise ConnectionError(next(numbers))

    protected = circuit_breaker(name="fused.frames")(retry_with_backoff(2, 0, name="fused.frames")(fail))
    with pytest.raises(ConnectionError, match="1") as caught:
        protected()
    assert [entry.name for entry in caught.traceback][1:] == ["wrapper", "run", "fail"]
    assert caught.value.__context__ is None


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


class Request:
    """An awaitable that is no coroutine, as HTTP clients return them."""

    def __await__(self) -> Generator[None]:
        yield
        raise ConnectionError


@pytest.mark.parametrize("decorate", [circuit_breaker, retry_with_backoff])
@pytest.mark.parametrize("kind", [Request, Future])
def test_what_ends_unseen_is_warned_of_once(decorate: Callable, kind: type, caplog: pytest.LogCaptureFixture) -> None:
    """A future of a pool, and an awaitable of a class of its own, are returned as they are, as a success."""

    @decorate(name=f"unseen.{next(NUMBERS)}")
    def call() -> object:
        return answers.pop()

    given = [kind(), 1, kind()]
    answers = given[::-1]
    assert [call() for _ in given] == given
    (record,) = caplog.records
    assert kind.__name__ in record.getMessage()
