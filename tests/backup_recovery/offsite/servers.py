"""S3 on the loopback: moto, and a server that fails on purpose in front of it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIsK7MDENGbPxRfiCYEXAMPLE",
}
PATIENCE = 60.0
LOCK = (
    b'<ObjectLockConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    b"<Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def served(command: list[str], port: int, **environment: str) -> Iterator[str]:
    """Run a server until the end of the block, and yield its address."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def moto() -> Iterator[str]:
    """Run moto's server."""
    port = free_port()
    with served([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port) as address:
        yield address


def _wait_for(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "the server has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("the server does not answer")


def bucket(address: str, name: str, *, lock: bool = False) -> str:
    """Make a bucket, and return its name."""
    headers = {"x-amz-bucket-object-lock-enabled": "true"} if lock else {}
    assert request(address, "PUT", f"/{name}", headers=headers)[0] == 200
    if lock:
        assert request(address, "PUT", f"/{name}?object-lock", LOCK) == (200, b"")
    return name


def request(address: str, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None):
    """Make a request as a client without credentials, and return status and text."""
    host = address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        auth = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}
        connection.request(method, path, body, {**auth, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Faulty:
    """Server in front of another one, which answers some requests itself.

    Args:
        behind: The address of the other one.
    """

    def __init__(self, behind: str) -> None:
        self.behind = behind
        self.answers: list[tuple[int, str]] = []
        self.always: tuple[int, str] | None = None
        self.only: tuple[str, str] = ("", "")
        self.seen: list[tuple[str, str]] = []
        faulty = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                faulty.seen.append((self.command, self.path))
                chosen = faulty.chosen(self.command, self.path)
                status, headers, text = chosen or faulty.forward(self, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_one  # noqa: N815 - the names of http.server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def chosen(self, method: str, path: str):
        """Return the answer to a request that is not to be forwarded."""
        wanted, part = self.only
        if (wanted and method != wanted) or part not in path:
            return None
        found = self.always or (self.answers.pop(0) if self.answers else None)
        if found is None:
            return None
        status, code = found
        text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        return status, {"Content-Type": "application/xml"}, text

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes):
        """Return what the other server answers."""
        connection = http.client.HTTPConnection(self.behind.removeprefix("http://"), timeout=PATIENCE)
        try:
            given = dict(handler.headers)
            if any(name.lower() == "x-amz-checksum-sha256" for name in given):
                # In a bucket with object lock S3 asks for this or the checksum, moto for this alone.
                given["x-amz-sdk-checksum-algorithm"] = "SHA256"
            connection.request(handler.command, handler.path, body, given)
            answer = connection.getresponse()
            text = answer.read()
            dropped = ("transfer-encoding", "connection", "date", "server")
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in dropped}
            return answer.status, headers, text
        finally:
            connection.close()
