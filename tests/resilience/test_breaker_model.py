"""A breaker and the plainest model of its contract, driven side by side by hypothesis."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from peak_observe import CircuitBreaker, CircuitOpenError
from peak_observe.measures import BREAKERS
from peak_observe.testing import ManualClock

NUMBERS = itertools.count()


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin and end in any order; time passes; somebody resets."""

    @initialize(threshold=st.integers(1, 4), timeout=st.sampled_from([0.0, 1.0, 10.0]))
    def begin(self, threshold: int, timeout: float) -> None:
        """Make both."""
        self.clock = ManualClock()
        self.name = f"model-{next(NUMBERS) % 50}"
        self.before = self.reading().calls if BREAKERS.get(self.name) and self.reading() else [0, 0, 0, 0]
        self.breaker = CircuitBreaker(threshold, timeout, (ValueError,), self.name, clock=self.clock)
        self.threshold, self.timeout = threshold, timeout
        self.state, self.failures, self.since, self.probing, self.era = "closed", 0, 0.0, False, 0
        self.counts = {"success": 0, "failure": 0, "ignored": 0, "rejected": 0}
        self.running: list[tuple[object, int]] = []
        self.changes = 0

    def reading(self) -> object:
        """Return what Prometheus would be told."""
        return BREAKERS.get(self.name).read()

    def enter(self, state: str, since: float) -> None:
        """Change the model's state."""
        self.state, self.since, self.probing = state, since, False
        self.era += 1
        self.changes += 1

    def let_time_pass(self) -> None:
        """The model's open circuit becomes half-open when it is due."""
        if self.state == "open" and self.clock.monotonic() >= self.since + self.timeout:
            self.enter("half_open", self.since + self.timeout)

    @rule()
    def start_call(self) -> None:
        """A call asks to be let through."""
        self.let_time_pass()
        allowed = self.state == "closed" or (self.state == "half_open" and not self.probing)
        guard = self.breaker._guard()
        if allowed:
            guard.__enter__()
            self.probing = self.state == "half_open"
            self.running.append((guard, self.era))
            return
        with pytest.raises(CircuitOpenError) as refusal:
            guard.__enter__()
        wait = max(0.0, self.since + self.timeout - self.clock.monotonic()) if self.state == "open" else 0.0
        assert refusal.value.retry_after == pytest.approx(wait)
        self.counts["rejected"] += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=st.sampled_from(["success", "failure", "ignored"]))
    def end_call(self, data: st.DataObject, outcome: str) -> None:
        """One of the calls under way ends, whichever."""
        guard, era = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        error = {"success": None, "failure": ValueError(), "ignored": KeyError()}[outcome]
        self.let_time_pass()
        guard.__exit__(type(error) if error else None, error, None)
        self.counts[outcome] += 1
        if era == self.era:
            self.answer(outcome)

    def answer(self, outcome: str) -> None:
        """What an answer in time does to the model."""
        now = self.clock.monotonic()
        if outcome == "ignored":
            self.probing = False
        elif outcome == "success":
            self.failures = 0
            if self.state == "half_open":
                self.enter("closed", now)
        else:
            self.failures += 1
            if self.state == "half_open" or self.failures >= self.threshold:
                self.enter("open", now)

    @rule(seconds=st.sampled_from([0.1, 0.9, 1.0, 5.0, 100.0]))
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
        self.failures = 0
        if self.state == "closed":
            self.era += 1
        else:
            self.enter("closed", self.clock.monotonic())

    @invariant()
    def both_agree(self) -> None:
        """State, statistics and metrics are the model's."""
        if not hasattr(self, "breaker"):
            return
        self.let_time_pass()
        assert self.breaker.state.value == self.state
        assert self.breaker.stats.failure_count == self.failures
        assert self.breaker.stats.state_changes == self.changes
        told = [after - before for after, before in zip(self.reading().calls, self.before, strict=True)]
        assert told == list(self.counts.values())


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
