"""Tables of the status page, read from the samples that `/metrics` serves."""

from __future__ import annotations

import math
from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from peak_observe import catalog
from peak_observe.exporter.web.recent_requests import RecentRequests
from peak_observe.exporter.web.samples import Key, Samples, Values
from peak_observe.resilience.health import report
from peak_observe.resilience.health.formatting import seconds, size
from peak_observe.resilience.health.result import SKIPPED
from peak_observe.support.redact import redact_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from peak_observe.exporter.sources.merged_exposition import RenderedBlock
    from peak_observe.exporter.sources.poller import Status
    from peak_observe.resilience.health.result import HealthCheckResult

GOOD, WARN, BAD, IDLE = "good", "warn", "bad", "idle"
LEVELS = (BAD, WARN, IDLE, GOOD)
"""From what a person has to see first to what is as it should be."""
OWN = "this process"
NONE = "-"
MILLISECOND = 1e-3
FEW = 3  # so many requests have to fail before it is told, as for the alerts
FAILURES = ("transient", "rate_limited", "maintenance", "clock", "bad_response", "ambiguous", "bug")
"""Outcomes that alerts count as failures; a refused key and a refused order are told of apart, or not."""
STATE_LEVELS = dict(zip(catalog.STATES, (GOOD, BAD, WARN, WARN, IDLE), strict=True))


class Row(NamedTuple):
    """Row of a table: level, subject, state in a word, and the other cells."""

    level: str
    what: str
    state: str
    cells: tuple[str, ...] = ()


class Table(NamedTuple):
    """Table of the status page."""

    title: str
    heads: tuple[str, ...]
    rows: list[Row]
    empty: str


def tables(
    told: Iterable[RenderedBlock],
    results: Mapping[str, HealthCheckResult],
    statuses: Mapping[str, Status],
    abouts: Mapping[str, str],
    now: float,
    *,
    problems: Mapping[tuple[str, str], str] = MappingProxyType({}),
    recent: RecentRequests | None = None,
) -> list[Table]:
    """Return the parts of the page.

    Args:
        told: What all sources told.
        results: What the exporter's own checks found.
        statuses: How the sources fare.
        abouts: What they watch, in words.
        now: Unix time in seconds.
        problems: What failing checks of other processes say, by process and check.
        recent: What counters of requests said before; without it all of them are of the last minutes.
    """
    samples = Samples(told)
    found = [
        Table(
            "Circuits",
            ("circuit", "state", "for", "process"),
            list(_circuits(samples, now)),
            "No process tells of a circuit.",
        ),
        Table(
            "Checks",
            ("check", "state", "latency", "ran", "says"),
            [*_own_checks(results, now), *_checks(samples, now, problems)],
            "No checks are configured.",
        ),
        Table(
            "Backups",
            ("repository", "state", "age", "promise", "size", "stored"),
            list(_backups(samples)),
            "No backups are watched.",
        ),
        Table(
            "Processes and jobs",
            ("process", "state", "since", "heard of"),
            [*_processes(samples, now), *_jobs(samples, now)],
            "No process writes snapshots here.",
        ),
        Table(
            "Exchanges",
            ("exchange", "state", "requests, 10 min", "failed", "data age", "rate limit", "process"),
            list(_exchanges(samples, now, recent or RecentRequests())),
            "No process tells of an exchange.",
        ),
        Table(
            "Sources", ("source", "state", "took", "watches"), list(_sources(statuses, abouts)), "Nothing is watched."
        ),
    ]
    return [table._replace(rows=sorted(table.rows, key=lambda row: LEVELS.index(row.level))) for table in found]


def ago(since: float, now: float) -> str:
    """Return how long something is past."""
    return f"{seconds(max(0.0, now - since))} ago" if since > 0 else "never"


def _circuits(samples: Samples, now: float) -> Iterator[Row]:
    state, change = catalog.BREAKER_STATE.name, catalog.BREAKER_LAST_TRANSITION_TIMESTAMP_SECONDS.name
    changed = samples.values(change, "breaker", "process")
    for breaker, process, name in samples.values(state, "breaker", "process", "state", value="1.0"):
        since = changed.get((breaker, process), 0.0)
        span = seconds(max(0.0, now - since)) if since else "since its start"
        level = STATE_LEVELS.get(name, WARN)
        yield Row(level, breaker, name.replace("_", "-"), (span, process or OWN))


def _own_checks(results: Mapping[str, HealthCheckResult], now: float) -> Iterator[Row]:
    for name, result in results.items():
        level = GOOD if result.healthy else BAD if result.critical else WARN
        if result.status == SKIPPED and not result.healthy:
            level = WARN
        word = report.HEALTHY if result.healthy else result.status if result.status != report.HEALTHY else "unhealthy"
        ran = ago(result.timestamp.timestamp(), now)
        yield Row(level, name, word, (_latency(result.duration), ran, redact_line(result.message)))


def _checks(samples: Samples, now: float, problems: Mapping[tuple[str, str], str]) -> Iterator[Row]:
    duration = catalog.HEALTH_CHECK_DURATION_SECONDS.name
    last = samples.values(catalog.HEALTH_CHECK_LAST_RUN_TIMESTAMP_SECONDS.name, "check", "process")
    total = samples.values(duration, "check", "process", sample=f"{duration}_sum")
    count = samples.values(duration, "check", "process", sample=f"{duration}_count")
    for (check, process), value in samples.values(catalog.HEALTH_CHECK_HEALTHY.name, "check", "process").items():
        if process:
            key = check, process
            level, word = (
                (IDLE, "not run yet") if math.isnan(value) else (GOOD, "healthy") if value else (BAD, "failing")
            )
            says = ": ".join(filter(None, (f"in {process}", problems.get((process, check), ""))))
            mean = total.get(key, 0.0) / count[key] if count.get(key) else None
            yield Row(level, check, word, (_latency(mean), ago(last.get(key, 0.0), now), says))


def _latency(value: float | None) -> str:
    if value is None:
        return NONE
    if value >= 1:
        return seconds(value)
    return f"{value * 1e3:.0f} ms" if value >= MILLISECOND else "< 1 ms"


def _backups(samples: Samples) -> Iterator[Row]:
    def by(metric: catalog.Metric, *labels: str, **wanted: str) -> Values:
        return samples.values(metric.name, *labels, "process", **wanted)

    last = by(catalog.BACKUP_LAST_SUCCESS_TIMESTAMP_SECONDS, "repository", "kind")
    sizes = by(catalog.BACKUP_SIZE_BYTES, "repository", "kind")
    promises, corrupt = by(catalog.BACKUP_MAX_AGE_SECONDS, "repository"), by(catalog.BACKUP_CORRUPT_FILES, "repository")
    stored = by(catalog.BACKUP_STORED, "repository", status="success")
    running = by(catalog.BACKUP_RUNNING_SINCE_TIMESTAMP_SECONDS, "repository")
    for key, age in by(catalog.BACKUP_AGE_SECONDS, "repository", "kind").items():
        repository, kind, process = key
        of = repository, process
        level, word = _backup_state(last.get(key, 0.0), age, promises.get(of), corrupt.get(of, 0.0))
        word += ", one is being made" if running.get(of) else ""
        promise = f"under {seconds(promises[of])}" if of in promises else "none"
        held = f"{stored[of]:.0f}" if of in stored else NONE
        shown = size(sizes[key]) if key in sizes else NONE
        what = " ".join(part for part in (repository, f"({kind})", f"in {process}" if process else "") if part)
        yield Row(level, what, word, (seconds(age) if last.get(key) else NONE, promise, shown, held))


def _backup_state(last: float, age: float, promise: float | None, corrupt: float) -> tuple[str, str]:
    if corrupt:
        return BAD, f"{corrupt:.0f} corrupt"
    late = promise is not None and age > promise
    if not last:
        return (BAD if late else WARN), "none yet"
    return (BAD, "too old") if late else (GOOD, "fresh" if promise is not None else "there")


def _processes(samples: Samples, now: float) -> Iterator[Row]:
    began = samples.values(catalog.PROCESS_START_TIME_SECONDS.name, "process")
    heard = samples.values(catalog.PROCESS_SNAPSHOT_AGE_SECONDS.name, "process")
    for key, value in samples.values(catalog.PROCESS_UP.name, "process").items():
        since = ago(began[key], now) if key in began else NONE
        word = f"{seconds(heard[key])} ago" if key in heard else NONE
        yield Row(GOOD if value else BAD, key[0], "up" if value else "down", (since, word))
    for key, at in samples.values(catalog.PROCESS_ENDED_TIMESTAMP_SECONDS.name, "process").items():
        yield Row(GOOD, key[0], "ended", (NONE, ago(at, now)))


def _jobs(samples: Samples, now: float) -> Iterator[Row]:
    success = samples.values(catalog.JOB_LAST_SUCCESS_TIMESTAMP_SECONDS.name, "task", "process")
    running = samples.values(catalog.JOB_RUNNING_SINCE_TIMESTAMP_SECONDS.name, "task", "process")
    promised = samples.values(catalog.JOB_MAX_AGE_SECONDS.name, "task", "process")
    for key, attempt in samples.values(catalog.JOB_LAST_ATTEMPT_TIMESTAMP_SECONDS.name, "task", "process").items():
        succeeded = success.get(key, 0.0)
        if running.get(key):
            level, word = GOOD, "runs"
        else:
            level, word = (GOOD, "succeeded") if succeeded >= attempt else (BAD, "failed")
        if attempt and now - (succeeded or attempt) > promised.get(key, math.inf):
            level, word = BAD, f"{word}, overdue"
        yield Row(level, f"{key[0]} (job)", word, (ago(attempt, now), f"success {ago(succeeded, now)}"))


def _exchanges(samples: Samples, now: float, recent: RecentRequests) -> Iterator[Row]:
    by_exchange: dict[Key, dict[str, float]] = defaultdict(dict)
    for (exchange, process, outcome), count in recent.lately(samples).items():
        by_exchange[exchange, process][outcome] = count
    used = samples.values(catalog.EXCHANGE_RATE_LIMIT_USED_RATIO.name, "exchange", "process")
    banned = samples.values(catalog.EXCHANGE_BANNED_UNTIL_TIMESTAMP_SECONDS.name, "exchange", "process")
    unknown, ages = recent.unknown(samples), _data_ages(samples)
    for key, counts in by_exchange.items():
        ratio, age, limit = used.get(key), *ages.get(key, (math.nan, math.nan))
        total, failed = sum(counts.values()), sum(counts.get(outcome, 0.0) for outcome in FAILURES)
        level, word = _exchange_state(banned.get(key, 0.0) - now, unknown.get(key, 0.0), counts, (total, failed))
        if age > limit:
            level, word = BAD, f"{word}, data too old" if level is BAD else "data too old"
        share = f"{failed / total:.1%}" if total else NONE
        old = NONE if math.isnan(age) else seconds(age)
        limit_used = f"{ratio:.0%}" if ratio is not None and not math.isnan(ratio) else NONE
        yield Row(level, key[0], word, (f"{total:,.0f}", share, old, limit_used, key[1] or OWN))


def _exchange_state(
    ban: float, unknown: float, counts: Mapping[str, float], requests: tuple[float, float]
) -> tuple[str, str]:
    total, failed = requests
    refused = counts.get("auth", 0.0)
    worse = failed > 0.5 * total
    found = [
        (unknown > 0, BAD, f"{unknown:.0f} of unknown fate"),
        (refused >= FEW, BAD, "key refused"),
        (ban > 0, BAD, f"banned for {seconds(ban)}"),
        (failed >= FEW and failed > 0.1 * total, BAD if worse else WARN, "fails" if worse else "fails now and then"),
    ]
    said = [(level, word) for true, level, word in found if true]
    if not said:
        return GOOD, "answers" if total else "not asked lately"
    return min((level for level, _ in said), key=LEVELS.index), ", ".join(word for _, word in said)


def _data_ages(samples: Samples) -> dict[Key, tuple[float, float]]:
    """Return age and limit of the most overdue kind of data of each exchange and process."""
    ages = samples.values(catalog.EXCHANGE_DATA_AGE_SECONDS.name, "exchange", "process", "kind")
    limits = samples.values(catalog.EXCHANGE_DATA_MAX_AGE_SECONDS.name, "exchange", "process", "kind")
    found: dict[Key, list[tuple[float, float]]] = defaultdict(list)
    for key, age in ages.items():
        if not math.isnan(age):
            found[key[:2]].append((age, limits.get(key, math.nan)))
    return {key: max(pairs, key=_overdue) for key, pairs in found.items()}


def _overdue(pair: tuple[float, float]) -> tuple[float, float]:
    age, limit = pair
    return (0.0 if math.isnan(limit) else age / limit, age)


def _sources(statuses: Mapping[str, Status], abouts: Mapping[str, str]) -> Iterator[Row]:
    for name, status in statuses.items():
        about = abouts.get(name, "")
        if status.up is None:
            yield Row(IDLE, name, "asked for the first time", (NONE, about))
        else:
            said = f"{about}: {status.problem}" if status.problem else about
            yield Row(
                GOOD if status.up else BAD, name, "up" if status.up else "down", (_latency(status.duration), said)
            )


def worst(found: Iterable[Table]) -> dict[str, int]:
    """Return how many rows there are of each level."""
    levels = [row.level for table in found for row in table.rows]
    return {level: levels.count(level) for level in LEVELS}
