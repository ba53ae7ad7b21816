"""A circuit through all its states, what it has counted, and how to close it by hand.

python examples/resilience/01_circuit_breaker_basics.py
"""

from __future__ import annotations

import time

from peak_observe import CircuitBreaker, CircuitOpenError

RECOVERY = 1.5  # seconds; 30 to 120 for a real exchange

breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=RECOVERY, name="prices")
exchange_is_up = True


@breaker.call
def fetch_price() -> float:
    """Ask the exchange, which may be down."""
    if not exchange_is_up:
        raise ConnectionError("connection refused")
    return 64_000.0


def show(what: str) -> None:
    """Print the state and the counts."""
    stats = breaker.stats
    print(f"{what:<28} {breaker.state.name:<9} failures {stats.failure_count}  successes {stats.success_count}")


def attempt() -> None:
    """Make one call and say what came of it."""
    try:
        show(f"price {fetch_price():.0f}")
    except CircuitOpenError as refusal:  # nothing was sent: this costs less than a microsecond
        show(f"refused, wait {refusal.retry_after:.1f} s")
    except ConnectionError as error:
        show(str(error))


def main() -> None:
    """Fail, open, refuse, probe, close."""
    global exchange_is_up  # noqa: PLW0603 - the example's whole world
    attempt()
    exchange_is_up = False
    for _ in range(5):  # the third failure opens it, the last two calls are refused
        attempt()
    time.sleep(RECOVERY)
    show("recovery timeout passed")
    attempt()  # the one probe fails, and it is open again
    breaker.reset()
    show("reset by hand")
    exchange_is_up = True
    attempt()
    print(f"changes of state: {breaker.stats.state_changes}")


if __name__ == "__main__":
    main()
