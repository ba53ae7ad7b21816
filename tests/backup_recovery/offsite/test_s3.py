"""An off-site store on S3: moto's server, alone and behind one that fails."""

import base64
import json
import logging
from collections.abc import Iterator

import pytest

from peak_observe.backup_recovery import RetentionPolicy
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
from peak_observe.errors import BackupError, StoreError

from .conftest import Away, random_bytes
from .servers import CREDENTIALS, Faulty, bucket, moto, request


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """Return the address of moto's server."""
    with moto() as address:
        yield address


class Bucket:
    """A bucket of one test, and the store in it."""

    def __init__(self, away: Away, address: str, name: str) -> None:
        self.away = away
        self.address = address
        self.name = name
        self.store = self.opened()
        self.store.init()

    def opened(self, **options) -> OffsiteStore:
        """Return the store as another process would open it."""
        given = {
            "recipients": [self.away.recipient],
            "repository": self.away.manager.backup_root,
            "host": "bot1",
            "endpoint": self.address,
            "region": "us-east-1",
            "retry_timeout": 1.0,
            **options,
        }
        return OffsiteStore(f"s3://{self.name}/some/prefix", **given)


@pytest.fixture
def made(away, s3, monkeypatch, tmp_path) -> Bucket:
    """Return a bucket with a store in it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return Bucket(away, s3, bucket(s3, f"b{abs(hash(tmp_path))}"))


def test_backup_comes_back(made, tmp_path) -> None:
    """Init, push, list, verify, drill, restore and prune work on S3 as in a folder."""
    (made.away.program.data / "big.bin").write_bytes(random_bytes(20 << 20))
    made.store.push(made.away.manager.create_backup())
    made.away.program.write(made.away.program.data / "more.csv", "more")
    made.store.push(made.away.manager.create_backup())
    store = made.opened()
    assert [report.ok for report in store.verify(all_=True, identity=made.away.identity)] == [True, True]
    assert store.drill(identity=made.away.identity).ok
    store.restore(identity=made.away.identity, restore_to=tmp_path / "out")
    assert (tmp_path / "out" / "data" / "data" / "more.csv").read_text() == "more"
    assert len(store.prune(RetentionPolicy(last=1)).by_host["bot1"].remove) == 1
    assert len(store.backups()[0]) == 1


def test_all_is_below_the_prefix(made) -> None:
    """Nothing is written beside the prefix of the address."""
    made.store.push(made.away.manager.create_backup())
    _, text = request(made.address, "GET", f"/{made.name}?list-type=2")
    keys = [part.partition("</Key>")[0] for part in text.decode().split("<Key>")[1:]]
    assert keys
    assert all(key.startswith("some/prefix/") for key in keys)


@pytest.fixture
def faulty(made) -> Iterator[Faulty]:
    """Return a server in front of moto that fails when it is told to."""
    server = Faulty(made.address)
    yield server
    server.close()


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "InvalidAccessKeyId", "credentials in the environment are missing, wrong or expired: 401 Unauthorized"),
        (403, "AccessDenied", r"the credentials do not allow it: 403 Forbidden \(AccessDenied\)"),
        (403, "RequestTimeTooSkewed", r"the clock of this machine is wrong: 403 Forbidden \(RequestTimeTooSkewed\)"),
        (403, "SignatureDoesNotMatch", "credentials in the environment are missing, wrong or expired: 403 Forbidden"),
        (301, "PermanentRedirect", "the bucket lies in another region, which `region` has to name$"),
        (400, "AuthorizationHeaderMalformed", "the bucket lies in another region, .* 400 Bad Request"),
        (404, "NoSuchBucket", r"the bucket of s3://b\d+/some/prefix does not exist: make it first"),
        (404, "NoSuchKey", "there is no store at this address: "),
        (500, "InternalError", r"500 Internal Server Error \(InternalError\)"),
        (503, "SlowDown", r"503 Service Unavailable \(SlowDown\)"),
        (507, "StorageFull", "the store is full, or its quota is used up: 507"),
    ],
)
def test_refusal_is_one_clear_line(made, faulty, status: int, code: str, message: str) -> None:
    """Each answer of the provider has its words; nothing is half stored, and no credential is shown."""
    made.away.manager.create_backup()
    faulty.always = status, code
    with pytest.raises(StoreError, match=message) as error:
        made.opened(endpoint=faulty.address).push()
    assert "\n" not in str(error.value)
    assert not [secret for secret in CREDENTIALS.values() if secret in str(error.value)]
    assert made.store.backups() == ([], [])


def test_listing_without_an_end_is_told(made, faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that gives one page again and again would be listened to for ever."""
    page = (
        b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>'
        b"<NextContinuationToken>t</NextContinuationToken><Contents><Key>some/prefix/backups/x</Key>"
        b"<LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>5</Size></Contents></ListBucketResult>"
    )
    listing = {"Content-Type": "application/xml"}
    monkeypatch.setattr(faulty, "chosen", lambda _, path: (200, listing, page) if "list-type" in path else None)
    with pytest.raises(StoreError, match="cannot list backups/: the store gives the same page again and again"):
        list(made.opened(endpoint=faulty.address)._transport.list("backups/"))


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (503, "SlowDown")])
def test_passing_trouble_is_tried_again(made, faulty, status: int, code: str) -> None:
    """A provider that is slow for a moment costs time and nothing else."""
    faulty.answers = [(status, code)] * 2
    made.opened(endpoint=faulty.address, retry_timeout=30.0).push(made.away.manager.create_backup())
    assert faulty.answers == []
    assert made.store.verify(identity=made.away.identity)[0].ok


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (507, "StorageFull")])
def test_refused_object_leaves_no_backup(made, faulty, status: int, code: str) -> None:
    """A store that fills up in the middle keeps what was there, and the next push succeeds."""
    faulty.always, faulty.only = (status, code), ("PUT", "/objects/")
    made.away.manager.create_backup()
    with pytest.raises(StoreError, match="cannot write objects/"):
        made.opened(endpoint=faulty.address).push()
    assert made.store.backups() == ([], [])
    faulty.always = None
    assert made.opened(endpoint=faulty.address).push().objects == 1


def test_store_without_conditional_writes(made, faulty) -> None:
    """A provider that does not know `If-None-Match` says 501, and is written to without it."""
    faulty.answers, faulty.only = [(501, "NotImplemented")] * 50, ("PUT", "/objects/")
    made.away.manager.create_backup()
    store = made.opened(endpoint=faulty.address)
    original = store._transport._inner._put

    def unconditional(name, content, *, mode):
        if mode == "overwrite":
            faulty.answers = []
        original(name, content, mode=mode)

    store._transport._inner._put = unconditional
    assert store.push().objects == 1
    assert made.store.verify(identity=made.away.identity)[0].ok


def test_credentials_that_can_only_add(made, faulty) -> None:
    """Push needs no right to remove anything: what it cannot remove expires, and prune clears it elsewhere."""
    faulty.always, faulty.only = (403, "AccessDenied"), ("POST", "delete")
    store = made.opened(endpoint=faulty.address)
    store.push(made.away.manager.create_backup())
    made.away.program.write(made.away.program.data / "more.csv", "more")
    store.push(made.away.manager.create_backup())
    assert [report.ok for report in made.store.verify(all_=True, identity=made.away.identity)] == [True, True]
    with pytest.raises(BackupError, match="the credentials do not allow it"):
        store.prune(RetentionPolicy(last=1))
    assert len(made.store.prune(RetentionPolicy(last=1)).by_host["bot1"].remove) == 1


def test_push_removes_and_overwrites_no_object(made, faulty) -> None:
    """Of content, manifests, indexes and records nothing that is there is written again, whoever holds the key."""
    store = made.opened(endpoint=faulty.address)
    for _ in range(3):
        store.push(made.away.manager.create_backup())
    written = [path for method, path in faulty.seen if method == "PUT" and "/leases/" not in path]
    assert written
    assert len(written) == len(set(written))
    assert sum(method in {"POST", "DELETE"} for method, _ in faulty.seen) == 3  # the leases of three pushes


@pytest.fixture
def locked(away, s3, monkeypatch) -> Iterator[Bucket]:
    """Return a bucket with object lock, with a store in it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    front = Faulty(s3)
    yield Bucket(away, front.address, bucket(s3, "locked", lock=True))
    front.close()


def test_object_lock_brings_removed_backups_back(away, s3, locked) -> None:
    """In a bucket with object lock a thief who removes everything hides it only: the versions are still there."""
    locked.store.push(away.manager.create_backup())
    keys = [found.name for found in locked.store._transport.list("objects/")]
    locked.store._transport.delete(keys)
    assert not locked.store.verify()[0].ok
    _, text = request(s3, "GET", "/locked?versions&prefix=some/prefix/objects/")
    versions = text.decode().split("<Version>")[1:]
    assert len(versions) == len(keys)
    for marker in text.decode().split("<DeleteMarker>")[1:]:
        key, version = (marker.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0] for tag in ("Key", "VersionId"))
        assert request(s3, "DELETE", f"/locked/{key}?versionId={version}")[0] == 204
    assert locked.opened().drill(identity=away.identity).ok
    key, version = (versions[0].partition(f"<{tag}>")[2].partition(f"</{tag}>")[0] for tag in ("Key", "VersionId"))
    assert request(s3, "DELETE", f"/locked/{key}?versionId={version}")[0] == 403


def test_no_credential_is_told_anywhere(made, faulty, caplog) -> None:
    """Credentials are in no log line, file of ours, name or request's path."""
    caplog.set_level(logging.DEBUG)
    made.store.push(made.away.manager.create_backup())
    faulty.always = 403, "AccessDenied"
    with pytest.raises(StoreError):
        made.opened(endpoint=faulty.address).push()
    own = made.away.manager.backup_root / ".peak-observe"
    texts = [caplog.text, *map(str, faulty.seen), *(path.read_text() for path in own.iterdir() if path.is_file())]
    secret = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    for form in (secret, base64.b64encode(secret.encode()).decode(), json.dumps(secret)):
        assert not [text for text in texts if form in text]
