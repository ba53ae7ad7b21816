"""Orders that are cut off while they are under way: what cuts them off says by which ids they can be found."""

import asyncio
import contextlib

import anyio
import ccxt
import pytest

from peak_observe import OutcomeUnknown, WriteUnanswered, retry_with_backoff, timeout
from peak_observe.testing import Fault, RecordingObserver

SOON = 2.0
"""Seconds after which an order is cut off that a busy machine has sent by then."""


@pytest.fixture
def hanging(rig):
    """A client whose orders get no answer, with its rig and an event that a request has arrived."""
    rig = rig()
    with rig.using("async", name="cut") as client:
        rig.fake.fail(Fault.hang())
        yield rig, client


def order(client):
    """Place an order."""
    return client.create_order("BTC/USD", "limit", "buy", 1, 1)


def cut_off(rig, use) -> tuple[BaseException, OutcomeUnknown | None]:
    """Return what was raised and the unknown outcome behind it."""
    with pytest.raises(BaseException) as raised:
        rig.run("async", use)
    return raised.value, OutcomeUnknown.behind(raised.value)


def sent(rig) -> tuple[str, ...]:
    """Return the ids that arrived at the exchange."""
    return tuple(call.params["cl_ord_id"] for call in rig.calls if "cl_ord_id" in call.params)


async def by_wait_for(client):
    """Cut off with `asyncio.wait_for`."""
    await asyncio.wait_for(order(client), SOON)


async def by_timeout(client):
    """Cut off with `asyncio.timeout`."""
    async with asyncio.timeout(SOON):
        await order(client)


async def by_ours(client):
    """Cut off with our own `timeout`."""
    await timeout(SOON)(client.create_order)("BTC/USD", "limit", "buy", 1, 1)


async def by_anyio(client):
    """Cut off with `anyio.fail_after`, which raises from nothing."""
    with anyio.fail_after(SOON):
        await order(client)


async def by_an_old_timeout(client):
    """Cut off as `asyncio.timeout` did before Python 3.11.3."""
    try:
        async with asyncio.timeout(SOON):
            await order(client)
    except TimeoutError as error:
        error.__cause__, error.__context__ = None, error.__cause__ or error.__context__
        raise


CUTS = [by_wait_for, by_timeout, by_ours, by_anyio, by_an_old_timeout]


@pytest.mark.parametrize("cut", CUTS)
def test_a_timeout_leads_to_the_ids(hanging, cut) -> None:
    """They are in what it came from, and the event tells of them."""
    rig, client = hanging
    rig.calls.clear()
    with RecordingObserver() as seen:
        raised, unknown = cut_off(rig, lambda: cut(client))
    assert isinstance(raised, TimeoutError)
    assert unknown.client_order_ids == sent(rig)
    assert len(sent(rig)) == 1
    assert unknown.order == "limit buy 1 BTC/USD at 1"
    assert [event.client_order_ids for event in seen.of(WriteUnanswered)] == [sent(rig)]


@pytest.mark.parametrize("cut", CUTS)
def test_a_retry_around_an_order_that_was_cut_off_does_not_repeat_it(hanging, cut) -> None:
    """It may stand, whatever the time limit is called."""
    rig, client = hanging
    rig.calls.clear()
    raised, unknown = cut_off(rig, lambda: retry_with_backoff(3, 0.001)(cut)(client))
    assert isinstance(raised, TimeoutError)
    assert unknown.client_order_ids == sent(rig)


class TradeError(Exception):
    """What a bot makes of it."""


@pytest.mark.parametrize("cut", CUTS)
def test_nor_one_whose_time_limit_was_replaced_by_an_error_from_nothing(hanging, cut) -> None:
    """As in most handlers."""
    rig, client = hanging
    rig.calls.clear()

    @retry_with_backoff(3, 0.001)
    async def buy():
        try:
            await cut(client)
        except TimeoutError:
            raise TradeError("too slow")  # noqa: B904 - the case

    raised, unknown = cut_off(rig, buy)
    assert isinstance(raised, TradeError)
    assert unknown.client_order_ids == sent(rig)


async def by_a_task_group(client):
    """Cut off a task group of asyncio."""
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as tasks:
        tasks.create_task(order(client))


async def by_a_task_group_of_anyio(client):
    """Cut off one of anyio."""
    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(order, client)


@pytest.mark.parametrize("cut", [by_a_task_group, by_a_task_group_of_anyio])
def test_nor_one_in_a_task_group_which_says_nothing_of_it(hanging, cut) -> None:
    """The attempt knows of it."""
    rig, client = hanging
    rig.calls.clear()
    raised, _ = cut_off(rig, lambda: retry_with_backoff(3, 0.001, fallback="no order")(cut)(client))
    assert isinstance(raised, TimeoutError)
    assert len(sent(rig)) == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_nor_one_of_whose_error_only_the_result_tells(rig, kind) -> None:
    """The bot swallows it, and asks for another attempt by its result: it gets that result."""
    rig = rig()
    with rig.using(kind, name="cut") as client:
        rig.fake.fail(Fault.reset())
        rig.calls.clear()

        def buy():
            with contextlib.suppress(Exception):
                return order(client)

        async def async_buy():
            with contextlib.suppress(Exception):
                return await asyncio.gather(order(client))

        retried = retry_with_backoff(3, 0.001, retry_result=lambda result: result is None, fallback="no order")
        assert rig.run(kind, retried(buy if kind == "sync" else async_buy)) is None
        assert len(sent(rig)) == 1


def test_no_fallback_stands_in_for_an_order_that_may_stand(hanging) -> None:
    """Or nobody would look for it."""
    rig, client = hanging

    @retry_with_backoff(3, 0.001, attempt_timeout=0.2, fallback="no order", name="cut.fallback")
    async def buy():
        return await order(client)

    raised, unknown = cut_off(rig, buy)
    assert isinstance(raised, TimeoutError)
    assert unknown.client_order_ids


def test_a_cancelled_task_is_cancelled_and_carries_the_ids(hanging) -> None:
    """`CancelledError` stays what it is, so that nothing swallows it, with ids, note and cause."""
    rig, client = hanging
    rig.calls.clear()

    async def use():
        task = asyncio.ensure_future(order(client))
        await asyncio.to_thread(rig.arrived.wait, 30)
        task.cancel()
        await task

    raised, unknown = cut_off(rig, use)
    assert type(raised) is asyncio.CancelledError
    assert raised.client_order_ids == unknown.client_order_ids == sent(rig)
    assert raised.client_order_id == sent(rig)[0]
    assert sent(rig)[0] in raised.__notes__[0]
    assert isinstance(unknown, ccxt.ExchangeError)


def test_a_read_that_is_cut_off_leaves_nothing_open(hanging) -> None:
    """There is nothing to ask for."""
    rig, client = hanging

    async def use():
        await asyncio.wait_for(client.fetch_ticker("BTC/USD"), 0.1)

    raised, unknown = cut_off(rig, use)
    assert isinstance(raised, TimeoutError)
    assert unknown is None


def test_an_order_that_was_not_sent_yet_leaves_nothing_open(rig) -> None:
    """It waited for the exchange to be asked again."""
    rig = rig()
    from peak_observe.clock import SYSTEM_CLOCK

    with rig.using("async", name="cut", clock=SYSTEM_CLOCK) as client:
        client._backpressure.set(SYSTEM_CLOCK.now().timestamp() + 5, "test")
        raised, unknown = cut_off(rig, lambda: by_wait_for(client))
    assert isinstance(raised, TimeoutError)
    assert unknown is None


def test_ctrl_c_carries_the_ids(rig, monkeypatch) -> None:
    """In a sync program it comes in the middle of the request."""
    rig = rig()
    with rig.using("sync", name="cut") as client, RecordingObserver() as seen:
        bodies = []

        def interrupted(*_, **kwargs):
            bodies.append(kwargs["data"])
            raise KeyboardInterrupt

        monkeypatch.setattr(client.exchange.session, "request", interrupted)
        with pytest.raises(KeyboardInterrupt) as raised:
            order(client)
    assert f"cl_ord_id={raised.value.client_order_id}" in bodies[0].decode()
    assert OutcomeUnknown.behind(raised.value).client_order_ids == raised.value.client_order_ids
    assert len(seen.of(WriteUnanswered)) == 1


def test_what_is_behind_an_error_is_found_in_groups_and_circles() -> None:
    """And nothing where there is nothing."""
    unknown = OutcomeUnknown("a", "create_order", "POST x", ("i",), None)
    inner = ValueError()
    inner.__cause__ = unknown
    around = RuntimeError()
    around.__context__ = inner
    inner.__context__ = around
    assert OutcomeUnknown.behind(ExceptionGroup("g", [KeyError(), around])) is unknown
    assert OutcomeUnknown.behind(unknown) is unknown
    assert OutcomeUnknown.behind(KeyError()) is None
    assert OutcomeUnknown.behind(None) is None
