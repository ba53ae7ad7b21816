"""Rate limits and holds that share, errors of what cannot be had, forks, and the operator's command."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import ccxt
import pytest
import redis

from peak_observe import (
    CircuitBreaker,
    HeldBackError,
    RateLimitedError,
    ResilientExchangeClient,
    Shared,
    SharedStateError,
    rate_limit,
)
from peak_observe.coordination.redis_engine import RedisEngine
from peak_observe.testing import FakeExchange, Fault, ManualClock
from tests.conftest import free_port
from tests.coordination.conftest import Server

Share = Callable[..., Shared]
Until = Callable[[Callable[[], object]], object]


def run(*args: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run the command of the operator."""
    command = [sys.executable, "-m", "peak_observe", "shared", *args]
    environment = {**os.environ, "PEAK_OBSERVE_SHARED": url}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_turns_of_two_members_are_one_rate(share: Share, url: str) -> None:
    """The second call comes an interval after the first, whoever makes it; if it does not wait, it is refused."""
    first = rate_limit(1, 100, name="orders", shared=share(url))
    second = rate_limit(1, 100, name="orders", shared=share(url))
    first.acquire()
    with pytest.raises(RateLimitedError) as error:
        second.acquire()
    assert 90 < error.value.retry_after < 101
    assert (first.stats.at_once, second.stats.refused) == (1, 1)


def test_weights_take_as_many_turns(share: Share, url: str) -> None:
    """A call of weight 3 is three intervals."""
    limit = rate_limit(1, 100, name="heavy", wait=1.0, shared=share(url))
    limit.acquire(weight=3)
    with pytest.raises(RateLimitedError) as error:
        limit.acquire()
    assert 290 < error.value.retry_after < 301


def test_tasks_wait_for_their_turns(share: Share, url: str) -> None:
    """Four tasks pass one after the other while the loop runs."""
    limit = rate_limit(20, 1, name="tasks", wait=30, shared=share(url, margin=0.0))

    async def four() -> float:
        start = time.monotonic()
        await asyncio.gather(*(limit.async_acquire() for _ in range(4)))
        return time.monotonic() - start

    assert asyncio.run(four()) > 0.14
    assert limit.stats.at_once + limit.stats.after_wait == 4


def test_a_cancelled_task_gives_its_place_to_the_next(share: Share, url: str) -> None:
    """The queue of the process goes on."""
    limit = rate_limit(1, 3, name="cancelled", wait=30, shared=share(url))  # longer than a busy machine needs to cancel

    async def two() -> None:
        await limit.async_acquire()
        first = asyncio.create_task(limit.async_acquire())
        second = asyncio.create_task(limit.async_acquire())
        await asyncio.sleep(0.1)
        first.cancel()
        await asyncio.wait_for(second, 20)

    asyncio.run(two())
    assert limit.stats.interrupted == 1


def test_a_pause_is_for_all(share: Share, url: str, until: Until) -> None:
    """What the service told one, none ignores."""
    first = rate_limit(100, name="paused", shared=share(url))
    second = rate_limit(100, name="paused", shared=share(url))
    first.pause(60)
    until(lambda: second.snapshot().pause > 50)
    with pytest.raises(RateLimitedError):
        second.acquire()


def test_alone_a_process_takes_its_part(share: Share, server: Server, until: Until) -> None:
    """With two members known, each has half of the rate while the server is away."""
    limits = [rate_limit(1, 100, name="alone", shared=share(server.url, timeout=0.2)) for _ in range(2)]
    session = limits[0].core()._turns.session
    server.kill()
    until(lambda: not session.up)
    session.members = 2
    limits[0].acquire()
    with pytest.raises(RateLimitedError) as error:
        limits[0].acquire()
    assert 190 < error.value.retry_after < 201


def test_a_ban_of_one_stops_all(share: Share, url: str, until: Until) -> None:
    """The second client sends nothing, though only the first was told; a third that starts later knows, too."""
    with FakeExchange() as fake:
        clients = [
            ResilientExchangeClient("kraken", fake.config(), name=name, health=None, shared=share(url))
            for name in ("one", "two")
        ]
        fake.fail(Fault.rate_limited(120))
        with pytest.raises(ccxt.NetworkError):
            clients[0].fetch_ticker("BTC/USD")
        until(lambda: clients[1].held_back > 100)
        fake.heal()
        before = len(fake.requests)
        with pytest.raises(HeldBackError):
            clients[1].fetch_ticker("BTC/USD")
        assert len(fake.requests) == before
        third = ResilientExchangeClient("kraken", fake.config(), name="three", health=None, shared=share(url))
        assert third.held_back > 100
        for client in (*clients, third):
            client.close()


def test_a_ban_is_of_one_address(share: Share, url: str) -> None:
    """Hosts with another egress address are not banned."""
    first, same, other = (share(url, scope=scope) for scope in ("192.0.2.1", "192.0.2.1", "192.0.2.2"))
    told: list[str] = []

    class Watcher:
        def told(self, seconds: float, reason: str) -> None:
            told.append(f"{self.name} {reason}")

    watchers = Watcher(), Watcher()
    for watcher, shared, name in zip(watchers, (same, other), ("same", "other"), strict=True):
        watcher.name = name
        shared.watch_hold(watcher, "kraken", Watcher.told)
    first.hold("kraken", 60, "banned")
    assert first.flush(20)
    assert same.flush(20)
    assert other.flush(20)
    assert told == ["same banned"]


def test_a_hold_survives_a_server_that_lost_it(share: Share, server: Server, until: Until) -> None:
    """Whoever remembers brings it back."""
    shared = share(server.url)
    shared.hold("kraken", 600, "banned")
    assert shared.flush(20)
    with redis.Redis(port=server.port) as client:
        client.flushall()
    until(lambda: "kraken" in Shared(server.url, timeout=5.0).picture().holds)


def test_a_server_that_is_away_is_no_error_at_start(
    share: Share, caplog: pytest.LogCaptureFixture, until: Until
) -> None:
    """The bot starts alone and says so once; what asks for the state itself gets an error."""
    shared = share(f"redis://user:s3cret-word@127.0.0.1:{free_port()}/0", timeout=0.2)
    with caplog.at_level(logging.WARNING):
        breaker = CircuitBreaker(2, name="kraken", shared=shared)
        until(lambda: "is away" in caplog.text)
        time.sleep(0.5)
    assert breaker.call(lambda: 1)() == 1
    lines = [record.getMessage() for record in caplog.records if "is away" in record.getMessage()]
    assert len(lines) == 1
    assert "s3cret" not in caplog.text + repr(shared)
    with pytest.raises(SharedStateError, match="cannot be reached") as error:
        shared.picture()
    assert "s3cret" not in str(error.value)


def test_a_wrong_password_is_an_error_at_once(share: Share, server: Server) -> None:
    """It will not get right by waiting; the message has no password."""
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "right-horse")
    shared = share(f"redis://:wr0ng-horse@127.0.0.1:{server.port}/0", timeout=5.0)
    with pytest.raises(SharedStateError, match="refuses the user or password that the URL names") as error:
        CircuitBreaker(name="kraken", shared=shared)
    assert "wr0ng" not in str(error.value)


def test_without_the_extra_there_is_one_line(tmp_path: Path) -> None:
    """It names what to install."""
    code = "import sys; sys.modules['redis'] = None\nfrom peak_observe import Shared\n"
    code += "try: Shared('redis://127.0.0.1')\nexcept ImportError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "peak-observe[shared]" in done.stdout


def test_a_file_that_is_something_else_is_left_alone(share: Share, tmp_path: Path) -> None:
    """It says so, and names the mend."""
    (tmp_path / "notes.peak-observe").write_text("my notes, which nobody may overwrite")
    with pytest.raises(SharedStateError, match="no shared state of this version: name another file"):
        CircuitBreaker(shared=share(f"file://{tmp_path}/notes"))
    assert (tmp_path / "notes.peak-observe").read_text().startswith("my notes")


def test_a_torn_row_is_read_as_none(share: Share, tmp_path: Path) -> None:
    """A process that was killed in the middle of a write loses that row, which the others bring back."""
    shared = share(f"file://{tmp_path}/shared")
    shared.force_open("kraken")
    table = shared._session.engine._table
    place = table._index["c:kraken"]
    table._map[place + 10] = (table._map[place + 10] + 1) % 256
    assert "kraken" not in shared.picture().circuits
    shared.force_open("kraken")
    assert shared.picture().circuits["kraken"].state == "forced_open"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_takes_part_for_itself(share: Share, url: str, until: Until) -> None:
    """It has threads and connections of its own, and the parent keeps its."""
    shared = share(url)
    breaker = CircuitBreaker(2, 60, name="forked", shared=shared)
    child = os.fork()
    if child == 0:
        try:
            breaker.trip("in the child")
            os._exit(0 if shared.flush(20) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    until(lambda: breaker.state.value == "open")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_hears_others_without_a_call(share: Share, url: str) -> None:
    """As the workers of a server that loads the program before it forks, which may only ask whether it is open."""
    breaker = CircuitBreaker(2, 600, name="preloaded", shared=share(url))
    child = os.fork()
    if child == 0:
        try:
            deadline = time.monotonic() + 20
            while breaker.state.value != "open" and time.monotonic() < deadline:
                time.sleep(0.02)
            os._exit(0 if breaker.state.value == "open" else 1)
        finally:
            os._exit(2)
    CircuitBreaker(2, 600, name="preloaded", shared=share(url)).trip("by another process")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


AWAY = """
import os, sys, time
from peak_observe import Shared

shared = Shared(sys.argv[1], timeout=0.5)
shared.records()
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
for wanted in (True, False, True):
    deadline = time.monotonic() + 60
    while shared.is_up is not wanted and time.monotonic() < deadline:
        time.sleep(0.02)
    print(shared.is_up, flush=True)
os._exit(0)
"""


def test_a_forked_child_comes_back_to_a_server_that_was_away(server: Server) -> None:
    """Without a call that would have to wait for it."""
    # In an interpreter of its own: tests before this one have left threads, whose locks a child would find taken.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", AWAY, server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "True\n"
            server.kill()
            assert process.stdout.readline() == "False\n"
            server.start()
            assert process.stdout.readline() == "True\n"
            assert process.wait(60) == 0
        finally:
            process.kill()


BUSY = """
import os, sys, threading
from peak_observe import Shared

shared = Shared(sys.argv[1], timeout=5.0)
shared.records()
held, done = threading.Event(), threading.Event()

def use_the_pool():
    with shared._session.engine._client.connection_pool._lock:
        held.set()
        done.wait()

threading.Thread(target=use_the_pool, daemon=True).start()
held.wait()
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(shared.nonce("key", least=7), flush=True)
os._exit(0)
"""


def test_a_fork_while_a_thread_uses_the_pool_holds_up_no_child(server: Server) -> None:
    """The child does not wait for a lock whose holder it has not."""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BUSY, server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.communicate(timeout=60)[0] == "7\n"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_child_whose_parent_held_the_pool_forgets_the_subscription_too(server: Server) -> None:
    """It gives its connection back to the pool as it goes, for which it takes the lock of the pool."""
    engine = RedisEngine(server.url, namespace="forked", timeout=5.0, quorum=1)
    engine.wait_for_news(0.1)
    locks = engine._client.connection_pool
    held = [locks._lock, locks._fork_lock]
    for lock in held:
        lock.acquire()
    child = threading.Thread(target=engine.forget_connections, daemon=True)
    try:
        child.start()
        child.join(10)
        assert not child.is_alive()
    finally:
        for lock in held:
            lock.release()
        child.join(60)
        engine.close()


def test_closing_leaves_no_connection(server: Server, until: Until) -> None:
    """Not one, though the program keeps what it closed."""
    with redis.Redis(port=server.port) as admin:
        shared = Shared(server.url)
        breaker = CircuitBreaker(1, name="left.alone", shared=shared)
        breaker.force_open()
        assert shared.flush(20)
        assert len(admin.client_list()) > 1
        shared.close()
        until(lambda: len(admin.client_list()) == 1)


def test_without_a_thread_to_give_a_process_goes_on(
    share: Share, url: str, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    """As in `atexit` of Python 3.12: it tells, and takes nonces; threads are started when there are some again."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        shared = share(url)
        breaker = CircuitBreaker(1, 600, name="ending", shared=shared)
        breaker.trip("at the end")
        assert breaker.state.value == "open"
        assert shared.nonce("key", least=7) == 7
        shared.close()
        shared = share(url)
        breaker = CircuitBreaker(1, 600, name="ending", shared=shared)
    other = CircuitBreaker(1, 600, name="ending", shared=share(url))
    breaker.trip("now it is heard")
    until(lambda: other.state.value == "open")


def test_a_manual_clock_moves_the_circuits_of_a_file(share: Share, tmp_path: Path, until: Until) -> None:
    """No time passes but by hand."""
    clock = ManualClock()
    url = f"file://{tmp_path}/shared"
    first, second = (
        CircuitBreaker(1, 3600, name="kraken", clock=clock, shared=share(url, clock=clock)) for _ in range(2)
    )
    first.trip("by the test")
    until(lambda: second.state.value == "open")
    clock.advance(3601)
    assert second.call(lambda: 7)() == 7
    until(lambda: first.state.value == "closed")


def test_the_operator_sees_and_acts(share: Share, url: str, until: Until) -> None:
    """`shared show`, `open` and `reset`, as text and as JSON."""
    breaker = CircuitBreaker(2, 60, name="kraken.private", shared=share(url))
    done = run("open", "kraken.private", "--for", "10min", url=url)
    assert (done.returncode, done.stdout) == (0, "circuit kraken.private is open in all processes for 10min\n")
    until(lambda: breaker.state.value == "forced_open")
    assert "circuit kraken.private forced_open" in run("show", url=url).stdout
    found = json.loads(run("show", "--json", url=url).stdout)
    assert [row["state"] for row in found["circuits"]] == ["forced_open"]
    reset = run("reset", "kraken.private", url=url)
    assert (reset.returncode, reset.stderr) == (0, "")
    until(lambda: breaker.state.value == "closed")


def test_the_operator_is_told_what_is_wrong() -> None:
    """One line, and an exit code of its own."""
    done = run("show", "--url", f"redis://:s3cret-word@127.0.0.1:{free_port()}", url="")
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr
    assert "s3cret" not in done.stderr
    assert run("show", "--url", "http://x", url="").returncode == 2


def test_the_operator_is_told_that_nobody_takes_part(tmp_path: Path) -> None:
    """So that a wrong URL or namespace does not look as if it opened a circuit of a bot."""
    done = run("open", "kraken.private", "--namespace", "bosts", url=f"file://{tmp_path}/shared")
    assert done.stdout == "circuit kraken.private is open in all processes\n"
    assert "no process takes part in namespace bosts" in done.stderr


def test_a_full_disk_ends_no_process(tmp_path: Path) -> None:
    """The room of the file is taken when it is made, and a disk without is one error; later writes need none."""
    code = (
        "import resource; from peak_observe import Shared, SharedStateError\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "limits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))\n"
        f"try: Shared('file://{tmp_path}/shared').picture()\n"
        "except SharedStateError as error: print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, limits)"  # a measurement of coverage is written at the end
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "needs 4 MiB on its disk: File too large" in done.stdout
    shared = Shared(f"file://{tmp_path}/shared")
    shared.force_open("kraken")
    shared.close()
    file = next(tmp_path.glob("shared.*"))
    assert file.stat().st_blocks * 512 >= file.stat().st_size
