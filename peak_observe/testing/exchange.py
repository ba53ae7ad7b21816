"""A Kraken on the loopback interface that fails on command."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Self, cast

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.testing.faults import Fault
from peak_observe.testing.kraken import API_KEY, Kraken, PlacedOrder
from peak_observe.testing.loopback import HOST, Call, LoopbackServer

if TYPE_CHECKING:
    from types import TracebackType

    from peak_observe.clock import Clock
    from peak_observe.testing.markets import Json

__all__ = ["FakeExchange", "Fault", "PlacedOrder"]

_HEALTHY = Fault()


@dataclass(slots=True)
class _Rule:
    fault: Fault
    path: str
    left: int | None


class FakeExchange:
    """Serve enough of Kraken on 127.0.0.1 for the real ccxt clients, sync and async.

    Args:
        clock: Gives the exchange's own time; a `ManualClock` makes a skewed one.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._kraken = Kraken(clock=clock)
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._rules: list[_Rule] = []
        self._released = threading.Event()
        # Apart from _lock: stopping waits for handlers, and these take _lock.
        self._switch = threading.RLock()
        self._closed = False
        self._server = LoopbackServer(self._handle, 0)
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
        return self._kraken.orders

    def config(self) -> dict[str, Any]:
        """Return a new configuration for `ccxt.kraken` or `ccxt.async_support.kraken`."""
        return {
            "urls": {"api": {"public": self.url, "private": self.url, "zendesk": self.url}},
            "apiKey": API_KEY,
            "secret": base64.b64encode(b"fake-exchange-secret").decode(),
            "enableRateLimit": False,
            "timeout": 2000,
        }

    def fail(self, fault: Fault, *, path: str | None = None, times: int | None = None) -> None:
        """Answer with `fault` from now on; of several that match, the latest counts.

        Refusing connections ends all other faults.

        Args:
            fault: What to do instead of answering.
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
            self._server = LoopbackServer(self._handle, self.port)

    def _release(self) -> None:
        with self._lock:
            self._rules.clear()
            self._released.set()
            self._released = threading.Event()

    def _take(self, name: str) -> tuple[Fault, threading.Event]:
        """Count a request; return how to treat it, and the event that ends its waiting."""
        with self._lock:
            self._requests[name] += 1
            rule = next((rule for rule in reversed(self._rules) if fnmatchcase(name, rule.path)), None)
            if rule is None:
                return _HEALTHY, self._released
            if rule.left is not None:
                rule.left -= 1
                if rule.left == 0:
                    self._rules.remove(rule)
            return rule.fault, self._released

    def _handle(self, call: Call) -> tuple[Fault, bytes]:
        """Carry out a request as far as the current fault lets it; return the fault and the body."""
        fault, released = self._take(call.name)
        if fault.system_status and call.name == "SystemStatus":
            fault = replace(_HEALTHY, delay=fault.delay, system_status=fault.system_status)
        body = fault.body
        if body is None:
            answer = self._kraken.answer(call.name, call.params, private=call.private, key=call.key)
            if fault.system_status:
                cast("Json", answer["result"])["status"] = fault.system_status
            body = json.dumps(answer)
        if fault.delay != 0 and released.wait(fault.delay) and self._closed:
            fault = replace(fault, ending="close")
        return fault, (body[: len(body) // 2] if fault.ending == "truncate" else body).encode()
