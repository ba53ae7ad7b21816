"""The exchange client: any exchange of ccxt, sync or async, observable and resilient."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import MissingExtraError
from peak_observe.exchange_client import endpoints, guard, probe
from peak_observe.exchange_client.hold import Hold
from peak_observe.exchange_client.instrumented import attach, detach, is_async
from peak_observe.exchange_client.pipeline import Protection, Settings
from peak_observe.resilience import CircuitBreaker, HealthCheck, arguments, health_check

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from types import TracebackType


class _Client:
    """What both clients have in common; see `ResilientExchangeClient`."""

    _asynchronous: ClassVar[bool]

    def __init__(
        self,
        exchange_id: Any = "kraken",
        config: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        failure_threshold: int = 5,
        recovery_timeout: float = 30.0,
        max_attempts: int = 3,
        base_delay: float = 0.5,
        max_delay: float = 10.0,
        max_wait: float = 10.0,
        client_order_id: Callable[[], str | int] | None = None,
        health: HealthCheck | None = health_check,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        settings = Settings(failure_threshold, recovery_timeout, max_attempts, base_delay, max_delay, max_wait)
        arguments.check_seconds("max_wait", max_wait)
        self._owns = isinstance(exchange_id, str)
        exchange = _made(exchange_id, config, type(self)) if self._owns else _given(exchange_id, config, type(self))
        detach(exchange)  # `instrument` may have been there before
        guard.guard(exchange, client_order_id, clock)
        asynchronous = self._asynchronous
        watch = attach(
            exchange,
            name,
            clock=clock,
            overrides=lambda original: guard.overrides(original, asynchronous=asynchronous),
        )
        self._hold = Hold(watch.name, max_wait, clock)
        self._protection = Protection(exchange, watch, self._hold, settings, clock)
        self._calls: dict[str, Callable[..., Any]] = {}
        self._health = health
        self._check_name = probe.register(self, health, watch.name, self._check()) if health is not None else None

    @property
    def name(self) -> str:
        """The label value `exchange` of its metrics, and what its circuits' names begin with."""
        return self._protection.watch.name

    @property
    def exchange(self) -> Any:
        """The ccxt object itself: measured and redacted, but without circuits and retries."""
        return self._protection.exchange

    @property
    def breakers(self) -> dict[str, CircuitBreaker]:
        """Its circuits by group: `public`, `private` and `trade`."""
        return dict(self._protection.breakers)

    @property
    def held_back(self) -> float:
        """Seconds until the exchange may be asked again, 0.0 as a rule."""
        return self._hold.remaining

    def _check(self) -> Callable[[], Any]:
        raise NotImplementedError

    def _protected(self, name: str) -> Callable[..., Any] | None:
        """Return a method with protection, None for what does not ask the exchange."""
        method = endpoints.snake(name)
        found = self._calls.get(method)
        if found is None and hasattr(self.exchange, method):
            write, group = self._kind(method)
            if group is not None:
                found = self._protection.protect(method, write=write, group=group, asynchronous=self._asynchronous)
                found = self._calls.setdefault(method, found)
        return found

    def _kind(self, method: str) -> tuple[bool, str | None]:
        attribute = getattr(type(self.exchange), method, None)
        if not callable(attribute) or not self._asks(method):
            return False, None
        entry = _entry(type(self.exchange), method)
        if entry is not None:
            write = endpoints.is_write(entry.path, entry.api, entry.method)
            public = "ublic" in endpoints.section(entry.api)
            return write, endpoints.TRADE if write else endpoints.PUBLIC if public else endpoints.PRIVATE
        write = endpoints.writes(method)
        return write, endpoints.TRADE if write else endpoints.group(method)

    def _asks(self, method: str) -> bool:
        if _entry(type(self.exchange), method) is not None:
            return True
        return endpoints.unified(method) and (not self._asynchronous or _is_coroutine(getattr(self.exchange, method)))

    def __getattr__(self, name: str) -> Any:
        # Only what the client does not have itself comes here; names of its own are set before anything can fail.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        protected = self._protected(name)
        return getattr(self.exchange, name) if protected is None else protected

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(self.exchange) if not name.startswith("_"))})

    def _unregister(self) -> None:
        name, self._check_name = self._check_name, None
        if self._health is not None and name is not None:
            probe.unregister(self._health, name)

    def _give_back(self) -> None:
        if not self._owns:
            detach(self.exchange)
            guard.release(self.exchange)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds keys and connections and cannot be pickled: make a new one")

    def __repr__(self) -> str:
        states = ", ".join(f"{group} {breaker.state.value}" for group, breaker in self._protection.breakers.items())
        return f"<{type(self).__name__} {self.name!r} {states}>"


class ResilientExchangeClient(_Client):
    """A ccxt exchange whose reads are retried, whose calls pass circuits, and whose orders are never sent twice.

    Every method of ccxt is there under its name and with its signature. A client has three circuits that are its own:
    for public data, for private reads, and for trading; cancelling passes none. A request to change something whose
    fate is unknown ends in `OutcomeUnknown`. For any number of threads.

    Args:
        exchange_id: ccxt's id of the exchange, or a sync ccxt object, which stays the caller's to close.
        config: What ccxt's constructor takes; not with an object.
        name: The label value of its metrics, part of its circuits' names and of its check's `exchange_<name>`; the id
            of the exchange if not given.
        failure_threshold: Consecutive failures that open a circuit.
        recovery_timeout: Seconds from opening to the probe.
        max_attempts: How often a read is made at most.
        base_delay: Seconds before a read's second attempt; the delay doubles with each.
        max_delay: Upper limit of that delay in seconds.
        max_wait: Seconds that a call waits at most when the exchange wants to be left alone; beyond that it is refused.
        client_order_id: Makes the ids of orders that have none; by the exchange's rules if not given.
        health: Where its check is registered; None for no check.
        clock: Where time and sleep come from; for tests.

    Raises:
        MissingExtraError: ccxt is not installed.
        ValueError: ccxt knows no such exchange, or an argument makes no sense; the message names it.
        TypeError: What was given is no exchange object, or an async one.
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
        return probe.check(self)

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


class AsyncResilientExchangeClient(_Client):
    """`ResilientExchangeClient` for `ccxt.async_support`: the same with methods to be awaited, for any number of tasks.

    Args:
        exchange_id: ccxt's id of the exchange, or an object of `ccxt.async_support`, which stays the caller's to close.
        config: What ccxt's constructor takes; not with an object.
        settings: Those of `ResilientExchangeClient`.

    Attributes:
        loop: The event loop that it is used on, on which its health check asks, too.
    """

    _asynchronous = True

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
        return probe.async_check(self)

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


def _made(exchange_id: str, config: Mapping[str, Any] | None, kind: type[_Client]) -> Any:
    try:
        if kind._asynchronous:  # noqa: SLF001 - a class of this module
            import ccxt.async_support as ccxt
        else:
            import ccxt
    except ImportError as error:
        raise MissingExtraError("exchange", kind.__name__) from error
    if exchange_id not in ccxt.exchanges:
        import difflib

        near = difflib.get_close_matches(exchange_id.lower(), ccxt.exchanges, cutoff=0.5)
        raise ValueError(f"ccxt knows no exchange {exchange_id!r}" + (f"; near: {', '.join(near)}" if near else ""))
    return getattr(ccxt, exchange_id)(dict(config or {}))


def _given(exchange: Any, config: Mapping[str, Any] | None, kind: type[_Client]) -> Any:
    if config is not None:
        raise TypeError("config goes with the id of an exchange; an object has its own already")
    if is_async(exchange) is not kind._asynchronous:  # noqa: SLF001 - a class of this module
        other = "ResilientExchangeClient" if kind._asynchronous else "AsyncResilientExchangeClient"  # noqa: SLF001
        raise TypeError(f"{kind.__name__} does not take a {type(exchange).__module__} object: use {other}")
    return exchange


def _entry(kind: type, name: str) -> Any:
    """Return the entry of ccxt's table behind a method such as `public_get_ticker`, None for any other."""
    for base in kind.__mro__:
        found = vars(base).get(name)
        if found is not None:
            return found if all(hasattr(found, part) for part in ("path", "api", "method")) else None
    return None


def _is_coroutine(method: Any) -> bool:
    import inspect

    return inspect.iscoroutinefunction(inspect.unwrap(method))


def _running_loop() -> asyncio.AbstractEventLoop | None:
    if "asyncio" not in sys.modules:
        return None
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
