"""Link of one circuit of this process to the shared one: what it tells, what it takes over, and who may probe."""

from __future__ import annotations

import math
import random
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from peak_observe import catalog
from peak_observe.coordination import records
from peak_observe.coordination.engine import CircuitNews, EngineError
from peak_observe.coordination.session import Link
from peak_observe.measures import forks

if TYPE_CHECKING:
    from peak_observe.coordination.session import Session
    from peak_observe.events import Transition

CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, DISABLED = range(len(catalog.STATES))
RENEWALS = 4
"""How often a lease is renewed in its time."""
_INDEX = {records.CLOSED: CLOSED, records.OPEN: OPEN, records.FORCED_OPEN: FORCED_OPEN, records.DISABLED: DISABLED}


class SharedCircuit(Link):
    """One process's link of a circuit; a closed circuit asks it nothing.

    It knows the last era of the shared circuit. In HALF_OPEN a call passes only while this process has the lease of the
    probe, or while the engine is away and each process decides alone.

    Args:
        session: The session of this process.
        name: The name that the processes share.
        controller: The circuit of this process; held weakly.
        lease: Seconds after which a probe that nobody renews is given to another process.
        close_spread: Seconds within which the processes close after the probe of another one succeeded.
    """

    def __init__(self, session: Session, name: str, controller: Any, *, lease: float, close_spread: float) -> None:
        self.session = session
        self.name = name
        self.by = ""
        self._controller: weakref.ref[Any] = weakref.ref(controller)
        self._lease = lease
        self._spread = close_spread
        self._era = 0
        self._token = 0
        self._leased_until = 0.0
        self._claim_at = 0.0
        self._untold = 0
        self._private = False
        self._lock = threading.RLock()
        forks.renew(self)

    def after_fork(self) -> None:
        """Begin without the parent's lease, in a forked child."""
        self._lock = threading.RLock()
        self._leased_until, self._untold = 0.0, 0

    def needs_claim(self, now: float) -> bool:
        """Return whether a probe is due for which this process has to ask."""
        controller = self._controller()
        if controller is None or not self.session.up or now < self._leased_until or now < self._claim_at:
            return False
        period = controller.circuit.period
        if period.state == HALF_OPEN:
            return True
        return period.state in (OPEN, FORCED_OPEN) and now >= period.since + period.duration

    def claim(self) -> None:
        """Ask for the lease of the probe, blocking for one `timeout` at most."""
        with suppress(EngineError):
            self._claim(self._begin_claim())

    async def async_claim(self) -> None:
        """Ask for the lease of the probe while other tasks run; one that is cancelled leaves it to the next call."""
        asked = self._begin_claim()
        with suppress(EngineError):
            await self.session.run_async(lambda: self._claim(asked))

    def admits_probe(self, now: float) -> bool:
        """Return whether a half-open circuit may let calls pass in this process."""
        return not self.session.up or now < self._leased_until

    def is_fenced(self, now: float) -> bool:
        """Return whether the result of a probe counts no more, as its lease is over; that is counted."""
        if self.admits_probe(now):
            return False
        self.session.tally.count_lease("fenced")
        return True

    def tell(self, event: Transition) -> None:
        """Tell the others of a transition of this process."""
        if event.mode != "enforce" or event.reason == "reset" or event.new == catalog.STATES[HALF_OPEN]:
            return
        token, leased = self._token, self._leased_until > 0 and self._token > 0
        self._private = self._private and event.new != catalog.STATES[CLOSED]
        self._leased_until = 0.0
        if event.new == catalog.STATES[OPEN]:
            if event.old == catalog.STATES[HALF_OPEN] and leased:
                self._later(lambda: self._settle(token, records.OPEN, event.retry_after, event.reason))
            else:
                due, era = self.session.clock.monotonic() + event.retry_after, self._era
                self._later(lambda: self._open(due, event.reason, era), self.session.herd_delay())
        elif event.new == catalog.STATES[CLOSED] and leased:
            self._later(lambda: self._settle(token, records.CLOSED, 0.0, event.reason))

    def keep_private(self) -> None:
        """Tell nobody of the opening under way: it concerns this process alone."""
        self._private = True

    def override(self, state: int, seconds: float, reason: str) -> None:
        """Tell the others of a state that was set by hand."""
        self._leased_until, self._private = 0.0, False
        name, by = catalog.STATES[state], self.session.member

        def tell() -> None:
            given = {"state": name, "seconds": seconds, "by": by, "reason": fit(reason)}
            self._told(self.session.ask_quietly("override", self.name, **given))

        self._later(tell)

    def adopt(self, news: CircuitNews) -> None:
        """Take over what others tell, if its era is newer."""
        with self._lock:  # two threads may bring news, and an older era must not overtake a newer one
            self._adopt_locked(news)

    def _adopt_locked(self, news: CircuitNews) -> None:
        controller = self._controller()
        if news.token != self._token:
            self._leased_until = 0.0  # somebody else probes
        if controller is None or news.era <= self._era:
            return
        self._era, self.by, self._claim_at, self._private = news.era, news.by, 0.0, False
        state, here = _INDEX[news.state], controller.circuit.state
        if here == state == CLOSED or (news.by == self.session.member and state == OPEN and here in (OPEN, HALF_OPEN)):
            return
        self.session.tally.count_transition("in")
        if state == CLOSED and self._spread:
            delay = self._spread * random.random()  # noqa: S311 - no secret
            self._claim_at = self.session.clock.monotonic() + self._spread
            self.session.post(lambda: self._close_if(news.era, news.by), delay)
        else:
            self._apply(controller, state, news.left, f"{news.reason} ({news.by})" if news.reason else news.by)

    def reconcile(self, news: CircuitNews | None) -> CircuitNews | None:
        """Compare with what is shared: take over what is newer, tell what is not told, bring back what was lost."""
        controller = self._controller()
        if controller is None:
            return None
        if news is None or news.era < self._era:
            return self._remembered(controller)
        if news.era > self._era:
            self.adopt(news)
            return None
        here = controller.circuit.state
        if self._untold or self._private or controller.observes:
            return None
        if here == OPEN and news.state == records.CLOSED and self._claim_at <= self.session.clock.monotonic():
            self._tell_opening(controller)
        elif here == CLOSED and news.state == records.OPEN:
            self._apply(controller, OPEN, news.left, f"{news.reason} ({news.by})")
        return None

    def _renew(self) -> None:
        """Lengthen the lease, again and again while its probe is under way."""
        controller, now, token = self._controller(), self.session.clock.monotonic(), self._token
        if controller is None or not token or not now < self._leased_until < math.inf:
            return
        if controller.circuit.state == HALF_OPEN and controller.circuit.in_flight(now):
            news = self.session.ask_quietly("extend", self.name, token=token, lease=self._lease)
            if news is not None and news.token == token == self._token and news.leased > 0:
                self._leased_until = now + self._lease
        self.session.post(self._renew, self._lease / RENEWALS)

    def _remembered(self, controller: Any) -> CircuitNews | None:
        """Return what this process knows of a circuit that the engine lost."""
        circuit, now = controller.circuit, self.session.clock.monotonic()
        if not self._era:
            if circuit.state == OPEN and not self._private and not self._untold and not controller.observes:
                self._tell_opening(controller)
            return None
        state, left = circuit.state, 0.0
        if state == HALF_OPEN:
            state = OPEN  # which is due: a half-open period has no end of its own
        elif state != CLOSED:
            left = math.inf if circuit.period.duration == math.inf else circuit.retry_after(now)
        return CircuitNews(self.name, self._era, catalog.STATES[state], left, self._token, 0.0, self.by, "", 0.0)

    def _tell_opening(self, controller: Any) -> None:
        now = self.session.clock.monotonic()
        due, era = now + controller.circuit.retry_after(now), self._era
        self._later(lambda: self._open(due, "opened while apart", era), self.session.herd_delay())

    def _begin_claim(self) -> float:
        now = self.session.clock.monotonic()
        self._claim_at = now + 2 * self.session.timeout  # the other calls of this process are refused meanwhile
        return now

    def _claim(self, asked: float) -> None:
        self._end_claim(asked, *self.session.ask("claim", self.name, lease=self._lease))

    def _end_claim(self, asked: float, answer: str, news: CircuitNews) -> None:
        self.session.tally.count_lease(answer)
        if answer == records.GRANTED:
            self._era = max(self._era, news.era)
            self._token, self._leased_until, self._claim_at = news.token, asked + self._lease, 0.0
            self.session.post(self._renew, self._lease / RENEWALS)
            return
        era = self._era
        self._answered(news)
        if answer == records.UNNEEDED and news.era == era:
            self._token, self._leased_until = 0, math.inf  # it opened here alone, and closes here alone
        elif answer == records.TAKEN:
            self._claim_at = asked + max(news.leased, self.session.timeout)
        elif answer == records.EARLY and news.era == era:
            self._claim_at = asked + max(min(news.left, self._lease), self.session.timeout)

    def _later(self, task: Any, after: float = 0.0) -> None:
        self._untold += 1

        def run() -> None:
            try:
                task()
            finally:
                self._untold -= 1

        self.session.post(run, after)

    def _open(self, due: float, reason: str, era: int) -> None:
        controller, now = self._controller(), self.session.clock.monotonic()
        if controller is None or self._private or controller.circuit.state != OPEN:
            return
        if era != self._era:  # another one of the herd told it meanwhile
            return
        given = {"era": self._era, "seconds": max(0.0, due - now), "by": self.session.member, "reason": fit(reason)}
        voter = self.session.member.partition(":")[0]
        self._told(self.session.ask_quietly("open", self.name, voter=voter, **given))

    def _settle(self, token: int, state: str, seconds: float, reason: str) -> None:
        given = {"state": state, "seconds": seconds, "by": self.session.member, "reason": fit(reason)}
        news = self.session.ask_quietly("settle", self.name, token=token, **given)
        if news is not None and (news.by != self.session.member or news.state != state):
            self.session.tally.count_lease("fenced")
        self._told(news)

    def _told(self, news: CircuitNews | None) -> None:
        """Note the answer to what was told: accepted, or somebody else was first."""
        if news is None:
            return
        if news.by == self.session.member and news.era == self._era + 1:
            self._era, self.by = news.era, news.by
            self.session.tally.count_transition("out")
        else:
            self._answered(news)

    def _answered(self, news: CircuitNews) -> None:
        """Take over what the engine answered; an era of before says that it lost this circuit, and all is read anew."""
        if news.era < self._era:
            self.session.read_anew()
        self.adopt(news)

    def _close_if(self, era: int, by: str) -> None:
        controller = self._controller()
        if controller is not None and self._era == era:
            self._claim_at = 0.0
            self._apply(controller, CLOSED, 0.0, f"probe succeeded ({by})")

    def _apply(self, controller: Any, state: int, left: float, reason: str) -> None:
        controller.change(lambda now: controller.circuit.adopt(state, now, left, reason), share=False)


LONGEST_REASON = 96


def fit(text: str) -> str:
    """Return a text as it fits a slot of a file: short, on one line, without secrets and what JSON would escape."""
    from peak_observe.support.redact import redact_line

    plain = redact_line(text).replace('"', "'").replace("\\", "/")
    return plain.encode()[:LONGEST_REASON].decode(errors="ignore")
