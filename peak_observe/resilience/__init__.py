"""What a trading program puts around calls that may fail, and the checks that say whether it may trade."""

from peak_observe.resilience.breaker import CircuitBreaker
from peak_observe.resilience.deadlines import deadline
from peak_observe.resilience.decorator import circuit_breaker
from peak_observe.resilience.health import HealthCheck, HealthCheckResult, health_check
from peak_observe.resilience.records import CircuitBreakerStats, CircuitState
from peak_observe.resilience.registry import breakers, get_breaker
from peak_observe.resilience.retry import retry_with_backoff

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerStats",
    "CircuitState",
    "HealthCheck",
    "HealthCheckResult",
    "breakers",
    "circuit_breaker",
    "deadline",
    "get_breaker",
    "health_check",
    "retry_with_backoff",
]
