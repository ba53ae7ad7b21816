"""`peak-observe backup ls`, `find` and `cat`, and what `show` tells of files: what is in which backup."""

import re
import subprocess
import sys

import pytest

FILE = ("--config.file", "peak-backup.toml")


@pytest.fixture
def two(desk):
    """Two backups, between which one file changed, and their names."""
    desk.first = desk.made()
    desk.write("config/bot.toml", "pair = 'ETH/USD' # changed\n")
    desk.second = desk.made()
    return desk


def test_show_tells_where_things_lived(two) -> None:
    """Each named path and the files, and what lists the rest."""
    out = two.run("show").out
    assert re.search(rf"^roots +config/config ← {two.folder}/config$", out, re.MULTILINE)
    assert re.search(rf"^ +data/data ← {two.folder}/data$", out, re.MULTILINE)
    assert re.search(rf"^files +{two.folder}/config/bot.toml$", out, re.MULTILINE)
    for number in range(12):
        two.write(f"data/{number}.csv", "x")
    name = two.made()
    assert f"… and 4 more: peak-observe backup ls {name}\n" in two.run("show").out


def test_show_still_shows_a_backup_whose_manifest_is_damaged(two) -> None:
    """And says that."""
    (two.folder / "backups" / two.second / "manifest.json").unlink()
    done = two.run("show", two.second)
    assert f"folder  {two.folder}/backups/{two.second}" in re.sub(" +", "  ", done.out)
    assert "manifest.json: " in done.line


def test_ls_lists_files_by_where_they_lived(two) -> None:
    """With size and time; folders end in a slash."""
    lines = two.run("ls", "latest").out.splitlines()
    assert [line[33:] for line in lines] == [
        f"{two.folder}/{name}" for name in ("config/", "config/bot.toml", "data/", "data/trades.csv")
    ]
    assert re.match(r" +27 B  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  /", lines[1])


@pytest.mark.parametrize("pattern", ["*.csv", "trades.csv", "data/trades.csv", "data/data/trades.csv", "*/data/*"])
def test_ls_chooses_by_pattern(two, pattern: str) -> None:
    """As in the shell, or the end of a path."""
    found = two.run("ls", "latest", pattern, "--json").json
    assert [item["path"] for item in found] == [f"{two.folder}/data/trades.csv"]
    assert found[0]["size_bytes"] == 8


@pytest.mark.parametrize("name", ["[a].csv", "day[1]/a.csv", "[!x]", "what?.csv", "*.csv"])
def test_a_name_that_looks_like_a_pattern_is_found_by_itself(two, name: str) -> None:
    """By its path or the end of it; only `*` and `?` are a pattern there, which also means the file itself."""
    path = two.write(f"data/{name}", "found\n")
    two.write("data/a.csv", "another\n")
    backup = two.made()
    for given in (str(path), f"data/{name}"):
        done = cat(two, backup, given)
        assert (done.returncode, done.stdout) == (0, b"found\n"), done.stderr
    found = [item["path"] for item in two.run("ls", backup, name, "--json").json]
    assert str(path) in found
    assert len(found) == (3 if name == "*.csv" else 1)
    path.unlink()
    assert two.run("restore", backup, "--config.file", FILE[1], "--path", str(path), "--yes").code == 0
    assert path.read_text() == "found\n"


def test_brackets_are_a_pattern_where_no_name_has_them(two) -> None:
    """As in the shell."""
    assert [item["path"] for item in two.run("ls", "latest", "[t]rades.csv", "--json").json] == [
        f"{two.folder}/data/trades.csv"
    ]


def test_ls_of_a_folder_lists_what_is_in_it(two) -> None:
    """Whatever its name, also with a slash at its end."""
    for name in ("data", "data/", str(two.folder / "data")):
        assert [item["type"] for item in two.run("ls", "latest", name, "--json").json] == ["folder", "file"]


def test_ls_of_nothing_is_exit_1(two) -> None:
    """As with grep."""
    done = two.run("ls", "latest", "*.nope")
    assert (done.code, done.out, done.line) == (1, "", "no file is like that")


def test_find_tells_versions_and_their_backups(two) -> None:
    """The newest version first; one that did not change is one version."""
    lines = two.run("find", "bot.toml").out.splitlines()
    assert lines[0] == f"{two.folder}/config/bot.toml"
    assert [re.split("  +", line.strip())[::2] for line in lines[1:]] == [["27 B", two.second], ["17 B", two.first]]
    (found,) = two.run("find", "trades.csv", "--json").json
    assert found["backups"] == [two.second, two.first]
    assert f"{two.second} and 1 older, back to {two.first}" in two.run("find", "trades.csv").out
    assert two.run("find", "nope").code == 1


def test_find_goes_on_past_a_damaged_backup(two) -> None:
    """And says which one it could not look into."""
    (two.folder / "backups" / two.second / "manifest.json").unlink()
    done = two.run("find", "bot.toml", "--json")
    assert [item["backups"] for item in done.json] == [[two.first]]
    assert two.second in done.line


@pytest.mark.parametrize("path", ["bot.toml", "config/bot.toml", "config/config/bot.toml"])
def test_cat_writes_one_file(two, path: str) -> None:
    """Byte for byte, by any of its names."""
    done = cat(two, two.first, path)
    assert (done.returncode, done.stdout) == (0, b"pair = 'BTC/USD'\n")


def test_cat_writes_nothing_of_a_damaged_file(two) -> None:
    """Whoever uses it must not use half of it."""
    stored = two.folder / "backups" / two.first / "config" / "config" / "bot.toml"
    stored.chmod(0o600)
    stored.write_text("pair = 'XXX/USD'\n")
    done = cat(two, two.first, "bot.toml")
    assert (done.returncode, done.stdout) == (4, b"")


@pytest.mark.parametrize(("path", "problem"), [("nope", "is no file in"), ("*", "is 2 files, "), ("data", "")])
def test_cat_needs_one_file(two, path: str, problem: str) -> None:
    """A folder with one file means that file."""
    done = cat(two, two.first, path)
    assert done.returncode == (1 if problem else 0)
    assert problem.encode() in done.stderr


def cat(desk, *args: str) -> subprocess.CompletedProcess[bytes]:
    """Run `cat` as a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "peak_observe", "backup", "cat", *args]
    return subprocess.run(command, cwd=desk.folder, capture_output=True, check=False)


COMMANDS = (
    "list",
    "show",
    "ls latest",
    "find *",
    "verify",
    "diff latest",
    "restore latest --dry-run",
    "cat latest bot.toml",
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("redirection", [">&-", "| head -c 1", "| :", ">&- 2>&-", "<&- >&- 2>&-"])
def test_output_that_nobody_reads_is_no_error(two, command: str, redirection: str) -> None:
    """Closed or left early: the command ends as it would have, without a traceback."""
    line = f"{sys.executable} -W error -m peak_observe backup {command} --config.file peak-backup.toml {redirection}"
    script = f"set -o pipefail; {line.replace('*', chr(39) + '*' + chr(39))}"
    done = subprocess.run(["bash", "-c", script], cwd=two.folder, capture_output=True, check=False)
    assert done.stderr == b""
    assert done.returncode == 0


def test_a_backup_with_closed_streams_is_whole(two) -> None:
    """No file of it gets the number of a standard stream, and what is written there."""
    line = f"{sys.executable} -m peak_observe backup create --config.file peak-backup.toml <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", line], cwd=two.folder, check=False).returncode == 0
    assert len(two.run("list", "--json").json["backups"]) == 3
    assert two.run("verify").code == 0


def test_a_full_disk_behind_standard_output_is_told(two) -> None:
    """That is no reader who left."""
    line = f"{sys.executable} -m peak_observe backup list > /dev/full"
    done = subprocess.run(["bash", "-c", line], cwd=two.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "peak-observe: the output cannot be written: No space left on device\n"


def test_peak_observe_toml_is_found_by_itself(two) -> None:
    """In the working directory; one without a table [backup] is for other commands."""
    (two.folder / "peak-backup.toml").rename(two.folder / "peak-observe.toml")
    made = two.run("create", "--json").json
    assert sorted(made["parts"]) == ["config", "data"]
    two.write("peak-observe.toml", "[exporter]\n")
    assert two.run("create").code == 2
    (two.folder / "peak-observe.toml").unlink()
    assert two.run("list").code == 0


def test_a_full_disk_behind_a_single_file_is_told(two) -> None:
    """As of all other output."""
    line = f"{sys.executable} -m peak_observe backup cat latest trades.csv > /dev/full"
    done = subprocess.run(["bash", "-c", line], cwd=two.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "peak-observe: the output cannot be written: No space left on device\n",
    )
