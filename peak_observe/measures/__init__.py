"""What primitives count about themselves, and the names under which it is read; for the life of the process."""

from peak_observe.measures.backups import BackupReading, KindReading
from peak_observe.measures.budgets import BudgetReading
from peak_observe.measures.counts import BATCH, CallCounts, Exemplar, RetryCounts, Ticker, increased
from peak_observe.measures.exchange import EndpointReading, EndpointTally, ExchangeReading, ExchangeTally
from peak_observe.measures.jobs import JobReading
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

BACKUPS: Names[BackupReading] = Names("repository")
BREAKERS: Names[BreakerReading] = Names("breaker")
BUDGETS: Names[BudgetReading] = Names("budget")
ENDPOINTS: Names[EndpointReading] = Names("endpoint")
EXCHANGES: Names[ExchangeReading] = Names("exchange")
CHECKS: Names[HealthReading] = Names("check")
JOBS: Names[JobReading] = Names("task")
RETRIES: Names[RetryReading] = Names("operation")

__all__ = [
    "BACKUPS",
    "BATCH",
    "BREAKERS",
    "BUDGETS",
    "CHECKS",
    "ENDPOINTS",
    "EXCEPTION_LIMIT",
    "EXCHANGES",
    "JOBS",
    "NAME_LIMIT",
    "OTHER",
    "OVERFLOW",
    "RETRIES",
    "BackupReading",
    "BreakerReading",
    "BudgetReading",
    "CallCounts",
    "EndpointReading",
    "EndpointTally",
    "ExchangeReading",
    "ExchangeTally",
    "Exemplar",
    "HealthReading",
    "JobReading",
    "KindReading",
    "Names",
    "RetryCounts",
    "RetryReading",
    "Series",
    "Ticker",
    "increased",
    "when_named",
]
