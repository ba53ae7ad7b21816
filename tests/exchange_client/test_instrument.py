"""Measuring live ccxt objects in place: what shows, what stays as it was, and that it can be taken back."""

import asyncio
import copy
import inspect
import logging
import math
import subprocess
import sys
import threading
import time
from datetime import timedelta
from email.utils import format_datetime

import ccxt
import ccxt.async_support
import pytest

from peak_observe import (
    HeldBackError,
    KeyRefused,
    RateLimited,
    ResilientExchangeClient,
    WriteUnanswered,
    instrument,
    uninstrument,
)
from peak_observe.exchange_client.instrumentation import state_of
from peak_observe.measures import EXCHANGES, ExchangeTally
from peak_observe.testing import FAULTS, FakeExchange, Fault, ManualClock, RecordingObserver
from peak_observe.testing.spot_exchange import API_KEY


@pytest.fixture
def fake():
    """An exchange of the test's own."""
    with FakeExchange() as running:
        yield running


@pytest.fixture
def kraken(fake):
    """A sync ccxt object that is not instrumented yet."""
    exchange = ccxt.kraken({**fake.config(), "timeout": 5000})
    yield exchange
    exchange.session.close()


@pytest.fixture
def binance():
    """An instrumented sync Binance, and its exchange."""
    with FakeExchange(dialect="binance") as running:
        exchange = instrument(ccxt.binance(running.config()), "instrumented.binance")
        yield exchange, running
        exchange.session.close()


def ages(name: str) -> dict[str, float]:
    """Return the data ages of an exchange by kind."""
    from peak_observe.catalog import DATA_KINDS

    return dict(zip(DATA_KINDS, EXCHANGES.get(name).read().data_age, strict=True))


def test_requests_are_counted_by_ccxts_table(kraken, counted) -> None:
    """Not by address; the object itself is returned."""
    assert instrument(kraken, "counted") is kraken
    kraken.fetch_ticker("BTC/USD")
    kraken.fetch_balance()
    found = counted("counted")
    assert found["GET public/Ticker", "success"] == found["POST private/BalanceEx", "success"] == 1


def test_async_requests_are_counted_too(fake, counted) -> None:
    """The same labels."""

    async def main():
        async with instrument(ccxt.async_support.kraken(fake.config()), "counted.async") as exchange:
            exchange.timeout_on_exit = 0
            await asyncio.gather(exchange.fetch_ticker("BTC/USD"), exchange.fetch_ticker("ETH/USD"))

    asyncio.run(main())
    assert counted("counted.async")["GET public/Ticker", "success"] == 2


def test_the_label_is_the_id_by_default_and_twice_is_once(kraken) -> None:
    """A second name does not come into it."""
    instrument(kraken)
    instrument(kraken, "another")
    assert state_of(kraken).name == "kraken"


def test_behaviour_stays(kraken, fake) -> None:
    """Types, signatures, results and exceptions; an answer that is none is only counted."""
    before = inspect.signature(kraken.fetch_ticker), inspect.signature(kraken.fetch2), repr(kraken)
    instrument(kraken, "stays")
    assert (inspect.signature(kraken.fetch_ticker), inspect.signature(kraken.fetch2), repr(kraken)) == before
    assert isinstance(kraken, ccxt.kraken)
    assert type(kraken).__name__ == "kraken"
    kraken.load_markets()
    fake.fail(Fault.empty_object())
    assert kraken.fetch_ohlcv("BTC/USD") == []
    assert kraken.create_order("BTC/USD", "limit", "buy", 1, 1)["id"] is None
    fake.fail(Fault.status(502))
    with pytest.raises(ccxt.ExchangeNotAvailable):
        kraken.fetch_ticker("BTC/USD")
    assert [found.client_order_id for found in fake.orders] == []


def test_what_ccxt_takes_for_good_is_counted_as_what_it_is(kraken, fake, counted) -> None:
    """A bot that goes on without noticing shows on the dashboard."""
    instrument(kraken, "misshapen").load_markets()
    fake.fail(Fault.html())
    kraken.fetch_ohlcv("BTC/USD")
    with RecordingObserver() as seen:
        kraken.create_order("BTC/USD", "limit", "buy", 1, 1, {"clientOrderId": "mine"})
    found = counted("misshapen")
    assert found["GET public/OHLC", "bad_response"] == found["POST private/AddOrder", "ambiguous"] == 1
    (told,) = seen.of(WriteUnanswered)
    assert (told.client_order_ids, told.reason, told.error) == (("mine",), "a page of HTML", None)


def test_a_status_that_async_ccxt_takes_for_good_is_counted(fake, counted) -> None:
    """507 has no entry in its table."""

    async def main():
        async with instrument(ccxt.async_support.kraken(fake.config()), "status") as exchange:
            exchange.timeout_on_exit = 0
            await exchange.load_markets()
            fake.fail(Fault.status(507))
            return await exchange.fetch_ohlcv("BTC/USD")

    assert asyncio.run(main()) == []
    assert counted("status")["GET public/OHLC", "transient"] == 1


def test_it_can_be_taken_back(kraken) -> None:
    """Class, logger and all; what was counted stays, and twice does no harm."""
    logger = kraken.logger
    instrument(kraken, "back")
    assert uninstrument(kraken) is kraken
    uninstrument(kraken)
    assert type(kraken) is ccxt.kraken
    assert kraken.logger is logger
    assert state_of(kraken) is None


def test_what_is_no_exchange_is_refused() -> None:
    """With what was given."""
    for thing in (object(), {"id": "kraken"}, ccxt.kraken):
        with pytest.raises(TypeError, match="a ccxt exchange object is wanted"):
            instrument(thing)


def test_a_copy_is_measured_as_the_same_exchange(kraken, counted) -> None:
    """Some programs copy their objects."""
    instrument(kraken, "copied")
    kraken.session, session = None, kraken.session
    copied = copy.deepcopy(kraken)
    kraken.session = copied.session = session
    copied.fetch_ticker("BTC/USD")
    copied.session = None
    assert counted("copied")["GET public/Ticker", "success"] == 1


def test_headers_are_read_per_call(binance) -> None:
    """Not from attributes that threads overwrite for each other."""
    exchange, _ = binance
    exchange.enableLastResponseHeaders = False
    exchange.fetch_ticker("BTC/USDT")
    assert exchange.last_response_headers is None
    found = EXCHANGES.get("instrumented.binance").read().used_ratio
    assert found in (pytest.approx(4 / 6000), pytest.approx(2 / 6000)), "the weight begins anew with each minute"


def test_the_clock_skew_is_measured() -> None:
    """By the dates of the answers, to half a second."""
    clock = ManualClock()
    clock.jump(86_400 * 365 * 30)
    with FakeExchange(clock=clock) as running:
        exchange = instrument(ccxt.kraken(running.config()), "skewed")
        exchange.fetch_time()
        exchange.session.close()
        expected = clock.now().timestamp() - __import__("time").time()
        assert EXCHANGES.get("skewed").read().clock_skew == pytest.approx(expected, abs=5)


def test_krakens_counter_is_modelled(kraken) -> None:
    """Each private request uses up a fifteenth, orders nothing."""
    with ResilientExchangeClient(kraken, name="modelled", health=None, clock=ManualClock()) as client:
        client.fetch_balance()
        client.create_order("BTC/USD", "limit", "buy", 1, 1)
        assert EXCHANGES.get("modelled").read().used_ratio == pytest.approx(1 / 15)


def test_the_age_of_data(binance) -> None:
    """By the exchange's time and by receipt; old data shows in the first only."""
    exchange, running = binance
    assert all(math.isnan(age) for age in ages("instrumented.binance").values())
    exchange.fetch_ticker("BTC/USDT")
    exchange.fetch_ohlcv("BTC/USDT", "1m", limit=3)
    assert max(ages("instrumented.binance").values()) < 30
    running.fail(Fault.stale(3600))
    exchange.fetch_ticker("BTC/USDT")
    exchange.fetch_ohlcv("BTC/USDT", "1m", limit=3)
    found = ages("instrumented.binance")
    assert 3500 < found["candles"] < 3700
    assert 3590 < found["ticker"] < 3700
    assert max(found["candles_received"], found["ticker_received"]) < 30


def test_all_tickers_are_as_fresh_as_their_freshest(binance) -> None:
    """Of markets that nobody trades the last price is old without anything being wrong."""
    exchange, _ = binance
    exchange.fetch_tickers()
    assert ages("instrumented.binance")["ticker"] < 30
    assert exchange.fetchTickers(["BTC/USDT"])


def test_a_page_of_the_past_makes_nothing_look_stale(binance) -> None:
    """Whoever loads history asks for old candles."""
    exchange, _ = binance
    exchange.fetch_ohlcv("BTC/USDT", "1m", 1_700_000_000_000, 5)
    assert math.isnan(ages("instrumented.binance")["candles"])
    exchange.fetch_ohlcv("BTC/USDT", "1m", limit=3)
    exchange.fetch_ohlcv("BTC/USDT", "1m", 1_700_000_000_000, 5)
    assert ages("instrumented.binance")["candles"] < 60


def test_spans(kraken, fake, everything) -> None:
    """One a request, with what came of it."""
    instrument(kraken, "spans").load_markets()
    everything._exporter.clear()
    kraken.fetch_ticker("BTC/USD")
    fake.fail(Fault.status(502))
    with pytest.raises(ccxt.ExchangeNotAvailable):
        kraken.fetch_ticker("BTC/USD")
    good, bad = everything._exporter.get_finished_spans()
    assert good.name == "spans GET public/Ticker"
    assert dict(good.attributes) == {
        "peak_observe.exchange": "spans",
        "peak_observe.endpoint": "GET public/Ticker",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "peak_observe.outcome": "success",
    }
    assert bad.attributes["error.type"] == "ccxt.base.errors.ExchangeNotAvailable"
    assert (bad.attributes["peak_observe.outcome"], bad.attributes["http.response.status_code"]) == ("transient", 502)


def test_rare_facts_are_told_also_without_a_client(kraken, fake, caplog) -> None:
    """Bans, dead keys and orders of unknown fate, each with a line in the log."""
    instrument(kraken, "told").load_markets()
    with RecordingObserver() as seen, caplog.at_level(logging.INFO, "peak_observe.exchange"):
        for fault in ("rate_limited", "bad_key", "lost_reply"):
            fake.fail(FAULTS["kraken"][fault])
            for _ in range(2):
                with pytest.raises(ccxt.BaseError):
                    kraken.create_order("BTC/USD", "limit", "buy", 1, 1, {"clientOrderId": "mine"})
    assert [type(event) for event in seen.events] == [RateLimited, KeyRefused, WriteUnanswered, WriteUnanswered]
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["WARNING", "ERROR", "ERROR", "ERROR"]
    assert lines[0][1].startswith("'told' is rate limited or banned until 20")
    assert lines[1][1] == "'told' does not accept the key: EAPI:Invalid key at POST private/AddOrder"
    assert "client order id mine: NetworkError" in lines[2][1]
    kraken.options["x"] = 1
    fake.heal()
    kraken.fetch_balance()
    assert state_of(kraken).key_refused is False


def test_the_loggers_other_levels_are_clean_too(kraken, caplog) -> None:
    """Whatever ccxt may write one day."""
    instrument(kraken)
    with caplog.at_level(logging.INFO):
        kraken.logger.warning("key %s", API_KEY)
        kraken.logger.debug("unseen %s", API_KEY)
    assert [record.getMessage() for record in caplog.records] == ["key ***"]


def test_signed_queries_are_cut_out_of_urllib3s_lines(binance, caplog) -> None:
    """Binance wants the signature in the address."""
    exchange, _ = binance
    with caplog.at_level(logging.DEBUG, "urllib3.connectionpool"):
        exchange.fetch_balance()
        exchange.fetch_ticker("BTC/USDT")
    lines = [record.getMessage() for record in caplog.records if record.name == "urllib3.connectionpool"]
    assert any('"GET /api/v3/account HTTP' in line for line in lines)
    assert any("symbol=BTCUSDT" in line for line in lines)
    assert not any("signature" in line for line in lines)


def test_threads_do_not_mix_up_their_answers(kraken, counted) -> None:
    """Each request has its own status and counts once."""
    instrument(kraken, "threads").load_markets()
    threads = [threading.Thread(target=kraken.fetch_ticker, args=("BTC/USD",)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted("threads")["GET public/Ticker", "success"] == 12


# What is asked for besides -------------------------------------------------------------------------------------


def test_orders_get_ids_on_request(kraken, fake) -> None:
    """Those that have none, with nothing else changed."""
    instrument(kraken, "with.ids", client_order_ids=True)
    kraken.create_order("BTC/USD", "limit", "buy", 1, 1)
    kraken.create_order("BTC/USD", "limit", "buy", 1, 1, {"clientOrderId": "own"})
    made, own = (placed.client_order_id for placed in fake.orders)
    assert len(made) == 32
    assert own == "own"


def test_a_protected_object_waits_and_refuses(kraken, fake) -> None:
    """It waits for a short limit, and refuses what would wait longer than ten seconds in a class of ccxt."""
    instrument(kraken, "protected", protect=True).load_markets()
    fake.fail(Fault.rate_limited(1), times=1)
    start = time.monotonic()
    with pytest.raises(ccxt.RateLimitExceeded):
        kraken.fetch_ticker("BTC/USD")
    kraken.fetch_ticker("BTC/USD")
    assert 0.9 < time.monotonic() - start < 30
    fake.fail(Fault.rate_limited(60), times=1)
    with pytest.raises(ccxt.RateLimitExceeded):
        kraken.fetch_ticker("BTC/USD")
    before = fake.requests
    with pytest.raises(ccxt.NetworkError) as refused:
        kraken.fetch_balance()
    assert isinstance(refused.value, HeldBackError)
    assert 50 < refused.value.retry_after <= 60
    assert fake.requests == before


def test_protected_objects_of_an_exchange_wait_together(fake) -> None:
    """A bot has a sync and an async object behind one IP."""
    one = instrument(ccxt.kraken(fake.config()), "together", protect=True)

    async def main():
        async with instrument(ccxt.async_support.kraken(fake.config()), "together", protect=True) as two:
            two.timeout_on_exit = 0
            await two.load_markets()
            fake.fail(Fault.rate_limited(60), times=1)
            with pytest.raises(ccxt.RateLimitExceeded):
                await two.fetch_ticker("BTC/USD")
            with pytest.raises(HeldBackError):
                await two.fetch_ticker("BTC/USD")
            with pytest.raises(HeldBackError):
                one.fetch_ticker("BTC/USD")

    asyncio.run(main())
    one.session.close()


def test_an_object_that_is_only_measured_does_not_wait(kraken, fake) -> None:
    """Whoever did not ask for it has his own limits."""
    instrument(kraken, "unprotected").load_markets()
    fake.fail(Fault.rate_limited(60), times=1)
    with pytest.raises(ccxt.RateLimitExceeded):
        kraken.fetch_ticker("BTC/USD")
    assert kraken.fetch_ticker("BTC/USD")["last"] > 0


def test_what_was_asked_for_stays(kraken, fake, counted) -> None:
    """Bots that reload instrument again, with more or with nothing; each request counts once."""
    original = type(kraken)
    for _ in range(2):
        for options in ({}, {"client_order_ids": True}, {}, {"protect": True}, {}):
            instrument(kraken, "again", **options)
        kraken.fetch_ticker("BTC/USD")
        kraken.create_order("BTC/USD", "limit", "buy", 1, 1)
        assert state_of(kraken).backpressure is not None
        uninstrument(kraken)
        assert type(kraken) is original
        assert not [name for name in vars(kraken) if name.startswith("_peak")]
    found = counted("again")
    assert found["GET public/Ticker", "success"] == found["POST private/AddOrder", "success"] == 2
    assert all(placed.client_order_id for placed in fake.orders)
    kraken.create_order("BTC/USD", "limit", "buy", 1, 1)
    assert fake.orders[-1].client_order_id is None


def test_a_bot_that_reloads_needs_no_port(tmp_path) -> None:
    """`configure` alone, twice, and two sets of objects: the snapshot holds the sum."""
    code = """
import sys, ccxt
from peak_observe import configure, instrument
from peak_observe.testing import FakeExchange
with FakeExchange() as fake:
    for _ in range(2):
        configure(process="bot", snapshot_dir=sys.argv[1])
        exchange = instrument(ccxt.kraken(fake.config()))
        exchange.fetch_ticker("BTC/USD")
        exchange.session.close()
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stderr == ""
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file() and b"public/Ticker" in path.read_bytes()]
    assert written.name.startswith("bot")


def test_a_lost_order_says_what_it_was_and_that_it_may_come_again(kraken, fake, caplog) -> None:
    """The object is the bot's own, which may have its retries."""
    instrument(kraken, "a.bots").load_markets()
    fake.fail(Fault.lost_reply())
    with pytest.raises(ccxt.NetworkError), RecordingObserver() as seen:
        kraken.create_limit_buy_order("BTC/USD", 0.5, 40_000)
    (told,) = seen.of(WriteUnanswered)
    assert told[6:] == ("create_order", "limit buy 0.5 BTC/USD at 40000", "BTC/USD", "buy", 0.5, 40_000, True)
    (line,) = [record.getMessage() for record in caplog.records if "may or may not" in record.getMessage()]
    assert "limit buy 0.5 BTC/USD at 40000" in line
    assert line.endswith("ask the exchange before it is sent again")


@pytest.mark.parametrize(
    ("seconds", "headers", "measured"),
    [
        (0.2, {}, True),
        (4.0, {}, False),
        (0.2, {"Age": "30"}, False),
        (0.2, {"Age": "0"}, True),
        (0.2, {"Date": "?"}, False),
    ],
)
def test_a_slow_answer_says_nothing_of_the_clock(kraken, seconds, headers, measured) -> None:
    """Nor one from a cache, nor one without a date."""
    state = state_of(instrument(kraken, f"slow.{seconds}.{headers}"))
    ahead = state.clock.now() + timedelta(seconds=100)
    state.learn("public", {"Date": format_datetime(ahead, usegmt=True), **headers}, 10.0, 10.0 + seconds)
    assert abs(state.tally.read().clock_skew) == (pytest.approx(100, abs=2) if measured else 0)


def test_an_old_clock_skew_is_dropped() -> None:
    """The clock may have been set since."""
    clock = ManualClock()
    tally = ExchangeTally(clock)
    assert tally.read().clock_skew == 0
    tally.skew(7.0)
    clock.advance(899)
    assert tally.read().clock_skew == 7.0
    clock.advance(1)
    assert tally.read().clock_skew is None


@pytest.mark.parametrize(
    ("answers", "missing"),
    [
        ([[1, 2, 3]], 0),
        ([[1, 2, 5, 6]], 2),
        ([[6, 5, 2, 1]], 2),
        ([[1, 2, 5], [2, 5, 6], [5, 6, 7]], 2),
        ([[5, 6], [6, 8]], 1),
        ([[5, 6], [1, 3, 4, 5]], 1),
        ([[1, 3], [1, 2, 3]], 1),
        ([[4]], 0),
        ([[], [1, 3]], 1),
    ],
)
def test_candles_that_are_missing_count_once(kraken, answers, missing) -> None:
    """However often they are asked for, from the newest or from the past."""
    name = f"gaps.{answers}"
    tally = state_of(instrument(kraken, name)).tally
    for times in answers:
        tally.saw_candles("BTC/USD 1m", [time * 60.0 for time in times], 60.0)
    assert EXCHANGES.get(name).read().candle_gaps == missing


def test_a_hole_in_the_answer_of_an_exchange_is_counted(binance, monkeypatch) -> None:
    """What the program gets stays as it is."""
    exchange, _ = binance
    whole = exchange.fetch_ohlcv("BTC/USDT", "1m", limit=6)
    before = EXCHANGES.get("instrumented.binance").read().candle_gaps
    assert before == 0
    parse = exchange.parse_ohlcvs
    monkeypatch.setattr(exchange, "parse_ohlcvs", lambda *given: [c for n, c in enumerate(parse(*given)) if n != 2])
    found = exchange.fetch_ohlcv("ETH/USDT", "1m", limit=6)
    assert len(found) == len(whole) - 1
    assert EXCHANGES.get("instrumented.binance").read().candle_gaps == 1
