"""Take a picture of each dashboard, from a live demo: `python tests/live PREVIEW OUT [SECONDS]`.

PREVIEW is the folder of a `preview.sh DASHBOARD.json PROMETHEUS OUT.png`; without it, or without what it needs, one
line says so and nothing is drawn.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "grafana" / "dashboards"
SECONDS = 86.0  # two turns of the demo's script, and the calm after them
NEEDED = ("prometheus", "node", "npm", "chromium")

sys.path.insert(0, str(ROOT / "tests"))


def missing(preview: Path) -> str:
    """Return what there has to be and is not."""
    if not (preview / "preview.sh").is_file():
        return f"{preview}/preview.sh is not there; PREVIEW=FOLDER names another place"
    absent = [name for name in NEEDED if shutil.which(name) is None]
    return f"not on PATH: {', '.join(absent)}" if absent else ""


def draw(preview: Path, board: Path, prometheus: str, out: Path) -> int:
    """Draw one dashboard, and return whether a panel has an error or nothing to show."""
    command = [preview / "preview.sh", board, prometheus, out, "--from", f"-{SECONDS:.0f}s", "--scrape-interval", "1s"]
    return subprocess.run([*command, "--check"], check=False).returncode


def main(preview: Path, out: Path) -> int:
    """Run the demo, wait until it has something to show, and draw."""
    reason = missing(preview)
    if reason:
        print(f"no pictures: {reason}")
        return 0
    from conftest import running
    from demonstration import demonstration

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="peak-observe-preview-", ignore_cleanup_errors=True) as folder:
        prometheus_folder = Path(folder, "prometheus")
        prometheus_folder.mkdir()
        with (
            demonstration(Path(folder)) as shown,
            running(prometheus_folder, [shown.exporter], "1s") as prometheus,
        ):
            print(f"the demo runs for {SECONDS:.0f} s; Prometheus is at {prometheus.url}")
            turns(shown.demo.stdout)
            results = {
                board.stem: draw(preview, board, prometheus.url, out / f"{board.stem}.png")
                for board in sorted(DASHBOARDS.glob("*.json"))
            }
    return max(results.values())


def turns(lines) -> None:
    """Read what the demo says until two turns of its script and the calm after them are over."""
    end = time.monotonic() + SECONDS
    for line in lines:
        if time.monotonic() >= end - 6 and re.search(r"exchange: calm", line):
            return


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
