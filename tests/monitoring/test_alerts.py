"""The files that alert people are those of their source, and every alert is told of where people look."""

import re
from pathlib import Path

from peak_observe.monitoring import alerts, output, rules
from peak_observe.monitoring.alert_files import Links

ROOT = Path(__file__).parents[2]
NAMES = {alert.name for alert in rules.alerts()}
RUNBOOK = (ROOT / "grafana" / "RUNBOOK.md").read_text(encoding="utf-8")
SECTIONS = re.split(r"^### ", RUNBOOK, flags=re.MULTILINE)[1:]
LINKS = Links("RUNBOOK.md", "http://localhost:3000")


def test_the_files_are_those_of_the_source(tmp_path: Path) -> None:
    """Whoever changes the source writes them anew: `make grafana`."""
    for change in output.changes(tmp_path, Links()):
        assert change.text == (ROOT / "grafana" / change.path.relative_to(tmp_path)).read_text()


def test_the_links_are_those_that_were_asked_for() -> None:
    """To the runbook's section, and to the dashboard of the subject, narrowed to what is wrong."""
    text = alerts.prometheus_rules(Links("https://wiki.test/runbook", "https://grafana.test/"))
    assert "runbook_url: https://wiki.test/runbook#peakbackupstale\n" in text
    (address,) = set(re.findall(r"dashboard_url: (https://grafana\.test/d/peak-backups.*repository.*)\n", text))
    names = ("job", "instance", "process", "repository")
    chosen = "".join(f"{{{{ with $labels.{name} }}}}&var-{name}={{{{ . | urlquery }}}}{{{{ end }}}}" for name in names)
    assert address.endswith(chosen)


def test_there_is_no_link_to_nowhere() -> None:
    """Neither a file name nor an address of this machine helps somebody whose pager rings."""
    text = alerts.prometheus_rules(Links())
    assert "_url:" not in text
    assert "localhost" not in text


def test_the_runbook_has_a_section_for_each() -> None:
    """With a row in its table, which begins it; the links of both lead there."""
    assert re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE) == re.findall(r"^\| \[(\w+)\]\(", RUNBOOK, re.MULTILINE)
    assert set(re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)) == NAMES
    anchors = set(re.findall(r"^\| \[\w+\]\(#(\w+)\)", RUNBOOK, re.MULTILINE))
    linked = set(re.findall(r"runbook_url: RUNBOOK\.md#(\w+)", alerts.prometheus_rules(LINKS)))
    assert anchors == linked == {name.lower() for name in NAMES}


def test_a_section_says_what_to_do() -> None:
    """What it means, where to look, and the mend."""
    for section in SECTIONS:
        assert re.findall(r"^- \*\*([\w ]+)\.\*\* \S", section, re.MULTILINE) == ["Meaning", "First look", "Mend"]


def test_a_section_has_the_queries_to_paste() -> None:
    """Those of the alert itself, each on a line of its own, so that they cannot differ."""
    for name, section in zip(re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE), SECTIONS, strict=True):
        (block,) = re.findall(r"^```promql\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        expressions = [alert.expression for alert in rules.alerts() if alert.name == name]
        assert block.splitlines() == list(dict.fromkeys(expressions))


def test_the_runbook_says_what_counts_against_an_exchange() -> None:
    """And what does not."""
    told = RUNBOOK.partition("## Objectives")[2].partition("###")[0]
    assert "`ambiguous`, `bad_response`, `maintenance`, `transient`; announced maintenance too" in told
    assert "`rejected`, `auth`, `clock` and `rate_limited` are answers" in told


def test_the_page_of_alerts_lists_each() -> None:
    """And none besides."""
    page = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`(Peak[A-Z]\w+)`", page.partition("## All alerts")[2].partition("\n## ")[0]))
    assert listed == NAMES
