"""Paths and names: what a person means is found, by all commands alike, and no name steers a terminal."""

import json
import os
from pathlib import Path

import pytest

from .test_backup_contents import cat

FILE = ("--config.file", "peak-backup.toml")
ODD = [b"new\nline.csv", b"tab\tx", b"esc\x1b[31mred", b"bad\xff\xfe", b"100%", " \u202ecsv".encode()]


def found(desk, pattern: str) -> list[str]:
    """Return the files that `ls` lists, after a look whether `find` and `restore --path` mean the same ones."""
    listed = [item["path"] for item in desk.run("ls", "latest", "--json", "--", pattern).json if item["type"] == "file"]
    assert [item["path"] for item in desk.run("find", "--json", "--", pattern).json] == sorted(listed)
    done = desk.run("restore", "latest", *FILE, "--dry-run", "--json", f"--path={pattern}")
    if listed:
        plan = done.json
        assert sorted([*plan["new"], *plan["replaced"], *plan["same"]]) == sorted(map(os.path.realpath, listed))
    else:
        assert done.code == 6
    return [os.path.relpath(path, desk.folder) for path in listed]


@pytest.fixture
def saved(desk):
    """A folder with one backup of it."""
    desk.made()
    return desk


BOTH = ["config/bot.toml", "data/trades.csv"]


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("{folder}", BOTH),
        ("{folder}/", BOTH),
        ("{above}", BOTH),
        ("/", BOTH),
        (".", BOTH),
        ("..", BOTH),
        ("./", BOTH),
        ("{name}", BOTH),
        ("{bare}", BOTH),
        ("{bare}/data", BOTH[1:]),
        ("./data", BOTH[1:]),
        ("data/../data/trades.csv", BOTH[1:]),
        ("nowhere/../data", BOTH[1:]),
        ("/{folder}/data/trades.csv", BOTH[1:]),
        ("trades.csv/", BOTH[1:]),
        ("*", BOTH),
        ("", []),
        ("/etc", []),
        ("{folder}x", []),
    ],
)
def test_a_path_means_what_is_at_it_and_below_it(saved, pattern: str, wanted: list[str]) -> None:
    """Also a folder above what was named, and one that is written in another way."""
    folder = saved.folder
    text = pattern.format(folder=folder, above=folder.parent, name=folder.name, bare=str(folder).lstrip("/"))
    assert found(saved, text) == wanted


@pytest.mark.parametrize("named", [True, False], ids=["backed up", "asked for"])
def test_a_path_may_lead_through_a_symbolic_link(desk, monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """Whichever of the two ways was named, and in one's home."""
    (desk.folder / "real").mkdir()
    desk.write("real/data/trades.csv", "1\n")
    (desk.folder / "current").symlink_to("real")
    desk.write(FILE[1], f'[backup]\nrepository = "backups"\ndata = ["{"current" if named else "real"}/data"]\n')
    desk.made()
    source = "current/data/trades.csv" if named else "real/data/trades.csv"
    for text in ("current/data/trades.csv", "real/data", str(desk.folder / "real"), str(desk.folder / "current")):
        assert found(desk, text) == [source], text
    monkeypatch.setenv("HOME", str(desk.folder))
    assert found(desk, "~/real/data") == [source]


def test_a_path_is_found_from_a_folder_that_is_gone(saved) -> None:
    """Nothing is relative to it, and no backup is corrupt for that."""
    gone = saved.folder / "gone"
    gone.mkdir()
    saved.enter("gone")
    gone.rmdir()
    repository = ("--repository", str(saved.folder / "backups"))
    for text in ("trades.csv", str(saved.folder / "data")):
        done = saved.run("ls", "latest", text, *repository, "--json")
        assert done.code == 0, done.err
        assert done.json[-1]["path"] == str(saved.folder / "data" / "trades.csv")
    saved.enter(".")


def test_the_state_is_meant_by_its_name_alone(saved) -> None:
    """A file of that name is found by a longer path."""
    saved.write("data/state.json", "{}")
    saved.made()
    assert found(saved, "./data/state.json") == ["data/state.json"]


@pytest.mark.parametrize("name", ODD, ids=repr)
def test_a_name_that_does_not_print_is_found_by_itself_and_as_it_is_shown(desk, name: bytes) -> None:
    """It is shown on one line, and JSON has its very bytes."""
    path = os.fsencode(desk.folder) + b"/data/" + name
    Path(os.fsdecode(path)).write_bytes(b"found\n")
    desk.made()
    (line,) = [line for line in desk.run("ls", "latest").out.splitlines() if "6 B" in line]
    shown = line.rpartition("/data/")[2]
    assert shown.isprintable()
    for text in (os.fsdecode(name), shown):
        (item,) = desk.run("ls", "latest", "--json", "--", text).json
        assert os.fsencode(item["path"]) == path
        assert cat(desk, "latest", "--", text).stdout == b"found\n"
    Path(os.fsdecode(path)).unlink()
    for command in ("show", "ls latest", f"find *{name[-3:].decode(errors='surrogateescape')}", "diff latest"):
        done = desk.run(*command.split(" ", 1), *(FILE if command.startswith("diff") else ()))
        assert shown in done.out, command
        assert all(each.isprintable() for each in (done.out + done.err).split("\n")), command
    done = desk.run("restore", "latest", *FILE, "--dry-run")
    assert shown in done.out
    assert done.out.replace("\n", "").isprintable()


def test_a_folder_among_the_backups_may_have_any_name(saved) -> None:
    """It does not steer the terminal either."""
    folder = saved.folder / "backups" / "backup\x1b[31m\n"
    folder.mkdir()
    (folder / "metadata.json").write_text("{")
    for command in (["list"], ["find", "nope"], ["verify", "--all"]):
        done = saved.run(*command)
        assert (done.out + done.err).replace("\n", "").isprintable(), command
    assert "backup\\x1b[31m\\n" in saved.run("list").out
    assert folder.name in saved.run("list", "--json").json["unreadable"]


def test_each_pattern_that_means_nothing_is_named(saved) -> None:
    """The others are listed."""
    done = saved.run("ls", "latest", "trades.csv", "nope", "--json")
    assert (done.code, len(done.json), done.line) == (0, 1, "no file is like 'nope'")


def test_a_list_that_is_printed_piece_by_piece_is_one_document(saved, monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many items as there are, also none."""
    for count in range(5):
        saved.write(f"data/{count}.csv", "x")
    saved.made()
    whole = saved.run("ls", "latest", "--json").out
    assert whole == json.dumps(json.loads(whole), indent=2) + "\n"
    for size in (1, 2, 3, 100):
        monkeypatch.setattr("peak_observe.cli.backup.render.BATCH", size)
        assert saved.run("ls", "latest", "--json").out == whole
        assert len(saved.run("ls", "latest").out.splitlines()) == len(json.loads(whole))
    assert saved.run("ls", "latest", "nope", "--json").out == "[]\n"
