"""Sum over processes: counts that never fall, and gauges merged by what each of them means.

A process that is gone, or whose snapshot was removed, stays in the sum with what it counted last; one that comes back
with less has begun anew, and what it counted before is kept beside it, as `rate()` of Prometheus sees resets.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from peak_observe import catalog
from peak_observe.telemetry.metrics.text_format import number
from peak_observe.telemetry.snapshot import samples
from peak_observe.telemetry.snapshot.lifetime_totals import DURABLE, LIMIT, Lines
from peak_observe.telemetry.snapshot.samples import FAMILIES, family_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from peak_observe.telemetry.snapshot.samples import Table

# Sums of multiples of this are exact in any order. By rounding they would fall by a last digit, which `rate()` takes
# for a restart.
STEP = 2.0**20
ROUNDING = 4 / STEP


class Group(NamedTuple):
    """Lines of one counter or histogram, and their values."""

    lines: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def key(self) -> str:
        """The line that identifies it; of a histogram, the line of its count."""
        return self.lines[-2] if len(self.lines) > 1 else self.lines[0]


Counts = dict[str, Group]


def counts_of(found: Mapping[str, Lines]) -> Counts:
    """Return the counters and histograms of samples by their keys."""
    return {
        group.key: group
        for name, lines in found.items()
        if FAMILIES[name].kind != "gauge"
        for group in _groups(name, lines)
    }


def _groups(name: str, lines: Lines) -> Iterator[Group]:
    last = f"{name}_sum{{" if FAMILIES[name].kind == "histogram" else name
    part: list[tuple[str, float]] = []
    for line, value in lines.items():
        part.append((line, math.floor(float(value) * STEP) / STEP))
        if line.startswith(last):
            yield Group(*zip(*part, strict=True))
            part = []


def lines_of(counts: Counts) -> dict[str, Lines]:
    """Return counters and histograms as samples by family."""
    found: dict[str, Lines] = {}
    for group in counts.values():
        found.setdefault(family_of(group.lines[0]), {}).update(zip(group.lines, map(number, group.values), strict=True))
    return found


def counts_in(table: Table) -> Counts:
    """Return the counters and histograms that a saved sum has."""
    return counts_of({name: _flat(groups) for name, groups in table.groups().items()})


def _flat(groups: Mapping[str, tuple[tuple[str, ...], list[str]]]) -> Lines:
    return {line: value for lines, values in groups.values() for line, value in zip(lines, values, strict=True)}


class Totals:
    """Sum of the counts of all processes that there ever were.

    Args:
        ended: The sum of those of which nothing else is known any more.
        gone: Those without a snapshot, by name, the one that went last at the end.
    """

    def __init__(self, ended: Counts | None = None, gone: Mapping[str, Counts] | None = None) -> None:
        self.ended = dict(ended or {})
        self._last = dict(gone or {})
        self._gone = dict.fromkeys(self._last)
        self.changed = False
        """Whether there is something to save since this was last set to false."""

    @property
    def gone(self) -> dict[str, Counts]:
        """The counts of processes without a snapshot."""
        return {name: self._last[name] for name in self._gone}

    def look(self, told: Mapping[str, Counts]) -> None:
        """Take the counts of all processes that have a snapshot."""
        for name, counts in told.items():
            self._take(name, counts)
        for name in self._last.keys() - told.keys() - self._gone.keys():
            self._leave(name)

    def retire(self, name: str, counts: Counts) -> None:
        """Take the account of a process that is about to be removed."""
        if not self.has_more(name, counts):
            self._take(name, counts)
        self._leave(name)

    def has_more(self, name: str, counts: Counts) -> bool:
        """Return whether a process is known to have counted more than its account says."""
        return any(_fell(group, counts.get(key)) for key, group in self._last.get(name, {}).items())

    def move(self, name: str, now: Iterable[Counts]) -> None:
        """Forget what a process counted under its former name, if all of that is told anew.

        Args:
            name: The former name.
            now: What it tells under its new one, and what is left under the former.
        """
        found: Counts = {}
        for counts in now:
            _add(found, counts.values())
        missing = [_missing(group, found.get(key)) for key, group in self._last.get(name, {}).items()]
        if all(value <= ROUNDING for group in missing for value in group.values):
            self._keep(missing)
            self._last.pop(name, None)
            self.changed = self.changed or name in self._gone
            self._gone.pop(name, None)

    def settle(self, names: Iterable[str]) -> None:
        """Tell processes no longer apart that will not come back; the sum has their counts."""
        for name in names:
            del self._gone[name]
            self._keep(self._last.pop(name).values())

    def sums(self) -> Counts:
        """Return the sum of all."""
        found = self.ended.copy()
        for counts in self._last.values():
            _add(found, counts.values())
        return found

    def _take(self, name: str, counts: Counts) -> None:
        before = self._last.get(name)
        if before is not None and before is not counts:
            self._keep([group for key, group in before.items() if _fell(group, counts.get(key))])
        self._last[name] = counts
        if name in self._gone:
            del self._gone[name]
            self.changed = True

    def _leave(self, name: str) -> None:
        self._gone[name] = None
        self.changed = True

    def _keep(self, groups: Iterable[Group]) -> None:
        counted = [group for group in groups if any(group.values)]
        _add(self.ended, counted)
        for key in list(self.ended)[: max(0, len(self.ended) - LIMIT)]:
            del self.ended[key]
        self.changed = self.changed or bool(counted)


def _fell(before: Group, now: Group | None) -> bool:
    return (
        now is None or now.lines != before.lines or any(a > b for a, b in zip(before.values, now.values, strict=True))
    )


def _missing(before: Group, now: Group | None) -> Group:
    """Return how much less there is now."""
    if now is None or now.lines != before.lines:
        return before
    return Group(before.lines, tuple([max(0.0, a - b) for a, b in zip(before.values, now.values, strict=True)]))


def _add(total: Counts, groups: Iterable[Group]) -> None:
    for group in groups:
        key = group.key
        known = total.get(key)
        total[key] = group if known is None else _added(known, group)


def _added(first: Group, second: Group) -> Group:
    if first.lines == second.lines:
        # What is kept on the disk is told by each process that uses it.
        if len(first.lines) == 1 and first.lines[0].partition("{")[0] in DURABLE:
            return max(first, second)
        return Group(first.lines, tuple([a + b for a, b in zip(first.values, second.values, strict=True)]))
    # Of histograms with different bounds those are known that both have.
    other = dict(zip(*second, strict=True))
    common = [(line, value + other[line]) for line, value in zip(*first, strict=True) if line in other]
    return Group(*zip(*common, strict=True))


def _oldest(values: list[float]) -> float:
    return min((value for value in values if value > 0), default=0.0)


def _latest(values: list[float]) -> float:
    return values[0]


def _furthest(values: list[float]) -> float:
    return max(values, key=abs)


SUM, LARGEST, SMALLEST, OLDEST, LATEST, FURTHEST = sum, max, min, _oldest, _latest, _furthest
RULES: dict[Callable[[list[float]], float], tuple[catalog.Metric, ...]] = {
    SUM: (
        catalog.RETRY_BUDGET_TOKENS,
        catalog.BULKHEAD_IN_FLIGHT,
        catalog.BULKHEAD_WAITING,
        catalog.BULKHEAD_LIMIT,
        catalog.RATE_LIMIT_WAITING,
        catalog.RATE_LIMIT_CALLS_PER_SECOND,
        catalog.RATE_LIMIT_BURST,
        catalog.STREAM_SUBSCRIPTIONS,
        catalog.STREAM_CONNECTIONS,
    ),
    SMALLEST: (
        catalog.SHARED_UP,
        catalog.POLICY_RELOAD_SUCCESS,
        catalog.HEALTH_CHECK_HEALTHY,
        catalog.BACKUP_AGE_SECONDS,
        catalog.BACKUP_MAX_AGE_SECONDS,
        catalog.OFFSITE_AGE_SECONDS,
        catalog.OFFSITE_MAX_AGE_SECONDS,
        catalog.STREAM_CONNECTED,
        catalog.STREAM_MAX_SILENCE_SECONDS,
        catalog.GUARD_HEADROOM_RATIO,
        catalog.INSTANCE_HELD,
    ),
    OLDEST: (
        catalog.POLICY_LAST_RELOAD_SUCCESS_TIMESTAMP_SECONDS,
        catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS,
        catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS,
        catalog.BACKUP_CONFIGURED_TIMESTAMP_SECONDS,
        catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS,
        catalog.OFFSITE_CONFIGURED_TIMESTAMP_SECONDS,
        catalog.DEADMAN_EXPIRES_TIMESTAMP_SECONDS,
        catalog.EXCHANGE_KEY_EXPIRES_TIMESTAMP_SECONDS,
        catalog.RECONCILE_LAST_SUCCESS_TIMESTAMP_SECONDS,
    ),
    LATEST: (catalog.JOB_LAST_DURATION_SECONDS, catalog.JOB_MAX_AGE_SECONDS, catalog.ACCOUNT_EQUITY),
    FURTHEST: (catalog.EXCHANGE_CLOCK_SKEW_SECONDS,),
}
"""How gauges are merged; those that are not named by the largest value, which is the worst or the last one."""
STATES = {
    catalog.BREAKER_STATE.name: ("closed", "disabled", "half_open", "open", "forced_open"),
    catalog.TRADING_STATE.name: catalog.TRADING_STATES,
}
"""States of which one is true, the worst last: that of all processes is the worst of them."""
_RULE = {metric.name: rule for rule, metrics in RULES.items() for metric in metrics}


def gauges_of(told: Iterable[Mapping[str, Lines]]) -> dict[str, Lines]:
    """Return the gauges of all processes in one.

    Args:
        told: The samples of each, those that were told last first.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for found in told:
        for name, lines in found.items():
            if FAMILIES[name].kind == "gauge":
                known = values.setdefault(name, {})
                for line, value in lines.items():
                    known.setdefault(line, []).append(float(value))
    merged = {
        name: {line: _merged(_RULE.get(name, LARGEST), several) for line, several in lines.items()}
        for name, lines in values.items()
    }
    for name, order in STATES.items():
        merged[name] = _worst(merged.get(name, {}), order)
    return {name: {line: number(value) for line, value in lines.items()} for name, lines in merged.items()}


def _merged(rule: Callable[[list[float]], float], values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return rule(known) if known else math.nan


def _worst(lines: dict[str, float], order: tuple[str, ...]) -> dict[str, float]:
    """Return the lines of states with 1 for the worst of each subject, and 0 for the others."""
    of = {line: dict(samples.labels(line)) for line in lines}
    worst: dict[str, int] = {}
    for line, value in lines.items():
        state, subject = _state(of[line])
        if value:
            worst[subject] = max(worst.get(subject, 0), order.index(state))
    return {line: float(_state(of[line])[0] == order[worst.get(_state(of[line])[1], 0)]) for line in lines}


def _state(labels: dict[str, str]) -> tuple[str, str]:
    """Return the state and the subject that a line is about."""
    (subject,) = (value for label, value in labels.items() if label != "state")
    return labels["state"], subject


def newest(exemplars: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return for each line the exemplar with the latest time."""
    found: dict[str, str] = {}
    for some in exemplars:
        for line, exemplar in some.items():
            if line not in found or _time(exemplar) > _time(found[line]):
                found[line] = exemplar
    return found


def _time(exemplar: str) -> float:
    return float(exemplar.rpartition(" ")[2])
