"""A night: circuits open, backups go stale, processes are killed; the right people hear of it, once, and of its end."""

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from peak_observe.monitoring.alert_files import Links
from peak_observe.monitoring.alerts import prometheus_rules
from tests.conftest import PATIENCE, binary, free_port, read_yaml, until_ready

GRAFANA = Path(__file__).parents[2] / "grafana"
LINKS = Links("https://wiki.test/runbook", "https://grafana.test")

# Each line on stdin is something that happens.
PROGRAM = """
import sys
import peak_observe
from peak_observe import RecoveryManager, circuit_breaker, get_breaker

peak_observe.configure(process="bot", snapshot_dir="run", snapshot_interval=0.2)

@circuit_breaker(1, 3600, name="kraken.orders")
def order():
    raise ConnectionError("lost")

def manager(max_age):
    made = RecoveryManager("backups", name="nightly", max_age=max_age)
    made.config_backup.add_config("config.toml")
    return made

manager(3600).create_backup()
print("ready", flush=True)
for line in sys.stdin:
    match line.strip():
        case "outage":
            try:
                order()
            except ConnectionError:
                pass
        case "recovery":
            get_breaker("kraken.orders").reset()
        case "promise little":
            manager(0.001)
        case "promise more":
            manager(3600)
"""
EXPORTER = """
[processes]
directory = "run"
interval = 0.2
[repositories.nightly]
path = "backups"
interval = 0.2
"""


class Told(NamedTuple):
    """What a receiver was told about an alert."""

    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Webhook:
    """What Alertmanager has said to whom, alert by alert."""

    def __init__(self) -> None:
        self._told: list[Told] = []
        self._news = threading.Condition()
        told, news = self._told, self._news

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with news:
                    told.extend(
                        Told(self.path.strip("/"), alert["status"], alert["labels"], alert["annotations"])
                        for alert in body["alerts"]
                    )
                    news.notify_all()
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

    def wait_for(self, name: str, status: str, **labels: str) -> Told:
        """Return the first that was told of an alert with these labels."""
        wanted = {"alertname": name, **labels}

        def found() -> list[int]:
            return [
                place
                for place, told in enumerate(self._told)
                if told.status == status and wanted.items() <= told.labels.items()
            ]

        with self._news:
            seen = [(told.labels["alertname"], told.status) for told in self._told]
            assert self._news.wait_for(found, 2 * PATIENCE), f"{name} is not {status}; before: {seen}"
            return self._told[found()[0]]


class Running:
    """A process that may be killed and started again."""

    def __init__(self, begin: Callable[[], subprocess.Popen[str]]) -> None:
        self._begin = begin
        self.process = begin()

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def start(self) -> None:
        """Run it again."""
        self.process = self._begin()

    def end(self) -> None:
        """Wait for its end."""
        for pipe in (self.process.stdin, self.process.stderr, self.process.stdout):
            if pipe:
                with suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait(PATIENCE)

    def happens(self, what: str) -> None:
        """Let something happen in it."""
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()


class Night(NamedTuple):
    """All that runs at night."""

    bot: Running
    exporter: Running
    webhook: Webhook
    alertmanager: str

    def muted(self, name: str, **labels: str) -> bool:
        """Return whether Alertmanager comes to keep an alert back because of another."""
        filters = urllib.parse.urlencode(
            [("filter", f'{label}="{value}"') for label, value in {"alertname": name, **labels}.items()]
        )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"http://{self.alertmanager}/api/v2/alerts?{filters}", timeout=60) as answer:
                if any(alert["status"]["inhibitedBy"] for alert in json.load(answer)):
                    return True
            time.sleep(0.1)
        return False


def started_bot(folder: Path) -> subprocess.Popen[str]:
    """Run the trading program."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=folder, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def started_exporter(folder: Path, address: str) -> subprocess.Popen[str]:
    """Run the exporter."""
    command = [sys.executable, "-m", "peak_observe", "exporter", f"--web.listen-address={address}"]
    log = folder / "exporter.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=folder, stderr=output)
    until_ready(f"http://{address}/-/ready", log)
    return process


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


def shipped(name: str) -> Any:
    """Return a file as it is shipped."""
    return read_yaml((GRAFANA / name).read_text(encoding="utf-8"))


def alertmanager_config(url: str) -> dict[str, Any]:
    """Return Alertmanager's file with all patience taken out of it, and its receivers here."""
    config = shipped("alertmanager.yaml")
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = hook["url"].replace("https://alerts.invalid/", url)
    return config


def prometheus_config(target: str, alertmanager: str) -> dict[str, Any]:
    """Return Prometheus' file with short intervals and our addresses."""
    config = shipped("prometheus.yaml")
    config["global"] = {"scrape_interval": "250ms", "evaluation_interval": "250ms"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    return config


def quick(rules: str) -> str:
    """Return the rules with all patience taken out of them."""
    rules = re.sub(r"(for|keep_firing_for): \d+[mh]\n", r"\1: 0s\n", rules)
    return re.sub(r"interval: \d+[sm]\n", "interval: 1s\n", rules)


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    """The trading program, the exporter, Prometheus, Alertmanager, and somebody who is woken."""
    webhook, target = Webhook(), f"127.0.0.1:{free_port()}"
    (tmp_path / "config.toml").write_text("a = 1")
    (tmp_path / "peak-observe.toml").write_text(EXPORTER)
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "a.rules.yaml").write_text(quick(prometheus_rules(LINKS)))
    with ExitStack() as stack:
        stack.enter_context(webhook.serving())
        (tmp_path / "alertmanager.yaml").write_text(yaml.safe_dump(alertmanager_config(webhook.url)))
        alertmanager = stack.enter_context(
            server(
                tmp_path,
                "prometheus-alertmanager",
                "--config.file=alertmanager.yaml",
                "--storage.path=told",
                "--cluster.listen-address=",
            )
        )
        bot = Running(lambda: started_bot(tmp_path))
        stack.callback(bot.end)
        exporter = Running(lambda: started_exporter(tmp_path, target))
        stack.callback(exporter.kill)
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(prometheus_config(target, alertmanager)))
        options = ("--config.file=prometheus.yaml", "--storage.tsdb.path=data", "--rules.alert.resend-delay=1s")
        stack.enter_context(server(tmp_path, "prometheus", *options))
        yield Night(bot, exporter, webhook, alertmanager)


def test_somebody_is_woken_and_may_sleep_again(night: Night) -> None:
    """With labels and texts that say what and where, and not for what follows from something worse."""
    bot, exporter, webhook, _ = night
    assert webhook.wait_for("PeakWatchdog", "firing").receiver == "dead-mans-switch"

    bot.happens("outage")
    bot.happens("promise little")
    opened = webhook.wait_for("PeakBreakerNotClosed", "firing", severity="critical")
    assert opened.receiver == "pager"
    instance = opened.labels["instance"]
    assert opened.labels.items() >= {"breaker": "kraken.orders", "job": "peak-observe", "process": "bot"}.items()
    assert opened.annotations["summary"] == f"Circuit kraken.orders of {instance} (bot) is not closed."
    assert opened.annotations["description"].startswith("It has been open or probing for 15 minutes: ")
    assert opened.annotations["runbook_url"] == "https://wiki.test/runbook#peakbreakernotclosed"
    address = urllib.parse.urlsplit(opened.annotations["dashboard_url"])
    chosen = dict(urllib.parse.parse_qsl(address.query))
    assert (address.netloc, address.path) == ("grafana.test", "/d/peak-breakers")
    assert int(chosen["from"]) < time.time() * 1000 < int(chosen["to"])
    assert {key: chosen[f"var-{key}"] for key in ("job", "instance", "process", "breaker")} == {
        key: opened.labels[key] for key in ("job", "instance", "process", "breaker")
    }
    assert night.muted("PeakBreakerNotClosed", severity="warning")
    stale = webhook.wait_for("PeakBackupStale", "firing", repository="nightly", kind="config")
    assert stale.receiver == "pager"
    assert re.match(r"It is [\d.]+m?s old, which is more than", stale.annotations["description"])

    bot.happens("recovery")
    bot.happens("promise more")
    webhook.wait_for("PeakBreakerNotClosed", "resolved", breaker="kraken.orders", severity="critical")
    webhook.wait_for("PeakBackupStale", "resolved", repository="nightly")

    bot.kill()
    gone = webhook.wait_for("PeakProcessDied", "firing", process="bot")
    assert (gone.receiver, gone.annotations["summary"]) == ("pager", f"Process bot of {instance} is gone.")
    exporter.kill()
    down = webhook.wait_for("PeakExporterDown", "firing", instance=instance)
    assert (down.receiver, down.annotations["summary"]) == ("pager", f"Prometheus cannot scrape {instance}.")
    assert night.muted("PeakProcessDied")

    exporter.start()
    webhook.wait_for("PeakExporterDown", "resolved", instance=instance)
    bot.start()
    webhook.wait_for("PeakProcessDied", "resolved", process="bot")
