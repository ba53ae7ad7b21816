"""Commands that read backups need little memory with very many files."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

COUNT = 10_000
# Runs a command and tells its greatest size in KiB; getrusage would tell of the parent too, if that was larger.
PROGRAM = """
import sys
from pathlib import Path
from peak_observe.__main__ import main
try:
    main()
finally:
    status = Path("/proc/self/status").read_text()
    print("peak", status.partition("VmHWM:")[2].split()[0], file=sys.stderr)
"""
FILE = '[backup]\nrepository = "backups"\ndata = ["data"]\n'

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the greatest size")


class Tree(NamedTuple):
    """Folder with very many files, and two backups of it."""

    folder: Path
    first: str
    second: str

    def peak(self, *args: str) -> int:
        """Return the greatest size in bytes of a command that succeeds."""
        command = [sys.executable, "-c", PROGRAM, "backup", *args]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return int(done.stderr.split()[-1]) * 1024

    def per_file(self, *args: str) -> float:
        """Return the bytes that a command needs for each file, beside those that it needs without any."""
        return (self.peak(*args) - self.peak("list")) / COUNT


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return a folder of very many small files with two backups, between which a few changed."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "peak-observe.toml").write_text(FILE)
    for number in range(COUNT):
        if number % 1000 == 0:
            (folder / f"data/market-{number}").mkdir(parents=True)
        path = folder / f"data/market-{number - number % 1000}/trades-of-usual-length-{number}.csv"
        path.write_bytes(b"%d" % number)
    found = Tree(folder, "", "")
    found.peak("create", "-q")
    path.write_bytes(b"changed")
    found.peak("create", "-q")
    return Tree(folder, *sorted(path.name for path in (folder / "backups").glob("backup_*")))


@pytest.mark.parametrize(
    ("command", "most"),
    [
        ("show", 400),
        ("ls latest", 400),
        ("ls latest --json", 400),
        ("ls latest *.csv", 400),
        ("cat latest market-0/trades-of-usual-length-7.csv", 400),
        ("find *.csv", 1500),
        ("find *.csv --json", 1500),
        ("diff {first}", 1300),
        ("diff {first} {second}", 900),
        ("diff {first} {second} --json", 900),
        ("verify -q", 900),
        ("drill -q", 1500),
    ],
)
def test_a_command_that_reads_needs_little_memory(tree: Tree, command: str, most: int) -> None:
    """In bytes for each file, so that 200,000 files fit into 300 MiB."""
    words = command.format(first=tree.first, second=tree.second).split()
    assert tree.per_file(*words) < most


def test_a_restore_that_replaces_all_files_needs_little_memory(tree: Tree) -> None:
    """Also where each file is replaced by itself and stands in the journal."""
    for path in tree.folder.glob("data/*/*.csv"):
        path.chmod(0o600)
    assert tree.per_file("restore", "latest", "--yes", "-q") < 1250
