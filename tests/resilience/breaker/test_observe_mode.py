"""A dry run of a circuit: it counts what it would have refused, and lets every call pass."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from peak_observe import (
    CircuitBreaker,
    CircuitOpenError,
    CircuitState,
    Policy,
    Transition,
    circuit_breaker,
    get_breaker,
    observe,
    retry_with_backoff,
)
from peak_observe.errors import ConfigError
from peak_observe.measures import BREAKERS
from peak_observe.resilience.health import checks
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """A clock by hand."""
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock, request: pytest.FixtureRequest) -> CircuitBreaker:
    """A circuit that would open at the second failure."""
    return CircuitBreaker(2, 60.0, name=request.node.name, clock=clock, mode="observe")


class Service:
    """A service that fails while it is down, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.down = True

    def __call__(self) -> str:
        """Ask."""
        self.calls += 1
        if self.down:
            raise ConnectionError("down")
        return "up"


def plain(breaker: CircuitBreaker, service: Service) -> Callable[[], Any]:
    """Protect a plain function."""
    return breaker.call(service)


def coroutine(breaker: CircuitBreaker, service: Service) -> Callable[[], Any]:
    """Protect a coroutine function."""

    @breaker
    async def ask() -> str:
        await asyncio.sleep(0)
        return service()

    return lambda: asyncio.run(ask())


def generator(breaker: CircuitBreaker, service: Service) -> Callable[[], Any]:
    """Protect a generator."""

    @breaker
    def items() -> Iterator[str]:
        yield service()

    return lambda: list(items())


def async_generator(breaker: CircuitBreaker, service: Service) -> Callable[[], Any]:
    """Protect an async generator."""

    @breaker
    async def items() -> AsyncIterator[str]:
        yield service()

    async def collect() -> list[str]:
        return [item async for item in items()]

    return lambda: asyncio.run(collect())


def block(breaker: CircuitBreaker, service: Service) -> Callable[[], Any]:
    """Protect a block."""

    def ask() -> str:
        with breaker:
            return service()

    return ask


KINDS = [plain, coroutine, generator, async_generator, block]


@pytest.mark.parametrize("protect", KINDS)
def test_every_call_passes_and_is_counted(protect: Any, breaker: CircuitBreaker, clock: ManualClock) -> None:
    """Five failures: two open it, three would have been refused; then a probe would have closed it."""
    service = Service()
    ask = protect(breaker, service)
    for _ in range(5):
        with pytest.raises(ConnectionError):
            ask()
    seen = breaker.snapshot()
    assert (seen.failed, seen.would_refuse, seen.rejected, service.calls) == (2, 3, 0, 5)
    assert (seen.state, seen.would_be, seen.mode) == (CircuitState.DISABLED, CircuitState.OPEN, "observe")
    service.down = False
    ask()  # its success says nothing, as the circuit would have refused it
    assert (breaker.snapshot().would_be, breaker.snapshot().would_refuse) == (CircuitState.OPEN, 4)
    clock.advance(60)
    ask()
    assert (breaker.snapshot().would_be, breaker.snapshot().succeeded) == (CircuitState.CLOSED, 1)
    ask()
    assert (breaker.snapshot().succeeded, breaker.state) == (2, CircuitState.DISABLED)


def test_it_decides_as_one_that_enforces(clock: ManualClock) -> None:
    """Of the same calls at the same times both say the same."""
    dry, real = (CircuitBreaker(2, 7.0, name=f"as.{mode}", clock=clock, mode=mode) for mode in ("observe", "enforce"))
    service = Service()
    for step in range(60):
        service.down = step % 11 < 4
        for breaker in (dry, real):
            with suppress(ConnectionError, CircuitOpenError):
                breaker.call(service)()
        assert dry.snapshot().would_be is real.state
        clock.advance(1)
    seen, other = dry.snapshot(), real.snapshot()
    assert (seen.succeeded, seen.failed, seen.would_refuse) == (other.succeeded, other.failed, other.rejected)
    assert (seen.entered, other.rejected > 0) == (other.entered, True)


def test_metrics_tell_what_it_would_have_done(breaker: CircuitBreaker) -> None:
    """It is disabled, so that no alert of open circuits goes off; calls and openings are counted."""
    ask = plain(breaker, Service())
    for _ in range(3):
        with pytest.raises(ConnectionError):
            ask()
    lines = Renderer().render().decode().splitlines()
    of_it = [line for line in lines if f'breaker="{breaker.name}"' in line]

    def value(start: str, end: str) -> str:
        return next(line.rpartition(" ")[2] for line in of_it if line.startswith(start) and end in line)

    assert value("peak_breaker_calls_total", 'outcome="would_refuse"') == "1.0"
    assert value("peak_breaker_calls_total", 'outcome="rejected"') == "0.0"
    assert value("peak_breaker_transitions_total", 'to="open"') == "1.0"
    assert value("peak_breaker_state{", 'state="disabled"') == "1.0"
    assert value("peak_breaker_state{", 'state="open"') == "0.0"
    assert value("peak_breaker_call_duration_seconds_count", "") == "3.0"


def test_events_and_log_say_that_it_would(breaker: CircuitBreaker, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody shall look for refused calls that there are not."""
    told: list[Transition] = []
    end = observe(lambda event: told.append(event) if isinstance(event, Transition) else None)
    with caplog.at_level(logging.INFO, "peak_observe.breaker"):
        for _ in range(2):
            with pytest.raises(ConnectionError):
                plain(breaker, Service())()
    end()
    assert [(event.new, event.mode) for event in told] == [("open", "observe")]
    assert "would be open (mode observe): 2 consecutive failures" in caplog.text


def test_nothing_else_changes_for_the_caller(clock: ManualClock) -> None:
    """No fallback stands in, and a health check of it is healthy."""
    ask = circuit_breaker(1, name="dry.fallback", clock=clock, fallback="old", mode="observe")(Service())
    for _ in range(2):
        with pytest.raises(ConnectionError):
            ask()
    assert checks.breaker_closed("dry.fallback")()[0] is True  # type: ignore[index] # a tuple


def test_a_person_still_stops_it(breaker: CircuitBreaker) -> None:
    """Forced open it refuses: that is no decision of the circuit's."""
    ask = plain(breaker, Service())
    breaker.force_open()
    with pytest.raises(CircuitOpenError, match="forced open"):
        ask()
    assert (breaker.state, breaker.snapshot().rejected) == (CircuitState.FORCED_OPEN, 1)
    breaker.reset()
    with pytest.raises(ConnectionError):
        ask()


def test_modes_change_while_calls_go_on(breaker: CircuitBreaker, clock: ManualClock) -> None:
    """What it would have been it is from then on."""
    service = Service()
    ask = plain(breaker, service)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            ask()
    breaker.configure(mode="enforce")
    with pytest.raises(CircuitOpenError):
        ask()
    assert (breaker.state, breaker.snapshot().would_be) == (CircuitState.OPEN, None)
    breaker.configure(mode="observe")
    with pytest.raises(ConnectionError):
        ask()
    clock.advance(60)
    service.down = False
    ask()
    assert breaker.snapshot().would_be is CircuitState.CLOSED


def test_a_policy_and_its_file_have_it_too(clock: ManualClock) -> None:
    """Around a retry as well, which makes its attempts as ever."""
    service = Service()
    breaker = circuit_breaker(1, clock=clock, mode="observe")
    ask = Policy(breaker, retry_with_backoff(2, 0.1, clock=clock), name="dry.policy")(service)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            ask()
    assert (service.calls, get_breaker("dry.policy").snapshot().would_refuse) == (4, 1)
    policy = Policy.from_config({"circuit_breaker": {"failure_threshold": 1, "mode": "observe"}}, name="dry.file")
    ask = policy(service)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            ask()
    reading = BREAKERS.get("dry.file").read()  # type: ignore[union-attr] # it is there
    assert reading is not None
    assert reading.calls == [0, 1, 0, 0, 2]
    with pytest.raises(ConfigError, match=r"x\.circuit_breaker\.mode: it must be 'enforce' or 'observe'"):
        Policy.from_config({"circuit_breaker": {"mode": "dry"}}, name="x")


@pytest.mark.parametrize("mode", ["dry", "", None, True, ["observe"]])
def test_another_mode_is_refused(mode: Any) -> None:
    """Also by `configure`, which then changes nothing."""
    with pytest.raises(ValueError, match="mode must be 'enforce' or 'observe'"):
        CircuitBreaker(mode=mode)
    breaker = CircuitBreaker()
    with pytest.raises(ValueError, match="mode must be"):
        breaker.configure(mode=mode)
    assert breaker.settings.mode == "enforce"
