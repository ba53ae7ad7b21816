"""The last good result stands in for a call that failed, as long as it is not too old."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from peak_observe import CircuitOpenError, Policy, circuit_breaker, idempotent, last_good, retry_with_backoff
from peak_observe.measures import FALLBACKS
from peak_observe.testing import ManualClock


class Feed:
    """A price that can be away."""

    def __init__(self) -> None:
        self.prices = {"BTC": 100, "ETH": 10}
        self.down = False

    def __call__(self, symbol: str = "BTC") -> int:
        """Ask."""
        if self.down:
            raise ConnectionError("down")
        return self.prices[symbol]


def counts(name: str) -> list[int]:
    """Return what the fallbacks of a name gave: value, last_good, none."""
    found = FALLBACKS.get(name)
    assert found is not None
    reading = found.read()
    assert reading is not None
    return reading.calls


@pytest.fixture
def clock() -> ManualClock:
    """A clock by hand."""
    return ManualClock()


@pytest.fixture(params=["sync", "async"])
def price(request: pytest.FixtureRequest, clock: ManualClock) -> Any:
    """A price behind a circuit that opens at the second failure, for both kinds of functions; with its feed."""
    feed = Feed()
    protect = circuit_breaker(2, 60.0, name=request.node.name, clock=clock, fallback=last_good(max_age=5))
    if request.param == "sync":
        ask: Callable[..., Any] = protect(feed)
    else:

        @protect
        async def later(symbol: str = "BTC") -> int:
            await asyncio.sleep(0)
            return feed(symbol)

        def ask(*args: Any, **kwargs: Any) -> Any:
            return asyncio.run(later(*args, **kwargs))

    return feed, ask, request.node.name


def test_a_failed_call_gets_the_last_good_result(price: Any, clock: ManualClock) -> None:
    """While it fails, and while the circuit refuses; never older than asked for."""
    feed, ask, name = price
    assert ask("BTC") == 100
    feed.prices["BTC"] = 101
    assert ask("BTC") == 101
    feed.down = True
    assert [ask("BTC") for _ in range(4)] == [101] * 4
    clock.advance(5)
    assert ask("BTC") == 101
    clock.advance(0.001)
    with pytest.raises(CircuitOpenError):
        ask("BTC")
    assert counts(name) == [0, 5, 1]


def test_another_call_has_another_result(price: Any) -> None:
    """The price of one symbol never stands for that of another."""
    feed, ask, name = price
    ask("BTC")
    feed.down = True
    with pytest.raises(ConnectionError, match="down"):
        ask("ETH")
    assert ask(symbol="BTC") == 100
    assert counts(name) == [0, 1, 1]


def test_what_is_good_is_what_counts_as_success(clock: ManualClock) -> None:
    """A result that counts as failure is no good one, and an error that does not count comes through."""
    answers: list[Any] = [1, -1, OSError("down"), KeyError("mine")]
    protect = circuit_breaker(
        5, 60.0, OSError, clock=clock, fallback=last_good(5), failure_result=lambda result: result < 0
    )

    def answer() -> int:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return int(found)

    ask = protect(answer)
    assert [ask(), ask(), ask()] == [1, -1, 1]
    with pytest.raises(KeyError, match="mine"):
        ask()


def test_a_coroutine_judges_what_is_good(clock: ManualClock) -> None:
    """As it does for the circuit."""
    answers: list[Any] = [1, -1, OSError("down")]

    async def is_bad(result: int) -> bool:
        await asyncio.sleep(0)
        return result < 0

    @circuit_breaker(5, 60.0, clock=clock, fallback=last_good(5), failure_result=is_bad)
    async def ask() -> int:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return int(found)

    async def main() -> list[int]:
        return [await ask(), await ask(), await ask()]

    assert asyncio.run(main()) == [1, -1, 1]


def test_functions_of_one_circuit_have_results_of_their_own(clock: ManualClock) -> None:
    """What one of them got says nothing of the other."""
    feed, other = Feed(), Feed()
    protect = circuit_breaker(name="two functions", clock=clock, fallback=last_good(5))
    first, second = protect(feed), protect(other)
    first("BTC")
    feed.down = other.down = True
    with pytest.raises(ConnectionError):
        second("BTC")
    assert first("BTC") == 100


def test_methods_keep_results_by_object() -> None:
    """Also of objects that cannot be hashed, as of a dataclass."""

    @dataclass
    class Client:
        price: int
        down: bool = False

        @circuit_breaker(fallback=last_good(60))
        def ticker(self) -> int:
            if self.down:
                raise ConnectionError
            return self.price

    first, second = Client(1), Client(2)
    assert (first.ticker(), second.ticker()) == (1, 2)
    first.down = second.down = True
    assert (first.ticker(), second.ticker()) == (1, 2)


def test_a_key_tells_what_is_asked_for(clock: ManualClock) -> None:
    """Arguments that it leaves out do not matter."""
    feed = Feed()
    protect = circuit_breaker(clock=clock, fallback=last_good(5, key=lambda symbol, trace: symbol))
    ask = protect(lambda symbol, trace: feed(symbol))
    ask("BTC", trace=1)
    feed.down = True
    assert ask("BTC", trace=2) == 100


def test_results_are_bounded(clock: ManualClock) -> None:
    """The oldest go first."""
    feed = Feed()
    ask = circuit_breaker(99, clock=clock, fallback=last_good(5, max_size=1))(feed)
    ask("BTC"), ask("ETH")
    feed.down = True
    assert ask("ETH") == 10
    with pytest.raises(ConnectionError):
        ask("BTC")


def test_threads_may_keep_and_ask_at_once() -> None:
    """Each gets a result that was there."""
    feed = Feed()
    ask = circuit_breaker(10**6, fallback=last_good(60))(feed)
    ask("BTC")
    got: set[int] = set()

    def run() -> None:
        for step in range(300):
            feed.down = bool(step % 2)
            got.add(ask("BTC"))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {100}


def test_other_fallbacks_are_counted_too() -> None:
    """A value, or a function of the error."""
    ask = circuit_breaker(name="fallback.value", fallback=0)(lambda: 1 / 0)
    assert [ask(), ask()] == [0, 0]
    assert counts("fallback.value") == [2, 0, 0]


def test_writes_are_refused_in_words() -> None:
    """The result of an earlier order must not stand for this one."""

    @idempotent(False)
    def buy() -> None:
        """Buy."""

    with pytest.raises(TypeError, match=r"buy is marked @idempotent\(False\).*earlier call"):
        circuit_breaker(fallback=last_good(5))(buy)
    with pytest.raises(TypeError, match="has a last_good fallback"):
        idempotent(False)(circuit_breaker(fallback=last_good(5))(lambda: None))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_age": 0}, "max_age must be"),
        ({"max_age": float("inf")}, "max_age must be"),
        ({"max_age": 1, "max_size": 0}, "max_size must be"),
        ({"max_age": 1, "key": 5}, "key must be"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    """When it is made."""
    with pytest.raises(ValueError, match=message):
        last_good(**arguments)


def test_wrong_keywords_have_a_hint() -> None:
    """Names of other libraries too."""
    with pytest.raises(TypeError, match="did you mean max_age"):
        last_good(ttl=5)  # type: ignore[call-arg] - the mistake that is tried


@pytest.mark.parametrize("way", ["retry", "policy", "file"])
def test_retries_and_policies_have_it_too(way: str, clock: ManualClock) -> None:
    """After the last attempt, also where it is described in a file."""
    feed = Feed()
    retry = retry_with_backoff(2, 0.1, clock=clock, name=f"last.{way}", fallback=last_good(5))
    if way == "policy":
        plain = retry_with_backoff(2, 0.1, clock=clock)
        protect: Any = Policy(plain, fallback=last_good(5), name="last.policy", clock=clock)
    elif way == "file":
        tables = {"retry": {"max_attempts": 2, "base_delay": 0.001}, "fallback": {"max_age": 5}}
        protect = Policy.from_config(tables, name="last.file")
    else:
        protect = retry
    ask = protect(feed)
    assert ask("BTC") == 100
    feed.down = True
    assert ask("BTC") == 100
    with pytest.raises(ConnectionError):
        ask("ETH")
    assert counts(f"last.{way}") == [0, 1, 1]
    if way != "file":
        clock.advance(6)
        with pytest.raises(ConnectionError):
            ask("BTC")


def test_a_coroutine_is_retried_before_its_last_good_result(clock: ManualClock) -> None:
    """And a result that is not accepted is no good one."""
    answers: list[Any] = [1, -1, -1, OSError("down"), OSError("down")]

    @retry_with_backoff(2, 0.1, clock=clock, fallback=last_good(5), retry_result=lambda result: result < 0)
    async def ask() -> int:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return int(found)

    async def main() -> list[int]:
        return [await ask(), await ask(), await ask()]

    assert asyncio.run(main()) == [1, -1, 1]
    with pytest.raises(ValueError, match=r"last_good.* is given where a function is decorated"):
        ask.retry.configure(fallback=last_good(1))  # type: ignore[attr-defined] # which decorators add
