"""Commands, hooks and the ping of `[backup]`."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from peak_observe.backup_recovery.create.commands import GRACE
from peak_observe.backup_recovery.repository.locking import locked
from peak_observe.cli.backup import hooks

from .conftest import PATIENCE

FILE = """
[backup]
repository = "backups"
data = "data"
{ping}
[backup.commands]
pg = "echo dumped"
[backup.commands.big]
command = "echo $PEAK_X | tr a-z A-Z"
shell = true
timeout = "10min"

[backup.hooks]
before = {before}
after = {after}
"""


class Pinged:
    """An address that is told how backups end."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.status = 200
        pinged = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pinged.seen.append(self.path)
                self.send_response(pinged.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/secret-uuid"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def pinged():
    """Return an address that is told how backups end."""
    server = Pinged()
    yield server
    server.close()


def write(desk, *, before: str = '"true"', after: str = '"true"', ping: str = "") -> None:
    """Write the file."""
    text = FILE.format(before=before, after=after, ping=f'ping_url = "{ping}"' if ping else "")
    desk.write("peak-observe.toml", text)


def say(desk, name: str) -> str:
    """Return a hook that writes down when it ran and what it was told."""
    return f"""["sh", "-c", "echo {name} $PEAK_BACKUP_DOING $PEAK_BACKUP_OUTCOME >> {desk.folder}/hooks.txt"]"""


def test_commands_of_the_file(desk, monkeypatch) -> None:
    """A text and a table, without a shell and with one."""
    monkeypatch.setenv("PEAK_X", "loud")
    write(desk)
    made = desk.run("create", "--json").json["backup_id"]
    assert desk.run("cat", made, "pg.sql").out == "dumped\n"
    assert desk.run("cat", made, "big.sql").out == "LOUD\n"


def test_a_command_fails_also_where_the_ends_of_children_are_ignored(desk) -> None:
    """As a service manager or a shell may have it, whose programs inherit that: the exit code is not lost."""
    write(desk)
    path = desk.folder / "peak-observe.toml"
    path.write_text(path.read_text().replace('"echo dumped"', '["sh", "-c", "echo half; exit 3"]'))
    program = (
        "import signal, runpy; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
        "runpy.run_module('peak_observe', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", program, "backup", "create"]
    done = subprocess.run(command, cwd=desk.folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 1
    assert "its command failed, exit code 3" in done.stdout + done.stderr


def test_hooks_run_around_backup_and_restore(desk) -> None:
    """They are told what is done, and the one behind it how it ended."""
    write(desk, before=say(desk, "before"), after=say(desk, "after"))
    assert desk.run("create").code == 0
    assert desk.run("restore", "latest", "--yes").code == 0
    lines = [line.split() for line in desk.read("hooks.txt").splitlines()]
    assert lines == [
        ["before", "backup"],
        ["after", "backup", "success"],
        ["before", "restore"],
        ["after", "restore", "success"],
    ]


def test_hooks_of_two_runs_never_mix(desk) -> None:
    """What the one has stopped would be started by the other; that one is told so, and counts for nothing."""
    desk.made()
    hook = f"echo before >> {desk.folder}/hooks.txt; touch {desk.folder}/begun; sleep 3"
    write(desk, before=f'["sh", "-c", "{hook}"]', after=say(desk, "after"))
    for words in (("create",), ("restore", "latest", "--yes")):
        (desk.folder / "begun").unlink(missing_ok=True)
        with desk.started(*words, stderr=subprocess.DEVNULL) as process:
            waited_for(desk.folder / "begun")
            done = desk.run("create")
            assert (done.code, desk.read("hooks.txt").split().count("after")) == (5, words[0] == "restore")
            assert "with hooks" in done.line
            process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    assert desk.read("hooks.txt").splitlines() == ["before", "after backup success", "before", "after restore success"]
    account = json.loads(desk.read("backups/.peak-observe/account.json"))
    assert {name: count for name, count in account["runs"].items() if count} == {"success": 2}


def test_hooks_of_two_first_runs_never_mix(desk) -> None:
    """There is no repository yet that could be locked; the folder is, which stays empty for `before` to mount there."""
    hook = f"ls -A {desk.folder}/backups >> {desk.folder}/found.txt; touch {desk.folder}/begun; sleep 3"
    write(desk, before=f'["sh", "-c", "{hook}"]', after=say(desk, "after"))
    with desk.started("create", stderr=subprocess.DEVNULL) as process:
        waited_for(desk.folder / "begun")
        done = desk.run("create")
        assert (done.code, (desk.folder / "hooks.txt").exists()) == (5, False), done
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert desk.read("found.txt") == ""
    assert desk.read("hooks.txt").splitlines() == ["after backup success"]
    assert desk.run("create").code == 0


def test_hooks_wait_for_no_other_work_in_the_repository(desk) -> None:
    """A run that somebody else keeps out runs none."""
    desk.made()
    write(desk, before=say(desk, "before"), after=say(desk, "after"))
    with locked(desk.folder / "backups/.peak-observe/lock", desk.folder / "backups", "prune"):
        assert desk.run("create").code == 5
    assert not (desk.folder / "hooks.txt").exists()


def test_failed_hook_before_stops_the_backup_and_not_the_one_after(desk) -> None:
    """A bot that was half stopped is started again."""
    write(desk, before='["sh", "-c", "echo it does not stop >&2; exit 3"]', after=say(desk, "after"))
    done = desk.run("create")
    assert done.code == 1
    assert done.line == "no backup was made, as the hook `before` failed, exit code 3: it does not stop"
    assert desk.read("hooks.txt").split() == ["after", "backup", "failed"]
    assert not list((desk.folder / "backups").glob("backup_*"))


def waited_for(path: Path) -> None:
    """Wait until a command has left its sign."""
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_second_ctrl_c_ends_a_command_that_ignores_the_first(desk) -> None:
    """It would live on, and write into a file that nobody has any more."""
    script = f"trap '' TERM INT; touch {desk.folder}/begun; sleep 3; touch {desk.folder}/finished"
    desk.write("peak-observe.toml", f'[backup.commands]\npg = {{ command = "{script}", shell = true }}\n')
    with desk.started("create", stderr=subprocess.PIPE, text=True) as process:
        waited_for(desk.folder / "begun")
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, time.monotonic() - began < GRACE - 1) == (130, True), said
    assert "Traceback" not in said
    time.sleep(3.5)
    assert not (desk.folder / "finished").exists()


@pytest.mark.parametrize(("times", "note"), [(1, "Ctrl-C once more stops that"), (2, "`after` was cut off by Ctrl-C")])
def test_second_ctrl_c_does_not_cut_the_hook_after_off(desk, times: int, note: str) -> None:
    """What `before` stopped is started again; only the third one ends it, and that is said."""
    hook = f"touch {desk.folder}/after; sleep 2; touch {desk.folder}/started"
    text = f'[backup]\ndata = "data"\n[backup.commands]\npg = "sh -c \'touch {desk.folder}/begun; sleep 60\'"\n'
    desk.write("peak-observe.toml", f'{text}[backup.hooks]\nafter = ["sh", "-c", "{hook}"]\n')
    with desk.started("create", stderr=subprocess.PIPE, text=True) as process:
        waited_for(desk.folder / "begun")
        process.send_signal(signal.SIGINT)
        waited_for(desk.folder / "after")
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert note in said
    assert (desk.folder / "started").exists() is (times == 1)
    assert "Traceback" not in said


def test_ping_tells_success_and_failure(desk, pinged) -> None:
    """A partial backup is no success."""
    write(desk, ping=pinged.address)
    assert desk.run("create").code == 0
    (desk.folder / "data").rename(desk.folder / "gone")
    assert desk.run("create").code == 1
    assert pinged.seen == ["/secret-uuid", "/secret-uuid/fail"]


def test_ping_that_fails_is_a_note_without_the_address(desk, pinged) -> None:
    """The backup is as good as before, and the address is a secret."""
    write(desk, ping=pinged.address)
    pinged.status = 500
    done = desk.run("create")
    assert (done.code, done.line) == (0, "ping_url was not told: it answers 500")
    write(desk, ping="http://127.0.0.1:1/secret-uuid")
    done = desk.run("create")
    assert done.code == 0
    assert done.line == "ping_url was not told: Connection refused"


def test_hook_and_ping_tell_how_the_backup_ended_and_not_its_output(desk, pinged) -> None:
    """What is told on a full disk is not told, and the backup is there all the same."""
    write(desk, after=say(desk, "after"), ping=pinged.address)
    with Path("/dev/full").open("w") as full, desk.started("create", stdout=full, stderr=subprocess.PIPE) as process:
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (1, b"peak-observe: the output cannot be written: No space left on device\n")
    assert desk.read("hooks.txt").split() == ["after", "backup", "success"]
    assert pinged.seen == ["/secret-uuid"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"\0\xff garbage\r\n\r\n", "BadStatusLine"), (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000, "no answer in 0.5 s")],
)
def test_ping_that_is_answered_with_nonsense_or_byte_by_byte_is_a_note(
    desk, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    """A watchdog that is not well holds up no backup, and makes none fail."""
    monkeypatch.setattr(hooks, "PING_TIMEOUT", 0.5)
    done = threading.Event()

    def serve() -> None:
        with server, server.accept()[0] as asked, suppress(OSError):
            asked.recv(10_000)
            for byte in answer:
                asked.sendall(bytes([byte]))
                done.wait(0.05 if len(answer) > 100 else 0)

    server = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    write(desk, ping=f"http://127.0.0.1:{server.getsockname()[1]}/secret-uuid")
    try:
        ended = desk.run("create")
    finally:
        done.set()
        thread.join()
    assert (ended.code, ended.line) == (0, f"ping_url was not told: {reason}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('pg = "echo dumped"', 'pg = "echo \'"', "backup.commands.pg"),
        ('pg = "echo dumped"', "pg = 5", "backup.commands.pg"),
        ('timeout = "10min"', 'timeout = "soon"', "backup.commands.big.timeout"),
        ("shell = true", "shel = true", "backup.commands.big.shel"),
        ("[backup.hooks]", '[backup.hooks]\nduring = "x"', "backup.hooks.during"),
        ('data = "data"', 'ping_url = "ftp://x"', "backup.ping_url"),
        ('pg = "echo dumped"', '"a/b" = "x"', "the name of a command"),
    ],
)
def test_mistakes_in_the_file(desk, old: str, new: str, message: str) -> None:
    """Each is one line that names the key."""
    write(desk)
    desk.write("peak-observe.toml", desk.read("peak-observe.toml").replace(old, new))
    done = desk.run("create")
    assert done.code == 2
    assert message in done.line


def test_latest_is_that_of_the_program_and_not_of_another_with_a_command_of_that_name(desk) -> None:
    """Both keep their dumps in one repository, where the other one made the newest backup."""
    for name in ("one", "two"):
        desk.write(f"{name}.toml", f'[backup]\nrepository = "backups"\n[backup.commands]\npg = "echo {name}"\n')
        assert desk.run("create", "--config.file", f"{name}.toml").code == 0
    assert desk.run("restore", "latest", "--config.file", "one.toml", "--yes", "--to", "out").code == 0
    assert desk.read("out/data/pg.sql") == "one\n"
    assert desk.run("prune", "--config.file", "one.toml", "--last", "1", "--json").json["remove"] == []
