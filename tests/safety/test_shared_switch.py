"""One switch on several hosts: each has a folder and a shared state of its own, which meet in a file or a server."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from peak_observe import Shared, SharedStateError, TradingHaltedError, TradingSwitch
from peak_observe.safety import shared_switch
from peak_observe.safety.shared_switch import RemoteSwitch, merged
from peak_observe.safety.switch_file import HALTED, REDUCE_ONLY, TRADING, TradingState
from tests.coordination.conftest import Server
from tests.safety.conftest import until

Host = Callable[..., TradingSwitch]


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe an empty shared state sooner, as most tests begin with one."""
    monkeypatch.setattr(shared_switch, "GRACE", 0.2)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """Return what makes the switch of a host by its name."""
    made: list[tuple[TradingSwitch, Shared]] = []

    def make(name: str, address: str) -> TradingSwitch:
        shared = Shared(address, timeout=5.0)
        made.append((TradingSwitch("main", folder=tmp_path / name, shared=shared), shared))
        return made[-1][0]

    yield make
    for switch, shared in made:
        switch.close()
        shared.close()


def test_a_halt_on_one_host_holds_on_the_other(host: Host, url: str) -> None:
    """With its reason and author, and until somebody resumes on any of them."""
    one, other = host("one", url), host("other", url)
    until(lambda: one.allows() and other.allows())  # on a busy machine the shared state is heard later
    one.check()
    other.check()
    one.halt("fat finger", by="anna")
    until(lambda: not other.allows())
    assert (other.state.state, other.state.reason, other.state.by) == (HALTED, "fat finger", "anna")
    other.resume("mended")
    until(one.allows)
    until(lambda: "told by another host" in (one.folder / "main.log").read_text())  # after the file was written


def test_hooks_of_the_other_host_run_once(host: Host, url: str) -> None:
    """Longer is the same halt."""
    one, other = host("one", url), host("other", url)
    ran: list[int] = []
    until(other.allows)
    other.on_halt(lambda: ran.append(1))
    one.halt("x", for_seconds=600)
    until(lambda: ran)
    one.halt("longer")
    until(lambda: other.state.reason == "longer")
    assert ran == [1]


def test_a_host_that_comes_later_is_halted_too(host: Host, url: str) -> None:
    """It reads the shared state before it lets anything pass."""
    host("one", url).halt("x")
    assert not host("later", url).allows()


def test_a_long_reason_fits(host: Host, url: str) -> None:
    """It is cut for the others, and whole on its own host."""
    one, other = host("one", url), host("other", url)
    one.halt('"\\ö€' * 50, by="\N{PILE OF POO}" * 100)
    until(lambda: not other.allows())
    assert one.state.reason.startswith('"\\ö€')
    assert other.state.reason.startswith("'/ö€")


def test_a_time_ends_on_all_hosts(host: Host, url: str) -> None:
    """By the clock of each."""
    one, other = host("one", url), host("other", url)
    one.halt("x", for_seconds=5)
    until(lambda: not other.allows())
    until(lambda: one.allows() and other.allows())


def test_changes_at_once_leave_the_strictest_halt(host: Host, url: str) -> None:
    """Each is a compare-and-set, so none is lost."""
    switches = [host(f"host-{number}", url) for number in range(4)]
    threads = [
        threading.Thread(target=lambda one=one, time=time: one.halt(f"for {time}", for_seconds=time))
        for one, time in zip(switches, (60, 120, None, 90), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: {one.state.reason for one in switches} == {"for None"})


def test_known_state_stays_while_the_server_is_away(host: Host, server: Server) -> None:
    """A halt is a halt, and a bot that trades goes on: only what begins now waits."""
    one, other = host("one", server.url), host("other", server.url)
    one.halt("x")
    until(lambda: not other.allows())
    server.kill()
    with pytest.raises(SharedStateError):
        one.resume()
    assert not one.allows()
    assert not other.allows()
    server.start()
    until(lambda: resumed(one))
    until(other.allows)
    server.kill()
    other.look()
    assert other.allows()


def resumed(switch: TradingSwitch) -> bool:
    """Return whether a switch could be resumed."""
    try:
        return switch.resume().state == TRADING
    except SharedStateError:
        return False


def test_a_process_that_never_heard_the_server_is_halted(host: Host, server: Server) -> None:
    """Whatever its file says: a halt may have been missed; no hook runs for it, and it ends when the server answers."""
    host("one", server.url).close()
    server.kill()
    again = host("one", server.url)
    ran: list[int] = []
    again.on_halt(lambda: ran.append(1))
    with pytest.raises(TradingHaltedError, match="has not answered since this process began"):
        again.check()
    server.start()
    until(again.allows)
    assert ran == []


def test_a_halt_while_the_server_is_away_reaches_all_later(host: Host, server: Server) -> None:
    """It holds on its own host at once, and says that the others were not told."""
    one, other = host("one", server.url), host("other", server.url)
    until(lambda: one.allows() and other.allows())
    server.kill()
    with pytest.raises(SharedStateError, match="this host alone obeys, and tells the others when it is back"):
        one.halt("x")
    assert not one.allows()
    assert other.allows()
    server.start()
    until(lambda: not other.allows())
    assert other.state.reason == "x"


def test_a_server_that_lost_its_data_gets_the_halt_back(
    host: Host, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any host that knows it; an empty one is not believed at once by a host that is new."""
    one = host("one", server.url)
    one.halt("x")
    monkeypatch.setattr(shared_switch, "GRACE", 20.0)  # 3 s, on a machine that is not loaded
    server.kill()
    server.start()
    assert not host("new", server.url).allows()
    assert one.state.reason == "x"
    with Shared(server.url, timeout=5.0) as shared:
        assert RemoteSwitch("main", shared.records()).state.reason == "x"


def test_a_record_that_makes_no_sense_means_halted(host: Host, shared_server: Server) -> None:
    """For a host that knows nothing else; resuming writes it anew."""
    with redis.Redis(port=shared_server.port) as client:
        client.flushall()
        client.hset("{peak-observe}:records", "switch:main", '7 {"state": "maybe"}')
    one = host("one", shared_server.url)
    assert "no state of the switch" in one.state.reason
    one.resume()
    assert one.allows()


def state(kind: str, revision: int, **more: object) -> TradingState:
    """Return a state of a revision."""
    return TradingState(kind, f"{kind} {revision}", id=f"{kind}{revision}", revision=revision, **more)


@pytest.mark.parametrize(
    ("local", "stored", "local_wins"),
    [
        (state(TRADING, 0), None, True),
        (state(TRADING, 0), state(HALTED, 1), False),
        (state(TRADING, 0), state(TRADING, 1), False),
        (state(HALTED, 0), state(TRADING, 9), True),
        (state(HALTED, 0, until=50.0), state(TRADING, 9), False),
        (state(REDUCE_ONLY, 0), state(HALTED, 9, until=50.0), True),
        (state(REDUCE_ONLY, 0), state(HALTED, 9), False),
        (state(HALTED, 3), state(TRADING, 4), False),
        (state(TRADING, 4), state(HALTED, 3), True),
        (state(HALTED, 4), state(TRADING, 4), True),
        (state(TRADING, 4), state(HALTED, 4), False),
    ],
)
def test_the_newer_state_holds_and_an_untold_halt(
    local: TradingState, stored: TradingState | None, *, local_wins: bool
) -> None:
    """At second 100: a halt until 50 is over; of two states of one revision the stricter holds."""
    assert (merged(local, stored, 100.0) is local) == local_wins
