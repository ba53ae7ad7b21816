"""A key that expires or may do too much is found before it hurts."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import ccxt
import ccxt.async_support
import pytest
from prometheus_client import CollectorRegistry

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient, register
from peak_observe.resilience.health import checks
from peak_observe.resilience.health.checks.key_rights import PERMISSIONS, QUESTIONS, bybit
from peak_observe.testing import FakeExchange, Fault, ManualClock

WITHDRAWS = {"kraken": "withdraw-funds", "binance": "enableWithdrawals", "bybit": "Withdraw"}
DAY = 86_400


@pytest.fixture(params=sorted(WITHDRAWS))
def exchange(request: pytest.FixtureRequest) -> Iterator[FakeExchange]:
    """Return each of the exchanges that tell a key its rights; the key is bound to an address."""
    with FakeExchange(dialect=request.param) as fake:
        fake.key.addresses = ("192.0.2.1",)
        yield fake


def client(exchange: FakeExchange):
    """Return a plain ccxt object."""
    return getattr(ccxt, exchange.exchange_id)(exchange.config())


def in_days(days: float) -> float:
    """Return a Unix time."""
    return (datetime.now(UTC) + timedelta(days=days)).timestamp()


def test_a_key_for_trading_alone_passes(exchange: FakeExchange) -> None:
    """It reads, trades, and comes from one address."""
    ok, message, details = checks.api_key(client(exchange))()
    assert ok
    assert message == f"the key of {exchange.exchange_id} is as it should be"
    assert details["permissions"] == {"read": True, "trade": True, "transfer": False, "withdraw": False}
    assert details["ip_bound"]
    assert details["expires"] is None


def test_a_key_that_may_withdraw_fails(exchange: FakeExchange) -> None:
    """Whoever steals it takes everything."""
    exchange.key.permissions.add(WITHDRAWS[exchange.exchange_id])
    ok, message, _ = checks.api_key(client(exchange))()
    assert not ok
    assert message == f"the key of {exchange.exchange_id} may withdraw"
    assert checks.api_key(client(exchange), forbid=[])()[0]


def test_a_key_for_all_addresses_fails_unless_that_is_wanted(exchange: FakeExchange) -> None:
    """It works from anywhere."""
    exchange.key.addresses = ()
    ok, message, _ = checks.api_key(client(exchange))()
    assert not ok
    assert message.endswith("is bound to no IP address")
    assert checks.api_key(client(exchange), want_ip=False)()[0]


@pytest.mark.parametrize(("days", "ok", "words"), [(30, True, "as it should"), (13, False, "expires in 13.0 days")])
def test_an_expiry_fails_in_time(exchange: FakeExchange, days: float, ok: bool, words: str) -> None:
    """Two weeks are for making a new one."""
    exchange.key.expires = in_days(days) + 60
    found = checks.api_key(client(exchange))()
    assert found[0] is ok
    assert words in found[1]
    assert abs(found[2]["expires"] - exchange.key.expires) < 1


def test_a_resilient_client_asks_too(exchange: FakeExchange) -> None:
    """Through its circuits, as for all reads."""
    with ResilientExchangeClient(exchange.exchange_id, exchange.config(), health=None) as resilient:
        assert checks.api_key(resilient)()[0]


def test_an_async_client_is_awaited(exchange: FakeExchange) -> None:
    """On its own loop."""

    async def run() -> None:
        async with AsyncResilientExchangeClient(exchange.exchange_id, exchange.config(), health=None) as resilient:
            assert (await checks.api_key(resilient)())[0]
        plain = getattr(ccxt.async_support, exchange.exchange_id)(exchange.config())
        try:
            assert (await checks.api_key(plain)())[0]
        finally:
            await plain.close()

    asyncio.run(run())


def test_a_refused_key_fails(exchange: FakeExchange) -> None:
    """As one that was deleted is."""
    wrong = client(exchange)
    wrong.apiKey = "another"
    ok, message, _ = checks.api_key(wrong)()
    assert not ok
    assert message.startswith(f"{exchange.exchange_id} does not answer what its API key may do: ")


@pytest.mark.parametrize("body", ["{}", '{"result": {}, "retCode": 0, "error": []}', "[]"])
def test_an_answer_of_another_form_fails_in_words(exchange: FakeExchange, body: str) -> None:
    """The exchange changed its interface, or a proxy answers."""
    exchange.fail(Fault(body=body), path="*[kK]ey*" if exchange.exchange_id == "kraken" else "*api*")
    ok, message, _ = checks.api_key(client(exchange))()
    assert not ok
    assert "its API key" in message


def test_other_exchanges_cannot_tell() -> None:
    """Then an expiry by hand counts all the same."""
    ok, message, _ = checks.api_key(ccxt.coinbase())()
    assert ok
    assert message == "coinbase cannot tell what its key may do"
    clock = ManualClock(datetime(2027, 2, 20, tzinfo=UTC))
    ok, message, _ = checks.api_key(ccxt.coinbase(), expires="2027-03-01", clock=clock)()
    assert not ok
    assert message == "the key of coinbase expires in 9.0 days"
    clock.advance(20 * DAY)
    gone = checks.api_key(ccxt.coinbase(), expires=datetime(2027, 3, 1), clock=clock)()  # noqa: DTZ001 - on purpose
    assert gone[1] == "the key of coinbase has expired"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"forbid": ["withdrawal"]}, "forbid must be of read, trade, transfer, withdraw, not 'withdrawal'"),
        ({"expires": "in spring"}, "expires must be a time, or text such as '2027-03-01', not 'in spring'"),
        ({"expires": 5}, "expires must be a time"),
        ({"warn_days": -1}, "warn_days must be a finite number"),
        ({"want_ip": "yes"}, "want_ip must be True or False"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict, words: str) -> None:
    """The message names it."""
    with pytest.raises(ValueError, match=words):
        checks.api_key(ccxt.kraken(), **arguments)


def test_no_exchange_has_no_key() -> None:
    """What was given by mistake is named."""
    with pytest.raises(TypeError, match="a client or a ccxt exchange object is wanted, not 'kraken'"):
        checks.api_key("kraken")


def test_a_read_only_key_of_bybit_may_nothing_else() -> None:
    """Its groups of permissions do not count then."""
    key = {"readOnly": 1, "permissions": {"Spot": ["SpotTrade"], "Wallet": ["Withdraw"]}, "ips": ["*"]}
    rights = bybit({"result": {**key, "expiredAt": "2027-03-01T00:00:00Z"}})
    assert rights.permissions == {"read": True, "trade": False, "transfer": False, "withdraw": False}
    assert rights.expires == datetime(2027, 3, 1, tzinfo=UTC).timestamp()


def test_each_question_is_a_read_that_ccxt_knows() -> None:
    """None of them changes anything."""
    for name, question in QUESTIONS.items():
        assert callable(getattr(getattr(ccxt, name)(), question.method))
        assert "Get" in question.method


def test_prometheus_sees_expiry_and_permissions(exchange: FakeExchange) -> None:
    """From the first run on, as long as the check lives."""
    registry = CollectorRegistry()
    register(registry)
    label = {"exchange": f"key.{exchange.exchange_id}"}
    exchange.key.expires = in_days(3)
    check = checks.api_key(client(exchange), name=label["exchange"])
    assert registry.get_sample_value("peak_exchange_key_expires_timestamp_seconds", label) is None
    check()
    found = registry.get_sample_value("peak_exchange_key_expires_timestamp_seconds", label)
    assert abs(found - exchange.key.expires) < 1
    told = {
        p: registry.get_sample_value("peak_exchange_key_permission", {**label, "permission": p}) for p in PERMISSIONS
    }
    assert told == {"read": 1, "trade": 1, "transfer": 0, "withdraw": 0}
