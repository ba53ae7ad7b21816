"""A wrong argument of any public function is one error that names the argument that was meant."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import ccxt
import pytest

import peak_observe
from peak_observe import (
    AsyncResilientExchangeClient,
    BackupSchedule,
    ConfigBackup,
    DeadManSwitch,
    LossGuard,
    OffsiteStore,
    OrderGuard,
    OrderJournal,
    Policy,
    RecoveryManager,
    ResilientExchangeClient,
    RetryBudget,
    Shared,
    TradingSwitch,
    circuit_breaker,
    configure,
    instrument,
    job,
    register,
    retry_with_backoff,
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
    (OrderJournal, "time", "times"),
    (OffsiteStore, "recipiens", "recipients"),
    (RetryBudget, "naem", "name"),
    (Shared, "namespce", "namespace"),
    (TradingSwitch, "foldr", "folder"),
    (DeadManSwitch, "timeot", "timeout"),
    (OrderGuard, "max_order", "max_orders"),
    (LossGuard, "max_drawdwn", "max_drawdown"),
]

MISTAKES = [
    (lambda: circuit_breaker("kraken"), "failure_threshold .* not 'kraken'; a name is given as name='kraken'"),
    (lambda: circuit_breaker(recovery_timeout=timedelta(minutes=1)), r"recovery_timeout .*: write .total_seconds\(\)"),
    (lambda: retry_with_backoff(base_delay=timedelta(seconds=1)), r"base_delay .*: write .total_seconds\(\)"),
    (lambda: ResilientExchangeClient("kraken", "k", "s"), r"1 argument too many: ccxt's settings .* config=\{"),
    (lambda: instrument("kraken"), r"a ccxt exchange object is wanted, not str: make one, as ccxt.kraken\(\)"),
    (lambda: RecoveryManager(5), "it has to be a path, not 5"),
    (lambda: RecoveryManager("x", max_age=timedelta(days=1)), r"max_age .*: write .total_seconds\(\)"),
    (lambda: ConfigBackup().add_config(["a", "b"]), r"it has to be a path, not \['a', 'b'\]"),
    (lambda: register("x"), "register takes a CollectorRegistry of prometheus_client, not 'x'"),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_value_is_one_error_with_its_mend(make: Callable[[], object], message: str) -> None:
    """It names the argument, and says what to write."""
    with pytest.raises((TypeError, ValueError), match=message):
        make()


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
