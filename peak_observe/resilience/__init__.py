"""What a trading program puts around calls that may fail, and the checks that say whether it may trade."""

from peak_observe.resilience.breaker import (
    CircuitBreaker,
    CircuitBreakerStats,
    CircuitState,
    circuit_breaker,
)
from peak_observe.resilience.cutoff import timeout
from peak_observe.resilience.deadlines import deadline
from peak_observe.resilience.health import HealthCheck, HealthCheckResult, health_check
from peak_observe.resilience.limits import bulkhead, rate_limit
from peak_observe.resilience.policies import Policy
from peak_observe.resilience.registry import breakers, get_breaker
from peak_observe.resilience.retry import retry_with_backoff

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerStats",
    "CircuitState",
    "HealthCheck",
    "HealthCheckResult",
    "Policy",
    "breakers",
    "bulkhead",
    "circuit_breaker",
    "deadline",
    "get_breaker",
    "health_check",
    "rate_limit",
    "retry_with_backoff",
    "timeout",
]
