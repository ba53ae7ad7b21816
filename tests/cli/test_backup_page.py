"""What docs/backups.md says of the command is true: options, keys and exit codes are all there."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from peak_observe.backup_recovery.offsite import settings as offsite_settings
from peak_observe.cli import backup
from peak_observe.cli.backup import config
from peak_observe.cli.backup.session import INTERRUPTED
from peak_observe.errors import BackupCorruptError, BackupError, BackupUnreadableError, RestoreRefusedError, UsageError

PAGE = (Path(__file__).parents[2] / "docs" / "backups.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(backup.app).commands


STORE = COMMANDS["offsite"].commands


@pytest.mark.parametrize("name", STORE)
def test_every_offsite_command_and_option_is_documented(name: str) -> None:
    """Those of `restore` and those that all commands have stand in the table above."""
    assert f"`{name}`" in PAGE
    for option in (option for parameter in STORE[name].params for option in parameter.opts):
        if option.startswith("--") and option != "--help":
            assert f"`{option}" in PAGE, option


@pytest.mark.parametrize("name", COMMANDS)
def test_every_backup_command_and_option_is_documented(name: str) -> None:
    """With the commands that have the option, or `all`."""
    assert f"| `{name}" in PAGE
    for option in (option for parameter in COMMANDS[name].params for option in parameter.opts):
        if option.startswith("--") and option != "--help":
            rows = [row.split(" | ") for row in PAGE.splitlines() if re.search(rf"^\| .*`{option}[ `]", row)]
            assert any(f"`{name}`" in row[1] or row[1].startswith("all") for row in rows), option


def test_every_key_of_the_backup_file_is_documented() -> None:
    """In the example, which the command reads."""
    (text,) = re.findall(r"^```toml\n(\[backup\].*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    table = tomllib.loads(text)["backup"]
    assert set(table) | {"app"} == set(config.KEYS)
    assert set(table["keep"]) == set(config.KEEP)
    assert set(table["offsite"]) == set(offsite_settings.KEYS)
    assert set(table["offsite"]["keep"]) < set(config.KEEP)
    assert '`app = "' in PAGE


def test_the_backup_file_is_good(tmp_path: Path) -> None:
    """The command takes it as it stands there."""
    (text,) = re.findall(r"^```toml\n(\[backup\].*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "peak-observe.toml"
    path.write_text(text)
    assert config.read(path).max_age == 86_400


def test_every_exit_code_is_documented() -> None:
    """Those of the errors that backups raise, and of Ctrl-C."""
    kinds = [
        BackupError,
        UsageError,
        *BackupError.__subclasses__(),
        RestoreRefusedError,
        BackupCorruptError,
        BackupUnreadableError,
    ]
    codes = {kind.exit_code for kind in kinds} | {0, INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)} == codes


NIGHT = PAGE.partition("## Everything is gone")[2].partition("## The disk is gone too")[0]
PLACES = ("/mnt", "/srv", "/opt")
BOT = """
from peak_observe import RecoveryManager
recovery = RecoveryManager("/mnt/backups")
recovery.config_backup.add_config("/srv/bot/config.toml")
recovery.data_backup.add_data_path("/srv/bot/data")
recovery.state_snapshot.register_provider("bot", lambda: {"open_orders": 2})
assert recovery.get_backup(recovery.create_backup()).good
"""
HOST = """
mkdir -p /mnt/backups /srv/bot/data /opt
echo "pair = 'BTC/USD'" > /srv/bot/config.toml
echo 1,64000 > /srv/bot/data/trades.csv
$PYTHON -c "$BOT"
rm -r /srv/bot
"""


def tried(tmp_path: Path, script: str, *, mounted: bool) -> str:
    """Run a script with three folders of the root folder as its own, and return what it prints."""
    for place in PLACES:
        (tmp_path / place[1:]).mkdir()
    environment = {**os.environ, "PYTHON": sys.executable, "BOT": BOT}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-euxo", "pipefail", "-c"]
    if mounted:
        mounts = "".join(f"mount --bind {tmp_path}{place} {place}\n" for place in PLACES)
        command, script = ["unshare", "--mount", *command], mounts + script
    else:
        script = re.sub(rf"(?<![\w.])({'|'.join(PLACES)})\b", rf"{tmp_path}\1", script)
        environment["BOT"] = re.sub(rf"(?<=\")({'|'.join(PLACES)})\b", rf"{tmp_path}\1", BOT)
    done = subprocess.run(
        [*command, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "mounted",
    [
        False,
        pytest.param(True, marks=pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts folders of its own")),
    ],
)
def test_everything_comes_back_in_five_commands(tmp_path: Path, *, mounted: bool) -> None:
    """Word by word, on a host where only the backups are; the first one has been run to get here."""
    ((install, *commands),) = [
        block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```$", NIGHT, re.MULTILINE | re.DOTALL)
    ]
    assert len(commands) == 4
    (extra,) = re.findall(r"^pip install 'peak-observe\[(\w+)\]'$", install)
    assert extra in importlib.metadata.metadata("peak-observe").get_all("Provides-Extra")
    out = tried(tmp_path, HOST + "\n".join(commands), mounted=mounted)
    prefix = "" if mounted else str(tmp_path)
    assert f"config/config.toml ← {prefix}/srv/bot/config.toml" in out
    assert "  ok  3 files" in out
    assert (tmp_path / "opt/bot/config.toml").read_text() == "pair = 'BTC/USD'\n"
    assert (tmp_path / "opt/bot/data/trades.csv").read_text() == "1,64000\n"
    assert '"open_orders": 2' in (tmp_path / "opt/bot/state.json").read_text()
    assert not (tmp_path / "srv/bot").exists()


DISASTER = PAGE.partition("## The disk is gone too")[2].partition("## In a program")[0]
AWAY = """
mkdir -p /mnt/usb /mnt/nas
peak-observe backup offsite keygen /mnt/usb/key.txt > /mnt/usb/public.txt
cat > /opt/peak-observe.toml <<END
[backup]
repository = "/mnt/backups"
[backup.offsite]
url = "file:///mnt/nas/bot"
recipients = ["$(cat /mnt/usb/public.txt)"]
END
peak-observe backup offsite init --config.file /opt/peak-observe.toml
peak-observe backup push --config.file /opt/peak-observe.toml
rm -r /mnt/backups /opt/peak-observe.toml
"""


def test_everything_comes_back_from_the_store_alone_in_five_commands(tmp_path: Path) -> None:
    """Word by word, on a host where nothing is but the store and the private key."""
    ((install, *commands),) = [
        block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```$", DISASTER, re.MULTILINE | re.DOTALL)
    ]
    assert len(commands) == 4
    (extras,) = re.findall(r"^pip install 'peak-observe\[(.+)\]'$", install)
    assert set(extras.split(",")) <= set(importlib.metadata.metadata("peak-observe").get_all("Provides-Extra"))
    script = (HOST + AWAY + "\n".join(commands)).replace("file:///mnt", f"file://{tmp_path}/mnt")
    out = tried(tmp_path, script, mounted=False)
    assert "every byte is right" in out
    assert (tmp_path / "opt/bot/data/trades.csv").read_text() == "1,64000\n"
    assert '"open_orders": 2' in (tmp_path / "opt/bot/state.json").read_text()


def test_the_commands_of_the_night_work(tmp_path: Path) -> None:
    """Those of the table, with a name for BACKUP, in a folder with the file that is found by itself."""
    commands = re.findall(r"`(peak-observe backup .*?)`", NIGHT)
    assert len(commands) == 5
    toml = '[backup]\nrepository = "/mnt/backups"\nconfig = ["/srv/bot/config.toml"]\ndata = ["/srv/bot/data"]\n'
    script = HOST + f"mkdir /opt/here; cd /opt/here; printf '%s' '{toml}' > peak-observe.toml\n"
    for command in commands:
        script += command.replace("BACKUP", "latest").replace("--to /tmp/", "--to /opt/") + "\n"
    out = tried(tmp_path, script, mounted=False)
    assert "pair = 'BTC/USD'" in out
    assert (tmp_path / "srv/bot/config.toml").exists()
    assert not (tmp_path / "srv/bot/data").exists()
    assert (tmp_path / "opt/look/data/data/trades.csv").exists()
