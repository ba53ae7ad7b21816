"""The dashboard, line by line."""

from datetime import UTC, datetime

import pytest

from peak_observe import HealthCheckResult
from peak_observe.resilience.health import terminal

AT = datetime(2025, 12, 17, 15, 30, 0, 123456, tzinfo=UTC)
BAR = "=" * 60


def result(name: str, status: str = "healthy", message: str | None = None, **settings: object) -> HealthCheckResult:
    """Return a result of one status."""
    settings = {"healthy": status == "healthy", "message": message or "", "timestamp": AT} | settings
    return HealthCheckResult(name, status=status, **settings)


def shown(*results: HealthCheckResult, plain: bool = False) -> str:
    """Return the dashboard as text."""
    return "\n".join(line.text for line in terminal.lines({one.name: one for one in results}, AT, plain=plain))


def test_the_known_layout() -> None:
    """Title, timestamp, a line a check, the system's status."""
    checks = [result("backtest_engine"), result("database"), result("exchange_api")]
    assert (
        shown(*checks)
        == f"""{BAR}
HEALTH DASHBOARD
{BAR}
Timestamp: 2025-12-17T15:30:00+00:00

✅ BACKTEST_ENGINE: healthy
✅ DATABASE: healthy
✅ EXCHANGE_API: healthy

{"-" * 60}
System Status: 🟢 HEALTHY
{BAR}"""
    )


MIXED = [
    result("db", message="12 tables"),
    result("api", "timeout", "no answer within 5 s"),
    result("mail", "error", "Exception: X", critical=False),
    result("orders", "skipped", "'api' is not healthy"),
    result("disk", "unhealthy"),
]


def test_every_kind_of_result_has_its_mark() -> None:
    """With what was found and why."""
    assert shown(*MIXED).splitlines()[5:10] == [
        "✅ DB: healthy",
        "❌ API: timeout - no answer within 5 s",
        "⚠️ MAIL: error - Exception: X",
        "⚪ ORDERS: skipped - 'api' is not healthy",
        "❌ DISK: unhealthy",
    ]


@pytest.mark.parametrize(
    ("checks", "status", "plain"),
    [
        (MIXED[:1], "🟢 HEALTHY", "[ OK ] HEALTHY"),
        ([MIXED[0], MIXED[2]], "🟡 DEGRADED", "[WARN] DEGRADED"),
        (MIXED, "🔴 UNHEALTHY", "[FAIL] UNHEALTHY"),
    ],
)
def test_the_verdict(checks: list, status: str, plain: str) -> None:
    """In both alphabets."""
    assert f"\nSystem Status: {status}\n" in shown(*checks)
    assert f"\nSystem Status: {plain}\n" in shown(*checks, plain=True)


def test_plain_is_ascii() -> None:
    """Marks as words, and the user's own characters escaped."""
    text = shown(result("größe", "unhealthy", "5 µs — ok"), *MIXED, plain=True)
    assert text.isascii()
    assert text.splitlines()[5:10] == [
        r"[FAIL] GR\xd6SSE: unhealthy - 5 \xb5s \u2014 ok",
        "[ OK ] DB: healthy",
        "[FAIL] API: timeout - no answer within 5 s",
        "[WARN] MAIL: error - Exception: X",
        "[SKIP] ORDERS: skipped - 'api' is not healthy",
    ]


def test_what_the_thresholds_say_shows() -> None:
    """A run that failed below the threshold, and one that passed below it."""
    still = result("a", "unhealthy", "down (failure 1 of 3)", healthy=True)
    not_yet = result("b", "healthy", "up (success 1 of 2)", healthy=False)
    assert shown(still, not_yet).splitlines()[5:7] == [
        "✅ A: healthy - down (failure 1 of 3)",
        "❌ B: unhealthy - up (success 1 of 2)",
    ]


def test_the_title_is_the_users() -> None:
    """In place of ours, and it steers no terminal either."""
    lines = [line.text for line in terminal.lines({}, AT, title="BTC\x1b[31m")]
    assert lines[1] == "BTC�[31m"


def test_a_name_steers_no_terminal() -> None:
    """Nor does it break the line."""
    assert "✅ A�[31M�B: healthy" in shown(result("a\x1b[31m\nb"))


@pytest.mark.parametrize("height", [13, 14, 20, 40, 70])
def test_a_small_screen_shows_what_failed_and_the_status(height: int) -> None:
    """Checks that passed make room, and it is said how many there are."""
    checks = {f"c{number}": result(f"c{number}") for number in range(50)}
    checks["c30"] = result("c30", "unhealthy", "x" * 150)
    found = list(terminal.fitted(terminal.lines(checks, AT), 80, height))
    assert sum(-(-max(1, len(line.text)) // 80) for line in found) <= height
    assert found[-2].text == "System Status: 🔴 UNHEALTHY"
    assert found[1].text == "HEALTH DASHBOARD"
    shown = [line.text for line in found if line.text.startswith("✅ ")]
    assert len([line for line in found if line.text.startswith("❌ C30")]) == 1
    assert (f"({49 - len(shown)} more checks; this screen has no room for them)" in [line.text for line in found]) is (
        height < 70
    )


def test_a_screen_with_room_shows_all() -> None:
    """As without one."""
    lines = list(terminal.lines({one.name: one for one in MIXED}, AT))
    assert terminal.fitted(lines, 80, len(lines)) == lines
    assert len(terminal.fitted(lines, 80, 3)) == 10, "a screen too small for anything still gets the frame"
