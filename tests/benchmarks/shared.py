"""What a joined circuit costs while it is closed, beside pybreaker and purgatory with their state in Redis."""

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from measuring import Verdict, in_turns, program, ratio, table

from peak_observe import CircuitBreaker, Shared

ROUNDS, CALLS, SLOW_CALLS = 15, 50_000, 300


@contextmanager
def server() -> Iterator[int]:
    """Start a Redis on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(1)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def service() -> int:
    """Do nothing, well."""
    return 1


def timed(func: Callable[[], object], calls: int) -> Callable[[], float]:
    """Return a function that measures a call, in seconds."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            func()
        return (time.perf_counter() - start) / calls

    return measure


def peers(port: int) -> dict[str, Callable[[], float]]:
    """Return what others take for a success of a circuit in Redis."""
    import pybreaker
    import redis
    from purgatory import AsyncCircuitBreakerFactory
    from purgatory.service._async.unit_of_work import AsyncRedisUnitOfWork

    storage = pybreaker.CircuitRedisStorage(pybreaker.STATE_CLOSED, redis.Redis(port=port))
    by_pybreaker = pybreaker.CircuitBreaker(state_storage=storage)(service)

    async def by_purgatory() -> float:
        factory = AsyncCircuitBreakerFactory(uow=AsyncRedisUnitOfWork(f"redis://127.0.0.1:{port}"))
        await factory.initialize()
        start = time.perf_counter()
        for _ in range(SLOW_CALLS):
            async with await factory.get_breaker("bench"):
                service()
        return (time.perf_counter() - start) / SLOW_CALLS

    return {
        "pybreaker, Redis storage": timed(by_pybreaker, SLOW_CALLS),
        "purgatory, Redis": lambda: asyncio.run(by_purgatory()),
    }


def run() -> list[Verdict]:
    """Compare."""
    with (
        tempfile.TemporaryDirectory() as folder,
        server() as port,
        Shared(f"file://{folder}/shared") as by_file,
        Shared(f"redis://127.0.0.1:{port}/0") as by_redis,
    ):
        contestants = {
            "not joined": CircuitBreaker(name="bench.alone"),
            "file": CircuitBreaker(shared=by_file),
            "Redis": CircuitBreaker(name="bench.redis", shared=by_redis),
        }
        measured = {name: timed(breaker.call(service), CALLS) for name, breaker in contestants.items()}
        found = in_turns(measured | peers(port), ROUNDS)
    print("\nA success of a closed circuit")
    rows = [(n, f"{median(s) * 1e9:,.0f}", f"{ratio(s, found['not joined']):,.2f}") for n, s in found.items()]
    table(rows, ("", "ns", "x"))
    return [
        Verdict(f"joined by {name}, over not joined", ratio(found[name], found["not joined"]), 1.02)
        for name in contestants
        if name != "not joined"
    ]
