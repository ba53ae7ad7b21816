"""A wrong argument of any public function is one error that names the argument that was meant."""

from pathlib import Path

import ccxt
import pytest

import peak_observe
from peak_observe import (
    AsyncResilientExchangeClient,
    BackupSchedule,
    Policy,
    RecoveryManager,
    ResilientExchangeClient,
    configure,
    instrument,
    job,
    start_exporter,
)

MEANT = [
    (RecoveryManager, "backupdir", "backup_dir"),
    (RecoveryManager, "path", "backup_dir"),
    (RecoveryManager, "max_agee", "max_age"),
    (RecoveryManager.create_backup, "desciption", "description"),
    (RecoveryManager.create_backup, "tag", "tags"),
    (RecoveryManager.restore_backup, "dryrun", "dry_run"),
    (RecoveryManager.restore, "partial", "allow_partial"),
    (RecoveryManager.cleanup_old_backups, "keep", "keep_count"),
    (configure, "proces", "process"),
    (configure, "snapshot_directory", "snapshot_dir"),
    (start_exporter, "prt", "port"),
    (start_exporter, "host", "addr"),
    (start_exporter, "bind", "addr"),
    (ResilientExchangeClient, "failure_treshold", "failure_threshold"),
    (ResilientExchangeClient, "apiKey", "config"),
    (ResilientExchangeClient, "sandbox", "config"),
    (AsyncResilientExchangeClient, "failure_treshold", "failure_threshold"),
    (AsyncResilientExchangeClient, "enableRateLimit", "config"),
    (instrument, "nme", "name"),
    (job, "max_agee", "max_age"),
    (Policy, "naem", "name"),
]


@pytest.mark.parametrize(("function", "wrong", "meant"), MEANT, ids=lambda value: getattr(value, "__name__", value))
def test_the_keyword_that_was_meant(function: object, wrong: str, meant: str) -> None:
    """For a slip of the pen and for the name that others use."""
    name = function.__qualname__
    with pytest.raises(TypeError, match=rf"^{name}\(\) got an .* {wrong!r}; did you mean {meant}\b"):
        function(**{wrong: 1})


def test_settings_of_a_process_are_given_by_name() -> None:
    """The message says so, as Python's own counts arguments."""
    with pytest.raises(TypeError, match=r"configure\(\) got 1 argument too many: each setting is given by its name"):
        configure("bot")


def test_the_hint_keeps_signature_and_docstring() -> None:
    """Editors and type checkers see the function itself."""
    assert peak_observe.configure.__doc__.startswith("Set what holds")
    assert "snapshot_dir" in str(__import__("inspect").signature(configure))


@pytest.mark.parametrize(
    ("key", "meant"),
    [("apikey", "apiKey"), ("api_key", "apiKey"), ("api_secret", "secret"), ("passphrase", "password")],
)
@pytest.mark.parametrize("client", [ResilientExchangeClient])
def test_a_credential_that_ccxt_would_not_find(client: type, key: str, meant: str) -> None:
    """It is ignored there, and would ask for a key at the first private request."""
    with pytest.raises(ValueError, match=f"config has {key!r}, which ccxt does not read: it is called {meant!r} there"):
        client("kraken", {key: "something"}, health=None)


def test_settings_of_ccxt_pass() -> None:
    """With credentials as ccxt writes them."""
    with ResilientExchangeClient("kraken", {"apiKey": "a" * 8, "secret": "b" * 8}, health=None) as client:
        assert isinstance(client.exchange, ccxt.kraken)


def test_a_description_in_the_place_of_a_flag(tmp_path: Path) -> None:
    """It would count as true, and the description would be lost."""
    with pytest.raises(TypeError, match=r"write create_backup\(description='before the update'\)"):
        RecoveryManager(tmp_path / "backups").create_backup("before the update")


def test_one_text_is_no_list_of_tags(tmp_path: Path) -> None:
    """Each letter would become a tag."""
    recovery = RecoveryManager(tmp_path / "backups")
    recovery.state_snapshot.register_provider("bot", dict)
    with pytest.raises(TypeError, match=r"tags must be a list of texts: write tags=\['daily'\]"):
        recovery.create_backup(tags="daily")


def test_a_schedule_refuses_now_what_a_backup_does_not_take(tmp_path: Path) -> None:
    """Not in its thread, hours later."""
    with pytest.raises(TypeError, match="'descripton'; that takes include_config"):
        BackupSchedule(RecoveryManager(tmp_path / "backups"), every=60, descripton="daily")
