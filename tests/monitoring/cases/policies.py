"""Policies that follow their file, and chaos."""

from tests.monitoring.cases.case import Case, series


def reloads(values: str) -> dict[str, str]:
    """Return whether a policy is as its file says."""
    return series("peak_policy_reload_success", values, policy="kraken")


def chaos(values: str) -> dict[str, str]:
    """Return the share of an operation's calls that is disturbed."""
    return series("peak_chaos_ratio", values, operation="candles")


CASES = [
    Case(
        "PeakPolicyReloadFailed", "has a fault that is mended", [reloads("1x5 0x20 1x20")], {15: ("warning",)}, (8, 40)
    ),
    Case("PeakPolicyReloadFailed", "is saved twice in a minute", [reloads("1x5 0x2 1x20")], silent=(8, 20)),
    Case("PeakPolicyReloadFailed", "starts afresh", [reloads("_x5 1x20")], silent=(3, 20)),
    Case("PeakChaosActive", "is on until the restart", [chaos("0.02x10 stale")], {5: ("warning",)}, (20,)),
    Case("PeakChaosActive", "is set to nothing", [chaos("0x20")], silent=(10,)),
]
