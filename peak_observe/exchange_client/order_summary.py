"""Summary of a unified method's arguments, by which writes of unknown outcome can be told apart in logs and errors."""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BATCH = 20
"""Orders of a batch that are told one by one."""

_OWN = ("symbol", "type", "side", "amount", "price")
# Other arguments that are safe to show: neither addresses nor `params`, which may hold what the exchange wants kept.
_FURTHER = ("id", "ids", "code", "cost", "leverage", "margin_mode", "from_account", "to_account")


class OrderSummary(NamedTuple):
    """Arguments of a write, in short.

    Args:
        method: The method of ccxt that was called.
        text: Its arguments in a few words.
        symbol: The market, if it was about one.
        side: `buy` or `sell`, if it was an order.
        amount: The amount, if it was given.
        price: The price, if it was given.
    """

    method: str = ""
    text: str = ""
    symbol: str | None = None
    side: str | None = None
    amount: float | str | None = None
    price: float | str | None = None


class CallArguments:
    """The arguments of a unified method under way, summarised only when its outcome is unknown.

    Args:
        name: The method's name in snake case.
        method: The method as the class has it, with `self`.
        args: Positional arguments without `self`.
        kwargs: Keyword arguments.
    """

    __slots__ = ("_args", "_kwargs", "_method", "_name")

    def __init__(self, name: str, method: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._name = name
        self._method = method
        self._args = args
        self._kwargs = kwargs

    @property
    def name(self) -> str:
        """The method's name in snake case."""
        return self._name

    def given(self) -> dict[str, Any]:
        """Return the arguments by their names; none where they do not fit the method."""
        try:
            return inspect.signature(self._method).bind(None, *self._args, **self._kwargs).arguments
        except TypeError:
            return {}

    @property
    def is_batch(self) -> bool:
        """Whether the method takes orders, so that the answer tells of each."""
        return self._name.removesuffix("_ws").endswith("orders")

    def summary(self) -> OrderSummary:
        """Return the summary; of arguments that do not fit the method only its name."""
        try:
            given = inspect.signature(self._method).bind(None, *self._args, **self._kwargs).arguments
            orders = given.get("orders")
            if isinstance(orders, list | tuple):
                return OrderSummary(self._name, _batch(orders))
            side = given.get("side") or _side_in(self._name)
            known = {**given, "side": side, "type": given.get("type") or _type_in(self._name)}
            return OrderSummary(self._name, _told(known), *(known.get(name) for name in _OWN if name != "type"))
        except Exception:  # noqa: BLE001 - odd arguments must not hide the fault that is told
            return OrderSummary(self._name)


current_arguments: ContextVar[CallArguments | None] = ContextVar("peak_observe_arguments", default=None)


def remember_arguments(name: str, method: Any, *, asynchronous: bool) -> Callable[..., Any]:
    """Return a method that keeps its arguments at hand while it runs.

    Args:
        name: Its name in snake case.
        method: The method as the class has it.
        asynchronous: Whether it is a coroutine function.
    """

    @wraps(method)
    def remembering(self: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = CallArguments(name, method, args, kwargs)
        _admit(self, arguments)
        token = current_arguments.set(arguments)
        try:
            return method(self, *args, **kwargs)
        finally:
            current_arguments.reset(token)

    @wraps(method)
    async def async_remembering(self: Any, *args: Any, **kwargs: Any) -> Any:
        arguments = CallArguments(name, method, args, kwargs)
        _admit(self, arguments)
        token = current_arguments.set(arguments)
        try:
            return await method(self, *args, **kwargs)
        finally:
            current_arguments.reset(token)

    return async_remembering if asynchronous else remembering


def _admit(exchange: Any, arguments: CallArguments) -> None:
    gate = exchange._peak_observe_state.gate  # noqa: SLF001 - the state is ours
    if gate is not None:
        gate.admit(arguments, outermost=current_arguments.get() is None)


def _batch(orders: list[Any] | tuple[Any, ...]) -> str:
    told = [_told(order) for order in orders[:_BATCH] if isinstance(order, dict)]
    more = [f"and {len(orders) - _BATCH} more"] if len(orders) > _BATCH else []
    return "; ".join([*told, *more])


def _told(given: Mapping[str, Any]) -> str:
    words = [str(given[name]) for name in ("type", "side", "amount", "symbol") if _is_plain(given.get(name))]
    price = [f"at {given['price']}"] if _is_plain(given.get("price")) else []
    rest = [f"{name} {given[name]}" for name in _FURTHER if _is_plain(given.get(name))]
    return " ".join([*words, *price, *rest])


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""


def _side_in(name: str) -> str | None:
    return next((side for side in ("buy", "sell") if f"_{side}_" in name), None)


def _type_in(name: str) -> str | None:
    return next((kind for kind in ("limit", "market") if name.startswith(f"create_{kind}_")), None)
