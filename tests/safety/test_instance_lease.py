"""One instance among hosts: each host is a folder here, and they meet in a file or a server."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from peak_observe import (
    AlreadyRunningError,
    ResilientExchangeClient,
    Shared,
    SharedStateError,
    TradingHaltedError,
    only_one,
)
from peak_observe.coordination.shared_records import SharedRecords
from peak_observe.safety import SingleInstance, instance_lease, single_instance
from peak_observe.safety.instance_lease import InstanceLease, Leased
from peak_observe.testing import FakeExchange
from tests.coordination.conftest import Server
from tests.safety.conftest import until

Host = Callable[..., SingleInstance]


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make leases of 5 s, renew them often, and wait less for holders that nobody knows."""
    for name, value in {"LASTS": 5.0, "EVERY": 0.4, "RETRY": 0.2, "CLAIM": 0.2, "MARGIN": 0.5}.items():
        monkeypatch.setattr(instance_lease, name, value)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Return what holds `bot` on a host of a name."""
    made: list[tuple[SingleInstance, Shared]] = []

    def make(name: str, address: str) -> SingleInstance:
        shared = Shared(address, timeout=5.0)
        try:
            made.append((only_one("bot", folder=tmp_path / name, shared=shared), shared))
        except BaseException:
            shared.close()
            raise
        return made[-1][0]

    yield make
    for held, shared in made:
        held.release()
        shared.close()


def stop_renewing(held: SingleInstance) -> None:
    """Take a host away as a crash does: nothing is given back."""
    held._lock.lease._ended.set()


def test_another_host_is_refused_and_told_of_the_first(host: Host, url: str) -> None:
    """Until it is given back; each holder has a higher token."""
    one = host("one", url)
    assert one.held
    with pytest.raises(AlreadyRunningError) as raised:
        host("other", url)
    assert (raised.value.pid, raised.value.host) == (os.getpid(), socket.gethostname())
    until(lambda: one._lock.lease.refusals == 1)
    token = one.token
    one.release()
    assert host("other", url).token > token


def test_the_refused_host_is_not_locked_itself(host: Host, url: str, tmp_path: Path) -> None:
    """Its lock file is free again, for whoever does not share."""
    host("one", url)
    with pytest.raises(AlreadyRunningError):
        host("other", url)
    only_one("bot", folder=tmp_path / "other").release()


def test_the_lease_of_a_host_that_is_gone_runs_out(host: Host, url: str) -> None:
    """And the one that was gone does not hold it any more before another can."""
    one = host("one", url)
    stop_renewing(one)

    def taken() -> SingleInstance | None:
        try:
            return host("other", url)
        except AlreadyRunningError:
            return None

    until(lambda: not one.held or taken())
    assert not one.held
    until(taken)
    assert "cannot be reached" in one.lost


def test_a_restart_on_the_same_host_does_not_wait(host: Host, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the lock file knows that the holder of the lease, of the same file, is dead."""
    monkeypatch.setattr(instance_lease, "LASTS", 30.0)
    one = host("one", url)
    token = one.token
    stop_renewing(one)
    one._lock.lock.release()  # as the kernel does
    one._released = True
    single_instance._table._held.clear()
    begin = time.monotonic()
    again = host("one", url)
    assert again.token > token
    assert time.monotonic() - begin < 25


def test_the_holder_goes_on_while_the_server_is_away_for_a_moment(
    host: Host, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And brings its lease back to a server that lost its data, before anybody else gets it."""
    one = host("one", server.url)
    monkeypatch.setattr(instance_lease, "LASTS", 30.0)
    monkeypatch.setattr(instance_lease, "CLAIM", 6.0)
    until(lambda: one._lock.lease._deadline > instance_lease._now() + 20)
    token = one.token
    server.kill()
    server.start()
    with pytest.raises((AlreadyRunningError, SharedStateError)):
        host("other", server.url)
    until(lambda: one.held)
    assert one.token == token


def test_a_holder_that_cannot_renew_it_has_it_no_more(host: Host, server: Server) -> None:
    """Before its time is over at the server; and has it again if nobody took it."""
    one = host("one", server.url)
    server.stop()
    until(lambda: not one.held)
    server.go_on()
    until(lambda: one.held)


def test_ctrl_c_in_a_claim_gives_the_lease_back(host: Host, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the next host need not wait for its end."""

    def interrupt(lease: InstanceLease) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(InstanceLease, "_is_confirmed", interrupt)
        with pytest.raises(KeyboardInterrupt):
            host("one", url)
    assert host("other", url).held


def test_without_a_thread_to_renew_it_the_lease_is_given_back(
    host: Host, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that cannot renew it would lose it while it trades."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            host("one", url)
    assert host("other", url).held


def test_a_refusal_in_the_middle_of_a_release_leaves_nothing_held(
    host: Host, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes the record between the look and the answer."""
    monkeypatch.setattr(instance_lease, "LASTS", 30.0)
    one = host("one", url)
    load, begun = SharedRecords.load, []

    def loaded(records: SharedRecords, name: str) -> object:
        stored = load(records, name)
        if one._lock.lease._ended.is_set() and not begun:
            begun.append(name)
            with pytest.raises(AlreadyRunningError):
                InstanceLease("bot", "name bot", records, place="another host")
        return stored

    monkeypatch.setattr(SharedRecords, "load", loaded)
    one.release()
    assert begun
    begin = time.monotonic()
    assert host("third", url).held
    assert time.monotonic() - begin < 25


def test_a_renewal_in_the_middle_of_a_release_is_no_loss(
    host: Host, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It finds the lease free, or another's, and says nothing."""
    one = host("one", url)
    lease = one._lock.lease
    one.release()
    host("other", url)
    assert lease._renew()
    assert not caplog.records


def test_a_host_that_was_overtaken_never_has_it_again(host: Host, shared_server: Server) -> None:
    """It was away for too long, and says who has it now."""
    one = host("one", shared_server.url)
    thief = Leased("thief", one.token + 1, time.time() + 3600, 7, "elsewhere")
    with redis.Redis(port=shared_server.port) as client:
        (key,) = [k for k in client.hkeys("{peak-observe}:records") if k.startswith(b"instance:")]
        client.hset("{peak-observe}:records", key, f"1000 {json.dumps(thief._asdict())}")
    until(lambda: one.lost)
    assert one.lost == "process 7 on elsewhere has taken the lease of 'bot'"
    assert not one.held


def test_a_server_whose_clock_was_set_back_does_not_keep_it_for_ever(host: Host, shared_server: Server) -> None:
    """A lease that is too long counts only if its holder renews it."""
    with redis.Redis(port=shared_server.port) as client:
        client.flushall()
    first = host("first", shared_server.url)
    first.release()
    dead = Leased("dead", 1, time.time() + 86_400, 7, "elsewhere", place="x")
    with redis.Redis(port=shared_server.port) as client:
        (key,) = client.hkeys("{peak-observe}:records")
        client.hset("{peak-observe}:records", key, f"9 {json.dumps(dead._asdict())}")
    assert host("one", shared_server.url).held


def test_without_the_server_nothing_is_held(host: Host, server: Server) -> None:
    """A bot that cannot know does not start."""
    server.kill()
    with pytest.raises(SharedStateError):
        host("one", server.url)


def test_a_client_that_lost_its_lease_sends_nothing_but_cancels(server: Server, tmp_path: Path, monkeypatch) -> None:
    """Another host may trade with its key now."""
    monkeypatch.setenv("PEAK_OBSERVE_DIR", str(tmp_path))
    with FakeExchange() as exchange, Shared(server.url, timeout=5.0) as shared:
        client = ResilientExchangeClient("kraken", exchange.config(), exclusive=True, shared=shared, health=None)
        order = client.create_order("BTC/USD", "limit", "buy", 0.01, 10.0)
        server.stop()
        until(lambda: not client._instance.held)
        with pytest.raises(TradingHaltedError, match="cannot be reached to renew its lease"):
            client.create_order("BTC/USD", "limit", "buy", 0.01, 10.0)
        client.cancel_order(order["id"], "BTC/USD")
        server.go_on()
        until(lambda: client._instance.held)
        client.create_order("BTC/USD", "limit", "buy", 0.01, 10.0)
        client.close()
