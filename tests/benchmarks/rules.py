"""What many bots cost Prometheus: all rules, and the dearest panel, over series as a bot of ours has them.

The series of one bot are those of real primitives, told of as many bots and written, with hours of history, into a real
Prometheus, which evaluates the rules that are shipped and is asked what the panels ask. Costs grow with the series, so
few bots tell what many take: from what they cost is taken what Prometheus and the rules take without any.

It is the cost of rules alone: queries, the recordings that they write, and the garbage that they leave. What bots tell
is in Prometheus before the clock runs, so that scraping and storing it is not in the number.
"""

import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

from measuring import Verdict, program, table
from prometheus_client.parser import text_string_to_metric_families

from peak_observe import (
    HealthCheck,
    Policy,
    RecoveryManager,
    ResilientExchangeClient,
    circuit_breaker,
    job,
    rate_limit,
    retry_with_backoff,
)
from peak_observe.monitoring import alerts, dashboard_files
from peak_observe.monitoring.alert_files import Links
from peak_observe.monitoring.dashboard import every_panel
from peak_observe.telemetry.metrics.renderer import Renderer
from peak_observe.testing import FakeExchange

BOTS, MANY = int(os.environ.get("BOTS", "20")), 400
STEP, HOURS, A_DAY = 15, 3, 26
# Seconds: of all rules, whose goal is 0.005, and of one panel at MANY. All rules take 4.3 to 4.8 ms a bot, of which the
# offsets of clocks take half a one; the rest of the limit is room for a busy machine. A rule costs by the series that
# it selects, whatever its window: counters of requests, 154 a bot, and buckets of durations cost most.
A_BOT, A_PANEL = 0.0055, 2.0
SLOWEST = 240  # seconds: the interval of the slowest group
WATCHED = SLOWEST  # seconds, in which each group, of whatever interval, is evaluated as often as it is in the long run
AHEAD = 1_200  # seconds for which bots go on: history is written before it is looked at, which takes a while
TROUBLED = max(1, BOTS // 20)  # bots for which everything goes wrong: each alert that waits has texts to fill in
BATCH = 2_000  # series of one request
BY_THE_DAY = ("peak_backup_", "peak_job_", "peak_observe_", "peak_exchange_writes_", "up")  # rules look back so far
GROWING = ("_total", "_bucket", "_count", "_sum")

Series = tuple[str, dict[str, str], float]


def run() -> list[Verdict]:
    """Measure, and print what is dear."""
    with tempfile.TemporaryDirectory() as folder, prometheus(Path(folder)) as (ask, cpu):
        series = list(of_a_bot(Path(folder)))
        print(f"\nWhat {BOTS} bots with {len(series)} series each cost Prometheus, with {HOURS} h of history")
        _, alone = evaluated(ask, cpu, SLOWEST)
        write(ask, series)
        time.sleep(SLOWEST)  # each rule makes its series once
        groups, every = evaluated(ask, cpu, WATCHED)
        every -= alone
        panels = sorted(asked(ask, cpu), reverse=True)
    print(f"By themselves, without a bot, the rules take {1000 * alone:.0f} ms each {STEP} s; this is not a bot's.")
    rows = [(n, f"{1000 * seconds / BOTS:.2f} ms", f"{every:g} s") for seconds, n, every in sorted(groups)[::-1]]
    table(rows, ("group of rules", "a bot", "every"))
    dear = [(title, f"{seconds * MANY / BOTS:.2f} s", f"{rows}") for seconds, title, rows in panels[:8]]
    table(dear, ("panel", f"at {MANY} bots", f"series at {BOTS}"))
    worst = panels[0][0] * MANY / BOTS
    return [
        Verdict(f"all rules, a bot and 15 s, of {A_BOT * 1000:g} ms", every / BOTS / A_BOT, 1.0),
        Verdict(f"the dearest panel at {MANY} bots, of {A_PANEL:g} s", worst / A_PANEL, 1.0),
    ]


def of_a_bot(folder: Path) -> Iterator[Series]:
    """Yield the series of a bot that trades at two exchanges, keeps backups and runs checks and jobs."""
    with FakeExchange() as fake:
        clients = [ResilientExchangeClient("kraken", fake.config(), name=name) for name in ("kraken", "second")]
        for client in clients:
            client.fetch_ticker("BTC/USD")
            client.fetch_ohlcv("BTC/USD", limit=5)
            client.fetch_balance()
            client.create_order("BTC/USD", "limit", "buy", 0.1, 50_000)
            client.fetch_open_orders()
        kept = [_policy(name) for name in ("signals", "news")]
        checks = HealthCheck()
        for name in ("database", "disk", "feed"):
            checks.register(name, lambda: True)
        checks.run_all()
        manager = RecoveryManager(folder / "backups", name="nightly", max_age=90_000)
        manager.state_snapshot.register_provider("bot", dict)
        manager.create_backup()
        with job("rebalance", max_age=3_600):
            pass
        text = Renderer().render().decode()
        del kept
        for client in clients:
            client.close()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not math.isnan(sample.value):
                yield sample.name, dict(sample.labels), sample.value


def _policy(name: str) -> Callable[[], None]:
    policy = Policy(circuit_breaker(), retry_with_backoff(), rate_limit(50), name=name)

    @policy
    def call() -> None:
        """Do nothing."""

    call()
    return call


@contextmanager
def prometheus(folder: Path) -> Iterator[tuple[Callable[..., Any], Callable[[], float]]]:
    """Run Prometheus with the rules, and give what asks it, and what tells the seconds of its processor time."""
    (folder / "peak.rules.yaml").write_text(alerts.prometheus_rules(Links()))
    config = {"global": {"evaluation_interval": f"{STEP}s"}, "rule_files": ["peak.rules.yaml"]}
    (folder / "prometheus.yaml").write_text(json.dumps(config))
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--query.timeout=5m",
        "--storage.tsdb.min-block-duration=30d",  # or it would write its history to disk meanwhile
        "--storage.tsdb.max-block-duration=30d",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:

        def ask(path: str, body: bytes | None = None, **fields: object) -> Any:
            return _ask(f"http://127.0.0.1:{port}/api/v1/{path}", body, fields)

        def cpu() -> float:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        try:
            yield ask, cpu
        finally:
            process.terminate()


def _ask(url: str, body: bytes | None, fields: dict[str, object]) -> Any:
    headers = {"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"} if body else {}
    data = body or (urllib.parse.urlencode(fields).encode() if fields else None)
    for _ in range(100):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=300) as answer:
                text = answer.read()
            return json.loads(text)["data"] if text else None
        except ConnectionRefusedError:
            time.sleep(0.2)
        except urllib.error.HTTPError as error:
            sys.exit(f"bench: {error.read().decode()}")
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.2)
    sys.exit("bench: Prometheus does not start")


def write(ask: Callable[..., Any], series: list[Series]) -> None:
    """Write the history of all bots, half an hour after the other."""
    end = int((time.time() + AHEAD) * 1000)
    names = [
        _labels(name, labels | {"instance": f"bot-{bot:03}:17326"}) for bot in range(BOTS) for name, labels, _ in series
    ]
    names += [_labels("up", {"instance": f"bot-{bot:03}:17326"}) for bot in range(BOTS)]
    per_bot = len(series)
    values = [sample for _ in range(BOTS) for sample in series] + [("up", {}, 1.0)] * BOTS
    for window in range(2 * A_DAY, 0, -1):
        times = range(end - window * 1_800_000, end - (window - 1) * 1_800_000, STEP * 1000)
        first = (2 * A_DAY - window) * len(times)
        growing = [_samples(times, lambda turn, by=by, first=first: by * (first + turn)) for by in (0, 1, 3)]
        shapes: dict[float, bytes] = {}
        parts = []
        for number, (name, (metric, _, value)) in enumerate(zip(names, values, strict=True)):
            if window > 2 * HOURS and not metric.startswith(BY_THE_DAY):
                continue
            if metric.endswith(GROWING):
                # What a healthy bot has never counted stays at 0; some bots are in all trouble at once.
                rises = value > 0 or number < TROUBLED * per_bot
                samples = growing[1 + number % 2 if rises else 0]
            else:
                samples = shapes.setdefault(value, _samples(times, lambda _, value=value: value))
            parts.append(_field(1, name + samples))
        for start in range(0, len(parts), BATCH):
            ask("write", _snappy(b"".join(parts[start : start + BATCH])))


def _labels(name: str, labels: dict[str, str]) -> bytes:
    pairs = sorted({"__name__": name, "job": "peak-observe", **labels}.items())
    return b"".join(_field(1, _field(1, key.encode()) + _field(2, value.encode())) for key, value in pairs)


def _samples(times: range, value: Callable[[int], float]) -> bytes:
    return b"".join(
        _field(2, b"\x09" + struct.pack("<d", value(turn)) + b"\x10" + _varint(at)) for turn, at in enumerate(times)
    )


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _snappy(content: bytes) -> bytes:
    """Return what a reader of Snappy takes: one literal, nothing is compressed."""
    return _varint(len(content)) + b"\xfc" + (len(content) - 1).to_bytes(4, "little") + content


def evaluated(
    ask: Callable[..., Any], cpu: Callable[[], float], watched: float
) -> tuple[list[tuple[float, str, float]], float]:
    """Return how long each group of rules took at best, and the processor time of all of them in one interval.

    The one is for a comparison, as the machine does other things too; the other is what they cost.
    """
    time.sleep(STEP)
    begun, best, used = time.time(), dict[tuple[str, float], float](), cpu()
    while time.time() < begun + watched:
        time.sleep(STEP)  # to be asked costs, too
        for group in ask("rules")["groups"]:
            key, took = (group["name"], group["interval"]), group["evaluationTime"]
            if _seconds(group["lastEvaluation"]) > begun:
                best[key] = min(took, best.get(key, took))
    every = (cpu() - used) * STEP / (time.time() - begun)
    return [(seconds, name, interval) for (name, interval), seconds in best.items()], every


def _seconds(text: str) -> float:
    whole = text.partition(".")[0].removesuffix("Z")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone


def asked(ask: Callable[..., Any], cpu: Callable[[], float]) -> Iterator[tuple[float, str, int]]:
    """Yield the processor time of each panel, with its name and its series: as Grafana asks for the hours shown."""
    end = time.time()
    for board in dashboard_files.dashboards().values():
        for panel in every_panel(board):
            # The least of three, as rules may be evaluated meanwhile.
            used, series = min(_cost(ask, cpu, board, panel, end) for _ in range(3))
            yield used, f"{board['uid']}: {panel['title']}", series


def _cost(
    ask: Callable[..., Any], cpu: Callable[[], float], board: dict[str, Any], panel: dict[str, Any], end: float
) -> tuple[float, int]:
    began, series = cpu(), 0
    for target in panel["targets"]:
        expression = _filled(target["expr"], board, _step(panel))
        if target.get("instant"):
            found = ask("query", query=expression, time=end)
        else:
            found = ask("query_range", query=expression, start=end - HOURS * 3600, end=end, step=_step(panel))
        series += len(found["result"])
    return cpu() - began, series


def _step(panel: dict[str, Any]) -> int:
    return max(STEP, HOURS * 3600 // panel.get("maxDataPoints", 1000))


def _filled(expression: str, board: dict[str, Any], step: int) -> str:
    expression = expression.replace("$__rate_interval", f"{max(4 * STEP, step + STEP)}s").replace(
        "$__range", f"{HOURS}h"
    )
    for choice in board["templating"]["list"][1:]:
        expression = expression.replace(f"${choice['name']}", choice["allValue"])
    return expression
