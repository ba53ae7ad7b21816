"""`peak-observe backup` with the manager of a module: every command works in the repository that this has."""

import sys

import pyrage
import pytest

from peak_observe.backup_recovery.repository.locking import locked

MODULE = """
from peak_observe import RecoveryManager

recovery = RecoveryManager("kept")
recovery.config_backup.add_config("config")
recovery.data_backup.add_data_path("data")
recovery.data_backup.add_command("pg", "echo dumped")
recovery.state_snapshot.register_provider("bot", lambda: {"orders": 2}, restore=print)
"""
FILE = """
[backup]
app = "bots_of_{name}"

[backup.hooks]
before = "touch before"
after = "touch after"

[backup.offsite]
url = "file://{folder}/store"
recipients = ["{recipient}"]
host = "bot1"
"""


@pytest.fixture
def owner(desk, request: pytest.FixtureRequest):
    """Return the folder of a program whose module has the manager."""
    name = f"{abs(hash(request.node.nodeid)):x}"
    key = pyrage.x25519.Identity.generate()
    desk.write("identity.txt", f"{key}\n").chmod(0o600)
    desk.write(f"bots_of_{name}.py", MODULE)
    desk.write("peak-observe.toml", FILE.format(name=name, folder=desk.folder, recipient=key.to_public()))
    yield desk
    sys.modules.pop(f"bots_of_{name}", None)


def test_everything_is_in_the_repository_of_the_module(owner) -> None:
    """Backups, the key to the store, what is pushed, and nothing in `backups`."""
    assert owner.run("offsite", "init").out.rstrip().endswith(".key")
    made = owner.run("create", "--push", "--json")
    assert (made.code, made.err) == (0, "")
    name = made.json["backup_id"]
    for which in ("latest", name, name[:20], name.removeprefix("backup_")[:12]):
        assert owner.run("push", which).out == f"{name}  was there already\n"
    assert list((owner.folder / "kept" / ".peak-observe").glob("offsite-*.key"))
    assert not (owner.folder / "backups").exists()


def test_no_hook_runs_where_another_run_works_in_it(owner) -> None:
    """What one has stopped another one must not start meanwhile."""
    owner.run("create")
    for name in ("before", "after"):
        (owner.folder / name).unlink()
    with locked(owner.folder / "kept" / ".peak-observe" / "lock", owner.folder / "kept", "work"):
        assert owner.run("create").code == 5
    assert not (owner.folder / "before").exists()
    assert not (owner.folder / "after").exists()


def test_an_option_that_contradicts_it_leaves_nothing_behind(owner) -> None:
    """It is refused before any hook."""
    assert "has its own repository" in owner.run("create", "--repository", "other").line
    assert not (owner.folder / "other").exists()
    assert not (owner.folder / "before").exists()


@pytest.mark.parametrize("app", [True, False], ids=["of a module", "of the file"])
def test_what_is_named_is_restored_from_the_store(owner, app: bool) -> None:
    """Also the output of commands, which belongs beside the repository, and not beside what is fetched."""
    if not app:
        text = owner.read("peak-observe.toml")
        line = text.splitlines()[2]
        commands = '[backup.commands]\npg = "echo dumped"\n[backup.hooks]'
        named = 'repository = "kept"\nconfig = "config"\ndata = "data"'
        owner.write("peak-observe.toml", text.replace(line, named).replace("[backup.hooks]", commands))
    owner.run("offsite", "init")
    owner.run("create", "--push")
    owner.write("data/trades.csv", "lost\n")
    options = ("offsite", "restore", "--identity", "identity.txt", "--yes")
    assert owner.run(*options, "--dry-run").code == 0
    assert owner.read("data/trades.csv") == "lost\n"
    done = owner.run(*options)
    assert done.code == 0, done
    assert owner.read("data/trades.csv") == "1,64000\n"
    assert owner.read("kept.dumps/pg.sql") == "dumped\n"
    assert ("{'orders': 2}" in done.out) is app


def test_a_new_host_without_the_module_restores_from_the_store(owner) -> None:
    """It says that nothing is named by it."""
    owner.run("offsite", "init")
    owner.run("create", "--push")
    (module,) = owner.folder.glob("bots_of_*.py")
    module.unlink()
    sys.modules.pop(module.stem)
    done = owner.run("offsite", "restore", "--identity", "identity.txt", "--to", "look")
    assert (done.code, "nothing is named by it: " in done.err) == (0, True), done
    assert owner.read("look/data/data/trades.csv") == "1,64000\n"


def test_what_restores_nothing_does_not_say_that_it_did(owner) -> None:
    """Nobody takes the state, and no file was named for it."""
    owner.run("create")
    owner.write("kept.toml", '[backup]\nrepository = "kept"\n')
    done = owner.run("restore", "latest", "--config.file", "kept.toml", "--only", "state")
    assert done.code == 1
    assert "is restored" not in done.out
    assert "nothing was restored" in done.err


def test_latest_is_no_older_backup_of_the_state_alone(owner) -> None:
    """On a new host, where nothing is named, it is the newest one."""
    owner.run("create", "--only", "state")
    newest = owner.run("create", "--json").json["backup_id"]
    owner.write("empty/here", "")
    owner.enter("empty")
    done = owner.run("restore", "latest", "--repository", "../kept", "--to", "look", "--json")
    assert (done.code, done.json["backup_id"]) == (0, newest)
    assert owner.read("empty/look/data/data/trades.csv") == "1,64000\n"
    done = owner.run("restore", "latest", "--repository", "../kept", "--only", "config", "--to", "more", "--json")
    assert (done.code, done.json["backup_id"]) == (0, newest)
