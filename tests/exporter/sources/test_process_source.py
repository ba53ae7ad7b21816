"""What the exporter tells of real processes: that live, are killed, begin anew, fork, become another program."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from peak_observe import catalog
from peak_observe.exporter.sources import own_addresses, process_source
from peak_observe.exporter.sources.metric_block import Block
from peak_observe.exporter.sources.process_source import ProcessDirectory
from peak_observe.telemetry.snapshot import name_lock, process_identity, snapshot_file
from peak_observe.telemetry.snapshot.samples import packed
from peak_observe.testing import ManualClock
from tests.conftest import lint

# Counts three calls and waits; then one more at each line of input.
BOT = """
    from peak_observe import circuit_breaker
    @circuit_breaker(name="feed")
    def call():
        pass
    call(); call(); call()
    print("ready", flush=True)
    while input() == "":
        call()
"""
JOB = """
    with peak_observe.job("nightly"):
        print("running", flush=True)
        input()
"""


def samples(blocks: Iterable[Block]) -> dict[str, float]:
    """Return all lines with their values."""
    pairs = (line.rpartition(" ") for block in blocks for line in block.lines)
    return {name: float(value) for name, _, value in pairs}


def calls(process: str) -> str:
    """Return the line of the calls that succeeded."""
    return f'peak_breaker_calls_total{{breaker="feed",outcome="success",process="{process}"}}'


def offset(process: str) -> str:
    """Return the series of how far the clock of a process is ahead."""
    return f'peak_process_clock_offset_seconds{{process="{process}"}}'


def up(process: str) -> str:
    """Return the line that tells whether a process lives."""
    return f'peak_process_up{{process="{process}"}}'


def runs(process: str, outcome: str) -> str:
    """Return the line of the runs of the job."""
    return f'peak_job_runs_total{{outcome="{outcome}",task="nightly",process="{process}"}}'


@pytest.fixture
def directory(snapshots: Path) -> ProcessDirectory:
    """A reader of the folder."""
    return ProcessDirectory(snapshots)


@pytest.fixture
def shows(directory: ProcessDirectory, until: Callable) -> Callable[..., dict[str, float]]:
    """Return a function that waits until lines have values, and returns all of them then."""

    def wait(expected: dict[str, float | None]) -> dict[str, float]:
        def found() -> dict[str, float] | None:
            now = samples(directory.collect())
            return now if all(now.get(line) == value for line, value in expected.items()) else None

        return until(found)

    return wait


class Written:
    """Writes snapshots by hand, on a clock that stands."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        folder.mkdir(parents=True)
        self.folder, self.clock = folder, clock

    def __call__(self, process: str = "bot", text: bytes = b"", **header: object) -> Path:
        """Write one; what is not given is of a process that has ended."""
        found = {
            "process": process,
            "state": "ended",
            "identity": process_identity.mine(),
            "started": 1.0,
            "written": self.clock.now().timestamp(),
            "monotonic": self.clock.monotonic(),
            "interval": 5.0,
        }
        path = snapshot_file.path_of(self.folder, process)
        snapshot_file.write(path, snapshot_file.encode(found | header, packed(text), b"", b""))
        os.utime(path, (self.clock.now().timestamp(),) * 2)
        return path


@pytest.fixture
def clock() -> ManualClock:
    """Time by hand."""
    return ManualClock()


@pytest.fixture
def written(snapshots: Path, clock: ManualClock) -> Written:
    """A function that writes a snapshot."""
    return Written(snapshots, clock)


def test_a_folder_that_is_not_there_holds_no_process(directory) -> None:
    """The exporter may begin first."""
    found = samples(directory.collect())
    reasons = {f'peak_process_snapshots_rejected_total{{reason="{reason}"}}': 0.0 for reason in catalog.REJECTIONS}
    assert found == reasons
    assert directory.processes() == directory.targets() == []


def test_a_living_process_is_served_with_its_name(program, shows, directory) -> None:
    """Every line of it has the label, and the process is listed."""
    bot = program("bot-a", BOT)
    found = shows({calls("bot-a"): 3.0, up("bot-a"): 1.0})
    assert all('process="bot-a"' in line for line in found if "rejected" not in line)
    (process,) = directory.processes()
    assert (process.name, process.pid, process.state, process.up) == ("bot-a", bot.pid, "running", True)
    assert found['peak_process_start_time_seconds{process="bot-a"}'] == pytest.approx(process.started)
    assert process.age >= 0
    assert {block.name for block in directory.collect()} <= {metric.name for metric in catalog.METRICS}


def test_a_killed_process_is_down_within_three_intervals(program, shows) -> None:
    """At the next look even; its gauges go, its counts stay."""
    bot = program("bot-a", BOT)
    shows({calls("bot-a"): 3.0})
    bot.kill()  # it stays a zombie, as nobody waits for it
    found = shows({up("bot-a"): 0.0, calls("bot-a"): 3.0})
    assert not [line for line in found if line.startswith(("peak_breaker_state{", "peak_observe_build_info"))]


def test_counters_do_not_fall_over_restarts(program, shows) -> None:
    """Killed or ended in order, the next life of the name counts on."""
    first = program("bot-a", BOT)
    shows({calls("bot-a"): 3.0})
    first.kill()
    second = program("bot-a", BOT)
    shows({calls("bot-a"): 6.0, up("bot-a"): 1.0})
    second.process.stdin.write("enough\n")
    assert second.finish() == 0
    shows({calls("bot-a"): 6.0, up("bot-a"): None})
    program("bot-a", BOT)
    found = shows({calls("bot-a"): 9.0, up("bot-a"): 1.0})
    assert found['peak_breaker_call_duration_seconds_count{breaker="feed",process="bot-a"}'] == 9.0


def test_counters_outlive_the_exporter(program, shows, snapshots) -> None:
    """A new one finds what the old one told."""
    program("bot-a", BOT).kill()
    bot = program("bot-a", BOT)
    found = shows({up("bot-a"): 1.0, calls("bot-a"): 3.0})
    bot.kill()
    assert samples(ProcessDirectory(snapshots).collect())[calls("bot-a")] == found[calls("bot-a")]


def test_two_living_processes_of_one_name_get_numbers(program, shows, directory) -> None:
    """The first keeps the name, and a restart finds it free."""
    first = program("bot-a", BOT)
    shows({calls("bot-a"): 3.0})
    program("bot-a", BOT)
    shows({calls("bot-a"): 3.0, calls("bot-a-2"): 3.0})
    first.kill()
    first.process.wait(60)
    program("bot-a", BOT)
    shows({calls("bot-a"): 6.0, calls("bot-a-2"): 3.0, up("bot-a"): 1.0})
    assert [process.name for process in directory.processes()] == ["bot-a", "bot-a-2"]


def test_a_forked_child_tells_only_what_it_did_itself(program, directory, until) -> None:
    """What its parent counted before is the parent's."""
    program(
        "bot-a",
        """
        import os, warnings
        from peak_observe import circuit_breaker
        warnings.simplefilter("ignore")  # that there are threads, which newer Pythons say at each fork
        @circuit_breaker(name="feed")
        def call():
            pass
        call(); call(); call()
        if os.fork() == 0:
            call()
        else:
            call(); call()
        input()
        """,
    )

    def counted() -> list[float]:
        found = samples(directory.collect())
        return sorted(found.get(calls(name), 0.0) for name in ("bot-a", "bot-a-2"))

    until(lambda: counted() == [1.0, 5.0])


def test_a_child_of_multiprocessing_ends_in_order(program, shows, directory) -> None:
    """Though it leaves without atexit; and a child of a child inherits only what there was."""
    bot = program(
        "bot-a",
        """
        import multiprocessing, warnings
        from peak_observe import circuit_breaker
        warnings.simplefilter("ignore")
        @circuit_breaker(name="feed")
        def call():
            pass
        def grandchild():
            call()
        def child():
            call()
            inner = multiprocessing.get_context("fork").Process(target=grandchild)
            inner.start()
            inner.join()
        call()
        input()
        outer = multiprocessing.get_context("fork").Process(target=child)
        outer.start()
        outer.join()
        print("ready", flush=True)
        input()
        """,
    )
    shows({up("bot-a"): 1.0})
    bot.go_on()
    bot.expect("ready")
    found = samples(directory.collect())
    assert sum(value for line, value in found.items() if line.startswith(calls("")[:-3])) == 3.0
    assert {process.state for process in directory.processes()} == {"running", "ended"}


def test_a_process_that_becomes_another_program_is_gone(program, shows) -> None:
    """Its pid lives and its start time is the same, but it does not write any more."""
    bot = program(
        "bot-a",
        BOT.replace("call()\n    print", "call()\n    import os, sys\n    print", 1)
        + "    pass\n"
        + """
    os.execv("/bin/sleep", ["sleep", "600"])
""",
    )
    shows({up("bot-a"): 1.0})
    bot.process.stdin.write("enough\n")
    bot.process.stdin.flush()
    shows({up("bot-a"): 0.0, calls("bot-a"): 3.0})
    assert bot.process.poll() is None


def test_a_program_that_executes_itself_counts_on(program, shows) -> None:
    """Under the same name, with the same pid."""
    bot = program(
        "bot-a",
        BOT
        + """
    import os, sys
    os.execv(sys.executable, [sys.executable, sys.argv[0]])
""",
    )
    shows({calls("bot-a"): 3.0})
    bot.process.stdin.write("enough\n")
    bot.process.stdin.flush()
    shows({calls("bot-a"): 6.0, up("bot-a"): 1.0})


def test_another_process_with_the_same_pid_is_not_taken_for_the_first(written, directory, snapshots) -> None:
    """Nor one before the machine's start, once it is silent: another boot id may be a sandbox's."""
    mine = process_identity.mine()
    written("reused", state="running", identity=mine._replace(start=mine.start - 1))
    written("rebooted", state="running", identity=mine._replace(boot="before"), monotonic=1e9)
    written.clock.advance(16)
    written("sandbox", state="running", identity=mine._replace(boot="other"), monotonic=1e9, written=1.0)
    written("living", state="running", identity=mine)
    found = samples(ProcessDirectory(snapshots, clock=written.clock).collect())
    assert [found[up(name)] for name in ("reused", "rebooted", "sandbox", "living")] == [0.0, 0.0, 1.0, 1.0]


def test_a_process_in_another_container_lives_as_long_as_it_writes(written, snapshots, clock) -> None:
    """Its pid means nothing here, so three intervals without a word are its end."""
    directory = ProcessDirectory(snapshots, clock=clock)
    written("far", state="running", identity=process_identity.mine()._replace(namespace=1, pid=1))
    clock.advance(15)
    assert samples(directory.collect())[up("far")] == 1.0
    clock.advance(0.1)
    assert samples(directory.collect())[up("far")] == 0.0


def test_a_job_that_is_killed_was_interrupted(program, shows) -> None:
    """Nobody else could count it."""
    job = program("backup", JOB)
    since = 'peak_job_running_since_timestamp_seconds{task="nightly",process="backup"}'
    found = shows({runs("backup", "interrupted"): 0.0, up("backup"): 1.0})
    assert found[since] > 0
    job.kill()
    found = shows({runs("backup", "interrupted"): 1.0, up("backup"): 0.0})
    assert since not in found


def test_a_process_that_ends_in_good_order_is_marked_and_not_down(program, shows) -> None:
    """A bot that was stopped wakes nobody; one that was killed has no mark."""
    ended = 'peak_process_ended_timestamp_seconds{process="%s"}'
    bots = [program(name, BOT) for name in ("stopped", "killed")]
    shows({up("stopped"): 1.0, up("killed"): 1.0, ended % "stopped": None})
    began = time.time()
    bots[0].process.terminate()
    bots[1].kill()
    found = shows({up("stopped"): None, up("killed"): 0.0, calls("stopped"): 3.0, ended % "killed": None})
    assert began - 1 <= found[ended % "stopped"] <= time.time()


def test_a_job_that_is_terminated_was_interrupted(program, shows) -> None:
    """The process ended in good order, its run did not."""
    job = program("backup", JOB)
    shows({runs("backup", "interrupted"): 0.0, up("backup"): 1.0})
    job.process.terminate()
    found = shows({runs("backup", "interrupted"): 1.0, up("backup"): None})
    assert 'peak_job_running_since_timestamp_seconds{task="nightly",process="backup"}' not in found


def test_a_job_keeps_its_last_success_over_a_run_that_fails(program, shows, directory) -> None:
    """So that a dead man's alert has what it needs."""
    success = 'peak_job_last_success_timestamp_seconds{task="nightly",process="backup"}'
    assert program("backup", JOB.replace("input()", "")).finish() == 0
    first = shows({runs("backup", "success"): 1.0})
    assert directory.processes()[0].outcome == "success"
    assert up("backup") not in first  # it ended in order, and nobody has to be told
    assert program("backup", JOB.replace("input()", "raise SystemExit(3)")).finish() == 3
    second = shows({runs("backup", "success"): 1.0, runs("backup", "failed"): 1.0})
    assert second[success] == first[success] > 0
    assert directory.processes()[0].outcome == "failed"


def test_what_a_job_left_goes_when_it_was_kept_long_enough(written, snapshots, clock) -> None:
    """Its last word after `retain`, while counts and what is known of its runs stay in its account."""
    text = b"""peak_breaker_calls_total{breaker="feed",outcome="success"} 3.0
peak_breaker_state{breaker="feed",state="open"} 1.0
peak_job_last_success_timestamp_seconds{task="nightly"} 100.0
peak_backup_size_bytes{kind="data",repository="r"} 5.0
"""
    path = written("job", text, outcome="success")
    directory = ProcessDirectory(snapshots, clock=clock, retain=100.0)
    kept = {
        calls("job"): 3.0,
        'peak_job_last_success_timestamp_seconds{task="nightly",process="job"}': 100.0,
        offset("job"): 0.0,
    }
    size = {'peak_backup_size_bytes{kind="data",repository="r",process="job"}': 5.0}

    def told() -> dict[str, float]:
        return {line: value for line, value in samples(directory.collect()).items() if "rejected" not in line}

    ended = {'peak_process_ended_timestamp_seconds{process="job"}': clock.now().timestamp()}
    assert told() == kept | size | ended
    clock.advance(100.1)
    assert told() == kept
    assert told() == kept
    assert (b'"state":"account"' in path.read_bytes(), b"size_bytes" in path.read_bytes()) == (True, False)
    assert directory.processes() == []
    clock.advance(process_source.FORGET)
    directory.collect()
    assert told() == {}
    assert list(snapshots.iterdir()) == []


@pytest.mark.parametrize(
    ("state", "outcome"), [("running", ""), ("ended", ""), ("ended", "failed"), ("running", "success")]
)
def test_what_did_not_end_well_is_shown_for_15_minutes(written, snapshots, clock, state, outcome) -> None:
    """Long enough for an alert, even where jobs are kept for longer."""
    written("bot", state=state, outcome=outcome, identity=process_identity.mine()._replace(start=1))
    directory = ProcessDirectory(snapshots, clock=clock)
    clock.advance(process_source.CRASH_RETAIN)
    directory.collect()
    assert [process.name for process in directory.processes()] == ["bot"]
    clock.advance(1)
    directory.collect()
    assert directory.processes() == []


def test_a_jump_of_the_clock_changes_nothing(written, snapshots, clock) -> None:
    """Ages are told by the clock that does not jump."""
    written("job", outcome="success")
    written("far", state="running", identity=process_identity.mine()._replace(namespace=1))
    directory = ProcessDirectory(snapshots, clock=clock)
    for jump in (timedelta(days=400), -timedelta(days=800)):
        clock.jump(jump.total_seconds())
        found = samples(directory.collect())
        assert found[up("far")] == 1.0
        assert found['peak_process_snapshot_age_seconds{process="far"}'] == 0.0
        assert len(directory.processes()) == 2


@pytest.mark.parametrize(("boot", "ahead"), [("another", 3600.0), (process_identity.boot(), 0.0)])
def test_the_clock_of_a_process_is_compared_where_it_is_another_one(written, snapshots, clock, boot, ahead) -> None:
    """That of another host by the time of its file; a clock that was set since the last snapshot is none."""
    identity = process_identity.mine()._replace(boot=boot)
    written("bot", state="running", identity=identity, written=clock.now().timestamp() + 3600)
    assert samples(ProcessDirectory(snapshots, clock=clock).collect())[offset("bot")] == ahead


@pytest.mark.parametrize("off", [-3600, 3600])
def test_a_process_of_another_host_lives_while_it_writes(written, snapshots, clock, off) -> None:
    """Whatever the clock of the disk says, from its second snapshot on; it is gone when it writes no more."""
    directory = ProcessDirectory(snapshots, clock=clock)

    def look() -> float | None:
        return samples(directory.collect()).get(up("bot"))

    for _ in range(3):
        path = written("bot", state="running", identity=process_identity.mine()._replace(boot="another"))
        os.utime(path, (clock.now().timestamp() + off,) * 2)
        lives = look()
        clock.advance(5.0)
    assert lives == look() == 1.0
    clock.advance(60.0)
    assert look() == 0.0


def test_only_so_many_accounts_are_kept(written, snapshots, clock, monkeypatch) -> None:
    """A name built from an id costs the oldest ones, not the disk."""
    monkeypatch.setattr(process_source, "MAX_ACCOUNTS", 3)
    directory = ProcessDirectory(snapshots, clock=clock, retain=0.5)
    for number in range(6):
        written(f"run-{number}")
        clock.advance(1)
        directory.collect()
    directory.collect()
    assert sorted(path.name for path in snapshots.glob("*.snap")) == ["run-3.snap", "run-4.snap", "run-5.snap"]


def test_only_so_many_that_are_gone_are_shown(written, snapshots, clock, monkeypatch) -> None:
    """Jobs with an id in their name, of which the oldest become accounts before their time."""
    monkeypatch.setattr(process_source, "MAX_GONE", 3)
    directory = ProcessDirectory(snapshots, clock=clock)
    for number in range(6):
        written(f"run-{number}", outcome="success")
        clock.advance(1)
    directory.collect()
    assert sorted(process.name for process in directory.processes()) == ["run-3", "run-4", "run-5"]


def test_the_use_of_the_folder_is_told(written, snapshots) -> None:
    """Before something has to be left out."""
    written("bot", b'peak_breaker_calls_total{breaker="feed",outcome="success"} 3.0\n')
    found = samples(process_source.DiscoveredProcesses(snapshots).collect())
    for limit in catalog.SNAPSHOT_LIMITS:
        assert 0 < found[f'peak_process_snapshots_used_ratio{{limit="{limit}"}}'] < 0.01


def test_an_account_can_be_read_by_those_who_could_read_before(written, snapshots, clock) -> None:
    """Whatever the exporter's own umask says."""
    path = written("bot")
    directory = ProcessDirectory(snapshots, clock=clock, retain=1.0)
    clock.advance(2)
    before = os.umask(0o077)
    try:
        directory.collect()
    finally:
        os.umask(before)
    assert b'"state":"account"' in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_did_not_change_is_not_parsed_again(written, snapshots, clock) -> None:
    """One file of three was written anew."""
    for name in ("a", "b", "c"):
        written(name)
    directory = ProcessDirectory(snapshots, clock=clock)
    directory.collect()
    directory.collect()
    assert directory.parsed == 3
    written("b")
    directory.collect()
    assert directory.parsed == 4


def test_a_folder_that_may_not_be_changed_is_read_all_the_same(written, snapshots, clock, caplog) -> None:
    """And said once."""
    path = written("bot", b'peak_breaker_calls_total{breaker="feed",outcome="success"} 3.0\n')
    (snapshots / ".bot.lock" / "kept").mkdir(parents=True)  # root may write anywhere, but removes no full folder
    directory = ProcessDirectory(snapshots, clock=clock, retain=1.0)
    clock.advance(2)
    for _ in range(3):
        assert samples(directory.collect())[calls("bot")] == 3.0
    assert [record.message for record in caplog.records if "stays as it is" in record.message] == [
        f"{path} stays as it is: [Errno 39] Directory not empty: '{snapshots}/.bot.lock'"
    ]


def test_a_name_that_is_held_is_not_waited_for(written, snapshots, clock) -> None:
    """Whoever claims a name at this moment comes first; there is a next look."""
    path = written("bot")
    directory = ProcessDirectory(snapshots, clock=clock, retain=1.0)
    clock.advance(2)
    lock = name_lock.acquire(name_lock.path_of(snapshots, "bot"))
    assert lock is not None
    directory.collect()
    lock.release()
    assert b"account" not in path.read_bytes()
    directory.collect()
    assert b'"state":"account"' in path.read_bytes()


def test_processes_that_serve_themselves_are_targets(program, directory, until) -> None:
    """For Prometheus' service discovery; those that are gone are not."""
    bot = program(
        "bot-a",
        """
        exporter = peak_observe.start_exporter(port=0)
        print(exporter.port, flush=True)
        input()
        """,
    )
    port = int(bot.process.stdout.readline())
    until(lambda: directory.collect() and directory.targets() == [f"127.0.0.1:{port}"])
    os.kill(bot.pid, signal.SIGKILL)
    until(lambda: directory.collect() and directory.targets() == [])


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("127.0.0.1:80", True),
        ("127.9.9.9:80", True),
        ("[::1]:80", True),
        ("localhost:80", True),
        ("192.0.2.7:80", False),
        ("[2001:db8::7]:80", False),
        ("evil.example:80", False),
        ("169.254.169.254:80", False),
        ("0.0.0.0:80", False),
        ("255.255.255.255:80", False),
        ("224.0.0.1:80", False),
    ],
)
def test_only_own_addresses_are_passed_on_to_prometheus(written, snapshots, clock, address: str, own: bool) -> None:
    """Whoever may write a snapshot could send it anywhere, with its passwords; containers are told to be trusted."""
    written("bot", state="running", address=address)
    source = process_source.DiscoveredProcesses(snapshots, clock=clock)
    source.collect()
    assert source.addresses == ((address,) if own else ())
    trusting = process_source.DiscoveredProcesses(snapshots, clock=clock, foreign_addresses=True)
    trusting.collect()
    assert trusting.addresses == (address,)


def test_an_address_of_an_interface_is_own() -> None:
    """Of those that this machine has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; the kernel says from where it would be
        except OSError:
            return
        assert own_addresses.is_own(f"{probe.getsockname()[0]}:80")


KILLED_FOLD = """
import os, signal, sys
from pathlib import Path
from peak_observe.exporter.sources.process_source import ProcessDirectory
directory = ProcessDirectory(Path(sys.argv[1]), retain=1e-6)
for step in range(100):
    child = os.fork()
    if child == 0:
        left = [step]
        def die(event, arguments):
            if event.startswith(("open", "os.", "fcntl.")) and event != "os.kill":
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(die)
        directory.collect()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    told = [line for block in ProcessDirectory(Path(sys.argv[1]), retain=1e9).collect() for line in block.lines]
    (calls,) = [line for line in told if "success" in line]
    assert calls.endswith(" 3.0"), calls
    if status == 0:
        print(step)
        break
"""


def test_a_fold_happens_once_wherever_the_exporter_is_killed(written, snapshots) -> None:
    """It is killed before each step into the system in turn, until one gets through."""
    calls = b'peak_breaker_calls_total{breaker="feed",outcome="success"} 3.0\n'
    path = written("bot", calls, outcome="success")
    done = subprocess.run(
        [sys.executable, "-c", KILLED_FOLD, str(snapshots)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
    assert b'"state":"account"' in path.read_bytes()


def test_promtool_has_nothing_to_say(program, shows, directory) -> None:
    """The real linter, on a process that lives, one that died, and a job that ended."""
    program("bot-a", BOT)
    bot = program("bot-b", BOT)
    program("backup", JOB.replace("input()", "")).finish()
    shows({up("bot-a"): 1.0, up("bot-b"): 1.0, runs("backup", "success"): 1.0})
    bot.kill()
    shows({up("bot-b"): 0.0})
    text = ""
    for block in directory.collect():
        text += "\n".join([f"# HELP {block.name} {block.help}", f"# TYPE {block.name} {block.kind}", *block.lines, ""])
    assert lint(text.encode()) == ""
