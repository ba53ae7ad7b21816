"""Look-up of orders by client order id: which of ccxt's methods really asks for one, and when an answer proves absence.

The table was found by experiment with ccxt's own signers and is held by tests. ccxt's
`fetch_order_with_client_order_id` sends the id as `userref` at Kraken, and there always ends in `OrderNotFound`; at
Bybit it refuses spot markets: both are asked through their lists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from peak_observe.exchange_client.reviews import lineage
from peak_observe.resilience.common import validation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from peak_observe.exchange_client.order_journal.intent import OrderArguments, OrderIntent

_ONE = "fetch_order_with_client_order_id"
_HOUR, _DAY = 3600.0, 86_400.0
_MARGIN = 600.0
"""Seconds before an order was intended from which on it is looked for, as the clocks may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTimes:
    """Times of one exchange that decide when an order of unknown fate is known to be absent.

    Args:
        deadline: Seconds after which the exchange does not carry a request out any more. Kraken is sent it with each
            order; elsewhere it is how long a signed request is valid (`recvWindow` and the like).
        visibility: Seconds after which the exchange shows each order that it took.
        retention: Seconds for which it shows orders that were cancelled or filled; absence means nothing after them.
        interval: Seconds between two answers.
        answers: How many empty answers are needed.

    Raises:
        ValueError: One of them is invalid; the message names it.
    """

    deadline: float
    visibility: float
    retention: float = _DAY
    interval: float = 1.0
    answers: int = 2

    def __post_init__(self) -> None:
        for name in ("deadline", "visibility", "retention", "interval"):
            validation.check_seconds(name, getattr(self, name))
        if not isinstance(self.answers, int) or self.answers < 1:
            raise ValueError(f"answers must be at least 1, not {self.answers!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Look-up of the orders of one exchange.

    Args:
        times: Those of its documents, or measured.
        methods: Methods of ccxt, each with the parameter that takes the id; empty where the method has its own.
        conditional: Parameters with which it finds orders that wait for a trigger, besides the plain question; None if
            it does not find them.
        deadline_parameter: The parameter by which a request is given its deadline, and its form.
        window: The option of the ccxt object with the validity of its requests in milliseconds.
        none: Whether an order without id is how ccxt shows that nothing was found.
        spot_only: Whether orders of other markets are not found.
        page: The number of orders from which a list may be cut off.
        lists_all: Whether the list may hold other orders, so that it is asked for from the time of the order on.
    """

    times: OrderTimes
    methods: tuple[tuple[str, str], ...] = ((_ONE, ""),)
    conditional: Mapping[str, Any] | None = field(default_factory=dict)
    deadline_parameter: tuple[str, str] | None = None
    window: str = ""
    none: bool = False
    spot_only: bool = False
    page: int = 0
    lists_all: bool = False

    def questions(self, intent: OrderIntent) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the methods to call, with their arguments, that show an intent's order if it stands."""
        ways = [intent.look_up]
        if intent.conditional and self.conditional:
            ways = [{**intent.look_up, **self.conditional}, _without_trigger(intent.look_up)]
        for method, parameter in self.methods:
            for params in ways:
                if method == _ONE:
                    yield method, (intent.client_order_id, intent.symbol, params)
                else:
                    since = int((intent.created_at - _MARGIN) * 1000) if self.lists_all else None
                    limit = self.page if self.lists_all else None
                    yield method, (intent.symbol, since, limit, {**params, parameter: intent.client_order_id})

    def read(self, answer: Any, intent: OrderIntent) -> tuple[dict[str, Any] | None, str]:
        """Return the order in an answer, and what keeps the answer from proving anything; empty if nothing does."""
        orders = answer if isinstance(answer, list) else [answer]
        for order in orders:
            if isinstance(order, dict) and str(order.get("clientOrderId")) == intent.client_order_id:
                return order, ""
        if isinstance(answer, list):
            full = self.page and len(answer) >= self.page
            return None, "the list of orders may be cut off" if full else ""
        if isinstance(answer, dict) and answer.get("id") is None and self.none:
            return None, ""
        return None, "the answer is another order"

    def refuses(self, order: OrderArguments, market: Mapping[str, Any]) -> str:
        """Return why an order could not be looked up; empty if it can."""
        if order.conditional and self.conditional is None:
            return "no order that waits for a trigger"
        return "spot orders only" if self.spot_only and not market.get("spot") else ""


def _without_trigger(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in ("trigger", "stop", "trailing")}


_LISTS_BYBIT = (("fetch_open_orders", "orderLinkId"), ("fetch_canceled_and_closed_orders", "orderLinkId"))
_LISTS_KRAKEN = (("fetch_open_orders", "cl_ord_id"), ("fetch_closed_orders", "cl_ord_id"))

# Deadlines are what the exchanges document for a signed request; visibility is theirs or a careful guess, and settable.
LOOK_UPS: Mapping[str, LookUp] = {
    "binance": LookUp(
        times=OrderTimes(deadline=10.0, visibility=5.0, retention=60 * _DAY),
        conditional={"trigger": True},
        deadline_parameter=("recvWindow", "milliseconds"),
        window="recvWindow",
    ),
    "bitget": LookUp(times=OrderTimes(deadline=30.0, visibility=5.0, retention=2 * _HOUR), conditional=None),
    "bybit": LookUp(
        times=OrderTimes(deadline=5.0, visibility=5.0, retention=_DAY),
        methods=_LISTS_BYBIT,
        conditional={"trigger": True},
        window="recvWindow",
        page=20,
    ),
    "coinbase": LookUp(
        times=OrderTimes(deadline=120.0, visibility=5.0, retention=30 * _DAY),
        methods=(("fetch_orders", "client_order_id"),),
        page=100,
        lists_all=True,
    ),
    "gate": LookUp(times=OrderTimes(deadline=60.0, visibility=5.0, retention=_HOUR), conditional=None),
    "hyperliquid": LookUp(times=OrderTimes(deadline=60.0, visibility=5.0), none=True),
    "kraken": LookUp(
        times=OrderTimes(deadline=10.0, visibility=5.0, retention=30 * _DAY),
        methods=_LISTS_KRAKEN,
        deadline_parameter=("deadline", "rfc3339"),
        page=50,
    ),
    "kucoin": LookUp(times=OrderTimes(deadline=5.0, visibility=5.0), conditional={"stop": True}),
    "mexc": LookUp(
        times=OrderTimes(deadline=5.0, visibility=5.0), conditional=None, window="recvWindow", spot_only=True
    ),
    "okx": LookUp(times=OrderTimes(deadline=30.0, visibility=5.0, retention=2 * _HOUR), conditional={"trigger": True}),
}


def look_up_of(exchange: str) -> LookUp | None:
    """Return how the orders of an exchange are looked up, None if nobody knows.

    Args:
        exchange: ccxt's id.
    """
    return next((LOOK_UPS[name] for name in lineage(exchange) if name in LOOK_UPS), None)
