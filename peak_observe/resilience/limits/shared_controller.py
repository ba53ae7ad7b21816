"""Controller of a rate limit that processes share: each call reserves its turn where all do, one call at a time.

One process has one reservation under way at most, so that a greedy one does not take the turns of the others. While the
engine is away it takes its part: the rate, divided by the processes that were there last.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from peak_observe.resilience.common.locking import exclusively
from peak_observe.resilience.common.modes import OBSERVE
from peak_observe.resilience.limits import rejections
from peak_observe.resilience.limits.priorities import DEFAULT, current_priority
from peak_observe.resilience.limits.rate_controller import LONGEST_SLEEP, RateLimitController
from peak_observe.resilience.limits.rejections import AFTER_WAIT, AT_ONCE, INTERRUPTED, WOULD_REFUSE, WOULD_WAIT, Wait
from peak_observe.resilience.limits.semaphore import ThreadEvent
from peak_observe.resilience.limits.turn_queue import Place, TurnQueue
from peak_observe.support.async_library import task_event

if TYPE_CHECKING:
    from collections.abc import Generator

    from peak_observe.clock import Clock
    from peak_observe.events import LimitReached
    from peak_observe.measures import RateLimitReading
    from peak_observe.resilience.limits.rate_settings import RateSettings


class Queued(NamedTuple):
    """Step: wait for the first place in the queue, so many seconds at most."""

    place: Place
    seconds: float


class Asked(NamedTuple):
    """Step: reserve a turn in the share of a priority class."""

    priority: str
    weight: float
    patience: float


class Slept(NamedTuple):
    """Step: sleep until the turn."""

    seconds: float


class SharedRateLimitController(RateLimitController):
    """Controller of one shared rate limit for many threads and tasks.

    Args:
        name: The rate limit's name.
        settings: How it decides.
        clock: Source of time and sleep.
        turns: The reservations that the processes share.
    """

    def __init__(self, *, name: str, settings: RateSettings, clock: Clock, turns: Any) -> None:
        self._turns = turns
        # One for each class, or calls of a class with a share would stand behind those that it is reserved against.
        self._queues = {priority: TurnQueue() for priority in (DEFAULT, *settings.reserve)}
        super().__init__(name=name, settings=settings, clock=clock)
        turns.watch(self)

    def acquire(self, weight: float = 1) -> None:
        """Pass when it is this call's turn among those of all processes; raises what `RateLimitController` raises."""
        place, queue = Place(ThreadEvent()), self._queue()
        flow = self._flow(weight, place, queue)
        try:
            step = next(flow)
            while True:
                try:
                    value = self._make(step)
                except BaseException as error:  # noqa: BLE001 - it goes on in the flow, which counts it
                    step = flow.throw(error)
                else:
                    step = flow.send(value)
        except StopIteration:
            return
        finally:
            queue.leave(place)

    async def async_acquire(self, weight: float = 1) -> None:
        """Pass when it is this call's turn, letting other tasks run until then."""
        place, queue = Place(task_event()), self._queue()
        flow = self._flow(weight, place, queue)
        try:
            step = next(flow)
            while True:
                try:
                    value = await self._async_make(step)
                except BaseException as error:  # noqa: BLE001 - as above
                    step = flow.throw(error)
                else:
                    step = flow.send(value)
        except StopIteration:
            return
        finally:
            queue.leave(place)

    def pause(self, seconds: float) -> None:
        """Let no call of any process pass for some seconds."""
        super().pause(seconds)
        self._turns.pause(seconds)

    def paused_by_others(self, seconds: float) -> None:
        """Let no call of this process pass, as another one was told so."""
        super().pause(seconds)

    def _queue(self) -> TurnQueue:
        return self._queues.get(current_priority(), self._queues[DEFAULT])

    def _flow(self, weight: float, place: Place, queue: TurnQueue) -> Generator[Queued | Asked | Slept, Any, None]:
        patience, otherwise = rejections.patience(self.settings.wait)
        begun = self.clock.monotonic()
        waits = patience > 0 and self.settings.mode != OBSERVE
        if not queue.enter(place) and waits:  # one that does not wait takes no turn before the others
            with self._wait_of(weight):
                yield Queued(place, patience)
                if not queue.is_first(place):
                    raise self._rejection(otherwise, self.retry_after())
                yield from self._take_turn(weight, patience - (self.clock.monotonic() - begun), otherwise)
            return
        turn = yield from self._ask(weight, patience)
        wait = max(turn.wait, exclusively(self._lock, self._paused_locked))
        if not turn.granted or wait > patience:
            self._refuse(weight, otherwise, wait)
        elif wait == 0 or self.settings.mode == OBSERVE:
            exclusively(self._lock, self._pass_locked, WOULD_WAIT if wait else AT_ONCE, weight, current_priority())
        else:
            self._blocking_check(place)
            with self._wait_of(weight):
                yield from self._sleep(wait)

    def _ask(self, weight: float, patience: float) -> Generator[Asked, Any, Any]:
        """Take a turn that is there at once, of the call's own class or of what is left; else the sooner one."""
        shares = [share for share in self._shares() if weight <= self._limiters[share].heaviest]
        if len(shares) == 1:
            return (yield Asked(shares[0], weight, patience))
        found = {}
        for share in shares:
            found[share] = yield Asked(share, weight, min(0.0, patience))
            if found[share].granted:
                return found[share]
        soonest = min(found, key=lambda share: found[share].wait)
        return found[soonest] if found[soonest].wait > patience else (yield Asked(soonest, weight, patience))

    def _shares(self) -> tuple[str, ...]:
        own = current_priority()
        return (own, DEFAULT) if own in self.settings.reserve else (DEFAULT,)

    def _take_turn(self, weight: float, patience: float, otherwise: int) -> Generator[Asked | Slept, Any, None]:
        turn = yield from self._ask(weight, max(0.0, patience))
        wait = max(turn.wait, exclusively(self._lock, self._paused_locked))
        if not turn.granted or wait > patience:
            raise self._rejection(self._blame(wait, otherwise), wait)
        yield from self._sleep(wait)

    def _sleep(self, seconds: float) -> Generator[Slept, Any, None]:
        while seconds > 0:
            yield Slept(min(seconds, LONGEST_SLEEP))
            seconds = (
                seconds - LONGEST_SLEEP if seconds > LONGEST_SLEEP else exclusively(self._lock, self._paused_locked)
            )

    def _make(self, step: Queued | Asked | Slept) -> Any:
        if isinstance(step, Queued):
            self._blocking.check()
            return step.place.event.wait(step.seconds)
        if isinstance(step, Slept):
            return self.clock.sleep(step.seconds)
        return self._reserve_shared(step) or self._reserve_alone(step)

    async def _async_make(self, step: Queued | Asked | Slept) -> Any:
        if isinstance(step, Queued):
            return await step.place.event.wait(step.seconds)  # type: ignore[misc] # an event of a task
        if isinstance(step, Slept):
            return await self.clock.async_sleep(step.seconds)
        return await self._async_reserve_shared(step) or self._reserve_alone(step)

    def _reserve_shared(self, step: Asked) -> Any:
        return self._turns.of_share(step.priority).reserve(step.weight, step.patience, **self._limit(step))

    async def _async_reserve_shared(self, step: Asked) -> Any:
        turns = self._turns.of_share(step.priority)
        return await turns.async_reserve(step.weight, step.patience, **self._limit(step))

    def _limit(self, step: Asked) -> dict[str, Any]:
        share = self.settings.shares[step.priority]
        (window,) = self.settings.windows
        return {"limit": window.limit * share, "per": window.per, "burst": max(1, self.settings.burst * share)}

    def _reserve_alone(self, step: Asked) -> Any:
        """Reserve a turn in this process's part of the rate, as the engine is away."""
        return exclusively(self._lock, self._reserve_alone_locked, step)

    def _reserve_alone_locked(self, step: Asked) -> Any:
        now, weight = self.clock.monotonic(), step.weight * self._turns.members
        time, limiter = self._time.at(now), self._limiters[step.priority]
        wait = limiter.peek(time, weight) + self._time.paused
        if wait <= step.patience:
            limiter.reserve(time, weight)
        return self._turns.answer(wait, wait <= step.patience)

    def _paused_locked(self) -> float:
        self._time.at(self.clock.monotonic())
        return self._time.paused

    def _blocking_check(self, place: Place) -> None:
        if isinstance(place.event, ThreadEvent):
            self._blocking.check()

    def _refuse(self, weight: float, otherwise: int, wait: float) -> None:
        """Refuse a call, or count that it would have been."""
        if self.settings.mode == OBSERVE:
            exclusively(self._lock, self._pass_locked, WOULD_REFUSE, weight, current_priority())
            return
        error, event = exclusively(self._lock, self._reject_locked, self._blame(wait, otherwise), wait)
        rejections.tell(event)
        raise error

    def _wait_of(self, weight: float) -> Wait:
        return Wait("limiter", self.name, self.clock, partial(self._end_shared, weight))

    def _end_shared(self, weight: float, outcome: int, waited: float) -> LimitReached | None:
        self._turns.waited(waited)
        return exclusively(self._lock, self._end_shared_locked, weight, outcome, waited)

    def _end_shared_locked(self, weight: float, outcome: int, waited: float) -> LimitReached | None:
        self.wait_seconds += waited
        self._count_class_locked(current_priority(), 0, waited)
        if outcome == AFTER_WAIT:
            self._pass_locked(outcome, weight, current_priority())
            return None
        self.calls[outcome] += 1
        return None if outcome == INTERRUPTED else self._rejections.count(self.settings.rate, self.settings.mode)

    def _read_locked(self) -> RateLimitReading:
        reading = super()._read_locked()
        reading.waiting = sum(map(len, self._queues.values()))
        return reading


class SharedWindowController(SharedRateLimitController):
    """Controller of a shared rate limit with windows, in which calls pass at once where all of them have room."""

    def acquire(self, weight: float = 1) -> None:
        """Pass when it is this call's turn among those of all processes; raises what `RateLimitController` raises."""
        self._check_weight(weight)
        super().acquire(weight)

    async def async_acquire(self, weight: float = 1) -> None:
        """Pass when it is this call's turn, letting other tasks run until then."""
        self._check_weight(weight)
        await super().async_acquire(weight)

    def _check_weight(self, weight: float) -> None:
        """Raise ValueError if a call of this weight can never pass."""
        exclusively(self._lock, self._choose_locked, self.clock.monotonic(), weight, current_priority())

    def _reserve_shared(self, step: Asked) -> Any:
        turns = self._turns.of_share(step.priority)
        return turns.reserve_window(step.weight, step.patience, **self._limit(step))

    async def _async_reserve_shared(self, step: Asked) -> Any:
        turns = self._turns.of_share(step.priority)
        return await turns.async_reserve_window(step.weight, step.patience, **self._limit(step))

    def _reserve_alone(self, step: Asked) -> Any:
        return self._turns.of_share(step.priority).reserve_alone(step.weight, step.patience, **self._limit(step))

    def _limit(self, step: Asked) -> dict[str, Any]:
        share = self.settings.shares[step.priority]
        windows = [(window.limit * share, window.per) for window in self.settings.windows]
        return {"given": windows, "delay": exclusively(self._lock, self._paused_locked)}
