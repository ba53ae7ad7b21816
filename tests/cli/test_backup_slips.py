"""A slip in `--repository` names a folder of somebody's files, and takes it out of no backup."""

import pytest

CREATE = "create", "--repository", "bk", "--data", "data"


@pytest.mark.parametrize("command", ["list", "recover", "prune --last 1", "verify", "drill", "show", "ls latest"])
def test_a_command_that_makes_no_backup_leaves_no_trace(desk, command: str) -> None:
    """Later backups of the folder above hold it as before."""
    desk.write("data/in/trades", "v")
    desk.run(*command.split(), "--repository", "data/in")
    assert [path.name for path in (desk.folder / "data" / "in").iterdir()] == ["trades"]
    assert desk.run(*CREATE, "--json").json["files_count"] == 3


def test_what_an_earlier_version_left_there_is_no_repository(desk) -> None:
    """The files beside it are in the backup; it is not, so that it can be restored into the same folder."""
    desk.write("data/in/trades", "v")
    desk.write("data/in/.peak-observe/account.json", "{}")
    desk.write("data/in/run/metadata.json", "{}")
    made = desk.run(*CREATE, "--json").json
    assert (made["files_count"], made["status"], made["left_out"]) == (4, "success", [])
    (desk.folder / "data" / "in" / "trades").unlink()
    assert desk.run("restore", "latest", "--repository", "bk", "--data", "data", "--yes").code == 0
    assert desk.read("data/in/trades") == "v"


@pytest.mark.parametrize("name", [".staging-backup_1", ".failed-backup_1", "backup_1/metadata.json", ""])
def test_a_repository_is_left_out(desk, name: str) -> None:
    """Also one whose first backup is under way or failed, and one that is new."""
    desk.write("data/in/.peak-observe/lock", "")
    if name:
        desk.write(f"data/in/{name}", "{}")
    assert desk.run(*CREATE, "--json").json["files_count"] == 2


def test_what_the_last_backup_held_is_told_of_with_quiet(desk) -> None:
    """Under cron nobody sees what is printed; the second time it is no news."""
    desk.write("data/in/trades", "v")
    assert desk.run(*CREATE, "-q").err == ""
    desk.write("data/in/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55")
    done = desk.run(*CREATE, "-q")
    assert (done.code, done.out) == (0, "")
    assert f"what is in {desk.folder}/data/in is not kept" in done.line
    assert desk.run(*CREATE, "-q").err == ""
