"""Metrics of an off-site store, as the program and the exporter tell them."""

import pytest

from peak_observe.backup_recovery.repository.reading import reading_of
from peak_observe.errors import BackupError


def read(away):
    """Return the reading of the store, made from the disk."""
    return reading_of(away.manager._repository, kinds=(), max_age=None).offsite


def test_repository_without_a_store_tells_nothing(manager) -> None:
    """No series, so that no alert waits for what nobody has set up."""
    manager.create_backup()
    assert reading_of(manager._repository, kinds=(), max_age=None).offsite is None


def test_store_is_told_of_from_init_on(away) -> None:
    """Before the first push its age counts from the beginning, so that a schedule that never pushes is noticed."""
    found = read(away)
    assert (found.last_backup, found.last_push, found.pushes) == (0.0, 0.0, [0, 0])
    assert 0 <= found.age < 600


def test_push_is_told(away) -> None:
    """Times, sizes and outcomes; the age is that of the backup, not that of the push."""
    report = away.pushed()
    found = read(away)
    assert found.pushes == [1, 0]
    assert (found.sent_bytes, found.objects, found.damaged) == (report.sent_bytes, report.objects, 0)
    assert found.last_backup <= found.last_push
    away.pushed()
    assert read(away).reused_bytes > 0


def test_failure_is_told(away) -> None:
    """It counts, and the last success stays."""
    away.pushed()
    before = read(away).last_push
    away.place.rename(away.folder / "gone")
    with pytest.raises(BackupError):
        away.opened().push()
    assert (read(away).pushes, read(away).last_push) == ([1, 1], before)
    assert read(away).last_attempt > before


def test_damage_and_its_mend_are_told(away) -> None:
    """What verification finds is told until a push has mended it."""
    away.pushed()
    away.objects()[0].unlink()
    away.opened().verify()
    assert read(away).damaged == 1
    away.opened().push()
    assert read(away).damaged == 0
    away.opened().verify()
    assert read(away).last_verified > 0


def test_promise_of_the_store_is_its_own(away) -> None:
    """It is kept with the store and told without the program that gave it."""
    away.opened(max_age=3600).push(away.manager.create_backup())
    assert read(away).max_age == 3600


def test_scrape_shows_the_store(away) -> None:
    """The names of the catalogue, with the repository as their label."""
    from prometheus_client import CollectorRegistry, generate_latest

    from peak_observe import register

    away.pushed()
    registry = CollectorRegistry()
    register(registry)
    text = generate_latest(registry).decode()
    label = f'repository="{away.manager._repository.name}"'
    assert f'peak_offsite_pushes_total{{outcome="success",{label}}}' in text
    assert f"peak_offsite_age_seconds{{{label}}}" in text
