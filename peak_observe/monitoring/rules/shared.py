"""Alerts about the state that processes share."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import AT, COUNT, WARNING, Alert, Group, last

SHARED = Group(
    "shared",
    "peak-breakers",
    (
        Alert(
            "PeakSharedDown",
            WARNING,
            f"{last(catalog.SHARED_UP)} == 0",
            "2m",
            "a process has not reached its shared state (Redis, Valkey or file) for two minutes",
            f"{AT} does not reach the shared state {{{{ $labels.namespace }}}}.",
            "It has decided alone for 2 minutes: with its own circuits, and its part of each shared rate limit.",
            "Redis, Valkey or the shared file is unavailable, or hangs. Calls go on; each process probes for itself.",
            "`peak-observe shared show` on that host names what is wrong. Do all processes say so, or one?",
            "Start the server, or mend its address, password or rights. Processes come back by themselves.",
        ),
        Alert(
            "PeakSharedFlapping",
            WARNING,
            f'sum without (reason) (increase({catalog.SHARED_RESYNCS_TOTAL.name}{{reason="reconnect"}}[10m])) > 5',
            "5m",
            "a process has lost and reached its shared state again more than five times in ten minutes",
            f"The shared state {{{{ $labels.namespace }}}} of {AT} comes and goes.",
            f"It was lost and found again {COUNT} times within 10 minutes.",
            "Redis, Valkey or the file answers more slowly than `timeout`, or the network drops connections.",
            "The lag and the failed steps of the shared state; the load of the server, and of this host.",
            "Give the server its own core, move it nearer, or raise `timeout` of `Shared`.",
            keep="10m",
        ),
    ),
    every="1m",
)
