"""Trouble on the way to the engine: lost messages, a network that is cut off, Ctrl-C in a claim, and a herd."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from peak_observe import CircuitBreaker, CircuitOpenError, Shared
from peak_observe.coordination import session
from peak_observe.coordination.session import Session
from tests.conftest import binary, free_port
from tests.coordination.conftest import Proxy, Server
from tests.coordination.test_circuit import fail, opened, until_due

Share = Callable[..., Shared]
Until = Callable[[Callable[[], object]], object]
RESYNCS = ("gap", "heartbeat", "reconnect")


def resyncs(shared: Shared) -> dict[str, int]:
    """Return how often all was read anew, by reason."""
    return dict(zip(RESYNCS, shared._session.tally.read().resyncs, strict=True))


def test_a_lost_message_is_made_good(share: Share, server: Server, proxy: Proxy, until: Until) -> None:
    """The heartbeat, or the number of the next message, tells that one is missing; then all is read anew."""
    near, shared = share(server.url), share(proxy.url)
    first, second = (CircuitBreaker(1, 600, name="kraken", shared=each) for each in (near, shared))
    warm, seen = (CircuitBreaker(1, 600, name="binance", shared=each) for each in (near, shared))
    with redis.Redis(port=server.port) as client:
        until(lambda: client.pubsub_numsub("{peak-observe}:news")[0][1] == 2)
    opened(warm)
    until(lambda: seen.state.value == "open")  # from here on it only listens: what comes before a subscription it reads
    proxy.lose(b'"s":"open"')
    before = resyncs(shared)
    opened(first)
    until(lambda: second.state.value == "open")
    assert proxy.lost == 1
    after = resyncs(shared)
    assert after["gap"] + after["heartbeat"] > before["gap"] + before["heartbeat"]


def test_a_network_that_is_cut_off_holds_up_nobody(share: Share, proxy: Proxy, until: Until) -> None:
    """Alone it refuses and probes by itself; after the cut both know what happened meanwhile."""
    near, far = share(proxy.url, timeout=0.5), share(proxy.url, timeout=0.5)
    breaker, other = (CircuitBreaker(1, 600, name="kraken", shared=shared) for shared in (near, far))
    proxy.cut()
    until(lambda: not near.is_up)
    start = time.monotonic()
    opened(breaker)
    for _ in range(100):
        with pytest.raises(CircuitOpenError):
            breaker.call(fail)()
    assert time.monotonic() - start < 20  # of 50 that a hundred calls would wait
    assert other.state.value == "closed"
    proxy.mend()
    until(lambda: near.is_up and far.is_up)
    until(lambda: other.state.value == "open")


def test_ctrl_c_in_a_claim_leaves_nothing_refused(
    share: Share, server: Server, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the wait for a server that hangs; when that goes on, the same process probes."""
    breaker = CircuitBreaker(1, 0.1, name="kraken", shared=share(server.url, timeout=5.0))
    opened(breaker)
    until_due(until, breaker)
    server.stop()
    asked = threading.Event()
    ask = Session.ask

    def asking(*args: object, **kwargs: object) -> object:
        asked.set()
        return ask(*args, **kwargs)

    monkeypatch.setattr(Session, "ask", asking)

    def interrupt() -> None:
        asked.wait(60)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            breaker.call(lambda: 1)()
        assert time.monotonic() - start < 4.5
    finally:
        thread.join(60)
        server.go_on()
    until(lambda: probed(breaker))
    assert breaker.state.value == "closed"


def test_a_cancelled_claim_leaves_nothing_refused(share: Share, server: Server, until: Until) -> None:
    """A task that is cancelled while it asks for the lease takes none with it."""
    breaker = CircuitBreaker(1, 0.1, name="kraken", shared=share(server.url, timeout=5.0))
    opened(breaker)
    until_due(until, breaker)
    server.stop()

    @breaker.call
    async def asked() -> int:
        return 7

    async def cancelled() -> None:
        task = asyncio.create_task(asked())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(cancelled())
    finally:
        server.go_on()
    until(lambda: probed(breaker))
    assert breaker.state.value == "closed"


def probed(breaker: CircuitBreaker) -> bool:
    """Return whether a call passes."""
    try:
        return breaker.call(lambda: True)()
    except CircuitOpenError:
        return False


def opens_told(share: Share, url: str, monkeypatch: pytest.MonkeyPatch, circuits: int, spread: float) -> int:
    """Let all circuits of five states open before anything is told; return how many told the engine so."""
    made, begin = [share(url) for _ in range(5)], threading.Event()
    breakers = [CircuitBreaker(1, 600, name="kraken", shared=shared) for shared in made for _ in range(circuits // 5)]
    monkeypatch.setattr(session, "HERD", spread)  # as with ten thousand members
    monkeypatch.setattr(session, "LONGEST_HERD", spread)
    for shared in made:
        shared._session.post(lambda: begin.wait(60))
    for breaker in breakers:
        breaker.trip("down")
    begin.set()
    time.sleep(spread)
    monkeypatch.setattr(session, "HERD", 0.0)
    for shared in made:
        assert shared.flush(60)
    assert made[0].picture().circuits["kraken"].era == 1
    assert {breaker.state.value for breaker in breakers} == {"open"}
    return sum(shared._session.tally.read().operations[0] for shared in made)


def test_of_a_herd_a_few_tell(share: Share, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred circuits open at once: once it is known, nobody tells it again."""
    assert 1 <= opens_told(share, server.url, monkeypatch, circuits=100, spread=6.0) <= 50


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["file", "redis"])
def test_of_ten_thousand_a_few_tell(
    share: Share, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Ten thousand circuits open at once."""
    url = server.url if kind == "redis" else f"file://{tmp_path}/shared"
    told = opens_told(share, url, monkeypatch, circuits=10_000, spread=30.0)
    assert 1 <= told <= 2_000


def test_a_node_of_a_cluster_makes_every_step(share: Share, tmp_path: Path, until: Until) -> None:
    """All keys are in one slot, so a cluster refuses no step and no message."""
    # By default the nodes' own port is 10,000 higher, which may be none.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    server = Server(binary("redis-server"), tmp_path, *options)
    try:
        with redis.Redis(port=server.port, socket_timeout=20) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        first, second = (share(server.url, quorum=1) for _ in range(2))
        breakers = [CircuitBreaker(1, 0.1, name="kraken", shared=shared) for shared in (first, second)]
        opened(breakers[0])
        until(lambda: breakers[1].state.value != "closed")
        first.hold("kraken", 60, "banned")
        assert first.turns("orders").reserve(1, 9, limit=10, per=1, burst=1).granted
        assert (first.nonce("key", least=7), second.nonce("key", least=7)) == (7, 8)
        first.exchange_turns("kraken").postpone(1)
        assert first.flush(20)
        until(lambda: "kraken" in second.picture().holds)
        until(lambda: probed(breakers[1]))
        assert (first.is_up, second.is_up) == (True, True)
    finally:
        server.kill()
