"""State of one ccxt object: its endpoints with their counts, its exchange's limits and clock."""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from peak_observe import catalog
from peak_observe.exchange_client import dialects, endpoints
from peak_observe.measures import ENDPOINTS, EXCHANGES, LATENCY_BUDGETS, EndpointTally, ExchangeTally
from peak_observe.measures.exchange import SEPARATOR
from peak_observe.measures.latency_budgets import LatencyBudget, tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peak_observe.clock import Clock
    from peak_observe.exchange_client.backpressure import Backpressure
    from peak_observe.exchange_client.order_id_overrides import OrderIds
    from peak_observe.exchange_client.order_summary import CallArguments
    from peak_observe.exchange_client.scrubbing import Scrubber
    from peak_observe.exchange_client.shared_throttle import SharedThrottle

STATE = "_peak_observe_state"
"""Attribute of a measured exchange object that holds its state."""
_LEARN_EVERY = 10.0
"""Seconds between two looks at headers where they tell of no limits, and at the exchange's clock."""

_LONGEST_HALF = 0.5
"""Seconds of half a round trip beyond which an answer's date says nothing about our clock."""


class Endpoint:
    """An endpoint of an exchange: its label, its part of the interface, its counts and its effect.

    Attributes:
        write: Whether a request may change something; one that nobody judged may.
        changes: Whether somebody judged that it does.
    """

    __slots__ = ("changes", "label", "path", "public", "section", "tally", "write")

    def __init__(self, label: str, path: str, api: str | Iterable[str], exchange: str, tally: EndpointTally) -> None:
        self.label = label
        self.path = path
        self.section = endpoints.section(api)
        self.tally = tally
        self.public = "ublic" in self.section
        self.write = endpoints.is_write(label, exchange=exchange)
        self.changes = endpoints.effect(label, exchange=exchange) == endpoints.WRITE


class Gate(Protocol):
    """Protocol of a gate that writes have to pass."""

    def admit(self, arguments: CallArguments, *, outermost: bool) -> None:
        """Let a unified method pass, or raise."""

    def admit_request(self, state: ExchangeState, path: str, *args: Any, **kwargs: Any) -> None:
        """Let a request pass, or raise."""

    def refusal_now(self) -> Exception | None:
        """Return why the write under way may not be sent, None if it may."""

    def unanswered(self) -> None:
        """Count an order of unknown outcome."""


class ExchangeState:
    """Endpoints, limits, clock and secrets of one ccxt object, without the object itself.

    Args:
        exchange: ccxt's id of it.
        name: The label value.
        scrubber: Takes its secrets out of texts.
        clock: Where the time comes from.
        strict: Whether an answer that is no good is an exception, as for a client, or left as ccxt takes it.
        order_ids: Makes the client order ids of its orders.
        backpressure: Delays calls while a rate limit or ban of the exchange lasts; None where it is only measured.
        latency_budget: Seconds that a request may take, by its group.
    """

    def __init__(
        self,
        exchange: str,
        name: str,
        scrubber: Scrubber,
        clock: Clock,
        *,
        strict: bool,
        order_ids: OrderIds,
        backpressure: Backpressure | None = None,
        latency_budget: Mapping[str, float] | None = None,
    ) -> None:
        self.exchange = exchange
        self.name = name
        self.scrubber = scrubber
        self.clock = clock
        self.strict = strict
        self.order_ids = order_ids
        self.backpressure = backpressure
        self.gate: Gate | None = None
        self.prices: dict[str, float] = {}
        self.key_refused = False
        self.signing = threading.Lock()
        self.dialect = dialects.of(exchange)
        self.tally = ExchangeTally(clock)
        EXCHANGES.series(name).join(self, self.tally.read)
        self.latency_budget = latency_budget or {}
        self._budgets = {group: LatencyBudget(seconds) for group, seconds in self.latency_budget.items()}
        for group, budget in self._budgets.items():
            LATENCY_BUDGETS.series(f"{name}{SEPARATOR}{group}").join(self, budget.read)
        self._endpoints: dict[tuple[str, ...], Endpoint] = {}
        self.shared_limit: SharedThrottle | None = None
        self.learn_due = 0.0
        self.tells_limits = False

    def __deepcopy__(self, memo: dict[int, Any]) -> ExchangeState:
        return self  # a copy of an exchange object counts for the same exchange

    def endpoint(self, path: str, api: str | Iterable[str], method: str) -> Endpoint:
        """Return what is known of an endpoint, made with all its series at 0 when it is new."""
        key = (method, path, api) if isinstance(api, str) else (method, path, *api)
        found = self._endpoints.get(key)
        if found is None:
            label = endpoints.label(path, api, method)
            series = ENDPOINTS.series(f"{self.name}{SEPARATOR}{label}", catalog.BUCKETS)
            write = endpoints.is_write(label, exchange=self.exchange)
            counts = tally(series.bounds, self._budgets, endpoints.request_group(write=write, api=api))
            found = self._endpoints.setdefault(key, Endpoint(label, path, api, self.exchange, counts))
            if found.tally is counts:
                series.join(self, counts.read)
        return found

    def learn(self, section: str, headers: Mapping[str, str], sent_at: float, ended_at: float) -> None:
        """Learn of limits from an answer's headers, and now and then of the exchange's clock.

        Args:
            section: The part of the interface that answered.
            headers: The answer's headers.
            sent_at: When the request was sent, in seconds of the monotonic clock.
            ended_at: When the answer was there, by the same.
        """
        due = ended_at >= self.learn_due
        if not due and not self.tells_limits:
            return
        lower = {name.lower(): value for name, value in headers.items()}
        ratio = dialects.used_ratio(self.exchange, section, lower)
        self.tells_limits = ratio is not None
        if ratio is not None:
            self.tally.used(ratio)
            if self.shared_limit is not None:
                self.shared_limit.correct(ratio, dialects.usage_window(self.exchange, lower, self.clock.now()))
        if due:
            self.learn_due = ended_at + _LEARN_EVERY
            self._measure_skew(lower, (ended_at - sent_at) / 2)

    def _measure_skew(self, headers: Mapping[str, str], half: float) -> None:
        # An answer that was long under way, or lay in a cache, was dated somewhere in between.
        if half > _LONGEST_HALF or headers.get("age", "0") != "0":
            return
        try:
            # The header cuts off the fraction of the second.
            theirs = parsedate_to_datetime(headers.get("date", "")).timestamp() + 0.5
        except ValueError:
            return
        self.tally.skew(theirs - (self.clock.now().timestamp() - half))
