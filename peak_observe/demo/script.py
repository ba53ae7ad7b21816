"""Script of the demo: faults of the exchange and how long each lasts."""

from __future__ import annotations

from typing import NamedTuple

from peak_observe.testing import Fault


class Phase(NamedTuple):
    """Phase of the script: the faults of the exchange, and its length in seconds."""

    name: str
    fault: Fault | None
    seconds: float


SCRIPT = (
    Phase("calm", None, 5),
    Phase("slow answers", Fault.latency(0.4), 4),
    Phase("429 Too Many Requests", Fault.rate_limited(1), 5),
    Phase("calm", None, 4),
    Phase("outage: connections refused", Fault.refused(), 6),
    Phase("calm", None, 4),
    Phase("maintenance", Fault.maintenance(), 6),
    Phase("calm", None, 4),
)
