"""Off-site pushes and a restore beside restic and `rclone sync`, with the same server of S3."""

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
from measuring import Verdict, ratio, table

from peak_observe.backup_recovery import OffsiteStore, RecoveryManager
from peak_observe.backup_recovery.offsite.encryption import write_identity

ROUNDS = int(os.environ.get("ROUNDS", "3"))
KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret"}
PARTS = ("first push", "unchanged push", "1 % changed push", "restore from the store")
BUDGETS = {"first push": 1.0, "unchanged push": 0.5, "bytes stored": 1.1}
PROCESSOR = ", processor time"


def run() -> list[Verdict]:
    """Measure everything against one server on the loopback; nothing where rclone or restic is missing."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ.update(KEYS)
    if not (shutil.which("rclone") and shutil.which("restic")):
        print("\nOff-site: restic or rclone is missing")
        return []
    with tempfile.TemporaryDirectory(prefix="peak-bench-") as folder:
        found = measured(Path(folder))
    print("\nOff-site: seconds (medians) to the same server, and bytes stored there")
    for part, numbers in found.items():
        rows = [(name, f"{median(n):.2f}", f"{ratio(n, numbers['restic']):.2f} x") for name, n in numbers.items()]
        table(rows, (part, "s or MB", "of restic"))
    return [
        Verdict(
            f"off-site, {part}: peak_observe / restic",
            ratio(found[part]["peak_observe"], found[part]["restic"]),
            budget,
        )
        for part, budget in BUDGETS.items()
    ]


def measured(folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return numbers by part and contestant; each round everybody begins with an empty bucket."""
    found: dict[str, dict[str, list[float]]] = {}
    random.seed(1)
    make_tree(folder / "tree")
    for turn in range(ROUNDS):
        with served(folder / "served") as endpoint:
            bench = Bench(folder, endpoint)
            for part in PARTS:
                if part == "1 % changed push":
                    touch(folder / "tree", SMALL // 100)
                contestants = bench.contestants(part)
                for name, act in list(contestants.items())[:: 1 if turn % 2 else -1]:
                    os.sync()
                    before = processor_time()
                    found.setdefault(part, {}).setdefault(name, []).append(timed(act))
                    found.setdefault(part + PROCESSOR, {}).setdefault(name, []).append(processor_time() - before)
            for name, bucket in (("peak_observe", "peak"), ("restic", "restic"), ("rclone", "sync")):
                size = sum(path.stat().st_size for path in (folder / "served" / bucket).rglob("*") if path.is_file())
                found.setdefault("bytes stored", {}).setdefault(name, []).append(size / 1e6)
        for leftover in ("served", "backups", "restored", "key.txt"):
            path = folder / leftover
            path.unlink() if path.is_file() else shutil.rmtree(path)
    return found


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
                "rclone": lambda: self.tool("rclone", "sync", self.remote, str(target / "rclone")),
            }
        made = self.manager.create_backup()  # not measured: the others read the tree itself
        return {
            "peak_observe": lambda: self.store.push(made),
            "restic": lambda: self.tool(*self.restic, "backup", "tree"),
            "rclone": lambda: self.tool("rclone", "sync", "tree", self.remote),
        }

    def tool(self, *command: str) -> None:
        """Run a program."""
        environment = {**os.environ, "RESTIC_PASSWORD": "bench", "HOME": str(self.folder)}
        subprocess.run(command, cwd=self.folder, env=environment, check=True, stdout=subprocess.DEVNULL)


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
