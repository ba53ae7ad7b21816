"""Checks from a TOML file, and what is said of a file that makes no sense."""

import os
from pathlib import Path

import pytest

from peak_observe import HealthCheck
from peak_observe.errors import ConfigError, PeakObserveError
from peak_observe.resilience.health import config

ALL = """
[checks.breaker]
kind = "breaker_closed"
breaker = "kraken.ticker"

[checks.command]
kind = "command"
args = ["true"]
timeout = 10
exit_code = 0
tags = "host"

[checks.bot]
kind = "freqtrade"
url = "http://127.0.0.1:8080"
username = "freqtrader"
password_file = "password"
max_age = 120
timeout = 5

[checks.disk]
kind = "disk_space"
path = "data"
min_free_ratio = 0
min_free_bytes = 1
critical = false
interval = 60
ttl = 10.5

[checks.file]
kind = "file_age"
path = "data/beat"
max_age = 60
failure_threshold = 3
success_threshold = 2

[checks.http]
kind = "http"
url = "http://127.0.0.1:1/"
status = 200
body = "ok"
timeout = 2.5
[checks.http.headers]
X-Key = "v"

[checks.memory]
kind = "memory"
min_available_ratio = 0.0
timeout = 1.5

[checks.python]
kind = "python"
function = "os.path:exists"
depends_on = ["disk", "file"]

[checks.sqlite]
kind = "sqlite_integrity"
path = "trades.db"
busy_timeout = 0.5

[checks.tcp]
kind = "tcp"
host = "127.0.0.1"
port = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file that tests write."""
    return tmp_path / "health.toml"


def refused(health: HealthCheck, file: Path, text: str) -> str:
    """Return what is said of a file, without its name, which stands in front."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.add(health, file)
    assert isinstance(caught.value, PeakObserveError)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    return message.removeprefix(f"{file}: ")


def test_every_kind_with_every_key(health: HealthCheck, file: Path) -> None:
    """And none is missing here."""
    file.write_text(ALL)
    config.add(health, file)
    assert len(health.names()) == len(config.KINDS)
    assert all(f'kind = "{kind}"' in ALL for kind in config.KINDS)
    keys = {*config.SETTINGS, *(key for kind in config.KINDS.values() for key in kind.keys)}
    assert all(f"\n{key} = " in ALL for key in keys - {"headers"})
    settings = {name: check.settings for name, check in health._registered.items()}
    assert settings["command"].tags == ("host",)
    assert (settings["disk"].critical, settings["disk"].interval, settings["disk"].ttl) == (False, 60, 10.5)
    assert (settings["file"].failure_threshold, settings["file"].success_threshold) == (3, 2)
    assert settings["python"].depends_on == ("disk", "file")


def test_a_check_outlasts_the_timeout_of_what_it_does(health: HealthCheck, file: Path) -> None:
    """So that `connection refused` is told, and not `no answer`; also where no timeout is given."""
    file.write_text(ALL)
    config.add(health, file)
    timeouts = {name: check.settings.timeout for name, check in health._registered.items()}
    assert (timeouts["command"], timeouts["http"], timeouts["tcp"], timeouts["memory"]) == (11, 3.5, 6, 1.5)


def test_paths_begin_at_the_folder_of_the_file(health: HealthCheck, file: Path) -> None:
    """Wherever the program is started."""
    (file.parent / "data").mkdir()
    (file.parent / "data" / "beat").write_text("x")
    file.write_text('[checks.beat]\nkind = "file_age"\npath = "data/beat"\nmax_age = 3600\n')
    config.add(health, Path(os.path.relpath(file)))
    assert health.run_all()["beat"].healthy, health.run_all()


def test_a_function_of_the_user_is_the_check(health: HealthCheck, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named as `module:name`."""
    (file.parent / "bot_functions.py").write_text("class Bot:\n    def alive():\n        return True, 'trading'\n")
    monkeypatch.syspath_prepend(str(file.parent))
    file.write_text('[checks.bot]\nkind = "python"\nfunction = "bot_functions:Bot.alive"\n')
    config.add(health, file)
    assert health.run_all()["bot"].message == "trading"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[checks.x]\nkind = "tpc"', "checks.x.kind: 'tpc' is none of breaker_closed, "),
        ('[checks.x]\nkind = "tpc"', "; did you mean 'tcp'?"),
        ("[checks.x]\nkind = 5", "checks.x.kind: 5 is none of "),
        ("[checks.x]\npath = '.'", "checks.x: the key 'kind' is missing: one of breaker_closed, "),
        ('[checks.x]\nkind = "memory"\ntimout = 3', "checks.x.timout: there is no such key; did you mean 'timeout'?"),
        ('[checks.x]\nkind = "memory"\nzzz = 3', "checks.x.zzz: there is no such key"),
        ('[checks.x]\nkind = "tcp"\nhost = "x"', "checks.x: the key 'port' is missing"),
        ('[checks.x]\nkind = "tcp"\nhost = 5', "checks.x.host: it has to be a string, not 5"),
        (
            '[checks.x]\nkind = "memory"\ntimeout = "5"',
            "checks.x.timeout: it has to be a number, not '5'",
        ),
        ('[checks.x]\nkind = "memory"\ntimeout = true', "checks.x.timeout: it has to be a number, not True"),
        ('[checks.x]\nkind = "memory"\ntimeout = nan', "checks.x: timeout must be a finite number of seconds"),
        ('[checks.x]\nkind = "memory"\ncritical = 1', "checks.x.critical: it has to be true or false, not 1"),
        ('[checks.x]\nkind = "memory"\ntags = [1]', "checks.x.tags: it has to be a string or a list of strings"),
        (
            '[checks.x]\nkind = "memory"\nfailure_threshold = 1.5',
            "checks.x.failure_threshold: it has to be a whole number, not 1.5",
        ),
        ('[checks.x]\nkind = "memory"\nfailure_threshold = 0', "checks.x: failure_threshold must be a whole number"),
        ('[checks.x]\nkind = "memory"\nmin_available_ratio = 10', "checks.x: min_available_ratio must be a number"),
        ('[checks.x]\nkind = "memory"\ndepends_on = "x"', "checks.x: check 'x' would depend on itself"),
        ('[checks.x]\nkind = "disk_space"\npath = 5', "checks.x.path: it has to be a path, not 5"),
        ('[checks.x]\nkind = "http"\nurl = "x"\nheaders = 5', "checks.x.headers: it has to be a table, not 5"),
        ('[checks.x]\nkind = "http"\nurl = "x"\nheaders = {a = 5}', "checks.x.headers: it has to be a table"),
        ('[checks.x]\nkind = "http"\nurl = "x"', "checks.x: url must begin with http:// or https://"),
        ('[checks.x]\nkind = "command"\nargs = []', "checks.x: args must name a program"),
        ('[checks.x]\nkind = "python"\nfunction = "no_such_module:x"', "checks.x: cannot load 'no_such_module:x': no"),
        ('[checks.x]\nkind = "python"\nfunction = "os:sep"', "checks.x: check 'x' must be a function"),
        ('[checks.""]\nkind = "memory"', "checks.: name must be"),
        ("checks = 5", "checks: it has to consist of tables [checks.NAME]"),
        ("[checks]\nx = 5", "checks: it has to consist of tables [checks.NAME]"),
        ("", "there is no table [checks.NAME]"),
        ("[checks]\n", "there is no table [checks.NAME]"),
        ('[check.x]\nkind = "memory"', "there is no table [checks.NAME]; did you mean [checks] where it says [check]?"),
        ("[checks.x\n", "not valid TOML: "),
    ],
)
def test_nonsense_is_one_line_that_names_the_key(health: HealthCheck, file: Path, text: str, message: str) -> None:
    """What was found, what is allowed, and what was probably meant."""
    assert message in refused(health, file, text)
    assert health.names() == []


def test_a_file_that_cannot_be_read_says_why(health: HealthCheck, file: Path) -> None:
    """Missing, a folder, or no text."""
    with pytest.raises(ConfigError, match=r"health\.toml: No such file or directory"):
        config.add(health, file)
    with pytest.raises(ConfigError, match="Is a directory"):
        config.add(health, file.parent)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML: "):
        config.add(health, file)
