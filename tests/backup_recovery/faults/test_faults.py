"""Whatever goes wrong at whatever call: nothing is half, nothing is lost, nothing is left, and it is told."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from faulty.driving import NIGHTLY, harness

SCENARIOS = [
    "create",
    "create-again",
    "incremental",
    "create-after-crash",
    "restore",
    "restore-into",
    "restore-moved",
    "restore-in-place",
    "part-restore",
    "part-create",
    "prune",
    "drill",
]
TWICE = {"restore", "restore-into", "restore-moved", "restore-in-place", "part-restore", "prune"}
# Of every kind of fault each so manieth point; odd, as points come in pairs.
SOME = ["kill=11", "power=29", "interrupt=101", "again=37", "short=5", "error=61"]
ALL = ["kill=1", "power=1", "interrupt=1", "again=1", "short=1", "error=1"]


def asked(scenario: str) -> list[str]:
    """Return what is tried of a scenario."""
    return (ALL if NIGHTLY else SOME) + [f"twice={15 if NIGHTLY else 131}"] * (scenario in TWICE)


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Future]]:
    """Start all scenarios, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        found = {name: pool.submit(harness, name, *asked(name)) for name in SCENARIOS}
        if NIGHTLY:
            found |= {f"{name} by threads": pool.submit(harness, name, "kill", "--threads") for name in SCENARIOS[:5]}
        yield found
        pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_after_any_fault_everything_is_old_or_new(scenario: str, runs: dict[str, Future]) -> None:
    """See `faulty.scenarios` for what must be true of what is left, and of the run after it."""
    result = runs[scenario].result()
    assert result["problems"] == {}
    assert min(result["points"].values()) > 0


@pytest.mark.timeout(7200)
def test_no_point_is_left_out(runs: dict[str, Future]) -> None:
    """There are as many points at which a run is killed as were promised, also with the package's own threads."""
    results = {name: future.result() for name, future in runs.items()}
    assert {name: result["problems"] for name, result in results.items() if result["problems"]} == {}
    killed = sum(result["points"].get(kind, 0) for result in results.values() for kind in ("kill", "twice"))

    assert killed >= (2000 if NIGHTLY else 200)
