"""Backup schedule: a thread of the program makes a backup whenever the newest good one is due."""

from __future__ import annotations

import inspect
import os
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, Self

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.support.redact import describe
from peak_observe.support.shown import shown, shown_time

if TYPE_CHECKING:
    from collections.abc import Callable

TEN_YEARS = 3652 * 86_400.0
MOST_JITTER = 0.5
LOOK_AGAIN = 60.0
"""Seconds after which the wall clock is looked at again: a wait does not notice that the machine slept or that its
clock was set."""


class Manager(Protocol):
    """Interface of a `RecoveryManager` as a schedule needs it."""

    @property
    def create_backup(self) -> Callable[..., Any]:
        """Make a backup; called with what the schedule hands on."""
        ...

    @property
    def last_success(self) -> Callable[..., datetime | None]:
        """Return when the newest good backup was made, aware; called with the arguments that begin with `include_`."""
        ...


class Offsite(Protocol):
    """Interface of an `OffsiteStore` as a schedule needs it."""

    def push(self) -> Any:
        """Send the newest good backup; one that is there already costs little."""
        ...


def due_in(last: datetime | None, now: datetime, every: float) -> float:
    """Return the seconds until the next run; 0.0 if it is due.

    Args:
        last: When the last one was; None if there was none. One in the future tells nothing, as a clock was wrong.
        now: The present.
        every: Seconds from one to the next.
    """
    if last is None or last > now:
        return 0.0
    return max(0.0, every - (now - last).total_seconds())


class BackupSchedule:
    """Schedule of backups: one is made whenever the newest good one is older than `every`.

    A run that raises, or after which there is no newer good backup, is tried again after a minute, then after two, four
    and so on up to `every`. A program that ends does not wait for it, and after a fork it runs in the parent only.

    Args:
        manager: The `RecoveryManager` whose `create_backup` is called.
        every: Seconds from one good backup to the next.
        offsite: The `OffsiteStore` that each good backup is sent to; a push that fails is tried again like a run.
        jitter: Share of `every` by which a run may be earlier, at random, so that many hosts do not write at once.
        clock: Where the time comes from.
        create: The arguments for `create_backup`.

    Raises:
        ValueError: `every` or `jitter` makes no sense.
    """

    def __init__(
        self,
        manager: Manager,
        *,
        every: float,
        offsite: Offsite | None = None,
        jitter: float = 0.1,
        clock: Clock = SYSTEM_CLOCK,
        **create: Any,
    ) -> None:
        _check("every", every, "more than 0 seconds and at most ten years", ok=lambda: 0 < every <= TEN_YEARS)
        _check("jitter", jitter, "a share of every from 0 to 0.5", ok=lambda: 0 <= jitter <= MOST_JITTER)
        _check_create(manager, create)
        self._manager = manager
        self._offsite = offsite
        self._push_tried: datetime | None = None
        self._push_failures = 0
        self._to_push = offsite is not None  # what the last process made may not have been sent
        self._every = every
        self._jitter = jitter
        self._clock = clock
        self._create = create
        self._include = {name: value for name, value in create.items() if name.startswith("include_")}
        self._renew()
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._woken = False
        self._interval = self._draw()
        self._tried: datetime | None = None
        self._failures = 0
        self._told = ""
        self._next_run: datetime | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether its thread lives; after a fork it does so only in the parent."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def next_run(self) -> datetime | None:
        """Time when the next run is due, or when the one under way was; None if it is not running."""
        return self._next_run if self.running else None

    def start(self) -> None:
        """Begin, with a run at once if one is due, whatever failed before; does nothing if it runs already."""
        if self._pid != os.getpid():
            self._renew()  # somebody may have held it at the fork
            self._pid = os.getpid()
        with self._lock:
            self._stopping = False
            if not self.running:
                self._tried, self._failures = None, 0
                self._thread = threading.Thread(target=self._keep_running, name="peak-observe-backup", daemon=True)
                self._thread.start()

    def _renew(self) -> None:
        # The lock is taken by itself: that of a condition is Python code, in which a handler of a signal may raise.
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)

    def stop(self, timeout: float | None = None) -> bool:
        """End, and wait for a run under way, unless it is that run itself that calls.

        Args:
            timeout: Seconds to wait at most; None waits as long as it takes.

        Returns:
            Whether it has ended; if not, it does so after the run.
        """
        thread = self._thread
        if thread is None or not thread.is_alive():
            return True
        with self._lock:
            self._stopping = True
            self._condition.notify_all()
        if thread is not threading.current_thread():
            thread.join(timeout)
        return not thread.is_alive()

    def wake(self) -> None:
        """Look at the clock and the newest backup now, and not only within the next minute."""
        if self.running:
            with self._lock:
                self._woken = True
                self._condition.notify_all()

    def _keep_running(self) -> None:
        wait = 0.0
        while self._goes_on_after(wait):
            wait = min(self._due(), LOOK_AGAIN)
            if wait == 0:
                self._run()
            if self._to_push and self._push_due() == 0:
                self._push()

    def _goes_on_after(self, seconds: float) -> bool:
        with self._lock:
            self._condition.wait_for(lambda: self._stopping or self._woken, seconds)
            self._woken = False
            if self._stopping:
                self._thread = None  # under the lock, so that start() knows whether this thread can go on
            return not self._stopping

    def _due(self) -> float:
        """Return the seconds until the next run.

        The time since the last try counts too: whatever the manager says of its last success, runs do not chase each
        other.
        """
        now = self._clock.now()
        pause = self._pause(self._failures)
        seconds = max(due_in(self._last(), now, self._interval), due_in(self._tried, now, pause))
        self._next_run = now + timedelta(seconds=seconds)
        return seconds

    def _pause(self, failures: int) -> float:
        return min(self._every, LOOK_AGAIN * 2.0 ** max(0, min(failures, 30) - 1))

    def _push_due(self) -> float:
        return due_in(self._push_tried, self._clock.now(), self._pause(self._push_failures))

    def _push(self) -> None:
        if self._offsite is None or self._last() is None:
            return
        try:
            self._offsite.push()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the next try may succeed
            self._push_tried = self._clock.now()
            self._push_failures += 1
            if self._push_failures == 1:
                _log("error", "a backup was not sent off-site and will be tried again: %s", describe(error))
            return
        if self._push_failures:
            _log("info", "backups are sent off-site again")
        self._push_tried, self._push_failures, self._to_push = None, 0, False

    def _last(self) -> datetime | None:
        try:
            found = self._manager.last_success(**self._include)
            return found and found.astimezone(UTC)
        except Exception:  # noqa: BLE001 - the run that is due then says why
            return None

    def _run(self) -> None:
        began, before = self._clock.now(), self._last()
        try:
            self._manager.create_backup(**self._create)
            if self._manager.last_success(**self._include) in (None, before):
                self._failed("the run made no good backup")
            else:
                self._succeeded(began)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the next try may succeed, also after a sys.exit()
            self._failed(describe(error))

    def _succeeded(self, began: datetime) -> None:
        if self._failures:
            _log("info", "backups are made again")
        self._tried, self._failures, self._told = began, 0, ""
        self._to_push, self._push_tried = self._offsite is not None, None
        self._interval = self._draw()

    def _failed(self, reason: str) -> None:
        self._tried = self._clock.now()
        self._failures += 1
        if reason != self._told:
            _log("error", "a backup failed and will be tried again: %s", reason)
        self._told = reason

    def _draw(self) -> float:
        share = self._jitter * random.random()  # noqa: S311 - to spread load, not to keep a secret
        return self._every * (1 - share)


def _log(level: str, message: str, *values: object) -> None:
    from peak_observe.support.loggers import logger

    getattr(logger("peak_observe.backup"), level)(message, *values)


def _check_create(manager: Manager, create: dict[str, Any]) -> None:
    """Raise now, not at the first backup, where `create_backup` does not take what is handed on to it."""
    if not callable(getattr(manager, "create_backup", None)):
        raise TypeError(f"manager must be a RecoveryManager, not {shown(manager)}")
    try:
        inspect.signature(manager.create_backup).bind_partial(**create)
    except TypeError as error:
        known = ", ".join(inspect.signature(manager.create_backup).parameters)
        raise TypeError(f"BackupSchedule hands on to create_backup: {error}; that takes {known}") from None


def _check(name: str, value: object, rule: str, *, ok: Callable[[], bool]) -> None:
    """Raise ValueError unless `value` is a number of which `ok` holds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not ok():
        raise ValueError(f"{name} must be {rule}, not {shown_time(value)}")
