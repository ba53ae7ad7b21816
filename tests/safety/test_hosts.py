"""Proof over hosts: real processes, each with the folder of a host of its own, that meet in a real server."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from peak_observe import AlreadyRunningError, only_one
from peak_observe.testing import FakeExchange
from tests.coordination.conftest import Server
from tests.safety.conftest import Processes, until
from tests.safety.test_processes import BOT, trades

HELD = """
import sys, time
from peak_observe import AlreadyRunningError, Shared, only_one
try:
    held = only_one("bot", shared=Shared(sys.argv[1], timeout=5.0))
except AlreadyRunningError as error:
    print("refused", error.pid, flush=True)
    sys.exit(error.exit_code)
print("held", held.token, flush=True)
time.sleep(120)
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Processes, Processes]]:
    """Two hosts."""
    both = Processes(tmp_path / "one"), Processes(tmp_path / "two")
    yield both
    for host in both:
        host.end()


def test_one_command_halts_the_bots_of_two_hosts(
    hosts: tuple[Processes, Processes], exchange: FakeExchange, server: Server
) -> None:
    """No order comes any more, cancels still do, and a bot that was killed is still halted when it is back."""
    code = BOT.replace('TradingSwitch("main")', 'TradingSwitch("main", shared=Shared(sys.argv[2], timeout=5.0))')
    code = code.replace("import ResilientExchangeClient", "import ResilientExchangeClient, Shared")
    code = code.replace("time.sleep(0.02)", "time.sleep(0.1)")  # each is slow enough for the other
    given = json.dumps(exchange.config()), server.url
    bots = [host.start(code, *given) for host in hosts]
    for bot in bots:
        assert "ready\n" in iter(bot.stdout.readline, "")
    until(lambda: trades(exchange))
    done = hosts[0].command("halt", "main", "--reason", "fat finger", "--shared", server.url)
    assert (done.returncode, "main: halted" in done.stdout, done.stderr) == (0, True, "")
    until(lambda: obeys(exchange))
    assert obeys(exchange)
    for bot in bots:
        bot.send_signal(signal.SIGKILL)
        bot.wait(60)
    server.kill()
    again = hosts[1].start(code, *given)
    assert "ready\n" in iter(again.stdout.readline, "")
    assert obeys(exchange)


def obeys(exchange: FakeExchange) -> bool:
    """Return whether cancels come in and no orders."""
    orders, cancels = exchange.requests["AddOrder"], exchange.requests["CancelOrder"]
    until(lambda: exchange.requests["CancelOrder"] >= cancels + 4)
    return exchange.requests["AddOrder"] == orders


def said(process: object) -> list[str]:
    """Return the words that a process says after what it logs."""
    return next(line for line in iter(process.stdout.readline, "") if line.startswith(("held", "refused"))).split()


def test_a_lease_is_free_at_once_for_its_host_and_later_for_others(
    hosts: tuple[Processes, Processes], server: Server
) -> None:
    """After SIGKILL; the token grows with each holder."""
    one, two = hosts
    first = one.start(HELD, server.url)
    held, token = said(first)
    assert held == "held"
    assert said(two.start(HELD, server.url)) == ["refused", str(first.pid)]
    first.send_signal(signal.SIGKILL)
    first.wait(60)
    again = one.start(HELD, server.url)
    held, next_token = said(again)
    assert (held, int(next_token) > int(token)) == ("held", True)
    assert said(two.start(HELD, server.url)) == ["refused", str(again.pid)]


def test_many_processes_start_for_the_first_time_and_one_of_them_holds(tmp_path: Path) -> None:
    """They make salt and lock file at once."""
    for round_ in range(5):
        ready, done = os.pipe(), os.pipe()
        children = []
        for _ in range(6):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.close(ready[1])
                    os.close(done[1])
                    os.read(ready[0], 1)
                    held = only_one("bot", folder=tmp_path / str(round_))
                    code = 0 if held.held else 2
                    os.read(done[0], 1)
                except AlreadyRunningError:
                    code = 5
                finally:
                    os._exit(code)
            children.append(child)
        os.close(ready[1])
        ended = [os.waitpid(-1, 0) for _ in range(5)]
        os.close(done[1])
        last = next(child for child in children if child not in dict(ended))
        codes = sorted([*(os.waitstatus_to_exitcode(status) for _, status in ended), wait_for(last)])
        assert codes == [0, 5, 5, 5, 5, 5]
        os.close(ready[0])
        os.close(done[0])


def wait_for(child: int) -> int:
    """Return the exit code of a child."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
