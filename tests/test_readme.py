"""What README says is true: its blocks run, its tables are complete."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from peak_observe import catalog

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def run(block: str) -> subprocess.CompletedProcess[str]:
    """Run a block as a program of its own, in an empty folder, warnings being errors."""
    command = [sys.executable, "-W", "error", "-c", block]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_block_runs(block: str) -> None:
    """Each Python block of README is a program that ends well."""
    done = run(block)
    assert done.returncode == 0, done.stderr


def test_the_first_lines_do_what_they_say() -> None:
    """The first block prints the price and the address of the metrics."""
    assert re.fullmatch(r"64000\.0 http://127\.0\.0\.1:\d+/metrics\n", run(BLOCKS[0]).stdout)


def test_the_breaker_block_tells_of_the_open_circuit() -> None:
    """The circuit of the second block opens after two failures."""
    assert run(BLOCKS[1]).stdout.splitlines() == [
        "failed: no answer",
        "failed: no answer",
        "orders is open, next probe in 30 s",
    ]


def test_the_table_has_no_metric_that_does_not_exist() -> None:
    """Every `peak_…` name that README writes is in the catalogue or is the package."""
    written = set(re.findall(r"`(peak_(?!observe\b)[a-z_]+)`", README))
    assert written <= {metric.name for metric in catalog.METRICS}


def test_both_commands_stand_first() -> None:
    """The two commands come before any other shell line."""
    shell = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert [line.split("#")[0].strip() for line in shell[0].splitlines()] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in ("demo", "test"))


def test_ci_calls_the_readmes_test_command() -> None:
    """CI runs what README tells people to run."""
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
