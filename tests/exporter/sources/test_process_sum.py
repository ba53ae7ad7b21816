"""Sums over processes: counts that never fall, and gauges by their rules."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe import catalog
from peak_observe.exporter.sources import process_sum
from peak_observe.exporter.sources.process_sum import (
    RULES,
    STATES,
    Counts,
    Totals,
    counts_of,
    gauges_of,
    lines_of,
    newest,
)

CALLS = 'peak_breaker_calls_total{breaker="feed",outcome="success"}'
DURATION = catalog.BREAKER_CALL_DURATION_SECONDS.name
BACKUPS = 'peak_backup_runs_total{outcome="success",repository="trading"}'
GAUGES = {metric.name for metric in catalog.IN_PROCESS if metric.kind == "gauge"}


def calls(count: float) -> Counts:
    """Return what a process tells that called so often."""
    return counts_of({"peak_breaker_calls_total": {CALLS: str(count)}})


def durations(bounds: dict[str, float], total: float) -> Counts:
    """Return a histogram by its cumulative buckets."""
    buckets = {f'{DURATION}_bucket{{breaker="feed",le="{le}"}}': str(count) for le, count in bounds.items()}
    ends = {f'{DURATION}_count{{breaker="feed"}}': str(bounds["+Inf"]), f'{DURATION}_sum{{breaker="feed"}}': str(total)}
    return counts_of({DURATION: buckets | ends})


def told(totals: Totals) -> dict[str, float]:
    """Return all lines of a sum with their values."""
    return {line: float(value) for lines in lines_of(totals.sums()).values() for line, value in lines.items()}


def merged(name: str, *values: float, labels: str = 'check="x"') -> float:
    """Return what one gauge of several processes becomes, the one that was told last first."""
    line = f"{name}{{{labels}}}"
    return float(gauges_of([{name: {line: repr(value)}} for value in values])[name][line])


def test_processes_are_added_up() -> None:
    """Each by what it counted last."""
    totals = Totals()
    totals.look({"a": calls(3), "b": calls(4)})
    totals.look({"a": calls(5), "b": calls(4)})
    assert told(totals) == {CALLS: 9.0}


def test_what_went_stays_and_what_came_back_counts_once() -> None:
    """A snapshot that was missed, such as one beyond a limit, and one that was removed."""
    totals = Totals()
    totals.look({"a": calls(3), "b": calls(4)})
    totals.look({"b": calls(4)})
    assert told(totals) == {CALLS: 7.0}
    totals.look({"a": calls(3), "b": calls(4)})
    assert told(totals) == {CALLS: 7.0}
    totals.look({"a": calls(1), "b": calls(4)})  # it began anew
    assert told(totals) == {CALLS: 8.0}


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(0, 1e9), max_size=3), max_size=12),
    st.lists(st.sampled_from("abc"), max_size=12),
)
def test_a_sum_never_falls(looks: list[dict[str, float]], settled: list[str]) -> None:
    """Whatever comes, goes, begins anew and is forgotten; nor does it when the exporter begins anew."""
    totals, before = Totals(), 0.0
    for number, look in enumerate(looks):
        totals.look({name: calls(count) for name, count in look.items()})
        totals.settle([name for name in settled[number : number + 1] if name in totals.gone])
        present = {name: calls(count) for name, count in look.items()}
        again = Totals(totals.ended, totals.gone)
        again.look(present)
        after = told(totals).get(CALLS, 0.0)
        assert told(again) == told(totals)
        assert after >= before
        before = after


@given(st.lists(st.floats(0.001, 1e6), min_size=2, max_size=8), st.randoms())
def test_the_order_of_adding_changes_no_digit(values: list[float], random) -> None:
    """A last digit that fell would be a restart to `rate()`."""
    totals = Totals()
    totals.look({str(at): calls(value) for at, value in enumerate(values)})
    before = told(totals)
    assert before[CALLS] == pytest.approx(sum(values), abs=len(values) * 2**-20)
    totals.look({})
    names = list(totals.gone)
    random.shuffle(names)
    for name in names:
        totals.settle([name])
        assert told(totals) == before


def test_only_so_many_names_of_processes_that_are_forgotten_stay(monkeypatch) -> None:
    """A name built from an id costs the series that went first, not the memory."""
    monkeypatch.setattr(process_sum, "LIMIT", 3)
    totals = Totals()
    for number in range(5):
        line = f'peak_breaker_calls_total{{breaker="{number}",outcome="success"}}'
        totals.retire("a", counts_of({"peak_breaker_calls_total": {line: "1.0"}}))
        totals.settle(["a"])
    assert [line.partition('"')[2][0] for line in told(totals)] == ["2", "3", "4"]


def test_histograms_are_added_by_the_bounds_that_all_have() -> None:
    """A process with other buckets leaves those alone that are right for both."""
    totals = Totals()
    totals.look({"a": durations({"0.1": 1, "1.0": 3, "+Inf": 4}, 5.5), "b": durations({"1.0": 2, "+Inf": 2}, 0.5)})
    assert told(totals) == {
        f'{DURATION}_bucket{{breaker="feed",le="1.0"}}': 5.0,
        f'{DURATION}_bucket{{breaker="feed",le="+Inf"}}': 6.0,
        f'{DURATION}_count{{breaker="feed"}}': 6.0,
        f'{DURATION}_sum{{breaker="feed"}}': 6.0,
    }


def test_a_histogram_begins_anew_as_a_whole() -> None:
    """One bucket may be higher than before, and would be out of order beside the others."""
    totals = Totals()
    totals.look({"a": durations({"0.1": 4, "1.0": 5, "+Inf": 5}, 1.0)})
    totals.look({"a": durations({"0.1": 3, "1.0": 5, "+Inf": 6}, 2.0)})
    buckets = [value for line, value in told(totals).items() if "_bucket" in line]
    assert buckets == [7.0, 10.0, 11.0]


def test_what_the_disk_counts_is_not_multiplied() -> None:
    """Each process that uses a repository tells the same count of its backups."""
    backups = counts_of({"peak_backup_runs_total": {BACKUPS: "7.0"}})
    totals = Totals()
    totals.look({"a": backups, "b": backups})
    totals.look({"b": backups})
    assert told(totals) == {BACKUPS: 7.0}


def test_a_process_that_is_forgotten_is_still_counted() -> None:
    """Its name alone is lost."""
    totals = Totals()
    totals.retire("a", calls(3))
    assert totals.changed
    totals.retire("a", calls(1))
    totals.settle(["a"])
    assert (told(totals), totals.gone) == ({CALLS: 3.0}, {})


def test_a_process_with_a_new_name_is_counted_once() -> None:
    """What earlier lives of the former name counted stays there; one that tells less than before is no such process."""
    totals = Totals()
    totals.look({"script": calls(9)})
    totals.move("script", [calls(4), calls(5)])
    totals.look({"script": calls(5), "bot": calls(4)})
    assert told(totals) == {CALLS: 9.0}
    step = 2**-20  # each part is rounded down, and a fall by that would be a restart to `rate()`
    totals.move("bot", [calls(4 - step)])
    totals.look({"script": calls(5), "bot-a": calls(4 - step)})
    assert told(totals) == {CALLS: 9.0}
    totals = Totals()
    totals.look({"script": calls(5), "bot": calls(4)})
    totals.move("script", [calls(3)])
    totals.look({"bot": calls(4), "other": calls(3)})
    assert told(totals) == {CALLS: 12.0}


@pytest.mark.parametrize(
    ("name", "values", "result"),
    [
        ("peak_health_check_healthy", (1.0, 0.0, math.nan), 0.0),
        ("peak_health_check_last_run_timestamp_seconds", (300.0, 0.0, 200.0), 200.0),
        ("peak_bulkhead_in_flight", (1.0, 2.0), 3.0),
        ("peak_job_last_success_timestamp_seconds", (100.0, 300.0), 300.0),
        ("peak_job_max_age_seconds", (math.nan, 60.0, 30.0), 60.0),
        ("peak_exchange_clock_skew_seconds", (0.5, -2.0), -2.0),
        ("peak_exchange_data_age_seconds", (1.0, 9.0), 9.0),
        ("peak_job_running_since_timestamp_seconds", (0.0, 0.0), 0.0),
        ("peak_orders_pending", (2.0, 2.0), 2.0),
        ("peak_shared_up", (1.0, 0.0), 0.0),
    ],
)
def test_gauges_are_merged_by_their_meaning(name: str, values: tuple[float, ...], result: float) -> None:
    """The sum, the worst, the oldest, the latest."""
    assert merged(name, *values) == result


def test_nan_everywhere_stays_nan() -> None:
    """A check that ran nowhere yet."""
    assert math.isnan(merged("peak_health_check_healthy", math.nan, math.nan))


@pytest.mark.parametrize("family", STATES)
def test_of_states_the_worst_is_true_alone(family: str) -> None:
    """A circuit that one process has open, and a name that looks like a label."""
    subject = {"peak_breaker_state": "breaker", "peak_trading_state": "switch"}[family]
    states = STATES[family]

    def process(true: str) -> dict[str, dict[str, str]]:
        pairs = ({subject: 'a,state=\\"x\\"', "state": state} for state in states)
        lines = {",".join(f'{key}="{pair[key]}"' for key in sorted(pair)): pair["state"] for pair in pairs}
        return {family: {f"{family}{{{line}}}": str(float(state == true)) for line, state in lines.items()}}

    for first in states:
        found = gauges_of([process(first), process(states[1])])[family]
        worst = max(first, states[1], key=states.index)
        assert [line for line, value in found.items() if value == "1.0"] == [
            line for line in found if f'state="{worst}"' in line
        ]
        assert len(found) == len(states)


def test_every_state_of_a_circuit_has_its_place() -> None:
    """One that is added to the catalogue has to be put in order."""
    assert set(STATES[catalog.BREAKER_STATE.name]) == set(catalog.STATES)


def test_every_rule_is_of_a_gauge() -> None:
    """Named once."""
    named = [metric.name for metrics in RULES.values() for metric in metrics]
    assert len(named) == len(set(named))
    assert set(named) | set(STATES) <= GAUGES


def test_a_gauge_that_may_be_down_is_not_merged_by_the_largest() -> None:
    """1 of two processes would hide the 0 of the other; of all that say 1 for well, the smallest counts."""
    well = {name for name in GAUGES if name.endswith(("_up", "_healthy", "_success", "_connected", "_held"))}
    assert well <= {metric.name for metric in RULES[min]}


def test_the_newest_exemplar_counts() -> None:
    """By its time, which is its last word."""
    first, second = '{trace_id="a"} 0.5 100.5', '{trace_id="b"} 0.1 99.5'
    assert newest([{CALLS: second}, {CALLS: first}, {CALLS: second}]) == {CALLS: first}
