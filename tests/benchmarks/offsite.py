"""Off-site pushes and a restore beside restic and `rclone sync`, with the same server of S3.

`SCALE` and `ROUNDS` of the environment set the size of the tree (1 is that of the local backups) and the repetitions.
"""

import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from backups import SMALL, make_tree, timed, touch
from measuring import Verdict, program, ratio, table

from peak_observe.backup_recovery import OffsiteStore, RecoveryManager
from peak_observe.backup_recovery.offsite.encryption import write_identity

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SCALE = float(os.environ.get("SCALE", "0.2"))
PATIENCE = 20.0  # seconds for one part of `rclone sync`, which no budget needs and whose server may never answer it
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret"}
PARTS = ("first push", "unchanged push", "1 % changed push", "restore from the store")
BUDGETS = {"first push": 1.0, "unchanged push": 0.5, "bytes stored": 1.1}
PROCESSOR = ", processor time"


def run() -> list[Verdict]:
    """Measure everything against one server on the loopback."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ.update(KEYS)
    for peer in ("rclone", "restic"):
        program(peer)
    with tempfile.TemporaryDirectory(prefix="peak-bench-") as folder:
        results = measured(Path(folder))
    print("\nOff-site: seconds (medians) to the same server, and bytes stored there")
    for part in results.found:
        table(results.rows(part), (part, "s or MB", "of restic"))
    return [
        Verdict(f"off-site, {part}: peak_observe / restic", ratio(*results.both(part)), budget)
        for part, budget in BUDGETS.items()
    ]


class Results:
    """Numbers by part and contestant, and who gave up."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[float]]] = {}
        self.given_up: dict[str, str] = {}

    def measure(self, part: str, name: str, act: Callable[[], object]) -> None:
        """Measure one contestant, unless it gave up: what it left half done makes its later parts another task."""
        if name in self.given_up:
            return
        os.sync()
        before = processor_time()
        try:
            seconds = timed(act)
        except GivenUpError as error:
            self.given_up[name] = str(error)
            return
        self.add(part, name, seconds)
        self.add(part + PROCESSOR, name, processor_time() - before)

    def add(self, part: str, name: str, number: float) -> None:
        """Note a number."""
        self.found.setdefault(part, {}).setdefault(name, []).append(number)

    def rows(self, part: str) -> list[tuple[str, str, str]]:
        """Return the table of a part; who gave up in any round has no median to compare."""
        numbers = {name: n for name, n in self.found[part].items() if name not in self.given_up}
        rows = [(name, f"{median(n):.2f}", f"{ratio(n, numbers['restic']):.2f} x") for name, n in numbers.items()]
        return rows + [(name, why, "") for name, why in self.given_up.items()]

    def both(self, part: str) -> tuple[list[float], list[float]]:
        """Return the numbers that a budget is about."""
        return self.found[part]["peak_observe"], self.found[part]["restic"]


def measured(folder: Path) -> Results:
    """Return all results; each round everybody begins with an empty bucket."""
    results = Results()
    random.seed(1)
    make_tree(folder / "tree", scale=SCALE)
    for turn in range(ROUNDS):
        with served(folder / "served") as endpoint:
            bench = Bench(folder, endpoint)
            for part in PARTS:
                if part == "1 % changed push":
                    touch(folder / "tree", max(1, int(SMALL * SCALE) // 100), of=int(SMALL * SCALE))
                for name, act in list(bench.contestants(part).items())[:: 1 if turn % 2 else -1]:
                    results.measure(part, name, act)
            for name, bucket in (("peak_observe", "peak"), ("restic", "restic"), ("rclone", "sync")):
                size = sum(path.stat().st_size for path in (folder / "served" / bucket).rglob("*") if path.is_file())
                results.add("bytes stored", name, size / 1e6)
        for leftover in ("served", "backups", "restored", "key.txt"):
            path = folder / leftover
            path.unlink() if path.is_file() else shutil.rmtree(path)
    return results


class GivenUpError(Exception):
    """A contestant did not come to its end."""


def processor_time() -> float:
    """Return what this process and the programs that it ran took of the processor, without the server."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


class Bench:
    """One tree, and a bucket of each contestant."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.manager = RecoveryManager(folder / "backups")
        self.manager.data_backup.add_data_path(folder / "tree")
        self.identity = folder / "key.txt"
        public = write_identity(self.identity)
        given = {"endpoint": endpoint, "region": "us-east-1", "repository": folder / "backups"}
        self.store = OffsiteStore("s3://peak/bot", recipients=[public], **given)
        self.store.init()
        self.restic = ["restic", "-q", "-r", f"s3:{endpoint}/restic"]
        self.remote = f":s3,provider=Other,env_auth=true,endpoint='{endpoint}':sync/tree"
        self.tool(*self.restic, "init")

    def contestants(self, part: str) -> dict[str, Callable[[], object]]:
        """Return what each does in a part."""
        if part == "restore from the store":
            target = self.folder / "restored"
            return {
                "peak_observe": lambda: self.store.restore(identity=self.identity, restore_to=target / "peak"),
                "restic": lambda: self.tool(*self.restic, "restore", "latest", "--target", str(target / "restic")),
                "rclone": lambda: self.sync(self.remote, str(target / "rclone")),
            }
        made = self.manager.create_backup()  # not measured: the others read the tree itself
        return {
            "peak_observe": lambda: self.store.push(made),
            "restic": lambda: self.tool(*self.restic, "backup", "tree"),
            "rclone": lambda: self.sync("tree", self.remote),
        }

    def sync(self, source: str, target: str) -> None:
        """Run `rclone sync`, which may give up.

        Raises:
            GivenUpError: It did not end in time, or failed.
        """
        try:
            self.tool("rclone", "-q", "sync", source, target, patience=PATIENCE)
        except subprocess.TimeoutExpired:
            raise GivenUpError(f"not finished in {PATIENCE:g} s") from None
        except subprocess.CalledProcessError as error:
            raise GivenUpError(f"failed (exit code {error.returncode})") from None

    def tool(self, *command: str, patience: float | None = None) -> None:
        """Run a program."""
        environment = {**os.environ, "RESTIC_PASSWORD": "bench", "HOME": str(self.folder)}
        subprocess.run(
            command, cwd=self.folder, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=patience
        )


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Run `rclone serve s3`, and yield its address."""
    for bucket in ("peak", "restic", "sync"):
        (folder / bucket).mkdir(parents=True)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [
        "rclone",
        "serve",
        "s3",
        str(folder),
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        ",".join(KEYS.values()),
    ]
    # A provider knows the ETag of each object; this server would read all that it lists to tell it.
    process = subprocess.Popen([*command, "--etag-hash", "", "--log-level", "ERROR"])
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
