"""Alerts about policies that follow their file, and about chaos."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import AT, SHARE, WARNING, Alert, Group, last

POLICIES = Group(
    "policies",
    "peak-breakers",
    (
        Alert(
            "PeakPolicyReloadFailed",
            WARNING,
            f"{last(catalog.POLICY_RELOAD_SUCCESS)} == 0",
            "5m",
            "the file of a policy has a fault, so that its settings are older",
            f"Policy {{{{ $labels.policy }}}} of {AT} does not take its file over.",
            "The file has been invalid for 5 minutes; the policy works with the settings from before.",
            "A program follows the file of a policy, whose last change has a fault. Nothing of it was taken over.",
            "The log line `policy '…' keeps its settings` names file, key and mend.",
            "Mend the file, it is read again by itself. Where the line asks for a restart, the change waits for that.",
            subject="policy",
        ),
        Alert(
            "PeakChaosActive",
            WARNING,
            f"{last(catalog.CHAOS_RATIO)} > 0",
            "0m",
            "calls are disturbed on purpose",
            f"Operation {{{{ $labels.operation }}}} of {AT} is disturbed on purpose.",
            f"{SHARE} of its calls are late or fail, as PEAK_OBSERVE_CHAOS=1 says.",
            "Chaos is switched on, which is meant for testnets and paper trading.",
            "Is this a machine that trades? On a testnet route this alert to nobody.",
            "Take PEAK_OBSERVE_CHAOS out of the environment and restart the program.",
            subject="operation",
        ),
    ),
    every="1m",
)
