"""Methods of a ccxt object that give each new order a client order id."""

from __future__ import annotations

import inspect
import re
from functools import wraps
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.order_ids import identified, repeated_names, supported
from peak_observe.exchange_client.reviews import ccxt_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Steps of the unified methods, such as `create_spot_order`, can be called by themselves. An edit keeps its order's id.
_NEW_ORDER = re.compile(r"create_(?:(?:contract|spot|swap|uta)_)?order(s?)(?:_ws)?")

_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class OrderIds:
    """Client order ids for the orders of one exchange object.

    Args:
        exchange: ccxt's id of it.
        new_id: Makes ids; by the exchange's rules if not given.

    Raises:
        ValueError: Ids are wanted and the exchange takes none.
    """

    def __init__(self, exchange: str, new_id: Callable[[], str | int] | None = None) -> None:
        self.exchange = exchange
        self.supported = supported(exchange)
        self.new_id = new_id
        self._told = False
        if new_id is not None and not self.supported:
            raise ValueError(f"{exchange} takes no client order ids through ccxt: leave client_order_id out")

    def identified(self, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the parameters of an order with a client order id, where the exchange takes one."""
        if not self.supported and not self._told:
            self._told = True
            self._warn()
        return identified(params, exchange=self.exchange, new_id=self.new_id)

    def _warn(self) -> None:
        import logging

        logging.getLogger("peak_observe.exchange").warning(
            "%s takes no client order ids: find one of unknown outcome by market, side, amount and time",
            self.exchange,
        )


def overrides(original: Any) -> dict[str, Any]:
    """Return the methods that make orders, with ids, by their names in snake case."""
    found = {name: match for name in dir(original) if (match := _NEW_ORDER.fullmatch(name))}
    return {name: _with_ids(getattr(original, name), batch=bool(match[1])) for name, match in found.items()}


def signer(original: Any) -> Any:
    """Return the signer of a ccxt class, which repeats client order ids under the name by which they are looked up."""
    sign, names = original.sign, repeated_names(ccxt_id(original))

    @wraps(sign)
    def signing(self: Any, path: str, api: Any = "public", method: str = "GET", params: Any = None, *rest: Any) -> Any:
        given = {} if params is None else params
        sent, sought = names.get(path, ("", ""))
        if sent and isinstance(given, dict) and given.get(sent) and sought not in given:
            given = {**given, sought: given[sent]}
        return sign(self, path, api, method, given, *rest)

    return signing if names else sign


def _with_ids(method: Any, *, batch: bool) -> Any:
    # A batch has parameters for each order; of single orders some classes take further arguments before them.
    at = None if batch else list(inspect.signature(method).parameters).index("params") - 1

    @wraps(method)
    def with_ids(self: Any, *args: Any, **kwargs: Any) -> Any:
        identify = self._peak_observe_state.order_ids.identified
        args, kwargs = _batch(identify, args, kwargs) if at is None else _single(identify, at, args, kwargs)
        return method(self, *args, **kwargs)

    return with_ids


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
