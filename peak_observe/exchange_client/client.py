"""The exchange client: any exchange of ccxt, sync or async, observable and resilient."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from peak_observe.exchange_client import health_check
from peak_observe.exchange_client.base import FOREIGN, ExchangeClient
from peak_observe.support.keywords import check_keywords

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class ResilientExchangeClient(ExchangeClient):
    """A ccxt exchange whose reads are retried, whose calls pass circuits, and whose orders are never sent twice.

    Every method of ccxt is there under its name and with its signature. A client has three circuits that are its own:
    for public data, for private reads, and for trading; cancelling passes none. A request to change something whose
    fate is unknown ends in `OutcomeUnknown`. For any number of threads.

    Args:
        exchange_id: ccxt's id of the exchange, or a sync ccxt object, which stays the caller's to close.
        config: The configuration for ccxt's constructor; not with an object.
        name: The label value of its metrics, part of its circuits' names and of its check's `exchange_<name>`; the id
            of the exchange if not given.
        failure_threshold: Consecutive failures that open a circuit.
        recovery_timeout: Seconds from opening to the probe.
        max_attempts: How often a read is made at most.
        base_delay: Seconds before a read's second attempt; the delay doubles with each.
        max_delay: Upper limit of that delay in seconds.
        max_wait: Seconds that a call waits at most for the end of a rate limit or ban; beyond that it is rejected.
        client_order_id: Makes the ids of orders that have none; by the exchange's rules if not given. An exchange that
            takes none refuses it; `order_ids_supported` tells.
        health: Where its check is registered; None for no check.
        clock: Where time and sleep come from; for tests.

    Raises:
        MissingExtraError: ccxt is not installed.
        ValueError: ccxt knows no such exchange, or an argument makes no sense; the message names it.
        TypeError: The object is no exchange, or an async one.
    """

    _asynchronous = False

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of ccxt by its name, protected: `client.call("fetch_order_book", "BTC/USD")`.

        Raises:
            AttributeError: ccxt has no such method.
        """
        return getattr(self, method)(*args, **kwargs)

    def fetch_ticker(self, symbol: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the present prices of a market."""
        ticker: dict[str, Any] = self._called("fetch_ticker")(symbol, params or {})
        return ticker

    def fetch_ohlcv(
        self,
        symbol: str,
        timeframe: str = "1m",
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> list[list[float]]:
        """Return candles, oldest first."""
        candles: list[list[float]] = self._called("fetch_ohlcv")(symbol, timeframe, since, limit, params or {})
        return candles

    def fetch_balance(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the account holds."""
        balance: dict[str, Any] = self._called("fetch_balance")(params or {})
        return balance

    def _called(self, method: str) -> Callable[..., Any]:
        found: Callable[..., Any] = self._calls.get(method) or self.__getattr__(method)
        return found

    def _check(self) -> Callable[[], Any]:
        return health_check.check(self)

    def close(self) -> None:
        """Take the health check away and close the connections of an exchange that the client made; twice is once."""
        self._unregister()
        self._give_back()
        if self._owns and self.exchange.session is not None:
            self.exchange.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncResilientExchangeClient(ExchangeClient):
    """`ResilientExchangeClient` for `ccxt.async_support`: the same with methods to be awaited, for any number of tasks.

    Args:
        exchange_id: ccxt's id of the exchange, or an object of `ccxt.async_support`, which stays the caller's to close.
        config: The configuration for ccxt's constructor; not with an object.
        settings: Those of `ResilientExchangeClient`.

    Attributes:
        loop: The event loop that it is used on, on which its health check asks, too.
    """

    _asynchronous = True

    @check_keywords(FOREIGN, onward=ExchangeClient.__init__, mapping=True)
    def __init__(self, exchange_id: Any = "kraken", config: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self.loop = _running_loop()
        super().__init__(exchange_id, config, **settings)

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of ccxt by its name, protected: `await client.call("fetch_order_book", "BTC/USD")`.

        Raises:
            AttributeError: ccxt has no such method.
        """
        found = getattr(self, method)(*args, **kwargs)
        return await found if hasattr(found, "__await__") else found

    async def fetch_ticker(self, symbol: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the present prices of a market."""
        ticker: dict[str, Any] = await self._called("fetch_ticker")(symbol, params or {})
        return ticker

    async def fetch_ohlcv(
        self,
        symbol: str,
        timeframe: str = "1m",
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> list[list[float]]:
        """Return candles, oldest first."""
        candles: list[list[float]] = await self._called("fetch_ohlcv")(symbol, timeframe, since, limit, params or {})
        return candles

    async def fetch_balance(self, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what the account holds."""
        balance: dict[str, Any] = await self._called("fetch_balance")(params or {})
        return balance

    def _called(self, method: str) -> Callable[..., Any]:
        if self.loop is None:
            self.loop = _running_loop()
        found: Callable[..., Any] = self._calls.get(method) or self.__getattr__(method)
        return found

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and self.loop is None:
            self.loop = _running_loop()
        return super().__getattr__(name)

    def _check(self) -> Callable[[], Any]:
        return health_check.async_check(self)

    async def close(self) -> None:
        """Take the health check away and close the connections of an exchange that the client made; twice is once."""
        self._unregister()
        self._give_back()
        if self._owns:
            await self.exchange.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
