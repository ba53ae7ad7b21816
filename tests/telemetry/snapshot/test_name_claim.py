"""A name in the folder: claimed, kept, taken over by the next life exactly once, and given back."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peak_observe import CircuitBreaker
from peak_observe.support import process_start
from peak_observe.telemetry.snapshot import lifetime_totals, name_claim, name_lock, process_identity, samples
from peak_observe.telemetry.snapshot.name_claim import Claim
from peak_observe.telemetry.snapshot.snapshot_file import Snapshot, decode, encode, path_of, read, write


def left(folder: Path, process: str) -> Snapshot:
    """Return what a file says."""
    return decode(read(path_of(folder, process))[0])


def leave(folder: Path, process: str, calls: int, **header: object) -> None:
    """Write what an earlier life of a name left."""
    folder.mkdir(parents=True, exist_ok=True)
    mine = process_identity.mine()
    found = {
        "process": process,
        "state": "running",
        "identity": mine._replace(start=mine.start - 1),
        "started": 1.0,
        "written": 1.0,
        "monotonic": 1.0,
        "interval": 5.0,
    }
    text = b'peak_breaker_calls_total{breaker="claim.earlier",outcome="success"} %d.0\n' % calls
    write(path_of(folder, process), encode(found | header, samples.packed(text), b"", b""))


def earlier(snapshot: Snapshot) -> float:
    """Return the calls that the account of earlier lives has."""
    (value,) = lifetime_totals.total(samples.EMPTY, snapshot.earlier)["peak_breaker_calls_total"].values()
    return float(value)


def test_the_first_snapshot_makes_the_folder_and_claims_the_name(snapshots) -> None:
    """And says who wrote it."""
    breaker = CircuitBreaker(name="claim.first")
    claim = Claim(snapshots, "bot", interval=2.5)
    claim.write("running", "127.0.0.1:17326")
    found = left(snapshots, "bot")
    assert found.header.identity == process_identity.mine()
    assert (found.header.state, found.header.interval, found.header.address) == ("running", 2.5, "127.0.0.1:17326")
    assert found.header.started == pytest.approx(process_start.started(), abs=1.0)
    assert 'peak_breaker_calls_total{breaker="claim.first",outcome="success"}' in found.own.shape.lines
    assert sorted(path.name for path in snapshots.iterdir()) == [".bot.lock", "bot.snap"]
    assert breaker.name == "claim.first"


def test_a_dead_life_is_taken_over(snapshots) -> None:
    """Once, however often is written after that."""
    leave(snapshots, "bot", 3)
    claim = Claim(snapshots, "bot", interval=5.0)
    for _ in range(2):
        claim.write("running")
    assert claim.name == "bot"
    assert earlier(left(snapshots, "bot")) == 3.0


def test_a_living_process_keeps_its_name(snapshots) -> None:
    """The next one gets a number, and the one after it another."""
    for name in ("bot", "bot-2"):
        leave(snapshots, name, 3, identity=process_identity.mine()._replace(namespace=1), monotonic=1e9)
    claim = Claim(snapshots, "bot", interval=5.0)
    claim.write("running")
    assert claim.name == "bot-3"


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b'{"snapshot":1}\n', b"x" * 10_000])
def test_a_file_that_says_nothing_is_replaced(snapshots, content) -> None:
    """There is nothing in it to take over."""
    snapshots.mkdir(parents=True)
    path_of(snapshots, "bot").write_bytes(content)
    Claim(snapshots, "bot", interval=5.0).write("running")
    assert left(snapshots, "bot").parts[1] == b""


def test_a_link_is_replaced_and_not_followed(snapshots, tmp_path) -> None:
    """What it points to stays as it is."""
    snapshots.mkdir(parents=True)
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    path_of(snapshots, "bot").symlink_to(other)
    Claim(snapshots, "bot", interval=5.0).write("running")
    assert other.read_bytes() == b"mine"
    assert not path_of(snapshots, "bot").is_symlink()


def linked(path: Path) -> None:
    """Make a link to a file that must stay as it is."""
    path.symlink_to(path.parent.parent / "victim")


@pytest.mark.parametrize("name", ["bot.snap", ".bot.lock", ".bot.snap.tmp", ".bot.snap.0123abcd.tmp"])
@pytest.mark.parametrize("trap", [os.mkfifo, linked, Path.mkdir, lambda path: os.mknod(path, 0o140644)])
def test_a_trap_is_removed(snapshots, name: str, trap: Callable[[Path], object]) -> None:
    """A pipe would never let go, a link would lead elsewhere; neither silences a bot or changes its name."""
    snapshots.mkdir(parents=True)
    (snapshots.parent / "victim").write_bytes(b"mine")
    trap(snapshots / name)
    claim = Claim(snapshots, "bot", interval=5.0)
    for _ in range(2):
        claim.write("running")
    assert claim.name == "bot"
    assert left(snapshots, "bot").header.locked
    assert sorted(path.name for path in snapshots.iterdir()) == [".bot.lock", "bot.snap"]
    assert (snapshots.parent / "victim").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["bot.snap", ".bot.lock"])
def test_a_name_that_is_blocked_for_good_is_passed_over(snapshots, name: str) -> None:
    """A folder that holds something cannot be removed, so the next number has to do."""
    (snapshots / name / "kept").mkdir(parents=True)
    claim = Claim(snapshots, "bot", interval=5.0)
    claim.write("running")
    assert claim.name == "bot-2"
    assert left(snapshots, "bot-2").header.process == "bot-2"


HOLDER = """
import fcntl, sys
kept = [open(path, "a") for path in sys.argv[2:]]
for lock in kept:
    fcntl.flock(lock, getattr(fcntl, sys.argv[1]))
print("holds", flush=True)
input()
"""


@contextmanager
def held(kind: str, *paths: Path) -> Iterator[None]:
    """Have a stranger hold locks."""
    command = [sys.executable, "-c", HOLDER, kind, *map(str, paths)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"holds\n"
        try:
            yield
        finally:
            holder.kill()


def test_a_foreign_lock_costs_the_name_only(snapshots, monkeypatch) -> None:
    """Held for ever by somebody who may read the folder; where all numbers are held, random letters are left."""
    monkeypatch.setattr(name_claim, "MOST_NUMBERS", 3)
    monkeypatch.setattr(name_lock.acquire, "__kwdefaults__", {"patience": 0.05})
    snapshots.mkdir(parents=True)
    with held("LOCK_EX", snapshots / ".bot.lock"):
        claim = Claim(snapshots, "bot", interval=5.0)
        claim.write("running")
        assert claim.name == "bot-2"
        with held("LOCK_SH", snapshots / ".bot-3.lock"):
            other = Claim(snapshots, "bot", interval=5.0)
            other.write("running")
            assert re.fullmatch("bot-[0-9a-f]{8}", other.name)


def test_who_looks_is_waited_for(snapshots) -> None:
    """An exporter shares the lock for an instant; that makes no bot a second one."""
    snapshots.mkdir(parents=True)
    with name_lock.free(name_lock.path_of(snapshots, "bot")) as free:
        assert free
        timer = threading.Timer(0.2, lambda: None)
        claim = Claim(snapshots, "bot", interval=5.0)
        done = threading.Thread(target=claim.write, args=("running",))
        timer.start()
        done.start()
        timer.join()
        assert done.is_alive()
    done.join(60)
    assert claim.name == "bot"


def test_a_lock_is_held_until_the_last_snapshot(snapshots) -> None:
    """By the process, and not by its forked children."""
    lock = name_lock.path_of(snapshots, "bot")
    assert name_lock.is_held(lock) is None
    claim = Claim(snapshots, "bot", interval=5.0)
    claim.write("running")
    assert name_lock.is_held(lock) is True
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    assert os.read(ready[0], 1) == b"x"
    claim.write("ended")
    assert name_lock.is_held(lock) is False
    os.write(done[1], b"x")
    os.waitpid(child, 0)
    for descriptor in (*ready, *done):
        os.close(descriptor)


def test_a_lock_file_that_was_removed_is_made_anew(snapshots) -> None:
    """By the next snapshot, and meanwhile nobody takes the name of a living process for free."""
    claim = Claim(snapshots, "bot", interval=5.0)
    claim.write("running")
    lock = name_lock.path_of(snapshots, "bot")
    lock.unlink()
    with held("LOCK_SH", lock):
        assert name_lock.is_held(lock) is False
    lock.unlink()
    claim.write("running")
    assert claim.name == "bot"
    assert name_lock.is_held(lock) is True


def test_a_folder_that_was_emptied_is_filled_again(snapshots) -> None:
    """With the account of the earlier lives."""
    leave(snapshots, "bot", 3)
    claim = Claim(snapshots, "bot", interval=5.0)
    claim.write("running")
    for path in snapshots.iterdir():
        path.unlink()
    snapshots.rmdir()
    claim.write("running")
    assert earlier(left(snapshots, "bot")) == 3.0


def test_what_was_taken_over_by_another_one_is_not_told_twice(snapshots) -> None:
    """A process that was thought dead goes on under another name with what it counts from now on."""
    breaker = CircuitBreaker(name="claim.stolen")
    call = breaker.call(lambda: None)
    call()
    claim = Claim(snapshots, "bot", interval=5.0)
    claim.write("running")
    leave(snapshots, "bot", 3, identity=process_identity.mine()._replace(namespace=1), monotonic=1e9)
    call()
    claim.write("running")
    assert claim.name == "bot-2"
    found = lifetime_totals.total(*left(snapshots, "bot-2")[1:4])["peak_breaker_calls_total"]
    assert found['peak_breaker_calls_total{breaker="claim.stolen",outcome="success"}'] == "1.0"


def test_what_stands_under_a_name_that_another_one_holds_is_not_told_twice(snapshots) -> None:
    """One who speaks once more after its end finds that the next one has its name already."""
    call = CircuitBreaker(name="claim.after").call(lambda: None)
    call()
    claim = Claim(snapshots, "bot", interval=5.0)
    claim.write("ended")
    following = name_lock.acquire(name_lock.path_of(snapshots, "bot"))
    call()
    claim.write("ended")
    assert claim.name == "bot-2"
    found = lifetime_totals.total(*left(snapshots, "bot-2")[1:4])["peak_breaker_calls_total"]
    assert found['peak_breaker_calls_total{breaker="claim.after",outcome="success"}'] == "1.0"
    following.release()


def test_a_name_is_given_back_as_it_was(snapshots) -> None:
    """Without earlier lives nothing is left of it."""
    leave(snapshots, "bot", 3)
    for name in ("bot", "new"):
        claim = Claim(snapshots, name, interval=5.0)
        claim.write("running")
        claim.leave()
    assert sorted(path.name for path in snapshots.glob("*.snap")) == ["bot.snap"]
    found = left(snapshots, "bot")
    assert (found.header.state, found.parts[0], earlier(found)) == ("account", b"", 3.0)
    Claim(snapshots, "never claimed", interval=5.0).leave()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_a_name_that_somebody_else_keeps_to_himself_is_taken(snapshots) -> None:
    """The next one has to do."""
    leave(snapshots, "bot", 3)
    path_of(snapshots, "bot").chmod(0o600)
    snapshots.chmod(0o777)
    code = "import os, sys; from pathlib import Path\n"
    code += "from peak_observe.telemetry.snapshot.name_claim import Claim\nos.setuid(65534)\n"
    code += "claim = Claim(Path(sys.argv[1]), 'bot', interval=5.0)\nclaim.write('running')\nprint(claim.name)"
    for folder in snapshots.parents:
        if folder.stat().st_uid == 0 and folder.stat().st_mode & 0o7077 == 0:  # what pytest made
            folder.chmod(0o755)
    command = [sys.executable, "-c", code, str(snapshots)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "bot-2"


KILLED_CLAIM = """
import os, signal, sys
from pathlib import Path
from peak_observe import CircuitBreaker
from peak_observe.telemetry.snapshot import lifetime_totals, name_claim, snapshot_file
folder, breaker = Path(sys.argv[1]), CircuitBreaker(name="feed")
breaker.call(lambda: None)()

def told():
    found = snapshot_file.decode(snapshot_file.read(snapshot_file.path_of(folder, "bot"))[0])
    lines = lifetime_totals.total(*found[1:4])["peak_breaker_calls_total"]
    return float(lines['peak_breaker_calls_total{breaker="feed",outcome="success"}']), found.header.identity.pid

name_claim.Claim(folder, "bot", interval=5.0).write("ended")
lives = 1
for step in range(100):
    before, writer = told()
    child = os.fork()
    if child == 0:
        left = [step]
        def die(event, arguments):
            if event.startswith(("open", "os.", "fcntl.")) and event != "os.kill":
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(die)
        name_claim.Claim(folder, "bot", interval=5.0).write("running")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    after, last = told()
    # The child counted nothing, but each life tells the call that it was born with.
    assert after == before + (last == child), (step, before, after)
    if status == 0:
        assert last == child
        print(step)
        break
"""


def test_a_life_is_taken_over_once_wherever_the_next_one_is_killed(snapshots) -> None:
    """It is killed before each step into the system in turn, until one gets through; no count is lost or doubled."""
    command = [sys.executable, "-c", KILLED_CLAIM, str(snapshots)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
    assert not [path.name for path in snapshots.iterdir() if path.name not in (".bot.lock", "bot.snap")]


def test_a_snapshot_cut_off_by_a_kill_is_never_seen(snapshots) -> None:
    """A reader meets whole files only while a writer is killed again and again."""
    code = "import sys; from pathlib import Path; from peak_observe import CircuitBreaker\n"
    code += "from peak_observe.telemetry.snapshot.name_claim import Claim\n"
    code += "kept = [CircuitBreaker(name=f'feed.{n}') for n in range(20)]\n"
    code += "claim = Claim(Path(sys.argv[1]), 'bot', interval=5.0)\nwhile True: claim.write('running')"
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", code, str(snapshots)]) as writer:
            seen = set()
            while len(seen) < 5:
                try:
                    seen.add(left(snapshots, "bot").header.monotonic)
                except FileNotFoundError:
                    continue
            writer.send_signal(signal.SIGKILL)
        assert left(snapshots, "bot").own.shape.lines
    assert len(list(snapshots.iterdir())) <= 3
