"""What one scrape of the exporter costs, beside the same series kept in prometheus_client counters."""

import asyncio
import time
from collections.abc import Callable
from statistics import median

from measuring import Verdict, in_turns, ratio, table
from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest

from peak_observe.exporter.config import Config
from peak_observe.exporter.service import ExporterService
from peak_observe.exporter.sources.metric_block import Block
from peak_observe.exporter.sources.registry import Definition

SERIES = (1_000, 10_000, 100_000)
A_FAMILY = 1_000  # series of one name
SOURCES = 5
ROUNDS = 9
THEIRS = "prometheus_client counters"
IDLE, BUSY = "the exporter, nothing changed since", "the exporter, every source told something new"
PACKED, PACKED_BUSY = "the first of them with gzip", "the second of them with gzip"


class Source:
    """Tells many series, of which one changes at each look."""

    def __init__(self, name: str, series: int) -> None:
        self.name = name
        self._looks = 0
        self._blocks = [self._block(family, min(A_FAMILY, series - start)) for family, start in _families(series)]

    def _block(self, family: int, series: int) -> Block:
        name = f"bench_{family}_total"
        lines = [f'{name}{{number="{number}",source="{self.name}"}} {number}.0' for number in range(series)]
        return Block(name, "counter", "A counter.", lines)

    def collect(self) -> list[Block]:
        """Return them."""
        self._looks += 1
        for block in self._blocks:
            block.lines[0] = f"{block.lines[0].rpartition(' ')[0]} {self._looks}.0"
        return self._blocks


def _families(series: int) -> list[tuple[int, int]]:
    return list(enumerate(range(0, series, A_FAMILY)))


def theirs(series: int) -> CollectorRegistry:
    """Return a registry with as many series."""
    disable_created_metrics()
    registry = CollectorRegistry()
    for family, start in _families(series):
        counter = Counter(f"bench_{family}", "A counter.", ["number", "source"], registry=registry)
        for number in range(start, min(start + A_FAMILY, series)):
            counter.labels(str(number), "bench").inc(number)
    return registry


def compare(series: int) -> dict[str, list[float]]:
    """Print and return what scrapes of that many series took."""
    host, registry, loop = ExporterService(None), theirs(series), asyncio.new_event_loop()
    sources = [Source(f"bench.{number}", series // SOURCES) for number in range(SOURCES)]
    definitions = [Definition(one.name, {}, lambda one=one: one, 86_400.0, 60.0, "a bench") for one in sources]
    host._exchange(Config(None, tuple(definitions), ()))
    while not host.sources.ready:
        time.sleep(0.01)
    watchers = [watcher for _, watcher in host.sources._watched.values()]

    def scrape(*, gzipped: bool) -> bytes:
        return b"".join(loop.run_until_complete(host.metrics(openmetrics=True, gzipped=gzipped)).pieces)

    def timed(*, gzipped: bool = False, busy: bool = False) -> Callable[[], float]:
        def measure() -> float:
            for watcher in watchers if busy else ():
                watcher.run()  # in its own thread in real life, while nobody waits
            start = time.perf_counter()
            scrape(gzipped=gzipped)
            return time.perf_counter() - start

        return measure

    def measure_theirs() -> float:
        start = time.perf_counter()
        generate_latest(registry)
        return time.perf_counter() - start

    # What changed is measured before what did not, which needs a scrape in front.
    contestants = {
        THEIRS: measure_theirs,
        BUSY: timed(busy=True),
        IDLE: timed(),
        PACKED_BUSY: timed(gzipped=True, busy=True),
        PACKED: timed(gzipped=True),
    }
    found = in_turns(contestants, ROUNDS if series < SERIES[-1] else 3)
    print(f"\nOne scrape of {series:,} series from the exporter ({len(scrape(gzipped=False)):,} bytes)")
    rows = [(n, f"{median(s) * 1e3:.2f}", f"{ratio(s, found[THEIRS]):.3f}") for n, s in found.items()]
    table(rows, ("", "ms", f"x {THEIRS}"))
    host.stop()
    loop.close()
    return found


def run() -> list[Verdict]:
    """Compare 1,000, 10,000 and 100,000 series."""
    found = {series: compare(series) for series in SERIES}
    ten = found[10_000]
    return [
        Verdict("10,000 series from the exporter / prometheus_client", ratio(ten[IDLE], ten[THEIRS]), 0.015),
        # 1.2 ms, of which half a one is to hand over to a thread and back, whatever there is to tell: of the peer's
        # time, which is half as long on a quick processor, it is 0.013 to 0.025. With 100,000 series it is 0.010.
        Verdict("the same, all of them changed / prometheus_client", ratio(ten[BUSY], ten[THEIRS]), 0.03),
        Verdict("10,000 series with gzip / 50 ms", median(ten[PACKED_BUSY]) / 0.05, 1.0),
    ]
