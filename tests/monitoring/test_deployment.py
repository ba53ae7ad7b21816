"""What runs exporter, backups and bots: units that systemd takes, manifests that the operator takes, receivers."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from peak_observe.monitoring import output, provisioning
from peak_observe.monitoring.alert_files import Links
from peak_observe.monitoring.deployment import kubernetes, systemd
from peak_observe.monitoring.rules import exporter
from tests.conftest import binary, read_yaml
from tests.monitoring.operator_schema import MONITORS, RULE, complaints

UNITS = {Path(name).name: text for name, text in systemd.files().items() if not name.endswith(".toml")}
EXECUTABLES = re.compile(r"/opt/(?:peak-observe/bin/peak-observe|bot/bin/python)\b")
RECEIVERS = ("telegram_configs", "discord_configs", "slack_configs", "email_configs", "webhook_configs")


def settings(unit: str, key: str) -> list[str]:
    """Return all values of a key of a unit."""
    return re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """The real systemd-analyze has nothing to say, but of programs that the steps install."""
    for name, text in UNITS.items():
        (tmp_path / name).write_text(EXECUTABLES.sub(sys.executable, text))
    paths = [tmp_path / name for name in UNITS]
    done = subprocess.run([binary("systemd-analyze"), "verify", *paths], capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if any(name in line for name in UNITS)]
    assert said == []


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_needs_nothing_that_its_steps_do_not_make(name: str) -> None:
    """Folders are made by systemd, programs and configuration by the steps at its head."""
    unit, steps = UNITS[name], "".join(UNITS.values())
    made = {f"/{place}/{folder}" for key, place in PLACES.items() for folder in settings(unit, key)}
    told = {f"{found}" for found in re.findall(r"^#   .*?(/(?:opt|etc|run)/[\w-]+)", steps, re.MULTILINE)}
    needed = re.sub(r"^#.*$", "", unit, flags=re.MULTILINE)
    for path in re.findall(r"(?<![\w$])/(?:etc|opt|var|run)/[\w./-]+", needed):
        assert any(path == folder or path.startswith(f"{folder}/") for folder in made | told | RUN), path
    for user in settings(unit, "User"):
        assert re.search(rf"^#   useradd .*\b{user}\b", steps, re.MULTILINE)


RUN = {"/run/peak-observe"}  # the exporter's unit makes it, which the steps of the others name
PLACES = {
    "RuntimeDirectory": "run",
    "StateDirectory": "var/lib",
    "CacheDirectory": "var/cache",
    "ConfigurationDirectory": "etc",
}


def test_the_configuration_of_the_units_is_valid(tmp_path: Path) -> None:
    """The exporter takes it, and the commands of the nightly backup take their options."""
    config = tmp_path / "peak-observe.toml"
    config.write_text(
        systemd.CONFIG.replace("/var/lib/peak-observe", str(tmp_path)).replace("/etc/peak-observe", str(tmp_path))
    )
    command = [sys.executable, "-m", "peak_observe"]
    lines = [*settings(UNITS["peak-observe-backup.service"], "ExecStart"), "x exporter --config.check --config.file=x"]
    for line in lines:
        words = re.sub(r"--config.file=\S+", f"--config.file={config}", line).split()[1:]
        done = subprocess.run([*command, *words], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr


def test_the_operator_takes_the_rules() -> None:
    """Every field is one that the PrometheusRule has, with the type that it has there."""
    (text,) = kubernetes.generated(Links("https://wiki.test/runbook", "https://grafana.test")).values()
    assert complaints(read_yaml(text), RULE) == []


@pytest.mark.parametrize("kind", MONITORS)
def test_the_operator_takes_the_monitors(kind: str) -> None:
    """With the job's name that the rules know."""
    text = kubernetes.by_hand()[f"kubernetes/{kind.lower()}.yaml"]
    manifest = read_yaml(text)
    assert complaints(manifest, MONITORS[kind]) == []
    (endpoint,) = manifest["spec"].get("podMetricsEndpoints") or manifest["spec"]["endpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": exporter.JOB}]


def test_the_schema_knows_what_is_wrong() -> None:
    """A field that there is not, one of another type, and one that is missing."""
    manifest = {"apiVersion": kubernetes.API, "kind": "PodMonitor", "metadata": {}, "spec": {"selectors": {}}}
    manifest["spec"]["podMetricsEndpoints"] = [{"port": 17325}]
    assert complaints(manifest, MONITORS["PodMonitor"]) == [
        "metadata.name is missing",
        "spec.selector is missing",
        "spec.selectors is unknown",
        "spec.podMetricsEndpoints.0.port is no str",
    ]


def test_the_bot_and_its_exporter_fit() -> None:
    """They share the folder of snapshots and their processes, and the PodMonitor finds the port."""
    pod = read_yaml(kubernetes.SIDECAR)["spec"]["template"]
    bot, beside = pod["spec"]["containers"]
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert pod["spec"]["shareProcessNamespace"] is True
    for container in (bot, beside):
        assert {"name": "PEAK_OBSERVE_DIR", "value": "/run/peak-observe"} in container["env"]
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        assert container["resources"]["limits"]["memory"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    monitor = read_yaml(kubernetes.POD_MONITOR)["spec"]
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert monitor["podMetricsEndpoints"][0]["port"] == beside["ports"][0]["name"]


@pytest.mark.parametrize("kind", RECEIVERS)
def test_alertmanager_takes_each_receiver(tmp_path: Path, kind: str) -> None:
    """Without its `#`, and in the place of the webhook; the real amtool says so."""
    head, _, rest = provisioning.ALERTMANAGER.partition(
        "    webhook_configs:\n      - url: https://alerts.invalid/chat\n"
    )
    (block,) = re.findall(rf"^    # {kind}:\n(?:    #   .*\n)+", rest, re.MULTILINE)
    file = tmp_path / "alertmanager.yaml"
    file.write_text(head + block.replace("    # ", "    ") + rest)
    done = subprocess.run([binary("amtool"), "check-config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (chat,) = [found for found in read_yaml(file.read_text())["receivers"] if found["name"] == "chat"]
    assert set(chat) == {"name", kind}


def test_an_existing_prometheus_takes_the_parts(tmp_path: Path) -> None:
    """With the file of the password and the rules where they are said to be."""
    file = tmp_path / "prometheus.yaml"
    file.write_text(provisioning.EXISTING.replace("/etc/prometheus", str(tmp_path)))
    (tmp_path / "peak-observe.password").write_text("secret")
    output.write(output.changes(tmp_path, Links(), kinds=["prometheus"]))
    shutil.move(tmp_path / "alerts", tmp_path / "peak-observe")
    done = subprocess.run([binary("promtool"), "check", "config", file], capture_output=True, text=True, check=False)
    assert (done.returncode, "1 rule files found" in done.stdout) == (0, True), done.stdout + done.stderr


def test_each_kind_writes_its_own(tmp_path: Path) -> None:
    """And all together what each of them writes; nothing is written by two."""

    def paths(*kinds: str) -> list[Path]:
        return [change.path for change in output.changes(tmp_path, Links(), kinds=kinds)]

    one_by_one: list[Any] = [path for kind in output.KINDS for path in paths(kind)]
    assert sorted(one_by_one) == sorted(set(one_by_one)) == sorted(paths(*output.KINDS))
