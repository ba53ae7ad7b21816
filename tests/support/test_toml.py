"""TOML files that people write: what is wrong in one is said in one line, with the mend."""

from pathlib import Path

import pytest

from peak_observe.errors import ConfigError
from peak_observe.support import toml

ALLOWED = {
    "path": Path,
    "name": str,
    "count": int,
    "flag": bool,
    "ratio": toml.NUMBER,
    "words": toml.TEXTS,
    "age": toml.DURATION,
    "headers": toml.TEXTS_BY_NAME,
    "below": toml.TABLE,
}


def said(table: dict) -> str:
    """Return what is said of a table."""
    with pytest.raises(ConfigError) as caught:
        toml.check(Path("bot.toml"), "backup", table, ALLOWED)
    return str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        {"path": "data", "name": "bot", "count": 3, "flag": True, "ratio": 0.5, "age": 60, "headers": {"a": "b"}},
        {"words": ["a", "b"], "ratio": 1, "age": "24h", "below": {"last": 3}},
        {"words": "a", "age": 1.5},
    ],
)
def test_what_fits_passes(table: dict) -> None:
    """Each type takes its own values."""
    toml.check(Path("bot.toml"), "backup", table, ALLOWED)


@pytest.mark.parametrize(
    ("table", "end"),
    [
        ({"nmae": "x"}, "backup.nmae: there is no such key; did you mean 'name'?"),
        ({"zzz": 1}, f"backup.zzz: there is no such key; there are {', '.join(ALLOWED)}"),
        ({"name": 3}, "backup.name: it has to be a string, not 3"),
        ({"path": ["x"]}, "backup.path: it has to be a path, not ['x']"),
        ({"count": True}, "backup.count: it has to be a whole number, not True"),
        ({"count": 1.5}, "backup.count: it has to be a whole number, not 1.5"),
        ({"flag": 1}, "backup.flag: it has to be true or false, not 1"),
        ({"words": [1]}, "backup.words: it has to be a string or a list of strings, not [1]"),
        ({"age": []}, "backup.age: it has to be a number of seconds or a time like '24h', not []"),
        ({"headers": {"a": 1}}, "backup.headers: it has to be a table, not {'a': 1}"),
        ({"below": 1}, "backup.below: it has to be a table, not 1"),
    ],
)
def test_what_does_not_fit_is_named(table: dict, end: str) -> None:
    """With file, key, what was found and what is allowed."""
    assert said(table) == f"bot.toml: {end}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing one, one that is not valid TOML, and one that is no text."""
    (tmp_path / "bad.toml").write_text("a = \n")
    (tmp_path / "raw.toml").write_bytes(b"\xff")
    wrong = "not valid TOML"
    for name, reason in (("none.toml", "No such file"), ("bad.toml", f"{wrong}: .*line 1"), ("raw.toml", wrong)):
        with pytest.raises(ConfigError, match=rf"{name}: {reason}"):
            toml.read(tmp_path / name)


def test_the_table_that_is_asked_for(tmp_path: Path) -> None:
    """Others are left alone; one of a name like it was probably meant."""
    path = tmp_path / "bot.toml"
    for text, name, of_tables, end in (
        ("[bakcup]", "backup", False, ": there is no table [backup]; did you mean [backup] where it says [bakcup]?"),
        ("backup = 1", "backup", False, ": backup: it has to be a table, not 1"),
        ("[checks]", "checks", True, ": there is no table [checks.NAME]"),
        ("[checks]\nx = 1", "checks", True, ": checks: it has to consist of tables [checks.NAME]"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            toml.table(path, name, of_tables=of_tables)
        assert str(caught.value) == f"{path}{end}"
    path.write_text("[backup]\n[other]\nx = 1\n[checks.a]\n")
    assert toml.table(path, "backup") == {}
    assert toml.table(path, "checks", of_tables=True) == {"a": {}}


def test_paths_begin_at_the_files_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command is run, and absolute ones stay."""
    monkeypatch.chdir(tmp_path)
    assert toml.resolved(Path("conf/bot.toml"), "data") == tmp_path / "conf" / "data"
    assert toml.resolved(Path("conf/bot.toml"), "/data") == Path("/data")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of that name is nobody's; who means one writes where it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert toml.resolved(Path("conf/bot.toml"), "~/backups") == tmp_path / "backups"
    assert toml.resolved(tmp_path / "bot.toml", "./~/backups") == tmp_path / "~" / "backups"
    with pytest.raises(ConfigError, match=r"'~nobody-here/x'; a file of that name is './~nobody-here/x'$"):
        toml.resolved(tmp_path / "bot.toml", "~nobody-here/x")


def test_tables_by_their_names(tmp_path: Path) -> None:
    """Those below one, which need not be there."""
    file = tmp_path / "x.toml"
    file.write_text("[a.x]\nn = 1\n[a.y]\n")
    assert toml.tables(file, toml.read(file), "a") == {"x": {"n": 1}, "y": {}}
    assert toml.tables(file, {}, "b") == {}
    with pytest.raises(ConfigError, match=r"a: it has to consist of tables \[a\.NAME\]"):
        toml.tables(file, {"a": {"x": 1}}, "a")


def test_a_file_that_is_nested_for_ever_is_no_toml(tmp_path: Path) -> None:
    """And no reason to crash."""
    file = tmp_path / "x.toml"
    file.write_text(f"x = {'[' * 50_000}")
    with pytest.raises(ConfigError, match="not valid TOML"):
        toml.read(file)


def test_a_key_that_is_needed() -> None:
    """Is named when it is missing."""
    with pytest.raises(ConfigError, match="a: the key 'glob' is missing"):
        toml.check(Path("x.toml"), "a", {}, {"glob": str}, ("glob",))
