"""What a protected call that succeeds costs over the bare call, beside the peers."""

import asyncio
import functools
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import repeat
from statistics import median
from unittest.mock import patch

import backoff
import circuitbreaker
import stamina
import tenacity
from measuring import Verdict, in_turns, over, ratio, table
from prometheus_client import CollectorRegistry, Counter, Histogram

from peak_observe import Policy, circuit_breaker, retry_with_backoff

with patch.dict(sys.modules, redis=None):  # where they find it they load it, and it loads OpenTelemetry
    import purgatory
    import pybreaker

CALLS = 20_000
ROUNDS = 21
BUDGET = 0.70
REGISTRY = CollectorRegistry()
OUTCOMES = Counter("calls", "Calls by outcome.", ["name", "outcome"], registry=REGISTRY)
SECONDS = Histogram("call_seconds", "Duration.", ["name"], registry=REGISTRY)
BASE, PEER, OURS = "bare call", "circuitbreaker", "peak_observe: breaker + retry + counts + latency"
POLICY = "peak_observe: the same as Policy"


def work() -> None:
    """Do what every contestant wraps."""


async def async_work() -> None:
    """Do the same as a coroutine."""


def passing_through(func: Callable) -> Callable:
    """Wrap without doing anything: the floor for any decorator."""

    @functools.wraps(func)
    def wrapper(*args: object, **kwargs: object) -> object:
        return func(*args, **kwargs)

    @functools.wraps(func)
    async def async_wrapper(*args: object, **kwargs: object) -> object:
        return await func(*args, **kwargs)

    return async_wrapper if asyncio.iscoroutinefunction(func) else wrapper


def by_hand(func: Callable) -> Callable:
    """Wrap as people do it without us: circuitbreaker, tenacity, Counter and Histogram."""
    kept = tenacity.retry(
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_exponential(max=60),
        reraise=True,
    )(func)

    def counted() -> object:
        outcome = "failure"
        try:
            with SECONDS.labels("work").time():
                result = kept()
            outcome = "success"
            return result
        finally:
            OUTCOMES.labels("work", outcome).inc()

    async def async_counted() -> object:
        outcome = "failure"
        try:
            with SECONDS.labels("work").time():
                result = await kept()
            outcome = "success"
            return result
        finally:
            OUTCOMES.labels("work", outcome).inc()

    return circuitbreaker.circuit()(async_counted if asyncio.iscoroutinefunction(func) else counted)


def ours(func: Callable) -> Callable:
    """Wrap by both decorators."""
    return circuit_breaker(name="bench")(retry_with_backoff(name="bench")(func))


def of_one_function(func: Callable) -> Callable:
    """Wrap by a circuit of its own."""
    return circuit_breaker(name="bench.breaker")(func)


def of_two_functions(func: Callable) -> Callable:
    """Wrap by a circuit that protects another function too, so that a call has to tell whether it is inside another."""
    shared = circuit_breaker(name="bench.shared")
    shared(work)
    return shared(func)


def as_policy(func: Callable) -> Callable:
    """Wrap by a policy of the two."""
    return Policy(circuit_breaker(), retry_with_backoff(), name="bench.policy")(func)


def in_purgatory(func: Callable) -> Callable:
    """Wrap by purgatory's breaker, which is asynchronous."""
    return purgatory.AsyncCircuitBreakerFactory()("bench")(func)


BOTH = {
    "pass-through wrapper": passing_through,
    PEER: circuitbreaker.circuit(),
    "tenacity": tenacity.retry(stop=tenacity.stop_after_attempt(3)),
    "stamina": stamina.retry(on=Exception, attempts=3),
    "backoff": backoff.on_exception(backoff.expo, Exception, max_tries=3),
    "by hand: circuitbreaker + tenacity + Counter + Histogram": by_hand,
    "peak_observe: breaker": of_one_function,
    "peak_observe: breaker of two functions": of_two_functions,
    "peak_observe: retry": retry_with_backoff(name="bench.retry"),
    OURS: ours,
    POLICY: as_policy,
}
SYNC = BOTH | {"pybreaker": pybreaker.CircuitBreaker(reset_timeout=timedelta(seconds=60).total_seconds())}
ASYNC = BOTH | {"purgatory": in_purgatory}


def timed(func: Callable[[], object]) -> float:
    """Return the seconds of many calls, of this thread's own time, as other programs take turns with it."""
    start = time.thread_time()
    for _ in repeat(None, CALLS):
        func()
    return time.thread_time() - start


def async_timed(func: Callable[[], Awaitable]) -> float:
    """Return the seconds of many awaited calls, without the loop's beginning and end."""

    async def main() -> float:
        start = time.thread_time()
        for _ in repeat(None, CALLS):
            await func()
        return time.thread_time() - start

    return asyncio.run(main())


def compare(title: str, contestants: dict[str, Callable], measure: Callable, func: Callable) -> dict[str, list]:
    """Print what each costs and return the overheads."""
    wrapped = {BASE: func} | {name: wrap(func) for name, wrap in contestants.items()}
    found = in_turns({name: functools.partial(measure, one) for name, one in wrapped.items()}, ROUNDS)
    costs = {name: over(seconds, found[BASE]) for name, seconds in found.items() if name != BASE}
    print(f"\n{title}: ns a call over the bare call ({median(found[BASE]) / CALLS * 1e9:.0f} ns)")
    rows = [
        (name, f"{median(cost) / CALLS * 1e9:,.0f}", f"{ratio(cost, costs[PEER]):.2f}")
        for name, cost in sorted(costs.items(), key=lambda item: median(item[1]))
    ]
    table(rows, ("", "ns", f"x {PEER}"))
    return costs


def run() -> list[Verdict]:
    """Compare sync and async, then once more in a program that has the OpenTelemetry API but no SDK."""
    if "opentelemetry.trace" in sys.modules:
        raise SystemExit("bench: somebody imported opentelemetry; the first figures would be of a program that traces")
    sync = compare("Sync", SYNC, timed, work)
    asynchronous = compare("Async", ASYNC, async_timed, async_work)
    import opentelemetry.trace  # noqa: F401 - its being loaded is what is measured

    few = {name: BOTH[name] for name in (PEER, OURS, POLICY)}
    compare("Sync, OpenTelemetry API loaded, no SDK", few, timed, work)
    compare("Async, OpenTelemetry API loaded, no SDK", few, async_timed, async_work)
    return [
        Verdict(f"sync: breaker + retry + counts + latency / {PEER}", ratio(sync[OURS], sync[PEER]), BUDGET),
        Verdict(f"sync: the same as Policy / {PEER}", ratio(sync[POLICY], sync[PEER]), BUDGET),
        Verdict(f"async: the same / {PEER}", ratio(asynchronous[OURS], asynchronous[PEER]), BUDGET),
        Verdict(f"async: the same as Policy / {PEER}", ratio(asynchronous[POLICY], asynchronous[PEER]), BUDGET),
    ]
