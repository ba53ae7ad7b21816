"""Order journal: the file of intents, as a program opens it and gives it to its clients."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import OrderJournalError
from peak_observe.exchange_client.order_journal.intent import (
    CLOSED,
    INTENDED,
    PENDING,
    REFUSED,
    UNSETTLED,
    OrderIntent,
    check_key,
)
from peak_observe.exchange_client.order_journal.key_lock import KeyLocks
from peak_observe.exchange_client.order_journal.lookup import OrderTimes
from peak_observe.exchange_client.order_journal.store import Store
from peak_observe.support.durations import seconds as seconds_of
from peak_observe.support.keywords import check_keywords
from peak_observe.support.shown import shown


class OrderJournal:
    """Journal of intended orders in a SQLite file (WAL, synchronous=FULL), for any number of threads and processes.

    Given to clients of any exchanges it makes their `submit` place each order at most once. It holds no keys.

    Args:
        path: The file; made if there is none. On a local disk: SQLite's WAL does not work on network shares.
        times: Times by ccxt's id of the exchange, in place of those documented.

    Raises:
        OrderJournalError: The file cannot be used; the message gives the reason and the mend.
        TypeError: `path` is no path, or `times` holds something else than `OrderTimes`.
    """

    @check_keywords()
    def __init__(self, path: str | os.PathLike[str], *, times: Mapping[str, OrderTimes] | None = None) -> None:
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise TypeError(f"path must be that of a file, such as 'orders.sqlite', not {shown(path)}")
        if not isinstance(times, Mapping | None):
            raise TypeError(f'times must be times by exchange, {{"kraken": OrderTimes(...)}}, not {shown(times)}')
        for exchange, given in (times or {}).items():
            if not isinstance(given, OrderTimes):
                raise TypeError(f"times of {exchange!r} must be OrderTimes(...), not {type(given).__name__}")
        self.times = dict(times or {})
        self.store = Store(path)

    @property
    def path(self) -> Path:
        """The file."""
        return self.store.path

    def pending(self, exchange: str | None = None) -> list[OrderIntent]:
        """Return the orders that are not settled (intended, sent, unknown), oldest first.

        Args:
            exchange: The name of the client whose orders are wanted; of all clients if not given.
        """
        return self.store.select(PENDING, exchange)

    def find(self, key: str) -> OrderIntent | None:
        """Return what is known of the order of a key, None if there is none.

        Raises:
            ValueError: No order can have such a key.
        """
        return self.store.find(check_key(key))

    def resolve(self, key: str, state: Literal["closed", "refused"], *, reason: str = "by hand") -> OrderIntent:
        """Settle by hand an order that nothing can be found out about any more.

        Args:
            key: Its key.
            state: `closed` if it stood, `refused` if it did not; its key is used up either way.
            reason: Why, for those who read the journal.

        Raises:
            LookupError: There is no such order.
            ValueError: It is settled already, or the state is another.
            OrderJournalError: A process is working on it.
        """
        intent = self.find(key)
        if intent is None:
            raise LookupError(f"the journal has no order {key!r}")
        if state not in (CLOSED, REFUSED) or (
            intent.state not in UNSETTLED and (intent.state, state) != (INTENDED, REFUSED)
        ):
            raise ValueError(f"the order {key!r} is {intent.state} and cannot be resolved as {state!r}")
        hold = self.locks().hold(intent.id)
        if not hold:
            raise OrderJournalError(str(self.path), f"a process is working on the order {key!r}: let it end")
        try:
            now = SYSTEM_CLOCK.now().timestamp()
            return self.store.change([(intent, {"state": state, "reason": reason, "updated_at": now})])[0]
        finally:
            hold.free()

    def prune(self, max_age: float | str) -> int:
        """Remove settled orders (closed, refused) and return how many; their keys would be new orders again.

        Args:
            max_age: How long ago their last step was, at least, in seconds or as `30d`.
        """
        before = SYSTEM_CLOCK.now().timestamp() - seconds_of(max_age)
        return self.store.remove((CLOSED, REFUSED), before)

    def locks(self) -> KeyLocks:
        """Return the locks of its orders, in a file beside it."""
        path = self.path.with_name(f"{self.path.name}.lock")
        try:
            return KeyLocks.of(path)
        except OSError as error:
            raise OrderJournalError(str(path), f"cannot be opened: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<OrderJournal {str(self.path)!r}>"
