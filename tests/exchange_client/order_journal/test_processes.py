"""Several processes on one journal, and backups of a journal that is in use."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from peak_observe import OrderJournal, OrderJournalError, RecoveryManager, ResilientExchangeClient
from peak_observe.exchange_client.order_journal.key_lock import KeyLocks
from peak_observe.testing import FakeExchange, Fault
from tests.exchange_client.order_journal.test_store import ROOT, intent

BOT = """
import json, sys
sys.path.insert(0, sys.argv[3])
from peak_observe import OrderJournal, ResilientExchangeClient
with OrderJournal(sys.argv[1]) as journal:
    with ResilientExchangeClient("kraken", json.loads(sys.argv[2]), journal=journal, health=None) as client:
        client.load_markets()
        print("ready", flush=True)
        sys.stdin.readline()
        print(client.submit("shared", "BTC/USD", "limit", "buy", 0.1, 40_000)["id"], flush=True)
"""


def test_processes_with_one_key_place_one_order(path) -> None:
    """One places it, while its answer takes a second; the other waits, and gets its order."""
    with FakeExchange() as fake:
        config = {**fake.config(), "timeout": 20_000}
        fake.fail(Fault.latency(1.0), path="AddOrder")
        command = [sys.executable, "-c", BOT, str(path), json.dumps(config), str(ROOT)]
        bots = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        for bot in bots:
            assert bot.stdout.readline() == "ready\n"
        for bot in bots:
            bot.stdin.write("go\n")
            bot.stdin.flush()
        found = [bot.communicate(timeout=120)[0].strip() for bot in bots]
        assert found == [fake.orders[0].id] * 2
        assert len(fake.orders) == 1


def test_the_lock_of_a_process_that_is_killed_is_free(path) -> None:
    """The system lets go of it."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\n"
        "from peak_observe.exchange_client.order_journal.key_lock import KeyLocks\n"
        "print(KeyLocks.of(Path(sys.argv[1])).take(7), flush=True); sys.stdin.read()\n"
    )
    lock = path.with_name("lock")
    command = [sys.executable, "-c", code, str(lock), str(ROOT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "True\n"
        locks = KeyLocks.of(lock)
        assert not locks.take(7)
        assert locks.take(8)
        holder.kill()
        holder.wait()
    assert locks.take(7)
    assert not locks.take(7)
    locks.free(7)
    locks.free(8)


def test_what_a_process_works_on_is_left_alone(path) -> None:
    """By reconcile(), and by a person."""
    with FakeExchange() as fake, OrderJournal(path) as journal:
        kept = journal.store.add(intent())
        journal.store.change([(kept, {"state": "sent", "sent_at": 1.0})])
        journal.locks().take(kept.id)
        try:
            with ResilientExchangeClient("kraken", fake.config(), journal=journal, health=None) as client:
                assert [found.state for found in client.reconcile()] == ["sent"]
            assert not fake.requests["OpenOrders"]
            with pytest.raises(OrderJournalError, match="a process is working on the order 'a'"):
                journal.resolve("a", "refused")
        finally:
            journal.locks().free(kept.id)


def test_a_backup_takes_a_journal_that_is_in_use(path, tmp_path) -> None:
    """While orders are written; what comes back is a journal that goes on."""
    recovery = RecoveryManager(tmp_path / "backups")
    recovery.data_backup.add_data_path(path)
    stop, written = threading.Event(), []
    with OrderJournal(path) as journal:

        def write() -> None:
            while not stop.is_set():
                key = f"key {len(written)}"
                journal.store.add(intent(key, client_order_id=key))
                written.append(key)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            while len(written) < 10:
                stop.wait(0.01)
            before = len(written)
            backup = recovery.create_backup(include_config=False, include_state=False)
        finally:
            stop.set()
            writer.join()
    assert recovery.verify_backup(backup).ok
    for file in path.parent.glob("orders.sqlite*"):
        file.unlink()
    assert recovery.restore_backup(backup, restore_config=False, restore_data=True)
    with OrderJournal(path) as restored:
        keys = [kept.key for kept in restored.pending()]
        assert before <= len(keys) <= len(written)
        assert keys == written[: len(keys)]
        assert restored.store._opened().execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert restored.store.add(intent("after")).state == "intended"


def test_the_file_is_found_by_its_name(path) -> None:
    """As the journal tells it to a backup."""
    with OrderJournal(str(path)) as journal:
        assert journal.path == Path(path)
        assert repr(journal) == f"<OrderJournal {str(path)!r}>"
