"""Guard of orders: how many, how many equal ones, for how much, and how many of unknown outcome."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peak_observe.catalog import ORDER_LIMITS
from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.errors import TradingHaltedError
from peak_observe.safety.guard_base import Action, BaseGuard, checked_number, is_finite, least
from peak_observe.safety.guard_file import GuardFileCorruptError, GuardFileError
from peak_observe.safety.order_value import OrderValue, number
from peak_observe.safety.switch_file import TRADING
from peak_observe.safety.trading_switch import TradingSwitch
from peak_observe.support.keywords import check_keywords
from peak_observe.support.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAME = ("symbol", "type", "side", "amount", "price", "cost")
# What tells two orders apart that are the same otherwise.
_UNIQUE = re.compile(r"client|cl_?ord|link|nonce|time|userref|notional|\bid$", re.IGNORECASE)


class OrderGuard(BaseGuard):
    """Guard that trips a switch when a bot sends more orders than it should; exact for all threads and processes.

    It counts the orders of all clients that have the switch, before they are sent: the one that would exceed a limit is
    not sent. The window is kept in a file beside that of the switch, so that a bot that crashes and restarts gets no
    new allowance.

    Args:
        trading: The switch.
        max_orders: Orders, and edits, within `per`.
        per: Seconds of the window of all limits.
        max_same: Orders within `per` that are equal: market, type, side, amount and price.
        max_notional: By currency the value of all orders within `per`, each amount times price.
        max_unknown: Orders of unknown outcome within `per`.
        price_of: Returns the price of a market for orders that have none; the last that the client saw if not given.
        on_trip: `halt`, `reduce_only`, or `tell`, which stops nothing.
        for_seconds: How long that lasts, in seconds or as `15min`; until somebody resumes if not given.
        name: The label `guard`; `SWITCH.orders` if not given.
        clock: Where time comes from; for tests.

    Raises:
        ValueError: There is no limit, or one is invalid.
    """

    @check_keywords()
    def __init__(
        self,
        trading: TradingSwitch,
        *,
        max_orders: int | None = None,
        per: float = 60.0,
        max_same: int | None = None,
        max_notional: Mapping[str, float] | None = None,
        max_unknown: int | None = None,
        price_of: Callable[[str], float] | None = None,
        on_trip: Action = "halt",
        for_seconds: float | str | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        for key, value in (("max_orders", max_orders), ("max_same", max_same), ("max_unknown", max_unknown)):
            checked_number(key, value, whole=True)
        checked_number("per", math.nan if per is None else per)
        if not isinstance(max_notional, Mapping | None):
            raise TypeError(
                f'max_notional must be amounts by currency, such as {{"USDT": 5000}}, not {shown(max_notional)}'
            )
        if price_of is not None and not callable(price_of):
            raise TypeError(f"price_of must be a function of a market's symbol, not {shown(price_of)}")
        self._max_notional = dict(max_notional or {})
        for currency, most in self._max_notional.items():
            checked_number(f"max_notional of {shown(currency)}", most)
        if not (max_orders or max_same or max_unknown or self._max_notional):
            raise ValueError("give a limit: max_orders, max_same, max_notional or max_unknown")
        self._max_orders, self._max_same, self._max_unknown = max_orders, max_same, max_unknown
        self._per, self._price_of = per, price_of
        self._seen: dict[str, Any] = {}
        super().__init__(
            trading, "orders", ORDER_LIMITS, on_trip=on_trip, for_seconds=for_seconds, name=name, clock=clock
        )
        with suppress(GuardFileError):  # the first order trips
            self._seen = self._recent(self._file.read())
        self.look()
        trading.join(self)

    def admit(self, orders: Sequence[Mapping[str, Any]]) -> None:
        """Count orders that are about to be sent; for orders that go another way than a client's.

        Args:
            orders: Each with `symbol`, `type`, `side`, `amount` and `price`, as far as they are known.

        Raises:
            TradingHaltedError: They would exceed a limit, or the switch is halted.
        """
        new = [self._entry(order) for order in orders]
        try:
            with self._file.changed() as kept:
                self._refuse_if_stopped()
                if self._switch.refresh().state == TRADING:  # else they only reduce positions
                    self._add(kept, new)
        except GuardFileError as error:
            self._broken(error)
        finally:
            self._tell()
        self._refuse_if_stopped()

    def unanswered(self) -> None:
        """Count an order of unknown outcome."""
        try:
            with self._file.changed() as kept:
                unknown = [*self._recent(kept).get("unknown", []), self._now()]
                kept["unknown"] = unknown
                self._seen = dict(kept)
                if self._max_unknown is not None and len(unknown) > self._max_unknown:
                    kept["unknown"] = []
                    self._trip("unknown", f"{len(unknown)} orders of unknown outcome within {self._per:g} s")
        except GuardFileError as error:
            self._broken(error)
        finally:
            self._tell()

    def look(self) -> None:
        """Measure the headroom: time alone makes it grow."""
        self._tally.headroom = least(self._left(self._recent(self._seen)))

    def _add(self, kept: dict[str, Any], new: list[list[Any]]) -> None:
        entries = [*self._recent(kept).get("orders", []), *new]
        found = self._exceeded(entries)
        kept["orders"] = entries
        self._seen = dict(kept)
        if found is not None:
            if self._action != "tell" or not kept.get("told"):
                self._trip(*found)
            # After a trip the window begins anew, or the first order after it is resumed would trip again.
            kept["orders"] = entries if self._action == "tell" else []
        kept["told"] = found is not None and self._action == "tell"

    def _exceeded(self, entries: list[list[Any]]) -> tuple[str, str] | None:
        within = f"within {self._per:g} s"
        if self._max_orders is not None and len(entries) > self._max_orders:
            return "orders", f"more than {self._max_orders} orders {within}"
        if self._max_same is not None and Counter(entry[1] for entry in entries).most_common(1)[0][1] > self._max_same:
            return "same", f"more than {self._max_same} equal orders {within}"
        for currency, value in self._values(entries).items():
            if not value <= self._max_notional[currency]:  # what is no number trips, too
                return "notional", f"orders for more than {self._max_notional[currency]:g} {currency} {within}"
        return None

    def _values(self, entries: list[list[Any]]) -> dict[str, float]:
        values = dict.fromkeys(self._max_notional, 0.0)
        for _, _, currency, value in entries:
            if currency in values:
                values[currency] += abs(value)
        return values

    def _left(self, kept: Mapping[str, Any]) -> Iterator[float]:
        entries, unknown = kept.get("orders", []), kept.get("unknown", [])
        if self._max_orders is not None:
            yield 1 - len(entries) / self._max_orders
        if self._max_same is not None and entries:
            yield 1 - Counter(entry[1] for entry in entries).most_common(1)[0][1] / self._max_same
        if self._max_unknown is not None:
            yield 1 - len(unknown) / self._max_unknown
        for currency, value in self._values(entries).items():
            yield 1 - value / self._max_notional[currency]

    def _recent(self, kept: dict[str, Any]) -> dict[str, Any]:
        """Return what is kept of this window; what a clock that was set back left in the future counts."""
        try:
            since = self._now() - self._per
            orders = [entry for entry in kept.get("orders", []) if entry[0] > since]
            return {"orders": orders, "unknown": [at for at in kept.get("unknown", []) if at > since]}
        except (TypeError, LookupError):
            raise GuardFileCorruptError(f"{self._file.path} does not hold what a guard keeps") from None

    def _entry(self, order: Mapping[str, Any]) -> list[Any]:
        value = self._value(order)
        return [self._now(), _same(order), value.currency, value.value if is_finite(value.value) else 0.0]

    def _value(self, order: Mapping[str, Any]) -> OrderValue:
        value = order.get("notional")
        if not isinstance(value, OrderValue):
            value = _plain_value(order)
        if value.currency not in self._max_notional:
            return value
        if value.value is None and is_finite(value.amount):
            price = self._price_of(str(order.get("symbol"))) if self._price_of is not None else None
            if not is_finite(price) or not price:
                raise self._unvalued(order, value.currency)
            value = value._replace(value=value.amount * value.size * price)  # type: ignore[operator] # both are numbers
        if not is_finite(value.value):
            why = f"max_notional of {value.currency} needs an amount and a price that are numbers"
            raise TradingHaltedError(self._switch.name, why, "refusing")
        return value

    def _unvalued(self, order: Mapping[str, Any], currency: str) -> TradingHaltedError:
        mend = "give the guard price_of=, or fetch the ticker first"
        why = f"max_notional of {currency} needs the price of {shown(order.get('symbol'))}: {mend}"
        return TradingHaltedError(self._switch.name, why, "refusing")

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _plain_value(order: Mapping[str, Any]) -> OrderValue:
    currency = str(order.get("symbol", "")).partition(":")[0].partition("/")[2]
    amount, price = number(order.get("amount")), number(order.get("price"))
    return OrderValue(currency, None if amount is None or price is None else amount * price, amount)


def _same(order: Mapping[str, Any]) -> str:
    """Return what equal orders have in common."""
    from hashlib import blake2b

    if "side" in order or "method" in order:
        facts = {key: _plain(order.get(key)) for key in _SAME}
    else:
        facts = {key: str(value) for key, value in order.items() if not _UNIQUE.search(key)}
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


def _plain(value: object) -> str:
    try:
        return str(float(value))  # type: ignore[arg-type] # what is no number raises
    except (TypeError, ValueError, OverflowError):
        return shown(value)
