"""Journals of others, journals among the files of a backup, and journals that lie beside files."""

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from peak_observe import BackupError, RecoveryManager
from peak_observe.backup_recovery.create import sources
from peak_observe.backup_recovery.restore import transaction
from peak_observe.backup_recovery.restore.journal import Access, Journal, Step

from ..conftest import Program, as_user

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts, and works in what is another user's")
NOBODY = 65534


@pytest.fixture
def tmp_path(public_path: Path) -> Path:
    """Return a folder that other users get to."""
    return public_path


def named(root: Path, program: Program) -> RecoveryManager:
    """Return a manager for whom all of the program is named."""
    made = RecoveryManager(root)
    made.config_backup.add_config(program.config)
    made.data_backup.add_data_path(program.data)
    return made


def journal(path: Path, *steps: Step, access: tuple[Access, ...] = ()) -> Path:
    """Write a journal of a restore that was cut off."""
    path.write_bytes(Journal("deadbeef", "backup_1", [], list(steps), list(access)).to_json())
    path.chmod(0o600)
    return path


class TestOfOthers:
    """Whoever can write a journal decides what is overwritten by whoever carries it out."""

    @pytest.fixture
    def forged(self, manager: RecoveryManager, program: Program, tmp_path: Path) -> Path:
        """Return the journal that the owner of a repository has made up, to overwrite a file of root's."""
        manager.create_backup(include_data=True)
        place = tmp_path / "place"
        place.mkdir()
        (place / ".peak-deadbeef-0.new").write_text("forged")
        step = Step(str(program.config), at=str(place))
        path = journal(manager.backup_root / ".peak-observe" / "restore-deadbeef.swapping.json", step)
        subprocess.run(["chown", "-R", str(NOBODY), str(manager.backup_root), str(place)], check=True)
        return path

    @as_root
    def test_it_is_told_of_and_left(self, forged: Path, manager: RecoveryManager, program: Program) -> None:
        """Also by what writes, which is refused where it has to do with the same files."""
        (backup_id,) = (backup.backup_id for backup in manager.list_backups())
        mend = (
            f"{forged} is a journal of a restore of the user .*run `peak-observe backup recover --rep.*` as that user"
        )
        acts = (
            lambda: RecoveryManager(manager.backup_root),
            manager.create_backup,
            lambda: manager.restore(backup_id),
            manager.recover,
        )
        for act in acts:
            with pytest.raises(BackupError, match=mend):
                act()
        assert manager.create_backup(include_config=False)
        assert program.config.read_text() == "pair = 'BTC/USD'\n"
        assert forged.exists()

    @as_root
    def test_its_owner_carries_it_out(self, forged: Path, manager: RecoveryManager, program: Program) -> None:
        """It is his, and files that are his change."""
        manager.drill()  # loads all that the child needs
        subprocess.run(["chown", "-R", str(NOBODY), str(manager.backup_root), str(program.folder)], check=True)
        as_user(NOBODY, lambda: RecoveryManager(manager.backup_root))
        assert program.config.read_text() == "forged"
        assert not forged.exists()

    def test_one_that_others_may_write_is_not_carried_out(self, manager: RecoveryManager, program: Program) -> None:
        """The message says how to make it one's own."""
        folder = manager.backup_root / ".peak-observe"
        path = journal(folder / "restore-deadbeef.swapping.json", Step(str(program.config), goes=True))
        path.chmod(0o660)
        with pytest.raises(BackupError, match=f"others may write {path}.*chmod 600"):
            RecoveryManager(manager.backup_root)
        assert program.config.exists()
        path.chmod(0o600)
        RecoveryManager(manager.backup_root)
        assert not program.config.exists()

    def test_a_link_to_one_is_not_followed(self, manager: RecoveryManager, program: Program, tmp_path: Path) -> None:
        """The name says nothing of who wrote it."""
        real = journal(tmp_path / "real.json", Step(str(program.config), goes=True))
        (manager.backup_root / ".peak-observe" / "restore-deadbeef.swapping.json").symlink_to(real)
        with pytest.raises(BackupError, match="cannot be brought to its end"):
            RecoveryManager(manager.backup_root)
        assert program.config.exists()

    @as_root
    @pytest.mark.parametrize(("folders_owner", "told"), [(0, False), (NOBODY, True)])
    def test_beside_files_only_one_of_who_owns_the_folder_is_told_of(
        self, manager: RecoveryManager, program: Program, folders_owner: int, told: bool
    ) -> None:
        """His files may be between old and new; whoever else could leave one would keep everybody from working."""
        step = Step(str(program.trades / "0.csv"), goes=True)
        path = journal(program.data / ".peak-restore-deadbeef.swapping.json", step)
        os.chown(path, NOBODY, NOBODY)
        os.chown(program.data, folders_owner, folders_owner)
        if told:
            with pytest.raises(BackupError, match=f"{path} is a journal of a restore of the user"):
                manager.create_backup()
        else:
            assert manager.get_backup(manager.create_backup()).good
        assert (program.trades / "0.csv").exists()

    @as_root
    def test_root_carries_out_his_own_for_named_files_only(
        self, manager: RecoveryManager, program: Program, tmp_path: Path
    ) -> None:
        """In the folder of another user, who can give its name to another file of root's."""
        folder = manager.backup_root / ".peak-observe"
        other = tmp_path / "other"
        other.write_text("root's")
        path = journal(folder / "restore-deadbeef.swapping.json", Step(str(other), goes=True))
        os.chown(folder, NOBODY, NOBODY)
        for act in (lambda: RecoveryManager(manager.backup_root), manager.recover):
            with pytest.raises(BackupError, match="names files outside of what is named here"):
                act()
        assert other.exists()
        manager.data_backup.add_data_path(other)
        manager.recover()
        assert not path.exists()


class TestAmongFiles:
    """What a restore has on its way is nobody's file."""

    NAMES = (
        ".peak-restore-deadbeef.swapping.json",
        "..peak-restore-deadbeef.staging.json.12.34.tmp",
        ".peak-deadbeef-0.new",
        ".peak-deadbeef-12.old",
        ".peak-deadbeef-3.old~",
    )

    @pytest.fixture
    def littered(self, program: Program) -> Program:
        """Return a program among whose files some of a restore lie, one of them a folder."""
        for name in self.NAMES:
            program.write(program.trades / name, "x")
        program.write(program.trades / ".peak-deadbeef-1.new" / "inner", "x")
        program.write(program.trades / ".peak-observe" / "restore-deadbeef.swapping.json", "x")
        program.write(program.trades / ".peak-mine", "x")
        return program

    def test_it_is_not_backed_up(self, manager: RecoveryManager, littered: Program) -> None:
        """The backup is good, and says so."""
        (littered.trades / ".peak-observe" / "restore-deadbeef.swapping.json").unlink()
        (littered.trades / ".peak-observe").rmdir()
        backup_id = manager.create_backup(include_data=True)
        held = {Path(item.path).name for item in manager.list_files(backup_id)}
        assert {"0.csv", ".peak-mine"} <= held
        assert not held & {*self.NAMES, ".peak-deadbeef-1.new", "inner"}
        backup = manager.get_backup(backup_id)
        assert backup.good
        assert any("files of a restore on its way" in str(item) for item in backup.left_out)

    def test_a_named_one_is_a_problem(self, manager: RecoveryManager, littered: Program) -> None:
        """Somebody wants it, and cannot have it."""
        (littered.trades / self.NAMES[0]).unlink()
        manager.data_backup.add_data_path(littered.trades / self.NAMES[2])
        assert not manager.get_backup(manager.create_backup()).good

    def test_it_is_not_restored_from_a_backup_that_holds_it(
        self,
        manager: RecoveryManager,
        littered: Program,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """As one of an earlier version does, or one that somebody has made up."""
        with monkeypatch.context() as patch:
            patch.setattr(sources, "_without_helpers", lambda _, entries, __: entries)
            patch.setattr(sources, "without_cache", lambda _, entries, __: entries)
            backup_id = manager.create_backup(include_data=True)
        manager.restore(backup_id, data=True, restore_to=tmp_path / "out")
        names = {path.name for path in (tmp_path / "out").rglob("*")}
        assert {"0.csv", ".peak-mine", ".peak-observe"} <= names
        assert not names & {*self.NAMES, ".peak-deadbeef-1.new", "inner", "restore-deadbeef.swapping.json"}
        assert "8 files that a restore had on their way are in" in caplog.text

    def test_a_journal_beside_files_does_not_reach_beyond_them(
        self, manager: RecoveryManager, program: Program, tmp_path: Path
    ) -> None:
        """A folder above a named path is reached only if it stays as it is."""
        backup_id = manager.create_backup()
        outside = tmp_path / "outside"
        outside.write_text("x")
        folder = program.data.parent
        mode = folder.stat().st_mode & 0o7777
        lifted = Access(str(folder), 0, 0, 0o777, 0, 0, mode)
        place = program.trades.parent / ".peak-restore-deadbeef.swapping.json"
        for made in (
            lambda: journal(place, Step(str(outside), goes=True)),
            lambda: journal(place, Step(str(program.config), goes=True), access=(lifted,)),
            lambda: journal(place, Step(str(program.config), at=str(tmp_path / "else"))),
        ):
            path = made()
            with pytest.raises(BackupError, match=f"{path} names files outside of what is named here"):
                manager.recover()
        assert (outside.read_text(), folder.stat().st_mode & 0o7777) == ("x", mode)
        journal(place, Step(str(outside), goes=True))
        manager.restore(backup_id)
        assert outside.exists()


@as_root
class TestBeside:
    """A restore from a full or read-only repository that was killed, as in the night in which everything is gone."""

    @pytest.fixture
    def killed(self, program: Program, tmp_path: Path) -> Iterator[Callable[..., Path]]:
        """Return a function that restores from a full repository, is killed after a rename, and returns that."""
        disk = tmp_path / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=True)

        def kill(**options: object) -> Path:
            backup_id = named(disk / "backups", program).create_backup(include_data=True)
            for path in program.trades.iterdir():
                path.write_text("wrong")
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            child = os.fork()
            if child == 0:
                self._restore_until_killed(disk / "backups", program, backup_id, options)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL
            return disk / "backups"

        yield kill
        subprocess.run(["umount", "--lazy", str(disk)], check=True)

    @staticmethod
    def _restore_until_killed(root: Path, program: Program, backup_id: str, options: dict[str, object]) -> None:
        rename, count = os.rename, [0]

        def once(path: str, to: str) -> None:
            count[0] += str(path).endswith(".new")
            if count[0] == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            rename(path, to)

        transaction.os.rename = once
        try:
            manager = RecoveryManager(root) if options else named(root, program)
            manager.restore(backup_id, data=True, **options)
        finally:
            os._exit(1)

    @pytest.mark.parametrize("use", ["diff", "dry run", "restore", "recover"])
    def test_what_names_the_files_brings_it_to_its_end(
        self, program: Program, killed: Callable[..., Path], use: str
    ) -> None:
        """All files are new then."""
        manager = named(killed(), program)
        assert list(program.folder.rglob(".peak-restore-*"))
        (backup_id,) = (backup.backup_id for backup in manager.list_backups())
        if use == "diff":
            assert not manager.diff(backup_id).changed
        elif use == "dry run":
            assert not manager.restore(backup_id, data=True, dry_run=True).plan.replaced
        elif use == "restore":
            manager.restore(backup_id, data=True)
        else:
            assert manager.recover() == (str(program.config), str(program.data))
        assert (program.trades / "1.csv").read_text() == "1,64000\n" * 10
        assert not list(program.folder.rglob(".peak-*"))

    def test_a_backup_brings_it_to_its_end_first(
        self, program: Program, killed: Callable[..., Path], tmp_path: Path
    ) -> None:
        """Half of the files old, and half of them new, would pass for a good one."""
        killed()
        manager = named(tmp_path / "others", program)
        backup_id = manager.create_backup()
        assert manager.get_backup(backup_id).good
        trades = [item for item in manager.list_files(backup_id) if "/trades/" in item.path]
        assert sorted(item.size_bytes for item in trades if item.type == "file") == [80] * 3

    def test_one_in_a_repository_that_became_read_only_stops_a_restore(
        self, program: Program, tmp_path: Path, killed: Callable[..., Path]
    ) -> None:
        """Once that can be written again, it would take back what was restored meanwhile; another place is free."""
        root = killed()
        named(root, program).recover()
        subprocess.run(["mount", "-o", "remount,rw", str(root.parent)], check=True)
        path = root / ".peak-observe" / "restore-deadbeef.swapping.json"
        journal(path, Step(str(program.config), 5, 5))
        subprocess.run(["mount", "-o", "remount,ro", str(root.parent)], check=True)
        manager = named(root, program)
        (backup_id,) = (backup.backup_id for backup in manager.list_backups())
        for act in (lambda: manager.restore(backup_id), manager.recover):
            with pytest.raises(BackupError, match=f"{root} cannot be written; then run .*{path} names"):
                act()
        manager.restore(backup_id, restore_to=tmp_path / "out")

    @pytest.mark.parametrize("above", [False, True])
    def test_a_move_is_recovered_by_the_move(
        self, program: Program, killed: Callable[..., Path], tmp_path: Path, above: bool
    ) -> None:
        """On the new host nothing is named."""
        new = tmp_path / "new"
        (new / "data" / "trades").mkdir(parents=True)
        (new / "data" / "trades" / "0.csv").write_text("wrong")
        moved = {str(program.folder if above else program.data): str(new if above else new / "data")}
        moved |= {} if above else {str(program.config): str(new / "config.toml")}
        root = killed(moved=moved)
        assert list(new.rglob(".peak-restore-*"))
        manager = RecoveryManager(root)
        assert manager.recover() == ()
        assert manager.recover(moved=moved) == tuple(moved.values())
        assert not list(new.rglob(".peak-*"))
        assert (new / "data" / "trades" / "0.csv").read_text() == "0,64000\n" * 10


def test_where_nobody_would_believe_a_journal_it_goes_beside_the_files(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a share where all files are of one user: a crash would leave a journal that is somebody else's."""
    backup_id = manager.create_backup()
    program.config.write_text("wrong")
    places, write = [], transaction.replace_durably

    def shared(path: Path, text: bytes, *, private: bool) -> None:
        write(path, text, private=private)
        places.append(path.parent)
        if path.parent == manager.backup_root / ".peak-observe":
            path.chmod(0o666)

    monkeypatch.setattr(transaction, "replace_durably", shared)
    manager.restore(backup_id)
    assert places == [manager.backup_root / ".peak-observe", *[program.config.parent] * 2]
    assert not list((manager.backup_root / ".peak-observe").glob("restore-*"))


def test_a_journal_that_finds_no_room_the_second_time_is_still_known(
    manager: RecoveryManager, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It grows when the new files are made; what they are is taken back by the one that stands."""
    backup_id = manager.create_backup()
    program.config.write_text("wrong")
    count, write = [0], transaction.replace_durably

    def full(path: Path, text: bytes, *, private: bool) -> None:
        count[0] += 1
        if count[0] > 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, text, private=private)

    monkeypatch.setattr(transaction, "replace_durably", full)
    with pytest.raises(BackupError, match="nothing was restored"):
        manager.restore(backup_id)
    assert not list(program.folder.rglob(".peak-*"))
    assert not list((manager.backup_root / ".peak-observe").glob("restore-*"))
