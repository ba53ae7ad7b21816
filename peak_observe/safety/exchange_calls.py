"""Calls of a ccxt object, sync or async, from a thread that belongs to neither."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from typing import Any, TypeAlias

from peak_observe.support.shown import shown

Requests: TypeAlias = Iterable[tuple[str, tuple[Any, ...]]]

Client: TypeAlias = Any
"""A ccxt object, or a client of ours, which has one as `exchange`."""

PATIENCE = 5.0
"""Seconds by which a call on an event loop may outlast ccxt's own `timeout`."""


def exchange_of(client: Client) -> Any:
    """Return the ccxt object of a client: measured and redacted, but without circuits and retries.

    Raises:
        TypeError: There is none.
    """
    exchange = getattr(client, "exchange", client)
    if not isinstance(getattr(exchange, "id", None), str) or not hasattr(exchange, "has"):
        raise TypeError(f"a client or a ccxt exchange object is wanted, not {shown(client)}")
    return exchange


def name_of(client: Client) -> str:
    """Return the label value `exchange`: a client's name, or the id of a ccxt object."""
    exchange = exchange_of(client)
    return str(exchange.id if exchange is client else client.name)


class Caller:
    """Caller of a client's ccxt object; of an async one it works on the event loop that the client is used on.

    Circuits and retries stand aside, as a call that is due is made again soon; a rate limit or ban is kept.

    Args:
        client: The client.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.exchange = exchange_of(client)
        self.asynchronous = inspect.iscoroutinefunction(inspect.unwrap(self.exchange.fetch2))
        self._made_on = _running_loop()

    @property
    def loop(self) -> Any:
        """The event loop of an async client; None before there is one."""
        own = getattr(self._client, "loop", None) if self._client is not self.exchange else None
        return own or getattr(self.exchange, "asyncio_loop", None) or self._made_on

    def on_own_loop(self) -> bool:
        """Return whether this is the thread of the async client's event loop, which must not be waited for."""
        return self.asynchronous and (loop := _running_loop()) is not None and loop is self.loop

    def error(self, requests: Requests) -> Exception | None:
        """Make the calls from any thread but that of the event loop; return the first exception, None if all went well.

        A call that fails does not keep the others from being made.

        Args:
            requests: Name and arguments of each method.
        """
        if held := self._held_back():
            return held
        if self.asynchronous:
            return self._on_loop(requests)
        first: Exception | None = None
        try:
            for method, args in requests:
                try:
                    getattr(self.exchange, method)(*args)
                except Exception as error:  # noqa: BLE001 - it is returned
                    first = first or error
        except Exception as error:  # noqa: BLE001 - making the requests failed, such as for an unknown symbol
            first = first or error
        return first

    async def async_error(self, requests: Requests) -> Exception | None:
        """Make the calls on the event loop; return the first exception, None if all went well.

        Args:
            requests: Name and arguments of each method.
        """
        first: Exception | None = None
        try:
            for method, args in requests:
                try:
                    await getattr(self.exchange, method)(*args)
                except Exception as error:  # noqa: BLE001 - it is returned
                    first = first or error
        except Exception as error:  # noqa: BLE001 - making the requests failed, such as for an unknown symbol
            first = first or error
        return first

    def _on_loop(self, requests: Requests) -> Exception | None:
        import asyncio

        loop = self.loop
        if loop is None or not loop.is_running():
            return RuntimeError("the event loop of the client does not run")
        calls = self.async_error(requests)
        future = asyncio.run_coroutine_threadsafe(calls, loop)
        try:
            return future.result(self.exchange.timeout / 1000 + PATIENCE)
        except TimeoutError:
            future.cancel()
            return TimeoutError("the event loop of the client hangs")
        except Exception as error:  # noqa: BLE001 - such as of a loop that was closed meanwhile
            return error

    def _held_back(self) -> Exception | None:
        left = getattr(self._client, "held_back", 0.0) if self._client is not self.exchange else 0.0
        return ConnectionError(f"the exchange asked to wait for another {left:.0f} s") if left else None


def _running_loop() -> Any:
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def symbol_names(symbols: object) -> tuple[str, ...]:
    """Return the symbols of an argument, which may be one text.

    Raises:
        TypeError: It is neither text nor several of them.
    """
    found = (symbols,) if isinstance(symbols, str) else tuple(symbols) if isinstance(symbols, Iterable) else (None,)
    names = tuple(symbol for symbol in found if isinstance(symbol, str))
    if len(names) < len(found):
        raise TypeError(f"symbols must be names of markets, such as ['BTC/USDT'], not {shown(symbols)}")
    return names
