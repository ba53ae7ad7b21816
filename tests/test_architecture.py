"""The house: floors, rooms without circles, plain names, light imports, and a public face that changes on purpose."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import peak_observe
import peak_observe.testing

PACKAGE = Path(peak_observe.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Each room with its floor. A room sees the floors below its own; telemetry stands between the ground and the
# primitives, which report to its tracing.
FLOORS = {
    "_version": 0,
    "errors": 0,
    "clock": 0,
    "events": 0,
    "observers": 0,
    "catalog": 0,
    "support": 0,
    "measures": 1,
    "telemetry": 1.5,
    "coordination": 1.75,
    "resilience": 2,
    "backup_recovery": 2,
    "jobs": 2,
    "safety": 2,
    "metrics_server": 3,
    "otel": 2,
    "exchange_client": 3,
    "monitoring": 4,
    "exporter": 4,
    "testing": 4,
    "demo": 5,
    "cli": 5,
    "__main__": 6,
    "health_dashboard": 7,
    "": 5,
}
# Floor 0 holds single pages that may import each other, without circles; elsewhere only these rooms of one floor do.
NEIGHBOURS = {("cli", "demo"), ("demo", "")}

# The strategies stand side by side: what two of them need is in `common`, and only a policy joins them.
RESILIENCE = {"common": 0, "breaker": 1, "retry": 1, "limits": 1, "results": 1, "health": 2, "policy": 2}

LONGEST = 400
"""Lines of a module without a reason."""
LONGER = {
    "peak_observe": "every public name three times: for type checkers, for `import *` and for late loading",
    "peak_observe.errors": "the whole tree of errors, drawn in its docstring",
}
"""Modules past that, each with its reason."""

# Module names that tell a mood or a moment where the field has a word.
FORBIDDEN = {
    *("apart", "era", "fused", "haste", "guard", "guarded", "hints", "hold", "judging", "keeping", "look", "looking"),
    *("looks", "making", "moment", "moving", "news", "observed", "ours", "parts", "pauses", "proving", "repeatable"),
    *("restoring", "running", "settled", "showing", "stored", "watch", "watching", "words"),
}
# Nouns that end in -ing; any other name with this ending tells what somebody does, not what is there.
NOUNS = {
    "encoding",
    "formatting",
    "locking",
    "monitoring",
    "provisioning",
    "reading",
    "scrubbing",
    "testing",
    "trading",
}
NOUNS |= {"hedging", "staging", "copying", "pruning", "tracing", "wrapping", "nesting"}


def dotted(path: Path) -> str:
    """Return the name of a module."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str, depth: int = 1) -> str:
    """Return the room a module is in; the package itself is ''."""
    return (module + "." * depth).split(".")[depth]


NAMES = {dotted(path) for path in MODULES}


@cache
def imports(path: Path, *, typing: bool = False) -> frozenset[str]:
    """Return the modules of ours that a module imports, also inside functions.

    Args:
        path: The module.
        typing: Whether also those that only type checkers see.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not typing:
            node.body = [ast.Pass()]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below & NAMES
            if below - NAMES:
                found.add(node.module)
    return frozenset(name for name in found if name.split(".")[0] == "peak_observe")


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield a way round for each module that reaches itself."""
    for start in sorted(graph):
        ahead, seen = [(start, [start])], set()
        while ahead:
            name, way = ahead.pop()
            for there in graph.get(name, set()):
                if there == start:
                    yield [*way, start]
                    ahead = []
                    break
                if there not in seen:
                    seen.add(there)
                    ahead.append((there, [*way, there]))


def test_every_room_has_a_floor() -> None:
    """A new room says where it stands."""
    assert {room(name) for name in NAMES} == set(FLOORS)
    packages = {path.name for path in (PACKAGE / "resilience").iterdir() if (path / "__init__.py").exists()}
    assert packages == set(RESILIENCE)


def test_imports_go_down() -> None:
    """Neither up nor sideways."""
    wrong = []
    for path in MODULES:
        here = room(dotted(path))
        for name in imports(path):
            there = room(name)
            ground = FLOORS[here] == FLOORS[there] == 0
            if not (there == here or FLOORS[there] < FLOORS[here] or ground or (here, there) in NEIGHBOURS):
                wrong.append(f"{dotted(path)} imports {name}: floor {FLOORS[here]} sees floor {FLOORS[there]}")
    assert not wrong


def test_strategies_do_not_import_each_other() -> None:
    """Breaker, retry and limits see `common` only; a policy and health checks stand above them, and nothing runs up."""
    wrong = []
    for path in MODULES:
        here = room(dotted(path), 2)
        if room(dotted(path)) != "resilience" or here not in RESILIENCE:
            continue
        for name in imports(path, typing=True):
            there = room(name, 2)
            up = name == "peak_observe.resilience" or RESILIENCE.get(there, -1) >= RESILIENCE[here]
            if room(name) == "resilience" and there != here and up:
                wrong.append(f"{dotted(path)} imports {name}")
    assert not wrong


def test_no_import_runs_in_a_circle() -> None:
    """Not even one that only type checkers see."""
    graph = {dotted(path): set(imports(path, typing=True)) - {dotted(path)} for path in MODULES}
    assert not list(circles(graph))


def test_rooms_of_a_package_have_no_circle_either() -> None:
    """Folders can be read from the bottom up."""
    for package in ("telemetry", "resilience", "backup_recovery", "exporter"):
        graph: dict[str, set[str]] = {}
        for path in MODULES:
            if room(dotted(path)) == package:
                here = room(dotted(path), 2)
                there = {room(name, 2) for name in imports(path, typing=True) if room(name) == package}
                graph.setdefault(here, set()).update(there - {here, ""})
        graph.pop("", None)
        assert not list(circles(graph)), package


def test_names_are_the_fields_terms() -> None:
    """Modules and packages are nouns of the field, and not named like a neighbour."""
    stems = {name.rpartition(".")[2] for name in NAMES}
    assert not stems & FORBIDDEN
    assert {stem for stem in stems if stem.endswith("ing")} <= NOUNS
    twins = {name for name in NAMES if f"{name}s" in NAMES or f"{name}ed" in NAMES}
    assert not twins


def test_nothing_but_the_demo_uses_the_testing_kit() -> None:
    """What tests need is not part of a trading program."""
    users = {dotted(path) for path in MODULES if any(room(name) == "testing" for name in imports(path))}
    assert {room(user) for user in users} <= {"testing", "demo"}


def test_modules_hold_one_idea() -> None:
    """No module is longer than 400 lines without a reason."""
    lengths = {dotted(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name for name, length in lengths.items() if length > LONGEST} == set(LONGER)


def fresh(code: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_importing_the_package_is_light() -> None:
    """Nothing heavy is loaded until it is used."""
    heavy = "{'prometheus_client', 'opentelemetry', 'ccxt', 'asyncio', 'logging', 'http', 'typer', 'rich'}"
    assert fresh(f"import sys, peak_observe; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_the_exchange_client_is_loaded_when_it_is_asked_for() -> None:
    """And ccxt, or an event loop, not before a client is made."""
    code = "import sys, peak_observe; a = 'peak_observe.exchange_client' in sys.modules; peak_observe.instrument; "
    code += "print(a, 'peak_observe.exchange_client' in sys.modules, sorted({'ccxt', 'asyncio'} & set(sys.modules)))"
    assert fresh(code) == "False True []"


def test_a_protected_call_loads_nothing_either() -> None:
    """The hot path of a program that neither traces nor serves stays free of both."""
    code = """
import sys
from peak_observe import Policy, bulkhead, circuit_breaker, rate_limit, retry_with_backoff
circuit_breaker(retry_with_backoff(lambda: None))()
Policy(bulkhead(1), circuit_breaker(), retry_with_backoff(), rate_limit(1), deadline=1)(lambda: None)()
print(sorted({'prometheus_client', 'opentelemetry', 'asyncio', 'logging'} & set(sys.modules)))
"""
    assert fresh(code) == "[]"


def test_no_module_hides_a_public_function() -> None:
    """A module named like a function would shadow it once it is imported."""
    functions = {name for name in peak_observe.__all__ if inspect.isfunction(getattr(peak_observe, name))}
    assert not functions & {part for name in NAMES for part in name.split(".")}


def test_the_rooms_give_the_same_objects() -> None:
    """Code for the seed's module moves over by renaming the import."""
    from peak_observe import exchange_client, resilience

    for room in (exchange_client, resilience):
        assert all(getattr(peak_observe, name) is getattr(room, name) for name in room.__all__)


BREAKER_OPTIONS = (
    "window: 'int | None' = None, window_seconds: 'float | None' = None, failure_ratio: 'float | None' = None, "
    "minimum_calls: 'int | None' = None, slow_call_seconds: 'float | None' = None, "
    "slow_call_ratio: 'float | None' = None, half_open_calls: 'int' = 1, success_threshold: 'int' = 1, "
    "probe_timeout: 'float' = 60.0, jitter: 'float' = 0.0, ignore: 'Errors' = (), "
    "failure_result: 'Callable[[Any], bool] | None' = None, mode: 'Mode' = 'enforce', "
    "shared: 'Joinable | str | None' = None"
)
SIGNATURES = {
    "AlreadyRunningError": "(name: str, pid: int = 0, since: str = '', host: str = '') -> None",
    "InstanceLockError": "(name: str, folder: str, reason: str) -> None",
    "only_one": (
        "(name: 'str', *, folder: 'StrPath | None' = None, shared: 'Joinable | str | None' = None) -> 'SingleInstance'"
    ),
    "BackupCorruptError": ("(backup_id: str, problems: tuple[str, ...]) -> None"),
    "BackupError": None,
    "BackupFinished": ("(repository, backup_id, outcome, at, seconds, files=0, size_bytes=0, message='')"),
    "BackupMetadata": (
        "(backup_id, backup_type, created_at, status, size_bytes=0, files_count=0, description='', tags=<factory>, "
        "error_message='', parts=<factory>, problems=<factory>, sequence=0, duration=0.0, base='', manifest='', "
        "sources=UNSET, left_out=UNSET, empty=UNSET, checksum='')"
    ),
    "BackupNotFoundError": ("(backup_id: str, hint: str = '') -> None"),
    "BackupSchedule": (
        "(manager: 'Manager', *, every: 'float', offsite: 'Offsite | None' = None, jitter: 'float' = 0.1, "
        "clock: 'Clock' = CLOCK, **create: 'Any') -> 'None'"
    ),
    "BackupStatus": ["SUCCESS", "FAILED", "IN_PROGRESS", "PARTIAL"],
    "BackupType": ["FULL", "CONFIG", "STATE", "DATA", "INCREMENTAL"],
    "BackupUnreadableError": ("(backup_id: str, problems: tuple[str, ...]) -> None"),
    "RestoreCutOff": (
        "(repository: str, journal: str, command: str = 'peak-observe backup recover', *, "
        "untouched: bool = False) -> None"
    ),
    "BackupVerified": ("(repository, backup_id, ok, at, seconds, files=0, message='')"),
    "ConfigBackup": ("(config_paths: 'Iterable[Path] | None' = None, *, exclude: 'Iterable[str]' = ()) -> 'None'"),
    "DataBackup": ("(data_paths: 'Iterable[Path] | None' = None, *, exclude: 'Iterable[str]' = ()) -> 'None'"),
    "Difference": "(kind: 'str', what: 'str', believed: 'float', actual: 'float', about: 'str' = '') -> None",
    "Reconciler": (
        "(client: 'Client', *, balances: 'Callable[[], Any] | None' = None, orders: 'Callable[[], Any] | None' = None, "
        "positions: 'Callable[[], Any] | None' = None, symbols: 'Iterable[str]' = (), every: 'float | str' = 60, "
        "tolerance: 'Tolerance' = 1e-08, settle: 'float' = 5, on_difference: 'Callable[[str], object] | None' = None, "
        "name: 'str | None' = None, clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "OffsiteStore": (
        "(url: 'str', *, recipients: 'Iterable[str]' = (), repository: 'str | Path' = 'backups', "
        "name: 'str | None' = None, host: 'str | None' = None, endpoint: 'str | None' = None, "
        "region: 'str | None' = None, max_age: 'float | None' = None, bandwidth: 'float | None' = None, "
        "retry_timeout: 'float' = 180.0, key_file: 'str | Path | None' = None, clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "RecoveryManager": (
        "(backup_dir: 'str | Path' = 'backups', *, name: 'str | None' = None, max_age: 'float | None' = None, "
        "exclude: 'Iterable[str]' = (), append_only: 'Iterable[str]' = (), clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "RepositoryLockedError": ("(path: str, holder: str) -> None"),
    "RestoreFinished": ("(repository, backup_id, outcome, at, seconds, files=0, message='')"),
    "RestorePlan": ("(backup_id, new, replaced, same, extra, folders=(), removed=(), times=())"),
    "RestoreRefusedError": ("(backup_id: str, problems: tuple[str, ...], reasons: tuple[str, ...] = ()) -> None"),
    "RestoreReport": "(plan, state=None, unapplied=(), left=(), moved=(), not_handed_back=())",
    "RetentionPolicy": (
        "(*, last=0, hourly=0, daily=0, weekly=0, monthly=0, yearly=0, within=None, keep_tags=(), "
        "group_by=('part', 'root'))"
    ),
    "StoredFile": ("(path, stored, type, size_bytes, mode, modified_ns, blake3, target)"),
    "StreamBroken": "(name, stream, reason, address, at, code=None)",
    "StreamResumed": "(name, stream, reason, address, at, seconds)",
    "StateSnapshot": ("(*, clock: 'Clock' = CLOCK) -> 'None'"),
    "VerifyReport": ("(backup_id, files, size_bytes, seconds, problems)"),
    "AsyncResilientExchangeClient": (
        "(exchange_id: 'Any' = 'kraken', config: 'Mapping[str, Any] | None' = None, **settings: 'Any') -> 'None'"
    ),
    "BreakerSnapshot": (
        "(name, at, state, since, retry_after, reopened, probes, failures, window_calls, slow_calls, failure_ratio, "
        "slow_call_ratio, succeeded, failed, ignored, rejected, seconds, entered, mode='enforce', would_be=None, "
        "would_refuse=0)"
    ),
    "BudgetSnapshot": "(name, at, ratio, min_per_second, burst, tokens, stats)",
    "BulkheadFullError": "(name: str, limit: int) -> None",
    "CallTimedOut": "(operation, seconds)",
    "CallTimeoutError": "(name: str, seconds: float) -> None",
    "CircuitBreaker": (
        "(failure_threshold: 'int' = 5, recovery_timeout: 'RecoveryTimeout' = 60.0, "
        "expected_exception: 'Errors' = <class 'Exception'>, name: 'str' = 'circuit_breaker', *, "
        "buckets: 'tuple[float, ...]' = BUCKETS, tracing: 'TracingMode' = 'auto', clock: 'Clock' = CLOCK, "
        f"fallback: 'object' = NO_FALLBACK, {BREAKER_OPTIONS}) -> 'None'"
    ),
    "CircuitBreakerStats": ("(failure_count, success_count, last_failure_time, last_success_time, state_changes)"),
    "CircuitOpenError": "(name: str, retry_after: float = 0.0, reason: str = '') -> None",
    "CircuitState": ["CLOSED", "OPEN", "HALF_OPEN", "FORCED_OPEN", "DISABLED"],
    "Clock": ["async_sleep", "monotonic", "now", "sleep"],
    "DeadManSwitch": (
        "(client: 'Client', *, timeout: 'float | str' = 60, every: 'float | str' = 20, "
        "while_healthy: 'Health | None' = None, symbols: 'Symbols' = (), params: 'Mapping[str, Any] | None' = None, "
        "on_expired: 'Callable[[float], object] | None' = None, name: 'str | None' = None, clock: 'Clock' = CLOCK) "
        "-> 'None'"
    ),
    "CurrentAttempt": "(operation, number, max_attempts, elapsed, error)",
    "DeadlineExceededError": "(name: str, needed: float = 0.0) -> None",
    "Event": None,
    "GuardTripped": "(guard, reason, message, action, at)",
    "GaveUp": "(operation, attempts, elapsed, outcome, error)",
    "HealthChanged": "(name, healthy, status, at, message, critical=True)",
    "HealthCheck": "(*, clock: 'Clock' = CLOCK) -> 'None'",
    "HealthCheckResult": (
        "(name, healthy, message, timestamp=None, details=None, status=None, duration=0.0, critical=True, tags=())"
    ),
    "HedgeFailed": "(operation, request, error)",
    "HeldBackError": "(name: str, retry_after: float, reason: str = '') -> None",
    "KeyRefused": "(name, endpoint, reason, error=None)",
    "LimitReached": "(kind, name, refused, limit, mode='enforce')",
    "ListenError": "(addr: str, port: int, errno: int | None, strerror: str | None) -> None",
    "LossGuard": (
        "(trading: 'TradingSwitch', *, max_drawdown: 'float | None' = None, max_daily_loss: 'float | None' = None, "
        "max_losing_streak: 'int | None' = None, max_age: 'float | str | None' = None, account: 'str | None' = None, "
        "on_trip: 'Action' = 'halt', for_seconds: 'float | str | None' = None, name: 'str | None' = None, "
        "clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "OrderGuard": (
        "(trading: 'TradingSwitch', *, max_orders: 'int | None' = None, per: 'float' = 60.0, "
        "max_same: 'int | None' = None, max_notional: 'Mapping[str, float] | None' = None, "
        "max_unknown: 'int | None' = None, price_of: 'Callable[[str], float] | None' = None, "
        "on_trip: 'Action' = 'halt', for_seconds: 'float | str | None' = None, name: 'str | None' = None, "
        "clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "MissingExtraError": "(extra: str, what: str) -> None",
    "NamesOverflowed": "(kind, name, limit)",
    "OrderIntent": None,
    "OrderJournal": "(path: 'str | os.PathLike[str]', *, times: 'Mapping[str, OrderTimes] | None' = None) -> 'None'",
    "OrderJournalError": "(path: str, problem: str) -> None",
    "OrderKeyConflict": "(key: str, known: str, given: str) -> None",
    "OrderNotPlaced": "(key: str, reason: str, final: bool = False) -> None",
    "OrderSettled": "(name, key, client_order_id, order, outcome)",
    "OrderTimes": (
        "(*, deadline: 'float', visibility: 'float', retention: 'float' = 86400.0, interval: 'float' = 1.0, "
        "answers: 'int' = 2) -> None"
    ),
    "OrderUnresolved": "(name, key, client_order_id, order, sent_at, reason)",
    "OutcomeUnknown": (
        "(name: str, method: str, endpoint: str, client_order_ids: tuple[str, ...], at: 'datetime', reason: str = '', "
        "order: str = '') -> None"
    ),
    "PeakObserveError": None,
    "PolicyReloaded": "(policy, path, success, message)",
    "Policy": (
        "(*policy_parts: 'Any', name: 'str | None' = None, deadline: 'float | None' = None, order: 'str' = 'checked', "
        "fallback: 'object' = NO_FALLBACK, clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "Verdict": "(outcome, reason='', until=None, duplicate=False, resync=False)",
    "Breakers": (
        "(failure_threshold: 'int' = 5, recovery_timeout: 'RecoveryTimeout' = 60.0, "
        "expected_exception: 'Expected' = <class 'Exception'>, *, prefix: 'str' = '', max_size: 'int' = 256, "
        "idle_timeout: 'float | None' = 3600.0, clock: 'Clock' = CLOCK, **options: 'Any') -> 'None'"
    ),
    "last_good": "(max_age: 'float', *, key: 'Key | None' = None, max_size: 'int' = 1024) -> 'LastGood'",
    "share": (
        "(ttl: 'Any' = 0.0, *, key: 'Key | None' = None, max_size: 'int' = 1024, name: 'str | None' = None, "
        "clock: 'Clock' = CLOCK) -> 'Any'"
    ),
    "outcome_of": "(error: 'BaseException', *, write: 'bool' = False) -> 'Verdict'",
    "RateLimited": "(name, endpoint, until, reason, error=None)",
    "RateLimitedError": "(name: str, retry_after: float) -> None",
    "Recovered": "(operation, attempts, elapsed)",
    "RefusedError": None,
    "ResilientExchangeClient": (
        "(exchange_id: 'Any' = 'kraken', config: 'Mapping[str, Any] | None' = None, *, name: 'str | None' = None, "
        "failure_threshold: 'int' = 5, recovery_timeout: 'float' = 30.0, max_attempts: 'int' = 3, "
        "base_delay: 'float' = 0.5, max_delay: 'float' = 10.0, max_wait: 'float' = 10.0, "
        "exclusive: 'bool' = False, latency_budget: 'Mapping[str, float] | None' = None, "
        "client_order_id: 'Callable[[], str | int] | None' = None, journal: 'OrderJournal | None' = None, "
        "stream_max_silence: 'MaxSilence' = None, stream_group: 'Callable[[str], str] | None' = None, "
        "health: 'HealthCheck | None' = HEALTH, trading: 'TradingSwitch | None' = None, clock: 'Clock' = CLOCK, "
        "shared: 'Joinable | str | None' = None) -> 'None'"
    ),
    "RetriesNested": "(operation, inside)",
    "RetryBudget": (
        "(ratio: 'float' = 0.1, min_per_second: 'float' = 1.0, *, burst: 'float' = 10.0, name: 'str' = 'retry_budget', "
        "clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "RetryScheduled": ("(operation, attempt, max_attempts, delay, error)"),
    "RetrySnapshot": (
        "(name, at, enabled, max_attempts, base_delay, max_delay, exponential, multiplier, timeout, attempt_timeout, "
        "budget, nested, stats, mode='enforce', would_retry=0)"
    ),
    "ShuttingDownError": "(name: str) -> None",
    "TradingChanged": "(name, state, reason, by, at)",
    "TradingHaltedError": "(name: str, reason: str, state: str = 'halted', until: float | None = None) -> None",
    "TradingState": "(state, reason='', by='', at=0.0, until=None, id='', revision=0)",
    "TradingSwitch": (
        "(name: 'str' = 'main', *, folder: 'str | os.PathLike[str] | None' = None, "
        "shared: 'Joinable | str | None' = None, clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "Shared": (
        "(url: 'str' = 'host', *, namespace: 'str' = 'peak-observe', scope: 'str' = '', timeout: 'float' = 0.05, "
        "lease: 'float' = 2.0, margin: 'float' = 0.05, close_spread: 'float' = 0.5, quorum: 'int' = 1, "
        "clock: 'Clock' = CLOCK) -> 'None'"
    ),
    "SharedStateError": "(address: str, reason: str) -> None",
    "SummarizedError": "(kind: str, text: str) -> None",
    "SystemClock": ["async_sleep", "monotonic", "now", "sleep"],
    "Transition": ("(name, old, new, at, reason, retry_after=0.0, error=None, mode='enforce')"),
    "WriteUnanswered": (
        "(name, endpoint, client_order_ids, at, reason, error=None, method='', order='', symbol=None, side=None, "
        "amount=None, price=None, repeatable=False)"
    ),
    "__version__": None,
    "breakers": "() -> 'list[CircuitBreaker]'",
    "bulkhead": (
        "(limit: 'int', wait: 'float' = 0.0, *, mode: 'Mode' = 'enforce', name: 'str | None' = None, "
        "clock: 'Clock' = CLOCK) -> 'Bulkhead'"
    ),
    "chaos": (
        "(rate: 'float' = 0.02, *, fault: 'Fault | None' = None, latency: 'Latency' = 0.0, seed: 'int | None' = None, "
        "name: 'str | None' = None, clock: 'Clock' = CLOCK) -> 'Callable[[F], F]'"
    ),
    "circuit_breaker": (
        "(failure_threshold: 'int | Callable[..., Any]' = 5, recovery_timeout: 'RecoveryTimeout' = 60.0, "
        "expected_exception: 'Errors' = <class 'Exception'>, name: 'str | Callable[..., str] | None' = None, *, "
        "buckets: 'tuple[float, ...]' = BUCKETS, tracing: 'TracingMode' = 'auto', clock: 'Clock' = CLOCK, "
        f"fallback: 'object' = NO_FALLBACK, {BREAKER_OPTIONS}) -> 'Callable[..., Any]'"
    ),
    "configure": (
        "(*, span_events: 'bool | None' = None, process: 'str | None' = None, "
        "snapshot_dir: 'str | PathLike[str] | None' = None, snapshot_interval: 'float | None' = None, "
        "instance: 'str | None' = None, secrets: 'Iterable[str]' = ()) -> 'None'"
    ),
    "current_attempt": "() -> 'CurrentAttempt | None'",
    "deadline": "(seconds: 'float | None', *, clock: 'Clock' = CLOCK) -> 'None'",
    "disable_retries": "() -> 'None'",
    "enable_retries": "() -> 'None'",
    "flush": "(timeout: 'float' = 4.0) -> 'bool'",
    "get_breaker": "(name: 'str') -> 'CircuitBreaker'",
    "health_check": None,
    "hedge": (
        "(after: 'float' = 0.5, *, max_hedges: 'int' = 1, budget: 'RetryBudget | str | None' = None, "
        "name: 'str | None' = None, clock: 'Clock' = CLOCK) -> 'Callable[[F], F]'"
    ),
    "idempotent": "(repeatable: 'bool') -> 'Callable[[F], F]'",
    "instrument": (
        "(exchange: 'E', name: 'str | None' = None, *, client_order_ids: 'bool' = False, protect: 'bool' = False, "
        "stream_max_silence: 'MaxSilence' = None, stream_group: 'Callable[[str], str] | None' = None, "
        "health: 'HealthCheck | None' = HEALTH, "
        "latency_budget: 'Mapping[str, float] | None' = None) -> 'E'"
    ),
    "job": "(name: 'str', *, max_age: 'float | str | None' = None, clock: 'Clock' = CLOCK) -> 'None'",
    "observe": "(observer: 'Observer') -> 'Callable[[], None]'",
    "part": (
        "(decorator: 'Callable[[Any], Any]', *, kind: 'str' = 'mine', outside: 'str | Iterable[str]' = (), "
        "inside: 'str | Iterable[str]' = ()) -> 'CustomPart'"
    ),
    "priority": "(name: 'str') -> 'None'",
    "rate_limit": (
        "(limit: 'Limit', per: 'float' = 1.0, *, burst: 'int | None' = None, wait: 'float' = 0.0, "
        "weight: 'Weight' = 1, reserve: 'Mapping[str, float] | None' = None, heed: 'Heed' = False, "
        "mode: 'Mode' = 'enforce', name: 'str | None' = None, clock: 'Clock' = CLOCK, "
        "shared: 'Joinable | str | None' = None) -> 'RateLimiter'"
    ),
    "register": "(registry: 'CollectorRegistry | None' = None) -> 'PeakCollector'",
    "register_otel": "(meter_provider: 'MeterProvider | None' = None) -> 'None'",
    "retry_with_backoff": (
        "(max_attempts: 'int | Callable[..., Any] | None' = 3, base_delay: 'float' = 1.0, "
        "max_delay: 'float' = 60.0, exponential: 'bool' = True, "
        "expected_exception: 'Expected' = <class 'Exception'>, *, name: 'str | None' = None, "
        "tracing: 'TracingMode' = 'auto', clock: 'Clock' = CLOCK, multiplier: 'float' = 2.0, "
        "delays: 'Delays | None' = None, "
        "jitter: 'Jitter | None' = None, "
        "retry_after: 'RetryAfter' = True, timeout: 'float | None' = None, attempt_timeout: 'float | None' = None, "
        "retry_result: 'Callable[[Any], bool] | None' = None, "
        "budget: 'RetryBudget | str | None' = None, on_retry: 'OnRetry | None' = None, "
        "on_give_up: 'OnGiveUp | None' = None, fallback: 'object' = NO_FALLBACK, nested: 'Nested' = 'warn', "
        "mode: 'Mode' = 'enforce') -> 'Callable[..., Any]'"
    ),
    "retrying": (
        "(max_attempts: 'int | None' = 3, base_delay: 'float' = 1.0, max_delay: 'float' = 60.0, "
        "exponential: 'bool' = True, expected_exception: 'Expected' = <class 'Exception'>, *, "
        "name: 'str' = 'retrying', tracing: 'TracingMode' = 'auto', clock: 'Clock' = CLOCK, multiplier: 'float' = 2.0, "
        "delays: 'Delays | None' = None, "
        "jitter: 'Jitter | None' = None, "
        "retry_after: 'RetryAfter' = True, timeout: 'float | None' = None, attempt_timeout: 'float | None' = None, "
        "budget: 'RetryBudget | str | None' = None, on_retry: 'OnRetry | None' = None, "
        "on_give_up: 'OnGiveUp | None' = None, nested: 'Nested' = 'warn') -> 'None'"
    ),
    "start_exporter": (
        "(port: 'int' = 17326, addr: 'str' = '127.0.0.1', *, registry: 'CollectorRegistry | None' = None, "
        "certfile: 'StrPath | None' = None, keyfile: 'StrPath | None' = None, client_ca: 'StrPath | None' = None, "
        "username: 'str' = 'prometheus', password: 'str | None' = None, "
        "allowed_hosts: 'Iterable[str]' = ()) -> 'Exporter'"
    ),
    "stopping": "(deadline: 'float | str' = 10.0) -> 'None'",
    "timed": (
        "(name: 'str | None' = None, *, buckets: 'tuple[float, ...]' = BUCKETS, clock: 'Clock' = CLOCK) "
        "-> 'Callable[[F], F]'"
    ),
    "timeout": "(seconds: 'float', *, name: 'str | None' = None) -> 'Callable[[F], F]'",
    "uninstrument": "(exchange: 'E') -> 'E'",
}


def test_the_public_names_are_these() -> None:
    """Nothing appears or goes by accident."""
    assert sorted(peak_observe.__all__) == sorted(SIGNATURES)
    assert peak_observe.testing.__all__ == [
        "FAULTS",
        "FakeExchange",
        "Fault",
        "ManualClock",
        "RecordingObserver",
        "no_delays",
    ]


def test_the_bridge_to_opentelemetry_is_pinned() -> None:
    """It stands in a module of its own, as it needs the SDK."""
    from peak_observe import otel

    signature = str(inspect.signature(otel.bridge))
    assert otel.__all__ == ["bridge"]
    assert signature == "(exporter: 'MetricExporter', *, exit_timeout: 'float' = 4.0) -> 'MetricExporter'"


@pytest.mark.parametrize("name", [name for name, pinned in SIGNATURES.items() if pinned])
def test_signatures_are_pinned(name: str) -> None:
    """Users' code depends on names, order and defaults."""
    found, pinned = getattr(peak_observe, name), SIGNATURES[name]
    if isinstance(pinned, list):
        members = getattr(found, "__members__", None) or [n for n in dir(found) if not n.startswith("_")]
        assert list(members) == pinned
        return
    signature = inspect.signature(found)
    if hasattr(found, "_fields") or hasattr(found, "__struct_fields__"):  # annotations differ from Python to Python
        plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
        signature = inspect.Signature(plain)
    text = str(signature)
    text = text.replace(str(peak_observe.catalog.BUCKETS), "BUCKETS")
    text = text.replace(repr(peak_observe.health_check), "HEALTH")
    assert text.replace(repr(peak_observe.clock.SYSTEM_CLOCK), "CLOCK") == pinned
