"""Which process it is, and whether it lives."""

import os
import subprocess
import sys
import time

import pytest

from peak_observe.telemetry.snapshot import process_identity


@pytest.fixture
def mine() -> process_identity.Identity:
    """This process."""
    return process_identity.mine()


@pytest.fixture
def dead() -> int:
    """The pid of a process that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(60)
    return process.pid


def test_this_process_lives(mine) -> None:
    """However long it has not written."""
    assert mine.pid == os.getpid()
    assert process_identity.lives(mine, 0.0, 5.0)
    assert process_identity.lives(mine, 1e6, 5.0)


def test_another_life_of_the_same_pid_does_not(mine) -> None:
    """It began at another time."""
    other = mine._replace(start=1)
    assert not process_identity.lives(other, 0.0, 5.0)
    assert process_identity.is_gone(other)
    assert not process_identity.is_gone(mine)
    assert not mine.is_life_of(other)


@pytest.mark.parametrize(("change", "clock"), [({"boot": "another"}, 0), ({"namespace": 1}, 0), ({"start": 1}, 1)])
def test_what_cannot_be_compared_is_judged_by_its_words(mine, change, clock) -> None:
    """Another boot id is a sandbox as often as a restart; in another time namespace start times are others."""
    other = mine._replace(**change)
    assert process_identity.lives(other, 15.0, 5.0, clock)
    assert not process_identity.lives(other, 15.1, 5.0, clock)
    assert not process_identity.is_gone(other, clock)


def test_a_new_command_line_is_the_same_life(mine) -> None:
    """As long as it writes: then it is a program that renamed itself, and else it is another program."""
    renamed = mine._replace(command=1)
    assert mine.is_life_of(renamed)
    assert process_identity.lives(renamed, 15.0, 5.0)
    assert not process_identity.lives(renamed, 15.1, 5.0)


def test_a_pid_that_is_free_is_nobody(mine, dead) -> None:
    """Also one that no process can have."""
    assert not process_identity.lives(mine._replace(pid=dead), 0.0, 5.0)
    assert not process_identity.lives(mine._replace(pid=2**70), 0.0, 5.0)


def test_a_zombie_is_dead(mine) -> None:
    """Though /proc still shows it."""
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        process.stdout.read()  # it has ended, or is about to, and nobody has waited for it
        start, state = process_identity._stat(process.pid)
        deadline = time.monotonic() + 30
        while state != "Z" and time.monotonic() < deadline:
            start, state = process_identity._stat(process.pid)
        assert not process_identity.lives(mine._replace(pid=process.pid, start=start), 0.0, 5.0)


def test_another_namespace_is_judged_by_its_words(mine) -> None:
    """Its pids mean nothing here."""
    far = mine._replace(namespace=1)
    assert process_identity.lives(far, 15.0, 5.0)
    assert not process_identity.lives(far, 15.1, 5.0)
    assert process_identity.owner(far) is None


def test_the_owner_is_the_user_of_the_process(mine, dead) -> None:
    """Of one that lives."""
    assert process_identity.owner(mine) == os.getuid()
    assert process_identity.owner(mine._replace(pid=dead)) is None


def test_a_process_hidden_from_this_user_is_judged_by_its_words_too(mine) -> None:
    """With hidepid, /proc shows no other user's processes; a signal tells that there is one."""
    code = "import os; from peak_observe.telemetry.snapshot import process_identity\n"
    code += "if os.getuid() == 0: os.setuid(65534)\n"
    code += "print(process_identity._hidden(1), process_identity._hidden(os.getpid()), process_identity._hidden(2**70))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]
