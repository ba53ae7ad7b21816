"""Counts and readings of primitives, one set per name, for the life of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.measures.counts import BATCH, CallCounts, Exemplar, RetryCounts, Ticker, increased
from peak_observe.measures.readings import BreakerReading, HealthReading, RetryReading
from peak_observe.measures.series import (
    EXCEPTION_LIMIT,
    NAME_LIMIT,
    OTHER,
    OVERFLOW,
    Names,
    Series,
    when_named,
)
from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.measures.backups import BackupReading, KindReading
    from peak_observe.measures.budgets import BudgetReading
    from peak_observe.measures.exchange import EndpointReading, EndpointTally, ExchangeReading, ExchangeTally
    from peak_observe.measures.jobs import JobReading
    from peak_observe.measures.latency_budgets import LatencyBudgetReading
    from peak_observe.measures.limits import BulkheadReading, RateLimitReading, TimeoutReading
    from peak_observe.measures.results import ResultReading
    from peak_observe.measures.strategies import ChaosReading, HedgeReading, ReloadReading, TimedReading

BACKUPS: Names[BackupReading] = Names("repository")
BREAKERS: Names[BreakerReading] = Names("breaker")
BUDGETS: Names[BudgetReading] = Names("budget")
BULKHEADS: Names[BulkheadReading] = Names("bulkhead")
CHAOS: Names[ChaosReading] = Names("operation")
ENDPOINTS: Names[EndpointReading] = Names("endpoint")
EXCHANGES: Names[ExchangeReading] = Names("exchange")
CHECKS: Names[HealthReading] = Names("check")
FALLBACKS: Names[ResultReading] = Names("operation")
HEDGES: Names[HedgeReading] = Names("operation")
JOBS: Names[JobReading] = Names("task")
LATENCY_BUDGETS: Names[LatencyBudgetReading] = Names("latency budget")
LIMITERS: Names[RateLimitReading] = Names("limiter")
RELOADS: Names[ReloadReading] = Names("policy")
RETRIES: Names[RetryReading] = Names("operation")
SHARES: Names[ResultReading] = Names("operation")
TIMED: Names[TimedReading] = Names("call")
TIMEOUTS: Names[TimeoutReading] = Names("operation")

__all__ = [
    "BACKUPS",
    "BATCH",
    "BREAKERS",
    "BUDGETS",
    "BULKHEADS",
    "CHAOS",
    "CHECKS",
    "ENDPOINTS",
    "EXCEPTION_LIMIT",
    "EXCHANGES",
    "FALLBACKS",
    "HEDGES",
    "JOBS",
    "LATENCY_BUDGETS",
    "LIMITERS",
    "NAME_LIMIT",
    "OTHER",
    "OVERFLOW",
    "RELOADS",
    "RETRIES",
    "SHARES",
    "TIMED",
    "TIMEOUTS",
    "BackupReading",
    "BreakerReading",
    "BudgetReading",
    "BulkheadReading",
    "CallCounts",
    "ChaosReading",
    "EndpointReading",
    "EndpointTally",
    "ExchangeReading",
    "ExchangeTally",
    "Exemplar",
    "HealthReading",
    "HedgeReading",
    "JobReading",
    "KindReading",
    "LatencyBudgetReading",
    "Names",
    "RateLimitReading",
    "ReloadReading",
    "ResultReading",
    "RetryCounts",
    "RetryReading",
    "Series",
    "Ticker",
    "TimedReading",
    "TimeoutReading",
    "increased",
    "when_named",
]

# Many programs have no backups, exchanges, jobs or limits: their readings are loaded when they are first used.
_LATE = {
    "BackupReading": "backups",
    "BudgetReading": "budgets",
    "BulkheadReading": "limits",
    "ChaosReading": "strategies",
    "EndpointReading": "exchange",
    "EndpointTally": "exchange",
    "ExchangeReading": "exchange",
    "ExchangeTally": "exchange",
    "HedgeReading": "strategies",
    "JobReading": "jobs",
    "KindReading": "backups",
    "LatencyBudgetReading": "latency_budgets",
    "RateLimitReading": "limits",
    "ResultReading": "results",
    "ReloadReading": "strategies",
    "TimedReading": "strategies",
    "TimeoutReading": "limits",
}

__getattr__ = late(__name__, _LATE)
