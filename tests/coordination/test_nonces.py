"""Nonces of one API key in several processes: none is lower than one that was sent."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from peak_observe import AsyncResilientExchangeClient, ResilientExchangeClient, Shared
from peak_observe.testing import FakeExchange
from peak_observe.testing.loopback import Reply
from tests.conftest import free_port
from tests.coordination.conftest import Server

Share = Callable[..., Shared]
Until = Callable[[Callable[[], object]], object]
LATE = 1_900_000_000_000


class StrictKraken:
    """Exchange that refuses each nonce that is not above all before it, as Kraken does."""

    def __init__(self, fake: FakeExchange) -> None:
        self.nonces: list[int] = []
        self._handle = fake._handle
        fake._server.handle = self._answer

    def _answer(self, call):
        nonce = int(call.params.get("nonce", 0))
        if nonce and self.nonces and nonce <= max(self.nonces):
            return Reply({"error": ["EAPI:Invalid nonce"]})
        if nonce:
            self.nonces.append(nonce)
        return self._handle(call)


@pytest.fixture
def fake():
    """An exchange."""
    with FakeExchange() as made:
        yield made


def set_clock(client: object, milliseconds: int) -> None:
    """Set the clock from which ccxt takes a client's nonces."""
    client.exchange.nonce = lambda: milliseconds


def test_a_client_whose_clock_is_behind_sends_no_lower_nonce(share: Share, url: str, fake: FakeExchange) -> None:
    """Two clients of one key, whose clocks are an hour apart, in turn: the exchange takes all requests."""
    strict = StrictKraken(fake)
    clients = [
        ResilientExchangeClient("kraken", fake.config(), name=name, health=None, shared=share(url, timeout=2.0))
        for name in ("one", "two")
    ]
    set_clock(clients[0], LATE)
    set_clock(clients[1], LATE - 3_600_000)
    for _ in range(3):
        for client in clients:
            client.fetch_balance()
    assert strict.nonces == list(range(LATE, LATE + 6))
    for client in clients:
        client.close()


def test_coroutines_share_them_too(share: Share, url: str, fake: FakeExchange) -> None:
    """The async client signs with the nonces that the sync one goes on with."""
    strict = StrictKraken(fake)

    async def fetch() -> None:
        shared = share(url, timeout=2.0)
        async with AsyncResilientExchangeClient("kraken", fake.config(), health=None, shared=shared) as client:
            set_clock(client, LATE)
            await client.fetch_balance()
            await client.fetch_balance()

    asyncio.run(fetch())
    shared = share(url, timeout=2.0)
    with ResilientExchangeClient("kraken", fake.config(), name="two", health=None, shared=shared) as client:
        client.fetch_balance()
    assert strict.nonces == [LATE, LATE + 1, LATE + 2]


def test_each_key_has_its_own(share: Share, url: str, fake: FakeExchange) -> None:
    """A key that was used ahead of time does not push the nonces of another one."""
    shared = share(url, timeout=2.0)
    assert shared.nonce("one", least=LATE) == LATE
    assert shared.nonce("two", least=5) == 5
    config = {**fake.config(), "apiKey": "an0ther-k3y"}
    with ResilientExchangeClient("kraken", config, health=None, shared=shared) as client:
        set_clock(client, 7)
        assert [client.exchange.incrementing_nonce() for _ in range(2)] == [7, 8]
        client.exchange.apiKey = "a-third-k3y"
        assert client.exchange.incrementing_nonce() == 9  # of the object itself; it has gone so far
    assert shared.nonce("one", least=LATE) == LATE + 1


def test_a_key_is_written_nowhere(share: Share, server: Server, tmp_path: Path, fake: FakeExchange) -> None:
    """The server and the file have a hash of it."""
    for url in (server.url, f"file://{tmp_path}/shared"):
        config = {**fake.config(), "apiKey": "an0ther-k3y"}
        with ResilientExchangeClient("kraken", config, health=None, shared=share(url, timeout=2.0)) as client:
            client.exchange.incrementing_nonce()
    with redis.Redis(port=server.port) as client:
        assert any(b":nonce:" in key for key in client.keys("*"))
        assert not any(b"k3y" in key for key in client.keys("*"))
    written = (tmp_path / "shared.peak-observe").read_bytes()
    assert b"n:" in written
    assert b"k3y" not in written


def test_threads_of_two_members_take_no_nonce_twice(share: Share, url: str) -> None:
    """All clocks stand still, so that each number is a step above the last."""
    members, found = [share(url, timeout=5.0) for _ in range(2)], []
    threads = [
        threading.Thread(target=lambda shared=shared: found.extend(shared.nonce("key", least=LATE) for _ in range(25)))
        for shared in members
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(LATE, LATE + 200))


def test_they_go_on_after_a_restart(share: Share, tmp_path: Path) -> None:
    """The file remembers the last one, also when the machine restarted meanwhile."""
    url = f"file://{tmp_path}/shared"
    first = share(url)
    first.nonce("key", least=LATE)
    first.close()
    path = tmp_path / "shared.peak-observe"
    data = bytearray(path.read_bytes())
    data[8:24] = b"another boot  id"
    path.write_bytes(data)
    assert share(url).nonce("key", least=1) == LATE + 1


def test_alone_a_process_goes_on_above_what_it_knows(share: Share) -> None:
    """No server: its own nonces rise."""
    shared = share(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2)
    assert [shared.nonce("key", least=least) for least in (LATE, 3, LATE)] == [LATE, LATE + 1, LATE + 2]


def test_a_server_that_lost_its_data_is_told_the_last_one(share: Share, server: Server, until: Until) -> None:
    """A process whose clock is behind gets a higher one from it, though it never saw that key's last."""
    ahead = share(server.url, timeout=1.0)
    ahead.nonce("key", least=LATE)
    server.kill()
    server.start()
    with redis.Redis(port=server.port, decode_responses=True) as client:
        until(lambda: ahead.is_up and any(":nonce:" in key for key in client.keys("*")))
    assert share(server.url, timeout=2.0).nonce("key", least=1) > LATE


@pytest.mark.parametrize("least", [-1, 2**62 + 1, 1.5, True, "7", None])
def test_what_is_no_nonce_is_refused(share: Share, tmp_path: Path, least: object) -> None:
    """An error names the argument."""
    with pytest.raises(ValueError, match=r"least must be an integer from 0 to 2\*\*62, not "):
        share(f"file://{tmp_path}/shared").nonce("key", least=least)
