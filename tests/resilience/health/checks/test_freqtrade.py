"""The check of a freqtrade bot, against a server that answers as its API server does."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from peak_observe import HealthCheck
from peak_observe.resilience.health import checks, config
from peak_observe.testing import ManualClock

PASSWORD = "correct horse"  # noqa: S105 - of no account


class Handler(BaseHTTPRequestHandler):
    """Answers as freqtrade's `/api/v1/health` does; elsewhere and without password it refuses."""

    def do_GET(self) -> None:
        """Answer."""
        wanted = "Basic " + base64.b64encode(f"freqtrader:{PASSWORD}".encode()).decode()
        code = 404 if self.path != "/api/v1/health" else 200 if self.headers["Authorization"] == wanted else 401
        self.send_response(code)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def bot() -> Iterator[ThreadingHTTPServer]:
    """A server with an `answer`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.answer = b""
    server.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield server
    server.shutdown()
    server.server_close()


def health(last: float | None) -> bytes:
    """Return the answer of a bot whose loop ran last at a moment."""
    return json.dumps({"last_process": "2026-01-05 03:00:00", "last_process_ts": last}).encode()


@pytest.mark.parametrize(
    ("age", "healthy", "message"),
    [
        (5, True, "the bot's loop ran 5.0 s ago, at most 2.0 min allowed"),
        (121, False, "the bot's loop ran 2.0 min ago, at most 2.0 min allowed"),
        (None, False, "the bot's loop has not run yet"),
    ],
)
def test_a_bot_is_healthy_while_its_loop_runs(
    bot: ThreadingHTTPServer, age: float | None, healthy: bool, message: str
) -> None:
    """The answer of a bot that hangs stays the same and grows old."""
    clock = ManualClock()
    bot.answer = health(None if age is None else clock.now().timestamp() - age)
    assert checks.freqtrade(bot.url, password=PASSWORD, clock=clock)()[:2] == (healthy, message)


def test_a_wrong_password_is_told(bot: ThreadingHTTPServer) -> None:
    """By the status; the password appears nowhere."""
    found = checks.freqtrade(bot.url, password="wrong")()  # noqa: S106 - of no account
    assert found == (False, "HTTP 401 Unauthorized", {"status": 401})


def test_a_bot_that_is_not_there_is_unhealthy(bot: ThreadingHTTPServer) -> None:
    """The reason is in the message."""
    check = checks.freqtrade("http://127.0.0.1:1", password=PASSWORD)
    assert check()[:2] == (False, "no answer: ConnectionRefusedError: [Errno 111] Connection refused")
    bot.answer = b"<html>"
    registry = HealthCheck()
    registry.register("bot", checks.freqtrade(bot.url, password=PASSWORD))
    assert "is this its API server?" in registry.run_all()["bot"].message


def test_a_file_describes_it(bot: ThreadingHTTPServer, tmp_path: Path) -> None:
    """With the password in a file of its own, relative to it."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    file = tmp_path / "checks.toml"
    file.write_text(
        f'[checks.bot]\nkind = "freqtrade"\nurl = "{bot.url}"\npassword_file = "password"\nmax_age = 1e11\n'
    )
    bot.answer = health(1.0)
    registry = HealthCheck()
    config.add(registry, file)
    assert registry.run_all()["bot"].healthy


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "give either password or password_file"),
        ({"password": "a", "password_file": "b"}, "give either password or password_file"),
        ({"password": "a", "max_age": 0}, "max_age"),
        ({"password": "a", "timeout": "5"}, "timeout"),
    ],
)
def test_bad_settings_are_refused(settings: dict, problem: str) -> None:
    """At once, with the name of the setting."""
    with pytest.raises(ValueError, match=problem):
        checks.freqtrade("http://127.0.0.1:8080", **settings)
    with pytest.raises(ValueError, match="url must begin with http"):
        checks.freqtrade("127.0.0.1:8080", password=PASSWORD)
