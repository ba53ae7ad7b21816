"""Transport by `obstore`: S3 and what speaks it, Google Cloud Storage, Azure, and folders."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from peak_observe.backup_recovery.offsite.libraries import library
from peak_observe.backup_recovery.offsite.record import is_ours
from peak_observe.backup_recovery.offsite.transport import NO_STORE, Found, is_large, patience
from peak_observe.backup_recovery.offsite.workers import interruptible
from peak_observe.backup_recovery.repository.permissions import FILE_MODE, FOLDER_MODE, owners_rights
from peak_observe.backup_recovery.repository.repository import sync_filesystem
from peak_observe.errors import ObjectMissingError, StoreError
from peak_observe.support.redact import redact

TIMEOUT = timedelta(minutes=15)  # of one large request: an object of 16 MiB over a slow line
CONNECT = timedelta(seconds=10)
WRONG_KEYS = "the credentials in the environment are missing, wrong or expired"
WRONG_REGION = "the bucket lies in another region, which `region` has to name"
MENDS = {
    "UnauthenticatedError": WRONG_KEYS,
    "PermissionDeniedError": "the credentials do not allow it",
    "full": "the store is full, or its quota is used up",
    **dict.fromkeys(("AccessDenied", "403"), "the credentials do not allow it"),
    "NoSuchBucket": "the bucket does not exist",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"), WRONG_KEYS),
    **dict.fromkeys(("PermanentRedirect", "AuthorizationHeaderMalformed"), WRONG_REGION),
}
"""What to do, by the class of an error, the code that a provider of S3 gives, which tells more, or the status."""
UNKNOWN = {"gs": ("endpoint", "region"), **dict.fromkeys(("az", "azure", "adl", "abfs", "abfss"), ("region",))}
"""Options that a provider has no use for, by the scheme of its addresses."""
NOT_IMPLEMENTED = "status code: 501"
_ANSWER = re.compile(r"status code: (\d{3} [A-Za-z -]+)")
_CUT_OFF = re.compile(r"#\d+$")
_CODE = re.compile(r"<Code>(\w+)</Code>")


class ObjectStore:
    """Object store, or a folder.

    Args:
        url: Its address.
        endpoint: Address of a provider that speaks S3.
        region: Region of the bucket.
        retry_timeout: Seconds for which a request that failed is tried again, and a small one waits for its answer.

    Raises:
        StoreError: The address is invalid.
    """

    def __init__(self, url: str, *, endpoint: str | None, region: str | None, retry_timeout: float) -> None:
        self._obstore = library("obstore")
        self._errors = library("obstore.exceptions")
        self._conditional = True
        self._made: set[Path] = set()
        self._url = url
        self._folder = _folder(url) if urlsplit(url).scheme == "file" else None
        with self._told("open the store", url):
            # The library has no limit that a slow upload outlives and a silent server does not.
            soon = timedelta(seconds=patience(retry_timeout))
            self._large, self._store = (
                self._opened(url, endpoint, region, (retry_timeout, limit)) for limit in (TIMEOUT, soon)
            )

    def _opened(self, url: str, endpoint: str | None, region: str | None, limits: tuple[float, timedelta]) -> Any:
        stores = library("obstore.store")
        if self._folder is not None:
            if not self._folder.is_dir():  # made here, it would hide that a disk is not mounted
                raise ObjectMissingError(f"there is no folder {self._folder}: {NO_STORE}")
            self._modes = _modes(self._folder.stat().st_mode)
            return stores.LocalStore(self._folder)
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise StoreError("the url of the store must hold no credentials: they come from the environment")
        config = {key: value for key, value in (("endpoint", endpoint), ("region", region)) if value}
        for option in config.keys() & UNKNOWN.get(parts.scheme, ()):
            raise StoreError(f"{option} means nothing to {parts.scheme}://: leave it out")
        if parts.scheme in ("s3", "s3a"):
            config["checksum_algorithm"] = "SHA256"  # a bucket with object lock takes nothing without one
        options: dict[str, Any] = {"timeout": limits[1], "connect_timeout": CONNECT}
        if (endpoint or "").startswith("http://"):
            options["allow_http"] = True
        retry = {"max_retries": 10, "retry_timeout": timedelta(seconds=limits[0])}
        return stores.from_url(url, config=config or None, client_options=options, retry_config=retry)

    def put(self, name: str, content: bytes, *, new: bool = False) -> None:
        """Write an object; where `new` and it is there, that one stays if the store can do so."""
        with self._told("write", name):
            if not (new and self._conditional and self._is_created(name, content)):
                self._put(name, content, mode="overwrite")

    def _is_created(self, name: str, content: bytes) -> bool:
        """Write an object that is new, and return whether it is there now."""
        try:
            self._put(name, content, mode="create")
        except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
            return self.stat(name) is not None  # of two writers at once both may have been refused
        except (self._errors.NotSupportedError, NotImplementedError):
            self._conditional = False
        except self._errors.BaseError as error:
            if NOT_IMPLEMENTED not in str(error):
                raise
            self._conditional = False  # the same name is the same content, so that nothing is lost by it
        return self._conditional

    def _put(self, name: str, content: bytes, *, mode: str) -> None:
        path = None if self._folder is None else self._folder / name
        if path is not None:
            self._make(path.parent)
        # In parts it would be no longer one request that is there or not.
        store = self._of(name)
        interruptible(lambda: self._obstore.put(store, name, content, mode=mode, use_multipart=False))
        if path is not None:
            path.chmod(self._modes[1])  # the library leaves it to the umask

    def _make(self, folder: Path) -> None:
        """Make a folder of the store with those above it, whatever the umask."""
        if folder == self._folder or folder in self._made:
            return
        self._make(folder.parent)
        folder.mkdir(FOLDER_MODE, exist_ok=True)
        with suppress(PermissionError):  # another user's
            if stat.S_IMODE(folder.stat().st_mode) != self._modes[0]:
                folder.chmod(self._modes[0])
        self._made.add(folder)

    def get(self, name: str) -> bytes:
        """Return the content of an object."""
        with self._told("read", name):
            return interruptible(lambda: bytes(self._obstore.get(self._of(name), name).bytes()))

    def _of(self, name: str) -> Any:
        """Return the library's store with the time limit for the content of an object."""
        return self._large if is_large(name) else self._store

    def list(self, prefix: str) -> Iterator[Found]:
        """Yield all objects below a prefix."""
        pages = iter(self._obstore.list(self._store, prefix.rstrip("/")))
        last = None
        while True:
            with self._told("list", prefix):
                page = interruptible(lambda: next(pages, None))
            if not page:
                return
            if page[-1]["path"] == last:  # which would have no end
                raise StoreError(f"cannot list {prefix}: the store gives the same page again and again")
            last = page[-1]["path"]
            yield from (Found(item["path"], item["size"], item["last_modified"]) for item in page)

    def stat(self, name: str) -> Found | None:
        """Return what a listing tells of one object."""
        try:
            with self._told("look at", name):
                item = interruptible(lambda: self._obstore.head(self._store, name))
        except ObjectMissingError:
            return None
        return Found(name, item["size"], item["last_modified"])

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; those that are gone already count as removed."""
        wanted = list(names)
        if wanted and self._folder is None:
            try:
                with self._told("remove", wanted[0]):
                    interruptible(
                        lambda: self._obstore.delete(self._store, wanted)
                    )  # one request for many, where the provider has one
            except ObjectMissingError:
                pass  # others of them may still be there
            else:
                return
        for name in wanted:
            with suppress(ObjectMissingError), self._told("remove", name):
                interruptible(partial(self._obstore.delete, self._store, name))

    def flush(self) -> None:
        """Return when all that was written outlives a power cut: a provider says so itself, a folder is synced."""
        if self._folder is not None:
            with self._told("sync", ""):
                sync_filesystem(self._folder)

    def clear(self) -> None:
        """Remove what writes that were cut off have left: in a folder the library writes to NAME#1 first."""
        if self._folder is not None:
            with self._told("remove what was cut off", ""):
                for where, _, names in os.walk(self._folder):
                    for name in names:
                        path = Path(where, name)
                        if is_ours(_CUT_OFF.sub("", path.relative_to(self._folder).as_posix())) and "#" in name:
                            path.unlink(missing_ok=True)

    @contextmanager
    def _told(self, doing: str, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StoreError(f"the bucket of {self._url} does not exist: make it first, or mend the url") from None
            raise ObjectMissingError(f"the store has no {name or 'such folder'}") from None
        except (self._errors.BaseError, OSError, ValueError) as error:
            raise StoreError(f"cannot {doing} {name}".rstrip() + f": {reason(error)}") from None


def _modes(mode: int) -> tuple[int, int]:
    """Return the modes of folders and files in a store: for their owner, and a group that may write into its folder."""
    if mode & stat.S_IWGRP:
        return FOLDER_MODE | stat.S_IRWXG | (mode & stat.S_ISGID), FILE_MODE | stat.S_IRGRP | stat.S_IWGRP
    return FOLDER_MODE, FILE_MODE


def reason(error: Exception) -> str:
    """Return in a line why a request failed, without secrets."""
    text = " ".join(line for line in str(error).partition("\nDebug source")[0].split("\n") if line.strip())
    full = any(sign in text for sign in ("os error 28", "os error 122", "Quota", "StorageFull", "status code: 507"))
    code, answer = _CODE.search(text), _ANSWER.search(text)
    signs = ("full" if full else "", code[1] if code else "", type(error).__name__, answer[1][:3] if answer else "")
    mend = next((MENDS[sign] for sign in signs if sign in MENDS), "")
    if "Received redirect without LOCATION" in text:  # as the look-up of one object, whose answer has no text
        text = WRONG_REGION
    if answer:
        text = f"{answer[1]} ({code[1]})" if code else answer[1]
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return redact(f"{mend}: {text}" if mend else text)


@owners_rights()
def make_folder(url: str) -> None:
    """Make the folder of a new store where its address is that of one.

    Raises:
        StoreError: It cannot be made.
    """
    if urlsplit(url).scheme != "file":
        return
    folder = _folder(url)
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise StoreError(f"the folder {folder} cannot be made: {getattr(error, 'strerror', None) or error}") from None


def _folder(url: str) -> Path:
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not os.path.isabs(path):
        raise StoreError(f"{url!r} has to name a folder by its absolute path: file:///mnt/nas")
    return Path(path)
