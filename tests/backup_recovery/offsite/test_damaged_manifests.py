"""Damaged manifests of a store: found by their size without the private key, named by their place, and sent again."""

import msgspec
import pytest

from peak_observe.backup_recovery.offsite.encryption import LEAST, Sealer, new_identity
from peak_observe.backup_recovery.offsite.record import Record

from .test_damage import change, cut, empty, files, remove


def lengthen(path) -> None:
    """Add a byte."""
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize("harm", [cut, empty, lengthen, remove])
def test_a_manifest_of_another_size_is_found_without_the_private_key(away, harm) -> None:
    """It is named by its place, and the next push sends it again, whether anybody has looked or not."""
    made = away.pushed().backup_id
    (victim,) = files(away, "manifests")
    for look in (True, False):
        size = victim.stat().st_size
        harm(victim)
        if look:
            (report,) = away.opened().verify()
            has = "is missing" if harm is remove else f"has {victim.stat().st_size} bytes instead of {size}"
            assert report.problems == (f"manifests/bot1/{made}: {has}",)
            assert away.store._status.read().missing == 1
        assert not away.opened().push(made).was_there
        assert away.store._status.read().missing == 0
        assert away.opened().verify(identity=away.identity)[0].ok


def test_an_older_record_tells_of_a_manifest_that_is_none(away, monkeypatch) -> None:
    """It has not kept the size; nothing that was sealed is that small."""
    real = Record.encode

    def older(record: Record) -> bytes:
        facts = msgspec.msgpack.decode(real(record))
        del facts["manifest"]
        return msgspec.msgpack.encode(facts)

    monkeypatch.setattr(Record, "encode", older)
    made = away.pushed().backup_id
    assert away.opened().verify()[0].ok
    (victim,) = files(away, "manifests")
    for size in (0, LEAST - 1):
        victim.write_bytes(victim.read_bytes()[:size])
        assert away.opened().verify()[0].problems == (
            f"manifests/bot1/{made}: has {victim.stat().st_size} bytes instead of {LEAST} or more",
        )
        away.opened().push(made)
        assert away.opened().verify(identity=away.identity)[0].ok
    assert len(Sealer([new_identity()[1]]).seal(b"")) >= LEAST


@pytest.mark.parametrize("harm", [cut, change, empty, remove])
@pytest.mark.parametrize("based", [True, False])
def test_a_manifest_that_the_private_key_has_found_damaged_is_sent_again(away, harm, based: bool) -> None:
    """It is named by its place in the store, and what is based on its backup is mended with it."""
    made = away.pushed().backup_id
    (victim,) = files(away, "manifests")
    if based:
        away.pushed(incremental=True, include_state=False)
    harm(victim)
    for report in away.opened().verify(all_=True, identity=away.identity):
        assert [line.partition(": ")[0] for line in report.problems] == [f"manifests/bot1/{made}"]
    away.opened().push()
    assert away.store._status.read().missing == 0
    assert all(report.ok for report in away.opened().verify(all_=True, identity=away.identity))
    assert away.opened().push(made).was_there


def test_a_damaged_manifest_whose_backup_is_gone_here_stays_known(away) -> None:
    """Nobody can send it again, and a look at its size shows nothing."""
    made = away.pushed().backup_id
    (victim,) = files(away, "manifests")
    change(victim)
    away.opened().verify(identity=away.identity)
    away.manager.delete_backup(made)
    away.pushed()
    assert away.store._status.read().missing == 1
