"""What the exporter's merge of many processes costs, beside prometheus_client's multiprocess mode."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from measuring import Verdict, in_turns, ratio, table

from peak_observe.exporter.sources.process_source import ProcessDirectory
from peak_observe.telemetry.snapshot import process_identity, samples, snapshot_file
from peak_observe.telemetry.snapshot.name_claim import Claim

PROCESSES, SERIES, ROUNDS = 50, 200, 15
THEIRS = "prometheus_client, multiprocess mode"
BUSY, IDLE = "ours, every count of every process changed", "ours, nothing changed"
RESTARTED = "ours, the same, and every process had an earlier life"

# One of the 50: the same counters and histograms that our breakers have, kept by prometheus_client in mapped files.
WRITER = """
import sys
from prometheus_client import Counter, Histogram
calls = Counter("peak_breaker_calls", "Calls.", ["breaker", "outcome"])
seconds = Histogram("peak_breaker_call_duration_seconds", "Time.", ["breaker"],
                    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0))
for number in range(int(sys.argv[1])):
    for outcome in ("success", "failure", "ignored", "rejected"):
        calls.labels(f"bench.{number}", outcome).inc(number)
    seconds.labels(f"bench.{number}").observe(0.02)
"""
LINES_A_BREAKER = 19
OUTCOMES = ("success", "failure", "ignored", "rejected")
BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "+Inf")


def theirs(folder: Path) -> Callable[[], float]:
    """Return a measured scrape of the files that 50 processes wrote in multiprocess mode."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    count = str(SERIES // LINES_A_BREAKER + 1)
    for _ in range(PROCESSES):
        subprocess.run([sys.executable, "-c", WRITER, count], env=environment, check=True)
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))

    def scrape() -> float:
        start = time.perf_counter()
        generate_latest(registry)
        return time.perf_counter() - start

    return scrape


def text(count: int) -> bytes:
    """Return the samples of one process, all counts being `count`."""
    names = [f"bench.{number}" for number in range(SERIES // LINES_A_BREAKER + 1)]
    calls = [f'peak_breaker_calls_total{{breaker="{n}",outcome="{o}"}} {count}.0' for n in names for o in OUTCOMES]
    seconds = []
    metric = "peak_breaker_call_duration_seconds"
    for n in names:
        seconds += [f'{metric}_bucket{{breaker="{n}",le="{bound}"}} {count}.0' for bound in BOUNDS]
        seconds += [f'{metric}_count{{breaker="{n}"}} {count}.0', f'{metric}_sum{{breaker="{n}"}} {count}.5']
    return samples.packed("".join(f"{line}\n" for line in calls + seconds).encode())


def ours(folder: Path, earlier: bytes = b"") -> tuple[Callable[[], float], Callable[[], float]]:
    """Return a measured merge after everything changed, and one after nothing did."""
    directory = ProcessDirectory(folder)
    count = 0

    def write() -> None:
        now = time.time()
        for number in range(PROCESSES):
            header = {
                "process": f"bot-{number}",
                "state": "running",
                "identity": process_identity.mine(),
                "started": now,
                "written": now,
                "monotonic": time.perf_counter(),
                "interval": 5.0,
            }
            content = snapshot_file.encode(header, text(count), earlier, b"")
            snapshot_file.write(snapshot_file.path_of(folder, f"bot-{number}"), content)

    def merge() -> float:
        start = time.perf_counter()
        "".join([block.text for block in directory.collect()])  # as the exporter writes them
        return time.perf_counter() - start

    def busy() -> float:
        nonlocal count
        count += 1
        write()
        return merge()

    return busy, merge


def cost_of_a_snapshot(folder: Path) -> None:
    """Print what a trading process pays for one snapshot."""
    from peak_observe import circuit_breaker

    calls = [circuit_breaker(name=f"snapshot.{number}")(lambda: None) for number in range(SERIES // 40 + 1)]
    claim = Claim(folder, "measured", interval=5.0)

    def write() -> float:
        for call in calls:
            call()
        start = time.perf_counter()
        claim.write("running")
        return time.perf_counter() - start

    seconds = median(write() for _ in range(100))
    share = seconds / 5.0
    lines = len(claim.told.splitlines()) // 2
    print(f"\nOne snapshot of {lines} series: {seconds * 1e6:.0f} us, {share:.5%} of the 5 s")


def run() -> list[Verdict]:
    """Compare 50 processes of 200 series each."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary, name) for name in ("theirs", "first", "restarted", "cost")]
        for folder in folders:
            folder.mkdir()
        scrape, (busy, idle), (restarted, _) = theirs(folders[0]), ours(folders[1]), ours(folders[2], text(7))
        found = in_turns({THEIRS: scrape, BUSY: busy, RESTARTED: restarted, IDLE: idle}, ROUNDS)
        cost_of_a_snapshot(folders[3])
    print(f"\nMerging {PROCESSES} processes of about {SERIES} series")
    rows = [(name, f"{median(s) * 1e3:.2f}", f"{ratio(s, found[THEIRS]):.3f}") for name, s in found.items()]
    table(rows, ("", "ms", f"x {THEIRS}"))
    # With every sample changed each file is read, checked and added up anew; an mmap file is not checked at all.
    return [Verdict("merge of 50 processes / prometheus_client", ratio(found[BUSY], found[THEIRS]), 0.40)]
