"""Protocol of the journal without input or output: generators that ask for calls and waits, and record each step."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peak_observe.errors import OrderJournalError, OrderKeyConflict, OrderNotPlaced, OutcomeUnknown
from peak_observe.exchange_client.classify import (
    AUTH,
    CLOCK,
    MAINTENANCE,
    RATE_LIMITED,
    REJECTED,
    TRANSIENT,
    Verdict,
)
from peak_observe.exchange_client.order_ids import identified, parameter
from peak_observe.exchange_client.order_journal.effects import Call, Sleep
from peak_observe.exchange_client.order_journal.intent import (
    CLOSED,
    INTENDED,
    OPEN,
    REFUSED,
    SENT,
    UNSETTLED,
    OrderArguments,
    OrderIntent,
    check_key,
)
from peak_observe.exchange_client.order_journal.records import Records, shown_order, utc
from peak_observe.exchange_client.order_journal.settlement import Settlement
from peak_observe.exchange_client.outcome import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peak_observe.clock import Clock
    from peak_observe.exchange_client.exchange_state import ExchangeState
    from peak_observe.exchange_client.order_journal.effects import Steps
    from peak_observe.exchange_client.order_journal.key_lock import KeyHold, KeyLocks

SENDS = 3
"""Requests that one `submit` sends at most, each after the one before it is known not to have been carried out."""

_POLL = 0.05
_PATIENCE = 120.0
"""Seconds between two looks at a key that somebody else works on, and those it may take beyond the deadlines."""

_KNOWN_NOT = frozenset((AUTH, CLOCK, MAINTENANCE, RATE_LIMITED, TRANSIENT))
"""Outcomes by which a request was surely not carried out, though the order itself may be good."""

_LOCAL_REFUSALS = frozenset(("ArgumentsRequired", "BadSymbol", "InvalidOrder", "NotSupported"))
"""Classes by which ccxt refuses the arguments of an order itself."""

_DEADLINE_ELAPSED = "Deadline elapsed"


class Protocol:
    """Steps by which the orders of one client are placed at most once.

    Args:
        exchange: The ccxt object.
        state: Its state.
        records: Writes each step.
        locks: Returns the locks of the journal.
        clock: Where time comes from.
        settlement: Finds out the fate of orders.
    """

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        exchange: Any,
        state: ExchangeState,
        records: Records,
        locks: Callable[[], KeyLocks],
        clock: Clock,
        settlement: Settlement,
    ) -> None:
        self._exchange = exchange
        self._state = state
        self._records = records
        self._locks = locks
        self._clock = clock
        self._settlement = settlement

    # Placing

    def submit(self, key: str, order: OrderArguments) -> Steps[dict[str, Any]]:
        """Return ccxt's structure of the order of a key, which is placed if it was not."""
        check_key(key)
        _ = self._settlement.look_up  # refused in words before anything is asked
        yield Call("load_markets")
        intent = self._intended(key, order)
        hold = yield from self._take(intent)
        try:
            return (yield from self._placed(intent, order))
        finally:
            hold.free()

    def submit_orders(self, orders: Sequence[tuple[str, OrderArguments]]) -> Steps[list[dict[str, Any] | Exception]]:
        """Return for each order of a batch its structure, or the error that keeps it from having one."""
        _ = self._settlement.look_up  # refused in words before anything is asked
        yield Call("load_markets")
        intents = [self._intended(check_key(key), order) for key, order in orders]
        taken: list[KeyHold] = []
        try:
            # Always in one order, so that two batches never wait for each other.
            for intent in sorted(intents, key=lambda intent: intent.id):
                hold = yield from self._take(intent)
                taken.append(hold)
            yield from self._send_batch(intents, [order for _, order in orders])
            found: list[dict[str, Any] | Exception] = []
            for intent, (_, order) in zip(intents, orders, strict=True):
                try:
                    found.append((yield from self._placed(intent, order)))
                except Exception as error:  # noqa: BLE001 - it is the result of this one
                    found.append(error)
            return found
        finally:
            for hold in taken:
                hold.free()

    def _intended(self, key: str, order: OrderArguments) -> OrderIntent:
        name, exchange, now = self._state.name, self._state.exchange, self._clock.now().timestamp()
        refused = self._settlement.look_up.refuses(order, self._exchange.market(order.symbol))
        if refused:
            raise ValueError(f"{exchange} finds {refused} by client order id: use create_order() for {order.text}")
        self._check_params(order)
        intent = OrderIntent(
            id=0,
            key=key,
            exchange=name,
            exchange_id=exchange,
            symbol=order.symbol,
            type=order.type,
            side=order.side,
            text=order.text,
            fingerprint=order.fingerprint(name),
            client_order_id=self._new_id(order),
            look_up=order.look_up(),
            conditional=order.conditional,
            state=INTENDED,
            created_at=now,
            updated_at=now,
        )
        found = self._records.intend(intent)
        if found.fingerprint != intent.fingerprint:
            raise OrderKeyConflict(key, found.text, order.text)
        return found

    def _check_params(self, order: OrderArguments) -> None:
        rehearsed = next((name for name in ("test", "validate") if order.params.get(name)), None)
        if rehearsed is not None:
            raise ValueError(f"{rehearsed!r} places no order: rehearse with create_order(), without the journal")
        name, _ = self._settlement.look_up.deadline_parameter or ("", "")
        if name in order.params:
            raise ValueError(
                f"{name!r} is the journal's to send, as it waits for what is sent: give it to the journal, "
                f"OrderJournal(..., times={{{self._state.exchange!r}: OrderTimes(deadline=..., visibility=...)}})"
            )

    def _new_id(self, order: OrderArguments) -> str:
        name = parameter(self._state.exchange) or ""
        found = self._state.order_ids.identified(order.params).get(name)
        if found is None:
            raise ValueError(f"give the client order id of {order.text} as {name!r} in params, or none at all")
        return str(found)

    def _take(self, intent: OrderIntent) -> Steps[KeyHold]:
        """Return the lock of an intent, taken: the file may be another one by the time it is freed."""
        began = self._clock.monotonic()
        while not (hold := self._locks().hold(intent.id)):
            if self._clock.monotonic() - began > _PATIENCE + SENDS * self._settlement.deadline:
                busy = "another process or thread is still working on it"
                raise self._settlement.outcome_unknown(self._fresh(intent), busy)
            yield Sleep(_POLL)
        return hold

    def _placed(self, intent: OrderIntent, order: OrderArguments) -> Steps[dict[str, Any]]:
        error: Exception | None = None
        for _ in range(2 * SENDS):
            intent = self._fresh(intent)
            if intent.state in (OPEN, CLOSED):
                return shown_order(intent)
            if intent.state == REFUSED:
                raise OrderNotPlaced(intent.key, intent.reason, True)  # noqa: FBT003 - as its signature has it
            if intent.state in UNSETTLED:
                yield from self._settlement.settle(intent, error)
            else:
                answer = yield from self._send(intent, order)
                if isinstance(answer, dict):
                    return answer
                error = answer
        raise OrderNotPlaced(intent.key, self._fresh(intent).reason or "it was not carried out") from error

    def _send(self, intent: OrderIntent, order: OrderArguments) -> Steps[dict[str, Any] | Exception]:
        """Return the order, or the error after which its fate has to be found out or it may be sent again."""
        sending = _Sending(self._records, [intent], self._settlement.deadline)
        params = {**self._params(intent, order), **self._deadline_params()}
        given = (order.symbol, order.type, order.side, order.amount, order.price, params)
        try:
            found: dict[str, Any] = yield Call("create_order", given, sending)
        except Exception as error:  # noqa: BLE001 - what it means is decided, and raised if it is the caller's
            return self._failed(sending.intents[0], error)
        except BaseException:
            self._cut_off(sending)
            raise
        try:
            self._records.seen(sending.intents[0], found)
        except OrderJournalError as error:
            error.add_note(f"the order {intent.key!r} was placed as {found.get('id')}: reconcile() records it")
            raise
        return found

    def _send_batch(self, intents: list[OrderIntent], orders: list[OrderArguments]) -> Steps[None]:
        """Send what was never sent of a batch in one request; whatever is open afterwards is settled one by one."""
        pairs = [(fresh, order) for intent, order in zip(intents, orders, strict=True)
                 if (fresh := self._fresh(intent)).state == INTENDED]  # fmt: skip
        if len(pairs) < 2 or not self._exchange.has.get("createOrders"):  # noqa: PLR2004 - of one there is no batch
            return
        sending = _Sending(self._records, [intent for intent, _ in pairs], self._settlement.deadline)
        given = [_as_ccxt(order, self._params(intent, order)) for intent, order in pairs]
        try:
            answer: list[dict[str, Any]] = yield Call("create_orders", (given, self._deadline_params()), sending)
        except Exception as error:  # noqa: BLE001 - what it means is found out order by order
            for intent in sending.intents:
                self._failed_part(intent, error)
            return
        except BaseException:
            self._cut_off(sending)
            raise
        shown = {str(found.get("clientOrderId")): found for found in answer if found.get("id") is not None}
        for intent in sending.intents:
            found = shown.get(intent.client_order_id)
            if found is not None:
                self._records.seen(intent, found)
            elif intent.state == SENT:
                self._records.unknown(intent, "the answer to the batch does not show it")

    def _failed_part(self, intent: OrderIntent, error: Exception) -> None:
        # One error for all parts tells nothing for certain of each, but for what keeps a request from being read.
        verdict = outcome_of(error, write=True)
        if intent.state == SENT and verdict.outcome in _KNOWN_NOT and not isinstance(error, OutcomeUnknown):
            self._records.absent(intent, verdict.reason)
        elif intent.state == SENT:
            self._records.unknown(intent, verdict.reason)

    def _params(self, intent: OrderIntent, order: OrderArguments) -> dict[str, Any]:
        name = parameter(self._state.exchange) or ""
        return identified({**order.params, name: intent.client_order_id}, exchange=self._state.exchange)

    def _deadline_params(self) -> dict[str, Any]:
        """Return the parameter that gives a request its deadline, where there is one; a batch has one for all."""
        name, form = self._settlement.look_up.deadline_parameter or ("", "")
        seconds = self._settlement.deadline
        if not name or not seconds:
            return {}
        at = self._clock.now().timestamp() + seconds
        return {name: int(seconds * 1000) if form == "milliseconds" else _rfc3339(at)}

    def _failed(self, intent: OrderIntent, error: Exception) -> Exception:
        """Record what a failed request means; return the error if the steps go on.

        Raises:
            Exception: The error itself, where its meaning is known.
        """
        verdict = outcome_of(error, write=True)
        if intent.state != SENT:
            if _refused_by_ccxt(error):  # before anything was sent
                self._records.to(intent, REFUSED, reason=verdict.reason or type(error).__name__)
            if isinstance(error, ArithmeticError):  # such as decimal's, for more digits than it counts with
                reason = f"ccxt cannot round the amount or the price of {intent.text}"
                self._records.to(intent, REFUSED, reason=reason)
                raise ValueError(reason) from error
            raise error
        if isinstance(error, OutcomeUnknown) or not self._is_refusal(verdict):
            self._records.unknown(intent, verdict.reason or type(error).__name__)
            return error
        if verdict.duplicate:
            self._records.unknown(intent, f"it stands: {verdict.reason}", stands=True)
            return error
        if verdict.outcome == REJECTED and _DEADLINE_ELAPSED not in str(error):
            self._records.to(intent, REFUSED, reason=verdict.reason)
            raise error
        self._records.absent(intent, verdict.reason)
        if verdict.outcome == REJECTED:
            return error
        raise error

    @staticmethod
    def _is_refusal(verdict: Verdict) -> bool:
        return verdict.outcome == REJECTED or verdict.outcome in _KNOWN_NOT

    def _cut_off(self, sending: _Sending) -> None:
        # The cancellation itself must get through; what was sent is as good as unknown.
        with suppress(OrderJournalError):
            for intent in sending.intents:
                if intent.state == SENT:
                    self._records.unknown(intent, "the call was cut off")

    # Reconciling

    def reconcile(self, *, open_orders: bool) -> Steps[list[OrderIntent]]:
        """Return the orders whose fate was open, and those that stood if these are wanted, as they are now."""
        states = (*UNSETTLED, OPEN) if open_orders else UNSETTLED
        intents = self._records.store.select(states, self._state.name)
        if intents:
            _ = self._settlement.look_up
            yield Call("load_markets")
        for intent in intents:
            if hold := self._locks().hold(intent.id):  # else somebody works on it at this moment
                try:
                    yield from self._reconciled(self._fresh(intent))
                finally:
                    hold.free()
        return [self._fresh(intent) for intent in intents]

    def _reconciled(self, intent: OrderIntent) -> Steps[None]:
        if intent.state == OPEN:
            yield from self._settlement.refresh(intent)
        elif intent.state in UNSETTLED:
            # It is recorded, counted and told; the others have a right to be asked for.
            with suppress(OutcomeUnknown):
                yield from self._settlement.settle(intent, None)

    def _fresh(self, intent: OrderIntent) -> OrderIntent:
        return self._records.store.find(intent.key) or intent


class _Sending:
    """Recorder of the requests of one call, called before each goes out."""

    def __init__(self, records: Records, intents: list[OrderIntent], deadline: float) -> None:
        self.intents = intents
        self._records = records
        self._deadline = deadline

    def __call__(self) -> None:
        self.intents = self._records.sent(self.intents, self._deadline)


def _refused_by_ccxt(error: Exception) -> bool:
    return any(kind.__name__ in _LOCAL_REFUSALS for kind in type(error).__mro__)


def _as_ccxt(order: OrderArguments, params: dict[str, Any]) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "type": order.type,
        "side": order.side,
        "amount": order.amount,
        "price": order.price,
        "params": params,
    }


def _rfc3339(timestamp: float) -> str:
    return f"{utc(timestamp):%Y-%m-%dT%H:%M:%S}.{int(timestamp % 1 * 1000):03d}Z"
