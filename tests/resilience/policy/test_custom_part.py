"""Decorators of the user's as parts of a policy: placed where they are written, checked where they say so."""

import asyncio
import functools
import inspect
from collections.abc import Callable
from itertools import count

import pytest

from peak_observe import Policy, bulkhead, circuit_breaker, part, rate_limit, retry_with_backoff, timeout
from peak_observe.testing import ManualClock

NUMBERS = count()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"custom.{next(NUMBERS)}"


def recorder(log: list[str], text: str) -> Callable:
    """Return a decorator that notes each call."""

    def decorate(func: Callable) -> Callable:
        @functools.wraps(func)
        def wrapper(*args: object) -> object:
            log.append(text)
            return func(*args)

        return wrapper

    return decorate


def test_it_stands_where_it_is_written(name: str) -> None:
    """Outside of the retry once, inside of it for each attempt."""
    log: list[str] = []
    policy = Policy(
        part(recorder(log, "outside"), kind="audit"),
        retry_with_backoff(2, clock=ManualClock()),
        part(recorder(log, "inside")),
        name=name,
    )

    @policy
    def work() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        work()
    assert log == ["outside", "inside", "inside"]
    assert repr(policy) == f"<Policy '{name}' (audit, retry, mine)>"


def test_each_function_is_handed_to_the_decorator_once(name: str) -> None:
    """As if it were written above it; what is decorated looks like the function."""
    seen = []

    def decorate(func: Callable) -> Callable:
        seen.append(func.__name__)
        return func

    policy = Policy(circuit_breaker(), part(decorate), name=name)

    @policy
    async def first() -> int:
        return 1

    @policy
    def second() -> int:
        return 2

    assert (asyncio.run(first()), second(), seen) == (1, 2, ["first", "second"])
    assert inspect.iscoroutinefunction(first)
    alone = Policy(part(decorate))(second)
    assert alone() == 2
    assert inspect.unwrap(alone).__name__ == "second"


def test_it_may_return_any_object_that_can_be_called(name: str) -> None:
    """Also one without attributes."""

    class Wrapper:
        __slots__ = ("func",)

        def __init__(self, func: Callable) -> None:
            self.func = func

        def __call__(self) -> object:
            return self.func()

    assert Policy(part(Wrapper), name=name)(lambda: 3)() == 3


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        (
            lambda mine: (retry_with_backoff(), part(mine, outside="retry")),
            "mine stands inside retry, and says that it has to be outside; write mine, retry (outermost first)",
        ),
        (
            lambda mine: (part(mine, kind="sign", inside=["retry", "rate_limit"]), retry_with_backoff(), rate_limit(1)),
            (
                "sign stands outside retry, and says that it has to be inside; sign stands outside rate_limit, and "
                "says that it has to be inside; write retry, rate_limit, sign (outermost first)"
            ),
        ),
        (
            lambda mine: (part(mine, kind="a"), part(mine, kind="b", outside="a")),
            "b stands inside a, and says that it has to be outside; write b, a (outermost first)",
        ),
        (
            lambda mine: (rate_limit(1), part(mine), retry_with_backoff(), timeout(1)),
            (
                "rate_limit stands outside retry: each attempt is a call of the service, and only the first one would "
                "wait for its turn; write retry, rate_limit, mine, timeout(1) (outermost first)"
            ),
        ),
    ],
)
def test_a_stated_place_is_checked_and_the_right_one_shown(parts: Callable, problem: str) -> None:
    """In one sentence, like the orders of our own parts."""
    with pytest.raises(ValueError, match="stands") as error:
        Policy(*parts(lambda func: func))
    assert str(error.value) == f"{problem}, or insist with order='as_given'"
    Policy(*parts(lambda func: func), order="as_given")


def test_the_stated_place_may_be_that_of_a_part_that_is_not_there(name: str) -> None:
    """Then there is nothing to be outside of."""
    Policy(part(lambda func: func, outside="retry", inside="bulkhead"), circuit_breaker(), name=name)
    Policy(bulkhead(1), part(lambda func: func, outside="retry", inside="bulkhead"), retry_with_backoff(), name=name)


def test_a_decorator_that_returns_nothing_is_named() -> None:
    """The usual mistake, a missing `return`."""

    def forgets(func: Callable) -> None:
        """Return nothing."""

    with pytest.raises(TypeError, match=r"part 'mine' made None of .*work: its decorator .*forgets has to return a"):

        @Policy(part(forgets))
        def work() -> None:
            pass


async def coroutine(func: Callable) -> Callable:
    """Be no decorator."""
    return func


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"decorator": 3}, "decorator must be a function that takes and returns a function, not 3"),
        ({"decorator": circuit_breaker()}, r"is a part of a policy already: write it without part\(…\)"),
        ({"decorator": coroutine}, "decorator must be a plain function, not the coroutine"),
        ({"kind": "retry"}, "kind 'retry' is that of a part of peak_observe: give yours another name"),
        ({"kind": ""}, "kind must be a name such as 'mine', not ''"),
        ({"kind": "a b"}, "kind must be a name such as 'mine', not 'a b'"),
        ({"kind": 3}, "kind must be a name such as 'mine', not 3"),
        ({"outside": 3}, "outside must be a string or several of them, not 3"),
        ({"inside": "mine"}, "inside must not name the part itself, 'mine'"),
    ],
)
def test_arguments_are_checked(arguments: dict, problem: str) -> None:
    """In words that name the mend."""
    with pytest.raises(ValueError, match=problem):
        part(**{"decorator": lambda func: func, **arguments})
    with pytest.raises(TypeError, match="did you mean outside"):
        part(lambda func: func, outsid="retry")


def test_a_bare_function_in_a_policy_is_refused_with_the_mend() -> None:
    """It might be one of our decorators without parentheses."""
    with pytest.raises(ValueError, match=r"a decorator of your own is one as part\(decorator\)"):
        Policy(lambda func: func)
