"""The status page in a real browser: it obeys its own policy, refreshes itself, and fits a phone, light and dark."""

import json
import re
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from peak_observe.exporter.web import status_page
from peak_observe.exporter.web.status_tables import BAD, GOOD, WARN, Row, Table
from tests.conftest import binary

PATIENCE = 90.0
LONG = "no answer: ConnectionRefusedError-without-any-place-to-break-the-line-and-that-goes-on-and-on-for-ever"
ROWS = [Row(BAD, "a.circuit.with.a.rather.long.name.of.its.own", "open", (LONG,)), Row(WARN, "b", "half-open", ("x",))]
FRAME = """<!doctype html><body><iframe src="/plain" width="360" height="2000"></iframe><script>
onload = () => {
  const { documentElement: root, body } = document.querySelector("iframe").contentDocument;
  const row = root.querySelector("tbody tr").getBoundingClientRect();
  document.title = JSON.stringify({
    width: root.scrollWidth,
    colour: getComputedStyle(body).backgroundColor,
    row: row.width,
    state: root.querySelector("td.state b").getBoundingClientRect().right,
  });
};
</script>"""


def document(*rows: Row) -> str:
    """Return a page."""
    return status_page.document([Table("Circuits", ("circuit", "state", "says"), list(rows), "Nothing.")], "now")


class Site:
    """Serves pages, and counts how often each was asked for."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}
        self.pages: dict[str, list[str | None]] = {}
        self.headers = {"/": status_page.HEADERS}

    def answer(self, path: str) -> str | None:
        """Return the next page of a path; the last one again and again."""
        number = self.asked[path] = self.asked.get(path, 0) + 1
        pages = self.pages.get(path, [None])
        return pages[min(number, len(pages)) - 1]


@pytest.fixture
def site() -> Iterator[tuple[Site, str]]:
    """A site and its address."""
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = found.answer(self.path)
            self.send_response(503 if text is None else 200)
            for name, value in found.headers.get(self.path, {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield found, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that opens an address in a headless Chromium with a profile of its own."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        always = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
        command = [binary("chromium"), *always, *quiet, f"--user-data-dir={tmp_path / 'profile'}", *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return done

    return run


def test_it_refreshes_itself_under_its_own_policy(site, chromium) -> None:
    """The second page takes the place of the first, and nothing was refused."""
    found, address = site
    found.pages["/"] = [document(Row(GOOD, "a", "closed", ("x",))), document(*ROWS)]
    done = chromium("--enable-logging=stderr", "--v=0", "--virtual-time-budget=15000", "--dump-dom", f"{address}/")
    assert found.asked["/"] == 2
    assert "<h1>Unhealthy</h1>" in done.stdout
    assert "<title>unhealthy: peak_observe</title>" in done.stdout
    assert LONG in done.stdout
    assert 'id="stale" hidden' in done.stdout
    assert "Content Security Policy" not in done.stderr
    assert set(found.asked) == {"/"}


def test_an_exporter_that_does_not_answer_shows(site, chromium) -> None:
    """What stands there is old."""
    found, address = site
    found.pages["/"] = [document(*ROWS), None]
    done = chromium("--virtual-time-budget=15000", "--dump-dom", f"{address}/")
    assert re.search(r'id="stale"(?: hidden="")?>', done.stdout)[0] == 'id="stale">'
    assert "<h1>Unhealthy</h1>" in done.stdout


def test_the_policy_stops_a_script_that_is_not_ours(site, chromium) -> None:
    """Should one ever get in."""
    found, address = site
    found.pages["/"] = [document(*ROWS).replace("<main>", "<main><script>document.title = 'taken over'</script>")]
    done = chromium("--enable-logging=stderr", "--v=0", "--dump-dom", f"{address}/")
    assert "<title>unhealthy: peak_observe</title>" in done.stdout
    assert "Content Security Policy" in done.stderr


@pytest.mark.parametrize(("dark", "colour"), [(False, "rgb(246, 247, 249)"), (True, "rgb(17, 21, 27)")])
def test_it_fits_a_phone_light_and_dark(site, chromium, dark: bool, colour: str) -> None:
    """Nothing is wider than 360 pixels, whatever it says."""
    found, address = site
    found.pages |= {"/plain": [document(*ROWS)], "/frame": [FRAME]}
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = chromium(*scheme, "--virtual-time-budget=3000", "--dump-dom", f"{address}/frame")
    measured = json.loads(re.search(r"<title>(.*?)</title>", done.stdout)[1])
    assert measured["width"] == 360
    assert measured["row"] <= measured["width"]
    assert measured["state"] <= measured["width"]
    assert measured["colour"] == colour


def pixels(png: bytes) -> bytes:
    """Return the decompressed picture data of a PNG."""
    data, at = b"", 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    return zlib.decompress(data)


def test_a_picture_to_look_at(exporter: Callable, chromium, tmp_path: Path) -> None:
    """Of the real exporter, which is not blank."""
    (tmp_path / "a.dump").write_text("x")
    running = exporter(
        '[files.dumps]\nglob = "*.dump"\nmax_age = 90000\n[checks.disk]\nkind = "disk_space"\npath = "."\n'
    )
    running.eventually("free<", "/")
    picture = tmp_path / "status.png"
    chromium("--window-size=1000,1200", f"--screenshot={picture}", f"http://127.0.0.1:{running.port}/")
    data = pixels(picture.read_bytes())
    assert len(data) > 1000 * 1200 * 3
    assert len({data[i : i + 3] for i in range(1, len(data) - 3, 997 * 3)}) > 3
