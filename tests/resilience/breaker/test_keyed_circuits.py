"""A circuit for each key: made when it is asked for, exactly one, bounded, and gone when nobody uses it."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from peak_observe import (
    Breakers,
    CircuitOpenError,
    CircuitState,
    Policy,
    breakers,
    circuit_breaker,
    idempotent,
    last_good,
    register,
    retry_with_backoff,
    timeout,
)
from peak_observe.measures import BREAKERS
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import ManualClock

THREADS = 32


@pytest.fixture
def clock() -> ManualClock:
    """A clock by hand."""
    return ManualClock()


class Venues:
    """Services of which some are down, and counts of their calls."""

    def __init__(self, *down: str) -> None:
        self.down = set(down)
        self.calls: list[str] = []

    def __call__(self, venue: str) -> str:
        """Ask one."""
        self.calls.append(venue)
        if venue in self.down:
            raise ConnectionError(venue)
        return venue


def by_venue(venue: str, *_: object) -> str:
    """Return the key of a call."""
    return venue


def plain(protect: Any, venues: Venues) -> Callable[[str], Any]:
    """Protect a plain function."""
    found: Callable[[str], Any] = protect(venues)
    return found


def coroutine(protect: Any, venues: Venues) -> Callable[[str], Any]:
    """Protect a coroutine function."""

    @protect
    async def ask(venue: str) -> str:
        await asyncio.sleep(0)
        return venues(venue)

    return lambda venue: asyncio.run(ask(venue))


def generator(protect: Any, venues: Venues) -> Callable[[str], Any]:
    """Protect a generator."""

    @protect
    def ask(venue: str) -> Iterator[str]:
        yield venues(venue)

    return lambda venue: [*ask(venue)].pop()


def async_generator(protect: Any, venues: Venues) -> Callable[[str], Any]:
    """Protect an async generator."""

    @protect
    async def ask(venue: str) -> AsyncIterator[str]:
        yield venues(venue)

    async def collect(venue: str) -> str:
        return [item async for item in ask(venue)].pop()

    return lambda venue: asyncio.run(collect(venue))


def method(protect: Any, venues: Venues) -> Callable[[str], Any]:
    """Protect a method; `self` is an argument as any other."""

    class Client:
        @protect
        def ask(self, venue: str) -> str:
            return venues(venue)

    return Client().ask


@pytest.mark.parametrize("kind", [plain, coroutine, generator, async_generator, method])
def test_each_key_has_a_circuit_of_its_own(kind: Any, clock: ManualClock) -> None:
    """One venue that is down takes nothing from the others."""
    venues, start = Venues("kraken"), f"own.{kind.__name__}."
    table = Breakers(2, 60.0, prefix=start, clock=clock)
    ask = kind(table.by((lambda _, venue: venue) if kind is method else by_venue), venues)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            ask("kraken")
    with pytest.raises(CircuitOpenError, match=f"'{start}kraken' is OPEN"):
        ask("kraken")
    assert ask("bybit") == "bybit"
    assert (table["kraken"].state, table["bybit"].state) == (CircuitState.OPEN, CircuitState.CLOSED)
    assert (list(table), len(table), "okx" in table) == (["kraken", "bybit"], 2, False)
    venues.down.clear()
    clock.advance(60)
    assert ask("kraken") == "kraken"
    assert table["kraken"].stats.success_count == 1
    assert not any(entry.users for entry in table._entries.values())


def test_the_decorator_takes_a_function_as_name() -> None:
    """All that it decorates shares the circuits, which `breakers` of each gives."""
    venues = Venues("down")
    protect = circuit_breaker(1, name=lambda venue: f"name.{venue}")
    first, second = protect(venues), protect(venues)
    with pytest.raises(ConnectionError):
        first("down")
    with pytest.raises(CircuitOpenError, match=r"'name\.down' is OPEN"):
        second("down")
    assert first.breakers is second.breakers
    assert first.breakers["name.down"].state is CircuitState.OPEN
    assert first.__wrapped__ is venues


def test_a_name_function_that_fails_costs_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """The call has the circuit of its function, and the failure is logged once."""

    def ask(venue: Any) -> Any:
        return venue

    protected = circuit_breaker(name=lambda venue: venue.upper())(ask)
    assert (protected(5), protected(6), protected("a")) == (5, 6, "a")
    assert [record.name for record in caplog.records] == ["peak_observe.breaker"]
    assert any(key.endswith("ask") for key in protected.breakers)
    assert circuit_breaker(name=lambda _: None)(ask)(1) == 1  # type: ignore[arg-type,return-value] # as users err


def test_of_many_threads_each_gets_the_same_circuit() -> None:
    """Exactly one for each key, and no call is lost."""
    table, together = Breakers(prefix="race."), threading.Barrier(THREADS)
    ask = table.by(by_venue)(lambda venue: venue)
    got: list[list[Any]] = []

    def run() -> None:
        together.wait()
        keys = [f"{index % 10}" for index in range(100)]
        got.append([table[key] for key in keys])
        for key in keys:
            ask(key)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {id(breaker) for found in got for breaker in found} == {id(table[str(index)]) for index in range(10)}
    assert [table[str(index)].stats.success_count for index in range(10)] == [THREADS * 10] * 10


def shown(start: str) -> set[str]:
    """Return the names of circuits on /metrics that begin so, by our own renderer."""
    lines = Renderer().render().decode().splitlines()
    names = {line.partition('breaker="')[2].partition('"')[0] for line in lines if 'breaker="' in line}
    return {name for name in names if name.startswith(start)}


def test_idle_circuits_go_with_their_series(clock: ManualClock) -> None:
    """At the next scrape; those that are used stay, also by those who hold them."""
    table = Breakers(prefix="idle.", idle_timeout=100, clock=clock)
    ask = table.by(by_venue)(lambda venue: venue)
    held = table["held"]
    ask("used"), ask("idle")
    assert shown("idle.") == {"idle.held", "idle.used", "idle.idle"}
    clock.advance(60)
    ask("used"), held.call(lambda: None)()
    clock.advance(60)
    assert shown("idle.") == {"idle.held", "idle.used"}
    assert set(table) == {"held", "used"}
    clock.advance(100)
    assert shown("idle.") == set()
    assert len(table) == 0


def test_counters_go_on_where_they_were() -> None:
    """So a rate over the gap neither jumps nor falls; both ways to serve metrics say the same."""
    clock, registry = ManualClock(), CollectorRegistry()
    collector, renderer = register(registry), Renderer()
    table = Breakers(prefix="back.", idle_timeout=10, clock=clock)
    ask = table.by(by_venue)(lambda venue: venue)
    line = 'peak_breaker_calls_total{breaker="back.x",outcome="success"}'

    def scraped() -> list[str]:
        texts = renderer.render().decode(), generate_latest(registry).decode()
        return [row.rpartition(" ")[2] for text in texts for row in text.splitlines() if row.startswith(line)]

    for _ in range(3):
        ask("x")
    assert scraped() == ["3.0", "3.0"]
    clock.advance(11)
    assert scraped() == []
    assert not any("back.x" in key for key in renderer._kinds["peak_breaker_state"]._known)
    assert not any(name == "back.x" for _, name in collector._known)
    gc.collect()
    assert table["x"].stats.success_count == 0  # a new circuit
    ask("x")
    assert scraped() == ["4.0", "4.0"]


def test_open_circuits_do_not_go_by_being_idle(clock: ManualClock) -> None:
    """Nor do those that a person has taken in hand; one that is due for a probe may."""
    table = Breakers(1, 500.0, prefix="open.", idle_timeout=100, clock=clock)
    for key in ("open", "forced", "disabled", "closed"):
        table[key]
    table["open"].trip("test")
    table["forced"].force_open()
    table["disabled"].disable()
    clock.advance(101)
    assert shown("open.") == {"open.open", "open.forced", "open.disabled"}
    assert table["open"].state is CircuitState.OPEN
    clock.advance(500)
    assert "open.open" not in shown("open.")


def test_the_table_is_bounded(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    """The one used longest ago goes first, an open one never without a word."""
    table = Breakers(1, prefix="bound.", max_size=3, idle_timeout=None, clock=clock)
    for key in "abc":
        table[key]
    table["a"].trip("test")
    table["b"], table["d"]
    assert set(table) == {"a", "b", "d"}
    table["b"].trip("test")
    table["d"].trip("test")
    assert not [record for record in caplog.records if "goes" in record.message]
    table["e"]
    assert set(table) == {"b", "d", "e"}
    assert "circuit 'bound.a' is open and goes, as there are more than 3: raise max_size" in caplog.text


def test_a_circuit_with_a_call_under_way_stays(clock: ManualClock) -> None:
    """Or its next call would begin with another one; the same for one that somebody holds."""
    table = Breakers(prefix="busy.", max_size=1, idle_timeout=10, clock=clock)
    begun, go = threading.Event(), threading.Event()

    @table.by(by_venue)
    def ask(venue: str) -> str:
        if venue == "slow":
            begun.set()
            assert go.wait(60)
        return venue

    thread = threading.Thread(target=ask, args=("slow",))
    thread.start()
    assert begun.wait(60)
    slow = table["slow"]
    clock.advance(100)
    ask("other")
    BREAKERS.read()
    assert table["slow"] is slow
    go.set()
    thread.join()
    clock.advance(100)
    BREAKERS.read()
    assert "slow" not in table
    assert table["slow"] is slow  # as this test holds it
    assert slow.stats.success_count == 1
    assert "busy.slow" in shown("busy.")


def test_a_policy_has_a_circuit_for_each_key(clock: ManualClock) -> None:
    """Around a retry, and with a timeout inside that counts whatever is expected."""
    venues = Venues("down")
    policy = Policy(
        circuit_breaker(1, name=lambda venue: f"policy.{venue}", clock=clock),
        retry_with_backoff(2, 0.1, clock=clock),
        name="keyed.policy",
    )
    ask = policy(venues)
    with pytest.raises(ConnectionError):
        ask("down")
    assert venues.calls == ["down", "down"]
    with pytest.raises(CircuitOpenError):
        ask("down")
    assert ask("up") == "up"

    hanging = circuit_breaker(1, expected_exception=KeyError, name=lambda venue: f"hangs.{venue}")

    @Policy(hanging, timeout(0.01))
    async def hang(venue: str) -> None:
        await asyncio.sleep(5)

    async def main() -> None:
        with suppress(TimeoutError):
            await hang("x")
        with pytest.raises(CircuitOpenError):
            await hang("x")

    asyncio.run(main())


def test_what_cannot_be_protected_is_refused_at_once() -> None:
    """Not at the first call; and no series is left of the attempt."""

    @idempotent(False)
    def buy(venue: str) -> None:
        """Buy."""

    def items(venue: str) -> Iterator[str]:
        yield venue

    with pytest.raises(TypeError, match="fallback cannot stand in for the generator"):
        circuit_breaker(name=by_venue, fallback=1)(items)
    with pytest.raises(TypeError, match="each call of it counts"):
        circuit_breaker(name=by_venue, fallback=last_good(1))(buy)
    ask = circuit_breaker(name=by_venue)(items)
    assert not shown(f"{__name__}.{ask.__qualname__}")
    assert not [found for found in breakers() if ask.__qualname__ in found.name]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Breakers(max_size=0), "max_size must be"),
        (lambda: Breakers(idle_timeout=0), "idle_timeout must be"),
        (lambda: Breakers(prefix=5), "name must be"),
        (lambda: Breakers(failure_threshold=0), "failure_threshold must be"),
        (lambda: Breakers(by_venue), "failure_threshold must be"),
        (lambda: Breakers()[5], "name must be"),
        (lambda: Breakers()[""], "name must be"),
        (lambda: Breakers().by("venue"), "key must be a plain function"),
        (lambda: circuit_breaker(name=coroutine_name), "name must be a plain function"),
        (lambda: circuit_breaker(name=""), "name must be"),
    ],
)
def test_nonsense_is_one_error_that_names_it(make: Callable[[], object], message: str) -> None:
    """When it is made, or asked for."""
    with pytest.raises(ValueError, match=message):
        make()


async def coroutine_name(venue: str) -> str:
    """Return a name, later."""
    return venue


def test_wrong_keywords_have_a_hint() -> None:
    """Those of `circuit_breaker` are known too."""
    with pytest.raises(TypeError, match="did you mean recovery_timeout"):
        Breakers(reset_timeout=5)
    with pytest.raises(TypeError, match="did you mean max_size"):
        Breakers(maxsize=5)
    with pytest.raises(TypeError, match="names each circuit by its key"):
        Breakers(name="kraken")


def test_a_call_inside_a_call_of_the_same_key_belongs_to_it(clock: ManualClock) -> None:
    """As of a single circuit: it is counted once."""
    table = Breakers(2, prefix="inside.", clock=clock)

    @table.by(by_venue)
    def request(venue: str) -> None:
        raise ConnectionError

    @table.by(by_venue)
    def balance(venue: str) -> None:
        request(venue)

    with pytest.raises(ConnectionError):
        balance("x")
    assert table["x"].stats.failure_count == 1
