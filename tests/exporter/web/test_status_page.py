"""The status page: what it says of what is known, and that nothing in it can do harm."""

import base64
import hashlib
import re
import time
from datetime import UTC, datetime

import pytest

from peak_observe import catalog
from peak_observe.exporter.sources.merged_exposition import rendered
from peak_observe.exporter.sources.metric_block import Block
from peak_observe.exporter.sources.poller import Status
from peak_observe.exporter.web import status_page, status_tables
from peak_observe.exporter.web.recent_requests import RecentRequests
from peak_observe.exporter.web.samples import Samples
from peak_observe.exporter.web.status_tables import BAD, GOOD, IDLE, WARN, Row, Table
from peak_observe.resilience import HealthCheckResult
from peak_observe.testing import ManualClock

NOW = 1_800_000_000.0
AT = datetime.fromtimestamp(NOW - 30, UTC)
UP = Status(True, (), 0.25, NOW, (1, 0, 0), "")
EVIL = '<script>alert("x")</script>'


def told(*lines: str) -> list:
    """Return what a source tells, from sample lines."""
    return rendered([Block(re.match("[a-z_]+", line)[0], "gauge", "", [line]) for line in lines])


def asked(**outcomes: float) -> list[str]:
    """Return the counted requests of a bot to an exchange, and its writes of unknown fate."""
    by = 'exchange="kraken",process="bot"'
    requests = [
        f'peak_exchange_requests_total{{endpoint="GET Ticker",{by},outcome="{outcome}"}} {count}'
        for outcome, count in outcomes.items()
    ]
    return [*requests, f'peak_exchange_writes_total{{{by},outcome="ambiguous"}} {outcomes.get("ambiguous", 0)}']


def exchange(recent: RecentRequests, *lines: str) -> Row:
    """Return the only row of the table of exchanges."""
    found = status_tables.tables(told(*lines), {}, {}, {}, NOW, recent=recent)
    (row,) = next(table.rows for table in found if table.title == "Exchanges")
    return row


def test_an_outage_shows_after_months_of_success() -> None:
    """Of the last ten minutes nearly all failed, of all since the start hardly any; and it ends when it is over."""
    clock = ManualClock()
    recent = RecentRequests(clock)
    recent.note(Samples(told(*asked(success=1_000_000, transient=10))))
    for _ in range(10):
        clock.advance(30)
        recent.note(Samples(told(*asked(success=1_000_011, transient=999))))
    row = exchange(recent, *asked(success=1_000_011, transient=999))
    assert (row.level, row.state, row.cells[:2]) == (BAD, "fails", ("1,000", "98.9%"))
    for _ in range(25):
        clock.advance(30)
        recent.note(Samples(told(*asked(success=1_000_500, transient=999))))
    row = exchange(recent, *asked(success=1_000_900, transient=999))
    assert (row.level, row.state, row.cells[:2]) == (GOOD, "answers", ("400", "0.0%"))


def test_a_restart_begins_anew() -> None:
    """What is counted then is of the last minutes, too."""
    recent = RecentRequests(ManualClock())
    recent.note(Samples(told(*asked(success=500, transient=90))))
    row = exchange(recent, *asked(success=4, transient=4))
    assert (row.level, row.state, row.cells[0]) == (WARN, "fails now and then", "8")


def test_an_order_of_unknown_fate_is_red_for_a_day() -> None:
    """As its alert is, from when it was counted, and another one from then on."""
    clock = ManualClock()
    recent = RecentRequests(clock)
    lines = asked(success=50, ambiguous=1)
    recent.note(Samples(told(*lines)))
    assert exchange(recent, *lines)[:3] == (BAD, "kraken", "1 of unknown fate")
    clock.advance(80_000)
    recent.note(Samples(told(*asked(success=90, ambiguous=2))))
    clock.advance(80_000)
    recent.note(Samples(told(*asked(success=95, ambiguous=2))))
    assert exchange(recent, *asked(success=95, ambiguous=2))[:3] == (BAD, "kraken", "2 of unknown fate")
    clock.advance(10_000)
    assert exchange(recent, *asked(success=99, ambiguous=2))[:3] == (GOOD, "kraken", "answers")


def test_data_have_an_age_and_a_limit() -> None:
    """The most overdue kind shows; past its limit it is red."""
    by = 'exchange="kraken",process="bot"'
    ages = [f'peak_exchange_data_age_seconds{{{by},kind="{kind}"}} {age}' for kind, age in AGES.items()]
    limits = [f'peak_exchange_data_max_age_seconds{{{by},kind="{kind}"}} 300' for kind in AGES]
    row = exchange(RecentRequests(), *asked(success=5), *ages, *limits)
    assert (row.level, row.state, row.cells[2]) == (BAD, "data too old", "2.0 h")
    row = exchange(RecentRequests(), *asked(success=5), *ages)
    assert (row.level, row.cells[2]) == (GOOD, "2.0 h")


AGES = {"ticker": 7200, "candles": 20, "ticker_received": "NaN"}


def test_a_refused_key_and_silence_are_told() -> None:
    """Refusals of orders are answers; nothing asked is no fault, and no success either."""
    recent = RecentRequests()
    assert exchange(recent, *asked(success=5, auth=3))[:3] == (BAD, "kraken", "key refused")
    assert exchange(recent, *asked(success=5, rejected=30))[:3] == (GOOD, "kraken", "answers")
    assert exchange(recent, *asked(success=0))[:3] == (GOOD, "kraken", "not asked lately")


def tables(*lines: str, results: dict | None = None, statuses: dict | None = None) -> dict[str, list[Row]]:
    """Return the rows of all tables, from sample lines."""
    blocks = [Block(re.match("[a-z_]+", line)[0], "gauge", "", [line]) for line in lines]
    histogram = re.compile("_(bucket|count|sum)$")
    blocks = [
        block._replace(name=histogram.sub("", block.name)) if "duration" in block.name else block for block in blocks
    ]
    abouts = dict.fromkeys(statuses or {}, "files *.dump")
    found = status_tables.tables(rendered(blocks), results or {}, statuses or {}, abouts, NOW)
    return {table.title: table.rows for table in found}


def test_circuits_with_state_and_time_in_it() -> None:
    """The open ones first."""
    rows = tables(
        'peak_breaker_state{breaker="a",process="bot",state="closed"} 1.0',
        'peak_breaker_state{breaker="a",process="bot",state="open"} 0.0',
        'peak_breaker_state{breaker="b",process="bot",state="closed"} 0.0',
        'peak_breaker_state{breaker="b",process="bot",state="open"} 1.0',
        'peak_breaker_state{breaker="c",state="half_open"} 1.0',
        'peak_breaker_state{breaker="d",state="disabled"} 1.0',
        f'peak_breaker_last_transition_timestamp_seconds{{breaker="b",process="bot"}} {NOW - 90}',
        'peak_breaker_last_transition_timestamp_seconds{breaker="a",process="bot"} 0.0',
    )["Circuits"]
    assert rows == [
        Row(BAD, "b", "open", ("1.5 min", "bot")),
        Row(WARN, "c", "half-open", ("since its start", "this process")),
        Row(IDLE, "d", "disabled", ("since its start", "this process")),
        Row(GOOD, "a", "closed", ("since its start", "bot")),
    ]


def test_checks_of_the_exporter_and_of_processes() -> None:
    """Its own with their words, those of others with what their metrics tell."""
    results = {
        "disk": HealthCheckResult("disk", True, "73 GiB free", AT, duration=0.0123),
        "feed": HealthCheckResult("feed", False, "no tick", AT, status="unhealthy", duration=2.0),
        "mail": HealthCheckResult("mail", False, "no route", AT, status="timeout", critical=False),
        "new": HealthCheckResult("new", False, "has not run yet", AT, status="skipped"),
        "waits": HealthCheckResult("waits", True, "failed (failure 1 of 3)", AT, status="unhealthy"),
    }
    rows = tables(
        'peak_health_check_healthy{check="disk"} 1.0',
        'peak_health_check_healthy{check="orders",process="bot"} 0.0',
        'peak_health_check_healthy{check="fine",process="bot"} 1.0',
        'peak_health_check_healthy{check="never",process="bot"} NaN',
        'peak_health_check_duration_seconds_sum{check="orders",process="bot"} 3.0',
        'peak_health_check_duration_seconds_count{check="orders",process="bot"} 2.0',
        f'peak_health_check_last_run_timestamp_seconds{{check="orders",process="bot"}} {NOW - 60}',
        results=results,
    )["Checks"]
    assert rows == [
        Row(BAD, "feed", "unhealthy", ("2.0 s", "30.0 s ago", "no tick")),
        Row(BAD, "orders", "failing", ("1.5 s", "1.0 min ago", "in bot")),
        Row(WARN, "mail", "timeout", ("< 1 ms", "30.0 s ago", "no route")),
        Row(WARN, "new", "skipped", ("< 1 ms", "30.0 s ago", "has not run yet")),
        Row(IDLE, "never", "not run yet", ("-", "never", "in bot")),
        Row(GOOD, "disk", "healthy", ("12 ms", "30.0 s ago", "73 GiB free")),
        Row(GOOD, "waits", "healthy", ("< 1 ms", "30.0 s ago", "failed (failure 1 of 3)")),
        Row(GOOD, "fine", "healthy", ("-", "never", "in bot")),
    ]


def backup(name: str, age: float, last: float, promise: float | None = None, corrupt: int = 0) -> list[str]:
    """Return the samples of a repository."""
    found = [
        f'peak_backup_age_seconds{{kind="data",repository="{name}"}} {age}',
        f'peak_backup_last_success_timestamp_seconds{{kind="data",repository="{name}"}} {last}',
        f'peak_backup_corrupt_files{{repository="{name}"}} {corrupt}',
    ]
    return found if promise is None else [*found, f'peak_backup_max_age_seconds{{repository="{name}"}} {promise}']


def test_backups_with_age_against_promise() -> None:
    """Too old, corrupt and missing ones first."""
    rows = tables(
        *backup("fresh", 60, NOW - 60, 3600),
        *backup("free", 1e6, NOW - 1e6),
        *backup("late", 7200, NOW - 7200, 3600),
        *backup("none", 60, 0, 3600),
        *backup("never", 7200, 0, 3600),
        *backup("rotten", 60, NOW - 60, 3600, corrupt=2),
        'peak_backup_size_bytes{kind="data",repository="fresh"} 2048',
        'peak_backup_stored{repository="fresh",status="success"} 7',
        'peak_backup_stored{repository="fresh",status="failed"} 1',
        f'peak_backup_running_since_timestamp_seconds{{repository="fresh"}} {NOW}',
    )["Backups"]
    assert rows == [
        Row(BAD, "late (data)", "too old", ("2.0 h", "under 1.0 h", "-", "-")),
        Row(BAD, "never (data)", "none yet", ("-", "under 1.0 h", "-", "-")),
        Row(BAD, "rotten (data)", "2 corrupt", ("1.0 min", "under 1.0 h", "-", "-")),
        Row(WARN, "none (data)", "none yet", ("-", "under 1.0 h", "-", "-")),
        Row(GOOD, "fresh (data)", "fresh, one is being made", ("1.0 min", "under 1.0 h", "2 KiB", "7")),
        Row(GOOD, "free (data)", "there", ("11.6 d", "none", "-", "-")),
    ]


def test_processes_and_jobs() -> None:
    """The dead first; a job by its last run."""
    rows = tables(
        'peak_process_up{process="bot"} 1.0',
        'peak_process_up{process="dead"} 0.0',
        f'peak_process_ended_timestamp_seconds{{process="stopped"}} {NOW - 120}',
        f'peak_process_start_time_seconds{{process="bot"}} {NOW - 7200}',
        'peak_process_snapshot_age_seconds{process="bot"} 2.5',
        f'peak_job_last_attempt_timestamp_seconds{{process="cron",task="backup"}} {NOW - 60}',
        f'peak_job_last_success_timestamp_seconds{{process="cron",task="backup"}} {NOW - 50}',
        f'peak_job_last_attempt_timestamp_seconds{{process="cron",task="report"}} {NOW - 60}',
        f'peak_job_last_success_timestamp_seconds{{process="cron",task="report"}} {NOW - 7200}',
        f'peak_job_last_attempt_timestamp_seconds{{process="cron",task="now"}} {NOW - 60}',
        f'peak_job_last_attempt_timestamp_seconds{{process="cron",task="late"}} {NOW - 7300}',
        f'peak_job_last_success_timestamp_seconds{{process="cron",task="late"}} {NOW - 7200}',
        'peak_job_max_age_seconds{process="cron",task="late"} 3600',
        'peak_job_max_age_seconds{process="cron",task="backup"} NaN',
        f'peak_job_running_since_timestamp_seconds{{process="cron",task="now"}} {NOW - 60}',
    )["Processes and jobs"]
    assert rows == [
        Row(BAD, "dead", "down", ("-", "-")),
        Row(BAD, "report (job)", "failed", ("1.0 min ago", "success 2.0 h ago")),
        Row(BAD, "late (job)", "succeeded, overdue", ("2.0 h ago", "success 2.0 h ago")),
        Row(GOOD, "bot", "up", ("2.0 h ago", "2.5 s ago")),
        Row(GOOD, "stopped", "ended", ("-", "2.0 min ago")),
        Row(GOOD, "backup (job)", "succeeded", ("1.0 min ago", "success 50.0 s ago")),
        Row(GOOD, "now (job)", "runs", ("1.0 min ago", "success never")),
    ]


def test_exchanges() -> None:
    """Requests over all endpoints, how many failed, and whether it has banned us."""
    rows = tables(
        'peak_exchange_requests_total{endpoint="a",exchange="kraken",outcome="success",process="bot"} 900',
        'peak_exchange_requests_total{endpoint="b",exchange="kraken",outcome="success",process="bot"} 90',
        'peak_exchange_requests_total{endpoint="b",exchange="kraken",outcome="transient",process="bot"} 10',
        'peak_exchange_requests_total{endpoint="a",exchange="binance",outcome="success"} 0',
        f'peak_exchange_banned_until_timestamp_seconds{{exchange="kraken",process="bot"}} {NOW + 120}',
        'peak_exchange_rate_limit_used_ratio{exchange="kraken",process="bot"} 0.5',
    )["Exchanges"]
    assert rows == [
        Row(BAD, "kraken", "banned for 2.0 min", ("1,000", "1.0%", "-", "50%", "bot")),
        Row(GOOD, "binance", "not asked lately", ("0", "-", "-", "-", "this process")),
    ]


def test_sources() -> None:
    """With what they watch, and why they do not."""
    statuses = {
        "files.x": UP,
        "files.y": UP._replace(up=False, problem="FileNotFoundError: gone"),
        "files.z": UP._replace(up=None),
    }
    assert tables(statuses=statuses)["Sources"] == [
        Row(BAD, "files.y", "down", ("250 ms", "files *.dump: FileNotFoundError: gone")),
        Row(IDLE, "files.z", "asked for the first time", ("-", "files *.dump")),
        Row(GOOD, "files.x", "up", ("250 ms", "files *.dump")),
    ]


def html(*rows: Row) -> str:
    """Return a page with one table."""
    return status_page.document([Table("Checks", ("check", "state", "says"), list(rows), "Nothing.")], "now")


@pytest.mark.parametrize(
    ("rows", "verdict", "summary"),
    [
        ([], "Healthy", "nothing is known yet"),
        ([Row(GOOD, "a", "x", ("",))], "Healthy", "1 as it should be"),
        (
            [Row(GOOD, "a", "x", ("",)), Row(WARN, "b", "x", ("",))],
            "Degraded",
            "1 to keep an eye on, 1 as it should be",
        ),
        ([Row(WARN, "a", "x", ("",)), Row(BAD, "b", "x", ("",))], "Unhealthy", "1 to look at now, 1 to keep an eye on"),
    ],
)
def test_the_verdict_is_that_of_the_worst(rows: list[Row], verdict: str, summary: str) -> None:
    """In the heading and the title of the tab."""
    found = html(*rows)
    assert f"<h1>{verdict}</h1>\n<p>{summary}</p>" in found
    assert f"<title>{verdict.lower()}: peak_observe</title>" in found


def test_whatever_is_shown_is_escaped() -> None:
    """Names, states, messages: they come from other programs."""
    found = html(Row(BAD, EVIL, EVIL, (EVIL + "'",)))
    assert "<script>alert" not in found
    assert found.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;") == 3


def test_labels_are_read_as_they_were_written() -> None:
    """Quotes, backslashes, line ends, braces and what looks like another sample."""
    shown = tables(r'peak_breaker_state{breaker="a\"b\\c\nd} 1.0 {x=\"",process="p",state="open"} 1.0')["Circuits"]
    assert [row.what for row in shown] == ['a"b\\c\nd} 1.0 {x="']


def test_many_processes_are_read_in_one_pass() -> None:
    """What is not shown is not split: 60,000 lines cost no more than a moment."""
    state = 'peak_breaker_state{{breaker="c{}",process="bot-{}",state="{}"}} {}.0'
    names = [(circuit, bot, name) for bot in range(600) for circuit in range(20) for name in catalog.STATES]
    lines = [state.format(*key, int(key[2] == "closed")) for key in names]
    block = Block("peak_breaker_state", "gauge", "", lines)
    told = rendered([block])
    start = time.thread_time()
    found = {table.title: table.rows for table in status_tables.tables(told, {}, {}, {}, NOW)}
    assert len(found["Circuits"]) == 12_000
    assert time.thread_time() - start < 2


def test_long_tables_are_cut() -> None:
    """A page of 10,000 rows helps nobody; the worst are shown."""
    found = html(*(Row(GOOD, f"check {number}", "x", ("",)) for number in range(status_page.MOST + 50)))
    assert found.count("<tr>") == status_page.MOST + 1
    assert "and 50 more, none of them worse" in found


def test_an_empty_table_says_so() -> None:
    """A section that is missing could mean anything."""
    assert '<h2>Checks</h2><p class="empty">Nothing.</p>' in html()


def test_the_policy_allows_just_our_own_style_and_script() -> None:
    """By their hashes; and nothing in the page comes from elsewhere, or stands in an attribute."""
    found = html(Row(GOOD, "a", "x", ("",)))
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", found, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in status_page.POLICY
    assert status_page.POLICY.startswith("default-src 'none'; ")
    assert "unsafe" not in status_page.POLICY
    assert not re.findall(r"""(?:src|href)="(?!/|data:,")|style=|\son\w+=|@import|url\(|//""", found)


def test_a_configuration_that_makes_no_sense_shows() -> None:
    """Until it is mended."""
    assert "makes no sense" in status_page.document([], "now", reloaded=False)
    assert "makes no sense" not in status_page.document([], "now")
