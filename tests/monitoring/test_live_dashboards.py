"""Every question of every dashboard is put to a real Prometheus: one saw the demo, and one saw nothing happen yet."""

import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from demonstration import demonstration, exporting

from peak_observe.monitoring import dashboard_files
from peak_observe.monitoring.dashboard import every_panel

BOARDS = dashboard_files.dashboards()
PANELS = [(board, panel) for board in BOARDS.values() for panel in every_panel(board)]
MARKS = [(board, mark) for board in BOARDS.values() for mark in board["annotations"]["list"]]
CHOICES = [(board, choice) for board in BOARDS.values() for choice in board["templating"]["list"][1:]]

# One value of each variable, as a person would choose it.
CHOSEN = {
    "job": "peak-observe",
    "process": "demo",
    "breaker": "kraken.ticker",
    "operation": "kraken.candles",
    "exchange": "kraken",
    "repository": "demo",
    "check": "exchange_kraken",
    "task": "backup",
    "source": "processes",
}
# What only one of the circuits has.
HAS = {
    "Windows": {"breaker": "kraken.candles"},
    "Shared calls": {"operation": "kraken.ticker"},
    "Answers of fallbacks": {"operation": "kraken.ticker"},
}
# What did not happen in the demo: each of its processes lived, and all its backups were whole.
NEVER = {"Processes restarted or gone", "Backups failed"}

# Everything is there, and nothing has happened to it.
FRESH = """
import sys
from pathlib import Path
from typing import NamedTuple
import ccxt
import peak_observe

async def nothing():
    pass

policy = peak_observe.Policy(
    peak_observe.timed(),
    peak_observe.bulkhead(2),
    peak_observe.circuit_breaker(window=10),
    peak_observe.retry_with_backoff(budget="trade"),
    peak_observe.hedge(),
    peak_observe.rate_limit(10, reserve={"cancel": 0.2}),
    peak_observe.timeout(5),
    name="trade",
)
protected = policy(nothing)
peak_observe.health_check.register("sound", lambda: True)
manager = peak_observe.RecoveryManager(Path(sys.argv[1], "backups"), max_age=3600)
manager.state_snapshot.register_provider("bot", dict)
exchange = peak_observe.instrument(ccxt.kraken(), latency_budget={"trade": 0.5})
with peak_observe.start_exporter(port=0) as exporter:
    print(exporter.port, flush=True)
    sys.stdin.read()
"""
# What tells of something that happened has nothing to tell, and says so.
QUIET = {
    "peak-overview": {
        "Why not?",
        "Keys refused",
        "Circuit states",
        "Market data age",
        "Failed requests",
        "Processes gone",
        "Health of checks",
        "Requests by outcome",
        "Top errors",
        "Processes that write snapshots",
    },
    "peak-breakers": {
        "Circuit states",
        "Operations by outcome",
        "Failed calls",
        "Latency, 95th percentile",
        "Retries per operation",
        "Failed calls by circuit",
        "Latency",
        "Latency by circuit, 95th percentile",
        "Errors by class",
        "Operations that needed a retry",
        "Top errors",
        "Calls that took too long",
        "Waits by priority",
        "Shared calls",
        "Answers of fallbacks",
        "Hedges per call",
        "Latency of timed calls, 95th percentile",
        "Calls disturbed on purpose",
        "Policies that follow their file",
        "Last reload ago",
        "Shared state reached",
        "Processes that share",
        "Shared news late by",
        "Transitions by whose word",
        "Shared probes by answer",
        "Steps of the shared state",
        "Shared state read anew",
        "Waiting in shared limits",
    },
    "peak-exchanges": {
        "Error budget left",
        "Dead man's switches",
        "Single instances",
        "API keys",
        "Books",
        "Market data age",
        "Requests per second",
        "Failed requests",
        "Keys refused",
        "Requests by outcome",
        "Failed requests by endpoint",
        "Requests by endpoint",
        "Answer time",
        "Answer time by endpoint, 95th percentile",
        "Answer times",
        "Slow requests by group",
        "Age of market data",
        "Trading switches",
        "Switches",
        "Headroom of guards",
        "Trips of guards by limit",
        "Calls refused by switches",
        "Equity by account",
        "Drawdown by account",
        "Oldest unresolved order",
        "Orders pending",
        "Orders by state",
        "Look-ups by outcome",
        "Reconcile time, 95th percentile",
        *("Silent streams", "Silence by stream", "Messages by stream", "Gaps and unreadable messages"),
        *("Websockets open", "Breaks by close code", "Attempts to connect", "Streams"),
    },
    "peak-backups": {
        "Pushes by outcome",
        "Sent and reused",
        "Oldest newest backup",
        "Verified ago",
        "Health of checks",
        "Duration by check, 95th percentile",
        "Runs of jobs by outcome",
        "Duration of the last run by job",
        "Jobs",
    },
    "peak-exporter": {"Processes gone", "Processes that write snapshots"},
}


def each(names: str, found: list, name: str) -> object:
    """Return the mark that runs a test for each of what was found, named by dashboard and name."""
    return pytest.mark.parametrize(names, found, ids=[f"{board['uid']}-{item[name]}" for board, item in found])


def filled(expression: str, board: dict, chosen: dict[str, str]) -> str:
    """Return an expression as Grafana would send it."""
    expression = expression.replace("$__rate_interval", "30s").replace("$__range", "1h")
    for choice in board["templating"]["list"][1:]:
        value = chosen.get(choice["name"], choice["allValue"])
        expression = re.sub(rf"\${choice['name']}\b", lambda _, value=value: value, expression)
    return expression


def answer(server: object, expression: str, moment: float | None) -> list:
    """Return the series that a query has at a moment; now, if there is none."""
    when = {} if moment is None else {"time": moment}
    return server.get("query", query=expression, **when)["result"]


class WholeDemo(NamedTuple):
    """A demo that played its script to the end, and a Prometheus that watched it and the exporter beside it."""

    returncode: int
    stdout: str
    stderr: str
    prometheus: object
    exporter: str
    """Host and port."""
    began: float
    moment: float
    """Unix times: when it began, and one in the calm at its end."""


@pytest.fixture(scope="module")
def whole_demo(prometheus: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeDemo]:
    """The demo, run once for all who ask; its script takes 40 seconds."""
    began, calm = time.time(), 0.0
    with demonstration(tmp_path_factory.mktemp("demo"), "--once") as shown:
        lines = [shown.demo.stdout.readline()]
        own = re.search(r"http://([\d.:]+)/metrics", lines[0])[1]
        found = prometheus([own, shown.exporter], "500ms", rules=True)
        for line in shown.demo.stdout:
            lines.append(line)
            calm = time.time() if line == "exchange: calm\n" else calm
        code, errors = shown.demo.wait(60), shown.demo.stderr.read()
        yield WholeDemo(code, "".join(lines), errors, found, shown.exporter, began, calm + 3.5)


def test_the_script_opens_and_closes_circuits_on_real_ccxt_errors(whole_demo) -> None:
    """One turn of the demo's script opens every circuit by a ccxt error and closes it again."""
    assert whole_demo.returncode == 0, whole_demo.stderr
    assert whole_demo.stderr == ""
    for name in ("kraken.ticker", "kraken.candles", "kraken.orders"):
        why = r"\d+ of \d+ calls failed" if name.endswith("candles") else "3 consecutive failures"
        assert re.search(rf"{name} closed -> open: {why}.* \(\w+: kraken", whole_demo.stdout)
        assert f"{name} half_open -> closed: probe succeeded" in whole_demo.stdout
        assert re.search(rf"{name} +\d+ +\d+ +\d+ +\d+\n", whole_demo.stdout)


def test_the_script_breaks_streams_and_they_come_back(whole_demo) -> None:
    """A refused connection and a silent channel are told of, and the end of both."""
    for told in ("closed without a code", r"silent for [\d.]+ s"):
        assert re.search(rf"stream ticker is broken: {told}\n", whole_demo.stdout)
        assert re.search(rf"stream ticker is back after [\d.]+ s: {told}\n", whole_demo.stdout)
    assert "check stream_kraken is unhealthy: " in whole_demo.stdout
    assert "check stream_kraken is healthy: ticker, ohlcv, orders: no silence" in whole_demo.stdout
    # An update of orders that is due as the maintenance begins is lost: that is a gap.
    assert re.search(r"stream kraken\.orders: [1-9]\d* messages, \d gaps\n", whole_demo.stdout)


@each("board, panel", PANELS, "title")
def test_every_panel_has_data_with_all(whole_demo, board: dict, panel: dict) -> None:
    """No panel is empty where everything happens."""
    for target in panel["targets"]:
        expression = filled(target["expr"], board, {})
        assert answer(whole_demo.prometheus, expression, whole_demo.moment), expression


@each("board, panel", PANELS, "title")
def test_every_panel_has_data_with_one_value_of_each(whole_demo, board: dict, panel: dict) -> None:
    """A choice narrows what is shown, and breaks nothing."""
    chosen = CHOSEN | {"instance": whole_demo.exporter} | HAS.get(panel["title"], {})
    for target in panel["targets"]:
        expression = filled(target["expr"], board, chosen)
        assert answer(whole_demo.prometheus, expression, whole_demo.moment), expression


@each("board, mark", MARKS, "name")
def test_every_mark_is_set_where_something_happened(whole_demo, board: dict, mark: dict) -> None:
    """Circuits that opened, probed and closed, backups that began and ended; what never happened is not marked."""
    found = whole_demo.prometheus.get(
        "query_range",
        query=filled(mark["expr"], board, {}),
        start=whole_demo.began,
        end=whole_demo.moment,
        step=1,
    )["result"]
    assert bool(found) == (mark["name"] not in NEVER)


@each("board, choice", CHOICES, "name")
def test_every_variable_has_values(whole_demo, board: dict, choice: dict) -> None:
    """The lists above the panels are filled, and hold what the tests choose."""
    query = filled(choice["query"]["query"], board, {})
    selector, label = query.removeprefix("label_values(").removesuffix(")").rsplit(", ", 1)
    values = whole_demo.prometheus.get(f"label/{label}/values", **{"match[]": selector})
    assert {**CHOSEN, "instance": whole_demo.exporter}[choice["name"]] in values


def test_the_verdict_is_look_in_calm_and_no_in_an_outage(whole_demo) -> None:
    """But to be looked at, as the demo disturbs its calls on purpose; and no where nobody trades: nobody can tell."""
    board = BOARDS["peak-overview.json"]
    verdict = board["panels"][0]["targets"][0]["expr"]
    course = {"start": whole_demo.began, "end": whole_demo.moment, "step": 1}
    (series,) = whole_demo.prometheus.get("query_range", query=filled(verdict, board, {}), **course)["result"]
    found = [float(value) for _, value in series["values"]]
    look, no, silent = 1, 2, 3
    assert {look, no} <= set(found)
    (nobody,) = answer(whole_demo.prometheus, filled(verdict, board, {"process": "nobody"}), whole_demo.moment)
    assert float(nobody["value"][1]) == silent
    reasons = filled(board["panels"][1]["targets"][0]["expr"], board, {"process": "nobody"})
    (reason,) = answer(whole_demo.prometheus, reasons, whole_demo.moment)
    assert reason["metric"] == {"alert": "nothing answers", "verdict": "no"}


def test_a_halt_is_named_with_its_reason(whole_demo) -> None:
    """Beside the verdict, by the guard that tripped in the demo; it is over as soon as somebody resumes."""
    board = BOARDS["peak-overview.json"]
    reasons = filled(board["panels"][1]["targets"][0]["expr"], board, {})
    course = {"start": whole_demo.began, "end": whole_demo.moment, "step": 1}
    found = whole_demo.prometheus.get("query_range", query=reasons, **course)["result"]
    halts = [one for one in found if one["metric"].get("alert") == "PeakTradingHalted"]
    assert {(one["metric"]["switch"], one["metric"]["verdict"]) for one in halts} == {("demo", "no")}
    assert {one["metric"]["reason"] for one in halts} == {"halted: guard demo.orders: more than 20 orders within 10 s"}
    named = {at for one in halts for at, _ in one["values"]}
    state = 'max(peak_trading_state{switch="demo", state="halted"})'
    (switch,) = whole_demo.prometheus.get("query_range", query=state, **course)["result"]
    assert named & {at for at, value in switch["values"] if value == "1"}
    assert _end_of_first_calm(switch["values"]) not in named


def _end_of_first_calm(halted: list[tuple[float, str]]) -> float:
    """Return the last second before the switch was halted again, or was looked at last, of many since it was resumed.

    When a guard trips, and so when its halt is over, depends on how busy the machine is.
    """
    runs = [(value, [at for at, _ in run]) for value, run in itertools.groupby(halted, key=lambda one: one[1])]
    first = next(place for place, (value, _) in enumerate(runs) if value == "1")
    _, calm = runs[first + 1]
    assert len(calm) > 5, "the demo goes wild each 15 s or more, and is resumed after 3 s"
    return calm[-1]


BEGUN = """
vector(time())
and on() (count(count_over_time(peak_observe_build_info[10s]) >= 3 and peak_observe_build_info) >= 2)
and on() (count(instance:peak_watched:value) >= 2)
and on() (count(instance_breaker_le:peak_breaker_call_duration_seconds_bucket:rate5m) >= 1)
"""


@pytest.fixture(scope="module")
def fresh(prometheus: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """A Prometheus that has just begun to scrape a program with nothing to tell, and an idle exporter; with a time."""
    folder = tmp_path_factory.mktemp("fresh")
    (folder / "peak-observe.toml").write_text('[processes]\ndirectory = "run"\ninterval = 0.2\n')
    command = [sys.executable, "-W", "error", "-c", FRESH, folder]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program,
        exporting(folder) as exporter,
    ):
        try:
            found = prometheus([f"127.0.0.1:{program.stdout.readline().strip()}", exporter], rules=True)
            # A busy machine may miss the next scrape: all is asked of the moment at which both were there.
            ((_, moment),) = found.eventually(BEGUN)
            yield found, moment
        finally:
            program.communicate(timeout=60)


@each("board, panel", PANELS, "title")
def test_no_panel_is_blank_on_a_fresh_start(fresh, board: dict, panel: dict) -> None:
    """A panel shows zeros or says in words what there is not; never has it an error."""
    server, moment = fresh
    found = [answer(server, filled(target["expr"], board, {}), moment) for target in panel["targets"]]
    assert bool(any(found)) == (panel["title"] not in QUIET[board["uid"]])


def test_the_verdict_is_yes_where_nothing_is_wrong(fresh) -> None:
    """And the table of reasons is empty."""
    server, moment = fresh
    tile, reasons = BOARDS["peak-overview.json"]["panels"][:2]
    ((found),) = answer(server, filled(tile["targets"][0]["expr"], BOARDS["peak-overview.json"], {}), moment)
    assert float(found["value"][1]) == 0
    assert answer(server, filled(reasons["targets"][0]["expr"], BOARDS["peak-overview.json"], {}), moment) == []


def test_the_quiet_panels_are_panels() -> None:
    """No title above is misspelt."""
    for uid, titles in QUIET.items():
        assert titles <= {panel["title"] for board, panel in PANELS if board["uid"] == uid}
