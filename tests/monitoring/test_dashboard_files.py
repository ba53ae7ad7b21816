"""The dashboards keep the rules of Grafana's linter, and what is checked in is what the catalogue makes."""

import json
import re
from pathlib import Path

import promql_parser
import pytest

from peak_observe import catalog
from peak_observe.monitoring import dashboard_files, output
from peak_observe.monitoring.alert_files import Links
from peak_observe.monitoring.dashboard import every_panel
from peak_observe.monitoring.promql import BY_RULES, SCRAPED, VARIABLES
from peak_observe.monitoring.runbook_links import SECTIONS
from peak_observe.monitoring.style import STATE_COLOURS

ROOT = Path(__file__).parents[2]
SAMPLES = {
    sample: metric
    for metric in (*catalog.METRICS, *SCRAPED, *BY_RULES)
    for suffix in (["_bucket", "_count", "_sum"] if metric.kind == "histogram" else [""])
    for sample in [metric.name + suffix]
}
UNITS = {"none", "short", "locale", "s", "bytes", "reqps", "ops", "percentunit", "suffix: failures"}
GRID_WIDTH = 24

BOARDS = dashboard_files.dashboards()
PANELS = [(board, panel) for board in BOARDS.values() for panel in every_panel(board)]
ASKED = [(board, target["expr"]) for board, panel in PANELS for target in panel["targets"]]
ASKED += [(board, mark["expr"]) for board in BOARDS.values() for mark in board["annotations"]["list"]]
CHOICES = [(board, choice) for board in BOARDS.values() for choice in board["templating"]["list"][1:]]
URL = "https://example.org/RUNBOOK.md"


def each(names: str, found: list, title: object) -> object:
    """Return the mark that runs a test for each of what was found, named by dashboard and title."""
    ids = [f"{board['uid']}-{title(item)}" for board, item in found]
    return pytest.mark.parametrize(names, found, ids=ids)


each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
each_panel = each("board, panel", PANELS, lambda panel: panel["title"])
each_choice = each("board, choice", CHOICES, lambda choice: choice["name"])
each_expression = each("board, expression", ASKED, lambda expression: expression[:40])


def named(board: dict) -> set[str]:
    """Return the names of a dashboard's variables."""
    return {choice["name"] for choice in board["templating"]["list"]}


def plain(expression: str) -> str:
    """Return an expression with Grafana's durations filled in."""
    return expression.replace("$__rate_interval", "5m").replace("$__range", "1h")


def nodes(node: object) -> list:
    """Return all nodes of a parsed expression with the function each stands in."""
    found, waiting = [], [(node, "")]
    while waiting:
        node, function = waiting.pop()
        found.append((node, function))
        if isinstance(node, promql_parser.Call):
            waiting += [(argument, node.func.name) for argument in node.args]
        elif isinstance(node, promql_parser.BinaryExpr):
            waiting += [(node.lhs, ""), (node.rhs, "")]
        elif isinstance(node, promql_parser.MatrixSelector):
            waiting.append((node.vector_selector, function))
        elif isinstance(node, promql_parser.SubqueryExpr):
            waiting.append((node.expr, function))
        elif isinstance(node, promql_parser.AggregateExpr | promql_parser.ParenExpr):
            waiting += [(part, function) for part in (node.expr, getattr(node, "param", None)) if part is not None]
    return found


def selectors(expression: str) -> list:
    """Return the selectors of an expression, each with the function it stands in."""
    parsed = nodes(promql_parser.parse(plain(expression)))
    return [(node, function) for node, function in parsed if isinstance(node, promql_parser.VectorSelector)]


def test_what_is_checked_in_is_what_is_made() -> None:
    """A change of the catalogue that was not written to grafana/ shows here and in CI."""
    folder = ROOT / "grafana" / "dashboards"
    assert {path.name for path in folder.iterdir()} == set(BOARDS)
    for name, board in BOARDS.items():
        assert json.loads((folder / name).read_text(encoding="utf-8")) == board, "run `make grafana`"


def test_writing_is_complete_and_repeatable(tmp_path: Path) -> None:
    """Twice gives the same bytes, no temporary file stays, and what others put there does."""
    other = tmp_path / "dashboards" / "my-own.json"
    other.parent.mkdir()
    other.write_text("{}")
    for _ in range(2):
        output.write(output.changes(tmp_path, Links()))
        assert {path.name for path in (tmp_path / "dashboards").iterdir()} == {*BOARDS, other.name}
        assert all((tmp_path / name).read_text() == text for name, text in dashboard_files.files().items())
    assert not any(change.needed for change in output.changes(tmp_path, Links()))


def test_each_file_is_named_like_its_address() -> None:
    """/d/peak-overview is peak-overview.json."""
    assert list(BOARDS) == [
        f"peak-{name}.json" for name in ("overview", "breakers", "exchanges", "backups", "exporter")
    ]
    assert [f"{board['uid']}.json" for board in BOARDS.values()] == list(BOARDS)


@each_board
def test_the_data_source_is_a_variable(board: dict) -> None:
    """Rule 1."""
    first = board["templating"]["list"][0]
    assert (first["name"], first["label"], first["type"], first["query"]) == (
        "datasource",
        "Data source",
        "datasource",
        "prometheus",
    )


@each_board
def test_job_and_instance_are_variables(board: dict) -> None:
    """Rules 2 and 3."""
    first, second = board["templating"]["list"][1:3]
    assert (first["name"], first["label"], second["name"], second["label"]) == ("job", "Job", "instance", "Instance")


@each_choice
def test_variables_are_complete(board: dict, choice: dict) -> None:
    """Rules 2 to 5; All of them is all there is, with or without the label that only the exporter adds."""
    assert choice["type"] == "query"
    assert choice["datasource"]["uid"] == "${datasource}"
    assert (choice["multi"], choice["includeAll"], choice["refresh"]) == (True, True, 2)
    assert choice["allValue"] == (".*" if choice["name"] == "process" else ".+")
    selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", choice["query"]["query"]).groups()
    ((node, _),) = selectors(selector)
    assert label == choice["name"]
    assert label in {*SAMPLES[node.name].labels, "job", "instance", "process"}


@each_panel
def test_panels_say_what_they_show(board: dict, panel: dict) -> None:
    """Rules 6 to 9."""
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["title"]
    assert re.search(r"\. |: |; ", panel["description"]), "it says what is shown, and not what to do"
    assert panel["description"].endswith((".", "?"))
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults.get("unit") in UNITS or defaults.get("mappings")
    assert re.match(r"n(o|ever|othing) ?|NO DATA", defaults["noValue"])
    for override in panel["fieldConfig"]["overrides"]:
        assert {p["id"]: p["value"] for p in override["properties"]}.get("unit", "none") in UNITS
    assert panel["targets"]


@each_panel
def test_targets_are_complete(board: dict, panel: dict) -> None:
    """Each has its own letter, a legend and a kind of query."""
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == [chr(ord("A") + index) for index in range(len(letters))]
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert target["legendFormat"] != "__auto" or panel["type"] in {"stat", "table"}
        assert target["datasource"] == panel["datasource"]
        assert bool(target.get("instant")) != bool(target.get("range"))


@each_expression
def test_selectors_follow_the_variables(board: dict, expression: str) -> None:
    """Rules 12, 14 and 15: it parses, and every selector has job and instance."""
    for selector, _ in selectors(expression):
        found = {matcher.name: (str(matcher.op), matcher.value) for matcher in selector.matchers.matchers}
        for name in ("job", "instance"):
            assert found[name][1] == f"${name}"
            assert "Re" in found[name][0] or found[name][0] == "=~"
        metric = SAMPLES[selector.name]
        labels = {*metric.labels, *(["process"] if metric in catalog.IN_PROCESS else [])}
        for label in labels & named(board):
            assert found[label][1] == f"${label}"
        assert set(found) <= {"job", "instance", *labels}


@each_expression
def test_no_expression_asks_for_a_variable_that_is_not_there(board: dict, expression: str) -> None:
    """Grafana would send its name as a value, and nothing would come back."""
    assert set(re.findall(r"\$(?!__)(\w+)", expression)) <= named(board)


@each_board
def test_every_variable_is_of_use(board: dict) -> None:
    """A choice that changes nothing is a riddle."""
    used = {name for other, expression in ASKED if other is board for name in re.findall(r"\$(\w+)", expression)}
    assert used >= named(board) - {"datasource"}
    assert named(board) <= {"datasource", "job", "instance", *VARIABLES}


@each_expression
def test_counters_are_rated_over_the_right_interval(board: dict, expression: str) -> None:
    """Rules 13 and 16."""
    for selector, function in selectors(expression):
        metric = SAMPLES[selector.name]
        counts = metric.kind == "counter" or selector.name.endswith(("_bucket", "_count", "_sum"))
        at_the_end = selector.at is not None  # of series that are named for their exemplars
        assert (function in {"rate", "increase"}) <= counts
        assert counts <= (at_the_end or function in {"rate", "increase", "changes"})
    assert set(re.findall(r"(?:i?rate|changes)\(.*?\[(.*?)\]", expression)) <= {"$__rate_interval"}
    assert set(re.findall(r"increase\(.*?\[(.*?)\]", expression)) <= {"$__range", "$__rate_interval"}


def test_the_calls_of_an_operation_are_the_sum_of_all_outcomes() -> None:
    """Grafana adds the columns up, so none may be missing, and no other may be among them."""
    (table,) = [panel for _, panel in PANELS if panel["title"] == "Operations"]
    asked = {f"Value #{target['refId']}": target["expr"] for target in table["targets"]}
    (added,) = [step["options"] for step in table["transformations"] if step["id"] == "calculateField"]
    outcomes = [re.search(r'outcome=~"([^"]+)"', asked[name])[1] for name in added["reduce"]["include"]]
    assert sorted("|".join(outcomes).split("|")) == sorted(catalog.OBSERVED_RETRY_OUTCOMES)
    assert (added["alias"], added["reduce"]["reducer"]) == ("Calls", "sum")


@each_expression
def test_matchers_name_values_that_exist(board: dict, expression: str) -> None:
    """A misspelt state or outcome would be an empty panel."""
    known = {
        "state": (*catalog.STATES, *catalog.TRADING_STATES),
        "to": catalog.STATES,
        "status": catalog.BACKUP_STATUSES,
    }
    by_kind = {
        "breaker": catalog.CALL_OUTCOMES,
        "retry": catalog.OBSERVED_RETRY_OUTCOMES,
        "health": catalog.HEALTH_OUTCOMES,
    }
    by_kind |= {"backup": catalog.BACKUP_OUTCOMES, "exchange": catalog.EXCHANGE_OUTCOMES, "job": catalog.JOB_OUTCOMES}
    by_kind |= {"bulkhead": catalog.LIMIT_OUTCOMES, "rate": catalog.LIMIT_OUTCOMES, "timeout": catalog.TIMEOUT_OUTCOMES}
    by_kind["operation"] = catalog.RETRY_OUTCOMES  # as recorded
    by_kind["shared"] = ("success", "error", *catalog.SHARED_LEASES)
    by_kind |= {"hedge": catalog.HEDGE_OUTCOMES, "chaos": catalog.CHAOS_OUTCOMES}
    by_kind |= {"deadman": catalog.BEAT_OUTCOMES, "reconcile": catalog.RECONCILE_OUTCOMES}
    by_kind["orders"] = catalog.ORDER_RECONCILE_OUTCOMES
    by_kind["exporter"] = catalog.SOURCE_OUTCOMES
    for selector, _ in selectors(expression):
        outcomes = by_kind.get(selector.name.partition("_")[2].partition("_")[0])
        for matcher in selector.matchers.matchers:
            if matcher.name in {*known, "outcome"}:
                assert set(matcher.value.split("|")) <= set(known.get(matcher.name, outcomes))


@each_board
def test_nobody_edits_it_by_hand(board: dict) -> None:
    """Rule 17; it is provisioned, and what is made is what is shown."""
    assert board["editable"] is False
    assert board["uid"]
    assert board["title"]


@each_board
def test_panels_have_numbers_and_places_of_their_own(board: dict) -> None:
    """Grafana would drop one of two with the same number, and pile up those that overlap."""
    rows = [panel for panel in board["panels"] if panel["type"] == "row"]
    numbers = [panel["id"] for panel in (*rows, *every_panel(board))]
    assert len(set(numbers)) == len(numbers)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in (*rows, *every_panel(board)))
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < GRID_WIDTH


def test_every_metric_is_shown() -> None:
    """What is counted and never looked at is not worth counting."""
    shown = {SAMPLES[selector.name] for _, expression in ASKED for selector, _ in selectors(expression)}
    assert shown == {*catalog.METRICS, *SCRAPED, *BY_RULES}


@each_board
def test_few_panels_ask_before_somebody_wants_to_know(board: dict) -> None:
    """Rows but the first are collapsed."""
    first, *others = [panel for panel in board["panels"] if panel["type"] == "row"] or [None]
    assert first is None or not first["collapsed"]
    assert all(row["collapsed"] and row["panels"] for row in others)
    assert sum(panel["type"] != "row" for panel in board["panels"]) <= 22


@each_board
def test_titles_are_unique(board: dict) -> None:
    """An alert or a colleague can name a panel."""
    titles = [panel["title"] for other, panel in PANELS if other is board]
    assert len(set(titles)) == len(titles)


def test_every_state_has_a_text_and_a_colour() -> None:
    """The timeline explains itself, the same on each dashboard, and the table as well."""
    shown = [panel for _, panel in PANELS if panel["title"] == "Circuit states"]
    assert len(shown) == 2
    for timeline in shown:
        ((mapping),) = timeline["fieldConfig"]["defaults"]["mappings"]
        texts = [mapping["options"][str(number)]["text"] for number in range(len(catalog.STATES) + 1)]
        assert texts == ["gone", *(state.replace("_", "-") for state in catalog.STATES)]
    assert [STATE_COLOURS[state] for state in ("closed", "half_open", "open")] == ["green", "orange", "red"]


@each_panel
def test_no_panel_stretches_the_rate_interval(board: dict, panel: dict) -> None:
    """Grafana takes a least step for the scrape interval: of a minute it would make windows of four."""
    assert "interval" not in panel
    assert all("interval" not in target for target in panel["targets"])


@each_panel
def test_what_is_drawn_over_time_tells_of_all_lines_at_once(board: dict, panel: dict) -> None:
    """The tooltip has every line, the largest first; courses have legends."""
    if panel["type"] in {"timeseries", "state-timeline"}:
        assert panel["options"]["tooltip"] == {"mode": "multi", "sort": "desc"}
        assert panel["options"]["legend"]["showLegend"] is True


@each_panel
def test_histograms_over_time_show_exemplars(board: dict, panel: dict) -> None:
    """From a slow call a click leads to its trace."""
    if panel["type"] in {"timeseries", "heatmap"} and "_bucket{" in panel["targets"][0]["expr"]:
        assert panel["targets"][0]["exemplar"] is True


@each_board
def test_the_dashboards_lead_to_each_other(board: dict) -> None:
    """By their tag, with the time and the variables kept; those that marks tell of are marked."""
    (others,) = board["links"]
    assert (others["type"], others["includeVars"], others["keepTime"]) == ("dashboards", True, True)
    assert others["tags"] == board["tags"] == ["peak-observe"]
    assert board["annotations"]["list"]


def test_the_overview_leads_to_what_is_wrong() -> None:
    """Each link of it goes to a dashboard that is there, and chooses variables that it has."""
    found = [link["url"] for _, panel in PANELS for link in panel["fieldConfig"]["defaults"].get("links", [])]
    assert len(found) >= 12
    for url in found:
        uid, query = re.fullmatch(r"/d/([a-z-]+)\?\$\{__url_time_range\}&\$\{__all_variables\}(.*)", url).groups()
        assert set(re.findall(r"var-(\w+)=", query)) <= named(BOARDS[f"{uid}.json"])


def test_the_runbook_is_a_click_away() -> None:
    """From each dashboard, and from the panels that show the reason of an alert to what to do then."""
    for board in dashboard_files.dashboards(runbook_url=URL).values():
        assert board["links"][-1]["url"] == URL
        for panel in every_panel(board):
            alert = SECTIONS.get(panel["title"])
            assert [link["url"] for link in panel.get("links", [])] == ([f"{URL}#{alert.lower()}"] if alert else [])
    assert set(SECTIONS) <= {panel["title"] for _, panel in PANELS}
    runbook = (ROOT / "grafana" / "RUNBOOK.md").read_text(encoding="utf-8")
    assert set(SECTIONS.values()) <= set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE))


def test_a_runbook_that_no_browser_finds_is_not_linked() -> None:
    """The name of a file would lead to a page of Grafana that does not exist."""
    assert dashboard_files.dashboards(runbook_url="RUNBOOK.md") == BOARDS
