"""Requests to exchanges within the last minutes, by what counters said before: totals since a start hide an outage."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING

from peak_observe import catalog
from peak_observe.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from peak_observe.exporter.web.samples import Key, Samples, Values

EVERY = 30.0
"""Seconds between two looks at the counters."""

LATELY = 600.0
"""Seconds of which requests are shown."""

REMEMBERED = 86_400.0
"""Seconds for which an order of unknown fate is shown, as its alert lasts."""


COUNTED = (catalog.EXCHANGE_REQUESTS_TOTAL.name, catalog.EXCHANGE_WRITES_TOTAL.name)


class RecentRequests:
    """Counts of requests by exchange, process and outcome, as they were up to ten minutes ago.

    Args:
        clock: Where the time comes from.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, Values]] = deque()
        self._unknown: dict[Key, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def note(self, samples: Samples) -> None:
        """Remember what the counters say now."""
        now, unknown = self._clock.monotonic(), unknown_writes(samples)
        with self._lock:
            self._marks.append((now, requests(samples)))
            # The first one that is older stays: it is what the whole time is counted from.
            while len(self._marks) > 1 and self._marks[1][0] <= now - LATELY:
                self._marks.popleft()
            known = self._unknown
            self._unknown = {
                key: known[key] if key in known and known[key][0] >= count else (count, now)
                for key, count in unknown.items()
                if count
            }

    def lately(self, samples: Samples) -> Values:
        """Return the requests since the first look of the last ten minutes; a counter that fell was begun anew."""
        with self._lock:
            before = self._marks[0][1] if self._marks else {}
        counts = requests(samples)
        return {key: count - before.get(key, 0.0) * (count >= before.get(key, 0.0)) for key, count in counts.items()}

    def unknown(self, samples: Samples) -> Values:
        """Return the writes of unknown fate, by exchange and process, of which there was another one within a day."""
        now = self._clock.monotonic()
        with self._lock:
            since = {key: at for key, (_, at) in self._unknown.items()}
        counts = unknown_writes(samples)
        return {key: count for key, count in counts.items() if count and now - since.get(key, now) < REMEMBERED}


def requests(samples: Samples) -> Values:
    """Return the requests by exchange, process and outcome."""
    found: Values = defaultdict(float)
    labels = ("exchange", "process", "outcome", "endpoint")
    for key, value in samples.values(catalog.EXCHANGE_REQUESTS_TOTAL.name, *labels).items():
        found[key[:3]] += value
    return dict(found)


def unknown_writes(samples: Samples) -> Values:
    """Return the writes whose answer was lost, by exchange and process."""
    return samples.values(catalog.EXCHANGE_WRITES_TOTAL.name, "exchange", "process", outcome="ambiguous")
