"""The demo as a person meets it: it runs by itself, ends when told, and leaves nothing behind.

That its script opens and closes circuits is tested where a Prometheus watches it to the end, in test_live_dashboards.
"""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import binary, started

# ccxt's own call of aiohttp warns from Python 3.13 on; nothing else may.
WARNINGS = ["-W", "error", "-W", "ignore:enable_cleanup_closed ignored:DeprecationWarning"]
DEMO = [sys.executable, *WARNINGS, "-m", "peak_observe", "demo"]
SECONDS = 120.0


def children_of(group: int) -> list[int]:
    """Return the processes that were started by process `group`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == group:
            found.append(int(stat.parent.name))
    return found


def read_until(stream: object, pattern: str) -> str:
    """Read lines until one matches; the text so far is in the failure's message."""
    seen = ""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        line = stream.readline()
        if not line:
            break
        seen += line
        if re.search(pattern, line):
            return seen
    message = f"no line with {pattern!r} in:\n{seen}"
    raise AssertionError(message)


def first_backup(text: str) -> Path:
    """Return the first backup of a running demo, found by the command that it tells of."""
    command = re.search(r"backups     peak-observe (backup list --repository \S+)", text)[1].split()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        listed = [sys.executable, "-m", "peak_observe", *command, "--json"]
        found = json.loads(subprocess.run(listed, capture_output=True, timeout=SECONDS, check=True).stdout)["backups"]
        if found:
            assert found[0]["status"] == "success"
            return Path(command[-1], found[0]["backup_id"])
    raise AssertionError(text)


def test_interrupt_stops_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """SIGINT ends the demo and its Prometheus, with exit code 0 and no folder left."""
    binary("prometheus")
    pipe, environment = subprocess.PIPE, {**os.environ, "TMPDIR": str(tmp_path)}
    with started(DEMO, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        text = read_until(process.stdout, "exchange: calm")
        children = children_of(process.pid)
        address = re.search(r"prometheus  http://([\d.:]+)/", text)
        assert address, f"prometheus was not started:\n{text}"
        metrics = re.search(r"metrics     (\S+)", text)[1]
        assert b"peak_breaker_state" in urllib.request.urlopen(metrics, timeout=60).read()
        assert tmp_path in first_backup(text).parents
        assert len(children) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert process.stderr.read() == ""
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert list(tmp_path.iterdir()) == []


def test_terminate_is_as_orderly_as_interrupt(tmp_path: Path) -> None:
    """SIGTERM ends the demo with exit code 0 too; an exporter that watches it has its last word."""
    environment = {**os.environ, "PEAK_OBSERVE_DIR": str(tmp_path)}
    command = [*DEMO, "--no-prometheus"]
    with started(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        read_until(process.stdout, "exchange: calm")
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert b"kraken.orders" in (tmp_path / "demo.snap").read_bytes()


def test_a_guard_trips_and_the_switch_is_resumed() -> None:
    """By the loop of orders, which runs wild for a moment."""
    command = [*DEMO, "--duration", "60", "--no-prometheus"]
    with started(command, stdout=subprocess.PIPE, text=True) as process:
        text = read_until(process.stdout, "trading demo is trading: the loop was mended")
        process.terminate()
        assert process.wait(SECONDS) == 0
    assert "trading demo is halted: guard demo.orders: more than 20 orders within 10 s" in text
    assert "guard demo.orders tripped" in text


def test_duration_ends_it() -> None:
    """--duration 1 is over in little more than a second."""
    done = subprocess.run(
        [*DEMO, "--duration", "1", "--no-prometheus"], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0
    assert re.search(r"^circuit +succeeded +failed +rejected +opened$", done.stdout, re.MULTILINE)
    assert done.stdout.splitlines()[-1].endswith("demo/workers.py")


def test_a_terminal_gets_the_live_table() -> None:
    """On a terminal the circuits stand in a table that is drawn anew."""
    leader, follower = pty.openpty()
    command = [*DEMO, "--duration", "2", "--no-prometheus"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    with started(command, stdout=follower, stderr=follower, env=environment) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:  # Linux: the last writer is gone
                break
            if not chunk:
                break
            seen += chunk
        assert process.wait(SECONDS) == 0
    os.close(leader)
    text = seen.decode(errors="replace")
    assert "kraken.candles" in text
    assert "rejected" in text
    assert "Traceback" not in text


@pytest.fixture(scope="module")
def screens() -> tuple[list[str], str]:
    """Return the screens of a demo on a terminal of 80 columns and 24 lines, and what it leaves behind."""
    name = f"peak-{os.getpid()}"
    tmux = [binary("tmux"), "-L", name]
    command = " ".join([*map(shlex.quote, DEMO), "--duration", "12", "--no-prometheus"])
    start = [*tmux, "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-s", "demo"]
    subprocess.run([*start, f"{command}; echo ended; sleep 60"], check=True)
    seen, deadline = [], time.monotonic() + 3 * SECONDS
    try:
        while time.monotonic() < deadline:
            shown = subprocess.run(
                [*tmux, "capture-pane", "-p", "-t", "demo"], capture_output=True, check=True, text=True
            )
            if "ended" in shown.stdout:
                return seen, shown.stdout
            seen += [shown.stdout] if "Ctrl-C" in shown.stdout else []
            time.sleep(0.5)
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)
    raise AssertionError(seen[-1] if seen else "nothing was shown")


def test_the_live_screen_fits_80_columns(screens: tuple[list[str], str]) -> None:
    """All of it is there on each screen: the table, whole addresses, and the last line."""
    seen, _ = screens
    assert seen
    for screen in seen:
        assert re.search(r"^metrics     http://127\.0\.0\.1:\d+/metrics$", screen, re.MULTILINE)
        assert re.search(r"^health      http://127\.0\.0\.1:\d+/readyz\?verbose$", screen, re.MULTILINE)
        assert re.search(r"^backups     peak-observe backup list --repository \S+/backups$", screen, re.MULTILINE)
        assert screen.startswith("exchange: ")


def test_the_live_screen_does_not_jump(screens: tuple[list[str], str]) -> None:
    """Columns and lines stay where they are while numbers grow and messages come."""
    full = [screen for screen in screens[0] if "kraken.candles" in screen and "kraken.orders" in screen]
    heads = {next(line for line in screen.splitlines() if line.startswith("circuit")) for screen in full}
    assert len(heads) == 1
    assert heads.pop().endswith(" p95")
    assert len({screen.splitlines().index("Ctrl-C ends the demo") for screen in full}) == 1


def test_the_summary_fits_and_names_the_code(screens: tuple[list[str], str]) -> None:
    """It stays on the terminal when the live screen is gone."""
    _, end = screens
    lines = [line for line in end.splitlines() if line]
    assert re.search(r"^circuit +succeeded +failed +rejected +opened$", end, re.MULTILINE)
    assert any(line.startswith("The code: ") for line in lines)
    assert lines[-1] == "ended"
    assert lines[-3] == "A rejected call met an open circuit: it failed at once, and nothing was sent."
