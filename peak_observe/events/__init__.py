"""Events: rare facts as frozen records, one module per room; `observers` receive them.

A successful call is a count, not an event. The records are named tuples, not dataclasses, whose import alone would take
a third of the time that the whole package may take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.events.backups import BackupFinished, BackupVerified, RestoreFinished
    from peak_observe.events.checks import HealthChanged
    from peak_observe.events.exchange import KeyRefused, RateLimited, WriteUnanswered
    from peak_observe.events.limits import CallTimedOut, LimitReached
    from peak_observe.events.names import NamesOverflowed
    from peak_observe.events.orders import OrderSettled, OrderUnresolved
    from peak_observe.events.retries import GaveUp, Recovered, RetriesNested, RetryScheduled
    from peak_observe.events.safety import GuardTripped, TradingChanged
    from peak_observe.events.strategies import HedgeFailed, PolicyReloaded
    from peak_observe.events.streams import StreamBroken, StreamResumed
    from peak_observe.events.transitions import Transition
    from peak_observe.events.unions import (
        BackupEvent,
        CallEvent,
        Event,
        ExchangeEvent,
        LimitEvent,
        OrderEvent,
        RetryEvent,
        SafetyEvent,
        StrategyEvent,
        StreamEvent,
    )

__all__ = [
    "BackupEvent",
    "BackupFinished",
    "BackupVerified",
    "CallEvent",
    "CallTimedOut",
    "Event",
    "ExchangeEvent",
    "GaveUp",
    "GuardTripped",
    "HealthChanged",
    "HedgeFailed",
    "KeyRefused",
    "LimitEvent",
    "LimitReached",
    "NamesOverflowed",
    "OrderEvent",
    "OrderSettled",
    "OrderUnresolved",
    "PolicyReloaded",
    "RateLimited",
    "Recovered",
    "RestoreFinished",
    "RetriesNested",
    "RetryEvent",
    "RetryScheduled",
    "SafetyEvent",
    "StrategyEvent",
    "StreamBroken",
    "StreamEvent",
    "StreamResumed",
    "TradingChanged",
    "Transition",
    "WriteUnanswered",
]

# What few programs need is made when it is first used: each record costs the start half a millisecond.
_LATE = {
    "BackupEvent": "unions",
    "BackupFinished": "backups",
    "BackupVerified": "backups",
    "CallEvent": "unions",
    "CallTimedOut": "limits",
    "Event": "unions",
    "ExchangeEvent": "unions",
    "GaveUp": "retries",
    "GuardTripped": "safety",
    "HealthChanged": "checks",
    "HedgeFailed": "strategies",
    "KeyRefused": "exchange",
    "LimitEvent": "unions",
    "LimitReached": "limits",
    "NamesOverflowed": "names",
    "OrderEvent": "unions",
    "OrderSettled": "orders",
    "OrderUnresolved": "orders",
    "PolicyReloaded": "strategies",
    "RateLimited": "exchange",
    "Recovered": "retries",
    "RestoreFinished": "backups",
    "RetriesNested": "retries",
    "RetryEvent": "unions",
    "RetryScheduled": "retries",
    "SafetyEvent": "unions",
    "StrategyEvent": "unions",
    "TradingChanged": "safety",
    "StreamBroken": "streams",
    "StreamEvent": "unions",
    "StreamResumed": "streams",
    "Transition": "transitions",
    "WriteUnanswered": "exchange",
}

__getattr__ = late(__name__, _LATE)
