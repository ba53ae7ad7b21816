"""What docs/backups.md says of the command is true: options, keys and exit codes are all there."""

import re
import tomllib
from pathlib import Path

import pytest
import typer

from peak_observe.cli import backup
from peak_observe.cli.backup import config
from peak_observe.cli.backup.session import INTERRUPTED
from peak_observe.errors import BackupCorruptError, BackupError, RestoreRefusedError, UsageError

PAGE = (Path(__file__).parents[2] / "docs" / "backups.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(backup.app).commands


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
    assert '`app = "' in PAGE


def test_the_backup_file_is_good(tmp_path: Path) -> None:
    """The command takes it as it stands there."""
    (text,) = re.findall(r"^```toml\n(\[backup\].*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "peak-backup.toml"
    path.write_text(text)
    assert config.read(path).max_age == 86_400


def test_every_exit_code_is_documented() -> None:
    """Those of the errors that backups raise, and of Ctrl-C."""
    kinds = [BackupError, UsageError, *BackupError.__subclasses__(), RestoreRefusedError, BackupCorruptError]
    codes = {kind.exit_code for kind in kinds} | {0, INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)} == codes
