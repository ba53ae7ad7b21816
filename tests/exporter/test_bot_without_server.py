"""What the exporter tells of a bot that only writes snapshots: why a check fails, and the exemplars of its calls."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from tests.conftest import lint

BOT = """
    import sys
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    import peak_observe
    from peak_observe import circuit_breaker, health_check

    trace.set_tracer_provider(TracerProvider())
    peak_observe.configure(secrets=["told0to1the2redactor"])

    @circuit_breaker(name="feed # {span_id=")
    def call():
        pass

    with trace.get_tracer("bot").start_as_current_span("tick"):
        call()
    failing = "no answer from https://bob:hunter2@x/y?sig=1 \\x1b[31m\\u202e told0to1the2redactor " + "x" * 500
    health_check.register("exchange", lambda: (False, failing))
    health_check.register("fine", lambda: (True, "all well"))
    for number in range(25):
        health_check.register(f"many-{number}", lambda: (False, "m" * 300))
    health_check.run_all()
    peak_observe.flush()
    print("ready", flush=True)
    input()
    health_check.register("exchange", lambda: True)
    health_check.run_all()
    peak_observe.flush()
    print("mended", flush=True)
    input()
"""


@pytest.fixture
def bot(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """A bot that traces, with a failing check."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(BOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PEAK_OBSERVE_DIR": str(tmp_path / "snapshots"), "PATH": "/usr/bin"},
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_the_reason_of_a_failing_check_is_shown(bot, exporter, tmp_path) -> None:
    """On the page and in `/readyz?verbose`: redacted, cut and printable; gone when the check is well again."""
    running = exporter(f'[processes]\ndirectory = "{tmp_path / "snapshots"}"\ninterval = 0.2\n')
    line = running.eventually("[~]exchange in python failed: ", "/readyz?verbose")
    assert "no answer from https://x/y *** xxx" in line
    assert "fine in python" not in line
    assert "…" in line
    assert running.get("/readyz?verbose").status == 200
    page = running.eventually("no answer from https://x/y", "/")
    for text in (line, page):
        assert not [secret for secret in ("hunter2", "sig=1", "told0", "\x1b", "\u202e", "x" * 300) if secret in text]
    assert 1 < line.count("[~]many-") < 20
    bot.stdin.write("\n")
    bot.stdin.flush()
    assert bot.stdout.readline() == "mended\n"
    running.eventually('peak_health_check_healthy{check="exchange",process="python"} 1.0')
    assert "exchange in python" not in running.get("/readyz?verbose").text


def test_exemplars_survive_the_way_through_the_exporter(bot, exporter, tmp_path) -> None:
    """In OpenMetrics only, on the counter and its bucket, with the process's label before them."""
    running = exporter(f'[processes]\ndirectory = "{tmp_path / "snapshots"}"\ninterval = 0.2\n')
    running.eventually("peak_breaker_calls_total{")
    openmetrics = running.get(Accept="application/openmetrics-text; version=1.0.0").text
    families = {family.name: family for family in parse_openmetrics(openmetrics)}
    found = [sample for name in ("peak_breaker_calls", "peak_breaker_call_duration_seconds")
             for sample in families[name].samples if sample.exemplar]  # fmt: skip
    assert {sample.name for sample in found} == {
        "peak_breaker_calls_total",
        "peak_breaker_call_duration_seconds_bucket",
    }
    assert len({sample.exemplar.labels["trace_id"] for sample in found}) == 1
    assert all(sample.labels["process"] == "python" for sample in found)
    plain = running.get().text
    assert '"} 1.0 # {' not in plain
    assert "trace_id" not in plain
    assert not lint(running.get().body)
