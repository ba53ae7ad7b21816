"""Kinds of functions, and wrappers that pass generators of both kinds through."""

from __future__ import annotations

from functools import partial, wraps
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from peak_observe.resilience.common.event_loop import running_loop
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager, AbstractContextManager


FUNCTION, COROUTINE, GENERATOR, ASYNC_GENERATOR = "function", "coroutine", "generator", "async generator"


def kind(func: Callable[..., Any]) -> str:
    """Return which of the four kinds `func` is, looking through partials and into callable objects."""
    import inspect  # late, as it takes as long to import as this package

    while isinstance(func, partial):
        func = func.func
    call = getattr(type(func), "__call__", None)  # noqa: B004 - not whether there is one, but of what kind
    for candidate in (func, call):
        if inspect.iscoroutinefunction(candidate):
            return COROUTINE
        if inspect.isgeneratorfunction(candidate):
            return GENERATOR
        if inspect.isasyncgenfunction(candidate):
            return ASYNC_GENERATOR
    return FUNCTION


def name_of(func: Callable[..., Any]) -> str:
    """Return the qualified name of a function, or of the class of a callable object."""
    while isinstance(func, partial):
        func = func.func
    return getattr(func, "__qualname__", None) or type(func).__qualname__


def default_name(func: Callable[..., Any]) -> str:
    """Return the name of what protects a function and was given none: its module and its qualified name.

    In the program itself, `__main__`, there is no module: it would be another one where the program is imported.
    """
    while isinstance(func, partial):
        func = func.func
    owner = func if getattr(func, "__qualname__", None) else type(func)
    module, name = getattr(owner, "__module__", None), name_of(func)
    return name if not isinstance(module, str) or module == "__main__" else f"{module}.{name}"


def decorate(func: Any, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Any:
    """Wrap `func`, inside its staticmethod or classmethod where it is one.

    Raises:
        TypeError: `func` cannot be called, or is a class.
    """
    if isinstance(func, staticmethod | classmethod):
        return type(func)(wrap(func.__func__))
    if not callable(func):
        raise TypeError(f"only something callable can be protected, not {shown(func)}")
    if isinstance(func, type):
        raise TypeError(
            f"the class {func.__qualname__} would become a function: protect its methods, or a function that makes it"
        )
    return wrap(func)


PLAIN_RESULTS = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})
"""Types of most results, which need no further look."""


def is_deferred(result: object) -> bool:
    """Return whether the result of a plain function is a coroutine, a task or a future, so that its call goes on."""
    kind = type(result)
    return kind not in PLAIN_RESULTS and (kind is CoroutineType or hasattr(kind, "_asyncio_future_blocking"))


def finished_by(deferred: Any, finish: Coroutine[Any, Any, Any]) -> Any:
    """Return what stands for a deferred result: a task for a task of the running loop, else the coroutine `finish`."""
    if type(deferred) is CoroutineType or running_loop() is not deferred.get_loop():
        return finish
    return deferred.get_loop().create_task(finish)


def put_away(deferred: Any) -> None:
    """End a deferred result that nobody awaits any more."""
    deferred.close() if type(deferred) is CoroutineType else deferred.cancel()


Args = tuple[Any, ...]
Kwargs = dict[str, Any]


def first_item(func: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Return a function that makes `func`'s generator and returns it with its first item, or its end."""

    def begin(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        generator = func(*args, **kwargs)
        try:
            return generator, next(generator)
        except StopIteration as stop:
            return None, stop.value

    return begin


def async_first_item(func: Callable[..., Any]) -> Callable[..., Awaitable[tuple[Any, Any]]]:
    """Return a coroutine function that does the same for an async generator."""

    async def begin(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        generator = func(*args, **kwargs)
        try:
            return generator, await anext(generator)
        except StopAsyncIteration:
            return None, None

    return begin


def wrap_generator(
    func: Callable[..., Any],
    guard: Callable[[], AbstractContextManager[Any]],
    begin: Callable[[Args, Kwargs], tuple[Any, Any]] | None = None,
) -> Callable[..., Any]:
    """Return a generator function that runs `func`'s generator inside `guard()`.

    Args:
        func: The generator function.
        guard: Makes the context that lasts until the generator is exhausted, closed or has raised.
        begin: Returns what `first_item` returns, for instance after several attempts.
    """
    first = first_item(func)

    @wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with guard():
            generator, item = begin(args, kwargs) if begin else first(*args, **kwargs)
            if generator is None:
                return item
            try:
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        generator.close()
                        raise
                    except BaseException as thrown:  # noqa: BLE001 - all that is thrown in belongs to the generator
                        item = generator.throw(thrown)
                    else:
                        item = generator.send(sent)
            except StopIteration as stop:
                return stop.value

    return wrapper


def wrap_async_generator(
    func: Callable[..., Any],
    guard: Callable[[], AbstractContextManager[Any]],
    begin: Callable[[Args, Kwargs], Awaitable[tuple[Any, Any]]] | None = None,
) -> Callable[..., Any]:
    """Return an async generator function that runs `func`'s generator inside `guard()`; see `wrap_generator`."""
    first = async_first_item(func)

    @wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with guard():
            generator, item = await (begin(args, kwargs) if begin else first(*args, **kwargs))
            if generator is None:
                return
            try:
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        await generator.aclose()
                        raise
                    except BaseException as thrown:  # noqa: BLE001 - all that is thrown in belongs to the generator
                        item = await generator.athrow(thrown)
                    else:
                        item = await generator.asend(sent)
            except StopAsyncIteration:
                return

    return wrapper


def _go_on(_: Any, resume: Callable[[Any], Any], value: Any) -> Any:
    return resume(value)


def wrap_generator_steps(
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


def wrap_async_generator_steps(
    func: Callable[..., Any],
    guard: Callable[[], AbstractAsyncContextManager[Any]],
    step: Callable[[Any, Callable[[Any], Any], Any], Awaitable[Any]] = _go_on,
) -> Callable[..., Any]:
    """Return an async generator function that runs `func`'s generator inside `guard()`; see `wrap_generator_steps`."""

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
