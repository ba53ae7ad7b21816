"""The mapped byte: a halt by any process holds at the next order, and nothing weakens what the file says."""

import os
import sys
import threading
from pathlib import Path

import pytest

from peak_observe import TradingHaltedError, TradingSwitch
from peak_observe.safety import switch_file, switch_watcher
from tests.safety.conftest import Processes, until

HALTS = """
import sys
from peak_observe import TradingSwitch
switch = TradingSwitch("main")
for line in sys.stdin:
    (switch.halt if line == "halt\\n" else switch.resume)("x")
    print("done", flush=True)
"""


@pytest.fixture
def byte(switch: TradingSwitch) -> Path:
    """Return the file of the byte."""
    return switch.folder / ".main.byte"


def put(byte: Path, value: bytes) -> None:
    """Write the byte over the old one: to cut a file that is mapped to 0 ends whoever reads it at that moment."""
    with byte.open("r+b") as file:
        file.write(value)


@pytest.fixture
def no_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody look at the file in the background, without anybody knowing that."""
    monkeypatch.setattr(switch_watcher, "_look", lambda _: None)


@pytest.mark.usefixtures("no_looks")
def test_a_halt_by_another_process_holds_at_the_next_order(switch: TradingSwitch, processes: Processes) -> None:
    """Without a wait, each time."""
    other = processes.start(HALTS)

    def do(what: str) -> None:
        other.stdin.write(f"{what}\n")
        other.stdin.flush()
        assert "done\n" in iter(other.stdout.readline, "")  # after what it logs

    for _ in range(20):
        do("halt")
        with pytest.raises(TradingHaltedError):
            switch.check()
        do("resume")
        until(switch.allows)


def test_a_check_while_trading_calls_nothing(switch: TradingSwitch) -> None:
    """It reads one byte: no clock, no lock, no file."""
    calls = []
    sys.setprofile(lambda _, event, arg: calls.append((event, arg)))
    try:
        switch.check()
    finally:
        sys.setprofile(None)
    assert [event for event, _ in calls if "call" in event] == ["call", "c_call"]  # check itself, and setprofile


@pytest.mark.usefixtures("no_looks")
def test_the_byte_is_shut_before_the_file_says_halted(
    switch: TradingSwitch, byte: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed in between leaves what costs a look, and lets nothing pass that is halted."""
    seen = []
    original = switch_file.replace_text
    monkeypatch.setattr(
        switch_file, "replace_text", lambda *a, **k: (seen.append(byte.read_bytes()), original(*a, **k))
    )
    switch.halt("x")
    switch.resume()
    assert seen == [b"\0", b"\0"]
    assert byte.read_bytes() == b"\1"


def test_a_byte_that_was_left_shut_is_opened_again(switch: TradingSwitch, byte: Path) -> None:
    """By whoever looks next."""
    put(byte, b"\0")
    switch.check()
    assert byte.read_bytes() == b"\1"


def test_a_halt_while_the_byte_is_opened_wins(
    switch: TradingSwitch, byte: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one from a signal handler, which cannot wait for the lock."""
    file, original = switch._file, switch._file.byte.open

    def halted_meanwhile() -> None:
        file.write(switch.state._replace(state="halted", reason="x", id="1"))
        original()

    monkeypatch.setattr(file.byte, "open", halted_meanwhile)
    file.open_byte()
    assert byte.read_bytes() == b"\0"


@pytest.mark.parametrize("replace", [False, True])
def test_a_byte_that_was_removed_is_mapped_anew(switch: TradingSwitch, byte: Path, *, replace: bool) -> None:
    """And a halt holds all the same."""
    if replace:
        byte.with_name("other").write_bytes(b"\1")
        byte.with_name("other").replace(byte)
    else:
        byte.unlink()
    found = lambda: switch._file.byte._found == (byte.stat().st_dev, byte.stat().st_ino)  # noqa: E731 - short
    until(lambda: byte.exists() and found())
    put(byte, b"\1")
    switch.halt("x")
    assert byte.read_bytes() == b"\0"
    with pytest.raises(TradingHaltedError):
        switch.check()


def test_without_a_byte_each_order_looks_at_the_file(tmp_path: Path) -> None:
    """Where a folder is in its place, as where a file system knows no maps."""
    (tmp_path / "trading" / ".main.byte").mkdir(parents=True)
    one, other = (TradingSwitch("main", folder=tmp_path) for _ in range(2))
    one.check()
    other.halt("x")
    with pytest.raises(TradingHaltedError):
        one.check()
    other.resume()
    one.check()
    one.close()
    other.close()


def test_a_switch_that_is_closed_reads_the_file(switch: TradingSwitch, byte: Path) -> None:
    """Nobody looks in the background any more."""
    switch.close()
    path = switch.folder / "main.json"
    path.write_text("{")
    put(byte, b"\1")
    until(lambda: not switch.allows())


def test_many_processes_may_make_a_switch_at_once(tmp_path: Path) -> None:
    """Files are made whole, by one of them; none of them is halted or fails."""
    for round_ in range(10):
        folder, ready = tmp_path / str(round_), os.pipe()
        children = []
        for _ in range(6):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.close(ready[1])
                    os.read(ready[0], 1)
                    code = 0 if TradingSwitch("main", folder=folder).allows() else 2
                finally:
                    os._exit(code)
            children.append(child)
        os.close(ready[1])
        codes = {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children}
        os.close(ready[0])
        assert codes == {0}
    assert threading.active_count() < 50
