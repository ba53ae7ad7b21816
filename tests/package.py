"""Install the wheel and the sdist in clean environments, away from the source tree, and test what is there.

`make package` builds both and runs this; it takes the folder they are in.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOOLS = ["celery", "fastapi", "hypothesis", "opentelemetry-sdk", "promql-parser", "trustme"]
TOOLS += ["pytest", "pytest-timeout", "pytest-xdist"]
TESTS = ["test_architecture.py", "test_cli.py", "test_docs.py", "test_examples.py", "test_readme.py"]
TESTS += [f"resilience/{name}.py" for name in ("breaker/test_breaker", "retry/test_decorator", "policy/test_policy")]
TESTS += ["cli/test_backup.py", "exchange_client/test_reviews.py"]  # the latter reads data that the wheel has to bring
AGAIN = ["--last-failed", "--last-failed-no-failures=none", "--exitfirst", "-rp"]
CORE = """
import peak_observe, sys
from pathlib import Path

assert Path(peak_observe.__file__).is_relative_to(sys.prefix), peak_observe.__file__
with peak_observe.start_exporter(port=0) as exporter:
    print(exporter.url)
"""


def main(dist: Path) -> None:
    """Check both packages."""
    (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
    names = zipfile.ZipFile(wheel).namelist()
    assert "peak_observe/py.typed" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"peak_observe"}, "nothing else is installed"
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        home = Path(folder)
        tree = unpacked(sdist, home)
        whole = pool.submit(environment, home / "whole", f"{wheel}[all]", *TOOLS)
        python = environment(home / "core", str(sdist))
        run(python, "-c", CORE, cwd=home)
        refused = subprocess.run([python.with_name("peak-observe")], capture_output=True, text=True, check=False)
        assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
        assert "peak-observe[exporter]" in refused.stderr
        python = whole.result()
        run(python, "-c", CORE, cwd=home)
        tests = [str(python), "-m", "pytest", "-q", *(f"tests/{name}" for name in TESTS)]
        first = subprocess.run([*tests, "-n", "3", "--dist", "worksteal"], cwd=tree, check=False)
        if first.returncode != 0:  # as in `make test`, alone once more
            subprocess.run([*tests, *AGAIN], cwd=tree, check=True)


def unpacked(sdist: Path, home: Path) -> Path:
    """Unpack the sdist, and take the package out of it: what is tested is what was installed."""
    shutil.unpack_archive(sdist, home)
    (tree,) = home.iterdir()
    (tree / "peak_observe").rename(home / "sources")
    return tree


def environment(folder: Path, *packages: str) -> Path:
    """Make a virtual environment with some packages, and return its interpreter."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages, cwd=folder)
    return python


def run(python: Path, *words: str, cwd: Path) -> None:
    """Run an interpreter, and end if it fails."""
    subprocess.run([python, *words], cwd=cwd, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
