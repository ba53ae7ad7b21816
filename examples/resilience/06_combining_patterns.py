"""Breaker and retry on one function, and what the order of the two decorators changes.

python examples/resilience/06_combining_patterns.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe import CircuitBreaker, CircuitOpenError, retry_with_backoff

if TYPE_CHECKING:
    from collections.abc import Callable

DELAY = 0.01  # seconds; 1.0 for a real exchange


class Exchange:
    """An exchange in maintenance, which counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def ticker(self) -> float:
        """Answer as exchanges do at 3 a.m."""
        self.asked += 1
        raise ConnectionError("503 Service Unavailable")


def call(times: int, func: Callable[[], float]) -> tuple[int, int]:
    """Call `times` times, and return how many calls failed and how many were refused."""
    failed = refused = 0
    for _ in range(times):
        try:
            func()
        except CircuitOpenError:
            refused += 1
        except ConnectionError:
            failed += 1
    return failed, refused


def main() -> None:
    """Make ten calls in each order."""
    retry = retry_with_backoff(max_attempts=3, base_delay=DELAY, expected_exception=ConnectionError)

    exchange, breaker = Exchange(), CircuitBreaker(failure_threshold=3, name="breaker_outside")
    failed, refused = call(10, breaker.call(retry(exchange.ticker)))
    print(f"breaker outside: {failed} failed, {refused} refused, the exchange was asked {exchange.asked} times")
    print("  three operations failed in spite of their retries, so the circuit opened: what you want to know\n")

    exchange, breaker = Exchange(), CircuitBreaker(failure_threshold=3, name="breaker_inside")
    failed, refused = call(10, retry(breaker.call(exchange.ticker)))
    print(f"breaker inside:  {failed} failed, {refused} refused, the exchange was asked {exchange.asked} times")
    print("  every attempt counts: one bad operation opens the circuit. Choose it where each request is expensive.")


if __name__ == "__main__":
    main()
