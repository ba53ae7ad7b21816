"""What a client changes in the ccxt object it owns: ids for orders, no hidden re-sending, a limiter for threads."""

from __future__ import annotations

import threading
import warnings
from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client import order_ids
from peak_observe.exchange_client.endpoints import client_order_ids
from peak_observe.exchange_client.request import current_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock

RESEND = "maxRetriesOnFailure"
_GUARD = "_peak_observe_guard"
_ORDERS = ("create_order", "create_orders", "edit_order", "edit_orders")
_SERVER_ERROR = 500
_PARAMS_AT = {"create_order": 5, "edit_order": 6, "create_orders": 1, "edit_orders": 1}


class Guard:
    """What belongs to one exchange object of a client.

    Args:
        exchange: ccxt's id of it.
        new_id: Makes client order ids; by the exchange's rules if not given.
        clock: Where time and sleep come from.
    """

    def __init__(self, exchange: str, new_id: Callable[[], str | int] | None, clock: Clock) -> None:
        self.new_id = new_id or (lambda: order_ids.new(exchange))
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0

    def __deepcopy__(self, memo: dict[int, Any]) -> Guard:
        return self

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
    vars(exchange)[_GUARD] = Guard(exchange.id, new_id, clock)
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
    for name in _ORDERS:
        if hasattr(original, name):
            head, *tail = name.split("_")
            members[name] = members[head + "".join(map(str.capitalize, tail))] = _with_ids(
                getattr(original, name), name
            )
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


def _with_ids(method: Any, name: str) -> Any:
    @wraps(method)
    def with_ids(self: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _identified(vars(self)[_GUARD].new_id, name, args, kwargs)
        return method(self, *args, **kwargs)

    return with_ids


def _identified(
    new_id: Callable[[], str | int], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with a client order id in each order that had none, and let the call know them."""
    if name.endswith("orders"):
        orders = [_order(new_id, order) for order in (args[0] if args else kwargs.get("orders", ()))]
        args, kwargs = ((orders, *args[1:]), kwargs) if args else ((), {**kwargs, "orders": orders})
        _remember(client_order_ids(orders))
        return args, kwargs
    at = _PARAMS_AT[name]
    given = args[at] if len(args) > at else kwargs.get("params")
    own = client_order_ids(given)
    # An edit keeps the id that its order has: a new one is for the exchange objects that cancel and create.
    params = given if own or name == "edit_order" else {**(given or {}), "clientOrderId": new_id()}
    _remember(client_order_ids(params))
    if params is given:
        return args, kwargs
    if len(args) > at:
        return (*args[:at], params, *args[at + 1 :]), kwargs
    return args, {**kwargs, "params": params}


def _order(new_id: Callable[[], str | int], order: dict[str, Any]) -> dict[str, Any]:
    if client_order_ids(order):
        return order
    return {**order, "params": {**(order.get("params") or {}), "clientOrderId": new_id()}}


def _remember(ids: tuple[str, ...]) -> None:
    call = current_call.get()
    if call is not None and ids:
        call.client_order_ids = ids
