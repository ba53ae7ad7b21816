"""A circuit opens and a backup goes stale in a real program; Prometheus and Alertmanager bring that to a webhook."""

import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, binary, free_port, until_ready

RULES = Path(__file__).parents[2] / "grafana" / "alerts" / "peak-observe.rules.yaml"

# Each line on stdin is something that happens.
PROGRAM = """
import sys
from pathlib import Path
from peak_observe import RecoveryManager, circuit_breaker, get_breaker, start_exporter

@circuit_breaker(1, 3600, name="kraken.orders")
def order():
    raise ConnectionError("lost")

def manager(max_age):
    made = RecoveryManager("backups", name="nightly", max_age=max_age)
    made.config_backup.add_config("config.toml")
    return made

Path("config.toml").write_text("a = 1")
with start_exporter(port=0) as exporter:
    print(exporter.port, flush=True)
    for line in sys.stdin:
        match line.strip():
            case "outage":
                try:
                    order()
                except ConnectionError:
                    pass
            case "recovery":
                get_breaker("kraken.orders").reset()
            case "backup":
                manager(3600).create_backup()
            case "promise little":
                manager(0.001)
            case "promise more":
                manager(3600)
"""


class Webhook:
    """What Alertmanager has said, alert by alert."""

    def __init__(self) -> None:
        self._told: queue.Queue[dict[str, object]] = queue.Queue()
        told = self._told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                for alert in json.loads(self.rfile.read(length))["alerts"]:
                    told.put(alert)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Listen as long as the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def wait_for(self, name: str, status: str) -> dict[str, object]:
        """Return the next alert of this name and status."""
        deadline = time.monotonic() + 2 * PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            alert = self._told.get(timeout=left)
            if (alert["labels"]["alertname"], alert["status"]) == (name, status):
                return alert
        raise AssertionError(f"{name} is not {status}")


@contextmanager
def program(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the trading program, and yield it with the port of its metrics."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, **pipes) as process:
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(PATIENCE)


@contextmanager
def server(folder: Path, name: str, *options: str) -> Iterator[str]:
    """Run one of Prometheus's servers, and yield its address."""
    address = f"127.0.0.1:{free_port()}"
    log = folder / f"{name}.log"
    command = [binary(name), f"--web.listen-address={address}", *options]
    with log.open("wb") as output, subprocess.Popen(command, cwd=folder, stdout=output, stderr=output) as process:
        try:
            until_ready(f"http://{address}/-/ready", log)
            yield address
        finally:
            process.terminate()
            process.wait(PATIENCE)


def quick(rules: str) -> str:
    """Return the rules with all patience taken out of them."""
    return re.sub(r"(for|keep_firing_for): \d+[mh]\n", r"\1: 0s\n", rules)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Webhook]]:
    """Everything that runs at night: the program, Prometheus, Alertmanager, and somebody who is woken."""
    webhook = Webhook()
    with ExitStack() as stack:
        stack.enter_context(webhook.serving())
        trading, port = stack.enter_context(program(tmp_path))
        (tmp_path / "alertmanager.yml").write_text(
            json.dumps(
                {
                    "route": {
                        "receiver": "somebody",
                        "group_by": ["..."],
                        "group_wait": "0s",
                        "group_interval": "1s",
                    },
                    "receivers": [{"name": "somebody", "webhook_configs": [{"url": webhook.url}]}],
                }
            )
        )
        alertmanager = stack.enter_context(
            server(
                tmp_path,
                "prometheus-alertmanager",
                "--config.file=alertmanager.yml",
                "--storage.path=alerts",
                "--cluster.listen-address=",
            )
        )
        (tmp_path / "rules.yaml").write_text(quick(RULES.read_text()))
        (tmp_path / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "250ms", "evaluation_interval": "250ms"},
                    "rule_files": ["rules.yaml"],
                    "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
                    "scrape_configs": [
                        {"job_name": "peak-observe", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
                    ],
                }
            )
        )
        stack.enter_context(
            server(
                tmp_path,
                "prometheus",
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--rules.alert.resend-delay=1s",
            )
        )
        yield trading, webhook


def happens(trading: subprocess.Popen[str], what: str) -> None:
    """Let something happen in the program."""
    trading.stdin.write(f"{what}\n")
    trading.stdin.flush()


def test_somebody_is_woken_and_may_sleep_again(night: tuple[subprocess.Popen[str], Webhook]) -> None:
    """With labels and texts that say what and where; the watchdog proves that the way is open."""
    trading, webhook = night
    webhook.wait_for("PeakWatchdog", "firing")
    happens(trading, "outage")
    alert = webhook.wait_for("PeakBreakerNotClosed", "firing")
    labels, annotations = alert["labels"], alert["annotations"]
    assert (labels["breaker"], labels["job"], labels["severity"] in ("warning", "critical")) == (
        "kraken.orders",
        "peak-observe",
        True,
    )
    assert annotations["summary"] == f"Circuit kraken.orders of {labels['instance']} is not closed."
    assert annotations["runbook_url"].endswith("#peakbreakernotclosed")
    happens(trading, "recovery")
    webhook.wait_for("PeakBreakerNotClosed", "resolved")
    happens(trading, "backup")
    happens(trading, "promise little")
    alert = webhook.wait_for("PeakBackupStale", "firing")
    assert (alert["labels"]["repository"], alert["labels"]["kind"]) == ("nightly", "config")
    happens(trading, "promise more")
    webhook.wait_for("PeakBackupStale", "resolved")
