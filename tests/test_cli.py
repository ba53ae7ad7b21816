"""The command line: what it prints, how it ends, and that no traceback reaches a person."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from peak_observe import TradingSwitch, __version__
from peak_observe.cli import app

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def peak_observe(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "peak_observe", *args]
    settings = {**os.environ, "COLUMNS": "100", "TERM": "dumb", **env}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=settings)


def test_version() -> None:
    """--version prints the version and nothing else."""
    assert peak_observe("--version").stdout == f"peak-observe {__version__}\n"


def pages(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Return the words and the help of a command and of all below it, as a terminal of 80 columns shows it."""
    name, settings = " ".join(("peak-observe", *path)), command.context_settings
    context = click.Context(command, info_name=name, terminal_width=80, max_content_width=80, **settings)
    yield path, command.get_help(context)
    for name, below in getattr(command, "commands", {}).items():
        yield from pages(below, (*path, name))


PAGES = dict(pages(typer.main.get_command(app)))


@pytest.mark.parametrize("path", PAGES, ids=" ".join)
def test_help_fits_a_screen(path: tuple[str, ...]) -> None:
    """Each --help has at most 30 lines, and no summary of a command is cut off."""
    lines = PAGES[path].splitlines()
    assert len(lines) <= 30
    assert not any(line.endswith("...") for line in lines if line.startswith("  "))


def test_help_is_what_the_command_prints() -> None:
    """The first page as a person sees it."""
    done = peak_observe("--help", COLUMNS="80")
    assert done.returncode == 0
    assert done.stdout.partition(" [OPTIONS]")[2] == PAGES[()].partition(" [OPTIONS]")[2] + "\n"


def test_installed_command_is_the_module() -> None:
    """The script `peak-observe` stands beside the interpreter and says the same."""
    script = Path(sys.executable).with_name("peak-observe")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"peak-observe {__version__}\n"


def test_every_demo_option_is_documented() -> None:
    """README names each option of the demo."""
    options = set(re.findall(r"--[a-z-]+", peak_observe("demo", "--help").stdout)) - {"--help"}
    assert options
    assert all(f"`{option}" in README for option in options)


@pytest.mark.parametrize(
    "args",
    [("demo", "--port", "70000"), ("demo", "--duration", "0"), ("demo", "--nonsense"), ("nonsense",)],
)
def test_bad_usage_is_exit_2_without_traceback(args: tuple[str, ...]) -> None:
    """A wrong option ends with 2 and a message."""
    done = peak_observe(*args)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_an_occupied_port_is_one_clear_line() -> None:
    """The demo says which port is taken and what to do, in one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = peak_observe("demo", "--port", str(port), "--no-prometheus")
    assert done.returncode == 2
    assert done.stderr == (
        f"peak-observe: cannot listen on 127.0.0.1:{port}: Address already in use; "
        "choose another address or port (0 picks a free one)\n"
    )


def test_grafana_write_writes_and_names_the_files(tmp_path: Path) -> None:
    """`grafana write` prints the path of each file it wrote."""
    done = peak_observe("grafana", "write", str(tmp_path / "new"))
    assert done.returncode == 0
    paths = {Path(line) for line in done.stdout.splitlines()}
    assert paths == {path for path in (tmp_path / "new").rglob("*") if path.is_file()}
    written = {str(path.relative_to(tmp_path / "new")) for path in paths}
    assert written >= {"RUNBOOK.md", "alerts/peak-observe.rules.yaml", "provisioning/alerting/rules.yaml"}
    assert any(name.startswith("dashboards/") for name in written)


def test_grafana_write_leaves_edited_files_alone(tmp_path: Path) -> None:
    """The receivers of the owner stay; what would be written lies beside them, and the command says so."""
    peak_observe("grafana", "write", str(tmp_path))
    mine = tmp_path / "alertmanager.yaml"
    mine.write_text("route: {receiver: mine}\n")
    rules = tmp_path / "alerts" / "peak-observe.rules.yaml"
    rules.write_text("groups: []\n")
    shown = peak_observe("grafana", "write", str(tmp_path), "--diff")
    assert "-groups: []\n" in shown.stdout
    assert rules.read_text() == "groups: []\n"
    done = peak_observe("grafana", "write", str(tmp_path))
    assert done.stdout.splitlines() == [str(rules), f"{mine}.example"]
    assert f"{mine} was edited and is left alone; see {mine}.example" in done.stderr
    assert mine.read_text() == "route: {receiver: mine}\n"
    peak_observe("grafana", "write", str(tmp_path), "--overwrite")
    assert mine.read_text() == Path(f"{mine}.example").read_text()


def test_grafana_write_asks_for_addresses_that_lead_somewhere(tmp_path: Path) -> None:
    """The name of a file is no address."""
    done = peak_observe("grafana", "write", str(tmp_path), "--runbook-url", "RUNBOOK.md")
    assert done.returncode == 2
    assert "begin it with https://" in done.stderr


def test_grafana_write_to_an_impossible_place_is_one_line(tmp_path: Path) -> None:
    """A folder that cannot be made ends with 2 and one line that names it."""
    (tmp_path / "file").write_text("")
    done = peak_observe("grafana", "write", str(tmp_path / "file" / "below"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "below" in done.stderr


@pytest.mark.parametrize(("module", "extra"), [("typer", "exporter"), ("rich", "exporter"), ("ccxt", "exchange")])
def test_a_missing_extra_is_named(module: str, extra: str) -> None:
    """Without an optional library the command says which extra brings it."""
    program = f"import sys; sys.modules[{module!r}] = None; sys.argv = ['peak-observe', 'demo']\n"
    program += "from peak_observe.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"pip install 'peak-observe[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_it_starts_is_no_traceback() -> None:
    """Importing takes a moment, in which somebody may change their mind."""
    program = """
import os, signal, sys

class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder)
sys.argv = ["peak-observe", "health"]
from peak_observe.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(
    ("args", "code"), [(["trading", "status"], 0), (["--help"], 0), (["grafana", "write", "new"], 0)], ids=str
)
def test_a_reader_that_leaves_early_ends_no_command(tmp_path: Path, args: list[str], code: int) -> None:
    """As in `peak-observe … | head -1`: it ends quietly, with the code it would have ended with."""
    TradingSwitch("bot", folder=tmp_path)
    command = [sys.executable, "-m", "peak_observe", *args]
    settings = {**os.environ, "PEAK_OBSERVE_DIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=settings
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == code


def test_the_shell_completes_commands() -> None:
    """What `--install-completion` puts into the shell asks the command itself."""
    words = {"_PEAK_OBSERVE_COMPLETE": "complete_bash", "COMP_WORDS": "peak-observe backup ", "COMP_CWORD": "2"}
    script = Path(sys.executable).with_name("peak-observe")
    done = subprocess.run(
        [script], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **words}
    )
    assert {"create", "restore", "drill"} <= set(done.stdout.split())


WITHOUT = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from peak_observe.__main__ import main
main()
"""
NOTHING = "ccxt,typer,click,rich,starlette,uvicorn,yaml,bcrypt"


@pytest.mark.parametrize(
    ("missing", "args", "extras"),
    [
        (NOTHING, ["demo", "--once"], "exchange,exporter"),
        (NOTHING, ["health"], "exporter"),
        (NOTHING, ["backup", "list"], "exporter"),
        (NOTHING, [], "exporter"),
        ("ccxt", ["demo", "--once", "--no-prometheus"], "exchange"),
        ("uvicorn", ["exporter"], "exporter"),
        ("uvicorn,ccxt", ["demo", "--once", "--no-prometheus"], "exchange,exporter"),
    ],
)
def test_all_missing_extras_are_named_at_once(tmp_path: Path, missing: str, args: list[str], extras: str) -> None:
    """With the one line that installs them."""
    command = [sys.executable, "-c", WITHOUT, missing, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(f": pip install 'peak-observe[{extras}]'")


@pytest.mark.parametrize("words", ["--help", "monitoring write {folder}/m", "shared show --url file://{folder}/shared"])
def test_a_full_disk_is_one_line(tmp_path: Path, words: str) -> None:
    """Whatever the command was about to print."""
    line = f"{sys.executable} -m peak_observe {words.format(folder=tmp_path)} > /dev/full"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (
        1,
        "peak-observe: the output cannot be written: No space left on device\n",
    )
