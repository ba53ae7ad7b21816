"""What the lives of a process add up to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peak_observe.telemetry.snapshot import lifetime_totals
from peak_observe.telemetry.snapshot.lifetime_totals import settled, total
from peak_observe.telemetry.snapshot.samples import EMPTY, Table, packed, read

CALLS = 'peak_breaker_calls_total{breaker="x",outcome="success"}'
STATE = 'peak_breaker_state{breaker="x",state="open"}'
SUCCESS = 'peak_job_last_success_timestamp_seconds{task="t"}'
DURATION = 'peak_job_last_duration_seconds{task="t"}'
SINCE = 'peak_job_running_since_timestamp_seconds{task="t"}'
INTERRUPTED = 'peak_job_runs_total{outcome="interrupted",task="t"}'
BACKUPS = 'peak_backup_runs_total{outcome="success",repository="r"}'


def of(samples: dict[str, float]) -> Table:
    """Return samples as a snapshot would have them."""
    return read(packed("\n".join(f"{line} {float(value)}" for line, value in samples.items()).encode()))


def flat(found: dict[str, dict[str, str]]) -> dict[str, float]:
    """Return all lines with their values."""
    return {line: float(value) for lines in found.values() for line, value in lines.items()}


def histogram(*bounds: str, count: float = 1.0) -> dict[str, float]:
    """Return a histogram with everything in its first bucket."""
    name = "peak_breaker_call_duration_seconds"
    buckets = {f'{name}_bucket{{breaker="x",le="{bound}"}}': count for bound in (*bounds, "+Inf")}
    return {**buckets, f'{name}_count{{breaker="x"}}': count, f'{name}_sum{{breaker="x"}}': count / 2}


def test_counts_add_up_and_gauges_do_not() -> None:
    """The present life's gauge is the only one."""
    assert flat(total(of({CALLS: 2, STATE: 1}), of({CALLS: 3}))) == {CALLS: 5, STATE: 1}


def test_what_only_an_earlier_life_counted_stays() -> None:
    """A circuit that the new version has not made is not forgotten."""
    assert flat(total(of({STATE: 1}), of({CALLS: 3}))) == {CALLS: 3, STATE: 1}


def test_what_was_inherited_is_not_counted() -> None:
    """A forked child begins at 0."""
    assert flat(total(of({CALLS: 7}), of({CALLS: 1}), of({CALLS: 5}))) == {CALLS: 3}
    assert flat(total(of({CALLS: 7}), EMPTY, of({CALLS: 8}))) == {CALLS: 0}


def test_histograms_add_up_bucket_by_bucket() -> None:
    """With count and sum."""
    found = flat(total(of(histogram("1.0", count=2.0)), of(histogram("1.0", count=3.0))))
    assert found == histogram("1.0", count=5.0)


def test_a_histogram_with_other_buckets_begins_anew() -> None:
    """The sum of both would be no histogram."""
    assert flat(total(of(histogram("1.0")), of(histogram("2.0", count=9.0)))) == histogram("1.0")


def test_what_is_kept_on_the_disk_is_not_added() -> None:
    """It counts all lives already."""
    assert flat(total(of({BACKUPS: 6}), of({BACKUPS: 5}), of({BACKUPS: 5}))) == {BACKUPS: 6}
    assert flat(total(EMPTY, of({BACKUPS: 5}))) == {BACKUPS: 5}


def test_a_life_that_ended_leaves_counts_and_what_is_known_of_jobs() -> None:
    """Its other gauges go with it."""
    found = flat(settled(of({CALLS: 2, STATE: 1, SUCCESS: 9, DURATION: 4}), of({CALLS: 1, SUCCESS: 7, DURATION: 3})))
    assert found == {CALLS: 3, SUCCESS: 9, DURATION: 4}


def test_a_success_is_remembered_over_lives_without_one() -> None:
    """Until there is a later one."""
    assert flat(settled(of({SUCCESS: 0}), of({SUCCESS: 7, DURATION: 3}))) == {SUCCESS: 7, DURATION: 3}


def test_a_forked_child_does_not_tell_of_its_parents_jobs() -> None:
    """What it has of them is what it was born with."""
    inherited = of({SUCCESS: 7, DURATION: 3})
    assert flat(total(of({SUCCESS: 7, DURATION: 3}), EMPTY, inherited)) == {}
    assert flat(total(of({SUCCESS: 8, DURATION: 2}), EMPTY, inherited)) == {SUCCESS: 8, DURATION: 2}


def test_a_run_under_way_when_the_life_ended_was_interrupted() -> None:
    """One that was not, was not."""
    assert flat(settled(of({INTERRUPTED: 1, SINCE: 5}), EMPTY))[INTERRUPTED] == 2
    assert flat(settled(of({INTERRUPTED: 1, SINCE: 0}), EMPTY))[INTERRUPTED] == 1
    assert flat(settled(of({SINCE: 5}), EMPTY)) == {}


def test_an_account_that_grows_too_long_forgets_what_is_not_used_any_more(monkeypatch) -> None:
    """Names built from ids would fill it life after life."""
    monkeypatch.setattr(lifetime_totals, "LIMIT", 2)
    other = CALLS.replace('"x"', '"y"')
    assert flat(settled(of({CALLS: 1}), of({CALLS: 1, other: 1}))) == {CALLS: 2, other: 1}
    third = CALLS.replace('"x"', '"z"')
    assert flat(settled(of({third: 1}), of({CALLS: 1, other: 1}))) == {third: 1}


def test_an_account_can_be_read_again() -> None:
    """It is written as samples are."""
    found = settled(of({CALLS: 2e6, **histogram("1.0")}), EMPTY)
    assert flat(total(EMPTY, read(lifetime_totals.packed(found)))) == flat(found)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=6))
def test_no_count_is_lost_over_any_number_of_lives(lives) -> None:
    """And what is told never falls."""
    earlier, told = EMPTY, 0.0
    for count in lives:
        found = flat(total(of({CALLS: count}), earlier))[CALLS]
        assert found >= told
        told = found
        earlier = read(lifetime_totals.packed(settled(of({CALLS: count}), earlier)))
    assert told == pytest.approx(sum(lives))
