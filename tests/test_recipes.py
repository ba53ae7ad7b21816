"""The recipes for other programs work with the real programs: gunicorn, Celery, Kubernetes' manifests."""

import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import yaml

from peak_observe import health_check, start_exporter
from peak_observe.telemetry.snapshot import lifetime_totals
from peak_observe.telemetry.snapshot.snapshot_file import decode, read
from tests.conftest import binary
from tests.shell_blocks import blocks

SECONDS = 60.0
ROUTE = """

@app.get("/price")
@peak_observe.circuit_breaker(name="upstream")
async def price() -> float:
    return 1.0
"""


def counted(folder: Path, family: str, series: str) -> float:
    """Return the sum of a counter over the snapshots of a folder."""
    found = [decode(read(path)[0]) for path in folder.glob("*.snap")]
    return sum(float(lifetime_totals.total(*one[1:4]).get(family, {}).get(series, 0)) for one in found)


def wait_for(condition: object, process: subprocess.Popen, log: Path) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def answers(url: str) -> bool:
    """Return whether a URL is answered."""
    try:
        with urllib.request.urlopen(url, timeout=60):
            return True
    except OSError:
        return False


def test_gunicorns_workers_report_and_lose_no_count(tmp_path: Path) -> None:
    """Each of the two has a name, and what they counted is in the last snapshots when gunicorn has ended."""
    binary("curl")
    app, settings = blocks("docs/fastapi.md", "python")
    (tmp_path / "app.py").write_text(app + ROUTE)
    (tmp_path / "gunicorn.conf.py").write_text(settings)
    command = [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "--bind", "unix:socket", "app:app"]
    log = tmp_path / "log"
    with log.open("w") as output, subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output) as process:
        try:
            snapshots = tmp_path / "snapshots"
            wait_for(lambda: len(list(snapshots.glob("*.snap"))) == 2, process, log)
            ask = ["curl", "-fs", "--unix-socket", str(tmp_path / "socket"), "http://service/price"]
            wait_for(lambda: subprocess.run(ask, check=False, capture_output=True).stdout == b"1.0", process, log)
            for _ in range(9):
                assert subprocess.check_output(ask) == b"1.0"
            ready = subprocess.check_output([*ask[:-1], "http://service/readyz"])
            assert ready
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, log.read_text()
    assert {path.name for path in snapshots.glob("*.snap")} == {"web.snap", "web-2.snap"}
    states = {decode(read(path)[0]).header.state for path in snapshots.glob("*.snap")}
    assert states == {"ended"}  # and no alert tells that they died
    name = "peak_breaker_calls_total"
    assert counted(snapshots, name, f'{name}{{breaker="upstream",outcome="success"}}') == 10.0


def test_celerys_tasks_report(tmp_path: Path) -> None:
    """A worker of the real Celery runs the task of the page, and its process tells of circuit and job."""
    (module,) = blocks("docs/celery.md", "python")
    (tmp_path / "results").mkdir()
    (tmp_path / "queue").mkdir()
    # Of the broker in memory, another process sees nothing: here it is a folder.
    module = module.replace("cache+memory://", "file://results").replace("memory://", "filesystem://")
    folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), "queue")
    module = module.replace("\n\n\n@worker", f"\napp.conf.broker_transport_options = {folders}\n\n\n@worker", 1)
    (tmp_path / "tasks.py").write_text(module.rpartition("\nprint(")[0] + "\n")
    log = tmp_path / "log"
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "1", "--without-gossip"]
    with log.open("w") as output, subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output) as process:
        try:
            send = "import tasks; print(tasks.load_candles.delay('BTC/USD').get(timeout=50))"
            ask = [sys.executable, "-c", send]
            done = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.stdout == "100\n", done.stderr + log.read_text()
        finally:
            process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
    for name, labels in (
        ("peak_breaker_calls_total", 'breaker="exchange",outcome="success"'),
        ("peak_job_runs_total", 'outcome="success",task="load-candles"'),
    ):
        assert counted(tmp_path / "snapshots", name, f"{name}{{{labels}}}") == 1.0


def test_the_manifests_of_kubernetes_are_valid_yaml_and_ask_what_a_bot_answers() -> None:
    """Each probe's path is known to the exporter of a program, on the port that the manifest names."""
    deployment, monitor, environment = (yaml.safe_load(block) for block in blocks("docs/kubernetes.md", "yaml"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert str(port["containerPort"]) in blocks("docs/kubernetes.md", "python")[0]
    health_check.run_all()
    with start_exporter(port=0) as exporter:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            found = container[probe]["httpGet"]
            assert found["port"] == port["name"]
            assert answers(exporter.url.removesuffix("/metrics") + found["path"])
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == port["name"]
    assert {one["name"] for one in environment["env"]} == {"PEAK_OBSERVE_DIR", "PEAK_OBSERVE_INSTANCE"}
