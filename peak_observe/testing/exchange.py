"""Fake exchange on the loopback interface that fails on command: Kraken, Binance, Bybit or OKX."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.testing.binance import Binance
from peak_observe.testing.binance_streams import BinanceStreams
from peak_observe.testing.bybit import Bybit
from peak_observe.testing.faults import Fault
from peak_observe.testing.kraken import Kraken
from peak_observe.testing.kraken_streams import KrakenStreams
from peak_observe.testing.loopback import HOST, Call, LoopbackServer
from peak_observe.testing.okx import Okx
from peak_observe.testing.spot_exchange import ApiKey, PlacedOrder, SpotExchange
from peak_observe.testing.stream_session import PREFIX, StreamDialect, StreamSession

if TYPE_CHECKING:
    from peak_observe.testing.websocket import WebSocket

__all__ = ["FakeExchange", "Fault", "PlacedOrder"]

STATE = "/_state"
_HEALTHY = Fault()
_DIALECTS: dict[str, type[SpotExchange]] = {kind.exchange_id: kind for kind in (Kraken, Binance, Bybit, Okx)}
_STREAMS: dict[str, Callable[[Any], StreamDialect]] = {"kraken": KrakenStreams, "binance": BinanceStreams}
_HTTP_ERRORS = range(201, 1000)
"""Statuses that only the answer to a request can have, and no message of a websocket."""


@dataclass(slots=True)
class _Rule:
    fault: Fault
    path: str
    left: int | None


class FakeExchange:
    """Serve enough of Kraken, Binance, Bybit or OKX on 127.0.0.1 for the real ccxt clients, sync and async.

    As Kraken and Binance it serves websockets, too, for the real ccxt.pro: tickers, candles, order books and the own
    orders. Faults are aimed at their handshake as `WS` and at the messages of a channel as `WS ticker`, `WS book`,
    `WS executions`, at Binance `WS ticker`, `WS kline`, `WS depth`, `WS executionReport`, and `WS pong` at both.

    Besides, `GET /_state` answers what came in and what stands: requests by endpoint, and orders.

    Args:
        clock: Gives the exchange's own time; a `ManualClock` makes a skewed one.
        dialect: Whose interface it is.
        update_interval: Seconds between two messages of a websocket's channel.

    Raises:
        ValueError: There is no such dialect, or the interval is not above 0.
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        dialect: Literal["kraken", "binance", "bybit", "okx"] = "kraken",
        update_interval: float = 0.1,
    ) -> None:
        if dialect not in _DIALECTS:
            raise ValueError(f"dialect must be one of {', '.join(_DIALECTS)}, not {dialect!r}")
        if not update_interval > 0:
            raise ValueError(f"update_interval must be above 0 s, not {update_interval}")
        self._interval, self._started = update_interval, time.monotonic()
        self._dialect = _DIALECTS[dialect](clock=clock)
        self._dialect.update = self._update
        streams = _STREAMS.get(dialect)
        self._streams = streams(self._dialect) if streams else None
        self._now: Callable[[], float] = lambda: clock.now().timestamp()
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._rules: list[_Rule] = []
        self._delayed: list[tuple[float, Call]] = []
        self._released = threading.Event()
        # Apart from _lock: stopping waits for handlers, and these take _lock.
        self._switch = threading.RLock()
        self._closed = False
        self._server = LoopbackServer(self._handle, 0, self._serve, self._now)
        self.port = self._server.server_port
        self.url = f"http://{HOST}:{self.port}"
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def requests(self) -> Counter[str]:
        """Return how many requests came in for each endpoint name, answered or not."""
        with self._lock:
            return self._requests.copy()

    @property
    def orders(self) -> tuple[PlacedOrder, ...]:
        """Return the orders that were really placed, oldest first."""
        self._carry_out_delayed()
        return self._dialect.orders

    @property
    def key(self) -> ApiKey:
        """Return the API key of its account, whose rights may be changed."""
        return self._dialect.key

    @property
    def exchange_id(self) -> str:
        """Return ccxt's id of the exchange that it is a fake of."""
        return self._dialect.exchange_id

    def config(self) -> dict[str, Any]:
        """Return a new configuration for the ccxt class of `exchange_id`, sync or async."""
        return {**self._dialect.config(self.url), "enableRateLimit": False, "timeout": 2000}

    def fail(self, fault: Fault, *, path: str | None = None, times: int | None = None) -> None:
        """Answer with `fault` from now on; of several that match, the latest counts.

        Refusing connections ends all other faults.

        Args:
            fault: The fault instead of an answer.
            path: The endpoints concerned, by name or pattern (`Ticker`, `*Order*`); all if not given.
            times: The number of requests to spoil; until healed if not given.

        Raises:
            ValueError: `times` is below 1, or a refused connection was to depend on the request.
            RuntimeError: The exchange is closed.
        """
        if self._closed:
            raise RuntimeError("the exchange is closed")
        if times is not None and times < 1:
            raise ValueError(f"times must be at least 1, not {times}")
        if fault.ending != "refuse":
            with self._lock:
                self._rules.append(_Rule(fault, path or "*", times))
        elif path is None and times is None:
            self._refuse()
        else:
            raise ValueError("a refused connection has no path and no count: no request arrives")

    def heal(self) -> None:
        """Clear all faults, let go of the requests that wait, and listen again."""
        self._release()
        with self._switch:
            if not self._closed and not self._server.listening:
                self._server.start()

    def close(self) -> None:
        """Stop serving, close every connection and join every thread; may be called again."""
        with self._switch:
            self._closed = True
            self._release()
            self._server.stop()

    def _refuse(self) -> None:
        with self._switch:
            self._release()
            self._server.stop()
            # Bound but not listening keeps the port ours, and the kernel refuses connections to it.
            self._server = LoopbackServer(self._handle, self.port, self._serve, self._now)

    def _release(self) -> None:
        with self._lock:
            self._rules.clear()
            self._released.set()
            self._released = threading.Event()

    def _state(self) -> dict[str, Any]:
        return {"requests": dict(self.requests), "orders": [asdict(order) for order in self.orders]}

    def _take(self, name: str) -> tuple[Fault, threading.Event]:
        """Count a request; return how to treat it, and the event that ends its waiting."""
        with self._lock:
            self._requests[name] += 1
            return self._fault_locked(name), self._released

    def _fault_locked(self, name: str, *, of_message: bool = False) -> Fault:
        for rule in reversed(self._rules):
            if fnmatchcase(name, rule.path) and not (of_message and rule.fault.code in _HTTP_ERRORS):
                if rule.left is not None:
                    rule.left -= 1
                    if rule.left == 0:
                        self._rules.remove(rule)
                return rule.fault
        return _HEALTHY

    def _fault_of_message(self, name: str) -> Fault:
        with self._lock:
            return self._fault_locked(name, of_message=True)

    def _count(self, name: str) -> None:
        with self._lock:
            self._requests[name] += 1

    def _wait(self, seconds: float | None) -> bool:
        """Wait for some seconds, or until faults are healed; return whether the exchange is closed."""
        self._released.wait(seconds)
        return self._closed

    def _update(self) -> int:
        return int((time.monotonic() - self._started) / self._interval) + 1

    def _handshake(self, fault: Fault, released: threading.Event) -> tuple[Fault, bytes]:
        if self._streams is None:
            return replace(_HEALTHY, code=404), b""
        if fault.delay != 0 and released.wait(fault.delay) and self._closed:
            fault = replace(fault, ending="close")
        return fault, (fault.body or "").encode()

    def _serve(self, socket: WebSocket, path: str, fault: Fault) -> bool:
        if self._streams is None or fault.closes_websocket:
            socket.close(fault.code)
            return False
        return StreamSession(
            socket,
            self._streams,
            path,
            number=self._update,
            interval=self._interval,
            fault=self._fault_of_message,
            subscribed=self._count,
            wait=self._wait,
        ).run()

    def _delay(self, call: Call, fault: Fault) -> None:
        seconds = fault.late if fault.again is None else fault.again
        if seconds is not None:
            with self._lock:
                self._delayed.append((self._now() + seconds, call))

    def _carry_out_delayed(self) -> None:
        """Carry out the requests that were under way until now, each at its time."""
        with self._lock:
            now = self._now()
            due = sorted((late for late in self._delayed if late[0] <= now), key=lambda late: late[0])
            self._delayed = [late for late in self._delayed if late[0] > now]
        for at, call in due:
            self._dialect.answer(call, at=at)

    def _handle(self, call: Call) -> tuple[Fault, bytes]:
        """Carry out a request as far as the current fault lets it; return the fault and the body."""
        if call.path == STATE:
            return _HEALTHY, json.dumps(self._state()).encode()
        name = PREFIX if call.websocket else self._dialect.name(call)
        self._carry_out_delayed()
        fault, released = self._take(name)
        if call.websocket:
            return self._handshake(fault, released)
        self._delay(call, fault)
        if fault.system_status and name == "SystemStatus":
            fault = replace(_HEALTHY, delay=fault.delay, system_status=fault.system_status)
        body = fault.body
        if body is None:
            reply = self._dialect.answer(call, fault.behind)
            if fault.system_status:
                reply.payload["result"]["status"] = fault.system_status
            body = json.dumps(reply.payload)
            fault = replace(fault, code=reply.status, headers=(*fault.headers, *reply.headers))
        if fault.echoes:
            body += f"<pre>{call.text}</pre>"
        if fault.delay != 0 and released.wait(fault.delay) and self._closed:
            fault = replace(fault, ending="close")
        return fault, (body[: len(body) // 2] if fault.ending == "truncate" else body).encode()
