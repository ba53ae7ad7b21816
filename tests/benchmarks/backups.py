"""Backups beside rsync, restic and borg: the first one, an unchanged and a slightly changed tree, a restore."""

import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from measuring import Verdict, program, ratio, table

from peak_observe.backup_recovery import RecoveryManager

SMALL, BIG = 5_000, 128 << 20
ROUNDS = 6  # an even number: peak_observe is first in one half, last in the other
REST = 2.0  # seconds in which a disk that was written to in bulk comes to rest: virtual ones are slower for a while
SECRET = {"RESTIC_PASSWORD": "bench", "BORG_PASSPHRASE": "bench", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

Contestants = dict[str, Callable[[], object]]


def run() -> list[Verdict]:
    """Measure everything in one temporary folder of the disk that TMPDIR names."""
    for peer in ("rsync", "restic", "borg"):
        program(peer)
    with tempfile.TemporaryDirectory(prefix="peak-bench-") as folder:
        bench = Bench(Path(folder))
        found = bench.measure()
    print("\nBackups: seconds (medians), 5,000 small files, 512 MiB in four files, a 90 MB database")
    heads = ("", "s", "of the peer")
    for part, numbers in found.items():
        peer = numbers["restic" if part == "restore" else "rsync"]
        rows = [(name, f"{median(n):.2f}", f"{ratio(n, peer):.2f} x") for name, n in numbers.items()]
        table(rows, (part, *heads[1:]))
    return [
        Verdict(f"{part}: peak_observe / {peer}", ratio(found[part]["peak_observe"], found[part][peer]), budget)
        for part, peer, budget in (
            ("first backup", "rsync", 1.0),
            # Half of ours are system calls that both make: a status and a link a file. Measured were 0.46 and 0.49; up
            # to 0.52 for a few minutes after many files were removed, as of a benchmark just before.
            ("unchanged", "rsync", 0.5),
            ("1 % changed", "rsync", 0.5),
            ("restore", "restic", 1.0),
        )
    ]


class Bench:
    """One tree and a repository of each contestant."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        self.seconds: dict[str, dict[str, list[float]]] = {}
        random.seed(1)
        make_tree(self.tree)

    def measure(self) -> dict[str, dict[str, list[float]]]:
        """Return seconds by part and contestant; each round everybody has a turn, and another one begins.

        Backups of a known tree come before the parts that remove things: for minutes after many files were removed,
        ext4 looks through their inodes before it gives a new file or folder one, which is nobody's own time.
        """
        for contestants in (self.first(), self.again()):
            for measured in contestants.values():
                measured()
        for turn in range(ROUNDS + 1):
            self._known(turn, "unchanged", 0)
            self._known(turn, "1 % changed", SMALL // 100)
        self._remove()
        for turn in range(ROUNDS + 1):
            self._bulky(turn, "first backup", self.first())
            self._bulky(turn, "restore", self.restores())
            self._remove()
        return self.seconds

    def _known(self, turn: int, part: str, changed: int) -> None:
        """Let everybody back up the tree again, with so many of its files changed.

        Each has a turn that is not measured just before: a virtual machine may take memory away from a program that
        waits for the others, and gives it back page by page, which is not its own time either.
        """
        for name, measured in _in_turn(self.again(), turn):
            measured()
            touch(self.tree, changed)
            os.sync()
            self._measure(turn, part, name, measured)

    def _bulky(self, turn: int, part: str, contestants: Contestants) -> None:
        """Let everybody write a lot.

        After much was removed, whoever writes next waits for the disk to find room; a copy that is not measured does.
        """
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        shutil.copytree(self.tree, self.folder / "scratch")
        for name, measured in _in_turn(contestants, turn):
            os.sync()
            time.sleep(REST)
            self._measure(turn, part, name, measured)

    def _measure(self, turn: int, part: str, name: str, measured: Callable[[], object]) -> None:
        seconds = timed(measured)
        if turn:  # the first round is not counted
            self.seconds.setdefault(part, {}).setdefault(name, []).append(seconds)

    def _remove(self) -> None:
        for leftover in ("peak", "rsync", "restic", "borg", "restored", "scratch"):
            shutil.rmtree(self.folder / leftover, ignore_errors=True)

    def first(self) -> Contestants:
        """Everything is new."""
        return {
            "peak_observe": self.peak,
            "rsync": self.tool(f"mkdir -p rsync/0 && rsync -a tree rsync/0/ && sync -f {self.folder}"),
            "restic": self.tool("restic -q -r restic init && restic -q -r restic backup tree"),
            "borg": self.tool("borg init -e none borg && borg create -C none borg::0 tree"),
        }

    def again(self) -> Contestants:
        """Most or all is known."""
        return {
            "peak_observe": self.peak,
            "rsync": self.tool(
                f"n=$(ls rsync | sort -n | tail -1); m=$((n + 1)); mkdir rsync/$m; "
                f'rsync -a --link-dest="$PWD/rsync/$n" tree rsync/$m/ && sync -f {self.folder}',
            ),
            "restic": self.tool("restic -q -r restic backup tree"),
            "borg": self.tool("borg create -C none borg::$(date +%s%N) tree"),
        }

    def restores(self) -> Contestants:
        """Into an empty folder."""
        return {
            "peak_observe": self.restored,
            "restic": self.tool(f"restic -q -r restic restore latest --target restored/r && sync -f {self.folder}"),
        }

    def peak(self) -> None:
        """Make a backup with this package."""
        manager = self.manager()
        backup = manager.get_backup(manager.create_backup(False, False, True))
        assert backup.good, backup.error_message

    def restored(self) -> None:
        """Restore the newest backup with this package."""
        manager = self.manager()
        newest = manager.list_backups()[0].backup_id
        manager.restore(newest, config=False, data=True, restore_to=self.folder / "restored" / "peak")

    def manager(self) -> RecoveryManager:
        """Return a manager of the tree."""
        manager = RecoveryManager(self.folder / "peak")
        manager.data_backup.add_data_path(self.tree)
        return manager

    def tool(self, script: str) -> Callable[[], object]:
        """Return a contestant that is a program."""
        environment = {**os.environ, **SECRET, "HOME": str(self.folder)}
        command = ["sh", "-ec", script]
        return lambda: subprocess.run(command, cwd=self.folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def make_tree(tree: Path, *, scale: float = 1.0) -> None:
    """Make the files that are backed up, or a smaller tree of the same kind."""
    big = int(BIG * scale)
    for number in range(int(SMALL * scale)):
        path = _small(tree, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{random.random()},{random.random()}\n" for _ in range(random.randint(5, 100))))
    for number in range(2):
        (tree / f"random{number}.bin").write_bytes(random.randbytes(big))
        line = f"2026-01-01T00:00:00,BTC/USD,{number},64000.0,0.001\n".encode()
        (tree / f"text{number}.csv").write_bytes(line * (big // len(line)))
    database = sqlite3.connect(tree / "trades.sqlite")
    database.execute("CREATE TABLE trades (at INTEGER, what BLOB)")
    rows = ((number, random.randbytes(900)) for number in range(int(90_000 * scale)))
    database.executemany("INSERT INTO trades VALUES (?, ?)", rows)
    database.commit()
    database.close()


def _in_turn(contestants: Contestants, turn: int) -> list[tuple[str, Callable[[], object]]]:
    """Return the contestants in one order in one half of the rounds, in the other order in the other half."""
    return list(contestants.items())[:: 1 if turn % 2 else -1]


def touch(tree: Path, count: int, *, of: int = SMALL) -> None:
    """Change some of the small files."""
    for number in random.sample(range(of), count):
        with _small(tree, number).open("a") as file:
            file.write(f"{random.random()}\n")


def _small(tree: Path, number: int) -> Path:
    return tree / f"day{number % 50}" / f"trades{number}.csv"


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
