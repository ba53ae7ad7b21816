"""ccxt without surprises: a resilient client for any exchange, and measuring for ccxt objects that exist already."""

from peak_observe.errors import HeldBackError, OrderJournalError, OrderKeyConflict, OrderNotPlaced, OutcomeUnknown
from peak_observe.exchange_client.classify import Verdict
from peak_observe.exchange_client.client import AsyncResilientExchangeClient, ResilientExchangeClient
from peak_observe.exchange_client.instrumentation import instrument, uninstrument
from peak_observe.exchange_client.order_journal import OrderIntent, OrderJournal, OrderTimes
from peak_observe.exchange_client.outcome import outcome_of

__all__ = [
    "AsyncResilientExchangeClient",
    "HeldBackError",
    "OrderIntent",
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
