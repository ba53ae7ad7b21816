"""Cancel-all timers of exchanges: which has one, its limits, and the requests that set it.

A timer counts down at the exchange. Each request sets it anew; when it reaches zero, the exchange cancels the orders.
ccxt takes its time in milliseconds and cuts it to whole seconds for most exchanges, so only whole seconds are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from peak_observe.safety.exchange_calls import symbol_names
from peak_observe.support.shown import shown

Request = tuple[str, tuple[Any, ...]]
"""Name and arguments of a method of ccxt."""
Requests = Iterator[Request]
METHOD = "cancel_all_orders_after"
FEATURE = "cancelAllOrdersAfter"
COUNTDOWN = {
    "aster": {"linear": "fapiPrivatePostV3CountdownCancelAll"},
    "binance": {"linear": "fapiPrivatePostCountdownCancelAll", "inverse": "dapiPrivatePostCountdownCancelAll"},
}
"""Timers of futures by their kind; each counts for one symbol."""

ACCOUNT, SYMBOL = "all orders of the account", "all orders of each symbol given"


@dataclass(frozen=True, slots=True)
class TimerRules:
    """Rules of an exchange's timer.

    Args:
        source: Where they are published.
        least: Shortest time in seconds, 1 where none is published.
        most: Longest time in seconds, None where none is published.
        scope: The orders that it cancels.
        refused: Why it is no dead man's switch, if it is none.
        request: Makes the request of a market (empty where the timer counts for all) and a number of seconds, 0 to
            switch it off; ccxt's `cancelAllOrdersAfter` if there is none.
    """

    source: str
    least: int = 1
    most: int | None = None
    scope: str = ACCOUNT
    refused: str = ""
    request: Callable[[Any, str, int, Mapping[str, Any]], Request] | None = None


def _of_future(exchange: Any, symbol: str, seconds: int, params: Mapping[str, Any]) -> Request:
    request = {**params, "symbol": exchange.market(symbol)["id"], "countdownTime": seconds * 1000}
    return COUNTDOWN[_venue(exchange)][kind_of_future(symbol, _venue(exchange))], (request,)


def _of_gate(exchange: Any, _: str, seconds: int, params: Mapping[str, Any]) -> Request:
    given = {"timeout": seconds, **params}
    if exchange.options.get("defaultType", "spot") in ("spot", "margin"):
        return "privateSpotPostCountdownCancelAll", (given,)
    settle = exchange.options.get("defaultSettle", "usdt")
    return "privateFuturesPostSettleCountdownCancelAll", ({"settle": settle, **given},)


def _of_kucoin(_: Any, __: str, seconds: int, params: Mapping[str, Any]) -> Request:
    return "privatePostHfOrdersDeadCancelAll", ({"timeout": seconds or -1, **params},)


def _of_hyperliquid(exchange: Any, _: str, seconds: int, params: Mapping[str, Any]) -> Request:
    if seconds:
        return METHOD, (seconds * 1000, dict(params))
    # ccxt takes 0 for now, which is no time to set; without one the exchange forgets what was set.
    vault = params.get("vaultAddress") or params.get("subAccountAddress") or exchange.options.get("vaultAddress")
    address, nonce = exchange.format_vault_address(vault), exchange.incrementing_nonce()
    action = {"type": "scheduleCancel"}
    request = {"action": action, "nonce": nonce, "signature": exchange.sign_l1_action(action, nonce, address)}
    return "privatePostExchange", (request if address is None else {**request, "vaultAddress": address},)


def _venue(exchange: Any) -> str:
    return "aster" if exchange.id == "aster" else "binance"


_BYBIT = TimerRules(
    "https://bybit-exchange.github.io/docs/v5/order/dcp",
    3,
    300,
    refused="its cancelAllOrdersAfter sets no timer but for how long a private websocket may be away that subscribed "
    "to `dcp`: without that websocket nothing is ever cancelled",
)
_OKX = TimerRules("https://www.okx.com/docs-v5/en/#order-book-trading-trade-post-cancel-all-after", 10, 120)
_BINANCE = TimerRules(
    "https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api/Auto-Cancel-All-Open-Orders",
    scope=SYMBOL,
    request=_of_future,
)

RULES: dict[str, TimerRules] = {
    "aster": TimerRules("https://github.com/asterdex/api-docs", scope=SYMBOL, request=_of_future),
    "binance": _BINANCE,
    "binancecoinm": _BINANCE,
    "binanceusdm": _BINANCE,
    "bingx": TimerRules(
        "https://bingx-api.github.io/docs-v3/#/en/Spot/Trades%20Endpoints/Cancel%20All%20After",
        10,
        120,
        "all orders of spot, or of swaps: `defaultType`",
    ),
    "bitvavo": TimerRules(
        "https://docs.bitvavo.com/docs/rest-api/cancel-orders-after/", 10, 300, "all orders of the group `codGroupId`"
    ),
    "btse": TimerRules(
        "https://docs.btse.com/spot/rest/cancel-all-after", scope="all orders of spot, or of futures: `defaultType`"
    ),
    "bybit": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    "extended": TimerRules("https://api.docs.extended.exchange/#mass-auto-cancel-dead-man-39-s-switch"),
    "gate": TimerRules(
        "https://www.gate.com/docs/developers/apiv4/#countdown-cancel-orders",
        5,
        scope="all orders of spot, or of swaps that settle in `defaultSettle`: `defaultType`",
        request=_of_gate,
    ),
    "htx": TimerRules(
        "https://huobiapi.github.io/docs/spot/v1/en/#dead-man-s-switch", 5, scope="all spot orders of the account"
    ),
    "hyperliquid": TimerRules(
        "https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/exchange-endpoint"
        "#schedule-cancel-dead-mans-switch",
        5,
        request=_of_hyperliquid,
    ),
    "kraken": TimerRules("https://docs.kraken.com/api-reference/trading/cancel-all-orders-after-x", 1, 86_400),
    "krakenfutures": TimerRules("https://docs.kraken.com/api/docs/futures-api/trading/cancel-all-orders-after"),
    "kucoin": TimerRules(
        "https://www.kucoin.com/docs-new/rest/spot-trading/orders/set-dcp",
        5,
        86_400,
        "all spot orders of the account",
        request=_of_kucoin,
    ),
    "lighter": TimerRules("https://github.com/ccxt/ccxt/blob/master/python/ccxt/lighter.py", 300, 1_296_000),
    "myokx": _OKX,
    "okx": _OKX,
    "okxus": _OKX,
    "polymarket": TimerRules("https://docs.polymarket.com/perps/trading", 5),
    "whitebit": TimerRules(
        "https://docs.whitebit.com/private/http-trade-v4/#sync-kill-switch-timer", 5, 600, scope=SYMBOL
    ),
    "woo": TimerRules("https://developer.woox.io/api-reference/endpoint/trading/cancel_all_after", 1, 900),
}
"""By ccxt's id; an exchange that a newer ccxt adds has no published limits here."""

Symbols = Iterable[str] | Callable[[], Iterable[str]]


class ExchangeTimer:
    """Cancel-all timer of one account.

    Args:
        exchange: The ccxt object.
        symbols: The markets whose orders are to be cancelled, where the timer counts for one; or what returns them.
        params: Further parameters of ccxt's method.

    Raises:
        ValueError: The exchange has no such timer, or needs symbols.
    """

    def __init__(self, exchange: Any, *, symbols: Symbols = (), params: Mapping[str, Any] | None = None) -> None:
        self._exchange = exchange
        self._symbols: Callable[[], Iterable[str]] = symbols if callable(symbols) else _fixed(symbols)
        if not isinstance(params, Mapping | None):
            raise TypeError(f"params must be a mapping as ccxt's methods take it, not {shown(params)}")
        self._params = dict(params or {})
        self._set: set[str] = set()
        self.rules = _rules(exchange)
        _check_symbols(exchange.id, self.rules, symbols)

    def check(self, timeout: int) -> None:
        """Raise ValueError if the exchange does not take this time, in seconds."""
        least, most = self.rules.least, self.rules.most
        if timeout < least or (most is not None and timeout > most):
            allowed = f"at least {least}" if most is None else f"from {least} to {most}"
            raise ValueError(
                f"timeout must be {allowed} seconds at {self._exchange.id}, not {timeout} ({self.rules.source})"
            )

    def requests(self, timeout: int) -> Requests:
        """Yield name and arguments of each method of ccxt to call, to set the timer; 0 seconds switch it off."""
        if self.rules.scope != SYMBOL:
            yield self._request("", timeout)
            return
        yield "load_markets", ()
        wanted = tuple(self._symbols()) if timeout else ()
        if timeout and not wanted:
            raise ValueError("symbols names no market, so that nothing would be cancelled")
        for symbol in sorted(self._set.difference(wanted)):  # a market that was left, and all of them at the end
            yield self._request(symbol, 0)
        self._set = set(wanted)
        for symbol in wanted:
            yield self._request(symbol, timeout)

    def _request(self, symbol: str, seconds: int) -> Request:
        if self.rules.request is not None:
            return self.rules.request(self._exchange, symbol, seconds, self._params)
        return METHOD, (seconds * 1000, {**self._params, "symbol": symbol} if symbol else self._params)


def _fixed(symbols: Iterable[str]) -> Callable[[], Iterable[str]]:
    kept = symbol_names(symbols)
    return lambda: kept


def _rules(exchange: Any) -> TimerRules:
    rules = RULES.get(exchange.id, TimerRules(""))
    if rules.refused:
        raise ValueError(f"{exchange.id} has no dead man's switch: {rules.refused} ({rules.source})")
    if rules.request in (None, _of_hyperliquid) and exchange.has.get(FEATURE) is not True:
        raise ValueError(
            f"{exchange.id} has no dead man's switch that ccxt knows ({FEATURE}): nothing would cancel the orders of "
            "a bot that hangs; watch the heartbeat from outside instead"
        )
    return rules


def _check_symbols(id_: str, rules: TimerRules, symbols: Symbols) -> None:
    given = () if callable(symbols) else tuple(_fixed(symbols)())
    if rules.scope != SYMBOL:
        if callable(symbols) or given:
            raise ValueError(f"symbols must not be given at {id_}, whose timer cancels {rules.scope}")
        return
    if not callable(symbols) and not given:
        raise ValueError(f"symbols must name the markets at {id_}, whose timer counts for one symbol each")
    if rules.request is _of_future:
        for symbol in given:
            kind_of_future(symbol, "aster" if id_ == "aster" else "binance")


def kind_of_future(symbol: str, venue: str = "binance") -> str:
    """Return whether a symbol of ccxt is a `linear` or an `inverse` future.

    Raises:
        ValueError: It is none for which the venue has a timer, such as a spot market.
    """
    pair, _, settled = symbol.partition(":")
    base, _, quote = pair.partition("/")
    currency = settled.partition("-")[0]
    kind = "linear" if currency == quote else "inverse"
    if not currency or currency not in (base, quote) or kind not in COUNTDOWN[venue]:
        raise ValueError(
            f"{venue.title()} has a dead man's switch for futures alone, "
            f"such as 'BTC/USDT:USDT', not for {shown(symbol)}"
        )
    return kind
