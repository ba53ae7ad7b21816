"""Union types of events, by kind."""

from __future__ import annotations

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

BackupEvent = BackupFinished | RestoreFinished | BackupVerified
ExchangeEvent = RateLimited | KeyRefused | WriteUnanswered
OrderEvent = OrderSettled | OrderUnresolved
RetryEvent = RetryScheduled | GaveUp | Recovered | RetriesNested
LimitEvent = LimitReached | CallTimedOut
StreamEvent = StreamBroken | StreamResumed
SafetyEvent = TradingChanged | GuardTripped
StrategyEvent = HedgeFailed | PolicyReloaded
CallEvent = Transition | RetryEvent | LimitEvent | StrategyEvent
Event = (
    CallEvent | HealthChanged | BackupEvent | ExchangeEvent | OrderEvent | StreamEvent | SafetyEvent | NamesOverflowed
)
