"""ccxt without surprises: a resilient client for any exchange, and measuring for ccxt objects that exist already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.errors import HeldBackError, OrderJournalError, OrderKeyConflict, OrderNotPlaced, OutcomeUnknown
from peak_observe.exchange_client.classify import Verdict
from peak_observe.exchange_client.client import AsyncResilientExchangeClient, ResilientExchangeClient
from peak_observe.exchange_client.instrumentation import instrument, uninstrument
from peak_observe.exchange_client.outcome import outcome_of
from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.exchange_client.order_journal import Intent, OrderJournal, OrderTimes

__all__ = [
    "AsyncResilientExchangeClient",
    "HeldBackError",
    "Intent",
    "OrderJournal",
    "OrderJournalError",
    "OrderKeyConflict",
    "OrderNotPlaced",
    "OrderTimes",
    "OutcomeUnknown",
    "ResilientExchangeClient",
    "Verdict",
    "instrument",
    "outcome_of",
    "uninstrument",
]

_JOURNAL = ("Intent", "OrderJournal", "OrderTimes")
__getattr__ = late(__name__, dict.fromkeys(_JOURNAL, "order_journal"))
