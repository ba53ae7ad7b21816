"""Age of market data: methods of a ccxt object that note how old the tickers and candles are that they return."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.exchange_state import STATE
from peak_observe.measures.exchange import CANDLES, TICKER

if TYPE_CHECKING:
    from collections.abc import Callable


def noting(method: Any, note: Callable[..., None], *, asynchronous: bool) -> Any:
    """Return a method of an exchange object whose results are noted."""

    @wraps(method)
    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        note(self, result, *args, **kwargs)
        return result

    @wraps(method)
    async def async_noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = await method(self, *args, **kwargs)
        note(self, result, *args, **kwargs)
        return result

    return async_noted if asynchronous else noted


def note_ticker(exchange: Any, ticker: Any, symbol: str = "", *_: Any, **__: Any) -> None:
    """Note how old a ticker is, and its price where orders are valued by it."""
    if type(ticker) is dict and (ticker.get("last") is not None or ticker.get("bid") is not None):
        made = ticker.get("timestamp")
        state = vars(exchange)[STATE]
        state.tally.saw(TICKER, symbol, made and made / 1000)
        if state.gate is not None:
            state.prices[symbol] = ticker.get("last") or ticker["bid"]


def note_tickers(exchange: Any, tickers: Any, *_: Any, **__: Any) -> None:
    """Note how old the newest of many tickers is."""
    if isinstance(tickers, dict) and tickers:
        made = max((ticker.get("timestamp") or 0 for ticker in tickers.values() if isinstance(ticker, dict)), default=0)
        vars(exchange)[STATE].tally.saw(TICKER, "*", made / 1000 or None)


def note_candles(
    exchange: Any, candles: Any, symbol: str = "", timeframe: str = "1m", since: Any = None, *_: Any, **__: Any
) -> None:
    """Note how old the newest candle is, and the gaps between candles."""
    if isinstance(candles, list) and candles:
        spans = exchange.parse_timeframe(timeframe)
        made, market = candles[-1][0] / 1000 + spans, f"{symbol} {timeframe}"
        tally = vars(exchange)[STATE].tally
        tally.saw(CANDLES, market, made, past=since is not None, spans=spans)
        tally.saw_candles(market, [candle[0] / 1000 for candle in candles if candle and candle[0]], spans)
