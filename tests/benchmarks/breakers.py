"""What the forms of a breaker cost beside the simple one: windows, refusals, many threads, and tracing that is idle."""

import functools
import threading
import time
from collections.abc import Callable
from itertools import repeat
from statistics import median

import circuitbreaker
import interlock
import pybreaker
import redress
from measuring import Verdict, in_turns, over, ratio, table

from peak_observe import CircuitBreaker, circuit_breaker, retry_with_backoff

CALLS = 20_000
REFUSALS = 4_000
ROUNDS = 15
THREADS = 8
BARE, SEED, COUNT = "bare call", "failures in a row", "window of 100 calls"
PEER, OURS = "circuitbreaker", "peak_observe"


def work() -> None:
    """Do what every contestant wraps."""


def broken() -> None:
    """Do what opens a circuit."""
    raise ConnectionError


def timed(func: Callable[[], object], calls: int = CALLS) -> float:
    """Return the seconds of many calls, of this thread's own time, as other programs take turns with it."""
    start = time.thread_time()
    for _ in repeat(None, calls):
        func()
    return time.thread_time() - start


def in_redress(func: Callable) -> Callable:
    """Wrap by redress's policy with a breaker alone."""
    breaker = redress.CircuitBreaker(trip_on={redress.ErrorClass.UNKNOWN})
    return functools.partial(redress.Policy(circuit_breaker=breaker).call, func)


def in_interlock(func: Callable) -> Callable:
    """Wrap by interlock's breaker, which has a window of a hundred calls."""
    return interlock.CircuitBreaker(name="bench")(func)


FORMS = {
    SEED: circuit_breaker(name="bench.row"),
    COUNT: circuit_breaker(name="bench.count", window=100),
    "the same, slow calls judged": circuit_breaker(name="bench.slow", window=100, slow_call_seconds=1.0),
    "window of 60 seconds": circuit_breaker(name="bench.time", window_seconds=60),
    "results judged": circuit_breaker(name="bench.result", failure_result=bool),
    "interlock-cb: window of 100 calls": in_interlock,
    "redress: failures of 60 seconds": in_redress,
    "pybreaker": pybreaker.CircuitBreaker(),
}
OPEN = {
    OURS: circuit_breaker(name="bench.open"),
    PEER: circuitbreaker.circuit(),
    "interlock-cb": in_interlock,
    "redress": in_redress,
    "pybreaker": pybreaker.CircuitBreaker(),
}


def forms() -> Verdict:
    """Compare the forms when all goes well."""
    wrapped = {BARE: work} | {name: wrap(work) for name, wrap in FORMS.items()}
    found = in_turns({name: functools.partial(timed, func) for name, func in wrapped.items()}, ROUNDS)
    costs = {name: over(seconds, found[BARE]) for name, seconds in found.items() if name != BARE}
    print("\nForms of a breaker, all goes well: ns a call over the bare call")
    _show(costs, CALLS, SEED)
    return Verdict("breaker: window of 100 calls / failures in a row", ratio(costs[COUNT], costs[SEED]), 1.3)


def refusals() -> Verdict:
    """Compare what a refusal takes."""
    wrapped = {name: _opened(wrap(broken)) for name, wrap in OPEN.items()}
    found = in_turns({name: functools.partial(timed, func, REFUSALS) for name, func in wrapped.items()}, ROUNDS)
    print("\nAn open circuit refuses: ns a refusal that is caught")
    _show(found, REFUSALS, PEER)
    # Without its cause a refusal is quicker than the peer's (0.95). The cause is a new copy for each refusal, without
    # traceback: the peer hands out the exception itself, which keeps the frames of the failed call alive. It is 1.2 to
    # 1.4 by the machine.
    return Verdict(f"breaker: refusal / {PEER}", ratio(found[OURS], found[PEER]), 1.5)


def threads() -> Verdict:
    """Compare the same number of calls from one thread and from eight, through one breaker."""
    protected = circuit_breaker(name="bench.threads")(work)
    found = in_turns({"1 thread": lambda: _shared(protected, 1), "8 threads": lambda: _shared(protected, THREADS)}, 9)
    print("\nOne breaker, all calls together: ns a call")
    _show(found, CALLS * THREADS, "1 thread")
    return Verdict("breaker: 8 threads / 1 thread, same calls", ratio(found["8 threads"], found["1 thread"]), 1 / 0.75)


def tracing() -> list[Verdict]:
    """Compare calls of a program with an OpenTelemetry SDK, outside of any span, with calls that are never traced."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    modes = ("off", "auto")
    contestants = {f"breaker, {mode}": CircuitBreaker(name="bench.tracing", tracing=mode).call(work) for mode in modes}
    for mode in modes:
        kept = retry_with_backoff(name="bench.tracing", tracing=mode)(work)
        contestants[f"breaker + retry, {mode}"] = CircuitBreaker(name="bench.tracing", tracing=mode).call(kept)
    found = in_turns({name: functools.partial(timed, func) for name, func in contestants.items()}, ROUNDS)
    print("\nAn OpenTelemetry SDK is there, no span is recording: ns a call")
    _show(found, CALLS, "breaker, off")
    return [
        Verdict(f"{what}: SDK and no span / never traced", ratio(found[f"{what}, auto"], found[f"{what}, off"]), 1.3)
        for what in ("breaker", "breaker + retry")
    ]


def _opened(func: Callable[[], object]) -> Callable[[], object]:
    """Return a function that calls one whose circuit is open and catches the refusal."""

    def refused() -> None:
        try:
            func()
        except Exception:
            return

    for _ in range(20):
        refused()
    return refused


def _shared(func: Callable[[], object], count: int) -> float:
    """Return the seconds until so many threads have made all calls."""
    share = CALLS * THREADS // count
    crew = [threading.Thread(target=timed, args=(func, share)) for _ in range(count)]
    start = time.perf_counter()
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    return time.perf_counter() - start


def _show(found: dict[str, list[float]], calls: int, base: str) -> None:
    rows = [
        (name, f"{median(seconds) / calls * 1e9:,.0f}", f"{ratio(seconds, found[base]):.2f}")
        for name, seconds in sorted(found.items(), key=lambda item: median(item[1]))
    ]
    table(rows, ("", "ns", f"x {base}"))


def run() -> list[Verdict]:
    """Compare what needs no OpenTelemetry, which must not be there when `calls` begins."""
    return [forms(), refusals(), threads()]
