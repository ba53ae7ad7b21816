"""Check of a freqtrade bot, by the health that its API server reports."""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from peak_observe.clock import SYSTEM_CLOCK, Clock
from peak_observe.resilience.common import validation
from peak_observe.resilience.health.checks.network import SUCCESS, NoAnswer, checked_url, get
from peak_observe.resilience.health.formatting import seconds

if TYPE_CHECKING:
    from peak_observe.resilience.health.formatting import CheckFunction, Outcome

PATH = "/api/v1/health"


def freqtrade(
    url: str,
    *,
    username: str = "freqtrader",
    password: str | None = None,
    password_file: str | os.PathLike[str] | None = None,
    max_age: float = 120.0,
    timeout: float = 5.0,
    clock: Clock = SYSTEM_CLOCK,
) -> CheckFunction:
    """Return a check that a freqtrade bot answers and that its loop ran lately.

    It needs freqtrade's `api_server` with `"enabled": true`.

    Args:
        url: The address of the API server, for instance `http://127.0.0.1:8080`.
        username: The `username` of `api_server`.
        password: Its `password`.
        password_file: A file with the password instead, which is read at each run.
        max_age: Seconds since the bot's loop ran last; freqtrade's `process_throttle_secs` has to be less.
        timeout: Seconds for the connection and for each part of the answer.
        clock: Where the time comes from; for tests.

    Raises:
        ValueError: An argument makes no sense, or there is not exactly one of `password` and `password_file`.
    """
    validation.check_period("timeout", timeout)
    validation.check_period("max_age", max_age)
    checked_url(url)
    if (password is None) == (password_file is None):
        raise ValueError("give either password or password_file")
    opener = urllib.request.build_opener()

    def check() -> Outcome:
        secret = Path(password_file).read_text("utf-8").strip() if password_file is not None else password
        request = urllib.request.Request(url.rstrip("/") + PATH)  # noqa: S310 - the scheme was checked above
        token = base64.b64encode(f"{username}:{secret}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")  # it must not go to another host
        try:
            code, reason, content = get(opener, request, timeout)
        except NoAnswer as error:
            return False, str(error), {}
        if code not in SUCCESS:
            return False, f"HTTP {code} {reason}".strip(), {"status": code}
        last = _last_process(content)
        if last is None:
            return False, "the bot's loop has not run yet", {}
        age = max(0.0, clock.now().timestamp() - last)
        message = f"the bot's loop ran {seconds(age)} ago, at most {seconds(max_age)} allowed"
        return age <= max_age, message, {"age_seconds": round(age, 3)}

    return check


def _last_process(content: bytes) -> float | None:
    """Return when the bot's loop ran last, in seconds of Unix time."""
    try:
        found = json.loads(content)["last_process_ts"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"the answer to {PATH} is not that of freqtrade: is this its API server?") from None
    return None if found is None else float(found)
