"""Shared state: what joins circuits, holds and rate limits of many processes and hosts."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, NoReturn, Self

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.coordination import records, urls
from peak_observe.coordination.circuit import SharedCircuit, fit
from peak_observe.coordination.engine import EngineError, SharedPicture
from peak_observe.coordination.names import key_of
from peak_observe.coordination.session import Session
from peak_observe.coordination.shared_records import SharedRecords
from peak_observe.coordination.shared_windows import SharedWindows
from peak_observe.coordination.turns import SharedTurns
from peak_observe.errors import SharedStateError
from peak_observe.measures import SHARED
from peak_observe.support.keywords import check_keywords
from peak_observe.support.shown import shown

LONGEST_TIMEOUT = 5.0
LONGEST_OVERRIDE = 366 * 86_400.0
"""Seconds that a hold, or a circuit opened by hand, lasts at most."""
HIGHEST_NONCE = 2**62


class Shared:
    """State that circuits, holds and rate limits of many processes share.

    It connects when something joins it, in daemon threads of its own; a process that never calls a failing service
    sends a sign of life a second. Where the server or file is dead, slow or hung, no call waits longer than one
    `timeout`, and each process goes on alone: with its own circuits, and with its part of each rate limit.

    Args:
        url: `host`: a file in the folder of `PEAK_OBSERVE_DIR`, or in the user's folder for temporary files;
            `file:///path`; or `redis://`, `rediss://` or `unix://` of a Redis or Valkey server, with the extra
            `shared`; or `redis+sentinel://host,host/mymaster/0` or `redis+cluster://host,host` of several.
        namespace: Name of the group of processes that share; also the label value of the metrics.
        scope: The egress address, or the account, that an exchange bans; holds are shared by those of one scope.
        timeout: Seconds that a call waits for the server or file at most.
        lease: Seconds after which the probe of a process that died is given to another one.
        margin: Seconds by which the window of a shared rate limit is longer than asked, for calls that are late.
        close_spread: Seconds within which the other processes close after a successful probe.
        quorum: Hosts that have to see a circuit open before it is open for all.
        clock: Source of the time of circuits and holds; for tests.

    Raises:
        MissingExtraError: The URL is that of a server, and the extra `shared` is not installed.
        ValueError: An argument is invalid; the message names it.
    """

    @check_keywords()
    def __init__(
        self,
        url: str = urls.HOST,
        *,
        namespace: str = "peak-observe",
        scope: str = "",
        timeout: float = 0.05,
        lease: float = 2.0,
        margin: float = 0.05,
        close_spread: float = 0.5,
        quorum: int = 1,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        urls.check_namespace(namespace)
        _check_range("timeout", timeout, 0.001, LONGEST_TIMEOUT)
        _check_range("lease", lease, 0.1, 3600.0)
        _check_range("margin", margin, 0.0, 60.0)
        _check_range("close_spread", close_spread, 0.0, 60.0)
        if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= 1000:  # noqa: PLR2004 - hosts
            raise ValueError(f"quorum must be a number of hosts from 1 to 1000, not {shown(quorum)}")
        if not isinstance(scope, str):
            raise ValueError(f"scope must be a string, not {shown(scope)}")  # noqa: TRY004 - as for all settings
        self.namespace = namespace
        self.scope = scope
        self._lease, self._margin, self._close_spread = lease, margin, close_spread
        engine = urls.build_engine(url, namespace=namespace, timeout=timeout, quorum=quorum, clock=clock)
        self.address = urls.address(url)
        self._session = Session(
            engine,
            member=f"{socket.gethostname()[:40]}:{os.getpid()}",
            timeout=timeout,
            clock=clock,
            label=f"{namespace!r} at {self.address}",
        )
        SHARED.series(namespace).join(self, self._session.tally.read)

    @property
    def is_up(self) -> bool:
        """Whether the server or file is reachable; if not, this process decides alone."""
        return self._session.up

    @property
    def members(self) -> int:
        """Number of processes that take part, as far as this one knows."""
        return self._session.members

    def join(self, name: str, controller: Any) -> SharedCircuit:
        """Let the circuit of a name take part; `CircuitBreaker(shared=…)` calls it.

        Raises:
            SharedStateError: The server or file refuses: a wrong password, a missing right, a wrong file.
        """
        link = SharedCircuit(
            self._session, key_of(name), controller, lease=self._lease, close_spread=self._close_spread
        )
        self._refused(lambda: self._session.join(link))
        return link

    def turns(self, name: str) -> SharedTurns:
        """Return the reservations of the rate limit of a name; `rate_limit(shared=…)` calls it.

        Raises:
            SharedStateError: The server or file refuses.
        """
        self._refused(self._session.start)
        return SharedTurns(self._session, key_of(name), self._margin)

    def window_turns(self, name: str) -> SharedWindows:
        """Return the reservations in windows of the rate limit of a name; `rate_limit(shared=…)` calls it.

        Raises:
            SharedStateError: The server or file refuses.
        """
        self._refused(self._session.start)
        return SharedWindows(self._session, key_of(name), self._margin)

    def exchange_turns(self, exchange: str) -> SharedTurns:
        """Return the reservations of the rate limit of an exchange, for those of one scope; a client calls it.

        Raises:
            SharedStateError: The server or file refuses.
        """
        self._refused(self._session.start)
        return SharedTurns(self._session, self._scoped(f"exchange {exchange}"), self._margin)

    def hold(self, name: str, seconds: float, reason: str = "") -> None:
        """Have nobody of this scope ask an exchange for some seconds; a longer hold stays.

        Args:
            name: The exchange.
            seconds: How long.
            reason: Why, in words.

        Raises:
            ValueError: An argument is invalid; the message names it.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not (seconds > 0 or seconds <= 0):
            raise ValueError(f"seconds must be a number, not {shown(seconds)}")
        if not isinstance(reason, str):
            raise ValueError(f"reason must be text, not {shown(reason)}")  # noqa: TRY004 - as for all settings
        if seconds > 0:
            self._session.hold(self._scoped(name), float(min(seconds, LONGEST_OVERRIDE)), fit(reason))

    def watch_hold(self, watcher: Any, name: str, told: Callable[[Any, float, str], object]) -> None:
        """Call `told(watcher, seconds, reason)` for each hold of an exchange, while the watcher lives.

        Raises:
            SharedStateError: The server or file refuses.
        """
        self._refused(lambda: self._session.watch_hold(watcher, self._scoped(name), told))

    def records(self) -> SharedRecords:
        """Return the records by name; switches and single instances of several hosts are kept in them.

        Raises:
            SharedStateError: The server or file refuses.
        """
        self._refused(self._session.start)
        return SharedRecords(self._session, self.address)

    def nonce(self, name: str, *, least: int) -> int:
        """Return a number that is higher than all that any process got for a name; clients sign requests with it.

        It blocks for one `timeout` at most. While the server or file is away, it is higher than all that this process
        knows of.

        Args:
            name: What the numbers are for, such as an API key; it is stored as a hash.
            least: The number that the caller would take on its own, such as the milliseconds of its clock.

        Raises:
            SharedStateError: The server or file refuses.
            ValueError: `least` is no integer from 0 to 2**62.
        """
        if isinstance(least, bool) or not isinstance(least, int) or not 0 <= least <= HIGHEST_NONCE:
            raise ValueError(f"least must be an integer from 0 to 2**62, not {shown(least)}")
        self._refused(self._session.start)
        return self._session.nonces.after(_digest(name), least)

    def picture(self) -> SharedPicture:
        """Return all that is shared at this moment: circuits, holds and how many take part.

        Raises:
            SharedStateError: The server or file cannot be reached, or refuses; the message says how to mend that.
        """
        try:
            return self._session.engine.sync(self._session.member)
        except EngineError as error:
            raise SharedStateError(self.address, str(error)) from None

    def force_open(self, name: str, *, for_seconds: float | None = None) -> None:
        """Open a circuit in all processes until `reset`, or for some seconds.

        Raises:
            SharedStateError: The server or file cannot be reached.
        """
        if for_seconds is not None:
            _check_range("for_seconds", for_seconds, 0.001, LONGEST_OVERRIDE)
        seconds = float("inf") if for_seconds is None else float(for_seconds)
        self._override(name, records.FORCED_OPEN, seconds)

    def reset(self, name: str) -> None:
        """Close a circuit in all processes.

        Raises:
            SharedStateError: The server or file cannot be reached.
        """
        self._override(name, records.CLOSED, 0.0)

    def flush(self, timeout: float = 4.0) -> bool:
        """Wait until this process has sent its changes and received those of others; for tests and exits.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether both ended in time.
        """
        return self._session.flush(timeout)

    def close(self) -> None:
        """End the threads and close the connections; what was joined goes on alone."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} has threads and connections and cannot be sent to another process: make one there")

    def __repr__(self) -> str:
        return f"<Shared {self.namespace!r} at {self.address} {'up' if self.is_up else 'alone'}>"

    def _scoped(self, name: str) -> str:
        return key_of(f"{name}@{self.scope}" if self.scope and name else name)

    def _override(self, name: str, state: str, seconds: float) -> None:
        by = self._session.member
        try:
            self._session.engine.override(key_of(name), state=state, seconds=seconds, by=by, reason="by hand")
        except EngineError as error:
            raise SharedStateError(self.address, str(error)) from None

    def _refused(self, start: Callable[[], object]) -> None:
        try:
            start()
        except EngineError as error:
            raise SharedStateError(self.address, str(error)) from None


def _digest(name: str) -> str:
    import hashlib

    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16, person=b"nonce").hexdigest()


def _check_range(name: str, value: object, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} must be a number of seconds from {least:g} to {most:g}, not {shown(value)}")
