"""TOML table `[backup.offsite]`, with `[backup.offsite.keep]` for retention in the store."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from peak_observe.backup_recovery.create.sources import checked_path
from peak_observe.backup_recovery.offsite.record import checked_host
from peak_observe.errors import ConfigError
from peak_observe.support import toml
from peak_observe.support.addresses import problem_of
from peak_observe.support.durations import seconds
from peak_observe.support.shown import shown

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "file", "sftp", "rclone")
SIZES = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMG]i?B|B)?(?:/s)?")
KEYS = {
    "url": str,
    "recipients": toml.TEXTS,
    "endpoint": str,
    "region": str,
    "host": str,
    "max_age": toml.DURATION,
    "bandwidth": toml.RATE,
    "retry_timeout": toml.DURATION,
    "key_file": Path,
    "keep": toml.TABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsiteSettings:
    """Settings of an off-site store; see `OffsiteStore`.

    Args:
        url: Its address.
        recipients: Public keys of age.
        endpoint: Address of a provider that speaks S3.
        region: Region of the bucket.
        host: The name under which the backups of this host are kept.
        max_age: Seconds that the newest backup in the store may be old.
        bandwidth: Bytes a second.
        retry_timeout: Seconds for which a request that failed is tried again, and a small one waits for its answer.
        key_file: Where the store's key is kept.
    """

    url: str
    recipients: tuple[str, ...] = ()
    endpoint: str | None = None
    region: str | None = None
    host: str | None = None
    max_age: float | None = None
    bandwidth: float | None = None
    retry_timeout: float = 180.0
    key_file: Path | None = None

    def options(self) -> dict[str, Any]:
        """Return all but the address, as `OffsiteStore` takes it."""
        return {field: getattr(self, field) for field in self.__slots__ if field != "url"}


def read(path: Path, backup: Mapping[str, Any]) -> OffsiteSettings:
    """Return what the table `[backup.offsite]` says; paths in it are relative to the file's folder.

    Args:
        path: The file.
        backup: The table `[backup]`, whose `max_age` counts for the store too if that has none of its own.

    Raises:
        ConfigError: Something in it is invalid.
    """
    table = backup["offsite"]
    toml.check(path, "backup.offsite", table, KEYS, needed=("url",))
    given: dict[str, Any] = {key: backup[key] for key in ("max_age",) if key in backup}
    given |= {key: value for key, value in table.items() if key != "keep"}
    makers: dict[str, Any] = {"max_age": seconds, "retry_timeout": seconds, "bandwidth": rate}
    makers |= {"host": checked_host, "endpoint": endpoint_of, "url": url_of, "region": region_of}
    makers |= {"recipients": recipients_of, "key_file": checked_path}
    for key, make in makers.items():
        if key in given:
            given[key] = _checked(path, key, make, given[key])
    if "key_file" in given:
        given["key_file"] = toml.resolved(path, given["key_file"])
    return OffsiteSettings(**given)


def of_file(path: Path) -> tuple[OffsiteSettings, Path, str | None]:
    """Return what a TOML file says of the store, the repository and its label.

    Raises:
        ConfigError: Something in it is invalid, or it has no table `[backup.offsite]`.
    """
    table = toml.table(path, "backup")
    if not isinstance(table.get("offsite"), dict):
        raise ConfigError(str(path), "", "there is no table [backup.offsite]")
    return read(path, table), toml.resolved(path, table.get("repository", "backups")), table.get("name")


def rate(value: float | str) -> float:
    """Return bytes a second, which may be written as `500 KiB/s` or `2MB`.

    Raises:
        ValueError: It is no such rate.
    """
    match = _RATE.fullmatch(str(value).strip())
    found = float(match[1]) * SIZES[match[2] or ""] if match else 0.0
    if not 0 < found < math.inf:
        raise ValueError(f"it has to be bytes a second, or a rate like '500KiB/s' or '2MB/s', not {shown(value)}")
    return found


def endpoint_of(value: str) -> str:
    """Return the address of a provider.

    Raises:
        ValueError: It is no such address, or holds a password.
    """
    if problem := problem_of(value):
        text = "it has to be an address such as https://s3.example.com, without user and password"
        raise ValueError(f"{text}; {problem}")
    return value


def url_of(value: str) -> str:
    """Return the address of a store.

    Raises:
        ValueError: It is none that can be reached.
    """
    with suppress(ValueError):  # of an address of IPv6
        if urlsplit(value).scheme in SCHEMES and value.isprintable() and value.partition(":")[2].strip("/ "):
            return value
    known = "s3://bucket/bot, gs://…, az://…, file:///mnt/nas, sftp://user@host/folder or rclone:REMOTE:PATH"
    raise ValueError(f"it has to be an address such as {known}, not {shown(value)}")


def region_of(value: str) -> str:
    """Return the name of a region.

    Raises:
        ValueError: It is empty.
    """
    if not value.strip():
        raise ValueError(f"it has to be the name of a region, such as 'us-east-1', or be left out, not {shown(value)}")
    return value


def recipients_of(value: str | Iterable[str]) -> tuple[str, ...]:
    """Return public keys, of which one may stand alone.

    Raises:
        ValueError: One of them is empty.
    """
    found = (value,) if isinstance(value, str) else tuple(value)
    if not all(text.strip() for text in found):
        raise ValueError(f"it has to be public keys of age, such as 'age1…', not {shown(value)}")
    return found


def check_amounts(**amounts: object) -> None:
    """Check numbers that may be missing.

    Raises:
        ValueError: One is no number above 0.
    """
    for key, value in amounts.items():
        amount = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
        if value is not None and not amount:
            raise ValueError(f"{key} must be a number above 0, not {shown(value)}")


def _checked(path: Path, key: str, make: Any, value: Any) -> Any:
    try:
        return make(value)
    except (ValueError, OverflowError) as error:
        raise ConfigError(str(path), f"backup.offsite.{key}", str(error)) from None
