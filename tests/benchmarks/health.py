"""What a run of many health checks takes, beside the slowest of them and beside a thread pool by hand."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from measuring import Verdict, in_turns, ratio, table

from peak_observe import HealthCheck

ROUNDS = 9
CHECKS = 200
SECONDS = 0.1
ALONE, POOL, OURS = "one check", f"{CHECKS} checks, a thread pool by hand", f"{CHECKS} checks, run_all()"


def check() -> bool:
    """Take a while."""
    time.sleep(SECONDS)
    return True


def by_hand() -> None:
    """Run them as people do without us: no timeouts, no counts."""
    with ThreadPoolExecutor(CHECKS) as pool:
        list(pool.map(lambda _: check(), range(CHECKS)))


def timed(func: Callable[[], object]) -> Callable[[], float]:
    """Return a function that measures a call."""

    def measure() -> float:
        start = time.perf_counter()
        func()
        return time.perf_counter() - start

    return measure


def run() -> list[Verdict]:
    """Compare."""
    health = HealthCheck()
    for number in range(CHECKS):
        health.register(f"bench.{number}", check)
    found = in_turns({ALONE: timed(check), POOL: timed(by_hand), OURS: timed(health.run_all)}, ROUNDS)
    print(f"\nChecks of {SECONDS * 1e3:.0f} ms")
    table([(n, f"{median(s) * 1e3:.0f}", f"{ratio(s, found[ALONE]):.2f}") for n, s in found.items()], ("", "ms", "x"))
    return [
        Verdict(
            f"a run of {CHECKS} checks of {SECONDS * 1e3:.0f} ms / one of them", ratio(found[OURS], found[ALONE]), 5
        )
    ]
