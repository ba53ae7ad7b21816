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
class Waiting:
    """Lists of orders that wait for a trigger, or waited for one.

    Args:
        methods: Methods of ccxt, each with the parameter that takes the id of a contract's order.
        spot: Parameters of each list of a spot market, which is asked for as a whole.
        contracts: Those of a contract.
    """

    methods: tuple[tuple[str, str], ...]
    spot: tuple[Mapping[str, Any], ...]
    contracts: tuple[Mapping[str, Any], ...]

    def questions(self, intent: OrderIntent, page: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the methods to call, with their arguments.

        Args:
            intent: Whose order is looked for.
            page: The number of orders that a list has at most.
        """
        plain, contract = _without_trigger(intent.look_up), _is_contract(intent)
        for method, parameter in self.methods:
            by_id = {parameter: intent.client_order_id} if contract else {}
            for kind in self.contracts if contract else self.spot:
                yield method, (intent.symbol, _since(intent), page, {**plain, **kind, **by_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Look-up of the orders of one exchange.

    Args:
        times: Those of its documents, or measured.
        methods: Methods of ccxt, each with the parameter that takes the id; empty where the method has its own.
        conditional: Parameters with which it finds orders that wait for a trigger, besides the plain question; None if
            it does not find them.
        history_spot: Lists that are asked besides in a spot market, as the id finds no order there that has ended, or
            not for long; all orders since shortly before the intention are asked for, and read.
        history_contracts: The same for contracts.
        waiting: Lists in which orders that wait for a trigger, or have, are looked for besides the plain question.
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
    history_spot: tuple[str, ...] = ()
    history_contracts: tuple[str, ...] = ()
    waiting: Waiting | None = None
    deadline_parameter: tuple[str, str] | None = None
    window: str = ""
    none: bool = False
    spot_only: bool = False
    page: int = 0
    lists_all: bool = False

    def questions(self, intent: OrderIntent) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the methods to call, with their arguments, that show an intent's order if it stands."""
        ways = [intent.look_up]
        if intent.conditional and self.waiting is not None:
            yield from self.waiting.questions(intent, self.page)
            ways = [_without_trigger(intent.look_up)]
        elif intent.conditional and self.conditional:
            ways = [{**intent.look_up, **self.conditional}, _without_trigger(intent.look_up)]
        for method, parameter in self.methods:
            for params in ways:
                if method == _ONE:
                    yield method, (intent.client_order_id, intent.symbol, params)
                else:
                    since = _since(intent) if self.lists_all else None
                    limit = self.page if self.lists_all else None
                    yield method, (intent.symbol, since, limit, {**params, parameter: intent.client_order_id})
        plain, known = _without_trigger(intent.look_up), (intent.order or {}).get("id")
        for method in self.history_contracts if _is_contract(intent) else self.history_spot:
            if known:  # the exchange's own id finds an order that has ended, too, and needs no list that may be cut off
                yield "fetch_order", (known, intent.symbol, plain)
            else:
                yield method, (intent.symbol, _since(intent), self.page, plain)

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


def _is_contract(intent: OrderIntent) -> bool:
    return ":" in intent.symbol


def _since(intent: OrderIntent) -> int:
    return int((intent.created_at - _MARGIN) * 1000)


def _without_trigger(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in ("trigger", "stop", "trailing")}


_LISTS_BYBIT = (("fetch_open_orders", "orderLinkId"), ("fetch_canceled_and_closed_orders", "orderLinkId"))
_LISTS_KRAKEN = (("fetch_open_orders", "cl_ord_id"), ("fetch_closed_orders", "cl_ord_id"))

# Contracts are asked for by id in each kind of plan; the lists of spot markets are not, and may be cut off. Source:
# https://www.bitget.com/api-doc/contract/plan/get-orders-plan-pending, https://www.bitget.com/api-doc/spot/plan/Get-Current-Plan-Order
_WAITING_BITGET = Waiting(
    methods=(("fetch_open_orders", "clientOid"), ("fetch_canceled_and_closed_orders", "clientOid")),
    spot=({"trigger": True},),
    contracts=({"trigger": True}, {"trigger": True, "planType": "profit_loss"}, {"trailing": True}),
)

# Deadlines are what the exchanges document for a signed request; visibility is a careful guess, and settable; retention
# is the shortest time for which an exchange documents to find an order of any kind that has ended. Sources:
# binance: recvWindow is sent; contracts that were cancelled are found for 3 days, spot orders for 90.
#   https://developers.binance.com/docs/derivatives/usds-margined-futures/trade/rest-api/Query-Order
# bitget: error 40008, "request timestamp expired"; by clientOid spot orders are found while they are not filled.
#   https://www.bitget.com/api-doc/spot/trade/Get-Order-Info
# bybit: recv_window of 5 s by default; cancelled orders are found for 24 h. https://bybit-exchange.github.io/docs/v5/order/order-list
# coinbase: a token, which stands for one request, is valid for 2 minutes.
#   https://docs.cdp.coinbase.com/get-started/authentication/jwt-authentication
# gate: a timestamp may be 60 s old; by `text` contracts are found for 60 s after their end, spot orders for an hour,
#   and cancelled contracts without fills for 10 minutes. https://www.gate.com/docs/developers/apiv4/
# kraken: a deadline from 2 to 60 s ahead is sent. https://docs.kraken.com/api-reference/trading/add-order-batch
# kucoin: a timestamp may be 5 s old; by clientOid active spot orders are found, and contracts for 7 days.
#   https://www.kucoin.com/docs/rest/spot-trading/orders/get-order-details-by-clientoid
# mexc: recvWindow of 5 s by default. https://www.mexc.com/api-docs/spot-v3/general-info
# okx: error 50102, "timestamp request expired", after 30 s; cancelled orders without fills are found for 2 hours.
#   https://www.okx.com/docs-v5/en/
# hyperliquid: nothing is documented without `expiresAfter`; the deadline is an assumption.
LOOK_UPS: Mapping[str, LookUp] = {
    "binance": LookUp(
        times=OrderTimes(deadline=10.0, visibility=5.0, retention=3 * _DAY),
        conditional={"trigger": True},
        deadline_parameter=("recvWindow", "milliseconds"),
        window="recvWindow",
    ),
    "bitget": LookUp(
        times=OrderTimes(deadline=30.0, visibility=5.0, retention=2 * _HOUR),
        history_spot=("fetch_canceled_and_closed_orders",),
        waiting=_WAITING_BITGET,
        page=100,
    ),
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
    "gate": LookUp(
        times=OrderTimes(deadline=60.0, visibility=5.0, retention=600.0),
        history_spot=("fetch_closed_orders",),
        history_contracts=("fetch_closed_orders",),
        conditional=None,  # Gate asks for them by its own id alone, and means the source of the order by their `text`
        page=100,
    ),
    "hyperliquid": LookUp(times=OrderTimes(deadline=60.0, visibility=5.0), none=True),
    "kraken": LookUp(
        times=OrderTimes(deadline=10.0, visibility=5.0, retention=30 * _DAY),
        methods=_LISTS_KRAKEN,
        deadline_parameter=("deadline", "rfc3339"),
        page=50,
    ),
    "kucoin": LookUp(
        times=OrderTimes(deadline=5.0, visibility=5.0),
        history_spot=("fetch_closed_orders",),
        conditional={"stop": True},
        page=100,
    ),
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
