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
    from peak_observe.events.retries import GaveUp, Recovered, RetriesNested, RetryScheduled
    from peak_observe.events.strategies import HedgeFailed, PolicyReloaded
    from peak_observe.events.streams import StreamBroken, StreamResumed
    from peak_observe.events.transitions import Transition
    from peak_observe.events.unions import (
        BackupEvent,
        CallEvent,
        Event,
        ExchangeEvent,
        LimitEvent,
        RetryEvent,
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
    "HealthChanged",
    "HedgeFailed",
    "KeyRefused",
    "LimitEvent",
    "LimitReached",
    "NamesOverflowed",
    "PolicyReloaded",
    "RateLimited",
    "Recovered",
    "RestoreFinished",
    "RetriesNested",
    "RetryEvent",
    "RetryScheduled",
    "StrategyEvent",
    "StreamBroken",
    "StreamEvent",
    "StreamResumed",
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
    "HealthChanged": "checks",
    "HedgeFailed": "strategies",
    "KeyRefused": "exchange",
    "LimitEvent": "unions",
    "LimitReached": "limits",
    "NamesOverflowed": "names",
    "PolicyReloaded": "strategies",
    "RateLimited": "exchange",
    "Recovered": "retries",
    "RestoreFinished": "backups",
    "RetriesNested": "retries",
    "RetryEvent": "unions",
    "RetryScheduled": "retries",
    "StrategyEvent": "unions",
    "StreamBroken": "streams",
    "StreamEvent": "unions",
    "StreamResumed": "streams",
    "Transition": "transitions",
    "WriteUnanswered": "exchange",
}

__getattr__ = late(__name__, _LATE)
