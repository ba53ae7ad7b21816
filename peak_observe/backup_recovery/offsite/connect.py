"""Choice of the transport to a store by the scheme of its address."""

from __future__ import annotations

from urllib.parse import urlsplit

from peak_observe.backup_recovery.offsite.object_store import ObjectStore
from peak_observe.backup_recovery.offsite.rclone import Rclone
from peak_observe.backup_recovery.offsite.transport import Transport
from peak_observe.errors import StoreError

NATIVE = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "file")
"""Schemes of addresses that are spoken without another program."""


def connect(url: str, *, endpoint: str | None, region: str | None, retry_timeout: float) -> Transport:
    """Return the transport to an address.

    Args:
        url: `s3://bucket/prefix`, `gs://…`, `az://…`, `file:///folder`, `sftp://user@host/folder`, or
            `rclone:REMOTE:PATH` for whatever rclone is configured for.
        endpoint: Address of a provider that speaks S3.
        region: Region of the bucket.
        retry_timeout: Seconds for which a request that failed is tried again, and a small one waits for its answer.

    Raises:
        StoreError: There is no such transport.
    """
    scheme = urlsplit(url).scheme
    if scheme in NATIVE:
        return ObjectStore(url, endpoint=endpoint, region=region, retry_timeout=retry_timeout)
    if scheme in ("sftp", "rclone"):
        return Rclone(url, retry_timeout=retry_timeout)
    known = ", ".join(f"{name}://" for name in ("s3", "gs", "az", "file", "sftp"))
    raise StoreError(f"the url of the store has to begin with {known} or rclone:, not {scheme or url!r}")
