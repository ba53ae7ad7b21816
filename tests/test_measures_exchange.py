"""Readings of endpoints and exchanges: how they add up, age and retire."""

import gc
import math

import pytest

from peak_observe import catalog
from peak_observe.measures import EndpointTally, ExchangeTally, Names
from peak_observe.measures.exchange import CANDLES, MARKETS, TICKER
from peak_observe.testing import ManualClock

AMBIGUOUS = catalog.EXCHANGE_OUTCOMES.index("ambiguous")


class Owner:
    """Something that lives for a while."""


def test_requests_add_up_and_outlive_their_owner() -> None:
    """Two objects of one endpoint are one series, also when one is gone."""
    series, owners = Names("endpoint").series("k", (0.1, 1.0)), []
    for _ in range(2):
        tally, owner = EndpointTally(series.bounds), Owner()
        series.join(owner, tally.read)
        owners.append(owner)
        tally.succeeded(0.05)
        tally.add(AMBIGUOUS, 2.0)
    owners.pop(0)
    gc.collect()
    del owner
    reading = series.read()
    assert (reading.requests[0], reading.requests[AMBIGUOUS]) == (2, 2)
    assert (reading.buckets, reading.duration_sum) == ([2, 0, 2], pytest.approx(4.1))


def test_successes_are_sorted_in_batches() -> None:
    """No memory grows with the calls."""
    tally = EndpointTally((0.1,))
    for _ in range(5000):
        tally.succeeded(0.01)
    assert len(tally._counts.pending) < 600
    assert tally.read().requests[0] == 5000


def test_a_reading_knows_what_changed() -> None:
    """So that a scrape renders only that."""
    tally = EndpointTally((0.1,))
    before = tally.read()
    assert tally.read().since(before) == (False, False, False)
    tally.succeeded(0.01)
    assert tally.read().since(before) == (True, False, False)
    exchange = ExchangeTally(ManualClock())
    earlier = exchange.read()
    exchange.ban(exchange._clock.now().timestamp() + 5)
    assert exchange.read().since(earlier) == (False, True, False)


@pytest.mark.parametrize("wrong", [-3600.0, 3600.0])
def test_data_age_by_the_clock_of_the_exchange(wrong: float) -> None:
    """A clock of ours that is off makes fresh prices no older, nor old ones fresh, while its skew is known."""
    clock = ManualClock()
    tally, theirs = ExchangeTally(clock), clock.now().timestamp() - wrong
    tally.skew(-wrong)
    tally.saw(TICKER, "BTC", theirs - 400)
    assert tally.read().data_age[0] == pytest.approx(400)
    tally.saw(TICKER, "BTC", theirs - 1)
    assert tally.read().data_age[0] == pytest.approx(1)


def test_data_ages_while_nothing_comes_in() -> None:
    """By the exchange's time and by receipt."""
    clock = ManualClock()
    tally = ExchangeTally(clock)
    tally.saw(TICKER, "A", clock.now().timestamp() - 3)
    clock.advance(10)
    ticker, received, *candles = tally.read().data_age
    assert (ticker, received) == (13, 10)
    assert all(map(math.isnan, candles))


def test_the_stalest_market_that_is_watched_shows() -> None:
    """One that is no longer asked for drops out after a while."""
    clock = ManualClock()
    tally = ExchangeTally(clock)
    tally.saw(CANDLES, "stale", clock.now().timestamp() - 500)
    tally.saw(CANDLES, "fresh", clock.now().timestamp())
    assert tally.read().data_age[2] == 500
    clock.advance(1000)
    tally.saw(CANDLES, "fresh", clock.now().timestamp())
    assert tally.read().data_age[2] == 0


def test_a_market_without_time_has_a_receipt() -> None:
    """Kraken's ticker does not say when it was made."""
    tally = ExchangeTally(ManualClock())
    tally.saw(TICKER, "A", None)
    made, received, *_ = tally.read().data_age
    assert math.isnan(made)
    assert received == 0


def test_markets_are_bounded() -> None:
    """A bot that watches thousands costs no more memory than one of hundreds."""
    tally = ExchangeTally(ManualClock())
    for number in range(MARKETS + 50):
        tally.saw(TICKER, str(number), 0.0)
    assert len(tally._seen[0]) == MARKETS


def test_a_ban_is_news_once() -> None:
    """Not each refusal that moves its end by a second; a longer one is."""
    clock = ManualClock()
    tally, now = ExchangeTally(clock), clock.now().timestamp()
    assert [tally.ban(now + 5), tally.ban(now + 6), tally.ban(now + 4), tally.ban(now + 600)] == [
        True,
        False,
        False,
        True,
    ]
    clock.advance(601)
    assert tally.ban(now + 700)
    assert tally.read().banned_until == now + 700


def test_a_modelled_counter_decays() -> None:
    """By what the exchange takes off it a second."""
    clock = ManualClock()
    tally = ExchangeTally(clock)
    tally.use(0.5, 0.1)
    tally.use(0.2, 0.1)
    clock.advance(3)
    assert tally.read().used_ratio == pytest.approx(0.4)
    clock.advance(30)
    assert tally.read().used_ratio == 0


def test_objects_of_one_exchange_add_up() -> None:
    """The fresher data, the larger skew, use and ban; what is gone leaves its ban."""
    clock = ManualClock()
    names, owners = Names("exchange"), [Owner(), Owner()]
    now = clock.now().timestamp()
    for owner, age, skew, used, ban in zip(owners, (50, 5), (-3.0, 1.0), (0.1, 0.9), (0, 7), strict=True):
        tally = ExchangeTally(clock)
        tally.saw(TICKER, "A", now - age)
        tally.skew(skew)
        tally.used(used)
        tally.ban(ban)
        names.series("k").join(owner, tally.read)
    reading = names.series("k").read()
    assert (reading.data_age[0], reading.clock_skew, reading.used_ratio, reading.banned_until) == (5, -3.0, 0.9, 7)
    owners.clear()
    del owner
    gc.collect()
    reading = names.series("k").read()
    assert (reading.data_age, reading.clock_skew, reading.used_ratio, reading.banned_until) == (None, None, None, 7)


def test_data_are_stale_past_three_usual_gaps() -> None:
    """Of the market that is most overdue; the longest gap, such as an outage, is not usual."""
    clock = ManualClock()
    tally = ExchangeTally(clock)
    for gap in (200, 200, 200, 7200, 200):
        tally.saw(TICKER, "A", clock.now().timestamp())
        clock.advance(gap)
    assert tally.read().data_max_age[:2] == [600, 600]
    assert tally.read().data_age[:2] == [200, 200]


def test_data_that_come_often_may_be_five_minutes_old() -> None:
    """And candles as old as their timeframe."""
    clock = ManualClock()
    tally = ExchangeTally(clock)
    for _ in range(9):
        tally.saw(TICKER, "A", clock.now().timestamp())
        tally.saw(CANDLES, "A 1h", clock.now().timestamp(), spans=3600)
        clock.advance(10)
    assert tally.read().data_max_age == [300, 300, 3600, 3600]


def test_nobody_can_tell_what_is_usual_at_first() -> None:
    """Nor of one price that was asked for before an order."""
    clock = ManualClock()
    tally = ExchangeTally(clock)
    for _ in range(4):
        tally.saw(TICKER, "A", None)
        clock.advance(10)
    assert all(map(math.isnan, tally.read().data_max_age))


def test_the_most_overdue_market_shows() -> None:
    """Not the oldest data, which may be of the longest timeframe."""
    clock = ManualClock()
    tally = ExchangeTally(clock)
    for _ in range(6):
        tally.saw(CANDLES, "A 1d", clock.now().timestamp(), spans=86_400)
        tally.saw(CANDLES, "A 1m", clock.now().timestamp() - 3000, spans=60)
        clock.advance(60)
    reading = tally.read()
    assert (reading.data_age[2], reading.data_max_age[2]) == (3060, 300)
