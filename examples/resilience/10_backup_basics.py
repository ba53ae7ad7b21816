"""Make backups, list them, look what changed, restore, and keep what a policy keeps.

python examples/resilience/10_backup_basics.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from peak_observe import BackupStatus, RecoveryManager, RetentionPolicy


def main() -> None:
    """Lose a file and get it back."""
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder))


def play(home: Path) -> None:
    """Do it all in `home`."""
    config, trades = home / "config.toml", home / "data" / "trades.csv"
    trades.parent.mkdir()
    config.write_text("pair = 'BTC/USD'\n")
    trades.write_text("2026-01-05T03:00:00Z,buy,0.1,64000\n")

    recovery = RecoveryManager(home / "backups", max_age=24 * 3600)
    recovery.config_backup.add_config(config)
    recovery.data_backup.add_data_path(trades.parent)
    recovery.state_snapshot.register_provider("bot", lambda: {"open_orders": 2})

    first = recovery.create_backup(description="before the update", tags=["daily"])
    trades.write_text(trades.read_text() + "2026-01-05T04:00:00Z,sell,0.1,64500\n")
    second = recovery.create_backup(description="after the update", tags=["daily", "release"])

    for backup in recovery.list_backups():
        print(f"{backup.status.value}: {backup.files_count} files, {backup.size_bytes} bytes, {backup.description}")
    assert all(backup.status is BackupStatus.SUCCESS for backup in recovery.list_backups(tags=["daily"]))

    config.unlink()
    print("lost:", config.name)
    plan = recovery.restore(second, data=True, dry_run=True).plan
    print(
        f"a restore would bring back {len(plan.new)} file, replace {len(plan.replaced)}, leave {len(plan.same)} as is"
    )
    assert recovery.restore_backup(second, restore_data=True)
    print("restored:", config.read_text().strip())

    print("verified:", recovery.verify_backup(first).ok, "and a drill restored the newest:", recovery.drill().ok)
    kept = recovery.prune(RetentionPolicy(last=1, keep_tags=["release"])).keep
    print("kept:", [entry.backup.description for entry in kept])


if __name__ == "__main__":
    main()
