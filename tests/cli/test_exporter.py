"""`peak-observe exporter` as a person, a unit file and a script meet it."""

import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from peak_observe.__main__ import main
from peak_observe.exporter import config
from peak_observe.exporter.web import web_config
from peak_observe.monitoring.deployment import systemd

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "exporter.md").read_text(encoding="utf-8")
COMMAND = Path(sys.executable).with_name("peak-observe")
PATIENCE = 60.0


class Done(NamedTuple):
    """How the command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs the command in this process, which it leaves as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv(config.DIRECTORY, raising=False)
    monkeypatch.setenv("COLUMNS", "300")

    def command(*args: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["peak-observe", "exporter", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(ended.value.code or 0, said.out, said.err)

    return command


@pytest.fixture
def refused(run: Callable[..., Done]) -> Callable[..., str]:
    """Return a function that returns the one line that is said when the command cannot start."""

    def command(*args: str) -> str:
        done = run(*args)
        assert (done.returncode, done.stdout) == (2, ""), done
        (line,) = done.stderr.splitlines()
        return line.removeprefix("peak-observe: ")

    return command


def test_check_says_what_would_be_watched(run, tmp_path: Path) -> None:
    """And ends with 0, without listening."""
    (tmp_path / "peak-observe.toml").write_text('[files.dumps]\nglob = "*.dump"\n[checks.disk]\nkind = "disk_space"\n')
    (tmp_path / "web.yml").write_text("")
    done = run("--config.check", "--web.config.file", "web.yml")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "peak-observe.toml: in order; it watches",
        "  exporter: this process, every 1 s",
        "  files.dumps: files *.dump, every 15 s",
        "  check disk",
        "web.yml: in order; no TLS, everybody may ask",
    ]


def test_check_without_any_file(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says what there is by itself."""
    (tmp_path / "backups").mkdir()
    monkeypatch.setenv(config.DIRECTORY, "/run/peak-observe")
    done = run("--config.check")
    assert done.stdout.splitlines() == [
        "no configuration file: it watches",
        "  exporter: this process, every 1 s",
        "  processes: processes in /run/peak-observe, every 5 s",
        "  repositories.backups: backups in backups, every 15 s",
    ]


@pytest.mark.parametrize("check", [["--config.check"], []], ids=["check", "start"])
@pytest.mark.parametrize(
    ("files", "args", "message"),
    [
        ({}, ["--config.file", "gone.toml"], "gone.toml: No such file or directory"),
        (
            {"peak-observe.toml": "[file.x]"},
            [],
            "peak-observe.toml: file: there is no such section; did you mean 'files'?; there are [processes], ",
        ),
        ({"x.toml": "[files.x"}, ["--config.file", "x.toml"], "x.toml: not valid TOML: "),
        ({"x.yml": "x: 1"}, ["--web.config.file", "x.yml"], "x.yml: x: there is no such key"),
        (
            {"bad.py": "raise SystemExit(3)", "x.toml": '[checks.x]\nkind = "python"\nfunction = "bad:x"'},
            ["--config.file", "x.toml"],
            "x.toml: checks.x: cannot load 'bad:x': ",
        ),
    ],
    ids=["missing", "section", "toml", "web", "module"],
)
def test_a_bad_file_is_one_line(
    refused, tmp_path: Path, files: dict[str, str], args: list[str], message: str, check: list[str]
) -> None:
    """That names file, key and mend; exit code 2."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert refused(*args, *check, "--web.listen-address", "127.0.0.1:0").startswith(message)


def test_a_taken_port_is_one_line(refused) -> None:
    """With the address and the mend."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused("--web.listen-address", address)
    mend = "choose another address or port (0 picks a free one)"
    assert said == f"cannot listen on {address}: Address already in use; {mend}"


@pytest.mark.parametrize("address", ["17325", "localhost", "localhost:", "x:99999", "x:-1", "x:1x", ""])
def test_an_address_that_is_none_is_one_line(refused, address: str) -> None:
    """With an example."""
    said = refused("--web.listen-address", address)
    assert said == f"--web.listen-address must be host:port, for instance 127.0.0.1:17325, not {address!r}"


@pytest.mark.parametrize("address", ["192.0.2.1:0", "no.such.invalid:0", f"{'x' * 80}:0", "[::zz]:0"])
def test_an_address_that_is_not_ours_is_one_line(refused, address: str) -> None:
    """Whatever the resolver thinks of it."""
    assert refused("--web.listen-address", address).startswith("cannot listen on ")


@pytest.mark.parametrize("args", [["--log.level", "loud"], ["--log.format", "xml"], ["--nonsense"], ["extra"]])
def test_wrong_usage_is_exit_2_without_traceback(run, args: list[str]) -> None:
    """And says what is allowed."""
    done = run(*args)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Usage: " in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """On Ctrl-C as on the signal of systemd, also while a program of a source runs, which ends with it."""
    (tmp_path / "peak-observe.toml").write_text(
        '[restic.slow]\nrepository = "r"\nprogram = "./restic"\n[checks.x]\nkind = "command"\nargs = ["sleep", "600"]\n'
    )
    program = tmp_path / "restic"
    program.write_text("#!/bin/sh\necho $$ > pid\nexec sleep 600\n")
    program.chmod(0o755)
    with subprocess.Popen(
        [COMMAND, "exporter", "--web.listen-address", ":0"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads yet
    ) as process:
        log = []
        while "listening on" not in (log or [""])[-1]:
            log.append(process.stderr.readline())
            assert log[-1], log
        deadline = time.monotonic() + PATIENCE
        while not (pid := (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(PATIENCE) == 0
    assert "Traceback" not in "".join([*log, rest])
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{int(pid)}").exists() and "Z" not in Path(f"/proc/{int(pid)}/stat").read_text().split()[2:3]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("module", ["starlette", "bcrypt"])
def test_a_missing_extra_is_named(tmp_path: Path, module: str) -> None:
    """Without an optional library the command says which extra brings it."""
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{anna: '$2b$04${'a' * 53}'}}")
    program = f"import sys; sys.modules[{module!r}] = None\n"
    program += "sys.argv = ['peak-observe', 'exporter', '--web.config.file', 'web.yml']\n"
    program += "from peak_observe.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert "pip install 'peak-observe[exporter]'" in done.stderr
    assert "Traceback" not in done.stderr


def documented(text: str, key: str) -> bool:
    """Return whether a key stands in the section as code."""
    return f"`{key}`" in text


def test_readme_names_every_option_and_path(run) -> None:
    """And every key of both files."""
    text = PAGE
    options = set(re.findall(r"--[a-z][a-z.-]+", run("--help").stdout)) - {"--help"}
    assert len(options) == 9
    missing = [option for option in options if f"`{option}" not in text]
    keys = {*config.PROCESSES, *(key for kind in config.KINDS.values() for key in kind.keys)}
    web = {
        *web_config.TLS_KEYS,
        *web_config.HTTP_KEYS,
        *web_config.SECTIONS,
        *web_config.CLIENT_AUTH,
        *web_config.HEADERS,
    }
    paths = {"/metrics", "/", "/sd", "/livez", "/readyz", "/healthz", "/health"}
    paths |= {"/-/healthy", "/-/ready", "/-/reload", "name[]", "source[]"}
    missing += [key for key in {*keys, *web, *paths} if not documented(text, key)]
    assert not missing


def test_readmes_configurations_are_understood(run, tmp_path: Path) -> None:
    """The TOML as it stands there, and the web configuration but for its files."""
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "peak-observe.toml").write_text(text)
    done = run("--config.check")
    assert done.returncode == 0, done.stderr
    sections = tomllib.loads(text)
    assert set(sections) == set(config.SECTIONS)
    (web,) = re.findall(r"^```yaml\n(tls_server_config:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found = yaml.safe_load(web)
    assert set(found) == set(web_config.SECTIONS)
    del found["tls_server_config"]
    (tmp_path / "web.yml").write_text(yaml.safe_dump(found))
    assert web_config.load(tmp_path / "web.yml").users


def test_the_files_for_deployment_fit(run) -> None:
    """The unit that `monitoring write` makes and the image call what there is."""
    (unit,) = [text for name, text in systemd.files().items() if name.endswith("exporter.service")]
    image = (ROOT / "examples" / "deploy" / "Dockerfile").read_text()
    options = set(re.findall(r"--[a-z][a-z.-]+", run("--help").stdout))
    for text in (unit, image):
        used = set(re.findall(r"--(?:web|config|log)\.[a-z.-]+", text))
        assert used
        assert used <= options
    assert "Type=notify\n" in unit
