"""Prometheus server of the demo, with temporary storage."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe import catalog

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: peak-observe
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@contextmanager
def started_prometheus(port: int) -> Iterator[str]:
    """Start a Prometheus that scrapes us every second; yield the line that tells of it."""
    binary = shutil.which("prometheus")
    if binary is None:
        yield "prometheus  not on PATH: install it to query the same metrics"
        return
    with tempfile.TemporaryDirectory(prefix="peak-observe-demo-", ignore_cleanup_errors=True) as folder:
        config = Path(folder, "prometheus.yml")
        config.write_text(CONFIG.format(port=port), encoding="utf-8")
        address = f"127.0.0.1:{_free_port()}"
        process = subprocess.Popen(  # noqa: S603 - the binary comes from PATH, the arguments from here
            [
                binary,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is ours; we end it when all else has ended
        )
        try:
            yield f"prometheus  http://{address}/graph?g0.expr={catalog.BREAKER_STATE.name}&g0.tab=0"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
