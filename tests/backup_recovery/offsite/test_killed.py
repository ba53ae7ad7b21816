"""Pushes that are killed at random instants: a backup is in the store or is not, and the next push succeeds."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from peak_observe.backup_recovery.offsite import leases

from .conftest import random_bytes

PUSH = """
import sys
from peak_observe.backup_recovery.offsite import push
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
push.BUNDLE = 200_000
store = OffsiteStore(sys.argv[1], recipients=[sys.argv[2]], repository=sys.argv[3], host="bot1")
print("ready", flush=True)
sys.stdin.readline()
store.push()
"""


def kill(away, seconds: float) -> bool:
    """Begin a push, kill it after so long, and return whether it had ended by itself."""
    command = [sys.executable, "-c", PUSH, away.store.url, away.recipient, str(away.manager.backup_root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdin.write("go\n")
    process.stdin.flush()
    time.sleep(seconds)
    ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return ended


def check(away, rounds: int, seed: int) -> None:
    """Kill pushes at random instants, look at the store after each, and let one end at last."""
    chance = random.Random(seed)
    for number in range(rounds):
        (away.program.data / f"{number % 5}.bin").write_bytes(random_bytes(700_000))
        made = away.manager.create_backup()
        kill(away, chance.uniform(0, 0.3))
        store = away.opened()
        stored = {item.backup.backup_id for item in store.backups()[0]}
        reports = store.verify(all_=True, identity=away.identity)
        assert all(report.ok for report in reports), reports
        assert {report.backup_id for report in reports} == stored
        if number % 3 == 2:
            assert store.push(made).backup_id == made
            assert store.verify(made, identity=away.identity)[0].ok


def test_pushes_killed_at_random(away) -> None:
    """A few kills, as CI has not the time for more."""
    check(away, 6, seed=int.from_bytes(os.urandom(4)))


def test_what_kills_leave_is_collected(away, monkeypatch) -> None:
    """Objects without a record are harmless, and a prune removes them when the dead push's lease has expired."""
    from peak_observe.backup_recovery import RetentionPolicy

    away.pushed()
    for number in range(3):
        (away.program.data / "more.bin").write_bytes(random_bytes(900_000))
        away.manager.create_backup()
        kill(away, 0.05 + 0.05 * number)
    monkeypatch.setattr(leases, "EXPIRY", leases.timedelta(0))
    store = away.opened()
    store.prune(RetentionPolicy(last=1))
    needed = {name for _, record in store._store().records() for name in record.needs}
    assert {path.name for path in away.objects()} == {name.hex() for name in needed}
    assert not [name for name in away.names() if "#" in name]
    assert all(report.ok for report in store.verify(all_=True, identity=away.identity))


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10))
def test_pushes_killed_at_random_many_times(away, seed: int) -> None:
    """Each night the same kills at 300 instants."""
    check(away, 30, seed=seed)
