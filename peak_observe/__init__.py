"""Resilience for trading code that tells Prometheus and OpenTelemetry what it did.

`circuit_breaker` and `retry_with_backoff` protect a function, `health_check` says whether the system may trade, and
`start_exporter` serves what they count.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING

from peak_observe._version import __version__
from peak_observe.clock import Clock, SystemClock
from peak_observe.errors import (
    AlreadyRunningError,
    BackupCorruptError,
    BackupError,
    BackupNotFoundError,
    BackupUnreadableError,
    BulkheadFullError,
    CallTimeoutError,
    CircuitOpenError,
    DeadlineExceededError,
    HeldBackError,
    InstanceLockError,
    ListenError,
    MissingExtraError,
    OrderJournalError,
    OrderKeyConflict,
    OrderNotPlaced,
    OutcomeUnknown,
    PeakObserveError,
    RateLimitedError,
    RefusedError,
    RepositoryLockedError,
    RestoreCutOff,
    RestoreRefusedError,
    SharedStateError,
    ShuttingDownError,
    SummarizedError,
    TradingHaltedError,
)
from peak_observe.observers import EVERYBODY, observe
from peak_observe.resilience import (
    CircuitBreaker,
    CircuitBreakerStats,
    CircuitState,
    breakers,
    circuit_breaker,
    deadline,
    disable_retries,
    enable_retries,
    get_breaker,
    idempotent,
    retry_with_backoff,
)
from peak_observe.support.keywords import check_keywords
from peak_observe.support.lazy_import import late
from peak_observe.telemetry.snapshot import writer
from peak_observe.telemetry.snapshot.writer import flush
from peak_observe.telemetry.tracing import spans

if TYPE_CHECKING:
    from peak_observe.backup_recovery import (
        BackupMetadata,
        BackupSchedule,
        BackupStatus,
        BackupType,
        ConfigBackup,
        DataBackup,
        OffsiteStore,
        RecoveryManager,
        RestorePlan,
        RestoreReport,
        RetentionPolicy,
        StateSnapshot,
        StoredFile,
        VerifyReport,
    )
    from peak_observe.coordination import Shared
    from peak_observe.events import (
        BackupFinished,
        BackupVerified,
        CallTimedOut,
        Event,
        GaveUp,
        GuardTripped,
        HealthChanged,
        HedgeFailed,
        KeyRefused,
        LimitReached,
        NamesOverflowed,
        OrderSettled,
        OrderUnresolved,
        PolicyReloaded,
        RateLimited,
        Recovered,
        RestoreFinished,
        RetriesNested,
        RetryScheduled,
        StreamBroken,
        StreamResumed,
        TradingChanged,
        Transition,
        WriteUnanswered,
    )
    from peak_observe.exchange_client import (
        AsyncResilientExchangeClient,
        OrderIntent,
        OrderJournal,
        OrderTimes,
        ResilientExchangeClient,
        Verdict,
        instrument,
        outcome_of,
        uninstrument,
    )
    from peak_observe.jobs import job
    from peak_observe.metrics_server import start_exporter
    from peak_observe.resilience import (
        Breakers,
        HealthCheck,
        HealthCheckResult,
        Policy,
        RetryBudget,
        bulkhead,
        chaos,
        current_attempt,
        health_check,
        hedge,
        last_good,
        part,
        priority,
        rate_limit,
        retrying,
        share,
        timed,
        timeout,
    )
    from peak_observe.resilience.breaker.snapshot import BreakerSnapshot
    from peak_observe.resilience.retry.attempt import CurrentAttempt
    from peak_observe.resilience.retry.budget import BudgetSnapshot
    from peak_observe.resilience.retry.statistics import RetrySnapshot
    from peak_observe.safety import (
        DeadManSwitch,
        Difference,
        LossGuard,
        OrderGuard,
        Reconciler,
        TradingState,
        TradingSwitch,
        only_one,
        stopping,
    )
    from peak_observe.telemetry.metrics.collector import register
    from peak_observe.telemetry.otel.instruments import register_otel

__all__ = [
    "AlreadyRunningError",
    "AsyncResilientExchangeClient",
    "BackupCorruptError",
    "BackupError",
    "BackupFinished",
    "BackupMetadata",
    "BackupNotFoundError",
    "BackupSchedule",
    "BackupStatus",
    "BackupType",
    "BackupUnreadableError",
    "BackupVerified",
    "BreakerSnapshot",
    "Breakers",
    "BudgetSnapshot",
    "BulkheadFullError",
    "CallTimedOut",
    "CallTimeoutError",
    "CircuitBreaker",
    "CircuitBreakerStats",
    "CircuitOpenError",
    "CircuitState",
    "Clock",
    "ConfigBackup",
    "CurrentAttempt",
    "DataBackup",
    "DeadManSwitch",
    "DeadlineExceededError",
    "Difference",
    "Event",
    "GaveUp",
    "GuardTripped",
    "HealthChanged",
    "HealthCheck",
    "HealthCheckResult",
    "HedgeFailed",
    "HeldBackError",
    "InstanceLockError",
    "KeyRefused",
    "LimitReached",
    "ListenError",
    "LossGuard",
    "MissingExtraError",
    "NamesOverflowed",
    "OffsiteStore",
    "OrderGuard",
    "OrderIntent",
    "OrderJournal",
    "OrderJournalError",
    "OrderKeyConflict",
    "OrderNotPlaced",
    "OrderSettled",
    "OrderTimes",
    "OrderUnresolved",
    "OutcomeUnknown",
    "PeakObserveError",
    "Policy",
    "PolicyReloaded",
    "RateLimited",
    "RateLimitedError",
    "Reconciler",
    "Recovered",
    "RecoveryManager",
    "RefusedError",
    "RepositoryLockedError",
    "ResilientExchangeClient",
    "RestoreCutOff",
    "RestoreFinished",
    "RestorePlan",
    "RestoreRefusedError",
    "RestoreReport",
    "RetentionPolicy",
    "RetriesNested",
    "RetryBudget",
    "RetryScheduled",
    "RetrySnapshot",
    "Shared",
    "SharedStateError",
    "ShuttingDownError",
    "StateSnapshot",
    "StoredFile",
    "StreamBroken",
    "StreamResumed",
    "SummarizedError",
    "SystemClock",
    "TradingChanged",
    "TradingHaltedError",
    "TradingState",
    "TradingSwitch",
    "Transition",
    "Verdict",
    "VerifyReport",
    "WriteUnanswered",
    "__version__",
    "breakers",
    "bulkhead",
    "chaos",
    "circuit_breaker",
    "configure",
    "current_attempt",
    "deadline",
    "disable_retries",
    "enable_retries",
    "flush",
    "get_breaker",
    "health_check",
    "hedge",
    "idempotent",
    "instrument",
    "job",
    "last_good",
    "observe",
    "only_one",
    "outcome_of",
    "part",
    "priority",
    "rate_limit",
    "register",
    "register_otel",
    "retry_with_backoff",
    "retrying",
    "share",
    "start_exporter",
    "stopping",
    "timed",
    "timeout",
    "uninstrument",
]

# Backups, exchanges and limits bring modules along that many programs do without: a name is loaded when it is used.
_LATE = {
    "AsyncResilientExchangeClient": "exchange_client",
    "BackupFinished": "events",
    "BackupMetadata": "backup_recovery",
    "BackupSchedule": "backup_recovery",
    "BackupStatus": "backup_recovery",
    "BackupType": "backup_recovery",
    "BackupVerified": "events",
    "BreakerSnapshot": "resilience.breaker.snapshot",
    "Breakers": "resilience",
    "BudgetSnapshot": "resilience.retry.budget",
    "CallTimedOut": "events",
    "ConfigBackup": "backup_recovery",
    "CurrentAttempt": "resilience.retry.attempt",
    "DataBackup": "backup_recovery",
    "DeadManSwitch": "safety",
    "Difference": "safety",
    "Event": "events",
    "GaveUp": "events",
    "GuardTripped": "events",
    "HealthChanged": "events",
    "HealthCheck": "resilience",
    "HealthCheckResult": "resilience",
    "HedgeFailed": "events",
    "KeyRefused": "events",
    "LimitReached": "events",
    "LossGuard": "safety",
    "NamesOverflowed": "events",
    "OrderGuard": "safety",
    "OrderIntent": "exchange_client",
    "OrderJournal": "exchange_client",
    "OrderSettled": "events",
    "OrderTimes": "exchange_client",
    "OrderUnresolved": "events",
    "Policy": "resilience",
    "PolicyReloaded": "events",
    "RateLimited": "events",
    "Reconciler": "safety",
    "Recovered": "events",
    "OffsiteStore": "backup_recovery",
    "RecoveryManager": "backup_recovery",
    "ResilientExchangeClient": "exchange_client",
    "RestoreFinished": "events",
    "RestorePlan": "backup_recovery",
    "RestoreReport": "backup_recovery",
    "RetentionPolicy": "backup_recovery",
    "RetriesNested": "events",
    "RetryBudget": "resilience",
    "RetryScheduled": "events",
    "RetrySnapshot": "resilience.retry.statistics",
    "Shared": "coordination",
    "StateSnapshot": "backup_recovery",
    "TradingChanged": "events",
    "TradingState": "safety",
    "TradingSwitch": "safety",
    "StreamBroken": "events",
    "StreamResumed": "events",
    "Transition": "events",
    "Verdict": "exchange_client",
    "StoredFile": "backup_recovery",
    "VerifyReport": "backup_recovery",
    "WriteUnanswered": "events",
    "bulkhead": "resilience",
    "chaos": "resilience",
    "current_attempt": "resilience",
    "health_check": "resilience",
    "hedge": "resilience",
    "instrument": "exchange_client",
    "job": "jobs",
    "last_good": "resilience",
    "only_one": "safety",
    "outcome_of": "exchange_client",
    "part": "resilience",
    "priority": "resilience",
    "rate_limit": "resilience",
    "register": "telemetry.metrics.collector",
    "register_otel": "telemetry.otel.instruments",
    "retrying": "resilience",
    "share": "resilience",
    "start_exporter": "metrics_server",
    "stopping": "safety",
    "timed": "resilience",
    "timeout": "resilience",
    "uninstrument": "exchange_client",
}


def _to_log(event: Event) -> None:
    from peak_observe.telemetry import log  # late: most programs start without anything to tell

    log.on_event(event)


EVERYBODY.add(_to_log, own=True)
EVERYBODY.add(spans.on_event, own=True)
writer.arm()

__getattr__ = late(__name__, _LATE)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@check_keywords(
    {
        "name process_name app job": "process",
        "dir directory folder path snapshots snapshot_directory": "snapshot_dir",
        "interval": "snapshot_interval",
        "secret redact": "secrets",
    },
    surplus="each setting is given by its name",
)
def configure(
    *,
    span_events: bool | None = None,
    process: str | None = None,
    snapshot_dir: str | PathLike[str] | None = None,
    snapshot_interval: float | None = None,
    instance: str | None = None,
    secrets: Iterable[str] = (),
) -> None:
    """Set what holds for the whole process; what is not given stays as it is.

    Args:
        span_events: Whether changes of state and retries are also added to the current span as span events;
            they are always sent as log-based events. False from the start.
        process: The name of this process in its snapshots, the same at each start; the program's from the start.
        snapshot_dir: The folder for the snapshots, from which `peak-observe exporter` serves all processes;
            `PEAK_OBSERVE_DIR` of the environment from the start, and without either there are none.
        snapshot_interval: Seconds between snapshots, 5 from the start.
        instance: The orchestrator's name of this replica, for instance the pod; its name is then `PROCESS@INSTANCE`.
            `PEAK_OBSERVE_INSTANCE` of the environment from the start.
        secrets: Passwords, tokens and keys of the program, of 4 characters and more. They are hidden in all that leaves
            this package: whole and in parts of 8 characters and more, also quoted, escaped, in base64 and hexadecimal
            digits, in upper and lower case. Keys of exchange clients are known without. They add to those given before.

    Raises:
        ValueError: The name does not print or is longer than 64 bytes, the interval is not from 0 to a day, the
            instance is longer than 63 characters or has others than ASCII letters, digits and `._-`, or a secret is
            shorter than 4 characters.
        TypeError: `secrets` is one text instead of several, or one of them is no text.
    """
    if secrets:
        from peak_observe.support.secret_values import learn_configured

        learn_configured(secrets)
    if span_events is not None:
        spans.span_events = span_events
    writer.configure(process=process, folder=snapshot_dir, interval=snapshot_interval, instance=instance)
