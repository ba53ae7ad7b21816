"""Latency budgets: requests of a group that take longer than promised are counted."""

import asyncio

import ccxt
import ccxt.async_support
import pytest

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient, instrument, uninstrument
from peak_observe.measures import LATENCY_BUDGETS
from peak_observe.measures.exchange import SEPARATOR
from peak_observe.testing import FakeExchange, Fault

SLOW = 0.3


@pytest.fixture
def fake():
    """An exchange that carries out orders late."""
    with FakeExchange() as running:
        running.fail(Fault.latency(SLOW), path="AddOrder")
        yield running


def counted(name: str, group: str) -> tuple[float | None, int, int]:
    """Return budget, requests and slow requests of a group."""
    reading = LATENCY_BUDGETS.get(f"{name}{SEPARATOR}{group}").read()
    return reading.seconds, reading.requests, reading.slow


def test_slow_orders_are_counted(fake) -> None:
    """Prices that come in time are another group, and one without a budget has no series."""
    budget = {"trade": SLOW / 2, "public": 60}
    with ResilientExchangeClient("kraken", fake.config(), name="late", health=None, latency_budget=budget) as client:
        assert counted("late", "trade") == (SLOW / 2, 0, 0)
        client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
        client.fetch_balance()
        assert counted("late", "trade") == (SLOW / 2, 1, 1)
        seconds, requests, slow = counted("late", "public")
        assert (seconds, requests > 0, slow) == (60, True, 0)
        assert LATENCY_BUDGETS.get(f"late{SEPARATOR}private") is None


def test_slow_orders_are_counted_on_an_event_loop(fake) -> None:
    """As the async client counts all else."""

    async def place() -> None:
        async with AsyncResilientExchangeClient(
            "kraken", fake.config(), name="late.async", health=None, latency_budget={"trade": SLOW / 2}
        ) as client:
            await client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)

    asyncio.run(place())
    assert counted("late.async", "trade")[1:] == (1, 1)


def test_a_failure_that_comes_late_is_slow(fake) -> None:
    """An exchange that answers an order with an error after half a second was as slow as one that takes it."""
    fake.heal()
    fake.fail(Fault.status(503).after(SLOW), path="AddOrder")
    with ResilientExchangeClient(
        "kraken", fake.config(), name="late.failure", health=None, latency_budget={"trade": SLOW / 2}
    ) as client:
        with pytest.raises(ccxt.BaseError):
            client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
        assert counted("late.failure", "trade")[1:] == (1, 1)


def test_what_was_never_sent_is_not_counted(fake) -> None:
    """A mistake of the program says nothing about the exchange."""
    with ResilientExchangeClient(
        "kraken", fake.config(), name="late.bug", health=None, latency_budget={"trade": 1}
    ) as client:
        with pytest.raises(ccxt.BadSymbol):
            client.create_order("NO/SUCH", "limit", "buy", 0.1, 50_000)
        assert counted("late.bug", "trade") == (1, 0, 0)


def test_a_live_object_takes_a_budget(fake) -> None:
    """The next call adds to it, a call without one keeps it; what was counted outlives it, the promise does not."""
    exchange = instrument(ccxt.kraken(fake.config()), "late.live", latency_budget={"trade": SLOW / 2})
    instrument(exchange, latency_budget={"public": 60})
    instrument(exchange)
    exchange.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
    assert counted("late.live", "trade") == (SLOW / 2, 1, 1)
    assert counted("late.live", "public")[1] > 0
    uninstrument(exchange)
    assert counted("late.live", "trade") == (None, 1, 1)


def test_two_clients_of_one_name_add_up(fake) -> None:
    """The shorter budget shows."""
    settings = {"name": "late.twice", "health": None}
    with (
        ResilientExchangeClient("kraken", fake.config(), latency_budget={"trade": SLOW / 2}, **settings) as one,
        ResilientExchangeClient("kraken", fake.config(), latency_budget={"trade": 60}, **settings) as other,
    ):
        for client in (one, other):
            client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
        assert counted("late.twice", "trade") == (SLOW / 2, 2, 1)


@pytest.mark.parametrize(
    ("budget", "error", "said"),
    [
        ({"trades": 0.5}, ValueError, "latency_budget has the groups 'public', 'private', 'trade', not 'trades'"),
        ({7: 0.5}, ValueError, "latency_budget has the groups 'public', 'private', 'trade', not 7"),
        ({"trade": 0}, ValueError, r"latency_budget\['trade'\] must be more than 0 seconds"),
        ({"trade": "fast"}, ValueError, r"latency_budget\['trade'\] must be a finite number of seconds"),
        ({"trade": float("inf")}, ValueError, r"latency_budget\['trade'\] must be a finite number of seconds"),
        (0.5, TypeError, "latency_budget must be seconds by group"),
    ],
)
def test_a_budget_that_makes_no_sense_is_named(budget, error, said) -> None:
    """For both clients and for live objects, before anything is changed."""
    for make in (ResilientExchangeClient, AsyncResilientExchangeClient):
        with pytest.raises(error, match=said):
            make("kraken", health=None, latency_budget=budget)
    exchange = ccxt.kraken()
    with pytest.raises(error, match=said):
        instrument(exchange, latency_budget=budget)
    assert type(exchange) is ccxt.kraken
