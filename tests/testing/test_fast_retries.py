"""Tests of retries need not wait."""

import asyncio

import pytest

from peak_observe import RetryScheduled, retry_with_backoff, retrying
from peak_observe.resilience.retry import execution
from peak_observe.testing import RecordingObserver, no_delays
from peak_observe.testing.fixtures import no_delays as no_delays_fixture

__all__ = ["no_delays_fixture"]


def fail() -> None:
    """Fail."""
    raise ConnectionError


def test_nobody_waits_in_the_block() -> None:
    """Hours would pass otherwise; the delays are told all the same."""
    with no_delays(), RecordingObserver() as seen, pytest.raises(ConnectionError):
        retry_with_backoff(3, 3600, 3600, name="haste.block")(fail)()
    assert [event.delay for event in seen.of(RetryScheduled)] == [3600, 3600]


@no_delays()
def test_it_is_a_decorator_too() -> None:
    """Of a whole test."""
    for attempt in retrying(3, 3600, 3600, name="haste.decorator"):
        with attempt:
            if attempt.number < 3:
                fail()


@pytest.mark.usefixtures("no_delays_fixture")
def test_it_is_a_fixture_too() -> None:
    """For coroutines as well, which let other tasks run between two attempts."""
    order = []

    @retry_with_backoff(3, 3600, 3600, name="haste.fixture")
    async def fetch() -> None:
        order.append("attempt")
        fail()

    async def both() -> None:
        await asyncio.gather(fetch(), asyncio.to_thread(order.append, "beside"), return_exceptions=True)

    asyncio.run(both())
    assert sorted(order) == ["attempt"] * 3 + ["beside"]


def test_blocks_may_be_inside_each_other_and_end_with_their_errors() -> None:
    """Waiting begins again with the end of the outermost."""
    with pytest.raises(ConnectionError), no_delays():
        with no_delays():
            assert execution.delays_off == 2
        assert execution.delays_off == 1
        fail()
    assert execution.delays_off == 0
