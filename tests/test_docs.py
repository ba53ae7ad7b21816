"""What the documents say is true: their blocks run, what is made from the code is fresh, links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from peak_observe import catalog, errors

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    if page.name != "tutorial.md"  # whose blocks are one program; test_tutorial runs it
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
]
METRICS = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(block: str, tmp_path: Path) -> None:
    """Each Python block is a program that ends well, in an empty folder, warnings being errors."""
    command = [sys.executable, "-W", "error", "-c", block]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("metric", catalog.METRICS, ids=lambda metric: metric.name)
def test_every_metric_stands_in_the_reference(metric: catalog.Metric) -> None:
    """A metric of the catalogue has a row with its kind and labels."""
    row = next((line for line in METRICS.splitlines() if line.startswith(f"| `{metric.name}` |")), "")
    assert f"| {metric.kind} |" in row
    assert all(f"`{label}`" in row for label in metric.labels)


def texts(folder: Path) -> dict[str, str]:
    """Return the pages of a folder and of those below it."""
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.md")}


def test_the_references_are_fresh(tmp_path: Path) -> None:
    """What `make docs` would write is what is there."""
    made = tmp_path / "reference"
    subprocess.run([sys.executable, str(DOCS / "make"), str(made)], check=True, timeout=120)
    expected = texts(DOCS / "reference")
    assert texts(made) == expected, "run `make docs` and commit"


OTHERS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "examples/README.md",
    "examples/resilience/README.md",
    "grafana/RUNBOOK.md",
)
LINKED = [*PAGES, *(ROOT / name for name in OTHERS)]


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return what links can name within a page, as GitHub makes it of the headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that exists, and a heading that it has."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", prose(page)):
        if "://" not in target:
            found = page.parent / target if target else page
            assert found.exists(), target
            assert not anchor or anchor in anchors(found), f"{target}#{anchor}"


def test_the_testing_page_sees_the_circuit_open_and_close(tmp_path: Path) -> None:
    """Its block prints the states its circuit went through."""
    (block,) = PYTHON.findall((DOCS / "testing.md").read_text("utf-8"))
    command = [sys.executable, "-c", block]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    assert done.stdout == "['open', 'half_open', 'closed']\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_no_page_names_a_metric_that_does_not_exist(page: Path) -> None:
    """Every `peak_…` name is in the catalogue, or is the package."""
    written = set(re.findall(r"`(peak_(?!observe\b)[a-z_]+)`", page.read_text("utf-8")))
    assert written <= {metric.name for metric in catalog.METRICS}


def test_every_exception_stands_on_its_page() -> None:
    """With a row, or a sentence where it is none to be caught."""
    page = (DOCS / "exceptions.md").read_text("utf-8")
    public = [name for name, found in vars(errors).items() if isinstance(found, type) and not name.startswith("_")]
    assert [name for name in public if f"`{name}`" not in page and issubclass(vars(errors)[name], BaseException)] == []


def test_the_page_of_console_traces_shows_what_its_block_prints(tmp_path: Path) -> None:
    """Apart from the times."""
    page = (DOCS / "console-traces.md").read_text("utf-8")
    (block,) = PYTHON.findall(page)
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    command = [sys.executable, "-W", "error", "-c", block]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path)
    times = re.compile(r" +[\d.]+ ms")
    assert times.sub(" ms", done.stdout) == times.sub(" ms", shown)
