"""The operator's commands are run word by word, by an ordinary user in an empty folder."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs, shell_blocks
from tests.conftest import binary
from tests.shell_blocks import ROOT, blocks, commands

PAGE = "docs/operations.md"
OPERATORS = ("README.md", PAGE, "docs/exporter.md", "docs/alerts.md", "docs/processes.md", "docs/backups.md")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder."""
    for name in ("prometheus", "prometheus-alertmanager", "curl"):
        binary(name)
    with shell_blocks.empty_folder() as path:
        yield path


def test_three_lines_for_a_prometheus_that_is_there(folder: Path) -> None:
    """Promtool accepts the lines of its configuration, with the rules that were written, and the exporter answers."""
    (block,) = blocks(PAGE, heading="I have a Prometheus")
    (lines,) = blocks(PAGE, "yaml", heading="I have a Prometheus")
    (folder / "prometheus.yml").write_text(lines)
    script = (
        commands(block).rstrip() + " &\nwait_for http://127.0.0.1:17325/metrics\npromtool check config prometheus.yml"
    )
    assert "rules found" in shell_blocks.run(script, folder)
    assert len(lines.splitlines()) == len(block.splitlines()) == 3


def test_from_nothing_to_an_alert(folder: Path) -> None:
    """Prometheus scrapes the exporter, Alertmanager has the watchdog, and nothing listens outside."""
    _, block = blocks(PAGE, heading="I have nothing yet")
    script = commands(block) + (
        "wait_for http://127.0.0.1:9090/-/ready\nwait_for http://127.0.0.1:9093/-/ready\n"
        "for _ in $(seq 100); do\n"
        "  curl -s http://127.0.0.1:9093/api/v2/alerts > alerts\n"
        "  curl -s http://127.0.0.1:9090/api/v1/targets > targets\n"
        "  grep -q PeakWatchdog alerts && ! grep -q unknown targets && break; sleep 1\ndone\n"
        "cat /proc/self/net/tcp /proc/self/net/tcp6 > sockets\n"
    )
    shell_blocks.run(script, folder, timeout=240)
    assert "PeakWatchdog" in {alert["labels"]["alertname"] for alert in json.loads((folder / "alerts").read_text())}
    targets = json.loads((folder / "targets").read_text())["data"]["activeTargets"]
    assert [target["health"] for target in targets] == ["up"]
    listening = re.findall(r"^ *\d+: (\w+):(\w+) \w+:\w+ 0A ", (folder / "sockets").read_text(), re.MULTILINE)
    assert {int(port, 16) for _, port in listening} == {9090, 9093, 17325}
    assert {address for address, _ in listening} == {"0100007F"}  # 127.0.0.1 as the kernel writes it


def test_five_bots_on_one_host(folder: Path) -> None:
    """The outputs are those that the page shows."""
    section = "Five bots on one host"
    (program,) = blocks(PAGE, "python", heading=section)
    start, look, kill = blocks(PAGE, heading=section)
    (folder / "bot.py").write_text(program)
    script = f"""{start}
wait_for http://127.0.0.1:17325/-/ready
for _ in $(seq 300); do
  [ "$(curl -s http://127.0.0.1:17325/metrics | grep -c '^peak_process_up')" = 5 ] && break; sleep 0.2
done
{look}
echo ---
{kill}
"""
    looked, killed = shell_blocks.run(script, folder).split("---\n")
    assert [looked, killed] == blocks(PAGE, "text", heading=section)


def test_backups_from_cron(folder: Path) -> None:
    """A backup is made, proven and listed."""
    (block,) = blocks(PAGE, heading="Backups from cron")
    (folder / "bot.toml").write_text("pair = 'BTC/USD'\n")
    assert "success" in shell_blocks.run(block, folder)


def test_health_from_a_shell(folder: Path) -> None:
    """A module of the working directory is found."""
    (block,) = blocks(PAGE, heading="Health from a shell")
    (folder / "mybot").mkdir()
    module = "from peak_observe import health_check\nhealth_check.register('feed', lambda: True)\n"
    (folder / "mybot/health.py").write_text(module)
    assert "HEALTHY" in shell_blocks.run(block, folder)


@pytest.mark.parametrize("page", OPERATORS)
def test_commands_that_install_name_what_exists(page: str) -> None:
    """Packages of Debian that the tests use, and extras of this project."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for line in "".join(blocks(page)).splitlines():
        if line.startswith("pip install"):
            assert re.fullmatch(r"pip install '?peak-observe(\[([a-z,]+)\])?'?( .*)?|pip install -e .*", line), line
            assert {name for found in re.findall(r"\[([a-z,]+)\]", line) for name in found.split(",")} <= extras.keys()
        if line.startswith("sudo apt-get install"):
            assert set(line.split()[3:]) <= set(programs.PACKAGES.values())


@pytest.mark.parametrize("page", OPERATORS)
def test_no_page_tells_how_to_listen_everywhere_by_accident(page: str) -> None:
    """Prometheus and Alertmanager listen on all addresses unless they are told not to."""
    joined = "".join(blocks(page)).replace("\\\n", " ")
    for line in joined.splitlines():
        if re.match(r"(prometheus|prometheus-alertmanager|alertmanager) ", line):
            assert "--web.listen-address=127.0.0.1:" in line
            assert "--storage." in line
