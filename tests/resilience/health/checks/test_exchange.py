"""The check of an exchange, with real ccxt clients and an exchange on loopback."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import ccxt
import ccxt.async_support
import pytest

from peak_observe import HealthCheck
from peak_observe.resilience.health import checks
from peak_observe.testing import FakeExchange, Fault


@pytest.fixture(scope="module")
def kraken() -> Iterator[FakeExchange]:
    """One exchange for all tests, healed before each."""
    with FakeExchange() as exchange:
        yield exchange


def test_an_exchange_that_is_up(kraken: FakeExchange) -> None:
    """It says so, and how long that took."""
    kraken.heal()
    healthy, message, details = checks.exchange(ccxt.kraken(kraken.config()))()
    assert (healthy, details["status"]) == (True, "ok")
    assert message.startswith("kraken says it is ok (0.")


def test_maintenance_is_unhealthy(kraken: FakeExchange) -> None:
    """The exchange says it by itself."""
    kraken.fail(Fault.maintenance())
    try:
        healthy, message, _ = checks.exchange(ccxt.kraken(kraken.config()))()
    finally:
        kraken.heal()
    assert not healthy
    assert "maintenance" in message


def test_an_exchange_that_does_not_answer_is_unhealthy(kraken: FakeExchange) -> None:
    """With ccxt's word for it."""
    kraken.fail(Fault.refused())
    try:
        healthy, message, _ = checks.exchange(ccxt.kraken(kraken.config()))()
    finally:
        kraken.heal()
    assert not healthy
    assert message.startswith("kraken does not answer: ")


def test_an_async_client_is_used_on_its_loop(health: HealthCheck, kraken: FakeExchange) -> None:
    """Also when it fails."""

    async def main() -> list:
        client = ccxt.async_support.kraken(kraken.config())
        health.register("exchange_kraken", checks.exchange(client))
        try:
            up = await health.async_run_all()
            kraken.fail(Fault.refused())
            return [up, await health.async_run_all()]
        finally:
            kraken.heal()
            await client.close()

    up, down = [results["exchange_kraken"] for results in asyncio.run(main())]
    assert up.healthy, up
    assert down.message.startswith("kraken does not answer: ")


def test_the_time_is_asked_where_there_is_no_status() -> None:
    """Some exchanges tell one and not the other; what is emulated is no answer of theirs."""
    client = SimpleNamespace(id="x", has={"fetchStatus": "emulated", "fetchTime": True}, fetch_time=lambda: 1_700_000)
    assert checks.exchange(client)()[0] is True
    client.has = {}
    with pytest.raises(ValueError, match="x has neither fetchStatus nor fetchTime"):
        checks.exchange(client)
