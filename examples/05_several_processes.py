"""Three bots and one exporter: each process writes snapshots, one address serves them all, and one that died shows.

python examples/05_several_processes.py
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

BOT = """
import sys, time
import peak_observe

peak_observe.configure(process=sys.argv[1], snapshot_interval=0.2)

@peak_observe.circuit_breaker(name="ticker")
def ticker():
    return 64_000.0

while True:
    ticker()
    time.sleep(0.01)
"""


def main() -> None:
    """Start all, kill one, and look at the metrics."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PEAK_OBSERVE_DIR": folder}
        port = free_port()
        (Path(folder) / "peak-observe.toml").write_text("[processes]\ninterval = 0.5  # 5 seconds by default\n")
        command = [sys.executable, "-m", "peak_observe", "exporter", f"--web.listen-address=127.0.0.1:{port}"]
        exporter = subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.DEVNULL)  # noqa: S603 - ourselves
        bots = {name: start(name, environment) for name in ("bot-a", "bot-b", "bot-c")}
        try:
            url = f"http://127.0.0.1:{port}/metrics"
            show(url, lambda text: text.count("} 1") >= len(bots), "all live:")
            bots["bot-b"].kill()
            show(url, lambda text: 'process="bot-b"} 0' in text, "bot-b was killed:")
        finally:
            for process in (*bots.values(), exporter):
                process.send_signal(signal.SIGINT)
                process.wait(10)


def start(name: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a bot."""
    command = [sys.executable, "-c", BOT, name]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)  # noqa: S603 - ourselves


def show(url: str, ready, title: str) -> None:  # noqa: ANN001 - a predicate of the text
    """Wait until the exporter has seen it, and print who lives."""
    for _ in range(150):
        time.sleep(0.2)
        try:
            with urllib.request.urlopen(f"{url}?name[]=peak_process_up", timeout=5) as answer:  # noqa: S310 - our own
                text = answer.read().decode()
        except (urllib.error.URLError, TimeoutError):
            continue  # it is not up yet
        if ready(text):
            break
    print(title)
    print(*(f"  {line}" for line in text.splitlines() if line.startswith("peak_process_up")), sep="\n")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
