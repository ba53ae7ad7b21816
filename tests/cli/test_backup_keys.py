"""Each key of the table `[backup]` with a value that makes no sense: one line names the key, the value and the mend."""

import logging
from pathlib import Path

import pytest

from peak_observe.backup_recovery.offsite import settings as offsite
from peak_observe.cli.backup import config, hooks
from peak_observe.errors import ConfigError

TABLES = {
    "backup": config.KEYS,
    "backup.keep": config.KEEP,
    "backup.hooks": config.HOOKS,
    "backup.commands.pg": config.COMMAND,
    "backup.offsite": offsite.KEYS,
    "backup.offsite.keep": config.KEEP,
}
KEYS = [(table, key) for table, keys in TABLES.items() for key in keys]
HUGE = f'"{"x" * 5000}"'
VALUES = {
    "a date": "2020-01-01",
    "a list of numbers": "[1]",
    "no number": "nan",
    "a list of an empty text": '[""]',
    "a null byte": '"a\\u0000b"',
    "an empty text": '""',
    "a huge text": HUGE,
    "a huge number": "9" * 30,
    "less than nothing": "-1",
    "true": "true",
}
SENSE = {  # what a key may be
    "a list of an empty text": {"group_by"},
    "a null byte": {"exclude", "append_only", "keep_tags", "name", "app", "recipients", "region"},
    "an empty text": {"group_by"},
    "a huge text": {
        *("repository", "app", "name", "config", "data", "exclude", "append_only", "keep_tags", "before", "after"),
        *("command", "recipients", "region", "key_file"),
    },
    "a huge number": {"last", "hourly", "daily", "weekly", "monthly", "yearly", "bandwidth"},
    "true": {"shell"},
}


def written(folder: Path, table: str, key: str, value: str) -> Path:
    """Write a file in which one key has a value, and all others that it needs make sense."""
    lines = {"backup": {"data": '"d"'}, table: {key: value}}
    if table == "backup.commands.pg":
        lines[table] = {"command": '"x"', key: value}
    elif table == "backup.hooks":
        lines[table] = {"before": '"x"', key: value}
    elif table.endswith("keep"):
        lines[table] = {"last": "1", key: value}
    if table.startswith("backup.offsite"):
        lines["backup.offsite"] = {"url": '"file:///x"', **lines.get("backup.offsite", {})}
    text = "".join(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in items.items()) for name, items in lines.items())
    path = folder / "peak-observe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("table", "key"), KEYS)
@pytest.mark.parametrize("kind", VALUES)
def test_a_value_that_makes_no_sense_is_named_with_its_key(tmp_path: Path, table: str, key: str, kind: str) -> None:
    """Whatever the value is, the message is short, and says what it should be."""
    path = written(tmp_path, table, key, VALUES[kind])
    if key in SENSE.get(kind, ()):
        config.read(path)
        return
    with pytest.raises(ConfigError) as error:
        config.read(path)
    text = str(error.value)
    assert table in text
    assert key in text or table == "backup.commands.pg"
    assert " must " in text or " has to be " in text or "leave it out" in text or " there is no such key" in text
    assert len(text) < 400 + len(str(path))
    assert "\n" not in text


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("http://", "it names no host"),
        ("https://", "it names no host"),
        ("https:///path", "it names no host"),
        ("http://:80", "it names no host"),
        ("hc-ping.com/secret", "it does not begin with https:// or http://"),
        ("ftp://hc-ping.com", "it does not begin with https:// or http://"),
        ("https://hc ping.com", "it holds a space"),
        ("https://hc-ping.com/secret\\n", "it holds a space or another character"),
        ("https://bücher.example", "it holds a space or another character"),
        ("https://hc-ping.com:port/", "its host or its port cannot be read"),
        ("https://hc-ping.com:99999/", "its host or its port cannot be read"),
        ("https://[::1", "its host or its port cannot be read"),
        ("https://hc-ping.com:0/", "there is no port 0"),
        ("https://me:word@hc-ping.com", "it holds a user or a password"),
    ],
)
@pytest.mark.parametrize(("table", "key"), [("backup", "ping_url"), ("backup.offsite", "endpoint")])
def test_an_address_that_makes_no_sense(tmp_path: Path, table: str, key: str, address: str, problem: str) -> None:
    """What is wrong with it is said, and not the address, which may be a secret."""
    with pytest.raises(ConfigError) as error:
        config.read(written(tmp_path, table, key, f'"{address}"'))
    assert f"{table}.{key}: it has to be an address such as https://" in str(error.value)
    assert problem in str(error.value)
    assert "secret" not in str(error.value).replace(str(tmp_path), "")


@pytest.mark.parametrize("address", ["HTTPS://hc-ping.com/uuid", "http://127.0.0.1:8000/x", "https://[::1]:80/x?a=b"])
def test_an_address_that_makes_sense(tmp_path: Path, address: str) -> None:
    """It is taken as it is."""
    assert config.read(written(tmp_path, "backup", "ping_url", f'"{address}"')).ping_url == address


@pytest.mark.parametrize("url", ["bucket", "ftp://host/x", "s3://", "http://host", "file://", "s3:/ "])
def test_a_store_that_nothing_reaches(tmp_path: Path, url: str) -> None:
    """It is an error when the file is read, and not in the night."""
    with pytest.raises(ConfigError, match=r"backup.offsite.url: it has to be an address such as s3://"):
        config.read(written(tmp_path, "backup.offsite", "url", f'"{url}"'))


def test_an_address_from_elsewhere_says_what_is_wrong(caplog: pytest.LogCaptureFixture, capsys) -> None:
    """And not the name of a type."""
    with caplog.at_level(logging.WARNING):
        hooks.ping("http:///secret", "success")
    assert capsys.readouterr().err == "peak-observe: ping_url was not told: no host given\n"


def test_the_name_of_a_command_is_named_with_its_table(tmp_path: Path) -> None:
    """Its file gets its own of it."""
    path = tmp_path / "peak-observe.toml"
    path.write_text('[backup.commands]\n"../x" = "echo"\n')
    with pytest.raises(ConfigError, match=r"backup.commands.\.\./x: the name of a command has to be letters"):
        config.read(path)
