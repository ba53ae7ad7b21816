"""Recipients of a store that change: what is pushed from then on is opened by each of them alone."""

import pytest

from peak_observe.backup_recovery.offsite import push as pushing
from peak_observe.backup_recovery.offsite.index import Index, IndexFile
from peak_observe.errors import StoreError, WrongKeyError

from .conftest import new_key, random_bytes
from .test_offsite import _failing_after


@pytest.fixture
def other(tmp_path):
    """Return the file of a second private key, and its public one."""
    return new_key(tmp_path / "second.txt")


def proven(away, *identities) -> bool:
    """Return whether each of these keys alone restores the newest backup, and every byte of it is right."""
    reports = [away.opened().drill(identity=identity) for identity in identities]
    return all(report.ok for report in reports)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("new", [False, True])
def test_push_after_a_change_is_opened_by_each_key_of_now(away, other, both: bool, new: bool) -> None:
    """Whether the backup is new and reuses content, or was in the store already; no init is needed."""
    (away.program.data / "big.bin").write_bytes(random_bytes(1 << 20))
    away.pushed()
    private, public = other
    recipients = [public, away.recipient] if both else [public]
    if new:
        away.manager.create_backup()
    store = away.opened(recipients=recipients)
    assert store.push().new_bytes > 1 << 20
    assert proven(away, private, *([away.identity] if both else []))
    if not both:
        with pytest.raises(WrongKeyError):
            away.opened().drill(identity=new_key(away.folder / "third.txt")[0])


def test_base_is_sealed_anew_with_what_is_based_on_it(away, other) -> None:
    """Nobody restores the one without the other."""
    away.pushed()
    away.program.write(away.program.trades / "9.csv", "9,1\n")
    made = away.manager.create_backup(incremental=True)
    assert away.manager.get_backup(made).base
    away.opened(recipients=[other[1]]).push(made)
    assert proven(away, other[0])


def test_what_was_stored_before_stays_for_the_key_of_before(away, other) -> None:
    """The same content lies twice: nothing that is there is written again, so that its key opens the older backup."""
    older = away.pushed().backup_id
    before = {path: path.read_bytes() for path in away.objects()}
    away.opened(recipients=[other[1]]).push(away.manager.create_backup())
    assert before.items() <= {path: path.read_bytes() for path in away.objects()}.items()
    assert away.opened().verify(older, identity=away.identity)[0].ok
    assert all(report.ok for report in away.opened().verify(all_=True))


def test_unchanged_recipients_send_nothing_anew(away, other) -> None:
    """After the first push with them; and where one of two is named no more, the other one opens what is there."""
    (away.program.data / "big.bin").write_bytes(random_bytes(1 << 20))
    away.pushed()
    both = [other[1], away.recipient]
    first = away.opened(recipients=both).push().backup_id
    for recipients in (both, both[::-1], [away.recipient], [other[1]]):
        assert away.opened(recipients=recipients).push(first).was_there
        made = away.manager.create_backup()
        assert away.opened(recipients=recipients).push(made).new_bytes < 10_000
    assert proven(away, other[0])


def test_push_that_broke_off_before_a_change_is_not_relied_on(away, other, monkeypatch) -> None:
    """Its objects are in no index, and nobody sees whom they are sealed for."""
    monkeypatch.setattr(pushing, "BUNDLE", 1 << 18)
    for number in range(6):
        (away.program.data / f"{number}.bin").write_bytes(random_bytes(1 << 18))
    made = away.manager.create_backup()
    for recipient in (away.recipient, other[1]):
        store = away.opened(recipients=[recipient])
        inner = store._transport._inner
        inner.put = _failing_after(6, inner.put)
        with pytest.raises(StoreError, match="the line is cut"):
            store.push(made)
    assert away.objects()
    away.opened(recipients=[other[1]]).push(made)
    assert proven(away, other[0])
    away.opened().push(made)
    assert proven(away, away.identity)


def test_two_hosts_with_recipients_of_their_own(away, other, tmp_path) -> None:
    """Each reads what it has pushed, and neither takes anything from the other; joining leaves the key of the first."""
    away.pushed()
    second = away.opened(recipients=[other[1]], host="bot2", key_file=tmp_path / "second.key")
    second.init(identity=away.identity)
    second.push()
    assert proven(away, away.identity)
    assert away.opened(host="bot2").drill(identity=other[0]).ok
    made = away.manager.create_backup()
    assert away.opened().push(made).sent_bytes < second.push(made).size_bytes * 100
    assert proven(away, away.identity)
    assert away.opened(host="bot2").drill(identity=other[0]).ok


def test_store_of_an_older_program_is_taken_to_be_sealed_for_its_first_recipients(away, other) -> None:
    """It noted nobody: what it has pushed is reused by those who made the store, and by no others."""
    made = away.pushed().backup_id
    store = away.opened()._store()
    name, index = next(iter(store.indexes()))
    store.transport.delete([name])
    store.write_index(IndexFile(index.version, [type(item)(*_four(item)) for item in index.objects], index.files))
    assert away.opened().push(made).was_there
    assert not away.opened(recipients=[other[1]]).push(made).was_there
    assert proven(away, other[0])


def _four(item):
    return item.name, item.size, item.sealed, item.pieces


def test_older_programs_read_what_this_one_writes() -> None:
    """What an index tells beside is passed over by them, as by this one what a later one may add."""
    import msgspec

    text = msgspec.msgpack.encode([1, [[b"n" * 32, 5, 9, [[b"p" * 32, 5]], b"marks", "later"]], {}, "later"])
    index = Index()
    index.add(IndexFile.decode(text))
    assert index.place(b"p" * 32).object == b"n" * 32
