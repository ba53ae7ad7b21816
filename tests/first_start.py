"""Program that starts something for the first time in many processes and threads at once.

`first_start.py KIND FOLDER ROUNDS THREADS`: each round has a folder of its own, and a line of JSON with what all that
started have answered, sorted.
"""

import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyrage

from peak_observe import OrderGuard, RecoveryManager, TradingSwitch, only_one
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.coordination.file_engine import FileEngine
from peak_observe.errors import AlreadyRunningError
from peak_observe.exchange_client.order_journal import store as stores
from peak_observe.exchange_client.order_journal.store import Store
from peak_observe.safety import instance_lock, switch_file
from peak_observe.telemetry.snapshot.name_claim import Claim
from tests.exchange_client.order_journal.test_store import intent

PROCESSES = 4
PATIENCE = 60.0
RECIPIENT = str(pyrage.x25519.Identity.generate().to_public())


def journal(folder: Path, number: int) -> str:
    """Open a journal and add an order: whose order is it?"""
    store = Store(folder / "orders.sqlite")
    found = store.add(intent(client_order_id=str(number)))
    store.close()
    return found.client_order_id


def switch(folder: Path, number: int) -> str:
    """Make a switch that is halted by one of them: does it stay so?"""
    made = TradingSwitch("main", folder=folder)
    if not number:
        made.halt("the first one says so")
    state = made.refresh().state
    made.close()
    return state if number else made.state.state


def guard(folder: Path, number: int) -> str:
    """Count an order: is there room for it?"""
    made = TradingSwitch("main", folder=folder)
    order = {"symbol": "BTC/USDT", "type": "limit", "side": "buy", "amount": 1.0 + number, "price": 10.0}
    OrderGuard(made, max_orders=PROCESSES).admit([order])
    kept = json.loads((made.folder / "main.orders").read_text())
    made.close()
    return max(map(str, (len(value) for value in kept.values() if isinstance(value, list))))


def instance(folder: Path, number: int) -> str:
    """Hold a name: who does, and how many others does that one count?"""
    del number
    try:
        held = only_one("bot", folder=folder)
    except AlreadyRunningError as error:
        return f"refused by {error.pid is not None}"
    end = time.monotonic() + PATIENCE
    while held._lock.lock.refusals < PROCESSES - 1 and time.monotonic() < end:
        time.sleep(0.005)
    return f"held, {held._lock.lock.refusals} refused"


def shared(folder: Path, number: int) -> str:
    """Open a circuit of one's own in the shared file."""
    engine = FileEngine(str(folder / "shared"), timeout=PATIENCE, clock=SYSTEM_CLOCK)
    news = engine.open(f"circuit {number}", era=0, seconds=60.0, by="me", reason="r", voter="h")
    engine.close()
    return news.state


def repository(folder: Path, number: int) -> str:
    """Promise an age."""
    del number
    manager = RecoveryManager(folder / "backups", name="bot", max_age=60.0)
    return str(manager.list_backups())


def offsite(folder: Path, number: int) -> str:
    """Make a store: which one?"""
    del number
    url = f"file://{folder / 'store'}"
    store = OffsiteStore(url, recipients=[RECIPIENT], repository=folder / "backups", host="bot1")
    made = store.init()
    assert store.backups() == ([], [])
    return made


def snapshot(folder: Path, number: int) -> str:
    """Claim the name of a process."""
    del number
    claim = Claim(folder, "bot", interval=1.0)
    claim.write("running")
    _claims.append(claim)
    return claim.name


_claims: list[Claim] = []
KINDS: dict[str, Callable[[Path, int], str]] = {
    found.__name__: found for found in (journal, switch, guard, instance, shared, repository, offsite, snapshot)
}


def started(kind: str, folder: Path, number: int, barrier, answers) -> None:
    """Start it at the instant at which all the others do."""
    try:
        barrier.wait(PATIENCE)
        answers.put(KINDS[kind](folder, number))
    except Exception as error:
        answers.put(f"{type(error).__name__}: {error}")
    with suppress(threading.BrokenBarrierError):
        barrier.wait(PATIENCE)  # a process that ends early frees what it has for one that comes late


def lives(kind: str, folder: Path, rounds: int, process: int, count: int, barrier, answers) -> None:
    """Start it in each round, in several threads."""
    for at in range(rounds):
        numbers = range(process * count, (process + 1) * count)
        given = (kind, folder / str(at))
        crowd = [threading.Thread(target=started, args=(*given, each, barrier, answers[at])) for each in numbers]
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()


def main() -> None:
    """Run the rounds, with patience for a machine that does much else."""
    stores._BUSY = switch_file.PATIENCE = instance_lock.PATIENCE = PATIENCE
    kind, folder, rounds, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    fork = multiprocessing.get_context("fork")
    barrier, answers = fork.Barrier(PROCESSES * threads), [fork.Queue() for _ in range(rounds)]
    for at in range(rounds):
        (folder / str(at)).mkdir()
    given = (kind, folder, rounds)
    bots = [fork.Process(target=lives, args=(*given, each, threads, barrier, answers)) for each in range(PROCESSES)]
    for bot in bots:
        bot.start()
    for found in answers:
        said = sorted(found.get(timeout=PATIENCE) for _ in range(PROCESSES * threads))
        sys.stdout.write(f"{json.dumps(said)}\n")
    for bot in bots:
        bot.join()


if __name__ == "__main__":
    main()
