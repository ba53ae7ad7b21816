"""A program that uses every public name as a user does; mypy and pyright check it, both strictly.

`assert_type` holds the types that editors show: decorated functions keep their signatures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, assert_type

import peak_observe as po


def show(*_: object) -> None:
    """Stand for what a program does with values."""


@po.circuit_breaker
def plain(first: int, *, second: str = "") -> float:
    """Decorated without parentheses."""
    return first + len(second)


@po.circuit_breaker(failure_threshold=3, recovery_timeout=60.0, expected_exception=ConnectionError, name="typed.call")
@po.retry_with_backoff(max_attempts=3, base_delay=1.0, max_delay=60.0, exponential=True)
def call(first: int, *, second: str = "") -> float:
    """Decorated twice."""
    return first + len(second)


@po.circuit_breaker(name="typed.coroutine")
@po.retry_with_backoff(max_attempts=2, budget=po.RetryBudget(ratio=0.1, name="typed"))
@po.timeout(5.0)
async def coroutine(symbol: str) -> list[float]:
    """Decorated three times."""
    return [float(len(symbol))]


@po.bulkhead(8, wait=1.0)
def placed(symbol: str) -> str:
    """Behind a bulkhead."""
    return symbol


@po.rate_limit(15, burst=5, wait=2.0)
def limited(symbol: str) -> str:
    """Behind a rate limit."""
    return symbol


@po.hedge(after=0.3)
async def hedged(symbol: str) -> str:
    """Asked again when it is slow."""
    return symbol


@po.share()
def shared(symbol: str) -> str:
    """One call for all that ask the same."""
    return symbol


@po.timed(name="typed.timed")
def measured(symbol: str) -> str:
    """With a latency histogram."""
    return symbol


@po.idempotent(False)
def order(symbol: str) -> str:
    """Sent once."""
    return symbol


policy = po.Policy(
    po.circuit_breaker(failure_threshold=3),
    po.retry_with_backoff(max_attempts=3),
    po.chaos(rate=0.0),
    name="typed.policy",
    deadline=20.0,
    fallback=po.last_good(max_age=60.0),
)


@policy
def by_policy(symbol: str) -> int:
    """Behind a policy."""
    return len(symbol)


def functions() -> None:
    """Call what is decorated; the types are those of the functions."""
    assert_type(plain(1, second="a"), float)
    assert_type(call(1, second="a"), float)
    assert_type(placed("a"), str)
    assert_type(limited("a"), str)
    assert_type(shared("a"), str)
    assert_type(measured("a"), str)
    assert_type(order("a"), str)
    assert_type(by_policy("a"), int)
    found: Callable[[str], Coroutine[Any, Any, list[float]]] = coroutine
    assert_type(asyncio.run(found("a")), list[float])
    asyncio.run(hedged("a"))
    with po.deadline(5.0), po.priority("trade"):
        placed("a")
    for attempt in po.retrying(max_attempts=2, base_delay=0.0):
        with attempt:
            placed("a")
    current: po.CurrentAttempt | None = po.current_attempt()
    show(current)
    po.disable_retries()
    po.enable_retries()


def circuits(clock: po.Clock) -> None:
    """Look at circuits."""
    breaker = po.CircuitBreaker(failure_threshold=3, recovery_timeout=30.0, name="typed.breaker", clock=clock)
    assert_type(breaker.state, po.CircuitState)
    statistics: po.CircuitBreakerStats = breaker.stats
    snapshot: po.BreakerSnapshot = breaker.snapshot()
    try:
        breaker.call(placed)("a")
        with breaker:
            pass
    except po.CircuitOpenError as refusal:
        summary: BaseException | None = refusal.last_error
        if isinstance(summary, po.SummarizedError):
            show(summary.kind)
        show(refusal.name, refusal.retry_after)
    by_exchange = po.Breakers(failure_threshold=3)
    show(po.breakers(), po.get_breaker("typed.breaker"), by_exchange, statistics, snapshot)


def limits() -> None:
    """Handle the refusals of limits."""
    try:
        placed("a")
    except po.RateLimitedError as refusal:
        show(refusal.retry_after)
    except po.BulkheadFullError as refusal:
        show(refusal.limit)
    except po.DeadlineExceededError as refusal:
        show(refusal.needed)
    except po.RefusedError as refusal:
        show(refusal)
    except po.CallTimeoutError as error:
        show(error.seconds)
    except po.PeakObserveError as error:
        show(error.exit_code)


def exchange() -> None:
    """Trade."""
    with po.ResilientExchangeClient("kraken", {"apiKey": "..."}) as client:
        try:
            ticker: dict[str, Any] = client.fetch_ticker("BTC/USD")
            show(ticker)
        except po.OutcomeUnknown as unknown:
            show(unknown.client_order_id)
        except po.HeldBackError as held:
            show(held.retry_after)
        except Exception as error:
            show(po.outcome_of(error))
        owned: Any = po.instrument(client.exchange)
        po.uninstrument(owned)


async def async_exchange() -> None:
    """Trade on an event loop."""
    async with po.AsyncResilientExchangeClient("kraken") as client:
        assert_type(await client.fetch_ohlcv("BTC/USD"), list[list[float]])


def orders() -> None:
    """Place orders by a journal."""
    times = {"kraken": po.OrderTimes(deadline=5.0, visibility=2.0)}
    try:
        with po.OrderJournal("orders.sqlite", times=times) as journal:
            client = po.ResilientExchangeClient("kraken", journal=journal)
            assert_type(client.reconcile(open_orders=True), list[po.OrderIntent])
            assert_type(client.submit("key", "BTC/USD", "limit", "buy", 0.1, 50_000), dict[str, Any])
            assert_type(journal.find("key"), po.OrderIntent | None)
            assert_type([intent.state for intent in journal.pending()], list[str])
    except po.OrderKeyConflict as conflict:
        show(conflict.known, conflict.given)
    except po.OrderNotPlaced as absent:
        show(absent.final)
    except po.OrderJournalError as error:
        show(error.path)


async def async_orders(journal: po.OrderJournal) -> None:
    """Place orders by a journal on an event loop."""
    async with po.AsyncResilientExchangeClient("kraken", journal=journal) as client:
        assert_type(await client.submit("key", "BTC/USD", "market", "buy", 0.1), dict[str, Any])
        assert_type(await client.reconcile(), list[po.OrderIntent])


def trading_safety() -> None:
    """Halt trading, guard it, and stop in order."""
    trading = po.TradingSwitch("main", folder="run")
    guard = po.OrderGuard(trading, max_orders=20, per=60.0, max_notional={"USDT": 5000})
    losses = po.LossGuard(trading, max_drawdown=0.1, on_trip="reduce_only")

    @trading.guards
    def send(symbol: str) -> int:
        return len(symbol)

    try:
        assert_type(send("BTC/USD"), int)
        guard.admit([{"symbol": "BTC/USD", "amount": 0.1}])
        losses.report(equity=10_000.0, flow=-5.0)
    except po.TradingHaltedError as halted:
        show(halted.reason, halted.until)
    state: po.TradingState = trading.halt("typed", for_seconds="15min")
    assert_type(state.until, float | None)
    try:
        with po.stopping(deadline="10s") as stop:
            stop.then(trading.close)
            assert_type(stop.requested, bool)
    except po.ShuttingDownError as error:
        show(error.name)


def account_safety(client: po.ResilientExchangeClient) -> None:
    """Protect an account."""
    try:
        with po.only_one("typed", folder="run") as lock:
            assert_type(lock.held, bool)
    except po.AlreadyRunningError as running:
        show(running.pid, running.host)
    except po.InstanceLockError as error:
        show(error.folder)
    with po.DeadManSwitch(client, timeout=60, every=20, while_healthy=lambda: True) as switch:
        assert_type(switch.wait_armed(), bool)
    books = po.Reconciler(client, balances=lambda: {"BTC": 1.0}, settle=5)
    assert_type(books.run(), tuple[po.Difference, ...])


def shared_state(clock: po.Clock) -> None:
    """Share circuits and limits between processes."""
    try:
        shared = po.Shared("redis://127.0.0.1/0", namespace="typed", quorum=2, clock=clock)
        po.CircuitBreaker(3, 60, name="typed.shared", shared=shared)
        assert_type(shared.flush(), bool)
        shared.close()
    except po.SharedStateError as error:
        show(error.address, error.reason)


def health() -> None:
    """Register and run checks."""

    @po.health_check.check("typed.feed", interval=5, timeout=2.0)
    def feed() -> tuple[bool, str]:
        return True, "fresh"

    registry = po.HealthCheck()
    registry.register("typed.feed", feed)
    results: dict[str, po.HealthCheckResult] = registry.run_all()
    assert_type(registry.is_system_healthy(), bool)
    show(results["typed.feed"].to_dict())


def backups(folder: Path) -> None:
    """Make and restore backups."""
    recovery = po.RecoveryManager(folder, max_age=3600.0)
    config: po.ConfigBackup = recovery.config_backup
    data: po.DataBackup = recovery.data_backup
    state: po.StateSnapshot = recovery.state_snapshot
    config.add_config("bot.toml")
    data.add_data_path("data")
    state.register_provider("bot", dict)
    try:
        backup_id = recovery.create_backup(description="typed", tags=["daily"])
        backup: po.BackupMetadata = recovery.get_backup(backup_id)
        assert_type(backup.status, po.BackupStatus)
        assert_type(backup.backup_type, po.BackupType)
        stored: list[po.StoredFile] = recovery.list_files(backup_id)
        streamed: Iterator[po.StoredFile] = recovery.iter_files(backup_id)
        verified: po.VerifyReport = recovery.verify_backup(backup_id)
        report: po.RestoreReport = recovery.restore(backup_id, dry_run=True)
        plan: po.RestorePlan | None = report.plan
        recovery.prune(po.RetentionPolicy(last=5))
        show(stored, streamed, verified.ok, plan)
    except po.BackupNotFoundError as error:
        show(error.backup_id)
    except (po.BackupCorruptError, po.BackupUnreadableError, po.RestoreRefusedError) as error:
        show(error.problems)
    except po.RepositoryLockedError as error:
        show(error.holder)
    except po.BackupError as error:
        show(error)
    except po.RestoreCutOff:
        raise
    with po.BackupSchedule(recovery, every=3600.0):
        pass


def offsite(recovery: po.RecoveryManager) -> None:
    """Keep backups off-site."""
    store = po.OffsiteStore("s3://bucket/bots", recipients=["age1..."], max_age=86_400.0)
    assert_type(store.push().sent_bytes, int)
    report: po.VerifyReport = store.drill(identity="key.txt")
    restored: po.RestoreReport = store.restore(identity="key.txt")
    with po.BackupSchedule(recovery, every=3600.0, offsite=store):
        show(report.ok, restored)


def on_event(event: po.Event) -> None:
    """Tell the kinds of events apart."""
    match event:
        case po.Transition():
            show(event.name, event.old, event.new, event.reason)
        case po.RetryScheduled() | po.Recovered() | po.GaveUp() | po.RetriesNested() | po.HedgeFailed():
            show(event.operation if isinstance(event, po.GaveUp) else event)
        case po.LimitReached() | po.CallTimedOut() | po.PolicyReloaded() | po.NamesOverflowed():
            show(event)
        case po.HealthChanged():
            show(event.healthy)
        case po.BackupFinished() | po.RestoreFinished() | po.BackupVerified():
            show(event.message)
        case po.RateLimited() | po.KeyRefused() | po.WriteUnanswered():
            show(event.endpoint)
        case _:
            on_trading_event(event)


def on_trading_event(
    event: po.OrderUnresolved
    | po.OrderSettled
    | po.StreamBroken
    | po.StreamResumed
    | po.TradingChanged
    | po.GuardTripped,
) -> None:
    """Tell the kinds of events of orders, streams and switches apart; the checkers know that these are all."""
    match event:
        case po.OrderUnresolved() | po.OrderSettled():
            show(event.key, event.client_order_id)
        case po.StreamBroken():
            show(event.stream, event.code)
        case po.StreamResumed():
            show(event.stream, event.seconds)
        case po.TradingChanged():
            show(event.state, event.by)
        case po.GuardTripped():
            show(event.guard, event.action)


def process() -> None:
    """Report on the process."""
    po.configure(process="typed", secrets=["a secret"])
    stop = po.observe(on_event)
    stop()
    try:
        with po.start_exporter(port=0) as exporter, po.job("typed", max_age="26h"):
            assert_type(exporter.url, str)
    except (po.ListenError, po.MissingExtraError) as error:
        show(error)
    po.register()
    po.register_otel()
    assert_type(po.flush(), bool)
    assert_type(po.__version__, str)


def rest(clock: po.SystemClock, verdict: po.Verdict, budget: po.BudgetSnapshot, retries: po.RetrySnapshot) -> None:
    """Hand on what is left."""
    show(clock.now(), verdict, budget, retries, po.part)
