"""A read that is slow is asked again beside it: the first answer wins, and nothing of the losers is lost."""

import asyncio
import functools
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count

import pytest
import trio

from peak_observe import (
    CallTimeoutError,
    CircuitOpenError,
    HedgeFailed,
    Policy,
    RetryBudget,
    circuit_breaker,
    deadline,
    hedge,
    idempotent,
    rate_limit,
    retry_with_backoff,
    timeout,
)
from peak_observe.measures import BREAKERS, BUDGETS, HEDGES, LIMITERS, RETRIES, HedgeReading
from peak_observe.testing import ManualClock, RecordingObserver

NUMBERS = count()
LONG = 30.0


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"hedging.{next(NUMBERS)}"


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock on which a sleep takes no time."""
    return ManualClock()


def read(name: str) -> tuple[list[int], int, int]:
    """Return the calls by outcome, the hedges started, and those refused."""
    found: HedgeReading = HEDGES.get(name).read()
    return found.calls, found.started, found.refused


async def hang() -> None:
    """Never end."""
    await asyncio.Event().wait()


class Service:
    """A service that treats its requests one after the other as it is told.

    Args:
        *answers: For each request what it returns or raises, or None to hang.
    """

    def __init__(self, *answers: object) -> None:
        self.answers = answers
        self.asked = 0
        self.cleaned = 0

    async def __call__(self) -> object:
        """Answer."""
        answer = self.answers[self.asked]
        self.asked += 1
        try:
            if answer is None:
                await hang()
        finally:
            self.cleaned += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer


def test_a_quick_answer_needs_no_hedge(name: str) -> None:
    """One request is made, and counted as such."""
    service = Service("first")
    assert asyncio.run(hedge(LONG, name=name)(service)()) == "first"
    assert service.asked == 1
    assert read(name) == ([1, 0, 0, 0], 0, 0)


def test_a_slow_read_is_asked_again_and_the_first_answer_wins(name: str, clock: ManualClock) -> None:
    """After so many seconds; the loser is cancelled, and has cleaned up before the answer is there."""
    service = Service(None, "hedge")
    assert asyncio.run(hedge(after=0.5, max_hedges=1, name=name, clock=clock)(service)()) == "hedge"
    assert (service.asked, service.cleaned, clock.sleeps) == (2, 2, [0.5])
    assert read(name) == ([0, 1, 0, 0], 1, 0)


def test_real_time_passes_before_a_hedge(name: str) -> None:
    """Without a clock of the test's own."""

    async def main() -> None:
        service = Service(None, "hedge")
        start = asyncio.get_running_loop().time()
        assert await hedge(0.05, name=name)(service)() == "hedge"
        assert asyncio.get_running_loop().time() - start >= 0.049

    asyncio.run(main())


def test_the_first_request_may_still_win(name: str, clock: ManualClock) -> None:
    """Its answer counts though a hedge is under way, which is cancelled."""
    release = []

    async def work() -> str:
        release.append(asyncio.Event())
        if len(release) == 2:
            release[0].set()
            await hang()
        await release[0].wait()
        return "first"

    assert asyncio.run(hedge(name=name, clock=clock)(work)()) == "first"
    assert read(name) == ([1, 0, 0, 0], 1, 0)


def test_several_hedges_start_one_after_the_other(name: str, clock: ManualClock) -> None:
    """Each after the same time, and no more than there may be."""
    service = Service(None, None, None, "third")
    assert asyncio.run(hedge(2, max_hedges=3, name=name, clock=clock)(service)()) == "third"
    assert clock.sleeps == [2, 2, 2]
    assert (service.cleaned, read(name)) == (4, ([0, 1, 0, 0], 3, 0))


def test_a_failure_waits_for_the_hedge_that_is_under_way(name: str, clock: ManualClock) -> None:
    """A success wins over an earlier error, which is reported and not lost."""
    error = ConnectionError("reset")
    answer = asyncio.Event()

    async def work() -> str:
        work.asked += 1
        if work.asked == 1:
            await answer.wait()
            raise error
        answer.set()
        await asyncio.sleep(0.01)
        return "hedge"

    work.asked = 0
    with RecordingObserver() as seen:
        assert asyncio.run(hedge(name=name, clock=clock)(work)()) == "hedge"
    assert seen.of(HedgeFailed) == [HedgeFailed(name, 0, error)]


def test_an_error_at_once_is_not_asked_again(name: str) -> None:
    """Failures are for a retry, slowness is for a hedge."""
    error = ConnectionError("refused")
    service = Service(error, "never")
    with pytest.raises(ConnectionError) as found:
        asyncio.run(hedge(LONG, name=name)(service)())
    assert found.value is error
    assert not hasattr(error, "__notes__")
    assert (service.asked, read(name)) == (1, ([0, 0, 1, 0], 0, 0))


def test_when_all_fail_the_first_error_comes_through_and_tells_of_the_others(name: str, clock: ManualClock) -> None:
    """The error of the first request, though a hedge failed before it."""
    first, second = ConnectionError("first"), ConnectionError("second")
    asked = []

    async def work() -> None:
        asked.append(asyncio.Event())
        if len(asked) == 2:
            asked[0].set()
            raise second
        await asked[0].wait()
        await asyncio.sleep(0)
        raise first

    with RecordingObserver() as seen, pytest.raises(ConnectionError) as found:
        asyncio.run(hedge(name=name, clock=clock)(work)())
    assert found.value is first
    assert first.__notes__ == [f"hedge 1 of '{name}' failed too: ConnectionError: second"]
    assert seen.of(HedgeFailed) == []
    assert read(name) == ([0, 0, 1, 0], 1, 0)


def test_an_error_in_the_clean_up_of_a_loser_is_reported(
    name: str, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With one log line, and none of asyncio's that it was never retrieved."""
    error = OSError("cannot close")

    async def work() -> str:
        work.asked += 1
        if work.asked == 2:
            return "hedge"
        try:
            await hang()
        finally:
            raise error

    work.asked = 0
    with RecordingObserver() as seen, caplog.at_level(logging.INFO):
        assert asyncio.run(hedge(name=name, clock=clock)(work)()) == "hedge"
        gc.collect()
    assert seen.of(HedgeFailed) == [HedgeFailed(name, 0, error)]
    assert [record.getMessage() for record in caplog.records] == [
        f"'{name}' was answered, but request 0 of it failed: OSError: cannot close"
    ]


def test_cancellation_ends_all_requests_before_it_comes_through(name: str, clock: ManualClock) -> None:
    """A second cancellation does not leave any behind either."""
    service = Service(None, None)
    slow, both_asked = [], asyncio.Event()

    async def work() -> None:
        if service.asked:
            both_asked.set()
        try:
            await service()
        finally:
            await asyncio.sleep(0.01)
            slow.append(True)

    async def main() -> None:
        task = asyncio.create_task(hedge(name=name, clock=clock)(work)())
        await both_asked.wait()
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(slow) == 2
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert read(name) == ([0, 0, 0, 1], 1, 0)


def test_a_request_that_cancels_itself_is_a_failure(name: str, clock: ManualClock) -> None:
    """As it would be without a hedge."""

    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(hedge(LONG, name=name, clock=clock)(work)())
    assert read(name)[0] == [0, 0, 1, 0]


def test_the_budget_bounds_the_hedges(name: str, clock: ManualClock) -> None:
    """Ten at once and one for ten calls, so that an outage does not double the load."""

    async def work() -> None:
        work.asked += 1
        while sum(read(name)[1:]) < work.calls:  # noqa: ASYNC110 - until this hedge is started or refused, which sets no event
            await asyncio.sleep(0)

    work.asked = work.calls = 0
    hedged = hedge(0, name=name, clock=clock)(work)

    async def main() -> None:
        for _ in range(100):
            work.calls += 1
            await hedged()

    asyncio.run(main())
    calls, started, refused = read(name)
    assert (sum(calls), started, refused) == (100, 19, 81)  # the first one left nothing to fill up
    assert work.asked == 119
    assert BUDGETS.get(f"{name}.hedge").read().tokens < 1


def test_functions_may_share_a_budget(name: str, clock: ManualClock) -> None:
    """By object or by name."""
    budget = RetryBudget(0.0, 0.0, burst=1, name=name, clock=clock)
    hedged = hedge(0, budget=budget, name=name, clock=clock)(Service(None, "hedge"))
    refused = hedge(0, budget=name, name=name, clock=clock)(Service(None, "never"))

    async def main() -> None:
        assert await hedged() == "hedge"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await refused()

    asyncio.run(main())
    assert read(name)[1:] == (1, 1)


def test_no_hedge_starts_beyond_the_deadline(name: str, clock: ManualClock) -> None:
    """The first request goes on, as a deadline interrupts nothing."""
    asked = []

    async def work() -> str:
        asked.append(True)
        await asyncio.sleep(0.01)
        return "first"

    async def main() -> None:
        with deadline(1, clock=clock):
            assert await hedge(2, name=name, clock=clock)(work)() == "first"

    asyncio.run(main())
    assert (len(asked), read(name)) == (1, ([1, 0, 0, 0], 0, 0))


def test_what_must_not_happen_twice_is_refused(name: str) -> None:
    """Whatever lies between, also in a policy, and marked before or after."""

    @idempotent(False)
    async def place_order() -> None:
        pass

    for protect in (hedge(name=name), Policy(circuit_breaker(), hedge(), name=name)):
        with pytest.raises(TypeError, match=r"place_order is marked @idempotent\(False\).* put no hedge around it"):
            protect(timeout(1, name=name)(place_order))

    @hedge(name=name)
    async def read_order() -> None:
        pass

    with pytest.raises(TypeError, match=f"read_order is hedged as '{name}' already: put idempotent.* below the hedge"):
        idempotent(False)(read_order)


@pytest.mark.parametrize("kind", ["function", "generator", "async generator"])
def test_only_coroutine_functions_are_hedged(kind: str) -> None:
    """All others are refused in words when they are decorated."""

    def function() -> None:
        pass

    def generator() -> Iterator[int]:
        yield 1

    async def stream() -> AsyncIterator[int]:
        yield 1

    func = {"function": function, "generator": generator, "async generator": stream}[kind]
    with pytest.raises(TypeError, match=f"hedge cannot ask twice .* which is a {kind} and no coroutine function"):
        hedge()(func)


def test_methods_partials_and_callable_objects_are_hedged(name: str) -> None:
    """As by all decorators here."""

    class Client:
        @hedge(LONG, name=name)
        async def fetch(self, symbol: str) -> str:
            return symbol

        @staticmethod
        @hedge(LONG, name=name)
        async def ping(symbol: str) -> str:
            return symbol

    part = hedge(LONG, name=name)(functools.partial(asyncio.sleep, 0, "x"))
    service = hedge(LONG, name=name)(Service("x"))
    for coroutine in (Client().fetch("x"), Client.ping("x"), part(), service()):
        assert asyncio.run(coroutine) == "x"
    assert read(name)[0] == [4, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"after": -1}, "after must be a finite number of seconds"),
        ({"after": "0.5"}, "after must be a finite number of seconds"),
        ({"max_hedges": 0}, "max_hedges must be a whole number of at least 1"),
        ({"max_hedges": 11}, "max_hedges must be at most 10, not 11"),
        ({"budget": 3}, "budget must be a RetryBudget or the name of one"),
        ({"name": ""}, "name must be a string that is not empty"),
    ],
)
def test_arguments_are_checked(arguments: dict, problem: str) -> None:
    """With the name of the one that makes no sense."""
    with pytest.raises(ValueError, match=problem):
        hedge(**arguments)


def test_names_of_other_libraries_lead_to_ours() -> None:
    """And parentheses are asked for."""
    with pytest.raises(TypeError, match="did you mean after"):
        hedge(hedging_delay=1)
    with pytest.raises(TypeError, match="did you mean max_hedges"):
        hedge(max_hedged_attempts=1)
    with pytest.raises(ValueError, match=r"write @hedge\(after=0.5\)"):
        hedge(hang)


def test_in_a_policy_each_request_is_a_call_of_the_service(name: str, clock: ManualClock) -> None:
    """It takes its own turn and has its own time, while circuit and retry see one call."""
    service = Service(None, "hedge")
    policy = Policy(
        circuit_breaker(),
        retry_with_backoff(2, clock=clock),
        hedge(clock=clock),
        rate_limit(100, burst=9),
        timeout(LONG),
        name=name,
    )
    assert asyncio.run(policy(service)()) == "hedge"
    assert BREAKERS.get(name).read().calls == [1, 0, 0, 0]
    assert RETRIES.get(name).read().calls[0] == 1
    assert sum(LIMITERS.get(name).read().calls) == 2


def test_a_retry_around_it_asks_anew_when_all_have_failed(name: str, clock: ManualClock) -> None:
    """Each attempt is hedged."""
    service = Service(ConnectionError("lost"), None, "hedge")
    policy = Policy(retry_with_backoff(2, clock=clock), hedge(clock=clock), name=name)
    assert asyncio.run(policy(service)()) == "hedge"
    assert read(name)[0] == [0, 1, 1, 0]


def test_a_circuit_inside_counts_no_loser_as_failure(name: str, clock: ManualClock) -> None:
    """A cancelled request says nothing of the service; the refusal of an open circuit loses against an answer."""
    policy = Policy(hedge(clock=clock), circuit_breaker(1), name=name)
    assert asyncio.run(policy(Service(None, "hedge"))()) == "hedge"
    assert BREAKERS.get(name).read().calls == [1, 0, 1, 0]
    with pytest.raises(ConnectionError):
        asyncio.run(policy(Service(ConnectionError("lost")))())
    with pytest.raises(CircuitOpenError):
        asyncio.run(policy(Service("never"))())


def test_a_timeout_around_it_ends_all_requests(name: str, clock: ManualClock) -> None:
    """And is the caller's error."""
    service = Service(None, None)
    with pytest.raises(CallTimeoutError):
        asyncio.run(Policy(timeout(0.2), hedge(clock=clock), name=name)(service)())
    assert (service.asked, service.cleaned) == (2, 2)


def test_a_frozen_exception_comes_through(name: str, clock: ManualClock) -> None:
    """With its notes."""
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class FrozenError(Exception):
        code: int

    both = asyncio.Barrier(2)

    async def work() -> None:
        await both.wait()
        raise FrozenError(5)

    with pytest.raises(FrozenError) as found:
        asyncio.run(hedge(name=name, clock=clock)(work)())
    assert "failed too" in found.value.__notes__[0]


def test_loops_of_several_threads_share_the_counts(name: str) -> None:
    """Nothing is lost between them."""
    hedged: Callable = hedge(LONG, name=name)(functools.partial(asyncio.sleep, 0))

    async def many() -> None:
        await asyncio.gather(*(hedged() for _ in range(100)))

    threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(name) == ([400, 0, 0, 0], 0, 0)


def test_it_needs_asyncio(name: str) -> None:
    """Under another library one error says so."""
    coroutine = hedge(name=name)(hang)()
    with pytest.raises(RuntimeError, match=f"hedge of '{name}' needs asyncio"):
        coroutine.send(None)
    with pytest.raises(RuntimeError, match=f"hedge of '{name}' needs asyncio"):
        trio.run(hedge(name=name)(hang))
