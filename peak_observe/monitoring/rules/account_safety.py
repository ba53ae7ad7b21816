"""Alerts about what guards an account at the exchange: dead man's switch, single instance, API key, books."""

from __future__ import annotations

from peak_observe import catalog
from peak_observe.monitoring.rules.rule import (
    AT,
    COUNT,
    CRITICAL,
    MOMENT,
    SPAN,
    WARNING,
    Alert,
    Group,
    by_our_clock,
    last,
    twins,
)

_EXPIRES = catalog.DEADMAN_EXPIRES_TIMESTAMP_SECONDS
_KEY_LEFT = f"{last(catalog.EXCHANGE_KEY_EXPIRES_TIMESTAMP_SECONDS)} - time()"
_INTERVAL = last(catalog.RECONCILE_INTERVAL_SECONDS)
_SINCE = f"time() - {by_our_clock(last(catalog.RECONCILE_LAST_SUCCESS_TIMESTAMP_SECONDS))}"
_WITHDRAWS = last(catalog.EXCHANGE_KEY_PERMISSION, 'permission="withdraw"')
_DAY = 86_400

ACCOUNT_SAFETY = Group(
    "account safety",
    "peak-exchanges",
    (
        Alert(
            "PeakDeadManNotArmed",
            CRITICAL,
            f"{last(_EXPIRES)} == 0",
            "2m",
            "a dead man's switch was made and has never been armed",
            f"The dead man's switch of {AT} at {{{{ $labels.exchange }}}} is not armed.",
            "If the program hangs or dies now, its orders stand.",
            "No beat has reached the exchange yet: each failed, or the program's heartbeat has not been fresh so far.",
            "The beats by outcome: `failed` has the exchange's words in the log, `withheld` those of the heartbeat.",
            "Mend what the log says. Until then place no order that must not stand unwatched.",
            subject="exchange",
        ),
        Alert(
            "PeakDeadManFired",
            CRITICAL,
            # Not the last value of a target that is gone: a program that disarmed and ended did nothing wrong. And as
            # of its scrape: while Prometheus itself was away nobody saw the beats.
            f"{by_our_clock(f'{_EXPIRES.name} > 0')} < timestamp({_EXPIRES.name})",
            "1m",
            "a dead man's switch ran out while its program still runs",
            f"{{{{ $labels.exchange }}}} has cancelled the orders of {AT}.",
            f"Its dead man's switch ran out at {MOMENT}.",
            "The exchange had no beat for as long as was agreed, and has cancelled all orders of the account: the "
            "program hangs, or cannot reach the exchange. Positions stand, without the orders that protected them.",
            "The beats by outcome: `withheld` means that the program hangs, `failed` that the exchange did not answer.",
            "Look at the positions at the exchange and protect them by hand. Then restart the program, or mend the way "
            "to the exchange: the next beat arms the switch again.",
            keep="10m",
            subject="exchange",
        ),
        Alert(
            "PeakInstanceRefused",
            WARNING,
            f"increase({catalog.INSTANCE_REFUSED_TOTAL.name}[15m]) > 0",
            "0m",
            "a second copy of a program was refused",
            f"A second copy of {{{{ $labels.lock }}}} was started beside {AT}.",
            f"It was refused {COUNT} times within 15 minutes.",
            "Somebody, or a service manager, starts a program that runs already. It was refused before it could trade.",
            "Which unit, timer or terminal starts it? The refused copy names the process that runs.",
            "Stop what starts the second copy. If it was to replace the first one, end that one first.",
            keep="5m",
        ),
        Alert(
            "PeakInstanceLost",
            CRITICAL,
            f"{last(catalog.INSTANCE_HELD)} == 0",
            "0m",
            "the lock of a single instance was removed while its process runs",
            f"A second copy of {{{{ $labels.lock }}}} may start beside {AT}.",
            "Its lock file is gone or was replaced, so that nobody is refused any more.",
            "Somebody removed the lock file: a cleaning job, or a deployment that empties the folder.",
            "The folder of `PEAK_OBSERVE_DIR`: is it emptied by a timer? Does a second copy run?",
            "Keep the folder. Restart the program, which then holds a new lock.",
        ),
        *twins(
            Alert(
                "PeakExchangeKeyExpires",
                WARNING,
                f"({_KEY_LEFT}) < {14 * _DAY}",
                "5m",
                "an API key expires within 14 days",
                f"The key of {AT} at {{{{ $labels.exchange }}}} expires soon.",
                f"It expires in {SPAN}.",
                "The exchange, or `expires=` of the check, names a time after which the key trades no more.",
                "The exchange's page of API keys. A key that is bound to addresses lives longer at most exchanges.",
                "Make a new key, give it to the program, and remove the old one.",
                subject="exchange",
            ),
            expression=f"({_KEY_LEFT}) < {2 * _DAY}",
            when="within 2 days",
        ),
        Alert(
            "PeakExchangeKeyCanWithdraw",
            WARNING,
            f"{_WITHDRAWS} == 1",
            "0m",
            "an API key may withdraw",
            f"The key of {AT} at {{{{ $labels.exchange }}}} may withdraw.",
            "Whoever steals it can take the funds away.",
            "The key has a right that a trading program does not need.",
            "The exchange's page of API keys.",
            "Take the right away from the key. If the program does withdraw, bind its key to its address.",
            subject="exchange",
        ),
        Alert(
            "PeakBooksDiffer",
            CRITICAL,
            f"{last(catalog.RECONCILE_DIFFERENCES)} > 0",
            "0m",
            "the books of a program differ from the exchange's",
            f"The books of {AT} and {{{{ $labels.exchange }}}} differ ({{{{ $labels.kind }}}}).",
            f"Two looks agreed on {COUNT} differences.",
            "The program trades on wrong numbers. A foreign order may be one whose answer was lost, a missing one was "
            "cancelled or filled behind the program.",
            "The log line names the differences. Then orders, balances and positions at the exchange.",
            "Halt trading, cancel or take over what stands, and restart the program with books that are right.",
            keep="5m",
            subject="exchange",
        ),
        Alert(
            "PeakReconcileStale",
            WARNING,
            f"({_SINCE}) > 3 * {_INTERVAL} + 60",
            "2m",
            "a program could not compare its books for three intervals",
            f"The books of {AT} and {{{{ $labels.exchange }}}} are not compared.",
            f"The last comparison that worked was {SPAN} ago.",
            "Comparisons fail or hang, so nobody knows whether the program's numbers are right.",
            "The log line of the failure: does the exchange refuse to answer, or a function of the program's own?",
            "Mend what it names. `Reconciler.run()` tells at once whether it works.",
            subject="exchange",
        ),
    ),
    notes="They need what they watch: `DeadManSwitch`, `exclusive=True` or `only_one`, `checks.api_key`, `Reconciler`.",
)
