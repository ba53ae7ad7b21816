"""Orders of one client with a journal: what `submit` and `reconcile` do, with counts, events and spans around it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from peak_observe.catalog import BUCKETS
from peak_observe.errors import OrderJournalError
from peak_observe.events import OrderSettled, OrderUnresolved
from peak_observe.exchange_client.classify import AMBIGUOUS, REJECTED, SUCCESS, TRANSIENT
from peak_observe.exchange_client.order_journal.intent import UNKNOWN, OrderArguments, OrderIntent, check_amount
from peak_observe.exchange_client.order_journal.protocol import Protocol
from peak_observe.exchange_client.order_journal.records import Records
from peak_observe.exchange_client.order_journal.settlement import Settlement
from peak_observe.exchange_client.request import OUTCOMES
from peak_observe.measures import ORDERS
from peak_observe.measures.orders import OrderTally
from peak_observe.observers import emit
from peak_observe.support.shown import shown
from peak_observe.telemetry.tracing.spans import API, CallSpan

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.exchange_client.exchange_state import ExchangeState
    from peak_observe.exchange_client.order_journal.effects import Steps
    from peak_observe.exchange_client.order_journal.journal import OrderJournal

_WROTE = {"unknown": AMBIGUOUS, "absent": TRANSIENT, "refused": REJECTED}
"""Outcome of a write whose fate a look-up told; all others were carried out."""

_ORDER_KEYS = frozenset(("key", "symbol", "type", "side", "amount", "price", "params"))


class ClientOrders:
    """Steps of one client's `submit`, `submit_orders` and `reconcile`.

    Args:
        journal: Where each step is recorded.
        exchange: The ccxt object.
        state: Its state.
        clock: Where time comes from.
    """

    def __init__(self, journal: OrderJournal, exchange: Any, state: ExchangeState, clock: Clock) -> None:
        self._state = state
        self.clock = clock
        self.journal = journal
        self.tally = OrderTally(state.name, clock, journal.store.pending)
        ORDERS.series(state.name, BUCKETS).join(self, self.tally.read)
        records = Records(journal.store, clock, self.tally.count)
        times = next((journal.times[name] for name in (state.exchange, exchange.id) if name in journal.times), None)
        settlement = Settlement(exchange, state, records, clock, times=times, settled=self._settled)
        self._protocol = Protocol(exchange, state, records, journal.locks, clock, settlement)

    def submit(self, key: str, *given: Any) -> Steps[dict[str, Any]]:
        """Return the steps that place the order of a key, if it was not placed; `given` is what ccxt takes."""
        order = _arguments(*given)
        return self._traced(key, order, self._protocol.submit(key, order))

    def submit_orders(self, orders: Sequence[Mapping[str, Any]]) -> Steps[list[dict[str, Any]]]:
        """Return the steps that place the orders of a batch, as far as they were not placed."""
        given = [_arguments_of(order) for order in orders]
        keys = [key for key, _ in given]
        if len(set(keys)) < len(keys):
            raise ValueError("two orders of the batch have the same key: one key is one order")
        found = yield from self._protocol.submit_orders(given)
        errors = [result for result in found if isinstance(result, Exception)]
        if errors:
            raise ExceptionGroup(f"{len(errors)} of {len(found)} orders of the batch do not stand for certain", errors)
        return [result for result in found if not isinstance(result, Exception)]

    def reconcile(self, *, open_orders: bool) -> Steps[list[OrderIntent]]:
        """Return the steps that ask for every order whose fate is open, and for those that stood."""
        span = self._span("reconcile", {})
        began, error = self.clock.monotonic(), None
        try:
            return (yield from self._protocol.reconcile(open_orders=open_orders))
        except BaseException as raised:
            error = raised
            raise
        finally:
            seconds = self.clock.monotonic() - began
            self.tally.reconciled_in(seconds, span.exemplar(seconds, self.clock) if span is not None else None)
            if span is not None:
                span.end({}, error)

    def _span(self, method: str, facts: dict[str, str]) -> CallSpan | None:
        if API not in sys.modules:
            return None
        span = CallSpan(f"{self._state.name} {method}", {"peak_observe.exchange": self._state.name, **facts})
        span.begin()
        return span

    def _traced(self, key: str, order: OrderArguments, steps: Steps[dict[str, Any]]) -> Steps[dict[str, Any]]:
        span = self._span("submit", {"peak_observe.order.key": str(key), "peak_observe.order": order.text})
        if span is None:
            return (yield from steps)
        error: BaseException | None = None
        try:
            return (yield from steps)
        except BaseException as raised:
            error = raised
            raise
        finally:
            span.end(self._known(key), error)

    def _known(self, key: object) -> dict[str, str | int]:
        try:
            found = self.journal.find(key) if isinstance(key, str) else None
        except OrderJournalError:
            found = None  # the error itself is raised already
        return {"peak_observe.order.state": found.state, "peak_observe.order.sends": found.sends} if found else {}

    def _settled(self, intent: OrderIntent, outcome: str) -> None:
        self.tally.settled(outcome)
        self._state.tally.wrote(OUTCOMES[_WROTE.get(outcome, SUCCESS)])
        if intent.state == UNKNOWN:
            facts = (
                intent.key,
                intent.client_order_id,
                intent.text,
                intent.sent_at or intent.created_at,
                intent.reason,
            )
            emit(OrderUnresolved(intent.exchange, *facts))
        else:
            emit(OrderSettled(intent.exchange, intent.key, intent.client_order_id, intent.text, outcome))


def _arguments(  # noqa: PLR0917 - the arguments of ccxt's create_order, by position as there
    symbol: str,
    type: str,  # noqa: A002 - ccxt's word
    side: str,
    amount: float | str | None,
    price: float | str | None = None,
    params: Mapping[str, Any] | None = None,
) -> OrderArguments:
    """Return the arguments of an order.

    Raises:
        ValueError: One of them is no text, or no number.
        TypeError: `params` is no mapping.
    """
    for name, value in (("symbol", symbol), ("type", type), ("side", side)):
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name} must be a text as ccxt's create_order takes it, not {shown(value)}")
    if not isinstance(params, Mapping | None):
        raise TypeError(f"params must be a mapping as ccxt's create_order takes it, not {shown(params)}")
    check_amount("amount", amount)
    check_amount("price", price)
    return OrderArguments(symbol, type, side, amount, price, dict(params or {}))


def _arguments_of(order: Any) -> tuple[str, OrderArguments]:
    if not isinstance(order, Mapping) or "key" not in order:
        raise ValueError(f"an order of a batch must be a mapping with 'key' and ccxt's names, not {shown(order)}")
    odd = order.keys() - _ORDER_KEYS
    if odd:
        raise ValueError(
            f"an order of a batch has no {', '.join(sorted(map(str, odd)))}: {', '.join(sorted(_ORDER_KEYS))}"
        )
    missing = {"symbol", "type", "side", "amount"} - order.keys()
    if missing:
        raise ValueError(f"the order {shown(order['key'])} of the batch needs {', '.join(sorted(missing))}")
    return order["key"], _arguments(**{name: value for name, value in order.items() if name != "key"})
