"""A breaker and the plainest model of its contract, driven side by side by hypothesis."""

import itertools
import math
from contextvars import copy_context

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peak_observe import CircuitBreaker, CircuitOpenError
from peak_observe.measures import BREAKERS
from peak_observe.testing import ManualClock

NUMBERS = itertools.count()
FOLLOWS = {"open": "half_open", "forced_open": "half_open", "disabled": "closed"}
WHOLE_SECONDS = [1, 2, 5, 10, 100]  # buckets of a second each then hold what the plain model holds


@st.composite
def windows(draw: st.DrawFn) -> dict[str, object]:
    """Return no window, one of calls, or one of seconds, with shares."""
    kind = draw(st.sampled_from(["none", "calls", "time"]))
    if kind == "none":
        return {"failure_threshold": draw(st.integers(1, 4))}
    chosen = {"window": draw(st.integers(1, 6))} if kind == "calls" else {"window_seconds": 10.0}
    chosen["minimum_calls"] = draw(st.integers(1, chosen.get("window", 5)))
    chosen["failure_ratio"] = draw(st.sampled_from([0.25, 0.5, 1.0]))
    if draw(st.booleans()):
        chosen |= {"slow_call_seconds": 5.0, "slow_call_ratio": draw(st.sampled_from([0.5, 1.0]))}
    return chosen


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin and end in any order; time passes; somebody resets, overrides and changes settings."""

    @initialize(
        chosen=windows(),
        timeouts=st.sampled_from([(0,), (1,), (10,), (1, 10), (10, 2, 5)]),
        half_open_calls=st.integers(1, 3),
        success_threshold=st.integers(1, 3),
    )
    def begin(self, chosen: dict, timeouts: tuple, half_open_calls: int, success_threshold: int) -> None:
        """Make both."""
        self.clock = ManualClock()
        self.name = f"model-{next(NUMBERS) % 50}"
        self.before = self.reading().calls if BREAKERS.get(self.name) and self.reading() else [0, 0, 0, 0]
        self.breaker = CircuitBreaker(
            recovery_timeout=timeouts,
            expected_exception=(ValueError,),
            name=self.name,
            clock=self.clock,
            half_open_calls=half_open_calls,
            success_threshold=success_threshold,
            probe_timeout=20.0,
            **chosen,
        )
        self.at_once = self.breaker.call(lambda: None)
        self.rules, self.timeouts = dict(chosen), timeouts
        self.places, self.needed = half_open_calls, success_threshold
        self.state, self.since, self.pause, self.period = "closed", 0.0, math.inf, 0
        self.failures, self.successes, self.reopened, self.changes = 0, 0, 0, 0
        self.log: list[tuple[float, bool, bool]] = []
        self.probes: dict[object, float] = {}
        self.counts = {"success": 0, "failure": 0, "ignored": 0, "rejected": 0}
        self.running: list[tuple[object, int, float]] = []

    @property
    def now(self) -> float:
        """The present second."""
        return self.clock.monotonic()

    @property
    def windowed(self) -> bool:
        """Whether there is a window."""
        return "failure_ratio" in self.rules

    def held(self) -> list[tuple[float, bool, bool]]:
        """Return the calls that the window holds."""
        size = self.rules.get("window")
        return self.log[-size:] if size else [call for call in self.log if self.now - call[0] < 10]

    def reading(self) -> object:
        """Return what Prometheus would be told."""
        return BREAKERS.get(self.name).read()

    def enter(self, state: str, since: float, pause: float = math.inf) -> None:
        """Change the model's state."""
        self.state, self.since, self.pause = state, since, pause
        self.probes, self.successes = {}, 0
        self.period += 1
        self.changes += 1

    def open(self) -> None:
        """Open the model for as long as it is due."""
        pause = self.timeouts[min(self.reopened, len(self.timeouts) - 1)]
        self.enter("open", self.now, pause)

    def close(self) -> None:
        """Close the model with nothing remembered."""
        self.failures, self.reopened, self.log = 0, 0, []
        self.enter("closed", self.now)

    def let_time_pass(self) -> None:
        """What is due in the model happens."""
        if self.state in FOLLOWS and self.now >= self.since + self.pause:
            self.enter(FOLLOWS[self.state], self.since + self.pause)

    def allowed(self) -> bool:
        """Return whether the model lets a call through."""
        in_flight = sum(until > self.now for until in self.probes.values())
        return self.state in ("closed", "disabled") or (self.state == "half_open" and in_flight < self.places)

    @rule()
    def start_call(self) -> None:
        """A call asks to be let through."""
        self.let_time_pass()
        guard = self.breaker._guarded_call()
        if self.allowed():
            copy_context().run(guard.__enter__)  # side by side: inside each other they would be one call
            self.running.append((guard, self.period, self.now))
            if self.state == "half_open":
                self.probes[guard] = self.now + 20.0
            return
        with pytest.raises(CircuitOpenError) as refusal:
            guard.__enter__()
        if self.state == "half_open":
            assert 0 < refusal.value.retry_after <= max(until - self.now for until in self.probes.values())
        else:
            wait = max(0.0, self.since + self.pause - self.now)
            assert refusal.value.retry_after == pytest.approx(0.0 if wait == math.inf else wait)
        self.counts["rejected"] += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=st.sampled_from(["success", "failure", "ignored"]))
    def end_call(self, data: st.DataObject, outcome: str) -> None:
        """One of the calls under way ends, whichever."""
        guard, period, start = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        error = {"success": None, "failure": ValueError(), "ignored": KeyError()}[outcome]
        self.let_time_pass()
        guard.__exit__(type(error) if error else None, error, None)
        self.counts[outcome] += 1
        self.probes.pop(guard, None)
        if period == self.period and outcome != "ignored":
            self.answer(failed=outcome == "failure", seconds=self.now - start)

    @rule(times=st.integers(1, 8))
    def call_at_once(self, times: int) -> None:
        """Calls that take no time succeed or are refused, one after the other, the short way where there is one."""
        for _ in range(times):
            self.let_time_pass()
            if self.allowed():
                self.at_once()
                self.counts["success"] += 1
                self.answer(failed=False, seconds=0.0)
            else:
                with pytest.raises(CircuitOpenError):
                    self.at_once()
                self.counts["rejected"] += 1

    def answer(self, *, failed: bool, seconds: float) -> None:
        """What an answer in time does to the model."""
        slow = seconds >= self.rules.get("slow_call_seconds", math.inf)
        if self.state == "half_open":
            self.probed(bad=failed or slow, failed=failed)
            return
        if self.windowed:
            self.log.append((self.now, failed, slow))
        else:
            self.failures = self.failures + 1 if failed else 0
        if self.state == "closed" and (failed or slow) and self.too_bad():
            self.open()

    def probed(self, *, bad: bool, failed: bool) -> None:
        """What the answer of a probe does."""
        if bad:
            self.failures += failed and not self.windowed
            self.reopened += 1
            self.open()
            return
        self.successes += 1
        if self.successes >= self.needed:
            self.close()

    def too_bad(self) -> bool:
        """Return whether the model has seen enough."""
        if not self.windowed:
            return self.failures >= self.rules["failure_threshold"]
        held = self.held()
        failed, slow = (sum(call[part] for call in held) for part in (1, 2))
        too_slow = "slow_call_ratio" in self.rules and slow >= self.rules["slow_call_ratio"] * len(held)
        too_many = failed >= self.rules["failure_ratio"] * len(held)
        return len(held) >= self.rules["minimum_calls"] and (too_many or too_slow)

    @rule(seconds=st.sampled_from(WHOLE_SECONDS))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @rule(seconds=st.integers(-7200, 7200))
    def set_the_wall_clock(self, seconds: int) -> None:
        """Somebody sets the time of day; no state may depend on it."""
        self.clock.jump(seconds)

    @rule()
    def reset(self) -> None:
        """Somebody closes the circuit by hand."""
        self.let_time_pass()
        self.breaker.reset()
        was_closed = self.state == "closed"
        self.close()
        self.changes -= was_closed

    @rule(state=st.sampled_from(["forced_open", "disabled"]), seconds=st.none() | st.sampled_from(WHOLE_SECONDS))
    def override(self, state: str, seconds: float | None) -> None:
        """Somebody takes the circuit in hand, for a time or until it is reset."""
        self.let_time_pass()
        change = self.breaker.force_open if state == "forced_open" else self.breaker.disable
        change(for_seconds=seconds)
        pause = math.inf if seconds is None else seconds
        again = self.state == state
        self.enter(state, self.now, pause)
        self.changes -= again

    @rule(value=st.integers(1, 6))
    def change_settings(self, value: int) -> None:
        """Somebody changes the threshold, the window's size, or what it takes to close."""
        self.let_time_pass()
        if "window" in self.rules:
            self.breaker.configure(window=value, minimum_calls=1)
            self.log = self.held()[-value:]
            self.rules |= {"window": value, "minimum_calls": 1}
        elif self.windowed:
            self.breaker.configure(minimum_calls=value)
            self.rules["minimum_calls"] = value
        else:
            self.breaker.configure(failure_threshold=value)
            self.rules["failure_threshold"] = value
        self.breaker.configure(success_threshold=value)
        self.needed = value

    @invariant()
    def both_agree(self) -> None:
        """State, statistics and metrics are the model's."""
        if not hasattr(self, "breaker"):
            return
        self.let_time_pass()
        assert self.breaker.state.value == self.state
        told = [after - before for after, before in zip(self.reading().calls, self.before, strict=True)]
        assert told == list(self.counts.values())
        snapshot = self.breaker.snapshot()
        failed = sum(call[1] for call in self.held()) if self.windowed else self.failures
        assert (snapshot.failures, sum(snapshot.entered), snapshot.reopened) == (failed, self.changes, self.reopened)
        assert snapshot.probes == sum(until > self.now for until in self.probes.values()) <= self.places
        if self.windowed:
            slow = sum(call[2] for call in self.held())
            assert (snapshot.window_calls, snapshot.slow_calls) == (len(self.held()), slow)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=50, deadline=None)
