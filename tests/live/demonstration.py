"""The demo with the exporter beside it, as a machine would have them: what tests ask, and pictures show."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

# ccxt's own call of aiohttp warns from Python 3.13 on; nothing else may.
WARNINGS = ["-W", "error", "-W", "ignore:enable_cleanup_closed ignored:DeprecationWarning"]
PEAK_OBSERVE = [sys.executable, *WARNINGS, "-m", "peak_observe"]
PATIENCE = 30.0
CONFIG = """\
[processes]
directory = "run"
interval = 0.5

[files.postgres]
glob = "dumps/*"
max_age = 3600
interval = 1
"""


class Demonstration(NamedTuple):
    """What runs, and where it can be scraped."""

    demo: subprocess.Popen
    exporter: str
    """Host and port."""


@contextmanager
def demonstration(folder: Path, *options: str) -> Iterator[Demonstration]:
    """Run the demo with `options`, and an exporter that tells of it; both are gone at the end.

    Args:
        folder: Where they may write.
        options: Of `peak-observe demo`.
    """
    (folder / "dumps").mkdir()
    (folder / "dumps" / "bot.sql").write_text("-- all that the bot knows\n" * 1000)
    (folder / "peak-observe.toml").write_text(CONFIG)
    # What it puts aside is here too, so that nobody else takes it for leftovers of another demo.
    places = {"PEAK_OBSERVE_DIR": str(folder / "run"), "TMPDIR": str(folder)}
    environment = {**os.environ, **places, "PEAK_OBSERVE_CHAOS": "1"}
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with exporting(folder) as exporter:
        demo = subprocess.Popen([*PEAK_OBSERVE, "demo", "--no-prometheus", *options], env=environment, **pipe)
        try:
            yield Demonstration(demo, exporter)
        finally:
            demo.terminate()
            demo.communicate(timeout=PATIENCE)


@contextmanager
def exporting(folder: Path) -> Iterator[str]:
    """Run an exporter in a folder, and give its host and port."""
    command = [*PEAK_OBSERVE, "exporter", "--web.listen-address", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            address = next(found[1] for line in process.stderr if (found := re.search(r"http://([\d.:]+)", line)))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield address
        finally:
            process.terminate()
