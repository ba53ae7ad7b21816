"""Take a picture of each dashboard, from a live demo: `python tests/live PREVIEW OUT`.

PREVIEW is the folder of a `preview.sh DASHBOARD.json PROMETHEUS OUT.png`; without it, or without what it needs, one
line says so and nothing is drawn.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from pathlib import Path

from peak_observe.monitoring.dashboard import every_panel

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "grafana" / "dashboards"
TURNS = 3  # of the demo's script
SHOWN = timedelta(seconds=100)
CALM = 4.0  # seconds after the script began anew: all circuits have closed again, and that was scraped
NEEDED = ("prometheus", "node", "npm", "chromium")  # in capitals a variable that may hold another path

sys.path.insert(0, str(ROOT))


def missing(preview: Path) -> str:
    """Return what there has to be and is not."""
    if not (preview / "preview.sh").is_file():
        return f"{preview}/preview.sh is not there; PREVIEW=FOLDER names another place"
    absent = [name for name in NEEDED if shutil.which(os.environ.get(name.upper(), name)) is None]
    return f"not on PATH: {', '.join(absent)}" if absent else ""


def main(preview: Path, out: Path) -> int:
    """Run the demo, wait until it has something to show, and draw."""
    reason = missing(preview)
    if reason:
        print(f"no pictures: {reason}")
        return 0
    from demonstration import demonstration

    from tests.conftest import quick_rules, running

    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="peak-observe-preview-", ignore_cleanup_errors=True) as folder,
        demonstration(Path(folder)) as shown,
        running(Path(folder), [shown.exporter], "1s", [quick_rules(Path(folder))]) as prometheus,
    ):
        print(f"the demo plays {TURNS} turns; Prometheus is at {prometheus.url}", flush=True)
        moment = after_turns(shown.demo.stdout)
        return max(draw(preview, board, prometheus.url, out, moment) for board in drawings(Path(folder)))


def after_turns(lines) -> datetime:
    """Return a calm moment after some turns of the script, each of which begins and ends with a calm phase."""
    calm = "exchange: calm\n"
    phases = (line for line in lines if line.startswith("exchange: "))
    anew = (True for before, phase in pairwise(phases) if before == phase == calm)
    for _ in range(TURNS):
        next(anew)
    time.sleep(CALM)
    return datetime.now(UTC)


def drawings(folder: Path) -> Iterator[Path]:
    """Yield each dashboard, and one with its tables alone: drawn are only those at the top of a page."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        yield path
        board = json.loads(path.read_text())
        tables = [panel for panel in every_panel(board) if panel["type"] == "table"]
        for panel, above in zip(tables, accumulate(panel["gridPos"]["h"] for panel in tables), strict=True):
            panel["gridPos"] |= {"x": 0, "y": above - panel["gridPos"]["h"]}
        alone = folder / f"{path.stem}-tables.json"
        alone.write_text(json.dumps({**board, "panels": tables}))
        yield alone


def draw(preview: Path, board: Path, prometheus: str, out: Path, moment: datetime) -> int:
    """Draw one dashboard, and return whether a panel has an error or nothing to show."""
    times = ["--from", (moment - SHOWN).isoformat(), "--to", moment.isoformat()]
    picture = out / f"{board.stem}.png"
    command = [
        preview / "preview.sh",
        board,
        prometheus,
        picture,
        *times,
        "--scrape-interval",
        "1s",
        "--expand-rows",
        "--check",
    ]
    print(picture, flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
