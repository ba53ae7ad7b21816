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
    from peak_observe.measures.orders import OrderReading
    from peak_observe.measures.results import ResultReading
    from peak_observe.measures.safety import (
        AccountReading,
        AccountTally,
        GuardReading,
        GuardTally,
        TradingReading,
        TradingTally,
    )
    from peak_observe.measures.safety_venue import DeadManReading, InstanceReading, KeyReading, ReconcileReading
    from peak_observe.measures.shared import SharedReading, SharedTally
    from peak_observe.measures.strategies import ChaosReading, HedgeReading, ReloadReading, TimedReading
    from peak_observe.measures.streams import ConnectionReading, StreamReading

ACCOUNTS: Names[AccountReading] = Names("account")
BACKUPS: Names[BackupReading] = Names("repository")
BREAKERS: Names[BreakerReading] = Names("breaker")
BUDGETS: Names[BudgetReading] = Names("budget")
BULKHEADS: Names[BulkheadReading] = Names("bulkhead")
CHAOS: Names[ChaosReading] = Names("operation")
ENDPOINTS: Names[EndpointReading] = Names("endpoint")
EXCHANGES: Names[ExchangeReading] = Names("exchange")
CONNECTIONS: Names[ConnectionReading] = Names("exchange")
CHECKS: Names[HealthReading] = Names("check")
DEAD_MAN_SWITCHES: Names[DeadManReading] = Names("exchange")
EXCHANGE_KEYS: Names[KeyReading] = Names("exchange")
INSTANCES: Names[InstanceReading] = Names("lock")
RECONCILERS: Names[ReconcileReading] = Names("exchange")
FALLBACKS: Names[ResultReading] = Names("operation")
GUARDS: Names[GuardReading] = Names("guard")
HEDGES: Names[HedgeReading] = Names("operation")
JOBS: Names[JobReading] = Names("task")
LATENCY_BUDGETS: Names[LatencyBudgetReading] = Names("latency budget")
LIMITERS: Names[RateLimitReading] = Names("limiter")
ORDERS: Names[OrderReading] = Names("exchange")
RELOADS: Names[ReloadReading] = Names("policy")
RETRIES: Names[RetryReading] = Names("operation")
SHARED: Names[SharedReading] = Names("namespace")
SHARES: Names[ResultReading] = Names("operation")
SWITCHES: Names[TradingReading] = Names("switch")
STREAMS: Names[StreamReading] = Names("stream")
TIMED: Names[TimedReading] = Names("call")
TIMEOUTS: Names[TimeoutReading] = Names("operation")

__all__ = [
    "ACCOUNTS",
    "BACKUPS",
    "BATCH",
    "BREAKERS",
    "BUDGETS",
    "BULKHEADS",
    "CHAOS",
    "CHECKS",
    "CONNECTIONS",
    "DEAD_MAN_SWITCHES",
    "ENDPOINTS",
    "EXCEPTION_LIMIT",
    "EXCHANGES",
    "EXCHANGE_KEYS",
    "FALLBACKS",
    "GUARDS",
    "HEDGES",
    "INSTANCES",
    "JOBS",
    "LATENCY_BUDGETS",
    "LIMITERS",
    "NAME_LIMIT",
    "ORDERS",
    "OTHER",
    "OVERFLOW",
    "RECONCILERS",
    "RELOADS",
    "RETRIES",
    "SHARED",
    "SHARES",
    "STREAMS",
    "SWITCHES",
    "TIMED",
    "TIMEOUTS",
    "AccountReading",
    "AccountTally",
    "BackupReading",
    "BreakerReading",
    "BudgetReading",
    "BulkheadReading",
    "CallCounts",
    "ChaosReading",
    "ConnectionReading",
    "DeadManReading",
    "EndpointReading",
    "EndpointTally",
    "ExchangeReading",
    "ExchangeTally",
    "Exemplar",
    "GuardReading",
    "GuardTally",
    "HealthReading",
    "HedgeReading",
    "InstanceReading",
    "JobReading",
    "KeyReading",
    "KindReading",
    "LatencyBudgetReading",
    "Names",
    "OrderReading",
    "RateLimitReading",
    "ReconcileReading",
    "ReloadReading",
    "ResultReading",
    "RetryCounts",
    "RetryReading",
    "Series",
    "SharedReading",
    "SharedTally",
    "StreamReading",
    "Ticker",
    "TimedReading",
    "TimeoutReading",
    "TradingReading",
    "TradingTally",
    "increased",
    "when_named",
]

# Many programs have no backups, exchanges, jobs or limits: their readings are loaded when they are first used.
_LATE = {
    "AccountReading": "safety",
    "AccountTally": "safety",
    "BackupReading": "backups",
    "BudgetReading": "budgets",
    "BulkheadReading": "limits",
    "ChaosReading": "strategies",
    "ConnectionReading": "streams",
    "EndpointReading": "exchange",
    "EndpointTally": "exchange",
    "ExchangeReading": "exchange",
    "ExchangeTally": "exchange",
    "GuardReading": "safety",
    "GuardTally": "safety",
    "HedgeReading": "strategies",
    "JobReading": "jobs",
    "KindReading": "backups",
    "OrderReading": "orders",
    "LatencyBudgetReading": "latency_budgets",
    "RateLimitReading": "limits",
    "DeadManReading": "safety_venue",
    "InstanceReading": "safety_venue",
    "KeyReading": "safety_venue",
    "ReconcileReading": "safety_venue",
    "ResultReading": "results",
    "ReloadReading": "strategies",
    "StreamReading": "streams",
    "SharedReading": "shared",
    "SharedTally": "shared",
    "TimedReading": "strategies",
    "TimeoutReading": "limits",
    "TradingReading": "safety",
    "TradingTally": "safety",
}

__getattr__ = late(__name__, _LATE)
