"""What is done in the child, and what must be true of what is left, whatever happened there."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from faulty.world import World, let_times_pass, outcome_counts, snapshot
from peak_observe.backup_recovery import BackupStatus, RecoveryManager, RetentionPolicy
from peak_observe.backup_recovery.restore import plan
from peak_observe.backup_recovery.restore.plan import Action
from peak_observe.backup_recovery.restore.transaction import Transaction

SUCCESS = BackupStatus.SUCCESS
_of = Transaction.of
INTERRUPTS = ("KeyboardInterrupt", "RestoreCutOff")


class Ended(NamedTuple):
    """How a child ended.

    Args:
        killed: Whether by SIGKILL.
        error: The class of the exception it ended with; empty if it did not.
        message: The exception's text.
        expected: Whether that exception is one of those that are documented.
        path: What the call that went wrong was about.
        runs: How many runs there were.
        fault: What went wrong last, in words.
    """

    killed: bool
    error: str
    message: str
    expected: bool
    path: str
    runs: int = 1
    fault: str = ""


class Scenario:
    """One operation in a world of its own.

    Args:
        world: The world.
    """

    live_changes = False
    documented = frozenset({"BackupError"})

    def __init__(self, world: World) -> None:
        self.world = world
        self.prepare()
        let_times_pass()
        world.keep()
        self.live = snapshot(world.live)
        self.sibling = snapshot(world.sibling, folder_times=True)
        self.before = world.account() if world.repo.exists() else None
        self.ids = self.listed()

    def prepare(self) -> None:
        """Make what there is before."""

    def act(self) -> None:
        """Do it, in the child."""
        raise NotImplementedError

    def listed(self) -> list[str]:
        """Return the backups that are listed as good."""
        if not self.world.repo.exists():
            return []
        return [backup.backup_id for backup in self.world.manager().list_backups() if backup.good]

    def judge(self, ended: Ended) -> Iterator[str]:
        """Yield what is wrong with what is left."""
        if not ended.killed and ended.error and not ended.expected:
            yield f"raised {ended.error}: {ended.message}"
        yield from self.every_good_one_verifies()
        yield from self.own(ended)
        yield from self.nothing_is_left()
        if snapshot(self.world.sibling, folder_times=True) != self.sibling:
            yield "a neighbour was touched"

    def own(self, ended: Ended) -> Iterator[str]:
        """Yield what only this operation can get wrong; at the end everything has been brought to its end."""
        raise NotImplementedError

    def every_good_one_verifies(self) -> Iterator[str]:
        """Yield the backups that are listed as good and are not."""
        manager = self.world.manager()
        for backup in manager.list_backups():
            if backup.status is BackupStatus.FAILED:
                continue  # there is nothing in it
            report = manager.verify_backup(backup.backup_id)
            if backup.good and not report.ok:
                yield f"{backup.backup_id} is listed as good: {report.problems}"

    def nothing_is_left(self) -> Iterator[str]:
        """Yield what a run that ended must not leave."""
        yield from (f"is left: {path}" for path in self.world.leftovers())
        account = self.world.account()
        if account.running_since:
            yield "a backup still counts as under way"
        if account.stored_bytes not in (None, self.world.stored_bytes()):
            yield f"{account.stored_bytes} bytes are said to be stored, not {self.world.stored_bytes()}"
        if account.corrupt:
            yield f"counted as corrupt: {account.corrupt}"


class Create(Scenario):
    """The first backup."""

    incremental = False

    def act(self) -> None:
        self.world.backup(incremental=self.incremental)

    def own(self, ended: Ended) -> Iterator[str]:
        known = self.listed()
        if not set(self.ids) <= set(known):
            yield f"older backups are gone: {known}"
        if not ended.killed and not ended.error and len(known) != len(self.ids) + 1:
            yield from self.misses_a_source(ended.path)
        if ended.error == "BackupError" and len(known) > len(self.ids):
            yield "it is listed as good, and an error was reported"
        runs_before = outcome_counts(self.before) if self.before else {}
        begun = self.world.account().last_attempt > (self.before.last_attempt if self.before else 0)
        newest = self.world.manager().create_backup(include_data=True, incremental=self.incremental)
        if self.world.manager().get_backup(newest).status is not SUCCESS:
            yield "the next backup is not good"
        if not self.world.manager().verify_backup(newest).ok:
            yield "the next backup does not verify"
        yield from self.counts(runs_before, begun=begun, visible=len(known) > len(self.ids), ended=ended)
        if snapshot(self.world.live) != self.live:
            yield "a live file was touched"

    def misses_a_source(self, path: str) -> Iterator[str]:
        """Yield why there should have been a good backup: only a source that cannot be read excuses a partial one."""
        newest = self.world.manager().list_backups()[0]
        if newest.status is not BackupStatus.PARTIAL or not newest.problems:
            yield f"no good backup is there, and nothing was said: {newest}"
        of_sqlite = newest.problems[0].reason.startswith("SQLite")  # which does not say on which side it failed
        if not (of_sqlite or path.startswith(str(self.world.live)) or str(self.world.live).startswith(path)):
            yield f"it is partial, and every source could be read: {newest.problems}"

    def counts(self, before: dict[str, int], *, begun: bool, visible: bool, ended: Ended) -> Iterator[str]:
        """Yield what is wrong with the account: one run that was begun, and the next one, which succeeded."""
        counted = outcome_counts(self.world.account())
        added = {name: counted[name] - before.get(name, 0) for name in counted if counted[name] != before.get(name, 0)}
        added["success"] = added.get("success", 0) - 1
        added = {name: count for name, count in added.items() if count}
        if sum(added.values()) != begun and (ended.killed or added not in ({}, {"failed": 1}, {"interrupted": 1})):
            yield f"the run counts as {added}, begun: {begun}"
        if begun and ended.error == "BackupError" and added != {"failed": 1}:
            yield f"it failed and counts as {added}"
        if visible and added != {"success": 1}:
            yield f"it is listed as good and counts as {added}"
        if ended.killed and not visible and added not in ({}, {"interrupted": 1}):
            yield f"it was killed and counts as {added}"


class CreateAgain(Create):
    """A backup after one of the same tree: what did not change becomes links."""

    def prepare(self) -> None:
        let_times_pass()
        self.world.backup()
        (self.world.live / "data" / "trades.csv").write_text("changed\n")


class Incremental(CreateAgain):
    """A backup of what changed."""

    incremental = True


class CreateAfterCrash(CreateAgain):
    """A backup whose first work is to clear what a crash left."""

    def prepare(self) -> None:
        super().prepare()
        staging = self.world.repo / ".staging-backup_1"
        (staging / "data").mkdir(parents=True)
        (staging / "data" / "half").write_text("half")
        trash = self.world.repo / ".trash-backup_0"
        (trash / "config").mkdir(parents=True)
        (trash / "config" / "app.toml").write_text("old")

    def counts(self, before: dict[str, int], **more: object) -> Iterator[str]:
        yield from super().counts({**before, "interrupted": 1}, **more)


class Restore(Scenario):
    """Version 1 over version 2, with new, changed, equal and other files."""

    live_changes = True

    def prepare(self) -> None:
        self.world.backup()
        self.id = self.listed()[0]
        self.world.reset_live(2)
        self.world.keep()
        self.act()
        self.new = snapshot(self.world.live)
        self.world.reset(live=True)

    def act(self) -> None:
        self.world.manager().restore(self.id, data=True, state=True)

    def recover(self) -> None:
        """Do what brings a restore that was cut off to its end: any use of the repository does."""
        self.world.manager()

    def own(self, ended: Ended) -> Iterator[str]:
        if ended.fault == "interrupt twice" and ended.error == "KeyboardInterrupt":
            # What is being removed when a restore is done may be left, and no more than that.
            now = {name: fact for name, fact in snapshot(self.world.live).items() if ".peak-" not in name}
            if now not in (self.live, self.new):
                yield f"Ctrl-C came twice, and nobody says that files are mixed: {_differences(now, self.live)}"
        self.recover()
        now = snapshot(self.world.live)
        state = "old" if now == self.live else "new" if now == self.new else "mixed"
        if state == "mixed":
            yield f"the live files are mixed: {_differences(now, self.live)} / {_differences(now, self.new)}"
        if not ended.killed and ended.error == "" and state != "new":
            yield f"nothing was reported, and the files are {state}"
        if not ended.killed and ended.error and state != "old" and ended.error not in INTERRUPTS:
            yield f"{ended.error} was reported, and the files are {state}: {ended.message}"
        if sum(self.world.account().restores.values()) > ended.runs:
            yield f"{ended.runs} restores count as {self.world.account().restores}"
        self.act()
        if snapshot(self.world.live) != self.new:
            yield "the next restore does not bring the backup back"


class RestoreInto(Restore):
    """A restore into a folder of its own, which is not there yet."""

    def act(self) -> None:
        self.world.manager().restore(self.id, data=True, state=True, restore_to=self.world.live / "drill" / "here")


class RestoreMoved(Restore):
    """A restore of some files to the new places of what was named, with the journal beside them."""

    def act(self) -> None:
        manager = RecoveryManager(self.world.repo, name="faults")
        moved = {str(self.world.live / "data"): str(self.world.live / "data" / "elsewhere" / "new")}
        with patch.object(Transaction, "of", self.beside):
            manager.restore(self.id, config=False, data=True, moved=moved, paths=["*.csv", "*.txt", "orders.db"])

    def beside(self, actions: Sequence[Action], folders: Sequence[Path], *args: Any, **more: Any) -> Transaction:
        """Make a transaction for whose journal the repository has no room."""
        nowhere = self.world.repo / "nowhere"
        return _of(actions, (nowhere, *folders[1:]), *args, **more)

    def recover(self) -> None:
        self.world.manager().recover()


class RestoreInPlace(Restore):
    """A restore of files that cannot be renamed over, as of mount points."""

    def act(self) -> None:
        names = ("config/app.toml", "data/trades.csv", "data/orders.db")
        mounts = frozenset(str(self.world.live / name) for name in names)
        with patch.object(plan, "mount_points", lambda: mounts):
            super().act()


class PartRestore(Restore):
    """A restore of the data from a folder without a repository."""

    documented = Restore.documented | {"OSError", "ValueError"}

    def prepare(self) -> None:
        self.world.manager().data_backup.backup(self.world.copies)
        super().prepare()

    def act(self) -> None:
        self.world.manager().data_backup.restore(self.world.copies)

    def recover(self) -> None:
        self.world.manager().data_backup.restore(self.world.copies, dry_run=True)


class PartCreate(Scenario):
    """Copies of the data in a folder without a repository, over those of an older version; each file is one step."""

    live_changes = True
    documented = PartRestore.documented

    def prepare(self) -> None:
        self.act()
        self.old = contents(self.world)
        self.world.reset_live(2)
        self.world.keep()
        self.act()
        self.new = contents(self.world)
        self.world.reset(live=True)

    def act(self) -> None:
        self.world.manager().data_backup.backup(self.world.copies)

    def own(self, ended: Ended) -> Iterator[str]:
        for name, content in contents(self.world).items():
            if not name.startswith(".drill-") and content not in (self.old.get(name), self.new.get(name)):
                yield f"{name} is neither old nor new"
        self.act()
        if contents(self.world) != self.new:
            yield "the next run does not bring all copies up to date"
        if snapshot(self.world.live) != self.live:
            yield "a live file was touched"


def contents(world: World) -> dict[str, bytes]:
    """Return what the copies of a part hold."""
    return {name: fact.content for name, fact in snapshot(world.copies).items() if fact.content}


class Prune(Scenario):
    """Two of three backups go, one of them known to be corrupt."""

    def prepare(self) -> None:
        self.world.backup()
        self.world.backup()
        self.world.backup()
        manager = self.world.manager()
        self.last, _, self.first = (backup.backup_id for backup in manager.list_backups())
        damaged = self.world.repo / self.first / "data" / "data" / "empty.txt"
        damaged.unlink()
        manager.verify_backup(self.first)

    def act(self) -> None:
        self.world.manager().prune(RetentionPolicy(last=1))

    def every_good_one_verifies(self) -> Iterator[str]:
        manager = self.world.manager()
        for backup in manager.list_backups():
            if backup.backup_id != self.first and not manager.verify_backup(backup.backup_id).ok:
                yield f"{backup.backup_id} does not verify any more"

    def own(self, ended: Ended) -> Iterator[str]:
        if self.last not in self.listed():
            yield "the last good one is gone"
        self.act()
        if self.listed() != [self.last]:
            yield f"{self.listed()} are there after the next run"
        if snapshot(self.world.live) != self.live:
            yield "a live file was touched"


class Drill(Scenario):
    """The proof that the newest backup restores."""

    def prepare(self) -> None:
        self.world.backup()

    def act(self) -> None:
        self.world.manager().drill()

    def own(self, ended: Ended) -> Iterator[str]:
        self.act()
        if snapshot(self.world.live) != self.live:
            yield "a live file was touched"
        if self.listed() != self.ids:
            yield "the backup is gone"


SCENARIOS: dict[str, Callable[[World], Scenario]] = {
    "create": Create,
    "create-again": CreateAgain,
    "incremental": Incremental,
    "create-after-crash": CreateAfterCrash,
    "restore": Restore,
    "restore-into": RestoreInto,
    "restore-moved": RestoreMoved,
    "restore-in-place": RestoreInPlace,
    "part-restore": PartRestore,
    "part-create": PartCreate,
    "prune": Prune,
    "drill": Drill,
}


def _differences(one: dict, other: dict) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))[:4]
