"""The file of the journal: durable, shared, and clear about what is wrong with it."""

import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from peak_observe import OrderJournal, OrderJournalError
from peak_observe.exchange_client.order_journal import store as stores
from peak_observe.exchange_client.order_journal.intent import OrderIntent
from peak_observe.exchange_client.order_journal.store import Store

ROOT = Path(__file__).parents[3]


def intent(key: str = "a", client_order_id: str = "1", **facts) -> OrderIntent:
    """Return an intent that is not in any journal."""
    given = {
        "id": 0, "key": key, "exchange": "kraken", "exchange_id": "kraken", "symbol": "BTC/USD", "type": "limit",
        "side": "buy", "text": "limit buy 1 BTC/USD at 1", "fingerprint": "f", "client_order_id": client_order_id,
        "look_up": {}, "conditional": False, "state": "intended", "created_at": 1.0, "updated_at": 1.0,
    }  # fmt: skip
    return OrderIntent(**{**given, **facts})


def test_each_step_is_on_the_disk(path) -> None:
    """WAL, and a sync with each commit."""
    store = Store(path)
    connection = store._opened()
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    store.close()


def test_a_file_is_for_its_owner_alone(path) -> None:
    """Orders are nobody else's business."""
    Store(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_intent_comes_back_as_it_was(path) -> None:
    """Also from another process's point of view."""
    kept = Store(path).add(intent(look_up={"trigger": True}, conditional=True, order={"id": "1"}))
    assert Store(path).find("a") == kept
    assert kept.look_up == {"trigger": True}


def test_one_writer_of_a_key_wins(path) -> None:
    """Of many threads with stores of their own, all get the intent of the first."""
    found, start = [], threading.Barrier(8, timeout=60)  # for one that fails to come, the others do not wait for ever

    def add(number: int) -> None:
        start.wait()
        store = Store(path)
        found.append(store.add(intent(client_order_id=str(number))))
        store.close()

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({kept.client_order_id for kept in found}) == 1


def test_a_link_to_no_file_yet_is_a_journal_for_its_owner_alone(path) -> None:
    """The file is made where the link points to."""
    path.symlink_to(path.with_name("elsewhere.sqlite"))
    Store(path).close()
    assert stat.S_IMODE(path.with_name("elsewhere.sqlite").stat().st_mode) == 0o600


def test_a_file_that_is_locked_while_it_becomes_a_journal_is_waited_for(path) -> None:
    """SQLite refuses the change to WAL at once, without waiting for the one that reads or writes."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    timer.start()
    Store(path).close()
    timer.join()
    other.close()


def test_a_step_that_another_process_made_meanwhile_is_not_made_again(path) -> None:
    """Of two steps from the same state one counts."""
    first, second = Store(path), Store(path)
    kept = first.add(intent())
    second.change([(kept, {"state": "sent"})])
    with pytest.raises(OrderJournalError, match="changed meanwhile by another process"):
        first.change([(kept, {"state": "sent"})])


def test_steps_of_a_batch_are_made_together_or_not_at_all(path) -> None:
    """One of two was changed meanwhile."""
    store = Store(path)
    one, two = store.add(intent("a")), store.add(intent("b"))
    store.change([(two, {"state": "sent"})])
    with pytest.raises(OrderJournalError):
        store.change([(one, {"state": "sent"}), (two, {"state": "sent"})])
    assert store.find("a").state == "intended"


def test_a_fork_has_a_connection_of_its_own(path) -> None:
    """SQLite forbids the use of the parent's."""
    store = Store(path)
    store.add(intent("a"))
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2])\n"
        "from peak_observe.exchange_client.order_journal.store import Store\n"
        "store = Store(sys.argv[1]); before = store._opened()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    store.change([(store.find('a'), {'state': 'sent'})]); os._exit(store._opened() is before)\n"
        "assert os.waitpid(child, 0)[1] == 0; assert store._opened() is before\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(ROOT)], check=True)
    assert store.find("a").state == "sent"


def spoiled(path, kind: str) -> str:
    """Spoil a journal in one way, and return what the error says."""
    if kind == "text":
        path.write_text("no database, " * 100)
        return "is no SQLite database"
    if kind == "another program's":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE trades (id)")
        connection.close()
        return "another program's database"
    if kind == "no folder":
        return "cannot be opened"
    Store(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    if kind == "corrupt":
        connection.close()
        with path.open("r+b") as file:
            file.seek(100)
            file.write(b"\xff" * 4000)
        return "is corrupt"
    connection.execute(f"PRAGMA user_version = {0 if kind == 'older' else 7}")
    connection.close()
    return "an older version" if kind == "older" else "a newer version"


@pytest.mark.parametrize("kind", ["text", "another program's", "corrupt", "older", "newer", "no folder"])
def test_a_file_that_is_no_journal_is_one_clear_error(path, kind) -> None:
    """The message names the file, what is wrong with it, and what to do."""
    at = path if kind != "no folder" else path.parent / "nowhere" / "orders.sqlite"
    with pytest.raises(OrderJournalError) as caught:
        words = spoiled(at, kind)
        OrderJournal(at)
    assert words in str(caught.value)
    assert str(at) in str(caught.value)


@pytest.mark.parametrize("damage", ["SET state = 'done'", "SET look_up = '{'"])
def test_an_order_that_somebody_has_changed_by_hand_is_one_clear_error(path, damage) -> None:
    """The message names its key, and the others can be read."""
    store = Store(path)
    store.add(intent())
    store.add(intent(key="b"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE intents ? WHERE key = 'a'".replace("?", damage))
    connection.close()
    with pytest.raises(OrderJournalError, match="has a damaged order 'a': restore it from a backup"):
        store.find("a")
    assert store.find("b").key == "b"
    store.close()


def test_a_locked_file_is_one_clear_error(path, monkeypatch) -> None:
    """Another program holds it for longer than a step waits."""
    monkeypatch.setattr(stores, "_BUSY", 0.05)
    store = Store(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OrderJournalError, match="is locked by another program"):
        store.add(intent())
    other.execute("ROLLBACK")
    other.close()
    assert store.add(intent()).key == "a"
    store.close()


def test_a_read_only_file_is_one_clear_error(path) -> None:
    """As for a user who may only read it."""
    store = Store(path)
    store._opened().execute("PRAGMA query_only = ON")
    with pytest.raises(OrderJournalError, match="is read-only: give this user the right to write"):
        store.add(intent())
    store.close()


def test_a_full_disk_is_one_clear_error_and_loses_nothing(path) -> None:
    """SQLite may not take another page, as on a full disk."""
    store = Store(path)
    store.add(intent("before"))
    store._opened().execute("PRAGMA max_page_count = 1")
    with pytest.raises(OrderJournalError, match="the disk is full"):
        for number in range(200):
            store.add(intent(f"key {number}", text="x" * 1000))
    store.close()
    assert Store(path).find("before") is not None


def test_nobody_writes_past_the_limit_of_a_file(path) -> None:
    """A real error of the system at a write is an error of the journal, too."""
    code = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from peak_observe import OrderJournal, OrderJournalError\n"
        "from tests.exchange_client.order_journal.test_store import intent\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "journal = OrderJournal(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try:\n"
        "    for n in range(400): journal.store.add(intent(f'key {n}', text='x' * 1000))\n"
        "except OrderJournalError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path), str(ROOT)], capture_output=True, text=True, check=True)
    assert "order journal" in run.stdout


def test_settled_orders_are_removed_by_age(journal) -> None:
    """What is open or of unknown fate stays."""
    for key, state in (("old", "closed"), ("new", "closed"), ("open", "sent")):
        kept = journal.store.add(intent(key))
        journal.store.change([(kept, {"state": state, "updated_at": time.time() if key == "new" else 1.0})])
    assert journal.prune("1d") == 1
    assert journal.find("old") is None
    assert [kept.key for kept in journal.pending()] == ["open"]
