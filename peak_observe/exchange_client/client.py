"""The exchange client: any exchange of ccxt, sync or async, observable and resilient."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from peak_observe.exchange_client import health_check
from peak_observe.exchange_client.base import FOREIGN, SURPLUS, ExchangeClient
from peak_observe.exchange_client.order_journal import OrderIntent
from peak_observe.exchange_client.order_journal.effects import async_run, run
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
        exclusive: Whether no other process of this host, or of the hosts of `shared`, may have a client with this API
            key and `exclusive`, until it is closed or its process ends. All clients of one process are one instance.
        latency_budget: Seconds that a request may take from sending to the end of its answer, by group (`public`,
            `private`, `trade`), such as `{"trade": 0.5}`; slower ones are counted, and many of them are an alert.
        client_order_id: Makes the ids of orders that have none; by the exchange's rules if not given. An exchange that
            takes none refuses it; `order_ids_supported` tells.
        journal: The order journal that `submit` and `reconcile` use, shared by any number of clients and processes.
        stream_max_silence: Seconds for which a stream of a `ccxt.pro` object may be silent, for all or by stream; makes
            the check `stream_<name>`.
        stream_group: Returns the group of a symbol, a label of the metrics of streams; all are one group if not given.
        health: Where its check is registered; None for no check.
        trading: The switch that halts it: while halted nothing but cancels is sent, and reads; its guards count orders.
        clock: Where time and sleep come from; for tests.
        shared: A `Shared`, through which its circuits, and the exchange's rate limits and bans, are those of all its
            processes; `default` for that of `PEAK_OBSERVE_SHARED`, if it is set. A refused key stays its own affair.

    Raises:
        AlreadyRunningError: Another process has one with this key; the error names it.
        InstanceLockError: The lock that keeps it exclusive cannot be kept; the message tells why.
        SharedStateError: The server or file of `shared` refuses, or is away where it is to be exclusive among hosts.
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

    def submit(  # noqa: PLR0917 - the arguments of ccxt's create_order, by position as there
        self,
        key: str,
        symbol: str,
        type: str,  # noqa: A002 - ccxt's word
        side: str,
        amount: float | str | None,
        price: float | str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Place an order at most once, and return ccxt's structure of it; the same key twice is the same order.

        An order of unknown fate is looked up, and sent again only when it is known to be absent.

        Args:
            key: The order's name, the same at each attempt and after each restart.
            symbol: The market.
            type: ccxt's type, such as `limit` or `market`.
            side: `buy` or `sell`.
            amount: The amount, in units of the base currency as a rule.
            price: The price, if the type has one.
            params: Further parameters of ccxt and the exchange.

        Raises:
            OutcomeUnknown: It may or may not stand, and that could not be found out; `reconcile()` asks again.
            OrderNotPlaced: It is known not to stand.
            OrderKeyConflict: The key belongs to another order.
            OrderJournalError: The journal cannot be written; nothing was sent that it does not know.
            ValueError: The client has no journal, or the exchange shows no order by its client order id.
        """
        return run(self._orders.submit(key, symbol, type, side, amount, price, params), self, self._orders.clock)

    def submit_orders(self, orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Place the orders of a batch at most once each, in one request where the exchange takes one.

        Args:
            orders: Mappings with `key`, and the names of ccxt's `create_orders`.

        Raises:
            ExceptionGroup: Some orders do not stand for certain; the journal knows each of them by its key.
            ValueError: An order makes no sense, or see `submit`.
        """
        return run(self._orders.submit_orders(orders), self, self._orders.clock)

    def reconcile(self, *, open_orders: bool = False) -> list[OrderIntent]:
        """Ask for every order of the journal whose fate is open, and return them as they are now.

        To be called at start, before the first order. Orders that were intended and never sent are left to `submit`.

        Args:
            open_orders: Whether also those are asked for that were open: they may have been filled since, or cancelled.

        Raises:
            OrderJournalError: The journal cannot be read or written.
            ValueError: The client has no journal.
        """
        return run(self._orders.reconcile(open_orders=open_orders), self, self._orders.clock)

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

    Made from an object of `ccxt.pro`, such as `AsyncResilientExchangeClient(ccxt.pro.kraken(config))`, it also has and
    observes the `watch_*` methods.

    Args:
        exchange_id: ccxt's id of the exchange, or an object of `ccxt.async_support` or `ccxt.pro`, which stays the
            caller's to close.
        config: The configuration for ccxt's constructor; not with an object.
        settings: Those of `ResilientExchangeClient`.

    Attributes:
        loop: The event loop that it is used on, on which its health check asks, too.
    """

    _asynchronous = True

    @check_keywords(FOREIGN, onward=ExchangeClient.__init__, mapping=True, surplus=SURPLUS)
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

    async def submit(  # noqa: PLR0917 - the arguments of ccxt's create_order, by position as there
        self,
        key: str,
        symbol: str,
        type: str,  # noqa: A002 - ccxt's word
        side: str,
        amount: float | str | None,
        price: float | str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Place an order at most once, and return ccxt's structure of it; the same key twice is the same order.

        An order of unknown fate is looked up, and sent again only when it is known to be absent.

        Args:
            key: The order's name, the same at each attempt and after each restart.
            symbol: The market.
            type: ccxt's type, such as `limit` or `market`.
            side: `buy` or `sell`.
            amount: The amount, in units of the base currency as a rule.
            price: The price, if the type has one.
            params: Further parameters of ccxt and the exchange.

        Raises:
            OutcomeUnknown: It may or may not stand, and that could not be found out; `reconcile()` asks again.
            OrderNotPlaced: It is known not to stand.
            OrderKeyConflict: The key belongs to another order.
            OrderJournalError: The journal cannot be written; nothing was sent that it does not know.
            ValueError: The client has no journal, or the exchange shows no order by its client order id.
        """
        return await async_run(
            self._orders.submit(key, symbol, type, side, amount, price, params), self, self._orders.clock
        )

    async def submit_orders(self, orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Place the orders of a batch at most once each, in one request where the exchange takes one.

        Args:
            orders: Mappings with `key`, and the names of ccxt's `create_orders`.

        Raises:
            ExceptionGroup: Some orders do not stand for certain; the journal knows each of them by its key.
            ValueError: An order makes no sense, or see `submit`.
        """
        return await async_run(self._orders.submit_orders(orders), self, self._orders.clock)

    async def reconcile(self, *, open_orders: bool = False) -> list[OrderIntent]:
        """Ask for every order of the journal whose fate is open, and return them as they are now.

        To be called at start, before the first order. Orders that were intended and never sent are left to `submit`.

        Args:
            open_orders: Whether also those are asked for that were open: they may have been filled since, or cancelled.

        Raises:
            OrderJournalError: The journal cannot be read or written.
            ValueError: The client has no journal.
        """
        return await async_run(self._orders.reconcile(open_orders=open_orders), self, self._orders.clock)

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
