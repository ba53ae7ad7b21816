"""PromQL over the catalogue: every selector filters by the dashboard's variables, every rate fits the scrape."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peak_observe.catalog import Metric

PROCESS = 'job=~"$job", instance=~"$instance"'
VARIABLES = ("breaker", "operation", "check", "repository", "exchange")
"""Labels that are also a variable of the dashboard."""


def select(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """Return the series of a metric that the dashboard's variables and the matchers choose."""
    chosen = [f'{label}=~"${label}"' for label in metric.labels if label in VARIABLES]
    return f"{metric.name}{suffix}{{{', '.join([PROCESS, *chosen, *matchers])}}}"


def rate(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """Return the increase a second of a counter."""
    return f"rate({select(metric, *matchers, suffix=suffix)}[$__rate_interval])"


def increase(metric: Metric, *matchers: str, window: str = "$__range") -> str:
    """Return the increase of a counter over the time shown."""
    return f"increase({select(metric, *matchers)}[{window}])"


def total(expression: str, *labels: str) -> str:
    """Return the sum of an expression, kept apart by `labels`."""
    return f"sum by ({', '.join(labels)}) ({expression})" if labels else f"sum({expression})"


def worst(expression: str, *labels: str) -> str:
    """Return the largest value of an expression, kept apart by `labels`."""
    return f"max by ({', '.join(labels)}) ({expression})" if labels else f"max({expression})"


def since(metric: Metric) -> str:
    """Return the seconds since a Unix time; nothing where it is 0, which means never."""
    return f"time() - ({select(metric)} > 0)"


def share(part: str, whole: str) -> str:
    """Return `part / whole`, and nothing, rather than NaN, where nothing happened."""
    return f"{part} / ({whole} > 0)"


def quantile(rank: float, metric: Metric, *labels: str) -> str:
    """Return a quantile of a histogram, in its unit; nothing where nothing was observed."""
    # The comparison keeps everything but NaN, which is what no observations give.
    return f"histogram_quantile({rank}, {total(rate(metric, suffix='_bucket'), 'le', *labels)}) >= 0"
