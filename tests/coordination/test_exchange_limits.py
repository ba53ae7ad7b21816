"""The rate limit of an exchange by ccxt's weights, shared by the clients of several processes."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient, Shared
from peak_observe.exchange_client import dialects
from peak_observe.exchange_client.dialects import UsageWindow
from peak_observe.exchange_client.shared_throttle import SharedThrottle
from peak_observe.testing import FakeExchange, ManualClock
from tests.conftest import free_port

Share = Callable[..., Shared]
Until = Callable[[Callable[[], object]], object]


@pytest.fixture
def fake(clock: ManualClock) -> Iterator[FakeExchange]:
    """An exchange that counts weights, whose clock is that of the test."""
    with FakeExchange(dialect="binance", clock=clock) as made:
        yield made


@pytest.fixture
def pair(
    share: Share, tmp_path: Path, clock: ManualClock, fake: FakeExchange
) -> Iterator[list[ResilientExchangeClient]]:
    """Two clients of one address, as of two processes."""
    made = []
    for name in ("one", "two"):
        shared = share(f"file://{tmp_path}/shared", timeout=5.0, clock=clock, margin=0.0)
        config = {**fake.config(), "enableRateLimit": True}
        made.append(ResilientExchangeClient("binance", config, name=name, health=None, clock=clock, shared=shared))
        made[-1].exchange.rateLimit = 1000.0
    yield made
    for client in made:
        client.close()


def test_clients_of_two_processes_keep_one_pace(pair: list, clock: ManualClock) -> None:
    """Each request comes its weight after the one before, whoever makes it."""
    one, two = (client.exchange for client in pair)
    one.throttle(3)
    two.throttle(1)
    one.throttle(2)
    two.throttle(0)
    two.throttle(1)
    assert clock.sleeps == pytest.approx([3, 1, 2])


def test_requests_take_their_turns(pair: list, clock: ManualClock, fake: FakeExchange) -> None:
    """The second client waits, too, before it asks the exchange."""
    for client in pair:
        client.exchange.public_get_time()
    cost = pair[0].exchange.describe()["api"]["public"]["get"]["time"]["cost"]
    assert clock.sleeps == pytest.approx([cost])
    assert fake.requests["GET time"] == 2


def test_coroutines_take_their_turns(share: Share, tmp_path: Path, clock: ManualClock, fake: FakeExchange) -> None:
    """Four tasks of one client, and the sync client after them."""
    url = f"file://{tmp_path}/shared"

    async def four() -> None:
        shared = share(url, timeout=5.0, clock=clock, margin=0.0)
        given = {"health": None, "clock": clock, "shared": shared}
        async with AsyncResilientExchangeClient("binance", fake.config(), **given) as client:
            client.exchange.rateLimit = 1000.0
            await asyncio.gather(*(client.exchange.throttle(2) for _ in range(4)))

    asyncio.run(four())
    assert clock.sleeps == pytest.approx([2, 2, 2])
    shared = share(url, timeout=5.0, clock=clock, margin=0.0)
    with ResilientExchangeClient("binance", fake.config(), health=None, clock=clock, shared=shared) as client:
        client.exchange.throttle(1)
    assert clock.sleeps[3:] == pytest.approx([2])


def test_another_address_has_its_own_limit(
    share: Share, tmp_path: Path, clock: ManualClock, fake: FakeExchange
) -> None:
    """Scopes do not wait for each other."""
    for scope in ("203.0.113.7", "203.0.113.8"):
        shared = share(f"file://{tmp_path}/shared", timeout=5.0, clock=clock, scope=scope)
        with ResilientExchangeClient("binance", fake.config(), health=None, clock=clock, shared=shared) as client:
            client.exchange.throttle(100)
    assert clock.sleeps == []


def test_what_the_exchange_counts_slows_all_down(
    pair: list, clock: ManualClock, fake: FakeExchange, until: Until
) -> None:
    """Somebody else behind the address used nine tenths of the minute: what is left is spread over the rest of it."""
    clock.advance(6)
    fake._dialect._weight, fake._dialect._minute = 5398, int(clock.now().timestamp()) // 60
    one, two = pair
    one.exchange.public_get_time()
    assert one._protection.state.shared_limit._turns.session.flush(20)
    before = len(clock.sleeps)
    two.exchange.throttle(1)
    # 53 seconds are left, as the exchange's date has no fraction, for a tenth of what may pass in 60.
    assert sum(clock.sleeps[before:]) == pytest.approx(53 - 6, abs=1)


def test_a_count_as_expected_changes_nothing(pair: list, clock: ManualClock, fake: FakeExchange) -> None:
    """At an even pace no turn comes later."""
    clock.advance(30)
    fake._dialect._weight, fake._dialect._minute = 2998, int(clock.now().timestamp()) // 60
    pair[0].exchange.public_get_time()
    clock.advance(100)
    before = len(clock.sleeps)
    pair[1].exchange.throttle(1)
    assert len(clock.sleeps) == before


def test_a_correction_is_told_once(share: Share, tmp_path: Path, clock: ManualClock) -> None:
    """Ten answers that say the same are one step; one that says more is another."""
    shared = share(f"file://{tmp_path}/shared", timeout=5.0, clock=clock)
    throttle = SharedThrottle(shared.exchange_turns("binance"), clock)
    told = []
    throttle._turns.postpone = told.append
    for used in (*[0.5] * 10, 0.2, 0.9, 1.2):
        throttle.correct(used, UsageWindow(60.0, 50.0))
    assert told == pytest.approx([20, 44, 50])
    throttle.correct(1.0, None)
    throttle.correct(0.1, UsageWindow(60.0, 50.0))
    assert len(told) == 3


def test_alone_a_process_takes_its_part(share: Share, clock: ManualClock) -> None:
    """Of three that were there last each takes a third; a correction holds for it, too."""
    shared = share(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2)
    throttle = SharedThrottle(shared.exchange_turns("binance"), clock)
    shared._session.members = 3
    throttle.wait(1.0)
    throttle.wait(1.0)
    assert clock.sleeps == [3.0]
    throttle.correct(1.0, UsageWindow(60.0, 50.0))
    throttle.wait(1.0)
    assert clock.sleeps == [3.0, 50.0]


DATE = "Sat, 28 Nov 2026 12:00:42 GMT"


@pytest.mark.parametrize(
    ("exchange", "headers", "expected"),
    [
        ("binance", {"date": DATE}, (60, 17)),
        ("binanceusdm", {"date": "yesterday"}, (60, 54)),
        ("binance", {}, (60, 54)),
        ("kucoin", {"gw-ratelimit-reset": "12345"}, (30, 12.345)),
        ("kucoinfutures", {"gw-ratelimit-reset": "99999"}, (30, 30)),
        ("kucoin", {"gw-ratelimit-reset": "soon"}, None),
        ("bybit", {"x-bapi-limit": "10", "x-bapi-limit-reset-timestamp": "1"}, None),
        ("kraken", {"date": DATE}, None),
    ],
)
def test_windows_of_limits_of_a_whole_exchange(exchange: str, headers: dict, expected: tuple | None) -> None:
    """Binance's minute and KuCoin's half minute; limits of single endpoints are none."""
    assert dialects.usage_window(exchange, headers, datetime(2026, 11, 28, 12, 0, 5, tzinfo=UTC)) == expected
