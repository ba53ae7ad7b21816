"""Rate limits with windows that processes share: at once where there is room, and never more than that together."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from peak_observe import RateLimitedError, Shared, rate_limit
from peak_observe.errors import RefusedError
from peak_observe.testing import ManualClock
from tests.conftest import free_port
from tests.coordination.conftest import Server

Share = Callable[..., Shared]
Until = Callable[[Callable[[], object]], object]


def passed(limit: object, calls: int, **given: float) -> int:
    """Return how many of so many calls passed."""
    done = 0
    for _ in range(calls):
        try:
            limit.acquire(**given)
        except RefusedError:
            continue
        done += 1
    return done


def test_two_members_keep_the_windows_together(share: Share, url: str) -> None:
    """Both take what they want at once until a window is full; the refusal names the time until it has room."""
    first, second = (rate_limit([(10, 1000), (8, 100)], name="orders", shared=share(url)) for _ in range(2))
    assert (passed(first, 5), passed(second, 9), passed(first, 9)) == (5, 3, 0)
    with pytest.raises(RateLimitedError) as error:
        second.acquire()
    assert 50 < error.value.retry_after < 101


def test_each_window_holds_as_time_goes_on(share: Share, tmp_path: Path, clock: ManualClock) -> None:
    """The short one has room again after its seconds and the margin, the long one later."""
    url = f"file://{tmp_path}/shared"
    first, second = (
        rate_limit([(3, 10), (5, 100)], name="orders", clock=clock, shared=share(url, clock=clock, margin=1.0))
        for _ in range(2)
    )
    assert (passed(first, 2), passed(second, 2)) == (2, 1)
    clock.advance(10.5)
    assert passed(second, 1) == 0
    clock.advance(1)
    assert (passed(second, 1), passed(first, 9)) == (1, 1)
    clock.advance(70)
    assert passed(first, 1) == 0
    clock.advance(35)  # turns that are closer together than an eighth of the window leave it together
    assert (passed(first, 9), passed(second, 9)) == (3, 0)


def test_a_call_waits_for_room(share: Share, tmp_path: Path, clock: ManualClock) -> None:
    """As long as its window says, and the calls of all processes in the order in which they asked."""
    url = f"file://{tmp_path}/shared"
    first, second = (
        rate_limit([(2, 10)], name="waits", wait=60, clock=clock, shared=share(url, clock=clock, margin=0.0))
        for _ in range(2)
    )
    for limit in (first, second, first, second, second):
        limit.acquire()
    assert clock.sleeps == pytest.approx([10, 10])
    assert first.stats.after_wait + second.stats.after_wait == 2


def test_weights_fill_a_window(share: Share, url: str) -> None:
    """A heavy call takes as much, a lighter one what is left, and one that is heavier than the window is an error."""
    limit = rate_limit([(10, 1000)], name="heavy", shared=share(url))
    other = rate_limit([(10, 1000)], name="heavy", shared=share(url))
    limit.acquire(weight=7.5)
    assert (passed(other, 3, weight=3), passed(other, 3, weight=1), passed(limit, 3, weight=0.5)) == (0, 2, 1)
    with pytest.raises(ValueError, match="weight 11 can never pass"):
        limit.acquire(weight=11)
    with pytest.raises(ValueError, match="weight 11 can never pass"):
        asyncio.run(limit.async_acquire(weight=11))


def test_threads_and_tasks_pass_where_there_is_room(share: Share, url: str) -> None:
    """None is refused because another one asks at the same moment, though none waits."""
    limit = rate_limit([(40, 1000)], name="many", shared=share(url, timeout=5.0))
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(passed(limit, 5))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def tasks() -> list:
        return await asyncio.gather(*(limit.async_acquire() for _ in range(14)), return_exceptions=True)

    assert sum(found) == 30
    assert sum(error is None for error in asyncio.run(tasks())) == 10


def test_a_pause_of_one_holds_for_all(share: Share, tmp_path: Path, clock: ManualClock, until: Until) -> None:
    """After it no more pass than the window has, as those that waited through it count where they pass."""
    url = f"file://{tmp_path}/shared"
    first, second = (
        rate_limit([(2, 10)], name="paused", wait=60, clock=clock, shared=share(url, clock=clock, margin=0.0))
        for _ in range(2)
    )
    first.pause(30)
    until(lambda: second.snapshot().pause > 20)
    begun = clock.monotonic()
    for limit in (second, first, second):
        limit.acquire()
    assert clock.monotonic() - begun == pytest.approx(40)


def test_limits_of_two_lengths_are_those_of_the_lower_one(share: Share, url: str) -> None:
    """Windows of the same seconds are one."""
    assert passed(rate_limit([(9, 1000), (2, 1000), (5, 1000)], name="same", shared=share(url)), 9) == 2


def test_windows_can_be_changed(share: Share, url: str) -> None:
    """What was used up stays used up."""
    limit = rate_limit([(2, 1000)], name="changed", shared=share(url))
    assert passed(limit, 9) == 2
    limit.configure(limit=[(5, 1000)])
    assert passed(limit, 9) == 3


def test_observed_windows_refuse_nobody(share: Share, url: str) -> None:
    """Calls that would have been refused pass and are counted."""
    limit = rate_limit([(2, 1000)], name="observed", mode="observe", shared=share(url))
    assert passed(limit, 5) == 5
    assert (limit.stats.at_once, limit.stats.would_refuse) == (2, 3)


def test_alone_a_process_takes_its_part(share: Share) -> None:
    """A server that was never there: with four processes known, a quarter of each window."""
    shared = share(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2)
    limit = rate_limit([(8, 1000), (100, 9000)], name="alone", shared=shared)
    limit.core()._turns.session.members = 4
    asyncio.run(limit.async_acquire())
    assert passed(limit, 9) == 1
    heavy = rate_limit([(8, 1000)], name="heavy", shared=shared)
    heavy.acquire(weight=6)
    with pytest.raises(RateLimitedError) as error:
        heavy.acquire()
    assert 2900 < error.value.retry_after < 3001


def test_what_was_taken_together_counts_alone(share: Share, server: Server, until: Until) -> None:
    """A process that had its part already gets nothing more when the server goes away."""
    shared = share(server.url, timeout=0.5)
    limit = rate_limit([(8, 1000)], name="before", shared=shared)
    assert passed(limit, 3) == 3
    server.kill()
    until(lambda: not shared.is_up)
    limit.core()._turns.session.members = 2
    assert passed(limit, 9) == 1


@pytest.mark.parametrize("data", ["kept", "lost"])
def test_a_server_that_was_away_is_told_what_was_taken(share: Share, server: Server, until: Until, data: str) -> None:
    """Neither a server that hung nor one that lost its data lets the window be filled once more."""
    near, far = share(server.url, timeout=2.0), share(server.url, timeout=2.0)
    first, second = (rate_limit([(8, 1000)], name="told", shared=shared) for shared in (near, far))
    assert passed(first, 2) == 2
    away, back = (server.stop, server.go_on) if data == "kept" else (server.kill, server.start)
    away()
    until(lambda: not near.is_up and not far.is_up)
    first.core()._turns.session.members = 2
    assert passed(first, 9) == 2
    back()
    until(lambda: near.is_up and far.is_up)
    assert near.flush(20)
    assert passed(second, 9) == 4
    assert passed(first, 9) == 0


def test_data_that_a_server_lost_unseen_is_brought_back_with_the_next_call(share: Share, shared_server: Server) -> None:
    """The mark of the new log tells it."""
    limit = rate_limit([(5, 1000)], name="flushed", shared=share(shared_server.url))
    assert passed(limit, 3) == 3
    with redis.Redis(port=shared_server.port) as client:
        client.delete("{peak-observe}:window:flushed")
    assert passed(limit, 9) == 2


def test_a_turn_taken_alone_while_an_answer_was_under_way_is_told_later(share: Share, tmp_path: Path) -> None:
    """Two threads, of which one saw the engine away: what the other one told did not have that turn."""
    given = {"given": [(9, 1000)], "delay": 0.0}
    turns = share(f"file://{tmp_path}/shared").window_turns("both")
    turns.reserve_alone(1, 0.0, **given)
    request, told = turns._request(1, 0.0, given["given"], 0.0)
    assert request.alone == (1,)
    turns.reserve_alone(1, 0.0, **given)
    turns._noted(request, told, (0.0, True, "mark"))
    request, told = turns._request(1, 0.0, given["given"], 0.0)
    assert (request.alone, request.own, request.known) == ((2,), (3,), "mark")
    turns._noted(request, told, (0.0, True, "mark"))
    assert turns._request(1, 0.0, given["given"], 0.0)[0].alone == (0,)


def test_windows_of_a_file_outlive_the_start_of_the_machine(
    share: Share, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By wall time, as monotonic seconds begin anew; turns that were still to come are given up."""
    url = f"file://{tmp_path}/shared"
    assert passed(rate_limit([(3, 1000)], name="boot", shared=share(url)), 2) == 2
    monkeypatch.setattr("peak_observe.coordination.file_engine._boot_id", lambda: b"another start   ")
    clock = ManualClock()
    limit = rate_limit([(3, 1000)], name="boot", clock=clock, shared=share(url, clock=clock))
    assert passed(limit, 9) == 1
    clock.advance(1200)
    assert passed(limit, 9) == 3
