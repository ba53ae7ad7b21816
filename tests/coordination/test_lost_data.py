"""Data that the engine lost, and servers that take none: a file that was cut, evicted keys, a replica, a shut port."""

import fcntl
import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from peak_observe import CircuitBreaker, CircuitOpenError, Shared, SharedStateError
from peak_observe.coordination import mapped_file
from peak_observe.coordination.engine import EngineError
from tests.conftest import binary, free_port
from tests.coordination.conftest import Server
from tests.coordination.test_circuit import opened

Share = Callable[..., Shared]
Until = Callable[[Callable[[], object]], object]
CIRCUITS, HOLDS = "{peak-observe}:circuits", "{peak-observe}:holds"


def copied(path: Path) -> None:
    """Put a copy in the place of a file."""
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


@pytest.mark.parametrize("harm", [Path.unlink, copied, lambda path: os.truncate(path, 0)], ids=["gone", "copy", "cut"])
def test_a_file_that_is_not_that_of_all_any_more_is_opened_anew(
    share: Share, tmp_path: Path, until: Until, harm: Callable[[Path], object]
) -> None:
    """A look beyond the end would kill the process; who kept the old file would hear of nothing."""
    old = share(f"file://{tmp_path}/shared")
    first, held = CircuitBreaker(1, 600, name="kraken", shared=old), CircuitBreaker(1, 600, name="before", shared=old)
    opened(held)
    assert old.flush()
    harm(tmp_path / "shared.peak-observe")
    new = share(f"file://{tmp_path}/shared")
    opened(CircuitBreaker(1, 600, name="kraken", shared=new))
    until(lambda: first.state.value == "open")
    until(lambda: old.is_up and "before" in (found := new.picture().circuits) and found["before"].state == "open")


def test_a_slot_is_indexed_anew_in_a_file_that_began_anew(tmp_path: Path) -> None:
    """Else a process would read the row of another name where its own was."""
    tables = [
        mapped_file.MappedTable(str(tmp_path / "t"), boot=bytes(16), timeout=5.0, on_reboot=lambda _: None)
        for _ in range(2)
    ]
    with tables[0].locked():
        tables[0].write("a", [1])
    os.truncate(tmp_path / "t", 100)
    with pytest.raises(EngineError, match="removed, replaced or cut"), tables[1].locked():
        pass
    anew = mapped_file.MappedTable(str(tmp_path / "t"), boot=bytes(16), timeout=5.0, on_reboot=lambda _: None)
    with anew.locked():
        anew.write("b", [2])
    with tables[0].locked():
        assert (tables[0].read("a"), tables[0].read("b")) == (None, [2])
    for table in (*tables, anew):
        table.close()


def test_a_file_is_watched_in_a_process_of_many_descriptors() -> None:
    """Select, of all system calls, knows no number past 1,023."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(2048, before[1])), before[1]))
    reader, writer = os.pipe()
    high = fcntl.fcntl(reader, fcntl.F_DUPFD_CLOEXEC, 1100)
    try:
        os.write(writer, b"!")
        assert mapped_file._readable([high], 60.0) == [high]
    finally:
        for file in (reader, writer, high):
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_circuit_that_the_engine_lost_alone_is_not_refused_for_ever(
    share: Share, server: Server, until: Until
) -> None:
    """A server that evicts keys, and a writer that was killed, lose one circuit and keep the number of changes."""
    shared = share(server.url)
    breaker = CircuitBreaker(1, 0.1, name="kraken", shared=shared)
    opened(breaker)
    assert shared.flush()
    until(lambda: breaker.state.value == "half_open")
    with redis.Redis(port=server.port) as client:
        client.delete(CIRCUITS)

    def passes() -> bool:
        try:
            return breaker.call(lambda: True)()
        except CircuitOpenError:
            return False

    until(passes)
    assert shared.flush()
    assert shared.picture().circuits["kraken"].state == "closed"


def test_a_sign_of_life_finds_what_was_evicted(share: Share, server: Server, until: Until) -> None:
    """Nobody asks for it and the number of changes is as before, but who joins now would ask into a ban."""
    shared = share(server.url)
    opened(CircuitBreaker(1, 600, name="kraken", shared=shared))
    shared.hold("binance", 3 * 86_400, "banned")
    assert shared.flush()
    until(lambda: shared._session.engine._kept == (1, 1))  # heard of by a sign of life
    with redis.Redis(port=server.port) as client:
        client.delete(CIRCUITS, HOLDS)
        until(lambda: client.exists(CIRCUITS, HOLDS) == 2)
        until(lambda: client.pttl(HOLDS) > 2 * 86_400_000)  # a ban of days outlives the last member


def test_a_server_that_takes_no_writes_for_now_stops_no_start(share: Share, tmp_path: Path, until: Until) -> None:
    """One that another takes over from, or without memory, is away; the program goes on alone, and finds it later."""
    server = Server(binary("redis-server"), tmp_path, "--replicaof", "127.0.0.1", "1")
    try:
        shared = share(server.url)
        breaker = CircuitBreaker(1, 600, name="kraken", shared=shared)
        assert (shared.is_up, breaker.call(lambda: 1)()) == (False, 1)
        with redis.Redis(port=server.port) as client:
            client.replicaof("NO", "ONE")
        until(lambda: shared.is_up)
    finally:
        server.kill()


def test_no_option_of_a_url_lengthens_the_wait(share: Share, server: Server) -> None:
    """What the timeout promises holds whatever the URL says; an option that nobody knows is an error at once."""
    shared = share(f"{server.url}?socket_timeout=120&max_connections=1&decode_responses=no", timeout=0.2)
    breaker = CircuitBreaker(1, 0.01, name="kraken", shared=shared)
    opened(breaker)
    assert shared.flush()
    server.stop()
    try:
        start = time.monotonic()
        shared._session.ask_quietly("claim", "kraken", lease=1.0)
        assert time.monotonic() - start < 30
    finally:
        server.go_on()
    with pytest.raises(ValueError, match="makes no sense"):
        Shared(f"{server.url}?nonsense=1")


def test_many_threads_that_ask_at_once_part_nobody(share: Share, tmp_path: Path) -> None:
    """The one that gets no turn in time is answered as if alone; the state stays shared, for it is not away."""
    shared = share(f"file://{tmp_path}/shared", timeout=0.05)
    CircuitBreaker(1, 600, name="kraken", shared=shared)
    session = shared._session
    turns = [session._turns.get(timeout=20) for _ in range(16)]
    try:
        with pytest.raises(EngineError, match="too many threads"):
            session.ask("beat", session.member)
        assert shared.is_up
    finally:
        for _ in turns:
            session._turns.put(None)


def test_why_a_server_cannot_be_reached_is_said() -> None:
    """A name of an error alone helps nobody: a closed port, an unknown host and a wrong certificate are one."""
    with Shared(f"redis://:secret-password@127.0.0.1:{free_port()}/0", timeout=5.0) as shared:
        with pytest.raises(SharedStateError, match=r"cannot be reached: .*Connection refused") as error:
            shared.picture()
        assert "secret-password" not in str(error.value)
