"""One process at a time: the second is refused with the first one's name, and death frees at once."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from peak_observe import (
    AlreadyRunningError,
    AsyncResilientExchangeClient,
    InstanceLockError,
    ResilientExchangeClient,
    only_one,
    register,
)
from peak_observe.safety.instance_lock import InstanceLock
from peak_observe.support import process_start

HOLDER = Path(__file__).with_name("holder.py")
KEY = "a-key-that-nobody-may-read"
CONFIG = {"apiKey": KEY, "secret": "c2VjcmV0"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep all locks in a folder of the test's own."""
    monkeypatch.setenv("PEAK_OBSERVE_DIR", str(tmp_path))
    return tmp_path


@contextmanager
def holder(*arguments: str) -> Iterator[subprocess.Popen]:
    """Run a process that holds a name or a key."""
    with subprocess.Popen([sys.executable, str(HOLDER), *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert json.loads(process.stdout.readline()) == {"held": True}
            yield process
        finally:
            process.kill()


def second(*arguments: str) -> tuple[int, dict]:
    """Run a second process, and return its exit code and what it says."""
    command = [sys.executable, str(HOLDER), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_second_client_of_the_key_is_refused_and_told_of_the_first(folder: Path) -> None:
    """Whatever it is called; the key stands nowhere."""
    client = ResilientExchangeClient("kraken", CONFIG, name="first", exclusive=True, health=None)
    code, said = second("binance", KEY)
    assert code == 5
    assert said["pid"] == os.getpid()
    assert said["host"] == socket.gethostname()
    assert said["since"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(process_start.started()))
    assert f"process {os.getpid()}" in said["text"]
    client.close()
    with holder("binance", KEY):
        pass
    assert not any(KEY in path.name or KEY.encode() in path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_sigkill_frees_at_once() -> None:
    """The kernel does, whatever the process had no time for."""
    with holder("rebalancer") as process:
        with pytest.raises(AlreadyRunningError):
            only_one("rebalancer")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with only_one("rebalancer") as held:
            assert held.held


def test_a_stopped_process_still_holds() -> None:
    """It may be continued and go on trading."""
    with holder("stopped") as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(AlreadyRunningError, match=f"process {process.pid} on "):
            only_one("stopped")


def test_two_clients_of_one_process_are_one_instance() -> None:
    """The last to be closed frees the key."""
    first = ResilientExchangeClient("kraken", CONFIG, name="spot", exclusive=True, health=None)
    other = AsyncResilientExchangeClient("krakenfutures", CONFIG, name="futures", exclusive=True, health=None)
    first.close()
    first.close()
    assert second("kraken", KEY)[0] == 5
    other._give_back()
    with holder("kraken", KEY):
        pass


def test_another_key_is_another_account() -> None:
    """Bots of several accounts do not meet."""
    with ResilientExchangeClient("kraken", CONFIG, exclusive=True, health=None), holder("kraken", "another-key"):
        pass


def test_a_client_that_cannot_be_made_frees_the_key() -> None:
    """What failed holds nothing."""
    with pytest.raises(ValueError, match="failure_threshold"):
        ResilientExchangeClient("kraken", CONFIG, exclusive=True, health=None, failure_threshold=0)
    with holder("kraken", KEY):
        pass


def test_a_forked_child_is_another_process() -> None:
    """It is refused, and does not keep what the parent gives back."""
    held = only_one("forked")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = int(held.held)
        try:
            only_one("forked")
            code += 2
        except AlreadyRunningError as error:
            code += 4 * (error.pid != os.getppid())
        held.release()
        os.write(write, bytes([code]))
        os.read(read, 0)
        time.sleep(60)
        os._exit(0)
    try:
        assert os.read(read, 1) == b"\0"
        assert held.held
        held.release()
        with holder("forked"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def test_a_hold_lasts_though_nobody_keeps_it() -> None:
    """A line at the beginning of a program is enough."""
    only_one("kept")
    with pytest.raises(AssertionError), holder("kept"):
        pass
    only_one("kept").release()


def test_a_hold_that_was_released_is_not_entered_again() -> None:
    """The block would run beside another process's."""
    with only_one("again") as held:
        pass
    with pytest.raises(RuntimeError, match="this hold of 'again' was released: make another one"), held:
        pass


def test_prometheus_sees_the_hold_and_the_refused() -> None:
    """The refused process has no time to be scraped: the holder tells of it."""
    registry = CollectorRegistry()
    register(registry)

    def value(name: str) -> float | None:
        return registry.get_sample_value(name, {"lock": "watched"})

    held = only_one("watched")
    assert (value("peak_instance_held"), value("peak_instance_refused_total")) == (1, 0)
    assert second("watched")[0] == second("watched")[0] == 5
    assert value("peak_instance_refused_total") == 2
    held.release()
    assert (value("peak_instance_held"), value("peak_instance_refused_total")) == (None, 2)


def test_a_removed_lock_file_shows(folder: Path) -> None:
    """Somebody who empties the folder takes the guard away."""
    registry = CollectorRegistry()
    register(registry)
    with only_one("removed") as held:
        for path in folder.glob(".instance-*.lock"):
            path.unlink()
        assert not held.held
        assert registry.get_sample_value("peak_instance_held", {"lock": "removed"}) == 0


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    """Nothing has to be prepared."""
    with only_one("made", folder=tmp_path / "a" / "b") as held:
        assert held.held


@pytest.mark.parametrize("kind", ["file", "below a file", "read-only"])
def test_a_folder_that_cannot_be_used_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    """Without a lock nothing would be guarded, so the program does not begin."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    place = {"file": blocked, "below a file": blocked / "folder", "read-only": Path("/proc/peak-observe")}[kind]
    with pytest.raises(InstanceLockError) as caught:
        only_one("words", folder=place)
    text = str(caught.value)
    assert text.startswith(f"the lock of 'words' cannot be kept in {place}: ")
    assert text.endswith("name a folder on this machine that may be written, by PEAK_OBSERVE_DIR or folder=")


def test_a_user_without_a_home_names_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how."""
    monkeypatch.delenv("PEAK_OBSERVE_DIR")
    monkeypatch.setattr("peak_observe.safety.single_instance.DEFAULT_FOLDER", Path("~nobody-of-this-name/state"))
    with pytest.raises(InstanceLockError, match="by PEAK_OBSERVE_DIR or folder="):
        only_one("homeless")


def test_a_trap_in_the_place_of_the_lock_is_refused(folder: Path) -> None:
    """Neither a link nor a pipe is followed."""
    with only_one("trap"):
        (path,) = folder.glob(".instance-*.lock")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InstanceLockError, match="no regular file"):
        only_one("trap")
    path.unlink()
    path.symlink_to("/dev/null")
    with pytest.raises(InstanceLockError):
        only_one("trap")


def test_without_a_key_there_is_nothing_to_hold() -> None:
    """The error names what is missing."""
    with pytest.raises(ValueError, match=r"exclusive=True needs the account's key \(apiKey, .* which 'kraken' has not"):
        ResilientExchangeClient("kraken", exclusive=True, health=None)


@pytest.mark.parametrize("name", ["", None, 3, "\udcff"])
def test_a_name_is_text(name) -> None:
    """As all names that become labels."""
    with pytest.raises(ValueError, match="name"):
        only_one(name)


def test_a_holder_that_wrote_no_name_yet_is_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second does not wait for it long."""
    monkeypatch.setattr("peak_observe.safety.instance_lock.PATIENCE", 0.05)
    held = InstanceLock.acquire("early", "name early", tmp_path)
    (path,) = tmp_path.glob(".instance-*.lock")
    path.write_text("")
    with pytest.raises(AlreadyRunningError, match="another process holds it"):
        InstanceLock.acquire("early", "name early", tmp_path)
    held.release()


def test_each_folder_has_a_salt_of_its_own(tmp_path: Path) -> None:
    """Two machines name the lock of one key differently."""
    names = set()
    for place in (tmp_path / "a", tmp_path / "b"):
        with only_one("salted", folder=place):
            names |= {path.name for path in place.glob(".instance-*.lock")}
    assert len(names) == 2
