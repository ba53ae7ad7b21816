"""Calls that hold up an event loop say so once."""

import asyncio
import threading
from itertools import count

import pytest

from peak_observe import BulkheadFullError, bulkhead, rate_limit
from peak_observe.resilience.common.event_loop import running_loop
from peak_observe.testing import ManualClock

NUMBERS = count()


def test_the_loop_of_this_thread_is_found() -> None:
    """And that of another thread is not ours."""

    async def main() -> None:
        assert running_loop() is asyncio.get_running_loop()
        found = []
        thread = threading.Thread(target=lambda: found.append(running_loop()))
        thread.start()
        thread.join()
        assert found == [None]

    assert running_loop() is None
    asyncio.run(main())


def test_a_limit_that_waits_on_a_running_loop_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the mend; one that lets pass at once, or waits in a thread, is not."""
    name, clock = f"loop.{next(NUMBERS)}", ManualClock()
    limited, places = rate_limit(1, wait=60, name=name, clock=clock), bulkhead(1, 0.001, name=name)

    async def main() -> None:
        limited.acquire()
        await limited.async_acquire()
        assert caplog.records == []
        limited.acquire()
        limited.acquire()
        thread = threading.Thread(target=places.__enter__)
        thread.start()
        thread.join()
        for _ in range(2):
            with pytest.raises(BulkheadFullError), places:
                pytest.fail("there is no place")

    asyncio.run(main())
    limited.acquire()
    assert [record.getMessage() for record in caplog.records if "event loop" in record.getMessage()] == [
        (
            f"rate limit '{name}' waits on a running event loop: use `async with` or async_acquire(), or decorate a "
            "coroutine function"
        ),
        f"bulkhead '{name}' waits on a running event loop: use `async with`, or decorate a coroutine function",
    ]
