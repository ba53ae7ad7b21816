"""Places of `peak-observe backup restore`: a dry run and a real one refuse the same, and nothing changes then."""

import os
import signal
import socket
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from peak_observe.backup_recovery import StateSnapshot

from .conftest import Done

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
LATEST = ("restore", "latest", "--repository", "backups")
FILES = ("--only", "config", "--only", "data")
ELSEWHERE = "--to DIR or --map OLD=NEW names another place"
APP = """
from peak_observe import RecoveryManager

recovery = RecoveryManager("backups")
recovery.config_backup.add_config("config")
recovery.data_backup.add_data_path("data")
recovery.state_snapshot.register_provider("bot", lambda: {"orders": 2})
"""


def picture(folder: Path) -> dict[str, object]:
    """Return all that is below a folder, but for the account of a repository."""
    return {
        str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() and not path.is_symlink() else None)
        for path in folder.rglob("*")
        if ".peak-observe" not in path.parts
    }


def refused(desk, *options: str, code: int = 6) -> str:
    """Return what a dry run and a real one say alike, after which all is as before and no journal lies about."""
    before, ended = picture(desk.folder), list[Done]()
    for how in ("--dry-run", "--yes"):
        ended.append(desk.run(*LATEST, *options, how))
        assert ended[-1].code == code, ended  # of a dry run first: what it lets pass must not be written anywhere
    assert ended[0].line == ended[1].line
    assert picture(desk.folder) == before
    assert not list(desk.folder.glob("backups/.peak-observe/restore-*"))
    return ended[0].line.replace(str(desk.folder), "W")


@pytest.fixture
def made(desk):
    """A folder with a backup and with all that is no folder."""
    desk.write("bot_of_targets.py", APP)
    assert desk.run("create", "--app", "bot_of_targets").code == 0
    desk.write("FILE", "mine")
    for name, target in (("to_file", "FILE"), ("to_nothing", "nowhere"), ("loop", "loop"), ("to_backups", "backups")):
        (desk.folder / name).symlink_to(target)
    os.mkfifo(desk.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(desk.folder)
        made.bind("socket")
    return desk


NO_FOLDER = "now, and a folder has to be there: move it away; or --to DIR restores into a folder of its own"
NOWHERE = "is a symbolic link to nothing: name another"
PLACES = {
    "FILE": f"W/FILE is a file {NO_FOLDER}",
    "FILE/z": f"W/FILE is a file {NO_FOLDER}",
    "to_file": f"W/FILE is a file {NO_FOLDER}",
    "to_file/z/y": f"W/FILE is a file {NO_FOLDER}",
    "pipe": f"W/pipe is no regular file {NO_FOLDER}",
    "socket": f"W/socket is no regular file {NO_FOLDER}",
    "/dev/null": f"/dev/null is no regular file {NO_FOLDER}",
    "to_nothing": f"W/to_nothing {NOWHERE}",
    "to_nothing/z": f"W/to_nothing {NOWHERE}",
    "loop": "W/loop: Too many levels of symbolic links: name another",
    "loop/z": "W/loop: Too many levels of symbolic links: name another",
    "n" * 300: f"W/{'n' * 300}: this name is too long",
    "new/" + "n" * 300: f"{'n' * 300}: this name is too long",
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[:12])
def test_a_place_where_no_folder_can_be_is_refused(made, place: str) -> None:
    """For all files alike, and for what is mapped."""
    for options in (("--to", place), (*FILES, "--map", f"{made.folder}={place}")):
        line = refused(made, *options)
        assert PLACES[place] in line
        assert line.count(PLACES[place]) == 1
        assert line.endswith((ELSEWHERE, "or --to DIR restores into a folder of its own"))


@pytest.mark.parametrize("place", ["FILE/z", "pipe/z", "loop/z"])
def test_a_named_path_where_no_folder_can_be_is_refused(made, place: str) -> None:
    """Also one that nobody has mapped: its way is shut since the backup was made."""
    made.write("way/a.toml", "x")
    made.run("create", "--config", "way/a.toml", "--repository", "backups")
    (made.folder / "way" / "a.toml").unlink()
    (made.folder / "way").rmdir()
    (made.folder / "way").symlink_to(place.partition("/")[0])
    line = refused(made, "--config", "way/a.toml")
    assert line.endswith("or --to DIR restores into a folder of its own")


@pytest.mark.parametrize("place", ["backups", "backups/new", "to_backups", "to_backups/new", "backups/.peak-observe"])
def test_no_place_among_backups_is_taken(made, place: str) -> None:
    """By whatever path one gets there."""
    assert refused(made, "--to", place).endswith(f"lies in the repository: name another folder; {ELSEWHERE}")
    line = refused(made, *FILES, "--map", f"{made.folder}={place}")
    assert "lies among the backups: name another place" in line
    line = refused(made, "--only", "data", "--map", f"{made.folder}/data={place}")
    assert line.endswith(f"lies among the backups: name another place; {ELSEWHERE}")
    assert "lies among the backups: name another file" in refused(
        made, "--only", "state", "--state-file", f"{place}/s.json"
    )


@as_root
@pytest.mark.parametrize("what", ["", "/{}"])
def test_backups_that_are_mounted_elsewhere_are_known(made, what: str) -> None:
    """The folder of the repository, and that of one backup."""
    (backup,) = (path.name for path in made.folder.glob("backups/backup_*"))
    (made.folder / "mnt").mkdir()
    subprocess.run(["mount", "--bind", f"{made.folder}/backups{what.format(backup)}", "mnt"], check=True)
    try:
        assert "mnt lies in the repository" in refused(made, "--to", "mnt")
        assert "mnt/z lies in the repository" in refused(made, "--to", "mnt/z")
        assert "mnt/x/data lies among the backups" in refused(made, *FILES, "--map", f"{made.folder}=mnt/x")
    finally:
        subprocess.run(["umount", "mnt"], check=True)


def test_another_repository_is_none_of_the_places(made) -> None:
    """Its next command would take what lies there for its own."""
    assert made.run("create", "--config", "config", "--repository", "other").code == 0
    assert "other/x lies in the repository" in refused(made, "--to", "other/x")


def test_a_folder_above_the_repository_is_taken_if_nothing_goes_into_that(made) -> None:
    """What the backup holds below it decides."""
    made.write("all/kept/f", "x")
    made.run("create", "--data", "all", "--repository", "kept")
    options = ("restore", "latest", "--map", f"{made.folder}/all={made.folder}", "--yes", "--repository")
    done = made.run(*options, "kept")
    assert (done.code, "lies among the backups" in done.line) == (6, True)
    assert not (made.folder / "kept" / "f").exists()
    (made.folder / "kept").rename(made.folder / "moved")
    assert made.run(*options, "moved").code == 0
    assert made.read("kept/f") == "x"


def test_the_folder_of_all_is_none_of_its_own(made) -> None:
    """Not for all files, and not for a folder."""
    assert refused(made, "--to", "/").endswith(f"/ is no folder of its own: name another one; {ELSEWHERE}")
    line = refused(made, "--only", "data", "--map", f"{made.folder}/data=/")
    assert line.endswith(f"W/data cannot become the folder /: name another place; {ELSEWHERE}")


def test_places_in_one_another_are_refused(made) -> None:
    """Where it was not so before; a folder that moves as a whole stays as it is."""
    options = ("--map", f"{made.folder}/data=new", "--map", f"{made.folder}/config=new/in")
    line = refused(made, *FILES, *options)
    assert line.endswith(
        f"W/config would go to W/new/in, into what W/data becomes: give each its own place; {ELSEWHERE}"
    )
    made.write("data/sub/a.toml", "x")
    made.run("create", "--config", "data/sub/a.toml", "--data", "data", "--repository", "backups")
    done = made.run(*LATEST, "--map", f"{made.folder}=new")
    assert done.code == 0, done
    assert made.read("new/data/sub/a.toml") == "x"


def test_a_place_of_another_path_is_refused(made) -> None:
    """Also where that one is not restored, by any name."""
    (made.folder / "by_link").symlink_to("data")
    for place in ("data", "by_link", "./data/"):
        line = refused(made, "--only", "config", "--map", f"{made.folder}/config={place}")
        assert line.endswith(f"W/data is the place of W/data: name another one; {ELSEWHERE}")
    line = refused(made, *FILES, "--map", f"{made.folder}/config=by_link", "--data", "data")
    assert "would both become W/data" in line


@as_root
def test_a_folder_that_is_mounted_twice_is_one(made) -> None:
    """Two paths, one place."""
    for name in ("one", "two"):
        (made.folder / name).mkdir()
    subprocess.run(["mount", "--bind", "one", "two"], check=True)
    try:
        maps = ("--map", f"{made.folder}/config=one", "--map", f"{made.folder}/data=two")
        assert "W/one and W/two are one folder: give each its own place" in refused(made, *FILES, *maps)
    finally:
        subprocess.run(["umount", "two"], check=True)


def test_two_paths_may_change_places(made) -> None:
    """Each goes where the other one lived."""
    maps = ("--map", f"{made.folder}/config=data", "--map", f"{made.folder}/data=config")
    assert made.run(*LATEST, *maps, "--yes").code == 0
    assert made.read("data/bot.toml") == "pair = 'BTC/USD'\n"
    assert made.read("config/trades.csv") == "1,64000\n"


def test_a_map_of_what_lies_in_a_named_folder_tells_what_can_be_mapped(made) -> None:
    """It lay in the backup, so that the message must not say that nothing did."""
    line = refused(made, *FILES, "--map", f"{made.folder}/data/trades.csv=new", "--config", "config")
    assert "W/data/trades.csv lies in W/data, which goes to one place as a whole; it holds W/config, W/data; " in line
    assert "--map takes one of these as OLD, or a folder above it, and --path FILE restores a part of it" in line
    line = refused(made, *FILES, "--map", f"{made.folder}=new", "--map", f"{made.folder}/data/gone=x")
    assert "nothing in the backup lay at W/data/gone; it holds W/config, W/data" in line


def test_a_map_may_be_more_exact_than_another(made) -> None:
    """The longest one counts, also where none is left for the other."""
    maps = ("--map", f"{made.folder}=all", "--map", f"{made.folder}/data=new/data", "--map", f"{made.folder}/config=c")
    assert made.run(*LATEST, *maps).code == 0
    assert made.read("new/data/trades.csv") == "1,64000\n"
    assert made.read("c/bot.toml") == "pair = 'BTC/USD'\n"


USAGE = {
    ("--to", "x", "--map", "/a=/b"): (
        "--to puts all into one folder, and --map says where each path goes: give one of them"
    ),
    ("--map", "data=x", "--map", "./data/=y"): "--map says twice where W/data goes: give it once",
    ("--to", "~nobody-here/x"): (
        "--to: '~nobody-here/x' begins with the home folder of a user that this host does not know"
    ),
    ("--map", "data=~nobody-here/x"): (
        "--map: '~nobody-here/x' begins with the home folder of a user that this host does not know"
    ),
    ("--state-file", "-"): "--state-file takes the path of a file; --json prints the state on standard output",
    ("--to", ""): "--to: it has to be a path, not ''",
    ("--state-file", ""): "--state-file: it has to be a path, not ''",
}


@pytest.mark.parametrize("options", USAGE, ids=" ".join)
def test_options_that_make_no_sense_are_exit_2(made, options: tuple[str, ...]) -> None:
    """Each says what to write."""
    assert refused(made, *options, code=2) == USAGE[options]


def test_a_tilde_is_the_home_folder(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also behind an equals sign, where a shell leaves it."""
    monkeypatch.setenv("HOME", f"{made.folder}/home")
    assert made.run(*LATEST, "--to=~/look").code == 0
    assert made.run(*LATEST, *FILES, "--map", f"{made.folder}=~/bot/").code == 0
    assert made.run(*LATEST, "--only", "state", "--state-file=~/s.json").code == 0
    assert made.read("home/look/data/data/trades.csv") == made.read("home/bot/data/trades.csv")
    assert (made.folder / "home" / "s.json").exists()


def test_a_tilde_is_the_home_folder_in_all_paths(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """In options and in the file, as a service has them: no folder is called `~` for it."""
    monkeypatch.setenv("HOME", f"{made.folder}/home")
    made.write("home/data/trades.csv", "1\n")
    made.write("home/tilde.toml", '[backup]\nrepository = "~/kept"\ndata = ["~/data"]\n')
    assert made.run("create", "--config.file", "~/tilde.toml").code == 0
    assert made.run("verify", "latest", "--repository=~/kept").code == 0
    made.write("home/data/trades.csv", "2\n")
    assert made.run("restore", "latest", "--yes", "--config.file=~/tilde.toml").code == 0
    assert made.read("home/data/trades.csv") == "1\n"
    assert not (made.folder / "~").exists()


def test_a_file_goes_to_the_whole_path_that_is_written(made) -> None:
    """A slash at its end would make it a folder; a line break is a letter like others."""
    made.run("create", "--config", "config/bot.toml", "--repository", "backups")
    old = f"{made.folder}/config/bot.toml"
    line = refused(made, "--map", f"{old}=new/")
    assert line.endswith(f"W/config/bot.toml is a file, and W/new/ a folder by its slash: write its whole new path; "
                         f"{ELSEWHERE}")  # fmt: skip
    assert made.run(*LATEST, "--map", f"{old}=new\n/x").code == 0
    assert made.read("new\n/x") == "pair = 'BTC/USD'\n"


STATE = ("--only", "state", "--state-file")
STATE_MEND = "; --state-file FILE names another one, and --json prints the state"
NO_STATE = {
    "data": "it is a folder",
    "pipe": "it is no regular file",
    "socket": "it is no regular file",
    "to_nothing": "W/to_nothing is a symbolic link to nothing",
    "to_nothing/s": "W/to_nothing is a symbolic link to nothing",
    "loop": "W/loop: Too many levels of symbolic links",
    "FILE/s": "W/FILE is a file now, and a folder has to be there: move it away",
    "n" * 300: "File name too long",
}


@pytest.mark.parametrize("place", NO_STATE, ids=lambda place: place[:12])
def test_a_state_file_that_cannot_be_written_is_refused(made, place: str) -> None:
    """Before a file changes: half a bot is none."""
    (made.folder / "config" / "bot.toml").unlink()
    line = refused(made, "--config", "config", "--only", "config", "--state-file", place)
    assert line.endswith(f"the state cannot go to {place}: {NO_STATE[place]}{STATE_MEND}")


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("new/config/bot.toml", "a file of the backup goes there"),
        ("new/config/bot.toml/s", "W/new/config/bot.toml becomes a file of the backup"),
        ("new/data", "a folder of the backup goes there"),
        ("new", "files of the backup go below it"),
    ],
)
def test_a_state_file_takes_no_place_of_a_file(made, place: str, problem: str) -> None:
    """It would replace what was restored a moment before."""
    line = refused(made, "--map", f"{made.folder}=new", "--state-file", place)
    assert line.endswith(f"the state cannot go to {place}: {problem}{STATE_MEND}")


def test_a_state_file_may_lie_among_restored_files(made) -> None:
    """As in the five commands; it is in the plan, and is no surplus file the next time."""
    options = (*LATEST, "--map", f"{made.folder}=new", "--state-file", "new/data/state.json", "--json")
    dry, first, second = made.run(*options, "--dry-run"), made.run(*options), made.run(*options)
    assert dry.json["new"] == first.json["new"]
    assert f"{made.folder}/new/data/state.json" in first.json["new"]
    assert f"{made.folder}/new/data/state.json" in second.json["same"]
    assert (second.json["new"], second.json["extra"]) == ([], [])


def test_a_state_file_in_the_folder_of_all(made) -> None:
    """It is there anyway."""
    options = (*LATEST, "--to", "new", "--state-file", "new/state.json")
    for _ in range(2):
        assert made.run(*options).code == 0
    assert StateSnapshot().load(made.folder / "new" / "state.json")["providers"]["bot"] == {"orders": 2}


@pytest.mark.parametrize("place", ["FILE", "to_file"])
def test_a_file_in_the_place_of_the_state_is_asked_for(made, place: str) -> None:
    """As any other that would be overwritten."""
    options = (*LATEST, *STATE, place)
    assert made.run(*options, "--dry-run", "--json").json["replaced"] == [f"{made.folder}/FILE"]
    done = made.run(*options)
    assert (done.code, made.read("FILE")) == (2, "mine")
    assert done.line == (
        "this would overwrite 1 file: --yes does it, --dry-run shows what would change, "
        f"--to DIR restores into a folder of its own, and another --state-file keeps {place}"
    )
    assert made.run(*options, "--yes").code == 0
    assert stat.S_IMODE((made.folder / "FILE").stat().st_mode) == 0o600
    assert (made.folder / "to_file").is_symlink()
    assert made.run(*options).code == 0  # it is the same now


def test_logs_that_would_go_are_asked_for(desk) -> None:
    """They are files of the owner, too."""
    with sqlite3.connect(desk.folder / "data" / "db.sqlite") as base:
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("CREATE TABLE t(x)")
        desk.made()
        log = (desk.folder / "data" / "db.sqlite-wal").read_bytes()
    base.close()
    (desk.folder / "data" / "db.sqlite").unlink()
    (desk.folder / "data" / "db.sqlite-wal").write_bytes(log)
    options = ("restore", "latest", "--config.file", "peak-backup.toml")
    done = desk.run(*options)
    assert (done.code, done.line.partition(":")[0]) == (2, "this would remove 1 file")
    assert (desk.folder / "data" / "db.sqlite-wal").read_bytes() == log
    assert desk.run(*options, "--yes").code == 0


def test_a_closed_input_is_nobody_to_ask(made) -> None:
    """As with `<&-` in a script."""
    made.write("config/bot.toml", "changed")
    command = ["sh", "-c", 'exec "$@" <&-', "sh"]
    options = (*LATEST, *FILES, "--config", "config", "--data", "data")
    with made.started(*options, stderr=subprocess.PIPE, prefix=command) as process:
        said, code = process.stderr.read().decode(), process.wait()
    assert (code, said.startswith("peak-observe: this would overwrite 1 file: --yes does it")) == (2, True), said
    assert made.read("config/bot.toml") == "changed"


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        ("\x04", 1, "nothing was restored"),
        (lambda process: process.send_signal(signal.SIGTERM), 130, "no file is left half done"),
        (lambda process: process.send_signal(signal.SIGHUP), 130, "no file is left half done"),
    ],
    ids=["Ctrl-D", "SIGTERM", "SIGHUP"],
)
def test_a_question_that_is_not_answered_restores_nothing(made, answer: object, code: int, told: str) -> None:
    """The end of what is typed is a no; a signal ends the command."""
    made.write("config/bot.toml", "changed")
    options = (*LATEST, *FILES, "--config", "config", "--data", "data")
    done = made.at_terminal(*options, seen="Overwrite 1 file?", answer=answer)
    assert (done.code, told in done.out) == (code, True), done
    assert made.read("config/bot.toml") == "changed"
    assert not list(made.folder.glob("backups/.peak-observe/restore-*"))


def test_latest_may_be_a_partial_one(desk) -> None:
    """Where it is asked for, and there is no good one; a good one comes first."""
    name = desk.run("create", "--config", "config", "--config", "gone", "--json").json["backup_id"]
    newer = desk.run("create", "--config", "config", "--config", "gone", "--json").json["backup_id"]
    done = desk.run(*LATEST, "--to", "out")
    assert done.code == 3
    assert done.line == (
        f"there is no backup 'latest'; none in backups has succeeded; {newer} is partial: "
        "`restore --allow-partial` brings back what there is"
    )
    done = desk.run(*LATEST, "--to", "out", "--allow-partial", "--json")
    assert done.json["backup_id"] == newer
    assert done.line == f"{newer} is partial: no backup that has succeeded holds what is wanted"
    good = desk.run("create", "--config", "config", "--json").json["backup_id"]
    last = desk.run("create", "--data", "data", "--data", "gone", "--repository", "backups", "--json").json["backup_id"]
    done = desk.run(*LATEST, "--config", "config", "--allow-partial", "--yes", "--json")
    assert (done.json["backup_id"], f"{last} is newer and partial" in done.err) == (good, True)
    options = ("--only", "data", "--data", "data", "--allow-partial", "--yes", "--json")
    assert desk.run(*LATEST, *options).json["backup_id"] == last
    assert name < newer


def test_latest_of_one_program_may_be_partial_beside_good_ones_of_another(desk) -> None:
    """A backup of somebody else is no better."""
    mine = desk.run("create", "--data", "data", "--data", "gone", "--repository", "backups", "--json").json["backup_id"]
    desk.run("create", "--config", "config", "--repository", "backups")
    options = ("--map", f"{desk.folder}/data=new", "--allow-partial", "--json")
    assert desk.run(*LATEST, *options).json["backup_id"] == mine


def test_a_name_that_means_no_backup_or_several_is_told(made) -> None:
    """A dry run and a real one say the same, and exit code 3 or 2 tells which it is."""
    (name,) = (path.name for path in made.folder.glob("backups/backup_*"))
    made.run("create", "--config", "config", "--repository", "backups")
    for which, code, said in (
        ("nope", 3, "there is no backup 'nope'; the newest is backup_"),
        ("a\nb", 3, r"there is no backup 'a\nb'; 'a\nb' is no name of a backup"),
        ("", 3, "there is no backup ''; '' is no name of a backup"),
        ("../backups", 3, "there is no backup '../backups'; '../backups' is no name of a backup"),
        (f"{name}0", 3, f"there is no backup '{name}0'; the newest is backup_"),
        ("backup_", 2, "'backup_' is the beginning of 2 backups, of backup_"),
    ):
        ended = [made.run("restore", which, *LATEST[2:], "--to", "out", how) for how in ("--dry-run", "--yes")]
        assert ended[0] == ended[1]
        assert (ended[0].code, ended[0].line.startswith(said)) == (code, True), ended[0]
    assert not (made.folder / "out").exists()


def test_a_named_path_that_is_a_link_to_nothing_is_refused(made) -> None:
    """Its disk is not mounted: what is written through it lies below the mount point, where nobody finds it later."""
    made.write("disk/c/bot.toml", "x")
    (made.folder / "c").symlink_to("disk/c")
    assert made.run("create", "--data", "c", "--repository", "backups").code == 0
    (made.folder / "disk").rename(made.folder / "elsewhere")
    line = refused(made, "--data", "c")
    mend = "--map OLD=NEW names another place, or --to DIR restores into a folder of its own"
    assert line.endswith(
        f"W/c cannot be restored: W/c is a symbolic link to nothing: mount its disk, or remove the link; {mend}"
    )
    assert made.run(*LATEST, "--map", f"{made.folder}/c=new").code == 0
    assert made.read("new/bot.toml") == "x"
    (made.folder / "elsewhere").rename(made.folder / "disk")
    assert made.run(*LATEST, "--data", "c").code == 0


def test_a_link_into_what_is_restored_leads_somewhere_in_the_end(made) -> None:
    """So that it is no reason against the restore."""
    made.write("bot/v2/bot.toml", "x")
    (made.folder / "bot" / "now").symlink_to("v2")
    named = ("--data", "bot", "--config", "bot/now/bot.toml")
    assert made.run("create", *named, "--repository", "backups").code == 0
    (made.folder / "bot" / "v2" / "bot.toml").unlink()
    (made.folder / "bot" / "v2").rmdir()
    assert made.run(*LATEST, *named).code == 0
    assert made.read("bot/now/bot.toml") == "x"
