"""The programs that tests start are installed where they may be, and missed aloud where they may not."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
EVERYWHERE = {
    "bash",
    "cat",
    "chmod",
    "chown",
    "cp",
    "make",
    "mount",
    "rm",
    "sh",
    "true",
    "umount",
}  # where `make test` can be typed
NOT_TESTS = {TESTS / "benchmarks", TESTS / "live", TESTS / "programs.py"}  # `make test` starts none of theirs
APT = """\
#!/bin/sh
echo "apt-get $*" >> {log}
[ -x {policy} ] || exit 0
for event in "prometheus.service start" "prometheus (start) unknown" "cron.service restart"; do
    {policy} $event
    echo "$event: $?" >> {log}
done
"""
NEEDY = "tests/exporter/sources/test_backup_sources.py"  # a module with a test of restic, and one of borg


def modules() -> Iterator[Path]:
    """Return all modules of tests."""
    return (path for path in TESTS.rglob("*.py") if not NOT_TESTS & {path, *path.parents})


def started(path: Path) -> set[str]:
    """Return the programs that a module names where it starts one: as first word of a command, or to `binary`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name("binary"), args=[ast.Constant(str(name)), *_]):
                found.add(name)
            case ast.Call(
                func=ast.Attribute(ast.Name("subprocess"), _), args=[ast.List([ast.Constant(str(name)), *_])]
            ):
                found.add(name)
            case ast.Assign(targets=[ast.Name("command" | "words")], value=ast.List([ast.Constant(str(name)), *_])):
                found.add(name)
    return found


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all there is on PATH; what its apt-get was asked is in the file `log`."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("INSTALL", raising=False)
    monkeypatch.setattr(programs, "POLICY", tmp_path / "policy")
    monkeypatch.setattr(programs, "SYSTEMD", tmp_path / "systemd")
    programs.permitted.cache_clear()
    yield tmp_path
    programs.permitted.cache_clear()


def add(machine: Path, name: str, script: str = "#!/bin/sh\n") -> None:
    """Put a program on the machine."""
    (machine / name).write_text(script.format(log=machine / "log", policy=machine / "policy"))
    (machine / name).chmod(0o755)


def log(machine: Path) -> list[str]:
    """Return what was done on the machine."""
    return (machine / "log").read_text().splitlines() if (machine / "log").exists() else []


def as_user(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be somebody; 0 is root."""
    monkeypatch.setattr(os, "geteuid", lambda: number)


def test_every_program_that_tests_start_is_in_the_table() -> None:
    """Or is on each machine."""
    found = {name for path in modules() for name in started(path)}
    assert "chromium" in found
    assert found - EVERYWHERE <= programs.PACKAGES.keys()


@pytest.mark.parametrize("name", sorted(programs.PACKAGES.keys() - {"venv"}))
def test_the_table_names_no_program_that_no_test_starts(name: str) -> None:
    """Nobody installs in vain, nor for a benchmark."""
    others = set(modules()) - {Path(__file__)} | set((TESTS / "benchmarks").glob("*.py"))
    assert any(f'"{name}"' in path.read_text("utf-8") for path in others)


def test_tests_look_for_programs_in_one_place() -> None:
    """Nobody asks PATH by himself, and so forgets the table."""
    assert {path.name for path in modules() if "shutil.which" in path.read_text("utf-8")} == {
        "test_programs.py",
    }


def test_root_installs_what_is_missing_and_no_service_starts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two packages for three programs; a service that runs may still be restarted; nothing is left."""
    as_user(0, monkeypatch)
    add(machine, "apt-get", APT)
    names = (
        "amtool",
        "chattr",
        "chromium",
        "curl",
        "ip",
        "mkfs.ext4",
        "prometheus-alertmanager",
        "redis-server",
        "restic",
        "systemd-analyze",
        "tmux",
        "unshare",
    )
    for name in names:
        add(machine, name)
    assert programs.main([]) == 0
    policy = ["prometheus.service start: 101", "prometheus (start) unknown: 101", "cron.service restart: 0"]
    options = "-qq --yes --no-install-recommends -o DPkg::Lock::Timeout=120"
    asked = [f"apt-get {options} update", *policy, f"apt-get {options} install borgbackup prometheus", *policy]
    assert log(machine) == asked
    assert not (machine / "policy").exists()


def test_nothing_is_asked_of_apt_when_all_is_there(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the second `make test`, whatever some programs are called here."""
    as_user(0, monkeypatch)
    add(machine, "apt-get", APT)
    for name in {*programs.PACKAGES, "google-chrome", "alertmanager"} - {"chromium", "prometheus-alertmanager"}:
        add(machine, name)
    assert programs.main([]) == 0
    assert log(machine) == []


def test_a_policy_of_the_machines_own_stays(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It decides, as it does for all who install something."""
    as_user(0, monkeypatch)
    add(machine, "apt-get", APT)
    add(machine, "policy", "#!/bin/sh\nexit 101\n")
    programs.main(["restic"])
    assert "cron.service restart: 101" in log(machine)
    assert (machine / "policy").read_text() == "#!/bin/sh\nexit 101\n"


def test_a_policy_that_was_left_behind_forbids_nothing(tmp_path: Path) -> None:
    """The process that wrote it was killed."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    policy = tmp_path / "policy"
    policy.write_text(programs.KEEP_DOWN.format(pid=ended.pid))
    assert subprocess.run(["sh", policy, "prometheus.service", "start"], check=False).returncode == 0


def test_services_are_not_enabled_but_those_of_the_user_stay(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that was there before is somebody's own."""
    as_user(0, monkeypatch)
    add(machine, "apt-get")
    add(machine, "systemctl", '#!/bin/sh\necho "$*" >> {log}\n')
    (machine / "systemd").mkdir()
    (machine / "systemd" / "prometheus.service").touch()
    programs.main(["promtool", "amtool"])
    assert log(machine) == ["disable prometheus-alertmanager.service"]


def test_one_package_that_cannot_be_had_keeps_no_other_away(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, with apt's own words, and the tests go on."""
    as_user(0, monkeypatch)
    add(machine, "apt-get", '#!/bin/sh\ncase "$*" in *borg*) echo "E: no borg" >&2; exit 100 ;; esac\n')
    assert programs.main(["borg", "restic"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1:] == ["apt-get install borgbackup failed:", "E: no borg"]


def test_sudo_without_a_password_is_as_good_as_root(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same program runs again as root, for what is missing."""
    as_user(1000, monkeypatch)
    add(machine, "apt-get")
    add(machine, "sudo", '#!/bin/sh\necho "$*" >> {log}\n')
    assert programs.main(["borg", "restic"]) == 0
    assert log(machine) == ["-n true", f"-n {sys.executable} -B {programs.__file__} borg restic"]


@pytest.mark.parametrize("reason", ["no sudo", "a password", "not Debian", "INSTALL=no"])
def test_without_the_right_nothing_is_tried(machine: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """And a missing program is no failure, except in CI."""
    as_user(0 if reason in ("not Debian", "INSTALL=no") else 1000, monkeypatch)
    if reason != "not Debian":
        add(machine, "apt-get", APT)
    if reason == "a password":
        add(machine, "sudo", "#!/bin/sh\nexit 1\n")
    if reason == "INSTALL=no":
        monkeypatch.setenv("INSTALL", "no")
    assert programs.main([]) == 0
    assert log(machine) == []
    assert not programs.required("restic")
    monkeypatch.setenv("CI", "true")
    assert programs.required("restic")


def test_where_it_could_be_installed_a_missing_program_is_a_failure(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chromium is not among them on Ubuntu, which has it as a snap only."""
    as_user(0, monkeypatch)
    add(machine, "apt-get")
    monkeypatch.setattr(programs, "_system", lambda: "ubuntu")
    assert programs.required("restic")
    assert not programs.required("chromium")


def test_the_advice_is_one_command(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For who asks, on the system that there is."""
    as_user(1000, monkeypatch)
    assert programs.advice(["promtool", "borg"]) == "install borgbackup, prometheus with this system's package manager"
    add(machine, "apt-get")
    install = "apt-get install --no-install-recommends"
    assert programs.advice(["promtool", "prometheus"]) == f"(as root) {install} prometheus"
    add(machine, "sudo")
    assert programs.advice(["promtool", "borg"]) == f"sudo {install} borgbackup prometheus"
    monkeypatch.setattr(programs, "_system", lambda: "ubuntu")
    assert programs.advice(["borg", "chromium"]) == f"sudo {install} borgbackup && sudo snap install chromium"
    as_user(0, monkeypatch)
    assert programs.advice(["amtool"]) == f"{install} prometheus-alertmanager"


def test_a_python_without_venv_says_what_to_install(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can run without it, so that make ends there."""
    as_user(1000, monkeypatch)
    add(machine, "apt-get")
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda _: None)
    assert programs.main(["venv"]) == 1
    package = f"python3.{sys.version_info.minor}-venv"
    assert capsys.readouterr().err.endswith(f"apt-get install --no-install-recommends {package}\n")


@pytest.mark.parametrize(("ci", "code"), [("false", 0), ("true", 1)])
def test_the_last_lines_say_what_did_not_run(machine: Path, ci: str, code: int) -> None:
    """How many tests for want of what, and the command; in CI they fail instead."""
    environment = {**os.environ, "CI": ci, "INSTALL": "no", "COLUMNS": "200"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2" if ci == "false" else "0",
        "-p",
        "no:cacheprovider",
        NEEDY,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    if ci == "true":
        assert "restic is missing: " in done.stdout
        assert lines[-1].startswith("2 failed")
    else:
        assert " passed, 2 skipped" in lines[-3]
        assert lines[-2] == "2 tests did not run for want of a program: 1 of restic, 1 of borg."
        assert lines[-1] == "To run them too: install borgbackup, restic with this system's package manager"


def asked(target: str, folder: Path) -> str:
    """Return what make would run for a target where nothing is installed yet."""
    command = ["make", "--dry-run", f"VENV={folder}", target]
    told = {"ARGS", "COVERAGE", "MAKEFLAGS", "MFLAGS"}  # by a make that runs these tests
    settings = {name: value for name, value in os.environ.items() if name not in told}
    return subprocess.run(
        command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_a_demo_installs_no_test_tools(tmp_path: Path) -> None:
    """And no program; `make test` adds both to the same environment."""
    demo, test = asked("demo", tmp_path), asked("test", tmp_path)
    assert "--editable '.[exchange,exporter]'" in demo
    assert "--editable '.[dev]'" in test
    assert "[dev]" not in demo
    assert "tests/programs.py venv" in demo
    assert ("tests/programs.py\n" in demo, "tests/programs.py\n" in test) == (False, True)


@pytest.mark.parametrize(("ci", "measured"), [("true", True), ("", False)])
def test_coverage_is_measured_in_ci(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ci: str, measured: bool) -> None:
    """By the same command as everywhere."""
    monkeypatch.setenv("CI", ci)
    assert ("--cov" in asked("test", tmp_path)) == measured


@pytest.mark.parametrize(("failures", "status"), [(1, 0), (2, 2)])
def test_a_failed_test_runs_once_more_alone(tmp_path: Path, failures: int, status: int) -> None:
    """It is listed where it passes then; make fails where it does not."""
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "test_it.py").write_text(
        "from pathlib import Path\n"
        "def test_it():\n"
        f"    with Path({str(tmp_path / 'runs')!r}).open('a+') as runs:\n"
        "        runs.write('x')\n"
        "        runs.seek(0)\n"
        f"        assert len(runs.read()) > {failures}\n"
        "def test_other():\n"
        "    pass\n"
    )
    arguments = f"ARGS={tmp_path} -c {tmp_path}/pytest.ini -n 0"
    command = [
        "make",
        "test",
        f"VENV={sys.prefix}",
        "--assume-old",
        f"{sys.prefix}/.ready",
        "INSTALL=no",
        "CI=",
        arguments,
    ]
    told = {"COVERAGE", "MAKEFLAGS", "MFLAGS", "PYTEST_ADDOPTS"}  # by a make that runs these tests
    settings = {name: value for name, value in os.environ.items() if name not in told}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == status, done
    assert (tmp_path / "runs").read_text() == "xx"
    assert ("\nPASSED " in done.stdout) == (status == 0), done.stdout
