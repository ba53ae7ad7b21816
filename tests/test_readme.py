"""README's claims are true: its blocks run, its bot survives what README says, and each page has its place."""

import itertools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from peak_observe import catalog

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BEFORE, AFTER, FUNCTIONS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LONGEST = 140
"""Lines of README, so that the way in stays short; all else is in docs/."""

# Puts a Kraken on 127.0.0.1 behind ccxt and plays phases: a round of the bot ends with its sleep of 10 s. Sleeping
# moves the clock instead of waiting. The end tells what arrived.
STAGE = """
import json, os, sys, threading, time, urllib.request
import ccxt, peak_observe
from peak_observe.testing import FakeExchange, Fault

fake = FakeExchange()
config = fake.config()
os.environ.update(KRAKEN_KEY=config["apiKey"], KRAKEN_SECRET=config["secret"])
construct = ccxt.kraken.__init__
ccxt.kraken.__init__ = lambda self, given={}: construct(self, {**config, **given})
serve, exporters = peak_observe.start_exporter, []
peak_observe.start_exporter = lambda: exporters.append(serve(port=0)) or exporters[0]
monotonic, sleep, moved, rounds = time.monotonic, time.sleep, 0.0, []


def pause(seconds):
    global moved
    if threading.current_thread() is not threading.main_thread():
        return sleep(seconds)
    moved += seconds
    if seconds == 10:
        rounds.append([fake.requests["Ticker"], fake.requests["AddOrder"], len(fake.orders)])
        begin(len(rounds))


def begin(number):
    if number in PHASES:
        fake.heal()
        if PHASES[number]:
            fake.fail(*PHASES[number][:1], **PHASES[number][1])
    if number == LAST:
        metrics = urllib.request.urlopen(exporters[0].url, timeout=60).read().decode() if exporters else ""
        sys.stdout.write("\\n" + json.dumps({"rounds": rounds, "metrics": metrics}))
        sys.exit()


time.monotonic, time.sleep = lambda: monotonic() + moved, pause
"""
CALM, OUTAGE, HEALED, LOST, LAST = 0, 1, 9, 14, 17
PHASES = f"""
PHASES = {{
    {OUTAGE}: (Fault.maintenance(), {{}}),
    {HEALED}: (),
    {LOST}: (Fault.lost_reply(), {{"path": "AddOrder", "times": 1}}),
}}
LAST = {LAST}
"""


def run(block: str) -> subprocess.CompletedProcess[str]:
    """Run a block as a program of its own, in an empty folder, warnings being errors."""
    command = [sys.executable, "-W", "error", "-c", block]
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


def test_the_bot_before_ends_at_the_first_outage() -> None:
    """An error of ccxt ends it, after the rounds that went well."""
    done = run(STAGE + PHASES + BEFORE)
    assert done.returncode == 1
    assert "ccxt.base.errors" in done.stderr


@pytest.fixture(scope="module")
def after() -> tuple[str, list[list[int]], str]:
    """Return what the second bot printed, what arrived after each round, and its metrics."""
    done = run(STAGE + PHASES + AFTER)
    assert done.returncode == 0, done.stderr
    printed, _, told = done.stdout.rpartition("\n")
    return printed, json.loads(told)["rounds"], json.loads(told)["metrics"]


def test_the_bot_after_survives_maintenance(after: tuple[str, list[list[int]], str]) -> None:
    """It goes on for all rounds, and trades again when the exchange is back."""
    _, rounds, _ = after
    assert len(rounds) == LAST
    assert rounds[LOST - 1][2] > rounds[HEALED - 1][2] == rounds[OUTAGE - 1][2]


def test_its_circuit_opens_after_five_failures(after: tuple[str, list[list[int]], str]) -> None:
    """From then on no request arrives, and the bot says so."""
    printed, rounds, metrics = after
    asked = [later[0] - earlier[0] for earlier, later in itertools.pairwise(rounds)]
    assert all(asked[OUTAGE - 1 : OUTAGE + 4])
    assert asked[OUTAGE + 4 : OUTAGE + 6] == [0, 0]  # the next is the probe, 30 s later
    assert "no trade in this round: CircuitBreaker 'kraken.public' is OPEN" in printed
    assert 'peak_breaker_transitions_total{breaker="kraken.public",to="open"} 2.0' in metrics


def test_it_sends_no_order_twice(after: tuple[str, list[list[int]], str]) -> None:
    """Each order that arrived stands once, also the one whose answer got lost, which the bot names."""
    printed, rounds, _ = after
    _, arrived, stand = rounds[-1]
    assert arrived == stand
    assert len(re.findall(r"ask the exchange for the order \S+", printed)) == 1


def test_the_functions_run() -> None:
    """The decorators return what the function returns."""
    assert run(FUNCTIONS).stdout == "0.7\n"


def test_the_table_has_no_metric_that_does_not_exist() -> None:
    """Every `peak_…` name that README writes is in the catalogue or is the package."""
    written = set(re.findall(r"`(peak_(?!observe\b)[a-z_]+)`", README))
    assert written <= {metric.name for metric in catalog.METRICS}


def test_the_commands_of_make_exist() -> None:
    """Each `make` line of README names a target; options of the demo are given by ARGS."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = re.findall(r"^make (\w+)( ARGS=\"[^\"]*\")?", README, re.MULTILINE)
    assert {target for target, _ in lines} == {"demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target, _ in lines)


def test_ci_calls_the_readmes_test_command() -> None:
    """CI runs the command that README names."""
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_readme_is_short() -> None:
    """A reader is through it in five minutes."""
    assert len(README.splitlines()) <= LONGEST


def test_every_page_stands_in_the_table() -> None:
    """A page that README does not name is not found."""
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    missing = pages - set(re.findall(r"\]\((docs/[^)]+)\)", README))
    assert not missing, "link them in README's table Documents"
