"""Code that was written for the original modules runs with its imports renamed, and prints what it printed there."""

import inspect
import re
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import peak_observe
from peak_observe import backup_recovery, exchange_client, health_check, resilience
from peak_observe.testing import FakeExchange

ROOT = Path(__file__).parent.parent
TITLE = re.compile(r"^## \d+\. (.*)\n\n```python\n((?:.*\n)*?)```\n(?:\n```text\n((?:.*\n)*?)```\n)?", re.MULTILINE)
BLOCKS = TITLE.findall((ROOT / "tests" / "original_code.md").read_text("utf-8"))
RENAMED = dict(
    re.findall(
        r"^\| `from (src\.[\w.]+) import …` \| `from ([\w.]+) import …` \|",
        (ROOT / "docs" / "migration.md").read_text("utf-8"),
        re.MULTILINE,
    )
)
FILES = (
    "config.toml",
    "config/config.toml",
    "config/strategies.json",
    "data/critical.csv",
    "data/positions.csv",
    "data/trades/a.csv",
)


class Database:
    """A database that can be broken."""

    broken = False

    def ping(self) -> None:
        """Answer, or raise."""
        if self.broken:
            raise ConnectionError("gone")


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Patch `time.sleep` as tests of bots do, and return the list of what it was asked for."""
    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeExchange]:
    """A loopback Kraken that every client of a block talks to."""
    with FakeExchange() as found:

        class Client(exchange_client.ResilientExchangeClient):
            """The client, with the addresses of the loopback exchange."""

            def __init__(self, exchange_id: str = "kraken", config: dict[str, Any] | None = None) -> None:
                super().__init__(exchange_id, found.config() | (config or {}))
                clients.append(self)

        clients: list[Client] = []
        monkeypatch.setattr(exchange_client, "ResilientExchangeClient", Client)
        yield found
        for client in clients:
            client.close()


def parameters(func: Callable[..., Any]) -> list[tuple[str, object]]:
    """Return names and defaults of the arguments."""
    return [(name, one.default) for name, one in inspect.signature(func).parameters.items()]


@pytest.fixture
def names(
    fake: FakeExchange, delays: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """Names that stand around the blocks, in a folder with files, with no check registered."""
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("a = 1\n")

    def outlast(func: Callable[[], Any]) -> None:
        """Print the delays of a call that fails, and the last line of its traceback."""
        delays.clear()
        with pytest.raises(Exception) as raised:
            func()
        last = traceback.format_exception(raised.value)[-1].strip()
        print(delays, last.removeprefix("peak_observe.errors."))  # noqa: T201 - as the blocks do

    recovery = backup_recovery.RecoveryManager("earlier")
    recovery.config_backup.add_config(Path("config.toml"))
    health_check._checks.clear()
    yield {
        **{name: getattr(resilience, name) for name in resilience.__all__},
        **{name: getattr(backup_recovery, name) for name in backup_recovery.__all__},
        "ResilientExchangeClient": exchange_client.ResilientExchangeClient,
        "Path": Path,
        "datetime": datetime,
        "timedelta": timedelta,
        "UTC": UTC,
        "db": Database(),
        "parameters": parameters,
        "outlast": outlast,
        "recovery": recovery,
        "is_scheduled": True,
        "requests": SimpleNamespace(get=lambda address: SimpleNamespace(json=lambda: {"asked": address})),
        "__name__": "bot",
    }
    health_check._checks.clear()


def renamed(code: str) -> str:
    """Return a block with its imports renamed, and the names of its loggers, as docs/migration.md says."""
    for old, new in RENAMED.items():
        code = re.sub(rf"^from {re.escape(old)} import", f"from {new} import", code, flags=re.MULTILINE)
    return re.sub(r"getLogger\(\"src\.core\.resilience", 'getLogger("peak_observe', code)


def test_all_blocks_are_here() -> None:
    """As many as the documentation of the original modules has, and the names of all three modules."""
    assert len(BLOCKS) == 36
    assert sorted(RENAMED) == ["src.core.backup_recovery", "src.core.resilience", "src.data.exchange_client"]


@pytest.mark.parametrize(("title", "code", "printed"), BLOCKS, ids=[title for title, _, _ in BLOCKS])
def test_it_runs_and_prints_what_it_printed(
    title: str, code: str, printed: str, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """With nothing changed but the imports."""
    exec(compile(renamed(code), title, "exec"), names)  # noqa: S102 - the code is ours
    assert re.fullmatch(printed, capsys.readouterr().out)


def test_a_circuit_recovers_by_a_patched_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """`time.monotonic` is looked up where tests patch it."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    breaker = peak_observe.CircuitBreaker(failure_threshold=1, recovery_timeout=30.0, name="patched")

    @breaker.call
    def fail() -> None:
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        fail()
    assert breaker.state is peak_observe.CircuitState.OPEN
    now[0] += 30
    assert breaker.state is peak_observe.CircuitState.HALF_OPEN
