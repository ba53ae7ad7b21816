"""Ctrl-C in a push and in a restore, once and again: it is heard at once, and nothing is taken for good that is not."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from peak_observe import BackupError, RetentionPolicy
from peak_observe.backup_recovery.offsite import fetch, leases
from peak_observe.backup_recovery.offsite.object_store import ObjectStore
from peak_observe.backup_recovery.repository.leftovers import OFFSITE

PATIENCE = 60  # seconds; each of these ends within two where nothing else runs

SILENT = """
import sys
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
reach = {"endpoint": sys.argv[1], "region": "us-east-1"}
OffsiteStore("s3://bucket/bot", recipients=[sys.argv[2]], repository=sys.argv[3], **reach).init()
"""

HANGS = """
import sys, time
from peak_observe.backup_recovery.offsite.object_store import ObjectStore
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore

def put(self, name, content, *, new=False, write=ObjectStore.put):
    if name.startswith("objects/") or not content:
        print("sending" if content else "ending", flush=True)
        time.sleep(600)
    write(self, name, content, new=new)

ObjectStore.put = put
OffsiteStore(sys.argv[1], recipients=[sys.argv[2]], repository=sys.argv[3], host="bot1").push()
"""


def started(code: str, *arguments: str, **environment: str) -> subprocess.Popen:
    """Start a program, which is killed if it does not end."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})


def ended(process: subprocess.Popen) -> int:
    """Return how a program has ended."""
    try:
        return process.wait(PATIENCE)
    finally:
        process.kill()
        process.communicate()


def test_heard_while_the_store_does_not_answer(away) -> None:
    """The library that waits for the answer hears no signal, and a request may last for minutes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        process = started(SILENT, address, away.recipient, str(away.manager.backup_root), **keys)
        silent.settimeout(PATIENCE)
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            assert ended(process) == -signal.SIGINT


def test_second_one_ends_a_push_that_gives_its_lease_back(away) -> None:
    """What it leaves is a lease that ends by itself: nothing counts as sent, and the next push succeeds."""
    made = away.manager.create_backup()
    process = started(HANGS, away.store.url, away.recipient, str(away.manager.backup_root))
    for expected in ("sending\n", "ending\n"):
        assert process.stdout.readline() == expected
        process.send_signal(signal.SIGINT)
    assert ended(process) == -signal.SIGINT
    assert away.store.backups() == ([], [])
    assert not away.store.push(made).was_there
    assert away.store.verify(made, identity=away.identity)[0].ok


def test_lease_of_an_interrupted_push_ends(away, monkeypatch) -> None:
    """Until then a prune gives way, as the push could still be under way."""
    made = away.pushed().backup_id
    lease = leases.Lease(away.store._transport, away.store._clock, "bot1")
    lease.take()
    with pytest.raises(BackupError, match="a push is under way"):
        away.store.prune(RetentionPolicy(last=1))
    monkeypatch.setattr(leases, "EXPIRY", leases.timedelta(0))
    away.store.prune(RetentionPolicy(last=1))
    assert not [name for name in away.names() if name.startswith("leases/")]
    assert away.store.verify(made, identity=away.identity)[0].ok


def test_third_one_ends_the_removal_of_what_was_fetched(away, monkeypatch, caplog) -> None:
    """Nothing was restored, it is said that something stays, and the next restore removes that."""
    away.pushed()
    get = ObjectStore.get

    def interrupted_get(store: ObjectStore, name: str) -> bytes:
        if name.startswith("objects/"):
            os.kill(os.getpid(), signal.SIGINT)
        return get(store, name)

    def interrupted_removal(_: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert "what was fetched is being removed; Ctrl-C once more stops that in the middle" in caplog.text
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "get", interrupted_get)
        patched.setattr(fetch, "remove_tree", interrupted_removal)
        with pytest.raises(KeyboardInterrupt):
            away.restored()
    assert not list(away.folder.glob("restored*"))
    (left,) = away.folder.glob(f"{OFFSITE}*")
    assert f"{left} stays, which holds unencrypted what was fetched: remove it" in caplog.text
    assert (away.restored() / "data").is_dir()
    assert not list(away.folder.glob(f"{OFFSITE}*"))
