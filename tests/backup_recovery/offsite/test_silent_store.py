"""A store that takes connections and never answers: the error comes when `retry_timeout` has passed, not much later."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from peak_observe.backup_recovery.offsite import transport
from peak_observe.errors import StoreError

from .servers import CREDENTIALS


@pytest.fixture
def silent(monkeypatch) -> Iterator[str]:
    """Return the address of a server that never answers, which is waited for as long as the settings say."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(transport, "LEAST_PATIENCE", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scheme", ["s3", "sftp"])
@pytest.mark.parametrize("do", ["push", "backups"])
def test_silent_store_holds_no_command(away, silent, monkeypatch, scheme: str, do: str) -> None:
    """Each begins with a request that moves little."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    away.manager.create_backup()
    begun = time.monotonic()
    with pytest.raises(StoreError):
        getattr(_opened(away, scheme, silent), do)()
    assert time.monotonic() - begun < 30


def _opened(away, scheme: str, address: str):
    from peak_observe.backup_recovery.offsite.offsite import OffsiteStore

    given = {"recipients": [away.recipient], "repository": away.manager.backup_root, "key_file": away.store.key_file}
    if scheme == "s3":
        reach = {"endpoint": f"http://{address}", "region": "us-east-1"}
        return OffsiteStore("s3://bucket/bot", retry_timeout=2.0, **reach, **given)
    return OffsiteStore(f"sftp://user@{address}/bot", retry_timeout=2.0, **given)


@pytest.mark.parametrize(
    ("name", "large"), [("store.json", False), ("leases/ab", False), ("objects/ab/cd", True), ("manifests/a/b", True)]
)
def test_what_may_be_slow_is_not_cut(name: str, large: bool) -> None:
    """Content that moves slowly has the time that it needs."""
    assert transport.is_large(name) is large
