"""What a client changes in the ccxt object it owns: ids for orders, no hidden re-sending, a limiter for threads."""

from __future__ import annotations

import threading
import warnings
from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.order_ids import identified
from peak_observe.exchange_client.reviews import ccxt_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peak_observe.clock import Clock

RESEND = "maxRetriesOnFailure"
_GUARD = "_peak_observe_guard"
_SERVER_ERROR = 500
# Where `params` stands; a batch has one for each order. An edit keeps the id that its order has.
_PARAMS_AT = {"create_order": 5, "create_order_ws": 5, "create_orders": None, "create_orders_ws": None}


class Guard:
    """What belongs to one exchange object of a client.

    Args:
        exchange: ccxt's id of it.
        new_id: Makes client order ids; by the exchange's rules if not given.
        clock: Where time and sleep come from.
    """

    def __init__(self, exchange: str, new_id: Callable[[], str | int] | None, clock: Clock) -> None:
        self._exchange = exchange
        self.new_id = new_id
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> Guard:
        return self

    def identified(self, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the parameters of an order with a client order id, where the exchange takes one."""
        return identified(params, exchange=self._exchange, new_id=self.new_id)

    def throttle(self, seconds: float) -> None:
        """Wait for this thread's turn and reserve `seconds` for it: no two threads get the same."""
        with self._lock:
            now = self._clock.monotonic()
            turn = max(now, self._next)
            self._next = turn + seconds
        if turn > now:
            self._clock.sleep(turn - now)


def guard(exchange: Any, new_id: Callable[[], str | int] | None, clock: Clock) -> None:
    """Prepare an exchange object for a client, and forbid it to send orders again by itself."""
    vars(exchange)[_GUARD] = Guard(ccxt_id(type(exchange)), new_id, clock)
    options = getattr(exchange, "options", None) or {}
    for found in (options, *(value for value in options.values() if isinstance(value, dict))):
        if found.get(RESEND):
            found[RESEND] = 0
            warnings.warn(
                f"{RESEND} is set to 0: ccxt would send orders again whose answer got lost; the client retries reads",
                RuntimeWarning,
                stacklevel=5,
            )


def release(exchange: Any) -> None:
    """Forget what `guard` prepared."""
    vars(exchange).pop(_GUARD, None)


def overrides(original: Any, *, asynchronous: bool) -> dict[str, Any]:
    """Return the methods that a client's exchange object has in place of its own."""
    members = {
        "handle_http_status_code": _status(original),
        "handle_option_and_params": _options(original),
    }
    members |= {"open": _open(original)} if asynchronous else {"throttle": _throttle(original)}
    for name, at in _PARAMS_AT.items():
        if hasattr(original, name):
            head, *tail = name.split("_")
            with_ids = _with_ids(getattr(original, name), at)
            members[name] = members[head + "".join(map(str.capitalize, tail))] = with_ids
    return members


def _throttle(original: Any) -> Any:
    @wraps(original.throttle)
    def throttle(self: Any, cost: float | None = None) -> None:
        vars(self)[_GUARD].throttle(self.rateLimit * (1.0 if cost is None else cost) / 1000)

    return throttle


def _open(original: Any) -> Any:
    connect = original.open

    @wraps(connect)
    def opened(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = connect(self, *args, **kwargs)
        if hasattr(self.session, "_retry_connection"):
            # On a connection that breaks, aiohttp would send DELETE and PUT a second time without a word.
            self.session._retry_connection = False  # noqa: SLF001 - there is no other switch
        return result

    return opened


def _status(original: Any) -> Any:
    check = original.handle_http_status_code

    @wraps(check)
    def checked(self: Any, code: int, *answer: Any) -> None:
        check(self, code, *answer)
        if code >= _SERVER_ERROR:
            # ccxt has no entry for 507, 524, 527 …: sync it raises ExchangeError, async nothing.
            from ccxt.base.errors import ExchangeNotAvailable

            raise ExchangeNotAvailable(f"{self.id} {code} {' '.join(map(str, answer))}")

    return checked


def _options(original: Any) -> Any:
    handle = original.handle_option_and_params

    @wraps(handle)
    def handled(self: Any, params: Any, method: Any, option: str, default: Any = None) -> Any:
        value, rest = handle(self, params, method, option, default)
        return [0 if option == RESEND else value, rest]

    return handled


def _with_ids(method: Any, at: int | None) -> Any:
    @wraps(method)
    def with_ids(self: Any, *args: Any, **kwargs: Any) -> Any:
        identify = vars(self)[_GUARD].identified
        args, kwargs = _batch(identify, args, kwargs) if at is None else _single(identify, at, args, kwargs)
        return method(self, *args, **kwargs)

    return with_ids


_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def _batch(identify: Callable[..., dict[str, Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Arguments:
    given = args[0] if args else kwargs.get("orders", ())
    orders = [{**order, "params": identify(order.get("params"))} for order in given]
    return ((orders, *args[1:]), kwargs) if args else ((), {**kwargs, "orders": orders})


def _single(
    identify: Callable[..., dict[str, Any]], at: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> _Arguments:
    if len(args) > at:
        return (*args[:at], identify(args[at]), *args[at + 1 :]), kwargs
    return args, {**kwargs, "params": identify(kwargs.get("params"))}
