"""The table `[backup]` of a TOML file: what it may say, and one line for what it may not."""

from datetime import timedelta
from pathlib import Path

import pytest

from peak_observe.cli.backup import config
from peak_observe.errors import ConfigError

FULL = """
[backup]
repository = "store/backups"
name = "bot"
app = "mytrader.backups:recovery"
max_age = "1.5h"
config = "bot.toml"
data = ["data", "/srv/shared"]
exclude = ["*.log", "cache/"]

[backup.keep]
last = 3
hourly = 24
daily = 7
weekly = 4
monthly = 12
yearly = 2
within = "2d"
keep_tags = "release"

[checks.disk]
kind = "disk_space"
"""


def written(folder: Path, text: str) -> Path:
    """Return a file with a text."""
    path = folder / "bot" / "peak-backup.toml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_every_key_is_read(tmp_path: Path) -> None:
    """Paths begin at the file's folder; tables of others are none of its business."""
    path = written(tmp_path, FULL)
    found = config.read(path)
    home = path.parent
    assert found.repository == home / "store" / "backups"
    assert (found.name, found.app, found.max_age) == ("bot", "mytrader.backups:recovery", 5400)
    assert (found.config, found.data) == ((home / "bot.toml",), (home / "data", Path("/srv/shared")))
    assert found.exclude == ("*.log", "cache/")
    assert found.policy.within == timedelta(days=2)
    assert (found.policy.keep_tags, found.policy.group_by) == (("release",), ("part", "root"))
    assert [getattr(found.policy, name) for name in config.KEEP if isinstance(getattr(found.policy, name), int)] == [
        3,
        24,
        7,
        4,
        12,
        2,
    ]


def test_nothing_has_to_be_said(tmp_path: Path) -> None:
    """An empty table leaves all to the options."""
    assert config.read(written(tmp_path, "[backup]")) == config.Settings()


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("", "there is no table [backup]"),
        ("[bakcup]", "there is no table [backup]; did you mean [backup] where it says [bakcup]?"),
        ("backup = 1", "backup: it has to be a table, not 1"),
        ("[backup]\nrepositry = 'x'", "backup.repositry: there is no such key; did you mean 'repository'?"),
        ("[backup]\ndata = 1", "backup.data: it has to be a string or a list of strings, not 1"),
        (
            "[backup]\nmax_age = 'soon'",
            "backup.max_age: it has to be more than 0 seconds, or a time like '24h' (s, min",
        ),
        ("[backup]\nmax_age = 0", "backup.max_age: it has to be more than 0 seconds"),
        ("[backup]\nmax_age = inf", "backup.max_age: it has to be at most a hundred years (36500d), not inf"),
        ("[backup]\nexclude = '/'", "backup.exclude: exclude must be patterns like '*.log' or 'cache/', not ('/',)"),
        ("[backup]\nkeep = 3", "backup.keep: it has to be a table, not 3"),
        ("[backup.keep]\ndayly = 3", "backup.keep.dayly: there is no such key; did you mean 'daily'?"),
        ("[backup.keep]\nlast = '3'", "backup.keep.last: it has to be a whole number, not '3'"),
        ("[backup.keep]\nlast = -1", "backup.keep: last must be a whole number of at least 0, not -1"),
        ("[backup.keep]", "backup.keep: the policy is empty: set one of last"),
        (
            "[backup.keep]\nwithin = '9999999999999w'",
            "backup.keep: within: it has to be at most a hundred years (36500d), not '9999999999999w'",
        ),
        ("[backup]\nrepository = ''", "backup.repository: it has to be a path, not ''"),
        ("[backup]\ndata = ['x', '']", "backup.data: it has to be a path, not ''"),
        ("[backup]\nconfig = 'a\\u0000'".replace("'", '"'), r"backup.config: it has to be a path, not 'a\x00'"),
        ("[backup.keep]\nwithin = 'x'", "backup.keep: within: it has to be more than 0 seconds"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path: Path, text: str, end: str) -> None:
    """With file, key, what was found and what is allowed."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        config.read(path)
    assert str(caught.value).startswith(f"{path}: {end}")
    assert len(str(caught.value).splitlines()) == 1


def test_the_command_says_it_too(desk) -> None:
    """With exit code 2, before anything is made."""
    desk.write("peak-backup.toml", "[backup]\nrepositry = 'x'\n")
    done = desk.run("create", "--config.file", "peak-backup.toml")
    assert done.code == 2
    assert done.line == "peak-backup.toml: backup.repositry: there is no such key; did you mean 'repository'?"
    assert not (desk.folder / "backups").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("create", "--repository", ""),
        ("create", "--data="),
        ("restore", "latest", "--to", ""),
        ("offsite", "restore", "--identity", "", "--to", "out"),
    ],
)
def test_an_empty_path_is_refused(desk, command: tuple[str, ...]) -> None:
    """As an unset variable leaves it: it would mean the working directory."""
    done = desk.run(*command)
    option = next(part for part in command if part.startswith("--")).rstrip("=")
    assert (done.code, done.line) == (2, f"{option}: it has to be a path, not ''")
    assert not (desk.folder / ".peak-observe").exists()


def test_a_file_of_windows_is_read(desk) -> None:
    """With the mark at its beginning that editors there write, which nobody sees, and their ends of lines."""
    desk.write("peak-observe.toml", '\ufeff[backup]\r\nrepository = "backups"\r\ndata = ["data"]\r\n')
    assert desk.run("create").code == 0
