"""Push, list, verify, prune, restore and drill of an off-site store in a folder."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from peak_observe.backup_recovery import RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.offsite import leases
from peak_observe.backup_recovery.offsite import push as pushing
from peak_observe.backup_recovery.offsite.leases import Lease
from peak_observe.backup_recovery.offsite.offsite import OffsiteStore
from peak_observe.clock import SYSTEM_CLOCK
from peak_observe.errors import BackupCorruptError, BackupError, BackupNotFoundError, StoreError, WrongKeyError

from ..conftest import picture
from .conftest import Away, new_key, random_bytes

SECRETS = (b"BTC", b"positions", b"config.toml", b"64000", b"trades")


def test_backup_comes_back_from_the_store_alone(away, tmp_path) -> None:
    """With the machine gone, store and private key bring back every file, link, mode and time."""
    away.pushed()
    away.manager.restore(away.store.push().backup_id, data=True, restore_to=tmp_path / "local")
    shutil.rmtree(away.manager.backup_root)
    target = away.folder / "back"
    fresh = OffsiteStore(away.store.url, repository=tmp_path / "nothing", host="other")
    fresh.restore(identity=away.identity, restore_to=target)
    assert picture(target) == picture(tmp_path / "local")
    assert not (tmp_path / "nothing").exists()


def test_nothing_leaves_unencrypted(away) -> None:
    """No object, name or record shows content, a name of a file, or a path."""
    away.pushed()
    stored = b"".join(path.read_bytes() for path in away.place.rglob("*") if path.is_file())
    assert not [word for word in SECRETS if word in stored or word.decode() in " ".join(away.names())]
    assert away.store.key_file.read_text().split('"')[7].encode() not in stored


def test_state_comes_back(away, tmp_path) -> None:
    """The state of the program is part of what is restored."""
    away.pushed()
    report = away.store.restore(identity=away.identity, restore_to=tmp_path / "back", state=True)
    assert report.state["providers"]["bot"] == {"orders": 2}


def test_second_push_sends_nothing(away) -> None:
    """A backup that is there costs a few requests, whatever the number of its files."""
    first = away.pushed()
    store = away.opened()
    again = store.push()
    assert (again.backup_id, again.was_there, again.sent_bytes) == (first.backup_id, True, 0)
    assert store._transport.requests == 5


def test_requests_do_not_grow_with_files(away) -> None:
    """A new backup of files that did not change costs as many requests with 1,000 more of them."""
    requests = []
    for count in (10, 1000):
        for number in range(count):
            away.program.write(away.program.data / f"{count}" / f"{number}.csv", f"{count}{number}")
        away.pushed()
        away.manager.create_backup()
        store = away.opened()
        report = store.push()
        assert not report.new_bytes or report.new_bytes < 1000  # the state tells the time
        requests.append(store._transport.requests)
    assert requests[1] - requests[0] <= 2


def test_only_what_changed_is_sent(away) -> None:
    """Of a large file that changed in the middle the chunk around it is sent."""
    content = random_bytes(24 << 20)
    (away.program.data / "big.db").write_bytes(content)
    assert away.pushed().new_bytes > 24 << 20
    (away.program.data / "big.db").write_bytes(content[: 9 << 20] + b"x" + content[9 << 20 :])
    assert away.pushed().new_bytes < 9 << 20
    target = away.restored()
    assert (target / "data" / "data" / "big.db").read_bytes()[9 << 20 : (9 << 20) + 1] == b"x"


def test_indexes_are_read_once(away) -> None:
    """Each push reads the indexes that others have written since, and not all there ever were."""
    for number in range(3):
        away.program.write(away.program.data / f"{number}.csv", f"{number}")
        away.pushed()
    store = away.opened()
    read = []
    get = store._transport.get
    store._transport.get = lambda name: read.append(name) or get(name)
    store.push(away.manager.create_backup())
    assert len([name for name in read if name.startswith("indexes/")]) <= 1


def test_damaged_cache_is_read_again(away) -> None:
    """A cached index that is not what was written is taken from the store."""
    away.pushed()
    away.pushed()
    for path in away.manager.backup_root.glob(".peak-observe/offsite-*/*"):
        path.write_bytes(b"x")
    assert away.store.push(away.manager.create_backup()).new_bytes < 1000


def test_rename_sends_nothing(away) -> None:
    """Content that is there under another name is not sent again."""
    (away.program.data / "a.bin").write_bytes(random_bytes(1 << 20))
    away.pushed()
    (away.program.data / "a.bin").rename(away.program.data / "b.bin")
    assert away.pushed().new_bytes < 1000


def test_hosts_of_one_key_share_content(away, tmp_path) -> None:
    """A second host that joined with the private key sends nothing that the first has sent."""
    (away.program.data / "shared.bin").write_bytes(random_bytes(1 << 20))
    away.pushed()
    second = RecoveryManager(tmp_path / "second")
    second.data_backup.add_data_path(away.program.data)
    second.create_backup()
    store = away.opened(repository=tmp_path / "second", host="bot2")
    store.init(identity=away.identity)
    assert store.push().new_bytes < 1000
    assert {item.host for item in store.backups()[0]} == {"bot1", "bot2"}


def test_incremental_backup_takes_its_base_along(away) -> None:
    """What an incremental backup is based on is pushed before it, and restored with it."""
    away.manager.create_backup()
    away.program.write(away.program.trades / "9.csv", "9,1\n")
    made = away.manager.create_backup(incremental=True)
    assert away.manager.get_backup(made).base
    away.store.push(made)
    target = away.restored()
    assert len(list((target / "data" / "data" / "trades").iterdir())) == 4


def test_interrupted_push_goes_on(away, monkeypatch) -> None:
    """What was sent before the break is not sent again, and until the end no backup is there."""
    monkeypatch.setattr(pushing, "BUNDLE", 1 << 20)
    for number in range(8):
        (away.program.data / f"{number}.bin").write_bytes(random_bytes(1 << 20))
    made = away.manager.create_backup()
    before = away.store._transport._inner.put
    monkeypatch.setattr(away.store._transport._inner, "put", _failing_after(6, before))
    with pytest.raises(StoreError, match="the line is cut"):
        away.store.push(made)
    assert away.store.backups() == ([], [])
    sent = len(away.objects())
    assert sent
    report = away.opened().push(made)
    assert report.objects - sent < report.objects
    assert away.opened().verify(identity=away.identity)[0].ok
    assert report.sent_bytes < report.size_bytes


def _failing_after(count: int, put):
    left = [count]

    def failing(name, content, *, new=False):
        left[0] -= 1
        if left[0] < 0 and name.startswith("objects/"):
            raise StoreError("the line is cut")
        put(name, content, new=new)

    return failing


def test_corrupt_backup_is_not_pushed(away) -> None:
    """Damage on this disk does not spread: the file is named, and no record appears."""
    made = away.manager.create_backup()
    stored = away.manager.backup_root / made / "data" / "data" / "positions.csv"
    stored.chmod(0o600)
    stored.write_text("BTC,2\n")
    with pytest.raises(BackupCorruptError, match=r"positions\.csv: its content has changed"):
        away.store.push(made)
    assert away.store.backups() == ([], [])


def test_nothing_good_to_push(away) -> None:
    """An empty repository is one clear error."""
    with pytest.raises(BackupNotFoundError, match="has succeeded"):
        away.store.push()


def test_two_pushes_at_once(away, tmp_path) -> None:
    """Two hosts push at the same time, and both backups are whole."""
    (away.program.data / "shared.bin").write_bytes(random_bytes(4 << 20))
    second = RecoveryManager(tmp_path / "second")
    second.data_backup.add_data_path(away.program.data)
    second.create_backup()
    away.manager.create_backup()
    other = away.opened(repository=tmp_path / "second", host="bot2")
    other.init(identity=away.identity)
    threads = [threading.Thread(target=store.push) for store in (away.store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reports = away.opened().verify(all_=True, identity=away.identity)
    assert [(report.host, report.ok) for report in sorted(reports, key=lambda item: item.host)] == [
        ("bot1", True),
        ("bot2", True),
    ]


def test_list_needs_no_private_key(away) -> None:
    """The host that pushes sees what there is, with its own key to the store."""
    made = away.pushed().backup_id
    (item,), bad = away.store.backups()
    assert (item.host, item.backup.backup_id, item.backup.good, bad) == ("bot1", made, True, [])


def test_pushing_host_reads_no_content(away) -> None:
    """The key on the host does not open objects."""
    away.pushed()
    store = away.store._store()
    name = next(iter(store.present()))
    with pytest.raises(BackupError, match="give --identity FILE"):
        store.object(bytes.fromhex(name))


def test_wrong_key_is_one_clear_line(away, tmp_path) -> None:
    """A private key that is not a recipient's is told at once, and nothing is written."""
    away.pushed()
    wrong, _ = new_key(tmp_path / "wrong.txt")
    for act in (
        lambda: away.store.restore(identity=wrong, restore_to=tmp_path / "x"),
        lambda: away.store.drill(identity=wrong),
        lambda: away.store.verify(identity=wrong),
    ):
        with pytest.raises(WrongKeyError, match="the private key does not open this store"):
            act()
    assert not (tmp_path / "x").exists()


def test_drill_proves_every_byte_and_leaves_nothing(away, tmp_path) -> None:
    """A drill tells what it has read, notes the time, and removes its folder."""
    away.pushed()
    place = tmp_path / "place"
    place.mkdir()
    report = away.store.drill(identity=away.identity, folder=place)
    assert (report.ok, report.files) == (True, 6)
    assert list(place.iterdir()) == []
    assert away.store._status.read().last_drill > 0


def test_retention_is_host_by_host(away, tmp_path) -> None:
    """One host's many backups do not push out those of another."""
    away.pushed()
    second = RecoveryManager(tmp_path / "second")
    second.data_backup.add_data_path(away.program.data)
    other = away.opened(repository=tmp_path / "second", host="bot2")
    other.init(identity=away.identity)
    for _ in range(3):
        other.push(second.create_backup())
    report = away.store.prune(RetentionPolicy(last=1))
    assert {host: len(selection.remove) for host, selection in report.by_host.items()} == {"bot1": 0, "bot2": 2}
    assert {item.host for item in away.store.backups()[0]} == {"bot1", "bot2"}


def test_prune_removes_what_nobody_needs(away) -> None:
    """Objects, manifests and indexes of backups that are gone are gone too; what stays is whole."""
    (away.program.data / "old.bin").write_bytes(random_bytes(1 << 20))
    away.pushed()
    (away.program.data / "old.bin").unlink()
    away.pushed()
    away.pushed()
    before = len(away.objects())
    dry = away.store.prune(RetentionPolicy(last=1), dry_run=True)
    assert (len(dry.by_host["bot1"].remove), len(away.objects())) == (2, before)
    report = away.store.prune(RetentionPolicy(last=1))
    assert report.freed_bytes > 1 << 20
    assert {name.split("/")[0] for name in away.names()} == {
        "backups", "indexes", "keys", "manifests", "objects", "store.json",
    }  # fmt: skip
    assert len([name for name in away.names() if name.startswith(("manifests", "indexes"))]) == 2
    assert away.store.verify(all_=True, identity=away.identity)[0].ok
    assert away.pushed().new_bytes < 1 << 20


def test_prune_gives_way_to_a_push(away) -> None:
    """While a push is under way nothing is removed."""
    away.pushed()
    away.pushed()
    lease = Lease(away.store._transport, SYSTEM_CLOCK, "bot9")
    lease.take()
    with pytest.raises(
        BackupError, match=r"a push is under way: nothing was removed; .* or after .* UTC if it was killed"
    ):
        away.store.prune(RetentionPolicy(last=1))
    lease.end()
    assert len(away.store.prune(RetentionPolicy(last=1)).by_host["bot1"].remove) == 1


def test_push_waits_for_a_prune(away, monkeypatch) -> None:
    """A push that begins while a prune works goes on when that has ended."""
    waited = []
    monkeypatch.setattr(SYSTEM_CLOCK.__class__, "sleep", staticmethod(waited.append))
    transport = away.store._transport
    transport.put(leases.RUNNING, b"x")

    def ended(_: float) -> None:
        waited.append(1)
        transport.delete([leases.RUNNING])

    monkeypatch.setattr(SYSTEM_CLOCK.__class__, "sleep", staticmethod(ended))
    assert away.pushed().objects
    assert waited == [1]


def test_lease_of_a_dead_push_expires(away, monkeypatch) -> None:
    """What a killed push has left hinders prune for two hours by the store's clock, and no longer."""
    away.pushed()
    Lease(away.store._transport, SYSTEM_CLOCK, "dead").take()
    with pytest.raises(BackupError, match="under way"):
        away.store.prune(RetentionPolicy(last=1))
    monkeypatch.setattr(leases, "EXPIRY", leases.timedelta(0))
    away.store.prune(RetentionPolicy(last=1))
    assert not [name for name in away.names() if name.startswith("leases")]


def test_push_that_lost_its_lease_checks_what_it_relies_on(away, monkeypatch) -> None:
    """If a prune took the push for dead and removed objects, no record appears that would need them."""
    made = away.manager.create_backup()
    monkeypatch.setattr(Lease, "stands", lambda self: [path.unlink() for path in away.objects()] and False)
    with pytest.raises(StoreError, match="push again"):
        away.store.push(made)
    assert away.opened().backups() == ([], [])
    monkeypatch.undo()
    away.opened().push(made)
    assert away.opened().verify(identity=away.identity)[0].ok


def test_init_twice_is_once(away) -> None:
    """A second init of the same host changes nothing; another host has to join."""
    assert away.opened().init() == away.store._store().key.store
    with pytest.raises(StoreError, match="there is a store already: with --identity FILE this host joins it"):
        away.opened(key_file=away.folder / "none.key").init()


def test_recipient_added_later_opens_the_store(away, tmp_path) -> None:
    """After another init with two recipients the second one restores what is pushed from then on."""
    second, public = new_key(tmp_path / "second.txt")
    store = away.opened(recipients=[away.recipient, public])
    store.init()
    store.push(away.manager.create_backup())
    assert store.verify(identity=second)[0].ok


def test_push_without_init_is_one_clear_line(away) -> None:
    """The error names the command that makes the key."""
    with pytest.raises(BackupError, match="`peak-observe backup offsite init` makes it"):
        away.opened(key_file=away.folder / "none.key").push(away.manager.create_backup())


def test_backup_of_another_host_is_named(away, tmp_path) -> None:
    """Where several hosts push, one of them has to be named; the error tells which there are."""
    away.pushed()
    second = RecoveryManager(tmp_path / "second")
    second.data_backup.add_data_path(away.program.data)
    second.create_backup()
    other = away.opened(repository=tmp_path / "second", host="bot2")
    other.init(identity=away.identity)
    other.push()
    third = away.opened(repository=tmp_path / "third", host="new")
    with pytest.raises(BackupNotFoundError, match="bot1, bot2: --host names one"):
        third.drill(identity=away.identity)
    assert third.drill(identity=away.identity, host="bot2").ok


def test_status_tells_of_pushes(away) -> None:
    """Metrics outlive the process: times, outcomes, bytes, and why the last push failed."""
    away.pushed()
    away.place.rename(away.folder / "gone")
    with pytest.raises(BackupError):
        away.opened().push()
    status = away.store._status.read()
    assert status.pushes == {"success": 1, "failed": 1}
    assert status.last_backup
    assert status.sent_bytes > 0
    assert "there is no folder" in status.error
    assert json.loads(away.store._status.path.read_text())["last_push"] == status.last_push


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/x", "has to begin with"),
        ("/mnt/nas", "has to begin with"),
        ("file://host/x", "file:///mnt/nas"),
        ("s3://user:secret@bucket/x", "must hold no credentials"),
        ("sftp://user:secret@host/x", "must hold no password|not installed"),
    ],
)
def test_urls_that_make_no_sense(away, url: str, message: str) -> None:
    """Each mistake has its own message, and none repeats a secret."""
    store = OffsiteStore(url, recipients=[away.recipient], repository=away.manager.backup_root, host="a")
    with pytest.raises(BackupError, match=message) as error:
        store.init()
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("host", ["", "..", "a/b", "ä", "-x", "x" * 101, 5])
def test_hosts_that_make_no_sense(host) -> None:
    """A host's name is part of a path."""
    with pytest.raises(ValueError, match="host has to be"):
        OffsiteStore("file:///x", host=host)


@pytest.mark.parametrize("key", ["max_age", "bandwidth", "retry_timeout"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "x"])
def test_numbers_that_make_no_sense(key: str, value) -> None:
    """What is no amount is named."""
    with pytest.raises(ValueError, match=f"{key} must be a number above 0"):
        OffsiteStore("file:///x", **{key: value})


def test_latest_may_be_partial_and_the_state_goes_to_a_file(away, tmp_path: Path) -> None:
    """As from a repository."""
    away.manager.config_backup.add_config(tmp_path / "gone")
    name = away.manager.create_backup()
    away.store.push(name)
    with pytest.raises(BackupNotFoundError, match=f"{name} is partial"):
        away.store.restore(identity=away.identity, restore_to=tmp_path / "out")
    options = {"allow_partial": True, "state_file": tmp_path / "s.json"}
    report = away.store.restore(identity=away.identity, restore_to=tmp_path / "out", **options)
    assert (report.plan.backup_id, str(tmp_path / "s.json") in report.plan.new) == (name, True)
    assert (tmp_path / "s.json").exists()


@pytest.mark.parametrize("value", [0, 0o22, 0o777])
def test_a_store_in_a_folder_is_for_its_owner_only(tmp_path, manager, program, value: int) -> None:
    """Whatever the umask, and whatever an earlier version has left open."""
    before = os.umask(value)
    try:
        away = Away(tmp_path, manager, program)
        away.pushed()
        (away.place / "backups").chmod(0o777)
        away.store = away.opened()
        away.pushed()
        away.store.verify(identity=away.identity)
    finally:
        os.umask(before)
    paths = [away.place, *away.place.rglob("*"), *away.manager.backup_root.parent.glob("backups*/.peak-observe/*")]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}


def test_a_store_in_a_folder_that_a_group_may_write_is_for_the_group(away) -> None:
    """Hosts that push as different users share it; nobody else gets in, and folders hand their group down."""
    away.place.chmod(0o2770)
    away.store = away.opened()
    away.pushed()
    modes = {path.is_dir(): set() for path in away.place.rglob("*")}
    for path in (away.place / "objects").rglob("*"):
        modes[path.is_dir()].add(path.stat().st_mode & 0o7777)
    assert modes == {True: {0o2770}, False: {0o660}}


def test_prune_removes_what_a_write_that_was_cut_off_has_left(away) -> None:
    """The library writes to another name first, which no listing tells of."""
    away.pushed()
    (sent,) = away.objects()
    left = sent.with_name(f"{sent.name}#1")
    left.write_bytes(b"half")
    mine = sent.with_name("mine#1")
    mine.write_bytes(b"of somebody else")
    away.opened().prune(RetentionPolicy(last=1))
    assert (left.exists(), mine.exists(), sent.exists()) == (False, True, True)


def test_latest_is_the_newest_partial_one_where_that_is_allowed(away, tmp_path, caplog) -> None:
    """Where none of this host has succeeded; without that it is named."""
    (away.program.data / "link").symlink_to("nothing")
    for _ in range(2):
        made = away.manager.create_backup()
        assert not away.manager.get_backup(made).good
        away.store.push(made)
    with pytest.raises(BackupNotFoundError, match=f"none in the store has succeeded; {made} is partial"):
        away.store.restore(identity=away.identity, restore_to=tmp_path / "to")
    report = away.store.restore(identity=away.identity, restore_to=tmp_path / "to", allow_partial=True)
    assert report.plan.backup_id == made
    partial = f"{made} in the store is partial"
    assert f"{partial}: none of this host that has succeeded holds what is wanted" in caplog.messages


def test_what_progress_raises_comes_through(away) -> None:
    """It is no error of the store or of a file, and the next push sends all."""
    error = OSError(28, "no room for a log")

    def tell(_: object) -> None:
        raise error

    made = away.manager.create_backup()
    with pytest.raises(OSError, match="no room for a log") as raised:
        away.store.push(made, progress=tell)
    assert raised.value is error
    assert away.store.push(made).backup_id == made
    for work in (away.store.verify, away.store.drill):
        with pytest.raises(OSError, match="no room for a log") as raised:
            work(identity=away.identity, progress=tell)
        assert raised.value is error
    with pytest.raises(OSError, match="no room for a log") as raised:
        away.restored(progress=tell)
    assert raised.value is error
    assert [report.ok for report in away.store.verify(identity=away.identity)] == [True]
