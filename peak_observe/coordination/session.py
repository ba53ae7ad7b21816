"""Session of one process with an engine: whether it is reachable, what is known, and what is still to be told."""

from __future__ import annotations

import random
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from peak_observe.coordination.engine import CircuitNews, EngineError, HoldNews
from peak_observe.coordination.nonces import Nonces
from peak_observe.coordination.thread_limit import new_turns, turn_of
from peak_observe.coordination.worker import Answer, Listener, Worker
from peak_observe.measures import SharedTally, forks
from peak_observe.support.async_library import task_event
from peak_observe.support.wake_event import WakeEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from peak_observe.clock import Clock
    from peak_observe.coordination.engine import Engine, NewsBatch, SharedPicture

BEAT = 1.0
"""Seconds between two signs of life, each of which compares the number of the last change."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.05, 1.0
"""Seconds between two tries to reach an engine that is away."""
LISTEN = 0.5
HERD = 0.0005
"""Seconds by which telling is spread for each member: of 10,000 circuits that open at once, a few tell."""
LONGEST_HERD = 5.0


class Link:
    """Circuit of this process that takes part; the session knows it weakly."""

    name: str

    def adopt(self, news: CircuitNews) -> None:
        """Take over what others tell, if it is newer."""
        raise NotImplementedError

    def reconcile(self, news: CircuitNews | None) -> CircuitNews | None:
        """Compare with all that is shared; return what the engine should know, if it lost it."""
        raise NotImplementedError


class Session:
    """Session with an engine, for any number of threads.

    Args:
        engine: The engine.
        member: The name of this process for the others.
        timeout: Seconds that one step takes at most.
        clock: Source of the time of circuits and holds.
        label: What logs call it.
    """

    def __init__(self, engine: Engine, *, member: str, timeout: float, clock: Clock, label: str) -> None:
        self.engine = engine
        self.member = member
        self.timeout = timeout
        self.clock = clock
        self.label = label
        self.tally = SharedTally()
        self.up = False
        self.members = 1
        self.failure = ""
        self.sequence = 0
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()
        self._holds: dict[str, tuple[float, str]] = {}
        self._watchers: weakref.WeakKeyDictionary[Any, tuple[str, Callable[[Any, float, str], object]]]
        self._watchers = weakref.WeakKeyDictionary()
        self.nonces = Nonces(self.ask)
        self._returns: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.RLock()
        self._turns = new_turns()
        self._backoff = FIRST_BACKOFF
        self._retry_at = 0.0
        self._tried = False
        self.worker = Worker("peak-observe-shared", self._idle)
        self.listener = Listener("peak-observe-shared-news", self._listen)
        forks.renew(self)

    def start(self) -> None:
        """Read what is shared, the first time in this process, and start the threads.

        Raises:
            EngineError: The engine answered and refuses: a wrong password, a missing right, a wrong file.
        """
        with self._lock:
            if not self._tried:
                self._tried = True
                try:
                    self._read_all()
                except EngineError as error:
                    if error.refused:
                        self._tried = False
                        raise
                    self._lost(error)
        self.worker.start()
        self.listener.start()

    def ask(self, step: str, *args: Any, **given: Any) -> Any:
        """Have the engine make a step; at most one `timeout`, and none at all while it is away.

        Raises:
            EngineError: It is away, or did not answer.
        """
        with turn_of(self._turns, self.timeout):
            if not self.up:
                raise EngineError("the engine is away")
            try:
                answer = getattr(self.engine, step)(*args, **given)
            except EngineError as error:
                self.tally.count_operation(_operation(step), "error")
                self._lost(error)
                raise
        self.tally.count_operation(_operation(step), "success")
        return answer

    async def ask_async(self, step: str, *args: Any, **given: Any) -> Any:
        """Do what `ask` does while other tasks run, of asyncio or trio: the worker asks."""
        return await self.run_async(lambda: self.ask(step, *args, **given))

    async def run_async(self, task: Callable[[], Any]) -> Any:
        """Return what a task returns that the worker runs, to its end also where nobody waits for it any more.

        Raises:
            EngineError: The engine is away, or the worker did not answer within two `timeout`s.
        """
        if not self.up:
            raise EngineError("the engine is away")
        self.worker.start()
        event, found = task_event(), Answer()
        self.worker.post(lambda: found.fill(event, task))
        await event.wait(2 * self.timeout)
        return found.get()

    def post(self, task: Callable[[], object], after: float = 0.0) -> None:
        """Run a task in the worker's thread."""
        self.worker.post(task, after)
        self.worker.start()

    def herd_delay(self) -> float:
        """Return a random wait before telling what others may be about to tell as well."""
        return random.random() * min(self.members * HERD, LONGEST_HERD)  # noqa: S311 - no secret

    def join(self, link: Link) -> None:
        """Let a circuit take part, and bring it to what is shared."""
        self.start()
        with self._lock:
            self._links.add(link)
        if self.up:
            try:
                picture = self.ask("sync", self.member)
            except EngineError:
                return
            news = picture.circuits.get(link.name)
            if news is not None:
                link.adopt(news)

    def hold(self, name: str, seconds: float, reason: str) -> None:
        """Hold an exchange for all; a longer hold stays."""
        if self._learn_hold(HoldNews(name, seconds, reason)):
            self.tally.count_transition("out")
            self.post(lambda: self._tell_hold(name))

    def watch_hold(self, watcher: Any, name: str, told: Callable[[Any, float, str], object]) -> None:
        """Call `told(watcher, seconds, reason)` for each hold of a name, for as long as the watcher lives."""
        self.start()
        with self._lock:
            self._watchers[watcher] = (name, told)
            hold = self._holds.get(name)
        if hold is not None and hold[0] > self.clock.monotonic():
            told(watcher, hold[0] - self.clock.monotonic(), hold[1])

    def watch_returns(self, watcher: Any) -> None:
        """Call `watcher.bring_back()` whenever the engine was away, or lost its data, for as long as it lives."""
        with self._lock:
            self._returns.add(watcher)

    def flush(self, seconds: float) -> bool:
        """Wait until all is told that happened so far, and all news are here; return whether that came true in time."""
        done = WakeEvent()
        self.post(lambda: self._read_all_and(done), after=min(self.members * HERD, LONGEST_HERD))
        return done.wait(seconds)

    def close(self) -> None:
        """End the threads and give back connections; circuits go on alone."""
        self.worker.close()
        self.listener.close()
        self.engine.wake()
        self.worker.join(1.0)
        self.listener.join(LISTEN + 1.0)
        self.up = self.tally.up = False
        self.engine.close()

    def after_fork(self) -> None:
        """Begin anew in a forked child, whose parent keeps threads, connections and leases."""
        self._lock, self._turns = threading.RLock(), new_turns()
        self.engine.forget_connections()
        self.member = f"{self.member.rsplit(':', 1)[0]}:{_pid()}"
        if self._tried:
            self._retry_at, self._backoff = 0.0, FIRST_BACKOFF
        self.worker.after_fork()
        self.listener.after_fork()

    def _read_all_and(self, done: WakeEvent) -> None:
        try:
            if self.up:
                self._read_all()
        except EngineError as error:
            self._lost(error)
        done.set()

    def _idle(self) -> float:
        """Give a sign of life, or try to come back; return the seconds until the next time."""
        if not self.up:
            if time.monotonic() >= self._retry_at:
                self._come_back()
            return min(self._backoff, BEAT)
        self._beat()
        return BEAT

    def _beat(self) -> None:
        try:
            sequence, members = self.ask("beat", self.member)
        except EngineError:
            return
        self.members = self.tally.members = max(1, members)
        if sequence < self.sequence:
            self._resync("heartbeat")
        elif sequence > self.sequence:  # its message may be under way
            self.post(lambda: self._resync_if_behind(sequence), after=0.2)

    def read_anew(self) -> None:
        """Have all read anew, as an answer shows that the engine lost what this process knows."""
        self.post(lambda: self._resync("heartbeat") if self.up else None)

    def _resync_if_behind(self, sequence: int) -> None:
        if self.up and self.sequence < sequence:
            self._resync("heartbeat")

    def _resync(self, reason: str) -> None:
        self.tally.count_resync(reason)
        try:
            self._read_all()
        except EngineError as error:
            self._lost(error)

    def _come_back(self) -> None:
        try:
            self._read_all()
        except EngineError as error:
            self._lost(error)
            return
        self.tally.count_resync("reconnect")

    def _read_all(self) -> None:
        """Read all that is shared, compare it with what is known here, and bring back what was lost."""
        try:
            picture: SharedPicture = self.engine.sync(self.member)
        except EngineError:
            self.tally.count_operation("sync", "error")
            raise
        self.tally.count_operation("sync", "success")
        lost_data, self.sequence = picture.sequence < self.sequence, picture.sequence
        self.members = self.tally.members = max(1, picture.members)
        was_up, self.up, self.tally.up = self.up, True, True
        self._backoff = FIRST_BACKOFF
        if lost_data or not was_up:
            self.nonces.bring_back()
            for watcher in tuple(self._returns):
                watcher.bring_back()
        lost = [link.reconcile(picture.circuits.get(link.name)) for link in tuple(self._links)]
        self._bring_back([news for news in lost if news is not None], self._lost_holds(picture))
        for hold in picture.holds.values():
            self._learn_hold(hold, inward=True)
        if not was_up:
            self._log_back()

    def _bring_back(self, circuits: list[CircuitNews], holds: list[HoldNews]) -> None:
        if circuits or holds:
            self.ask("seed", circuits, holds)

    def _lost_holds(self, picture: SharedPicture) -> list[HoldNews]:
        now = self.clock.monotonic()
        with self._lock:
            self._holds = {name: hold for name, hold in self._holds.items() if hold[0] > now}
            mine = [HoldNews(name, until - now, reason) for name, (until, reason) in self._holds.items()]
        known = picture.holds
        return [hold for hold in mine if hold.name not in known or known[hold.name].left < hold.left - 1]

    def _learn_hold(self, hold: HoldNews, *, inward: bool = False) -> bool:
        """Note a hold and tell its watchers; return whether it is longer than what was known."""
        now = self.clock.monotonic()
        with self._lock:
            before = self._holds.get(hold.name, (0.0, ""))[0]
            if now + hold.left <= before + 0.01:
                return False
            self._holds[hold.name] = (now + hold.left, hold.reason)
            watchers = [(w, told) for w, (name, told) in self._watchers.items() if name == hold.name]
        if inward:
            self.tally.count_transition("in")
        for watcher, told in watchers:
            told(watcher, hold.left, hold.reason)
        return True

    def _tell_hold(self, name: str) -> None:
        until, reason = self._holds.get(name, (0.0, ""))
        seconds = until - self.clock.monotonic()
        if seconds > 0 and self.up:
            self.ask_quietly("hold", name, seconds=seconds, reason=reason)

    def ask_quietly(self, step: str, *args: Any, **given: Any) -> Any:
        """Do what `ask` does; None where the engine is away, which `reconcile` makes good later."""
        try:
            return self.ask(step, *args, **given)
        except EngineError:
            return None

    def _listen(self) -> None:
        if not self.up:
            time.sleep(4 * FIRST_BACKOFF)
            return
        try:
            batch = self.engine.wait_for_news(LISTEN)
        except EngineError as error:
            self._lost(error)
            return
        if batch is not None:
            self._take(batch)

    def _take(self, batch: NewsBatch) -> None:
        if batch.gap:
            self._read_all_or_lose()
        elif batch.sequence != self.sequence + 1:
            if batch.sequence is None or batch.sequence > self.sequence:
                self._resync("gap")
            return
        else:
            self.sequence = batch.sequence
        for change in batch.changes:
            if isinstance(change, HoldNews):
                self._learn_hold(change, inward=True)
            else:
                self._hand_out(change)

    def _read_all_or_lose(self) -> None:
        try:
            self._read_all()
        except EngineError as error:
            self._lost(error)

    def _hand_out(self, news: CircuitNews) -> None:
        self.tally.lag = news.age
        for link in tuple(self._links):
            if link.name == news.name:
                link.adopt(news)

    def lose(self, error: EngineError) -> None:
        """Go on alone, as the engine did not answer, until it does again."""
        self._lost(error)

    def _lost(self, error: EngineError) -> None:
        was_up, self.up, self.tally.up = self.up, False, False
        new = str(error) != self.failure
        self.failure = str(error)
        self._retry_at = time.monotonic() + self._backoff
        self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
        self.engine.renew_news()
        if was_up or (new and not self._log_said):
            self._log_said = True
            _log().warning("shared state %s is away: %s; this process goes on alone", self.label, error)

    _log_said = False

    def _log_back(self) -> None:
        if self._log_said:
            self._log_said, self.failure = False, ""
            _log().warning("shared state %s is back", self.label)


def _operation(step: str) -> str:
    """Return what a step is counted as: all kinds of reservations are one operation."""
    return step.partition("_")[0]


def _pid() -> int:
    import os

    return os.getpid()


def _log() -> Any:
    from peak_observe.support.loggers import logger

    return logger("peak_observe.shared")
