"""What is watched, in which groups, and for how long it is silent, by a clock by hand."""

import asyncio
import copy
import math
import threading

import pytest

from peak_observe.exchange_client.streams.connection import BETWEEN_CALLS, WATCHED, Life
from peak_observe.exchange_client.streams.names import METHODS, STREAMS, address, stream_of
from peak_observe.exchange_client.streams.state import GROUPS, StreamOptions, StreamState
from peak_observe.measures import CONNECTIONS
from peak_observe.measures import STREAMS as NAMES
from peak_observe.measures.streams import SEPARATOR, ConnectionReading, StreamReading
from peak_observe.testing import ManualClock

URL = "wss://stream.test/ws"


class Watched:
    """Streams with a clock by hand."""

    def __init__(self, name: str, **options) -> None:
        self.clock = ManualClock()
        self.name = name
        self.state = StreamState(name, self.clock, StreamOptions(**options))

    def watch(self, symbol: str = "BTC/USD", stream: str = "ticker", url: str = URL):
        """Begin a call."""
        return self.state.watch(url, f"{stream}:{symbol}", stream, [symbol])

    def end(self, found, *, given_up: bool = False) -> None:
        """End a call."""
        self.state.release([found], given_up=given_up)

    def reading(self, stream: str = "ticker", group: str = "all"):
        """Return the reading of a stream."""
        return NAMES.get(SEPARATOR.join((self.name, stream, group))).read()


@pytest.fixture
def watched(request):
    """Streams that may be silent for a minute."""
    return Watched(request.node.name, max_silence=60)


def test_silence_begins_when_it_is_watched(watched) -> None:
    """Before the first message there is none to be old."""
    watched.watch()
    watched.clock.advance(10)
    assert watched.reading().silence == 10
    watched.clock.advance(51)
    assert watched.state.silent() == [("ticker", 61, 60)]
    assert watched.state.health() == (False, "ticker is silent for 61.0 s, 60 s are allowed")


def test_nothing_watched_is_healthy(watched) -> None:
    """A program may not have begun, or have ended."""
    assert watched.state.health() == (True, "no stream is watched")


def test_the_healthy_are_named(watched) -> None:
    """So that somebody sees that the right ones are watched."""
    watched.watch()
    watched.watch(stream="order_book")
    assert watched.state.health() == (True, "ticker, order_book: no silence")


def test_a_busy_bot_watches_between_two_calls(watched) -> None:
    """It may place orders meanwhile."""
    watched.end(watched.watch())
    watched.clock.advance(61)
    assert watched.reading().silence == 61
    watched.clock.advance(WATCHED)
    assert math.isnan(watched.reading().silence)
    assert watched.reading().subscriptions == 0


def test_a_cancelled_call_that_is_not_repeated_is_no_silence(watched) -> None:
    """A strategy that was stopped waits for nothing."""
    watched.end(watched.watch(), given_up=True)
    watched.clock.advance(BETWEEN_CALLS + 1)
    assert math.isnan(watched.reading().silence)


def test_a_cancelled_call_that_is_repeated_goes_on_in_silence(watched) -> None:
    """As with a timeout around each."""
    for _ in range(10):
        found = watched.watch()
        watched.clock.advance(7)
        watched.end(found, given_up=True)
    watched.watch()
    assert watched.reading().silence == 70


def test_what_is_watched_again_after_a_while_begins_anew(watched) -> None:
    """Its silence is not that of the time in which nobody listened."""
    watched.end(watched.watch(), given_up=True)
    watched.clock.advance(1000)
    watched.watch()
    assert watched.reading().silence == 0


def test_the_clock_of_the_wall_may_jump(watched) -> None:
    """Ages follow the monotonic one."""
    watched.watch()
    watched.clock.advance(5)
    watched.clock.jump(86_400)
    assert watched.reading().silence == 5


def test_of_two_websockets_the_quiet_one_counts(watched) -> None:
    """A dead connection does not hide behind one that lives."""
    watched.watch("BTC/USD", url=f"{URL}/0")
    other = watched.watch("ETH/USD", url=f"{URL}/1")
    watched.clock.advance(30)
    other.feed.last = watched.clock.monotonic()
    assert watched.reading().silence == 30
    assert watched.reading().subscriptions == 2


def test_symbols_are_one_group_unless_they_are_told_apart() -> None:
    """A symbol is no label by itself."""
    watched = Watched("groups-none")
    watched.watch("BTC/USD")
    watched.watch("ETH/USD")
    assert [series.name for series in NAMES.known() if series.name.startswith("groups-none")] == [
        SEPARATOR.join(("groups-none", "ticker", "all"))
    ]


def test_a_function_tells_groups_apart() -> None:
    """By market, or by anything else."""
    watched = Watched("groups-quote", group=lambda symbol: symbol.partition("/")[2])
    watched.watch("BTC/USD")
    watched.watch("ETH/EUR")
    watched.watch("ETH/USD")
    assert watched.reading(group="USD").subscriptions == 2
    assert watched.reading(group="EUR").subscriptions == 1


@pytest.mark.parametrize("group", [lambda symbol: 1 / 0, lambda symbol: None, lambda symbol: ""])
def test_a_function_that_fails_is_no_fault_of_the_stream(group) -> None:
    """Its symbols are among the others."""
    watched = Watched(f"groups-bad-{id(group)}", group=group)
    watched.watch()
    assert watched.reading(group="_other").subscriptions == 1


def test_groups_are_bounded() -> None:
    """A symbol each, asked for by mistake, does not cost a Prometheus server."""
    watched = Watched("groups-many", group=lambda symbol: symbol)
    for number in range(GROUPS + 10):
        watched.watch(f"C{number:03}/USD")
    assert watched.reading(group="_other").subscriptions == 10


def test_limits_may_differ_by_stream() -> None:
    """And streams that are not named have none."""
    watched = Watched("limits", max_silence={"trades": 300, "orders": 5})
    for stream in ("trades", "orders", "ticker"):
        watched.watch(stream=stream)
    assert watched.reading("trades").max_silence == 300
    assert watched.reading("orders").max_silence == 5
    assert math.isnan(watched.reading("ticker").max_silence)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_silence": 0}, ValueError, "stream_max_silence must be more than 0 seconds"),
        ({"max_silence": "60"}, ValueError, "stream_max_silence must be a finite number"),
        ({"max_silence": {"ticker": -1}}, ValueError, r"stream_max_silence\['ticker'\] must be a finite number"),
        ({"max_silence": {"tickers": 1}}, ValueError, "stream_max_silence knows no stream 'tickers': ticker, "),
        ({"group": "USD"}, TypeError, "stream_group must be a function of a symbol"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, error, words) -> None:
    """In one sentence that names the option."""
    with pytest.raises(error, match=words):
        StreamOptions(**options)


def test_a_new_address_takes_the_market_along(watched) -> None:
    """As with a new listen key: the old address is not silent, it is gone; and the break ends at the new one."""
    found = watched.watch("account", "orders", url=f"{URL}?listenKey=old")
    old, life = found.feed.connection, Life(None)
    old.opened(life)
    watched.end(found)
    old.broke(life, "1006", "closed without a code")
    new = watched.watch("account", "orders", url=f"{URL}?listenKey=new").feed.connection
    assert not old.watched()
    assert list(new.broken) == ["orders"]
    assert watched.reading("orders").subscriptions == 1


def test_the_end_of_an_old_life_is_none_of_the_new(watched) -> None:
    """Ccxt tells of the end of a connection once more when the next one is open."""
    connection = watched.watch().feed.connection
    old, new = Life(None), Life(None)
    connection.opened(old)
    connection.broke(old, "1001", "closed with code 1001", 1001)
    connection.opened(new)
    connection.broke(old, "1006", "closed without a code")
    assert connection.open
    assert sum(CONNECTIONS.get(watched.name).read().breaks) == 1


def test_a_connection_on_a_closed_loop_is_not_open(watched) -> None:
    """A program that began another event loop left it without a word."""
    loop = asyncio.new_event_loop()
    connection = watched.watch().feed.connection
    connection.opened(Life(loop))
    assert watched.reading().connected == 1.0
    loop.close()
    assert watched.reading().connected == 0.0
    assert CONNECTIONS.get(watched.name).read().connections == 0


def test_addresses_that_nobody_watches_go(watched) -> None:
    """A bot that runs for a year gets a new listen key each day."""
    for day in range(400):
        found = watched.watch("account", "orders", url=f"{URL}/{day:020}")
        connection, life = found.feed.connection, Life(None)
        connection.opened(life)
        watched.end(found)
        connection.broke(life, "1000", "closed with code 1000", 1000)
        watched.clock.advance(86_400)
    assert len(watched.state.connections.by_url) <= 2


def test_an_address_that_is_being_opened_stays(watched) -> None:
    """Its client counts there as soon as somebody watches it."""
    opening = watched.state.connections.at(f"{URL}/0")
    watched.state.connections.at(f"{URL}/1")
    assert watched.state.connections.at(f"{URL}/0") is opening


def test_a_copy_of_an_object_counts_for_the_same_exchange(watched) -> None:
    """As its other counts do."""
    assert copy.deepcopy({"streams": watched.state})["streams"] is watched.state


def test_readers_of_another_thread_are_no_trouble(watched) -> None:
    """A scrape comes at any time."""
    errors: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                watched.reading()
                watched.state.health()
            except BaseException as error:
                errors.append(error)

    watched.watch()
    reader = threading.Thread(target=read)
    reader.start()
    for number in range(3000):
        watched.end(watched.watch(f"C{number}/USD", url=f"{URL}/{number % 50}"))
    stop.set()
    reader.join()
    assert errors == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://ws.kraken.com/v2", "ws.kraken.com/v2"),
        ("wss://stream.binance.com:9443/ws/0", "stream.binance.com:9443/ws/0"),
        ("wss://fstream.binance.com/private/ws?listenKey=pqia91ma19a5s61cv6a81va65", "fstream.binance.com/private/ws"),
        ("wss://dstream.binance.com/ws/pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s6", "dstream.binance.com/ws/*"),
        ("wss://user:secret@proxy.test/ws", "proxy.test/ws"),
        ("wss://ws.test/public#token", "ws.test/public"),
    ],
)
def test_addresses_have_no_keys(url: str, shown: str) -> None:
    """They are told in events and in the log."""
    assert address(url) == shown


def test_every_method_belongs_to_a_stream() -> None:
    """Of one name, whichever of its methods is called."""
    assert {stream_of(method) for method in METHODS} == set(STREAMS)
    assert stream_of("tickers") == stream_of("ticker") == "ticker"
    assert stream_of("order_book_for_symbols") == "order_book"
    assert stream_of("position_for_symbols") == "positions"


def test_readings_add_up_to_the_worst() -> None:
    """Of two objects of one exchange; what is not watched does not count."""
    one, two = StreamReading(), StreamReading()
    one.messages, one.silence, one.max_silence, one.connected, one.subscriptions = 1, 5.0, 60.0, 1.0, 1
    two.messages, two.silence, two.max_silence, two.connected, two.subscriptions = 2, 9.0, 30.0, 0.0, 3
    one.add(two)
    one.add(StreamReading())
    assert (one.messages, one.silence, one.max_silence, one.connected, one.subscriptions) == (3, 9.0, 30.0, 0.0, 4)
    one.retire()
    assert (one.messages, one.silence, one.subscriptions) == (3, None, None)
    one.add(two)
    assert (one.silence, one.subscriptions) == (9.0, 3)


def test_connections_add_up() -> None:
    """And those of an object that is gone are closed."""
    one, two = ConnectionReading(), ConnectionReading()
    one.connections, two.connections, two.dials = 1, 2, [1, 2, 3]
    one.add(two)
    assert (one.connections, one.dials) == (3, [1, 2, 3])
    one.retire()
    assert one.connections is None
    assert one.since(two) == (True, True, False)
