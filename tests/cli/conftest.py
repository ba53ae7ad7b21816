"""A folder of a trading program, where `peak-observe backup` is run."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from peak_observe.__main__ import main

PATIENCE = 60.0
FILE = """
[backup]
repository = "backups"
name = "bot"
max_age = "24h"
config = "config"
data = ["data"]
exclude = ["*.log"]

[backup.keep]
last = 2
"""


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line that was said of an error."""
        (line,) = self.err.splitlines()
        return line.removeprefix("peak-observe: ")

    @property
    def json(self) -> object:
        """What a program would read."""
        return json.loads(self.out)


class Desk:
    """The folder, and the command in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._capsys = capsys
        self._patch = patch
        self.write("peak-backup.toml", FILE)
        self.write("config/bot.toml", "pair = 'BTC/USD'\n")
        self.write("data/trades.csv", "1,64000\n")
        self.write("data/bot.log", "started\n")
        patch.chdir(folder)
        # What is told of a repository for the life of a process ends with the test here.
        patch.setattr("peak_observe.backup_recovery.repository.reading._observed", {})
        patch.setenv("COLUMNS", "100")

    def enter(self, name: str) -> None:
        """Go into a folder."""
        self._patch.chdir(self.folder / name)

    def write(self, name: str, text: str) -> Path:
        """Put a file there."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def read(self, name: str) -> str:
        """Return what a file holds."""
        return (self.folder / name).read_text(encoding="utf-8")

    def run(self, *args: str) -> Done:
        """Run `peak-observe backup` in this process, with nobody at a terminal."""
        return self.run_any("backup", *args)

    def run_any(self, *args: str) -> Done:
        """Run any command in this process."""
        self._capsys.readouterr()
        self._patch.setattr(sys, "argv", ["peak-observe", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code or 0, *self._capsys.readouterr())

    def made(self, *args: str) -> str:
        """Return the name of a new backup."""
        done = self.run("create", "--config.file", "peak-backup.toml", "--json", *args)
        assert done.code == 0, done
        return done.json["backup_id"]

    def started(self, *args: str, prefix: Sequence[str] = (), **streams: object) -> subprocess.Popen:
        """Start `peak-observe backup` as a process of its own, by way of another command if one is given."""
        command = [*prefix, sys.executable, "-W", "error", "-m", "peak_observe", "backup", *args]
        # Coverage keeps its lock for ever when Ctrl-C arrives in the middle of it.
        plain = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
        environment = {**plain, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "40"}
        return subprocess.Popen(command, cwd=self.folder, env=environment, **streams)

    def at_terminal(self, *args: str, seen: str = "", answer: str | Callable[[subprocess.Popen], object] = "") -> Done:
        """Run it on a terminal, and answer when something is seen there: by typing, or by a signal until it is heard.

        A signal that comes just before `input()` waits is noticed by Python only after the next one.
        """
        leader, follower = pty.openpty()
        with self.started(*args, stdin=follower, stdout=follower, stderr=follower) as process:
            os.close(follower)
            try:
                text, answered = self._talk(leader, process, seen, answer)
                code = process.wait(PATIENCE)
            finally:
                process.kill()  # or a test that fails would wait for ever for an answer to what is asked
        os.close(leader)
        assert answered, text
        return Done(code, text, "")

    @staticmethod
    def _talk(
        leader: int, process: subprocess.Popen, seen: str, answer: str | Callable[[subprocess.Popen], object]
    ) -> tuple[str, bool]:
        """Return what was seen until the terminal closed, and whether it was answered."""
        text, answered, deadline = "", not seen, time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not select.select([leader], [], [], 10.0)[0]:  # a busy machine takes seconds to hear the first
                if answered and callable(answer):
                    answer(process)
                continue
            try:
                text += os.read(leader, 65536).decode(errors="replace")
            except OSError:  # Linux: the last writer is gone
                break
            if not answered and seen in text:
                answered = True
                os.write(leader, answer.encode()) if isinstance(answer, str) else answer(process)
        return text, answered


# Starting Python and importing typer takes longer than most commands; a fork of a process that has done so does not.
WARM = """
import contextlib, io, json, os, sys
import peak_observe.resilience.health.runner
from peak_observe.__main__ import main

sys.argv = ["peak-observe", "health"]
with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
    main()  # nothing to check: it has imported all that it takes to know

for line in sys.stdin:
    call = json.loads(line)
    child = os.fork()
    if child == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
os.chdir(call["cwd"])
os.environ.clear()
os.environ.update(call["env"])
for number, path in enumerate((os.devnull, call["out"], call["err"])):
    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
sys.stdout.reconfigure(encoding=call["env"].get("PYTHONIOENCODING"))
sys.argv = ["peak-observe", *call["args"]]
main()
"""


class Warm:
    """Runs `peak-observe` in processes of their own, which are forks of one that has imported it.

    Args:
        folder: Where their output is put aside.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {"out": folder / "out", "err": folder / "err"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", WARM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def run(self, *args: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        for file in self._files.values():
            file.unlink(missing_ok=True)
        paths = {name: str(file) for name, file in self._files.items()}
        self.process.stdin.write(json.dumps({"args": args, "cwd": str(cwd), "env": env, **paths}) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        out, err = (file.read_text(encoding="utf-8") for file in self._files.values())
        return subprocess.CompletedProcess(args, code, out, err)


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """Return what runs commands quickly, each in a process of its own."""
    found = Warm(tmp_path_factory.mktemp("warm"))
    with found.process:
        yield found


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Return the folder."""
    return Desk(tmp_path, capsys, monkeypatch)
