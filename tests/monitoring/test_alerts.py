"""Each alert fires when it should, is silent when it should be, and ends; the real promtool says so."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from promql_parser import parse

from peak_observe import catalog
from peak_observe.monitoring import alerts, dashboards
from peak_observe.monitoring.alert_rules import Alert
from peak_observe.monitoring.alert_rules import alerts as all_alerts

ROOT = Path(__file__).parents[2]
RULES = ROOT / "grafana" / "alerts" / "peak-observe.rules.yaml"
RUNBOOK = (ROOT / "grafana" / "RUNBOOK.md").read_text()
FROM = 'job="peak-observe",instance="bot:17326"'
DAY = 24 * 60


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    """Return a series for promtool, a value a step."""
    pairs = ",".join([FROM, *(f'{label}="{value}"' for label, value in labels.items())])
    return {"series": f"{name}{{{pairs}}}", "values": values}


def breaker(state: str, values: str) -> dict[str, str]:
    """Return one state of a circuit."""
    return series("peak_breaker_state", values, breaker="kraken", state=state)


def calls(outcome: str, values: str) -> dict[str, str]:
    """Return the calls of a circuit."""
    return series("peak_breaker_calls_total", values, breaker="kraken", outcome=outcome)


def operation(outcome: str, values: str) -> dict[str, str]:
    """Return the operations of a retry."""
    return series("peak_retry_calls_total", values, operation="candles", outcome=outcome)


def backup(name: str, values: str, **labels: str) -> dict[str, str]:
    """Return a metric of a repository."""
    return series(f"peak_backup_{name}", values, repository="nightly", **labels)


def promise(age: str, last: str) -> list[dict[str, str]]:
    """Return a repository whose owner promised a backup an hour."""
    return [
        backup("max_age_seconds", "3600x200"),
        backup("age_seconds", age, kind="data"),
        backup("last_success_timestamp_seconds", last, kind="data"),
    ]


def attempt(outcome: str, last: str, *, running: str = "0x200") -> list[dict[str, str]]:
    """Return a repository in which, after 10 minutes, a backup ended so; `last` are the times of the last success."""
    return [
        backup("last_attempt_timestamp_seconds", "60x9 600x200"),
        backup("last_success_timestamp_seconds", last, kind="data"),
        backup("running_since_timestamp_seconds", running),
        backup("runs_total", "0x9 1x200", outcome=outcome),
    ]


class Case(NamedTuple):
    """What an alert makes of some series.

    Args:
        alert: Its name.
        what: What happens.
        series: The series, a value a minute.
        fires: Minutes at which it fires, with its severities.
        silent: Minutes at which it does not.
        step: From one value to the next.
    """

    alert: str
    what: str
    series: list[dict[str, str]]
    fires: dict[int, tuple[str, ...]] = {}
    silent: tuple[int, ...] = ()
    step: str = "1m"


BOTH = ("critical", "warning")
CASES = [
    Case(
        "PeakBreakerNotClosed",
        "opens and closes",
        [breaker("open", "0x5 1x30 0x30")],
        {8: ("warning",), 25: BOTH},
        (7, 50),
    ),
    Case(
        "PeakBreakerNotClosed",
        "probes now and then",
        [breaker("open", "1 0 1 0 1 0 1 0 1"), breaker("half_open", "0 1 0 1 0 1 0 1 0")],
        {5: ("warning",)},
    ),
    Case(
        "PeakBreakerNotClosed", "is disabled", [breaker("disabled", "1x60"), breaker("open", "0x60")], silent=(30, 60)
    ),
    Case(
        "PeakBreakerNotClosed",
        "starts afresh",
        [breaker("closed", "_x5 1x60"), breaker("open", "_x5 0x60")],
        silent=(5, 30),
    ),
    Case("PeakBreakerNotClosed", "a gap in the scrapes", [breaker("open", "0x5 1x10 _x3 1x20")], {25: BOTH}),
    Case(
        "PeakBreakerFlapping",
        "opens five times and rests",
        [series("peak_breaker_transitions_total", "0 1 2 3 4 5 6 6x120", breaker="kraken", to="open")],
        {20: ("warning",)},
        (2, 80),
    ),
    Case(
        "PeakBreakerFlapping",
        "opens once",
        [series("peak_breaker_transitions_total", "0x5 1x60", breaker="kraken", to="open")],
        silent=(10, 30),
    ),
    Case(
        "PeakBreakerFlapping",
        "restarts",
        [series("peak_breaker_transitions_total", "9x10 0x60", breaker="kraken", to="open")],
        silent=(11, 30),
    ),
    Case(
        "PeakBreakerRejecting",
        "a third is refused",
        [calls("success", "0+20x20 400x60"), calls("rejected", "0+10x20 200x60")],
        {15: ("critical",)},
        (3, 45),
    ),
    Case(
        "PeakBreakerRejecting",
        "nothing is called",
        [calls("success", "5x60"), calls("rejected", "9x60")],
        silent=(20, 60),
    ),
    Case(
        "PeakRetryStorm",
        "two retries a call",
        [operation("after_retry", "0+6x60"), series("peak_retry_retries_total", "0+12x30 360x60", operation="candles")],
        {25: ("warning",)},
        (5, 50),
    ),
    Case(
        "PeakRetryStorm",
        "one call in ten is retried",
        [
            operation("first_try", "0+9x60"),
            operation("after_retry", "0+1x60"),
            series("peak_retry_retries_total", "0+1x60", operation="candles"),
        ],
        silent=(20, 60),
    ),
    Case(
        "PeakRetriesExhausted",
        "gives up again and again",
        [operation("exhausted", "0x5 0+1x10 10x60")],
        {14: ("warning",)},
        (5, 60),
    ),
    Case("PeakRetriesExhausted", "a counter is reset", [operation("exhausted", "50x10 0x60")], silent=(11, 20)),
    Case(
        "PeakHealthCheckFailing",
        "fails and recovers",
        [series("peak_health_check_healthy", "1x5 0x30 1x30", check="db")],
        {9: ("warning",), 25: BOTH},
        (6, 45),
    ),
    Case(
        "PeakHealthCheckFailing",
        "has not run yet",
        [series("peak_health_check_healthy", "NaN NaN NaN NaN NaN NaN", check="db")],
        silent=(4, 8),
    ),
    Case(
        "PeakHealthCheckStale",
        "stops running",
        [series("peak_health_check_last_run_timestamp_seconds", "0+60x10 600x60", check="db")],
        {35: ("warning",)},
        (15,),
    ),
    Case(
        "PeakHealthCheckStale",
        "has never run",
        [series("peak_health_check_last_run_timestamp_seconds", "0x60", check="db")],
        silent=(30, 60),
    ),
    Case(
        "PeakBackupStale",
        "grows old and is made anew",
        promise("3000+60x40 60x60", "60x100"),
        {20: ("critical",)},
        (12, 45),
    ),
    Case("PeakBackupStale", "never succeeded", promise("3000+60x100", "0x100"), silent=(30, 90)),
    Case("PeakBackupStale", "no promise", promise("99999x100", "60x100")[1:], silent=(30, 90)),
    Case(
        "PeakBackupNeverSucceeded",
        "until it does",
        promise("3000+60x40 60x60", "0x40 2400x60"),
        {20: ("critical",)},
        (12, 45),
    ),
    Case("PeakBackupNeverSucceeded", "starts afresh", promise("0+60x50", "0x50"), silent=(30, 50)),
    Case("PeakBackupFailed", "fails, then succeeds", attempt("failed", "60x60 3600x60"), {15: ("critical",)}, (8, 70)),
    Case("PeakBackupFailed", "is killed", attempt("interrupted", "60x100"), {15: ("critical",)}, (8,)),
    Case("PeakBackupFailed", "is still running", attempt("failed", "60x100", running="0x9 600x100"), silent=(15, 50)),
    Case("PeakBackupFailed", "succeeds", attempt("success", "60x9 600x100"), silent=(15, 50)),
    Case(
        "PeakBackupPartial", "is partial, then whole", attempt("partial", "60x60 3600x60"), {15: ("warning",)}, (8, 70)
    ),
    Case("PeakBackupPartial", "fails", attempt("failed", "60x100"), silent=(15, 50)),
    Case(
        "PeakBackupStuck",
        "hangs, then ends",
        [backup("running_since_timestamp_seconds", "0x9 600x200 0x20")],
        {140: ("warning",)},
        (100, 220),
    ),
    Case(
        "PeakBackupShrank",
        "to a third",
        [backup("size_bytes", "900x60 300x20 900x20", kind="data")],
        {70: ("warning",)},
        (59, 90),
    ),
    Case("PeakBackupShrank", "grows", [backup("size_bytes", "900x60 2000x60", kind="data")], silent=(70, 110)),
    Case(
        "PeakBackupNotVerified",
        "never",
        [backup("last_verified_timestamp_seconds", "0x240"), backup("configured_timestamp_seconds", "0x240")],
        {9 * DAY: ("warning",)},
        (7 * DAY,),
        "1h",
    ),
    Case(
        "PeakBackupNotVerified",
        "lately",
        [backup("last_verified_timestamp_seconds", "0x190 691200x50"), backup("configured_timestamp_seconds", "0x240")],
        silent=(9 * DAY,),
        step="1h",
    ),
    Case(
        "PeakBackupCorrupt",
        "until it is removed",
        [backup("corrupt_files", "0x5 3x30 0x30")],
        {6: ("critical",)},
        (4, 40),
    ),
    Case(
        "PeakBackupMetricsAbsent",
        "goes away",
        [backup("configured_timestamp_seconds", "5x30 stale")],
        {60: ("critical",)},
        (20, 40),
    ),
    Case("PeakBackupMetricsAbsent", "was never there", [series("up", "1x60")], silent=(20, 60)),
    Case("PeakWatchdog", "always", [series("up", "0x5")], {0: ("none",), 60: ("none",)}),
]


def promtool() -> str:
    """Return the real promtool."""
    path = shutil.which("promtool")
    assert path, "promtool is missing: apt-get install prometheus"
    return path


def as_test(case: Case) -> dict[str, object]:
    """Return a case as promtool takes it."""
    expected = {**case.fires, **dict.fromkeys(case.silent, ())}
    firing = f'count by (severity) (ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
    checks = [
        {
            "expr": firing,
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{severity="{severity}"}}', "value": 1} for severity in severities],
        }
        for minute, severities in expected.items()
    ]
    return {"interval": case.step, "input_series": case.series, "promql_expr_test": checks}


def test_the_rules_are_valid() -> None:
    """To the real checker."""
    done = subprocess.run([promtool(), "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert (done.returncode, f"{len(all_alerts())} rules found" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{case.what}")
def test_it_fires_when_it_should(case: Case, tmp_path: Path) -> None:
    """And not otherwise."""
    path = tmp_path / "test.yaml"  # JSON is YAML
    test = {"rule_files": [str(RULES)], "evaluation_interval": case.step, "tests": [as_test(case)]}
    path.write_text(json.dumps(test))
    done = subprocess.run([promtool(), "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried() -> None:
    """With something that makes each of its severities fire, and for all but the watchdog a time when it does not."""
    for alert in all_alerts():
        cases = [case for case in CASES if case.alert == alert.name]
        assert any(alert.severity in severities for case in cases for severities in case.fires.values()), alert.name
        assert any(case.silent for case in cases) or alert.name == "PeakWatchdog", alert.name


@pytest.mark.parametrize("alert", all_alerts(), ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_is_whole(alert: Alert) -> None:
    """It parses, reads metrics that there are, and says what is wrong where."""
    parse(alert.expression)
    names = set(re.findall(r"\bpeak_\w+", alert.expression))
    assert names <= {metric.name for metric in catalog.METRICS}
    assert re.fullmatch(r"Peak([A-Z][a-z]+)+", alert.name)
    assert alert.summary.endswith(".")
    assert alert.description.endswith(".")
    assert "$labels.instance" in alert.summary or alert.name == "PeakWatchdog"


def test_the_runbook_has_a_section_for_each() -> None:
    """The link's anchor leads there, and the panels it names exist."""
    names = {alert.name for alert in all_alerts()}
    assert set(re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)) == names
    titles = {panel["title"] for board in dashboards.dashboards().values() for panel in board["panels"]}
    assert set(re.findall(r"(?<!\*)\*([A-Z][\w ]+)\*(?!\*)", RUNBOOK)) <= titles
    rules = RULES.read_text()
    assert {link.lower() for link in names} == set(re.findall(r'runbook_url: "RUNBOOK\.md#(\w+)"', rules))


def test_readme_lists_each() -> None:
    """And none besides."""
    readme = (ROOT / "README.md").read_text()
    listed = set(re.findall(r"`(Peak[A-Z]\w+)`", readme.partition("## Alerts")[2].partition("\n## ")[0]))
    assert listed == {alert.name for alert in all_alerts()}


def test_the_files_are_those_of_the_source(tmp_path: Path) -> None:
    """Whoever changes the source writes them anew: `make grafana`."""
    urls = {"runbook_url": "RUNBOOK.md", "dashboard_url": "http://localhost:3000/d/peak-overview"}
    for path in alerts.write(tmp_path, **urls):
        assert path.read_text() == (ROOT / "grafana" / path.relative_to(tmp_path)).read_text()
