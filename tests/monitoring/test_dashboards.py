"""The dashboards keep Grafana's linter's rules, and what is checked in is what the catalogue makes."""

import json
import re
from pathlib import Path

import promql_parser
import pytest

from peak_observe import catalog
from peak_observe.monitoring import dashboards

ROOT = Path(__file__).parents[2]
SAMPLES = {
    sample: metric
    for metric in catalog.METRICS
    for suffix in (["_bucket", "_count", "_sum"] if metric.kind == "histogram" else [""])
    for sample in [metric.name + suffix]
}
UNITS = {"none", "short", "s", "bytes", "reqps", "ops", "percentunit", "suffix: failures"}
GRID_WIDTH = 24

BOARDS = dashboards.dashboards()
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
DATA_PANELS = [panel for _, panel in PANELS if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in DATA_PANELS for target in panel["targets"]]
EXPRESSIONS = [target["expr"] for _, target in TARGETS]
EXPRESSIONS += [item["expr"] for board in BOARDS.values() for item in board["annotations"]["list"]]
VARIABLES = {variable["name"]: variable for variable in BOARDS["peak-observe.json"]["templating"]["list"]}

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
each_panel = pytest.mark.parametrize("panel", DATA_PANELS, ids=lambda panel: panel["title"])
each_expression = pytest.mark.parametrize("expression", EXPRESSIONS, ids=range(len(EXPRESSIONS)))


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
        elif isinstance(node, promql_parser.AggregateExpr | promql_parser.ParenExpr):
            waiting.append((node.expr, function))
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
    """Twice gives the same bytes, and no temporary file stays."""
    first = [path.read_bytes() for path in dashboards.write(tmp_path)]
    assert [path.read_bytes() for path in dashboards.write(tmp_path)] == first
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == list(BOARDS)


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


@pytest.mark.parametrize(("name", "label"), [("job", "Job"), ("instance", "Instance")])
def test_job_and_instance_are_variables(name: str, label: str) -> None:
    """Rules 2 and 3."""
    variable = VARIABLES[name]
    assert variable["datasource"]["uid"] == "${datasource}"
    assert variable["multi"] is True
    assert (variable["type"], variable["label"], variable["allValue"]) == ("query", label, ".+")


@pytest.mark.parametrize("name", [name for name, variable in VARIABLES.items() if variable["type"] == "query"])
def test_variables_hold_valid_queries(name: str) -> None:
    """Rules 4 and 5."""
    variable = VARIABLES[name]
    selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
    ((node, _),) = selectors(selector)
    metric = SAMPLES[node.name]
    assert label in {*metric.labels, "job", "instance"}
    assert variable["refresh"] == 2


@each_panel
def test_panels_say_what_they_show(panel: dict) -> None:
    """Rules 6 to 9."""
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["title"]
    assert panel["description"].endswith(".")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults.get("unit") in UNITS or defaults.get("mappings")
    assert defaults["noValue"]
    for override in panel["fieldConfig"]["overrides"]:
        assert {p["id"]: p["value"] for p in override["properties"]}.get("unit", "none") in UNITS
    assert panel["targets"]


@each_panel
def test_targets_are_complete(panel: dict) -> None:
    """Each has its own letter, a legend and a kind of query."""
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == [chr(ord("A") + index) for index in range(len(letters))]
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert target["datasource"] == panel["datasource"]
        assert bool(target.get("instant")) != bool(target.get("range"))


@each_expression
def test_selectors_follow_the_variables(expression: str) -> None:
    """Rules 12, 14 and 15: it parses, and every selector has job and instance."""
    for selector, _ in selectors(expression):
        found = {matcher.name: (str(matcher.op), matcher.value) for matcher in selector.matchers.matchers}
        for name in ("job", "instance"):
            assert found[name][1] == f"${name}"
            assert "Re" in found[name][0] or found[name][0] == "=~"
        metric = SAMPLES[selector.name]
        for label in set(metric.labels) & set(VARIABLES):
            assert found[label][1] == f"${label}"
        assert set(found) <= {"job", "instance", *metric.labels}


@each_expression
def test_counters_are_rated_over_the_right_interval(expression: str) -> None:
    """Rules 13 and 16."""
    for selector, function in selectors(expression):
        metric = SAMPLES[selector.name]
        counts = metric.kind == "counter" or selector.name.endswith(("_bucket", "_count", "_sum"))
        assert (function in {"rate", "increase", "changes"}) == counts
    assert set(re.findall(r"(?:i?rate|changes)\(.*?\[(.*?)\]", expression)) <= {"$__rate_interval"}
    assert set(re.findall(r"increase\(.*?\[(.*?)\]", expression)) <= {"$__range", "$__rate_interval"}


@each_expression
def test_matchers_name_values_that_exist(expression: str) -> None:
    """A misspelt state or outcome would be an empty panel."""
    known = {"state": catalog.STATES, "to": catalog.STATES, "status": catalog.BACKUP_STATUSES}
    by_kind = {"breaker": catalog.CALL_OUTCOMES, "retry": catalog.RETRY_OUTCOMES, "health": catalog.HEALTH_OUTCOMES}
    by_kind |= {"backup": catalog.BACKUP_OUTCOMES, "exchange": catalog.EXCHANGE_OUTCOMES, "job": catalog.JOB_OUTCOMES}
    by_kind |= {"bulkhead": catalog.LIMIT_OUTCOMES, "rate": catalog.LIMIT_OUTCOMES, "timeout": catalog.TIMEOUT_OUTCOMES}
    by_kind["exporter"] = catalog.SOURCE_OUTCOMES
    for selector, _ in selectors(expression):
        outcomes = by_kind.get(selector.name.split("_")[1])
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
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < GRID_WIDTH


def test_every_metric_is_shown() -> None:
    """What is counted and never looked at is not worth counting."""
    shown = {SAMPLES[selector.name] for expression in EXPRESSIONS for selector, _ in selectors(expression)}
    assert shown == set(catalog.METRICS)


def test_titles_are_unique() -> None:
    """An alert or a colleague can name a panel."""
    titles = [panel["title"] for panel in DATA_PANELS]
    assert len(set(titles)) == len(titles)


def test_every_state_has_a_text_and_a_colour() -> None:
    """The timeline explains itself."""
    (timeline,) = [panel for panel in DATA_PANELS if panel["title"] == "Circuit states"]
    ((mapping),) = timeline["fieldConfig"]["defaults"]["mappings"]
    texts = [mapping["options"][str(number)]["text"] for number in range(len(catalog.STATES) + 1)]
    assert texts == ["gone", *(state.replace("_", "-") for state in catalog.STATES)]
