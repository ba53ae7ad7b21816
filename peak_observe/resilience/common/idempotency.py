"""Mark functions as non-idempotent and refuse to retry them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from peak_observe.resilience.common import validation, wrapping

if TYPE_CHECKING:
    from collections.abc import Iterator

F = TypeVar("F", bound="Callable[..., Any]")

_REPEATABLE = "__peak_observe_idempotent__"
_RETRIED = "__peak_observe_retried__"
_REUSED = "__peak_observe_reused__"
_HEDGED = "__peak_observe_hedged__"
_MOST_LAYERS = 100  # what stands in for objects in tests can go on for ever


def idempotent(repeatable: bool) -> Callable[[F], F]:
    """Mark a function as idempotent or not: whether calling it twice does no more than calling it once.

    A retry, and a hedge, refuse a function marked with `False` when they are put around it, whatever lies between:
    other decorators, a circuit breaker, a partial, a bound method. So do `share` and `last_good`, whose results serve
    several calls. The mark changes nothing else. A function that is called by another one is not seen: mark the
    outermost one that must not be repeated.

    Args:
        repeatable: Whether it may be called again when its answer got lost; orders may not.

    Raises:
        ValueError: It is neither True nor False.
        TypeError: The decorated object cannot be called, or is retried or hedged already.
    """
    if validation.is_function(repeatable):
        raise ValueError("idempotent needs to be told: write @idempotent(False), or (True)")
    validation.check_flag("idempotent's argument", repeatable)
    return lambda func: wrapping.decorate(func, lambda inner: _marked(inner, repeatable))


def refuse(func: Callable[..., Any], strategy: str = "retry") -> None:
    """Raise TypeError for a function that must not be repeated, as `strategy` would."""
    if _found(func, _REPEATABLE) is False:
        raise TypeError(
            f"{wrapping.name_of(func)} is marked @idempotent(False), it must not happen twice: put no {strategy} "
            f"around it; a circuit_breaker is fine"
        )


def refuse_write(func: Callable[..., Any], advice: str) -> None:
    """Raise TypeError for a function that must not be repeated, whose results belong to one call each.

    Args:
        func: The function.
        advice: What was asked for and must not be, and what to do instead.
    """
    if _found(func, _REPEATABLE) is False:
        raise TypeError(f"{wrapping.name_of(func)} is marked @idempotent(False), each call of it counts: {advice}")


def note_reused(wrapper: Any, reason: str) -> None:
    """Mark a function as one whose results serve more than one call, with the reason in words."""
    setattr(wrapper, _REUSED, reason)


def note_retried(wrapper: Any, name: str) -> None:
    """Mark a function as retried."""
    setattr(wrapper, _RETRIED, name)


def note_hedged(wrapper: Any, name: str) -> None:
    """Mark a function as hedged."""
    setattr(wrapper, _HEDGED, name)


def is_retried(func: Callable[..., Any]) -> bool:
    """Return whether a function is retried already, whatever decorators lie between."""
    return _found(func, _RETRIED) is not None


def _marked(func: Any, repeatable: bool) -> Any:
    for mark, does, strategy in ((_RETRIED, "retried", "retry"), (_HEDGED, "hedged", "hedge")):
        name = _found(func, mark)
        if name is not None and not repeatable:
            raise TypeError(
                f"{wrapping.name_of(func)} is {does} as {name!r} already: put idempotent(False) below the {strategy}"
            )
    reused = _found(func, _REUSED)
    if reused is not None and not repeatable:
        raise TypeError(f"{wrapping.name_of(func)} {reused}: a function marked idempotent(False) must not")
    try:
        setattr(func, _REPEATABLE, repeatable)
    except AttributeError:  # a bound method, or a function in C
        func = partial(func)
        setattr(func, _REPEATABLE, repeatable)
    return func


def _found(func: Any, mark: str) -> Any:
    return next((value for one in layers(func) if (value := getattr(one, mark, None)) is not None), None)


def layers(func: Any) -> Iterator[Any]:
    """Yield a function and what it wraps, outermost first."""
    for _ in range(_MOST_LAYERS):
        if func is None:
            return
        yield func
        if not isinstance(func, type):
            # The __call__ of an object, which is a slot of no interest for anything else.
            yield getattr(type(func), "__call__", None)  # noqa: B004 - what it is, not whether there is one
        func = func.func if isinstance(func, partial) else getattr(func, "__wrapped__", None)
