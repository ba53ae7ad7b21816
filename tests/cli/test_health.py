"""`peak-observe health` as a person, a script and a cron job meet it."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Warm

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "health-checks.md").read_text(encoding="utf-8")

GOOD = """
from peak_observe import health_check

@health_check.check("database", tags=["core"])
def database():
    return True, "12 tables", {"größe": 12}

@health_check.check("prices", tags=["market"], depends_on=["database"])
async def prices():
    return True
"""
DEGRADED = GOOD + "\nhealth_check.register('mail', lambda: (False, 'no route'), critical=False)\n"
BAD = GOOD + "\nhealth_check.register('api', lambda: (False, 'down; token=S3CRET'), tags=['market'])\n"
HANGING = GOOD + "\nimport time\nhealth_check.register('hang', lambda: time.sleep(600), timeout=0.3)\n"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Workplace:
    """A folder with modules and files, where the command is run as a process of its own."""

    def __init__(self, folder: Path, warm: Warm) -> None:
        self.folder = folder
        self._warm = warm
        self.report = folder / "reports" / "health_check.json"

    def write(self, name: str, text: str) -> None:
        """Put a file there."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def command(self, *args: str) -> dict:
        """Return what starts `peak-observe health` there."""
        command = [Path(sys.executable).with_name("peak-observe"), "health", *args]
        kept = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR"}}
        return {
            "args": command,
            "cwd": self.folder,
            "env": kept | {"COLUMNS": "100", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"},
        }

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return self._warm.run("health", *args, cwd=self.folder, env=self.command()["env"] | env)

    def refused(self, *args: str) -> str:
        """Return the one line that is said when nothing can be run, after looking at the rest."""
        done = self.run(*args)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr
        (line,) = done.stderr.splitlines()
        assert not self.report.exists()
        return line.removeprefix("peak-observe: ")


@pytest.fixture
def place(tmp_path: Path, warm: Warm) -> Workplace:
    """An empty folder."""
    return Workplace(tmp_path, warm)


@pytest.fixture(autouse=True)
def _interruptible() -> Iterator[None]:
    """Ctrl-C reaches the processes also where the tests themselves were started to ignore it, in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def without_time(text: str) -> str:
    """Replace the time of a dashboard by that of the page."""
    return re.sub(r"Timestamp: .*", "Timestamp: 2026-01-05T03:00:00+00:00", text)


@pytest.mark.parametrize(
    ("module", "code", "status"),
    [(GOOD, 0, "🟢 HEALTHY"), (DEGRADED, 0, "🟡 DEGRADED"), (BAD, 1, "🔴 UNHEALTHY"), (HANGING, 1, "🔴 UNHEALTHY")],
    ids=["good", "degraded", "bad", "hanging"],
)
def test_the_exit_code_is_the_verdict(place: Workplace, module: str, code: int, status: str) -> None:
    """And the dashboard says it; nothing goes to standard error."""
    place.write("bot.py", module)
    done = place.run("--app", "bot")
    assert (done.returncode, done.stderr) == (code, "")
    assert f"\nSystem Status: {status}\n" in done.stdout
    assert json.loads(place.report.read_text())["summary"]["healthy"] is (code == 0)


def test_readmes_module_prints_readmes_dashboard(place: Workplace) -> None:
    """To the letter, except for the time."""
    module = re.search(r"^```python\n(.*?def telegram.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```text\n(=+\nHEALTH DASH.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (place.folder / "mytrader").mkdir()
    place.write("mytrader/health.py", module[1].rpartition("```python\n")[2])
    done = place.run("--app", "mytrader.health")
    assert without_time(done.stdout) == shown[1]
    assert done.returncode == 0


def test_readmes_toml_is_understood(place: Workplace) -> None:
    """The trader of the example does not run here; the rest is healthy."""
    text = re.search(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[1]
    place.write("health.toml", text.replace(":17326/", ":1/"))
    done = place.run("--config.file", "health.toml")
    assert done.returncode == 1
    assert [line[:12] for line in done.stdout.splitlines()[5:8]] == ["✅ DISK: heal", "✅ JOURNAL: h", "❌ TRADER: un"]
    assert "no answer: ConnectionRefusedError" in done.stdout


def test_module_and_file_together(place: Workplace) -> None:
    """Both count, and a function named in the file is found in the working directory."""
    place.write("bot.py", GOOD + "def alive():\n    return True, 'trading'\n")
    place.write("health.toml", '[checks.alive]\nkind = "python"\nfunction = "bot:alive"\n')
    assert "ALIVE: healthy" in place.run("--config.file", "health.toml").stdout
    done = place.run("--app", "bot", "--config.file", "health.toml")
    assert list(json.loads(place.report.read_text())["checks"]) == ["database", "prices", "alive"]
    assert done.returncode == 0


def test_a_registry_of_ones_own(place: Workplace) -> None:
    """By a usual name or by its own."""
    place.write(
        "bot.py", "from peak_observe import HealthCheck\nmine = HealthCheck()\nmine.register('x', lambda: True)\n"
    )
    assert "✅ X: healthy" in place.run("--app", "bot:mine").stdout


def test_the_report_is_complete_and_without_secrets(place: Workplace) -> None:
    """In the known form; elsewhere with --report, nowhere with --no-report."""
    place.write("bot.py", BAD)
    assert place.run("--app", "bot", "--no-report").returncode == 1
    assert not place.report.exists()
    place.run("--app", "bot", "--report", "deep/er/r.json")
    report = json.loads((place.folder / "deep" / "er" / "r.json").read_text())
    assert set(report) == {"timestamp", "checks", "summary"}
    assert report["summary"] == {"total": 3, "passed": 2, "failed": 1, "healthy": False}
    assert report["checks"]["api"].items() >= {"name": "api", "healthy": False, "message": "down; token=***"}.items()
    assert report["checks"]["database"]["details"] == {"größe": 12}
    assert os.listdir(place.folder / "deep" / "er") == ["r.json"]  # noqa: PTH208 - nothing else was left there


def test_json_is_the_report(place: Workplace) -> None:
    """On standard output, byte for byte what the file says but for characters outside ASCII."""
    place.write("bot.py", BAD)
    done = place.run("--app", "bot", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == json.loads(place.report.read_text())
    assert "größe" in done.stdout
    assert place.run("--app", "bot", "--json", "--ascii").stdout.isascii()


def test_health_json(place: Workplace) -> None:
    """For whoever reads application/health+json."""
    place.write("bot.py", DEGRADED)
    found = json.loads(place.run("--app", "bot", "--health-json").stdout)
    assert found["status"] == "warn"
    assert found["checks"]["mail:duration"][0]["output"] == "no route"


def test_only_and_tag(place: Workplace) -> None:
    """With what the chosen ones depend on; each may be repeated."""
    place.write("bot.py", BAD)

    def ran(*args: str) -> list[str]:
        return list(json.loads(place.run("--app", "bot", "--json", *args).stdout)["checks"])

    assert ran("--only", "prices") == ["database", "prices"]
    assert ran("--only", "database", "--only", "api") == ["database", "api"]
    assert ran("--tag", "core") == ["database"]
    assert ran("--tag", "core", "--tag", "market", "--only", "api") == ["api"]


def test_ascii(place: Workplace) -> None:
    """On demand, and where the output cannot take anything else."""
    place.write("bot.py", DEGRADED)
    done = place.run("--app", "bot", "--ascii")
    assert done.stdout.isascii()
    assert "[WARN] MAIL: unhealthy - no route" in done.stdout
    assert without_time(place.run("--app", "bot", PYTHONIOENCODING="latin-1").stdout) == without_time(done.stdout)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "nothing to check: give --app MODULE, --config.file FILE or both"),
        (("--app", "empty"), "no checks are registered by empty"),
        (("--app", "no_such"), "cannot load 'no_such': no module 'no_such' is installed or in the working directory"),
        (("--app", "bot.py"), "cannot load 'bot.py': "),
        (("--app", "bot:x"), "cannot load 'bot:x': bot has no 'x'"),
        (("--app", "bot:database"), "cannot load 'bot:database': it is no HealthCheck but function"),
        (("--app", "broken"), "cannot load 'broken': "),
        (("--app", "leaving"), "cannot load 'leaving': "),
        (("--app", "bot", "--only", "databse"), "no check is named 'databse'; near: database"),
        (("--app", "bot", "--tag", "marke", "--tag", "core"), "no check has the tag 'marke'; near: market"),
        (
            ("--app", "bot", "--tag", "core", "--only", "prices"),
            "no check has both a name of --only and a tag of --tag",
        ),
        (("--config.file", "none.toml"), "none.toml: No such file or directory"),
        (("--config.file", "typo.toml"), "typo.toml: checks.x.timout: there is no such key; did you mean 'timeout'?"),
        (("--app", "bot", "--config.file", "empty.py"), "empty.py: there is no table [checks.NAME]"),
        (("--app", "bot", "--json", "--health-json"), "--json and --health-json exclude each other"),
        (
            ("--app", "bot", "--watch", "--interval", "inf"),
            "--interval must be a number of seconds up to 86400, not inf",
        ),
        (("--app", "bot", "--report", "bot.py/x.json"), "cannot write the report to bot.py/x.json: "),
        (("--app", "bot", "--report", "."), "cannot write the report to .: Is a directory; --report chooses"),
        (
            ("--app", "bot", "--report", ".", "--watch"),
            "cannot write the report to .: Is a directory; --report chooses",
        ),
    ],
)
def test_rubbish_is_one_line_and_exit_2(place: Workplace, args: tuple[str, ...], message: str) -> None:
    """What it is and what to do; no traceback, no report, nothing that looks like unhealthy."""
    place.write("bot.py", GOOD)
    place.write("empty.py", "")
    place.write("broken.py", "raise ValueError('token=S3CRET\\nand more')")
    place.write("leaving.py", "raise SystemExit(0)")
    place.write("typo.toml", '[checks.x]\nkind = "memory"\ntimout = 3\n')
    line = place.refused(*args)
    assert line.startswith(message)
    assert "S3CRET" not in line


def test_an_unknown_option_is_exit_2(place: Workplace) -> None:
    """As typer says it."""
    done = place.run("--app", "bot", "--nonsense")
    assert done.returncode == 2
    assert "No such option" in done.stderr
    assert place.run("--watch", "--interval", "0").returncode == 2
    assert place.run("--watch", "--interval", "nan").returncode == 2


def test_every_option_and_key_is_documented(place: Workplace) -> None:
    """The page names each option of the command, and each key of a TOML file."""
    from peak_observe.resilience.health import config

    options = set(re.findall(r"--[a-z-]+", place.run("--help", TERM="dumb").stdout)) - {"--help"}
    assert len(options) == 12
    assert all(f"`{option}" in PAGE for option in options)
    assert all(f"\n| `{setting}` |" in PAGE for setting in config.SETTINGS)
    for kind, found in config.KINDS.items():
        row = re.search(rf"^\| `{kind}` \| (.*?) \|", PAGE, re.MULTILINE)
        assert re.findall(r"`(\w+)`", row[1]) == list(found.keys), kind


def test_every_ready_made_check_is_documented() -> None:
    """The page has a row for each."""
    from peak_observe.resilience.health import checks

    assert all(f"\n| `{name}` |" in PAGE for name in checks.__all__)


@pytest.mark.parametrize("args", [(), ("--watch", "--interval", "0.1")], ids=["once", "watch"])
def test_a_reader_that_leaves_early_changes_no_verdict(place: Workplace, args: tuple[str, ...]) -> None:
    """As in `peak-observe health … | head -1`: no traceback, and the report is written."""
    place.write("bot.py", GOOD)
    command = place.command("--app", "bot", *args)
    with subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
    assert place.report.exists()


def test_a_check_that_hangs_does_not_hold_up_the_exit(place: Workplace) -> None:
    """Neither a thread nor what a coroutine gave to a thread."""
    module = "import asyncio\n" + HANGING
    module += "async def thread():\n    await asyncio.to_thread(time.sleep, 600)\n"
    module += "health_check.register('thread', thread, timeout=0.3)\n"
    place.write("bot.py", module)
    started = time.monotonic()
    done = place.run("--app", "bot")
    assert time.monotonic() - started < 30
    assert "❌ HANG: timeout - no answer within 0.3 s\n❌ THREAD: timeout - no answer within 0.3 s\n" in done.stdout
    assert (done.returncode, done.stderr) == (1, "")


def unmeasured(settings: dict) -> dict:
    """Return settings without coverage, whose lock stays locked for ever when Ctrl-C arrives in the middle of it."""
    settings["env"] = {key: value for key, value in settings["env"].items() if not key.startswith("COV")}
    return settings


class Watched:
    """A `--watch` that runs, on a pipe or on a terminal, and what it has printed."""

    def __init__(self, settings: dict, *, terminal: bool) -> None:
        self.output = b""
        if terminal:
            self._fd, slave = pty.openpty()
            settings["env"] |= {"TERM": "xterm-256color", "LINES": "40"}
        else:
            self._fd, slave = os.pipe()
        self.process = subprocess.Popen(**settings, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
        os.close(slave)

    def until(self, count: int, mark: str = "System Status") -> None:
        """Read until a mark was printed so often."""
        deadline = time.monotonic() + 60
        while self.output.count(mark.encode()) < count:
            assert time.monotonic() < deadline, self.output
            self._read(1.0)

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal and return exit code and all that was printed."""
        self.process.send_signal(number)
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self._read(0.05)
        while self._read(0.05):
            pass
        return self.process.returncode, self.output.decode()

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        os.close(self._fd)

    def _read(self, patience: float) -> bytes:
        if not select.select([self._fd], [], [], patience)[0]:
            return b""
        with contextlib.suppress(OSError):  # a terminal that nobody holds any more
            chunk = os.read(self._fd, 65_536)
            self.output += chunk
            return chunk
        return b""


@pytest.fixture
def watch(place: Workplace) -> Iterator[Callable[..., Watched]]:
    """A function that starts a `--watch` of the module bot."""
    started = []

    def start(*args: str, terminal: bool = False) -> Watched:
        settings = unmeasured(place.command("--app", "bot", "--watch", "--interval", "0.1", *args))
        started.append(Watched(settings, terminal=terminal))
        return started[-1]

    yield start
    for watched in started:
        watched.close()


@pytest.mark.parametrize(("module", "code"), [(GOOD, 0), (BAD, 1), (HANGING, 1)], ids=["good", "bad", "hanging"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_watch_with_the_last_verdict(
    place: Workplace, watch: Callable, module: str, code: int, number: int
) -> None:
    """Without a traceback, whatever was under way."""
    place.write("bot.py", module)
    watched = watch()
    watched.until(3)
    found, output = watched.end(number)
    assert found == code
    assert "Traceback" not in output
    assert "\x1b" not in output, "plain in a pipe"
    assert set(COLOUR.sub("", output).splitlines()) >= {"HEALTH DASHBOARD"}


def test_watch_on_a_terminal_leaves_it_as_it_was(place: Workplace, watch: Callable) -> None:
    """In colour, on a screen of its own, which is left, and the cursor is shown again."""
    place.write("bot.py", BAD)
    watched = watch(terminal=True)
    watched.until(3)
    code, output = watched.end(signal.SIGINT)
    assert code == 1
    assert "\x1b[1;31m❌ API" in output
    assert "Ctrl-C ends it" in output
    assert output.count("\x1b[?1049h") == output.count("\x1b[?1049l") == 1
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert "Traceback" not in output


def test_watch_sees_what_changes(place: Workplace, watch: Callable) -> None:
    """The dashboard and the report follow."""
    place.write(
        "bot.py", GOOD + "\nfrom pathlib import Path\nhealth_check.register('file', lambda: Path('x').exists())\n"
    )
    watched = watch()
    watched.until(1, "❌ FILE: unhealthy")
    place.write("x", "")
    watched.until(1, "✅ FILE: healthy")
    assert watched.end(signal.SIGINT)[0] == 0
    assert json.loads(place.report.read_text())["summary"]["healthy"] is True


def test_ctrl_c_before_the_first_verdict_is_130(place: Workplace, watch: Callable) -> None:
    """While the module is imported, or the first checks run: that is no verdict."""
    place.write("bot.py", "import sys, time\nprint('importing', flush=True)\ntime.sleep(600)\n")
    watched = watch()
    watched.until(1, "importing")
    code, output = watched.end(signal.SIGINT)
    assert (code, output.strip()) == (130, "importing")
    place.write("bot.py", HANGING.replace("0.3", "600") + "print('imported', flush=True)\n")
    watched = watch()
    watched.until(1, "imported")
    time.sleep(0.2)
    code, output = watched.end(signal.SIGINT)
    assert (code, output.strip()) == (130, "imported")


def test_the_report_is_whole_at_every_instant(place: Workplace) -> None:
    """Readers loop while writers are started, and killed in the middle of it."""
    place.write(
        "bot.py", GOOD + "\nfor n in range(300):\n    health_check.register(f'c{n}', lambda: (True, 'x' * 200))\n"
    )
    assert place.run("--app", "bot").returncode == 0
    seen, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                seen.append(json.loads(place.report.read_text())["summary"]["total"])
            except Exception as error:
                seen.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    settings = unmeasured(place.command("--app", "bot", "--watch", "--interval", "0.1"))
    for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        before = place.report.stat().st_mtime_ns
        with subprocess.Popen(**settings, stdout=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while place.report.stat().st_mtime_ns == before:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            process.send_signal(number)
    stop.set()
    reader.join()
    assert len(seen) > 10
    assert set(seen) == {302}


def test_colour_is_for_terminals(place: Workplace) -> None:
    """And not where NO_COLOR is set."""
    place.write("bot.py", GOOD)
    found = {}
    for name, env in {"colour": {}, "none": {"NO_COLOR": "1"}}.items():
        settings = place.command("--app", "bot")
        settings["env"] |= env
        watched = Watched(settings, terminal=True)
        watched.until(1)
        found[name] = watched.end(0)[1]
        watched.close()
    assert "\x1b[32m✅ DATABASE: healthy\x1b[0m" in found["colour"]
    assert "32m" not in found["none"]


@pytest.mark.parametrize(
    "start", [["-m", "peak_observe.health_dashboard"], [str(ROOT / "scripts" / "health_dashboard.py")]]
)
def test_the_dashboard_is_a_module_and_a_script_too(place: Workplace, start: list[str]) -> None:
    """Both are `peak-observe health`: its layout, its title, its exit codes."""
    place.write("bot.py", GOOD)
    command = [sys.executable, *start, "--app", "bot", "--title", "BTC BOT", "--no-report"]
    done = subprocess.run(command, cwd=place.folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == "BTC BOT"
    place.write("bot.py", BAD)
    assert subprocess.run(command, cwd=place.folder, capture_output=True, timeout=60, check=False).returncode == 1
