"""Detect that something is broken, restore the newest good backup, verify, and go on.

python examples/resilience/13_disaster_recovery.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from peak_observe import HealthCheck, RecoveryManager
from peak_observe.resilience.health import checks


def main() -> None:
    """Corrupt the configuration and recover."""
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder))


def play(home: Path) -> None:
    """Do it all in `home`."""
    config, positions = home / "config.json", home / "positions.json"
    config.write_text('{"pair": "BTC/USD", "limit": 3}')
    positions.write_text('{"BTC": 0.1}')

    recovery = RecoveryManager(home / "backups", max_age=24 * 3600)
    recovery.config_backup.add_config(config)
    recovery.data_backup.add_data_path(positions)

    health = HealthCheck()
    health.register("config", lambda: readable(config))
    health.register("positions", lambda: readable(positions))
    health.register("backup", checks.backup_freshness(recovery, max_age=24 * 3600))

    recovery.create_backup(tags=["daily"])
    report(health, "all is well")

    config.write_bytes(b"\0" * 32)  # a disk that died while the file was written
    report(health, "disaster")

    if not health.is_system_healthy():
        newest = next(backup for backup in recovery.list_backups() if backup.good)
        print(f"restoring {newest.files_count} files of {newest.created_at}")
        assert recovery.verify_backup(newest.backup_id).ok
        assert recovery.restore_backup(newest.backup_id, restore_data=True)
    report(health, "recovered")
    recovery.create_backup(description="after the recovery", tags=["recovery", "verified"])
    assert recovery.drill().ok
    print("backups:", len(recovery.list_backups()))


def readable(path: Path) -> tuple[bool, str]:
    """Check that a file is there and whole."""
    try:
        json.loads(path.read_text())
    except (OSError, ValueError) as error:
        return False, f"{path.name}: {type(error).__name__}"
    return True, f"{path.name} reads"


def report(health: HealthCheck, title: str) -> None:
    """Print what each check says."""
    print(f"{title}:")
    for name, result in health.run_all().items():
        print(f"  {'✅' if result.healthy else '❌'} {name}: {result.message}")


if __name__ == "__main__":
    main()
