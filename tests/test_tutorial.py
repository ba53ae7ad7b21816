"""Each step of docs/tutorial.md prints what the page shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import shell_blocks
from tests.shell_blocks import ROOT, blocks, commands

PAGE = "docs/tutorial.md"
STEPS = blocks(PAGE, "python")
SHOWN = blocks(PAGE, "text")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return what each step prints; the bot grows by each."""
    folder = tmp_path_factory.mktemp("bot")
    mark = "\nprint('=== step ===', flush=True)\n"
    (folder / "bot.py").write_text(mark.join(STEPS) + "\nkraken.close()\n")
    command = [sys.executable, "-W", "error", "bot.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("=== step ===\n")


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_a_step_prints_what_the_page_shows(printed: list[str], step: int) -> None:
    """Word by word."""
    assert printed[step] == SHOWN[step]


def test_there_are_seven_steps() -> None:
    """As the page promises; each has something to run."""
    sections = re.findall(r"^## (\d)\.", (ROOT / PAGE).read_text(), re.MULTILINE)
    assert sections == list("1234567")
    assert len(STEPS) == len(SHOWN) == 7


def test_the_commands_of_the_last_step() -> None:
    """The rules pass promtool, and the lines for Prometheus are those of the operator with the port of a bot."""
    install, write = blocks(PAGE)
    assert not commands(install)
    with shell_blocks.empty_folder() as folder:
        assert "SUCCESS" in shell_blocks.run(write, folder)
    (lines,) = blocks(PAGE, "yaml")
    assert lines.replace("17326", "17325") == blocks("docs/operations.md", "yaml")[0]
    assert yaml.safe_load(lines)["rule_files"]


def test_the_alert_of_the_page_exists() -> None:
    """So that a reader finds it in the runbook."""
    named = re.findall(r"`(Peak\w+)`", Path(ROOT / PAGE).read_text())
    runbook = (ROOT / "grafana/RUNBOOK.md").read_text()
    assert named
    assert all(f"### {name}" in runbook for name in named)
