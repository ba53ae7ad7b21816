"""Gate between an exchange object and its trading switch: which writes pass, and what its guards count."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from peak_observe.errors import TradingHaltedError
from peak_observe.exchange_client import endpoints
from peak_observe.exchange_client.ccxt_errors import also_ccxt
from peak_observe.exchange_client.notional import Notional
from peak_observe.exchange_client.order_summary import current_arguments
from peak_observe.exchange_client.request import current_call
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peak_observe.exchange_client.exchange_state import Endpoint, ExchangeState
    from peak_observe.exchange_client.order_summary import CallArguments
    from peak_observe.safety.single_instance import SingleInstance
    from peak_observe.safety.trading_switch import Guard, TradingSwitch

# They take risk away whatever the switch says.
_ALWAYS = frozenset(("set_cancel_on_disconnect", "revoke_api_key", "revoke_builder_code"))
_REDUCING = re.compile(r"(close_(all_)?positions?|create_reduce_only_order(_ws)?|add_margin|repay_(\w+_)?margin)$")
_ORDER = re.compile(r"(create|edit)_\w*orders?(_|$)|(create|edit)_(market|limit)_|close_(all_)?positions?$")
_CANCEL = re.compile(r"cancel", re.IGNORECASE)
_NO_CANCEL = re.compile(r"replace|amend|edit|modify|disable", re.IGNORECASE)
_ORDER_PATH = re.compile(r"order|trade|position", re.IGNORECASE)
_REDUCE_KEYS = frozenset(("reduceonly", "closeposition", "closeonly"))
_TRUE = frozenset(("true", "1"))


class Switch(Protocol):
    """Protocol of what a gate asks: a trading switch, or a lease before one."""

    @property
    def joined(self) -> tuple[Guard, ...]:
        """The guards that count orders."""
        ...

    def allows(self, *, reducing: bool = False) -> bool:
        """Return whether orders may be sent."""
        ...

    def check(self, *, reducing: bool = False) -> None:
        """Return if orders may be sent, or raise `TradingHaltedError`."""


class LeasedSwitch:
    """Switch that is also halted while another host may hold the account.

    Args:
        instance: The hold of this process on the account.
        switch: The trading switch behind it, if there is one.
    """

    def __init__(self, instance: SingleInstance, switch: TradingSwitch | None) -> None:
        self._instance = instance
        self._switch = switch

    @property
    def joined(self) -> tuple[Guard, ...]:
        """The guards that count orders."""
        return () if self._switch is None else self._switch.joined

    def allows(self, *, reducing: bool = False) -> bool:
        """Return whether orders may be sent."""
        return not self._instance.lost and (self._switch is None or self._switch.allows(reducing=reducing))

    def check(self, *, reducing: bool = False) -> None:
        """Return if orders may be sent.

        Raises:
            TradingHaltedError: They may not: another host may have the account, or the switch says no.
        """
        if lost := self._instance.lost:
            raise TradingHaltedError(self._instance.name, lost)
        if self._switch is not None:
            self._switch.check(reducing=reducing)


class TradingGate:
    """Asks a switch, and its guards, before each write of one exchange object.

    Args:
        switch: The switch.
    """

    def __init__(self, switch: Switch) -> None:
        self.switch = switch

    def open_for(self, exchange: Any, state: ExchangeState) -> None:
        """Stand before all writes of an exchange object."""
        self._exchange = ref(exchange)
        self._notional = Notional(self._exchange, state.prices)
        state.gate = self

    def admit(self, arguments: CallArguments, *, outermost: bool) -> None:
        """Let a unified method pass, or raise; its orders are counted unless another method calls it.

        Raises:
            TradingHaltedError: The switch or a guard refuses it; also ccxt's `OperationRejected`.
        """
        name = arguments.name
        if endpoints.cancels(name) or name in _ALWAYS:
            return
        self._check(reducing=self._open_or(arguments))
        if outermost and _ORDER.match(name):
            self._count([self._order(order) for order in _orders(arguments)])

    def admit_request(
        self,
        state: ExchangeState,
        path: str,
        api: Any = "public",
        method: str = "GET",
        params: Any = None,
        *_: Any,
        **__: Any,
    ) -> None:
        """Let a request pass, or raise, at the last moment before it is made: the switch may have changed meanwhile.

        Raises:
            TradingHaltedError: The switch or a guard refuses it; also ccxt's `OperationRejected`.
        """
        endpoint = state.endpoint(path, api, method)
        if not endpoint.write:
            return
        arguments, call = current_arguments.get(), current_call.get()
        if arguments is not None:
            if not endpoints.cancels(arguments.name) and arguments.name not in _ALWAYS:
                self._check(reducing=self._open_or(arguments))
        elif (call is None or call.write) and not _cancels(endpoint, method):
            given = params if isinstance(params, dict) else {}
            self._check(reducing=_says_reduce(given))
            if _ORDER_PATH.search(endpoint.path):
                self._count([{"symbol": endpoint.label, **given}])

    def refusal_now(self) -> TradingHaltedError | None:
        """Return why the write under way may not be sent, None if it may."""
        arguments = current_arguments.get()
        if arguments is None or endpoints.cancels(arguments.name) or arguments.name in _ALWAYS:
            return None
        try:
            self._check(reducing=self._open_or(arguments))
        except TradingHaltedError as error:
            return error
        return None

    def unanswered(self) -> None:
        """Count an order of unknown outcome."""
        for guard in self.switch.joined:
            guard.unanswered()

    def _open_or(self, arguments: CallArguments) -> bool:
        """Return whether a method only reduces positions; not looked at while everything passes."""
        return not self.switch.allows() and self._reduces(arguments)

    def _reduces(self, arguments: CallArguments) -> bool:
        if _REDUCING.match(arguments.name):
            return True
        orders = _orders(arguments)
        return bool(orders) and all(self._is_reducing(order) for order in orders)

    def _is_reducing(self, order: Mapping[str, Any]) -> bool:
        params = order.get("params")
        return isinstance(params, dict) and _says_reduce(params) and self._notional.is_contract(order.get("symbol"))

    def _order(self, order: Mapping[str, Any]) -> dict[str, Any]:
        return {**order, "notional": self._notional.of(order)}

    def _check(self, *, reducing: bool) -> None:
        try:
            self.switch.check(reducing=reducing)
        except TradingHaltedError as error:
            raise also_ccxt(error) from None

    def _count(self, orders: list[dict[str, Any]]) -> None:
        try:
            for guard in self.switch.joined:
                guard.admit(orders)
        except TradingHaltedError as error:
            raise also_ccxt(error) from None


def gate_of(switch: TradingSwitch | None) -> TradingGate | None:
    """Return the gate of a switch, None without one.

    Raises:
        TypeError: It is no switch.
    """
    if switch is None:
        return None
    from peak_observe.safety.trading_switch import TradingSwitch

    if not isinstance(switch, TradingSwitch):
        raise TypeError(f"trading must be a TradingSwitch, not {shown(switch)}")
    return TradingGate(switch)


def lease_gate(instance: SingleInstance, switch: TradingSwitch | None) -> TradingGate:
    """Return the gate of a client that is exclusive among hosts."""
    return TradingGate(LeasedSwitch(instance, switch))


def _orders(arguments: CallArguments) -> list[dict[str, Any]]:
    given = arguments.given()
    given.pop(next(iter(given), ""), None)  # the exchange itself
    orders = given.get("orders")
    many: Iterable[Any] = orders if isinstance(orders, list | tuple) else (given,)
    return [{"method": arguments.name, **order} for order in many if isinstance(order, dict)]


def _says_reduce(params: Mapping[str, Any]) -> bool:
    return any(
        isinstance(key, str)
        and key.replace("_", "").replace("-", "").lower() in _REDUCE_KEYS
        and str(value).lower() in _TRUE
        for key, value in params.items()
    )


def _cancels(endpoint: Endpoint, method: str) -> bool:
    if _NO_CANCEL.search(endpoint.path):
        return False
    return bool(_CANCEL.search(endpoint.path)) or (method.upper() == "DELETE" and "order" in endpoint.path.lower())
