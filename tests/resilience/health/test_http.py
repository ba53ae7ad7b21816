"""The answers for load balancers, Kubernetes and people with curl."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from peak_observe import HealthCheck, health_check, start_exporter
from peak_observe.resilience.health.http import Answer, answers
from peak_observe.testing import ManualClock


def ask(health: HealthCheck, target: str) -> Answer:
    """Return an answer that there has to be."""
    found = answers(health)(target)
    assert found is not None
    return found


@pytest.fixture
def mixed(health: HealthCheck) -> HealthCheck:
    """A degraded system."""
    health.register("db", lambda: (True, "12 tables"))
    health.register("mail", lambda: (False, "no route — é"), critical=False)
    return health


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
def test_a_degraded_system_is_ready(mixed: HealthCheck, path: str) -> None:
    """It may trade."""
    assert ask(mixed, path) == (200, b"ok\n", "text/plain; charset=utf-8")


@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
def test_an_unhealthy_system_is_not(mixed: HealthCheck, path: str) -> None:
    """503 is what takes it out of service."""
    mixed.register("api", lambda: (False, "down"))
    assert ask(mixed, path)[:2] == (503, b"unhealthy\n")


def test_verbose_lists_the_checks(mixed: HealthCheck) -> None:
    """With a mark each: passed, failed but not critical, failed."""
    mixed.register("api", lambda: (False, "down"))
    assert ask(mixed, "/readyz?verbose").body.decode().splitlines() == [
        "[+]db ok: 12 tables",
        "[~]mail failed: no route — é",
        "[-]api failed: down",
        "readyz check failed",
    ]
    assert ask(mixed, "/healthz?x=1&verbose=").body.endswith(b"healthz check failed\n")


def test_liveness_runs_no_check(health: HealthCheck) -> None:
    """A restart mends no exchange."""
    ran: list = []
    health.register("api", lambda: ran.append(1) or False)
    assert ask(health, "/livez")[:2] == (200, b"ok\n")
    assert ask(health, "/livez?verbose").body == b"livez check passed\n"
    assert ran == []


def test_health_is_the_ietf_form(mixed: HealthCheck) -> None:
    """With a content type of its own."""
    status, body, content_type = ask(mixed, "/health")
    assert (status, content_type) == (200, "application/health+json")
    assert json.loads(body)["status"] == "warn"
    mixed.register("api", lambda: False)
    status, body, _ = ask(mixed, "/health")
    assert (status, json.loads(body)["status"]) == (503, "fail")


@pytest.mark.parametrize("target", ["/", "/readyz/", "/READYZ", "/metrics", "", "//readyz", "/readyz%00"])
def test_other_paths_are_none_of_ours(health: HealthCheck, target: str) -> None:
    """The server knows what to do with them."""
    assert answers(health)(target) is None


def test_probes_that_come_together_share_a_run(health: HealthCheck, clock: ManualClock) -> None:
    """For a second."""
    ran: list = []
    health.register("api", lambda: ran.append(1) is None)
    for path in ("/readyz", "/healthz", "/health"):
        ask(health, path)
    assert len(ran) == 1
    clock.advance(1)
    ask(health, "/readyz")
    assert len(ran) == 2


@pytest.fixture
def url() -> Iterator[str]:
    """The address of an exporter, and a registry that is empty again afterwards."""
    with start_exporter(port=0) as exporter:
        yield exporter.url.removesuffix("/metrics")
    for name in health_check.names():
        health_check.unregister(name)


def fetch(url: str, method: str = "GET") -> tuple[int, str, bytes]:
    """Return status, content type and body."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_the_exporter_serves_them(url: str) -> None:
    """For the registry of the process."""
    health_check.register("answers.db", lambda: (True, "12 tables"))
    assert fetch(f"{url}/readyz?verbose")[2] == b"[+]answers.db ok: 12 tables\nreadyz check passed\n"
    health_check.register("answers.db", lambda: (False, "locked, token=S3CRET"))
    assert fetch(f"{url}/readyz") == (503, "text/plain; charset=utf-8", b"unhealthy\n")
    assert fetch(f"{url}/livez")[0] == 200
    assert fetch(f"{url}/readyz", "HEAD") == (503, "text/plain; charset=utf-8", b"")
    status, content_type, body = fetch(f"{url}/health")
    assert (status, content_type) == (503, "application/health+json")
    assert json.loads(body)["checks"]["answers.db:duration"][0]["output"] == "locked, token=***"


def test_the_index_leads_to_them(url: str) -> None:
    """A person who types the address finds the way."""
    body = fetch(f"{url}/")[2].decode()
    assert '<a href="/readyz?verbose">' in body
    assert '<a href="/health">' in body


@pytest.fixture
def tagged(health: HealthCheck) -> HealthCheck:
    """Checks of which the one with a tag depends on another one; a third is unhealthy."""
    health.register("net", lambda: True)
    health.register("api", lambda: True, tags=["trade"], depends_on=["net"])
    health.register("db", lambda: False, tags=["report"])
    return health


@pytest.mark.parametrize("path", ["/readyz", "/healthz", "/health"])
def test_a_tag_chooses_the_checks(tagged: HealthCheck, path: str) -> None:
    """One of several is enough."""
    assert ask(tagged, f"{path}?tag=trade").status == 200
    assert ask(tagged, f"{path}?tag=report").status == 503
    assert ask(tagged, f"{path}?tag=trade&tag=report").status == 503


def test_a_tag_brings_what_its_checks_depend_on(tagged: HealthCheck) -> None:
    """And runs nothing else."""
    assert ask(tagged, "/readyz?tag=trade&verbose").body.decode().splitlines() == [
        "[+]net ok",
        "[+]api ok",
        "readyz check passed",
    ]
    assert not tagged.have_run()


@pytest.mark.parametrize("tag", ["tarde", "", "%00", "%ff", "x" * 5000])
def test_a_tag_that_no_check_has_is_not_found(tagged: HealthCheck, tag: str) -> None:
    """Instead of an answer for all, or for none."""
    assert ask(tagged, f"/readyz?tag={tag}").status == 404


def test_a_mistyped_tag_is_told_with_what_is_near(tagged: HealthCheck) -> None:
    """As on the command line."""
    assert ask(tagged, "/readyz?tag=tarde").body == b"no check has the tag 'tarde'; near: trade\n"


def test_startup_has_ended_after_the_first_full_run(tagged: HealthCheck) -> None:
    """Whatever its results; from then on nothing is run for it, though another check is added."""
    answer = answers(tagged)
    assert not tagged.have_run()
    assert answer("/startupz")[:2] == (200, b"ok\n")
    assert tagged.have_run()
    ran: list = []
    tagged.register("late", lambda: ran.append(1) is None)
    assert answer("/startupz?verbose").body == b"startupz check passed\n"
    assert ran == []


def test_startup_waits_for_checks_that_have_not_been_run(tagged: HealthCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the exporter, where nobody waits for a check."""
    monkeypatch.setattr(tagged, "results", lambda _: {})
    assert ask(tagged, "/startupz")[:2] == (503, b"not every check has been run yet\n")


def test_a_system_without_checks_has_started(health: HealthCheck) -> None:
    """There is nothing to wait for."""
    assert ask(health, "/startupz").status == 200
