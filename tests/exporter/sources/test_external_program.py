"""Programs that are asked for something: what they say, how they fail, and that none survives its time."""

import os
import sys
import time
from pathlib import Path

import pytest

from peak_observe.exporter.sources import external_program
from peak_observe.exporter.sources.external_program import ProgramError, output

PATIENCE = 60.0


def python(code: str, timeout: float = PATIENCE, **environment: str) -> bytes:
    """Return what a Python program writes."""
    return output([sys.executable, "-c", code], environment=environment, timeout=timeout)


def test_standard_output_alone_is_the_answer() -> None:
    """What goes to standard error is for the case that it fails."""
    assert python("import sys; sys.stderr.write('warning'); print('x' * 100_000)") == b"x" * 100_000 + b"\n"


def test_the_environment_is_added() -> None:
    """And nothing is read from standard input, where a password prompt would wait for ever."""
    assert python("import os, sys; print(os.environ['MINE'], repr(sys.stdin.read()))", MINE="yes") == b"yes ''\n"


def test_a_failure_says_why() -> None:
    """The code, and the last line of standard error without secrets."""
    with pytest.raises(ProgramError, match=r"ended with exit code 3: no; token=\*\*\*$"):
        python("import sys; sys.stderr.write('first\\nno; token=abc\\n\\n'); sys.exit(3)")
    with pytest.raises(ProgramError, match="was killed by signal 9: it does not say why"):
        python("import os; os.kill(os.getpid(), 9)")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"message_type":"exit_error","code":12,"message":"Fatal: wrong password"}', "Fatal: wrong password"),
        ('{"code":12}', '{"code":12}'),
        ("[1]", "[1]"),
        ("{", "{"),
    ],
)
def test_a_failure_told_as_json_is_a_sentence_too(line: str, said: str) -> None:
    """As newer versions of restic do; whatever else it is stays as it is."""
    with pytest.raises(ProgramError) as caught:
        python(f"import sys; sys.stderr.write({line!r}); sys.exit(12)")
    assert str(caught.value).endswith(f"exit code 12: {said}")


@pytest.mark.parametrize(("words", "problem"), [(["no-such-program"], "No such file"), (["x\0y"], "null byte")])
def test_a_program_that_is_not_there(words: list[str], problem: str) -> None:
    """Is named."""
    with pytest.raises(ProgramError, match=f"cannot run .*{problem}"):
        output(words, environment={}, timeout=PATIENCE)


def test_too_much_output_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No list of backups is as long as that."""
    monkeypatch.setattr(external_program, "MOST", 1 << 20)
    with pytest.raises(ProgramError, match="writes more than 1 MiB"):
        python("print('x' * (2 << 20))")


def gone(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_time_is_up_for_the_program_and_all_it_started(tmp_path: Path) -> None:
    """A child that keeps the output open too."""
    code = f"""
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
child.wait()
"""
    with pytest.raises(ProgramError, match=r"was killed after 3 s"):
        python(code, timeout=3)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + PATIENCE
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_it_left_behind_goes_with_it(tmp_path: Path) -> None:
    """Also when it ended in order."""
    code = f"""
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
"""
    assert python(code) == b""
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + PATIENCE
    while not gone(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert os.getpid() != child
