"""Thread-safe rate limit: adds lock, clock, waiting, pauses, priority classes and counts to the limiters."""

from __future__ import annotations

import math
import threading
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.errors import DeadlineExceededError, RateLimitedError
from peak_observe.measures import LIMITERS, RateLimitReading
from peak_observe.measures.forks import renew
from peak_observe.resilience.common.event_loop import BlockingWarning
from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.common.modes import OBSERVE
from peak_observe.resilience.limits import rejections
from peak_observe.resilience.limits.priorities import DEFAULT, current_priority
from peak_observe.resilience.limits.rejections import (
    AFTER_WAIT,
    AT_ONCE,
    INTERRUPTED,
    REFUSED,
    WOULD_REFUSE,
    WOULD_WAIT,
    RejectionEvents,
    Wait,
)
from peak_observe.resilience.limits.token_bucket import NOTHING
from peak_observe.support import shutdown_state

if TYPE_CHECKING:
    from peak_observe.clock import Clock
    from peak_observe.errors import RefusedError
    from peak_observe.events import LimitReached
    from peak_observe.resilience.limits.rate_settings import RateSettings
    from peak_observe.resilience.limits.sliding_log import SlidingLog
    from peak_observe.resilience.limits.token_bucket import TokenBucket, Turn

LONGEST_SLEEP = 86_400.0
"""Seconds of one sleep: the system has a longest one."""


class RunningTime:
    """Time of a limiter, from 0: it stands still where the clock steps back, and while the limit is paused."""

    __slots__ = ("_seen", "_time", "paused")

    def __init__(self, now: float) -> None:
        self._seen = now
        self._time: float = 0
        self.paused: float = 0

    def at(self, now: float) -> float:
        """Return the time at a moment of the clock."""
        if now > self._seen:
            still = min(self.paused, now - self._seen)
            self.paused -= still
            self._time += now - self._seen - still
        self._seen = now
        return self._time

    def pause(self, now: float, seconds: float) -> float:
        """Stand still for `seconds`, unless a longer pause is under way; return by how much that extends it."""
        self.at(now)
        longer = max(0, seconds - self.paused)
        self.paused += longer
        return longer


class Reservation:
    """A turn that a call waits for.

    Args:
        turn: The turn.
        limiter: Whose it is.
        weight: The weight of the call.
        priority: The class of the call.
        wait: Seconds until the turn, as far as they are known when it is reserved.
        until: The moment of the clock at which the call gives up.
        otherwise: The outcome if its turn comes later than that.
        pauses: How often the limit had been paused when the wait was last computed.
        waiting: The references of all that wait.
    """

    __slots__ = ("__weakref__", "limiter", "otherwise", "pauses", "priority", "ref", "turn", "until", "wait", "weight")

    def __init__(
        self,
        turn: Turn,
        limiter: TokenBucket | SlidingLog,
        *,
        weight: float,
        priority: str,
        wait: float,
        until: float,
        otherwise: int,
        pauses: int,
        waiting: set[weakref.ref[Reservation]],
    ) -> None:
        self.turn = turn
        self.limiter = limiter
        self.weight = weight
        self.priority = priority
        self.wait = wait
        self.until = until
        self.otherwise = otherwise
        self.pauses = pauses
        # Out of a set, which asks for its hash: a dead one that was never asked has none.
        (self.ref,) = {weakref.ref(self, waiting.discard)}


class RateLimitController:
    """Controller of one rate limit for many threads and tasks; waiting calls hold no lock.

    Args:
        name: The rate limit's name.
        settings: How it decides.
        clock: Source of time and sleep.
    """

    def __init__(self, *, name: str, settings: RateSettings, clock: Clock) -> None:
        self.name = name
        self.settings = settings
        self.clock = clock
        self.series = LIMITERS.series(name)
        self.calls = [0] * len(catalog.LIMIT_OUTCOMES)
        self.wait_seconds = 0.0
        self.weight: float = 0
        self._classes: dict[str, tuple[int, float]] = {}
        self._limiters: dict[str, TokenBucket | SlidingLog] = {}
        self._waiting: set[weakref.ref[Reservation]] = set()  # weak, as Ctrl-C may tear one from its call
        self._pauses = 0
        self._time = RunningTime(clock.monotonic())
        mend = "use `async with` or async_acquire(), or decorate a coroutine function"
        self._blocking = BlockingWarning("limits", f"rate limit {name!r} waits on a running event loop: {mend}")
        self._rejections = RejectionEvents("rate_limit", name, clock)
        self._waiter = f"rate limit {name!r}"
        self._lock = threading.RLock()  # the collector may end a coroutine, which gives back, while we are inside
        self._adopt_locked(settings)
        renew(self)

    def acquire(self, weight: float = 1) -> None:
        """Pass when it is this call's turn, blocking the thread until then.

        Raises:
            RateLimitedError: Its turn is more than `wait` seconds away.
            DeadlineExceededError: Its turn is beyond the deadline.
            ValueError: A call of this weight can never pass.
        """
        reservation = self._reserve(weight)
        if reservation is not None:
            self._blocking.check()
            with self._wait(reservation):
                seconds = reservation.wait
                while seconds > 0:
                    shutdown_state.sleep(self.clock, min(seconds, LONGEST_SLEEP), self._waiter)
                    seconds = exclusively(self._lock, self._left_locked, reservation, seconds)

    async def async_acquire(self, weight: float = 1) -> None:
        """Pass when it is this call's turn, letting other tasks run until then; raises what `acquire` raises."""
        reservation = self._reserve(weight)
        if reservation is not None:
            with self._wait(reservation):
                seconds = reservation.wait
                while seconds > 0:
                    await shutdown_state.async_sleep(self.clock, min(seconds, LONGEST_SLEEP), self._waiter)
                    seconds = exclusively(self._lock, self._left_locked, reservation, seconds)

    def pause(self, seconds: float) -> None:
        """Let no call pass for some seconds; turns that are waited for come as much later."""
        exclusively(self._lock, self._pause_locked, seconds)

    def resume(self) -> None:
        """End a pause; calls that sleep already may sleep on until the end of it."""
        exclusively(self._lock, self._resume_locked)

    def retry_after(self) -> float:
        """Return the seconds until a call of weight 1 and no priority class would pass."""
        return exclusively(self._lock, lambda: self._choose_locked(self.clock.monotonic(), 1, DEFAULT)[1])

    def adopt(self, settings: RateSettings) -> None:
        """Change the settings; calls that wait already keep their turns."""
        exclusively(self._lock, self._adopt_locked, settings)

    def read(self) -> RateLimitReading:
        """Return counts and gauges of this moment."""
        return exclusively(self._lock, self._read_locked)

    def after_fork(self) -> None:
        """Make the lock anew, which a thread of the parent may have held; its waiting calls are not in the child."""
        self._lock = threading.RLock()
        self._waiting.clear()

    def _reserve(self, weight: float) -> Reservation | None:
        """Count a call that passes at once, return what a call has to wait for, or reject it."""
        patience, otherwise = rejections.patience(self.settings.wait)
        found, event = exclusively(self._lock, self._reserve_locked, weight, patience, otherwise)
        rejections.tell(event)
        if isinstance(found, Exception):
            raise found
        return found

    def _reserve_locked(
        self, weight: float, patience: float, otherwise: int
    ) -> tuple[Reservation | RefusedError | None, LimitReached | None]:
        priority, now = current_priority(), self.clock.monotonic()
        limiter, wait = self._choose_locked(now, weight, priority)
        observed = self.settings.mode == OBSERVE
        if wait > patience:
            if not observed:
                return self._reject_locked(self._blame(wait, otherwise), wait)
            self._pass_locked(WOULD_REFUSE, weight, priority)
            return None, self._rejections.count(self.settings.rate, OBSERVE)
        turn = limiter.reserve(self._time.at(now), weight)
        if wait == 0 or observed:
            turn.passed = True
            self._pass_locked(WOULD_WAIT if wait else AT_ONCE, weight, priority)
            return None, None
        reservation = Reservation(
            turn,
            limiter,
            weight=weight,
            priority=priority,
            wait=wait,
            until=now + patience,
            otherwise=otherwise,
            pauses=self._pauses,
            waiting=self._waiting,
        )
        self._waiting.add(reservation.ref)
        return reservation, None

    def _choose_locked(self, now: float, weight: float, priority: str) -> tuple[TokenBucket | SlidingLog, float]:
        """Return the limiter that lets a call pass first, on a tie that of its class, and the seconds until then."""
        time = self._time.at(now)
        limiter = self._limiters[DEFAULT]
        wait = limiter.peek(time, weight) if weight <= limiter.heaviest else math.inf
        own = self._limiters.get(priority, limiter)
        if own is not limiter and weight <= own.heaviest and (sooner := own.peek(time, weight)) <= wait:
            limiter, wait = own, sooner
        if wait == math.inf:
            raise ValueError(f"weight {weight:g} can never pass: rate limit {self.name!r} allows {self.settings}")
        return limiter, wait + self._time.paused

    def _blame(self, wait: float, otherwise: int) -> int:
        """Return the outcome of a wait that is too long: the deadline's fault only where it made the difference."""
        return REFUSED if wait > self.settings.wait else otherwise

    def _rejection(self, outcome: int, wait: float) -> RefusedError:
        return (RateLimitedError if outcome == REFUSED else DeadlineExceededError)(self.name, wait)

    def _reject_locked(self, outcome: int, wait: float) -> tuple[RefusedError, LimitReached | None]:
        self.calls[outcome] += 1
        return self._rejection(outcome, wait), self._rejections.count(self.settings.rate, self.settings.mode)

    def _pass_locked(self, outcome: int, weight: float, priority: str) -> None:
        self.calls[outcome] += 1
        self.weight += weight
        self._count_class_locked(priority, 1, 0.0)

    def _count_class_locked(self, priority: str, calls: int, waited: float) -> None:
        if self._classes:
            name = priority if priority in self._classes else DEFAULT
            before = self._classes[name]
            self._classes[name] = (before[0] + calls, before[1] + waited)

    def _left_locked(self, reservation: Reservation, slept: float) -> float:
        """Return the seconds that are left after a sleep: more than none if the limit was paused meanwhile.

        Raises:
            RateLimitedError: They are more than the call may wait.
            DeadlineExceededError: They go beyond its deadline.
        """
        if slept > LONGEST_SLEEP:
            return slept - LONGEST_SLEEP
        if reservation.pauses == self._pauses:
            return 0.0
        reservation.pauses, now = self._pauses, self.clock.monotonic()
        left = max(0.0, reservation.turn.at - self._time.at(now)) + self._time.paused
        if left > NOTHING and now + left > reservation.until:
            raise self._rejection(reservation.otherwise, left)
        return left if left > NOTHING else 0.0

    def _wait(self, reservation: Reservation) -> Wait:
        return Wait("limiter", self.name, self.clock, partial(self._end, reservation))

    def _end(self, reservation: Reservation, outcome: int, waited: float) -> LimitReached | None:
        return exclusively(self._lock, self._end_locked, reservation, outcome, waited)

    def _end_locked(self, reservation: Reservation, outcome: int, waited: float) -> LimitReached | None:
        self._waiting.discard(reservation.ref)
        self.wait_seconds += waited
        self._count_class_locked(reservation.priority, 0, waited)
        if outcome == AFTER_WAIT:
            reservation.turn.passed = True
            self._pass_locked(outcome, reservation.weight, reservation.priority)
            return None
        self.calls[outcome] += 1
        reservation.limiter.give_back(reservation.turn, self._time.at(self.clock.monotonic()))
        if outcome == INTERRUPTED:
            return None
        return self._rejections.count(self.settings.rate, self.settings.mode)

    def _pause_locked(self, seconds: float) -> None:
        longer = self._time.pause(self.clock.monotonic(), seconds)
        if longer:
            self._pauses += 1
            for limiter in self._limiters.values():
                limiter.grow_older(longer)

    def _resume_locked(self) -> None:
        self._time.at(self.clock.monotonic())
        for limiter in self._limiters.values():
            limiter.grow_older(-self._time.paused)
        self._time.paused = 0

    def _adopt_locked(self, settings: RateSettings) -> None:
        time = self._time.at(self.clock.monotonic())
        limiters: dict[str, Any] = settings.limiters()
        if self._limiters:
            for name, limiter in limiters.items():
                limiter.inherit(self._limiters.get(name, self._limiters[DEFAULT]), time)
        self.settings, self._limiters = settings, limiters
        if settings.reserve:
            self._classes = {**dict.fromkeys(limiters, (0, 0.0)), **self._classes}

    def _read_locked(self) -> RateLimitReading:
        self._time.at(self.clock.monotonic())
        reading = RateLimitReading()
        reading.calls = self.calls.copy()
        reading.wait_seconds = self.wait_seconds
        reading.waiting = len(self._waiting)
        reading.rate, reading.burst = self.settings.rate, self.settings.burst
        reading.pause, reading.weight = self._time.paused, self.weight
        reading.classes = self._classes.copy()
        return reading
