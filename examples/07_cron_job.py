"""A nightly job whose last success, duration and outcome Prometheus knows, although it has long ended.

python examples/07_cron_job.py

In a crontab: 0 3 * * *  PEAK_OBSERVE_DIR=/run/peak-observe python nightly.py
An alert of yours then pages when it has not succeeded for 26 hours:
time() - peak_job_last_success_timestamp_seconds{task="nightly"} > 26 * 3600
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

import peak_observe
from peak_observe import RecoveryManager, job


@job("nightly")
def nightly(home: Path) -> None:
    """Make a backup, prove that it restores, and drop old ones; what is raised makes the run `failed`."""
    recovery = RecoveryManager(home / "backups", max_age=26 * 3600)
    recovery.config_backup.add_config(home / "config.toml")
    recovery.create_backup(tags=["nightly"])
    if not recovery.drill().ok:
        sys.exit("the newest backup does not restore")
    recovery.cleanup_old_backups(keep_count=14)
    print("backup made, restored into a temporary folder, and verified")


def main() -> None:
    """Run the job in a folder of its own, and show what Prometheus will know of it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "config.toml").write_text("pair = 'BTC/USD'\n")
        nightly(home)
    registry = CollectorRegistry()
    peak_observe.register(registry)
    print(
        *(line for line in generate_latest(registry).decode().splitlines() if line.startswith("peak_job_runs")),
        sep="\n",
    )


if __name__ == "__main__":
    main()
