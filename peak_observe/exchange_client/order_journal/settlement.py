"""Settlement of orders whose fate is open: look them up, and wait until an empty answer proves that there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peak_observe.errors import OutcomeUnknown
from peak_observe.exchange_client.ccxt_errors import also_ccxt
from peak_observe.exchange_client.classify import REJECTED, related
from peak_observe.exchange_client.order_journal.effects import Call, Sleep
from peak_observe.exchange_client.order_journal.intent import CLOSED, INTENDED, OrderIntent
from peak_observe.exchange_client.order_journal.lookup import LookUp, OrderTimes, look_up_of
from peak_observe.exchange_client.order_journal.records import Records, moment, sent_moment, utc
from peak_observe.exchange_client.order_journal.state_machine import Fence
from peak_observe.exchange_client.outcome import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock
    from peak_observe.exchange_client.exchange_state import ExchangeState
    from peak_observe.exchange_client.order_journal.effects import Steps

SHORTEST = 0.001
"""Seconds of the shortest sleep before an order is asked for again."""


class Settlement:
    """Steps by which the fate of one client's orders is found out.

    Args:
        exchange: The ccxt object.
        state: Its state.
        records: Writes each step.
        clock: Where time comes from.
        times: Those of this exchange; those documented if not given.
        settled: Called with an intent and the outcome of its look-up, once for each that was settled or given up.
    """

    def __init__(
        self,
        exchange: Any,
        state: ExchangeState,
        records: Records,
        clock: Clock,
        *,
        times: OrderTimes | None,
        settled: Callable[[OrderIntent, str], None],
    ) -> None:
        self._exchange = exchange
        self._state = state
        self._records = records
        self._clock = clock
        self._given_times = times
        self._settled = settled
        self._look_up = look_up_of(state.exchange)

    @property
    def look_up(self) -> LookUp:
        """Look-up of orders.

        Raises:
            ValueError: The exchange shows none by its client order id.
        """
        if self._look_up is None:
            raise ValueError(
                f"{self._state.exchange} shows no order by its client order id, as far as is known, so submit() could "
                "not find one whose answer was lost: use create_order() there, and look for it by market, side and time"
            )
        return self._look_up

    @property
    def deadline(self) -> float:
        """Seconds after which a request sent now is not carried out."""
        if self._given_times is None and self.look_up.deadline_parameter is None and self.look_up.window:
            option = self._exchange.options.get(self.look_up.window)
            return max(self.look_up.times.deadline, float(option) / 1000 if option else 0.0)
        return self._times.deadline

    @property
    def _times(self) -> OrderTimes:
        return self._given_times or self.look_up.times

    def settle(self, intent: OrderIntent, error: Exception | None) -> Steps[OrderIntent]:
        """Return an intent whose fate was open and is known.

        Raises:
            OutcomeUnknown: It stays open.
        """
        fence = self._fence(intent)
        order, doubt, empty = yield from self._sought(intent, fence)
        if order is not None:
            return self._told(self._records.seen(intent, order))
        if not doubt and not intent.stands and fence.proves(empty, moment(self._clock)):
            return self._told(self._records.absent(intent, "the exchange does not show it"))
        taken = "its client order id is taken, and no order is shown"
        doubt = doubt or (taken if intent.stands else "so much time has passed that an ended order may not be shown")
        first = intent.reason.partition("; ")[0]
        intent = self._told(self._records.unknown(intent, f"{first}; {doubt}" if first else doubt))
        raise self.outcome_unknown(intent, doubt) from error

    def refresh(self, intent: OrderIntent) -> Steps[None]:
        """Record how an order that was open stands now."""
        order, doubt, _ = yield from self._sought(intent, self._fence(intent))
        if order is not None:
            self._records.seen(intent, order)
        elif not doubt:
            self._records.to(intent, CLOSED, reason="the exchange shows it no more")

    def outcome_unknown(self, intent: OrderIntent, reason: str) -> OutcomeUnknown:
        """Return the error of an order that may or may not stand."""
        at, ids = utc(intent.sent_at or intent.created_at), (intent.client_order_id,)
        return also_ccxt(OutcomeUnknown(intent.exchange, "submit", "create_order", ids, at, reason, intent.text))

    def _sought(self, intent: OrderIntent, fence: Fence) -> Steps[tuple[dict[str, Any] | None, str, int]]:
        """Return the order, what keeps the answers from proving that there is none, and how many empty ones count."""
        empty = 0
        order, doubt = yield from self._asked(intent)  # what stands may show at once; nothing else counts yet
        while order is None and empty < fence.answers:
            yield from self._wait(fence, self._times.interval if empty else 0.0)
            order, doubt = yield from self._asked(intent)
            if doubt:
                break
            empty += 1
        return order, doubt, empty

    def _wait(self, fence: Fence, least: float) -> Steps[None]:
        if least:
            yield Sleep(least)
        while (remaining := fence.remaining(moment(self._clock))) > 0:  # a clock that was set back makes it longer
            # What rounding leaves is less than any clock can move on by: without a shortest sleep it would spin.
            yield Sleep(max(remaining, SHORTEST))

    def _told(self, intent: OrderIntent) -> OrderIntent:
        self._settled(intent, "absent" if intent.state == INTENDED else intent.state)
        return intent

    def _asked(self, intent: OrderIntent) -> Steps[tuple[dict[str, Any] | None, str]]:
        """Return the order as the exchange shows it, and what keeps the answers from proving that there is none."""
        doubt = ""
        for method, args in self.look_up.questions(intent):
            try:
                answer = yield Call(method, args)
            except Exception as error:  # noqa: BLE001 - whatever it is, it proves nothing
                doubt = _doubt(error) or doubt
                continue
            order, problem = self.look_up.read(answer, intent)
            if order is not None:
                return order, ""
            doubt = problem or doubt
        return None, doubt

    def _fence(self, intent: OrderIntent) -> Fence:
        times = self._times
        # Where our clock is ahead, a deadline by it is later for the exchange.
        ahead = max(0.0, -(self._state.tally.read().clock_skew or 0.0))
        return Fence(sent_moment(intent), intent.deadline, times.visibility, times.retention, ahead, times.answers)


def _doubt(error: Exception) -> str:
    """Return why a failed look-up proves nothing; empty where the exchange said that there is no such order."""
    verdict = outcome_of(error)
    kinds = {kind.__name__ for found in related(error) for kind in type(found).__mro__}
    if verdict.outcome == REJECTED and "OrderNotFound" in kinds:
        return ""
    return f"the look-up failed: {verdict.reason or type(error).__name__}"
