"""Measurement of live ccxt objects: their class is swapped for a subclass that counts, and back.

The new class inherits the old one and changes nothing of what its methods do, so `isinstance`, signatures, copies and
other people's patches on the object keep working.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, NamedTuple, TypeVar
from weakref import WeakValueDictionary, ref

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.exchange_client import latency_budget as latency_budgets
from peak_observe.exchange_client import order_id_overrides, reviews
from peak_observe.exchange_client.backpressure import Backpressure
from peak_observe.exchange_client.exchange_state import STATE, ExchangeState
from peak_observe.exchange_client.market_data import note_candles, note_ticker, note_tickers, noting
from peak_observe.exchange_client.order_id_overrides import OrderIds
from peak_observe.exchange_client.order_summary import remember_arguments
from peak_observe.exchange_client.request import Request, current_request
from peak_observe.exchange_client.reviews import ccxt_id
from peak_observe.exchange_client.scrubbing import QuietLogger, Scrubber, WireFilter, credentials, identities
from peak_observe.exchange_client.streams import overrides as stream_overrides
from peak_observe.exchange_client.streams.state import MaxSilence, StreamOptions
from peak_observe.resilience import HealthCheck, health_check
from peak_observe.support.keywords import check_keywords

E = TypeVar("E")

MAX_WAIT = 10.0
"""Seconds that a call of a protected object waits at most for the end of a rate limit or ban."""

_ORIGINAL = "_peak_observe_original"
_lock = threading.Lock()
_classes: dict[tuple[type, Options], type] = {}
_holds: WeakValueDictionary[tuple[str, str], Backpressure] = WeakValueDictionary()
_wire = WireFilter()


class Options(NamedTuple):
    """Changes of an object besides its measurement.

    Args:
        client: Whether it belongs to a client.
        ids: Whether orders get client order ids.
        holds: Whether each request waits while a rate limit or ban lasts.
    """

    client: bool = False
    ids: bool = False
    holds: bool = False


@check_keywords(
    {"label exchange_name": "name", "order_ids": "client_order_ids", "hold throttle": "protect"}, mapping=True
)
def instrument(
    exchange: E,
    name: str | None = None,
    *,
    client_order_ids: bool = False,
    protect: bool = False,
    stream_max_silence: MaxSilence = None,
    stream_group: Callable[[str], str] | None = None,
    health: HealthCheck | None = health_check,
    latency_budget: Mapping[str, float] | None = None,
) -> E:
    """Measure every request of a live ccxt object, sync or async, and keep its secrets out of what it says.

    Adds metrics, spans and the age of data, and takes keys and signatures out of exceptions and log lines. Requests,
    results and exceptions of its methods stay, but for the options below. Twice is once; options of one call stay with
    the next. Of an object of `ccxt.pro` the websockets are measured, too.

    Args:
        exchange: The object, which is also returned.
        name: The label value `exchange`; ccxt's id of the exchange if not given.
        client_order_ids: Give each new order that has none a client order id, by which it can be found when its answer
            is lost. Nothing changes at exchanges that take none.
        protect: Delay requests while a rate limit or ban of the exchange lasts, together with all
            protected objects of its exchange and name. A wait of more than 10 s is refused with `HeldBackError`, which
            is also ccxt's `RateLimitExceeded`.
        latency_budget: Seconds that a request may take from sending to the end of its answer, by group (`public`,
            `private`, `trade`), such as `{"trade": 0.5}`; slower ones are counted, and many of them are an alert.
        stream_max_silence: Seconds for which a stream of `ccxt.pro` may be silent, for all or by stream; makes the
            health check `stream_<name>`, and the alert `PeakStreamSilent` compares with it.
        stream_group: Returns the group of a symbol, which is a label of the metrics of streams; all are one group if
            not given.
        health: Where the check of streams is registered; None for no check.

    Raises:
        TypeError: It is no ccxt exchange, or the latency budget is no mapping.
        ValueError: The latency budget names a group that there is not, or what is no time above 0; options of streams
            make no sense, or it has no websockets.
    """
    given = latency_budgets.checked(latency_budget)
    state = state_of(exchange)
    if state is not None and state.strict:
        return exchange
    before = _options_of(exchange)
    options = Options(ids=client_order_ids or before.ids, holds=protect or before.holds)
    budget = {**state.latency_budget, **given} if state else given
    streams = stream_overrides.options_for(exchange, stream_max_silence, stream_group)
    if state is None or (options, budget) != (before, state.latency_budget) or streams is not None:
        _attach_anew(exchange, state.name if state else name, options, budget=budget, streams=streams, health=health)
    return exchange


def _attach_anew(
    exchange: Any,
    name: str | None,
    options: Options,
    *,
    budget: Mapping[str, float],
    streams: StreamOptions | None,
    health: HealthCheck | None,
) -> None:
    is_async(exchange)  # which raises for what is no exchange
    label = name or exchange.id
    known = stream_overrides.state_of(exchange)
    streams = streams or (known.options if known else None)
    detach(exchange)
    hold = _shared(exchange, label) if options.holds else None
    attach(exchange, label, options=options, backpressure=hold, latency_budget=budget, streams=streams, health=health)


def _shared(exchange: Any, label: str) -> Backpressure:
    # One IP is behind all objects of the process: what one of them is told holds for the others.
    return _holds.setdefault((ccxt_id(type(exchange)), label), Backpressure(label, MAX_WAIT, SYSTEM_CLOCK))


def uninstrument(exchange: E) -> E:
    """Take back what `instrument` did, and return the object; what was counted stays counted.

    Raises:
        ValueError: The object belongs to a client, which protects it.
    """
    state = state_of(exchange)
    if state is not None and state.strict:
        raise ValueError(f"this exchange belongs to the client {state.name!r}: close that one instead")
    detach(exchange)
    return exchange


def is_async(exchange: Any) -> bool:
    """Return whether a ccxt object is one of `ccxt.async_support` or `ccxt.pro`.

    Raises:
        TypeError: It is no ccxt exchange.
    """
    fetch = getattr(type(exchange), "fetch2", None)
    if not callable(fetch) or not isinstance(getattr(exchange, "id", None), str):
        raise TypeError(f"a ccxt exchange object is wanted, not {type(exchange).__name__}: make one, as ccxt.kraken()")
    return inspect.iscoroutinefunction(inspect.unwrap(fetch))


def state_of(exchange: Any) -> ExchangeState | None:
    """Return the state of an instrumented object, None for any other."""
    found = getattr(exchange, "__dict__", {}).get(STATE)
    return found if isinstance(found, ExchangeState) else None


def attach(
    exchange: Any,
    name: str | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    options: Options = Options(),  # noqa: B008 - it cannot be changed
    order_ids: OrderIds | None = None,
    backpressure: Backpressure | None = None,
    latency_budget: Mapping[str, float] | None = None,
    overrides: Callable[[type], dict[str, Any]] | None = None,
    streams: StreamOptions | None = None,
    health: HealthCheck | None = None,
) -> ExchangeState:
    """Swap the class of an exchange object for one that measures.

    Args:
        exchange: The object.
        name: The label value; the exchange's id if not given.
        clock: Where the time comes from.
        options: What is changed besides.
        order_ids: Makes the ids of orders; by the exchange's rules if not given.
        backpressure: Delays calls while a rate limit or ban of the exchange lasts; None where it is only measured.
        latency_budget: Seconds that a request may take, by its group.
        overrides: Makes further methods for a class, those of a client.
        streams: How its websockets are observed, if it has any.
        health: Where the check of its streams is registered, if their silence is limited.
    """
    asynchronous = is_async(exchange)
    original = type(exchange)
    weakly = ref(exchange)
    scrubber = Scrubber(lambda: credentials(weakly()), lambda: identities(weakly()))
    ccxts = ccxt_id(original)
    state = ExchangeState(
        ccxts,
        name or exchange.id,
        scrubber,
        clock,
        strict=options.client,
        order_ids=order_ids or OrderIds(ccxts),
        backpressure=backpressure,
        latency_budget=latency_budget,
    )
    with _lock:
        key = (original, options)
        if key not in _classes:
            streamed = _subclass(original, stream_overrides.overrides(original))
            members = _observed_members(streamed, options, asynchronous=asynchronous)
            _classes[key] = _subclass(streamed, members | (overrides(streamed) if overrides else {}))
        logging.getLogger("urllib3.connectionpool").addFilter(_wire)
    logger = getattr(exchange, "logger", None)
    vars(exchange).update({STATE: state, _ORIGINAL: (original, options, logger)})
    if isinstance(logger, logging.Logger):
        exchange.logger = QuietLogger(logger, scrubber)
    exchange.__class__ = _classes[key]
    stream_overrides.begin(exchange, state.name, clock, streams or StreamOptions(), health)
    return state


def detach(exchange: Any) -> None:
    """Give an exchange object its own class back; nothing happens to one that was not instrumented."""
    original, _, logger = getattr(exchange, "__dict__", {}).pop(_ORIGINAL, (None, None, None))
    if original is not None:
        stream_overrides.end(exchange)
        del vars(exchange)[STATE]
        exchange.logger = logger
        exchange.__class__ = original


def _options_of(exchange: Any) -> Options:
    options: Options = getattr(exchange, "__dict__", {}).get(_ORIGINAL, (None, Options(), None))[1]
    return options


def _subclass(original: type, members: dict[str, Any]) -> type:
    if not members:
        return original
    named = {"__module__": original.__module__, "__qualname__": original.__qualname__, "__doc__": original.__doc__}
    return type(original.__name__, (original,), {**members, **named})


def _observed_members(original: Any, options: Options, *, asynchronous: bool) -> dict[str, Any]:
    members = {
        "fetch2": (_async_request if asynchronous else _sync_request)(original, holds=options.holds),
        "sign": _sign(order_id_overrides.signer(original) if options.client or options.ids else original.sign),
        "on_rest_response": _on_rest_response(original),
        "log": _log(original),
    }
    for name, note in (
        ("fetch_ticker", note_ticker),
        ("fetch_tickers", note_tickers),
        ("fetch_ohlcv", note_candles),
    ):
        if hasattr(original, name):
            members |= _named(name, noting(getattr(original, name), note, asynchronous=asynchronous))
    with_ids = order_id_overrides.overrides(original) if options.client or options.ids else {}
    for name in filter(partial(hasattr, original), reviews.unified_writes()):
        method = with_ids.get(name) or getattr(original, name)
        members |= _named(name, remember_arguments(name, method, asynchronous=_is_coroutine(method)))
    return members


def _named(name: str, method: Any) -> dict[str, Any]:
    """Return a method in both spellings of its name."""
    head, *tail = name.split("_")
    return {name: method, head + "".join("OHLCV" if part == "ohlcv" else part.capitalize() for part in tail): method}


def _is_coroutine(method: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(method))


def _sync_request(original: Any, *, holds: bool) -> Any:
    fetch2 = original.fetch2

    @wraps(fetch2)
    def observed(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        if holds:
            self._peak_observe_state.backpressure.wait()
        state = self._peak_observe_state
        if state.gate is not None:
            state.gate.admit_request(state, path, *args, **kwargs)
        request = Request(state, path, *args, **kwargs)
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

    return observed


def _async_request(original: Any, *, holds: bool) -> Any:
    fetch2 = original.fetch2

    @wraps(fetch2)
    async def observed(self: Any, path: str, *args: Any, **kwargs: Any) -> Any:
        if holds:
            await self._peak_observe_state.backpressure.async_wait()
        state = self._peak_observe_state
        if state.gate is not None:
            state.gate.admit_request(state, path, *args, **kwargs)
        request = Request(state, path, *args, **kwargs)
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

    return observed


def _sign(sign: Any) -> Any:
    @wraps(sign)
    def signed(self: Any, *args: Any, **kwargs: Any) -> Any:
        state = self._peak_observe_state
        # A nonce is read, raised and written back: two threads at once would send the same.
        with state.signing:
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
        state = state_of(self)
        return log(self, *(state.scrubber.text(str(arg)) if state else arg for arg in args))

    return quiet
