"""Order journal: an intended order is placed exactly once, or known not to be, through timeouts, crashes and restarts.

`protocol` and `settlement` hold the steps without input or output, `effects` carries them out for sync and async
clients, and `store` makes each step durable before the next one.
"""

from peak_observe.exchange_client.order_journal.intent import OrderIntent
from peak_observe.exchange_client.order_journal.journal import OrderJournal
from peak_observe.exchange_client.order_journal.lookup import OrderTimes

__all__ = ["OrderIntent", "OrderJournal", "OrderTimes"]
