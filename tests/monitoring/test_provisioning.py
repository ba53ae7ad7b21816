"""The stack fits together, as far as that can be known without an engine to run it."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from peak_observe.monitoring.deployment import compose
from peak_observe.monitoring.rules import exporter
from tests.conftest import binary, read_yaml

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "grafana"


def read(name: str) -> Any:
    """Return what a YAML file holds."""
    return read_yaml((GRAFANA / name).read_text(encoding="utf-8"))


COMPOSE = read("compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OPERATORS = read_yaml(compose.COMPOSE)
SOURCES = {source["type"]: source for source in read("provisioning/datasources/prometheus.yaml")["datasources"]}
PUBLISHED = {"exporter": 17325, "prometheus": 9090, "alertmanager": 9093, "grafana": 3000}


def mounts(service: str) -> dict[str, str]:
    """Return what is mounted from these files, by where it is in the container."""
    found = (volume.split(":") for volume in SERVICES[service].get("volumes", ()))
    return {target: source for source, target, *mode in found if source.startswith(".") and mode == ["ro"]}


def test_prometheus_takes_its_configuration() -> None:
    """With the rules, which lie beside it as they do in the container."""
    command = [binary("promtool"), "check", "config", GRAFANA / "prometheus.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "1 rule files found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_alertmanager_takes_its_configuration() -> None:
    """The real amtool says so."""
    command = [binary("amtool"), "check-config", GRAFANA / "alertmanager.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "6 inhibit rules" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=PeakBackupStale", "severity=critical"], "pager"),
        (["alertname=PeakRetryStorm", "severity=warning"], "chat"),
        (["alertname=PeakWatchdog", "severity=info"], "dead-mans-switch"),
        (["alertname=SomebodyElses"], "chat"),
    ],
)
def test_an_alert_is_routed(labels: list[str], receiver: str) -> None:
    """By how bad it is; the watchdog goes to those who notice that it stops."""
    file = f"--config.file={GRAFANA / 'alertmanager.yaml'}"
    command = [binary("amtool"), "config", "routes", "test", file, *labels]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == receiver


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_kept_to_itself(name: str) -> None:
    """Pinned to a version, without privileges, and listening for this machine alone."""
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]) or "build" in service
    assert not {"privileged", "pid", "devices", "cap_add"} & set(service)
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    if name == "prometheus":
        assert "network_mode" not in service
        assert set(service["ports"]) == {f"127.0.0.1:{port}:{port}" for port in PUBLISHED.values()}
    else:
        assert service["network_mode"] == "service:prometheus"
        assert "ports" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_is_there(name: str) -> None:
    """Files of ours are read-only, all else is a volume that is declared."""
    for volume in SERVICES[name].get("volumes", ()):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            assert (GRAFANA / source).exists()
            assert rest.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_the_image_can_be_built() -> None:
    """Its recipe takes what the stack tells it, and makes the folder that a volume takes its owner from."""
    build = SERVICES["demo"]["build"]
    recipe = (GRAFANA / build["context"] / build["dockerfile"]).read_text(encoding="utf-8")
    assert all(f"ARG {name}=" in recipe for name in build["args"])
    assert "--owner=peak-observe --mode=0770 /run/peak-observe" in recipe
    assert SERVICES["exporter"]["volumes"] == SERVICES["demo"]["volumes"] == ["snapshots:/run/peak-observe"]
    assert SERVICES["demo"]["entrypoint"][:2] == ["peak-observe", "demo"]


def test_each_finds_the_next() -> None:
    """Prometheus the exporter and Alertmanager, Grafana both, in the network that they share as on one host."""
    prometheus = read("prometheus.yaml")
    (job,) = prometheus["scrape_configs"]
    assert job["job_name"] == exporter.JOB
    alertmanagers = prometheus["alerting"]["alertmanagers"][0]["static_configs"]
    named = [*job["static_configs"][0]["targets"], *alertmanagers[0]["targets"]]
    named += [source["url"].removeprefix("http://") for source in SOURCES.values()]
    expected = ("exporter", "alertmanager", "prometheus", "alertmanager")
    assert named == [f"127.0.0.1:{PUBLISHED[name]}" for name in expected]


def test_prometheus_finds_its_files() -> None:
    """Its configuration and its rules."""
    files = mounts("prometheus")
    (option,) = [word for word in SERVICES["prometheus"]["command"] if word.startswith("--config.file=")]
    config = Path(option.partition("=")[2])
    assert files[str(config)] == "./prometheus.yaml"
    (pattern,) = read("prometheus.yaml")["rule_files"]
    assert files[str((config.parent / pattern).parent)] == "./alerts"
    assert list((GRAFANA / "alerts").glob(Path(pattern).name))


def test_alertmanager_finds_its_file() -> None:
    """Where it is told to look."""
    (path,) = mounts("alertmanager")
    assert f"--config.file={path}" in SERVICES["alertmanager"]["command"]


@pytest.mark.parametrize("stack", [COMPOSE, OPERATORS], ids=["demo", "written"])
def test_grafana_is_closed_and_asks_for_a_password(stack: dict[str, Any]) -> None:
    """Nobody sees it without a login; its password is a file, which the steps make, and neither shows nor is shared."""
    service = stack["services"]["grafana"]
    environment = service["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == environment["GF_USERS_ALLOW_SIGN_UP"] == "false"
    (secret,) = service["secrets"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD__FILE"] == f"/run/secrets/{secret}"
    assert stack["secrets"][secret] == {"file": f"./secrets/{secret}"}
    assert not any("PASSWORD" in name and not name.endswith("__FILE") for name in environment)


@pytest.mark.parametrize("stack", [COMPOSE, OPERATORS], ids=["demo", "written"])
def test_a_service_cannot_fill_the_machine(stack: dict[str, Any]) -> None:
    """Neither its memory nor its disk: each has a limit, logs are turned over, and its root is read-only."""
    for service in stack["services"].values():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert (service["read_only"], service["tmpfs"]) == (True, ["/tmp"])  # noqa: S108 - in the container
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert re.search(r":v?\d+\.\d+\.\d+", service["image"]) or "build" in service


def test_the_written_stack_differs_by_the_demo_alone() -> None:
    """What was tried with the demo is what an operator gets."""
    for name in ("prometheus", "alertmanager", "grafana"):
        assert OPERATORS["services"][name] == SERVICES[name]
    assert set(SERVICES) - set(OPERATORS["services"]) == {"demo"}


def test_grafana_is_provisioned() -> None:
    """Data sources, and dashboards from where they are mounted."""
    files = mounts("grafana")
    assert files["/etc/grafana/provisioning/datasources"] == "./provisioning/datasources"
    assert files["/etc/grafana/provisioning/dashboards"] == "./provisioning/dashboards"
    (provider,) = read("provisioning/dashboards/peak-observe.yaml")["providers"]
    assert (provider["type"], provider["allowUiUpdates"], provider["disableDeletion"]) == ("file", False, True)
    assert files[provider["options"]["path"]] == "./dashboards"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert files[str(home.parent)] == "./dashboards"


def test_nobody_is_woken_twice() -> None:
    """Prometheus has the rules, so Grafana does not have them too."""
    assert "rule_files" in read("prometheus.yaml")
    assert not any("alerting" in target for target in mounts("grafana"))


def test_grafana_knows_how_often_prometheus_scrapes() -> None:
    """The rates of the dashboards follow from it; and it shows Prometheus' alerts."""
    prometheus, alertmanager = SOURCES["prometheus"], SOURCES["alertmanager"]
    assert prometheus["jsonData"]["timeInterval"] == read("prometheus.yaml")["global"]["scrape_interval"]
    assert prometheus["jsonData"]["alertmanagerUid"] == alertmanager["uid"]
    assert alertmanager["jsonData"]["implementation"] == "prometheus"
    assert prometheus["isDefault"]
