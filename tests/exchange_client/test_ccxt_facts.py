"""What bare ccxt does, on which the client is built: a version that does otherwise shows here first."""

import asyncio

import ccxt
import ccxt.async_support
import pytest

from peak_observe.testing import FAULTS, FakeExchange, Fault

MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@pytest.fixture(scope="module", params=["kraken", "binance"])
def fakes(request):
    """One exchange of each dialect."""
    with FakeExchange(dialect=request.param) as running:
        yield running


def met(fake: FakeExchange, mode: str, fault: Fault, call: str = "ticker") -> object:
    """Return what bare ccxt returns or raises for a call."""
    symbol = "BTC/USD" if fake.exchange_id == "kraken" else "BTC/USDT"

    def use(exchange):
        if call == "ticker":
            return exchange.fetch_ohlcv(symbol)
        return exchange.create_order(symbol, "limit", "buy", 1, 1)

    async def main():
        async with getattr(ccxt.async_support, fake.exchange_id)(fake.config()) as exchange:
            exchange.timeout_on_exit = 0
            await exchange.load_markets()
            fake.fail(fault)
            return await use(exchange)

    try:
        if mode == "async":
            return asyncio.run(main())
        exchange = getattr(ccxt, fake.exchange_id)(fake.config())
        exchange.load_markets()
        fake.fail(fault)
        try:
            return use(exchange)
        finally:
            exchange.session.close()
    except ccxt.BaseError as error:
        return error
    finally:
        fake.heal()


def test_the_retryable_base_is_operation_failed() -> None:
    """BadResponse is one of them and no NetworkError."""
    assert issubclass(ccxt.NetworkError, ccxt.OperationFailed)
    assert issubclass(ccxt.BadResponse, ccxt.OperationFailed)
    assert not issubclass(ccxt.BadResponse, ccxt.NetworkError)
    assert not issubclass(ccxt.ExchangeError, ccxt.OperationFailed)


@pytest.mark.parametrize("code", [507, 524, 527])
def test_statuses_without_an_entry(fakes, code) -> None:
    """Sync they are a bare ExchangeError, async nothing at all."""
    assert type(met(fakes, "sync", Fault.status(code))) is ccxt.ExchangeError
    assert not isinstance(met(fakes, "async", Fault.status(code)), Exception)


@MODES
@pytest.mark.parametrize("fault", ["truncated", "html", "empty", "empty_object"])
def test_answers_that_are_none(fakes, mode, fault) -> None:
    """They raise nothing of ccxt's: no candles, and an order without an id."""
    if fakes.exchange_id == "kraken":
        assert met(fakes, mode, FAULTS["kraken"][fault]) == []
        assert met(fakes, mode, FAULTS["kraken"][fault], "order")["id"] is None


def test_a_refused_connection_has_two_names(fakes) -> None:
    """NetworkError sync, ExchangeNotAvailable async."""
    assert type(met(fakes, "sync", Fault.refused())) is ccxt.NetworkError
    assert type(met(fakes, "async", Fault.refused())) is ccxt.ExchangeNotAvailable


@MODES
@pytest.mark.parametrize("code", [403, 404, 451])
def test_refusals_look_like_outages(fakes, mode, code) -> None:
    """ExchangeNotAvailable, which a retry on OperationFailed would repeat for ever."""
    assert type(met(fakes, mode, Fault.status(code))) is ccxt.ExchangeNotAvailable


@MODES
def test_krakens_own_words_are_half_known(mode) -> None:
    """An invalid signature and a timeout of the service are bare ExchangeErrors."""
    with FakeExchange() as fake:
        for message in ("EAPI:Invalid signature", "EService:Timeout"):
            assert type(met(fake, mode, Fault.api_error(message), "order")) is ccxt.ExchangeError


@MODES
def test_binances_codes_are_half_known_elsewhere(mode) -> None:
    """Behind any address but its own, -1099, a refused key, is a bare ExchangeError."""
    with FakeExchange(dialect="binance") as fake:
        assert issubclass(ccxt.binance().exceptions["spot"]["exact"]["-1099"], ccxt.AuthenticationError)
        found = met(fake, mode, Fault.coded(-1099, "Not found, authenticated, or authorized"), "order")
        assert type(found) is ccxt.ExchangeError


def test_a_dead_key_looks_like_a_ban_after_one_success() -> None:
    """-2015 is an AuthenticationError first, and a DDoSProtection then."""
    with FakeExchange(dialect="binance") as fake:
        exchange = ccxt.binance(fake.config())
        exchange.load_markets()
        fake.fail(FAULTS["binance"]["bad_key"], times=1)
        with pytest.raises(ccxt.AuthenticationError):
            exchange.fetch_balance()
        exchange.fetch_balance()
        fake.fail(FAULTS["binance"]["bad_key"])
        with pytest.raises(ccxt.DDoSProtection):
            exchange.fetch_balance()
        exchange.session.close()


def test_ccxts_own_retries_send_orders_again() -> None:
    """Which is why the client forbids them."""
    with FakeExchange() as fake:
        exchange = ccxt.kraken({**fake.config(), "options": {"maxRetriesOnFailure": 2}})
        exchange.load_markets()
        fake.fail(Fault.lost_reply())
        with pytest.raises(ccxt.NetworkError):
            exchange.create_order("BTC/USD", "limit", "buy", 1, 1)
        assert len(fake.orders) == 3
        exchange.session.close()


def test_aiohttp_sends_some_writes_again() -> None:
    """DELETE on a connection that breaks, which is Binance's cancel."""
    with FakeExchange(dialect="binance") as fake:

        async def main():
            async with ccxt.async_support.binance(fake.config()) as exchange:
                exchange.timeout_on_exit = 0
                placed = await exchange.create_order("BTC/USDT", "limit", "buy", 1, 1)
                fake.fail(Fault.lost_reply())
                with pytest.raises(ccxt.ExchangeNotAvailable):
                    await exchange.cancel_order(placed["id"], "BTC/USDT")

        asyncio.run(main())
        assert fake.requests["DELETE order"] == 2
