"""Calls from a thread of ours reach sync and async clients, and wait for neither a ban nor a loop that hangs."""

import asyncio
import threading
import time

import ccxt
import ccxt.async_support
import pytest

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient
from peak_observe.safety.exchange_calls import Caller, name_of
from peak_observe.testing import FakeExchange

TIME = ("fetch_time", ())


def test_a_call_waits_for_no_ban() -> None:
    """It comes again soon; asking now would make the ban longer."""
    with FakeExchange() as fake, ResilientExchangeClient("kraken", fake.config(), health=None) as client:
        client._backpressure.set(time.time() + 60, "banned for the test")
        error = Caller(client).error([TIME])
        assert str(error).startswith("the exchange asked to wait for another ")
        assert fake.requests["Time"] == 0


def test_one_call_that_fails_keeps_none_of_the_others() -> None:
    """The first error is returned."""
    with FakeExchange() as fake:
        client = ccxt.kraken(fake.config())
        error = Caller(client).error([("cancel_order", ("gone",)), TIME])
        assert isinstance(error, ccxt.OrderNotFound)
        assert fake.requests["Time"] == 1
        client.session.close()


def test_requests_that_cannot_be_made_are_an_error() -> None:
    """Such as those of a market that there is not."""

    def requests():
        yield TIME
        raise ccxt.BadSymbol("no such market")

    with FakeExchange() as fake:
        client = ccxt.kraken(fake.config())
        assert isinstance(Caller(client).error(requests()), ccxt.BadSymbol)
        client.session.close()


def test_a_loop_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ccxt's own timeout, and not for ever."""
    monkeypatch.setattr("peak_observe.safety.exchange_calls.PATIENCE", 0.1)
    found: list[Exception | None] = []

    async def run() -> None:
        with FakeExchange() as fake:
            async with AsyncResilientExchangeClient("kraken", {**fake.config(), "timeout": 100}, health=None) as client:
                caller = Caller(client)
                assert caller.on_own_loop()
                thread = threading.Thread(target=lambda: found.append(caller.error([TIME])))
                thread.start()
                thread.join(60)  # which keeps the loop from doing anything

    asyncio.run(run())
    assert str(found[0]) == "the event loop of the client hangs"


def test_a_loop_that_has_ended_is_an_error() -> None:
    """And no exception in the thread."""

    async def run() -> Caller:
        client = ccxt.async_support.kraken()
        await client.close()
        return Caller(client)

    error = asyncio.run(run()).error([TIME])
    assert str(error) == "the event loop of the client does not run"


def test_the_label_is_the_clients_name_or_the_id() -> None:
    """As in all metrics of exchanges."""
    with ResilientExchangeClient("kraken", name="spot", health=None) as client:
        assert name_of(client) == "spot"
    assert name_of(ccxt.kraken()) == "kraken"
