"""A live ccxt object that measures itself: its class is swapped for one that watches, and back.

The new class inherits the old one and changes nothing of what its methods do, so `isinstance`, signatures, copies and
other people's patches on the object keep working.
"""

from __future__ import annotations

import inspect
import logging
import threading
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.exchange_client.exchange_state import Watch
from peak_observe.exchange_client.request import Request, current_request
from peak_observe.exchange_client.reviews import ccxt_id
from peak_observe.exchange_client.scrubbing import QuietLogger, Scrubber, WireFilter, credentials
from peak_observe.measures.exchange import CANDLES, TICKER

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E")

WATCH = "_peak_observe_watch"
_ORIGINAL = "_peak_observe_original"
_lock = threading.Lock()
_classes: dict[tuple[type, bool], type] = {}
_wire = WireFilter()


def instrument(exchange: E, name: str | None = None) -> E:
    """Measure every request of a live ccxt object, sync or async, and keep its secrets out of what it says.

    Adds metrics, spans and the age of data, and takes keys and signatures out of exceptions and log lines. What its
    methods return and raise stays. Twice is once.

    Args:
        exchange: The object, which is also returned.
        name: The label value `exchange`; ccxt's id of the exchange if not given.

    Raises:
        TypeError: It is no ccxt exchange.
    """
    if watch_of(exchange) is None:
        attach(exchange, name)
    return exchange


def uninstrument(exchange: E) -> E:
    """Take back what `instrument` did, and return the object; what was counted stays counted.

    Raises:
        ValueError: The object belongs to a client, which protects it.
    """
    watch = watch_of(exchange)
    if watch is not None and watch.strict:
        raise ValueError(f"this exchange belongs to the client {watch.name!r}: close that one instead")
    detach(exchange)
    return exchange


def is_async(exchange: Any) -> bool:
    """Return whether a ccxt object is one of `ccxt.async_support` or `ccxt.pro`.

    Raises:
        TypeError: It is no ccxt exchange.
    """
    fetch = getattr(type(exchange), "fetch2", None)
    if not callable(fetch) or not isinstance(getattr(exchange, "id", None), str):
        raise TypeError(f"a ccxt exchange object is wanted, not {type(exchange).__name__}")
    return inspect.iscoroutinefunction(inspect.unwrap(fetch))


def watch_of(exchange: Any) -> Watch | None:
    """Return what is kept about an instrumented object, None for any other."""
    found = getattr(exchange, "__dict__", {}).get(WATCH)
    return found if isinstance(found, Watch) else None


def attach(
    exchange: Any,
    name: str | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    overrides: Callable[[type], dict[str, Any]] | None = None,
) -> Watch:
    """Swap the class of an exchange object for one that watches.

    Args:
        exchange: The object.
        name: The label value; the exchange's id if not given.
        clock: Where the time comes from.
        overrides: Makes further methods for a class, those of a client.
    """
    asynchronous = is_async(exchange)
    original = type(exchange)
    weakly = ref(exchange)
    scrubber = Scrubber(lambda: credentials(weakly()))
    watch = Watch(ccxt_id(original), name or exchange.id, scrubber, clock, strict=overrides is not None)
    with _lock:
        key = (original, overrides is not None)
        if key not in _classes:
            members = _watching(original, asynchronous=asynchronous) | (overrides(original) if overrides else {})
            _classes[key] = _subclass(original, members)
        logging.getLogger("urllib3.connectionpool").addFilter(_wire)
    logger = getattr(exchange, "logger", None)
    vars(exchange).update({WATCH: watch, _ORIGINAL: (original, logger)})
    if isinstance(logger, logging.Logger):
        exchange.logger = QuietLogger(logger, scrubber)
    exchange.__class__ = _classes[key]
    return watch


def detach(exchange: Any) -> None:
    """Give an exchange object its own class back; nothing happens to one that was not instrumented."""
    original, logger = vars(exchange).pop(_ORIGINAL, (None, None))
    if original is not None:
        del vars(exchange)[WATCH]
        exchange.logger = logger
        exchange.__class__ = original


def _subclass(original: type, members: dict[str, Any]) -> type:
    named = {"__module__": original.__module__, "__qualname__": original.__qualname__, "__doc__": original.__doc__}
    return type(original.__name__, (original,), {**members, **named})


def _watching(original: type, *, asynchronous: bool) -> dict[str, Any]:
    members = {
        "fetch2": (_async_request if asynchronous else _sync_request)(original),
        "sign": _sign(original),
        "on_rest_response": _on_rest_response(original),
        "log": _log(original),
    }
    for name, alias, note in (
        ("fetch_ticker", "fetchTicker", _note_ticker),
        ("fetch_tickers", "fetchTickers", _note_tickers),
        ("fetch_ohlcv", "fetchOHLCV", _note_candles),
    ):
        if hasattr(original, name):
            noted = _noted(getattr(original, name), note, asynchronous=asynchronous)
            members |= {name: noted, alias: noted}
    return members


def _sync_request(original: Any) -> Any:
    fetch2 = original.fetch2

    @wraps(fetch2)
    def watched(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        request = Request(self._peak_observe_watch, path, *args, **kwargs)
        token = current_request.set(request)
        try:
            result = fetch2(self, path, *args, **kwargs)
            request.done(result)
        except BaseException as error:
            request.failed(error)
            raise
        finally:
            current_request.reset(token)
        return result

    return watched


def _async_request(original: Any) -> Any:
    fetch2 = original.fetch2

    @wraps(fetch2)
    async def watched(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        request = Request(self._peak_observe_watch, path, *args, **kwargs)
        token = current_request.set(request)
        try:
            result = await fetch2(self, path, *args, **kwargs)
            request.done(result)
        except BaseException as error:
            request.failed(error)
            raise
        finally:
            current_request.reset(token)
        return result

    return watched


def _sign(original: Any) -> Any:
    sign = original.sign

    @wraps(sign)
    def signed(self: Any, *args: Any, **kwargs: Any) -> Any:
        watch = self._peak_observe_watch
        # A nonce is read, raised and written back: two threads at once would send the same.
        with watch.signing:
            found = sign(self, *args, **kwargs)
        request = current_request.get()
        if request is not None:
            request.sends(found["url"], found["headers"], found["body"])
        return found

    return signed


def _on_rest_response(original: Any) -> Any:
    respond = original.on_rest_response

    @wraps(respond)
    def responded(self: Any, code: int, *answer: Any) -> Any:
        request = current_request.get()
        if request is not None:
            _, _, _, headers, body, *_ = answer
            request.answer = (code, headers, body)
        return respond(self, code, *answer)

    return responded


def _log(original: Any) -> Any:
    log = original.log

    @wraps(log)
    def quiet(self: Any, *args: Any) -> Any:
        watch = watch_of(self)
        return log(self, *(watch.scrubber.text(str(arg)) if watch else arg for arg in args))

    return quiet


def _noted(method: Any, note: Callable[..., None], *, asynchronous: bool) -> Any:
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


def _note_ticker(exchange: Any, ticker: Any, symbol: str = "", *_: Any, **__: Any) -> None:
    if type(ticker) is dict and (ticker.get("last") is not None or ticker.get("bid") is not None):
        made = ticker.get("timestamp")
        vars(exchange)[WATCH].tally.saw(TICKER, symbol, made and made / 1000)


def _note_tickers(exchange: Any, tickers: Any, *_: Any, **__: Any) -> None:
    if isinstance(tickers, dict) and tickers:
        made = max((ticker.get("timestamp") or 0 for ticker in tickers.values() if isinstance(ticker, dict)), default=0)
        vars(exchange)[WATCH].tally.saw(TICKER, "*", made / 1000 or None)


def _note_candles(
    exchange: Any, candles: Any, symbol: str = "", timeframe: str = "1m", since: Any = None, *_: Any, **__: Any
) -> None:
    if isinstance(candles, list) and candles:
        made = candles[-1][0] / 1000 + exchange.parse_timeframe(timeframe)
        vars(exchange)[WATCH].tally.saw(CANDLES, f"{symbol} {timeframe}", made, past=since is not None)
