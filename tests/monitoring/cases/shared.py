"""The state that processes share."""

from tests.monitoring.cases.case import Case, series


def up(values: str) -> dict[str, str]:
    """Return whether the engine is reached."""
    return series("peak_shared_up", values, namespace="bots")


def resyncs(values: str, reason: str = "reconnect") -> dict[str, str]:
    """Return how often all was read anew."""
    return series("peak_shared_resyncs_total", values, namespace="bots", reason=reason)


CASES = [
    Case("PeakSharedDown", "is away and comes back", [up("1x5 0x10 1x20")], {10: ("warning",)}, (6, 30)),
    Case("PeakSharedDown", "is away for a minute", [up("1x5 0x1 1x20")], silent=(7, 20)),
    Case("PeakSharedFlapping", "comes and goes", [resyncs("0+1x20 20x60")], {18: ("warning",)}, (3, 60)),
    Case("PeakSharedFlapping", "loses messages", [resyncs("0+1x40", "gap")], silent=(30,)),
]
