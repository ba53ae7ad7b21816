"""A platform without the modules of POSIX: all that needs no file locks works there, the rest says so in one line."""

import subprocess
import sys
from pathlib import Path

BLOCKED = """
import os, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios", "tty", "pty"):
    sys.modules[name] = None
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY"):
    delattr(os, name)
"""
WORKS = """
import logging, peak_observe
from peak_observe.resilience.health import checks
from peak_observe.testing import FakeExchange, ManualClock
logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stdout)
for name in peak_observe.__all__:
    getattr(peak_observe, name)
clock = ManualClock()

@peak_observe.circuit_breaker(failure_threshold=5, name="circuit")
@peak_observe.retry_with_backoff(max_attempts=2, clock=clock, name="retry")
def ask():
    return "answered"

print(ask())
peak_observe.health_check.register("a", lambda: True)
print(peak_observe.health_check.is_system_healthy())
with peak_observe.start_exporter(port=0), FakeExchange() as fake:
    with peak_observe.ResilientExchangeClient("kraken", fake.config()) as client:
        print(client.fetch_ticker("BTC/USD")["symbol"])
"""
SAYS = """
try:
    peak_observe.RecoveryManager("backups")
except peak_observe.BackupError as error:
    print(error)
peak_observe.configure(process="bot", snapshot_dir="snapshots")
print(peak_observe.flush())
"""
COMMAND = "from peak_observe.__main__ import main\nsys.argv = ['peak-observe', *sys.argv[1:]]\nmain()\n"


def run(program: str, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program where those modules are missing."""
    command = [sys.executable, "-c", BLOCKED + program, *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_all_but_backups_and_snapshots_works(tmp_path: Path) -> None:
    """Circuits, retries, checks, the exporter in the program and the exchange client; the others are one line each."""
    done = run(WORKS + SAYS, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    need = "need file locks and owners of POSIX (fcntl, pwd, grp), which this platform, linux, lacks"
    assert done.stdout.splitlines() == [
        "answered",
        "True",
        "BTC/USD",
        f"backups {need}",
        f"no snapshot of this process in {tmp_path}/snapshots: snapshots of processes {need}",
        "False",
    ]


def test_the_commands_work_or_say_so(tmp_path: Path) -> None:
    """Checks and configuration as ever; a backup is one line."""
    (tmp_path / "bot.py").write_text("import peak_observe\npeak_observe.health_check.register('a', lambda: True)\n")
    for args in (["health", "--app", "bot", "--ascii"], ["exporter", "--config.check"], ["grafana", "write", "made"]):
        done = run(COMMAND, tmp_path, *args)
        assert done.returncode == 0, done.stderr
    done = run(COMMAND, tmp_path, "backup", "create", "--config", "bot.py")
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("peak-observe: backups need file locks")
