"""Circuit breaker and retry: what a trading program puts around calls that may fail."""

from peak_observe.resilience.breaker import (
    CircuitBreaker,
    CircuitBreakerStats,
    CircuitState,
    circuit_breaker,
)
from peak_observe.resilience.registry import breakers, get_breaker
from peak_observe.resilience.retry import retry_with_backoff

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerStats",
    "CircuitState",
    "breakers",
    "circuit_breaker",
    "get_breaker",
    "retry_with_backoff",
]
