"""How generators of both kinds are passed through where each of their steps matters, or the way in is awaited."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager, AbstractContextManager


def _go_on(_: Any, resume: Callable[[Any], Any], value: Any) -> Any:
    return resume(value)


def wrap_generator(
    func: Callable[..., Any],
    guard: Callable[[], AbstractContextManager[Any]],
    step: Callable[[Any, Callable[[Any], Any], Any], Any] = _go_on,
) -> Callable[..., Any]:
    """Return a generator function that runs `func`'s generator inside `guard()`, step by step.

    Args:
        func: The generator function.
        guard: Makes the context that lasts until the generator is exhausted, closed or has raised.
        step: Is handed what the guard gave, the method that resumes the generator and its argument; returns the item.
    """

    @wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with guard() as held:
            generator = func(*args, **kwargs)
            resume, value = generator.send, None
            while True:
                try:
                    item = step(held, resume, value)
                except StopIteration as stop:
                    return stop.value
                try:
                    resume, value = generator.send, (yield item)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - all that is thrown in belongs to the generator
                    resume, value = generator.throw, thrown

    return wrapper


def wrap_async_generator(
    func: Callable[..., Any],
    guard: Callable[[], AbstractAsyncContextManager[Any]],
    step: Callable[[Any, Callable[[Any], Any], Any], Awaitable[Any]] = _go_on,
) -> Callable[..., Any]:
    """Return an async generator function that runs `func`'s generator inside `guard()`; see `wrap_generator`."""

    @wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        async with guard() as held:
            generator = func(*args, **kwargs)
            resume, value = generator.asend, None
            while True:
                try:
                    item = await step(held, resume, value)
                except StopAsyncIteration:
                    return
                try:
                    resume, value = generator.asend, (yield item)
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 - all that is thrown in belongs to the generator
                    resume, value = generator.athrow, thrown

    return wrapper
