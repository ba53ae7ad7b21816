"""A real Prometheus scrapes a program, and its HTTP API tells what happened there; the tiles of the dashboards too."""

import json
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from peak_observe import catalog
from peak_observe.monitoring.dashboard import every_panel
from peak_observe.monitoring.promql import STATE_NUMBERS
from tests.conftest import lint

ROOT = Path(__file__).parents[2]
DASHBOARDS = [json.loads(path.read_text()) for path in sorted((ROOT / "grafana" / "dashboards").glob("*.json"))]
QUERIES = [
    (panel["title"], target["expr"])
    for board in DASHBOARDS
    for panel in every_panel(board)
    for target in panel["targets"]
]

# Of the backups one repository has all that there is to tell, one is stuck in the midst of its first backup, and of a
# third nothing was ever made.
# One circuit is healthy, one is open for good, one opens and closes all the time; all are called until stdin ends.
PROGRAM = """
import asyncio, sys, threading, time
from pathlib import Path
from peak_observe import CircuitOpenError, circuit_breaker, health_check, retry_with_backoff, start_exporter
from peak_observe import RecoveryManager, ResilientExchangeClient, RetryBudget, bulkhead, rate_limit, timeout
from peak_observe.testing import FakeExchange

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
numbers = iter(range(10**9))

@circuit_breaker(name="healthy")
@retry_with_backoff(2, base_delay=0.001, name="flaky", budget=RetryBudget(1.0, name="flaky"))
def healthy():
    if next(numbers) % 3 == 0:
        raise ConnectionError("lost")

@circuit_breaker(1, 3600, name="broken")
@retry_with_backoff(3, base_delay=0.001, name="hopeless")
def broken():
    raise TimeoutError("no answer")

@circuit_breaker(1, 0.3, name="flapping")
def flapping(fails):
    if fails:
        raise ConnectionError("lost")

places, turns = bulkhead(2, wait=1, name="places"), rate_limit(1000, wait=1, name="turns")

@timeout(30, name="patient")
async def patient():
    async with places, turns:
        pass

health_check.register("sound", lambda: True)
health_check.register("sick", lambda: (False, "does not feel well"))
health_check.start(interval=0.2)

folder = Path(sys.argv[1])
(folder / "bot.toml").write_text("pair = 'BTC/USD'")
kept, stuck, unused = (RecoveryManager(folder / name, max_age=3600) for name in ("kept", "stuck", "unused"))
for manager in (kept, stuck, unused):
    manager.config_backup.add_config(folder / "bot.toml")
kept.state_snapshot.register_provider("bot", lambda: {"orders": 2})
stuck.state_snapshot.register_provider("bot", lambda: {"orders": 2})
unused.data_backup.add_data_path(folder / "data")
kept.create_backup()
kept.drill()
making = threading.Thread(target=lambda: stuck.create_backup(progress=lambda _: stop.wait()))
making.start()

def keep_backups():
    while not stop.wait(0.3):
        kept.restore_backup(kept.create_backup())

keeping = threading.Thread(target=keep_backups)
keeping.start()

fake = FakeExchange()
client = ResilientExchangeClient("kraken", fake.config(), health=None)

with start_exporter(port=0) as exporter, fake, client:
    print(exporter.port, flush=True)
    turn = 0
    while not stop.wait(0.02):
        turn += 1
        client.fetch_ticker("BTC/USD")
        client.fetch_balance()
        if turn % 20 == 1:
            client.fetch_ohlcv("BTC/USD", limit=5)
        for call in (healthy, broken, lambda: flapping(turn % 40 == 0), lambda: asyncio.run(patient())):
            try:
                call()
            except (CircuitOpenError, ConnectionError, TimeoutError):
                pass
making.join()
keeping.join()
"""


# Another one does its job, goes on, and writes snapshots; the exporter tells of it, and of a source that is broken.
WORKER = """
import sys
import peak_observe

peak_observe.configure(process="worker", snapshot_interval=0.2)
with peak_observe.job("nightly"):
    pass
with peak_observe.job("endless"):
    sys.stdin.read()
"""
WATCHED = '[processes]\ndirectory = "run"\ninterval = 0.2\n[files.gone]\nglob = "gone/*"\ninterval = 0.2\n'


@contextmanager
def exporting(folder: Path) -> Iterator[str]:
    """Run the worker and the exporter, and give the address of the exporter."""
    (folder / "peak-observe.toml").write_text(WATCHED)
    environment = {**os.environ, "PEAK_OBSERVE_DIR": str(folder / "run")}
    worker = [sys.executable, "-W", "error", "-c", WORKER]
    exporter = [sys.executable, "-m", "peak_observe", "exporter", "--web.listen-address", "127.0.0.1:0"]
    with (
        subprocess.Popen(worker, stdin=subprocess.PIPE, env=environment) as working,
        subprocess.Popen(exporter, stderr=subprocess.PIPE, text=True, cwd=folder) as serving,
    ):
        try:
            for line in serving.stderr:
                if found := re.search(r"listening on http://([\d.:]+)", line):
                    break
            threading.Thread(target=serving.stderr.read, daemon=True).start()
            yield found[1]
        finally:
            working.stdin.close()
            serving.terminate()


@pytest.fixture(scope="module")
def server(prometheus: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A Prometheus that has seen all three circuits, and the exporter with what it watches, for a while."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, tmp_path_factory.mktemp("program")]
    with (
        exporting(tmp_path_factory.mktemp("exporter")) as exporter,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            found = prometheus([f"127.0.0.1:{process.stdout.readline().strip()}", exporter], rules=True)
            found.eventually('peak_job_running_since_timestamp_seconds{process="worker", task="endless"} > 0')
            found.eventually('peak_exporter_source_runs_total{source="files.gone", outcome="error"} >= 2')
            found.eventually('peak_breaker_transitions_total{breaker="flapping", to="closed"} >= 2')
            found.eventually("count_over_time(peak_observe_build_info[10s]) >= 4")
            yield found
        finally:
            process.stdin.close()
            process.wait(60)
            assert process.returncode == 0


def test_the_targets_are_up(server) -> None:
    """The scrape itself works, in the format Prometheus prefers, of the program and of the exporter."""
    targets = server.get("targets")["activeTargets"]
    assert [(target["health"], target["lastError"]) for target in targets] == [("up", "")] * 2


def test_the_exporter_tells_of_its_sources(server) -> None:
    """Which answer, and which do not."""
    assert server.value('peak_exporter_source_up{source="processes"}') == 1
    assert server.value('peak_exporter_source_up{source="files.gone"}') == 0
    assert server.value("abs(peak_exporter_time_seconds - timestamp(peak_exporter_time_seconds))") < 5
    assert server.value('peak_job_runs_total{process="worker", task="nightly", outcome="success"}') == 1


def test_the_states_are_right(server) -> None:
    """One series of each circuit is 1: the state it is in."""
    now = {labels["breaker"]: labels["state"] for labels, _ in server.query("peak_breaker_state == 1")}
    assert (now["healthy"], now["broken"]) == ("closed", "open")
    assert server.query("sum by (breaker) (peak_breaker_state) != 1") == []


def test_rejected_calls_are_counted(server) -> None:
    """One call failed and opened the circuit, all others were refused; the healthy circuit refused none."""
    assert server.value('peak_breaker_calls_total{breaker="broken", outcome="failure"}') == 1
    assert server.value('peak_breaker_calls_total{breaker="broken", outcome="rejected"}') > 10
    assert server.value('peak_breaker_calls_total{breaker="healthy", outcome="rejected"}') == 0
    assert server.value('rate(peak_breaker_calls_total{breaker="broken", outcome="rejected"}[5s])') > 0


def test_retries_are_counted(server) -> None:
    """Three attempts are two retries; the reasons are there by class."""
    assert server.value('peak_retry_retries_total{operation="hopeless"}') == 2
    assert server.value('peak_retry_calls_total{operation="hopeless", outcome="exhausted"}') == 1
    assert server.value('peak_retry_errors_total{operation="hopeless", exception="TimeoutError"}') == 3
    assert server.value('peak_retry_calls_total{operation="flaky", outcome="after_retry"}') > 0


def test_calls_and_latencies_agree_within_a_scrape(server) -> None:
    """Every call that was made is in the histogram of the same scrape."""
    made = 'sum by (breaker) (peak_breaker_calls_total{outcome!="rejected"})'
    assert server.query(f"({made} - on (breaker) peak_breaker_call_duration_seconds_count) != 0") == []


def test_health_is_told(server) -> None:
    """The gauge says which check fails, the counter that it keeps failing, the timestamp that it ran just now."""
    assert server.value('peak_health_check_healthy{check="sound"}') == 1
    assert server.value('peak_health_check_healthy{check="sick"}') == 0
    assert server.value('peak_health_check_runs_total{check="sick", outcome="unhealthy"}') > 1
    assert server.value('time() - peak_health_check_last_run_timestamp_seconds{check="sick"}') < 5


def test_backups_are_told(server) -> None:
    """What there is and how proven it is; what has never been made is 0, and its age counts since it is named."""
    assert server.value('peak_backup_stored{repository="kept", status="success"}') >= 1
    assert server.value('time() - peak_backup_last_success_timestamp_seconds{repository="kept", kind="config"}') < 60
    assert server.value('time() - peak_backup_last_verified_timestamp_seconds{repository="kept"}') < 60
    assert server.value('peak_backup_size_bytes{repository="kept", kind="config"}') == 16
    assert server.value('peak_backup_max_age_seconds{repository="kept"}') == 3600
    assert server.value('time() - peak_backup_running_since_timestamp_seconds{repository="stuck"}') < 60
    assert server.value('peak_backup_running_since_timestamp_seconds{repository="unused"}') == 0
    assert server.value('peak_backup_last_success_timestamp_seconds{repository="unused", kind="data"}') == 0
    assert 0 < server.value('peak_backup_age_seconds{repository="unused", kind="data"}') < 60
    assert server.eventually('increase(peak_backup_runs_total{repository="kept", outcome="success"}[5s]) > 0')


def test_promtool_has_nothing_to_say_of_the_program(server) -> None:
    """Every metric of backups is there, and the linter is content with all."""
    texts = []
    for target in server.get("targets")["activeTargets"]:
        with urllib.request.urlopen(target["scrapeUrl"], timeout=60) as answer:
            texts.append(answer.read())
    (text,) = [text for text in texts if b"# TYPE peak_backup_" in text]
    told = {line.split()[2].decode() for line in text.splitlines() if line.startswith(b"# TYPE peak_backup_")}
    assert told == {metric.name for metric in catalog.METRICS if metric.name.startswith("peak_backup_")}
    assert lint(text) == ""


def test_the_backup_tiles_count_what_is_wrong(server) -> None:
    """Nothing is overdue, four parts have never been backed up, nothing is corrupt."""
    expected = {"Overdue backups": 0, "Never backed up": 4, "Corrupt files": 0}
    found = {(title, server.value(filled(expr))) for title, expr in QUERIES if title in expected}
    assert found == set(expected.items())


def test_what_was_never_verified_shows_in_its_tile(server) -> None:
    """Beside a repository that was, which alone says how long ago; and so does a part that was never backed up."""
    for title, chosen in (("Verified ago", "kept"), ("Oldest newest backup", "kept")):
        ((expression, text),) = [
            (panel["targets"][0]["expr"], panel["fieldConfig"]["defaults"]["mappings"][0]["options"])
            for board in DASHBOARDS
            for panel in every_panel(board)
            if panel["title"] == title
        ]
        assert text["result"]["text"] == "never"
        assert server.value(filled(expression)) >= text["from"]
        alone = expression.replace('repository=~"$repository"', f'repository="{chosen}"')
        assert server.value(filled(alone)) < 60
        assert server.query(filled(expression.replace('repository=~"$repository"', 'repository="unused"'))) == []


def test_metadata_reached_prometheus(server) -> None:
    """Help and type of a metric show beside the query."""
    metadata = server.get("metadata", metric="peak_breaker_calls")
    metadata = metadata or server.get("metadata", metric="peak_breaker_calls_total")
    ((found,),) = metadata.values()
    assert found["type"] == "counter"
    assert found["help"] == catalog.BREAKER_CALLS_TOTAL.help


def filled(expression: str) -> str:
    """Return an expression as Grafana sends it, with everything selected."""
    for name, value in {"$__rate_interval": "5s", "$__range": "30s", "$process": ".*"}.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$\w+", ".+", expression)


def test_the_open_circuit_shows_in_the_first_tile(server) -> None:
    """What tells at night that something is wrong counts the broken circuit."""
    expression = next(expr for title, expr in QUERIES if title == "Circuits not closed" and "$breaker" in expr)
    assert server.value(filled(expression)) in (1, 2)
    assert server.value(filled(expression).replace('breaker=~".+"', 'breaker="healthy"')) == 0


def test_the_state_timeline_tells_states_apart(server) -> None:
    """Open is 2, as its mappings say; one that never left "closed" has no bar."""
    expression = next(expr for title, expr in QUERIES if title == "Circuit states")
    server.eventually(f'{STATE_NUMBERS.name}{{breaker="broken"}} == 2')
    states = {labels["breaker"]: value for labels, value in server.query(filled(expression))}
    assert states["broken"] == 2
    assert "healthy" not in states
