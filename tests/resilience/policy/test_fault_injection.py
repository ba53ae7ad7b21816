"""Chaos disturbs a share of the calls on purpose, and nothing at all without its switch in the environment."""

import asyncio
import inspect
import logging
import os
import random
from collections.abc import AsyncIterator, Iterator
from itertools import count

import ccxt
import pytest

from peak_observe import CallTimeoutError, Policy, chaos, circuit_breaker, retry_with_backoff, timeout
from peak_observe.measures import BREAKERS, CHAOS, RETRIES
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock

NUMBERS = count()


@pytest.fixture
def name() -> str:
    """Return a name that nobody has."""
    return f"chaos.{next(NUMBERS)}"


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock on which a sleep takes no time."""
    return ManualClock()


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch chaos on."""
    monkeypatch.setenv("PEAK_OBSERVE_CHAOS", "1")


def disturbed(call: object, times: int = 200) -> list[bool]:
    """Return which of so many calls failed."""
    found = []
    for _ in range(times):
        try:
            call()
        except ConnectionError:
            found.append(True)
        else:
            found.append(False)
    return found


@pytest.mark.parametrize("value", [None, "", "0", "true", "yes", "1 ", "2"])
def test_without_the_switch_functions_stay_as_they_are(
    value: str | None, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line says so, there are no series, and no call pays for it."""
    monkeypatch.delenv("PEAK_OBSERVE_CHAOS", raising=False)
    if value is not None:
        monkeypatch.setenv("PEAK_OBSERVE_CHAOS", value)

    def work() -> str:
        return "done"

    off = chaos(rate=1, fault=ConnectionError, name=name)
    assert off(work) is work
    assert off(disturbed) is disturbed
    policy = Policy(off, name=name)
    assert policy(work)() == "done"
    assert inspect.unwrap(policy(work)) is work
    assert [record.getMessage() for record in caplog.records] == [
        f"chaos of '{name}' is off and its functions stay as they are: it runs only with PEAK_OBSERVE_CHAOS=1"
    ]
    assert CHAOS.get(name) is None


@pytest.mark.usefixtures("on")
def test_a_share_of_the_calls_fails_and_shows(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """In the metrics, in the log, and in the exception itself; a call that fails is not made."""
    made = []
    work = chaos(0.3, fault=ConnectionError, seed=7, name=name)(lambda: made.append(True))
    failed = disturbed(work).count(True)
    assert 40 <= failed <= 80
    assert len(made) == 200 - failed
    text = Renderer().render().decode()
    assert f'peak_chaos_calls_total{{operation="{name}",outcome="failed"}} {failed}.0\n' in text
    assert f'peak_chaos_calls_total{{operation="{name}",outcome="undisturbed"}} {200 - failed}.0\n' in text
    assert f'peak_chaos_ratio{{operation="{name}"}} 0.3\n' in text
    message = f"chaos of '{name}' is ON (PEAK_OBSERVE_CHAOS=1): 30 % of its calls are disturbed on purpose"
    assert [record.getMessage() for record in caplog.records] == [message]
    with pytest.raises(ConnectionError, match="injected fault") as error:
        chaos(1, fault=ConnectionError, name=name)(work)()
    assert error.value.__notes__ == [f"injected on purpose by chaos '{name}' (PEAK_OBSERVE_CHAOS=1)"]


@pytest.mark.usefixtures("on")
def test_a_seed_disturbs_the_same_calls_again(name: str) -> None:
    """Whatever the rest of the program draws; without one it is another row each time."""

    def row(seed: int | None) -> list[bool]:
        random.seed(1)
        return disturbed(chaos(0.5, fault=ConnectionError, seed=seed, name=name)(lambda: None))

    assert row(3) == row(3) != row(4)
    assert row(None) != row(None)


@pytest.mark.usefixtures("on")
def test_rates_at_the_ends(name: str) -> None:
    """None and all."""
    assert disturbed(chaos(0, fault=ConnectionError, name=name)(lambda: None)) == [False] * 200
    assert disturbed(chaos(1, fault=ConnectionError, name=name)(lambda: None)) == [True] * 200


@pytest.mark.usefixtures("on")
def test_calls_may_be_late_only(name: str, clock: ManualClock) -> None:
    """By a number of seconds, or by chance between two; plain functions and coroutines alike."""

    async def work() -> str:
        return "done"

    assert chaos(1, latency=2, name=name, clock=clock)(lambda: "done")() == "done"
    assert asyncio.run(chaos(1, latency=(1, 3), name=name, clock=clock)(work)()) == "done"
    first, second = clock.sleeps
    assert first == 2
    assert 1 <= second <= 3
    assert CHAOS.get(name).read().calls == [0, 2, 0]


@pytest.mark.usefixtures("on")
def test_late_calls_may_fail_as_well(name: str, clock: ManualClock) -> None:
    """First late, then failed."""
    work = chaos(1, latency=2, fault=ConnectionError("reset"), name=name, clock=clock)(lambda: None)
    for _ in range(2):
        with pytest.raises(ConnectionError, match="reset") as error:
            work()
        assert len(error.value.__notes__) == 1
    assert (clock.sleeps, CHAOS.get(name).read().calls) == ([2, 2], [0, 0, 2])


@pytest.mark.usefixtures("on")
def test_faults_are_of_many_forms(name: str) -> None:
    """Types, instances, several of both, and functions that return or raise one."""
    named = ccxt.RateLimitExceeded("kraken 429")

    def raising() -> Exception:
        raise named

    for fault in (named, lambda: named, raising, (named,), [named]):
        with pytest.raises(ccxt.RateLimitExceeded) as error:
            chaos(1, fault=fault, name=name)(lambda: None)()
        assert error.value is named
    seen = set()
    work = chaos(1, fault=(ccxt.NetworkError, ccxt.ExchangeError), seed=1, name=name)(lambda: None)
    for _ in range(20):
        with pytest.raises(ccxt.BaseError) as error:
            work()
        seen.add(type(error.value))
    assert seen == {ccxt.NetworkError, ccxt.ExchangeError}
    with pytest.raises(TypeError, match="has to return an exception, not 3"):
        chaos(1, fault=lambda: 3, name=name)(lambda: None)()


@pytest.mark.usefixtures("on")
def test_generators_are_disturbed_before_their_first_item(name: str) -> None:
    """Of both kinds; undisturbed ones give all they have."""

    def items() -> Iterator[int]:
        yield from (1, 2)

    async def async_items() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def collect(source: AsyncIterator[int]) -> list[int]:
        return [item async for item in source]

    calm, wild = chaos(0, fault=ConnectionError, name=name), chaos(1, fault=ConnectionError, name=name)
    assert list(calm(items)()) == asyncio.run(collect(calm(async_items)())) == [1, 2]
    with pytest.raises(ConnectionError):
        next(wild(items)())
    with pytest.raises(ConnectionError):
        asyncio.run(collect(wild(async_items)()))


@pytest.mark.usefixtures("on")
def test_in_a_policy_it_is_met_like_a_fault_of_the_service(name: str, clock: ManualClock) -> None:
    """The retry retries it, the circuit counts it, the timeout ends what is late."""
    policy = Policy(
        circuit_breaker(2, expected_exception=ConnectionError),
        retry_with_backoff(3, clock=clock),
        chaos(1, fault=ConnectionError),
        name=name,
    )
    with pytest.raises(ConnectionError):
        policy(lambda: None)()
    assert (RETRIES.get(name).read().retries, BREAKERS.get(name).read().calls[1]) == (2, 1)

    async def work() -> None:
        pass

    with pytest.raises(CallTimeoutError):
        asyncio.run(Policy(timeout(0.01), chaos(1, latency=30), name=name)(work)())


@pytest.mark.usefixtures("on")
def test_a_forked_child_has_its_own_chance(name: str) -> None:
    """Without a seed, two processes do not fail together."""
    work = chaos(0.5, fault=ConnectionError, name=name)(lambda: None)
    reader, writer = os.pipe()
    pid = os.fork()
    row = disturbed(work)
    if not pid:
        os.write(writer, bytes(row))
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 200) != bytes(row)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "chaos needs a fault or a latency"),
        ({"rate": 2, "latency": 1}, "rate must be a number from 0 to 1, not 2"),
        ({"rate": "0.1", "latency": 1}, "rate must be a number from 0 to 1"),
        ({"fault": KeyboardInterrupt}, "fault must be an exception, a type of one"),
        ({"fault": (3,)}, "fault must be an exception, a type of one"),
        ({"fault": UnicodeDecodeError}, "fault UnicodeDecodeError cannot be made of a text"),
        ({"fault": asyncio.sleep}, "fault must be a plain function"),
        ({"latency": -1}, "latency must be seconds"),
        ({"latency": (2, 1)}, "latency must be seconds, or a pair of the shortest and the longest"),
        ({"latency": float("nan")}, "latency must be seconds"),
        ({"latency": 1, "seed": "x"}, "seed must be a whole number"),
        ({"latency": 1, "name": ""}, "name must be a string"),
        ({"rate": len}, r"write @chaos\(rate=0.02, fault=ConnectionError\)"),
    ],
)
def test_arguments_are_checked_also_where_it_is_off(arguments: dict, problem: str) -> None:
    """So that a mistake does not wait for the testnet."""
    with pytest.raises(ValueError, match=problem):
        chaos(**arguments)


def test_names_of_other_libraries_lead_to_ours() -> None:
    """And spelling errors to what was meant."""
    with pytest.raises(TypeError, match="did you mean rate"):
        chaos(injection_rate=1)
    with pytest.raises(TypeError, match="did you mean latency"):
        chaos(latncy=1)


def test_logging_is_left_alone_where_nothing_is_disturbed() -> None:
    """The module logs under its own name only."""
    assert logging.getLogger("peak_observe.chaos").handlers == []
