"""`current_attempt` tells the code inside which attempt it belongs to, wherever it runs, and nothing outside."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from peak_observe import CurrentAttempt, Policy, circuit_breaker, current_attempt, retry_with_backoff, retrying, timeout
from peak_observe.testing import ManualClock


def numbers(found: list[CurrentAttempt | None]) -> list[tuple[int, int | None]]:
    """Return number and limit of attempts."""
    return [(one.number, one.max_attempts) for one in found]


def test_there_is_none_outside() -> None:
    """Before, after, and in a function that is not retried."""
    assert current_attempt() is None
    retry_with_backoff(lambda: None)()
    assert current_attempt() is None
    assert circuit_breaker(current_attempt)() is None


def test_a_function_sees_its_attempts() -> None:
    """Number, limit, seconds, and what the attempt before raised."""
    clock, found = ManualClock(), []

    @retry_with_backoff(3, clock=clock, name="attempts")
    def fail() -> None:
        clock.advance(0.5)
        found.append(current_attempt())
        raise ConnectionError(len(found))

    with pytest.raises(ConnectionError):
        fail()
    assert [(one.operation, one.number, one.max_attempts, one.elapsed) for one in found] == [
        ("attempts", 1, 3, 0.5),
        ("attempts", 2, 3, 2.0),
        ("attempts", 3, 3, 4.5),
    ]
    assert [None if one.error is None else one.error.args for one in found] == [None, (1,), (2,)]
    assert current_attempt() is None


def test_a_coroutine_function_sees_them_also_in_tasks_and_threads() -> None:
    """In all that it awaits, gathers, starts, or hands to a thread, from the first attempt on."""
    found: list[CurrentAttempt | None] = []

    async def look() -> None:
        await asyncio.sleep(0)
        found.append(current_attempt())

    @retry_with_backoff(2, clock=ManualClock())
    async def fail() -> None:
        await look()
        await asyncio.gather(look(), look())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(look())
        found.append(await asyncio.to_thread(current_attempt))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(fail())
    assert numbers(found) == [(1, 2)] * 5 + [(2, 2)] * 5


def test_a_task_that_outlives_its_attempt_has_none() -> None:
    """It belongs to nobody any more."""

    async def main() -> list[CurrentAttempt | None]:
        tasks = []

        @retry_with_backoff
        async def connect() -> None:
            tasks.append(asyncio.create_task(reader()))

        async def reader() -> CurrentAttempt | None:
            await asyncio.sleep(0.01)
            return current_attempt()

        await connect()
        return list(await asyncio.gather(*tasks))

    assert asyncio.run(main()) == [None]


def test_a_generator_sees_them_until_its_first_item() -> None:
    """After that nothing is repeated."""
    found: list[CurrentAttempt | None] = []

    def step() -> None:
        found.append(current_attempt())
        if len(found) == 1:
            raise ConnectionError

    @retry_with_backoff(3, clock=ManualClock())
    def items() -> Iterator[int]:
        step()
        yield 1
        step()
        yield 2

    @retry_with_backoff(3, clock=ManualClock())
    async def async_items() -> AsyncIterator[int]:
        step()
        yield 1
        step()
        yield 2

    async def main() -> list[int]:
        return [item async for item in async_items()]

    for result in (lambda: list(items()), lambda: asyncio.run(main())):
        found.clear()
        assert result() == [1, 2]
        assert numbers(found[:2]) == [(1, 3), (2, 3)]
        assert found[2] is None


def test_each_thread_has_its_own() -> None:
    """Side by side in one function; a thread that somebody starts without the context has none."""
    barrier = threading.Barrier(4)

    @retry_with_backoff(5, clock=ManualClock())
    def call(number: int) -> list[object]:
        barrier.wait(60)
        found = current_attempt()
        assert found is not None
        if found.number < number:
            raise ConnectionError
        strangers: list[object] = []
        thread = threading.Thread(target=lambda: strangers.append(current_attempt()))
        thread.start()
        thread.join()
        return [found.number, *strangers]

    with ThreadPoolExecutor(4) as pool:
        waves = [pool.submit(call, 2) for _ in range(4)]
        assert [wave.result(30) for wave in waves] == [[2, None]] * 4


def test_of_several_the_innermost_counts() -> None:
    """And when it is over the outer one again, in first attempts and in later ones."""
    found: list[tuple[str, int]] = []

    def look() -> None:
        attempt = current_attempt()
        assert attempt is not None
        found.append((attempt.operation, attempt.number))

    @retry_with_backoff(2, clock=ManualClock(), name="inner")
    def inner() -> None:
        look()

    @retry_with_backoff(2, clock=ManualClock(), name="outer", nested="inner_only")
    def outer() -> None:
        look()
        inner()
        look()
        if len(found) == 3:
            raise ConnectionError

    outer()
    assert found == [("outer", 1), ("inner", 1), ("outer", 1), ("outer", 2), ("inner", 1), ("outer", 2)]


@pytest.mark.parametrize("name", ["breaker", "shared", "policy"])
def test_it_is_seen_through_other_strategies(name: str) -> None:
    """A circuit makes one pipeline with the retry inside."""
    retry = retry_with_backoff(2, clock=ManualClock())
    around = {
        "breaker": lambda func: circuit_breaker(99)(retry(func)),
        "shared": lambda func: circuit_breaker(99, name="attempt-shared")(retry(circuit_breaker(99)(func))),
        "policy": Policy(circuit_breaker(99), retry, timeout(30), fallback=None),
    }[name]
    found: list[CurrentAttempt | None] = []

    async def call() -> None:
        found.append(current_attempt())
        if len(found) == 1:
            raise ConnectionError

    asyncio.run(around(call)())
    assert numbers(found) == [(1, 2), (2, 2)]


def test_a_block_sees_them() -> None:
    """Sync and async, and nothing between two attempts."""
    found: list[CurrentAttempt | None] = []
    for attempt in retrying(2, clock=ManualClock()):
        found.append(current_attempt())
        with attempt:
            found.append(current_attempt())
            if attempt.number == 1:
                raise ConnectionError
    assert [found[0], found[2]] == [None, None]
    assert numbers(found[1::2]) == [(1, 2), (2, 2)]

    async def main() -> None:
        async for attempt in retrying(2, clock=ManualClock()):
            async with attempt:
                found.append(current_attempt())
                if attempt.number == 1:
                    raise ConnectionError

    found.clear()
    asyncio.run(main())
    assert numbers(found) == [(1, 2), (2, 2)]


def test_without_a_limit_the_number_of_attempts_is_none() -> None:
    """Time ends it."""
    found: list[CurrentAttempt | None] = []

    @retry_with_backoff(None, timeout=1.5, clock=ManualClock())
    def fail() -> None:
        found.append(current_attempt())
        raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()
    assert numbers(found) == [(1, None), (2, None)]


ELSEWHERE = """
import asyncio, contextlib, threading
from ask import ask
from peak_observe import CircuitBreaker, circuit_breaker, retry_with_backoff, retrying

found = []

def note():
    attempt = ask()
    found.append(None if attempt is None else (attempt.operation, attempt.number))

def call():
    note()

async def call_async():
    await asyncio.sleep(0)
    note()

def block():
    note()
    for attempt in retrying(name="block"):
        with attempt:
            note()
    note()

def fail_once():
    note()
    if len(found) == 1:
        raise ConnectionError

def outer_fail_once():
    inner()
    fail_once()

inner = retry_with_backoff(name="inner")(call)
one = retry_with_backoff(3, 0, name="one")
RUN
print(found, ask())
"""


@pytest.mark.parametrize(
    ("run", "found"),
    [
        ("one(call)()", [("one", 1)]),
        ("circuit_breaker(one(call))()", [("one", 1)]),
        ("circuit_breaker(call)()", [None]),
        ("asyncio.run(one(call_async)())", [("one", 1)]),
        ("asyncio.run(circuit_breaker(one(call_async))())", [("one", 1)]),
        ("one(block)()", [("one", 1), ("block", 1), ("one", 1)]),
        ("one(fail_once)()", [("one", 1), ("one", 2)]),
        ("one(outer_fail_once)()", [("inner", 1), ("one", 1)]),
        ("one(lambda: [fail_once(), inner()])()", [("one", 1), ("one", 2), ("inner", 1)]),
        ("one(CircuitBreaker()(call))()", [("one", 1)]),
        ("CircuitBreaker()(circuit_breaker(one(call)))()", [("one", 1)]),
    ],
)
def test_it_is_known_to_other_modules_in_first_attempts(
    run: str, found: list[tuple[str, int] | None], tmp_path: Path
) -> None:
    """On the fast path, which announces nothing, in the same thread or task."""
    (tmp_path / "ask.py").write_text("def ask():\n    import peak_observe\n    return peak_observe.current_attempt()\n")
    command = [sys.executable, "-c", ELSEWHERE.replace("RUN", run)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == (f"{found} None", "")


def test_it_is_asked_of_a_callable_object_a_partial_and_a_wrapped_function() -> None:
    """Whatever lies between, its code is found."""

    class Call:
        async def __call__(self) -> CurrentAttempt | None:
            return await asyncio.create_task(self.look())

        async def look(self) -> CurrentAttempt | None:
            return current_attempt()

    for func in (Call(), partial(Call()), circuit_breaker(99)(Call())):
        attempt = asyncio.run(retry_with_backoff(func)())
        assert attempt is not None
        assert attempt.number == 1
