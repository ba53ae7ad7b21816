"""Order journal: an intended order is placed exactly once, or known not to be, through timeouts, crashes and restarts.

`protocol` holds the steps without input or output, `effects` carries them out for sync and async clients, and `store`
makes each step durable before the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from peak_observe.support.lazy_import import late

if TYPE_CHECKING:
    from peak_observe.exchange_client.order_journal.intent import Intent
    from peak_observe.exchange_client.order_journal.journal import OrderJournal
    from peak_observe.exchange_client.order_journal.lookup import OrderTimes

__all__ = ["Intent", "OrderJournal", "OrderTimes"]

# SQLite and what else a journal needs is loaded by programs that have one.
__getattr__ = late(__name__, {"Intent": "intent", "OrderJournal": "journal", "OrderTimes": "lookup"})
