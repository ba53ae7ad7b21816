"""What the sync and the async client have in common: making, finding methods, giving back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import MissingExtraError
from peak_observe.exchange_client import ccxt_overrides, endpoints
from peak_observe.exchange_client import health_check as exchange_check
from peak_observe.exchange_client.backpressure import Hold
from peak_observe.exchange_client.call_pipeline import Protection, Settings
from peak_observe.exchange_client.instrumentation import attach, detach, is_async, uninstrument
from peak_observe.resilience import CircuitBreaker, HealthCheck, health_check
from peak_observe.resilience.common import validation


class ExchangeClient:
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
        validation.check_seconds("max_wait", max_wait)
        self._owns = isinstance(exchange_id, str)
        exchange = _made(exchange_id, config, type(self)) if self._owns else _given(exchange_id, config, type(self))
        uninstrument(exchange)  # it may have been measured before; of another client it is refused
        ccxt_overrides.guard(exchange, client_order_id, clock)
        asynchronous = self._asynchronous
        watch = attach(
            exchange,
            name,
            clock=clock,
            overrides=lambda original: ccxt_overrides.overrides(original, asynchronous=asynchronous),
        )
        try:
            self._protect(Protection(exchange, watch, Hold(watch.name, max_wait, clock), settings, clock), health)
        except BaseException:
            detach(exchange)
            ccxt_overrides.release(exchange)
            raise

    def _protect(self, protection: Protection, health: HealthCheck | None) -> None:
        self._protection = protection
        self._hold = protection.hold
        self._calls: dict[str, Callable[..., Any]] = {}
        for method in ("fetch_ticker", "fetch_balance"):
            self._protected(method)  # so that the series of both kinds of reads are there at 0 from the beginning
        self._health = health
        name = protection.watch.name
        self._check_name = exchange_check.register(self, health, name, self._check()) if health is not None else None

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
        method = self._spelled(name)
        found = self._calls.get(method)
        if found is None and hasattr(self.exchange, method):
            write, group = self._kind(method)
            if group is not None:
                found = self._protection.protect(method, write=write, group=group, asynchronous=self._asynchronous)
                found = self._calls.setdefault(method, found)
        return found

    def _spelled(self, name: str) -> str:
        # Of an implicit method's two spellings neither follows from the other: fapiPrivateGetOpenOrders.
        return name if _entry(type(self.exchange), name) is not None else endpoints.snake(name)

    def _kind(self, method: str) -> tuple[bool, str | None]:
        attribute = getattr(type(self.exchange), method, None)
        if not callable(attribute) or not self._asks(method):
            return False, None
        entry = _entry(type(self.exchange), method)
        if entry is not None:
            label = endpoints.label(entry.path, entry.api, entry.method)
            write = endpoints.is_write(label, exchange=self._protection.watch.exchange)
            public = "ublic" in endpoints.section(entry.api)
            return write, endpoints.TRADE if write else endpoints.PUBLIC if public else endpoints.PRIVATE
        write = endpoints.writes(method)
        return write, endpoints.TRADE if write else endpoints.group(method)

    def _asks(self, method: str) -> bool:
        if _entry(type(self.exchange), method) is not None:
            return True
        if not endpoints.unified(method):
            return False
        # Some of ccxt's async methods only hand a coroutine on; of what is not known, a plain function sends nothing.
        return not self._asynchronous or endpoints.judged(method) or _is_coroutine(getattr(self.exchange, method))

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
            exchange_check.unregister(self._health, name)

    def _give_back(self) -> None:
        if not self._owns:
            detach(self.exchange)
            ccxt_overrides.release(self.exchange)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds keys and connections and cannot be pickled: make a new one")

    def __repr__(self) -> str:
        states = ", ".join(f"{group} {breaker.state.value}" for group, breaker in self._protection.breakers.items())
        return f"<{type(self).__name__} {self.name!r} {states}>"


def _made(exchange_id: str, config: Mapping[str, Any] | None, kind: type[ExchangeClient]) -> Any:
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


def _given(exchange: Any, config: Mapping[str, Any] | None, kind: type[ExchangeClient]) -> Any:
    if config is not None:
        raise TypeError("config goes with the id of an exchange; an object has its own already")
    if is_async(exchange) is not kind._asynchronous:  # noqa: SLF001 - a class of this module
        other = "ResilientExchangeClient" if kind._asynchronous else "AsyncResilientExchangeClient"  # noqa: SLF001 - see above
        raise TypeError(f"{kind.__name__} does not take a {type(exchange).__module__} object: use {other}")
    return exchange


def _entry(kind: type, name: str) -> Any:
    """Return the entry of ccxt's table behind a method such as `public_get_ticker`, None for any other."""
    for base in kind.__mro__:
        found = vars(base).get(name)
        if all(hasattr(found, part) for part in ("path", "api", "method")):
            return found
        # In front of an entry ccxt itself puts the entry's function, when it makes aliases in camel case.
        if found is not None and getattr(found, "__name__", "") != "unbound_method":
            return None
    return None


def _is_coroutine(method: Any) -> bool:
    import inspect

    return inspect.iscoroutinefunction(inspect.unwrap(method))
