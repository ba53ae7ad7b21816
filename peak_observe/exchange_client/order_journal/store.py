"""SQLite file of the journal: each step is on the disk before the next one is made."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from peak_observe.catalog import ORDER_STATES
from peak_observe.errors import OrderJournalError
from peak_observe.exchange_client.order_journal.intent import PENDING, UNSETTLED, OrderIntent
from peak_observe.support.atomic_files import create_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

APPLICATION = 0x504F4F4A
"""SQLite's application id of a journal: "POOJ"."""

SCHEMA = 1
_INHERITED: list[sqlite3.Connection] = []
"""Connections of parent processes, which must neither be used nor closed in one that was forked."""

_BUSY = 5.0
"""Seconds that a step waits for another process's."""

_PAUSE = 0.01
_BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

_TABLE = """
CREATE TABLE intents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, exchange TEXT NOT NULL, exchange_id TEXT NOT NULL,
    symbol TEXT NOT NULL, type TEXT NOT NULL, side TEXT NOT NULL, text TEXT NOT NULL, fingerprint TEXT NOT NULL,
    client_order_id TEXT NOT NULL, look_up TEXT NOT NULL, conditional INTEGER NOT NULL, state TEXT NOT NULL,
    created_at REAL NOT NULL, updated_at REAL NOT NULL, sends INTEGER NOT NULL DEFAULT 0, sent_at REAL,
    sent_monotonic REAL, boot TEXT NOT NULL DEFAULT '', deadline REAL NOT NULL DEFAULT 0,
    stands INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', "order" TEXT
) STRICT
"""
_INDEX = "CREATE INDEX unsettled ON intents (exchange, state) WHERE state NOT IN ('closed', 'refused')"
_COLUMNS = tuple(field.name for field in fields(OrderIntent))
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_SELECT = f"SELECT {_NAMES} FROM intents"  # noqa: S608 - names of our own columns
_JSON = ("look_up", "order")
_FLAGS = ("conditional", "stands")


class Store:
    """Intents in one SQLite file, for any number of threads and processes.

    Args:
        path: The file; made with its schema if there is none.

    Raises:
        OrderJournalError: It cannot be opened, or is no journal of this version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0
        with self._transaction():
            pass

    def add(self, intent: OrderIntent) -> OrderIntent:
        """Return the intent of a key, which is the one given if there was none."""
        values = {name: _encoded(name, getattr(intent, name)) for name in _COLUMNS if name != "id"}
        names = ", ".join(f'"{name}"' for name in values)
        insert = f"INSERT INTO intents ({names}) VALUES ({_marks(values)}) ON CONFLICT (key) DO NOTHING"  # noqa: S608 - see above
        with self._transaction() as connection:
            connection.execute(insert, tuple(values.values()))
            return self._intent(connection.execute(f"{_SELECT} WHERE key = ?", (intent.key,)).fetchone())

    def find(self, key: str) -> OrderIntent | None:
        """Return the intent of a key, None if there is none."""
        with self._reading() as connection:
            row = connection.execute(f"{_SELECT} WHERE key = ?", (key,)).fetchone()
        return self._intent(row) if row else None

    def change(self, changes: Iterable[tuple[OrderIntent, dict[str, Any]]]) -> list[OrderIntent]:
        """Return intents with some facts replaced, all of them on the disk together.

        Raises:
            OrderJournalError: Another process changed one of them meanwhile.
        """
        with self._transaction() as connection:
            return [self._changed(connection, intent, facts) for intent, facts in changes]

    def _changed(self, connection: sqlite3.Connection, intent: OrderIntent, facts: dict[str, Any]) -> OrderIntent:
        values = {name: _encoded(name, value) for name, value in facts.items()}
        names = ", ".join(f'"{name}" = ?' for name in values)
        update = f"UPDATE intents SET {names} WHERE id = ? AND state = ? AND sends = ?"  # noqa: S608 - see above
        done = connection.execute(update, (*values.values(), intent.id, intent.state, intent.sends))
        if done.rowcount != 1:
            raise OrderJournalError(
                str(self.path), f"the order {intent.key!r} was changed meanwhile by another process"
            )
        return self._intent(connection.execute(f"{_SELECT} WHERE id = ?", (intent.id,)).fetchone())

    def select(self, states: Iterable[str], exchange: str | None = None) -> list[OrderIntent]:
        """Return the intents in some states, oldest first, of one exchange or of all."""
        wanted = tuple(states)
        where = f"state IN ({_marks(wanted)}) AND (? IS NULL OR exchange = ?)"
        with self._reading() as connection:
            rows = connection.execute(f"{_SELECT} WHERE {where} ORDER BY id", (*wanted, exchange, exchange)).fetchall()
        return [self._intent(row) for row in rows]

    def pending(self, exchange: str) -> tuple[int, float | None]:
        """Return how many orders of an exchange are pending, and since when the oldest of unknown fate is."""
        since = f"MIN(CASE WHEN state IN ({_marks(UNSETTLED)}) THEN created_at END)"
        query = f"SELECT COUNT(*), {since} FROM intents WHERE exchange = ? AND state IN ({_marks(PENDING)})"  # noqa: S608 - marks
        with self._reading() as connection:
            count, oldest = connection.execute(query, (*UNSETTLED, exchange, *PENDING)).fetchone()
        return int(count), oldest

    def remove(self, states: Iterable[str], before: float) -> int:
        """Remove intents in some states whose last step was before a Unix time; return how many."""
        wanted = tuple(states)
        query = f"DELETE FROM intents WHERE state IN ({_marks(wanted)}) AND updated_at < ?"  # noqa: S608 - marks
        with self._transaction() as connection:
            return connection.execute(query, (*wanted, before)).rowcount

    def close(self) -> None:
        """Close the file; a later step opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None and self._pid == os.getpid():
                connection.close()
            elif connection is not None:
                _INHERITED.append(connection)

    def _intent(self, row: tuple[Any, ...]) -> OrderIntent:
        try:
            return _intent(row)
        except (ValueError, TypeError) as error:
            problem = (
                f"has a damaged order {row[_COLUMNS.index('key')]!r}: restore it from a backup, then call reconcile()"
            )
            raise OrderJournalError(str(self.path), problem) from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            yield self._opened()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            connection = self._opened()
            with _atomic(connection, "BEGIN IMMEDIATE"):
                yield connection

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._pid != os.getpid():
            _INHERITED.append(self._connection)
            self._connection = None
        if self._connection is None:
            self._connection = self._connect()
            self._pid = os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            # Before SQLite, which would let others read it; and never opened here, as to close a descriptor of a
            # database takes away the locks that another thread's connection has on it.
            create_file(self.path.resolve(), b"", private=True)
        deadline = time.monotonic() + _BUSY
        while True:
            connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException as error:
                connection.close()
                if not _is_busy(error) or time.monotonic() >= deadline:
                    raise
            else:
                return connection
            time.sleep(_PAUSE)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        with _atomic(connection, "BEGIN"):  # which takes no lock on another program's database
            self._check(connection)
        # SQLite refuses this at once, without waiting, where several processes do it at a time.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        with _atomic(connection, "BEGIN IMMEDIATE"):
            if self._check(connection):
                connection.execute(_TABLE)
                connection.execute(_INDEX)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {SCHEMA}")

    def _check(self, connection: sqlite3.Connection) -> bool:
        """Return whether the database is empty, by one state of it: another process may be making its tables."""
        application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
        tables = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]
        if application != APPLICATION and (application or version or tables):
            raise OrderJournalError(str(self.path), "is another program's database: name a file of its own")
        if application == APPLICATION and version != SCHEMA:
            age = "a newer" if version > SCHEMA else "an older"
            mend = "update peak-observe" if version > SCHEMA else "settle its orders with the version that made it"
            raise OrderJournalError(
                str(self.path), f"was made by {age} version of peak_observe (schema {version}, not {SCHEMA}): {mend}"
            )
        return application != APPLICATION

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise OrderJournalError(str(self.path), _problem(error)) from error


@contextmanager
def _atomic(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.Error) and (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _BUSY_CODES


def _marks(values: Collection[Any]) -> str:
    return ", ".join("?" * len(values))


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


# SQLite's primary codes, with what to do about each.
_PROBLEMS = {
    sqlite3.SQLITE_BUSY: f"is locked by another program for more than {_BUSY:g} s: let that one end",
    sqlite3.SQLITE_PROTOCOL: f"is locked by other programs for more than {_BUSY:g} s: let them end",
    sqlite3.SQLITE_LOCKED: f"is locked by another program for more than {_BUSY:g} s: let that one end",
    sqlite3.SQLITE_FULL: "cannot grow, as the disk is full: make room",
    sqlite3.SQLITE_READONLY: "is read-only: give this user the right to write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: the folder must exist, and this user may write there",
    sqlite3.SQLITE_NOTADB: "is no SQLite database: name another file, or restore it from a backup",
    sqlite3.SQLITE_CORRUPT: "is corrupt: restore it from a backup, then call reconcile() before the next order",
    sqlite3.SQLITE_IOERR: "cannot be read or written, the disk reports an error",
}


def _problem(error: sqlite3.Error | OSError) -> str:
    if isinstance(error, OSError):
        return f"cannot be opened: {error.strerror or error}"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return _PROBLEMS.get(code, f"cannot be used: {error}")


def _encoded(name: str, value: Any) -> Any:
    if name in _JSON:
        return None if value is None else json.dumps(value, default=str)
    return int(value) if name in _FLAGS else value


def _intent(row: tuple[Any, ...]) -> OrderIntent:
    facts = dict(zip(_COLUMNS, row, strict=True))
    for name in _JSON:
        facts[name] = facts[name] and json.loads(facts[name])
    for name in _FLAGS:
        facts[name] = bool(facts[name])
    if facts["state"] not in ORDER_STATES:
        raise ValueError(facts["state"])
    return OrderIntent(**{**facts, "look_up": facts["look_up"] or {}})
