"""The fakes have cancel-all timers that count by the exchange's clock, and tell a key its rights."""

import ccxt
import pytest

from peak_observe.testing import FakeExchange, ManualClock

SYMBOLS = {"kraken": "BTC/USD", "okx": "BTC/USDT"}


@pytest.mark.parametrize("dialect", SYMBOLS)
def test_a_timer_cancels_what_is_open_when_it_runs_out(dialect: str) -> None:
    """Once; an order after that stands."""
    clock = ManualClock()
    with FakeExchange(dialect=dialect, clock=clock) as fake:
        client = getattr(ccxt, dialect)(fake.config())
        client.milliseconds = lambda: int(clock.now().timestamp() * 1000)

        def statuses() -> list[str]:
            return [order.status for order in fake.orders]

        client.create_order(SYMBOLS[dialect], "limit", "buy", 0.1, 40_000)
        client.cancel_all_orders_after(60_000)
        clock.advance(50)
        client.cancel_all_orders_after(60_000)
        clock.advance(50)
        assert statuses() == ["open"]
        clock.advance(10)
        assert statuses() == ["canceled"]
        assert fake.orders[0].closed_at == clock.now().timestamp()
        client.create_order(SYMBOLS[dialect], "limit", "buy", 0.1, 40_000)
        clock.advance(100)
        assert statuses() == ["canceled", "open"]
        client.session.close()


def test_zero_switches_a_timer_off() -> None:
    """As every exchange has it."""
    clock = ManualClock()
    with FakeExchange(clock=clock) as fake:
        client = ccxt.kraken(fake.config())
        client.create_order("BTC/USD", "limit", "buy", 0.1, 40_000)
        client.cancel_all_orders_after(60_000)
        client.cancel_all_orders_after(0)
        clock.advance(100)
        assert [order.status for order in fake.orders] == ["open"]
        client.session.close()


def test_okx_refuses_other_times() -> None:
    """Below 10 seconds, and above two minutes."""
    with FakeExchange(dialect="okx") as fake:
        client = ccxt.okx(fake.config())
        for milliseconds in (9_000, 121_000):
            with pytest.raises(ccxt.BadRequest):
                client.cancel_all_orders_after(milliseconds)
        client.session.close()


def test_futures_of_binance_are_listed_and_ordered() -> None:
    """Beside spot, under paths of their own."""
    with FakeExchange(dialect="binance") as fake:
        config = fake.config()
        config["options"] |= {"defaultType": "swap", "fetchMarkets": {"types": ["linear"]}}
        client = ccxt.binance(config)
        assert set(client.load_markets()) == {"BTC/USDT:USDT", "ETH/USDT:USDT"}
        placed = client.create_order("BTC/USDT:USDT", "limit", "buy", 0.1, 40_000)
        assert [order["id"] for order in client.fetch_open_orders("BTC/USDT:USDT")] == [placed["id"]]
        assert fake.requests["POST fapi/order"] == 1
        client.session.close()


@pytest.mark.parametrize("dialect", ["kraken", "binance", "bybit"])
def test_the_rights_of_a_key_can_be_changed(dialect: str) -> None:
    """For tests of what looks at them."""
    with FakeExchange(dialect=dialect) as fake:
        before = set(fake.key.permissions)
        fake.key.permissions.add("more")
        with FakeExchange(dialect=dialect) as another:
            assert another.key.permissions == before
