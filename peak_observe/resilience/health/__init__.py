"""Health checks: one place that says whether the system may trade."""

from peak_observe.resilience.health.registry import HealthCheck
from peak_observe.resilience.health.result import HealthCheckResult

health_check: HealthCheck = HealthCheck()
"""The registry of this process, which the ready-made clients use and `peak-observe health` runs."""

__all__ = ["HealthCheck", "HealthCheckResult", "health_check"]
