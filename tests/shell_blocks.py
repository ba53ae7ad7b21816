"""Commands of the documents, run as an ordinary user in an empty folder, with a network of their own.

Their ports are free there, whatever else this machine serves.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import binary

ROOT = Path(__file__).parent.parent
NOBODY = 65534
NOT_RUN = ("pip install", "pipx ", "uvx ", "sudo ", "docker ", "git clone", "cd peak-observe")
"""Beginnings of lines that install or start services; other tests look at them."""
WAIT = """
wait_for() {
    for _ in $(seq 300); do curl -fso /dev/null "$1" && return; sleep 0.2; done
    echo "$1 does not answer"; exit 1
}
"""


def blocks(page: Path | str, kind: str = "sh", heading: str = "") -> list[str]:
    """Return the blocks of a page of the repository, or of one of its sections, without their indent."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if heading:
        text = re.split(rf"^#+ {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(rf"^( *)```{kind}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def commands(block: str) -> str:
    """Return a block without the lines that install programs or start services."""
    return "".join(line for line in block.splitlines(keepends=True) if not line.startswith(NOT_RUN))


@contextmanager
def empty_folder() -> Iterator[Path]:
    """Yield a folder in which an ordinary user may write."""
    folder = Path(tempfile.mkdtemp(prefix="peak-commands-"))
    try:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield folder
    finally:
        shutil.rmtree(folder)


def run(script: str, folder: Path, timeout: float = 120.0) -> str:
    """Run a script with bash and return its output; whatever it leaves running ends with it.

    The installed package is on PATH. A failing command fails the test.
    """
    lifted = "set -euo pipefail\nexport HOME=$PWD\n" + WAIT + script
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [binary("unshare"), "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    drop: list[str] = []
    if os.geteuid() == 0:
        # It may read what root may: the interpreter can be in root's home.
        reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *reads]
    else:
        command.insert(1, "--map-root-user")
    inner = f'{binary("ip")} link set lo up && exec "$@"'
    done = subprocess.run(
        [*command, "sh", "-c", inner, "sh", *drop, "bash", "-c", lifted],
        cwd=folder,
        env={"PATH": path, "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
