"""Base of the sync and the async client: construction, lookup of methods, and release of the ccxt object."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.coordination.default import shared_of
from peak_observe.coordination.joinable import Joinable
from peak_observe.errors import MissingExtraError
from peak_observe.exchange_client import ccxt_overrides, endpoints, websocket_writes
from peak_observe.exchange_client import health_check as exchange_check
from peak_observe.exchange_client import latency_budget as latency_budgets
from peak_observe.exchange_client.backpressure import Backpressure
from peak_observe.exchange_client.call_pipeline import Protection, Settings
from peak_observe.exchange_client.implicit_methods import entry_of
from peak_observe.exchange_client.instrumentation import Options, attach, detach, is_async, uninstrument
from peak_observe.exchange_client.order_id_overrides import OrderIds
from peak_observe.exchange_client.order_journal import OrderJournal
from peak_observe.exchange_client.order_journal.client_orders import ClientOrders
from peak_observe.exchange_client.reviews import ccxt_id
from peak_observe.exchange_client.streams import overrides as stream_overrides
from peak_observe.exchange_client.streams.state import MaxSilence
from peak_observe.exchange_client.trading_gate import gate_of, lease_gate
from peak_observe.resilience import CircuitBreaker, HealthCheck, health_check
from peak_observe.resilience.common import validation
from peak_observe.safety.trading_switch import TradingSwitch
from peak_observe.support.keywords import check_keywords
from peak_observe.support.shown import label, shown

if TYPE_CHECKING:
    from peak_observe.safety import SingleInstance
_CCXT = "apikey api_key secret api_secret password passphrase uid enableratelimit timeout options sandbox verbose"
SURPLUS = "ccxt's settings go together into config={'apiKey': ..., 'secret': ...}"
FOREIGN = {
    _CCXT: "config (ccxt's own settings: config={'apiKey': ..., 'secret': ...})",
    "settings params options_dict": "config",
    "retries max_retries attempts": "max_attempts (it counts the first call too)",
    "reset_timeout": "recovery_timeout",
    "health_check check": "health",
}
"""Arguments with what ccxt and others call them."""

_BY_PATH = ("request", "fetch2")
"""Methods of ccxt that ask any endpoint by its path."""

_CREDENTIALS = {"apikey": "apiKey", "key": "apiKey", "secret": "secret", "apisecret": "secret", "secretkey": "secret"}
_CREDENTIALS |= {"passphrase": "password", "apipassword": "password"}


class ExchangeClient:
    """Base of both clients; see `ResilientExchangeClient`."""

    _asynchronous: ClassVar[bool]
    loop: Any = None  # no event loop: that of the async client is set when it is made

    @check_keywords(FOREIGN, mapping=True, surplus=SURPLUS)
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
        exclusive: bool = False,
        latency_budget: Mapping[str, float] | None = None,
        client_order_id: Callable[[], str | int] | None = None,
        journal: OrderJournal | None = None,
        stream_max_silence: MaxSilence = None,
        stream_group: Callable[[str], str] | None = None,
        health: HealthCheck | None = health_check,
        trading: TradingSwitch | None = None,
        clock: Clock = SYSTEM_CLOCK,
        shared: Joinable | str | None = None,
    ) -> None:
        gate = gate_of(trading)
        settings = Settings(failure_threshold, recovery_timeout, max_attempts, base_delay, max_delay)
        validation.check_seconds("max_wait", max_wait)
        validation.check_flag("exclusive", exclusive)
        budgets = latency_budgets.checked(latency_budget)
        self._owns = isinstance(exchange_id, str)
        exchange = _made(exchange_id, config, type(self)) if self._owns else _given(exchange_id, config, type(self))
        self._instance: SingleInstance | None = None
        streams = stream_overrides.options_for(exchange, stream_max_silence, stream_group)
        order_ids = OrderIds(ccxt_id(type(exchange)), client_order_id)
        uninstrument(exchange)  # it may have been measured before; of another client it is refused
        ccxt_overrides.prepare(exchange, clock)
        backpressure = Backpressure(name or exchange.id, max_wait, clock)
        joined = shared_of(shared)
        if joined is not None:
            backpressure.join(joined, ccxt_id(type(exchange)))
            ccxt_overrides.share(exchange, joined, ccxt_id(type(exchange)), clock)
        asynchronous = self._asynchronous
        state = attach(
            exchange,
            name,
            clock=clock,
            options=Options(client=True),
            order_ids=order_ids,
            backpressure=backpressure,
            latency_budget=budgets,
            overrides=lambda original: {
                **ccxt_overrides.overrides(original, asynchronous=asynchronous),
                **(websocket_writes.overrides(original) if asynchronous else {}),
            },
            streams=streams,
            health=health,
        )
        state.shared_limit = ccxt_overrides.shared_limit(exchange)
        try:
            if exclusive:
                from peak_observe.safety.single_instance import only_one_of_account  # late: few clients are exclusive

                self._instance = only_one_of_account(exchange, state.name, shared=joined)
                if joined is not None:
                    gate = lease_gate(self._instance, trading)
            if gate is not None:
                gate.open_for(exchange, state)
            self._protect(Protection(exchange, state, backpressure, settings, clock=clock, shared=joined), health)
            self._journaled = None if journal is None else _journaled(journal, exchange, state, clock)
        except BaseException:
            detach(exchange)
            ccxt_overrides.release(exchange)
            self._let_go()
            raise

    def _protect(self, protection: Protection, health: HealthCheck | None) -> None:
        self._protection = protection
        self._backpressure = protection.backpressure
        self._calls: dict[str, Callable[..., Any]] = {}
        for method in ("fetch_ticker", "fetch_balance", "create_order"):
            self._protected(method)  # so that the series of all groups are there at 0 from the beginning
        self._health = health
        name = protection.state.name
        self._check_name = exchange_check.register(self, health, name, self._check()) if health is not None else None

    @property
    def name(self) -> str:
        """The label value `exchange` of its metrics, and what its circuits' names begin with."""
        return self._protection.state.name

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
        return self._backpressure.remaining

    @property
    def order_ids_supported(self) -> bool:
        """True if orders carry a client order id, by which one of unknown outcome can be found."""
        return self._protection.state.order_ids.supported

    @property
    def journal(self) -> OrderJournal | None:
        """The journal of its orders, None if it has none."""
        return None if self._journaled is None else self._journaled.journal

    @property
    def _orders(self) -> ClientOrders:
        if self._journaled is None:
            raise ValueError(
                f"{type(self).__name__} {self.name!r} has no order journal: give it one, "
                f'{type(self).__name__}(..., journal=OrderJournal("orders.sqlite"))',
            )
        return self._journaled

    def _check(self) -> Callable[[], Any]:
        raise NotImplementedError

    def _request(self, *args: Any, **kwargs: Any) -> Any:
        """Ask an endpoint by its path in ccxt's table, protected as its implicit method is; a new one is a write."""
        given = inspect.signature(self.exchange.fetch2).bind(*args, **kwargs)
        given.apply_defaults()
        path, api, method = (given.arguments[name] for name in ("path", "api", "method"))
        label = endpoints.label(path, api, method)
        found = self._calls.get(label)
        if found is None:
            write, group = self._kind_of_endpoint(label, endpoints.section(api))
            found = self._protection.protect("fetch2", write=write, group=group, asynchronous=self._asynchronous)
            found = self._calls.setdefault(label, found)
        return found(*args, **kwargs)

    def _kind_of_endpoint(self, label: str, section: str) -> tuple[bool, str]:
        write = endpoints.is_write(label, exchange=self._protection.state.exchange)
        return write, endpoints.request_group(write=write, api=section)

    def _protected(self, name: str) -> Callable[..., Any] | None:
        """Return a method with protection, None for what does not ask the exchange."""
        if name in _BY_PATH:
            return self._request
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
        return name if entry_of(type(self.exchange), name) is not None else endpoints.snake(name)

    def _kind(self, method: str) -> tuple[bool, str | None]:
        attribute = getattr(type(self.exchange), method, None)
        if not callable(attribute) or not self._asks(method):
            return False, None
        entry = entry_of(type(self.exchange), method)
        if entry is not None:
            label = endpoints.label(entry.path, entry.api, entry.method)
            return self._kind_of_endpoint(label, endpoints.section(entry.api))
        write = endpoints.writes(method)
        return write, endpoints.TRADE if write else endpoints.group(method)

    def _asks(self, method: str) -> bool:
        if entry_of(type(self.exchange), method) is not None:
            return True
        if not endpoints.unified(method):
            return False
        # Some of ccxt's async methods only hand a coroutine on; of what is not known, a plain function sends nothing.
        return not self._asynchronous or endpoints.judged(method) or _is_coroutine(getattr(self.exchange, method))

    def __getattr__(self, name: str) -> Any:
        # Only what the client does not have itself comes here; names of its own are set before anything can fail.
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        if name == "fetch":
            raise AttributeError(
                "fetch(url) would go past circuits and retries, and might send orders twice: use "
                "request(path, api, method, params), or client.exchange.fetch(url) without protection",
            )
        protected = self._protected(name)
        return getattr(self.exchange, name) if protected is None else protected

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(self.exchange) if not name.startswith("_"))})

    def _unregister(self) -> None:
        name, self._check_name = self._check_name, None
        if self._health is not None and name is not None:
            exchange_check.unregister(self, self._health, name)

    def _let_go(self) -> None:
        if self._instance is not None:
            self._instance.release()

    def _give_back(self) -> None:
        self._let_go()
        if not self._owns:
            detach(self.exchange)
            ccxt_overrides.release(self.exchange)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} holds keys and connections and cannot be pickled: make a new one")

    def __repr__(self) -> str:
        states = ", ".join(f"{group} {breaker.state.value}" for group, breaker in self._protection.breakers.items())
        return f"<{type(self).__name__} {label(self.name)!r} {states}>"


def _journaled(journal: Any, exchange: Any, state: Any, clock: Clock) -> ClientOrders:
    if not isinstance(journal, OrderJournal):
        raise TypeError(f'journal must be OrderJournal("orders.sqlite"), not {shown(journal)}')
    return ClientOrders(journal, exchange, state, clock)


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
    if not isinstance(config, Mapping | None):
        raise TypeError(f"config must be a mapping, as ccxt's constructors take one, not {shown(config)}")
    exchange = getattr(ccxt, exchange_id)(dict(config or {}))
    _check_credentials(exchange, config or {})
    return exchange


def _check_credentials(exchange: Any, config: Mapping[str, Any]) -> None:
    """Raise where a key of the configuration is a credential that ccxt writes differently, and would not find."""
    for key in config:
        meant = _CREDENTIALS.get(str(key).replace("_", "").lower())
        if meant is not None and key != meant and not hasattr(type(exchange), str(key)):
            raise ValueError(f"config has {key!r}, which ccxt does not read: it is called {meant!r} there")


def _given(exchange: Any, config: Mapping[str, Any] | None, kind: type[ExchangeClient]) -> Any:
    if isinstance(exchange, Mapping):
        raise TypeError(f"the id of the exchange comes first: {kind.__name__}('kraken', config)")
    if config is not None:
        raise TypeError("config goes with the id of an exchange; an object has its own already")
    if is_async(exchange) is not kind._asynchronous:  # noqa: SLF001 - a class of this module
        other = "ResilientExchangeClient" if kind._asynchronous else "AsyncResilientExchangeClient"  # noqa: SLF001 - see above
        raise TypeError(f"{kind.__name__} does not take a {type(exchange).__module__} object: use {other}")
    return exchange


def _is_coroutine(method: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(method))
