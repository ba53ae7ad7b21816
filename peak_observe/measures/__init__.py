"""What primitives count about themselves, and the names under which it is read; for the life of the process."""

from peak_observe.measures.counts import BATCH, CallCounts, Exemplar, RetryCounts, Ticker, increased
from peak_observe.measures.readings import BreakerReading, RetryReading
from peak_observe.measures.series import (
    EXCEPTION_LIMIT,
    NAME_LIMIT,
    OTHER,
    OVERFLOW,
    Names,
    Series,
)

BREAKERS: Names[BreakerReading] = Names("breaker")
RETRIES: Names[RetryReading] = Names("operation")

__all__ = [
    "BATCH",
    "BREAKERS",
    "EXCEPTION_LIMIT",
    "NAME_LIMIT",
    "OTHER",
    "OVERFLOW",
    "RETRIES",
    "BreakerReading",
    "CallCounts",
    "Exemplar",
    "Names",
    "RetryCounts",
    "RetryReading",
    "Series",
    "Ticker",
    "increased",
]
