"""The ledger keeps the promises of several callers apart."""

from pathlib import Path

import msgspec
import pytest

from peak_observe.backup_recovery import RecoveryManager
from peak_observe.backup_recovery.repository.ledger import A_DAY, Account, Promise
from peak_observe.backup_recovery.repository.reading import reading_of
from peak_observe.backup_recovery.repository.repository import Repository
from peak_observe.measures import BackupReading
from peak_observe.testing import ManualClock

ONE, TWO = {"data": ["/one"]}, {"data": ["/two"]}


def of(tmp_path: Path, name: str, max_age: float | None, clock: ManualClock, *named: str) -> RecoveryManager:
    """Return a manager with data of its own."""
    manager = RecoveryManager(tmp_path / "backups", name=name, max_age=max_age, clock=clock)
    for path in named:
        (tmp_path / path).mkdir(exist_ok=True)
        manager.data_backup.add_data_path(tmp_path / path)
    return manager


def read(tmp_path: Path, name: str, clock: ManualClock) -> BackupReading:
    """Return what another process, as the exporter, reads under a label."""
    return reading_of(Repository(tmp_path / "backups", name, clock), kinds=(), max_age=None)


def test_each_label_keeps_its_promise(tmp_path: Path) -> None:
    """Whoever came last, and from whatever process it is read."""
    clock = ManualClock()
    of(tmp_path, "bot", 3600, clock, "one").create_backup()
    of(tmp_path, "archive", A_DAY, clock, "two").create_backup()
    of(tmp_path, "guest", None, clock)
    assert read(tmp_path, "bot", clock).max_age == 3600
    assert read(tmp_path, "archive", clock).max_age == A_DAY
    assert read(tmp_path, "guest", clock).max_age is None
    assert read(tmp_path, "somebody else", clock).max_age == 3600


def test_backups_of_one_caller_do_not_make_another_look_fresh(tmp_path: Path) -> None:
    """The one that is worse off shows, where both have the same label."""
    clock = ManualClock()
    of(tmp_path, "bot", 3600, clock, "one").create_backup()
    clock.advance(7200)
    of(tmp_path, "bot", 3600, clock, "two").create_backup()
    assert read(tmp_path, "bot", clock).kinds["data"].age == 7200
    of(tmp_path, "bot", 3600, clock, "one").create_backup()
    assert read(tmp_path, "bot", clock).kinds["data"].age == 0


def test_a_caller_that_names_more_is_still_the_same(tmp_path: Path) -> None:
    """Its older promise is replaced, and what it said stands where it says nothing."""
    clock = ManualClock()
    of(tmp_path, "bot", 3600, clock, "one").create_backup()
    of(tmp_path, "bot", 60, clock, "one", "two").create_backup()
    of(tmp_path, "bot", None, clock, "two").create_backup()
    account = Repository(tmp_path / "backups", "bot", clock).ledger.load()
    assert [(promise.max_age, list(promise.sources)) for promise in account.promises] == [(60, ["data"])]


def test_a_promise_of_what_is_gone_does_not_stand_for_ever(tmp_path: Path) -> None:
    """A project has moved: nothing of what was named is there, and nobody renews it."""
    account = Account().configured(0.0, Promise("bot", 3600, ["data"], {"data": [str(tmp_path / "gone")]}))
    moved = Promise("bot", 3600, ["data"], {"data": [str(tmp_path)]})
    assert len(account.configured(3600.0, moved).promises) == 2
    assert len(account.configured(9999.0, moved).promises) == 1
    stays = Account().configured(0.0, moved).configured(1e9, Promise("bot", 60, ["data"], ONE))
    assert len(stays.promises) == 2


def test_an_account_of_an_older_version_is_read() -> None:
    """Its one promise is everybody's, until somebody gives another."""
    account = msgspec.json.decode(b'{"configured_at": 5.0, "max_age": 60.0, "kinds": ["data"]}', type=Account)
    assert account.promised("bot") == [Promise("bot", 60.0, ["data"])]
    renewed = account.configured(9.0, Promise("bot", None, ["config"], {"config": ["/c"]}))
    assert (renewed.configured_at, renewed.max_age, renewed.kinds) == (5.0, 60.0, ["config"])


@pytest.mark.parametrize(("later", "writes"), [(10.0, False), (4000.0, True)])
def test_a_promise_that_stands_is_written_once_in_a_while(later: float, writes: bool) -> None:
    """A manager that is made again and again writes nothing."""
    account = Account().configured(1.0, Promise("bot", 60, ["data"], ONE))
    assert (account.configured(1.0 + later, Promise("bot", 60)) != account) is writes


def test_a_manager_without_paths_does_not_tell_callers_of_one_label_apart() -> None:
    """It leaves their promises as they are, until it makes a backup."""
    account = Account().configured(1.0, Promise("bot", 60, ["data"], ONE))
    account = account.configured(1.0, Promise("bot", 3600, ["data"], TWO))
    assert account.configured(2.0, Promise("bot", 5)) == account
    assert account.max_age == 60


def test_each_metadata_file_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one reading of the metrics, however many backups there are."""
    clock = ManualClock()
    manager = of(tmp_path, "bot", 60, clock, "one")
    for _ in range(3):
        manager.create_backup()
    repository = Repository(tmp_path / "backups", "bot", clock)
    reading_of(repository, kinds=(), max_age=None)
    looks: list[str] = []
    module = "peak_observe.backup_recovery.repository.repository"
    monkeypatch.setattr(f"{module}._stamp", lambda path: looks.append(path) or 0)
    reading_of(repository, kinds=(), max_age=None)
    assert len(looks) == len(set(looks)) == 3


def test_who_promises_no_age_takes_nothing_out_of_a_promise() -> None:
    """A run by hand may add to it; who promises one says what is named from then on."""
    both, one = {"config": ["/c"], "data": ["/a", "/b"]}, {"data": ["/a", "/x"]}
    account = Account().configured(1.0, Promise("bot", 60, ["config", "data"], both))
    (promise,) = account.configured(2.0, Promise("bot", None, ["data"], one)).promises
    assert (promise.kinds, promise.sources) == (["config", "data"], {"config": ["/c"], "data": ["/a", "/b", "/x"]})
    assert promise.since == {"": 1.0, "/a": 1.0, "/b": 1.0, "/c": 1.0, "/x": 2.0}
    (promise,) = account.configured(2.0, Promise("bot", 60, ["data"], one)).promises
    assert (promise.kinds, promise.sources) == (["data"], one)


def test_what_a_clock_that_was_ahead_wrote_is_put_right() -> None:
    """By the next run: a promise that was given in the future would never be renewed again."""
    account = Account().configured(1e9, Promise("bot", 60, ["data"], ONE)).configured(5.0, Promise("bot", 60))
    assert account.configured_at == account.promises[0].at == 5.0
    assert account.promises[0].since == {"": 5.0, "/one": 5.0}


def ages(tmp_path: Path, clock: ManualClock) -> list[tuple[float | None, list[str]]]:
    """Return the promises of a repository: their ages, and the names of the paths that they are of."""
    account = Repository(tmp_path / "backups", "bot", clock).ledger.load()
    return sorted((item.max_age, sorted(Path(path).name for _, path in item.named())) for item in account.promises)


@pytest.mark.parametrize("together", [True, False], ids=["made together", "one after the other"])
@pytest.mark.parametrize("second", [7 * A_DAY, 3600, 60])
def test_a_promise_without_a_path_in_common_stays_as_it_is(tmp_path: Path, second: float, together: bool) -> None:
    """Two programs of one label have each its own age, also after they are started again; one may change its own."""
    clock = ManualClock()
    programs = [("one", 3600), ("two", second)]
    made = [of(tmp_path, "bot", max_age, clock, path) for path, max_age in programs] if together else []
    for number, (path, max_age) in enumerate(programs * 2):
        manager = made[number] if number < len(made) else of(tmp_path, "bot", max_age, clock, path)
        manager.create_backup()
        known = [(age, [named]) for named, age in programs[: number + 1]]
        # What was promised before anything was named, and not taken by who ran first, is still there.
        assert [item for item in ages(tmp_path, clock) if item[1]] == sorted(known)
    of(tmp_path, "bot", 5, clock)
    assert ages(tmp_path, clock) == sorted([(3600, ["one"]), (second, ["two"])])
    of(tmp_path, "bot", 5, clock, "two").create_backup()
    assert ages(tmp_path, clock) == [(5, ["two"]), (3600, ["one"])]


def test_what_is_named_at_last_is_missing_since_it_was_promised() -> None:
    """The age was promised before anything was named; the first run says what it is of."""
    account = Account().configured(1.0, Promise("bot", 60)).configured(9.0, Promise("bot", 60, ["data"], ONE))
    assert [promise.since for promise in account.promises] == [{"": 1.0, "/one": 1.0}]
