"""Each alert fires when it should, is silent when it should be, and ends; the real promtool says so."""

import json
import re
import subprocess
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from promql_parser import parse

from peak_observe import catalog
from peak_observe.monitoring import rules
from peak_observe.monitoring.rules.rule import Alert, spoken
from tests.conftest import binary, read_yaml
from tests.monitoring import cases
from tests.monitoring.cases.case import FROM, Case, series

RULES = Path(__file__).parents[2] / "grafana" / "alerts" / "peak-observe.rules.yaml"
SHIPPED: list[dict[str, Any]] = read_yaml(RULES.read_text())["groups"]
PAGES = [import_module(f"{cases.__name__}.{page.name}") for page in iter_modules(cases.__path__)]
CASES: list[Case] = [case for page in PAGES for case in getattr(page, "CASES", ())]
DASHBOARDS = {"peak-overview", "peak-breakers", "peak-exchanges", "peak-backups", "peak-exporter"}
DURATION = re.compile(r"\d+[mh]")
# Those whose value is no more than that they fire.
PLAIN = {
    "PeakDeadManNotArmed",
    "PeakInstanceLost",
    "PeakExchangeKeyCanWithdraw",
    "PeakBreakerNotClosed",
    "PeakBreakerForcedOpen",
    "PeakBreakerDisabled",
    "PeakExchangeQuiet",
    "PeakSharedDown",
    "PeakHealthCheckFailing",
    "PeakBackupMetricsAbsent",
    "PeakProcessDied",
    "PeakExporterDown",
    "PeakExporterAbsent",
    "PeakSourceFailing",
    "PeakExporterReloadFailed",
    "PeakWatchdog",
    "PeakPolicyReloadFailed",
    "PeakTradingHalted",
    "PeakGuardTripped",
}


def as_test(case: Case) -> dict[str, Any]:
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


def prepared(folder: Path, alert: str, step: str, tests: list[dict[str, Any]]) -> Path:
    """Return a file for promtool that tries one alert, and nothing else, as that takes a tenth of the time."""
    (group,) = [group for group in SHIPPED if any(rule.get("alert") == alert for rule in group["rules"])]
    chosen = [rule for rule in group["rules"] if rule.get("alert", rule.get("labels", {}).get("alert", alert)) == alert]
    named = " ".join(rule["expr"] for rule in chosen)
    others = [rule for other in SHIPPED if other is not group for rule in other["rules"]]
    chosen = [rule for rule in others if "labels" not in rule and rule["record"] in named] + chosen
    path, only = folder / f"{alert}-{step}.yaml", folder / f"{alert}.rules.yaml"  # JSON is YAML
    only.write_text(json.dumps({"groups": [{"name": group["name"], "rules": chosen}]}))
    path.write_text(json.dumps({"rule_files": [str(only)], "evaluation_interval": step, "tests": tests}))
    return path


def complaint(*paths: Path) -> str:
    """Return what the real promtool has to say against some files of tests; nothing if they pass."""
    done = subprocess.run([binary("promtool"), "test", "rules", *paths], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def all_pass(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Whether all cases pass: starting promtool a hundred times costs more than what it does."""
    folder = tmp_path_factory.mktemp("rules")
    kinds = sorted({(case.alert, case.step) for case in CASES})
    files = [
        prepared(folder, alert, step, [as_test(case) for case in CASES if (case.alert, case.step) == (alert, step)])
        for alert, step in kinds
    ]
    return not complaint(*files)


def test_the_rules_are_valid() -> None:
    """To the real checker."""
    done = subprocess.run([binary("promtool"), "check", "rules", RULES], capture_output=True, text=True, check=False)
    count = len(rules.alerts()) + len(rules.recordings()) + len(rules.troubles())
    assert (done.returncode, f"{count} rules found" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{case.what}")
def test_it_fires_when_it_should(case: Case, all_pass: bool, tmp_path: Path) -> None:
    """And not otherwise."""
    said = "" if all_pass else complaint(prepared(tmp_path, case.alert, case.step, [as_test(case)]))
    assert not said, said


@pytest.mark.parametrize("alert", rules.alerts(), ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_every_alert_is_tried(alert: Alert) -> None:
    """With something that makes it fire, something that does not, and, except for the watchdog, an end."""
    cases = [case for case in CASES if case.alert == alert.name]
    assert any(alert.severity in severities for case in cases for severities in case.fires.values())
    if alert.name != "PeakWatchdog":
        assert any(case.silent and not case.fires for case in cases)
        assert any(case.resolves for case in cases)


@pytest.mark.parametrize("alert", rules.alerts(), ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_is_whole(alert: Alert) -> None:
    """It parses, reads metrics that there are, and says what is wrong where, and by how much."""
    expression = rules.expanded(alert.expression)
    parse(expression)
    assert set(re.findall(r"\bpeak_\w+", expression)) <= {metric.name for metric in catalog.METRICS}
    assert re.fullmatch(r"Peak([A-Z][a-z]+)+", alert.name)
    assert alert.severity in {"critical", "warning", "info"}
    assert DURATION.fullmatch(alert.lasting)
    assert DURATION.fullmatch(alert.keep or "0m")
    assert all(text.endswith((".", "?", "`.")) for text in (alert.summary, alert.description, alert.meaning))
    assert "$labels.instance" in alert.summary or alert.name in {"PeakWatchdog", "PeakExporterAbsent"}
    assert ("$value" in alert.description) == (alert.name not in PLAIN)


def test_the_labels_that_texts_name_are_there() -> None:
    """What an expression is grouped by is what its texts, and the link to its dashboard, can show."""
    labels = {metric.name: set(metric.labels) for metric in catalog.METRICS}
    for alert in rules.alerts():
        named = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description)) | {alert.subject} - {""}
        expression = rules.expanded(alert.expression)
        told = {label for name in re.findall(r"\bpeak_\w+", expression) for label in labels[name]}
        dropped = {label for names in re.findall(r"without \(([\w, ]*)\)", expression) for label in names.split(", ")}
        added = set(re.findall(r'label_replace\(.*?, "(\w+)", ', expression))
        assert named <= (told - dropped) | added | {"job", "instance", "process"}, alert.name


def test_no_alert_of_backups_says_more_than_its_expression_tells() -> None:
    """A part that is without a good backup may have had one, and how the last run ended is told by no metric."""
    found = {alert.name: f"{alert.summary} {alert.description} {alert.meaning}" for alert in rules.alerts()}
    untrue = re.compile("never been a backup|none has succeeded|no backup has succeeded|the last backup", re.IGNORECASE)
    assert "There is no good backup of" in found["PeakBackupNeverSucceeded"]
    for name in ("PeakBackupNeverSucceeded", "PeakBackupStale"):
        assert not untrue.search(found[name])
        assert "known to be corrupt" in found[name]
    for name, ended in (("PeakBackupFailed", "failed"), ("PeakBackupPartial", "was partial")):
        assert f"{ended} within the last two days" in found[name]
        assert not untrue.search(found[name])


def test_durations_are_told_in_words() -> None:
    """And one that is none is a mistake of the page that has it."""
    assert [spoken(duration) for duration in ("1h", "15m")] == ["1 hour", "15 minutes"]
    with pytest.raises(ValueError, match="has to be minutes or hours, such as '5m', not 'soon'"):
        spoken("soon")


def test_each_group_has_a_dashboard() -> None:
    """To which its alerts lead."""
    assert {group.dashboard for group in rules.GROUPS} <= DASHBOARDS


def test_the_recordings_hold_what_they_say(tmp_path: Path) -> None:
    """The share over each window, with job, instance, process and exchange; nothing where nothing is asked."""
    by = {"exchange": "kraken", "process": "bot"}
    asked = [
        series("peak_exchange_requests_total", values, endpoint="GET Ticker", outcome=outcome, **by)
        for outcome, values in (("success", "0+6x60 360x600"), ("transient", "0+2x60 120x600"), ("bug", "0+9x700"))
    ]
    labels = f'{FROM},exchange="kraken",process="bot"'
    checks = []
    for recording in rules.recordings():
        if "ratio_rate" in recording.name:
            wanted = [{"labels": f"{recording.name}{{{labels}}}", "value": 0.25}]
            checks.append({"expr": recording.name, "eval_time": "50m", "exp_samples": wanted})
            rest = wanted if recording.name.endswith("d") else []
            checks.append({"expr": recording.name, "eval_time": "620m", "exp_samples": rest})
    test = {"interval": "1m", "input_series": asked, "promql_expr_test": checks}
    said = complaint(prepared(tmp_path, "PeakExchangeErrorBudgetBurn", "1m", [test]))
    assert not said, said
