"""Strategies around calls that may fail, and the health checks that say whether a program may trade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.resilience.breaker.breaker import CircuitBreaker
from peak_observe.resilience.breaker.decorator import circuit_breaker
from peak_observe.resilience.breaker.registry import breakers, get_breaker
from peak_observe.resilience.breaker.snapshot import CircuitBreakerStats, CircuitState
from peak_observe.resilience.common.deadlines import deadline
from peak_observe.resilience.common.idempotency import idempotent
from peak_observe.resilience.retry.decorator import retry_with_backoff
from peak_observe.resilience.retry.switch import disable_retries, enable_retries
from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.resilience.breaker.circuit_map import Breakers
    from peak_observe.resilience.common.last_result import last_good
    from peak_observe.resilience.health import HealthCheck, HealthCheckResult, health_check
    from peak_observe.resilience.limits import bulkhead, priority, rate_limit
    from peak_observe.resilience.limits.timeouts import timeout
    from peak_observe.resilience.policy.custom_part import part
    from peak_observe.resilience.policy.fault_injection import chaos
    from peak_observe.resilience.policy.latency import timed
    from peak_observe.resilience.policy.policy import Policy
    from peak_observe.resilience.results.decorator import share
    from peak_observe.resilience.retry.attempt import current_attempt
    from peak_observe.resilience.retry.budget import RetryBudget
    from peak_observe.resilience.retry.context import retrying
    from peak_observe.resilience.retry.hedging import hedge

__all__ = [
    "Breakers",
    "CircuitBreaker",
    "CircuitBreakerStats",
    "CircuitState",
    "HealthCheck",
    "HealthCheckResult",
    "Policy",
    "RetryBudget",
    "breakers",
    "bulkhead",
    "chaos",
    "circuit_breaker",
    "current_attempt",
    "deadline",
    "disable_retries",
    "enable_retries",
    "get_breaker",
    "health_check",
    "hedge",
    "idempotent",
    "last_good",
    "part",
    "priority",
    "rate_limit",
    "retry_with_backoff",
    "retrying",
    "share",
    "timed",
    "timeout",
]

# Many programs do without these: each is loaded when it is first used.
_LATE = {
    "Breakers": "breaker.circuit_map",
    "HealthCheck": "health",
    "HealthCheckResult": "health",
    "Policy": "policy.policy",
    "RetryBudget": "retry.budget",
    "bulkhead": "limits",
    "chaos": "policy.fault_injection",
    "current_attempt": "retry.attempt",
    "health_check": "health",
    "hedge": "retry.hedging",
    "last_good": "common.last_result",
    "part": "policy.custom_part",
    "priority": "limits",
    "rate_limit": "limits",
    "retrying": "retry.context",
    "share": "results.decorator",
    "timed": "policy.latency",
    "timeout": "limits.timeouts",
}

__getattr__ = late(__name__, _LATE)
