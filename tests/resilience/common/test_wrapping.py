"""One decorator for every kind of function, for breaker, retry, limits and policies alike."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from itertools import count

import pytest

from peak_observe import (
    CircuitBreaker,
    CircuitState,
    Policy,
    bulkhead,
    circuit_breaker,
    rate_limit,
    retry_with_backoff,
)
from peak_observe.measures import BREAKERS, RETRIES

NUMBERS = count()


def protect(kind: str) -> Callable[..., object]:
    """Return one of the decorators, with a name of its own."""
    return MAKERS[kind](f"wrapping.{next(NUMBERS)}")


MAKERS = {
    "breaker": lambda name: circuit_breaker(1, name=name),
    "retry": lambda name: retry_with_backoff(1, name=name),
    "bulkhead": lambda name: bulkhead(1, name=name),
    "rate_limit": lambda name: rate_limit(1e9, burst=1000, name=name),
    "deadline": lambda name: Policy(deadline=60, name=name),
    "fused": lambda name: Policy(circuit_breaker(1), retry_with_backoff(1), name=name),
    "policy": lambda name: Policy(
        bulkhead(1), retry_with_backoff(1), circuit_breaker(1), rate_limit(1e9, burst=1000), name=name, deadline=60
    ),
}
every = pytest.mark.parametrize("kind", MAKERS)


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


async def add_async(a: int, b: int = 1) -> int:
    """Add two numbers, later."""
    await asyncio.sleep(0)
    return a + b


def numbers(limit: int) -> Iterator[int]:
    """Yield numbers and return how many."""
    yield from range(limit)
    return limit


async def numbers_async(limit: int) -> AsyncIterator[int]:
    """Yield numbers, later."""
    for number in range(limit):
        await asyncio.sleep(0)
        yield number


class Adder:
    """A callable object."""

    def __call__(self, a: int) -> int:
        """Add one."""
        return a + 1


class AsyncAdder:
    """A callable object whose call is a coroutine."""

    async def __call__(self, a: int) -> int:
        """Add one, later."""
        return a + 1


@every
def test_a_function(kind: str) -> None:
    """Arguments and result pass; name, docstring and signature stay."""
    protected = protect(kind)(add)
    assert protected(1, b=2) == 3
    assert (protected.__name__, protected.__doc__) == ("add", "Add two numbers.")
    assert inspect.signature(protected) == inspect.signature(add)
    assert protected.__wrapped__ is add


@every
def test_a_coroutine_function(kind: str) -> None:
    """It is one still."""
    protected = protect(kind)(add_async)
    assert inspect.iscoroutinefunction(protected)
    assert asyncio.run(protected(1, b=2)) == 3


@every
def test_a_generator(kind: str) -> None:
    """It is one still, with items, sent values and return value."""
    protected = protect(kind)(numbers)
    assert inspect.isgeneratorfunction(protected)
    assert list(protected(3)) == [0, 1, 2]
    assert list(protected(0)) == []

    def whole() -> Iterator[object]:
        returned = yield from protected(2)
        yield f"returned {returned}"

    assert list(whole()) == [0, 1, "returned 2"]


@every
def test_a_generator_is_sent_to_and_thrown_at(kind: str) -> None:
    """The user's generator sees what it would see undecorated."""

    @protect(kind)
    def echo() -> Iterator[object]:
        sent = yield "first"
        try:
            yield f"got {sent}"
        except ValueError as error:
            yield f"caught {error}"

    generator = echo()
    assert next(generator) == "first"
    assert generator.send("hello") == "got hello"
    assert generator.throw(ValueError("thrown")) == "caught thrown"
    with pytest.raises(StopIteration):
        next(generator)


@every
def test_a_generator_is_closed(kind: str) -> None:
    """Its clean-up runs when the caller stops early."""
    cleaned = []

    @protect(kind)
    def endless() -> Iterator[int]:
        try:
            yield from count()
        finally:
            cleaned.append(True)

    generator = endless()
    next(generator)
    generator.close()
    assert cleaned == [True]


@every
def test_an_async_generator(kind: str) -> None:
    """It is one still."""
    protected = protect(kind)(numbers_async)
    assert inspect.isasyncgenfunction(protected)

    async def collect(limit: int) -> list[int]:
        return [number async for number in protected(limit)]

    assert asyncio.run(collect(3)) == [0, 1, 2]
    assert asyncio.run(collect(0)) == []


@every
def test_an_async_generator_is_sent_to_thrown_at_and_closed(kind: str) -> None:
    """As the plain one."""
    cleaned = []

    @protect(kind)
    async def echo() -> AsyncIterator[object]:
        try:
            sent = yield "first"
            try:
                yield f"got {sent}"
            except ValueError as error:
                yield f"caught {error}"
            yield "last"
        finally:
            cleaned.append(True)

    async def talk() -> list[object]:
        generator = echo()
        heard = [await anext(generator), await generator.asend("hello"), await generator.athrow(ValueError("thrown"))]
        await generator.aclose()
        return heard

    assert asyncio.run(talk()) == ["first", "got hello", "caught thrown"]
    assert cleaned == [True]


@every
def test_methods_of_every_kind(kind: str) -> None:
    """Instance, class and static methods, the latter two in either order of decorators."""

    class Client:
        factor = 2

        @protect(kind)
        def method(self, n: int) -> int:
            return n * self.factor

        @classmethod
        @protect(kind)
        def outside(cls, n: int) -> int:
            return n * cls.factor

        @protect(kind)
        @classmethod
        def inside(cls, n: int) -> int:
            return n * cls.factor

        @protect(kind)
        @staticmethod
        def static(n: int) -> int:
            return n

        @protect(kind)
        async def later(self, n: int) -> int:
            return n * self.factor

    client = Client()
    assert (client.method(2), client.outside(2), client.inside(2), client.static(2)) == (4, 4, 4, 2)
    assert asyncio.run(client.later(2)) == 4
    assert Client.inside(3) == 6


@every
def test_partials_of_both_kinds(kind: str) -> None:
    """Bound arguments stay bound."""
    assert protect(kind)(functools.partial(add, 1))(b=5) == 6
    protected = protect(kind)(functools.partial(functools.partial(add_async, 1), b=2))
    assert inspect.iscoroutinefunction(protected)
    assert asyncio.run(protected()) == 3


@every
def test_callable_objects_of_both_kinds(kind: str) -> None:
    """Their __call__ decides what they are."""
    assert protect(kind)(Adder())(1) == 2
    protected = protect(kind)(AsyncAdder())
    assert inspect.iscoroutinefunction(protected)
    assert asyncio.run(protected(1)) == 2


@every
def test_a_lambda_that_returns_a_coroutine_is_awaited(kind: str) -> None:
    """What counts is how the coroutine ends."""
    assert asyncio.run(protect(kind)(lambda: add_async(1))()) == 2


@every
def test_built_in_functions(kind: str) -> None:
    """Whatever can be called."""
    assert protect(kind)(len)("four") == 4


@every
def test_a_class_is_refused(kind: str) -> None:
    """It would become a function, which has neither attributes nor instances."""
    with pytest.raises(TypeError, match="the class Adder would become a function: protect its methods"):
        protect(kind)(Adder)


async def refused_later() -> int:
    """Fail, later."""
    await asyncio.sleep(0)
    raise ConnectionError


def started(coroutine: Coroutine) -> asyncio.Task:
    """Begin a task."""
    return asyncio.get_running_loop().create_task(coroutine)


@pytest.mark.parametrize("kind", ["breaker", "retry", "deadline", "fused"])
def test_a_task_that_a_function_returns_is_awaited_as_part_of_the_call(kind: str) -> None:
    """It stays a task."""

    async def main() -> None:
        task = protect(kind)(lambda: started(add_async(1)))()
        assert isinstance(task, asyncio.Task)
        assert await asyncio.wait_for(task, 60) == 2
        with pytest.raises(ConnectionError):
            await protect(kind)(lambda: started(refused_later()))()

    asyncio.run(main())


def test_a_task_counts_when_it_ends_and_is_retried() -> None:
    """What it does is the call, not that it was begun."""
    breaker, attempts = CircuitBreaker(1, name="wrapping.task"), count(1)

    @breaker.call
    @retry_with_backoff(3, 0, name="wrapping.task")
    def fetch() -> asyncio.Future:
        return started(refused_later() if next(attempts) < 3 else add_async(1))

    async def main() -> None:
        assert await fetch() == 2
        future = asyncio.get_running_loop().create_future()
        waiting = breaker.call(lambda: future)()
        future.set_exception(ConnectionError())
        with pytest.raises(ConnectionError):
            await waiting

    asyncio.run(main())
    assert BREAKERS.get("wrapping.task").read().calls[:2] == [1, 1]
    assert RETRIES.get("wrapping.task").read().retries == 2
    assert breaker.state is CircuitState.OPEN


def test_objects_without_a_name_are_named_after_their_class() -> None:
    """Partials after what they call."""
    circuit_breaker(Adder())(1)
    retry_with_backoff(functools.partial(add, 1))()
    assert BREAKERS.get(f"{__name__}.Adder").read().calls[0] == 1
    assert RETRIES.get(f"{__name__}.add").read().calls[0] == 1


def test_a_methods_breaker_is_shared_by_all_instances() -> None:
    """As the docs say: one circuit a decorated function."""

    class Client:
        @circuit_breaker(1, name="wrapping.shared")
        def fetch(self) -> None:
            raise ConnectionError

    with pytest.raises(ConnectionError):
        Client().fetch()
    assert BREAKERS.get("wrapping.shared").read().state == 1


def test_a_lambdas_coroutine_counts_when_it_ends() -> None:
    """Not when it is made, also on the careful path of a probe."""
    breaker = CircuitBreaker(1, 0.0, name="wrapping.lambda")

    async def boom(error: Exception) -> None:
        raise error

    protected = breaker.call(lambda: boom(ConnectionError()))
    for _ in range(2):  # the second one is a probe
        with pytest.raises(ConnectionError):
            asyncio.run(protected())
    assert BREAKERS.get("wrapping.lambda").read().calls == [0, 2, 0, 0]


def test_a_generator_counts_when_it_is_exhausted() -> None:
    """Its failure at the third item is a failure."""
    breaker = CircuitBreaker(1, name="wrapping.generator")

    @breaker.call
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ConnectionError

    generator = items()
    assert [next(generator), next(generator)] == [1, 2]
    assert BREAKERS.get("wrapping.generator").read().calls == [0, 0, 0, 0]
    with pytest.raises(ConnectionError):
        next(generator)
    assert breaker.state is CircuitState.OPEN


def test_a_generator_that_is_left_early_is_neutral() -> None:
    """Taking only what one needs is no failure."""
    breaker = CircuitBreaker(1, name="wrapping.early")
    generator = breaker.call(numbers)(10)
    next(generator)
    generator.close()
    assert BREAKERS.get("wrapping.early").read().calls == [0, 0, 1, 0]


def test_an_async_generator_counts_like_a_plain_one() -> None:
    """Exhausted is a success, raising a failure, closing early neutral."""
    breaker = CircuitBreaker(5, name="wrapping.async_generator")

    @breaker.call
    async def items(*, broken: bool = False) -> AsyncIterator[int]:
        yield 1
        if broken:
            raise ConnectionError

    async def use() -> None:
        async for _ in items():
            pass
        with pytest.raises(ConnectionError):
            async for _ in items(broken=True):
                pass
        generator = items()
        await anext(generator)
        await generator.aclose()

    asyncio.run(use())
    assert BREAKERS.get("wrapping.async_generator").read().calls == [1, 1, 1, 0]


def test_a_refused_generator_is_refused_at_its_first_item() -> None:
    """A generator function runs when it is iterated."""
    breaker = CircuitBreaker(1, name="wrapping.refused_generator")
    with pytest.raises(ValueError), breaker:
        raise ValueError
    generator = breaker.call(numbers)(3)
    with pytest.raises(Exception, match="is OPEN"):
        next(generator)


def test_stacked_decorators_keep_the_kind() -> None:
    """Breaker outside, retry inside, coroutine still."""
    protected = circuit_breaker(name="wrapping.stack")(retry_with_backoff(name="wrapping.stack")(add_async))
    assert inspect.iscoroutinefunction(protected)
    assert asyncio.run(protected(1)) == 2
