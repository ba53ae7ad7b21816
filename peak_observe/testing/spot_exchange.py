"""Base of the fake exchanges: orders, prices and time of a spot exchange in memory, and the way to an answer."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeGuard

from peak_observe.testing.loopback import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from peak_observe.clock import Clock
    from peak_observe.testing.loopback import Call
    from peak_observe.testing.markets import Market

API_KEY = "fake-exchange-key"
SECRET = "fake-exchange-secret"  # noqa: S105 - a fake one for fake exchanges


class Refusal(Exception):  # noqa: N818 - an answer of the exchange, not a fault of the fake
    """Refusal of a request in an exchange's own terms.

    Args:
        code: The exchange's code.
        message: Its words.
        status: The HTTP status.
    """

    def __init__(self, code: str | int, message: str = "", status: int = 200) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedOrder:
    """An order that reached the exchange; volume and price are the client's own text."""

    id: str
    pair: str
    side: str
    kind: str
    volume: str
    price: str
    client_order_id: str | None
    userref: int | None
    status: Literal["open", "closed", "canceled"]
    opened_at: float
    closed_at: float | None = None


@dataclass(slots=True, kw_only=True)
class ApiKey:
    """The API key of the fake's one account, to be changed by tests.

    Args:
        permissions: What it may do, in the exchange's own words.
        expires: Unix time when it expires, None for never.
        addresses: IP addresses that it is bound to; none for any.
    """

    permissions: set[str]
    expires: float | None = None
    addresses: tuple[str, ...] = ()


class SpotExchange:
    """An exchange in memory: every answer depends only on the clock and the requests before it.

    A market order fills at once, a limit order stays open until it is cancelled. Fills do not move balances, so that a
    demo can trade for a week.

    Args:
        clock: Gives the exchange's own time.
    """

    exchange_id: ClassVar[str]
    """ccxt's id of the exchange."""

    permissions: ClassVar[frozenset[str]] = frozenset()
    """What its API key may do at first, in its own words."""

    no_endpoint: ClassVar[tuple[str | int, str, int]]
    malformed: ClassVar[tuple[str | int, str, int]]
    """Code, words and HTTP status for an unknown endpoint, and for arguments that make no sense."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._orders: dict[str, PlacedOrder] = {}
        self.changes: list[PlacedOrder] = []
        """Every order as it was placed and as it was cancelled, in the order in which that happened."""
        self.update: Callable[[], int] = lambda: 0
        """Returns the number of the present update of the websockets' order books."""
        self._tick = 0
        self._behind = 0.0
        self._timers: dict[str, float] = {}
        self.key = ApiKey(permissions=set(self.permissions))
        self._at: float | None = None

    @property
    def orders(self) -> tuple[PlacedOrder, ...]:
        """Return the orders placed, oldest first."""
        with self._lock:
            self._run_timers()
            return tuple(self._orders.values())

    def config(self, url: str) -> dict[str, Any]:
        """Return a new configuration for the ccxt class of `exchange_id`."""
        raise NotImplementedError

    def name(self, call: Call) -> str:
        """Return the endpoint's name, as faults are aimed at it."""
        raise NotImplementedError

    def answer(self, call: Call, behind: float = 0.0, at: float | None = None) -> Reply:
        """Carry out one request and return its answer, with data that is `behind` seconds old.

        Args:
            call: The request.
            behind: How old the data is.
            at: The Unix time at which it came in; the present if not given.
        """
        target = getattr(self, self.handler(call), self._missing)
        try:
            with self._lock:
                self._behind, self._at = behind, at
                self._run_timers()
                self.authenticate(call)
                return self.reply(target(call.params))
        except Refusal as refusal:
            return self.refuse(refusal)
        except (ValueError, ArithmeticError):
            return self.refuse(Refusal(*self.malformed))

    def set_timer(self, seconds: float, pair: str = "") -> float:
        """Cancel all orders, or those of a pair, after `seconds` unless this is called again before; 0 is never.

        Returns:
            The Unix time of that, 0.0 for never.
        """
        self._timers.pop(pair, None)
        if seconds:
            self._timers[pair] = self.now() + seconds
        return self._timers.get(pair, 0.0)

    def _run_timers(self) -> None:
        for pair, at in list(self._timers.items()):
            if at <= self.now():
                del self._timers[pair]
                for order in [order for order in self.live() if pair in ("", order.pair)]:
                    self.place(replace(order, status="canceled", closed_at=at))

    def _missing(self, _: object) -> None:
        raise Refusal(*self.no_endpoint)

    def handler(self, call: Call) -> str:
        """Return the name of the method that answers a request."""
        method, _, path = self.name(call).partition(" ")
        return f"_{method}_{path.replace('/', '_').replace('-', '_')}".lower()

    def authenticate(self, call: Call) -> None:
        """Check key, signature and time of a private request.

        Raises:
            Refusal: Something of them is missing or wrong.
        """
        raise NotImplementedError

    def reply(self, result: Any) -> Reply:
        """Return the answer to a request that was carried out, in the exchange's envelope."""
        return Reply(result)

    def refuse(self, refusal: Refusal) -> Reply:
        """Return the answer to a request that was refused, in the exchange's envelope."""
        raise NotImplementedError

    def now(self) -> float:
        """Return the exchange's Unix time."""
        return self._clock.now().timestamp() if self._at is None else self._at

    def milliseconds(self, behind: float = 0.0) -> int:
        """Return the exchange's Unix time in milliseconds, or that of `behind` seconds ago."""
        return int((self.now() - behind) * 1000)

    def candles(
        self, market: Market, minutes: int, *, first: int | None = None, limit: int = 720
    ) -> list[list[object]]:
        """Return candles, oldest first.

        Args:
            market: Their market.
            minutes: The length of each.
            first: The number of the first since the epoch; so that the last is the present one if not given.
            limit: The number of them at most.
        """
        last = self.last_candle(minutes)
        first = last - limit + 1 if first is None else first
        return [market.candle(number, minutes) for number in range(first, min(last, first + limit - 1) + 1)]

    def last_candle(self, minutes: int) -> int:
        """Return the number of the present candle since the epoch."""
        return int(self.now() - self._behind) // (minutes * 60)

    def levels(self, market: Market, count: int) -> tuple[list[str], list[str]]:
        """Return the prices of an order book, best first: those asked, and those bid."""
        price, step = market.price(self._tick), 10.0**-market.decimals
        asks, bids = ([f"{price + sign * step * level:.5f}" for level in range(1, count + 1)] for sign in (1, -1))
        return asks, bids

    def make_order(
        self,
        market: Market,
        *,
        id: str,  # noqa: A002 - the order's own word
        pair: str,
        side: str,
        kind: str,
        volume: str,
        price: str | None,
        client_order_id: str | None,
        userref: int | None = None,
    ) -> PlacedOrder:
        """Return an order that is not placed yet: `market` ones are filled, all others are open at their price."""
        at_once, now = kind == "market", self.now()
        if at_once:
            price = f"{market.price(self._tick):.{market.decimals}f}"
        if side not in ("buy", "sell") or not self.is_price(price) or not above_zero(volume):
            raise Refusal(*self.malformed)
        return PlacedOrder(
            id=id,
            pair=pair,
            side=side,
            kind=kind,
            volume=volume,
            price=price,
            client_order_id=client_order_id,
            userref=userref,
            status="closed" if at_once else "open",
            opened_at=now,
            closed_at=now if at_once else None,
        )

    def is_price(self, text: str | None) -> TypeGuard[str]:
        """Return whether a text is a price that this exchange takes."""
        return above_zero(text)

    def place(self, order: PlacedOrder) -> PlacedOrder:
        """Place an order."""
        self._orders[order.id] = order
        self.changes.append(order)
        return order

    def cancel(self, order: PlacedOrder) -> PlacedOrder:
        """Cancel an order."""
        return self.place(replace(order, status="canceled", closed_at=self.now()))

    def amend(
        self, order: PlacedOrder | None, unknown: Refusal, *, volume: str | None, price: str | None
    ) -> PlacedOrder:
        """Change an open order in its place.

        Args:
            order: The order, None if there is none of that name.
            unknown: How the exchange refuses that.
            volume: Its new volume; as it was if not given.
            price: Its new price; as it was if not given.

        Raises:
            Refusal: There is none, or a number makes no sense.
        """
        if order is None:
            raise unknown
        changed = replace(order, volume=volume or order.volume, price=price or order.price)
        if not self.is_price(changed.price) or not above_zero(changed.volume):
            raise Refusal(*self.malformed)
        return self.place(changed)

    def visible(self, *statuses: str) -> Iterator[PlacedOrder]:
        """Yield the orders that can be seen already, of some statuses or of all."""
        before = self.now() - self._behind
        found = (order for order in self._orders.values() if order.opened_at <= before)
        return (order for order in found if not statuses or order.status in statuses)

    def live(self) -> Iterator[PlacedOrder]:
        """Yield the orders that are open, also those that cannot be seen yet."""
        return (order for order in self._orders.values() if order.status == "open")

    def is_taken(self, client_order_id: str | None) -> bool:
        """Return whether an order with a client order id was placed before."""
        return client_order_id is not None and any(
            order.client_order_id == client_order_id for order in self._orders.values()
        )


def above_zero(text: str | None) -> TypeGuard[str]:
    """Return whether a text is a finite number above zero."""
    try:
        return 0 < float(text or "") < math.inf
    except ValueError:
        return False


def named(orders: Iterable[PlacedOrder], id: str | None, client_order_id: str | None) -> PlacedOrder | None:  # noqa: A002 - see above
    """Return the order of an id, or without one of a client order id; None if there is none."""
    for order in orders:
        if order.id == id if id else client_order_id and order.client_order_id == client_order_id:
            return order
    return None
