"""Timeout of websocket calls: after the exchange object's `timeout`, as HTTP requests have it."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def timed_out(method: Callable[..., Awaitable[Any]], exchange: Any) -> Callable[..., Any]:
    """Return a coroutine function that gives up after the exchange object's `timeout`, as HTTP requests do."""

    @wraps(method)
    async def timed(*args: Any, **kwargs: Any) -> Any:
        import asyncio

        try:
            async with asyncio.timeout(exchange.timeout / 1000) as limit:
                return await method(*args, **kwargs)
        except TimeoutError as error:
            if not limit.expired():
                raise
            from ccxt.base.errors import RequestTimeout

            raise RequestTimeout(f"{exchange.id} no answer in {exchange.timeout} ms") from error

    return timed
