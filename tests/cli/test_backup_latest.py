"""`latest`, and why there is none: all commands say the same, and it is true."""

import shutil

import pytest

from .test_backup import damaged

FILE = ("--config.file", "peak-backup.toml")
READING = [
    ["show"],
    ["ls", "latest"],
    ["cat", "latest", "trades.csv"],
    ["diff", "latest"],
    ["diff", "latest", "latest"],
]
PROVING = [["verify"], ["drill"]]
RESTORE = ["restore", "latest", *FILE, "--dry-run"]


def joined(command: list[str]) -> str:
    """Return the name of a case."""
    return " ".join(command)


@pytest.fixture
def corrupt(desk):
    """A good backup and a newer one that is known to be corrupt."""
    desk.good, desk.bad = desk.made(), desk.made()
    path = desk.folder / "backups" / desk.bad / "data" / "data" / "trades.csv"
    path.unlink()
    path.write_text("2,64000\n")
    assert desk.run("verify").code == 4
    return desk


@pytest.mark.parametrize("command", [*READING, RESTORE], ids=joined)
def test_latest_passes_over_what_is_known_to_be_corrupt(corrupt, command: list[str]) -> None:
    """And says so."""
    done = corrupt.run(*command)
    assert (done.code, done.line) == (0, f"{corrupt.bad} is newer, and known to be corrupt")


@pytest.mark.parametrize("command", PROVING, ids=joined)
def test_a_proof_does_not_pass_over_it(corrupt, command: list[str]) -> None:
    """Or the second run of a job would be a success though nothing was mended."""
    done = corrupt.run(*command)
    assert done.code == 4
    assert corrupt.bad in done.line


@pytest.mark.parametrize("command", READING, ids=joined)
def test_where_none_is_whole_the_newest_is_read_and_named(corrupt, command: list[str]) -> None:
    """Another file of it may be right."""
    damaged(corrupt, corrupt.good)
    assert corrupt.run("verify", corrupt.good).code == 4
    done = corrupt.run(*command)
    assert done.code == (4 if command[0] == "cat" else 0)
    assert done.err.splitlines()[0] == f"peak-observe: {corrupt.bad} is known to be corrupt, and no other is whole"
    done = corrupt.run(*RESTORE)
    assert done.code == 3
    assert done.line.endswith(f"/backups has succeeded and is known to be whole; {corrupt.bad} is known to be corrupt")


def test_find_marks_what_is_known_to_be_corrupt(corrupt) -> None:
    """Nobody should rely on it."""
    assert f"{corrupt.bad} (corrupt) and 1 older, back to {corrupt.good}\n" in corrupt.run("find", "trades.csv").out


@pytest.fixture
def partial(desk):
    """Two backups that miss something, and no other."""
    (desk.folder / "data" / "link").symlink_to("nothing")
    for _ in range(2):
        desk.partial = desk.run("create", *FILE, "--json").json["backup_id"]
    return desk


@pytest.mark.parametrize("command", [*READING, *PROVING], ids=joined)
def test_a_partial_backup_is_named_where_there_is_no_other(partial, command: list[str]) -> None:
    """By its name it can be read."""
    done = partial.run(*command)
    assert done.code == 3
    mend = "`restore --allow-partial` brings back what there is"
    assert done.line.endswith(f"none in backups has succeeded; {partial.partial} is partial: {mend}")


@pytest.mark.parametrize("command", [*READING, ["drill"]], ids=joined)
def test_an_empty_repository_is_said_to_have_none(desk, command: list[str]) -> None:
    """No command says that anything is good."""
    (desk.folder / "backups").mkdir()
    done = desk.run(*command)
    assert (done.code, done.out) == (3, "")
    assert done.line.endswith("none in backups has succeeded")


def test_to_verify_all_of_nothing_is_no_success(desk) -> None:
    """There is nothing that could be right."""
    (desk.folder / "backups").mkdir()
    done = desk.run("verify", "--all")
    assert (done.code, done.out, done.line) == (1, "", "there is no backup to verify")


@pytest.mark.parametrize("command", [*READING, *PROVING, RESTORE], ids=joined)
def test_a_backup_that_cannot_be_read_is_named(desk, command: list[str]) -> None:
    """It may well have succeeded."""
    name = desk.made()
    path = desk.folder / "backups" / name / "metadata.json"
    path.chmod(0o600)
    path.write_text("{")
    done = desk.run(*command)
    assert done.code == 3
    assert f"backups can be read; {name} cannot be read: " in done.line


def test_find_names_what_it_cannot_look_into(desk) -> None:
    """The metadata of one, the manifest of another."""
    names = [desk.made(), desk.made()]
    for name, file in zip(names, ("metadata.json", "manifest.json"), strict=True):
        (desk.folder / "backups" / name / file).chmod(0o600)
        (desk.folder / "backups" / name / file).write_text("{")
    done = desk.run("find", "trades.csv")
    assert done.code == 1
    assert [name for name in names if name not in done.err] == []
    assert done.err.endswith("no file in any backup that can be read is like that\n")


def test_a_backup_whose_base_is_gone_is_not_whole(desk) -> None:
    """It is not listed as the success that it was, and the last success is another one."""
    old, base = desk.made(), desk.made()
    desk.write("data/new.csv", "x")
    based = desk.run("create", *FILE, "--incremental", "--json").json["backup_id"]
    shutil.rmtree(desk.folder / "backups" / base)
    shutil.rmtree(desk.folder / "backups" / old)
    assert "success" not in desk.run("list").out
    assert desk.run("list", "--json").json["corrupt"] == [based]
    assert desk.run("show", based, "--json").json["corrupt"] is True
    assert desk.run(*RESTORE).code == 3


def test_a_backup_without_its_base_never_stays_for_one_that_is_whole(desk) -> None:
    """Pruning takes it for what it is, also where the base's folder is still there."""
    old, base = desk.made(), desk.made()
    desk.write("data/new.csv", "x")
    based = desk.run("create", *FILE, "--incremental", "--json").json["backup_id"]
    for path in (desk.folder / "backups" / base).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert desk.run("list", "--json").json["corrupt"] == [based]
    assert desk.run("prune", *FILE, "--last", "1").code == 0
    assert (desk.folder / "backups" / old).is_dir()
    assert desk.run(*RESTORE).code == 0


@pytest.fixture
def based(desk):
    """A whole backup, a base, and what is based on it."""
    desk.old, desk.base = desk.made(), desk.made()
    desk.write("data/new.csv", "x")
    desk.based = desk.run("create", *FILE, "--incremental", "--json").json["backup_id"]
    assert desk.run("show", desk.based, "--json").json["base"] == desk.base
    return desk


def test_a_backup_without_its_manifest_is_corrupt_and_what_is_based_on_it_is_not(based) -> None:
    """All commands say the same, before and after a verification: what can be restored is whole, and the other not."""
    (based.folder / "backups" / based.base / "manifest.json").unlink()
    for _ in range(2):
        assert based.run("list", "--json").json["corrupt"] == [based.base]
        told = [word for word in based.run("list").out.split() if word in ("success", "corrupt")]
        assert told == ["success", "corrupt", "success"]
        done = based.run(*RESTORE)
        assert (done.code, done.err) == (0, "")
        assert based.run("verify", based.based).code == 0
        assert based.run("verify", based.base).code == 4
    done = based.run("restore", "latest", *FILE, "--to", "out", "--yes")
    assert (done.code, based.based in done.out + done.err) == (0, True)
    assert based.run("prune", *FILE, "--last", "1").code == 0
    left = {item["backup_id"] for item in based.run("list", "--json").json["backups"]}
    assert left == {based.base, based.based}
    again = based.run("create", *FILE, "--incremental", "--json").json["backup_id"]
    assert based.run("show", again, "--json").json["base"] == ""


def test_a_backup_of_its_own_without_its_manifest_is_passed_over(desk) -> None:
    """Nothing has to verify it first."""
    old, new = desk.made(), desk.made()
    (desk.folder / "backups" / new / "manifest.json").unlink()
    assert desk.run("list", "--json").json["corrupt"] == [new]
    done = desk.run(*RESTORE)
    assert (done.code, done.line) == (0, f"{new} is newer, and known to be corrupt")
    assert desk.run("prune", *FILE, "--last", "1").code == 0
    assert (desk.folder / "backups" / old).is_dir()


@pytest.mark.parametrize("command", ["verify", "restore"])
def test_a_file_in_the_folder_of_the_base_is_one_of_the_base_too(based, command: str) -> None:
    """What is found with the one backup is known of the other, and neither is restored then."""
    (based.folder / "backups" / based.base / "data/data/trades.csv").unlink()  # the older backup has the same file
    (based.folder / "backups" / based.base / "data/data/trades.csv").write_text("2,64000\n")
    done = based.run(command, based.based, *(() if command == "verify" else (*FILE, "--to", "out", "--yes")))
    assert done.code == 4
    assert based.run("list", "--json").json["corrupt"] == [based.base, based.based]
    done = based.run(*RESTORE)
    assert (done.code, based.old in done.out + done.err) == (0, True)


def test_a_file_of_its_own_says_nothing_of_the_base(based) -> None:
    """The base is restored then."""
    path = based.folder / "backups" / based.based / "data/data/new.csv"
    path.chmod(0o600)
    path.write_text("y")
    assert based.run("verify", based.based).code == 4
    assert based.run("list", "--json").json["corrupt"] == [based.based]
    assert based.run(*RESTORE).code == 0


def test_only_what_was_backed_up_is_shown(desk) -> None:
    """A backup of one part says nothing of the others."""
    for part, path in (("config", "config/bot.toml"), ("data", "data/trades.csv")):
        name = desk.made("--only", part)
        files = [item["path"] for item in desk.run("ls", name, "--json").json if item["type"] == "file"]
        assert files == [str(desk.folder / path)]
        assert list(desk.run("show", name, "--json").json["parts"]) == [part]
        assert "1 file, " in desk.run("verify", name).out
        assert path.rpartition("/")[2] not in desk.run("diff", name, name).out


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_corrupt_backup_that_stays_is_no_partial_one(corrupt, *, dry_run: bool) -> None:
    """It is kept for its age, and called what `list` calls it."""
    options = ("prune", "--last", "1", "--repository", "backups", *(["--dry-run"] if dry_run else []))
    lines = [line for line in corrupt.run(*options).out.splitlines() if corrupt.bad in line]
    assert [line.split(maxsplit=1)[1] for line in lines] == ["corrupt, newer than the oldest kept"]
    done = corrupt.run(*options, "--json").json
    assert done["corrupt"] == [corrupt.bad]
    assert [kept["status"] for kept in done["keep"]] == ["success", "success"]


def test_a_corrupt_backup_that_goes_is_called_so(corrupt) -> None:
    """There is a newer good one."""
    corrupt.made()
    out = corrupt.run("prune", "--last", "1", "--repository", "backups", "--dry-run").out
    (line,) = [line for line in out.splitlines() if corrupt.bad in line]
    assert line.split()[1] == "corrupt,"


def test_a_drill_without_a_backup_says_what_others_say(desk) -> None:
    """By the name that stands for the newest one everywhere."""
    (desk.folder / "backups").mkdir()
    drill, others = (desk.run(name, "--repository", "backups") for name in ("drill", "verify"))
    assert (drill.code, drill.line) == (others.code, others.line)


@pytest.fixture
def shared(desk):
    """A repository with a good backup of one program, and a partial one of another."""
    for name, config in (("one", '["one.toml"]'), ("two", '["two.toml", "gone.toml"]')):
        desk.write(f"{name}.toml", "x = 1")
        desk.write(f"of-{name}.toml", f'[backup]\nrepository = "backups"\nname = "{name}"\nconfig = {config}\n')
    desk.one = desk.run("create", "--config.file", "of-one.toml", "--json").json["backup_id"]
    desk.two = desk.run("create", "--config.file", "of-two.toml", "--json").json["backup_id"]
    return desk


@pytest.mark.parametrize(
    "command", [["show"], ["ls", "latest"], ["cat", "latest", "one.toml"], ["diff", "latest"], *PROVING], ids=joined
)
def test_a_good_backup_of_another_program_is_none_of_what_is_named(shared, command: list[str]) -> None:
    """It is no proof, and the message says what there is; where nothing is named, it is the newest good one."""
    done = shared.run(*command, "--config.file", "of-two.toml")
    assert (done.code, done.out) == (3, "")
    partial = f"{shared.two} is partial: `restore --allow-partial` brings back what there is"
    other = f"{shared.one} has, and is one of {shared.folder}/one.toml"
    assert done.line.endswith(f"of what is named, none in backups has succeeded; {partial}; {other}") or (
        done.line.endswith(f"of what is named, none in {shared.folder}/backups has succeeded; {partial}; {other}")
    )
    for options in (["--config.file", "of-one.toml"], ["--repository", "backups"]):
        assert shared.run(*command, *options).code == 0


@pytest.mark.parametrize("command", PROVING, ids=joined)
@pytest.mark.parametrize("is_copy", [False, True])
def test_a_proof_finds_what_has_moved(desk, command: list[str], *, is_copy: bool) -> None:
    """As a restore does, by the names in the file; while the old files are there, they are another program's."""
    for name in ("one", "other"):
        desk.write(f"{name}/bot.toml", "x = 1")
        desk.write(f"{name}/backup.toml", '[backup]\nrepository = "../backups"\nconfig = "bot.toml"\n')
    assert desk.run("create", "--config.file", "one/backup.toml").code == 0
    if not is_copy:
        shutil.rmtree(desk.folder / "one")
    assert desk.run(*command, "--config.file", "other/backup.toml").code == (3 if is_copy else 0)
