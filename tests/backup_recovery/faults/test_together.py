"""Several processes and threads at one repository: one works, the others are told who it is."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faulty.driving import environment
from faulty.world import World

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.repository.locking import locked
from peak_observe.errors import BackupError, RepositoryLockedError

PATIENCE = 60.0
# Backs up, and waits in the middle of it, with the lock, for a line.
HOLDER = """
import sys
from peak_observe.backup_recovery import RecoveryManager
manager = RecoveryManager(sys.argv[1], name="faults")
manager.config_backup.add_config(sys.argv[2])
told = []
def hold(_):
    if not told:
        told.append(print("holding", flush=True))
        sys.stdin.readline()
print(manager.create_backup(progress=hold), flush=True)
"""
# Forks a worker in the middle of a backup, as `multiprocessing` does, and waits.
PARENT = """
import os, sys, time
from peak_observe.backup_recovery import RecoveryManager
manager = RecoveryManager(sys.argv[1], name="faults")
manager.config_backup.add_config(sys.argv[2])
def fork(_):
    child = os.fork()
    if child:
        print("forked", child, sep="\\n", flush=True)
    time.sleep(120)
manager.create_backup(progress=fork)
"""
# Backs up again and again at the same time as others, and tells how often it did and how often somebody else was first.
RIVAL = """
import json, sys, threading
from peak_observe.backup_recovery import RecoveryManager
from peak_observe.errors import RepositoryLockedError
made, told = [], []
def work():
    manager = RecoveryManager(sys.argv[1], name="faults")
    manager.config_backup.add_config(sys.argv[2])
    for _ in range(10):
        try:
            made.append(manager.create_backup())
        except RepositoryLockedError as error:
            told.append(error.holder)
print("ready", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps([made, told]))
"""


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program until it has said its first line; it is ended by its pid."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as child:
        try:
            assert child.stdout
            assert child.stdout.readline()
            yield child
        finally:
            child.kill()


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    """Return a world of its own for each test."""
    return new_world()


def test_the_second_process_is_told_who_is_the_first(world: World) -> None:
    """The error names pid and host, and the first one ends as if nothing had been."""
    with process(HOLDER, world.repo, world.live / "config" / "app.toml") as holder:
        manager = world.manager()
        for act in (manager.create_backup, manager.drill, lambda: manager.restore("backup_1")):
            with pytest.raises((RepositoryLockedError, BackupError)) as caught:
                act()
            if act == manager.create_backup:
                assert f"process {holder.pid} on {os.uname().nodename}" in str(caught.value)
                assert isinstance(caught.value, RepositoryLockedError)
        made, _ = holder.communicate("\n", timeout=PATIENCE)
    assert [backup.backup_id for backup in manager.list_backups()] == [made.strip()]
    assert manager.create_backup()


def test_a_stopped_holder_stops_nobody_for_long(world: World) -> None:
    """SIGSTOP keeps the lock: others are told at once, and can list and verify; after SIGCONT it goes on."""
    world.backup()
    with process(HOLDER, world.repo, world.live / "config" / "app.toml") as holder:
        holder.send_signal(signal.SIGSTOP)
        manager = world.manager()
        with pytest.raises(RepositoryLockedError, match=str(holder.pid)):
            manager.create_backup()
        assert manager.verify_backup(manager.list_backups()[0].backup_id).ok
        holder.send_signal(signal.SIGCONT)
        holder.communicate("\n", timeout=PATIENCE)
    assert len(manager.list_backups()) == 2


def test_a_killed_holder_leaves_no_lock(world: World) -> None:
    """The system lets go of it: the next one clears, counts and works."""
    with process(HOLDER, world.repo, world.live / "config" / "app.toml") as holder:
        holder.kill()
        holder.wait(PATIENCE)
    assert world.manager().create_backup()
    assert world.account().runs["interrupted"] == 1
    assert world.leftovers() == []


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_lock(world: World) -> None:
    """A program may start workers while a thread of it makes a backup; they live longer than that."""
    mine, its = os.pipe()
    children = []

    def fork(_: object) -> None:
        if children:
            return
        pid = os.fork()
        if pid == 0:
            os.close(its)
            os.read(mine, 1)
            os._exit(0)
        children.append(pid)

    manager = world.manager()
    try:
        manager.create_backup(include_data=False, progress=fork)
        assert children
        assert manager.create_backup()
    finally:
        os.close(its)
        for pid in children:
            os.waitpid(pid, 0)
        os.close(mine)


def test_a_child_of_a_killed_holder_does_not_keep_the_lock(world: World) -> None:
    """A worker of `multiprocessing` lives on, and nothing it does is a backup."""
    with process(PARENT, world.repo, world.live / "config" / "app.toml") as holder:
        child = int(holder.stdout.readline())
        try:
            holder.kill()
            holder.wait(PATIENCE)
            os.kill(child, 0)
            assert world.manager().create_backup()
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_child_that_leaves_the_block_does_not_unlock_it(tmp_path: Path) -> None:
    """What its parent has taken is not the child's to give back."""
    path = tmp_path / "lock"
    try:
        with locked(path, tmp_path, "work"):
            pid = os.fork()
            if pid == 0:
                sys.exit()
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            with pytest.raises(RepositoryLockedError), locked(path, tmp_path, "other work"):
                pass
    except SystemExit:
        os._exit(0)


def test_processes_and_threads_in_a_crowd(world: World) -> None:
    """Six workers in three processes: each run is made whole or refused, and the account knows each."""
    config = world.live / "config" / "app.toml"
    world.manager()
    with process(RIVAL, world.repo, config) as one, process(RIVAL, world.repo, config) as other:
        answers = []
        talks = [
            threading.Thread(target=lambda rival=rival: answers.append(rival.communicate("\n", timeout=PATIENCE)[0]))
            for rival in (one, other)
        ]
        for talk in talks:
            talk.start()
        for talk in talks:
            talk.join()
    made = [backup_id for answer in answers for backup_id in json.loads(answer)[0]]
    told = [holder for answer in answers for holder in json.loads(answer)[1]]
    assert len(made) + len(told) == 40
    manager = world.manager()
    assert sorted(backup.backup_id for backup in manager.list_backups()) == sorted(made)
    assert len({backup.sequence for backup in manager.list_backups()}) == len(made)
    assert all(manager.verify_backup(backup_id).ok for backup_id in made)
    assert world.account().runs["success"] == len(made)
    assert world.account().stored_bytes == world.stored_bytes()


def test_restore_and_backup_do_not_meet(world: World) -> None:
    """A restore is refused while a backup runs, and the live files stay."""
    backup_id = world.backup()
    (world.live / "config" / "app.toml").write_text("changed")
    with process(HOLDER, world.repo, world.live / "config" / "app.toml"):
        assert not world.manager().restore_backup(backup_id)
        assert (world.live / "config" / "app.toml").read_text() == "changed"


def test_one_who_lists_while_backups_come_and_go_sees_whole_ones(world: World) -> None:
    """Whatever is listed can be read, or was removed since."""
    world.manager()
    stop, seen = threading.Event(), []

    def look() -> None:
        manager = RecoveryManager(world.repo, name="faults")
        while not stop.is_set():
            seen.extend(backup.status.value for backup in manager.list_backups())

    reader = threading.Thread(target=look)
    reader.start()
    manager = world.manager()
    for _ in range(10):
        manager.create_backup()
        manager.cleanup_old_backups(keep_count=2)
    stop.set()
    reader.join()
    assert set(seen) == {"success"}
    assert len(manager.list_backups()) == 2


def test_a_stopped_process_with_the_lock_of_the_account_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held for an instant only, so whoever holds it for long is not waited for: a backup fails, and says why."""
    monkeypatch.setattr("peak_observe.backup_recovery.repository.locking.PATIENCE", 0.2)
    manager = world.manager()
    lock = world.repo / ".peak-observe" / "account.lock"
    code = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(1, flush=True); sys.stdin.read()"
    with process(code, lock) as holder:
        holder.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(BackupError, match=r"account\.lock"):
            manager.create_backup()
        assert time.monotonic() - began < PATIENCE
    assert manager.create_backup()


def test_copies_of_one_part_are_made_by_one_process_at_a_time(world: World, tmp_path: Path) -> None:
    """The second waits for the first, and then does its own."""
    manager = world.manager()
    results = []
    threads = [threading.Thread(target=lambda: results.append(manager.data_backup.backup(tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(results)) == 1
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    assert manager.data_backup.restore(tmp_path) == results[0][0]
