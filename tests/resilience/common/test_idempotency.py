"""What must not happen twice says so once, and no retry can be put around it."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from unittest.mock import Mock

import pytest

from peak_observe import circuit_breaker, idempotent, retry_with_backoff


@idempotent(False)
def place_order(amount: float = 1.0) -> float:
    """Buy."""
    return amount


@idempotent(False)
async def place_order_async() -> None:
    """Buy, later."""


@idempotent(False)
def orders() -> Iterator[int]:
    """Buy again and again."""
    yield 1


@idempotent(False)
async def orders_async() -> AsyncIterator[int]:
    """Buy again and again, later."""
    yield 1


class Trader:
    """Buys in every way."""

    @idempotent(False)
    def place(self) -> None:
        """Buy."""

    @idempotent(False)
    @staticmethod
    def place_static() -> None:
        """Buy."""

    @classmethod
    @idempotent(False)
    def place_class(cls) -> None:
        """Buy."""

    @idempotent(False)
    def __call__(self) -> None:
        """Buy."""


def logged(func: Callable[..., object]) -> Callable[..., object]:
    """Decorate as people do."""

    @functools.wraps(func)
    def wrapper(*args: object) -> object:
        return func(*args)

    return wrapper


FORMS = {
    "function": place_order,
    "coroutine": place_order_async,
    "generator": orders,
    "async generator": orders_async,
    "method": Trader.place,
    "bound method": Trader().place,
    "static method": Trader.place_static,
    "class method": Trader.place_class,
    "object": Trader(),
    "partial": functools.partial(place_order, 2.0),
    "partial of a partial": functools.partial(functools.partial(place_order), 2.0),
    "decorated": logged(place_order),
    "in a circuit": circuit_breaker(name="repeatable.circuit")(place_order),
    "decorated, partial, in a circuit": circuit_breaker(name="repeatable.all")(functools.partial(logged(place_order))),
    "built-in": idempotent(False)(print),
    "bound method, marked": idempotent(False)([].append),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_retry_around_it_is_refused(form: str) -> None:
    """Where it is decorated, in whatever it is wrapped; the error names the mend."""
    with pytest.raises(TypeError, match=r"must not happen twice: put no retry around it; a circuit_breaker is fine"):
        retry_with_backoff(name="repeatable.refused")(FORMS[form])


def test_a_retry_below_it_is_refused_too() -> None:
    """The order of the decorators is no way around it."""
    retried = circuit_breaker(name="repeatable.below")(retry_with_backoff(name="repeatable.below")(lambda: None))
    with pytest.raises(TypeError, match=r"is retried as 'repeatable\.below' already"):
        idempotent(False)(retried)


def test_the_mark_changes_nothing_else() -> None:
    """It is the same function."""
    assert place_order(3.0) == 3.0
    assert asyncio.run(place_order_async()) is None
    assert Trader().place() is None
    assert idempotent(False)([].append)(1) is None


def test_what_may_be_repeated_can_be_said_too() -> None:
    """The outermost word counts, so a wrapper that makes an order safe to send again can say so."""

    @idempotent(True)
    @functools.wraps(place_order)
    def with_client_order_id() -> float:
        return place_order()

    assert retry_with_backoff(name="repeatable.true")(with_client_order_id)() == 1.0


def test_a_single_attempt_repeats_nothing() -> None:
    """So a configuration may switch the retry off."""
    assert retry_with_backoff(1, name="repeatable.single")(place_order)() == 1.0


class Endless:
    """Wraps another one of its kind, for ever."""

    def __call__(self) -> None:
        """Do nothing."""

    @property
    def __wrapped__(self) -> "Endless":
        return Endless()


@pytest.mark.parametrize("stand_in", [Mock(return_value=1), Endless()], ids=["mock", "endless"])
def test_objects_that_have_every_attribute_are_not_marked(stand_in: object) -> None:
    """Nor do they hold the look-up up."""
    retry_with_backoff(name="repeatable.mock")(stand_in)()


def test_it_needs_to_be_told() -> None:
    """`@idempotent` alone says nothing."""
    with pytest.raises(ValueError, match=r"write @idempotent\(False\)"):
        idempotent(lambda: None)
    with pytest.raises(ValueError, match="idempotent's argument must be True or False, not 0"):
        idempotent(0)
    with pytest.raises(TypeError, match="only something callable"):
        idempotent(False)(5)
