"""Shares of priority classes in a rate limit that processes share."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from peak_observe import RateLimitedError, Shared, priority, rate_limit
from peak_observe.testing import ManualClock
from tests.conftest import free_port
from tests.coordination.test_shared_windows import passed

Share = Callable[..., Shared]
TRADE = {"trade": 0.2}


def test_the_share_of_a_class_in_windows_is_kept_by_all(share: Share, url: str) -> None:
    """Eight of ten are for all calls of both members, two more for those of the class, whoever makes them."""
    first, second = (rate_limit([(10, 1000)], reserve=TRADE, name="orders", shared=share(url)) for _ in range(2))
    assert (passed(first, 5), passed(second, 9)) == (5, 3)
    with priority("trade"):
        assert (passed(second, 1), passed(first, 9), passed(second, 9)) == (1, 1, 0)


def test_calls_of_the_class_may_take_what_is_left(share: Share, url: str) -> None:
    """First their share, then that of all; a class without a share is as all others."""
    limit = rate_limit([(10, 1000)], reserve=TRADE, name="orders", shared=share(url))
    with priority("history"):
        assert passed(limit, 3) == 3
    with priority("trade"):
        assert passed(limit, 9) == 7
    assert passed(limit, 9) == 0
    classes = limit.core().read().classes
    assert {name: calls for name, (calls, _) in classes.items()} == {"trade": 7, "default": 3}


def test_the_share_of_a_class_in_an_even_rate_is_kept_by_all(share: Share, url: str) -> None:
    """The turn of all others is far away, that of the class is there."""
    first, second = (rate_limit(1, 100, reserve={"trade": 0.5}, name="even", shared=share(url)) for _ in range(2))
    assert passed(first, 3) == 1
    assert passed(second, 3) == 0
    with priority("trade"):
        assert passed(second, 3) == 1
        with pytest.raises(RateLimitedError) as error:
            first.acquire()
    assert 190 < error.value.retry_after < 201


def test_a_call_waits_where_it_passes_first(share: Share, tmp_path: Path, clock: ManualClock) -> None:
    """For its class, or for what is left, and coroutines do the same."""
    url = f"file://{tmp_path}/shared"
    first, second = (
        rate_limit(
            [(4, 10)],
            reserve={"trade": 0.25},
            name="soon",
            wait=60,
            clock=clock,
            shared=share(url, clock=clock, margin=0),
        )
        for _ in range(2)
    )
    with priority("trade"):
        first.acquire()
    clock.advance(4)
    for limit in (first, second, second):
        limit.acquire()
    with priority("trade"):
        second.acquire()
        assert clock.sleeps == pytest.approx([6])
        asyncio.run(first.async_acquire())
        assert clock.sleeps == pytest.approx([6, 4])


def test_those_that_wait_do_not_hold_up_the_class(share: Share, url: str) -> None:
    """A call of the class passes although others of its process stand in a queue."""
    limit = rate_limit(1, 1000, reserve={"trade": 0.5}, wait=10_000, name="queue", shared=share(url, timeout=5.0))

    async def trade() -> None:
        with priority("trade"):
            await limit.async_acquire()

    async def busy() -> None:
        await limit.async_acquire()
        others = [asyncio.create_task(limit.async_acquire()) for _ in range(3)]
        await asyncio.sleep(0.1)
        await asyncio.wait_for(trade(), 20)
        assert not any(task.done() for task in others)
        for task in others:
            task.cancel()
        await asyncio.wait(others)

    asyncio.run(busy())
    assert (limit.stats.at_once, limit.stats.interrupted) == (2, 3)


def test_alone_a_process_has_its_part_of_each_share(share: Share) -> None:
    """With two processes known, half of the share of the class, and half of what is left."""
    shared = share(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2)
    windows = rate_limit([(10, 1000)], reserve=TRADE, name="windows", shared=shared)
    even = rate_limit(1, 100, reserve={"trade": 0.5}, name="even", shared=shared)
    windows.core()._turns.session.members = 2
    assert (passed(windows, 9), passed(even, 1)) == (4, 1)
    with priority("trade"):
        assert (passed(windows, 9), passed(even, 1), passed(even, 1)) == (1, 1, 0)


def test_a_weight_that_no_share_allows_is_an_error(share: Share, url: str) -> None:
    """One that the class alone allows is none for calls of the class."""
    limit = rate_limit([(10, 1000)], reserve={"bulk": 0.8}, name="heavy", shared=share(url))
    with pytest.raises(ValueError, match="weight 5 can never pass"):
        limit.acquire(weight=5)
    with priority("bulk"):
        limit.acquire(weight=5)


def test_shares_cannot_change(share: Share, url: str) -> None:
    """One error says why, and nothing is changed; other settings can."""
    limit = rate_limit([(10, 1000)], reserve=TRADE, name="orders", shared=share(url))
    with pytest.raises(ValueError, match="reserve of a shared limit cannot change: give all processes the same"):
        limit.configure(reserve={"trade": 0.5}, limit=[(99, 1000)])
    with pytest.raises(ValueError, match="reserve of a shared limit cannot change"):
        limit.adopt(rate_limit([(10, 1000)], name="unlike"))
    assert passed(limit, 20) == 8
    limit.configure(limit=[(20, 1000)])
    assert passed(limit, 20) == 8
