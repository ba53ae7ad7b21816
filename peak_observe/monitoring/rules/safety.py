"""Alerts about trading switches and their guards."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import AT, CRITICAL, LOOK, NO, SHARE, WARNING, Alert, Group, last

SAFETY = Group(
    "safety",
    "peak-exchanges",
    (
        Alert(
            "PeakTradingHalted",
            WARNING,
            f"{last(catalog.TRADING_REASON)} == 1",
            "0m",
            "somebody, or a guard, has halted trading or reduced it",
            f"Trading {{{{ $labels.switch }}}} of {AT} is stopped.",
            "{{ $labels.reason }}.",
            "The trading switch is halted, so that bots send nothing but cancels, or reduced, so that they only close.",
            "`peak-observe trading status` says since when and by whom; the file NAME.log beside the switch says all "
            "that was done.",
            "When the reason is gone: `peak-observe trading resume NAME --reason …`. A file that cannot be read is "
            "written anew by that.",
            verdict=NO,
        ),
        Alert(
            "PeakGuardTripped",
            CRITICAL,
            f"sum without (reason) (increase({catalog.GUARD_TRIPS_TOTAL.name}[10m])) > 0",
            "0m",
            "a limit of a guard was exceeded within 10 minutes",
            f"Guard {{{{ $labels.guard }}}} of {AT} has tripped.",
            "Orders or losses exceeded one of its limits; the log names the limit and what was seen.",
            "A bot sent more, or lost more, than its owner allows. The guard halted it, or only reports it.",
            "`peak_guard_trips_total` by `reason` says which limit; then the open orders and positions of the account.",
            "Find out why before you resume: a bot that loops goes on where it was.",
            keep="5m",
            verdict=LOOK,  # whether trading is stopped now is what the switch says
        ),
        Alert(
            "PeakGuardNear",
            WARNING,
            f"1 - {last(catalog.GUARD_HEADROOM_RATIO)} > 0.8",
            "1m",
            "more than 80 % of a guard's tightest limit is used",
            f"Guard {{{{ $labels.guard }}}} of {AT} is about to trip.",
            f"{SHARE} of its tightest limit is used.",
            "Orders or losses come near to a limit, beyond which the guard halts trading.",
            "The headroom of the guard, the equity and the drawdown of the account: sudden, or for days?",
            "If it is meant to be so, raise the limit; else stop the bot in good order before the guard does.",
            keep="5m",
        ),
    ),
)
