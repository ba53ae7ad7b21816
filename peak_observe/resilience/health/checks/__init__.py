"""Ready-made checks: each function here returns one, for `health_check.register(name, …)`.

What it is given is checked at once; what the world looks like is found out when it runs.
"""

from peak_observe.resilience.health.checks.api_key import api_key
from peak_observe.resilience.health.checks.exchange import exchange
from peak_observe.resilience.health.checks.files import file_age, sqlite_integrity
from peak_observe.resilience.health.checks.freqtrade import freqtrade
from peak_observe.resilience.health.checks.machine import clock_skew, disk_space, memory
from peak_observe.resilience.health.checks.network import http, tcp
from peak_observe.resilience.health.checks.primitives import Heartbeat, backup_freshness, breaker_closed
from peak_observe.resilience.health.checks.process import command

__all__ = [
    "Heartbeat",
    "api_key",
    "backup_freshness",
    "breaker_closed",
    "clock_skew",
    "command",
    "disk_space",
    "exchange",
    "file_age",
    "freqtrade",
    "http",
    "memory",
    "sqlite_integrity",
    "tcp",
]
