"""One call under way serves all who ask the same, in threads and in tasks."""

import asyncio
import gc
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import trio

from peak_observe import Policy, circuit_breaker, deadline, get_breaker, idempotent, rate_limit, share
from peak_observe.errors import ConfigError, DeadlineExceededError
from peak_observe.measures import SHARES
from peak_observe.testing import ManualClock

CALLERS = 16


class Service:
    """A read that takes until it is let go, and counts its calls."""

    def __init__(self, answer: Any = "answer") -> None:
        self.calls = 0
        self.answer = answer
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, *_: object) -> Any:
        """Ask."""
        self.calls += 1
        self.begun.set()
        assert self.go.wait(60)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def in_threads(call: Callable[[], Any], count: int = CALLERS) -> tuple[list[threading.Thread], list[Any]]:
    """Call in several threads; return them, and where each puts what it got."""
    got: list[Any] = []

    def run() -> None:
        try:
            got.append(call())
        except Exception as error:
            got.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, got


def waiting(shared: Any, count: int) -> None:
    """Wait until so many callers have joined the call under way."""
    table = shared.share._table
    for _ in range(1000):
        if sum(len(flight.followers) for flight in table._flights.values()) == count:
            return
        time.sleep(0.005)
    raise AssertionError("they did not come")


def test_one_call_serves_all_threads() -> None:
    """Who asks while it is under way gets its result."""
    service = Service()
    ask = share(service)
    threads, got = in_threads(lambda: ask("BTC"))
    waiting(ask, CALLERS - 1)
    service.go.set()
    for thread in threads:
        thread.join()
    assert (service.calls, got) == (1, ["answer"] * CALLERS)
    assert ask.share.stats == (1, CALLERS - 1, 0, 0)


def test_one_call_serves_all_tasks() -> None:
    """The same for coroutines."""
    calls = []

    @share
    async def ask(symbol: str) -> str:
        calls.append(symbol)
        await asyncio.sleep(0.01)
        return symbol.lower()

    async def main() -> list[str]:
        return await asyncio.gather(*(ask(symbol) for symbol in ("BTC", "ETH") * 8))

    assert asyncio.run(main()) == ["btc", "eth"] * 8
    assert (calls, ask.share.stats.joined) == (["BTC", "ETH"], 14)


def test_one_call_serves_two_event_loops() -> None:
    """A loop in another thread waits for it without being held up."""
    begun, go, calls = threading.Event(), threading.Event(), []

    @share
    async def ask() -> str:
        calls.append(1)
        begun.set()
        await asyncio.to_thread(go.wait, 10)
        return "answer"

    first, got = in_threads(lambda: asyncio.run(ask()), 1)
    assert begun.wait(60)
    second, got_too = in_threads(lambda: asyncio.run(ask()), 1)
    waiting(ask, 1)
    go.set()
    for thread in first + second:
        thread.join()
    assert (got, got_too, len(calls)) == (["answer"], ["answer"], 1)


def test_a_call_that_has_ended_is_made_again() -> None:
    """Without a ttl nothing is kept."""
    calls = iter(range(3))
    ask = share(lambda: next(calls))
    assert (ask(), ask()) == (0, 1)


def test_each_argument_is_a_question_of_its_own() -> None:
    """By place or by name, in lists and dicts, which are compared by what they hold."""
    clock, calls = ManualClock(), []

    @share(ttl=1, clock=clock)
    def ask(symbol: str, params: Any = None, *rest: Any, **more: Any) -> int:
        calls.append((symbol, params, rest, more))
        return len(calls)

    @share(ttl=1, clock=clock)
    def plain(symbol: str, limit: int = 1) -> tuple[str, int]:
        return symbol, limit

    assert ask("BTC", {"a": [1]}) == ask("BTC", {"a": [1]}) == 1
    assert ask("BTC", {"a": [2]}) == 2
    assert ask("BTC", x=1, y=2) == ask("BTC", y=2, x=1) == 3
    plain("BTC", 5), plain("BTC", limit=5), plain(limit=5, symbol="BTC")
    assert plain.share.stats == (1, 0, 2, 0)


def test_methods_share_by_object() -> None:
    """Also those of objects that cannot be hashed, as of a dataclass; equal ones are two."""

    @dataclass
    class Client:
        name: str

        @share(ttl=60)
        def balance(self) -> list[str]:
            return [self.name]

    first, second = Client("a"), Client("a")
    assert first.balance() is first.balance()
    assert first.balance() is not second.balance()


def test_a_key_tells_what_is_asked_for() -> None:
    """Arguments that it leaves out do not matter."""
    ask = share(ttl=60, key=lambda symbol, **_: symbol)(lambda symbol, trace: (symbol, trace))
    assert ask("BTC", trace=1) == ask("BTC", trace=2) == ("BTC", 1)
    assert ask("ETH", trace=3) == ("ETH", 3)


def test_a_key_that_fails_makes_the_call_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The call is made, and the failure is logged once."""
    ask = share(ttl=60, key=lambda symbol: symbol.upper())(lambda symbol: symbol)
    assert (ask(1), ask(2)) == (1, 2)
    assert ask.share.stats.made == 2
    assert [record.name for record in caplog.records] == ["peak_observe.results"]


def test_an_exception_is_for_all_and_each_has_its_own() -> None:
    """With its cause, its attributes and the traceback of the call, which does not grow with the waiters."""

    class OddError(Exception):
        def __init__(self, code: int) -> None:
            super().__init__(f"code {code}")
            self.code = code

    odd = OddError(5)
    odd.__cause__ = OSError("reset")
    service = Service(odd)
    ask = share(service)
    threads, got = in_threads(lambda: ask("BTC"))
    waiting(ask, CALLERS - 1)
    service.go.set()
    for thread in threads:
        thread.join()
    assert (service.calls, len({id(error) for error in got})) == (1, CALLERS)
    assert {(type(e), str(e), e.code, str(e.__cause__)) for e in got} == {(OddError, "code 5", 5, "reset")}
    lengths = [len(traceback.extract_tb(error.__traceback__)) for error in got]
    assert max(lengths) <= min(lengths) + 4
    got[0].add_note("mine")
    assert not any(hasattr(error, "__notes__") for error in got[1:])


@dataclass(frozen=True)
class Frozen(Exception):  # noqa: N818 - what it is matters
    """An exception that lets nobody assign."""

    code: int


@pytest.mark.parametrize(
    "error",
    [
        OSError(104, "reset", "socket"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        ExceptionGroup("both", [ValueError("a")]),
        Frozen(3),
        KeyError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_of_any_shape_come_through(error: Exception) -> None:
    """Those that cannot be copied are the same for all, with the traceback that they had first."""
    service = Service(error)
    ask = share(service)
    threads, got = in_threads(ask, 4)
    waiting(ask, 3)
    service.go.set()
    for thread in threads:
        thread.join()
    assert [(type(one), str(one), one.args) for one in got] == [(type(error), str(error), error.args)] * 4


def test_an_exception_is_not_held_by_its_own_frames() -> None:
    """It is gone with the last one that has it, without the garbage collector."""

    class Payload:
        alive = 0

        def __init__(self) -> None:
            Payload.alive += 1

        def __del__(self) -> None:
            Payload.alive -= 1

    @share
    def ask() -> None:
        raise ValueError(Payload())

    gc.disable()
    try:
        with pytest.raises(ValueError, match="Payload") as caught:
            ask()
        del caught
        assert Payload.alive == 0
    finally:
        gc.enable()


def test_a_cancelled_waiter_leaves_the_others_alone() -> None:
    """The call goes on for them."""
    calls, go = [], asyncio.Event()

    @share
    async def ask() -> str:
        calls.append(1)
        await go.wait()
        return "answer"

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(ask()) for _ in range(4)]
        await asyncio.sleep(0.01)
        tasks[2].cancel()
        await asyncio.sleep(0.01)
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    got = asyncio.run(main())
    assert [type(one) for one in got] == [str, str, asyncio.CancelledError, str]
    assert (len(calls), ask.share.stats) == (1, (1, 2, 0, 1))


def test_a_cancelled_leader_hands_the_call_over() -> None:
    """One of those who wait makes it again; the leader's cancellation is its own."""
    calls, go = [], asyncio.Event()

    @share
    async def ask() -> int:
        calls.append(1)
        await go.wait()
        return len(calls)

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(ask()) for _ in range(4)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    got = asyncio.run(main())
    assert isinstance(got[0], asyncio.CancelledError)
    assert (got[1:], ask.share.stats) == ([2, 2, 2], (2, 2, 0, 0))


def test_ctrl_c_in_the_leader_hands_the_call_over() -> None:
    """It is raised in one thread and nowhere else."""
    go, interrupted = threading.Event(), []

    @share
    def ask() -> str:
        assert go.wait(60)
        if ask.share.stats.made == 1:  # type: ignore[attr-defined] # which the decorator adds
            raise KeyboardInterrupt
        return "answer"

    def lead() -> None:
        try:
            ask()
        except KeyboardInterrupt as error:
            interrupted.append(error)

    leader = threading.Thread(target=lead)
    leader.start()
    while not ask.share.stats.made:  # type: ignore[attr-defined] # as above
        time.sleep(0.001)
    threads, got = in_threads(ask, 3)
    waiting(ask, 3)
    go.set()
    for thread in (leader, *threads):
        thread.join()
    assert (len(interrupted), got) == (1, ["answer"] * 3)


def test_a_leader_that_is_gone_holds_up_nobody() -> None:
    """Its call goes with its frame, wherever Ctrl-C came."""
    ask = share(lambda: "answer")
    table = ask.share._table
    from peak_observe.resilience.results.singleflight import Caller

    leader, follower = Caller(), Caller()
    assert table.enter("key", leader).led_by(leader)
    assert not table.enter("key", follower).led_by(follower)
    del leader
    assert (follower.over, follower.end) == (True, None)


def test_waiters_observe_their_deadline() -> None:
    """In threads and in tasks; the call goes on for the others."""
    service = Service()
    ask = share(service)
    threads, got = in_threads(ask, 1)
    assert service.begun.wait(60)
    with pytest.raises(DeadlineExceededError), deadline(0.02):
        ask()
    service.go.set()
    threads[0].join()
    assert (got, ask.share.stats) == (["answer"], (1, 0, 0, 1))

    @share
    async def ask_later() -> str:
        await asyncio.sleep(0.1)
        return "answer"

    async def impatient() -> str:
        with deadline(0.02):
            return await ask_later()

    async def main() -> list[Any]:
        return await asyncio.gather(ask_later(), impatient(), return_exceptions=True)

    first, second = asyncio.run(main())
    assert (first, type(second)) == ("answer", DeadlineExceededError)


def test_a_deadline_of_the_leader_is_not_that_of_all() -> None:
    """Who has more time makes the call again."""
    calls = []

    @share
    async def ask() -> str:
        calls.append(1)
        await asyncio.sleep(0.02)
        if len(calls) == 1:
            raise DeadlineExceededError("inside", 1.0)
        return "answer"

    async def main() -> list[Any]:
        return await asyncio.gather(ask(), ask(), return_exceptions=True)

    first, second = asyncio.run(main())
    assert (type(first), second) == (DeadlineExceededError, "answer")


def test_a_call_inside_itself_passes() -> None:
    """It would wait for itself; also from a task that is started inside."""

    @share
    def depth(level: int, again: bool = True) -> int:
        return depth(level) if again and level else level

    calls = []

    @share
    async def ask(key: str) -> int:
        calls.append(key)
        if len(calls) == 1:
            return 1 + await asyncio.create_task(ask(key))
        return 1

    @share
    def recursive(key: str) -> int:
        calls.append(key)
        return 1 + recursive(key) if len(calls) < 4 else 1

    assert depth(0) == 0
    assert asyncio.run(asyncio.wait_for(ask("a"), 60)) == 2
    assert recursive("b") == 2


def test_results_are_kept_for_the_ttl() -> None:
    """And not a moment longer; exceptions are not kept."""
    clock, answers = ManualClock(), iter([1, 2, ValueError("down"), 4])

    @share(ttl=5, clock=clock)
    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert (ask(), ask()) == (1, 1)
    clock.advance(4.999)
    assert ask() == 1
    clock.advance(0.001)
    assert ask() == 2
    clock.advance(5)
    with pytest.raises(ValueError, match="down"):
        ask()
    assert ask() == 4
    assert ask.share.stats == (4, 0, 2, 0)


def test_kept_results_are_bounded() -> None:
    """The oldest go first."""
    ask = share(ttl=60, max_size=2)(lambda symbol: [symbol])
    first, second, third = (ask(symbol) for symbol in "abc")
    assert ask("b") is second
    assert ask("c") is third
    assert ask("a") is not first


def test_clear_forgets_what_is_kept_and_what_is_under_way() -> None:
    """Who asks after an order must not get the balance from before it."""
    service = Service()
    ask = share(ttl=60)(service)
    threads, _ = in_threads(ask, 1)
    assert service.begun.wait(60)
    ask.share.clear()
    service.go.set()
    threads[0].join()
    service.answer = "after"
    assert (ask(), ask()) == ("after", "after")
    assert service.calls == 2


def test_what_cannot_be_shared_is_refused_in_words() -> None:
    """Generators, writes, and coroutines of plain functions."""

    @idempotent(False)
    def buy() -> None:
        """Buy."""

    def items() -> Iterator[int]:
        yield 1

    async def later() -> None:
        """Come later."""

    with pytest.raises(TypeError, match=r"buy is marked @idempotent\(False\).*no share"):
        share(buy)
    with pytest.raises(TypeError, match=r"is shared as .*must not"):
        idempotent(False)(share(lambda: None))
    with pytest.raises(TypeError, match="generator"):
        share(items)
    with pytest.raises(TypeError, match="share the coroutine function itself"):
        share(partial(lambda function: function(), later))()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ttl": -1}, "ttl must be"),
        ({"ttl": "1"}, "ttl must be"),
        ({"max_size": 0}, "max_size must be"),
        ({"key": "symbol"}, "key must be a plain function"),
        ({"name": ""}, "name must be"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    """When it is made."""
    with pytest.raises(ValueError, match=message):
        share(**arguments)


def test_wrong_keywords_have_a_hint() -> None:
    """Names of other libraries too."""
    with pytest.raises(TypeError, match="did you mean max_size"):
        share(maxsize=1)  # type: ignore[call-overload] - the mistake that is tried


def test_counts_are_metrics() -> None:
    """By operation, all outcomes from the beginning."""
    ask = share(ttl=60, name="share.metrics")(lambda: 1)
    ask(), ask()
    found = SHARES.get("share.metrics")
    assert found is not None
    reading = found.read()
    assert reading is not None
    assert reading.calls == [1, 0, 1, 0]


def test_a_policy_shares_outside_of_its_limits() -> None:
    """What only waits takes no turn, and one failure counts once; another order is refused."""
    service = Service(ConnectionError("down"))
    breaker, limit = circuit_breaker(2, name="share.policy"), rate_limit(1, per=60)
    ask = Policy(share(ttl=1), breaker, limit, name="share.policy")(service)
    threads, got = in_threads(ask, 4)
    waiting(ask, 3)
    service.go.set()
    for thread in threads:
        thread.join()
    assert [str(error) for error in got] == ["down"] * 4
    assert get_breaker("share.policy").stats.failure_count == 1
    with pytest.raises(ValueError, match=r"circuit_breaker stands outside share: .*once for each caller"):
        Policy(circuit_breaker(), share())
    with pytest.raises(ValueError, match="cannot be part of a policy"):
        Policy(share(lambda: None))
    policy = Policy.from_config({"share": {"ttl": 2, "max_size": 5}, "circuit_breaker": {}}, name="share.config")
    assert repr(policy) == "<Policy 'share.config' (share, circuit_breaker)>"
    with pytest.raises(ConfigError, match=r"x\.share\.ttl: it must be"):
        Policy.from_config({"share": -1}, name="x")


def test_tasks_of_trio_share_too() -> None:
    """One that is cancelled hands the call over, and a deadline ends a wait."""
    calls, got = [], []

    @share
    async def ask() -> int:
        calls.append(1)
        await trio.sleep(1)
        return len(calls)

    async def take() -> None:
        got.append(await ask())

    async def impatient() -> None:
        with pytest.raises(DeadlineExceededError), deadline(0.01):
            await ask()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            leader = trio.CancelScope()

            async def lead() -> None:
                with leader:
                    await ask()

            nursery.start_soon(lead)
            await trio.sleep(0.1)
            nursery.start_soon(take)
            nursery.start_soon(take)
            nursery.start_soon(impatient)
            await trio.sleep(0.5)
            leader.cancel()

    trio.run(main)
    assert (got, len(calls)) == ([2, 2], 2)
    assert ask.share.stats == (2, 1, 0, 1)  # type: ignore[attr-defined] # which the decorator adds
