"""Rare facts as frozen records, and the observers who are told of them.

A successful call is a count, not an event. Observers run on the thread that noticed the fact, after every lock is
released; one that raises is logged once and not called again. The records are named tuples, not dataclasses, whose
import alone would take a third of the time that the whole package may take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime


class Transition(NamedTuple):
    """A circuit changed its state.

    Args:
        name: The breaker's name.
        old: The state that was left.
        new: The state that was entered.
        at: When, in UTC.
        reason: Why, in words.
        retry_after: Seconds until the next probe (0.0 unless `new` is open, or forced open for a time).
        error: What the last call raised, if a call caused this.
    """

    name: str
    old: str
    new: str
    at: datetime
    reason: str
    retry_after: float = 0.0
    error: BaseException | None = None


class RetryScheduled(NamedTuple):
    """An attempt failed and another one will follow.

    Args:
        operation: The operation's name.
        attempt: Number of the attempt that failed, from 1.
        max_attempts: How many there may be.
        delay: Seconds until the next one.
        error: What the attempt raised; None where its result was not accepted.
    """

    operation: str
    attempt: int
    max_attempts: int
    delay: float
    error: BaseException | None


class GaveUp(NamedTuple):
    """An operation failed for good.

    Args:
        operation: The operation's name.
        attempts: How many attempts were made.
        elapsed: Seconds since the first one began.
        outcome: `exhausted`, `not_retryable`, `out_of_time` or `out_of_budget`.
        error: What the last attempt raised; None where its result was not accepted.
    """

    operation: str
    attempts: int
    elapsed: float
    outcome: str
    error: BaseException | None


class Recovered(NamedTuple):
    """An operation succeeded after at least one failed attempt.

    Args:
        operation: The operation's name.
        attempts: How many attempts were made.
        elapsed: Seconds since the first one began.
    """

    operation: str
    attempts: int
    elapsed: float


class RetriesNested(NamedTuple):
    """An operation was retried inside an attempt of another one, which multiplies their attempts; told once a pair.

    Args:
        operation: The inner one.
        inside: The outer one.
    """

    operation: str
    inside: str


class HealthChanged(NamedTuple):
    """A health check changed from healthy to unhealthy or back, or its first run found it unhealthy.

    Args:
        name: The check's name.
        healthy: Whether it is healthy now, by its thresholds.
        status: What the run found: `healthy`, `unhealthy`, `error`, `timeout` or `skipped`.
        at: When, in UTC.
        message: One line for a person, without secrets.
        critical: Whether its failure makes the system unhealthy rather than degraded.
    """

    name: str
    healthy: bool
    status: str
    at: datetime
    message: str
    critical: bool = True


class BackupFinished(NamedTuple):
    """A backup ended, well or not.

    Args:
        repository: The name of the repository.
        backup_id: The backup; empty where none was begun.
        outcome: `success`, `partial`, `failed` or `interrupted`.
        at: When, in UTC.
        seconds: How long it took.
        files: How many files it holds.
        size_bytes: Their size together.
        message: What is missing or went wrong, in one line; empty if nothing.
    """

    repository: str
    backup_id: str
    outcome: str
    at: datetime
    seconds: float
    files: int = 0
    size_bytes: int = 0
    message: str = ""


class RestoreFinished(NamedTuple):
    """A restore ended, well or not; one that changed nothing but failed counts, a dry run does not.

    Args:
        repository: The name of the repository.
        backup_id: The backup.
        outcome: `success`, `partial` (files are restored, a state provider was not), `failed` or `interrupted`.
        at: When, in UTC.
        seconds: How long it took.
        files: How many files changed.
        message: What went wrong, in one line; empty if nothing.
    """

    repository: str
    backup_id: str
    outcome: str
    at: datetime
    seconds: float
    files: int = 0
    message: str = ""


class BackupVerified(NamedTuple):
    """All that is stored of a backup was read.

    Args:
        repository: The name of the repository.
        backup_id: The backup.
        ok: Whether everything is as it was stored.
        at: When, in UTC.
        seconds: How long it took.
        files: How many files were read.
        message: What is wrong, in one line; empty if nothing.
    """

    repository: str
    backup_id: str
    ok: bool
    at: datetime
    seconds: float
    files: int = 0
    message: str = ""


class RateLimited(NamedTuple):
    """An exchange asked to be left alone, for longer than it did before.

    Args:
        name: The exchange client's name.
        endpoint: What was asked.
        until: The Unix time before which it does not want to be asked again.
        reason: What it said, in short.
        error: What ccxt made of it, if it raised.
    """

    name: str
    endpoint: str
    until: float
    reason: str
    error: BaseException | None = None


class KeyRefused(NamedTuple):
    """An exchange does not accept the key, its signature or its permissions; told once until a call succeeds.

    Args:
        name: The exchange client's name.
        endpoint: What was asked.
        reason: What it said, in short.
        error: What ccxt made of it, if it raised.
    """

    name: str
    endpoint: str
    reason: str
    error: BaseException | None = None


class WriteUnanswered(NamedTuple):
    """A request that changes something was sent, and whether it was carried out is not known.

    Args:
        name: The exchange client's name.
        endpoint: What was asked.
        client_order_ids: By which the orders can be asked for.
        at: When it was sent, in UTC.
        reason: How it ended, in short.
        error: What was raised, if anything.
    """

    name: str
    endpoint: str
    client_order_ids: tuple[str, ...]
    at: datetime
    reason: str
    error: BaseException | None = None


class LimitReached(NamedTuple):
    """A bulkhead or a rate limit refuses calls; told at the first, and then at most every 10 seconds.

    Args:
        kind: `bulkhead` or `rate_limit`.
        name: Its name.
        refused: How many calls it refused since it was told last.
        limit: Calls that may be under way, or calls a second.
    """

    kind: str
    name: str
    refused: int
    limit: float


class CallTimedOut(NamedTuple):
    """A call took too long and was cancelled.

    Args:
        operation: The operation's name.
        seconds: How long it was given.
    """

    operation: str
    seconds: float


class NamesOverflowed(NamedTuple):
    """There are too many names of one kind; new ones share the series `_overflow`.

    Args:
        kind: `breaker`, `operation`, `budget`, `bulkhead`, `limiter`, `check`, `repository`, `endpoint` or `exchange`.
        name: The first name that found no place.
        limit: How many names there may be.
    """

    kind: str
    name: str
    limit: int


BackupEvent = BackupFinished | RestoreFinished | BackupVerified
ExchangeEvent = RateLimited | KeyRefused | WriteUnanswered
RetryEvent = RetryScheduled | GaveUp | Recovered | RetriesNested
LimitEvent = LimitReached | CallTimedOut
CallEvent = Transition | RetryEvent | LimitEvent
Event = CallEvent | HealthChanged | BackupEvent | ExchangeEvent | NamesOverflowed
